// What must stop the board does so, and how soon: power-on, an abort in a batch, kicks that stay away in a batch. Prints
// clocks until gate and outputs are off, and until every DAC rests; 9999 where that does not come.
`timescale 1ns / 1ns
`default_nettype none
`include "rm_map.vh"
`include "rm_models.vh"
`include "rm_board.vh"
`ifndef HALF_NS
`define HALF_NS 5
`endif
module stops;
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
    task command(input [7:0] opcode, input [31:0] word1, input [31:0] word2, input [31:0] word4);
        begin
            write(`RM_WINDOW_COMMANDS + 32 * head, {24'd0, opcode});
            write(`RM_WINDOW_COMMANDS + 32 * head + 4, word1);
            write(`RM_WINDOW_COMMANDS + 32 * head + 8, word2);
            write(`RM_WINDOW_COMMANDS + 32 * head + 12, 32'd0);
            write(`RM_WINDOW_COMMANDS + 32 * head + 16, word4);
            write(`RM_WINDOW_COMMANDS + 32 * head + 20, 32'd0);
            head = head + 1;
            write(18'h060, head);
        end
    endtask

    localparam [31:0] REST = `RM_BOARD_REST_CODE;
    wire at_rest = dac_level === {64{REST}};

    integer clocks, off_after, rest_after;
    task watch;
        begin
            off_after = 9999;
            rest_after = 9999;
            for (clocks = 0; clocks < 1800; clocks = clocks + 1) begin
                if (off_after == 9999 && !outputs_on && !gate) off_after = clocks;
                if (rest_after == 9999 && off_after != 9999 && at_rest) rest_after = clocks;
                @(negedge clk);
            end
        end
    endtask

    // In the middle of a batch, all lines driven away from rest.
    integer waited;
    task start_batch;
        begin
            write(18'h040, {16'd`RM_CONTROL_KEY, 16'h2});
            write(18'h054, `RM_WATCHDOG_KICK_KEY);
            write(18'h040, {16'd`RM_CONTROL_KEY, 16'h1});
            for (waited = 0; waited < 800 && rdata[3:0] !== 4'd2; waited = waited + 1) begin
                repeat (10) @(negedge clk);
                read(18'h044);
            end
            read(18'h064);
            @(negedge clk);
            head = rdata[21:16];
            command(`RM_OP_ROUTE_MVM, 32'd0, 32'hFFFFFFFF, 32'h00000101);
            command(`RM_OP_MVM, 32'd4, 0, 0);
            for (waited = 0; waited < 8000 && at_rest; waited = waited + 1) @(negedge clk);
            $display("driven %h", {3'd0, outputs_on && gate && !at_rest});
        end
    endtask

    integer start;
    initial begin
        #1 $display("power_on %h", {2'd0, outputs_on, gate});
        repeat (4) @(negedge clk);
        $display("power_on %h", {2'd0, outputs_on, gate});
        rst = 0;
        repeat (50) @(negedge clk);
        $display("power_on %h", {2'd0, outputs_on, gate});
        write(18'h050, 32'd20);
        for (start = 0; start < 128; start = start + 1)
            write(`RM_WINDOW_INPUTS + 4 * start, {2{16'd`RM_BOARD_REST_CODE + 16'd`RM_BOARD_LIMIT_CODES}});
        start_batch;
        write(18'h040, {16'd`RM_CONTROL_KEY, 16'h4});
        watch;
        $display("abort %h", off_after[15:0]);
        $display("abort %h", rest_after[15:0]);
        start_batch;
        write(18'h050, 32'd1);
        write(18'h054, `RM_WATCHDOG_KICK_KEY);
        watch;
        $display("watchdog %h", off_after[15:0]);
        $display("watchdog %h", rest_after[15:0]);
        $display("violations %h", violations);
        $finish;
    end
endmodule
`default_nettype wire
