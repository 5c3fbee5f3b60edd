// CD4051B (TI SCHS047M): CHIPS multiplexers, one on each line, their common pins at the lines, C tied low. Bit k of each port
// is that of chip k. Input {b, a} is joined to the common pin while INH is low.
// An address that changes while its chip is closed, or less than the switching time after INH rose, and a chip that is
// closed less than that after its address changed, are violations. Pins are looked at with each tick, whose period is
// the resolution of all times. A violation sticks.
`default_nettype none
`include "rm_models.vh"
module cd4051b #(
    parameter CHIPS = 128
) (
    input  wire             tick,
    input  wire [CHIPS-1:0] inh,
    input  wire [CHIPS-1:0] a,
    input  wire [CHIPS-1:0] b,
    output reg              changed,   // toggles with every change
    output reg  [`CHECK_COUNT-1:0] violations
);
    reg [CHIPS-1:0] inh_before, a_before, b_before, opened, addressed;
    reg [CHIPS-1:0] moved;
    time t_opened, t_addressed;        // of the chips in opened and addressed

    initial begin
        violations = {`CHECK_COUNT{1'b0}};
        inh_before = {CHIPS{1'b1}};
        a_before = {CHIPS{1'b0}};
        b_before = {CHIPS{1'b0}};
        opened = {CHIPS{1'b0}};
        addressed = {CHIPS{1'b0}};
        moved = {CHIPS{1'b0}};
        t_opened = 0;
        t_addressed = 0;
        changed = 1'b0;
    end

    always @(posedge tick) if (((inh ^ inh_before) | (a ^ a_before) | (b ^ b_before)) != {CHIPS{1'b0}}) begin
        if ($time - t_opened >= `CD4051B_SWITCH_NS) opened = {CHIPS{1'b0}};
        if ($time - t_addressed >= `CD4051B_SWITCH_NS) addressed = {CHIPS{1'b0}};
        moved = (a ^ a_before) | (b ^ b_before);
        // INH rising in the same moment as the address changes is as bad as an address that changes while closed.
        if ((moved & (~inh_before | opened)) != {CHIPS{1'b0}}) violations[`CHECK_MUX_LIVE_ADDRESS] = 1'b1;
        if ((inh_before & ~inh & (addressed | moved)) != {CHIPS{1'b0}}) violations[`CHECK_MUX_DEAD_TIME] = 1'b1;
        if ((inh & ~inh_before) != {CHIPS{1'b0}}) begin
            opened = opened | (inh & ~inh_before);
            t_opened = $time;
        end
        if (moved != {CHIPS{1'b0}}) begin
            addressed = addressed | moved;
            t_addressed = $time;
        end
        inh_before = inh;
        a_before = a;
        b_before = b;
        changed <= !changed;
    end
endmodule
`default_nettype wire
