/* The Verilated board with its chip models, as a shared library: libboard_sim.so, one for each board description.
 *
 * Time moves only in board_sim_step and in the bus functions, one clock of 10 ns (CLOCK_HZ) at a time. Nothing is shared
 * between handles; one handle belongs to one thread at a time.
 */
#ifndef RM_BOARD_SIM_H
#define RM_BOARD_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RM_SIM_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

typedef struct board_sim board_sim;

/* What the array sees at the instant at which the ADCs hold their inputs.
 * A source of a BL or SL is one of RM_SOURCE_* of rm_map.h, or RM_SIM_OPEN for a line that nothing drives. */
#define RM_SIM_OPEN 255u
typedef struct {
    uint64_t time_ns;
    uint64_t epoch;            /* moves on whenever anything below has changed, but for tia */
    const uint32_t *dac_level; /* n_dac: output of each DAC channel in units of span / 65536 */
    const uint8_t *bl_source;  /* n_bl */
    const uint8_t *sl_source;  /* n_sl */
    const uint8_t *wl_source;  /* n_sl: RM_GATE_SOURCE_*; all ground while the gate is off */
    const uint16_t *dac_of_bl; /* n_bl: DAC channel behind each BL's CONVERTER input */
    const uint16_t *tia_of_sl; /* n_sl: TIA behind each SL's CONVERTER input */
    const uint16_t *tia;       /* n_adc: TIA that each ADC samples now */
    uint32_t n_dac, n_bl, n_sl, n_adc;
} board_sim_lines;

/* The array: sets input[a] to what ADC a samples, in codes of the ADC (2 * reference / 16384), not rounded; the model rounds
 * to the nearest code, halves to even, and ends at the last codes. */
typedef void (*board_sim_array)(void *context, const board_sim_lines *lines, double *input);

/* What a line is joined to has changed, or whether the gate lets word lines through. As for an array, but for tia, which is not set.
 * Called within board_sim_step and the bus functions; it must not call them. */
typedef void (*board_sim_watch)(void *context, const board_sim_lines *lines);

/* Levels at the outputs of the chips, now. */
typedef struct {
    uint64_t time_ns;
    bool outputs_enabled;  /* OE of the shift registers is low */
    bool gate;             /* word lines are let through */
    bool irq;
    uint32_t lines_driven; /* BLs, SLs and WLs that a source other than virtual ground or ground is connected to */
    uint32_t dacs_off_rest;/* DAC channels at another level than rest */
} board_sim_outputs;

/* seed chooses what flip-flops and chips contain at power-on. NULL: out of memory. */
RM_SIM_API board_sim *board_sim_create(uint32_t seed);
RM_SIM_API void board_sim_destroy(board_sim *sim);

/* Holds the reset line for 16 clocks; chips keep their state, as on a board. */
RM_SIM_API void board_sim_reset(board_sim *sim);

/* Without an array every ADC samples 0. */
RM_SIM_API void board_sim_set_array(board_sim *sim, board_sim_array array, void *context);

/* Without one nobody is told. With one it is called once at once. */
RM_SIM_API void board_sim_set_watch(board_sim *sim, board_sim_watch watch, void *context);

RM_SIM_API void board_sim_step(board_sim *sim, uint64_t clocks);

/* Up to clocks clocks, fewer once the interrupt line is high; returns the clocks done. */
RM_SIM_API uint64_t board_sim_step_until_irq(board_sim *sim, uint64_t clocks);

/* Stretches of clocks in which nothing but counters moves are skipped, unless a wave dump is on: what they leave is the same, and so
 * is the time. RM_SIM_CHECK works through them nevertheless and compares the whole state at the end of each. */
typedef enum { RM_SIM_EVERY_CLOCK, RM_SIM_SKIP, RM_SIM_CHECK } board_sim_skipping;
RM_SIM_API void board_sim_set_skipping(board_sim *sim, board_sim_skipping skipping);

/* Since create: clocks that were skipped, or checked, and checked stretches that left something else. */
RM_SIM_API uint64_t board_sim_clocks_skipped(const board_sim *sim);
RM_SIM_API uint64_t board_sim_wrong_skips(const board_sim *sim);

RM_SIM_API uint64_t board_sim_time_ns(const board_sim *sim);

/* AXI4-Lite accesses of whole words; address in bytes. 0, or the AXI response (2: SLVERR, nothing was done). */
RM_SIM_API int board_sim_write(board_sim *sim, uint32_t address, uint32_t value);
RM_SIM_API int board_sim_read(board_sim *sim, uint32_t address, uint32_t *value);

/* The same for consecutive words; stops at the first that is refused. */
RM_SIM_API int board_sim_write_block(board_sim *sim, uint32_t address, const uint32_t *values, size_t count);
RM_SIM_API int board_sim_read_block(board_sim *sim, uint32_t address, uint32_t *values, size_t count);

RM_SIM_API void board_sim_outputs_now(board_sim *sim, board_sim_outputs *outputs);

/* Violations of data sheets and of the array's rules (rm_checks.h): kinds seen since create;
 * name, text and time_ns are those of the n-th in order of first occurrence; false if there are not so many. */
RM_SIM_API size_t board_sim_violation_count(const board_sim *sim);
RM_SIM_API bool board_sim_violation(const board_sim *sim, size_t n, const char **name, const char **text, uint64_t *time_ns);

/* Wave dump (VCD), between start and stop. 0; -1 if the library was built without TRACE=1 or the file cannot be written. */
RM_SIM_API int board_sim_trace_start(board_sim *sim, const char *path);
RM_SIM_API void board_sim_trace_stop(board_sim *sim);

#ifdef __cplusplus
}
#endif

#endif
