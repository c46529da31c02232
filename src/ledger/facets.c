/* Noting which values occur when. See ledger/facets.h. */
#include "ledger/facets.h"

#include "base/clock.h"
#include "base/macros.h"
#include "crypto/encode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEN_MAX     8192 /* pairs that need not be put again: of the last slices */
#define SEEN_BYTES   ((size_t)16 << 20)
#define RATE_NS      (10 * NS_PER_S)
#define BURST_ROWS   50
#define BURST_NS     (100 * NS_PER_MS)
#define FIRST_RATE   60.0 /* until it is known: slices of a minute */
#define LATENCY_BASE 1
#define COST_BASE    100
#define STREAM_BASE  200

/* Each divides the one before, so that slices lie in one another. */
static const int64_t widths_s[] = {900, 300, 60, 20, 4, 1};

struct facet_row {
    int64_t ts, latency_us, cost;
    struct sum *sum, *customer;
    struct str model_asked, outcome, error, trace;
    bool stream;
};

/* --- facets --- */

/* FNV-1a: what is in the store has to stay the same. Above 2^62, where no class is. */
int64_t facet_of(enum facet_column column, struct str value)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    h = (h ^ (uint8_t)column) * UINT64_C(0x100000001b3);
    for (size_t i = 0; i < value.n; i++)
        h = (h ^ (uint8_t)value.p[i]) * UINT64_C(0x100000001b3);
    h ^= h >> 32; /* the high bits of FNV know little of the last bytes */
    return (int64_t)(h >> 2 | UINT64_C(1) << 62);
}

int64_t facet_of_stream(bool stream)
{
    return STREAM_BASE + stream;
}

static int bits(int64_t n)
{
    return n > 0 ? 64 - __builtin_clzll((unsigned long long)n) : 0;
}

int64_t facet_of_latency(int64_t us)
{
    return LATENCY_BASE + bits(us / 1000);
}

int64_t facet_of_cost(int64_t nano)
{
    return COST_BASE + bits(nano);
}

#define TRACE_DIGITS 32
#define TIME_DIGITS  12

bool facet_trace_time(struct str trace, int64_t *ret_wall)
{
    char bytes[TRACE_DIGITS / 2];
    int64_t ms = 0;

    if (trace.n != TRACE_DIGITS || hex_decode(trace, bytes) < 0)
        return false;
    for (unsigned i = 0; i < TIME_DIGITS / 2; i++)
        ms = ms << 8 | (uint8_t)bytes[i];
    if (ms > INT64_MAX / NS_PER_MS)
        return false;
    *ret_wall = ms * NS_PER_MS;
    return true;
}

static bool has_own_time(const struct call_entry *e)
{
    int64_t ms;

    return facet_trace_time(e->trace, &ms) && ms <= e->ts && e->ts - ms < NS_PER_MS;
}

/* --- slices --- */

static int64_t slice_at(int64_t ts, unsigned width)
{
    int64_t s = ts / NS_PER_S, w = widths_s[width];

    return (s - s % w + w) * 8 + width;
}

int64_t slice_around(int64_t ts)
{
    return slice_at(ts, ARRAY_LEN(widths_s) - 1);
}

void slice_span(int64_t slice, int64_t *ret_from, int64_t *ret_until)
{
    unsigned width = (unsigned)(slice % 8);

    *ret_until = slice / 8 * NS_PER_S;
    *ret_from = *ret_until - widths_s[MIN(width, ARRAY_LEN(widths_s) - 1)] * NS_PER_S;
}

int64_t slice_least(int64_t from)
{
    return MAX(from, 0) / NS_PER_S * 8;
}

int64_t slice_most(int64_t until)
{
    return (until / NS_PER_S + widths_s[0] + 1) * 8 + 7;
}

/* --- how many calls there are --- */

static void learn_rate(struct facets *f, unsigned n, int64_t now)
{
    f->since_n += n;
    if (!f->since)
        f->since = now;
    if (now - f->since < RATE_NS)
        return;
    f->rate = (double)f->since_n * (double)NS_PER_S / (double)(now - f->since);
    f->since = now;
    f->since_n = 0;
}

/* A batch's own rate counts where it is higher: what begins now must not lie in a wide slice. */
static unsigned width_of(struct facets *f)
{
    int64_t first = INT64_MAX, last = 0;
    double rate = f->rate < 0 ? FIRST_RATE : f->rate;
    unsigned w = 0;

    for (unsigned i = 0; i < f->rows_n; i++) {
        int64_t end = f->rows[i].ts + f->rows[i].latency_us * NS_PER_US;
        first = MIN(first, end);
        last = MAX(last, end);
    }
    if (f->rows_n >= BURST_ROWS)
        rate =
            MAX(rate, (double)f->rows_n * (double)NS_PER_S / (double)MAX(last - first, BURST_NS));
    learn_rate(f, f->rows_n, last);
    while (w + 1 < ARRAY_LEN(widths_s) && rate * (double)widths_s[w] > FACETS_SLICE_ROWS)
        w++;
    return w;
}

/* --- noting --- */

void facets_init(struct facets *f)
{
    *f = (struct facets){.rate = -1};
    map_init(&f->seen);
    arena_init(&f->arena, NULL, 0, SEEN_BYTES);
}

void facets_free(struct facets *f)
{
    map_free(&f->seen);
    arena_free(&f->arena);
    free(f->rows);
}

static void forget_seen(struct facets *f)
{
    map_free(&f->seen);
    arena_free(&f->arena);
    map_init(&f->seen);
    arena_init(&f->arena, NULL, 0, SEEN_BYTES);
}

static int put_one(struct facets *f, int64_t facet, int64_t slice, struct store_batch *b)
{
    const int64_t pair[2] = {facet, slice};
    const struct store_value v[] = {store_int(facet), store_int(slice)};
    struct str key = str_at((const char *)pair, sizeof pair);

    if (map_get(&f->seen, key))
        return 0;
    if (f->seen.n >= SEEN_MAX)
        forget_seen(f);
    struct str own = arena_dup(&f->arena, key);
    if (!own.p || map_put(&f->seen, own, (void *)own.p, NULL) < 0)
        return -ENOMEM;
    return store_batch_add(b,
        "INSERT INTO log_slices (facet, slice) VALUES (?1, ?2) ON CONFLICT (facet, slice) "
        "DO NOTHING",
        v, 2, 0);
}

static int put_trace(struct str trace, int64_t slice, struct store_batch *b)
{
    const struct store_value v[] = {store_int(slice), store_int(facet_of(FACET_TRACE, trace))};

    return store_batch_add(b,
        "INSERT INTO log_traces (slice, facet) VALUES (?1, ?2) ON CONFLICT (slice, facet) "
        "DO NOTHING",
        v, 2, 0);
}

static int put_text(struct facets *f, enum facet_column column, struct str value, int64_t slice,
    struct store_batch *b)
{
    return value.n ? put_one(f, facet_of(column, value), slice, b) : 0;
}

static int put_sum(struct facets *f, struct sum *n, int64_t slice, struct store_batch *b)
{
    char status[24];
    struct str tags = n->tags;

    if (n->slice == slice)
        return 0;
    n->slice = slice;
    snprintf(status, sizeof status, "%lld", (long long)n->status);
    const struct {
        enum facet_column column;
        struct str value;
    } all[] = {{FACET_ORG, n->org}, {FACET_TEAM, n->team}, {FACET_USER, n->user},
        {FACET_KEY, n->key}, {FACET_CUSTOMER, n->customer}, {FACET_PROVIDER, n->provider},
        {FACET_MODEL, n->model}, {FACET_ENDPOINT, n->endpoint},
        {FACET_STATUS, n->customer.n ? STR_NONE : str_of(status)}};
    int r = 0;

    for (unsigned i = 0; i < ARRAY_LEN(all) && r == 0; i++)
        r = put_text(f, all[i].column, all[i].value, slice, b);
    while (r == 0 && tags.p && tags.n)
        r = put_text(f, FACET_TAG, str_split(&tags, ','), slice, b);
    return r;
}

/* Classes and words that the last rows of the same slice had, too, are not looked up again. */
struct noted {
    int64_t slice;
    uint64_t latency, cost, stream;
    struct str outcome;
};

static bool is_new(uint64_t *seen, int bit)
{
    bool fresh = !(*seen & UINT64_C(1) << bit);

    *seen |= UINT64_C(1) << bit;
    return fresh;
}

/* A class, and all below it that were not noted yet: who was had all below it noted, too. */
static int put_class(
    struct facets *f, int64_t base, int class, uint64_t *seen, int64_t slice, struct store_batch *b)
{
    int r = 0;

    for (; class >= 0 && r == 0 && is_new(seen, class); class --)
        r = put_one(f, base + class, slice, b);
    return r;
}

static int put_row(
    struct facets *f, struct facet_row *w, struct noted *seen, int64_t slice, struct store_batch *b)
{
    int r = put_sum(f, w->sum, slice, b);

    if (r == 0 && w->customer)
        r = put_sum(f, w->customer, slice, b);
    if (r == 0)
        r = put_class(f, LATENCY_BASE, bits(w->latency_us / 1000), &seen->latency, slice, b);
    if (r == 0 && w->cost >= 0)
        r = put_class(f, COST_BASE, bits(w->cost), &seen->cost, slice, b);
    if (r == 0 && is_new(&seen->stream, w->stream))
        r = put_one(f, facet_of_stream(w->stream), slice, b);
    if (r == 0 && !str_eq(w->outcome, seen->outcome))
        r = put_text(f, FACET_OUTCOME, w->outcome, slice, b);
    seen->outcome = w->outcome;
    if (r == 0)
        r = put_text(f, FACET_MODEL, w->model_asked, slice, b);
    if (r == 0)
        r = put_text(f, FACET_ERROR, w->error, slice, b);
    return r < 0 || !w->trace.n ? r : put_trace(w->trace, slice, b);
}

static struct str held(struct arena *a, struct str s)
{
    return s.n ? arena_dup(a, s) : STR_NONE;
}

int facets_note(struct facets *f, const struct call_entry *e, struct sum *sum, struct sum *customer,
    struct arena *a)
{
    if (f->rows_n == f->rows_cap) {
        unsigned cap = f->rows_cap ? 2 * f->rows_cap : 256;
        struct facet_row *more = realloc(f->rows, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        f->rows = more;
        f->rows_cap = cap;
    }
    f->rows[f->rows_n++] = (struct facet_row){.ts = e->ts,
        .latency_us = e->latency_us,
        .cost = e->cost,
        .sum = sum,
        .customer = customer,
        .model_asked = held(a, e->model_asked),
        .outcome = held(a, e->outcome_word),
        .error = held(a, e->error),
        .trace = has_own_time(e) ? STR_NONE : held(a, e->trace),
        .stream = e->stream != 0};
    return 0;
}

int facets_put(struct facets *f, struct store_batch *b)
{
    struct noted seen = {0};
    unsigned width = f->rows_n ? width_of(f) : 0;
    int r = 0;

    for (unsigned i = 0; i < f->rows_n && r == 0; i++) {
        int64_t slice = slice_at(f->rows[i].ts, width);
        if (seen.slice != slice)
            seen = (struct noted){.slice = slice};
        r = put_row(f, &f->rows[i], &seen, slice, b);
    }
    f->rows_n = 0;
    return r;
}
