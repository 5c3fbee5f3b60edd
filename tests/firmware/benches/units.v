// Small units by themselves: gate, watchdog, bus slave.
`timescale 1ns / 1ns
`default_nettype none
module units;
    reg clk = 1'b0, rst = 1'b1;
    always #5 clk = !clk;

    reg pulse = 1'b0, hold_on = 1'b0, hold_off = 1'b0, force_off = 1'b0;
    reg [31:0] clocks = 32'd1;
    wire gate_ready, wl_gate;
    rm_gate gate (.clk(clk), .rst(rst), .s_valid(pulse), .s_ready(gate_ready), .s_clocks(clocks), .hold_on(hold_on),
                  .hold_off(hold_off), .force_off(force_off), .wl_gate(wl_gate));

    reg run = 1'b0, kick = 1'b0;
    reg [9:0] timeout = 10'd2;
    wire [9:0] left;
    wire trip;
    rm_watchdog #(.CLOCKS_PER_MS(10)) watchdog (.clk(clk), .rst(rst), .run(run), .kick(kick), .timeout_ms(timeout),
                                                .left_ms(left), .trip(trip));

    reg [17:0] awaddr = 0, araddr = 0;
    reg [3:0] wstrb = 4'hF;
    reg awvalid = 0, wvalid = 0, arvalid = 0, bready = 0, rready = 0;
    wire awready, wready, bvalid, arready, rvalid, wr_en, rd_en;
    wire [1:0] bresp, rresp;
    wire [31:0] rdata, wr_data;
    wire [15:0] wr_word, rd_word;
    rm_axi_slave bus (
        .clk(clk), .rst(rst), .s_axi_awaddr(awaddr), .s_axi_awvalid(awvalid), .s_axi_awready(awready),
        .s_axi_wdata(32'h12345678), .s_axi_wstrb(wstrb), .s_axi_wvalid(wvalid), .s_axi_wready(wready),
        .s_axi_bresp(bresp), .s_axi_bvalid(bvalid), .s_axi_bready(bready), .s_axi_araddr(araddr), .s_axi_arvalid(arvalid),
        .s_axi_arready(arready), .s_axi_rdata(rdata), .s_axi_rresp(rresp), .s_axi_rvalid(rvalid), .s_axi_rready(rready),
        .wr_en(wr_en), .wr_word(wr_word), .wr_data(wr_data), .wr_known(1'b1), .rd_en(rd_en), .rd_word(rd_word),
        .rd_known(araddr[17] == 1'b0), .rd_data(32'hCAFE0001)
    );

    integer high, waited;
    task count_pulse(input [31:0] length);
        begin
            @(negedge clk) clocks = length;
            pulse = 1'b1;
            high = 0;
            @(negedge clk) pulse = 1'b0;
            while (wl_gate) begin
                high = high + 1;
                @(negedge clk);
            end
        end
    endtask

    integer writes;
    always @(posedge clk) if (wr_en) writes = writes + 1;

    initial begin
        writes = 0;
        repeat (3) @(negedge clk);
        rst = 1'b0;
        count_pulse(32'd1);
        $display("pulse of 1: %0d", high);
        count_pulse(32'd257);
        $display("pulse of 257: %0d", high);
        @(negedge clk) hold_on = 1'b1;
        @(negedge clk) hold_on = 1'b0;
        repeat (5) @(negedge clk);
        $display("held: %b", wl_gate);
        force_off = 1'b1;
        hold_on = 1'b1;
        @(negedge clk) $display("forced off: %b", wl_gate);
        hold_on = 1'b0;
        force_off = 1'b0;

        run = 1'b1;
        waited = 0;
        while (!trip) begin
            @(negedge clk) waited = waited + 1;
        end
        $display("tripped after: %0d", waited);
        run = 1'b0;
        @(negedge clk) run = 1'b1;
        repeat (15) @(negedge clk);
        kick = 1'b1;
        @(negedge clk) kick = 1'b0;
        repeat (19) @(negedge clk);
        $display("kicked: %b, left %0d", trip, left);
        run = 1'b0;
        timeout = 10'd0;
        @(negedge clk) run = 1'b1;
        repeat (3) @(negedge clk);
        $display("zero trips: %b", trip);

        // Data before address, an answer that is not taken at once
        awaddr = 18'h00010;
        wvalid = 1'b1;
        repeat (3) @(negedge clk);
        $display("data alone: %0d writes", writes);
        awvalid = 1'b1;
        @(negedge clk) awvalid = 1'b0;
        wvalid = 1'b0;
        repeat (3) @(negedge clk);
        $display("with address: %0d writes, answer waits %b, okay %0d", writes, bvalid, bresp);
        bready = 1'b1;
        @(negedge clk) $display("answered: %b", bvalid);
        wstrb = 4'h3;
        awvalid = 1'b1;
        wvalid = 1'b1;
        @(negedge clk) awvalid = 1'b0;
        wvalid = 1'b0;
        $display("part of a word: %0d writes, response %0d", writes, bresp);
        arvalid = 1'b1;
        @(negedge clk) arvalid = 1'b0;
        $display("read: %h response %0d", rdata, rresp);
        rready = 1'b1;
        @(negedge clk) araddr = 18'h20000;
        arvalid = 1'b1;
        @(negedge clk) arvalid = 1'b0;
        $display("unknown: %h response %0d", rdata, rresp);
        $finish;
    end
endmodule
`default_nettype wire
