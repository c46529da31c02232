/*
 * struct arena: alignment, the owner's first block, the maximum, copies.
 */
#include "base/arena.h"
#include "base/tap.h"

static bool aligned(const void *p)
{
    return ((uintptr_t)p & 15) == 0;
}

static void test_first_block(void)
{
    char first[256];
    struct arena a;

    arena_init(&a, first + 1, sizeof(first) - 1, 65536);
    for (int i = 0; i < 10; i++) {
        char *p = arena_alloc(&a, 10);
        CHECK(aligned(p) && p >= first && p + 10 <= first + sizeof(first));
    }
    CHECK_EQ(a.total, 0);
    char *p = arena_alloc(&a, 200);
    CHECK(aligned(p) && (p < first || p >= first + sizeof(first)));
    memset(p, 1, 200);
    CHECK(a.total > 200);
    arena_free(&a);
    CHECK_EQ(a.total, 0);
}

static void test_distinct(void)
{
    struct arena a;
    unsigned char *p[500];

    arena_init(&a, NULL, 0, 1 << 20);
    for (size_t i = 0; i < 500; i++) {
        p[i] = arena_alloc(&a, i * 3);
        CHECK(p[i] && aligned(p[i]));
        memset(p[i], (int)(i & 0xff), i * 3);
    }
    for (size_t i = 0; i < 500; i++)
        for (size_t j = 0; j < i * 3; j++)
            CHECK_EQ(p[i][j], i & 0xff);
    arena_free(&a);
}

static void test_maximum(void)
{
    struct arena a;
    size_t got = 0;

    arena_init(&a, NULL, 0, 100000);
    while (arena_alloc(&a, 1000))
        got++;
    CHECK(got >= 90 && got <= 100);
    CHECK(a.total <= 100000);
    CHECK(arena_alloc(&a, SIZE_MAX) == NULL);
    CHECK(arena_alloc(&a, SIZE_MAX - 8) == NULL);
    CHECK(arena_dup(&a, str_at("x", SIZE_MAX)).p == NULL);
    arena_free(&a);
    CHECK(arena_alloc(&a, 1000) != NULL); /* usable again, with the same maximum */
    CHECK(arena_alloc(&a, 100000) == NULL);
    arena_free(&a);
}

/* A large allocation takes a block of its own and leaves the free space of the current one. */
static void test_large_keeps_space(void)
{
    struct arena a;

    arena_init(&a, NULL, 0, 1 << 20);
    char *p = arena_alloc(&a, 16);
    char *big = arena_alloc(&a, 100000);
    CHECK(p && big);
    memset(big, 7, 100000);
    CHECK((char *)arena_alloc(&a, 16) == p + 16);
    arena_free(&a);
}

static void test_copies(void)
{
    struct arena a;
    struct pair {
        int64_t x, y;
    };

    arena_init(&a, NULL, 0, 65536);
    memset(arena_alloc(&a, 64), 0xff, 64);
    struct pair *pair = arena_new(&a, struct pair);
    CHECK(pair && pair->x == 0 && pair->y == 0);
    struct str copy = arena_dup(&a, STR("a\0b"));
    CHECK_STR(copy, STR("a\0b"));
    CHECK(copy.p[3] == '\0');
    copy = arena_dup(&a, STR_NONE);
    CHECK(copy.p && copy.n == 0 && *copy.p == '\0');
    CHECK_STR(arena_printf(&a, "%s=%d", "n", 42), STR("n=42"));
    CHECK(arena_printf(&a, "%70000s", "x").p == NULL);
    arena_free(&a);
}

int main(void)
{
    TAP_RUN(test_first_block);
    TAP_RUN(test_distinct);
    TAP_RUN(test_maximum);
    TAP_RUN(test_large_keeps_space);
    TAP_RUN(test_copies);
    return tap_done();
}
