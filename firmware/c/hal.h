/* How the daemon reaches the board: one of hal_mmap.c (registers in the address space), hal_rtl.c (Verilated RTL) and
 * hal_mem.c (memory that behaves like the map) is linked in.
 */
#ifndef RM_HAL_H
#define RM_HAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Open the board that `where` names (what it means is the back end's). False: a message went to stderr. */
bool hal_open(const char *where);
void hal_close(void);

/* A usage line for `where`. */
extern const char *const HAL_WHERE;

/* 32-bit registers at word-aligned byte offsets. */
uint32_t hal_read(uint32_t offset);
void hal_write(uint32_t offset, uint32_t value);

/* Windows of words; bytes need no alignment, count is in words. */
void hal_read_block(uint32_t offset, uint8_t *bytes, size_t count);
void hal_write_block(uint32_t offset, const uint8_t *bytes, size_t count);

/* Time of the board in microseconds; that of hal_rtl is simulated. */
uint64_t hal_time_us(void);

/* The board is at work: let it run for about so long. */
void hal_wait(uint32_t microseconds);

/* Nothing is to be done; called every few milliseconds. */
void hal_idle(void);

#endif
