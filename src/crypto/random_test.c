/*
 * Random bytes: that they differ, also across a fork, that what is handed out covers every byte,
 * and that choices are in range and roughly even.
 */
#include "base/macros.h"
#include "base/map.h"
#include "base/tap.h"
#include "crypto/random.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDS 2000

static bool is_hex(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!memchr("0123456789abcdef", p[i], 16))
            return false;
    return true;
}

static void test_ids_differ(void)
{
    static char ids[IDS][32];
    _cleanup_(map_free) struct map seen;

    map_init(&seen);
    for (int i = 0; i < IDS; i++) {
        random_hex(ids[i], 16);
        CHECK(is_hex(ids[i], 32));
        CHECK_EQ(map_put(&seen, str_at(ids[i], 32), ids[i], NULL), 0);
    }
    CHECK_EQ(seen.n, IDS);
}

/* With n bytes wanted, each of them changes in some of 64 draws, and none behind them ever. */
static void check_covers(void (*draw)(void *out, size_t n), size_t n)
{
    static uint8_t out[10000 + 1], seen[10000 + 1];

    memset(seen, 0, sizeof(seen));
    for (int round = 0; round < 64; round++) {
        memset(out, 0, sizeof(out));
        draw(out, n);
        for (size_t i = 0; i <= n; i++)
            seen[i] |= out[i];
    }
    for (size_t i = 0; i < n; i++)
        CHECK(seen[i] != 0);
    CHECK_EQ(seen[n], 0);
}

static void test_sizes(void)
{
    static const size_t sizes[] = {0, 1, 7, 16, 1000, 1024, 1025, 4096, 10000};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        check_covers(random_bytes, sizes[i]);
        check_covers(crypto_random, sizes[i]);
    }
}

static void test_long_hex(void)
{
    char out[402];

    memset(out, '!', sizeof(out));
    random_hex(out, 200);
    CHECK(is_hex(out, 400));
    CHECK(out[400] == '!');
}

/* After a fork parent and child draw different bytes from what was one buffer. */
static void test_fork(void)
{
    uint8_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint8_t mine[16];
    int status = -1;

    CHECK(shared != MAP_FAILED);
    random_bytes(mine, sizeof(mine)); /* so that the buffer is filled */
    pid_t pid = fork();
    if (pid == 0) {
        random_bytes(shared, 16);
        _exit(0);
    }
    CHECK(pid > 0);
    random_bytes(mine, sizeof(mine));
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    bool differ = memcmp(mine, shared, 16) != 0;
    munmap(shared, 4096);
    CHECK(differ);
}

static void test_below(void)
{
    int hits[6] = {0};

    CHECK_EQ(random_below(1), 0);
    CHECK(random_below(UINT64_MAX) < UINT64_MAX);
    for (int i = 0; i < 60000; i++) {
        uint64_t x = random_below(6);
        CHECK(x < 6);
        hits[x]++;
    }
    for (int i = 0; i < 6; i++) /* ± 10 standard deviations */
        CHECK(hits[i] > 9100 && hits[i] < 10900);
}

int main(void)
{
    TAP_RUN(test_ids_differ);
    TAP_RUN(test_sizes);
    TAP_RUN(test_long_hex);
    TAP_RUN(test_fork);
    TAP_RUN(test_below);
    return tap_done();
}
