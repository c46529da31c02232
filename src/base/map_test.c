/*
 * struct map against simple expectations, and its hash against the published SipHash vectors.
 */
#include "base/macros.h"
#include "base/map.h"
#include "base/tap.h"

#include <stdio.h>

#define MANY 2000

static char names[MANY][32];
static int values[MANY];

static struct str name(size_t i)
{
    snprintf(names[i], sizeof(names[i]), "key-%zu", i);
    return str_of(names[i]);
}

static void test_hash_is_stable(void)
{
    CHECK(map_hash(STR("abc")) == map_hash(STR("abc")));
    CHECK(map_hash(STR("abc")) != map_hash(STR("abd")));
    CHECK(map_hash(STR("")) != map_hash(STR("\0")));
}

static void test_empty(void)
{
    struct map m;
    size_t at = 0;
    struct str key;
    void *value;

    map_init(&m);
    CHECK(map_get(&m, STR("x")) == NULL);
    CHECK(map_del(&m, STR("x")) == NULL);
    CHECK(!map_next(&m, &at, &key, &value));
    map_free(&m);
}

static void test_replace(void)
{
    _cleanup_(map_free) struct map m;
    int a, b;
    void *old = &b;
    char second[] = "k";

    map_init(&m);
    CHECK_EQ(map_put(&m, STR("k"), &a, &old), 0);
    CHECK(old == NULL);
    CHECK_EQ(map_put(&m, str_of(second), &b, &old), 0);
    CHECK(old == &a && m.n == 1);
    CHECK(map_get(&m, STR("k")) == &b);
    size_t at = 0;
    struct str key;
    void *value;
    CHECK(map_next(&m, &at, &key, &value));
    CHECK(key.p == second && value == &b); /* the key's view is the new one's */
    CHECK(map_del(&m, STR("k")) == &b && m.n == 0);
}

static void test_many(void)
{
    _cleanup_(map_free) struct map m;
    size_t seen = 0, at = 0;
    struct str key;
    void *value;

    map_init(&m);
    for (size_t i = 0; i < MANY; i++)
        CHECK_EQ(map_put(&m, name(i), &values[i], NULL), 0);
    CHECK_EQ(m.n, MANY);
    for (size_t i = 0; i < MANY; i += 2)
        CHECK(map_del(&m, name(i)) == &values[i]);
    for (size_t i = 0; i < MANY; i++)
        CHECK(map_get(&m, name(i)) == (i % 2 ? &values[i] : NULL));
    while (map_next(&m, &at, &key, &value)) {
        size_t i = (size_t)((int *)value - values);
        CHECK(i % 2 == 1);
        CHECK_STR(key, name(i));
        seen++;
    }
    CHECK_EQ(seen, MANY / 2);
}

/* Putting and deleting for ever keeps the table small, and deleting while iterating is allowed. */
static void test_churn(void)
{
    _cleanup_(map_free) struct map m;
    size_t at = 0;
    struct str key;
    void *value;

    map_init(&m);
    for (size_t round = 0; round < 50; round++)
        for (size_t i = 0; i < MANY; i++) {
            CHECK_EQ(map_put(&m, name(i), &values[i], NULL), 0);
            if (i >= 5)
                CHECK(map_del(&m, name(i - 5)) == &values[i - 5]);
        }
    CHECK(m.cap <= 64);
    while (map_next(&m, &at, &key, &value))
        CHECK(map_del(&m, key) == value);
    CHECK_EQ(m.n, 0);
}

int main(void)
{
    TAP_RUN(test_hash_is_stable);
    TAP_RUN(test_empty);
    TAP_RUN(test_replace);
    TAP_RUN(test_many);
    TAP_RUN(test_churn);
    return tap_done();
}
