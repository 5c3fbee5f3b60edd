// What is sent to the DACs: one operation at a time, taken when s_valid && s_ready, done when s_ready returns.
//   LOAD     one vector from the input RAM into the chips' buffers; codes outside REST_CODE +- LIMIT_CODES stop it and set
//            out_of_range, before the vector can be driven
//   UPDATE   buffers to outputs
//   REST     every channel to REST_CODE
//   SET_UP   soft reset, its wait, gain 1, all channels powered, synchronous update and broadcast enabled
//   FRAME    one frame as it is, to the lanes in s_lanes
// flush gives up a LOAD after its present frame. Reset: synchronous, active high.
`default_nettype none
`include "rm_dac_ops.vh"
module rm_dac #(
    parameter LANES            = 8,
    parameter [15:0] REST_CODE = 16'd39322,
    parameter [15:0] LIMIT_CODES = 16'd5243,
    parameter [384-1:0] LINE_OF_DAC = 384'h0,  // line of each channel, six bits each
    parameter HALF_CLOCKS      = 1,
    parameter READ_HALF_CLOCKS = 3,
    parameter HIGH_CLOCKS      = 2,
    parameter RESET_CLOCKS     = 25000
) (
    input  wire                     clk,
    input  wire                     rst,
    // Operations (sink)
    input  wire                     s_valid,
    output wire                     s_ready,
    input  wire [2:0]               s_op,
    input  wire [8:0]               s_vector,  // bank and number of a vector, for LOAD
    input  wire [23:0]              s_frame,
    input  wire [LANES-1:0]         s_lanes,
    input  wire                     s_slow,
    input  wire [2:0]               s_answer_lane,
    input  wire                     flush,
    output reg                      out_of_range,
    output wire [23:0]              answer,
    // Input RAM
    output wire                     rd_en,
    output wire [13:0]              rd_addr,
    input  wire [31:0]              rd_data,
    // Pins
    output wire [LANES-1:0]         dac_cs_n,
    output wire                     dac_sclk,
    output wire [LANES-1:0]         dac_sdi,
    input  wire [LANES-1:0]         dac_sdo
);
    localparam IDLE = 3'd0, FETCH = 3'd1, SEND = 3'd2, SENT = 3'd3, SCRIPT = 3'd4, PAUSE = 3'd5;

    // Registers of the DAC80508 (TI SLASEL1D)
    localparam [3:0] SYNC = 4'h2, CONFIG = 4'h3, GAIN = 4'h4, TRIGGER = 4'h5, BRDCAST = 4'h6;
    localparam [15:0] SOFT_RESET = 16'h000A, SOFT_LDAC = 16'h0010;
    localparam [15:0] RESET_LAST = RESET_CLOCKS - 1;

    reg [2:0]               state;
    reg [2:0]               op;
    reg [2:0]               step;       // channel in a chip, or line of a script
    reg [3:0]               fetch;      // lane that is fetched
    reg [8:0]               vector;
    reg [24*LANES-1:0]      frames;
    reg [LANES-1:0]         lanes;
    reg                     slow;
    reg [2:0]               answer_lane;
    reg [15:0]              pause;
    reg                     half;       // half word of the code that the RAM gives now
    reg                     fetched;

    wire spi_ready;
    wire [5:0] channel = {fetch[2:0], step};
    wire [5:0] line = LINE_OF_DAC[6*channel +: 6];
    wire [15:0] code = half ? rd_data[31:16] : rd_data[15:0];
    wire [15:0] distance = code > REST_CODE ? code - REST_CODE : REST_CODE - code;
    wire load_is_over = flush || out_of_range || step == 3'd7;

    // Scripts: the frame of a line, and whether it is the last.
    reg [19:0] script_frame;
    reg        script_ends;
    always @(*) begin
        script_ends = 1'b1;
        case (op)
            `DAC_UPDATE: script_frame = {TRIGGER, SOFT_LDAC};
            `DAC_REST: begin
                script_frame = step == 3'd0 ? {BRDCAST, REST_CODE} : {TRIGGER, SOFT_LDAC};
                script_ends = step != 3'd0;
            end
            default: begin
                script_ends = step == 3'd3;
                case (step)
                    3'd0: script_frame = {TRIGGER, SOFT_RESET};
                    3'd1: script_frame = {GAIN, 16'h0000};
                    3'd2: script_frame = {CONFIG, 16'h0000};
                    default: script_frame = {SYNC, 16'hFFFF};
                endcase
            end
        endcase
    end

    assign s_ready = state == IDLE;
    assign rd_en = state == FETCH && !fetch[3];
    assign rd_addr = {vector, line[5:1]};

    always @(posedge clk) begin
        fetched <= rd_en && !rst;
        half    <= line[0];
        if (rst) begin
            state        <= IDLE;
            op           <= `DAC_UPDATE;
            step         <= 3'd0;
            fetch        <= 4'd0;
            vector       <= 9'd0;
            frames       <= {24*LANES{1'b0}};
            lanes        <= {LANES{1'b0}};
            slow         <= 1'b0;
            answer_lane  <= 3'd0;
            pause        <= 16'd0;
            out_of_range <= 1'b0;
        end else begin
            case (state)
                IDLE: if (s_valid) begin
                    op           <= s_op;
                    step         <= 3'd0;
                    fetch        <= 4'd0;
                    vector       <= s_vector;
                    out_of_range <= 1'b0;
                    lanes        <= s_op == `DAC_FRAME ? s_lanes : {LANES{1'b1}};
                    slow         <= s_op == `DAC_FRAME && s_slow;
                    answer_lane  <= s_answer_lane;
                    frames       <= {LANES{s_frame}};
                    state        <= s_op == `DAC_LOAD ? FETCH : s_op == `DAC_FRAME ? SEND : SCRIPT;
                end
                FETCH: begin
                    if (!fetch[3]) fetch <= fetch + 4'd1;
                    if (fetched) begin
                        // Lane 0 is fetched first and has moved to the lowest place when all are there.
                        frames <= {5'b00001, step, code, frames[24*LANES-1:24]};
                        if (distance > LIMIT_CODES) out_of_range <= 1'b1;
                    end
                    if (fetch[3] && !fetched) state <= out_of_range || flush ? IDLE : SEND;
                end
                SCRIPT: begin
                    frames <= {LANES{4'h0, script_frame}};
                    state  <= SEND;
                end
                SEND: if (spi_ready) state <= SENT;
                SENT: if (spi_ready) begin
                    step  <= step + 3'd1;
                    fetch <= 4'd0;
                    pause <= RESET_LAST;
                    if (op == `DAC_LOAD) state <= load_is_over ? IDLE : FETCH;
                    else if (op == `DAC_FRAME) state <= IDLE;
                    else if (op == `DAC_SET_UP && step == 3'd0) state <= PAUSE;
                    else state <= script_ends ? IDLE : SCRIPT;
                end
                default: begin
                    pause <= pause - 16'd1;
                    if (pause == 16'd0) state <= SCRIPT;
                end
            endcase
        end
    end

    rm_dac_spi #(
        .LANES(LANES), .HALF_CLOCKS(HALF_CLOCKS), .READ_HALF_CLOCKS(READ_HALF_CLOCKS), .HIGH_CLOCKS(HIGH_CLOCKS)
    ) spi (
        .clk(clk), .rst(rst),
        .s_valid(state == SEND), .s_ready(spi_ready), .s_frames(frames), .s_lanes(lanes), .s_slow(slow),
        .s_answer_lane(answer_lane), .answer(answer),
        .dac_cs_n(dac_cs_n), .dac_sclk(dac_sclk), .dac_sdi(dac_sdi), .dac_sdo(dac_sdo)
    );
endmodule
`default_nettype wire
