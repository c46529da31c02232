/*
 * Random bytes, direct and by way of a thread's buffer. The buffer is wiped as it is handed out, so
 * that what was an identifier a moment ago cannot be read from memory later; and in a forked child,
 * which would else repeat what its parent hands out next.
 */
#include "crypto/random.h"
#include "base/macros.h"
#include "base/secret.h"
#include "crypto/encode.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#define BUFFER 4096

static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local struct {
    size_t left; /* unused bytes, at the end of bytes */
    uint8_t bytes[BUFFER];
} stock;

void crypto_random(void *out, size_t n)
{
    uint8_t *p = out;

    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        must(got > 0);
        p += got;
        n -= (size_t)got;
    }
}

/* In the child only the thread that forked exists, so its stock is the only one to drop. */
static void drop_stock(void)
{
    mem_wipe(&stock, sizeof(stock));
}

static void watch_forks(void)
{
    must(pthread_atfork(NULL, NULL, drop_stock) == 0);
}

static void refill(void)
{
    pthread_once(&once, watch_forks);
    crypto_random(stock.bytes, BUFFER);
    stock.left = BUFFER;
}

void random_bytes(void *out, size_t n)
{
    if (n > BUFFER / 4) {
        crypto_random(out, n);
        return;
    }
    if (n > stock.left)
        refill();
    uint8_t *p = stock.bytes + BUFFER - stock.left;
    memcpy(out, p, n);
    mem_wipe(p, n);
    stock.left -= n;
}

void random_hex(char *out, size_t bytes)
{
    uint8_t piece[64];

    while (bytes > 0) {
        size_t n = MIN(bytes, sizeof(piece));
        random_bytes(piece, n);
        hex_encode(str_at((const char *)piece, n), out);
        out += 2 * n;
        bytes -= n;
    }
}

/*
 * The high word of random × bound (Lemire): uniform once the few products are redrawn whose low
 * word falls below 2^64 mod bound.
 */
uint64_t random_below(uint64_t bound)
{
    uint64_t low, x;

    must(bound > 0);
    do {
        random_bytes(&x, sizeof(x));
        low = x * bound;
    } while (low < bound && low < -bound % bound);
    return (uint64_t)((unsigned __int128)x * bound >> 64);
}
