// The chips by themselves: what the board cannot be made to do wrong, and what it never asks for. Prints one line for each
// step: its name and what was seen.
`timescale 1ns / 1ns
`default_nettype none
`include "rm_models.vh"
module chips;
    reg tick = 1'b0;
    always #1 tick = !tick;   // pins are looked at every 2 ns

    // DAC80508
    reg dac_cs_n = 1'b1, dac_sclk = 1'b0, dac_sdi = 1'b0;
    wire dac_sdo;
    wire [8*32-1:0] level;
    wire [`CHECK_COUNT-1:0] dac_violations;
    dac80508 dac (.tick(tick), .cs_n(dac_cs_n), .sclk(dac_sclk), .sdi(dac_sdi), .sdo(dac_sdo), .level(level), .updated(),
                  .violations(dac_violations));

    reg [31:0] answer;
    integer n;
    // A frame with 30 ns for each clock level; its last bits come first.
    task frame(input integer bits, input [31:0] data);
        begin
            #100 dac_cs_n = 1'b0;
            #30;
            for (n = bits - 1; n >= 0; n = n - 1) begin
                dac_sclk = 1'b1;
                dac_sdi = data[n];
                #30 dac_sclk = 1'b0;
                answer = {answer[30:0], dac_sdo};
                #30;
            end
            dac_cs_n = 1'b1;
            #100;
        end
    endtask

    // ADS8324
    reg adc_cs_n = 1'b1, dclock = 1'b0;
    wire adc_dout;
    wire [`CHECK_COUNT-1:0] adc_violations;
    ads8324 adc (.tick(tick), .cs_n(adc_cs_n), .dclock(dclock), .code(14'h2A5C), .dout(adc_dout), .held(),
                 .input_settled_at(64'd0), .input_moved(1'b0), .input_counts(1'b1), .violations(adc_violations));

    reg [21:0] word;
    task convert(input integer half_ns);
        begin
            adc_cs_n = 1'b0;
            for (n = 0; n < 22; n = n + 1) begin
                #half_ns dclock = 1'b1;
                word = {word[20:0], adc_dout};
                #half_ns dclock = 1'b0;
            end
            #half_ns adc_cs_n = 1'b1;
            #2000;
        end
    endtask

    // 74HC595
    reg ser = 1'b0, srclk = 1'b0, rclk = 1'b0, srclr_n = 1'b1;
    wire [7:0] pins;
    wire [`CHECK_COUNT-1:0] sr_violations;
    sn74hc595 #(.CHIPS(1)) register (.tick(tick), .ser(ser), .srclk(srclk), .rclk(rclk), .srclr_n(srclr_n), .oe_n(1'b0),
                                     .pins(pins), .violations(sr_violations));

    task shift(input value);
        begin
            #40 ser = value;
            #40 srclk = 1'b1;
            #40 srclk = 1'b0;
        end
    endtask

    initial begin
        #100;
        frame(24, 24'h040000);                       // gain 1
        frame(24, 24'h080123);
        $display("written at once: %0d", level[31:0]);
        frame(24, 24'h02FFFF);                       // synchronous update
        frame(24, 24'h080456);
        $display("kept in the buffer: %0d", level[31:0]);
        frame(24, 24'h050010);
        $display("updated: %0d", level[31:0]);
        frame(24, 24'h060777);
        frame(24, 24'h050010);
        $display("broadcast: %0d %0d", level[31:0], level[7*32 +: 32]);
        frame(24, 24'h0400FF | 24'h000100);          // gain 2 of a halved reference
        $display("halved and doubled: %0d", level[31:0]);
        frame(24, 24'h880000);
        frame(24, 24'h000000);
        $display("answer in the next frame: %h", answer[23:0]);
        frame(24, 24'h880000 );
        $display("not in the same: %h", answer[15:0]);
        frame(24, 24'h030800);                       // CRC mode: frames of 32 bits from here on
        frame(32, 32'h0300003E);
        $display("wrong crc taken as write: %b, crc check: %b", dac.config_register == 16'h0, dac_violations[`CHECK_DAC_CRC]);
        $display("other checks of the DAC: %b", (dac_violations & ~(1 << `CHECK_DAC_CRC)) != 0);
        frame(32, {24'h030000, crc(24'h030000)});
        $display("right crc taken: %b", dac.config_register == 16'h0);

        convert(420);
        $display("word of the ADC: %b", word[16:0]);
        $display("checks of the ADC: %b", adc_violations != 0);
        convert(21000);
        $display("slow DCLOCK: %b", adc_violations == (1 << `CHECK_ADC_DCLOCK_SLOW));

        #100 srclr_n = 1'b0;
        #40 rclk = 1'b1;
        #40 rclk = 1'b0;
        srclr_n = 1'b1;
        $display("cleared: %b", pins);
        for (n = 0; n < 8; n = n + 1) shift(n < 3);
        #40 rclk = 1'b1;
        #40 rclk = 1'b0;
        $display("shifted: %b", pins);
        $display("enabled while unknown: %b", sr_violations[`CHECK_SR_OE_UNKNOWN]);
        #40 srclr_n = 1'b0;
        #40 srclr_n = 1'b1;
        #4 srclk = 1'b1;
        #40 srclk = 1'b0;
        $display("clear recovery: %b", sr_violations[`CHECK_SR_CLEAR_RECOVERY]);
        $finish;
    end

    function [7:0] crc(input [23:0] data);   // CRC-8-ATM, one bit at a time from the top
        integer i;
        begin
            crc = 8'h00;
            for (i = 23; i >= 0; i = i - 1) crc = (crc << 1) ^ ((crc[7] ^ data[i]) ? 8'h07 : 8'h00);
        end
    endfunction
endmodule
`default_nettype wire
