// Stretches of clocks in which nothing but counters moves.
//
// What a clock does is determined by the state before it. Where one clock has changed nothing but counters, the next one does the
// same, and so on until a counter is at a number that something looks at, or a model has waited long enough. All clocks
// before that leave the same state with the counters so much further, and need not be worked through.
//
// The state is every member of the Verilated model but its own helpers and the memories (a write to a memory that is repeated
// writes the same again). A counter that is not listed here counts as state: it costs speed, not truth. A listed
// counter that is looked at elsewhere, and a model that waits without being listed, would cost truth: RM_SIM_CHECK
// works through what would be left out, and compares.
#ifndef RM_STILL_CLOCKS_H
#define RM_STILL_CLOCKS_H

#include <cstdint>
#include <vector>

#include "Vboard_model___024root.h"

class StillClocks {
  public:
    explicit StillClocks(Vboard_model___024root &root);

    // Whether to look at the next clock: it costs half as much as the clock, so some go by without.
    bool looks() { return --next_look_ == 0; }

    void before_clock();

    // Clocks, at most so many, that may be left out after the one since before_clock, whose rising edge was at time_ns.
    uint64_t after_clock(uint64_t time_ns, uint64_t at_most);

    // Leave what so many clocks after that leave.
    void leave_out(uint64_t clocks);

    // All of the state and of the memories, as it is or as so many clocks that may be left out would leave it.
    std::vector<char> copy_after(uint64_t clocks);

  private:
    // Moves by one with a clock, or not at all.
    struct Counter {
        char *place;
        unsigned bytes;
        bool up;
        uint64_t stop;  // the number that something looks at
        uint64_t before;
        bool moves;

        uint64_t value() const;
        void add(uint64_t clocks);
        uint64_t until_stop(uint64_t value) const;
    };

    // Members next to one another in words; the mask is 0 for bytes that are not state.
    struct Region {
        const char *place;
        std::vector<uint64_t> before, mask;
    };

    void list_counters();
    void list_regions();
    bool state_changed() const;
    uint64_t until_a_counter_stops();
    uint64_t until_a_model_acts(uint64_t time_ns) const;

    Vboard_model___024root &root_;
    std::vector<Counter> counters_;
    std::vector<Region> regions_;
    unsigned in_vain_ = 0, next_look_ = 1;
};

#endif
