// Proof obligations of rm_sequencer, rm_gate and rm_route together, by temporal induction from reset. Everything else is free: bus,
// ring contents, DACs, batches, control strobes.
//   - outputs are enabled only when the chains were cleared, latched and filled with open lines since ARM (asserted in rm_sequencer)
//   - the gate is closed while lines are changed, and whenever outputs are disabled
//   - an image that is shifted belongs to one route: what it is made from does not change on the way (asserted in rm_route)
//   - lines are closed only by an image that follows one with the same addresses and all lines open (rm_route)
`default_nettype none
module safe_states (
    input wire        clk,
    input wire        rst,
    input wire        arm, disarm, abort_now, trip, head_strobe, dac_ready, batch_ready, batch_failed,
    input wire [5:0]  head_slot,
    input wire [31:0] rd_data
);
    wire        stopping, outputs_on, route_valid, route_clear, route_ready, bl_others, sl_others;
    wire [1:0]  new_route, bl_bank, sl_bank, route;
    wire [63:0] bl_mask, sl_mask;
    wire [7:0]  cell_bl, cell_sl;
    wire        pulse_valid, pulse_ready, hold_on, hold_off, wl_gate;
    wire [31:0] pulse_clocks;

    rm_sequencer #(.LINES(128), .PULSE_CLOCKS_MIN(72)) sequencer (
        .clk(clk), .rst(rst), .arm(arm), .disarm(disarm), .abort_now(abort_now), .trip(trip), .watchdog_run(),
        .stopping(stopping), .outputs_on(outputs_on), .head_strobe(head_strobe), .head_slot(head_slot),
        .head(), .tail(), .rd_en(), .rd_addr(), .rd_data(rd_data), .state(), .cause(), .error(), .idle(), .last_tag(),
        .command_event(), .empty_event(), .fault_event(), .armed_event(), .pulse_event(),
        .m_route_valid(route_valid), .m_route_clear(route_clear), .m_route_ready(route_ready), .m_route(new_route),
        .m_bl_bank(bl_bank), .m_sl_bank(sl_bank), .m_bl_mask(bl_mask), .m_sl_mask(sl_mask),
        .m_cell_bl(cell_bl), .m_cell_sl(cell_sl), .m_bl_others(bl_others), .m_sl_others(sl_others), .route(route),
        .m_pulse_valid(pulse_valid), .m_pulse_ready(pulse_ready), .m_pulse_clocks(pulse_clocks),
        .gate_hold_on(hold_on), .gate_hold_off(hold_off), .wl_gate(wl_gate),
        .m_batch_valid(), .m_batch_ready(batch_ready), .m_batch_vectors(), .m_batch_bank(), .batch_failed(batch_failed),
        .m_dac_valid(), .m_dac_op(), .m_dac_frame(), .m_dac_lanes(), .m_dac_slow(), .m_dac_answer_lane(),
        .m_dac_ready(dac_ready)
    );
    rm_gate gate (
        .clk(clk), .rst(rst), .s_valid(pulse_valid), .s_ready(pulse_ready), .s_clocks(pulse_clocks),
        .hold_on(hold_on), .hold_off(hold_off), .force_off(stopping), .wl_gate(wl_gate)
    );
    rm_route #(.LINES(128), .SHIFT_HALF_CLOCKS(4), .DEAD_CLOCKS(72)) router (
        .clk(clk), .rst(rst), .s_valid(route_valid), .s_ready(route_ready), .s_clear(route_clear),
        .s_route(new_route), .s_bl_bank(bl_bank), .s_sl_bank(sl_bank), .s_bl_mask(bl_mask), .s_sl_mask(sl_mask),
        .s_cell_bl(cell_bl), .s_cell_sl(cell_sl), .s_bl_others(bl_others), .s_sl_others(sl_others),
        .route(route), .sl_mask(), .sr_ser(), .sr_srclk(), .sr_rclk(), .sr_srclr_n()
    );

    reg clears;   // the change under way clears the chains
    always @(posedge clk) begin
        if (rst) clears <= 1'b0;
        else if (route_valid && route_ready) clears <= route_clear;
    end

    always @(*) if (!rst) begin
        if (clears && !route_ready) assert (!outputs_on);
        if (!outputs_on) assert (!wl_gate);
        if (wl_gate) assert (route_ready);
    end
endmodule
`default_nettype wire
