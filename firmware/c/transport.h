/* Opening sockets and terminals. Each function returns a non-blocking file descriptor, or -1; a message of why goes to
 * stderr. */
#ifndef RM_TRANSPORT_H
#define RM_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#define RM_NAME_MAX 128u

/* Listen on ADDRESS:PORT; `name` gets what is in force. Other machines reach an address that is not loopback:
 * refused unless `remote_allowed`. */
int rm_listen(const char *text, bool remote_allowed, char name[RM_NAME_MAX]);

/* Take a connection; *remote: it comes from another machine. */
int rm_accept(int listener, bool *remote);

int rm_open_tty(const char *path, unsigned long baud);

/* A pseudo-terminal; `name` gets the device for the other side. */
int rm_open_pty(char name[RM_NAME_MAX]);

#endif
