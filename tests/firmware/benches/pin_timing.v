// How many clocks lie between changes of data and edges of the chips' clocks at the pins. Prints, for each port,
//   output NAME AHEAD BEHIND     fewest clocks from a change to the edge that takes it, and from there to a change
//   input NAME AFTER             clocks from the edge that changes it until it is taken
`default_nettype none
`include "rm_board.vh"

// Distances of one output to one edge of its clock.
module pin_distance #(
    parameter WIDTH = 1
) (
    input wire             edge_taken,  // rises with the edge
    input wire [WIDTH-1:0] data
);
    integer ahead, behind;
    time changed, taken;
    initial begin
        ahead = 1000000;
        behind = 1000000;
        changed = 0;
        taken = 0;
    end
    // Data and clock of one clock edge change in one time step: the edge is looked at after all changes.
    always @(data) begin
        changed = $time;
        if (taken != 0 && $time - taken < behind * 10) behind = ($time - taken) / 10;
    end
    always @(posedge edge_taken) begin
        #1;
        if (changed != 0 && $time - 1 - changed < ahead * 10) ahead = ($time - 1 - changed) / 10;
        taken = $time - 1;
    end
endmodule

module pin_timing;
    reg clk = 1'b0, rst = 1'b1;
    always #5 clk = !clk;

    // DACs: fast frames, then a slow one
    reg          dac_go = 1'b0, slow = 1'b0;
    reg  [191:0] frames = 192'd0;
    reg          sdo = 1'b0;
    wire         dac_ready, dac_sclk;
    wire [7:0]   dac_cs_n, dac_sdi;
    wire [23:0]  answer;
    rm_dac_spi #(
        .LANES(8), .HALF_CLOCKS(`RM_BOARD_SPI_HALF_CLOCKS), .READ_HALF_CLOCKS(`RM_BOARD_SPI_READ_HALF_CLOCKS),
        .HIGH_CLOCKS(`RM_BOARD_SPI_HIGH_CLOCKS)
    ) spi (
        .clk(clk), .rst(rst), .s_valid(dac_go), .s_ready(dac_ready), .s_frames(frames), .s_lanes(8'hFF), .s_slow(slow),
        .s_answer_lane(3'd0), .answer(answer), .dac_cs_n(dac_cs_n), .dac_sclk(dac_sclk), .dac_sdi(dac_sdi), .dac_sdo({8{sdo}})
    );
    pin_distance #(.WIDTH(8)) sdi_distance (.edge_taken(!dac_sclk), .data(dac_sdi));
    pin_distance #(.WIDTH(8)) cs_distance (.edge_taken(!dac_sclk), .data(dac_cs_n));

    integer sdo_after;
    time    sclk_rose;
    always @(posedge dac_sclk) begin
        sclk_rose = $time;
        #1 sdo = !sdo;
    end
    always @(answer) if (slow && answer !== 24'd0) sdo_after = ($time - sclk_rose) / 10;

    // ADCs
    reg  adc_go = 1'b0;
    wire adc_ready, adc_cs_n, adc_dclock;
    rm_adc #(
        .CHIPS(`RM_BOARD_ADC_COUNT), .HALF_CLOCKS(`RM_BOARD_ADC_HALF_CLOCKS), .CYCLE_CLOCKS(`RM_BOARD_ADC_CYCLE_CLOCKS),
        .SAMPLE_EDGES(`RM_BOARD_ADC_SAMPLE_EDGES), .WORD_EDGES(`RM_BOARD_ADC_WORD_EDGES),
        .APERTURE_CLOCKS(`RM_BOARD_ADC_APERTURE_CLOCKS)
    ) adc (
        .clk(clk), .rst(rst), .s_start(adc_go), .s_ready(adc_ready), .held(), .m_valid(), .m_chip(), .m_code(),
        .m_link_error(), .adc_cs_n(adc_cs_n), .adc_dclock(adc_dclock), .adc_dout({`RM_BOARD_ADC_COUNT{1'b0}})
    );
    integer dout_after;
    time    dclock_fell;
    always @(negedge adc_dclock) dclock_fell = $time;
    always @(adc.bit_count) if (adc.bit_count != 0) dout_after = ($time - dclock_fell) / 10;

    // Chains: an image of alternating bits
    reg        chain_go = 1'b0;
    wire       chain_ready, sr_srclk, sr_rclk, sr_srclr_n;
    wire [7:0] sr_ser, line;
    rm_shift_chain #(.CHAINS(8), .LINES(`RM_BOARD_N_BL), .HALF_CLOCKS(`RM_BOARD_SHIFT_HALF_CLOCKS)) chain (
        .clk(clk), .rst(rst), .s_valid(chain_go), .s_ready(chain_ready), .s_clear(1'b0), .line(line), .s_bits({8{line[0]}}),
        .sr_ser(sr_ser), .sr_srclk(sr_srclk), .sr_rclk(sr_rclk), .sr_srclr_n(sr_srclr_n)
    );
    pin_distance #(.WIDTH(8)) ser_distance (.edge_taken(sr_srclk), .data(sr_ser));

    integer n;
    initial begin
        repeat (4) @(negedge clk);
        rst = 1'b0;
        adc_go = 1'b1;
        chain_go = 1'b1;
        for (n = 0; n < 8; n = n + 1) begin
            frames = {24{8'h5A}} ^ {6{$random}};
            dac_go = 1'b1;
            wait (!dac_ready);
            dac_go = 1'b0;
            wait (dac_ready);
            @(negedge clk);
        end
        $display("output dac_sdi %0d %0d", sdi_distance.ahead, sdi_distance.behind);
        $display("output dac_cs_n %0d %0d", cs_distance.ahead, cs_distance.behind);
        slow = 1'b1;
        dac_go = 1'b1;
        wait (!dac_ready);
        dac_go = 1'b0;
        wait (dac_ready);
        $display("input dac_sdo %0d", sdo_after);
        repeat (3000) @(negedge clk);
        $display("output sr_ser %0d %0d", ser_distance.ahead, ser_distance.behind);
        $display("input adc_dout %0d", dout_after);
        $finish;
    end
endmodule
`default_nettype wire
