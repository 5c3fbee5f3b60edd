// Runs the command ring and keeps the board safe: arms, takes commands one by one, checks each before anything is
// driven, and stops on abort, watchdog, disarm or a refused command. When it stops, stopping rises with the
// cause; the gate and the enable of the shift registers fall at the next edge, then the DACs go to rest. Outputs are enabled only after the chains were cleared, latched and filled with open lines.
// Reset: synchronous, active high.
`default_nettype none
`include "rm_map.vh"
`include "rm_dac_ops.vh"
module rm_sequencer #(
    parameter LINES            = 128,
    parameter PULSE_CLOCKS_MIN = 72
) (
    input  wire        clk,
    input  wire        rst,
    // Control
    input  wire        arm,
    input  wire        disarm,
    input  wire        abort_now,
    input  wire        trip,
    output wire        watchdog_run,
    output wire        stopping,          // gate and outputs must be off
    output reg         outputs_on,        // enable of the shift registers
    // Ring
    input  wire        head_strobe,
    input  wire [5:0]  head_slot,
    output reg  [5:0]  head,
    output reg  [5:0]  tail,
    output wire        rd_en,
    output wire [8:0]  rd_addr,
    input  wire [31:0] rd_data,
    // Status
    output reg  [3:0]  state,
    output reg  [3:0]  cause,
    output reg  [7:0]  error,
    output wire        idle,
    output reg  [15:0] last_tag,
    output reg         command_event,     // a command with NOTIFY is done
    output reg         empty_event,
    output reg         fault_event,
    output reg         armed_event,
    output wire        pulse_event,
    // Route
    output wire        m_route_valid,
    output wire        m_route_clear,
    input  wire        m_route_ready,
    output wire [1:0]  m_route,
    output wire [1:0]  m_bl_bank,
    output wire [1:0]  m_sl_bank,
    output wire [63:0] m_bl_mask,
    output wire [63:0] m_sl_mask,
    output wire [7:0]  m_cell_bl,
    output wire [7:0]  m_cell_sl,
    output wire        m_bl_others,
    output wire        m_sl_others,
    input  wire [1:0]  route,
    // Gate
    output wire        m_pulse_valid,
    input  wire        m_pulse_ready,
    output wire [31:0] m_pulse_clocks,
    output wire        gate_hold_on,
    output wire        gate_hold_off,
    input  wire        wl_gate,
    // Batches
    output wire        m_batch_valid,
    input  wire        m_batch_ready,
    output wire [8:0]  m_batch_vectors,
    output wire        m_batch_bank,
    input  wire        batch_failed,
    // DAC operations, beside those of the batches
    output wire        m_dac_valid,
    output wire [2:0]  m_dac_op,
    output wire [23:0] m_dac_frame,
    output wire [7:0]  m_dac_lanes,
    output wire        m_dac_slow,
    output wire [2:0]  m_dac_answer_lane,
    input  wire        m_dac_ready
);
    localparam [3:0] P_OFF = 4'd0, P_CLEAR = 4'd1, P_SET_UP = 4'd2, P_SET_REST = 4'd3, P_FETCH = 4'd4, P_CHECK = 4'd5,
                     P_REST = 4'd6, P_ROUTE = 4'd7, P_BATCH = 4'd8, P_PULSE = 4'd9, P_WAIT = 4'd10, P_FRAME = 4'd11,
                     P_DONE = 4'd12, P_STOP = 4'd13, P_STOP_REST = 4'd14, P_FAULT = 4'd15;
    localparam [31:0] LINE_COUNT = LINES, PULSE_MIN = PULSE_CLOCKS_MIN, PULSE_MAX = `RM_PULSE_CLOCKS_MAX;
    localparam [31:0] VECTORS_MAX = `RM_VECTORS_MAX, BANK_COUNT = LINES / 64;
    localparam [2:0]  WORDS_READ = 3'd6;

    reg [3:0]  phase;
    reg        armed;         // from ARM until stopped
    reg        asked;         // this phase has handed over its operation
    reg [2:0]  fetch;         // word that is read next
    reg        fetched;       // a word is on its way
    reg [31:0] word0, word1, word2, word3, word4, word5;
    reg [31:0] wait_left;
    reg        arm_waits;     // until the command under way in DISARMED is done
    reg [3:0]  next_cause;    // what FAULT will say; NONE ends in DISARMED

    wire unused = &{1'b0, word0[15:9]};

    // The command and whether it may run
    wire [7:0]  opcode = word0[`RM_COMMAND_OPCODE];
    wire [15:0] cell_bl = word1[`RM_OP_ROUTE_CELL_BL], cell_sl = word1[`RM_OP_ROUTE_CELL_SL];
    wire [7:0]  bl_bank = word1[`RM_OP_ROUTE_MVM_BL_BANK], sl_bank = word1[`RM_OP_ROUTE_MVM_SL_BANK];
    wire [15:0] batch_vectors = word1[`RM_OP_MVM_VECTORS];
    wire        banks_exist = {24'd0, bl_bank} < BANK_COUNT && {24'd0, sl_bank} < BANK_COUNT;
    wire        cell_exists = {16'd0, cell_bl} < LINE_COUNT && {16'd0, cell_sl} < LINE_COUNT;
    wire        batch_fits = batch_vectors != 16'd0 && {16'd0, batch_vectors} <= VECTORS_MAX;

    reg [7:0] refusal;
    reg [3:0] target;         // phase that runs it
    always @(*) begin
        refusal = armed ? `RM_ERROR_NONE : `RM_ERROR_STATE;
        target = P_DONE;
        case (opcode)
            `RM_OP_NOP: refusal = `RM_ERROR_NONE;
            `RM_OP_ROUTE_OFF: target = P_REST;
            `RM_OP_ROUTE_MVM: begin
                target = P_REST;
                if (armed && (!banks_exist || {word5, word4} == 64'd0)) refusal = `RM_ERROR_ARGUMENT;
            end
            `RM_OP_ROUTE_CELL: begin
                target = P_REST;
                if (armed && !cell_exists) refusal = `RM_ERROR_ARGUMENT;
            end
            `RM_OP_GATE: if (armed && route != `RM_ROUTE_CELL) refusal = `RM_ERROR_ROUTE;
            `RM_OP_PULSE: begin
                target = P_PULSE;
                if (armed && (route != `RM_ROUTE_CELL || wl_gate)) refusal = `RM_ERROR_ROUTE;
                else if (armed && (word1 < PULSE_MIN || word1 > PULSE_MAX)) refusal = `RM_ERROR_ARGUMENT;
            end
            `RM_OP_MVM: begin
                target = P_BATCH;
                if (armed && route != `RM_ROUTE_MVM) refusal = `RM_ERROR_ROUTE;
                else if (armed && !batch_fits) refusal = `RM_ERROR_ARGUMENT;
            end
            `RM_OP_WAIT: target = P_WAIT;
            `RM_OP_DAC_FRAME: begin
                target = P_FRAME;
                refusal = armed ? `RM_ERROR_STATE : `RM_ERROR_NONE;
            end
            default: refusal = `RM_ERROR_OPCODE;
        endcase
    end

    wire accepted = phase == P_CHECK && refusal == `RM_ERROR_NONE;
    wire waiting = phase == P_OFF || phase == P_FETCH;
    wire may_fetch = waiting && head != tail && fetch != WORDS_READ && !(arm_waits && fetch == 3'd0);
    wire is_refused = phase == P_CHECK && refusal != `RM_ERROR_NONE;
    wire is_failed = phase == P_BATCH && asked && m_batch_ready && batch_failed;
    wire stop = (armed && (abort_now || disarm || trip)) || is_refused || is_failed;
    wire in_stop = phase == P_STOP || phase == P_STOP_REST || phase == P_FAULT;

    assign stopping = stop || in_stop || !outputs_on;
    assign watchdog_run = armed;
    assign idle = head == tail && waiting;
    assign rd_en = may_fetch;
    assign rd_addr = {tail, fetch};

    // Operations: each phase hands one over, then waits until its unit is ready again.
    assign m_route_valid = !asked && (phase == P_CLEAR || phase == P_ROUTE);
    assign m_route_clear = phase == P_CLEAR;
    assign m_route = opcode == `RM_OP_ROUTE_MVM ? `RM_ROUTE_MVM
                   : opcode == `RM_OP_ROUTE_CELL ? `RM_ROUTE_CELL : `RM_ROUTE_OFF;
    assign m_bl_bank = bl_bank[1:0];
    assign m_sl_bank = sl_bank[1:0];
    assign m_bl_mask = {word3, word2};
    assign m_sl_mask = {word5, word4};
    assign m_cell_bl = cell_bl[7:0];
    assign m_cell_sl = cell_sl[7:0];
    assign m_bl_others = word2[`RM_OP_ROUTE_CELL_BL_OTHERS];
    assign m_sl_others = word2[`RM_OP_ROUTE_CELL_SL_OTHERS];

    assign m_pulse_valid = phase == P_PULSE && !asked;
    assign m_pulse_clocks = word1;
    assign gate_hold_on = (accepted && opcode == `RM_OP_GATE && word1[`RM_OP_GATE_ON])
                       || (phase == P_ROUTE && asked && m_route_ready && opcode == `RM_OP_ROUTE_MVM);
    assign gate_hold_off = (accepted && opcode == `RM_OP_GATE && !word1[`RM_OP_GATE_ON]) || (accepted && target == P_REST);
    assign pulse_event = (m_pulse_valid && m_pulse_ready && !stop) || (gate_hold_on && phase == P_CHECK && !wl_gate && !stop);

    assign m_batch_valid = phase == P_BATCH && !asked;
    assign m_batch_vectors = batch_vectors[8:0];
    assign m_batch_bank = word1[`RM_OP_MVM_BANK];

    wire dac_phase = phase == P_SET_UP || phase == P_SET_REST || phase == P_REST || phase == P_FRAME
                  || phase == P_STOP_REST;
    assign m_dac_valid = dac_phase && !asked;
    assign m_dac_op = phase == P_SET_UP ? `DAC_SET_UP : phase == P_FRAME ? `DAC_FRAME : `DAC_REST;
    assign m_dac_frame = word1[`RM_OP_DAC_FRAME_FRAME];
    assign m_dac_slow = word1[`RM_OP_DAC_FRAME_SLOW];
    assign m_dac_lanes = word2[`RM_OP_DAC_FRAME_LANES];
    assign m_dac_answer_lane = word2[`RM_OP_DAC_FRAME_ANSWER_LANE];

    wire unit_ready = dac_phase ? m_dac_ready
                    : phase == P_CLEAR || phase == P_ROUTE ? m_route_ready
                    : phase == P_BATCH ? m_batch_ready : m_pulse_ready;
    wire unit_done = asked && unit_ready;
    wire [5:0] tail_next = tail + 6'd1;

    // As the flip-flops come out of configuration, before the first clock.
    initial outputs_on = 1'b0;

    always @(posedge clk) begin
        fetched <= rd_en && !rst;
        if (fetched) begin
            {word0, word1, word2, word3, word4, word5} <= {word1, word2, word3, word4, word5, rd_data};
        end
    end

    always @(posedge clk) begin
        command_event <= 1'b0;
        empty_event   <= 1'b0;
        fault_event   <= 1'b0;
        armed_event   <= 1'b0;
        if (rst) begin
            phase      <= P_OFF;
            armed      <= 1'b0;
            asked      <= 1'b0;
            outputs_on <= 1'b0;
            head       <= 6'd0;
            tail       <= 6'd0;
            fetch      <= 3'd0;
            cause      <= `RM_CAUSE_NONE;
            next_cause <= `RM_CAUSE_NONE;
            error      <= `RM_ERROR_NONE;
            last_tag   <= 16'd0;
            wait_left  <= 32'd0;
            arm_waits  <= 1'b0;
        end else begin
            if (head_strobe && !in_stop && phase != P_CLEAR && phase != P_SET_UP && phase != P_SET_REST) head <= head_slot;
            if (!asked) asked <= unit_ready; // only phases that hand over look at it, and leave it low
            if (arm && !armed && !in_stop) arm_waits <= 1'b1;
            if (may_fetch) fetch <= fetch + 3'd1;
            case (phase)
                P_OFF, P_FETCH: begin
                    asked <= 1'b0;
                    if (phase == P_OFF && arm_waits && fetch == 3'd0) begin
                        phase     <= P_CLEAR;
                        armed     <= 1'b1;
                        arm_waits <= 1'b0;
                        tail      <= head;
                    end else if (fetch == WORDS_READ && !fetched) begin
                        fetch <= 3'd0;
                        phase <= P_CHECK;
                    end
                end
                P_CLEAR: if (unit_done) begin
                    phase <= P_SET_UP;
                    asked <= 1'b0;
                end
                P_SET_UP: if (unit_done) begin
                    phase <= P_SET_REST;
                    asked <= 1'b0;
                end
                P_SET_REST: if (unit_done) begin
                    phase       <= P_FETCH;
                    asked       <= 1'b0;
                    outputs_on  <= 1'b1;
                    armed_event <= 1'b1;
                end
                P_CHECK: begin
                    asked     <= 1'b0;
                    wait_left <= word1;
                    phase     <= target;
                end
                P_REST: if (unit_done) begin
                    asked <= 1'b0;
                    phase <= P_ROUTE;
                end
                P_ROUTE, P_BATCH, P_PULSE, P_FRAME: if (unit_done) begin
                    asked <= 1'b0;
                    phase <= P_DONE;
                end
                P_WAIT: begin
                    asked     <= 1'b0;
                    wait_left <= wait_left - 32'd1;
                    if (wait_left <= 32'd1) phase <= P_DONE;
                end
                P_DONE: begin
                    asked         <= 1'b0;
                    tail          <= tail_next;
                    last_tag      <= word0[`RM_COMMAND_TAG];
                    command_event <= word0[`RM_COMMAND_NOTIFY];
                    empty_event   <= tail_next == head;
                    phase         <= armed ? P_FETCH : P_OFF;
                end
                P_STOP: begin
                    asked <= 1'b0;
                    if (m_dac_ready) phase <= P_STOP_REST;
                end
                P_STOP_REST: if (unit_done) begin
                    asked       <= 1'b0;
                    cause       <= next_cause;
                    fault_event <= next_cause != `RM_CAUSE_NONE;
                    phase       <= next_cause == `RM_CAUSE_NONE ? P_OFF : P_FAULT;
                    if (next_cause == `RM_CAUSE_NONE) tail <= head;
                end
                default: begin
                    asked <= 1'b0;
                    if (disarm) begin
                        phase <= P_OFF;
                        cause <= `RM_CAUSE_NONE;
                        error <= `RM_ERROR_NONE;
                        tail  <= head;
                    end
                end
            endcase
            if (stop) begin
                phase      <= P_STOP;
                arm_waits  <= 1'b0;
                armed      <= 1'b0;
                asked      <= 1'b0;
                outputs_on <= 1'b0;
                fetch      <= 3'd0;
                next_cause <= armed && abort_now ? `RM_CAUSE_ABORT : armed && disarm ? `RM_CAUSE_NONE
                            : armed && trip ? `RM_CAUSE_WATCHDOG : `RM_CAUSE_COMMAND;
                if (!(armed && (abort_now || disarm || trip))) error <= is_refused ? refusal : `RM_ERROR_INPUT;
            end
        end
    end

    always @(*) begin
        case (phase)
            P_CLEAR, P_SET_UP, P_SET_REST: state = `RM_STATE_ARMING;
            P_STOP, P_STOP_REST: state = `RM_STATE_STOPPING;
            P_FAULT: state = `RM_STATE_FAULT;
            default: state = arm_waits ? `RM_STATE_ARMING : !armed ? `RM_STATE_DISARMED : idle ? `RM_STATE_READY : `RM_STATE_BUSY;
        endcase
    end

`ifdef FORMAL
    // Whether the chains were cleared and filled with open lines since ARM.
    reg cleared;
    always @(posedge clk) begin
        if (rst || phase == P_OFF || in_stop) cleared <= 1'b0;
        else if (phase == P_CLEAR && unit_done) cleared <= 1'b1;
    end
    always @(*) if (!rst) begin
        if (outputs_on || phase == P_SET_UP || phase == P_SET_REST) assert (cleared);
        if (phase == P_SET_UP || phase == P_SET_REST) assert (m_route_ready);
        if (phase != P_PULSE) assert (m_pulse_ready);
        if (phase == P_CLEAR || phase == P_SET_UP || phase == P_SET_REST) assert (armed && !outputs_on);
        if (phase == P_OFF || in_stop) assert (!outputs_on && !armed);
        if (outputs_on) assert (armed);
        if (phase == P_FETCH || phase == P_PULSE || phase == P_WAIT || phase == P_REST || phase == P_ROUTE || phase == P_BATCH)
            assert (outputs_on);
        if (phase == P_CHECK || phase == P_DONE || phase == P_FRAME) assert (outputs_on == armed);
        if (phase == P_REST || phase == P_ROUTE) assert (!wl_gate);
        if (phase == P_ROUTE || phase == P_REST) assert (target == P_REST);
        if (phase == P_PULSE) assert (target == P_PULSE);
        if (outputs_on && (phase != P_ROUTE || !asked)) assert (m_route_ready);
    end
`endif
endmodule
`default_nettype wire
