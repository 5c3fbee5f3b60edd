// The board: everything between the AXI4-Lite bus and the pins of the chips. Parameters come from the board
// description through rm_board.vh; firmware/regmap/README.md says how it is operated. Reset: synchronous, active high;
// it disables the shift registers and closes the gate.
`default_nettype none
`include "rm_map.vh"
`include "rm_board.vh"
`include "rm_dac_ops.vh"
module rm_board #(
    parameter [31:0] BUILD_ID = 32'h0
) (
    input  wire        clk,
    input  wire        rst,
    output wire        irq,
    // AXI4-Lite
    input  wire [17:0] s_axi_awaddr,
    input  wire        s_axi_awvalid,
    output wire        s_axi_awready,
    input  wire [31:0] s_axi_wdata,
    input  wire [3:0]  s_axi_wstrb,
    input  wire        s_axi_wvalid,
    output wire        s_axi_wready,
    output wire [1:0]  s_axi_bresp,
    output wire        s_axi_bvalid,
    input  wire        s_axi_bready,
    input  wire [17:0] s_axi_araddr,
    input  wire        s_axi_arvalid,
    output wire        s_axi_arready,
    output wire [31:0] s_axi_rdata,
    output wire [1:0]  s_axi_rresp,
    output wire        s_axi_rvalid,
    input  wire        s_axi_rready,
    // DAC80508, one a lane
    output wire [`RM_BOARD_DAC_CHIPS-1:0] dac_cs_n,
    output wire                           dac_sclk,
    output wire [`RM_BOARD_DAC_CHIPS-1:0] dac_sdi,
    input  wire [`RM_BOARD_DAC_CHIPS-1:0] dac_sdo,
    // ADS8324, and the address of the multiplexers in front of them
    output wire                           adc_cs_n,
    output wire                           adc_dclock,
    input  wire [`RM_BOARD_ADC_COUNT-1:0] adc_dout,
    output wire [2:0]                     sense_mux,
    // 74HC595 chains: BL open, BL address (2), SL open, SL address (2), WL address (2)
    output wire [7:0]  sr_ser,
    output wire        sr_srclk,
    output wire        sr_rclk,
    output wire        sr_srclr_n,
    output wire        sr_oe_n,     // of the two chains with the lines' INH; OE of the others is tied low
    // Word lines are let through while high
    output wire        wl_gate
);
    localparam [31:0] N_BL = `RM_BOARD_N_BL, N_SL = `RM_BOARD_N_SL, ADC_COUNT = `RM_BOARD_ADC_COUNT;
    localparam [31:0] REST_CODE = `RM_BOARD_REST_CODE, LIMIT_CODES = `RM_BOARD_LIMIT_CODES;
    localparam [31:0] DAC_CHANNELS = `RM_BOARD_DAC_CHANNELS, CLOCK_HZ = `RM_BOARD_CLOCK_HZ;

    // Bus ------------------------------------------------------------------------------------------------------------
    wire        wr_en, rd_en;
    wire [15:0] wr_word, rd_word;
    wire [31:0] wr_data, register_data, result_data;
    wire        register_wr_known, register_rd_known;

    // Windows: registers at 0x00000 (4 KiB), commands at 0x01000 (2 KiB), inputs at 0x10000, results at 0x20000 (64 KiB)
    wire wr_register = wr_word[15:10] == 6'h00;
    wire wr_command = wr_word[15:9] == 7'h02;
    wire wr_input = wr_word[15:14] == 2'b01;
    wire rd_register = rd_word[15:10] == 6'h00;
    wire rd_result = rd_word[15:14] == 2'b10;
    wire wr_known = wr_register ? register_wr_known : wr_command || wr_input;
    wire rd_known = rd_register ? register_rd_known : rd_result;

    reg rd_was_result;
    always @(posedge clk) if (rd_en) rd_was_result <= rd_result;

    rm_axi_slave #(.ADDR_BITS(18)) bus (
        .clk(clk), .rst(rst),
        .s_axi_awaddr(s_axi_awaddr), .s_axi_awvalid(s_axi_awvalid), .s_axi_awready(s_axi_awready),
        .s_axi_wdata(s_axi_wdata), .s_axi_wstrb(s_axi_wstrb), .s_axi_wvalid(s_axi_wvalid), .s_axi_wready(s_axi_wready),
        .s_axi_bresp(s_axi_bresp), .s_axi_bvalid(s_axi_bvalid), .s_axi_bready(s_axi_bready),
        .s_axi_araddr(s_axi_araddr), .s_axi_arvalid(s_axi_arvalid), .s_axi_arready(s_axi_arready),
        .s_axi_rdata(s_axi_rdata), .s_axi_rresp(s_axi_rresp), .s_axi_rvalid(s_axi_rvalid), .s_axi_rready(s_axi_rready),
        .wr_en(wr_en), .wr_word(wr_word), .wr_data(wr_data), .wr_known(wr_known),
        .rd_en(rd_en), .rd_word(rd_word), .rd_known(rd_known),
        .rd_data(rd_was_result ? result_data : register_data)
    );

    // Registers ------------------------------------------------------------------------------------------------------
    wire        control_arm, control_disarm, control_abort, control_strobe;
    wire [15:0] control_key;
    wire [31:0] kick_value;
    wire        kick_strobe, head_strobe, clocks_read;
    wire [5:0]  head_slot, head, tail;
    wire [3:0]  state, cause, irq_enable;
    wire [7:0]  error;
    wire [1:0]  route, status_route;
    wire        idle, outputs_on, dac_ready, trip, watchdog_run, stopping;
    wire        irq_command, irq_empty, irq_fault, irq_armed;
    wire        command_event, empty_event, fault_event, armed_event;
    wire        pulse_event, conversion_event, over_range_event, link_error_event, vector_event;
    wire [9:0]  timeout_ms, left_ms;
    wire [15:0] last_tag;
    wire [8:0]  vectors_done;
    wire [23:0] dac_answer;

    reg  [31:0] vectors_total, pulses_total, conversions_total, over_range_total, link_errors_total, clocks_high;
    reg  [31:0] clocks_high_before;
    reg  [63:0] clocks;

    wire control = control_strobe && control_key == `RM_CONTROL_KEY;
    wire [31:0] kick_key = `RM_WATCHDOG_KICK_KEY;

    assign status_route = outputs_on ? route : `RM_ROUTE_OFF;
    assign irq = |(irq_enable & {irq_armed, irq_fault, irq_empty, irq_command});
    assign sr_oe_n = !outputs_on;

    always @(posedge clk) begin
        if (rst) begin
            vectors_total     <= 32'd0;
            pulses_total      <= 32'd0;
            conversions_total <= 32'd0;
            over_range_total  <= 32'd0;
            link_errors_total <= 32'd0;
            clocks            <= 64'd0;
            clocks_high       <= 32'd0;
            clocks_high_before <= 32'd0;
        end else begin
            if (vector_event) vectors_total <= vectors_total + 32'd1;
            if (pulse_event) pulses_total <= pulses_total + 32'd1;
            if (conversion_event) conversions_total <= conversions_total + 32'd1;
            if (over_range_event) over_range_total <= over_range_total + 32'd1;
            if (link_error_event) link_errors_total <= link_errors_total + 32'd1;
            clocks <= clocks + 64'd1;
            // The strobe comes in the clock after that in which the low word was taken.
            clocks_high_before <= clocks[63:32];
            if (clocks_read) clocks_high <= clocks_high_before;
        end
    end

    rm_registers registers (
        .clk(clk), .rst(rst),
        .wr_en(wr_en && wr_register), .rd_en(rd_en && rd_register),
        .wr_addr(wr_word[9:0]), .rd_addr(rd_word[9:0]), .wdata(wr_data), .rdata(register_data),
        .wr_known(register_wr_known), .rd_known(register_rd_known),
        .build_id(BUILD_ID), .board_hash(`RM_BOARD_HASH),
        .lines_n_bl(N_BL[15:0]), .lines_n_sl(N_SL[15:0]),
        .channels_dac(DAC_CHANNELS[7:0]), .channels_tia(8'd64), .channels_adc(ADC_COUNT[7:0]),
        .clock_hz(CLOCK_HZ), .input_limits_rest_code(REST_CODE[15:0]), .input_limits_limit_codes(LIMIT_CODES[15:0]),
        .control_arm(control_arm), .control_disarm(control_disarm), .control_abort(control_abort),
        .control_key(control_key), .control_strobe(control_strobe),
        .status_state(state), .status_cause(cause), .status_route(status_route), .status_gate(wl_gate),
        .status_outputs(outputs_on), .status_idle(idle), .status_dac_busy(!dac_ready), .status_error(error),
        .irq_status_command(irq_command), .irq_status_empty(irq_empty), .irq_status_fault(irq_fault),
        .irq_status_armed(irq_armed), .irq_status_command_set(command_event), .irq_status_empty_set(empty_event),
        .irq_status_fault_set(fault_event), .irq_status_armed_set(armed_event), .irq_enable_mask(irq_enable),
        .watchdog_ms_timeout(timeout_ms), .watchdog_kick(kick_value), .watchdog_kick_strobe(kick_strobe),
        .watchdog_left({22'd0, left_ms}),
        .command_head_slot(head_slot), .command_head_strobe(head_strobe),
        .command_tail_slot(tail), .command_tail_head(head), .last_tag_tag(last_tag),
        .vectors_done_count(vectors_done), .vectors_total(vectors_total), .pulses_total(pulses_total),
        .conversions_total(conversions_total), .over_range_total(over_range_total),
        .link_errors_total(link_errors_total), .dac_answer_frame(dac_answer),
        .clocks_low(clocks[31:0]), .clocks_low_read(clocks_read), .clocks_high(clocks_high)
    );

    // Memories -------------------------------------------------------------------------------------------------------
    wire        command_rd, input_rd;
    wire [8:0]  command_addr;
    wire [13:0] input_addr, result_addr;
    wire [31:0] command_word, input_word, result_word;
    wire [1:0]  result_halves;

    rm_ram #(.ADDR_BITS(9)) commands (
        .clk(clk), .wr_halves({2{wr_en && wr_command}}), .wr_addr(wr_word[8:0]), .wr_data(wr_data),
        .rd_en(command_rd), .rd_addr(command_addr), .rd_data(command_word)
    );
    rm_ram #(.ADDR_BITS(14)) inputs (
        .clk(clk), .wr_halves({2{wr_en && wr_input}}), .wr_addr(wr_word[13:0]), .wr_data(wr_data),
        .rd_en(input_rd), .rd_addr(input_addr), .rd_data(input_word)
    );
    rm_ram #(.ADDR_BITS(14)) results (
        .clk(clk), .wr_halves(result_halves), .wr_addr(result_addr), .wr_data(result_word),
        .rd_en(rd_en && rd_result), .rd_addr(rd_word[13:0]), .rd_data(result_data)
    );

    // Sequencer and its units ----------------------------------------------------------------------------------------
    wire        route_valid, route_clear, route_ready, bl_others, sl_others;
    wire [1:0]  new_route, bl_bank, sl_bank;
    wire [63:0] bl_mask, new_sl_mask, sl_mask;
    wire [7:0]  cell_bl, cell_sl;
    wire        pulse_valid, pulse_ready, gate_hold_on, gate_hold_off;
    wire [31:0] pulse_clocks;
    wire        batch_valid, batch_ready, batch_bank, batch_failed;
    wire [8:0]  batch_vectors, dac_vector;
    wire        own_dac_valid, batch_dac_valid, dac_slow, dac_out_of_range;
    wire [2:0]  own_dac_op, batch_dac_op, dac_answer_lane;
    wire [23:0] dac_frame;
    wire [7:0]  dac_lanes;
    wire        adc_start, adc_ready, adc_held, adc_valid, adc_link_error;
    wire [5:0]  adc_chip;
    wire [13:0] adc_code;

    rm_sequencer #(.LINES(`RM_BOARD_N_BL), .PULSE_CLOCKS_MIN(`RM_BOARD_PULSE_CLOCKS_MIN)) sequencer (
        .clk(clk), .rst(rst),
        .arm(control && control_arm), .disarm(control && control_disarm), .abort_now(control && control_abort),
        .trip(trip), .watchdog_run(watchdog_run), .stopping(stopping), .outputs_on(outputs_on),
        .head_strobe(head_strobe), .head_slot(head_slot), .head(head), .tail(tail),
        .rd_en(command_rd), .rd_addr(command_addr), .rd_data(command_word),
        .state(state), .cause(cause), .error(error), .idle(idle), .last_tag(last_tag),
        .command_event(command_event), .empty_event(empty_event), .fault_event(fault_event),
        .armed_event(armed_event), .pulse_event(pulse_event),
        .m_route_valid(route_valid), .m_route_clear(route_clear), .m_route_ready(route_ready), .m_route(new_route),
        .m_bl_bank(bl_bank), .m_sl_bank(sl_bank), .m_bl_mask(bl_mask), .m_sl_mask(new_sl_mask),
        .m_cell_bl(cell_bl), .m_cell_sl(cell_sl), .m_bl_others(bl_others), .m_sl_others(sl_others), .route(route),
        .m_pulse_valid(pulse_valid), .m_pulse_ready(pulse_ready), .m_pulse_clocks(pulse_clocks),
        .gate_hold_on(gate_hold_on), .gate_hold_off(gate_hold_off), .wl_gate(wl_gate),
        .m_batch_valid(batch_valid), .m_batch_ready(batch_ready), .m_batch_vectors(batch_vectors),
        .m_batch_bank(batch_bank), .batch_failed(batch_failed),
        .m_dac_valid(own_dac_valid), .m_dac_op(own_dac_op), .m_dac_frame(dac_frame), .m_dac_lanes(dac_lanes),
        .m_dac_slow(dac_slow), .m_dac_answer_lane(dac_answer_lane), .m_dac_ready(dac_ready)
    );

    rm_watchdog #(.CLOCKS_PER_MS(`RM_BOARD_CLOCK_HZ / 1000)) watchdog (
        .clk(clk), .rst(rst), .run(watchdog_run), .kick(kick_strobe && kick_value == kick_key),
        .timeout_ms(timeout_ms), .left_ms(left_ms), .trip(trip)
    );

    rm_route #(
        .LINES(`RM_BOARD_N_BL), .SHIFT_HALF_CLOCKS(`RM_BOARD_SHIFT_HALF_CLOCKS), .DEAD_CLOCKS(`RM_BOARD_DEAD_CLOCKS)
    ) router (
        .clk(clk), .rst(rst),
        .s_valid(route_valid), .s_ready(route_ready), .s_clear(route_clear), .s_route(new_route),
        .s_bl_bank(bl_bank), .s_sl_bank(sl_bank), .s_bl_mask(bl_mask), .s_sl_mask(new_sl_mask),
        .s_cell_bl(cell_bl), .s_cell_sl(cell_sl), .s_bl_others(bl_others), .s_sl_others(sl_others),
        .route(route), .sl_mask(sl_mask),
        .sr_ser(sr_ser), .sr_srclk(sr_srclk), .sr_rclk(sr_rclk), .sr_srclr_n(sr_srclr_n)
    );

    rm_gate gate (
        .clk(clk), .rst(rst), .s_valid(pulse_valid), .s_ready(pulse_ready), .s_clocks(pulse_clocks),
        .hold_on(gate_hold_on), .hold_off(gate_hold_off), .force_off(stopping), .wl_gate(wl_gate)
    );

    rm_mvm #(
        .ADC_COUNT(`RM_BOARD_ADC_COUNT), .SETTLE_CLOCKS(`RM_BOARD_SETTLE_CLOCKS),
        .SENSE_MUX_CLOCKS(`RM_BOARD_SENSE_MUX_CLOCKS), .LINE_OF_TIA(`RM_BOARD_LINE_OF_TIA)
    ) mvm (
        .clk(clk), .rst(rst),
        .s_valid(batch_valid), .s_ready(batch_ready), .s_vectors(batch_vectors), .s_bank(batch_bank),
        .s_sl_mask(sl_mask), .drop(stopping), .failed(batch_failed), .vectors_done(vectors_done),
        .m_dac_valid(batch_dac_valid), .m_dac_op(batch_dac_op), .m_dac_vector(dac_vector), .m_dac_ready(dac_ready),
        .dac_out_of_range(dac_out_of_range),
        .m_adc_start(adc_start), .m_adc_ready(adc_ready), .adc_held(adc_held), .adc_valid(adc_valid),
        .adc_chip(adc_chip), .adc_code(adc_code), .adc_link_error(adc_link_error),
        .wr_halves(result_halves), .wr_addr(result_addr), .wr_data(result_word),
        .conversion_event(conversion_event), .over_range_event(over_range_event),
        .link_error_event(link_error_event), .vector_event(vector_event), .sense_mux(sense_mux)
    );

    rm_dac #(
        .LANES(`RM_BOARD_DAC_CHIPS), .REST_CODE(`RM_BOARD_REST_CODE), .LIMIT_CODES(`RM_BOARD_LIMIT_CODES),
        .LINE_OF_DAC(`RM_BOARD_LINE_OF_DAC), .HALF_CLOCKS(`RM_BOARD_SPI_HALF_CLOCKS),
        .READ_HALF_CLOCKS(`RM_BOARD_SPI_READ_HALF_CLOCKS), .HIGH_CLOCKS(`RM_BOARD_SPI_HIGH_CLOCKS),
        .RESET_CLOCKS(`RM_BOARD_DAC_RESET_CLOCKS)
    ) dac (
        .clk(clk), .rst(rst),
        .s_valid(own_dac_valid || batch_dac_valid), .s_ready(dac_ready),
        .s_op(batch_dac_valid ? batch_dac_op : own_dac_op), .s_vector(dac_vector), .s_frame(dac_frame),
        .s_lanes(dac_lanes), .s_slow(dac_slow), .s_answer_lane(dac_answer_lane),
        .flush(stopping), .out_of_range(dac_out_of_range), .answer(dac_answer),
        .rd_en(input_rd), .rd_addr(input_addr), .rd_data(input_word),
        .dac_cs_n(dac_cs_n), .dac_sclk(dac_sclk), .dac_sdi(dac_sdi), .dac_sdo(dac_sdo)
    );

    rm_adc #(
        .CHIPS(`RM_BOARD_ADC_COUNT), .HALF_CLOCKS(`RM_BOARD_ADC_HALF_CLOCKS),
        .CYCLE_CLOCKS(`RM_BOARD_ADC_CYCLE_CLOCKS), .SAMPLE_EDGES(`RM_BOARD_ADC_SAMPLE_EDGES),
        .WORD_EDGES(`RM_BOARD_ADC_WORD_EDGES), .APERTURE_CLOCKS(`RM_BOARD_ADC_APERTURE_CLOCKS)
    ) adc (
        .clk(clk), .rst(rst), .s_start(adc_start), .s_ready(adc_ready), .held(adc_held),
        .m_valid(adc_valid), .m_chip(adc_chip), .m_code(adc_code), .m_link_error(adc_link_error),
        .adc_cs_n(adc_cs_n), .adc_dclock(adc_dclock), .adc_dout(adc_dout)
    );
endmodule
`default_nettype wire
