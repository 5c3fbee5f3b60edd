// Where one BL, one SL and one WL, all of the same number, are joined to in a route. Combinational.
// An open line has its address at zero. WLs have no INH of their own: the gate is theirs.
`default_nettype none
`include "rm_map.vh"
module rm_line_select (
    input  wire [1:0]  route,
    input  wire [7:0]  line,
    // Route MVM
    input  wire [1:0]  bl_bank,
    input  wire [1:0]  sl_bank,
    input  wire [63:0] bl_mask,
    input  wire [63:0] sl_mask,
    // Route CELL
    input  wire [7:0]  cell_bl,
    input  wire [7:0]  cell_sl,
    input  wire        bl_others,
    input  wire        sl_others,
    // The multiplexers of the lines
    output reg         bl_closed,
    output reg  [1:0]  bl_source,
    output reg         sl_closed,
    output reg  [1:0]  sl_source,
    output reg  [1:0]  wl_source
);
    wire bl_driven = line[7:6] == bl_bank && bl_mask[line[5:0]];
    wire sl_sensed = line[7:6] == sl_bank && sl_mask[line[5:0]];

    always @(*) begin
        bl_closed = 1'b0;
        sl_closed = 1'b0;
        bl_source = 2'd0;
        sl_source = 2'd0;
        wl_source = `RM_GATE_SOURCE_GROUND;
        if (route == `RM_ROUTE_MVM) begin
            bl_closed = 1'b1;
            bl_source = bl_driven ? `RM_SOURCE_CONVERTER : `RM_SOURCE_GROUND;
            sl_closed = sl_sensed;
            sl_source = `RM_SOURCE_CONVERTER;
            if (sl_sensed) wl_source = `RM_GATE_SOURCE_RAIL;
        end else if (route == `RM_ROUTE_CELL) begin
            bl_closed = line == cell_bl || bl_others;
            bl_source = line == cell_bl ? `RM_SOURCE_ANALYSER : `RM_SOURCE_INHIBIT;
            sl_closed = line == cell_sl || sl_others;
            sl_source = line == cell_sl ? `RM_SOURCE_ANALYSER : `RM_SOURCE_INHIBIT;
            if (line == cell_sl) wl_source = `RM_GATE_SOURCE_ANALYSER;
        end
    end
endmodule
`default_nettype wire
