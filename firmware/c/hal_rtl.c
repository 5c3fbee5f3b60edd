/* The Verilated board (firmware/sim), loaded when the daemon starts: one daemon serves every board description. Time is
 * the board's: it moves while the board is at work, in every access, and a little when nothing is to be done. */
#include "hal_rtl.h"

#include "hal.h"
#include "rm_map.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* One clock of the simulated board is 10 ns (board_sim.h). */
#define CLOCKS_PER_US 100u

/* Microseconds that pass on an idle board each time: a watchdog or a stop goes on, at a hundredth of a core. */
#define IDLE_US 10u

/* What its flip-flops contain at power-on, where the daemon makes the board itself. */
#define POWER_ON_SEED 1u

const char *const HAL_WHERE = "the Verilated board: libboard_sim.so of firmware/sim";

static struct {
    void *library;
    board_sim *given; /* by hal_rtl_use */
    board_sim *sim;
    board_sim *(*create)(uint32_t seed);
    void (*destroy)(board_sim *sim);
    void (*step)(board_sim *sim, uint64_t clocks);
    uint64_t (*time_ns)(const board_sim *sim);
    int (*write)(board_sim *sim, uint32_t address, uint32_t value);
    int (*read)(board_sim *sim, uint32_t address, uint32_t *value);
    int (*write_block)(board_sim *sim, uint32_t address, const uint32_t *values, size_t count);
    int (*read_block)(board_sim *sim, uint32_t address, uint32_t *values, size_t count);
} rtl;

void hal_rtl_use(board_sim *sim) { rtl.given = sim; }

static bool fail(const char *where, const char *why)
{
    (void)fprintf(stderr, "rmhild: %s: %s\n", where == NULL ? "no board named" : where, why == NULL ? "unknown" : why);
    return false;
}

/* Fetch a function. POSIX has dlsym give an object pointer; copying it is its way to a function pointer. */
static bool find(const char *name, void *function, size_t bytes)
{
    void *const found = dlsym(rtl.library, name);
    if (found == NULL) return fail(name, dlerror());
    memcpy(function, &found, bytes);
    return true;
}

static bool find_all(void)
{
    return find("board_sim_create", &rtl.create, sizeof rtl.create)
        && find("board_sim_destroy", &rtl.destroy, sizeof rtl.destroy)
        && find("board_sim_step", &rtl.step, sizeof rtl.step)
        && find("board_sim_time_ns", &rtl.time_ns, sizeof rtl.time_ns)
        && find("board_sim_write", &rtl.write, sizeof rtl.write)
        && find("board_sim_read", &rtl.read, sizeof rtl.read)
        && find("board_sim_write_block", &rtl.write_block, sizeof rtl.write_block)
        && find("board_sim_read_block", &rtl.read_block, sizeof rtl.read_block);
}

bool hal_open(const char *where)
{
    if (where == NULL) return fail(where, HAL_WHERE);
    rtl.library = dlopen(where, RTLD_NOW | RTLD_LOCAL);
    if (rtl.library == NULL) return fail(where, dlerror());
    if (!find_all()) {
        hal_close();
        return false;
    }
    rtl.sim = rtl.given != NULL ? rtl.given : rtl.create(POWER_ON_SEED);
    return rtl.sim != NULL || fail(where, "out of memory");
}

void hal_close(void)
{
    if (rtl.sim != NULL && rtl.sim != rtl.given) rtl.destroy(rtl.sim);
    if (rtl.library != NULL) (void)dlclose(rtl.library);
    rtl.sim = NULL;
    rtl.library = NULL;
}

/* The core asks for nothing that the map does not have: a refused access is a fault of this program or of the RTL. */
static void check(int response, uint32_t offset)
{
    if (response != 0) (void)fprintf(stderr, "rmhild: access to 0x%05X answered with %d\n", (unsigned)offset, response);
}

uint32_t hal_read(uint32_t offset)
{
    uint32_t value = 0;
    check(rtl.read(rtl.sim, offset, &value), offset);
    return value;
}

void hal_write(uint32_t offset, uint32_t value) { check(rtl.write(rtl.sim, offset, value), offset); }

/* The library wants aligned words: through a bank's worth of them. */
static uint32_t words[RM_BANK_BYTES / 4u];

void hal_read_block(uint32_t offset, uint8_t *bytes, size_t count)
{
    check(rtl.read_block(rtl.sim, offset, words, count), offset);
    memcpy(bytes, words, 4u * count);
}

void hal_write_block(uint32_t offset, const uint8_t *bytes, size_t count)
{
    memcpy(words, bytes, 4u * count);
    check(rtl.write_block(rtl.sim, offset, words, count), offset);
}

uint64_t hal_time_us(void) { return rtl.time_ns(rtl.sim) / 1000u; }

void hal_wait(uint32_t microseconds) { rtl.step(rtl.sim, (uint64_t)microseconds * CLOCKS_PER_US); }

void hal_idle(void) { rtl.step(rtl.sim, (uint64_t)IDLE_US * CLOCKS_PER_US); }
