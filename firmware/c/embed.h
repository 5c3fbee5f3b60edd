/* The daemon inside another process, as the twin's server has it: a shared library instead of main.c. One at a time. */
#ifndef RM_EMBED_H
#define RM_EMBED_H

#include "board_sim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Serve a board that was made with `library`, until rm_embedded_stop; returns the exit status of the daemon. May be called
 * again when it has returned.
 * tcp: ADDRESS:PORT or NULL. announce: file descriptor for the lines that name each way in. */
int rm_embedded_run(const char *library, board_sim *sim, const char *tcp, bool pty, int announce);

/* The key that later runs share with hosts; 0 bytes: none, and loopback only. False: longer than RM_KEY_MAX. */
bool rm_embedded_key(const uint8_t *key, size_t count);

/* From any thread or signal handler; ends the run under way, or the next one as soon as it begins. */
void rm_embedded_stop(void);

/* From any other thread than that of the run, while it is under way: call `question(context)` on the thread of the run,
 * between two steps of the board, and come back when that has returned. False: the run has ended, nothing was called. */
bool rm_embedded_ask(void (*question)(void *context), void *context);

/* From any thread: hang up on every TCP connection, as if its cable had been pulled. */
void rm_embedded_drop(void);

#endif
