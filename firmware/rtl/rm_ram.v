// Block RAM with one write and one read port: words of 32 bits, written by halves. Read data is valid in the clock after
// rd_en and holds until the next. Contents are not reset.
`default_nettype none
module rm_ram #(
    parameter ADDR_BITS = 14
) (
    input  wire                 clk,
    input  wire [1:0]           wr_halves,  // bit 0: low half
    input  wire [ADDR_BITS-1:0] wr_addr,
    input  wire [31:0]          wr_data,
    input  wire                 rd_en,
    input  wire [ADDR_BITS-1:0] rd_addr,
    output reg  [31:0]          rd_data
);
    reg [15:0] low [0:(1<<ADDR_BITS)-1];
    reg [15:0] high [0:(1<<ADDR_BITS)-1];

    always @(posedge clk) begin
        if (wr_halves[0]) low[wr_addr] <= wr_data[15:0];
        if (wr_halves[1]) high[wr_addr] <= wr_data[31:16];
        if (rd_en) rd_data <= {high[rd_addr], low[rd_addr]};
    end
endmodule
`default_nettype wire
