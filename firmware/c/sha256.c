#include "sha256.h"

#include <string.h>

/* First 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2). */
static const uint32_t ROUND[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u};

static uint32_t rotate(uint32_t value, unsigned bits) { return (value >> bits) | (value << (32u - bits)); }

static void expand(uint32_t words[64], const uint8_t block[RM_SHA256_BLOCK])
{
    for (unsigned i = 0; i < 16; i++) {
        const uint8_t *b = block + 4u * i;
        words[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
    }
    for (unsigned i = 16; i < 64; i++) {
        const uint32_t early = words[i - 15], late = words[i - 2];
        words[i] = words[i - 16] + (rotate(early, 7) ^ rotate(early, 18) ^ (early >> 3)) + words[i - 7]
                 + (rotate(late, 17) ^ rotate(late, 19) ^ (late >> 10));
    }
}

static void compress(uint32_t state[8], const uint8_t block[RM_SHA256_BLOCK])
{
    uint32_t words[64], v[8];
    expand(words, block);
    memcpy(v, state, sizeof v);
    for (unsigned i = 0; i < 64; i++) {
        const uint32_t choose = (v[4] & v[5]) ^ (~v[4] & v[6]);
        const uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        const uint32_t mixed = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        const uint32_t one = v[7] + mixed + choose + ROUND[i] + words[i];
        const uint32_t two = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) + majority;
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += one;
        v[0] = one + two;
    }
    for (unsigned i = 0; i < 8; i++) state[i] += v[i];
}

void rm_sha256_start(struct rm_sha256 *hash)
{
    static const uint32_t first[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                      0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
    memcpy(hash->state, first, sizeof first);
    hash->total = 0;
}

void rm_sha256_add(struct rm_sha256 *hash, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hash->block[hash->total % RM_SHA256_BLOCK] = bytes[i];
        if (++hash->total % RM_SHA256_BLOCK == 0) compress(hash->state, hash->block);
    }
}

void rm_sha256_end(struct rm_sha256 *hash, uint8_t digest[RM_SHA256_BYTES])
{
    const uint64_t bits = hash->total * 8u;
    const uint8_t one = 0x80, zero = 0;
    rm_sha256_add(hash, &one, 1);
    while (hash->total % RM_SHA256_BLOCK != RM_SHA256_BLOCK - 8) rm_sha256_add(hash, &zero, 1);
    for (unsigned i = 0; i < 8; i++) {
        const uint8_t byte = (uint8_t)(bits >> (56u - 8u * i));
        rm_sha256_add(hash, &byte, 1);
    }
    for (unsigned i = 0; i < RM_SHA256_BYTES; i++) digest[i] = (uint8_t)(hash->state[i / 4] >> (24u - 8u * (i % 4)));
}

static void hash_keyed(const uint8_t pad[RM_SHA256_BLOCK], const uint8_t *bytes, size_t count,
                       uint8_t digest[RM_SHA256_BYTES])
{
    struct rm_sha256 hash;
    rm_sha256_start(&hash);
    rm_sha256_add(&hash, pad, RM_SHA256_BLOCK);
    rm_sha256_add(&hash, bytes, count);
    rm_sha256_end(&hash, digest);
}

void rm_hmac_sha256(const uint8_t *key, size_t key_count, const uint8_t *bytes, size_t count,
                    uint8_t digest[RM_SHA256_BYTES])
{
    uint8_t block[RM_SHA256_BLOCK] = {0}, inner[RM_SHA256_BLOCK], outer[RM_SHA256_BLOCK];
    if (key_count > RM_SHA256_BLOCK) {
        struct rm_sha256 hash;
        rm_sha256_start(&hash);
        rm_sha256_add(&hash, key, key_count);
        rm_sha256_end(&hash, block);
    } else {
        memcpy(block, key, key_count);
    }
    for (unsigned i = 0; i < RM_SHA256_BLOCK; i++) {
        inner[i] = block[i] ^ 0x36u;
        outer[i] = block[i] ^ 0x5Cu;
    }
    uint8_t within[RM_SHA256_BYTES];
    hash_keyed(inner, bytes, count, within);
    hash_keyed(outer, within, sizeof within, digest);
}

bool rm_same_secret(const uint8_t *one, const uint8_t *other, size_t count)
{
    uint8_t differs = 0;
    for (size_t i = 0; i < count; i++) differs |= one[i] ^ other[i];
    return differs == 0;
}
