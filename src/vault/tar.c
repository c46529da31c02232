/* See vault/tar.h. */
#include "vault/tar.h"

#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

/* Offsets and lengths in a header. */
enum {
    NAME = 0,
    MODE = 100,
    SIZE = 124,
    SIZE_N = 12,
    TIME = 136,
    SUM = 148,
    TYPE = 156,
    MAGIC = 257
};

bool tar_name_ok(struct str name)
{
    if (!name.n || name.n > TAR_NAME_MAX)
        return false;
    for (struct str rest = name; rest.p;) {
        struct str part = str_split(&rest, '/');
        if (!part.n || part.p[0] == '.')
            return false;
        for (size_t i = 0; i < part.n; i++)
            if (!isalnum((unsigned char)part.p[i]) && !memchr("-_.", part.p[i], 3))
                return false;
    }
    return true;
}

/* The sum of all bytes, with blanks in place of the sum itself. */
static unsigned sum_of(const char *block)
{
    unsigned sum = 8 * ' ';

    for (unsigned i = 0; i < TAR_BLOCK; i++)
        if (i < SUM || i >= SUM + 8)
            sum += (unsigned char)block[i];
    return sum;
}

static void put_size(char *at, uint64_t size)
{
    if (size < (uint64_t)1 << 33) {
        snprintf(at, SIZE_N, "%011llo", (unsigned long long)size);
        return;
    }
    at[0] = (char)0x80;
    for (unsigned i = 0; i < 8; i++)
        at[SIZE_N - 1 - i] = (char)(size >> 8 * i);
}

void tar_header(struct str name, uint64_t size, int64_t wall_ns, char out[static TAR_BLOCK])
{
    memset(out, 0, TAR_BLOCK);
    memcpy(out + NAME, name.p, name.n < TAR_NAME_MAX ? name.n : TAR_NAME_MAX);
    memcpy(out + MODE,
        "0000600\0"
        "0000000\0"
        "0000000",
        23);
    put_size(out + SIZE, size);
    snprintf(out + TIME, 12, "%011llo", (unsigned long long)(wall_ns / NS_PER_S) & 077777777777);
    out[TYPE] = '0';
    memcpy(out + MAGIC,
        "ustar\0"
        "00",
        8);
    snprintf(out + SUM, 8, "%06o", sum_of(out));
    out[SUM + 7] = ' ';
}

static int octal(const char *at, unsigned n, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < n && at[i] && at[i] != ' '; i++) {
        if (at[i] < '0' || at[i] > '7')
            return -EBADMSG;
        v = v << 3 | (uint64_t)(at[i] - '0');
    }
    *ret = v;
    return 0;
}

static int get_size(const char *at, uint64_t *ret)
{
    uint64_t v = 0;

    if (!((unsigned char)at[0] & 0x80))
        return octal(at, SIZE_N, ret);
    for (unsigned i = 1; i < SIZE_N; i++) {
        if (i < 4 && at[i])
            return -EBADMSG;
        v = v << 8 | (unsigned char)at[i];
    }
    *ret = v;
    return v >> 62 ? -EBADMSG : 0;
}

int tar_parse(const char block[static TAR_BLOCK], struct tar_member *ret)
{
    uint64_t sum;
    bool zero = true;

    for (unsigned i = 0; i < TAR_BLOCK && zero; i++)
        zero = !block[i];
    if (zero)
        return 0;
    if (memcmp(block + MAGIC, "ustar", 5) != 0 || octal(block + SUM, 8, &sum) < 0 ||
        sum != sum_of(block) || block[TYPE] != '0' || get_size(block + SIZE, &ret->size) < 0)
        return -EBADMSG;
    struct str name = str_at(block + NAME, strnlen(block + NAME, 100));
    if (!tar_name_ok(name))
        return -EBADMSG;
    memcpy(ret->name, name.p, name.n);
    ret->name[name.n] = 0;
    return 1;
}
