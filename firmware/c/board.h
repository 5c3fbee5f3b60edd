/* What the core asks of the board, in terms of the register map (firmware/regmap). */
#ifndef RM_BOARD_H
#define RM_BOARD_H

#include "rm_map.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>

/* Banks of batch memory: the board works on one while the other is filled or emptied. */
#define RM_BANKS 2u

#define RM_RING_SLOTS RM_COMMAND_SLOTS
#define RM_COMMAND_BYTES (4u * RM_COMMAND_WORDS)

struct rm_identity {
    uint32_t map_hash, board_hash, build;
    uint32_t clock_hz;
    uint32_t vector_bytes, result_bytes; /* of one input vector and of its result, as they travel */
};

/* Read the board's identity; false: it was not built from the map that this daemon was compiled with. */
bool rm_board_identify(struct rm_identity *identity);

/* Registers that the host may read and write. Those that the daemon works with itself it may not write. */
bool rm_board_can_read(uint32_t offset);
bool rm_board_can_write(uint32_t offset);

/* All outputs off, DISARMED, the ring empty. Always allowed. */
void rm_board_safe(void);
/* Outputs off and FAULT; does nothing where they are off. */
void rm_board_abort(void);
/* The board's own watchdog: outputs off where this does not come in time. */
void rm_board_kick(void);

enum rm_board_state { RM_BOARD_TAKES, RM_BOARD_STOPPED, RM_BOARD_CHANGING };
/* Does the board take commands, has it stopped, or is it between; *status is the register. */
enum rm_board_state rm_board_state(uint32_t *status);

/* The ring: its first free slot, its oldest slot that is not done, writing a slot, and the doorbell. */
uint32_t rm_board_ring_head(void);
uint32_t rm_board_ring_tail(void);
void rm_board_put(uint32_t slot, const uint8_t command[RM_COMMAND_BYTES]);
void rm_board_ring(uint32_t head);

/* May a host put this command into the ring itself; the longest that it may take, in microseconds of the board. */
bool rm_board_takes_command(const uint8_t command[RM_COMMAND_BYTES], uint32_t clock_hz, uint32_t *limit_us);

/* Fill an input bank and write the batch command; take the results of a finished one. */
void rm_board_load(uint32_t slot, unsigned bank, uint16_t tag, const uint8_t *vectors, uint32_t count);
void rm_board_fetch(unsigned bank, uint8_t *results, uint32_t count);

/* Vectors of the batch that stopped whose results are complete; pulses begun since reset. */
uint32_t rm_board_vectors_done(void);
uint32_t rm_board_pulses(void);

/* What a RM_COMMANDS is answered with: STATUS, PULSES_TOTAL, VECTORS_TOTAL, LAST_TAG. */
void rm_board_report(uint8_t report[RM_COMMANDS_ANSWER_BYTES]);

#endif
