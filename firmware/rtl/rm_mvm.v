// A batch of vectors, pipelined: while the ADCs convert one vector, the next one is sent to the DACs' buffers; as soon
// as the ADCs hold the last inputs of a vector, the outputs are updated. The next conversion starts when they have settled and
// the ADC is free. With fewer ADCs than TIAs a vector takes several steps; ADC a converts TIA step * ADC_COUNT + a, and steps
// without a sensed line are left out. A batch is taken when s_valid && s_ready; s_ready returns when all results are
// written and the DACs are back at rest. failed then says that an input code was out of range. drop ends a batch without
// touching the DACs. Reset: synchronous, active high.
`default_nettype none
`include "rm_dac_ops.vh"
module rm_mvm #(
    parameter ADC_COUNT        = 64,
    parameter SETTLE_CLOCKS    = 600,
    parameter SENSE_MUX_CLOCKS = 172,
    parameter [384-1:0] LINE_OF_TIA = 384'h0   // line of each TIA, six bits each
) (
    input  wire                     clk,
    input  wire                     rst,
    // Batches (sink)
    input  wire                     s_valid,
    output wire                     s_ready,
    input  wire [8:0]               s_vectors,   // at least 1
    input  wire                     s_bank,
    input  wire [63:0]              s_sl_mask,   // sensed lines of the bank, at least one; steady during the batch
    input  wire                     drop,
    output reg                      failed,
    output reg  [8:0]               vectors_done,
    // Operations for rm_dac (source)
    output reg                      m_dac_valid,
    output reg  [2:0]               m_dac_op,
    output wire [8:0]               m_dac_vector,
    input  wire                     m_dac_ready,
    input  wire                     dac_out_of_range,
    // Conversions (source) and words (sink) of rm_adc
    output wire                     m_adc_start,
    input  wire                     m_adc_ready,
    input  wire                     adc_held,
    input  wire                     adc_valid,
    input  wire [5:0]               adc_chip,
    input  wire [13:0]              adc_code,
    input  wire                     adc_link_error,
    // Result RAM
    output wire [1:0]               wr_halves,
    output wire [13:0]              wr_addr,
    output wire [31:0]              wr_data,
    // Events for counters, one clock each
    output wire                     conversion_event,
    output wire                     over_range_event,
    output wire                     link_error_event,
    output wire                     vector_event,
    // Pins
    output reg  [2:0]               sense_mux
);
    localparam D_IDLE = 3'd0, D_LOAD = 3'd1, D_HOLD = 3'd2, D_UPDATE = 3'd3, D_SETTLE = 3'd4, D_READY = 3'd5,
               D_REST = 3'd6, D_LAST = 3'd7;
    localparam STEPS = 64 / ADC_COUNT;
    localparam [31:0] CHIPS = ADC_COUNT;
    localparam [31:0] CHIP_LAST = ADC_COUNT - 1;
    localparam [15:0] SETTLE_LAST = SETTLE_CLOCKS - 1;
    localparam [15:0] MUX_LAST = SENSE_MUX_CLOCKS - 1;

    reg [2:0]  drive;         // state of the driving side
    reg        asked;         // the DAC operation of this state was handed over
    reg [15:0] settle;
    reg        bank;
    reg [8:0]  vectors;
    reg [8:0]  driven;        // number of the vector that is loaded, driven or settled
    reg        converting;    // a batch is under way on the converting side
    reg [8:0]  vector;        // number of the vector that is converted
    reg [2:0]  step;          // step that is converted, or comes next
    reg        enters;        // a batch was just taken
    reg        begun;         // a step of this vector was started
    reg        released;      // all inputs of the last vector are held: outputs may change
    reg [15:0] mux_wait;
    reg        word_last;     // the words that come belong to the last step of their vector
    reg [7:0]  word_vector;
    reg [2:0]  word_step;

    // Steps in which a line is sensed, found when a batch begins, and the first and the next of them.
    reg [7:0] step_used;
    reg [2:0] first_step, next_step;
    reg       is_last_step;
    integer tia, n;
    always @(posedge clk) begin
        if (s_valid && s_ready) begin
            step_used <= 8'h0;
            for (tia = 0; tia < 64; tia = tia + 1) begin
                if (s_sl_mask[LINE_OF_TIA[6*tia +: 6]]) step_used[tia / ADC_COUNT] <= 1'b1;
            end
        end
    end
    always @(*) begin
        first_step = 3'd0;
        next_step = 3'd0;
        is_last_step = 1'b1;
        for (n = STEPS - 1; n >= 0; n = n - 1) begin
            if (step_used[n]) first_step = n[2:0];
            if (step_used[n] && n[2:0] > step) begin
                next_step = n[2:0];
                is_last_step = 1'b0;
            end
        end
    end

    wire dac_done = asked && m_dac_ready && !m_dac_valid;
    wire mux_settled = mux_wait == 16'd0;
    wire first_may_start = drive == D_READY && !begun;
    wire starts = m_adc_start && m_adc_ready;

    assign s_ready = drive == D_IDLE && !converting;
    assign m_dac_vector = {bank, driven[7:0]};
    assign m_adc_start = converting && mux_settled && (begun || first_may_start) && !drop;

    // Driving side
    always @(posedge clk) begin
        if (rst || drop) begin
            drive       <= D_IDLE;
            m_dac_valid <= 1'b0;
            m_dac_op    <= `DAC_LOAD;
            asked       <= 1'b0;
            settle      <= 16'd0;
            driven      <= 9'd0;
            vectors     <= 9'd0;
            bank        <= 1'b0;
            failed      <= 1'b0;
        end else begin
            if (m_dac_valid && m_dac_ready) m_dac_valid <= 1'b0;
            case (drive)
                D_IDLE: if (s_valid && s_ready) begin
                    drive   <= D_LOAD;
                    asked   <= 1'b0;
                    driven  <= 9'd0;
                    vectors <= s_vectors;
                    bank    <= s_bank;
                    failed  <= 1'b0;
                end
                D_LOAD: begin
                    m_dac_op <= `DAC_LOAD;
                    asked    <= 1'b1;
                    if (!asked) m_dac_valid <= 1'b1;
                    else if (dac_done) begin
                        asked  <= 1'b0;
                        failed <= dac_out_of_range;
                        drive  <= dac_out_of_range ? D_LAST : D_HOLD;
                    end
                end
                D_HOLD: if (released) drive <= D_UPDATE;
                D_UPDATE: begin
                    m_dac_op <= `DAC_UPDATE;
                    asked    <= 1'b1;
                    settle   <= SETTLE_LAST;
                    if (!asked) m_dac_valid <= 1'b1;
                    else if (dac_done) begin
                        asked <= 1'b0;
                        drive <= D_SETTLE;
                    end
                end
                D_SETTLE: begin
                    settle <= settle - 16'd1;
                    if (settle == 16'd0) drive <= D_READY;
                end
                D_READY: if (starts && first_may_start) begin
                    driven <= driven + 9'd1;
                    drive  <= driven + 9'd1 == vectors ? D_LAST : D_LOAD;
                end
                // The last vector stays driven until its inputs are held.
                D_LAST: if (released) drive <= D_REST;
                default: begin
                    m_dac_op <= `DAC_REST;
                    asked    <= 1'b1;
                    if (!asked) m_dac_valid <= 1'b1;
                    else if (dac_done) begin
                        asked <= 1'b0;
                        drive <= D_IDLE;
                    end
                end
            endcase
        end
    end

    // Converting side
    wire last_word = adc_valid && {26'd0, adc_chip} == CHIP_LAST;
    wire last_vector = vectors_done + 9'd1 == vectors;
    always @(posedge clk) begin
        if (rst || drop) begin
            converting   <= 1'b0;
            vector       <= 9'd0;
            step         <= 3'd0;
            enters       <= 1'b0;
            begun        <= 1'b0;
            released     <= 1'b1;
            mux_wait     <= 16'd0;
            sense_mux    <= 3'd0;
            word_last    <= 1'b0;
            word_vector  <= 8'd0;
            word_step    <= 3'd0;
            if (rst) vectors_done <= 9'd0;
        end else begin
            if (!mux_settled) mux_wait <= mux_wait - 16'd1;
            if (s_valid && s_ready) begin
                converting   <= 1'b1;
                vector       <= 9'd0;
                vectors_done <= 9'd0;
                begun        <= 1'b0;
            end
            enters <= s_valid && s_ready;
            if (enters) begin
                step      <= first_step;
                sense_mux <= first_step;
                mux_wait  <= MUX_LAST;
            end
            if (starts) begin
                word_vector <= vector[7:0];
                word_step   <= step;
                word_last   <= is_last_step;
                begun       <= !is_last_step;
                released    <= 1'b0;
                step        <= is_last_step ? first_step : next_step;
                if (is_last_step) vector <= vector + 9'd1;
            end
            if (adc_held && converting) begin
                released  <= word_last;
                sense_mux <= step;
                if (sense_mux != step) mux_wait <= MUX_LAST;
            end
            if (last_word && word_last && converting) begin
                vectors_done <= vectors_done + 9'd1;
                if (last_vector) converting <= 1'b0;
            end
            // The batch ends early: what is converted belongs to vectors that were driven.
            if (failed && vectors_done == driven) converting <= 1'b0;
        end
    end

    // Results
    wire [5:0] word_tia = adc_chip + word_step * CHIPS[5:0];  // modulo 64: with 64 ADCs the only step is 0
    wire [5:0] line = LINE_OF_TIA[6*word_tia +: 6];
    wire over_range = adc_code == 14'h1FFF || adc_code == 14'h2000;
    wire sensed = adc_valid && converting && s_sl_mask[line];

    assign wr_halves = {sensed && line[0], sensed && !line[0]};
    assign wr_addr = {bank, word_vector, line[5:1]};
    assign wr_data = {2{over_range, adc_link_error, adc_code}};
    assign conversion_event = starts;
    assign over_range_event = sensed && over_range;
    assign link_error_event = sensed && adc_link_error;
    assign vector_event = last_word && word_last && converting;
endmodule
`default_nettype wire
