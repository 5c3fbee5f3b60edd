// Rules of the array and its drivers, whatever the chips allow: asserted with the tick after every change. A source is {b, a} of a line's
// multiplexer. Also tells when the ADCs' inputs move and from when on they are settled. A violation sticks.
`default_nettype none
`include "rm_map.vh"
`include "rm_models.vh"
`include "rm_board.vh"
module array_rules #(
    parameter LINES = 128
) (
    input  wire             tick,
    input  wire             outputs_on,
    input  wire             gate,
    input  wire [2:0]       lines_changed,     // each toggles
    input  wire [LINES-1:0] bl_closed, bl_a, bl_b,
    input  wire [LINES-1:0] sl_closed, sl_a, sl_b,
    input  wire [LINES-1:0] wl_a, wl_b,
    input  wire [7:0]       dac_updated,       // toggles
    input  wire [64*32-1:0] dac_level,
    input  wire [2:0]       sense_mux,
    output reg  [63:0]      input_settled_at,  // ns
    output reg              input_moved,       // toggles
    output reg  [`CHECK_COUNT-1:0] violations
);
    localparam [63:0] SETTLE_NS = `RM_BOARD_DAC_SETTLE_NS + `RM_BOARD_TIA_SETTLE_NS;
    localparam [63:0] MUX_NS = `CD4051B_SWITCH_NS + `RM_BOARD_TIA_SETTLE_NS;
    localparam [31:0] REST = `RM_BOARD_REST_CODE;
    localparam [384-1:0] LINE_OF_DAC = `RM_BOARD_LINE_OF_DAC;
    localparam [31:0] HIGHEST = `RM_BOARD_REST_CODE + `RM_BOARD_LIMIT_CODES;
    localparam [31:0] LOWEST = `RM_BOARD_REST_CODE - `RM_BOARD_LIMIT_CODES;

    reg [LINES-1:0] bl_converter, bl_analyser, sl_converter, sl_analyser, wl_rail, wl_analyser;

    function two(input [LINES-1:0] lines);
        two = (lines & (lines - {{LINES-1{1'b0}}, 1'b1})) != {LINES{1'b0}};
    endfunction

    // Lines of all banks that share a channel.
    function shared(input [LINES-1:0] lines);
        integer bank;
        reg [63:0] used;
        begin
            used = 64'd0;
            shared = 1'b0;
            for (bank = 0; bank < LINES / 64; bank = bank + 1) begin
                if ((used & lines[64*bank +: 64]) != 64'd0) shared = 1'b1;
                used = used | lines[64*bank +: 64];
            end
        end
    endfunction

    reg [63:0]       settled_at;
    reg              gate_before;
    reg [2:0]        changed_before, mux_before;
    reg [7:0]        updated_before;
    reg [LINES-1:0]  bl_before, sl_before;
    reg [64*32-1:0]  level_before;
    reg              is_at_rest;
    integer          channel, bank;

    initial begin
        violations = {`CHECK_COUNT{1'b0}};
        input_settled_at = 64'd0;
        settled_at = 64'd0;
        input_moved = 1'b0;
        gate_before = 1'b0;
        changed_before = 3'd0;
        mux_before = 3'd0;
        updated_before = 8'd0;
        bl_before = {LINES{1'b0}};
        sl_before = {LINES{1'b0}};
        level_before = {64*32{1'b0}};
        is_at_rest = 1'b0;
        bl_converter = {LINES{1'b0}};
        bl_analyser = {LINES{1'b0}};
        sl_converter = {LINES{1'b0}};
        sl_analyser = {LINES{1'b0}};
        wl_rail = {LINES{1'b0}};
        wl_analyser = {LINES{1'b0}};
    end

    task inputs_move(input [63:0] settling_ns);
        begin
            if (settled_at < $time + settling_ns) settled_at = $time + settling_ns;
            input_settled_at <= settled_at;
            input_moved <= !input_moved;
        end
    endtask

    task check_read_voltage;
        for (channel = 0; channel < 64; channel = channel + 1) begin
            if (dac_level[32*channel +: 32] > HIGHEST || dac_level[32*channel +: 32] < LOWEST) begin
                for (bank = 0; bank < LINES / 64; bank = bank + 1) begin
                    if (bl_converter[64*bank + {26'd0, LINE_OF_DAC[6*channel +: 6]}]) violations[`CHECK_READ_VOLTAGE] = 1'b1;
                end
            end
        end
    endtask

    task lines_change;
        begin
            bl_converter = bl_closed & ~bl_b & ~bl_a;
            bl_analyser = bl_closed & bl_b & ~bl_a;
            sl_converter = sl_closed & ~sl_b & ~sl_a;
            sl_analyser = sl_closed & sl_b & ~sl_a;
            wl_rail = ~wl_b & wl_a;
            wl_analyser = wl_b & ~wl_a;
            if (((bl_closed & ~bl_b) != 0 || (sl_closed & ~sl_b) != 0)
                && ((bl_closed & bl_b) != 0 || (sl_closed & sl_b) != 0)) violations[`CHECK_PATHS_TOGETHER] = 1'b1;
            if (gate && wl_rail != 0 && wl_analyser != 0) violations[`CHECK_PATHS_TOGETHER] = 1'b1;
            if (two(bl_analyser) || two(sl_analyser) || shared(bl_converter) || shared(sl_converter))
                violations[`CHECK_TWO_DRIVERS] = 1'b1;
            if (gate && (two(wl_analyser) || (wl_analyser != 0 && (bl_analyser == 0 || wl_analyser != sl_analyser))))
                violations[`CHECK_TWO_CELLS] = 1'b1;
            if (gate && (wl_rail & ~sl_converter) != 0) violations[`CHECK_WL_UNSENSED] = 1'b1;
            if (bl_closed != bl_before || sl_closed != sl_before) begin
                // An emergency stop opens everything at once, whatever the DACs do.
                if (outputs_on && (gate || gate_before || (!is_at_rest && (bl_converter | bl_before) != 0)))
                    violations[`CHECK_SWITCH_LIVE] = 1'b1;
                check_read_voltage;
            end
            bl_before = bl_closed;
            sl_before = sl_closed;
            inputs_move(SETTLE_NS);
        end
    endtask

    task dacs_update;
        if (dac_level != level_before) begin
            is_at_rest = dac_level == {64{REST}};
            check_read_voltage;
            level_before = dac_level;
            inputs_move(SETTLE_NS);
        end
    endtask

    always @(posedge tick) begin
        if ({lines_changed, gate, dac_updated, sense_mux} != {changed_before, gate_before, updated_before, mux_before}) begin
            if (lines_changed != changed_before || gate != gate_before) lines_change;
            if (dac_updated != updated_before) dacs_update;
            if (sense_mux != mux_before) inputs_move(MUX_NS);
            {changed_before, gate_before, updated_before, mux_before} = {lines_changed, gate, dac_updated, sense_mux};
        end
    end
endmodule
`default_nettype wire
