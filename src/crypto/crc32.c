/*
 * CRC-32 (reflected polynomial 0xedb88320), eight bytes a step: table k gives the effect of a byte
 * that k more bytes follow. The tables are computed once.
 */
#include "crypto/encode.h"

#include <endian.h>
#include <pthread.h>

static uint32_t tables[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
        tables[0][i] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int i = 0; i < 256; i++) {
            uint32_t crc = tables[k - 1][i];
            tables[k][i] = crc >> 8 ^ tables[0][crc & 0xff];
        }
}

static uint32_t step8(uint32_t crc, const char *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof(w));
    w = le64toh(w) ^ crc;
    crc = 0;
    for (int k = 0; k < 8; k++)
        crc ^= tables[7 - k][w >> (8 * k) & 0xff];
    return crc;
}

uint32_t crc32_ieee(uint32_t crc, struct str data)
{
    size_t i = 0;

    pthread_once(&once, fill_tables);
    crc = ~crc;
    for (; i + 8 <= data.n; i += 8)
        crc = step8(crc, data.p + i);
    for (; i < data.n; i++)
        crc = crc >> 8 ^ tables[0][(crc ^ (uint8_t)data.p[i]) & 0xff];
    return ~crc;
}
