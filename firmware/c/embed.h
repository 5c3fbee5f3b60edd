/* The daemon inside another process, as the twin's server has it: a shared library instead of main.c. One at a time. */
#ifndef RM_EMBED_H
#define RM_EMBED_H

#include "board_sim.h"

#include <stdbool.h>

/* Serve a board that was made with `library`, until rm_embedded_stop; returns the exit status of the daemon.
 * tcp: ADDRESS:PORT or NULL. announce: file descriptor for the lines that name each way in. */
int rm_embedded_run(const char *library, board_sim *sim, const char *tcp, bool pty, int announce);

/* From any thread or signal handler. */
void rm_embedded_stop(void);

#endif
