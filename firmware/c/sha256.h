/* SHA-256 (FIPS 180-4) and HMAC-SHA-256 (RFC 2104), for the proof of the shared key at RM_HELLO. */
#ifndef RM_SHA256_H
#define RM_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RM_SHA256_BYTES 32u
#define RM_SHA256_BLOCK 64u

struct rm_sha256 {
    uint32_t state[8];
    uint64_t total; /* bytes taken so far */
    uint8_t block[RM_SHA256_BLOCK];
};

void rm_sha256_start(struct rm_sha256 *hash);
void rm_sha256_add(struct rm_sha256 *hash, const uint8_t *bytes, size_t count);
void rm_sha256_end(struct rm_sha256 *hash, uint8_t digest[RM_SHA256_BYTES]);

void rm_hmac_sha256(const uint8_t *key, size_t key_count, const uint8_t *bytes, size_t count,
                    uint8_t digest[RM_SHA256_BYTES]);

/* Compare in a time that does not depend on where they differ. */
bool rm_same_secret(const uint8_t *one, const uint8_t *other, size_t count);

#endif
