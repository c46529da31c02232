/*
 * Notes where wanted members stand while json_scan() passes over them. Only the top object and the
 * objects directly in it are watched. A name is compared only when one of the wanted names of its
 * level has its length, so the usual unknown member costs one shift.
 *
 * The first occurrence of a member keeps the span; a later one only sets the duplicate flag.
 */
#include "json/scan_int.h"

static uint64_t length_bit(size_t n)
{
    return 1ull << MIN(n, (size_t)63);
}

void watch_init(struct watch *w, const struct json_want *wants, struct json_span *spans, size_t n)
{
    must(n <= JSON_MAX_WANTS);
    w->spans = spans;
    w->n = (unsigned)n;
    w->lengths[0] = w->lengths[1] = 0;
    w->open[0] = w->open[1] = w->inside = w->parents = 0;
    for (size_t i = 0; i < n; i++) {
        struct str path = wants[i].path;
        size_t dot = 0;
        while (dot < path.n && path.p[dot] != '.')
            dot++;
        w->names[i].part[0] = str_at(path.p, dot);
        w->names[i].part[1] = STR_NONE;
        w->lengths[0] |= length_bit(dot);
        if (dot < path.n) {
            w->names[i].part[1] = str_at(path.p + dot + 1, path.n - dot - 1);
            w->lengths[1] |= length_bit(path.n - dot - 1);
        }
        spans[i] = (struct json_span){.type = JSON_NONE};
    }
}

/* The first part of a path with two parts was met. */
static void meet_parent(struct watch *w, unsigned i)
{
    if (w->parents >> i & 1)
        w->spans[i].duplicate = true;
    w->parents |= 1ull << i;
    w->inside |= 1ull << i;
}

static void meet_member(struct watch *w, unsigned i, unsigned level, uint32_t at)
{
    struct json_span *span = &w->spans[i];
    if (span->type != JSON_NONE) {
        span->duplicate = true;
        return;
    }
    span->key = at;
    w->open[level] |= 1ull << i;
}

void watch_key(struct watch *w, unsigned level, struct str key, bool escaped, uint32_t at)
{
    uint64_t candidates = level == 0 ? ~0ull : w->inside;
    w->open[level] = 0;
    if (level == 0)
        w->inside = 0;
    if (!escaped && !(w->lengths[level] & length_bit(key.n)))
        return;
    for (unsigned i = 0; i < w->n; i++) {
        struct str name = w->names[i].part[level];
        if (!(candidates >> i & 1) || (escaped ? !escaped_eq(key, name) : !str_eq(key, name)))
            continue;
        if (level == 0 && w->names[i].part[1].p)
            meet_parent(w, i);
        else
            meet_member(w, i, level, at);
    }
}

void watch_value(struct watch *w, unsigned level, enum json_type type, uint32_t at)
{
    for (uint64_t left = w->open[level]; left; left &= left - 1) {
        struct json_span *span = &w->spans[__builtin_ctzll(left)];
        span->type = type;
        span->value = at;
    }
}

void watch_end(struct watch *w, unsigned level, const struct json_span *end)
{
    for (uint64_t left = w->open[level]; left; left &= left - 1) {
        struct json_span *span = &w->spans[__builtin_ctzll(left)];
        bool container = span->type == JSON_ARRAY || span->type == JSON_OBJECT;
        span->end = end->end;
        span->escaped = span->type == JSON_STRING && end->escaped;
        span->items = container ? end->items : 0;
    }
    w->open[level] = 0;
}
