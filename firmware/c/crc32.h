/* CRC-32 of IEEE 802.3 (reflected polynomial 0xEDB88320), the one of zlib: rm_crc32(0, bytes, n) starts one, and the
 * value returned goes on with it. Eight bytes at a time by tables, which rm_crc32_init fills. */
#ifndef RM_CRC32_H
#define RM_CRC32_H

#include <stddef.h>
#include <stdint.h>

void rm_crc32_init(void);
uint32_t rm_crc32(uint32_t crc, const uint8_t *bytes, size_t count);

#endif
