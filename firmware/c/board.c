#include "board.h"

#include "hal.h"

#define CONTROL(bit) (RM_CONTROL_KEY << RM_CONTROL_KEY_SHIFT | 1u << RM_CONTROL_##bit##_SHIFT)
#define FIELD(word, name) ((word) >> RM_##name##_SHIFT & RM_##name##_MASK)

/* Microseconds for a command that does not say how long it takes; a change of route takes about 35. */
#define COMMAND_LIMIT_US 100000u

/* Looks, a microsecond apart, at a board that stops: up to 300 while the DACs are being reset (firmware/regmap/README.md). */
#define STOP_LOOKS 500u

bool rm_board_identify(struct rm_identity *identity)
{
    identity->map_hash = hal_read(RM_REG_MAP_HASH);
    identity->board_hash = hal_read(RM_REG_BOARD_HASH);
    identity->build = hal_read(RM_REG_BUILD_ID);
    identity->clock_hz = hal_read(RM_REG_CLOCK_HZ);
    identity->vector_bytes = RM_VECTOR_BYTES;
    identity->result_bytes = RM_VECTOR_BYTES;
    return hal_read(RM_REG_MAGIC) == RM_MAP_MAGIC && identity->map_hash == RM_MAP_HASH_VALUE;
}

bool rm_board_can_read(uint32_t offset)
{
    switch (offset) {
    case RM_REG_MAGIC:
    case RM_REG_MAP_HASH:
    case RM_REG_BUILD_ID:
    case RM_REG_BOARD_HASH:
    case RM_REG_LINES:
    case RM_REG_CHANNELS:
    case RM_REG_CLOCK_HZ:
    case RM_REG_INPUT_LIMITS:
    case RM_REG_STATUS:
    case RM_REG_IRQ_STATUS:
    case RM_REG_IRQ_ENABLE:
    case RM_REG_WATCHDOG_MS:
    case RM_REG_WATCHDOG_LEFT:
    case RM_REG_COMMAND_TAIL:
    case RM_REG_LAST_TAG:
    case RM_REG_VECTORS_DONE:
    case RM_REG_VECTORS_TOTAL:
    case RM_REG_PULSES_TOTAL:
    case RM_REG_CONVERSIONS_TOTAL:
    case RM_REG_OVER_RANGE_TOTAL:
    case RM_REG_LINK_ERRORS_TOTAL:
    case RM_REG_DAC_ANSWER:
    case RM_REG_CLOCKS_LOW:
    case RM_REG_CLOCKS_HIGH: return true;
    default: return false;
    }
}

bool rm_board_can_write(uint32_t offset)
{
    return offset == RM_REG_CONTROL || offset == RM_REG_IRQ_STATUS || offset == RM_REG_IRQ_ENABLE
        || offset == RM_REG_WATCHDOG_MS;
}

static uint32_t state_now(void) { return FIELD(hal_read(RM_REG_STATUS), STATUS_STATE); }

/* The outputs are off with the first write. A board that is stopping takes DISARM only when it has stopped. */
void rm_board_safe(void)
{
    hal_write(RM_REG_CONTROL, CONTROL(DISARM));
    for (unsigned look = 0; look < STOP_LOOKS && state_now() == RM_STATE_STOPPING; look++) hal_wait(1);
    if (state_now() != RM_STATE_DISARMED) hal_write(RM_REG_CONTROL, CONTROL(DISARM));
}

void rm_board_abort(void) { hal_write(RM_REG_CONTROL, CONTROL(ABORT)); }

void rm_board_kick(void) { hal_write(RM_REG_WATCHDOG_KICK, RM_WATCHDOG_KICK_KEY); }

enum rm_board_state rm_board_state(uint32_t *status)
{
    *status = hal_read(RM_REG_STATUS);
    switch (FIELD(*status, STATUS_STATE)) {
    case RM_STATE_DISARMED:
    case RM_STATE_READY:
    case RM_STATE_BUSY: return RM_BOARD_TAKES;
    case RM_STATE_FAULT: return RM_BOARD_STOPPED;
    default: return RM_BOARD_CHANGING;
    }
}

uint32_t rm_board_ring_head(void) { return FIELD(hal_read(RM_REG_COMMAND_TAIL), COMMAND_TAIL_HEAD); }

uint32_t rm_board_ring_tail(void) { return FIELD(hal_read(RM_REG_COMMAND_TAIL), COMMAND_TAIL_SLOT); }

void rm_board_put(uint32_t slot, const uint8_t command[RM_COMMAND_BYTES])
{
    hal_write_block(RM_WINDOW_COMMANDS + slot * RM_COMMAND_BYTES, command, RM_COMMAND_WORDS);
}

void rm_board_ring(uint32_t head) { hal_write(RM_REG_COMMAND_HEAD, head << RM_COMMAND_HEAD_SLOT_SHIFT); }

bool rm_board_takes_command(const uint8_t command[RM_COMMAND_BYTES], uint32_t clock_hz, uint32_t *limit_us)
{
    const uint32_t opcode = FIELD(rm_get32(command), COMMAND_OPCODE);
    const uint64_t clocks = rm_get32(command + 4);
    *limit_us = COMMAND_LIMIT_US;
    if (opcode == RM_OP_MVM) return false; /* the banks are the daemon's: vectors come with RM_VECTORS */
    if (opcode != RM_OP_PULSE && opcode != RM_OP_WAIT) return true;
    const uint64_t lasts_us = clocks * 1000000u / clock_hz;
    if (lasts_us > RM_WAIT_MAX_US) return false;
    *limit_us += (uint32_t)lasts_us;
    return true;
}

void rm_board_load(uint32_t slot, unsigned bank, uint16_t tag, const uint8_t *vectors, uint32_t count)
{
    uint8_t command[RM_COMMAND_BYTES] = {0};
    rm_put32(command, (uint32_t)RM_OP_MVM << RM_COMMAND_OPCODE_SHIFT | (uint32_t)tag << RM_COMMAND_TAG_SHIFT);
    rm_put32(command + 4u * RM_OP_MVM_VECTORS_WORD, count << RM_OP_MVM_VECTORS_SHIFT | bank << RM_OP_MVM_BANK_SHIFT);
    hal_write_block(RM_WINDOW_INPUTS + bank * RM_BANK_BYTES, vectors, count * RM_VECTOR_BYTES / 4u);
    rm_board_put(slot, command);
}

void rm_board_fetch(unsigned bank, uint8_t *results, uint32_t count)
{
    hal_read_block(RM_WINDOW_RESULTS + bank * RM_BANK_BYTES, results, count * RM_VECTOR_BYTES / 4u);
}

uint32_t rm_board_vectors_done(void) { return FIELD(hal_read(RM_REG_VECTORS_DONE), VECTORS_DONE_COUNT); }

uint32_t rm_board_pulses(void) { return hal_read(RM_REG_PULSES_TOTAL); }

void rm_board_report(uint8_t report[RM_COMMANDS_ANSWER_BYTES])
{
    rm_put32(report, hal_read(RM_REG_STATUS));
    rm_put32(report + 4, hal_read(RM_REG_PULSES_TOTAL));
    rm_put32(report + 8, hal_read(RM_REG_VECTORS_TOTAL));
    rm_put32(report + 12, hal_read(RM_REG_LAST_TAG));
}
