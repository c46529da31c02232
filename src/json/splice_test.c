/*
 * Splices against a plain copy that is edited with memmove.
 */
#include "base/macros.h"
#include "base/tap.h"
#include "json/splice.h"
#include <errno.h>
#include <stdlib.h>

static struct str result(const struct splice *s, char *out, size_t room)
{
    must(splice_length(s) <= room);
    splice_copy(s, out);
    return str_at(out, splice_length(s));
}

static void test_unchanged(void)
{
    struct splice s;
    struct iovec iov[1];
    struct str text = STR("{\"a\":1}");
    splice_init(&s, text);
    CHECK_EQ(splice_length(&s), text.n);
    CHECK_EQ(splice_iov(&s, iov), 1);
    CHECK(iov[0].iov_base == (const void *)text.p);
    CHECK_EQ(iov[0].iov_len, text.n);
    splice_init(&s, STR(""));
    CHECK_EQ(splice_iov(&s, iov), 0);
    CHECK_EQ(splice_length(&s), 0);
}

static void test_edits(void)
{
    struct splice s;
    char out[64];
    splice_init(&s, STR("0123456789"));
    CHECK_EQ(splice_replace(&s, 7, 9, STR("-")), 0);
    CHECK_EQ(splice_replace(&s, 2, 4, STR("abcdef")), 0);
    CHECK_EQ(splice_replace(&s, 0, 0, STR("^")), 0);
    CHECK_EQ(splice_replace(&s, 10, 10, STR("$")), 0);
    CHECK_EQ(splice_replace(&s, 5, 6, STR("")), 0);
    CHECK_STR(result(&s, out, sizeof(out)), STR("^01abcdef46-9$"));
}

static void test_touching_edits(void)
{
    struct splice s;
    char out[64];
    splice_init(&s, STR("0123456789"));
    CHECK_EQ(splice_replace(&s, 4, 6, STR("B")), 0);
    CHECK_EQ(splice_replace(&s, 2, 4, STR("A")), 0);
    CHECK_EQ(splice_replace(&s, 6, 8, STR("C")), 0);
    CHECK_EQ(splice_replace(&s, 4, 4, STR("<1>")), 0);
    CHECK_EQ(splice_replace(&s, 4, 4, STR("<2>")), 0);
    CHECK_EQ(splice_replace(&s, 8, 8, STR("<3>")), 0);
    CHECK_STR(result(&s, out, sizeof(out)), STR("01A<1><2>BC<3>89"));
}

static void test_overlap_is_refused(void)
{
    struct splice s;
    char out[16];
    splice_init(&s, STR("0123456789"));
    CHECK_EQ(splice_replace(&s, 3, 6, STR("x")), 0);
    CHECK_EQ(splice_replace(&s, 8, 8, STR("y")), 0);
    CHECK_EQ(splice_replace(&s, 3, 6, STR("z")), -EINVAL);
    CHECK_EQ(splice_replace(&s, 2, 4, STR("z")), -EINVAL);
    CHECK_EQ(splice_replace(&s, 5, 7, STR("z")), -EINVAL);
    CHECK_EQ(splice_replace(&s, 4, 5, STR("z")), -EINVAL);
    CHECK_EQ(splice_replace(&s, 4, 4, STR("z")), -EINVAL);
    CHECK_EQ(splice_replace(&s, 0, 10, STR("z")), -EINVAL);
    CHECK_EQ(splice_replace(&s, 7, 9, STR("z")), -EINVAL);
    CHECK_EQ(splice_replace(&s, 5, 4, STR("z")), -EINVAL);
    CHECK_EQ(splice_replace(&s, 9, 11, STR("z")), -EINVAL);
    CHECK_STR(result(&s, out, sizeof(out)), STR("012x67y89"));
}

static void test_full(void)
{
    struct splice s;
    char out[32];
    splice_init(&s, STR("0123456789"));
    for (size_t i = 0; i < SPLICE_MAX_EDITS; i++)
        CHECK_EQ(splice_replace(&s, i, i + 1, STR("ab")), 0);
    CHECK_EQ(splice_replace(&s, 9, 10, STR("c")), -ENOSPC);
    CHECK_EQ(splice_replace(&s, 0, 1, STR("c")), -EINVAL);
    CHECK_STR(result(&s, out, sizeof(out)), STR("abababababababab89"));
}

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

/* Edits from last to first on a plain copy, where earlier offsets stay what they were. */
static size_t edit_plainly(const struct splice *s, char *text)
{
    size_t n = s->original.n;
    memcpy(text, s->original.p, n);
    for (unsigned i = s->n; i-- > 0;) {
        const struct splice_edit *e = &s->edits[i];
        memmove(text + e->from + e->with.n, text + e->to, n - e->to);
        memcpy(text + e->from, e->with.p, e->with.n);
        n = n - (e->to - e->from) + e->with.n;
    }
    return n;
}

static void test_random_edits(void)
{
    static const struct str with[] = {STR_INIT(""), STR_INIT("x"), STR_INIT("\"model\""),
        STR_INIT(",\"stream_options\":{\"include_usage\":true}")};
    static const char text[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    uint64_t seed = 3;
    for (int round = 0; round < 20000; round++) {
        struct splice s;
        splice_init(&s, str_at(text, draw(&seed, sizeof(text))));
        for (uint32_t edits = draw(&seed, 12); edits > 0; edits--) {
            size_t from = draw(&seed, (uint32_t)s.original.n + 1);
            size_t to = from + draw(&seed, (uint32_t)MIN(s.original.n - from, (size_t)9) + 1);
            unsigned before = s.n;
            int r = splice_replace(&s, from, to, with[draw(&seed, ARRAY_LEN(with))]);
            CHECK_EQ(s.n, before + (r == 0));
        }
        for (unsigned i = 1; i < s.n; i++)
            CHECK(s.edits[i - 1].to <= s.edits[i].from);
        char got[1024], want[1024];
        size_t n = edit_plainly(&s, want);
        CHECK_STR(result(&s, got, sizeof(got)), str_at(want, n));
        struct iovec iov[2 * SPLICE_MAX_EDITS + 1];
        unsigned used = splice_iov(&s, iov);
        CHECK(used <= 2 * s.n + 1);
        size_t total = 0;
        for (unsigned i = 0; i < used; i++)
            total += iov[i].iov_len;
        CHECK_EQ(total, n);
    }
}

int main(void)
{
    TAP_RUN(test_unchanged);
    TAP_RUN(test_edits);
    TAP_RUN(test_touching_edits);
    TAP_RUN(test_overlap_is_refused);
    TAP_RUN(test_full);
    TAP_RUN(test_random_edits);
    return tap_done();
}
