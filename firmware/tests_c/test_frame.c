/* Frames: what is encoded is decoded, however it is cut; what is damaged is dropped; nothing reads out of bounds. */
#include "check.h"
#include "crc32.h"
#include "frame.h"

#define RANDOM_FRAMES 20000u

static uint8_t payload[RM_BULK_PAYLOAD_MAX];
static uint8_t wire[RM_WIRE_MAX + RM_COBS_WIRE_MAX];
static struct rm_decoder decoder;

/* xorshift32 (Marsaglia 2003): the same run every time. */
static uint32_t seed = 2463534242u;
static uint32_t draw(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % below;
}

static struct rm_header header_of(uint32_t length)
{
    return (struct rm_header){.version = RM_PROTOCOL_VERSION, .type = RM_VECTORS, .session = draw(0xFFFFFFFFu),
                              .sequence = draw(0xFFFFFFFFu), .length = length};
}

static enum rm_decoded feed_all(const uint8_t *bytes, size_t count, size_t cut)
{
    for (size_t used = 0; used < count;) {
        size_t taken = 0;
        const size_t now = count - used < cut ? count - used : cut;
        const enum rm_decoded decoded = rm_decoder_feed(&decoder, bytes + used, now, &taken);
        CHECK(taken <= now);
        used += taken;
        if (decoded != RM_MORE) return decoded;
    }
    return RM_MORE;
}

static void fill(uint32_t length, unsigned kind)
{
    for (uint32_t i = 0; i < length; i++) {
        payload[i] = kind == 0 ? 0 : kind == 1 ? (uint8_t)(i % 2 ? 0x80 : 0) : kind == 2 ? 0xFF : (uint8_t)draw(256);
    }
}

static void what_is_encoded_is_decoded(void)
{
    static const uint32_t lengths[] = {0, 1, 3, 233, 234, 235, 236, 254, 255, 508, 509, 4063,
                                       RM_COBS_PAYLOAD_MAX, RM_BULK_PAYLOAD_MAX};
    for (unsigned which = 0; which < sizeof lengths / sizeof lengths[0]; which++) {
        for (unsigned kind = 0; kind < 4; kind++) {
            for (unsigned bulk = 0; bulk < 2; bulk++) {
                if (bulk == 0 && lengths[which] > RM_COBS_PAYLOAD_MAX) continue;
                const struct rm_header header = header_of(lengths[which]);
                fill(lengths[which], kind);
                const size_t count = rm_frame_encode(bulk ? RM_BULK : RM_COBS, &header, payload, wire);
                CHECK(count <= (bulk ? RM_WIRE_MAX : RM_COBS_WIRE_MAX));
                rm_decoder_start(&decoder, true);
                CHECK(feed_all(wire, count, 1 + draw(300)) == RM_FRAME);
                CHECK(decoder.header.sequence == header.sequence && decoder.header.length == header.length);
                CHECK(memcmp(decoder.payload, payload, header.length) == 0);
            }
        }
    }
}

static void every_flipped_bit_is_noticed(void)
{
    for (unsigned bulk = 0; bulk < 2; bulk++) {
        const struct rm_header header = header_of(40);
        fill(40, 3);
        const size_t count = rm_frame_encode(bulk ? RM_BULK : RM_COBS, &header, payload, wire);
        for (size_t bit = 0; bit < 8 * count; bit++) {
            wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
            rm_decoder_start(&decoder, true);
            CHECK(feed_all(wire, count, count) != RM_FRAME);
            wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void a_frame_after_a_truncated_one_is_found(void)
{
    const struct rm_header header = header_of(40);
    fill(40, 3);
    const size_t count = rm_frame_encode(RM_COBS, &header, payload, wire);
    for (size_t cut = 0; cut < count; cut++) {
        rm_decoder_start(&decoder, false);
        (void)feed_all(wire, cut, count);
        const uint8_t delimiter = 0;
        (void)feed_all(&delimiter, 1, 1);
        CHECK(feed_all(wire, count, count) == RM_FRAME);
        CHECK(memcmp(decoder.payload, payload, 40) == 0);
    }
}

static void a_length_beyond_the_limit_is_refused_before_its_payload(void)
{
    struct rm_header header = header_of(0);
    const size_t count = rm_frame_encode(RM_BULK, &header, payload, wire);
    rm_put32(wire + 1 + 12, RM_BULK_PAYLOAD_MAX + 1u);
    rm_put32(wire + 1 + RM_HEADER_BYTES, rm_crc32(0, wire + 1, RM_HEADER_BYTES));
    rm_decoder_start(&decoder, true);
    CHECK(feed_all(wire, count, count) == RM_LOST);
    rm_decoder_start(&decoder, false); /* a serial line: these are the bytes of some COBS frame, and it has no end */
    for (unsigned i = 0; i < 3; i++) {
        memset(wire, 0xB1, sizeof wire);
        CHECK(feed_all(wire, sizeof wire, 1000) == RM_MORE);
    }
    const uint8_t delimiter = 0;
    CHECK(feed_all(&delimiter, 1, 1) == RM_BAD);
}

static void among_length_prefixed_frames_another_first_byte_is_a_lost_place(void)
{
    const struct rm_header header = header_of(0);
    const size_t count = rm_frame_encode(RM_BULK, &header, payload, wire);
    for (unsigned first = 0; first < 256; first++) {
        const uint8_t byte = (uint8_t)first;
        rm_decoder_start(&decoder, true);
        CHECK(feed_all(wire, count, count) == RM_FRAME);
        CHECK(feed_all(&byte, 1, 1) == (first == RM_BULK_LEAD ? RM_MORE : RM_LOST));
    }
}

static void random_bytes_give_no_frame_and_no_harm(void)
{
    uint32_t frames = 0;
    rm_decoder_start(&decoder, true);
    for (uint32_t round = 0; round < RANDOM_FRAMES; round++) {
        const uint32_t count = 1 + draw(600);
        for (uint32_t i = 0; i < count; i++) wire[i] = (uint8_t)(draw(8) == 0 ? 0 : draw(256));
        if (draw(4) == 0) wire[0] = RM_BULK_LEAD;
        const enum rm_decoded decoded = feed_all(wire, count, count);
        frames += decoded == RM_FRAME;
        if (decoded == RM_LOST) rm_decoder_start(&decoder, draw(2) != 0);
    }
    CHECK(frames == 0);
}

int main(void)
{
    rm_crc32_init();
    RUN(what_is_encoded_is_decoded);
    RUN(every_flipped_bit_is_noticed);
    RUN(a_frame_after_a_truncated_one_is_found);
    RUN(a_length_beyond_the_limit_is_refused_before_its_payload);
    RUN(among_length_prefixed_frames_another_first_byte_is_a_lost_place);
    RUN(random_bytes_give_no_frame_and_no_harm);
    return 0;
}
