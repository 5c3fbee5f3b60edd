// The board in a bench: its clock, its pins, and what goes over its bus. Benches include this at the top of their module;
// adc_code is theirs to set.
`ifndef HALF_NS
`define HALF_NS 5
`endif
    localparam [17:0] CONTROL = 18'h040, STATUS = 18'h044, WATCHDOG_MS = 18'h050, WATCHDOG_KICK = 18'h054,
                      COMMAND_HEAD = 18'h060, COMMAND_TAIL = 18'h064, DAC_ANSWER = 18'h084;

    reg clk = 1'b0, rst = 1'b1;
    always #(`HALF_NS) clk = !clk;

    reg  [17:0] awaddr = 0, araddr = 0;
    reg  [31:0] wdata = 0;
    reg         awvalid = 0, arvalid = 0;
    wire        awready, arready, bvalid, rvalid, irq, adc_held, gate, outputs_on;
    wire [1:0]  bresp, rresp;
    wire [31:0] rdata;
    reg  [14*`RM_BOARD_ADC_COUNT-1:0] adc_code = 0;
    wire [2:0]  sense_mux;
    wire [64*32-1:0] dac_level;
    wire [`CHECK_COUNT-1:0] violations;

    board_model board (
        .clk(clk), .rst(rst), .irq(irq),
        .s_axi_awaddr(awaddr), .s_axi_awvalid(awvalid), .s_axi_awready(awready), .s_axi_wdata(wdata), .s_axi_wstrb(4'hF),
        .s_axi_wvalid(awvalid), .s_axi_wready(), .s_axi_bresp(bresp), .s_axi_bvalid(bvalid), .s_axi_bready(1'b1),
        .s_axi_araddr(araddr), .s_axi_arvalid(arvalid), .s_axi_arready(arready), .s_axi_rdata(rdata),
        .s_axi_rresp(rresp), .s_axi_rvalid(rvalid), .s_axi_rready(1'b1),
        .adc_held(adc_held), .adc_code(adc_code), .dac_level(dac_level), .array_moved(), .bl_closed(), .bl_a(), .bl_b(),
        .sl_closed(), .sl_a(), .sl_b(), .wl_a(), .wl_b(), .gate(gate), .outputs_on(outputs_on), .sense_mux(sense_mux),
        .violations(violations)
    );

`ifdef UNTIL_CHECK
    // Its first violation is all that is asked for.
    always @(posedge violations[`UNTIL_CHECK]) begin
        $display("violations %h", violations);
        $finish;
    end
`endif

    task write(input [17:0] address, input [31:0] value);
        begin
            @(negedge clk);
            awaddr = address;
            wdata = value;
            awvalid = 1;
            @(negedge clk);
            awvalid = 0;
            @(negedge clk);
        end
    endtask

    task read(input [17:0] address);
        begin
            @(negedge clk);
            araddr = address;
            arvalid = 1;
            @(negedge clk);
            arvalid = 0;
        end
    endtask

    reg [5:0] head = 0;
    task queue(input [7:0] opcode, input [31:0] word1, input [31:0] word2, input [31:0] word4);
        begin
            write(`RM_WINDOW_COMMANDS + 32 * head, {24'd0, opcode});
            write(`RM_WINDOW_COMMANDS + 32 * head + 4, word1);
            write(`RM_WINDOW_COMMANDS + 32 * head + 8, word2);
            write(`RM_WINDOW_COMMANDS + 32 * head + 12, 32'd0);
            write(`RM_WINDOW_COMMANDS + 32 * head + 16, word4);
            write(`RM_WINDOW_COMMANDS + 32 * head + 20, 32'd0);
            head = head + 1;
            write(COMMAND_HEAD, head);
        end
    endtask
