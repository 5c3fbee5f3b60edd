/* A board of memory: registers, ring and states of the map, without lines and converters. Each result is the upper 14
 * bits of the code of the same line, with the flag of over range where that is an end code of an ADC. WAIT and PULSE
 * take the time that they say, vectors what is asked for when the daemon starts; all else, ARM too, takes none.
 * Commands are refused for their state, route and opcode, not for lines out of range.
 *
 * The daemon's tests and its throughput are measured with this.
 */
#include "hal.h"

#include "board.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CLOCK_HZ 100000000u

/* Middle of a DAC's codes: every code is allowed. */
#define MIDDLE 0x8000u

/* End codes of an ADC: 14 bits, two's complement. */
#define ADC_FIRST 0x2000u
#define ADC_LAST 0x1FFFu

/* Nanoseconds: the daemon stops a vector that takes longer. */
#define VECTOR_NS_MAX 10000000u

#define FIELD(word, name) ((word) >> RM_##name##_SHIFT & RM_##name##_MASK)

const char *const HAL_WHERE = "nanoseconds that a vector takes (default 0): this daemon works on memory, on no board";

static struct {
    uint32_t words[RM_MAP_BYTES / 4];
    uint32_t state, cause, error, route, gate;
    uint32_t head, tail;
    bool running;      /* the command at the tail has begun */
    uint64_t until_us; /* when it ends, or the one before it ended */
    uint64_t rung_us;  /* when the doorbell was rung last */
    uint32_t vector_ns;
    uint64_t kicked_us;
} board;

static uint64_t clock_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static uint32_t *reg(uint32_t offset) { return &board.words[offset / 4u]; }

bool hal_open(const char *where)
{
    char *end = NULL;
    const unsigned long vector_ns = where == NULL ? 0 : strtoul(where, &end, 10);
    if (where != NULL && (end == where || *end != '\0' || vector_ns > VECTOR_NS_MAX)) {
        (void)fprintf(stderr, "rmhild: %s: not %s\n", where, HAL_WHERE);
        return false;
    }
    memset(&board, 0, sizeof board);
    board.vector_ns = (uint32_t)vector_ns;
    *reg(RM_REG_MAGIC) = RM_MAP_MAGIC;
    *reg(RM_REG_MAP_HASH) = RM_MAP_HASH_VALUE;
    *reg(RM_REG_LINES) = 128u << RM_LINES_N_BL_SHIFT | 128u << RM_LINES_N_SL_SHIFT;
    *reg(RM_REG_CHANNELS) = 64u << RM_CHANNELS_DAC_SHIFT | 64u << RM_CHANNELS_TIA_SHIFT | 64u << RM_CHANNELS_ADC_SHIFT;
    *reg(RM_REG_CLOCK_HZ) = CLOCK_HZ;
    *reg(RM_REG_INPUT_LIMITS) = MIDDLE << RM_INPUT_LIMITS_REST_CODE_SHIFT | MIDDLE << RM_INPUT_LIMITS_LIMIT_CODES_SHIFT;
    *reg(RM_REG_WATCHDOG_MS) = 200;
    return true;
}

void hal_close(void) {}

static void stop(uint32_t state, uint32_t cause, uint32_t error)
{
    board.state = state;
    board.cause = cause;
    board.error = error;
    board.running = false;
    board.until_us = 0; /* what was under way takes no more time */
    board.route = RM_ROUTE_OFF;
    board.gate = 0;
}

static bool is_armed(void) { return board.state == RM_STATE_READY || board.state == RM_STATE_BUSY; }

static void check_watchdog(uint64_t now_us)
{
    if (is_armed() && now_us - board.kicked_us > (uint64_t)*reg(RM_REG_WATCHDOG_MS) * 1000u) {
        stop(RM_STATE_FAULT, RM_CAUSE_WATCHDOG, RM_ERROR_NONE);
    }
}

/* Counts results that are over range. */
static uint32_t result_of(uint32_t code, uint32_t *beyond)
{
    const uint32_t upper = code >> 2, is_beyond = upper == ADC_FIRST || upper == ADC_LAST ? 1u : 0u;
    *beyond += is_beyond;
    return upper << RM_RESULT_CODE_SHIFT | is_beyond << RM_RESULT_OVER_RANGE_SHIFT;
}

static void multiply(uint32_t argument)
{
    const uint32_t count = FIELD(argument, OP_MVM_VECTORS), bank = FIELD(argument, OP_MVM_BANK);
    const uint32_t words = count * RM_VECTOR_BYTES / 4u;
    const uint32_t *codes = reg(RM_WINDOW_INPUTS + bank * RM_BANK_BYTES);
    uint32_t *results = reg(RM_WINDOW_RESULTS + bank * RM_BANK_BYTES);
    uint32_t beyond = 0;
    for (uint32_t i = 0; i < words; i++) {
        results[i] = result_of(codes[i] & 0xFFFFu, &beyond) | result_of(codes[i] >> 16, &beyond) << 16;
    }
    *reg(RM_REG_OVER_RANGE_TOTAL) += beyond;
    *reg(RM_REG_VECTORS_DONE) = count;
    *reg(RM_REG_VECTORS_TOTAL) += count;
}

/* Whether a command may run now: RM_ERROR_NONE, or why not. */
static uint32_t refusal_of(uint32_t opcode, uint32_t argument)
{
    if (opcode > RM_OP_DAC_FRAME) return RM_ERROR_OPCODE;
    if (opcode == RM_OP_NOP || opcode == RM_OP_WAIT) return RM_ERROR_NONE;
    if ((opcode == RM_OP_DAC_FRAME) == is_armed()) return RM_ERROR_STATE;
    if (opcode == RM_OP_GATE && board.route != RM_ROUTE_CELL) return RM_ERROR_ROUTE;
    if (opcode == RM_OP_PULSE && (board.route != RM_ROUTE_CELL || board.gate != 0)) return RM_ERROR_ROUTE;
    if (opcode == RM_OP_PULSE && (argument == 0 || argument > RM_PULSE_CLOCKS_MAX)) return RM_ERROR_ARGUMENT;
    if (opcode != RM_OP_MVM) return RM_ERROR_NONE;
    if (board.route != RM_ROUTE_MVM) return RM_ERROR_ROUTE;
    const uint32_t vectors = FIELD(argument, OP_MVM_VECTORS);
    return vectors >= 1 && vectors <= RM_VECTORS_MAX ? RM_ERROR_NONE : RM_ERROR_ARGUMENT;
}

static uint64_t duration_us(uint32_t opcode, uint32_t argument)
{
    if (opcode == RM_OP_PULSE || opcode == RM_OP_WAIT) return (uint64_t)argument * 1000000u / CLOCK_HZ;
    return opcode == RM_OP_MVM ? (uint64_t)FIELD(argument, OP_MVM_VECTORS) * board.vector_ns / 1000u : 0;
}

/* A command that was waiting begins when the one before it ended, whenever somebody looks. */
static void begin(uint32_t opcode, uint32_t argument)
{
    const uint64_t free_us = board.until_us > board.rung_us ? board.until_us : board.rung_us;
    board.running = true;
    board.until_us = free_us + duration_us(opcode, argument);
    switch (opcode) {
    case RM_OP_ROUTE_OFF: board.route = RM_ROUTE_OFF; break;
    case RM_OP_ROUTE_MVM: board.route = RM_ROUTE_MVM; break;
    case RM_OP_ROUTE_CELL: board.route = RM_ROUTE_CELL; break;
    case RM_OP_PULSE: ++*reg(RM_REG_PULSES_TOTAL); break;
    case RM_OP_MVM: multiply(argument); break;
    default: break;
    }
    if (opcode == RM_OP_ROUTE_OFF || opcode == RM_OP_ROUTE_CELL) board.gate = 0;
    if (opcode == RM_OP_ROUTE_MVM) board.gate = 1;
    if (opcode == RM_OP_GATE) board.gate = argument & RM_OP_GATE_ON_MASK;
}

/* Run the ring up to now. */
static void advance(void)
{
    const uint64_t now_us = clock_us();
    check_watchdog(now_us);
    while (board.tail != board.head && board.state != RM_STATE_FAULT) {
        const uint32_t *command = reg(RM_WINDOW_COMMANDS + board.tail * RM_COMMAND_BYTES);
        const uint32_t opcode = FIELD(command[0], COMMAND_OPCODE);
        if (!board.running) {
            const uint32_t error = refusal_of(opcode, command[1]);
            if (error != RM_ERROR_NONE) {
                stop(RM_STATE_FAULT, RM_CAUSE_COMMAND, error);
                return;
            }
            begin(opcode, command[1]);
        }
        if (now_us < board.until_us) break;
        board.running = false;
        *reg(RM_REG_LAST_TAG) = FIELD(command[0], COMMAND_TAG);
        board.tail = (board.tail + 1u) % RM_COMMAND_SLOTS;
    }
    if (is_armed()) board.state = board.tail == board.head ? RM_STATE_READY : RM_STATE_BUSY;
}

static void control(uint32_t value)
{
    if (FIELD(value, CONTROL_KEY) != RM_CONTROL_KEY) return;
    if (FIELD(value, CONTROL_ABORT) != 0 && is_armed()) stop(RM_STATE_FAULT, RM_CAUSE_ABORT, RM_ERROR_NONE);
    if (FIELD(value, CONTROL_DISARM) != 0) {
        stop(RM_STATE_DISARMED, RM_CAUSE_NONE, RM_ERROR_NONE);
        board.tail = board.head;
    }
    if (FIELD(value, CONTROL_ARM) != 0 && board.state == RM_STATE_DISARMED) {
        stop(RM_STATE_READY, RM_CAUSE_NONE, RM_ERROR_NONE);
        board.tail = board.head;
        board.kicked_us = clock_us();
    }
}

static uint32_t status(void)
{
    const uint32_t idle = board.tail == board.head ? 1u : 0u, outputs = is_armed() ? 1u : 0u;
    return board.state << RM_STATUS_STATE_SHIFT | board.cause << RM_STATUS_CAUSE_SHIFT
         | board.route << RM_STATUS_ROUTE_SHIFT | board.gate << RM_STATUS_GATE_SHIFT
         | outputs << RM_STATUS_OUTPUTS_SHIFT | idle << RM_STATUS_IDLE_SHIFT | board.error << RM_STATUS_ERROR_SHIFT;
}

uint32_t hal_read(uint32_t offset)
{
    advance();
    switch (offset) {
    case RM_REG_STATUS: return status();
    case RM_REG_COMMAND_TAIL:
        return board.tail << RM_COMMAND_TAIL_SLOT_SHIFT | board.head << RM_COMMAND_TAIL_HEAD_SHIFT;
    case RM_REG_CLOCKS_LOW: {
        const uint64_t clocks = clock_us() * (CLOCK_HZ / 1000000u);
        *reg(RM_REG_CLOCKS_HIGH) = (uint32_t)(clocks >> 32);
        return (uint32_t)clocks;
    }
    default: return *reg(offset);
    }
}

void hal_write(uint32_t offset, uint32_t value)
{
    advance();
    switch (offset) {
    case RM_REG_CONTROL: control(value); break;
    case RM_REG_WATCHDOG_KICK:
        if (value == RM_WATCHDOG_KICK_KEY) board.kicked_us = clock_us();
        break;
    case RM_REG_COMMAND_HEAD:
        if (board.state == RM_STATE_FAULT) break;
        board.head = FIELD(value, COMMAND_HEAD_SLOT);
        board.rung_us = clock_us();
        break;
    case RM_REG_IRQ_STATUS: break;
    case RM_REG_WATCHDOG_MS: *reg(offset) = FIELD(value, WATCHDOG_MS_TIMEOUT); break;
    default: *reg(offset) = value; break;
    }
}

void hal_read_block(uint32_t offset, uint8_t *bytes, size_t count) { memcpy(bytes, reg(offset), 4u * count); }

void hal_write_block(uint32_t offset, const uint8_t *bytes, size_t count) { memcpy(reg(offset), bytes, 4u * count); }

uint64_t hal_time_us(void) { return clock_us(); }

void hal_wait(uint32_t microseconds)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)microseconds * 1000L};
    (void)nanosleep(&pause, NULL);
}

void hal_idle(void) {}
