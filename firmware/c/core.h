/* The daemon without its operating system: bytes in, bytes out, registers through board.h. One board, one session,
 * a few connections. No call blocks and none allocates: everything has its place in struct rm_core.
 */
#ifndef RM_CORE_H
#define RM_CORE_H

#include "board.h"
#include "frame.h"
#include "sha256.h"

/* Connections at once: the one that holds the board, and others that are told so. */
#define RM_PORTS 4u

/* Bytes that wait to be sent on a connection: an answer to every slot, and room for small ones. */
#define RM_OUT_MAX (RM_SLOTS * RM_WIRE_MAX + 4096u)

#define RM_KEY_MAX 256u

struct rm_port {
    bool open;
    bool remote;        /* not this machine: a proof of the key is asked for */
    bool authenticated;
    bool challenged;
    bool closing;       /* to be closed once its output is sent */
    bool complained;    /* a bad frame was reported; silent until a good one */
    uint8_t hello[RM_HELLO_BYTES];
    uint8_t challenge[RM_NONCE_BYTES];
    size_t out_used, out_sent;
    struct rm_decoder decoder;
    uint8_t out[RM_OUT_MAX];
};

enum rm_slot_state { RM_SLOT_FREE, RM_SLOT_QUEUED, RM_SLOT_STARTED, RM_SLOT_DONE };

/* A sequenced request and, once it is done, its answer. */
struct rm_slot {
    enum rm_slot_state state;
    enum rm_envelope envelope;
    enum rm_reason verdict; /* of the check before it was queued */
    uint32_t verdict_index;
    uint32_t sequence;
    uint8_t type;
    uint8_t code;
    uint32_t request_length, answer_length;
    uint8_t request[RM_BULK_PAYLOAD_MAX];
    uint8_t answer[RM_BULK_PAYLOAD_MAX];
};

enum rm_session_state { RM_SESSION_NONE, RM_SESSION_ACTIVE, RM_SESSION_INTERRUPTED };

struct rm_session {
    enum rm_session_state state;
    bool begun;           /* there was one: its nonce is not taken twice */
    uint8_t nonce[RM_NONCE_BYTES];
    uint32_t tag;
    struct rm_port *port; /* NULL after its connection went */
    bool bulk;            /* its connections understand length-prefixed frames */
    uint32_t expected;    /* sequence of the next request that is taken */
    bool gap_told;
    uint32_t timeout_ms;
    uint64_t heard_ms;
};

/* What a slot of the board's ring was filled with. */
struct rm_ring_entry {
    uint32_t count;    /* vectors of a batch; 0: a command of RM_COMMANDS */
    uint32_t limit_us; /* it must be done within this */
    bool last;         /* the request is done with it */
};

/* What of the queue the board is doing. Sequences: head <= load <= session.expected. */
struct rm_engine {
    uint32_t head;    /* oldest request that is not done */
    uint32_t load;    /* request of which something goes into the ring next */
    uint32_t loaded;  /* vectors or commands of it that are in the ring or done */
    uint32_t done;    /* vectors, commands or steps of head that are done */
    uint32_t reads;   /* values that a RM_TRANSACT has read */
    bool waiting;     /* RM_STEP_WAIT */
    uint64_t since_us; /* when the board finished something last, or a wait began */
    uint32_t ring_tail, ring_head; /* oldest slot not finished, first one not filled */
    unsigned banks_used, load_bank, fetch_bank;
    struct rm_ring_entry ring[RM_RING_SLOTS];
};

struct rm_counters {
    uint32_t bad_frames, repeats, gaps, requests, interruptions;
};

struct rm_core {
    struct rm_identity identity;
    uint64_t now_ms;
    size_t key_count;
    uint8_t key[RM_KEY_MAX];
    struct rm_session session;
    struct rm_engine engine;
    struct rm_counters counters;
    struct rm_slot slots[RM_SLOTS];
    struct rm_port ports[RM_PORTS];
};

/* Start with the board identified; key may be empty (then only connections of this machine are served). */
void rm_core_start(struct rm_core *core, const struct rm_identity *identity, const uint8_t *key, size_t key_count);

/* A connection came up; NULL where all places are taken. bulk: length-prefixed frames are understood. */
struct rm_port *rm_port_open(struct rm_core *core, bool bulk, bool remote);
void rm_port_close(struct rm_core *core, struct rm_port *port);

/* Bytes came in on a connection. */
void rm_port_input(struct rm_core *core, struct rm_port *port, const uint8_t *bytes, size_t count);

/* Bytes that wait to go out; rm_port_sent says how many went. */
size_t rm_port_output(const struct rm_port *port, const uint8_t **bytes);
void rm_port_sent(struct rm_port *port, size_t count);

enum rm_progress { RM_IDLE, RM_WAITING, RM_WORKED };

/* Go on with the queue, the link timeout and the board's watchdog. RM_WAITING: the board is at work. */
enum rm_progress rm_core_step(struct rm_core *core, uint64_t now_ms);

/* Queue an answer for sending; dropped where the connection has no room (the host asks again). */
void rm_port_send(struct rm_port *port, enum rm_envelope envelope, const struct rm_header *header,
                  const uint8_t *payload);

/* Sessions (session.c). */
void rm_session_interrupt(struct rm_core *core);
void rm_session_answer(struct rm_core *core, const struct rm_slot *slot);

/* Numbers of a RM_NAK. */
struct rm_refusal {
    uint8_t type; /* of the request */
    uint32_t index, value, more;
};
void rm_refusal_pack(const struct rm_refusal *refusal, uint32_t expected, uint8_t payload[RM_NAK_BYTES]);

/* The queue (engine.c). */
void rm_engine_reset(struct rm_core *core);
void rm_engine_check(const struct rm_core *core, struct rm_slot *slot);
enum rm_progress rm_engine_step(struct rm_core *core);
/* Stop the board and all requests: the one that had begun ends as RM_ABORTED, others as `unbegun`. Returns how many. */
uint32_t rm_engine_stop(struct rm_core *core, enum rm_reason unbegun);

static inline struct rm_slot *rm_slot_of(struct rm_core *core, uint32_t sequence)
{
    return &core->slots[sequence % RM_SLOTS];
}

#endif
