/*
 * The names of counters. What a subject's names have in common is made once, with its record; the
 * rest is a window's (keys/windows.h). And which budgets of a subject share a counter.
 */
#include "base/macros.h"
#include "crypto/digest.h"
#include "crypto/encode.h"
#include "keys/catalog_int.h"

#include <ctype.h>

static const char kind_letters[SUBJECT_KINDS] = {
    [SUBJECT_ORG] = 'o',
    [SUBJECT_TEAM] = 't',
    [SUBJECT_USER] = 'u',
    [SUBJECT_KEY] = 'k',
    [SUBJECT_CUSTOMER] = 'c',
};

static bool is_plain(struct str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!isalnum((unsigned char)id.p[i]) && !memchr("_-.@*", id.p[i], 5))
            return false;
    return id.n > 0 && id.n <= 32;
}

/* What a caller chose may be of any length, and hold braces. */
static char *put_id(char *to, struct str id)
{
    uint8_t hash[32];

    if (is_plain(id))
        return str_put(to, id);
    sha256(id, hash);
    *to++ = '#';
    hex_encode(str_at((const char *)hash, 12), to);
    return to + 24;
}

struct str counter_prefix(
    enum subject_kind kind, struct str org_id, struct str id, char out[static COUNTER_PREFIX_BYTES])
{
    char *p = out;

    *p++ = '{';
    if (kind == SUBJECT_ORG)
        org_id = id;
    p = org_id.n ? put_id(p, org_id) : str_put(p, STR("-"));
    *p++ = '}';
    *p++ = kind_letters[kind];
    *p++ = ':';
    p = put_id(p, id);
    *p++ = ':';
    return str_at(out, (size_t)(p - out));
}

/* --- budgets that share a counter --- */

size_t subject_state_bytes(const struct limits *l)
{
    return sizeof(struct subject_state) + l->budgets_n * sizeof(struct budget_state);
}

static bool same_counter(const struct budget *a, const struct budget *b)
{
    return a->period == b->period && str_eq(a->model, b->model) && str_eq(a->tag, b->tag);
}

static void set_scope(struct budget_state *s, const struct budget *b)
{
    const struct str parts[] = {b->model, STR_INIT("\n"), b->tag};
    uint8_t hash[32];

    if (!b->model.n && !b->tag.n)
        return;
    sha256_parts(parts, ARRAY_LEN(parts), hash);
    hex_encode(str_at((const char *)hash, 4), s->scope);
    s->scope_n = 8;
}

void subject_state_init(struct subject_state *s, const struct limits *l)
{
    for (unsigned i = 0; i < l->budgets_n; i++) {
        const struct budget *b = &l->budgets[i];
        unsigned first = 0;
        while (!same_counter(&l->budgets[first], b))
            first++;
        set_scope(&s->at[i], b);
        s->by_model |= b->model.n > 0;
        s->by_tag |= b->tag.n > 0;
        s->at[i].first = first == i;
        if (first == i)
            s->at[i].limit = INT64_MAX;
        if (!b->soft)
            s->at[first].limit = MIN(s->at[first].limit, b->limit_nano);
    }
}
