/* Registers in the address space of the board's Linux: a UIO device, or /dev/mem with the address of the AXI port. */
#include "hal.h"

#include "rm_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

const char *const HAL_WHERE = "/dev/uioN, or /dev/mem@ADDRESS with the address of the AXI port, as /dev/mem@0x43C00000";

#define PATH_BYTES 256u

static volatile uint32_t *window = NULL;

static bool fail(const char *where, const char *why)
{
    (void)fprintf(stderr, "rmhild: %s: %s\n", where == NULL ? "no board named" : where, why);
    return false;
}

/* Split PATH@ADDRESS. A UIO device has its first map at 0. */
static bool parse_where(const char *where, char path[PATH_BYTES], off_t *address)
{
    const char *at = strchr(where, '@');
    const size_t count = at == NULL ? strlen(where) : (size_t)(at - where);
    char *end = NULL;
    if (count == 0 || count >= PATH_BYTES) return false;
    memcpy(path, where, count);
    path[count] = '\0';
    *address = 0;
    if (at == NULL) return strcmp(path, "/dev/mem") != 0;
    const unsigned long number = strtoul(at + 1, &end, 0);
    const unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE);
    *address = (off_t)number;
    return end != at + 1 && *end == '\0' && number % page == 0;
}

bool hal_open(const char *where)
{
    char path[PATH_BYTES];
    off_t address = 0;
    if (where == NULL || !parse_where(where, path, &address)) return fail(where, "not of the form that --help shows");
    const int fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
    if (fd < 0) return fail(where, strerror(errno));
    void *mapped = mmap(NULL, RM_MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, address);
    const int reason = errno;
    (void)close(fd);
    if (mapped == MAP_FAILED) return fail(where, strerror(reason));
    window = mapped;
    return true;
}

void hal_close(void)
{
    if (window == NULL) return;
    (void)munmap((void *)(uintptr_t)window, RM_MAP_BYTES);
    window = NULL;
}

uint32_t hal_read(uint32_t offset) { return window[offset / 4u]; }

void hal_write(uint32_t offset, uint32_t value) { window[offset / 4u] = value; }

void hal_read_block(uint32_t offset, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t word = window[offset / 4u + i];
        memcpy(bytes + 4u * i, &word, sizeof word);
    }
}

void hal_write_block(uint32_t offset, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        memcpy(&word, bytes + 4u * i, sizeof word);
        window[offset / 4u + i] = word;
    }
}

uint64_t hal_time_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

void hal_wait(uint32_t microseconds)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)microseconds * 1000L};
    (void)nanosleep(&pause, NULL);
}

void hal_idle(void) {}
