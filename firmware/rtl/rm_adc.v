// Conversions of all ADS8324 chips, which share CS and DCLOCK. A conversion starts when s_start && s_ready; CS falls at
// that edge, and s_ready returns CYCLE_CLOCKS later, so that held-up starts follow one another without a gap. held
// is high for one clock when the chips hold their inputs and these may move. Words come out one chip a clock, chip 0 first, after the last bit
// and before the next start. Reset: synchronous, active high; lets CS rise.
`default_nettype none
module rm_adc #(
    parameter CHIPS        = 64,
    parameter HALF_CLOCKS  = 42,
    parameter CYCLE_CLOCKS = 2000,
    parameter SAMPLE_EDGES = 5,   // falling DCLOCK edges until the input is held
    parameter WORD_EDGES   = 22,  // falling DCLOCK edges of a conversion
    parameter APERTURE_CLOCKS = 10  // until inputs may move after they are held, below HALF_CLOCKS
) (
    input  wire             clk,
    input  wire             rst,
    // Conversions (sink)
    input  wire             s_start,
    output wire             s_ready,
    output reg              held,
    // Words (source)
    output wire             m_valid,
    output reg  [5:0]       m_chip,
    output wire [13:0]      m_code,
    output wire             m_link_error,  // no zero before the code, or not two after it
    // Pins
    output reg              adc_cs_n,
    output reg              adc_dclock,
    input  wire [CHIPS-1:0] adc_dout
);
    localparam [15:0] CYCLE_LAST = CYCLE_CLOCKS - 1;
    localparam [7:0]  HALF_LAST = HALF_CLOCKS - 1;
    localparam [7:0]  APERTURE_END = HALF_CLOCKS - 1 - APERTURE_CLOCKS;
    localparam [4:0]  SAMPLED = SAMPLE_EDGES, COMPLETE = WORD_EDGES;
    localparam [31:0] CHIP_LAST = CHIPS - 1;
    localparam CHIP_BITS = $clog2(CHIPS);

    reg                busy;
    reg [15:0]         cycle;
    reg [7:0]          half;
    reg [4:0]          edges;     // falling ones since CS fell
    reg [CHIPS-1:0]    bits [0:16];   // of all chips: 0 the zero, 1 to 14 the code, 15 and 16 the zeros after it
    reg [4:0]          bit_count;
    reg                emitting;

    wire starts = s_start && s_ready;
    wire rises = busy && !adc_cs_n && half == 8'd0 && !adc_dclock;
    wire falls = busy && !adc_cs_n && half == 8'd0 && adc_dclock;
    // DOUT changes up to 250 ns after a falling edge; the rising one is 420 ns after it.
    wire takes_bit = rises && edges >= SAMPLED && edges != COMPLETE;

    assign s_ready = !busy || cycle == CYCLE_LAST;
    assign m_valid = emitting;
    genvar n;
    generate
        for (n = 0; n < 14; n = n + 1) begin : code
            assign m_code[13-n] = bits[n+1][m_chip[CHIP_BITS-1:0]];
        end
    endgenerate
    assign m_link_error = bits[0][m_chip[CHIP_BITS-1:0]] || bits[15][m_chip[CHIP_BITS-1:0]] || bits[16][m_chip[CHIP_BITS-1:0]];

    // As the flip-flops come out of configuration, before the first clock.
    initial begin
        adc_cs_n = 1'b1;
        adc_dclock = 1'b0;
    end

    always @(posedge clk) begin
        if (rst) begin
            busy       <= 1'b0;
            adc_cs_n   <= 1'b1;
            adc_dclock <= 1'b0;
            held       <= 1'b0;
            emitting   <= 1'b0;
            cycle      <= 16'd0;
            half       <= 8'd0;
            edges      <= 5'd0;
            bit_count  <= 5'd0;
            m_chip     <= 6'd0;
        end else begin
            held <= busy && edges == SAMPLED && !adc_dclock && half == APERTURE_END;
            if (starts) begin
                busy     <= 1'b1;
                adc_cs_n <= 1'b0;
                cycle    <= 16'd0;
                half     <= HALF_LAST;
                edges    <= 5'd0;
                bit_count <= 5'd0;
            end else if (busy) begin
                cycle <= cycle + 16'd1;
                if (cycle == CYCLE_LAST) busy <= 1'b0;
                half <= half == 8'd0 ? HALF_LAST : half - 8'd1;
                if (rises) adc_dclock <= 1'b1;
                if (takes_bit) bit_count <= bit_count + 5'd1;
                if (falls) begin
                    adc_dclock <= 1'b0;
                    edges      <= edges + 5'd1;
                end
                if (edges == COMPLETE) adc_cs_n <= 1'b1;
            end
            if (edges == COMPLETE && !adc_cs_n) begin
                emitting <= 1'b1;
                m_chip   <= 6'd0;
            end else if (emitting) begin
                emitting <= {26'd0, m_chip} != CHIP_LAST;
                m_chip   <= m_chip + 6'd1;
            end
        end
        if (takes_bit) bits[bit_count] <= adc_dout;
    end
endmodule
`default_nettype wire
