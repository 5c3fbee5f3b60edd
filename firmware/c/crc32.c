#include "crc32.h"

#include "wire.h"

#define POLYNOMIAL 0xEDB88320u

static uint32_t table[8][256];

void rm_crc32_init(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1u) ? POLYNOMIAL : 0u);
        table[0][byte] = crc;
    }
    for (uint32_t byte = 0; byte < 256; byte++) {
        for (int ahead = 1; ahead < 8; ahead++) {
            const uint32_t before = table[ahead - 1][byte];
            table[ahead][byte] = (before >> 8) ^ table[0][before & 0xFFu];
        }
    }
}

static uint32_t eight_bytes(uint32_t crc, const uint8_t *bytes)
{
    const uint32_t low = rm_get32(bytes) ^ crc;
    const uint32_t high = rm_get32(bytes + 4);
    return table[7][low & 0xFFu] ^ table[6][(low >> 8) & 0xFFu] ^ table[5][(low >> 16) & 0xFFu] ^ table[4][low >> 24]
         ^ table[3][high & 0xFFu] ^ table[2][(high >> 8) & 0xFFu] ^ table[1][(high >> 16) & 0xFFu]
         ^ table[0][high >> 24];
}

uint32_t rm_crc32(uint32_t crc, const uint8_t *bytes, size_t count)
{
    crc = ~crc;
    for (; count >= 8; bytes += 8, count -= 8) crc = eight_bytes(crc, bytes);
    for (; count > 0; bytes++, count--) crc = (crc >> 8) ^ table[0][(crc ^ *bytes) & 0xFFu];
    return ~crc;
}
