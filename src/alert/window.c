/*
 * What calls show at their end: one that took too long, and a provider of which too many failed.
 *
 * The last minute of a provider is twelve cells of five seconds, each one word that all threads add
 * to: the number of its slice of time, its calls, its failures. Only a call that failed adds them
 * up.
 *
 * A failure is the provider's: no answer, an answer that broke off, 429, 5xx, or 401 to the
 * gateway's own credential. What it says of the caller's mistakes is none.
 */
#include "alert/alert_int.h"

#include "llm/exchange.h"
#include "providers/provider.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#define CELL_NS   (WINDOW_NS / WINDOW_CELLS)
#define COUNT_MAX 0xfffff
#define PROVIDERS 64

static struct window windows[PROVIDERS];
static _Atomic int64_t slow_after;
static _Atomic unsigned error_percent;

void alert_window_set(int64_t slow, unsigned percent)
{
    atomic_store(&slow_after, slow);
    atomic_store(&error_percent, percent);
}

/* --- cells: slice 24 bits, calls 20, failures 20 --- */

static uint64_t slice_of(int64_t now)
{
    return (uint64_t)(now / CELL_NS) & 0xffffff;
}

void window_add(struct window *w, int64_t now, bool failed)
{
    uint64_t slice = slice_of(now), old, new;
    uint64_t *cell = &w->cells[(uint64_t)(now / CELL_NS) % WINDOW_CELLS];

    old = __atomic_load_n(cell, __ATOMIC_RELAXED);
    do {
        uint64_t from = old >> 40 == slice ? old : slice << 40;
        new = from;
        if ((from >> 20 & COUNT_MAX) < COUNT_MAX) /* beyond that many, a share of them will do */
            new += (uint64_t)1 << 20 | failed;
    } while (
        !__atomic_compare_exchange_n(cell, &old, new, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

void window_read(struct window *w, int64_t now, uint64_t *ret_calls, uint64_t *ret_failed)
{
    uint64_t slice = slice_of(now);

    *ret_calls = *ret_failed = 0;
    for (unsigned i = 0; i < WINDOW_CELLS; i++) {
        uint64_t v = __atomic_load_n(&w->cells[i], __ATOMIC_RELAXED);
        if (((slice - (v >> 40)) & 0xffffff) >= WINDOW_CELLS)
            continue;
        *ret_calls += v >> 20 & COUNT_MAX;
        *ret_failed += v & COUNT_MAX;
    }
}

/* --- providers --- */

static bool is_failure(const struct exchange *x)
{
    if (x->outcome == OUTCOME_TRUNCATED)
        return !x->ended_by_us;
    if (x->outcome != OUTCOME_UPSTREAM_ERROR)
        return false;
    if (x->upstream_status == 401)
        return !x->caller_credential.n;
    return x->upstream_status < 400 || x->upstream_status == 429 || x->upstream_status >= 500;
}

static void tell_provider(const struct provider *p, uint64_t calls, uint64_t failed, int status)
{
    char subject[64], title[128], text[256], details[160];
    struct alert a = {.kind = ALERT_PROVIDER, .severity = ALERT_CRITICAL};
    int percent = (int)(failed * 100 / calls);

    snprintf(subject, sizeof subject, "provider:" STR_FMT, STR_ARG(p->id));
    snprintf(title, sizeof title, "Calls to " STR_FMT " fail", STR_ARG(p->title));
    snprintf(text, sizeof text,
        "%" PRIu64 " of the last %" PRIu64 " calls to " STR_FMT " failed (%d %%), within a minute.",
        failed, calls, STR_ARG(p->title), percent);
    snprintf(details, sizeof details,
        "{\"provider\":\"" STR_FMT "\",\"calls\":%" PRIu64 ",\"failed\":%" PRIu64
        ",\"percent\":%d,\"last_status\":%d}",
        STR_ARG(p->id), calls, failed, percent, status);
    a.subject = str_of(subject);
    a.title = str_of(title);
    a.text = str_of(text);
    a.details = str_of(details);
    alert_fire(&a, NULL);
}

static void watch_provider(struct exchange *x)
{
    unsigned n, percent = atomic_load_explicit(&error_percent, memory_order_relaxed);
    size_t i = (size_t)(x->upstream->provider - provider_table(&n));
    bool failed = is_failure(x);
    uint64_t calls, failures;

    if (!percent || i >= MIN(n, PROVIDERS) || x->outcome == OUTCOME_CANCELLED ||
        x->outcome == OUTCOME_REFUSED)
        return;
    window_add(&windows[i], x->ended_at, failed);
    if (!failed)
        return;
    window_read(&windows[i], x->ended_at, &calls, &failures);
    if (calls >= WINDOW_CALLS && failures * 100 >= calls * percent)
        tell_provider(x->upstream->provider, calls, failures, x->upstream_status);
}

/* --- slow calls --- */

/* Of a stream the time to its first byte: how long it then goes on is the model's business. */
static int64_t latency(const struct exchange *x)
{
    if (x->match.endpoint->flags & EP_WEBSOCKET)
        return 0;
    if (x->stream && x->upstream_first_at)
        return x->upstream_first_at - x->rq->first_byte_at;
    return x->ended_at - x->rq->first_byte_at;
}

static void tell_slow(struct exchange *x, int64_t ns)
{
    _cleanup_(buf_free) struct buf details = {0};
    char subject[160], text[256];
    struct str provider = x->upstream->provider->id;
    struct alert a = {
        .kind = ALERT_SLOW, .severity = ALERT_WARNING, .title = STR("A call was slow")};

    snprintf(subject, sizeof subject, "model:" STR_FMT "/" STR_FMT, STR_ARG(provider),
        (int)MIN(x->model.n, 100), x->model.p);
    snprintf(text, sizeof text, "A call to " STR_FMT "/" STR_FMT " took %.1f s%s.",
        STR_ARG(provider), (int)MIN(x->model.n, 100), x->model.p, (double)ns / NS_PER_S,
        x->stream ? " to its first byte" : "");
    buf_init(&details, ALERT_DETAILS_BYTES);
    buf_addstr(&details, STR("{\"request_id\":"));
    buf_addjson(&details, str_of(x->id));
    buf_addstr(&details, STR(",\"provider\":"));
    buf_addjson(&details, provider);
    buf_addstr(&details, STR(",\"model\":"));
    buf_addjson(&details, str_to(x->model, 128));
    buf_printf(&details, ",\"latency_ms\":%" PRId64 ",\"stream\":%s}", ns / NS_PER_MS,
        x->stream ? "true" : "false");
    a.subject = str_of(subject);
    a.text = str_of(text);
    a.details = details.err ? STR_NONE : buf_str(&details);
    alert_fire(&a, NULL);
}

static void at_end(struct exchange *x)
{
    int64_t slow = atomic_load_explicit(&slow_after, memory_order_relaxed), ns;

    if (!x->upstream || !x->match.endpoint)
        return;
    watch_provider(x);
    if (slow > 0 && (ns = latency(x)) > slow)
        tell_slow(x, ns);
}

const struct stage stage_alert = {
    .name = "alert",
    .on_end = at_end,
};
