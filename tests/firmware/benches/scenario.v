// Everything that the board does, once: identify the DACs, arm, multiply with two steps, select a cell, pulse it, hold its
// gate, multiply again, refuse an input that is too large, disarm. Prints results and the checks that were violated.
`timescale 1ns / 1ns
`default_nettype none
`include "rm_map.vh"
`include "rm_models.vh"
`include "rm_board.vh"
`ifndef HALF_NS
`define HALF_NS 5
`endif
module scenario;
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

    // The array: TIA t reads t + 100.
    integer chip;
    always @(adc_held) $display("channel %h", dac_level[31:0]);
    always @(adc_held) for (chip = 0; chip < `RM_BOARD_ADC_COUNT; chip = chip + 1)
        adc_code[14*chip +: 14] = (`RM_BOARD_ADC_COUNT * sense_mux + chip) % 64 + 100;

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
    integer spent;
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
            await_state(4'd0);
        end
    endtask

    // Until the ring is empty, or FAULT; state 2 waits for READY.
    task await_state(input [3:0] wanted);
        begin
            spent = 0;
            read(18'h044);
            while (!(rdata[3:0] == 5 || (wanted == 0 ? rdata[12] : rdata[3:0] == wanted)) && spent < 4000) begin
                repeat (10) @(negedge clk);
                spent = spent + 1;
                read(18'h044);
            end
        end
    endtask

    integer n;
    initial begin
        repeat (4) @(negedge clk);
        rst = 0;
        command(`RM_OP_DAC_FRAME, 32'h01810000, 32'h000000FF, 0);
        command(`RM_OP_DAC_FRAME, 32'h01000000, 32'h000003FF, 0);
        read(18'h084);
        $display("answer %h", rdata);
        write(18'h040, {16'd`RM_CONTROL_KEY, 16'h1});
        await_state(4'd2);
        for (n = 0; n < 64; n = n + 1) write(`RM_WINDOW_INPUTS + 4 * n, {2{16'd`RM_BOARD_REST_CODE + n[15:0]}});
        command(`RM_OP_ROUTE_MVM, 32'h00000000, 32'hFFFFFFFF, 32'h00000101);
        command(`RM_OP_MVM, 32'd2, 0, 0);
        read(`RM_WINDOW_RESULTS + 128);
        $display("result %h", rdata);
        read(`RM_WINDOW_RESULTS + 128 + 16);
        $display("result %h", rdata);
        command(`RM_OP_ROUTE_CELL, 32'h00030002, 32'h3, 0);
        command(`RM_OP_PULSE, 32'd100, 0, 0);
        command(`RM_OP_GATE, 32'd1, 0, 0);
        command(`RM_OP_ROUTE_MVM, 32'h00000101, 32'h0000FFFF, 32'h00000001);
        command(`RM_OP_MVM, 32'd1, 0, 0);
        read(18'h044);
        $display("status %h", rdata);
        write(`RM_WINDOW_INPUTS, {2{16'd`RM_BOARD_REST_CODE + 16'd`RM_BOARD_LIMIT_CODES + 16'd1}});
        command(`RM_OP_MVM, 32'd1, 0, 0);
        read(18'h044);
        $display("status %h", rdata);
        write(18'h040, {16'd`RM_CONTROL_KEY, 16'h2});
        repeat (20) @(negedge clk);
        $display("violations %h", violations);
        $finish;
    end
endmodule
`default_nettype wire
