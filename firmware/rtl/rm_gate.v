// The gate that lets word lines through: held on by a level, or for an exact number of clocks. A pulse is taken when
// s_valid && s_ready; the gate rises at that edge. force_off wins over all else and ends a pulse. Reset: synchronous,
// active high.
`default_nettype none
module rm_gate (
    input  wire        clk,
    input  wire        rst,
    // Pulses (sink)
    input  wire        s_valid,
    output wire        s_ready,
    input  wire [31:0] s_clocks,   // at least 1
    input  wire        hold_on,
    input  wire        hold_off,
    input  wire        force_off,
    // Pin
    output reg         wl_gate
);
    reg [31:0] left;

    assign s_ready = left == 32'd0;

    // As the flip-flops come out of configuration, before the first clock.
    initial wl_gate = 1'b0;

    always @(posedge clk) begin
        if (rst || force_off) begin
            wl_gate <= 1'b0;
            left    <= 32'd0;
        end else if (left != 32'd0) begin
            left <= left - 32'd1;
            if (left == 32'd1) wl_gate <= 1'b0;
        end else if (s_valid) begin
            wl_gate <= 1'b1;
            left    <= s_clocks;
        end else if (hold_off) begin
            wl_gate <= 1'b0;
        end else if (hold_on) begin
            wl_gate <= 1'b1;
        end
    end

`ifdef FORMAL
    always @(*) if (!rst && left != 32'd0) assert (wl_gate);
`endif
endmodule
`default_nettype wire
