/* Sessions: who holds the board, which request comes next, and which were answered before. */
#include "core.h"

#include <sys/random.h>

static void send_answer(const struct rm_core *core, struct rm_port *port, uint8_t type, uint8_t code, uint32_t sequence,
                        const uint8_t *payload, uint32_t length)
{
    const struct rm_header header = {.version = RM_PROTOCOL_VERSION, .type = type, .code = code, .credits = RM_SLOTS,
                                     .session = core->session.tag, .sequence = sequence, .length = length};
    rm_port_send(port, port->decoder.envelope, &header, payload);
}

void rm_refusal_pack(const struct rm_refusal *refusal, uint32_t expected, uint8_t payload[RM_NAK_BYTES])
{
    rm_put32(payload, refusal->type);
    rm_put32(payload + 4, expected);
    rm_put32(payload + 8, refusal->index);
    rm_put32(payload + 12, refusal->value);
    rm_put32(payload + 16, refusal->more);
}

/* Refuse the frame at hand without taking it. The answer carries the frame's own session. */
static void refuse(struct rm_core *core, struct rm_port *port, enum rm_reason reason, uint32_t value, uint32_t more)
{
    const struct rm_header *asked = &port->decoder.header;
    const struct rm_refusal refusal = {.type = asked->type, .index = 0, .value = value, .more = more};
    uint8_t payload[RM_NAK_BYTES];
    rm_refusal_pack(&refusal, core->session.expected, payload);
    const struct rm_header header = {.version = RM_PROTOCOL_VERSION, .type = RM_NAK, .code = (uint8_t)reason,
                                     .credits = RM_SLOTS, .session = asked->session, .sequence = asked->sequence,
                                     .length = RM_NAK_BYTES};
    rm_port_send(port, port->decoder.envelope, &header, payload);
}

static void complain(struct rm_core *core, struct rm_port *port)
{
    core->counters.bad_frames++;
    if (port->complained || core->session.port != port) return;
    port->complained = true;
    const struct rm_refusal refusal = {0};
    uint8_t payload[RM_NAK_BYTES];
    rm_refusal_pack(&refusal, core->session.expected, payload);
    send_answer(core, port, RM_NAK, RM_BAD_FRAME, core->session.expected, payload, RM_NAK_BYTES);
}

void rm_session_interrupt(struct rm_core *core)
{
    if (core->session.state != RM_SESSION_ACTIVE) return;
    core->session.state = RM_SESSION_INTERRUPTED;
    core->counters.interruptions++;
    (void)rm_engine_stop(core, RM_INTERRUPTED);
    rm_board_safe();
}

static void begin_session(struct rm_core *core, struct rm_port *port, const uint8_t *hello)
{
    struct rm_session *session = &core->session;
    rm_session_interrupt(core);
    rm_board_safe();
    memcpy(session->nonce, hello + 16, RM_NONCE_BYTES);
    session->tag = rm_get32(session->nonce);
    session->state = RM_SESSION_ACTIVE;
    session->begun = true;
    session->port = port;
    session->bulk = port->decoder.bulk_allowed;
    session->expected = 0;
    session->gap_told = false;
    session->timeout_ms = rm_get32(hello + 12);
    rm_engine_reset(core);
}

static void prove(const struct rm_core *core, const struct rm_port *port, const char *who, const uint8_t *more,
                  size_t count, uint8_t proof[RM_PROOF_BYTES])
{
    uint8_t text[16 + 2 * RM_NONCE_BYTES + RM_WELCOME_BYTES] = {0};
    memcpy(text, who, strlen(who));
    memcpy(text + 16, port->hello + 16, RM_NONCE_BYTES);
    memcpy(text + 16 + RM_NONCE_BYTES, port->challenge, RM_NONCE_BYTES);
    if (more != NULL) memcpy(text + 16 + 2 * RM_NONCE_BYTES, more, count);
    rm_hmac_sha256(core->key, core->key_count, text, 16 + 2 * RM_NONCE_BYTES + count, proof);
}

static void welcome(struct rm_core *core, struct rm_port *port, uint8_t answer_to)
{
    const struct rm_session *session = &core->session;
    const struct rm_identity *identity = &core->identity;
    const bool bulk = port->decoder.bulk_allowed;
    uint8_t w[RM_WELCOME_BYTES] = {0};
    rm_put32(w, RM_PROTOCOL_VERSION);
    rm_put32(w + 4, session->state == RM_SESSION_INTERRUPTED ? RM_IS_INTERRUPTED : 0u);
    rm_put32(w + 8, RM_CAN_TRANSACT | RM_CAN_VECTORS | RM_CAN_COMMANDS | (bulk ? RM_CAN_BULK : 0u));
    rm_put32(w + 12, bulk ? RM_BULK_PAYLOAD_MAX : RM_COBS_PAYLOAD_MAX);
    rm_put32(w + 16, identity->map_hash);
    rm_put32(w + 20, identity->board_hash);
    rm_put32(w + 24, identity->build);
    rm_put32(w + 28, identity->vector_bytes);
    rm_put32(w + 32, identity->result_bytes);
    rm_put32(w + 36, session->timeout_ms);
    rm_put32(w + 40, session->expected);
    memcpy(w + 44, session->nonce, RM_NONCE_BYTES);
    const size_t told = RM_WELCOME_BYTES - RM_PROOF_BYTES;
    if (port->authenticated) prove(core, port, "rmhil board", w, told, w + told);
    send_answer(core, port, answer_to | RM_REPLY, RM_OK, port->decoder.header.sequence, w, RM_WELCOME_BYTES);
}

/* Give the board to the connection, give it back to its session, or say who may not have it. */
static void take_hello(struct rm_core *core, struct rm_port *port, uint8_t answer_to)
{
    struct rm_session *session = &core->session;
    const uint8_t *nonce = port->hello + 16;
    const bool known = session->begun && memcmp(nonce, session->nonce, RM_NONCE_BYTES) == 0;
    if (known && session->state == RM_SESSION_NONE) {
        refuse(core, port, RM_NO_SESSION, 0, 0); /* it has ended: a HELLO that comes late must not begin it again */
        return;
    }
    if (known && session->bulk != port->decoder.bulk_allowed) {
        refuse(core, port, RM_BUSY, session->timeout_ms, 0); /* kept answers may not fit this kind of connection */
        return;
    }
    if (known && session->port != port) {
        rm_session_interrupt(core); /* it comes back on a new connection: the old one is gone or half open */
        session->port = port;
    } else if (!known) {
        if ((rm_get32(port->hello + 8) & RM_RESUME) != 0) {
            refuse(core, port, RM_NO_SESSION, 0, 0); /* what became of its requests is not known here */
            return;
        }
        if (session->state == RM_SESSION_ACTIVE && session->port != port) {
            refuse(core, port, RM_BUSY, session->timeout_ms, 0);
            return;
        }
        begin_session(core, port, port->hello);
    }
    session->heard_ms = core->now_ms;
    welcome(core, port, answer_to);
}

static void challenge(struct rm_core *core, struct rm_port *port)
{
    if (core->key_count == 0) {
        refuse(core, port, RM_DENIED, 0, 0);
        return;
    }
    if (!port->challenged && getrandom(port->challenge, RM_NONCE_BYTES, 0) != (ssize_t)RM_NONCE_BYTES) {
        refuse(core, port, RM_DENIED, 0, 0);
        return;
    }
    port->challenged = true;
    const struct rm_header header = {.version = RM_PROTOCOL_VERSION, .type = RM_CHALLENGE, .code = RM_OK,
                                     .credits = RM_SLOTS, .session = port->decoder.header.session,
                                     .sequence = port->decoder.header.sequence, .length = RM_NONCE_BYTES};
    rm_port_send(port, port->decoder.envelope, &header, port->challenge);
}

static bool hello_is_valid(struct rm_core *core, struct rm_port *port)
{
    const struct rm_decoder *in = &port->decoder;
    if (in->header.length != RM_HELLO_BYTES) {
        refuse(core, port, RM_BAD_LENGTH, in->header.length, RM_HELLO_BYTES);
        return false;
    }
    if (rm_get32(in->payload) > RM_PROTOCOL_VERSION || rm_get32(in->payload + 4) < RM_PROTOCOL_VERSION) {
        refuse(core, port, RM_BAD_VERSION, rm_get32(in->payload + 4), RM_PROTOCOL_VERSION);
        return false;
    }
    const uint32_t timeout_ms = rm_get32(in->payload + 12);
    if (timeout_ms < RM_LINK_TIMEOUT_MIN_MS || timeout_ms > RM_LINK_TIMEOUT_MAX_MS) {
        refuse(core, port, RM_BAD_ARGUMENT, timeout_ms,
               timeout_ms < RM_LINK_TIMEOUT_MIN_MS ? RM_LINK_TIMEOUT_MIN_MS : RM_LINK_TIMEOUT_MAX_MS);
        return false;
    }
    return true;
}

static void on_hello(struct rm_core *core, struct rm_port *port)
{
    if (!hello_is_valid(core, port)) return;
    const uint8_t *hello = port->decoder.payload;
    const bool same = memcmp(port->hello, hello, RM_HELLO_BYTES) == 0;
    const bool proof = port->remote || (rm_get32(hello + 8) & RM_WANT_PROOF) != 0;
    memcpy(port->hello, hello, RM_HELLO_BYTES);
    if (!same) {
        port->authenticated = false; /* a proof holds for one nonce */
        port->challenged = false;
    }
    if (proof && !port->authenticated) challenge(core, port);
    else take_hello(core, port, RM_HELLO);
}

static void on_auth(struct rm_core *core, struct rm_port *port)
{
    const struct rm_decoder *in = &port->decoder;
    uint8_t expected[RM_PROOF_BYTES];
    if (in->header.length != RM_PROOF_BYTES || !port->challenged) {
        refuse(core, port, RM_DENIED, 0, 0);
        return;
    }
    prove(core, port, "rmhil host", NULL, 0, expected);
    if (!rm_same_secret(expected, in->payload, RM_PROOF_BYTES)) {
        refuse(core, port, RM_DENIED, 0, 0);
        port->closing = true;
        return;
    }
    port->authenticated = true;
    take_hello(core, port, RM_AUTH);
}

static void on_heartbeat(struct rm_core *core, struct rm_port *port)
{
    uint8_t counters[RM_COUNTERS_BYTES];
    rm_put32(counters, core->session.expected);
    rm_put32(counters + 4, core->counters.requests);
    rm_put32(counters + 8, core->counters.bad_frames);
    rm_put32(counters + 12, core->counters.repeats);
    rm_put32(counters + 16, core->counters.gaps);
    rm_put32(counters + 20, core->counters.interruptions);
    send_answer(core, port, RM_HEARTBEAT | RM_REPLY, RM_OK, port->decoder.header.sequence, counters, sizeof counters);
}

static void on_abort(struct rm_core *core, struct rm_port *port)
{
    uint8_t stopped[4];
    rm_put32(stopped, rm_engine_stop(core, RM_ABORTED));
    send_answer(core, port, RM_ABORT | RM_REPLY, RM_OK, port->decoder.header.sequence, stopped, sizeof stopped);
}

static void on_goodbye(struct rm_core *core, struct rm_port *port)
{
    (void)rm_engine_stop(core, RM_INTERRUPTED);
    rm_board_safe();
    send_answer(core, port, RM_GOODBYE | RM_REPLY, RM_OK, port->decoder.header.sequence, NULL, 0);
    core->session.state = RM_SESSION_NONE;
    core->session.port = NULL;
}

void rm_session_answer(struct rm_core *core, const struct rm_slot *slot)
{
    if (core->session.port == NULL) return;
    const struct rm_header header = {.version = RM_PROTOCOL_VERSION, .code = slot->code, .credits = RM_SLOTS,
                                     .type = slot->code == RM_OK ? slot->type | RM_REPLY : RM_NAK,
                                     .session = core->session.tag, .sequence = slot->sequence,
                                     .length = slot->answer_length};
    rm_port_send(core->session.port, slot->envelope, &header, slot->answer);
}

/* A request that was taken before: its answer again, or a sign that it is still at work. */
static void repeat(struct rm_core *core, struct rm_port *port, uint32_t sequence)
{
    const struct rm_slot *slot = rm_slot_of(core, sequence);
    core->counters.repeats++;
    if (slot->state == RM_SLOT_FREE || slot->sequence != sequence) {
        refuse(core, port, RM_STALE, sequence, core->session.expected);
    } else if (slot->state == RM_SLOT_DONE) {
        rm_session_answer(core, slot);
    } else {
        send_answer(core, port, RM_PENDING, RM_OK, sequence, NULL, 0);
    }
}

static void accept(struct rm_core *core, struct rm_port *port)
{
    const struct rm_decoder *in = &port->decoder;
    struct rm_slot *slot = rm_slot_of(core, in->header.sequence);
    if (slot->state == RM_SLOT_QUEUED || slot->state == RM_SLOT_STARTED) {
        refuse(core, port, RM_NO_CREDIT, in->header.sequence, RM_SLOTS);
        return;
    }
    slot->state = RM_SLOT_QUEUED;
    slot->envelope = in->envelope;
    slot->sequence = in->header.sequence;
    slot->type = in->header.type;
    slot->request_length = in->header.length;
    memcpy(slot->request, in->payload, in->header.length);
    rm_engine_check(core, slot);
    core->session.expected++;
    core->session.gap_told = false;
    core->counters.requests++;
}

static void on_sequenced(struct rm_core *core, struct rm_port *port)
{
    const uint32_t sequence = port->decoder.header.sequence;
    const int32_t ahead = (int32_t)(sequence - core->session.expected);
    if (ahead < 0) {
        repeat(core, port, sequence);
    } else if (core->session.state == RM_SESSION_INTERRUPTED) {
        refuse(core, port, RM_INTERRUPTED, sequence, core->session.timeout_ms);
    } else if (ahead == 0) {
        accept(core, port);
    } else if (!core->session.gap_told) {
        core->session.gap_told = true;
        core->counters.gaps++;
        refuse(core, port, RM_GAP, sequence, core->session.expected);
    }
}

static void on_session_frame(struct rm_core *core, struct rm_port *port)
{
    const bool interrupted = core->session.state == RM_SESSION_INTERRUPTED;
    switch (port->decoder.header.type) {
    case RM_HEARTBEAT:
        if (interrupted) refuse(core, port, RM_INTERRUPTED, 0, core->session.timeout_ms);
        else on_heartbeat(core, port);
        break;
    case RM_ABORT: on_abort(core, port); break;
    case RM_GOODBYE: on_goodbye(core, port); break;
    default: on_sequenced(core, port); break;
    }
}

static void on_frame(struct rm_core *core, struct rm_port *port)
{
    const struct rm_header *header = &port->decoder.header;
    port->complained = false;
    if (header->type == RM_HELLO) {
        on_hello(core, port); /* its layout is the same in all versions */
    } else if (header->version != RM_PROTOCOL_VERSION) {
        refuse(core, port, RM_BAD_VERSION, header->version, RM_PROTOCOL_VERSION);
    } else if (header->type == RM_AUTH) {
        on_auth(core, port);
    } else if (core->session.state == RM_SESSION_NONE || core->session.port != port
               || header->session != core->session.tag) {
        refuse(core, port, RM_NO_SESSION, header->session, 0);
    } else {
        core->session.heard_ms = core->now_ms;
        on_session_frame(core, port);
    }
}

void rm_port_input(struct rm_core *core, struct rm_port *port, const uint8_t *bytes, size_t count)
{
    for (size_t used = 0; used < count && !port->closing;) {
        size_t taken = 0;
        const enum rm_decoded decoded = rm_decoder_feed(&port->decoder, bytes + used, count - used, &taken);
        used += taken;
        if (decoded == RM_FRAME) on_frame(core, port);
        if (decoded == RM_BAD || decoded == RM_LOST) complain(core, port);
        if (decoded == RM_LOST) port->closing = true;
    }
}
