// The whole board at the level of pins: rm_board, the chips around it, and the resistors that hold lines open while
// the shift registers are disabled. Analogue inputs come in as codes, when adc_held toggles.
`default_nettype none
`include "rm_map.vh"
`include "rm_models.vh"
`include "rm_board.vh"
module board_model #(
    parameter [31:0] BUILD_ID = 32'h0
) (
    input  wire        clk,
    input  wire        rst,
    output wire        irq,
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
    // To and from the array
    output wire                              adc_held,     // toggles: codes are wanted before the next clock
    input  wire [14*`RM_BOARD_ADC_COUNT-1:0] adc_code,
    output wire [64*32-1:0]                  dac_level,    // a word each: no shifting to unpack them
    output wire                              array_moved,  // toggles when anything below or dac_level changes
    output wire [`RM_BOARD_N_BL-1:0]         bl_closed, bl_a, bl_b,
    output wire [`RM_BOARD_N_SL-1:0]         sl_closed, sl_a, sl_b, wl_a, wl_b,
    output wire                              gate,
    output wire                              outputs_on,
    output wire [2:0]                        sense_mux,
    output wire [`CHECK_COUNT-1:0]           violations
);
    localparam LINES = `RM_BOARD_N_BL;

    wire [7:0] dac_cs_n, dac_sdi, dac_sdo, dac_updated, sr_ser;
    wire       dac_sclk, adc_cs_n, adc_dclock, sr_srclk, sr_rclk, sr_srclr_n, sr_oe_n;
    wire [`RM_BOARD_ADC_COUNT-1:0] adc_dout;
    wire [63:0] input_settled_at;
    wire [`CHECK_COUNT-1:0] dac_violations [0:7], sr_violations [0:7];
    wire [`CHECK_COUNT-1:0] adc_violations, bl_violations, sl_violations, wl_violations, rule_violations;
    wire        bl_changed, sl_changed, wl_changed, input_moved;
    wire [LINES-1:0] pins [0:7];

    rm_board #(.BUILD_ID(BUILD_ID)) board (
        .clk(clk), .rst(rst), .irq(irq),
        .s_axi_awaddr(s_axi_awaddr), .s_axi_awvalid(s_axi_awvalid), .s_axi_awready(s_axi_awready),
        .s_axi_wdata(s_axi_wdata), .s_axi_wstrb(s_axi_wstrb), .s_axi_wvalid(s_axi_wvalid), .s_axi_wready(s_axi_wready),
        .s_axi_bresp(s_axi_bresp), .s_axi_bvalid(s_axi_bvalid), .s_axi_bready(s_axi_bready),
        .s_axi_araddr(s_axi_araddr), .s_axi_arvalid(s_axi_arvalid), .s_axi_arready(s_axi_arready),
        .s_axi_rdata(s_axi_rdata), .s_axi_rresp(s_axi_rresp), .s_axi_rvalid(s_axi_rvalid), .s_axi_rready(s_axi_rready),
        .dac_cs_n(dac_cs_n), .dac_sclk(dac_sclk), .dac_sdi(dac_sdi), .dac_sdo(dac_sdo),
        .adc_cs_n(adc_cs_n), .adc_dclock(adc_dclock), .adc_dout(adc_dout), .sense_mux(sense_mux),
        .sr_ser(sr_ser), .sr_srclk(sr_srclk), .sr_rclk(sr_rclk), .sr_srclr_n(sr_srclr_n), .sr_oe_n(sr_oe_n),
        .wl_gate(gate)
    );

    genvar n;
    generate
        for (n = 0; n < 8; n = n + 1) begin : lane
            dac80508 dac (
                .tick(clk), .cs_n(dac_cs_n[n]), .sclk(dac_sclk), .sdi(dac_sdi[n]), .sdo(dac_sdo[n]),
                .level(dac_level[256*n +: 256]), .updated(dac_updated[n]),
                .violations(dac_violations[n])
            );
        end
        for (n = 0; n < 8; n = n + 1) begin : chain
            sn74hc595 #(.CHIPS(LINES / 8), .PULL(1'b1), .TIED(n != 0 && n != 3)) registers (
                .tick(clk), .ser(sr_ser[n]), .srclk(sr_srclk), .rclk(sr_rclk), .srclr_n(sr_srclr_n), .oe_n(n == 0 || n == 3 ? sr_oe_n : 1'b0),
                .pins(pins[n]), .violations(sr_violations[n])
            );
        end
    endgenerate

    // Only the chains of INH (0 and 3) can be disabled; pull-ups then open every line. Addresses stay where they are, so that
    // a line that is being opened is not joined to something else on the way.
    assign bl_closed = ~pins[0];
    assign sl_closed = ~pins[3];
    assign bl_a = pins[1];
    assign bl_b = pins[2];
    assign sl_a = pins[4];
    assign sl_b = pins[5];
    assign wl_a = pins[6];
    assign wl_b = pins[7];
    assign outputs_on = !sr_oe_n;

    cd4051b #(.CHIPS(LINES)) bl_mux (
        .tick(clk), .inh(pins[0]), .a(bl_a), .b(bl_b), .changed(bl_changed), .violations(bl_violations)
    );
    cd4051b #(.CHIPS(LINES)) sl_mux (
        .tick(clk), .inh(pins[3]), .a(sl_a), .b(sl_b), .changed(sl_changed),
        .violations(sl_violations)
    );
    // The gate is the INH of all word lines; pull-downs hold open ones at ground.
    cd4051b #(.CHIPS(LINES)) wl_mux (
        .tick(clk), .inh({LINES{!gate}}), .a(wl_a), .b(wl_b), .changed(wl_changed), .violations(wl_violations)
    );

    ads8324 #(.CHIPS(`RM_BOARD_ADC_COUNT)) adc (
        .tick(clk), .cs_n(adc_cs_n), .dclock(adc_dclock), .code(adc_code), .dout(adc_dout), .held(adc_held),
        .input_settled_at(input_settled_at), .input_moved(input_moved), .input_counts(outputs_on),
        .violations(adc_violations)
    );

    array_rules #(.LINES(LINES)) rules (
        .tick(clk), .outputs_on(outputs_on), .gate(gate), .lines_changed({bl_changed, sl_changed, wl_changed}),
        .bl_closed(bl_closed), .bl_a(bl_a), .bl_b(bl_b), .sl_closed(sl_closed), .sl_a(sl_a), .sl_b(sl_b),
        .wl_a(wl_a), .wl_b(wl_b), .dac_updated(dac_updated), .dac_level(dac_level), .sense_mux(sense_mux),
        .input_settled_at(input_settled_at), .input_moved(input_moved), .violations(rule_violations)
    );

    assign array_moved = input_moved;
    assign violations = dac_violations[0] | dac_violations[1] | dac_violations[2] | dac_violations[3] | dac_violations[4]
        | dac_violations[5] | dac_violations[6] | dac_violations[7] | sr_violations[0] | sr_violations[1]
        | sr_violations[2] | sr_violations[3] | sr_violations[4] | sr_violations[5] | sr_violations[6]
        | sr_violations[7] | adc_violations | bl_violations | sl_violations | wl_violations | rule_violations;
endmodule
`default_nettype wire
