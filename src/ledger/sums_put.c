/*
 * Sums into the store: each into usage_hourly, and once into each part of the totals.
 *
 *   part   value       beside it
 *   a      all, no value
 *   p      provider    model, status
 *   k u g  key, user, team
 *   c      customer
 *   n      endpoint
 *   t      each tag
 */
#include "base/macros.h"
#include "ledger/sums.h"

#include <errno.h>

#define KEY_MAX 1024

/* --- statements --- */

#define NUMBERS                                                                                    \
    "calls, errors, streamed, cache_hits, tokens_in, tokens_out, cache_read, cost, unpriced, "     \
    "latency_us, l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14, l15"
#define ADD(table, c)      #c " = " table "." #c " + excluded." #c ", "
#define ADD_LAST(table, c) #c " = " table "." #c " + excluded." #c
/* clang-format off */
#define ADD_NUMBERS(t) \
    ADD(t, calls) ADD(t, errors) ADD(t, streamed) ADD(t, cache_hits) ADD(t, tokens_in)             \
    ADD(t, tokens_out) ADD(t, cache_read) ADD(t, cost) ADD(t, unpriced) ADD(t, latency_us)         \
    ADD(t, l0) ADD(t, l1) ADD(t, l2) ADD(t, l3) ADD(t, l4) ADD(t, l5) ADD(t, l6) ADD(t, l7)        \
    ADD(t, l8) ADD(t, l9) ADD(t, l10) ADD(t, l11) ADD(t, l12) ADD(t, l13) ADD(t, l14)              \
    ADD_LAST(t, l15)
/* clang-format on */
#define NUMBERS_N (10 + SUMS_LATENCIES)

static void put_numbers(const struct usage_total *t, struct store_value *v)
{
    const int64_t first[] = {t->calls, t->errors, t->streamed, t->cache_hits, t->in, t->out,
        t->cache_read, t->cost, t->unpriced, t->latency_us};

    for (unsigned i = 0; i < ARRAY_LEN(first); i++)
        v[i] = store_int(first[i]);
    for (unsigned i = 0; i < SUMS_LATENCIES; i++)
        v[ARRAY_LEN(first) + i] = store_int(t->at_latency[i]);
}

static int put_usage(const struct sum *n, struct store_batch *b)
{
    static const char sql[] =
        "INSERT INTO usage_hourly (at, org_id, team_id, user_id, key_id, provider, model, "
        "endpoint, tags, status, " NUMBERS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
        "?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, "
        "?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36) ON CONFLICT (key_id, at, model, provider, "
        "endpoint, status, org_id, team_id, user_id, tags) DO UPDATE SET " ADD_NUMBERS(
            "usage_hourly");
    struct store_value v[10 + NUMBERS_N] = {store_int(n->hour), store_text(n->org),
        store_text(n->team), store_text(n->user), store_text(n->key), store_text(n->provider),
        store_text(n->model), store_text(n->endpoint), store_text(n->tags), store_int(n->status)};

    put_numbers(&n->total, v + 10);
    return store_batch_add(b, sql, v, ARRAY_LEN(v), 0);
}

#define PUT_TOTAL(t)                                                                               \
    "INSERT INTO " t " (part, at, org_id, value, model, status, " NUMBERS ") VALUES (?1, ?2, ?3, " \
    "?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, "    \
    "?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32) ON CONFLICT (part, at, org_id, value, "     \
    "model, status) DO UPDATE SET " ADD_NUMBERS(t)

/* One line of the totals. */
struct line {
    char part;
    int64_t hour, status;
    struct str org, value, model;
    struct usage_total total;
};

static int put_line(const struct line *l, struct store_batch *b)
{
    const struct {
        const char *sql;
        int64_t at;
    } all[] = {{PUT_TOTAL("totals_hourly"), l->hour},
        {PUT_TOTAL("totals_daily"), sums_day(l->hour)},
        {PUT_TOTAL("totals_weekly"), sums_week(l->hour)}};
    struct store_value v[6 + NUMBERS_N] = {store_text(str_at(&l->part, 1)), store_int(l->hour),
        store_text(l->org), store_text(l->value), store_text(l->model), store_int(l->status)};

    int r = 0;

    put_numbers(&l->total, v + 6);
    for (unsigned i = 0; i < ARRAY_LEN(all) && r == 0; i++) {
        v[1] = store_int(all[i].at);
        r = store_batch_add(b, all[i].sql, v, ARRAY_LEN(v), 0);
    }
    return r;
}

/* --- the parts --- */

struct lines {
    struct arena arena;
    struct map by_key; /* → struct line */
};

static struct str key_of(const struct line *l, char out[static KEY_MAX])
{
    const struct str parts[] = {l->org, l->value, l->model};
    const int64_t numbers[] = {l->part, l->hour, l->status};
    size_t n = sizeof numbers;

    memcpy(out, numbers, n);
    for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
        size_t take = MIN(parts[i].n, KEY_MAX - ARRAY_LEN(parts) - n);
        memcpy(out + n, parts[i].p, take);
        n += take;
        out[n++] = 0;
    }
    return str_at(out, n);
}

/* The line's texts live as long as the sums. */
static int add_line(struct lines *lines, const struct line *l, const struct usage_total *t)
{
    char room[KEY_MAX];
    struct str key = key_of(l, room);
    struct line *n = map_get(&lines->by_key, key);

    if (!n) {
        struct str own = arena_dup(&lines->arena, key);
        n = arena_new(&lines->arena, struct line);
        if (!n || !own.p || map_put(&lines->by_key, own, n, NULL) < 0)
            return -ENOMEM;
        *n = *l;
    }
    usage_total_add(&n->total, t);
    return 0;
}

static int add_value(struct lines *lines, char part, const struct sum *n, struct str value)
{
    const struct line l = {
        .part = part, .hour = n->hour, .org = n->org, .value = value, .model = STR("")};

    return value.n ? add_line(lines, &l, &n->total) : 0;
}

static int add_sum(struct lines *lines, const struct sum *n)
{
    const struct line whole = {
        .part = 'a', .hour = n->hour, .org = n->org, .value = STR(""), .model = STR("")};
    const struct line cell = {.part = 'p',
        .hour = n->hour,
        .status = n->status,
        .org = n->org,
        .value = n->provider,
        .model = n->model};
    const struct {
        char part;
        struct str value;
    } all[] = {{'k', n->key}, {'u', n->user}, {'g', n->team}, {'n', n->endpoint}};
    struct str tags = n->tags;
    int r = add_line(lines, &whole, &n->total);

    if (r == 0)
        r = add_line(lines, &cell, &n->total);
    for (unsigned i = 0; i < ARRAY_LEN(all) && r == 0; i++)
        r = add_value(lines, all[i].part, n, all[i].value);
    while (r == 0 && tags.p && tags.n)
        r = add_value(lines, 't', n, str_split(&tags, ','));
    return r;
}

static int put_lines(struct lines *lines, struct sums *s, struct store_batch *b)
{
    struct str name;
    void *value;
    int r = 0;

    for (size_t at = 0; r == 0 && map_next(&s->by_key, &at, &name, &value);) {
        r = put_usage(value, b);
        if (r == 0)
            r = add_sum(lines, value);
    }
    for (size_t at = 0; r == 0 && map_next(&s->by_customer, &at, &name, &value);)
        r = add_value(lines, 'c', value, ((const struct sum *)value)->customer);
    for (size_t at = 0; r == 0 && map_next(&lines->by_key, &at, &name, &value);)
        r = put_line(value, b);
    return r;
}

/* --- spend --- */

static int put_spent(struct str name, const struct spent *p, struct str node, struct store_batch *b)
{
    const struct store_value v[] = {
        store_text(name), store_text(node), store_int(p->used), store_int(p->expires_at)};

    return store_batch_add(b,
        "INSERT INTO ledger_spend (name, node, used, expires_at) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (name, node) DO UPDATE SET used = ledger_spend.used + excluded.used",
        v, ARRAY_LEN(v), 0);
}

/* That it counts now (ledger/rewind.c). */
static int put_adjustment(const struct adjustment *a, struct str node, struct store_batch *b)
{
    const struct store_value v[] = {store_text(node), store_int(a->at), store_text(a->counter)};

    return store_batch_add(b,
        "INSERT INTO ledger_adjustments (node, at, counter) VALUES (?1, ?2, ?3) "
        "ON CONFLICT (node, at, counter) DO NOTHING",
        v, ARRAY_LEN(v), 0);
}

int sums_put(struct sums *s, struct str node, struct store_batch *b)
{
    struct lines lines;
    struct str name;
    void *value;

    arena_init(&lines.arena, NULL, 0, (size_t)64 << 20);
    map_init(&lines.by_key);
    int r = put_lines(&lines, s, b);
    map_free(&lines.by_key);
    arena_free(&lines.arena);
    if (r == 0)
        r = sums_spend(s);
    for (size_t at = 0; r == 0 && map_next(&s->by_counter, &at, &name, &value);)
        r = put_spent(name, value, node, b);
    for (struct noted_adjustment *n = s->adjustments; r == 0 && n; n = n->next)
        r = put_adjustment(&n->it, node, b);
    return r;
}
