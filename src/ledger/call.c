/*
 * The entries of a call on the journal: `open` before each attempt, and one `outcome` with all that
 * a log row needs, so that rows can be made from outcomes alone. Both are canonical JSON: members
 * in the order of their names, integers and strings only; times in nanoseconds since 1970 or in
 * microseconds where the name says so, money in nano-dollars.
 *
 * A member that is empty, zero or unknown is left out, but for those that say what happened.
 * Nothing here suspends, except where the journal is strict: then the entry is waited for.
 */
#include "crypto/encode.h"
#include "journal/payload.h"
#include "keys/catalog.h"
#include "keys/limits.h"
#include "ledger/ledger_int.h"
#include "llm/exchange.h"
#include "llm/routing.h"
#include "net/dial.h"
#include "providers/provider.h"
#include "runtime/co.h"
#include "runtime/loop.h"

#include <errno.h>
#include <stdio.h>

#define STRICT_WAIT_NS (10 * NS_PER_S)
#define ROOM_WAIT_NS   (2 * NS_PER_S) /* a disk that hangs for so long costs no call */
#define ROOM_STEP_NS   (5 * NS_PER_MS)

struct ledger_call {
    struct journal_body request, reply;
    struct journal_ticket open; /* of the newest attempt */
    int64_t reserved;           /* for it */
    bool opened, ended;
};

static _Thread_local struct buf scratch;
static struct stage_names {
    struct str name;
    unsigned index;
} stages[STAGES_MAX];
static unsigned stages_n;

/* Sorted by name once, since payloads are. */
void ledger_use_stages(const struct stage *const *table, unsigned n)
{
    stages_n = MIN(n, (unsigned)STAGES_MAX);
    for (unsigned i = 0; i < stages_n; i++) {
        struct stage_names s = {str_of(table[i]->name), i};
        unsigned at = i;
        for (; at > 0 && strcmp(stages[at - 1].name.p, s.name.p) > 0; at--)
            stages[at] = stages[at - 1];
        stages[at] = s;
    }
}

struct str ledger_stage_name(unsigned i)
{
    for (unsigned k = 0; k < stages_n; k++)
        if (stages[k].index == i)
            return stages[k].name;
    return STR_NONE;
}

void ledger_thread_end(void)
{
    buf_free(&scratch);
}

static struct buf *fresh(void)
{
    if (!scratch.max)
        buf_init(&scratch, JOURNAL_PAYLOAD_BYTES);
    buf_clear(&scratch);
    return &scratch;
}

static unsigned this_thread(void)
{
    return loop_index(loop_self());
}

/* The newest entry of each thread, which alone writes its own; read when the threads have ended. */
static struct newest {
    _Alignas(64) struct journal_ticket ticket;
    bool any;
} newest[JOURNAL_THREADS_MAX];

void ledger_wait_written(int64_t deadline)
{
    for (unsigned i = 0; i < JOURNAL_THREADS_MAX; i++) {
        if (newest[i].any)
            journal_wait(ledger_journal(), &newest[i].ticket, deadline);
        newest[i].any = false;
    }
}

/* --- members --- */

static void put_sha(struct payload *p, const char *name, const struct journal_body *b)
{
    char hex[64];

    if (!b->length)
        return;
    hex_encode(str_at((const char *)b->sha, sizeof b->sha), hex);
    payload_str(p, name, str_at(hex, sizeof hex));
}

/* Who: the subjects of a call, which stand apart in the order of names. */
struct who {
    struct str customer, key, org, team, user;
};

static struct who who_of(const struct exchange *x)
{
    const struct virtual_key *k = x->key;
    struct who w = {.customer = str_to(x->end_user, LEDGER_CUSTOMER_BYTES)};

    if (!k || x->shadow) /* a shadow is nobody's call */
        return w;
    w.key = k->subject.id;
    w.org = k->org_id;
    w.team = k->team_id;
    w.user = k->user_id;
    return w;
}

static struct str endpoint_of(const struct exchange *x)
{
    if (x->shadow)
        return STR("shadow");
    return x->match.endpoint ? endpoint_kind_name(x->match.endpoint->kind) : STR_NONE;
}

static struct str provider_of(const struct exchange *x)
{
    return x->upstream ? x->upstream->provider->id : STR_NONE;
}

/* --- money --- */

#define DAY_NS (24 * 3600 * NS_PER_S)

/* Said where the windows are not those of the call's begin: they all begin and end with a day. */
static void put_booked(struct payload *p, const struct exchange *x)
{
    int64_t at = limits_held_at(x);

    if (at && at / DAY_NS != x->started_wall / DAY_NS)
        payload_int(p, "booked", at);
}

struct scopes {
    struct payload *p;
    bool any;
};

static void put_scope(void *ctx, struct str name, int64_t expires_at)
{
    struct scopes *s = ctx;

    if (!s->any)
        payload_array(s->p, "scopes");
    s->any = true;
    payload_item_str(s->p, name);
    payload_item_int(s->p, expires_at);
}

static void put_scopes(struct payload *p, const struct exchange *x)
{
    struct scopes s = {.p = p};

    limits_each_scope(x, put_scope, &s);
    if (x->provider_scope.n)
        put_scope(&s, x->provider_scope, x->provider_scope_end);
    if (s.any)
        payload_close(p);
}

/* --- the entry `open` --- */

static int write_open(struct exchange *x, struct buf *out)
{
    const struct journal_body *b = &x->record->request;
    struct who w = who_of(x);
    struct payload p;

    payload_begin(&p, out);
    payload_int(&p, "attempt", x->attempts + 1);
    put_booked(&p, x);
    payload_some_str(&p, "customer", w.customer);
    payload_some_str(&p, "endpoint", endpoint_of(x));
    payload_str(&p, "event", STR("request"));
    payload_str(&p, "id", str_of(x->id));
    payload_some_str(&p, "key", w.key);
    payload_some_str(&p, "model", x->model);
    payload_some_str(&p, "org", w.org);
    payload_str(&p, "phase", STR("open"));
    payload_some_str(&p, "provider", provider_of(x));
    payload_some_int(&p, "req_len", (int64_t)b->length);
    payload_some_int(&p, "req_ref", (int64_t)b->ref);
    put_sha(&p, "req_sha256", b);
    payload_int(&p, "reserved", x->reserved_nano);
    put_scopes(&p, x);
    payload_some_str(&p, "team", w.team);
    payload_int(&p, "ts", x->started_wall);
    payload_some_str(&p, "user", w.user);
    return payload_end(&p);
}

static int append(struct buf *payload, struct journal_ticket *ret)
{
    struct journal *j = ledger_journal();
    int r = payload->err ? -EMSGSIZE : journal_append(j, this_thread(), buf_str(payload), ret);

    if (r == 0)
        newest[this_thread()] = (struct newest){*ret, true};
    if (r < 0 || journal_durability(j) == JOURNAL_BATCH)
        return r;
    co_mask_cancel(); /* the entry is on its way, whoever waits for it */
    r = journal_wait(j, ret, clock_now() + STRICT_WAIT_NS);
    co_unmask_cancel();
    return r;
}

static enum journal_content content_of(const struct exchange *x)
{
    static const enum journal_content from[] = {
        [KEY_CONTENT_FULL] = JOURNAL_FULL,
        [KEY_CONTENT_HASHED] = JOURNAL_HASHED,
        [KEY_CONTENT_OFF] = JOURNAL_OFF,
    };
    return x->key ? from[x->key->content] : JOURNAL_FULL;
}

static struct ledger_call *record_of(struct exchange *x)
{
    if (!x->record)
        x->record = arena_new(&x->arena, struct ledger_call);
    return x->record;
}

static int unavailable(struct exchange *x)
{
    ledger_count_refusal();
    const char *why = journal_problem(ledger_journal());
    ledger_say_problem(why ? why : "its writer is behind");
    x->error.retry_after_s = 1;
    return exchange_fail(x, 503, STR("journal_unavailable"),
        STR("The gateway cannot write its audit journal at the moment; no call is made without."));
}

/* A writer that is behind has caught up in moments, as a rule: the call waits for it. Suspends
 * then, and only then. */
static bool await_room(struct journal *j)
{
    int64_t until = 0;

    while (journal_is_well(j) && !journal_has_room(j, this_thread())) {
        if (!until) {
            until = clock_now() + ROOM_WAIT_NS;
            ledger_count_wait();
        }
        if (clock_now() >= until || co_sleep_until(clock_now() + ROOM_STEP_NS) < 0)
            return false;
    }
    return journal_is_well(j);
}

int ledger_call_open(struct exchange *x)
{
    struct journal *j = ledger_journal();
    struct ledger_call *c;

    if (!j)
        return 0;
    if (!await_room(j) || !(c = record_of(x)))
        return unavailable(x);
    if (x->body.n && !c->request.ended) {
        journal_body_add(j, this_thread(), &c->request, content_of(x), x->body);
        journal_body_end(&c->request);
    }
    struct buf *b = fresh();
    if (write_open(x, b) < 0 || append(b, &c->open) < 0)
        return unavailable(x);
    c->opened = true;
    c->reserved = x->reserved_nano;
    if (unlikely(ledger_problem_said()))
        ledger_say_problem(NULL);
    return 0;
}

void ledger_reply_bytes(struct exchange *x, struct str piece)
{
    if (x->record && x->record->opened && piece.n)
        journal_body_add(ledger_journal(), this_thread(), &x->record->reply, content_of(x), piece);
}

/* --- the entry `outcome` --- */

static struct str outcome_of(const struct exchange *x)
{
    static const struct str names[] = {
        [OUTCOME_PENDING] = STR_INIT("refused"),
        [OUTCOME_OK] = STR_INIT("ok"),
        [OUTCOME_REFUSED] = STR_INIT("refused"),
        [OUTCOME_UPSTREAM_ERROR] = STR_INIT("upstream_error"),
        [OUTCOME_CANCELLED] = STR_INIT("cancelled"),
        [OUTCOME_TRUNCATED] = STR_INIT("truncated"),
    };
    return names[x->outcome];
}

static int64_t us_between(int64_t from, int64_t to)
{
    return from && to > from ? (to - from) / NS_PER_US : 0;
}

static void put_stages(struct payload *p, const struct exchange *x)
{
    payload_object(p, "stages");
    for (unsigned i = 0; i < stages_n; i++)
        payload_some_int(p, stages[i].name.p, x->stage_ns[stages[i].index] / NS_PER_US);
    payload_close(p);
}

static void put_try(struct payload *p, const struct routing_try *t)
{
    payload_item_object(p);
    payload_some_str(p, "fault", t->fault);
    payload_some_str(p, "model", str_to(t->model, LEDGER_MODEL_BYTES));
    payload_some_str(p, "provider", t->provider);
    payload_some_int(p, "status", t->status);
    payload_some_str(p, "then", t->then);
    payload_some_int(p, "us", t->us);
    payload_some_int(p, "waited_us", t->waited_us);
    payload_close(p);
}

static void put_candidates(struct payload *p, const struct routing_log *r)
{
    if (!r->candidates_n)
        return;
    payload_array(p, "candidates");
    for (unsigned i = 0; i < r->candidates_n; i++) {
        const struct routing_candidate *c = &r->candidates[i];
        payload_item_object(p);
        payload_some_str(p, "model", str_to(c->model, LEDGER_MODEL_BYTES));
        payload_some_str(p, "provider", c->provider);
        payload_some_str(p, "why", c->why);
        payload_close(p);
    }
    payload_close(p);
}

/* What routing decided; nothing where a name alone led to its provider. */
static void put_routing(struct payload *p, const struct exchange *x)
{
    const struct routing_log *r = x->routing;

    if (!r)
        return;
    payload_object(p, "routing");
    put_candidates(p, r);
    payload_some_str(p, "chain", r->chain);
    payload_some_int(p, "fallback_used", r->fallback_used);
    payload_some_int(p, "fallbacks", r->fallbacks);
    payload_some_int(p, "hedges", r->hedges);
    payload_some_str(p, "note", r->note);
    payload_some_str(p, "shadow", str_to(r->shadow, LEDGER_MODEL_BYTES));
    payload_some_str(p, "shadow_provider", r->shadow_provider);
    payload_some_int(p, "skipped", r->skipped_n);
    payload_some_str(p, "strategy", r->strategy);
    if (r->tries_n)
        payload_array(p, "tries");
    for (unsigned i = 0; i < r->tries_n; i++)
        put_try(p, &r->tries[i]);
    if (r->tries_n)
        payload_close(p);
    payload_close(p);
}

static void put_tags(struct payload *p, const struct exchange *x)
{
    if (!x->key || !x->key->tags.n)
        return;
    payload_array(p, "tags");
    for (unsigned i = 0; i < x->key->tags.n; i++)
        payload_item_str(p, x->key->tags.at[i]);
    payload_close(p);
}

static int status_of(const struct exchange *x)
{
    return x->error.status ? x->error.status : x->upstream_status ? x->upstream_status : 200;
}

/* Members a to m; the rest is in the next function, as one would be too long. */
static void put_first_half(struct payload *p, struct exchange *x, const struct who *w)
{
    const struct usage *u = &x->usage;
    char address[64];
    bool known = u->source != USAGE_UNKNOWN;

    net_addr_text(&x->client, address);
    payload_int(p, "attempts", x->attempts);
    put_booked(p, x);
    payload_some_int(p, "cache_read", known ? (int64_t)u->cache_read : 0);
    payload_some_int(
        p, "cache_write", known ? (int64_t)(u->cache_write_5m + u->cache_write_1h) : 0);
    payload_int(p, "charged", x->charged_nano);
    payload_some_str(p, "client", str_of(address));
    if (x->cost_nano >= 0)
        payload_int(p, "cost", x->cost_nano);
    payload_some_int(p, "counted", u->source == USAGE_COUNTED);
    payload_some_str(p, "customer", w->customer);
    payload_some_str(p, "dialect", dialect_name(x->dialect));
    payload_some_str(p, "dropped", str_to(x->dropped_params, 512)); /* of a translated call */
    payload_some_str(p, "endpoint", endpoint_of(x));
    payload_some_str(p, "error", x->error.status ? x->error.code : STR_NONE);
    payload_str(p, "event", STR("request"));
    payload_str(p, "id", str_of(x->id));
    if (known)
        payload_int(p, "in", (int64_t)usage_input_total(u));
    payload_some_str(p, "key", w->key);
    payload_int(p, "latency_us", us_between(x->rq->first_byte_at, clock_now()));
    payload_some_str(p, "model", x->model);
    if (!str_eq(x->model, x->model_asked))
        payload_some_str(p, "model_asked", str_to(x->model_asked, LEDGER_MODEL_BYTES));
}

static void put_second_half(struct payload *p, struct exchange *x, const struct who *w)
{
    static const struct journal_body none;
    const struct journal_body *req = x->record ? &x->record->request : &none;
    const struct journal_body *rep = x->record ? &x->record->reply : &none;
    const struct usage *u = &x->usage;

    payload_some_str(p, "org", w->org);
    if (u->source != USAGE_UNKNOWN)
        payload_int(p, "out", (int64_t)usage_output_total(u));
    payload_str(p, "outcome", outcome_of(x));
    payload_str(p, "phase", STR("outcome"));
    payload_some_str(p, "provider", provider_of(x));
    payload_some_int(p, "reasoning", u->source != USAGE_UNKNOWN ? (int64_t)u->reasoning : 0);
    payload_some_int(p, "req_len", (int64_t)req->length);
    payload_some_int(p, "req_ref", (int64_t)req->ref);
    put_sha(p, "req_sha256", req);
    payload_some_int(p, "reserved", x->record ? x->record->reserved : 0);
    payload_some_int(p, "resp_len", (int64_t)rep->length);
    payload_some_int(p, "resp_ref", (int64_t)rep->ref);
    put_sha(p, "resp_sha256", rep);
    put_routing(p, x);
    put_scopes(p, x);
    payload_some_int(p, "shadow", x->shadow);
    put_stages(p, x);
    payload_int(p, "status", status_of(x));
    payload_some_int(p, "stream", x->stream);
    put_tags(p, x);
    payload_some_str(p, "team", w->team);
    payload_some_str(p, "trace", str_to(x->trace_id, LEDGER_CUSTOMER_BYTES));
    payload_int(p, "ts", x->started_wall);
    payload_some_int(p, "ttfb_us", us_between(x->rq->first_byte_at, x->reply_first_at));
    payload_some_int(p, "upstream_us", us_between(x->upstream_sent_at, clock_now()));
    payload_some_str(p, "user", w->user);
}

static int write_outcome(struct exchange *x, struct buf *out)
{
    struct who w = who_of(x);
    struct payload p;

    payload_begin(&p, out);
    put_first_half(&p, x, &w);
    put_second_half(&p, x, &w);
    return payload_end(&p);
}

/* Of nobody, whose key is unknown, nothing is kept but a metric. Nor of a call that was refused
 * while the journal cannot be written: what room there is, is for the calls that run. */
static bool is_kept(const struct exchange *x)
{
    if (x->record && x->record->opened)
        return true;
    return (x->record || ((x->key || x->caller_credential.n) && x->match.endpoint)) &&
           journal_is_well(ledger_journal()) && journal_has_room(ledger_journal(), this_thread());
}

int ledger_call_outcome(struct exchange *x)
{
    struct journal_ticket t;
    struct ledger_call *c;

    if (!ledger_journal() || !is_kept(x) || !(c = record_of(x)) || c->ended)
        return 0;
    c->ended = true;
    journal_body_end(&c->reply);
    struct buf *b = fresh();
    int r = write_outcome(x, b);
    if (r == 0)
        r = append(b, &t);
    if (r == 0 && c->opened && x->attempts == 1)
        journal_supersede(ledger_journal(), &c->open);
    if (r < 0) /* the attempt's `open` stands: recovery will say unknown */
        ledger_count_lost();
    return r;
}

/* A caller that is known, and was refused before any attempt, is on the journal too: since before
 * it was told, unless its call ended in another way than by a reply. */
static void ledger_end(struct exchange *x)
{
    if (!ledger_journal())
        return;
    ledger_call_outcome(x);
    if (x->record) {
        journal_body_end(&x->record->request);
        journal_body_end(&x->record->reply);
    }
}

const struct stage stage_ledger = {
    .name = "ledger",
    .on_end = ledger_end,
};
