// Joins lines to converters or to the analyser, break before make: all lines open with their old addresses, dead time,
// new addresses with all lines open, dead time, new lines closed. A change is taken when s_valid && s_ready; the gate must be
// off and the DACs at rest until s_ready returns. s_clear: clear and latch the chains first, then all lines
// open; the outputs of the chains may be enabled only after that. route is OFF during a change.
// Chains: 0 BL open, 1..2 BL address, 3 SL open, 4..5 SL address, 6..7 WL address. Reset: synchronous, active high.
`default_nettype none
`include "rm_map.vh"
module rm_route #(
    parameter LINES            = 128,
    parameter SHIFT_HALF_CLOCKS = 4,
    parameter DEAD_CLOCKS      = 72
) (
    input  wire        clk,
    input  wire        rst,
    // Changes (sink)
    input  wire        s_valid,
    output wire        s_ready,
    input  wire        s_clear,
    input  wire [1:0]  s_route,
    input  wire [1:0]  s_bl_bank,
    input  wire [1:0]  s_sl_bank,
    input  wire [63:0] s_bl_mask,
    input  wire [63:0] s_sl_mask,
    input  wire [7:0]  s_cell_bl,
    input  wire [7:0]  s_cell_sl,
    input  wire        s_bl_others,
    input  wire        s_sl_others,
    output wire [1:0]  route,
    output reg  [63:0] sl_mask,
    // Pins
    output wire [7:0]  sr_ser,
    output wire        sr_srclk,
    output wire        sr_rclk,
    output wire        sr_srclr_n
);
    localparam IDLE = 3'd0, CLEAR = 3'd1, BREAK = 3'd2, BROKEN = 3'd3, ADDRESS = 3'd4, ADDRESSED = 3'd5, MAKE = 3'd6,
               MADE = 3'd7;
    localparam [15:0] DEAD_LAST = DEAD_CLOCKS - 1;

    reg [2:0]  state;
    reg        asked;
    reg [15:0] dead;
    reg [1:0]  present;      // what the addresses in the chains belong to
    reg [1:0]  bl_bank, sl_bank;
    reg [63:0] bl_mask;
    reg [7:0]  cell_bl, cell_sl;
    reg        bl_others, sl_others;

    wire       chain_ready;
    wire [7:0] line;
    wire       bl_closed, sl_closed;
    wire [1:0] bl_source, sl_source, wl_source;
    wire       closes = state == MAKE;
    wire       chain_done = asked && chain_ready;

    assign s_ready = state == IDLE;
    assign route = state == IDLE ? present : `RM_ROUTE_OFF;

    // Lines that a stop has just opened are open only after the dead time: a clear changes their addresses.
    wire chain_valid = !asked && ((state == CLEAR && dead == 16'd0) || state == BREAK || state == ADDRESS || state == MAKE);

    always @(posedge clk) begin
        if (rst) begin
            state     <= IDLE;
            asked     <= 1'b0;
            dead      <= 16'd0;
            present   <= `RM_ROUTE_OFF;
            bl_bank   <= 2'd0;
            sl_bank   <= 2'd0;
            bl_mask   <= 64'd0;
            sl_mask   <= 64'd0;
            cell_bl   <= 8'd0;
            cell_sl   <= 8'd0;
            bl_others <= 1'b0;
            sl_others <= 1'b0;
        end else begin
            if (chain_valid) asked <= chain_ready;
            else if (chain_done) asked <= 1'b0;
            if (dead != 16'd0) dead <= dead - 16'd1;
            case (state)
                IDLE: if (s_valid) begin
                    dead  <= DEAD_LAST;
                    state <= s_clear ? CLEAR : BREAK;
                    if (s_clear) present <= `RM_ROUTE_OFF;
                end
                CLEAR: if (chain_done) state <= BREAK;
                BREAK: if (chain_done) begin
                    state <= BROKEN;
                    dead  <= DEAD_LAST;
                end
                BROKEN: if (dead == 16'd0) begin
                    state     <= ADDRESS;
                    present   <= s_clear ? `RM_ROUTE_OFF : s_route;
                    bl_bank   <= s_bl_bank;
                    sl_bank   <= s_sl_bank;
                    bl_mask   <= s_bl_mask;
                    sl_mask   <= s_sl_mask;
                    cell_bl   <= s_cell_bl;
                    cell_sl   <= s_cell_sl;
                    bl_others <= s_bl_others;
                    sl_others <= s_sl_others;
                end
                ADDRESS: if (chain_done) begin
                    state <= ADDRESSED;
                    dead  <= DEAD_LAST;
                end
                ADDRESSED: if (dead == 16'd0) state <= MAKE;
                MAKE: if (chain_done) begin
                    state <= MADE;
                    dead  <= DEAD_LAST;
                end
                default: if (dead == 16'd0) state <= IDLE;
            endcase
        end
    end

    rm_line_select select (
        .route(present), .line(line),
        .bl_bank(bl_bank), .sl_bank(sl_bank), .bl_mask(bl_mask), .sl_mask(sl_mask),
        .cell_bl(cell_bl), .cell_sl(cell_sl), .bl_others(bl_others), .sl_others(sl_others),
        .bl_closed(bl_closed), .bl_source(bl_source), .sl_closed(sl_closed), .sl_source(sl_source),
        .wl_source(wl_source)
    );

    rm_shift_chain #(.CHAINS(8), .LINES(LINES), .HALF_CLOCKS(SHIFT_HALF_CLOCKS)) chain (
        .clk(clk), .rst(rst),
        .s_valid(chain_valid), .s_ready(chain_ready), .s_clear(state == CLEAR), .line(line),
        .s_bits({wl_source, sl_source, !(closes && sl_closed), bl_source, !(closes && bl_closed)}),
        .sr_ser(sr_ser), .sr_srclk(sr_srclk), .sr_rclk(sr_rclk), .sr_srclr_n(sr_srclr_n)
    );

`ifdef FORMAL
    // What an image is made from, as it was when the image began.
    reg [159:0] made_from;
    reg         opened;     // the last image had these addresses and all lines open
    wire [159:0] present_all = {1'b0, present, bl_bank, sl_bank, bl_mask, sl_mask, cell_bl, cell_sl, bl_others, sl_others,
                                closes, 6'd0};
    always @(posedge clk) begin
        if (rst) opened <= 1'b0;
        else if (state == ADDRESS && chain_done) opened <= 1'b1;
        else if (state == IDLE || state == BREAK) opened <= 1'b0;
        if (chain_valid && chain_ready) made_from <= present_all;
    end
    always @(*) if (!rst) begin
        if (!chain_ready) assert (asked && state != IDLE && state != BROKEN && state != ADDRESSED && state != MADE);
        if (asked && state != CLEAR && !chain_ready) assert (made_from == present_all);
        if (closes || state == ADDRESSED) assert (opened);
        if (asked) assert (state == CLEAR || state == BREAK || state == ADDRESS || state == MAKE);
    end
`endif
endmodule
`default_nettype wire
