#include "embed.h"

#include "hal.h"
#include "hal_rtl.h"
#include "server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static volatile sig_atomic_t stop = 0;
static struct rm_core core;
static uint8_t shared_key[RM_KEY_MAX];
static size_t shared_key_count = 0;
static atomic_bool drop = false;

/* One question at a time; `running` and `question` are guarded by `door`. */
static pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool running = false;
static struct {
    void (*call)(void *context);
    void *context;
    bool *answered;
} question;
static atomic_bool asked = false;

bool rm_embedded_key(const uint8_t *key, size_t count)
{
    if (count > RM_KEY_MAX) return false;
    if (count > 0) memcpy(shared_key, key, count);
    shared_key_count = count;
    return true;
}

void rm_embedded_stop(void) { stop = 1; }

void rm_embedded_drop(void) { atomic_store(&drop, true); }

bool rm_embedded_ask(void (*call)(void *context), void *context)
{
    bool answered = false;
    (void)pthread_mutex_lock(&door);
    while (running && question.call != NULL) (void)pthread_cond_wait(&changed, &door); /* somebody else's */
    if (running) {
        question.call = call;
        question.context = context;
        question.answered = &answered;
        atomic_store(&asked, true);
    }
    while (running && !answered) (void)pthread_cond_wait(&changed, &door);
    (void)pthread_mutex_unlock(&door);
    return answered;
}

static bool turn(void)
{
    if (atomic_load(&asked)) {
        (void)pthread_mutex_lock(&door);
        question.call(question.context);
        question.call = NULL;
        *question.answered = true;
        atomic_store(&asked, false);
        (void)pthread_cond_broadcast(&changed);
        (void)pthread_mutex_unlock(&door);
    }
    return atomic_exchange(&drop, false);
}

static void set_running(bool now)
{
    (void)pthread_mutex_lock(&door);
    running = now;
    question.call = NULL;
    atomic_store(&asked, false);
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&door);
}

int rm_embedded_run(const char *library, board_sim *sim, const char *tcp, bool pty, int announce)
{
    const struct rm_options options = {.tcp = tcp, .pty = pty, .announce = announce, .turn = turn};
    struct rm_identity identity = {0};
    hal_rtl_use(sim);
    if (!rm_server_open(library, &identity)) return 1;
    rm_core_start(&core, &identity, shared_key, shared_key_count);
    set_running(true);
    const int status = rm_server_run(&core, &options, &stop);
    set_running(false);
    hal_close();
    stop = 0;
    return status;
}
