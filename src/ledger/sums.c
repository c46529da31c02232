/* Adding up calls by hour. See ledger/sums.h. */
#include "ledger/sums.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "keys/limits.h"
#include "json/scan.h"

#include <errno.h>

#define HOUR_NS        (3600 * NS_PER_S)
#define KEY_MAX        2048
#define NAME_MAX_BYTES 256

struct sum {
    int64_t hour, status;
    struct str org, team, user, key, customer, provider, model, endpoint, tags;
    int64_t calls, streamed, in, out, cache_read, cost, unpriced, latency_us, charged;
    int64_t at_latency[SUMS_LATENCIES];
};

struct spent {
    int64_t used, expires_at;
};

void sums_init(struct sums *s, struct arena *a)
{
    s->arena = a;
    map_init(&s->by_key);
    map_init(&s->by_counter);
}

void sums_free(struct sums *s)
{
    map_free(&s->by_key);
    map_free(&s->by_counter);
}

static unsigned latency_class(int64_t us)
{
    unsigned i = 0;

    while (i < SUMS_LATENCIES - 1 && us >= (INT64_C(1000) << i))
        i++;
    return i;
}

int64_t sums_quantile(const int64_t counts[static SUMS_LATENCIES], double q)
{
    int64_t all = 0, seen = 0;

    for (unsigned i = 0; i < SUMS_LATENCIES; i++)
        all += counts[i];
    if (!all)
        return 0;
    double want = q * (double)all;
    for (unsigned i = 0; i < SUMS_LATENCIES; i++) {
        if ((double)(seen + counts[i]) >= want && counts[i]) {
            int64_t low = i ? INT64_C(1000) << (i - 1) : 0, high = INT64_C(1000) << i;
            return low +
                   (int64_t)((want - (double)seen) / (double)counts[i] * (double)(high - low));
        }
        seen += counts[i];
    }
    return INT64_C(1000) << (SUMS_LATENCIES - 1);
}

/* What makes two calls fall into one sum, as one string. */
static struct str key_of(const struct call_entry *e, int64_t hour, char out[static KEY_MAX])
{
    const struct str parts[] = {
        e->org, e->team, e->user, e->key, e->customer, e->provider, e->model, e->endpoint, e->tags};
    size_t n = 0;

    memcpy(out, &hour, sizeof hour);
    memcpy(out + sizeof hour, &e->status, sizeof e->status);
    n = 2 * sizeof hour;
    for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
        size_t take = MIN(parts[i].n, KEY_MAX - ARRAY_LEN(parts) - n);
        if (take)
            memcpy(out + n, parts[i].p, take);
        n += take;
        if (n < KEY_MAX)
            out[n++] = 0;
    }
    return str_at(out, n);
}

static struct sum *sum_new(struct sums *s, const struct call_entry *e, int64_t hour, struct str key)
{
    struct sum *n = arena_new(s->arena, struct sum);
    struct str kept = arena_dup(s->arena, key);
    const struct str from[] = {
        e->org, e->team, e->user, e->key, e->customer, e->provider, e->model, e->endpoint, e->tags};

    if (!n || !kept.p)
        return NULL;
    struct str *const to[] = {&n->org, &n->team, &n->user, &n->key, &n->customer, &n->provider,
        &n->model, &n->endpoint, &n->tags};
    n->hour = hour;
    n->status = e->status;
    for (unsigned i = 0; i < ARRAY_LEN(to); i++)
        *to[i] = from[i].n ? arena_dup(s->arena, from[i]) : STR("");
    return map_put(&s->by_key, kept, n, NULL) < 0 ? NULL : n;
}

static int add_scopes(struct sums *s, const struct call_entry *e);

int sums_add(struct sums *s, const struct call_entry *e)
{
    int64_t hour = e->ts - e->ts % HOUR_NS;
    char room[KEY_MAX];
    struct str key = key_of(e, hour, room);
    struct sum *n = map_get(&s->by_key, key);

    if (!n && !(n = sum_new(s, e, hour, key)))
        return -ENOMEM;
    n->calls++;
    n->streamed += e->stream != 0;
    n->in += MAX(e->in, 0);
    n->out += MAX(e->out, 0);
    n->cache_read += e->cache_read;
    n->cost += MAX(e->cost, 0);
    n->unpriced += e->cost < 0 && e->in >= 0;
    n->latency_us += e->latency_us;
    n->charged += e->charged;
    n->at_latency[latency_class(e->latency_us)]++;
    return add_scopes(s, e);
}

/* --- counters --- */

static int spend(struct sums *s, struct str name, int64_t used, int64_t expires_at)
{
    struct spent *p = map_get(&s->by_counter, name);

    if (!p) {
        struct str kept = arena_dup(s->arena, name);
        p = arena_new(s->arena, struct spent);
        if (!p || !kept.p || map_put(&s->by_counter, kept, p, NULL) < 0)
            return -ENOMEM;
    }
    p->used += used;
    p->expires_at = expires_at;
    return 0;
}

/* Counters of budgets for one model or tag, which the entry names itself: ["name",expiry,…] */
static int add_scopes(struct sums *s, const struct call_entry *e)
{
    size_t at = json_inside(e->scopes);
    struct str key, name, expiry;
    int r = 0;

    while (r == 0 && at && e->charged && json_next(e->scopes, &at, &key, &name) &&
           json_next(e->scopes, &at, &key, &expiry)) {
        uint64_t end = 0;
        json_u64(expiry, &end);
        if (name.n > 2)
            r = spend(s, str_at(name.p + 1, name.n - 2), e->charged, (int64_t)end);
    }
    return r;
}

static int spend_all_periods(
    struct sums *s, const struct sum *n, enum subject_kind kind, struct str id)
{
    _cleanup_(buf_free) struct buf name = {0};
    int r = 0;

    if (!id.n)
        return 0;
    buf_init(&name, NAME_MAX_BYTES);
    for (int p = 0; p < BUDGET_PERIODS && r == 0; p++) {
        buf_clear(&name);
        int64_t expires =
            limits_counter_of(kind, n->org, id, (enum budget_period)p, n->hour, &name);
        r = spend(s, buf_str(&name), n->charged, expires);
    }
    return r;
}

static int spend_of(struct sums *s, const struct sum *n)
{
    const struct {
        enum subject_kind kind;
        struct str id;
    } who[] = {{SUBJECT_ORG, n->org}, {SUBJECT_TEAM, n->team}, {SUBJECT_USER, n->user},
        {SUBJECT_KEY, n->key}, {SUBJECT_CUSTOMER, n->customer}};
    int r = 0;

    for (unsigned i = 0; i < ARRAY_LEN(who) && r == 0; i++)
        r = spend_all_periods(s, n, who[i].kind, who[i].id);
    return r;
}

/* --- statements --- */

static const char put_sum[] =
    "INSERT INTO usage_hourly (hour, org_id, team_id, user_id, key_id, customer, provider, model, "
    "endpoint, tags, status, calls, streamed, tokens_in, tokens_out, cache_read, cost, unpriced, "
    "latency_us, l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14, l15) VALUES "
    "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, "
    "?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35) "
    "ON CONFLICT (hour, org_id, team_id, user_id, key_id, customer, provider, model, endpoint, "
    "tags, status) DO UPDATE SET "
#define SUM_COLUMN(c) #c " = usage_hourly." #c " + excluded." #c
    SUM_COLUMN(
        calls) ", " SUM_COLUMN(streamed) ", " SUM_COLUMN(tokens_in) ", " SUM_COLUMN(tokens_out) ","
                                                                                                " " SUM_COLUMN(cache_read) ", " SUM_COLUMN(cost) ", " SUM_COLUMN(unpriced) ","
                                                                                                                                                                           " " SUM_COLUMN(latency_us) ", " SUM_COLUMN(l0) ", " SUM_COLUMN(l1) ", " SUM_COLUMN(l2) ", " SUM_COLUMN(l3) ", " SUM_COLUMN(l4) ", " SUM_COLUMN(l5) ", " SUM_COLUMN(l6) ", " SUM_COLUMN(l7) ", " SUM_COLUMN(
                                                                                                                                                                               l8) ", " SUM_COLUMN(l9) ", " SUM_COLUMN(l10) ", " SUM_COLUMN(l11) ", " SUM_COLUMN(l12) ", " SUM_COLUMN(l13) ", " SUM_COLUMN(l14) ", " SUM_COLUMN(l15);

static int put_one_sum(const struct sum *n, struct store_batch *b)
{
    struct store_value v[19 + SUMS_LATENCIES] = {store_int(n->hour), store_text(n->org),
        store_text(n->team), store_text(n->user), store_text(n->key), store_text(n->customer),
        store_text(n->provider), store_text(n->model), store_text(n->endpoint), store_text(n->tags),
        store_int(n->status), store_int(n->calls), store_int(n->streamed), store_int(n->in),
        store_int(n->out), store_int(n->cache_read), store_int(n->cost), store_int(n->unpriced),
        store_int(n->latency_us)};

    for (unsigned i = 0; i < SUMS_LATENCIES; i++)
        v[19 + i] = store_int(n->at_latency[i]);
    return store_batch_add(b, put_sum, v, ARRAY_LEN(v), 0);
}

static int put_one_spent(
    struct str name, const struct spent *p, struct str node, struct store_batch *b)
{
    const struct store_value v[] = {
        store_text(name), store_text(node), store_int(p->used), store_int(p->expires_at)};

    return store_batch_add(b,
        "INSERT INTO ledger_spend (name, node, used, expires_at) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (name, node) DO UPDATE SET used = ledger_spend.used + excluded.used",
        v, ARRAY_LEN(v), 0);
}

int sums_put(struct sums *s, struct str node, struct store_batch *b)
{
    struct str name;
    void *value;
    int r = 0;

    for (size_t at = 0; r == 0 && map_next(&s->by_key, &at, &name, &value);) {
        const struct sum *n = value;
        r = put_one_sum(n, b);
        if (r == 0 && n->charged)
            r = spend_of(s, n);
    }
    for (size_t at = 0; r == 0 && map_next(&s->by_counter, &at, &name, &value);)
        r = put_one_spent(name, value, node, b);
    return r;
}
