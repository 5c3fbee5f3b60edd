// SPI frames of 24 bits to DAC80508 chips on parallel lanes (mode 1: data changes with rising SCLK, the chip takes it with
// falling SCLK). A frame is taken when s_valid && s_ready; only lanes in s_lanes see CS fall. A fast frame
// takes 49 * HALF_CLOCKS + HIGH_CLOCKS clocks from one s_ready to the next (51 at 100 MHz), a slow one uses READ_HALF_CLOCKS
// and gives what lane s_answer_lane shifted out. Outputs have changed with the rising CS when s_ready returns.
// Reset: synchronous, active high; lets CS rise.
`default_nettype none
module rm_dac_spi #(
    parameter LANES            = 8,
    parameter HALF_CLOCKS      = 1,
    parameter READ_HALF_CLOCKS = 3,
    parameter HIGH_CLOCKS      = 2   // CS high between frames, at least 2
) (
    input  wire                clk,
    input  wire                rst,
    // Frames (sink)
    input  wire                s_valid,
    output wire                s_ready,
    input  wire [24*LANES-1:0] s_frames,   // lane 0 lowest
    input  wire [LANES-1:0]    s_lanes,
    input  wire                s_slow,
    input  wire [2:0]          s_answer_lane,
    output reg  [23:0]         answer,
    // Pins
    output reg  [LANES-1:0]    dac_cs_n,
    output reg                 dac_sclk,
    output wire [LANES-1:0]    dac_sdi,
    input  wire [LANES-1:0]    dac_sdo
);
    localparam IDLE = 2'd0, SHIFT = 2'd1, LAST = 2'd2, HIGH = 2'd3;
    localparam [7:0] HALF_LAST = HALF_CLOCKS - 1, READ_HALF_LAST = READ_HALF_CLOCKS - 1, HIGH_LAST = HIGH_CLOCKS - 2;

    reg [1:0]          state;
    reg [24*LANES-1:0] bits;
    reg [4:0]          bit_count;
    reg [7:0]          wait_count;
    reg                slow;
    reg [2:0]          answer_lane;
    reg [LANES-1:0]    sdi;

    wire [7:0] half_last = slow ? READ_HALF_LAST : HALF_LAST;

    assign s_ready = state == IDLE;
    assign dac_sdi = sdi;

    // As the flip-flops come out of configuration, before the first clock.
    initial begin
        dac_cs_n = {LANES{1'b1}};
        dac_sclk = 1'b0;
    end

    integer lane;
    always @(posedge clk) begin
        if (rst) begin
            state       <= IDLE;
            dac_cs_n    <= {LANES{1'b1}};
            dac_sclk    <= 1'b0;
            sdi         <= {LANES{1'b0}};
            answer      <= 24'h0;
            bits        <= {24*LANES{1'b0}};
            bit_count   <= 5'd0;
            wait_count  <= 8'd0;
            slow        <= 1'b0;
            answer_lane <= 3'd0;
        end else if (wait_count != 8'd0) begin
            wait_count <= wait_count - 8'd1;
        end else begin
            case (state)
                IDLE: if (s_valid) begin
                    state       <= SHIFT;
                    bits        <= s_frames;
                    bit_count   <= 5'd24;
                    dac_cs_n    <= ~s_lanes;
                    slow        <= s_slow;
                    answer_lane <= s_answer_lane;
                    wait_count  <= s_slow ? READ_HALF_LAST : HALF_LAST;
                end
                SHIFT: begin
                    wait_count <= half_last;
                    dac_sclk   <= !dac_sclk;
                    if (!dac_sclk) begin
                        for (lane = 0; lane < LANES; lane = lane + 1) begin
                            sdi[lane] <= bits[24*lane+23];
                            bits[24*lane +: 24] <= {bits[24*lane +: 23], 1'b0};
                        end
                        bit_count <= bit_count - 5'd1;
                    end else begin
                        // The chip shifts out with rising SCLK: half a period later its bit is there.
                        if (slow) answer <= {answer[22:0], dac_sdo[answer_lane]};
                        if (bit_count == 5'd0) state <= LAST;
                    end
                end
                LAST: begin
                    dac_cs_n   <= {LANES{1'b1}};
                    state      <= HIGH;
                    wait_count <= HIGH_LAST;
                end
                default: state <= IDLE;
            endcase
        end
    end
endmodule
`default_nettype wire
