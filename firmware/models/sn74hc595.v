// 74HC595: CHIPS of them in a cascade, which share all pins but SER. pins is what the board sees, bit 0 being QA of
// the first chip: what was latched, or the level of the resistors, PULL, while oe_n is high. Contents at power-on are random,
// and enabling them then is a violation. Pins are looked at with each tick, whose period is the resolution of all
// times. A violation sticks.
`default_nettype none
`include "rm_models.vh"
module sn74hc595 #(
    parameter CHIPS = 1,
    parameter PULL  = 1'b0,
    parameter TIED  = 0      // OE is tied low: random contents are harmless where this chain is used
) (
    input  wire               tick,
    input  wire               ser,
    input  wire               srclk,
    input  wire               rclk,
    input  wire               srclr_n,
    input  wire               oe_n,
    output reg  [8*CHIPS-1:0] pins,
    output reg  [`CHECK_COUNT-1:0] violations
);
    localparam [31:0] STAGES = 8 * CHIPS;

    reg [8*CHIPS-1:0] stages, q;
    reg               stages_known, q_known;
    reg               ser_before, srclk_before, rclk_before, srclr_n_before, oe_n_before;
    reg [31:0]        shifts;       // since the last latch or clear
    time              t_srclk, t_srclk_fall, t_rclk, t_clear, t_release, t_ser;

    integer i;
    reg [31:0] random_some_unused;
    initial begin
        violations = {`CHECK_COUNT{1'b0}};
        for (i = 0; i < 8 * CHIPS; i = i + 1) begin
            random_some_unused = $random;  // its high bits: the low ones of some generators are not random
            {stages[i], q[i]} = random_some_unused[31:30];
        end
        pins = {8*CHIPS{PULL}};
        ser_before = 1'b0;
        srclk_before = 1'b0;
        rclk_before = 1'b0;
        srclr_n_before = 1'b1;
        oe_n_before = 1'b1;
        stages_known = 1'b0;
        q_known = 1'b0;
        shifts = 32'd0;
        t_srclk = 0;
        t_srclk_fall = 0;
        t_rclk = 0;
        t_clear = 0;
        t_release = 0;
        t_ser = 0;
    end

    task srclk_rises;
    begin
        if (t_srclk != 0 && shifts != 32'd0 && ($time - t_srclk < `SN74HC595_SRCLK_PERIOD_NS
            || (CHIPS > 1 && $time - t_srclk < `SN74HC595_CASCADE_PERIOD_NS))) violations[`CHECK_SR_PERIOD] = 1'b1;
        if (t_srclk_fall != 0 && $time - t_srclk_fall < `SN74HC595_WIDTH_NS) violations[`CHECK_SR_WIDTH] = 1'b1;
        if (t_ser != 0 && $time - t_ser < `SN74HC595_SER_SETUP_NS) violations[`CHECK_SR_SETUP] = 1'b1;
        if (t_release != 0 && $time - t_release < `SN74HC595_CLEAR_RECOVERY_NS) violations[`CHECK_SR_CLEAR_RECOVERY] = 1'b1;
        if (srclr_n) begin
            stages = {stages[8*CHIPS-2:0], ser};
            shifts = shifts + 32'd1;
            if (shifts >= STAGES) stages_known = 1'b1;
        end
        t_srclk = $time;
    end
    endtask

    task srclk_falls;
    begin
        if (t_srclk != 0 && $time - t_srclk < `SN74HC595_WIDTH_NS) violations[`CHECK_SR_WIDTH] = 1'b1;
        t_srclk_fall = $time;
    end
    endtask

    task clear_begins;
    begin
        stages = {8*CHIPS{1'b0}};
        stages_known = 1'b1;
        shifts = 32'd0;
        t_clear = $time;
    end
    endtask

    task clear_ends;
    begin
        if (t_clear != 0 && $time - t_clear < `SN74HC595_WIDTH_NS) violations[`CHECK_SR_WIDTH] = 1'b1;
        t_release = $time;
    end
    endtask

    task rclk_rises;
    begin
        if (t_srclk != 0 && $time - t_srclk < `SN74HC595_LATCH_SETUP_NS) violations[`CHECK_SR_LATCH_SETUP] = 1'b1;
        if (t_clear != 0 && $time - t_clear < `SN74HC595_CLEAR_RECOVERY_NS) violations[`CHECK_SR_LATCH_SETUP] = 1'b1;
        if (shifts != 32'd0 && shifts != STAGES) violations[`CHECK_SR_PARTIAL] = 1'b1;
        q = stages;
        q_known = stages_known;
        shifts = 32'd0;
        if (TIED == 0 && !oe_n && !q_known) violations[`CHECK_SR_OE_UNKNOWN] = 1'b1;
        t_rclk = $time;
    end
    endtask

    task rclk_falls;
        if ($time - t_rclk < `SN74HC595_WIDTH_NS) violations[`CHECK_SR_WIDTH] = 1'b1;
    endtask

    always @(posedge tick) begin
        if ({ser, srclk, rclk, srclr_n, oe_n} != {ser_before, srclk_before, rclk_before, srclr_n_before, oe_n_before}) begin
            pins_change;
            {ser_before, srclk_before, rclk_before, srclr_n_before, oe_n_before} = {ser, srclk, rclk, srclr_n, oe_n};
        end
    end

    task pins_change;
    begin
        if (!srclr_n && srclr_n_before) clear_begins;
        if (srclr_n && !srclr_n_before) clear_ends;
        if (srclk && !srclk_before) srclk_rises;
        if (!srclk && srclk_before) srclk_falls;
        if (rclk && !rclk_before) rclk_rises;
        if (!rclk && rclk_before) rclk_falls;
        // Data that changes in the moment of an edge comes after it.
        if (ser != ser_before) t_ser = $time;
        if (TIED == 0 && !oe_n && oe_n_before && !q_known) violations[`CHECK_SR_OE_UNKNOWN] = 1'b1;
        if (oe_n != oe_n_before || (rclk && !rclk_before)) pins <= oe_n ? {8*CHIPS{PULL}} : q;
    end
    endtask
endmodule
`default_nettype wire
