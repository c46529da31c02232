/*
 * Header names and values. The table of known names is built from names.inc before main() runs:
 * an open-addressing table over a hash of the length and three letters, then one comparison of
 * words. Comparing is exact apart from the letter case: each name has a mask with 0x20 where it
 * has a letter, and only these bits may differ.
 *
 * Nothing here allocates except through the caller's struct buf, and nothing suspends.
 */
#include "http/fields.h"
#include "base/load.h"
#include <errno.h>

#define NAME_ROOM 40  /* the longest known name, in whole words */
#define SLOTS     256 /* a power of two, much larger than the number of names */

struct known {
    char text[NAME_ROOM];
    char fold[NAME_ROOM]; /* 0x20 at each letter */
    uint8_t n;
};

static struct known known[HTTP_NAMES] = {
#define HTTP_NAME(id, lower) [HTTP_##id] = {.text = lower, .n = sizeof(lower) - 1},
#include "http/names.inc"
#undef HTTP_NAME
};
static uint8_t slots[SLOTS];

/* n > 0. Setting bit 0x20 folds letters, and leaves '-' and digits as they are. */
static unsigned slot_of(const char *p, size_t n)
{
    unsigned a = (unsigned char)p[0] | 0x20, b = (unsigned char)p[n / 2] | 0x20;
    unsigned c = (unsigned char)p[n - 1] | 0x20;
    uint32_t h = (uint32_t)n | a << 8 | b << 16 | c << 24;
    return h * 0x9e3779b1u >> 24;
}

__attribute__((constructor)) static void build_slots(void)
{
    for (unsigned id = 1; id < HTTP_NAMES; id++) {
        struct known *k = &known[id];
        for (unsigned i = 0; i < k->n; i++)
            k->fold[i] = k->text[i] >= 'a' && k->text[i] <= 'z' ? 0x20 : 0;
        unsigned s = slot_of(k->text, k->n);
        while (slots[s])
            s = (s + 1) % SLOTS;
        slots[s] = (uint8_t)id;
    }
}

/* The last word of a name overlaps the one before, so that no byte beyond n is read. */
static bool same_name(const struct known *k, const char *p, size_t n)
{
    const char *t = k->text, *f = k->fold;
    uint64_t diff = 0;
    if (n >= 8) {
        for (size_t i = 0; i + 8 <= n; i += 8)
            diff |= (load64(p + i) ^ load64(t + i)) & ~load64(f + i);
        return !(diff | ((load64(p + n - 8) ^ load64(t + n - 8)) & ~load64(f + n - 8)));
    }
    if (n >= 4) {
        diff = (load32(p) ^ load32(t)) & ~load32(f);
        return !(diff | ((load32(p + n - 4) ^ load32(t + n - 4)) & ~load32(f + n - 4)));
    }
    for (size_t i = 0; i < n; i++)
        diff |= (unsigned)(p[i] ^ t[i]) & ~(unsigned)f[i];
    return !diff;
}

enum http_name http_name_of(struct str name)
{
    if (name.n == 0 || name.n >= NAME_ROOM)
        return HTTP_OTHER;
    for (unsigned s = slot_of(name.p, name.n); slots[s]; s = (s + 1) % SLOTS) {
        const struct known *k = &known[slots[s]];
        if (k->n == name.n && same_name(k, name.p, name.n))
            return (enum http_name)slots[s];
    }
    return HTTP_OTHER;
}

struct str http_name_text(enum http_name id)
{
    must(id > HTTP_OTHER && id < HTTP_NAMES);
    return str_at(known[id].text, known[id].n);
}

struct str http_get(const struct http_fields *f, enum http_name id)
{
    return f->first[id] ? f->at[f->first[id] - 1].value : STR_NONE;
}

struct str http_get_other(const struct http_fields *f, struct str name)
{
    for (unsigned i = 0; i < f->n; i++) {
        if (f->at[i].name.n == name.n && str_ieq(f->at[i].name, name))
            return f->at[i].value;
    }
    return STR_NONE;
}

bool http_has(const struct http_fields *f, enum http_name id)
{
    return f->first[id] != 0;
}

unsigned http_count(const struct http_fields *f, enum http_name id)
{
    unsigned count = 0;
    for (unsigned i = f->first[id] ? f->first[id] - 1u : f->n; i < f->n; i++)
        count += f->at[i].id == id;
    return count;
}

bool http_list_has(struct str value, struct str token)
{
    while (value.p) {
        if (str_ieq(str_trim(str_split(&value, ',')), token))
            return true;
    }
    return false;
}

static bool listed_by_connection(const struct http_fields *f, struct str name)
{
    for (unsigned i = f->first[HTTP_CONNECTION]; i && i <= f->n; i++) {
        const struct http_field *c = &f->at[i - 1];
        if (c->id == HTTP_CONNECTION && http_list_has(c->value, name))
            return true;
    }
    return false;
}

bool http_is_hop_by_hop(const struct http_fields *f, const struct http_field *field)
{
    switch (field->id) {
    case HTTP_CONNECTION:
    case HTTP_KEEP_ALIVE:
    case HTTP_TE:
    case HTTP_TRAILER:
    case HTTP_TRANSFER_ENCODING:
    case HTTP_UPGRADE:
        return true;
    default:
        return str_istarts(field->name, STR("proxy-")) || listed_by_connection(f, field->name);
    }
}

/* Without an early exit, so that the compiler can work on many bytes at once. */
static bool breaks_line(struct str s)
{
    bool bad = false;
    for (size_t i = 0; i < s.n; i++)
        bad |= (s.p[i] == '\r') | (s.p[i] == '\n') | (s.p[i] == '\0');
    return bad;
}

/* As with every append, the first failure sticks in out->err. */
int http_put_plain(struct buf *out, struct str name, struct str value)
{
    size_t n = name.n + value.n + 4;

    if (unlikely(out->err || (out->err = buf_reserve(out, n)) < 0))
        return out->err;
    char *p = str_put(out->p + out->n, name);
    p = str_put(p, STR(": "));
    p = str_put(p, value);
    str_put(p, STR("\r\n"));
    out->n += n;
    return 0;
}

int http_put(struct buf *out, struct str name, struct str value)
{
    if (!out->err && (name.n == 0 || breaks_line(name) || breaks_line(value)))
        out->err = -EINVAL;
    return http_put_plain(out, name, value);
}

int http_put_u64(struct buf *out, struct str name, uint64_t value)
{
    char digits[U64_DIGITS];

    return http_put(out, name, str_at(digits, u64_put(digits, value)));
}
