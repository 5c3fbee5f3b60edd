#include "still_clocks.h"

#include <algorithm>
#include <cstring>

#include "rm_board.h"
#include "rm_chips.h"

#define BOARD(name) root_.board_model__DOT__board__DOT__##name
#define DAC(n, name) root_.board_model__DOT__lane__BRA__##n##__KET____DOT__dac__DOT__##name
#define ADC(name) root_.board_model__DOT__adc__DOT__##name

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "counters are read by their bytes");

namespace {

constexpr uint64_t kPeriodNs = 1000000000u / RM_BOARD_CLOCK_HZ;
constexpr uint64_t kApertureEnd = RM_BOARD_ADC_HALF_CLOCKS - 1 - RM_BOARD_ADC_APERTURE_CLOCKS;  // of rm_adc
// Clocks up to the next look. After a counter's stop: the stop, what follows from it, the models that see it, and a look. After a
// model has acted: that, and a look. After a look in vain: longer and longer.
constexpr unsigned kAfterStop = 4, kAfterModel = 2, kInVainMost = 16;
constexpr std::ptrdiff_t kGapMost = 64;  // bytes between the members of one region
constexpr uint64_t kNever = ~uint64_t{0};

struct Member {
    const char *place;
    size_t bytes;
};

// state_members.inc is taken from the header of the Verilated model by the Makefile.
std::vector<Member> state_members(const Vboard_model___024root &root) {
#define STATE(member) {reinterpret_cast<const char *>(&root.member), sizeof root.member},
#define MEMORY(member)
    std::vector<Member> members = {
#include "state_members.inc"
    };
#undef STATE
#undef MEMORY
    std::sort(members.begin(), members.end(), [](const Member &a, const Member &b) { return a.place < b.place; });
    return members;
}

std::vector<Member> memories(const Vboard_model___024root &root) {
#define STATE(member)
#define MEMORY(member) {reinterpret_cast<const char *>(&root.member), sizeof root.member},
    return {
#include "state_members.inc"
    };
#undef STATE
#undef MEMORY
}

}  // namespace

uint64_t StillClocks::Counter::value() const {
    uint64_t value = 0;
    std::memcpy(&value, place, bytes);
    return value;
}

void StillClocks::Counter::add(uint64_t clocks) {
    const uint64_t sum = up ? value() + clocks : value() - clocks;
    std::memcpy(place, &sum, bytes);
}

uint64_t StillClocks::Counter::until_stop(uint64_t value) const {
    if (!up) return value > stop ? value - stop : 0;
    return (stop - value) & (kNever >> (64 - 8 * bytes));
}

StillClocks::StillClocks(Vboard_model___024root &root) : root_(root) {
    list_counters();
    list_regions();
}

void StillClocks::list_counters() {
    const auto add = [this](auto &member, bool up, uint64_t stop) {
        counters_.push_back({reinterpret_cast<char *>(&member), sizeof member, up, stop, 0, false});
    };
    add(BOARD(watchdog__DOT__clocks), false, 0);
    add(BOARD(adc__DOT__cycle), true, RM_BOARD_ADC_CYCLE_CLOCKS - 1);
    add(BOARD(adc__DOT__half), false, 0);
    add(BOARD(mvm__DOT__settle), false, 0);
    add(BOARD(mvm__DOT__mux_wait), false, 0);
    add(BOARD(sequencer__DOT__wait_left), false, 1);
    add(BOARD(gate__DOT__left), false, 1);
    add(BOARD(dac__DOT__pause), false, 0);
    add(BOARD(router__DOT__dead), false, 0);
    // Its low word alone: the high one is looked at.
    counters_.push_back({reinterpret_cast<char *>(&BOARD(clocks)), 4, true, 0, 0, false});
}

void StillClocks::list_regions() {
    const std::vector<Member> members = state_members(root_);
    for (size_t first = 0, next = 1; next <= members.size(); next++) {
        const char *end = members[next - 1].place + members[next - 1].bytes;
        if (next < members.size() && members[next].place - end < kGapMost) continue;
        const char *begin = members[first].place - reinterpret_cast<uintptr_t>(members[first].place) % 8;
        const size_t words = static_cast<size_t>(end - begin + 7) / 8;
        Region region{begin, std::vector<uint64_t>(words), std::vector<uint64_t>(words)};
        char *mask = reinterpret_cast<char *>(region.mask.data());
        for (; first < next; first++) std::memset(mask + (members[first].place - begin), 0xFF, members[first].bytes);
        for (const Counter &counter : counters_) {
            if (begin <= counter.place && counter.place < end) std::memset(mask + (counter.place - begin), 0, counter.bytes);
        }
        regions_.push_back(std::move(region));
    }
}

void StillClocks::before_clock() {
    for (Region &region : regions_) std::memcpy(region.before.data(), region.place, 8 * region.before.size());
    for (Counter &counter : counters_) counter.before = counter.value();
}

uint64_t StillClocks::after_clock(uint64_t time_ns, uint64_t at_most) {
    const uint64_t stop = state_changed() ? 0 : until_a_counter_stops(), model = until_a_model_acts(time_ns);
    const uint64_t clocks = std::min(stop, model);
    in_vain_ = clocks != 0 ? 0 : std::min(std::max(2 * in_vain_, 1u), kInVainMost);
    next_look_ = clocks == 0 ? in_vain_ : model < stop ? kAfterModel : kAfterStop;
    return std::min(clocks, at_most);
}

bool StillClocks::state_changed() const {
    uint64_t changed = 0;
    for (const Region &region : regions_) {
        const char *now = region.place;
        for (size_t n = 0; n < region.before.size(); n++, now += 8) {
            uint64_t word;
            std::memcpy(&word, now, 8);
            changed |= (word ^ region.before[n]) & region.mask[n];
        }
    }
    return changed != 0;
}

// What is left afterwards is one clock before a stop at least: signals that follow from a stop are those of before it.
uint64_t StillClocks::until_a_counter_stops() {
    uint64_t clocks = kNever;
    for (Counter &counter : counters_) {
        const uint64_t value = counter.value(), left = counter.until_stop(value);
        counter.moves = value != counter.before;
        if (!counter.moves) continue;
        if (left == 0 || counter.until_stop(counter.before) != left + 1) return 0;  // there, or set anew
        clocks = std::min(clocks, left - 1);
    }
    const uint64_t half = BOARD(adc__DOT__half);
    if (BOARD(adc__DOT__edges) == RM_BOARD_ADC_SAMPLE_EDGES && half >= kApertureEnd) {
        clocks = half == kApertureEnd ? 0 : std::min(clocks, half - kApertureEnd - 1);
    }
    return clocks;
}

// Rising edges before the time at which a model does something of its own accord, that is, which its pins do not tell it.
uint64_t StillClocks::until_a_model_acts(uint64_t time_ns) const {
    const uint64_t acts[] = {
        ADC(t_dout) + RM_ADS8324_DATA_DELAY_NS, ADC(t_dout) + RM_ADS8324_DISABLE_NS,
        ADC(t_fall) + RM_ADS8324_APERTURE_NS + 1,
        DAC(0, t_sdo) + RM_DAC80508_READ_DELAY_NS, DAC(1, t_sdo) + RM_DAC80508_READ_DELAY_NS,
        DAC(2, t_sdo) + RM_DAC80508_READ_DELAY_NS, DAC(3, t_sdo) + RM_DAC80508_READ_DELAY_NS,
        DAC(4, t_sdo) + RM_DAC80508_READ_DELAY_NS, DAC(5, t_sdo) + RM_DAC80508_READ_DELAY_NS,
        DAC(6, t_sdo) + RM_DAC80508_READ_DELAY_NS, DAC(7, t_sdo) + RM_DAC80508_READ_DELAY_NS,
    };
    uint64_t clocks = kNever;
    for (const uint64_t at : acts) {
        if (at > time_ns) clocks = std::min(clocks, (at - time_ns - 1) / kPeriodNs);
    }
    return clocks;
}

void StillClocks::leave_out(uint64_t clocks) {
    for (Counter &counter : counters_) {
        if (counter.moves) counter.add(clocks);
    }
}

std::vector<char> StillClocks::copy_after(uint64_t clocks) {
    std::vector<char> all;
    leave_out(clocks);
    for (const Member &member : state_members(root_)) all.insert(all.end(), member.place, member.place + member.bytes);
    for (const Member &memory : memories(root_)) all.insert(all.end(), memory.place, memory.place + memory.bytes);
    leave_out(0 - clocks);
    return all;
}
