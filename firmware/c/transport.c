#include "transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

static int complain(const char *what, const char *name, const char *why)
{
    (void)fprintf(stderr, "rmhild: %s %s: %s\n", what, name, why);
    return -1;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127u;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return v6.sin6_addr.s6_addr[12] == 127u;
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) != 0;
}

/* Parse ADDRESS:PORT or [ADDRESS]:PORT, numbers only: a statically linked program looks up no names. */
static bool parse_address(const char *text, struct sockaddr_storage *address)
{
    char host[RM_NAME_MAX];
    char *end = NULL;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || (size_t)(colon - text) >= RM_NAME_MAX) return false;
    const unsigned long port = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || port > UINT16_MAX) return false;
    const size_t count = (size_t)(colon - text);
    const bool bracketed = text[0] == '[' && colon[-1] == ']';
    memcpy(host, bracketed ? text + 1 : text, bracketed ? count - 2 : count);
    host[bracketed ? count - 2 : count] = '\0';
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    const bool is_v4 = inet_pton(AF_INET, host, &v4.sin_addr) == 1;
    if (!is_v4 && inet_pton(AF_INET6, host, &v6.sin6_addr) != 1) return false;
    memset(address, 0, sizeof *address);
    memcpy(address, is_v4 ? (void *)&v4 : (void *)&v6, is_v4 ? sizeof v4 : sizeof v6);
    return true;
}

static socklen_t size_of(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static void write_name(int fd, char name[RM_NAME_MAX])
{
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    char host[INET6_ADDRSTRLEN] = "?";
    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0) return;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memcpy(&v4, &bound, sizeof v4);
    memcpy(&v6, &bound, sizeof v6);
    if (bound.ss_family == AF_INET) {
        (void)inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        (void)snprintf(name, RM_NAME_MAX, "%s:%u", host, (unsigned)ntohs(v4.sin_port));
    } else {
        (void)inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        (void)snprintf(name, RM_NAME_MAX, "[%s]:%u", host, (unsigned)ntohs(v6.sin6_port));
    }
}

static int bind_and_listen(const struct sockaddr_storage *address)
{
    const int one = 1;
    const int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0
        && bind(fd, (const struct sockaddr *)address, size_of(address)) == 0 && listen(fd, 4) == 0) {
        return fd;
    }
    const int reason = errno;
    (void)close(fd);
    errno = reason;
    return -1;
}

int rm_listen(const char *text, bool remote_allowed, char name[RM_NAME_MAX])
{
    struct sockaddr_storage address;
    if (!parse_address(text, &address)) return complain("listen on", text, "not ADDRESS:PORT in numbers");
    if (!is_loopback(&address) && !remote_allowed) {
        return complain("listen on", text, "other machines reach this address: give a key with --key-file");
    }
    const int fd = bind_and_listen(&address);
    if (fd < 0) return complain("listen on", text, strerror(errno));
    write_name(fd, name);
    return fd;
}

int rm_accept(int listener, bool *remote)
{
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof peer;
    const int one = 1;
    const int fd = accept(listener, (struct sockaddr *)&peer, &size);
    if (fd < 0) return -1;
    *remote = !is_loopback(&peer);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0
        || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bool find_speed(unsigned long baud, speed_t *speed)
{
    static const struct {
        unsigned long baud;
        speed_t speed;
    } known[] = {{9600, B9600},     {19200, B19200},     {38400, B38400},     {57600, B57600},
                 {115200, B115200}, {230400, B230400},   {460800, B460800},   {921600, B921600},
                 {1000000, B1000000}, {2000000, B2000000}, {3000000, B3000000}, {4000000, B4000000}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].baud != baud) continue;
        *speed = known[i].speed;
        return true;
    }
    return false;
}

/* Eight bits, no parity, one stop bit, no translation, no flow control. */
static bool make_raw(int fd, speed_t speed)
{
    struct termios settings;
    if (tcgetattr(fd, &settings) != 0) return false;
    cfmakeraw(&settings);
    settings.c_cflag = (settings.c_cflag & ~(tcflag_t)CSTOPB) | CLOCAL | CREAD;
    return cfsetispeed(&settings, speed) == 0 && cfsetospeed(&settings, speed) == 0
        && tcsetattr(fd, TCSANOW, &settings) == 0;
}

int rm_open_tty(const char *path, unsigned long baud)
{
    speed_t speed = B0;
    if (!find_speed(baud, &speed)) return complain("open", path, "this baud rate is not one of the system's");
    const int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return complain("open", path, strerror(errno));
    if (make_raw(fd, speed)) return fd;
    const int reason = errno;
    (void)close(fd);
    return complain("set up", path, strerror(reason));
}

int rm_open_pty(char name[RM_NAME_MAX])
{
    const int fd = posix_openpt(O_RDWR | O_NOCTTY);
    if (fd < 0) return complain("open", "a pseudo-terminal", strerror(errno));
    const char *other = NULL;
    if (grantpt(fd) == 0 && unlockpt(fd) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0
        && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && make_raw(fd, B115200)) {
        other = ptsname(fd);
    }
    if (other == NULL) {
        (void)close(fd);
        return complain("open", "a pseudo-terminal", strerror(errno));
    }
    (void)snprintf(name, RM_NAME_MAX, "%s", other);
    return fd;
}
