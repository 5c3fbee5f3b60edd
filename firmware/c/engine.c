/* The queue of sequenced requests. Commands and vectors go through the board's ring, so that it never waits for the
 * host between two of them; register accesses run alone, when everything before them is done. */
#include "core.h"
#include "hal.h"

/* Microseconds for a batch, and more for each vector. The slowest topology (one converter for 64 columns) takes
 * 1.34 ms a vector; the rest is margin. */
#define BATCH_LIMIT_US 1000000u
#define VECTOR_LIMIT_US 10000u

struct step {
    uint32_t kind, offset, value, mask, limit_us;
};

static struct step step_at(const struct rm_slot *slot, uint32_t index)
{
    const uint8_t *bytes = slot->request + index * RM_STEP_BYTES;
    return (struct step){rm_get32(bytes), rm_get32(bytes + 4), rm_get32(bytes + 8), rm_get32(bytes + 12),
                         rm_get32(bytes + 16)};
}

/* Parts that a request has: vectors, commands or steps. */
static uint32_t parts_of(const struct rm_core *core, const struct rm_slot *slot)
{
    if (slot->type == RM_VECTORS) return slot->request_length / core->identity.vector_bytes;
    return slot->request_length / (slot->type == RM_COMMANDS ? RM_COMMAND_BYTES : RM_STEP_BYTES);
}

static enum rm_reason check_step(const struct step *step)
{
    switch (step->kind) {
    case RM_STEP_READ: return rm_board_can_read(step->offset) ? RM_OK : RM_BAD_ADDRESS;
    case RM_STEP_WRITE: return rm_board_can_write(step->offset) ? RM_OK : RM_BAD_ADDRESS;
    case RM_STEP_WAIT:
        if (step->limit_us > RM_WAIT_MAX_US) return RM_BAD_ARGUMENT;
        return rm_board_can_read(step->offset) ? RM_OK : RM_BAD_ADDRESS;
    default: return RM_BAD_ARGUMENT;
    }
}

static enum rm_reason check_transact(struct rm_slot *slot, uint32_t count)
{
    if (count == 0 || count > RM_STEPS_MAX || slot->request_length % RM_STEP_BYTES != 0) return RM_BAD_LENGTH;
    for (uint32_t index = 0; index < count; index++) {
        const struct step step = step_at(slot, index);
        const enum rm_reason verdict = check_step(&step);
        slot->verdict_index = index;
        if (verdict != RM_OK) return verdict;
    }
    return RM_OK;
}

static enum rm_reason check_commands(struct rm_slot *slot, uint32_t count, uint32_t clock_hz)
{
    if (count == 0 || count > RM_COMMANDS_MAX || slot->request_length % RM_COMMAND_BYTES != 0) return RM_BAD_LENGTH;
    for (uint32_t index = 0; index < count; index++) {
        uint32_t limit_us = 0;
        slot->verdict_index = index;
        const uint8_t *command = slot->request + index * RM_COMMAND_BYTES;
        if (!rm_board_takes_command(command, clock_hz, &limit_us)) return RM_BAD_ARGUMENT;
    }
    return RM_OK;
}

static enum rm_reason check_vectors(const struct rm_core *core, const struct rm_slot *slot, uint32_t count)
{
    const uint32_t room = slot->envelope == RM_BULK ? RM_BULK_PAYLOAD_MAX : RM_COBS_PAYLOAD_MAX;
    if (count == 0 || slot->request_length % core->identity.vector_bytes != 0) return RM_BAD_LENGTH;
    return count <= room / core->identity.result_bytes ? RM_OK : RM_BAD_LENGTH;
}

void rm_engine_check(const struct rm_core *core, struct rm_slot *slot)
{
    const uint32_t count = parts_of(core, slot);
    slot->verdict_index = 0;
    switch (slot->type) {
    case RM_TRANSACT: slot->verdict = check_transact(slot, count); break;
    case RM_COMMANDS: slot->verdict = check_commands(slot, count, core->identity.clock_hz); break;
    case RM_VECTORS: slot->verdict = check_vectors(core, slot, count); break;
    default: slot->verdict = RM_BAD_TYPE; break;
    }
}

void rm_engine_reset(struct rm_core *core)
{
    core->engine = (struct rm_engine){0};
    for (unsigned i = 0; i < RM_SLOTS; i++) core->slots[i].state = RM_SLOT_FREE;
}

/* Forget what is in the ring; the board was told to. */
static void empty_ring(struct rm_engine *engine)
{
    engine->ring_tail = engine->ring_head;
    engine->banks_used = engine->load_bank = engine->fetch_bank = 0;
}

/* The oldest request is done: keep its answer and send it. */
static void finish_head(struct rm_core *core, enum rm_reason reason, uint32_t answer_length)
{
    struct rm_engine *engine = &core->engine;
    struct rm_slot *slot = rm_slot_of(core, engine->head);
    slot->state = RM_SLOT_DONE;
    slot->code = (uint8_t)reason;
    slot->answer_length = answer_length;
    engine->head++;
    engine->done = engine->reads = 0;
    engine->waiting = false;
    if ((int32_t)(engine->load - engine->head) < 0) {
        engine->load = engine->head;
        engine->loaded = 0;
    }
    rm_session_answer(core, slot);
}

static void refuse_head(struct rm_core *core, enum rm_reason reason, uint32_t index, uint32_t value, uint32_t more)
{
    struct rm_slot *slot = rm_slot_of(core, core->engine.head);
    const struct rm_refusal refusal = {.type = slot->type, .index = index, .value = value, .more = more};
    rm_refusal_pack(&refusal, core->session.expected, slot->answer);
    finish_head(core, reason, RM_NAK_BYTES);
}

/* The board stopped, or is stopped, at the oldest request. What it was given of later ones did not run. */
static void fail_head(struct rm_core *core, enum rm_reason reason, uint32_t value)
{
    struct rm_engine *engine = &core->engine;
    const bool vectors = rm_slot_of(core, engine->head)->type == RM_VECTORS;
    const uint32_t end = engine->load == core->session.expected ? engine->load : engine->load + 1;
    for (uint32_t late = engine->head + 1; late != end; late++) rm_slot_of(core, late)->state = RM_SLOT_QUEUED;
    empty_ring(engine);
    engine->load = engine->head;
    refuse_head(core, reason, engine->done + (vectors ? rm_board_vectors_done() : 0), value, rm_board_pulses());
}

/* Take what the oldest slot of the ring has left behind. */
static void retire(struct rm_core *core)
{
    struct rm_engine *engine = &core->engine;
    struct rm_slot *slot = rm_slot_of(core, engine->head);
    const struct rm_ring_entry *entry = &engine->ring[engine->ring_tail];
    const uint32_t result_bytes = core->identity.result_bytes;
    engine->ring_tail = (engine->ring_tail + 1u) % RM_RING_SLOTS;
    engine->since_us = hal_time_us();
    if (entry->count > 0) {
        rm_board_fetch(engine->fetch_bank, slot->answer + engine->done * result_bytes, entry->count);
        engine->fetch_bank = (engine->fetch_bank + 1u) % RM_BANKS;
        engine->banks_used--;
    }
    engine->done += entry->count > 0 ? entry->count : 1u;
    if (!entry->last) return;
    if (slot->type == RM_VECTORS) {
        finish_head(core, RM_OK, engine->done * result_bytes);
    } else {
        rm_board_report(slot->answer);
        finish_head(core, RM_OK, RM_COMMANDS_ANSWER_BYTES);
    }
}

/* Finish what the ring's tail has passed. False: this is another ring, for the board was reset. */
static bool follow_tail(struct rm_core *core, bool *finished)
{
    struct rm_engine *engine = &core->engine;
    const uint32_t tail = rm_board_ring_tail(), filled = (engine->ring_head - engine->ring_tail) % RM_RING_SLOTS;
    *finished = false;
    if ((tail - engine->ring_tail) % RM_RING_SLOTS > filled) return false;
    for (; engine->ring_tail != tail; *finished = true) retire(core);
    return true;
}

uint32_t rm_engine_stop(struct rm_core *core, enum rm_reason unbegun)
{
    struct rm_engine *engine = &core->engine;
    bool finished = false;
    rm_board_abort();
    if (engine->ring_tail != engine->ring_head) (void)follow_tail(core, &finished);
    empty_ring(engine);
    /* The board does one thing after the other: behind the oldest request nothing has begun. */
    const bool begun = rm_slot_of(core, engine->head)->state == RM_SLOT_STARTED;
    uint32_t stopped = 0;
    for (; engine->head != core->session.expected; stopped++) {
        refuse_head(core, begun && stopped == 0 ? RM_ABORTED : unbegun, engine->done, 0, rm_board_pulses());
    }
    return stopped;
}

/* Look how far the board is. True where something was finished. */
static bool follow_ring(struct rm_core *core)
{
    struct rm_engine *engine = &core->engine;
    if (engine->ring_tail == engine->ring_head) return false;
    uint32_t status = 0;
    const enum rm_board_state state = rm_board_state(&status); /* before the tail: a stopped board's tail stays */
    bool finished = false;
    const bool same_ring = follow_tail(core, &finished);
    if (engine->ring_tail == engine->ring_head) return finished;
    if (!same_ring || state == RM_BOARD_STOPPED) {
        fail_head(core, RM_BOARD_FAULT, status);
    } else if (hal_time_us() - engine->since_us > engine->ring[engine->ring_tail].limit_us) {
        rm_board_abort();
        fail_head(core, RM_TIMED_OUT, status);
    } else {
        return finished;
    }
    return true;
}

static void enter(struct rm_engine *engine, uint32_t count, uint32_t limit_us, bool last)
{
    const struct rm_ring_entry entry = {.count = count, .limit_us = limit_us, .last = last};
    if (engine->ring_tail == engine->ring_head) engine->since_us = hal_time_us();
    engine->ring[engine->ring_head] = entry;
    engine->ring_head = (engine->ring_head + 1u) % RM_RING_SLOTS;
    engine->loaded += count > 0 ? count : 1u;
    if (!last) return;
    engine->load++;
    engine->loaded = 0;
}

static bool put_vectors(struct rm_core *core, const struct rm_slot *slot)
{
    struct rm_engine *engine = &core->engine;
    if (engine->banks_used == RM_BANKS) return false;
    const uint32_t left = parts_of(core, slot) - engine->loaded;
    const uint32_t count = left < RM_VECTORS_MAX ? left : RM_VECTORS_MAX;
    rm_board_load(engine->ring_head, engine->load_bank, (uint16_t)engine->load,
                  slot->request + engine->loaded * core->identity.vector_bytes, count);
    engine->load_bank = (engine->load_bank + 1u) % RM_BANKS;
    engine->banks_used++;
    enter(engine, count, BATCH_LIMIT_US + count * VECTOR_LIMIT_US, count == left);
    return true;
}

static bool put_command(struct rm_core *core, const struct rm_slot *slot)
{
    struct rm_engine *engine = &core->engine;
    const uint8_t *command = slot->request + engine->loaded * RM_COMMAND_BYTES;
    uint32_t limit_us = 0;
    (void)rm_board_takes_command(command, core->identity.clock_hz, &limit_us);
    rm_board_put(engine->ring_head, command);
    enter(engine, 0, limit_us, engine->loaded + 1u == parts_of(core, slot));
    return true;
}

/* Put one more thing into the ring. */
static bool put_next(struct rm_core *core)
{
    const struct rm_engine *engine = &core->engine;
    const uint32_t used = (engine->ring_head - engine->ring_tail) % RM_RING_SLOTS;
    if (engine->load == core->session.expected || used == RM_RING_SLOTS - 1u) return false;
    struct rm_slot *slot = rm_slot_of(core, engine->load);
    if (slot->verdict != RM_OK || slot->type == RM_TRANSACT) return false;
    const bool put = slot->type == RM_VECTORS ? put_vectors(core, slot) : put_command(core, slot);
    if (put) slot->state = RM_SLOT_STARTED;
    return put;
}

/* Fill the ring as far as it goes. */
static bool fill_ring(struct rm_core *core)
{
    bool filled = false;
    while (put_next(core)) filled = true;
    if (filled) rm_board_ring(core->engine.ring_head);
    return filled;
}

/* One step; false while it waits. A time limit ends the request. */
static bool do_step(struct rm_core *core, struct rm_slot *slot)
{
    struct rm_engine *engine = &core->engine;
    const struct step step = step_at(slot, engine->done);
    if (step.kind == RM_STEP_WRITE) {
        hal_write(step.offset, step.value);
        engine->done++;
        return true;
    }
    const uint32_t value = hal_read(step.offset);
    if (step.kind == RM_STEP_WAIT && (value & step.mask) != step.value) {
        if (!engine->waiting) engine->since_us = hal_time_us();
        engine->waiting = true;
        if (hal_time_us() - engine->since_us < step.limit_us) return false;
        refuse_head(core, RM_TIMED_OUT, engine->done, value, step.limit_us);
        return true;
    }
    rm_put32(slot->answer + 4u * engine->reads++, value);
    engine->waiting = false;
    engine->done++;
    return true;
}

static enum rm_progress step_transact(struct rm_core *core, struct rm_slot *slot)
{
    struct rm_engine *engine = &core->engine;
    const uint32_t head = engine->head, count = parts_of(core, slot);
    slot->state = RM_SLOT_STARTED;
    while (engine->head == head && engine->done < count) {
        if (!do_step(core, slot)) return RM_WAITING;
    }
    if (engine->head == head) finish_head(core, RM_OK, 4u * engine->reads);
    return RM_WORKED;
}

/* The ring is empty and a request waits: run it, or begin to fill the ring with it. */
static enum rm_progress start_head(struct rm_core *core)
{
    struct rm_engine *engine = &core->engine;
    struct rm_slot *slot = rm_slot_of(core, engine->head);
    uint32_t status = 0;
    if (slot->verdict != RM_OK) {
        refuse_head(core, slot->verdict, slot->verdict_index, slot->request_length, 0);
    } else if (slot->type == RM_TRANSACT) {
        return step_transact(core, slot);
    } else if (rm_board_state(&status) != RM_BOARD_TAKES || rm_board_ring_head() != rm_board_ring_tail()) {
        refuse_head(core, RM_NOT_READY, 0, status, rm_board_pulses());
    } else {
        /* A host may have disarmed and armed meanwhile, which moves the ring. */
        engine->ring_head = engine->ring_tail = rm_board_ring_head();
        (void)fill_ring(core);
    }
    return RM_WORKED;
}

enum rm_progress rm_engine_step(struct rm_core *core)
{
    struct rm_engine *engine = &core->engine;
    const bool finished = follow_ring(core);
    if (engine->ring_tail == engine->ring_head) {
        return engine->head != core->session.expected ? start_head(core) : finished ? RM_WORKED : RM_IDLE;
    }
    const bool filled = fill_ring(core);
    return finished || filled ? RM_WORKED : RM_WAITING;
}
