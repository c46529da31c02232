/* Adding up calls by hour. See ledger/sums.h. */
#include "ledger/sums.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "keys/limits.h"
#include "json/scan.h"

#include <errno.h>

#define HOUR_NS        (3600 * NS_PER_S)
#define DAY_NS         (24 * HOUR_NS)
#define KEY_MAX        2048
#define NAME_MAX_BYTES 256
#define SUMS_BYTES     ((size_t)64 << 20)

struct spent {
    int64_t used, expires_at;
};

void sums_init(struct sums *s)
{
    arena_init(&s->arena, NULL, 0, SUMS_BYTES);
    map_init(&s->by_key);
    map_init(&s->by_customer);
    map_init(&s->by_counter);
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

static void count_call(struct sum *n, const struct call_entry *e)
{
    n->calls++;
    n->errors += sums_is_error(e->status);
    n->streamed += e->stream != 0;
    n->cache_hits += e->cache_read > 0;
    n->in += MAX(e->in, 0);
    n->out += MAX(e->out, 0);
    n->cache_read += e->cache_read;
    n->cost += MAX(e->cost, 0);
    n->unpriced += e->cost < 0 && e->in >= 0;
    n->latency_us += e->latency_us;
    n->charged += e->booked ? 0 : e->charged;
    n->at_latency[latency_class(e->latency_us)]++;
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

int sums_adjust(struct sums *s, struct str counter, int64_t nano, int64_t expires_at)
{
    return spend(s, counter, nano, expires_at);
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

#define PUT_USAGE(t)                                                                               \
    "INSERT INTO " t " (at, org_id, team_id, user_id, key_id, provider, model, endpoint, tags, "   \
    "status, " NUMBERS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, "   \
    "?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, "   \
    "?33, ?34, ?35, ?36) ON CONFLICT (at, key_id, model, provider, endpoint, status, org_id, "     \
    "team_id, user_id, tags) DO UPDATE SET " ADD_NUMBERS(t)
#define PUT_CUSTOMER(t)                                                                            \
    "INSERT INTO " t " (at, org_id, customer, " NUMBERS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "   \
    "?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, "     \
    "?26, ?27, ?28, ?29) ON CONFLICT (at, org_id, customer) DO UPDATE SET " ADD_NUMBERS(t)

#define NUMBERS_N (10 + SUMS_LATENCIES)

static void put_numbers(const struct sum *n, struct store_value *v)
{
    const int64_t first[] = {n->calls, n->errors, n->streamed, n->cache_hits, n->in, n->out,
        n->cache_read, n->cost, n->unpriced, n->latency_us};

    for (unsigned i = 0; i < ARRAY_LEN(first); i++)
        v[i] = store_int(first[i]);
    for (unsigned i = 0; i < SUMS_LATENCIES; i++)
        v[ARRAY_LEN(first) + i] = store_int(n->at_latency[i]);
}

static int put_usage(const struct sum *n, struct store_batch *b)
{
    struct store_value v[10 + NUMBERS_N] = {store_int(n->hour), store_text(n->org),
        store_text(n->team), store_text(n->user), store_text(n->key), store_text(n->provider),
        store_text(n->model), store_text(n->endpoint), store_text(n->tags), store_int(n->status)};

    put_numbers(n, v + 10);
    int r = store_batch_add(b, PUT_USAGE("usage_hourly"), v, ARRAY_LEN(v), 0);
    v[0] = store_int(n->hour - n->hour % DAY_NS);
    return r < 0 ? r : store_batch_add(b, PUT_USAGE("usage_daily"), v, ARRAY_LEN(v), 0);
}

static int put_customer(const struct sum *n, struct store_batch *b)
{
    struct store_value v[3 + NUMBERS_N] = {
        store_int(n->hour), store_text(n->org), store_text(n->customer)};

    put_numbers(n, v + 3);
    int r = store_batch_add(b, PUT_CUSTOMER("customer_hourly"), v, ARRAY_LEN(v), 0);
    v[0] = store_int(n->hour - n->hour % DAY_NS);
    return r < 0 ? r : store_batch_add(b, PUT_CUSTOMER("customer_daily"), v, ARRAY_LEN(v), 0);
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

static int put_sums(struct sums *s, struct map *of, struct store_batch *b)
{
    struct str name;
    void *value;
    int r = 0;

    for (size_t at = 0; r == 0 && map_next(of, &at, &name, &value);) {
        const struct sum *n = value;
        r = n->customer.n ? put_customer(n, b) : put_usage(n, b);
        if (r == 0 && n->charged)
            r = spend_of(s, n);
    }
    return r;
}

int sums_put(struct sums *s, struct str node, struct store_batch *b)
{
    struct str name;
    void *value;
    int r = put_sums(s, &s->by_key, b);

    if (r == 0)
        r = put_sums(s, &s->by_customer, b);
    for (size_t at = 0; r == 0 && map_next(&s->by_counter, &at, &name, &value);)
        r = put_one_spent(name, value, node, b);
    return r;
}
