#include "server.h"

#include "hal.h"
#include "transport.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds: longest sleep with nothing to do, which bounds how late a silent link is noticed; how long a
 * connection may stay without holding the board. */
#define IDLE_MS 5
#define STRANGER_MS 5000u

/* Microseconds that the board runs between two looks at it. */
#define BOARD_WAIT_US 20u

/* Steps of the queue between two looks at the connections: an abort waits for no more. */
#define STEPS_MAX 8

#define READ_BYTES 65536u

struct way_in {
    int fd;               /* -1: unused */
    bool terminal;
    bool reopens;         /* a pseudo-terminal: the next client finds it again */
    bool hung_up;         /* a pseudo-terminal whose other side is closed */
    uint64_t since_ms;
    struct rm_port *port; /* NULL while hung up */
};

struct server {
    struct rm_core *core;
    const struct rm_options *options;
    int listener;
    bool terminal_lost;
    struct way_in ways[RM_PORTS];
};

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static void announce(const struct rm_options *options, const char *kind, const char *name)
{
    (void)dprintf(options->announce, "%s %s\n", kind, name);
}

enum kind { KIND_TCP, KIND_TTY, KIND_PTY };

static bool add_way(struct server *server, int fd, enum kind kind, bool remote)
{
    for (unsigned i = 0; i < RM_PORTS; i++) {
        struct way_in *way = &server->ways[i];
        if (way->fd >= 0) continue;
        struct rm_port *port = rm_port_open(server->core, kind == KIND_TCP, remote);
        if (port == NULL) return false;
        *way = (struct way_in){.fd = fd, .terminal = kind != KIND_TCP, .reopens = kind == KIND_PTY,
                               .since_ms = now_ms(), .port = port};
        return true;
    }
    return false;
}

static void hang_up(struct server *server, struct way_in *way)
{
    if (way->port != NULL) rm_port_close(server->core, way->port);
    way->port = NULL;
    if (way->reopens) {
        way->hung_up = true;
        return;
    }
    server->terminal_lost = server->terminal_lost || way->terminal;
    (void)close(way->fd);
    way->fd = -1;
}

static bool open_ways(struct server *server)
{
    const struct rm_options *options = server->options;
    char name[RM_NAME_MAX];
    if (options->tcp != NULL) {
        server->listener = rm_listen(options->tcp, server->core->key_count > 0, name);
        if (server->listener < 0) return false;
        announce(options, "tcp", name);
    }
    if (options->tty != NULL) {
        const int fd = rm_open_tty(options->tty, options->baud);
        if (fd < 0 || !add_way(server, fd, KIND_TTY, false)) return false;
        announce(options, "tty", options->tty);
    }
    if (options->pty) {
        const int fd = rm_open_pty(name);
        if (fd < 0 || !add_way(server, fd, KIND_PTY, false)) return false;
        announce(options, "pty", name);
    }
    return true;
}

static void take_connection(struct server *server)
{
    bool remote = true;
    const int fd = rm_accept(server->listener, &remote);
    if (fd >= 0 && !add_way(server, fd, KIND_TCP, remote)) (void)close(fd);
}

static bool would_block(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

static void receive(struct server *server, struct way_in *way)
{
    static uint8_t bytes[READ_BYTES];
    const ssize_t count = read(way->fd, bytes, sizeof bytes);
    if (count > 0) rm_port_input(server->core, way->port, bytes, (size_t)count);
    else if (count == 0 || !would_block()) hang_up(server, way);
}

static bool has_output(const struct rm_port *port)
{
    const uint8_t *bytes = NULL;
    return rm_port_output(port, &bytes) > 0;
}

static void transmit(struct server *server, struct way_in *way)
{
    const uint8_t *bytes = NULL;
    const size_t waiting = rm_port_output(way->port, &bytes);
    const ssize_t count = waiting > 0 ? write(way->fd, bytes, waiting) : 0;
    if (count > 0) rm_port_sent(way->port, (size_t)count);
    if (count < 0 && !would_block()) hang_up(server, way);
}

/* As if the cable had been pulled. */
static void hang_up_all(struct server *server)
{
    for (unsigned i = 0; i < RM_PORTS; i++) {
        struct way_in *way = &server->ways[i];
        if (way->fd >= 0 && !way->terminal) hang_up(server, way);
    }
}

/* End a connection that is to be ended, or that has been here for too long without holding the board. */
static void dismiss(struct server *server, struct way_in *way)
{
    if (way->terminal) {
        way->port->closing = false; /* there is no connection to end: the line stays */
        return;
    }
    const bool stranger = server->core->session.port != way->port;
    if (!stranger) way->since_ms = now_ms();
    const bool late = stranger && now_ms() - way->since_ms > STRANGER_MS;
    if (late || (way->port->closing && !has_output(way->port))) hang_up(server, way);
}

/* A pseudo-terminal without a client is ready at once and for ever: look whether somebody came, do not wait on it. */
static void look_for_client(struct server *server, struct way_in *way)
{
    struct pollfd polled = {.fd = way->fd, .events = POLLIN};
    if (poll(&polled, 1, 0) < 0 || (polled.revents & POLLHUP) != 0) return;
    way->port = rm_port_open(server->core, false, false);
    way->hung_up = way->port == NULL;
}

static struct pollfd what_to_wait_for(struct server *server, struct way_in *way)
{
    if (way->fd >= 0 && way->hung_up) look_for_client(server, way);
    if (way->fd < 0 || way->hung_up) return (struct pollfd){.fd = -1};
    return (struct pollfd){.fd = way->fd, .events = (short)(POLLIN | (has_output(way->port) ? POLLOUT : 0))};
}

static void wait_for_bytes(struct server *server, int timeout_ms)
{
    struct pollfd polled[RM_PORTS + 1];
    for (unsigned i = 0; i < RM_PORTS; i++) polled[i] = what_to_wait_for(server, &server->ways[i]);
    polled[RM_PORTS] = (struct pollfd){.fd = server->listener, .events = POLLIN};
    if (poll(polled, RM_PORTS + 1, timeout_ms) <= 0) return;
    for (unsigned i = 0; i < RM_PORTS; i++) {
        struct way_in *way = &server->ways[i];
        if ((polled[i].revents & POLLIN) != 0) receive(server, way);
        else if ((polled[i].revents & (POLLHUP | POLLERR)) != 0) hang_up(server, way);
    }
    if ((polled[RM_PORTS].revents & POLLIN) != 0) take_connection(server);
}

static enum rm_progress advance(struct server *server)
{
    enum rm_progress progress = RM_WORKED;
    for (unsigned i = 0; i < STEPS_MAX && progress == RM_WORKED; i++) progress = rm_core_step(server->core, now_ms());
    for (unsigned i = 0; i < RM_PORTS; i++) {
        struct way_in *way = &server->ways[i];
        if (way->fd >= 0 && way->port != NULL) transmit(server, way);
        if (way->fd >= 0 && way->port != NULL) dismiss(server, way);
    }
    if (progress == RM_WAITING) hal_wait(BOARD_WAIT_US);
    if (progress == RM_IDLE) hal_idle();
    return progress;
}

static void close_ways(struct server *server)
{
    for (unsigned i = 0; i < RM_PORTS; i++) {
        if (server->ways[i].fd >= 0) (void)close(server->ways[i].fd);
    }
    if (server->listener >= 0) (void)close(server->listener);
}

bool rm_server_open(const char *where, struct rm_identity *identity)
{
    if (!hal_open(where)) return false;
    if (rm_board_identify(identity)) return true;
    (void)fprintf(stderr, "rmhild: the board was built from another register map (hash %08x)\n",
                  (unsigned)identity->map_hash);
    hal_close();
    return false;
}

int rm_server_run(struct rm_core *core, const struct rm_options *options, const volatile sig_atomic_t *stop)
{
    struct server server = {.core = core, .options = options, .listener = -1};
    for (unsigned i = 0; i < RM_PORTS; i++) server.ways[i].fd = -1;
    if (!open_ways(&server)) {
        close_ways(&server);
        return 1;
    }
    while (!*stop && !server.terminal_lost) {
        if (options->turn != NULL && options->turn()) hang_up_all(&server);
        const enum rm_progress progress = advance(&server);
        wait_for_bytes(&server, progress == RM_IDLE ? IDLE_MS : 0);
    }
    rm_board_safe();
    close_ways(&server);
    if (server.terminal_lost) (void)fprintf(stderr, "rmhild: %s is gone\n", options->tty);
    return server.terminal_lost ? 1 : 0;
}
