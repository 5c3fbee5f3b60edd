// Proof obligation of rm_line_select: whatever is in the route's registers, and for any two different lines of an array of up to
// 256, no channel or analyser line drives both, converters and analyser are never on the array together, and a word
// line that may be let through belongs to the source line that is sensed or selected. Proven for all inputs by
//   sat -prove-asserts
`default_nettype none
module line_pairs (
    input wire [1:0]  route, bl_bank, sl_bank,
    input wire [63:0] bl_mask, sl_mask,
    input wire [7:0]  cell_bl, cell_sl, first, second,
    input wire        bl_others, sl_others
);
    wire       bl_closed_1, sl_closed_1, bl_closed_2, sl_closed_2;
    wire [1:0] bl_1, sl_1, wl_1, bl_2, sl_2, wl_2;

    rm_line_select one (
        .route(route), .line(first), .bl_bank(bl_bank), .sl_bank(sl_bank), .bl_mask(bl_mask), .sl_mask(sl_mask),
        .cell_bl(cell_bl), .cell_sl(cell_sl), .bl_others(bl_others), .sl_others(sl_others),
        .bl_closed(bl_closed_1), .bl_source(bl_1), .sl_closed(sl_closed_1), .sl_source(sl_1), .wl_source(wl_1)
    );
    rm_line_select other (
        .route(route), .line(second), .bl_bank(bl_bank), .sl_bank(sl_bank), .bl_mask(bl_mask), .sl_mask(sl_mask),
        .cell_bl(cell_bl), .cell_sl(cell_sl), .bl_others(bl_others), .sl_others(sl_others),
        .bl_closed(bl_closed_2), .bl_source(bl_2), .sl_closed(sl_closed_2), .sl_source(sl_2), .wl_source(wl_2)
    );

    localparam [1:0] CONVERTER = 2'd0, ANALYSER = 2'd2, RAIL = 2'd1, GATE_ANALYSER = 2'd2;
    wire differ = first != second;
    wire same_channel = first[5:0] == second[5:0];
    // Sources 0 and 1 belong to the converters' side, 2 and 3 to the analyser.
    wire converters_1 = (bl_closed_1 && !bl_1[1]) || (sl_closed_1 && !sl_1[1]) || wl_1 == RAIL;
    wire analyser_1 = (bl_closed_1 && bl_1[1]) || (sl_closed_1 && sl_1[1]) || wl_1 == GATE_ANALYSER;
    wire analyser_2 = (bl_closed_2 && bl_2[1]) || (sl_closed_2 && sl_2[1]) || wl_2 == GATE_ANALYSER;

    always @(*) begin
        // Two drivers, or one driver on two lines
        if (differ && same_channel) assert (!(bl_closed_1 && bl_closed_2 && bl_1 == CONVERTER && bl_2 == CONVERTER));
        if (differ && same_channel) assert (!(sl_closed_1 && sl_closed_2 && sl_1 == CONVERTER && sl_2 == CONVERTER));
        // Two cells on the analyser
        if (differ) assert (!(bl_closed_1 && bl_closed_2 && bl_1 == ANALYSER && bl_2 == ANALYSER));
        if (differ) assert (!(sl_closed_1 && sl_closed_2 && sl_1 == ANALYSER && sl_2 == ANALYSER));
        if (differ) assert (!(wl_1 == GATE_ANALYSER && wl_2 == GATE_ANALYSER));
        // Analyser and converters together, on the same line or on two
        assert (!(converters_1 && (analyser_1 || analyser_2)));
        // A word line without its source line
        if (wl_1 == GATE_ANALYSER) assert (sl_closed_1 && sl_1 == ANALYSER);
        if (wl_1 == RAIL) assert (sl_closed_1 && sl_1 == CONVERTER);
        assert (wl_1 != 2'd3);
    end
endmodule
`default_nettype wire
