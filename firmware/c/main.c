/* rmhild: the board's daemon. See docs/how-to/install-the-daemon.md. */
#include "hal.h"
#include "server.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile sig_atomic_t stop = 0;
static struct rm_core core; /* 3 MB: not for the stack */

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static void usage(FILE *out)
{
    (void)fprintf(out,
                  "usage: rmhild [--tcp ADDRESS:PORT] [--tty DEVICE [--baud RATE]] [--pty] [--key-file FILE] [BOARD]\n"
                  "  --tcp ADDRESS:PORT  listen, as 127.0.0.1:4711 or [::1]:4711; port 0 takes any.\n"
                  "                    Addresses other than loopback need a key\n"
                  "  --tty DEVICE        serve a terminal device, at --baud (default 115200)\n"
                  "  --pty               serve a pseudo-terminal of its own\n"
                  "  --key-file FILE     the shared key: 16 to %u bytes, readable by its owner only\n"
                  "  BOARD               %s\n"
                  "Each way in is announced on standard output, then outputs are off until a host takes the board.\n",
                  RM_KEY_MAX, HAL_WHERE);
}

/* Read the key. Zero: a message went to stderr. */
static size_t read_key(const char *path, uint8_t key[RM_KEY_MAX])
{
    struct stat about;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fstat(fileno(file), &about) != 0) {
        perror(path);
        if (file != NULL) (void)fclose(file);
        return 0;
    }
    const size_t count = fread(key, 1, RM_KEY_MAX, file);
    const bool longer = fgetc(file) != EOF;
    (void)fclose(file);
    if ((about.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        (void)fprintf(stderr, "rmhild: %s is open to others; use chmod 600\n", path);
        return 0;
    }
    if (count < 16 || longer) {
        (void)fprintf(stderr, "rmhild: %s holds %s bytes, a key has 16 to %u\n", path, longer ? "more" : "fewer",
                      RM_KEY_MAX);
        return 0;
    }
    return count;
}

/* Read the command line; *board is NULL where none is named. */
static bool read_options(int count, char **words, struct rm_options *options, const char **key_file, const char **board)
{
    static const struct option known[] = {
        {"tcp", required_argument, NULL, 't'},      {"tty", required_argument, NULL, 'd'},
        {"baud", required_argument, NULL, 'b'},     {"pty", no_argument, NULL, 'p'},
        {"key-file", required_argument, NULL, 'k'}, {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    for (int found; (found = getopt_long(count, words, "h", known, NULL)) != -1;) {
        switch (found) {
        case 't': options->tcp = optarg; break;
        case 'd': options->tty = optarg; break;
        case 'b': options->baud = strtoul(optarg, NULL, 10); break;
        case 'p': options->pty = true; break;
        case 'k': *key_file = optarg; break;
        case 'h': usage(stdout); exit(0);
        default: return false;
        }
    }
    if (optind < count) *board = words[optind++];
    return optind == count && (options->tcp != NULL || options->tty != NULL || options->pty);
}

int main(int count, char **words)
{
    struct rm_options options = {.baud = 115200, .announce = STDOUT_FILENO};
    struct rm_identity identity = {0};
    const char *key_file = NULL, *board = NULL;
    uint8_t key[RM_KEY_MAX];
    size_t key_count = 0;
    if (!read_options(count, words, &options, &key_file, &board)) {
        usage(stderr);
        return 2;
    }
    if (key_file != NULL && (key_count = read_key(key_file, key)) == 0) return 1;
    if (!rm_server_open(board, &identity)) return 1;
    const struct sigaction stopping = {.sa_handler = on_signal}, ignored = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGTERM, &stopping, NULL);
    (void)sigaction(SIGINT, &stopping, NULL);
    (void)sigaction(SIGPIPE, &ignored, NULL);
    rm_core_start(&core, &identity, key, key_count);
    const int status = rm_server_run(&core, &options, &stop);
    hal_close();
    return status;
}
