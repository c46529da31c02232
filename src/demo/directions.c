/*
 * Directions: what a test asks of the demo provider, written where it survives every proxy: in the
 * prompt or in the "user" field. "demo:delay=20,chunks=32" is a word that begins with demo: (or
 * mock:) and ends at white space or a quote. Unknown keys are passed over.
 */
#include "demo/demo_int.h"

void directions_init(struct directions *d)
{
    *d = (struct directions){.delay_ms = -1,
        .chunks = -1,
        .interval_ms = -1,
        .error_after = -1,
        .cut_after = -1,
        .stall_after = -1,
        .size = -1,
        .usage_in = -1,
        .usage_out = -1,
        .retry_after = 1};
}

/* An optional sign and digits; anything else is 0. */
static int64_t number(struct str s)
{
    uint64_t v = 0;
    bool minus = s.n && s.p[0] == '-';
    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = str_from(s, 1);
    if (str_u64(s, &v) < 0 || v > INT64_MAX / 1000000000)
        v = 0;
    return minus ? -(int64_t)v : (int64_t)v;
}

static int64_t *number_of(struct directions *d, struct str key)
{
    const struct {
        struct str key;
        int64_t *at;
    } table[] = {
        {STR("delay"), &d->delay_ms},
        {STR("chunks"), &d->chunks},
        {STR("interval"), &d->interval_ms},
        {STR("error_after"), &d->error_after},
        {STR("cut_after"), &d->cut_after},
        {STR("stall_after"), &d->stall_after},
        {STR("size"), &d->size},
        {STR("usage_in"), &d->usage_in},
        {STR("usage_out"), &d->usage_out},
        {STR("lie_length"), &d->lie_length},
    };
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (str_eq(table[i].key, key))
            return table[i].at;
    return NULL;
}

static void direct(struct directions *d, struct str key, struct str value)
{
    int64_t *at = number_of(d, key), v = number(value);
    if (at)
        *at = v;
    else if (str_eq(key, STR("status")))
        d->status = v >= 200 && v <= 999 ? (int)v : 0;
    else if (str_eq(key, STR("retry_after")))
        d->retry_after = (int)MIN(MAX(v, 0), 86400);
    else if (str_eq(key, STR("no_usage")))
        d->no_usage = v != 0;
    else if (str_eq(key, STR("gzip")))
        d->gzip = v != 0;
    else if (str_eq(key, STR("bad_json")))
        d->bad_json = v != 0;
    else if (str_eq(key, STR("echo")))
        d->echo = str_eq(value, STR("headers")) ? ECHO_HEADERS
                  : str_eq(value, STR("body"))  ? ECHO_BODY
                                                : ECHO_TEXT;
}

static bool ends_word(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '"' || c == '\\' || c == ';';
}

static void read_list(struct directions *d, struct str list)
{
    while (list.n) {
        struct str value = str_split(&list, ','), key = str_split(&value, '=');
        if (key.n)
            direct(d, key, value);
    }
}

void directions_read(struct directions *d, struct str text)
{
    struct str rest = text;
    ptrdiff_t colon;
    while ((colon = str_chr(rest, ':')) >= 0) {
        struct str before = str_to(rest, (size_t)colon);
        rest = str_from(rest, (size_t)colon + 1);
        if (!str_ends(before, STR("demo")) && !str_ends(before, STR("mock")))
            continue;
        size_t n = 0;
        while (n < rest.n && !ends_word(rest.p[n]))
            n++;
        read_list(d, str_to(rest, n));
        rest = str_from(rest, n);
    }
}
