// AXI4-Lite slave, one access at a time: a write is taken when address and data are both there, and answered in the
// next clock; read data is on the bus in the clock after the address. The decoder says in the same clock (wr_known, rd_known)
// whether the access is allowed: one that is not, or that writes part of a word, is answered with SLVERR
// and never shows at wr_en or rd_en. Reset: synchronous, active high.
`default_nettype none
module rm_axi_slave #(
    parameter ADDR_BITS = 18
) (
    input  wire                 clk,
    input  wire                 rst,
    // AXI4-Lite
    input  wire [ADDR_BITS-1:0] s_axi_awaddr,
    input  wire                 s_axi_awvalid,
    output wire                 s_axi_awready,
    input  wire [31:0]          s_axi_wdata,
    input  wire [3:0]           s_axi_wstrb,
    input  wire                 s_axi_wvalid,
    output wire                 s_axi_wready,
    output reg  [1:0]           s_axi_bresp,
    output reg                  s_axi_bvalid,
    input  wire                 s_axi_bready,
    input  wire [ADDR_BITS-1:0] s_axi_araddr,
    input  wire                 s_axi_arvalid,
    output wire                 s_axi_arready,
    output wire [31:0]          s_axi_rdata,
    output reg  [1:0]           s_axi_rresp,
    output reg                  s_axi_rvalid,
    input  wire                 s_axi_rready,
    // To the decoder: numbers of words
    output wire                 wr_en,
    output wire [ADDR_BITS-3:0] wr_word,
    output wire [31:0]          wr_data,
    input  wire                 wr_known,
    output wire                 rd_en,
    output wire [ADDR_BITS-3:0] rd_word,
    input  wire                 rd_known,
    input  wire [31:0]          rd_data
);
    localparam OKAY = 2'b00, SLVERR = 2'b10;

    wire take_write = s_axi_awvalid && s_axi_wvalid && !s_axi_bvalid && !rst;
    wire take_read = s_axi_arvalid && !s_axi_rvalid && !rst;
    wire write_allowed = wr_known && s_axi_wstrb == 4'hF && s_axi_awaddr[1:0] == 2'b00;
    wire read_allowed = rd_known && s_axi_araddr[1:0] == 2'b00;

    assign s_axi_awready = take_write;
    assign s_axi_wready = take_write;
    assign s_axi_arready = take_read;
    assign wr_en = take_write && write_allowed;
    assign wr_word = s_axi_awaddr[ADDR_BITS-1:2];
    assign wr_data = s_axi_wdata;
    assign rd_en = take_read && read_allowed;
    assign rd_word = s_axi_araddr[ADDR_BITS-1:2];
    assign s_axi_rdata = s_axi_rresp == OKAY ? rd_data : 32'h0;

    always @(posedge clk) begin
        if (rst) begin
            s_axi_bvalid <= 1'b0;
            s_axi_rvalid <= 1'b0;
            s_axi_bresp  <= OKAY;
            s_axi_rresp  <= OKAY;
        end else begin
            if (take_write) begin
                s_axi_bvalid <= 1'b1;
                s_axi_bresp  <= write_allowed ? OKAY : SLVERR;
            end else if (s_axi_bready) begin
                s_axi_bvalid <= 1'b0;
            end
            if (take_read) begin
                s_axi_rvalid <= 1'b1;
                s_axi_rresp  <= read_allowed ? OKAY : SLVERR;
            end else if (s_axi_rready) begin
                s_axi_rvalid <= 1'b0;
            end
        end
    end
endmodule
`default_nettype wire
