// Chains of 74HC595 in parallel: clears and latches them, or shifts one image through and latches it. An operation is
// taken when s_valid && s_ready. While an image is shifted, line counts down from LINES - 1 and s_bits must follow it
// combinationally: bit k of a chain is that of line k. Every clock level lasts HALF_CLOCKS at least. Reset: synchronous,
// active high; a pulse under way is cut short, so a clear must follow.
`default_nettype none
module rm_shift_chain #(
    parameter CHAINS      = 8,
    parameter LINES       = 128,
    parameter HALF_CLOCKS = 4
) (
    input  wire              clk,
    input  wire              rst,
    // Operations (sink)
    input  wire              s_valid,
    output wire              s_ready,
    input  wire              s_clear,   // 1: clear and latch, 0: image
    output reg  [7:0]        line,
    input  wire [CHAINS-1:0] s_bits,
    // Pins
    output reg  [CHAINS-1:0] sr_ser,
    output reg               sr_srclk,
    output reg               sr_rclk,
    output reg               sr_srclr_n
);
    localparam IDLE = 3'd0, CLEAR = 3'd1, LOW = 3'd2, HIGH = 3'd3, LATCH = 3'd4, LATCHED = 3'd5;
    localparam [7:0] HALF_LAST = HALF_CLOCKS - 1, LINE_LAST = LINES - 1;

    reg [2:0] state;
    reg [7:0] wait_count;

    assign s_ready = state == IDLE;

    // As the flip-flops come out of configuration, before the first clock.
    initial begin
        sr_srclk = 1'b0;
        sr_rclk = 1'b0;
        sr_srclr_n = 1'b1;
    end

    always @(posedge clk) begin
        if (rst) begin
            state      <= IDLE;
            wait_count <= 8'd0;
            line       <= LINE_LAST;
            sr_ser     <= {CHAINS{1'b0}};
            sr_srclk   <= 1'b0;
            sr_rclk    <= 1'b0;
            sr_srclr_n <= 1'b1;
        end else if (wait_count != 8'd0) begin
            wait_count <= wait_count - 8'd1;
        end else begin
            wait_count <= HALF_LAST;
            case (state)
                IDLE: begin
                    wait_count <= 8'd0;
                    line       <= LINE_LAST;
                    if (s_valid) state <= s_clear ? CLEAR : LOW;
                end
                CLEAR: begin
                    sr_srclr_n <= 1'b0;
                    state      <= LATCH;
                end
                LOW: begin
                    sr_srclk <= 1'b0;
                    sr_ser   <= s_bits;
                    state    <= HIGH;
                end
                HIGH: begin
                    sr_srclk <= 1'b1;
                    line     <= line - 8'd1;
                    state    <= line == 8'd0 ? LATCH : LOW;
                end
                LATCH: begin
                    // A clear is still active: the latch takes zeros.
                    sr_srclk <= 1'b0;
                    sr_rclk  <= 1'b1;
                    state    <= LATCHED;
                end
                default: begin
                    sr_rclk    <= 1'b0;
                    sr_srclr_n <= 1'b1;
                    state      <= IDLE;
                end
            endcase
        end
    end
endmodule
`default_nettype wire
