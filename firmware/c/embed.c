#include "embed.h"

#include "hal.h"
#include "hal_rtl.h"
#include "server.h"

#include <stdio.h>

static volatile sig_atomic_t stop = 0;
static struct rm_core core;

void rm_embedded_stop(void) { stop = 1; }

int rm_embedded_run(const char *library, board_sim *sim, const char *tcp, bool pty, int announce)
{
    const struct rm_options options = {.tcp = tcp, .pty = pty, .announce = announce};
    struct rm_identity identity = {0};
    stop = 0;
    hal_rtl_use(sim);
    if (!hal_open(library)) return 1;
    int status = 1;
    if (rm_board_identify(&identity)) {
        rm_core_start(&core, &identity, NULL, 0);
        status = rm_server_run(&core, &options, &stop);
    } else {
        (void)fprintf(stderr, "rmhild: the board was built from another register map (hash %08x)\n",
                      (unsigned)identity.map_hash);
    }
    hal_close();
    return status;
}
