// The Verilated board behind the C interface of board_sim.h.
#include "board_sim.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "Vboard_model.h"
#include "rm_board.h"
#include "rm_checks.h"
#include "rm_map.h"
#include "still_clocks.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

double sc_time_stamp() { return 0; }  // asked for by old simulators only

namespace {

constexpr unsigned kDacCount = 64;
constexpr unsigned kAdcBits = 14;
constexpr double kLowestCode = -8192.0;
constexpr double kHighestCode = 8191.0;
constexpr unsigned kHalfPeriodNs = 500000000u / RM_BOARD_CLOCK_HZ;
constexpr unsigned kResetClocks = 16;
static_assert(RM_CHECK_COUNT > 32 && RM_CHECK_COUNT <= 64, "violations are one 64-bit port");

struct Violation {
    unsigned check;
    uint64_t time_ns;
};

template <typename Wide>
bool bit(const Wide &words, unsigned n) {
    return (words[n / 32] >> (n % 32)) & 1u;
}

template <typename Wide>
void set_field(Wide &words, unsigned low, unsigned bits, uint32_t value) {
    for (unsigned n = 0; n < bits; n++) {
        const uint32_t mask = 1u << ((low + n) % 32);
        uint32_t &word = words[(low + n) / 32];
        word = (value >> n) & 1u ? word | mask : word & ~mask;
    }
}

}  // namespace

struct board_sim {
    explicit board_sim(uint32_t seed) : context(new VerilatedContext) {
        // 2: registers that nothing initialises start at random, as in a chip.
        context->randReset(2);
        context->randSeed(static_cast<int>(seed % 0x7FFFFFFFu) + 1);
#if VM_TRACE
        context->traceEverOn(true);
#endif
        top.reset(new Vboard_model(context.get()));
        top->clk = 0;
        top->rst = 1;
        top->s_axi_wstrb = 0xF;
        top->s_axi_bready = 1;
        top->s_axi_rready = 1;
        top->s_axi_awvalid = top->s_axi_wvalid = top->s_axi_arvalid = 0;
        top->eval();
        still.reset(new StillClocks(*top->rootp));
        held = top->adc_held;
        moved = top->array_moved;
        wire_lines();
    }

    void wire_lines();
    void unpack();
    board_sim_lines lines() const;
    void sample();
    void tell_watch();
    void note_violations();
    void clock();
    uint64_t run(uint64_t clocks, bool until_irq);
    void skip(uint64_t clocks);
    bool traces() const;
    void dump();

    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Vboard_model> top;
    std::unique_ptr<StillClocks> still;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace;
#endif
    board_sim_array array = nullptr;
    void *array_context = nullptr;
    board_sim_watch watch = nullptr;
    void *watch_context = nullptr;
    CData held = 0, moved = 0;
    bool unpacked = false;
    uint64_t epoch = 0;
    uint64_t seen = 0;  // one bit a check
    std::vector<Violation> violations;
    board_sim_skipping skipping = RM_SIM_SKIP;
    uint64_t skipped = 0, wrong = 0;

    std::array<uint32_t, kDacCount> dac_level{};
    std::array<uint8_t, RM_BOARD_N_BL> bl_source{};
    std::array<uint8_t, RM_BOARD_N_SL> sl_source{}, wl_source{};
    std::array<uint16_t, RM_BOARD_N_BL> dac_of_bl{};
    std::array<uint16_t, RM_BOARD_N_SL> tia_of_sl{};
    std::array<uint16_t, RM_BOARD_ADC_COUNT> tia{};
    std::array<double, RM_BOARD_ADC_COUNT> input{};
    std::array<uint8_t, RM_BOARD_N_BL> told_bl{};
    std::array<uint8_t, RM_BOARD_N_SL> told_sl{}, told_wl{};
};

void board_sim::wire_lines() {
    for (unsigned line = 0; line < RM_BOARD_N_BL; line++) dac_of_bl[line] = rm_board_dac_of_line[line % 64];
    for (unsigned line = 0; line < RM_BOARD_N_SL; line++) tia_of_sl[line] = rm_board_tia_of_line[line % 64];
}

// What the chips' outputs say about the lines; only after something has moved.
void board_sim::unpack() {
    if (unpacked) return;
    unpacked = true;
    for (unsigned n = 0; n < kDacCount; n++) dac_level[n] = top->dac_level[n];
    for (unsigned n = 0; n < RM_BOARD_N_BL; n++) {
        const unsigned source = 2u * bit(top->bl_b, n) + bit(top->bl_a, n);
        bl_source[n] = static_cast<uint8_t>(bit(top->bl_closed, n) ? source : RM_SIM_OPEN);
    }
    for (unsigned n = 0; n < RM_BOARD_N_SL; n++) {
        const unsigned source = 2u * bit(top->sl_b, n) + bit(top->sl_a, n);
        const unsigned gate_source = 2u * bit(top->wl_b, n) + bit(top->wl_a, n);
        sl_source[n] = static_cast<uint8_t>(bit(top->sl_closed, n) ? source : RM_SIM_OPEN);
        wl_source[n] = static_cast<uint8_t>(top->gate ? gate_source : RM_GATE_SOURCE_GROUND);
    }
}

board_sim_lines board_sim::lines() const {
    return {context->time(),  epoch,          dac_level.data(), bl_source.data(), sl_source.data(),
            wl_source.data(), dac_of_bl.data(), tia_of_sl.data(), tia.data(),       kDacCount,
            RM_BOARD_N_BL,    RM_BOARD_N_SL,  RM_BOARD_ADC_COUNT};
}

// DACs that moved are nobody's business here.
void board_sim::tell_watch() {
    unpack();
    if (bl_source == told_bl && sl_source == told_sl && wl_source == told_wl) return;
    told_bl = bl_source;
    told_sl = sl_source;
    told_wl = wl_source;
    const board_sim_lines now = lines();
    watch(watch_context, &now);
}

void board_sim::sample() {
    unpack();
    for (unsigned n = 0; n < RM_BOARD_ADC_COUNT; n++) {
        tia[n] = static_cast<uint16_t>((n + RM_BOARD_ADC_COUNT * top->sense_mux) % 64);
    }
    input.fill(0.0);
    if (array != nullptr) {
        const board_sim_lines now = lines();
        array(array_context, &now, input.data());
    }
    for (unsigned n = 0; n < RM_BOARD_ADC_COUNT; n++) {
        const double code = std::min(std::max(std::nearbyint(input[n]), kLowestCode), kHighestCode);
        set_field(top->adc_code, kAdcBits * n, kAdcBits, static_cast<uint32_t>(static_cast<int32_t>(code)));
    }
}

void board_sim::note_violations() {
    uint64_t fresh = top->violations & ~seen;
    seen |= fresh;
    for (; fresh != 0; fresh &= fresh - 1) {
        violations.push_back({static_cast<unsigned>(__builtin_ctzll(fresh)), context->time()});
    }
}

void board_sim::dump() {
#if VM_TRACE
    if (trace) trace->dump(context->time());
#endif
}

void board_sim::clock() {
    context->timeInc(kHalfPeriodNs);
    top->clk = 1;
    top->eval();
    if (top->array_moved != moved) {
        moved = top->array_moved;
        unpacked = false;
        epoch++;
        if (watch != nullptr) tell_watch();
    }
    if (top->adc_held != held) {
        held = top->adc_held;
        sample();
    }
    note_violations();
    dump();
    context->timeInc(kHalfPeriodNs);
    top->clk = 0;
    top->eval();
    dump();
}

bool board_sim::traces() const {
#if VM_TRACE
    return trace != nullptr;
#else
    return false;
#endif
}

uint64_t board_sim::run(uint64_t clocks, bool until_irq) {
    const bool skips = skipping != RM_SIM_EVERY_CLOCK && !traces();
    uint64_t done = 0;
    while (done < clocks && !(until_irq && top->irq)) {
        const bool looks = skips && still->looks();
        if (looks) still->before_clock();
        clock();
        done++;
        if (!looks) continue;
        const uint64_t still_for = still->after_clock(context->time() - kHalfPeriodNs, clocks - done);
        if (still_for != 0) skip(still_for);
        done += still_for;
    }
    return done;
}

void board_sim::skip(uint64_t clocks) {
    skipped += clocks;
    if (skipping == RM_SIM_SKIP) {
        still->leave_out(clocks);
        context->timeInc(clocks * 2 * kHalfPeriodNs);
        return;
    }
    const std::vector<char> expected = still->copy_after(clocks);
    for (uint64_t n = 0; n < clocks; n++) clock();
    if (still->copy_after(0) != expected) wrong++;
}

extern "C" {

board_sim *board_sim_create(uint32_t seed) {
    board_sim *sim = new (std::nothrow) board_sim(seed);
    if (sim != nullptr) board_sim_reset(sim);
    return sim;
}

void board_sim_destroy(board_sim *sim) {
    if (sim == nullptr) return;
    board_sim_trace_stop(sim);
    sim->top->final();
    delete sim;
}

void board_sim_reset(board_sim *sim) {
    sim->top->rst = 1;
    board_sim_step(sim, kResetClocks);
    sim->top->rst = 0;
}

void board_sim_set_array(board_sim *sim, board_sim_array array, void *context) {
    sim->array = array;
    sim->array_context = context;
}

void board_sim_set_watch(board_sim *sim, board_sim_watch watch, void *context) {
    sim->watch = watch;
    sim->watch_context = context;
    sim->told_bl.fill(RM_SIM_OPEN - 1u);  // no source is: what there is now is news
    if (watch != nullptr) sim->tell_watch();
}

void board_sim_step(board_sim *sim, uint64_t clocks) {
    sim->run(clocks, false);
}

uint64_t board_sim_step_until_irq(board_sim *sim, uint64_t clocks) {
    return sim->run(clocks, true);
}

uint64_t board_sim_time_ns(const board_sim *sim) { return sim->context->time(); }

int board_sim_write(board_sim *sim, uint32_t address, uint32_t value) {
    Vboard_model &top = *sim->top;
    top.s_axi_awaddr = address;
    top.s_axi_wdata = value;
    top.s_axi_awvalid = top.s_axi_wvalid = 1;
    sim->clock();  // taken at this edge: the slave is free, since every access waits for its answer
    top.s_axi_awvalid = top.s_axi_wvalid = 0;
    const int response = top.s_axi_bresp;
    sim->clock();
    return response;
}

int board_sim_read(board_sim *sim, uint32_t address, uint32_t *value) {
    Vboard_model &top = *sim->top;
    top.s_axi_araddr = address;
    top.s_axi_arvalid = 1;
    sim->clock();
    top.s_axi_arvalid = 0;
    const int response = top.s_axi_rresp;
    *value = top.s_axi_rdata;
    sim->clock();
    return response;
}

int board_sim_write_block(board_sim *sim, uint32_t address, const uint32_t *values, size_t count) {
    for (size_t n = 0; n < count; n++) {
        const int response = board_sim_write(sim, address + 4u * static_cast<uint32_t>(n), values[n]);
        if (response != 0) return response;
    }
    return 0;
}

int board_sim_read_block(board_sim *sim, uint32_t address, uint32_t *values, size_t count) {
    for (size_t n = 0; n < count; n++) {
        const int response = board_sim_read(sim, address + 4u * static_cast<uint32_t>(n), &values[n]);
        if (response != 0) return response;
    }
    return 0;
}

void board_sim_outputs_now(board_sim *sim, board_sim_outputs *outputs) {
    sim->unpack();
    *outputs = board_sim_outputs{};
    outputs->time_ns = sim->context->time();
    outputs->outputs_enabled = sim->top->outputs_on;
    outputs->gate = sim->top->gate;
    outputs->irq = sim->top->irq;
    const auto driven = [](uint8_t source) { return source != RM_SIM_OPEN && source != RM_SOURCE_GROUND; };
    const auto raised = [](uint8_t source) { return source != RM_GATE_SOURCE_GROUND; };
    outputs->lines_driven =
        static_cast<uint32_t>(std::count_if(sim->bl_source.begin(), sim->bl_source.end(), driven) +
                              std::count_if(sim->sl_source.begin(), sim->sl_source.end(), driven) +
                              std::count_if(sim->wl_source.begin(), sim->wl_source.end(), raised));
    outputs->dacs_off_rest = static_cast<uint32_t>(
        std::count_if(sim->dac_level.begin(), sim->dac_level.end(), [](uint32_t level) { return level != RM_BOARD_REST_CODE; }));
}

void board_sim_set_skipping(board_sim *sim, board_sim_skipping skipping) { sim->skipping = skipping; }

uint64_t board_sim_clocks_skipped(const board_sim *sim) { return sim->skipped; }

uint64_t board_sim_wrong_skips(const board_sim *sim) { return sim->wrong; }

size_t board_sim_violation_count(const board_sim *sim) { return sim->violations.size(); }

bool board_sim_violation(const board_sim *sim, size_t n, const char **name, const char **text, uint64_t *time_ns) {
    if (n >= sim->violations.size()) return false;
    const Violation &violation = sim->violations[n];
    *name = rm_check_names[violation.check];
    *text = rm_check_texts[violation.check];
    *time_ns = violation.time_ns;
    return true;
}

int board_sim_trace_start(board_sim *sim, const char *path) {
#if VM_TRACE
    board_sim_trace_stop(sim);
    sim->trace.reset(new VerilatedVcdC);
    sim->top->trace(sim->trace.get(), 99);
    sim->trace->open(path);
    if (sim->trace->isOpen()) return 0;
    sim->trace.reset();
#else
    (void)sim;
    (void)path;
#endif
    return -1;
}

void board_sim_trace_stop(board_sim *sim) {
#if VM_TRACE
    if (sim->trace) sim->trace->close();
    sim->trace.reset();
#else
    (void)sim;
#endif
}

}  // extern "C"
