/*
 * The grammar of RFC 8259 in one loop without recursion. Open containers are a byte each (the
 * bracket that closes them) in the scanner, with a count of what they hold.
 *
 * Functions that read take the place to read at and return the place behind what they read, or
 * NULL after noting the fault. Strings are read in json/string.c; wanted members are noted in
 * json/watch.c, which is asked only at the two levels where a wanted member can stand.
 */
#include "json/scan.h"
#include "json/scan_int.h"
#include <errno.h>

#define TEXT_OF_(x)  #x
#define TEXT_OF(x)   TEXT_OF_(x)
#define WHY_END      "unexpected end of text"
#define WHY_TOO_DEEP "nesting deeper than " TEXT_OF(LIMIT_JSON_DEPTH)

static inline const uint8_t *skip_space(const struct scanner *s, const uint8_t *p)
{
    while (p < s->end && *p <= ' ' && is_space(*p))
        p++;
    return p;
}

static inline uint32_t offset(const struct scanner *s, const uint8_t *p)
{
    return (uint32_t)(p - s->start);
}

static inline bool is_digit(const struct scanner *s, const uint8_t *p)
{
    return p < s->end && *p >= '0' && *p <= '9';
}

/* One digit or more. */
static const uint8_t *read_digits(struct scanner *s, const uint8_t *p)
{
    if (!is_digit(s, p))
        return scan_fail(s, p, p == s->end ? WHY_END : "expected a digit");
    while (is_digit(s, p))
        p++;
    return p;
}

static const uint8_t *read_number(struct scanner *s, const uint8_t *p)
{
    if (*p == '-')
        p++;
    const uint8_t *first = p;
    p = read_digits(s, p);
    if (p && *first == '0' && p - first > 1)
        return scan_fail(s, first, "leading zero in number");
    if (p && p < s->end && *p == '.')
        p = read_digits(s, p + 1);
    if (p && p < s->end && (*p | 0x20) == 'e') {
        p++;
        if (p < s->end && (*p == '+' || *p == '-'))
            p++;
        p = read_digits(s, p);
    }
    return p;
}

static const uint8_t *read_word(struct scanner *s, const uint8_t *p, struct str word)
{
    size_t left = (size_t)(s->end - p);
    if (left >= word.n && memcmp(p, word.p, word.n) == 0)
        return p + word.n;
    bool cut = left < word.n && memcmp(p, word.p, left) == 0;
    return scan_fail(s, cut ? s->end : p, cut ? WHY_END : "expected a value");
}

static const uint8_t *read_scalar(struct scanner *s, const uint8_t *p, enum json_type type)
{
    switch (type) {
    case JSON_STRING:
        return string_read(s, p);
    case JSON_NUMBER:
        return read_number(s, p);
    case JSON_TRUE:
        return read_word(s, p, STR("true"));
    case JSON_FALSE:
        return read_word(s, p, STR("false"));
    case JSON_NULL:
        return read_word(s, p, STR("null"));
    default:
        return scan_fail(s, p, "expected a value");
    }
}

/* A member's name and colon; returns the place of its value. */
static const uint8_t *read_name(struct scanner *s, const uint8_t *p, const char *why)
{
    if (p == s->end || *p != '"')
        return scan_fail(s, p, p == s->end ? WHY_END : why);
    const uint8_t *quote = p;
    p = string_read(s, p);
    if (!p)
        return NULL;
    struct str key = str_at((const char *)quote + 1, (size_t)(p - quote) - 2);
    watch_word(&s->watch, key, s->escaped);
    if (s->depth == 1 || (s->depth == 2 && s->watch.inside))
        watch_key(&s->watch, s->depth - 1, key, s->escaped, offset(s, quote));
    p = skip_space(s, p);
    if (p == s->end || *p != ':')
        return scan_fail(s, p, p == s->end ? WHY_END : "expected ':'");
    return skip_space(s, p + 1);
}

/* p is at '[' or '{'. Returns the place of the first child, or, with depth as it was before, the
 * place behind an empty container. */
static const uint8_t *enter(struct scanner *s, const uint8_t *p)
{
    if (s->depth == LIMIT_JSON_DEPTH)
        return scan_fail(s, p, WHY_TOO_DEEP);
    bool object = *p == '{';
    s->depth++;
    s->closer[s->depth] = object ? '}' : ']';
    s->items[s->depth] = 0;
    p = skip_space(s, p + 1);
    if (p < s->end && *p == s->closer[s->depth]) {
        s->depth--;
        return p + 1;
    }
    return object ? read_name(s, p, "expected a member's name or '}'") : p;
}

/* p is behind a whole value. Closes what ends here; returns the place of the next value, or with
 * depth 0 the end of the text. */
static const uint8_t *leave(struct scanner *s, const uint8_t *p)
{
    for (;;) {
        if (s->depth - 1 < 2 && s->watch.open[s->depth - 1])
            watch_end(&s->watch, s->depth - 1,
                &(struct json_span){
                    .end = offset(s, p), .escaped = s->escaped, .items = s->items[s->depth + 1]});
        p = skip_space(s, p);
        if (s->depth == 0)
            return p == s->end ? p : scan_fail(s, p, "text behind the value");
        s->items[s->depth]++;
        uint8_t closer = s->closer[s->depth];
        if (p < s->end && *p == ',') {
            p = skip_space(s, p + 1);
            return closer == '}' ? read_name(s, p, "expected a member's name") : p;
        }
        if (p == s->end || *p != closer)
            return scan_fail(s, p,
                p == s->end     ? WHY_END
                : closer == '}' ? "expected ',' or '}'"
                                : "expected ',' or ']'");
        s->depth--;
        p++;
    }
}

static enum json_type type_of(uint8_t c)
{
    static const uint8_t types[256] = {['"'] = JSON_STRING,
        ['{'] = JSON_OBJECT,
        ['['] = JSON_ARRAY,
        ['t'] = JSON_TRUE,
        ['f'] = JSON_FALSE,
        ['n'] = JSON_NULL,
        ['-'] = JSON_NUMBER,
        ['0' ... '9'] = JSON_NUMBER};
    return types[c];
}

static const uint8_t *read_text(struct scanner *s, const uint8_t *p)
{
    do {
        if (p == s->end)
            return scan_fail(s, p, WHY_END);
        enum json_type type = type_of(*p);
        unsigned depth = s->depth;
        if (depth - 1 < 2 && s->watch.open[depth - 1])
            watch_value(&s->watch, depth - 1, type, offset(s, p));
        if (type == JSON_OBJECT || type == JSON_ARRAY) {
            p = enter(s, p);
            if (p && s->depth > depth)
                continue;
        } else {
            p = read_scalar(s, p, type);
        }
        if (p)
            p = leave(s, p);
    } while (p && s->depth > 0);
    return p;
}

int json_scan_set(struct str text, const struct json_set *set, struct json_span *spans,
    unsigned *ret_marks, enum json_type *ret_top, struct json_error *ret_err)
{
    /* Off the stack, where its kilobyte would make a coroutine touch a second page. */
    static _Thread_local struct scanner s;
    s.start = (const uint8_t *)(text.p ? text.p : "");
    s.end = s.start + text.n;
    s.string_rest = string_reader();
    s.escaped = false;
    s.depth = 0;
    watch_begin(&s.watch, set, spans);
    const uint8_t *p = skip_space(&s, s.start);
    *ret_top = p < s.end ? type_of(*p) : JSON_NONE;
    if (unlikely(text.n > UINT32_MAX))
        p = scan_fail(&s, s.start, "text of 4 GiB or more");
    else
        p = read_text(&s, p);
    *ret_marks = s.watch.marks;
    if (likely(p))
        return 0;
    for (size_t i = 0; i < set->n; i++)
        spans[i] = (struct json_span){.type = JSON_NONE};
    *ret_top = JSON_NONE;
    *ret_err = s.err;
    return -EINVAL;
}

int json_scan(struct str text, const struct json_want *wants, struct json_span *spans, size_t n,
    enum json_type *ret_top, struct json_error *ret_err)
{
    static const struct json_set none;
    static _Thread_local struct json_set set;
    unsigned marks;

    if (!n)
        return json_scan_set(text, &none, NULL, &marks, ret_top, ret_err);
    json_set_init(&set, wants, n);
    return json_scan_set(text, &set, spans, &marks, ret_top, ret_err);
}

enum json_type json_type_of(struct str value)
{
    return value.n ? type_of((uint8_t)value.p[0]) : JSON_NONE;
}
