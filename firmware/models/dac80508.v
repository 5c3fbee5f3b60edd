// DAC80508 (TI SLASEL1D): SPI, registers, synchronous update, broadcast, soft reset, CRC mode, answers to reads; asserts the
// timing of writes and of reads. level is each output in units of span / 65536, span being that of gain 1 without
// division. Pins are looked at with each tick, whose period is the resolution of all times. A violation sticks.
`default_nettype none
`include "rm_models.vh"
module dac80508 #(
    parameter [15:0] POWER_ON_CODE = 16'h0000,
    parameter        SUPPLY_ALLOWS_DOUBLE = 0   // whether VDD has headroom for gain 2 without division
) (
    input  wire              tick,
    input  wire              cs_n,
    input  wire              sclk,
    input  wire              sdi,
    output reg               sdo,
    output reg  [8*32-1:0]   level,      // channel 0 lowest
    output reg               updated,    // toggles when an output may have changed
    output reg  [`CHECK_COUNT-1:0] violations
);
    localparam [15:0] DEVICE_ID = 16'h0880;  // 16 bits, 8 channels (TI SLASEL1D, register map)

    reg [15:0] sync_register, config_register, gain_register;
    reg [8*16-1:0] buffers, codes;

    reg [31:0] shift;
    reg [5:0]  count;
    reg [31:0] answer;        // shifts out in the next frame
    reg        answers;
    reg        sdo_next;
    reg        cs_n_before, sclk_before, sdi_before;
    time       t_cs_fall, t_cs_rise, t_sclk_rise, t_sclk_fall, t_sdi, t_reset, t_sdo;

    wire       has_crc = config_register[11];
    wire [5:0] frame_bits = has_crc ? 6'd32 : 6'd24;

    function [7:0] crc8(input [23:0] data);
        integer i;
        reg [7:0] crc;
        begin
            crc = 8'h00;
            for (i = 23; i >= 0; i = i - 1) crc = {crc[6:0], 1'b0} ^ ((crc[7] ^ data[i]) ? 8'h07 : 8'h00);
            crc8 = crc;
        end
    endfunction

    initial begin
        violations = {`CHECK_COUNT{1'b0}};
        cs_n_before = 1'b1;
        sclk_before = 1'b0;
        sdi_before = 1'b0;
        count = 6'd0;
        shift = 32'h0;
        answer = 32'h0;
        answers = 1'b0;
        sdo = 1'b0;
        sdo_next = 1'b0;
        updated = 1'b0;
        level = {8{16'd0, POWER_ON_CODE}};
        t_cs_fall = 0;
        t_cs_rise = 0;
        t_sclk_rise = 0;
        t_sclk_fall = 0;
        t_sdi = 0;
        t_sdo = 0;
        t_reset = 0;
        sync_register = 16'hFF00;
        config_register = 16'h0000;
        gain_register = 16'h0000;
        buffers = {8{POWER_ON_CODE}};
        codes = {8{POWER_ON_CODE}};
    end

    task show_levels;
        integer channel;
        reg [16:0] code;
        begin
            for (channel = 0; channel < 8; channel = channel + 1) begin
                code = {1'b0, codes[16*channel +: 16]};
                if (gain_register[8]) code = {1'b0, code[16:1]};
                level[32*channel +: 32] <= {15'd0, gain_register[channel] ? {code[15:0], 1'b0} : code};
            end
            updated <= !updated;
        end
    endtask

    task reset_registers;
        begin
            sync_register = 16'hFF00;
            config_register = 16'h0000;
            gain_register = 16'h0000;
            buffers = {8{POWER_ON_CODE}};
            codes = {8{POWER_ON_CODE}};
            t_reset = $time;
            show_levels;
        end
    endtask

    task write_register(input [3:0] address, input [15:0] data);
        integer channel;
        begin
            case (address)
                4'h2: sync_register = data;
                4'h3: config_register = data;
                4'h4: begin
                    gain_register = data;
                    if (data[7:0] != 8'h00 && !data[8] && SUPPLY_ALLOWS_DOUBLE == 0) violations[`CHECK_DAC_HEADROOM] = 1'b1;
                    show_levels;
                end
                4'h5: begin
                    if (data[3:0] == 4'hA) reset_registers;
                    else if (data[4]) begin
                        for (channel = 0; channel < 8; channel = channel + 1) begin
                            if (sync_register[channel]) codes[16*channel +: 16] = buffers[16*channel +: 16];
                        end
                        show_levels;
                    end
                end
                4'h6: begin
                    for (channel = 0; channel < 8; channel = channel + 1) begin
                        if (sync_register[8+channel]) begin
                            buffers[16*channel +: 16] = data;
                            if (!sync_register[channel]) codes[16*channel +: 16] = data;
                        end
                    end
                    show_levels;
                end
                default: if (address[3]) begin
                    buffers[16*address[2:0] +: 16] = data;
                    if (!sync_register[{1'b0, address[2:0]}]) begin
                        codes[16*address[2:0] +: 16] = data;
                        show_levels;
                    end
                end
            endcase
        end
    endtask

    function [15:0] read_register(input [3:0] address);
        case (address)
            4'h1: read_register = DEVICE_ID;
            4'h2: read_register = sync_register;
            4'h3: read_register = config_register;
            4'h4: read_register = gain_register;
            default: read_register = address[3] ? buffers[16*address[2:0] +: 16] : 16'h0000;
        endcase
    endfunction

    task cs_falls;
    begin
        if ($time > 0 && $time - t_cs_rise < `DAC80508_CS_HIGH_NS) violations[`CHECK_DAC_CS_HIGH] = 1'b1;
        if (t_reset != 0 && $time - t_reset < `DAC80508_RESET_WAIT_NS) violations[`CHECK_DAC_RESET_WAIT] = 1'b1;
        count = 6'd0;
        t_cs_fall = $time;
    end
    endtask

    task sclk_rises;
    begin
        if (count != 6'd0 && $time - t_sclk_fall < `DAC80508_SCLK_WIDTH_NS) violations[`CHECK_DAC_SCLK_WIDTH] = 1'b1;
        if (answers) begin
            if (count != 6'd0 && ($time - t_sclk_rise < `DAC80508_READ_PERIOD_NS || $time - t_sclk_fall < `DAC80508_READ_WIDTH_NS))
                violations[`CHECK_DAC_READ_RATE] = 1'b1;
            sdo_next = answer[31];
            answer = {answer[30:0], 1'b0};
            t_sdo = $time;
        end
        t_sclk_rise = $time;
    end
    endtask

    task sdi_changes;
    begin
        if (!cs_n && count != 6'd0 && count < frame_bits && $time - t_sclk_fall < `DAC80508_SDI_HOLD_NS)
            violations[`CHECK_DAC_SDI_HOLD] = 1'b1;
        t_sdi = $time;
    end
    endtask

    task sclk_falls;
    begin
        if (count == 6'd0 && $time - t_cs_fall < (answers ? `DAC80508_READ_CS_SETUP_NS : `DAC80508_CS_SETUP_NS))
            violations[answers ? `CHECK_DAC_READ_RATE : `CHECK_DAC_CS_SETUP] = 1'b1;
        if (count != 6'd0 && $time - t_sclk_fall < `DAC80508_SCLK_PERIOD_NS) violations[`CHECK_DAC_SCLK_PERIOD] = 1'b1;
        if ($time - t_sclk_rise < `DAC80508_SCLK_WIDTH_NS) violations[`CHECK_DAC_SCLK_WIDTH] = 1'b1;
        if (answers && $time - t_sclk_rise < `DAC80508_READ_WIDTH_NS) violations[`CHECK_DAC_READ_RATE] = 1'b1;
        if ($time - t_sdi < `DAC80508_SDI_SETUP_NS) violations[`CHECK_DAC_SDI_SETUP] = 1'b1;
        if (count < frame_bits) shift = {shift[30:0], sdi};
        if (count != 6'd63) count = count + 6'd1;
        t_sclk_fall = $time;
    end
    endtask

    reg [23:0] frame;
    reg        frame_is_good;
    task cs_rises;
    begin
        t_cs_rise = $time;
        answers = 1'b0;
        if ($time > 0) begin
            if (count != 6'd0 && $time - t_sclk_fall < `DAC80508_CS_HOLD_NS) violations[`CHECK_DAC_CS_HOLD] = 1'b1;
            // CS without a clock, as at power-on, is no frame.
            if (count != 6'd0 && count != frame_bits) violations[`CHECK_DAC_FRAME_LENGTH] = 1'b1;
            frame = has_crc ? shift[31:8] : shift[23:0];
            frame_is_good = count >= frame_bits;
            if (frame_is_good && has_crc && crc8(frame) != shift[7:0]) begin
                violations[`CHECK_DAC_CRC] = 1'b1;
                frame_is_good = 1'b0;
            end
            if (frame_is_good && frame[23]) begin
                answer = {frame[23:16], read_register(frame[19:16]), 8'h00};
                answers = 1'b1;
            end else if (frame_is_good) begin
                write_register(frame[19:16], frame[15:0]);
            end
        end
    end
    endtask

    always @(posedge tick) begin
        if ({cs_n, sclk, sdi} != {cs_n_before, sclk_before, sdi_before}) begin
            // Data that changes in the moment of an edge comes after it.
            if (!cs_n && cs_n_before) cs_falls;
            if (sclk != sclk_before && !cs_n && sclk) sclk_rises;
            if (sclk != sclk_before && !cs_n && !sclk) sclk_falls;
            if (sdi != sdi_before) sdi_changes;
            if (cs_n && !cs_n_before) cs_rises;
            {cs_n_before, sclk_before, sdi_before} = {cs_n, sclk, sdi};
        end
        if (sdo != sdo_next) begin
            if ($time - t_sdo >= `DAC80508_READ_DELAY_NS) sdo <= sdo_next;
        end
    end
endmodule
`default_nettype wire
