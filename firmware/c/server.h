/* The daemon's connections: TCP, a terminal device, or a pseudo-terminal of its own. */
#ifndef RM_SERVER_H
#define RM_SERVER_H

#include "core.h"

#include <signal.h>

struct rm_options {
    const char *tcp;      /* ADDRESS:PORT or [ADDRESS]:PORT, port 0 for any; NULL: none */
    const char *tty;      /* terminal device; NULL: none */
    unsigned long baud;   /* of the terminal device */
    bool pty;             /* open a pseudo-terminal */
    int announce;         /* file descriptor that gets one line for each way in, "tcp 127.0.0.1:4711" */
    bool (*turn)(void);   /* called between two steps of the board; true: hang up on TCP. NULL: nothing to do */
};

/* Open the board that `where` names, and read what it is. False: a message went to stderr, and nothing is open. */
bool rm_server_open(const char *where, struct rm_identity *identity);

/* Serve until *stop is set, then switch the outputs off. Returns an exit status; messages go to stderr. */
int rm_server_run(struct rm_core *core, const struct rm_options *options, const volatile sig_atomic_t *stop);

#endif
