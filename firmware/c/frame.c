#include "frame.h"

#include "crc32.h"

static void pack_prefix(const struct rm_header *header, uint8_t prefix[RM_PREFIX_BYTES])
{
    prefix[0] = header->version;
    prefix[1] = header->type;
    prefix[2] = header->code;
    prefix[3] = header->credits;
    rm_put32(prefix + 4, header->session);
    rm_put32(prefix + 8, header->sequence);
    rm_put32(prefix + 12, header->length);
    rm_put32(prefix + RM_HEADER_BYTES, rm_crc32(0, prefix, RM_HEADER_BYTES));
}

/* False where the header's checksum does not fit. */
static bool unpack_prefix(const uint8_t prefix[RM_PREFIX_BYTES], struct rm_header *header)
{
    header->version = prefix[0];
    header->type = prefix[1];
    header->code = prefix[2];
    header->credits = prefix[3];
    header->session = rm_get32(prefix + 4);
    header->sequence = rm_get32(prefix + 8);
    header->length = rm_get32(prefix + 12);
    return rm_get32(prefix + RM_HEADER_BYTES) == rm_crc32(0, prefix, RM_HEADER_BYTES);
}

static size_t tail_bytes(uint32_t length) { return length > 0 ? length + RM_CRC_BYTES : 0; }

/* A COBS writer: `code` is where the length code of the block at hand goes. */
struct stuffer {
    uint8_t *wire;
    size_t used;
    size_t code;
};

static void end_block(struct stuffer *out)
{
    out->wire[out->code] = (uint8_t)(out->used - out->code);
    out->code = out->used++;
}

static void stuff(struct stuffer *out, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0) out->wire[out->used++] = bytes[i];
        if (bytes[i] == 0 || out->used - out->code == 0xFFu) end_block(out);
    }
}

static size_t encode_cobs(const uint8_t *prefix, const uint8_t *payload, uint32_t length, const uint8_t *crc,
                          uint8_t *wire)
{
    struct stuffer out = {.wire = wire, .used = 1, .code = 0};
    stuff(&out, prefix, RM_PREFIX_BYTES);
    if (length > 0) {
        stuff(&out, payload, length);
        stuff(&out, crc, RM_CRC_BYTES);
    }
    wire[out.code] = (uint8_t)(out.used - out.code);
    wire[out.used++] = 0;
    return out.used;
}

static size_t encode_bulk(const uint8_t *prefix, const uint8_t *payload, uint32_t length, const uint8_t *crc,
                          uint8_t *wire)
{
    wire[0] = RM_BULK_LEAD;
    memcpy(wire + 1, prefix, RM_PREFIX_BYTES);
    if (length == 0) return 1 + RM_PREFIX_BYTES;
    memcpy(wire + 1 + RM_PREFIX_BYTES, payload, length);
    memcpy(wire + 1 + RM_PREFIX_BYTES + length, crc, RM_CRC_BYTES);
    return 1 + RM_PREFIX_BYTES + tail_bytes(length);
}

size_t rm_frame_encode(enum rm_envelope envelope, const struct rm_header *header, const uint8_t *payload,
                       uint8_t *wire)
{
    uint8_t prefix[RM_PREFIX_BYTES], crc[RM_CRC_BYTES] = {0};
    pack_prefix(header, prefix);
    if (header->length > 0) {
        rm_put32(crc, rm_crc32(rm_get32(prefix + RM_HEADER_BYTES), payload, header->length));
    }
    if (envelope == RM_BULK) return encode_bulk(prefix, payload, header->length, crc, wire);
    return encode_cobs(prefix, payload, header->length, crc, wire);
}

void rm_decoder_start(struct rm_decoder *decoder, bool bulk_allowed)
{
    decoder->bulk_allowed = bulk_allowed;
    decoder->bulk_only = false;
    decoder->inside = false;
    decoder->too_long = false;
    decoder->envelope = RM_COBS;
    decoder->code = 0;
    decoder->left = 0;
    decoder->used = 0;
    decoder->payload = decoder->frame + RM_PREFIX_BYTES;
}

static void begin(struct rm_decoder *decoder, uint8_t first)
{
    decoder->inside = true;
    decoder->too_long = false;
    decoder->used = 0;
    decoder->envelope = decoder->bulk_allowed && first == RM_BULK_LEAD ? RM_BULK : RM_COBS;
    decoder->code = 0xFFu; /* no zero before the first block */
    decoder->left = 0;
}

static bool payload_fits(const struct rm_decoder *decoder)
{
    const uint32_t length = decoder->header.length;
    if (length == 0) return true;
    const uint32_t start = rm_get32(decoder->frame + RM_HEADER_BYTES);
    return rm_get32(decoder->payload + length) == rm_crc32(start, decoder->payload, length);
}

static void put(struct rm_decoder *decoder, uint8_t byte)
{
    if (decoder->used < RM_COBS_FRAME_MAX) decoder->frame[decoder->used++] = byte;
    else decoder->too_long = true;
}

static enum rm_decoded end_cobs(struct rm_decoder *decoder)
{
    decoder->inside = false;
    if (decoder->too_long || decoder->left != 0 || decoder->used < RM_PREFIX_BYTES) return RM_BAD;
    if (!unpack_prefix(decoder->frame, &decoder->header)) return RM_BAD;
    if (decoder->header.length > RM_COBS_PAYLOAD_MAX) return RM_BAD;
    if (decoder->used != RM_PREFIX_BYTES + tail_bytes(decoder->header.length)) return RM_BAD;
    return payload_fits(decoder) ? RM_FRAME : RM_BAD;
}

static enum rm_decoded feed_cobs(struct rm_decoder *decoder, const uint8_t *bytes, size_t count, size_t *taken)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == 0) {
            *taken = i + 1;
            return end_cobs(decoder);
        }
        if (decoder->left > 0) {
            put(decoder, bytes[i]);
            decoder->left--;
            continue;
        }
        if (decoder->code != 0xFFu) put(decoder, 0);
        decoder->code = bytes[i];
        decoder->left = (uint8_t)(bytes[i] - 1u);
    }
    *taken = count;
    return RM_MORE;
}

/* Bytes that the frame is known to have so far: its prefix, then all of it. Zero where the prefix is damaged. */
static size_t bulk_wanted(struct rm_decoder *decoder)
{
    if (decoder->used < RM_PREFIX_BYTES) return RM_PREFIX_BYTES;
    if (!unpack_prefix(decoder->frame, &decoder->header)) return 0;
    if (decoder->header.length > RM_BULK_PAYLOAD_MAX) return 0;
    return RM_PREFIX_BYTES + tail_bytes(decoder->header.length);
}

static enum rm_decoded feed_bulk(struct rm_decoder *decoder, const uint8_t *bytes, size_t count, size_t *taken)
{
    *taken = 0;
    for (;;) {
        const size_t wanted = bulk_wanted(decoder);
        if (wanted == 0) return RM_LOST;
        if (decoder->used == wanted) break;
        if (*taken == count) return RM_MORE;
        const size_t missing = wanted - decoder->used, have = count - *taken;
        const size_t now = missing < have ? missing : have;
        memcpy(decoder->frame + decoder->used, bytes + *taken, now);
        decoder->used += now;
        *taken += now;
    }
    decoder->inside = false;
    decoder->bulk_only = true;
    return payload_fits(decoder) ? RM_FRAME : RM_BAD;
}

enum rm_decoded rm_decoder_feed(struct rm_decoder *decoder, const uint8_t *bytes, size_t count, size_t *taken)
{
    size_t skipped = 0;
    if (!decoder->inside) {
        *taken = 0;
        if (decoder->bulk_only && count > 0 && bytes[0] != RM_BULK_LEAD) return RM_LOST;
        while (skipped < count && bytes[skipped] == 0) skipped++; /* line noise is ended by a delimiter */
        *taken = skipped;
        if (skipped == count) return RM_MORE;
        begin(decoder, bytes[skipped]);
        if (decoder->envelope == RM_BULK) skipped++;
    }
    size_t more = 0;
    const enum rm_decoded decoded = decoder->envelope == RM_BULK
                                        ? feed_bulk(decoder, bytes + skipped, count - skipped, &more)
                                        : feed_cobs(decoder, bytes + skipped, count - skipped, &more);
    *taken = skipped + more;
    return decoded;
}
