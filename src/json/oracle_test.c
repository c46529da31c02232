/*
 * json_scan() and the walks against yyjson over generated texts, whole and with random damage.
 */
#include "base/tap.h"
#include "json/oracle.h"

struct source {
    uint64_t seed;
    char text[8192];
    size_t n;
};

static uint32_t draw(struct source *s, uint32_t below)
{
    s->seed = s->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(s->seed >> 33) % below;
}

static void put(struct source *s, const char *p)
{
    size_t n = strlen(p);
    if (s->n + n > sizeof(s->text))
        return;
    memcpy(s->text + s->n, p, n);
    s->n += n;
}

static void put_one(struct source *s, const char *const *from, uint32_t n)
{
    put(s, from[draw(s, n)]);
}

static void put_space(struct source *s)
{
    static const char *const spaces[] = {"", "", "", "", " ", "\n", "\t\r\n  "};
    put_one(s, spaces, ARRAY_LEN(spaces));
}

static void put_string(struct source *s)
{
    static const char *const parts[] = {"a", "model", " ",
        "long plain text of forty bytes or so, ok.", "\\n", "\\\"", "\\\\", "\\u00e9", "\xc3\xa9",
        "\\ud83d\\ude00", "\xf0\x9f\x98\x80", "\\ud800", "{", "]", ",", "\x7f", "\xe2\x82\xac"};
    put(s, "\"");
    for (uint32_t n = draw(s, 6); n > 0; n--)
        put_one(s, parts, ARRAY_LEN(parts));
    put(s, "\"");
}

static void put_key(struct source *s)
{
    static const char *const keys[] = {"\"a\"", "\"b\"", "\"model\"", "\"\\u0061\"", "\"\\u00e9\"",
        "\"\xc3\xa9\"", "\"stream_options\"", "\"include_usage\"", "\"include\\u005fusage\"",
        "\"\"", "\"m\\u006fd\\u0065l\"", "\"a.b\""};
    put_one(s, keys, ARRAY_LEN(keys));
}

static void put_value(struct source *s, unsigned depth)
{
    static const char *const scalars[] = {
        "null", "true", "false", "0", "-1", "12.5e-7", "1E+2", "99999999999999999999"};
    uint32_t kind = draw(s, depth > 4 ? 2 : 5);
    put_space(s);
    if (kind == 0) {
        put_one(s, scalars, ARRAY_LEN(scalars));
    } else if (kind == 1) {
        put_string(s);
    } else {
        bool object = kind > 2;
        put(s, object ? "{" : "[");
        put_space(s);
        for (uint32_t i = 0, n = draw(s, 5); i < n; i++) {
            put(s, i ? "," : "");
            put_space(s);
            if (object) {
                put_key(s);
                put_space(s);
                put(s, ":");
            }
            put_value(s, depth + 1);
        }
        put(s, object ? "}" : "]");
    }
    put_space(s);
}

/* Checked in memory of exactly its size. */
static bool check(const struct source *s)
{
    char *exact = malloc(s->n ? s->n : 1);
    must(exact);
    memcpy(exact, s->text, s->n);
    bool valid = oracle_check(str_at(exact, s->n));
    free(exact);
    return valid;
}

static void damage(struct source *s)
{
    static const char bytes[] = "{}[]:,\"\\u0123eE.+- \n\x1f\x80\xc3\xed\xf4tfn/";
    if (s->n == 0)
        return;
    size_t at = draw(s, (uint32_t)s->n);
    switch (draw(s, 4)) {
    case 0:
        s->text[at] = bytes[draw(s, sizeof(bytes))];
        break;
    case 1:
        memmove(s->text + at, s->text + at + 1, s->n - at - 1);
        s->n--;
        break;
    case 2:
        s->n = at;
        break;
    default:
        s->text[at] = s->text[draw(s, (uint32_t)s->n)];
    }
}

static void test_generated(void)
{
    struct source s = {.seed = 11};
    size_t valid = 0, damaged_valid = 0;
    for (int i = 0; i < 20000; i++) {
        s.n = 0;
        put_value(&s, 0);
        valid += check(&s);
        damage(&s);
        damaged_valid += check(&s);
    }
    CHECK(valid > 19000); /* the rest outgrew the buffer */
    CHECK(damaged_valid > 2000 && damaged_valid < 18000);
}

int main(void)
{
    TAP_RUN(test_generated);
    return tap_done();
}
