// ADS8324 (TI SBAS172A): CHIPS converters that share CS and DCLOCK, as they are wired. At the falling DCLOCK edge number
// 5 the inputs are held: held toggles, and code must be there at the next tick, in which it is taken. DOUT
// follows falling DCLOCK with the largest delay of the data sheet. input_settled_at (a time) and input_moved (a
// toggle) tell how the analogue inputs are; they only count while input_counts. Pins are looked at with each tick, whose
// period is the resolution of all times. A violation sticks. ($time stands in ifs of its own: it is slow in simulation.)
`default_nettype none
`include "rm_models.vh"
module ads8324 #(
    parameter CHIPS = 1
) (
    input  wire                tick,
    input  wire                cs_n,
    input  wire                dclock,
    input  wire [14*CHIPS-1:0] code,
    output reg  [CHIPS-1:0]    dout,
    output reg                 held,
    input  wire [63:0]         input_settled_at,  // ns
    input  wire                input_moved,
    input  wire                input_counts,
    output reg  [`CHECK_COUNT-1:0] violations
);
    reg [14*CHIPS-1:0] words;
    reg [CHIPS-1:0]    dout_next;
    reg                follows, takes;
    reg [5:0]          edges;
    reg                sampling;
    reg                cs_n_before, dclock_before, moved_before;
    time               t_cs_fall, t_cs_rise, t_rise, t_fall, t_dout;

    initial begin
        violations = {`CHECK_COUNT{1'b0}};
        cs_n_before = 1'b1;
        dclock_before = 1'b0;
        moved_before = 1'b0;
        words = {14*CHIPS{1'b0}};
        dout = {CHIPS{1'b1}};         // pulled up while high-impedance
        dout_next = {CHIPS{1'b1}};
        follows = 1'b0;
        takes = 1'b0;
        held = 1'b0;
        edges = 6'd0;
        sampling = 1'b0;
        t_cs_fall = 0;
        t_cs_rise = 0;
        t_rise = 0;
        t_fall = 0;
        t_dout = 0;
    end

    task cs_falls;
    begin
        if (t_cs_fall != 0 && $time - t_cs_fall < `ADS8324_CYCLE_NS) violations[`CHECK_ADC_RATE] = 1'b1;
        if (t_cs_rise != 0 && $time - t_cs_rise < `ADS8324_CS_HIGH_NS) violations[`CHECK_ADC_CS_HIGH] = 1'b1;
        if (dclock) violations[`CHECK_ADC_CS_SETUP] = 1'b1;
        if ($time < input_settled_at && input_counts) violations[`CHECK_ADC_INPUT_UNSETTLED] = 1'b1;
        t_cs_fall = $time;
        edges = 6'd0;
        sampling = 1'b1;
    end
    endtask

    task dclock_rises;
    begin
        if (edges == 6'd0 && $time - t_cs_fall < `ADS8324_CS_SETUP_NS) violations[`CHECK_ADC_CS_SETUP] = 1'b1;
        if (edges != 6'd0) begin
            if ($time - t_rise < `ADS8324_DCLOCK_PERIOD_NS) violations[`CHECK_ADC_DCLOCK_FAST] = 1'b1;
            if ($time - t_rise > `ADS8324_DCLOCK_PERIOD_MAX_NS) violations[`CHECK_ADC_DCLOCK_SLOW] = 1'b1;
            if ($time - t_fall < `ADS8324_DCLOCK_WIDTH_NS) violations[`CHECK_ADC_DCLOCK_WIDTH] = 1'b1;
        end
        t_rise = $time;
    end
    endtask

    integer chip;
    task dclock_falls;
    begin
        if ($time - t_rise < `ADS8324_DCLOCK_WIDTH_NS) violations[`CHECK_ADC_DCLOCK_WIDTH] = 1'b1;
        t_fall = $time;
        t_dout = $time;
        if (edges != 6'd63) edges = edges + 6'd1;
        if (edges == `ADS8324_SAMPLE_EDGES) begin
            held <= !held;
            takes = 1'b1;
            dout_next = {CHIPS{1'b0}};
        end else if (edges > `ADS8324_SAMPLE_EDGES) begin
            for (chip = 0; chip < CHIPS; chip = chip + 1) begin
                dout_next[chip] = words[14*chip+13];
                words[14*chip +: 14] = {words[14*chip +: 13], 1'b0};
            end
        end
        if (edges >= `ADS8324_SAMPLE_EDGES) follows = 1'b1;
    end
    endtask

    task cs_rises;
    begin
        if (t_cs_fall != 0 && edges < `ADS8324_WORD_EDGES) violations[`CHECK_ADC_CS_EARLY] = 1'b1;
        t_cs_rise = $time;
        t_dout = $time;
        sampling = 1'b0;
        follows = 1'b1;
        dout_next = {CHIPS{1'b1}};
    end
    endtask

    always @(posedge tick) begin
        if (takes) begin
            words = code;
            takes = 1'b0;
        end
        if (sampling && edges >= `ADS8324_SAMPLE_EDGES) begin
            if ($time - t_fall > `ADS8324_APERTURE_NS) sampling = 1'b0;
        end
        if ({cs_n, dclock, input_moved} != {cs_n_before, dclock_before, moved_before}) begin
            if (!cs_n && cs_n_before) cs_falls;
            if (input_moved != moved_before && sampling && input_counts) violations[`CHECK_ADC_INPUT_MOVED] = 1'b1;
            if (dclock != dclock_before && !cs_n && dclock) dclock_rises;
            if (dclock != dclock_before && !cs_n && !dclock) dclock_falls;
            if (cs_n && !cs_n_before) cs_rises;
            {cs_n_before, dclock_before, moved_before} = {cs_n, dclock, input_moved};
        end
        if (follows) begin
            if ($time - t_dout >= (cs_n ? `ADS8324_DISABLE_NS : `ADS8324_DATA_DELAY_NS)) begin
                dout <= dout_next;
                follows = 1'b0;
            end
        end
    end
endmodule
`default_nettype wire
