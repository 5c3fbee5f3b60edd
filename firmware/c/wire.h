/* What travels between host and board: frame header, message types, negative answers.
 * The contract is docs/reference/board-protocol.md; rmhil/bench/messages.py holds the same numbers, and a test
 * compares the two files. All integers are little-endian.
 */
#ifndef RM_WIRE_H
#define RM_WIRE_H

#include <stdint.h>
#include <string.h>

#define RM_PROTOCOL_VERSION 1u

/* Bytes: header, checksum, and the largest payload in each envelope. */
#define RM_HEADER_BYTES 16u
#define RM_CRC_BYTES 4u
#define RM_PREFIX_BYTES (RM_HEADER_BYTES + RM_CRC_BYTES)
#define RM_COBS_PAYLOAD_MAX 4064u
#define RM_BULK_PAYLOAD_MAX 65536u

/* First byte of a length-prefixed frame. A COBS frame never begins with it: byte 15 of a header (the top of the
 * length) is zero, so the first COBS code is at most 16. */
#define RM_BULK_LEAD 0xB1u

/* Sequenced requests that may be unanswered at once, and replies that are kept for a repeated request. */
#define RM_SLOTS 8u

/* Milliseconds without a frame of the session after which the outputs go off; the host chooses within this range. */
#define RM_LINK_TIMEOUT_MIN_MS 50u
#define RM_LINK_TIMEOUT_MAX_MS 60000u

#define RM_NONCE_BYTES 16u
#define RM_PROOF_BYTES 32u

/* Requests; the answer is the same number with RM_REPLY set, or RM_NAK. */
#define RM_HELLO 0x01u
#define RM_AUTH 0x02u
#define RM_HEARTBEAT 0x03u
#define RM_ABORT 0x04u
#define RM_GOODBYE 0x05u
#define RM_TRANSACT 0x10u
#define RM_VECTORS 0x11u
#define RM_COMMANDS 0x12u
#define RM_REPLY 0x80u
#define RM_CHALLENGE 0xF0u
#define RM_PENDING 0xF1u
#define RM_NAK 0xFFu

/* Why a request was refused or failed: the code byte of a RM_NAK. */
enum rm_reason {
    RM_OK = 0,
    RM_BAD_FRAME = 1,    /* a checksum does not fit: not taken */
    RM_BAD_VERSION = 2,  /* no common protocol version */
    RM_BAD_TYPE = 3,     /* unknown request */
    RM_BAD_LENGTH = 4,   /* payload of the wrong size */
    RM_NO_SESSION = 5,   /* not of the session in force: not taken */
    RM_BUSY = 6,         /* another connection holds the board */
    RM_DENIED = 7,       /* authentication is missing or wrong */
    RM_GAP = 8,          /* an earlier request is missing: not taken */
    RM_STALE = 9,        /* executed so long ago that its answer is gone: not taken */
    RM_NO_CREDIT = 10,   /* too many unanswered requests: not taken */
    RM_INTERRUPTED = 11, /* the link was lost before it began: not executed */
    RM_BAD_ADDRESS = 12, /* no such register, or not to be written: nothing executed */
    RM_BAD_ARGUMENT = 13, /* malformed step or command: nothing executed */
    RM_TIMED_OUT = 14,   /* the board did not get there in time */
    RM_ABORTED = 15,     /* stopped by RM_ABORT or by a lost link while it ran */
    RM_BOARD_FAULT = 16, /* the board went to FAULT while it ran */
    RM_NOT_READY = 17    /* the board takes no commands in its state: nothing executed */
};

/* Flags of a RM_HELLO, of its answer, and capabilities in that answer. */
#define RM_WANT_PROOF 0x1u
#define RM_RESUME 0x2u
#define RM_IS_INTERRUPTED 0x1u
#define RM_CAN_BULK 0x1u
#define RM_CAN_TRANSACT 0x2u
#define RM_CAN_VECTORS 0x4u
#define RM_CAN_COMMANDS 0x8u

/* Steps of a RM_TRANSACT, 20 bytes each: what to do, offset, value, mask, time limit (us). */
#define RM_STEP_READ 1u
#define RM_STEP_WRITE 2u
#define RM_STEP_WAIT 3u
#define RM_STEP_BYTES 20u
#define RM_STEPS_MAX (RM_COBS_PAYLOAD_MAX / RM_STEP_BYTES)

/* Microseconds: the longest that one RM_STEP_WAIT may last. */
#define RM_WAIT_MAX_US 10000000u

/* Commands of one RM_COMMANDS: as many as wait in the board's ring. Words of its answer. */
#define RM_COMMANDS_MAX 63u
#define RM_COMMANDS_ANSWER_BYTES 16u

/* Fixed payloads, bytes. */
#define RM_HELLO_BYTES 32u
#define RM_WELCOME_BYTES 92u
#define RM_COUNTERS_BYTES 24u
#define RM_NAK_BYTES 20u

struct rm_header {
    uint8_t version;
    uint8_t type;
    uint8_t code;    /* requests 0, answers RM_OK, RM_NAK one of enum rm_reason */
    uint8_t credits; /* requests 0, answers: sequenced requests that may be unanswered */
    uint32_t session;
    uint32_t sequence;
    uint32_t length; /* bytes of payload */
};

static inline uint32_t rm_get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline void rm_put32(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
    bytes[2] = (uint8_t)(value >> 16);
    bytes[3] = (uint8_t)(value >> 24);
}

#endif
