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
#define SUMS_BYTES     ((size_t)64 << 20)

void sums_init(struct sums *s)
{
    arena_init(&s->arena, NULL, 0, SUMS_BYTES);
    map_init(&s->by_key);
    map_init(&s->by_customer);
    map_init(&s->by_counter);
    s->adjustments = NULL;
}

void sums_free(struct sums *s)
{
    map_free(&s->by_key);
    map_free(&s->by_customer);
    map_free(&s->by_counter);
    arena_free(&s->arena);
}

void sums_clear(struct sums *s)
{
    sums_free(s);
    sums_init(s);
}

size_t sums_n(const struct sums *s)
{
    return s->by_key.n + s->by_customer.n + s->by_counter.n;
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

/* --- adding a call --- */

/* What makes two calls fall into one sum, as one string. */
static struct str key_of(const struct call_entry *e, int64_t hour, char out[static KEY_MAX])
{
    const struct str parts[] = {
        e->key, e->model, e->provider, e->endpoint, e->tags, e->org, e->team, e->user};
    size_t n = 2 * sizeof hour;

    memcpy(out, &hour, sizeof hour);
    memcpy(out + sizeof hour, &e->status, sizeof e->status);
    for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
        size_t take = MIN(parts[i].n, KEY_MAX - ARRAY_LEN(parts) - n);
        if (take)
            memcpy(out + n, parts[i].p, take);
        n += take;
        out[n++] = 0;
    }
    return str_at(out, n);
}

static struct str kept(struct sums *s, struct str from)
{
    return from.n ? arena_dup(&s->arena, from) : STR("");
}

static struct sum *sum_new(struct sums *s, const struct call_entry *e, int64_t hour, struct str key)
{
    struct sum *n = arena_new(&s->arena, struct sum);
    struct str name = arena_dup(&s->arena, key);

    if (!n || !name.p)
        return NULL;
    *n = (struct sum){.hour = hour,
        .status = e->status,
        .org = kept(s, e->org),
        .team = kept(s, e->team),
        .user = kept(s, e->user),
        .key = kept(s, e->key),
        .provider = kept(s, e->provider),
        .model = kept(s, e->model),
        .endpoint = kept(s, e->endpoint),
        .tags = kept(s, e->tags)};
    return map_put(&s->by_key, name, n, NULL) < 0 ? NULL : n;
}

void usage_total_add(struct usage_total *to, const struct usage_total *t)
{
    to->calls += t->calls;
    to->errors += t->errors;
    to->streamed += t->streamed;
    to->cache_hits += t->cache_hits;
    to->in += t->in;
    to->out += t->out;
    to->cache_read += t->cache_read;
    to->cost += t->cost;
    to->unpriced += t->unpriced;
    to->latency_us += t->latency_us;
    for (unsigned i = 0; i < SUMS_LATENCIES; i++)
        to->at_latency[i] += t->at_latency[i];
}

static void count_call(struct sum *n, const struct call_entry *e)
{
    struct usage_total *t = &n->total;

    t->calls++;
    t->errors += sums_is_error(e->status);
    t->streamed += e->stream != 0;
    t->cache_hits += e->cache_read > 0;
    t->in += MAX(e->in, 0);
    t->out += MAX(e->out, 0);
    t->cache_read += e->cache_read;
    t->cost += MAX(e->cost, 0);
    t->unpriced += e->cost < 0 && e->in >= 0;
    t->latency_us += e->latency_us;
    t->at_latency[latency_class(e->latency_us)]++;
    n->charged += e->booked ? 0 : e->charged;
}

static int add_customer(struct sums *s, const struct call_entry *e, int64_t hour, struct sum **ret)
{
    char room[KEY_MAX];

    *ret = NULL;
    if (!e->customer.n)
        return 0;
    const struct call_entry alone = {.org = e->org, .user = str_to(e->customer, KEY_MAX / 2)};
    struct str key = key_of(&alone, hour, room);
    struct sum *n = map_get(&s->by_customer, key);
    if (!n) {
        struct str name = arena_dup(&s->arena, key);
        n = arena_new(&s->arena, struct sum);
        if (!n || !name.p || map_put(&s->by_customer, name, n, NULL) < 0)
            return -ENOMEM;
        *n = (struct sum){.hour = hour, .org = kept(s, e->org), .customer = kept(s, e->customer)};
    }
    count_call(n, e);
    *ret = n;
    return 0;
}

static int add_scopes(struct sums *s, const struct call_entry *e);
static int spend_booked(struct sums *s, const struct call_entry *e);

int sums_add(
    struct sums *s, const struct call_entry *e, struct sum **ret, struct sum **ret_customer)
{
    int64_t hour = e->ts - e->ts % HOUR_NS;
    char room[KEY_MAX];
    struct str key = key_of(e, hour, room);
    struct sum *n = map_get(&s->by_key, key);

    if (!n && !(n = sum_new(s, e, hour, key)))
        return -ENOMEM;
    count_call(n, e);
    *ret = n;
    int r = add_customer(s, e, hour, ret_customer);
    if (r == 0 && e->charged && e->booked)
        r = spend_booked(s, e);
    return r < 0 ? r : add_scopes(s, e);
}

/* --- counters --- */

static int spend(struct sums *s, struct str name, int64_t used, int64_t expires_at)
{
    struct spent *p = map_get(&s->by_counter, name);

    if (!p) {
        struct str own = arena_dup(&s->arena, name);
        p = arena_new(&s->arena, struct spent);
        if (!p || !own.p || map_put(&s->by_counter, own, p, NULL) < 0)
            return -ENOMEM;
    }
    p->used += used;
    p->expires_at = expires_at;
    return 0;
}

int sums_adjust(struct sums *s, const struct adjustment *a)
{
    struct noted_adjustment *n = arena_new(&s->arena, struct noted_adjustment);

    if (!n)
        return -ENOMEM;
    *n = (struct noted_adjustment){.it = *a, .next = s->adjustments};
    n->it.counter = arena_dup(&s->arena, a->counter);
    if (!n->it.counter.p)
        return -ENOMEM;
    s->adjustments = n;
    return spend(s, a->counter, a->nano, a->expires_at);
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
    struct sums *s, enum subject_kind kind, struct str org, struct str id, int64_t at, int64_t nano)
{
    _cleanup_(buf_free) struct buf name = {0};
    int r = 0;

    if (!id.n)
        return 0;
    buf_init(&name, NAME_MAX_BYTES);
    for (int p = 0; p < BUDGET_PERIODS && r == 0; p++) {
        buf_clear(&name);
        int64_t expires = limits_counter_of(kind, org, id, (enum budget_period)p, at, &name);
        r = spend(s, buf_str(&name), nano, expires);
    }
    return r;
}

/* A call whose money was held later than it began, maybe in another window. */
static int spend_booked(struct sums *s, const struct call_entry *e)
{
    const struct str ids[SUBJECT_KINDS] = {[SUBJECT_ORG] = e->org,
        [SUBJECT_TEAM] = e->team,
        [SUBJECT_USER] = e->user,
        [SUBJECT_KEY] = e->key,
        [SUBJECT_CUSTOMER] = e->customer};
    int r = 0;

    for (int k = 0; k < SUBJECT_KINDS && r == 0; k++)
        r = spend_all_periods(s, (enum subject_kind)k, e->org, ids[k], e->booked, e->charged);
    return r;
}

static int spend_of(struct sums *s, const struct sum *n)
{
    const struct str ids[SUBJECT_KINDS] = {[SUBJECT_ORG] = n->org,
        [SUBJECT_TEAM] = n->team,
        [SUBJECT_USER] = n->user,
        [SUBJECT_KEY] = n->key,
        [SUBJECT_CUSTOMER] = n->customer};
    int r = 0;

    for (int k = 0; k < SUBJECT_KINDS && r == 0; k++)
        if (k != SUBJECT_ORG || !n->customer.n) /* a customer's sum speaks of it alone */
            r = spend_all_periods(s, (enum subject_kind)k, n->org, ids[k], n->hour, n->charged);
    return r;
}

static int spend_map(struct sums *s, struct map *of)
{
    struct str name;
    void *value;
    int r = 0;

    for (size_t at = 0; r == 0 && map_next(of, &at, &name, &value);) {
        const struct sum *n = value;
        r = n->charged ? spend_of(s, n) : 0;
    }
    return r;
}

int sums_spend(struct sums *s)
{
    int r = spend_map(s, &s->by_key);

    return r < 0 ? r : spend_map(s, &s->by_customer);
}
