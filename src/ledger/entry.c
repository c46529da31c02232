/* Reading entries of calls: one walk over the payload, driven by a table. See ledger/entry.h. */
#include "ledger/entry.h"

#include "base/macros.h"
#include "json/scan.h"

#include <errno.h>

enum member_type { MEMBER_TEXT, MEMBER_INT, MEMBER_TEXTS, MEMBER_RAW };

static const struct member {
    struct str name;
    enum member_type type;
    size_t at;
} members[] = {
#define TEXT(n, m)                                                                                 \
    {                                                                                              \
        STR_INIT(n), MEMBER_TEXT, offsetof(struct call_entry, m)                                   \
    }
#define INT(n, m)                                                                                  \
    {                                                                                              \
        STR_INIT(n), MEMBER_INT, offsetof(struct call_entry, m)                                    \
    }
#define TEXTS(n, m)                                                                                \
    {                                                                                              \
        STR_INIT(n), MEMBER_TEXTS, offsetof(struct call_entry, m)                                  \
    }
#define RAW(n, m)                                                                                  \
    {                                                                                              \
        STR_INIT(n), MEMBER_RAW, offsetof(struct call_entry, m)                                    \
    }
    INT("attempts", attempts),
    INT("booked", booked),
    INT("cache_read", cache_read),
    INT("cache_write", cache_write),
    INT("charged", charged),
    TEXT("client", client),
    INT("cost", cost),
    TEXT("customer", customer),
    TEXT("dialect", dialect),
    TEXT("endpoint", endpoint),
    TEXT("error", error),
    TEXT("id", id),
    INT("in", in),
    TEXT("key", key),
    INT("latency_us", latency_us),
    TEXT("model", model),
    TEXT("model_asked", model_asked),
    TEXT("org", org),
    INT("out", out),
    TEXT("outcome", outcome_word),
    TEXT("provider", provider),
    INT("reasoning", reasoning),
    INT("req_len", req_len),
    INT("req_ref", req_ref),
    INT("reserved", reserved),
    INT("resp_len", resp_len),
    INT("resp_ref", resp_ref),
    RAW("scopes", scopes),
    INT("status", status),
    INT("stream", stream),
    TEXTS("tags", tags),
    TEXT("team", team),
    TEXT("trace", trace),
    INT("ts", ts),
    INT("ttfb_us", ttfb_us),
    INT("upstream_us", upstream_us),
    TEXT("user", user),
#undef TEXT
#undef INT
#undef TEXTS
#undef RAW
};

/* At most max bytes, and no part of a character. */
static struct str cut(struct str s, size_t max)
{
    size_t n = MIN(s.n, max);

    while (n && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return str_at(s.p, n);
}

/* Databases take no NUL in a text. */
static struct str unescaped(struct str literal, struct arena *a)
{
    char *out = arena_alloc(a, literal.n);
    ptrdiff_t n = out ? json_unescape(literal, out) : -1;

    for (ptrdiff_t i = 0; i < n; i++)
        if (!out[i])
            out[i] = '?';
    return n < 0 ? STR_NONE : str_at(out, (size_t)n);
}

static struct str text_of(struct str literal, struct arena *a)
{
    if (literal.n < 2 || literal.p[0] != '"')
        return STR_NONE;
    struct str inner = str_at(literal.p + 1, literal.n - 2);
    return cut(str_chr(inner, '\\') < 0 ? inner : unescaped(literal, a), CALL_ENTRY_TEXT_BYTES);
}

static int64_t int_of(struct str literal)
{
    bool minus = literal.n && literal.p[0] == '-';
    uint64_t n = 0;

    if (json_u64(minus ? str_from(literal, 1) : literal, &n) < 0)
        return 0;
    n = MIN(n, (uint64_t)INT64_MAX);
    return minus ? -(int64_t)n : (int64_t)n;
}

/* ["a","b"] as a,b */
static struct str joined(struct str array, struct arena *a)
{
    char *out = arena_alloc(a, array.n);
    size_t at = json_inside(array), n = 0;
    struct str key, item;

    while (out && at && json_next(array, &at, &key, &item)) {
        struct str t = text_of(item, a);
        if (n)
            out[n++] = ',';
        if (t.n)
            memcpy(out + n, t.p, t.n);
        n += t.n;
    }
    return out ? cut(str_at(out, n), CALL_ENTRY_TAGS_BYTES) : STR_NONE;
}

static void take(struct call_entry *e, const struct member *m, struct str value, struct arena *a)
{
    void *at = (char *)e + m->at;

    switch (m->type) {
    case MEMBER_TEXT:
        *(struct str *)at = text_of(value, a);
        break;
    case MEMBER_INT:
        *(int64_t *)at = int_of(value);
        break;
    case MEMBER_TEXTS:
        *(struct str *)at = joined(value, a);
        break;
    case MEMBER_RAW:
        *(struct str *)at = value;
        break;
    }
}

static bool before(struct str a, struct str b)
{
    if (a.n && b.n && a.p[0] != b.p[0])
        return (unsigned char)a.p[0] < (unsigned char)b.p[0];
    int c = memcmp(a.p, b.p, MIN(a.n, b.n));

    return c < 0 || (c == 0 && a.n < b.n);
}

/* `open` begins with its attempt, behind what the journal's writer put first; `outcome` and all
 * others do not. A quote in a string is escaped, so that only a member can look like "id". */
bool call_entry_is_open(struct str payload, struct str *ret_id)
{
    static const struct str name = STR_INIT("\"id\":\"");
    struct str s = str_from(payload, 1);

    if (str_starts(s, STR("\"_ring\":["))) {
        str_split(&s, ']');
        s = str_from(s, 1);
    }
    if (!str_starts(s, STR("\"attempt\":")))
        return false;
    const char *p = memmem(s.p, s.n, name.p, name.n);
    struct str id = p ? str_from(s, (size_t)(p - s.p) + name.n) : STR_NONE;
    *ret_id = str_split(&id, '"');
    return id.p && ret_id->n;
}

/* Both lists are in the order of their names' bytes, so one pass over both is enough. */
int call_entry_read(struct str payload, struct call_entry *ret, struct arena *a)
{
    struct str key, value, event = STR_NONE, phase = STR_NONE;
    size_t at = json_inside(payload);
    unsigned m = 0;

    *ret = (struct call_entry){.in = -1, .out = -1, .cost = -1};
    while (at && json_next(payload, &at, &key, &value)) {
        if (str_eq(key, STR("event")))
            event = value;
        else if (str_eq(key, STR("phase")))
            phase = value;
        while (m < ARRAY_LEN(members) && before(members[m].name, key))
            m++;
        if (m < ARRAY_LEN(members) && str_eq(members[m].name, key))
            take(ret, &members[m], value, a);
    }
    if (!str_eq(event, STR("\"request\"")))
        return 0;
    ret->outcome = str_eq(phase, STR("\"outcome\""));
    return ret->id.n ? 1 : -EINVAL;
}
