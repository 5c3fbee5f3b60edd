// Everything that the board does, once: identify the DACs, arm, multiply with two steps, select a cell, pulse it, hold its
// gate, multiply again, refuse an input that is too large, disarm. Prints results and the checks that were violated.
`timescale 1ns / 1ns
`default_nettype none
`include "rm_map.vh"
`include "rm_models.vh"
`include "rm_board.vh"
module scenario;
`include "board_bench.vh"

    // The array: TIA t reads t + 100.
    integer chip;
    always @(adc_held) $display("channel %h", dac_level[31:0]);
    always @(adc_held) for (chip = 0; chip < `RM_BOARD_ADC_COUNT; chip = chip + 1)
        adc_code[14*chip +: 14] = (`RM_BOARD_ADC_COUNT * sense_mux + chip) % 64 + 100;

    task command(input [7:0] opcode, input [31:0] word1, input [31:0] word2, input [31:0] word4);
        begin
            queue(opcode, word1, word2, word4);
            await_state(4'd0);
        end
    endtask

    // Until the ring is empty, or FAULT; state 2 waits for READY.
    integer spent;
    task await_state(input [3:0] wanted);
        begin
            spent = 0;
            read(STATUS);
            while (!(rdata[3:0] == 5 || (wanted == 0 ? rdata[12] : rdata[3:0] == wanted)) && spent < 4000) begin
                repeat (10) @(negedge clk);
                spent = spent + 1;
                read(STATUS);
            end
        end
    endtask

    integer n;
    initial begin
        repeat (4) @(negedge clk);
        rst = 0;
        command(`RM_OP_DAC_FRAME, 32'h01810000, 32'h000000FF, 0);
        command(`RM_OP_DAC_FRAME, 32'h01000000, 32'h000003FF, 0);
        read(DAC_ANSWER);
        $display("answer %h", rdata);
        write(CONTROL, {16'd`RM_CONTROL_KEY, 16'h1});
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
        read(STATUS);
        $display("status %h", rdata);
        write(`RM_WINDOW_INPUTS, {2{16'd`RM_BOARD_REST_CODE + 16'd`RM_BOARD_LIMIT_CODES + 16'd1}});
        command(`RM_OP_MVM, 32'd1, 0, 0);
        read(STATUS);
        $display("status %h", rdata);
        write(CONTROL, {16'd`RM_CONTROL_KEY, 16'h2});
        repeat (20) @(negedge clk);
        $display("violations %h", violations);
        $finish;
    end
endmodule
`default_nettype wire
