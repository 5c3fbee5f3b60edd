/* Frames and their two envelopes. A frame is
 *     header (16) | CRC-32 of the header | payload | CRC-32 that goes on over the payload
 * with nothing after the header's checksum where there is no payload. It travels either COBS-stuffed with a 0x00
 * behind it, or as it is with RM_BULK_LEAD before it. After the first of these, no COBS frame comes any more.
 */
#ifndef RM_FRAME_H
#define RM_FRAME_H

#include "wire.h"

#include <stdbool.h>
#include <stddef.h>

enum rm_envelope { RM_COBS, RM_BULK };

#define RM_FRAME_MAX (RM_PREFIX_BYTES + RM_BULK_PAYLOAD_MAX + RM_CRC_BYTES)
#define RM_COBS_FRAME_MAX (RM_PREFIX_BYTES + RM_COBS_PAYLOAD_MAX + RM_CRC_BYTES)

/* Bytes of the largest frame as it travels: COBS adds one for each 254, one before and the delimiter. */
#define RM_WIRE_MAX (RM_FRAME_MAX + 1u)
#define RM_COBS_WIRE_MAX (RM_COBS_FRAME_MAX + RM_COBS_FRAME_MAX / 254u + 2u)

/* Write a frame as it travels; returns its bytes, at most RM_WIRE_MAX (RM_COBS_WIRE_MAX in COBS).
 * header->length bytes of payload; the caller keeps to the limit of the envelope. */
size_t rm_frame_encode(enum rm_envelope envelope, const struct rm_header *header, const uint8_t *payload,
                       uint8_t *wire);

enum rm_decoded {
    RM_MORE,  /* all bytes taken, no frame is complete */
    RM_FRAME, /* decoder->header and decoder->payload hold one, until the next call */
    RM_BAD,   /* a frame was dropped: a checksum or its length does not fit; the next one will be found */
    RM_LOST   /* among length-prefixed frames: where the next one begins is unknown */
};

struct rm_decoder {
    bool bulk_allowed;
    bool bulk_only;   /* a length-prefixed frame came: another first byte means that the place is lost */
    bool inside;      /* a frame has begun */
    bool too_long;    /* a COBS frame outgrew the buffer */
    enum rm_envelope envelope;
    uint8_t code;     /* COBS: length code of the block at hand */
    uint8_t left;     /* COBS: bytes of that block still to come */
    size_t used;      /* bytes in frame[] */
    struct rm_header header;
    const uint8_t *payload;
    uint8_t frame[RM_FRAME_MAX];
};

void rm_decoder_start(struct rm_decoder *decoder, bool bulk_allowed);

/* Take bytes up to the end of the next frame; *taken says how many. */
enum rm_decoded rm_decoder_feed(struct rm_decoder *decoder, const uint8_t *bytes, size_t count, size_t *taken);

#endif
