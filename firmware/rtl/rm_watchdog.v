// Trips when no kick came for timeout_ms while it runs. A kick, or the start of running, takes the timeout; zero trips
// at once. trip stays high until run falls. Reset: synchronous, active high.
`default_nettype none
module rm_watchdog #(
    parameter CLOCKS_PER_MS = 100000
) (
    input  wire       clk,
    input  wire       rst,
    input  wire       run,
    input  wire       kick,
    input  wire [9:0] timeout_ms,
    output reg  [9:0] left_ms,   // rounded up
    output reg        trip
);
    localparam [31:0] MS_LAST = CLOCKS_PER_MS - 1;

    reg [31:0] clocks;
    reg        running;

    always @(posedge clk) begin
        if (rst || !run) begin
            running <= 1'b0;
            trip    <= 1'b0;
            left_ms <= 10'd0;
            clocks  <= 32'd0;
        end else if (!trip) begin
            running <= 1'b1;
            if (kick || !running) begin
                left_ms <= timeout_ms;
                clocks  <= MS_LAST;
            end else if (left_ms == 10'd0) begin
                trip <= 1'b1;
            end else if (clocks == 32'd0) begin
                left_ms <= left_ms - 10'd1;
                clocks  <= MS_LAST;
            end else begin
                clocks <= clocks - 32'd1;
            end
        end
    end
endmodule
`default_nettype wire
