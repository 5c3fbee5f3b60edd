// What must stop the board does so, and how soon: power-on, an abort in a batch, kicks that stay away in a batch. Prints
// clocks until gate and outputs are off, and until every DAC rests; 9999 where that does not come.
`timescale 1ns / 1ns
`default_nettype none
`include "rm_map.vh"
`include "rm_models.vh"
`include "rm_board.vh"
module stops;
`include "board_bench.vh"

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
            write(CONTROL, {16'd`RM_CONTROL_KEY, 16'h2});
            write(WATCHDOG_KICK, `RM_WATCHDOG_KICK_KEY);
            write(CONTROL, {16'd`RM_CONTROL_KEY, 16'h1});
            for (waited = 0; waited < 800 && rdata[3:0] !== 4'd2; waited = waited + 1) begin
                repeat (10) @(negedge clk);
                read(STATUS);
            end
            read(COMMAND_TAIL);
            @(negedge clk);
            head = rdata[21:16];
            queue(`RM_OP_ROUTE_MVM, 32'd0, 32'hFFFFFFFF, 32'h00000101);
            queue(`RM_OP_MVM, 32'd4, 0, 0);
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
        write(WATCHDOG_MS, 32'd20);
        for (start = 0; start < 128; start = start + 1)
            write(`RM_WINDOW_INPUTS + 4 * start, {2{16'd`RM_BOARD_REST_CODE + 16'd`RM_BOARD_LIMIT_CODES}});
        start_batch;
        write(CONTROL, {16'd`RM_CONTROL_KEY, 16'h4});
        watch;
        $display("abort %h", off_after[15:0]);
        $display("abort %h", rest_after[15:0]);
        start_batch;
        write(WATCHDOG_MS, 32'd1);
        write(WATCHDOG_KICK, `RM_WATCHDOG_KICK_KEY);
        watch;
        $display("watchdog %h", off_after[15:0]);
        $display("watchdog %h", rest_after[15:0]);
        $display("violations %h", violations);
        $finish;
    end
endmodule
`default_nettype wire
