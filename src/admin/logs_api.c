/*
 * The log of calls: lists with filters and export, and all that is known of one call, for the trace
 * page. Rows come from the store, the rest from this node's journal; the prompt and the reply from
 * the journal's bodies, or, of calls that another node served, from the store where it has copies.
 *
 * Nothing of a call is ever changed. What was erased is gone from where bodies lie and named in the
 * journal; an amendment stands beside what it amends.
 */
#include "admin/api_int.h"
#include "admin/rows.h"
#include "admin/when.h"
#include "crypto/digest.h"
#include "crypto/encode.h"
#include "journal/journal.h"
#include "ledger/ledger.h"
#include "ledger/logs.h"
#include "ledger/trace.h"
#include "store/store.h"
#include "text/utf8.h"
#include "json/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define PREVIEW_BYTES 2048
#define BODY_BYTES    (8 * MIB)
#define WAIT_NS       NS_PER_S

/* --- one row --- */

static const char *const outcome_words[] = {
    "ok", "refused", "upstream_error", "cancelled", "truncated", "unknown", NULL};

#define COLUMN(name, type, doc)                                                                    \
    {                                                                                              \
        name, type, 0, 0, 0, 0, NULL, NULL, doc, NULL                                              \
    }
static const struct field_row log_fields[] = {
    COLUMN("request_id", FIELD_TEXT, "The call's id, as in x-smartflow-request-id."),
    COLUMN("timestamp", FIELD_TIME, "When it began."),
    COLUMN("provider", FIELD_TEXT, "Who served it; null: nobody was asked."),
    COLUMN("model", FIELD_TEXT, "The model that was called."),
    COLUMN("model_asked", FIELD_TEXT, "The model that the caller named."),
    COLUMN("endpoint", FIELD_TEXT, "The kind of call."),
    COLUMN("status", FIELD_INT, "The HTTP status that the caller got; 0: unknown."),
    {"outcome", FIELD_WORD, 0, 0, 0, 0, outcome_words, NULL,
        "How it ended; unknown: the gateway ended before the call did.", NULL},
    COLUMN("error", FIELD_TEXT, "The error's code."),
    COLUMN("streamed", FIELD_BOOL, "Whether a stream was asked for."),
    COLUMN("attempts", FIELD_INT, "How often a provider was tried."),
    COLUMN("tokens_used", FIELD_INT, "Of prompt and completion together."),
    COLUMN("prompt_tokens", FIELD_INT, "Null where the provider told none."),
    COLUMN("completion_tokens", FIELD_INT, "Null where the provider told none."),
    COLUMN("cached_tokens", FIELD_INT, "Of the prompt, those read from a cache."),
    COLUMN("reasoning_tokens", FIELD_INT, "Of the completion, those not shown."),
    COLUMN("cost_usd", FIELD_INT, "US dollars, exact; null: unknown."),
    COLUMN("charged_usd", FIELD_INT, "What budgets were charged."),
    COLUMN("latency_ms", FIELD_INT, "From the first byte in to the last out."),
    COLUMN("ttfb_ms", FIELD_INT, "To the reply's first byte; null: there was none."),
    COLUMN("upstream_ms", FIELD_INT, "Of it, waiting for the provider."),
    COLUMN("cached", FIELD_BOOL, "Whether a part of the prompt came from a cache."),
    COLUMN("key_id", FIELD_TEXT, "The virtual key."),
    COLUMN("user_id", FIELD_TEXT, "Its user."),
    COLUMN("team_id", FIELD_TEXT, "Its team."),
    COLUMN("org_id", FIELD_TEXT, "Its organisation."),
    COLUMN("customer", FIELD_TEXT, "The end customer that the call named."),
    COLUMN("tags", FIELD_TEXTS, "The key's tags."),
    COLUMN("trace_id", FIELD_TEXT, "As the caller gave it."),
    COLUMN("node", FIELD_TEXT, "Which node served it."),
    COLUMN("seq", FIELD_INT, "The number of its outcome on that node's journal."),
    COLUMN("request_content", FIELD_TEXT, "The begin of the prompt, with content=true."),
    COLUMN("response_content", FIELD_TEXT, "The begin of the reply, with content=true."),
    COLUMN("compliance", FIELD_OBJECT, "What guards found; null: there were none."),
};
#undef COLUMN
static const struct admin_schema log_schema = {"Log", log_fields, ARRAY_LEN(log_fields), 0};

static void put_known(struct buf *b, const char *name, int64_t n)
{
    if (n < 0)
        put_null(b, name);
    else
        put_int(b, name, n);
}

/* Microseconds as milliseconds: 12.345 */
static void put_ms(struct buf *b, const char *name, int64_t us)
{
    put_name(b, name);
    buf_printf(b, "%" PRId64 ".%03" PRId64, us / 1000, us % 1000);
}

static void put_tags(struct buf *b, struct str tags)
{
    put_open(b, "tags", '[');
    while (tags.p && tags.n)
        put_str(b, NULL, str_split(&tags, ','));
    put_close(b, ']');
}

static void put_what(struct buf *b, const struct log_row *w)
{
    put_str(b, "request_id", w->id);
    put_time(b, "timestamp", w->ts);
    put_str_or_null(b, "provider", w->provider);
    put_str_or_null(b, "model", w->model);
    put_str_or_null(b, "model_asked", w->model_asked);
    put_str_or_null(b, "endpoint", w->endpoint);
    put_int(b, "status", w->status);
    put_str(b, "outcome", w->outcome);
    put_str_or_null(b, "error", w->error);
    put_bool(b, "streamed", w->streamed > 0);
    put_int(b, "attempts", w->attempts);
}

static void put_usage(struct buf *b, const struct log_row *w)
{
    put_int(b, "tokens_used", MAX(w->tokens_in, 0) + MAX(w->tokens_out, 0));
    put_known(b, "prompt_tokens", w->tokens_in);
    put_known(b, "completion_tokens", w->tokens_out);
    put_int(b, "cached_tokens", w->cache_read);
    put_int(b, "cache_write_tokens", w->cache_write);
    put_int(b, "reasoning_tokens", w->reasoning);
    if (w->cost < 0)
        put_null(b, "cost_usd");
    else
        put_money(b, "cost_usd", w->cost);
    put_money(b, "charged_usd", w->charged);
    put_ms(b, "latency_ms", w->latency_us);
    if (w->ttfb_us)
        put_ms(b, "ttfb_ms", w->ttfb_us);
    else
        put_null(b, "ttfb_ms");
    put_ms(b, "upstream_ms", w->upstream_us);
    put_bool(b, "cached", w->cache_read > 0);
}

static void put_who(struct buf *b, const struct log_row *w)
{
    put_str_or_null(b, "key_id", w->key);
    put_str_or_null(b, "user_id", w->user);
    put_str_or_null(b, "team_id", w->team);
    put_str_or_null(b, "org_id", w->org);
    put_str_or_null(b, "customer", w->customer);
    put_tags(b, w->tags);
    put_str_or_null(b, "trace_id", w->trace);
    put_str(b, "node", w->node);
    put_int(b, "seq", w->seq);
}

/* --- bodies --- */

enum body { BODY_REQUEST, BODY_RESPONSE };

static bool is_here(const struct admin_call *c, const struct log_row *w)
{
    return c->env->journal && str_eq(w->node, c->env->node);
}

static int copied_body(
    struct admin_call *c, const struct log_row *w, enum body which, struct buf *out)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct store_value id = store_text(w->id);
    int r = store_query(c->env->store,
        "SELECT request, reply FROM log_bodies WHERE request_id = ?1", &id, 1, &rows, NULL);

    if (r < 0)
        return r;
    if (!store_rows_n(rows) || store_cell(rows, 0, which)->type == STORE_NULL)
        return -ENOENT;
    return buf_addstr(out, store_cell_str(rows, 0, which));
}

/* -ENOENT: it was not kept, or is not any more. */
static int read_body(
    struct admin_call *c, const struct log_row *w, enum body which, struct buf *out)
{
    int64_t ref = which == BODY_REQUEST ? w->req_ref : w->resp_ref;

    buf_init(out, BODY_BYTES);
    if (!ref)
        return -ENOENT;
    return is_here(c, w) ? journal_body_read(c->env->journal, (uint64_t)ref, out)
                         : copied_body(c, w, which, out);
}

static void put_preview(
    struct admin_call *c, struct buf *b, const char *name, const struct log_row *w, enum body which)
{
    _cleanup_(buf_free) struct buf text = {0};
    int r = read_body(c, w, which, &text);
    struct str shown = utf8_truncate(buf_str(&text), PREVIEW_BYTES);

    if (r == 0 && utf8_valid(shown))
        put_str(b, name, shown);
    else
        put_null(b, name);
}

/* --- the list --- */

struct logs_query {
    struct str provider, model, key, user, team, org, customer, outcome, error, endpoint, tag,
        trace, from, to, min_cost, q;
    int64_t status, min_latency_ms;
    uint32_t outcome_word;
    bool streamed, content;
};
#define AT(member) offsetof(struct logs_query, member)
#define TEXT_FILTER(name, doc)                                                                     \
    {                                                                                              \
#name, FIELD_TEXT, 0, AT(name), 1, 256, NULL, NULL, doc, NULL                              \
    }
static const struct field_row query_fields[] = {
    TEXT_FILTER(provider, "Only calls that this provider served."),
    TEXT_FILTER(model, "Only this model, called or asked for."),
    TEXT_FILTER(key, "Only this virtual key, by its id."),
    TEXT_FILTER(user, "Only this user's."),
    TEXT_FILTER(team, "Only this team's."),
    TEXT_FILTER(org, "Only this organisation's."),
    TEXT_FILTER(customer, "Only this end customer's."),
    {"status", FIELD_INT, 0, AT(status), 0, 599, NULL, NULL, "Only this HTTP status.", "429"},
    {"outcome", FIELD_WORD, 0, AT(outcome_word), 0, 0, outcome_words, NULL, "Only this outcome.",
        NULL},
    TEXT_FILTER(error, "Only this error code."),
    TEXT_FILTER(endpoint, "Only this kind of call."),
    {"streamed", FIELD_BOOL, 0, AT(streamed), 0, 0, NULL, NULL, "Only streams, or none.", NULL},
    TEXT_FILTER(tag, "Only calls with this tag."),
    TEXT_FILTER(trace, "Only calls with this trace id."),
    {"from", FIELD_TEXT, 0, AT(from), 1, 40, NULL, NULL,
        "Not before: RFC 3339, or how long ago: 90s, 15m, 1h, 7d, 4w.", "\"7d\""},
    {"to", FIELD_TEXT, 0, AT(to), 1, 40, NULL, NULL, "Before; likewise.", NULL},
    {"min_cost", FIELD_TEXT, 0, AT(min_cost), 1, 32, NULL, NULL,
        "Only calls that cost at least so many US dollars.", "0.25"},
    {"min_latency_ms", FIELD_INT, 0, AT(min_latency_ms), 0, 86400000, NULL, NULL,
        "Only calls that took at least so long.", "5000"},
    {"q", FIELD_TEXT, 0, AT(q), 1, 36, NULL, NULL, "Only ids that begin so.", NULL},
    {"content", FIELD_BOOL, 0, AT(content), 0, 0, NULL, NULL,
        "With the first 2 KiB of prompt and reply.", NULL},
};
#undef AT
static const struct admin_schema logs_query = {
    NULL, query_fields, ARRAY_LEN(query_fields), sizeof(struct logs_query)};

static int filter_numbers(struct admin_call *c, const struct logs_query *q, struct logs_filter *f)
{
    int r = 0;

    if (admin_asked(c, "status"))
        f->status = q->status;
    if (admin_asked(c, "streamed"))
        f->streamed = q->streamed;
    f->min_latency_us = q->min_latency_ms * 1000;
    if (q->min_cost.n && money_parse(q->min_cost, &f->min_cost) < 0)
        return admin_bad(c, "min_cost",
            "min_cost must be a decimal of US dollars from 0 to 1000000000, like 0.25.");
    if (q->from.n)
        r = admin_when(c, "from", q->from, &f->from);
    if (r == 0 && q->to.n)
        r = admin_when(c, "to", q->to, &f->until);
    if (r == 0 && f->until && f->from >= f->until)
        return admin_bad(c, "from", "from must be before to.");
    f->id_prefix = q->q;
    return r;
}

/* False: the caller may see no row at all. */
static bool confine(struct admin_call *c, struct logs_filter *f)
{
    struct str user, key, org = admin_own_org(c);

    admin_own_user(c, &user, &key);
    if (c->who.role == ROLE_ORG_ADMIN)
        return org.n && logs_filter_add(f, FACET_ORG, org);
    if (c->who.role == ROLE_INTERNAL_USER)
        return (key.n || user.n) &&
               logs_filter_add(f, key.n ? FACET_KEY : FACET_USER, key.n ? key : user);
    return true;
}

static int make_filter(struct admin_call *c, struct logs_filter *f)
{
    const struct logs_query *q = c->query;
    const struct logs_equal all[] = {{FACET_PROVIDER, q->provider}, {FACET_MODEL, q->model},
        {FACET_KEY, q->key}, {FACET_USER, q->user}, {FACET_TEAM, q->team}, {FACET_ORG, q->org},
        {FACET_CUSTOMER, q->customer}, {FACET_ERROR, q->error}, {FACET_ENDPOINT, q->endpoint},
        {FACET_TAG, q->tag}, {FACET_TRACE, q->trace},
        {FACET_OUTCOME,
            admin_asked(c, "outcome") ? str_of(outcome_words[q->outcome_word]) : STR_NONE}};

    logs_filter_init(f);
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        (void)logs_filter_add(f, all[i].column, all[i].value);
    return filter_numbers(c, q, f);
}

struct page {
    struct admin_call *c;
    struct admin_page *p;
    bool content;
};

static int put_row(void *ctx, const struct log_row *w)
{
    struct page *page = ctx;
    struct buf *b = page->p->items;

    put_open(b, NULL, '{');
    put_what(b, w);
    put_usage(b, w);
    put_who(b, w);
    if (page->content) {
        put_preview(page->c, b, "request_content", w, BODY_REQUEST);
        put_preview(page->c, b, "response_content", w, BODY_RESPONSE);
    } else {
        put_null(b, "request_content");
        put_null(b, "response_content");
    }
    put_null(b, "compliance");
    put_close(b, '}');
    return 0;
}

/* "time:id" */
static bool read_cursor(struct str text, struct logs_at *at)
{
    uint64_t ts;
    struct str first = str_split(&text, ':');

    if (!text.p || str_u64(first, &ts) < 0 || ts > INT64_MAX)
        return false;
    *at = (struct logs_at){(int64_t)ts, text};
    return true;
}

static int logs_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    const struct logs_query *q = c->query;
    struct page page = {c, p, q->content};
    struct logs_at at, next;
    struct logs_filter f;
    char err[STORE_ERR_BYTES] = "";
    bool more = false;
    (void)ctx;

    int r = make_filter(c, &f);
    if (r == 0 && p->cursor.n && !read_cursor(p->cursor, &at))
        return admin_bad(c, "cursor", "cursor is not of this list.");
    if (r < 0 || !confine(c, &f))
        return r;
    r = logs_list(c->env->store, &f, p->limit, p->cursor.n ? &at : NULL, &c->arena, put_row, &page,
        &next, &more, err);
    if (r < 0)
        return admin_store_fail(c, r, err);
    if (more)
        p->next = arena_printf(&c->arena, "%" PRId64 ":" STR_FMT, next.ts, STR_ARG(next.id));
    return 0;
}

static int logs(struct admin_call *c)
{
    return c->env->store ? admin_list(c, logs_page, NULL) : admin_store_fail(c, -EHOSTDOWN, NULL);
}

/* --- one call --- */

struct found {
    struct store_rows *rows;
    struct log_row row;
};

static bool may_see(struct admin_call *c, const struct log_row *w)
{
    struct str user, key;

    admin_own_user(c, &user, &key);
    if (c->who.role == ROLE_INTERNAL_USER && key.n)
        return str_eq(key, w->key);
    return admin_owns(c, w->org, w->user, w->key);
}

/* A call that has just ended may not have its row yet, so it is waited for. */
static int find(struct admin_call *c, struct found *f)
{
    struct str id = admin_param(c, 0);
    char err[STORE_ERR_BYTES] = "";
    int64_t began;
    int r;

    (void)admin_own_org(c);
    if (!c->env->store)
        return admin_store_fail(c, -EHOSTDOWN, NULL);
    if (logs_time_of_id(id, &began) < 0)
        return admin_not_found(c, "call", id);
    r = logs_get(c->env->store, id, &f->rows, &f->row, err);
    if (r == 0 && (r = ledger_wait(began, clock_now() + WAIT_NS)) == 0) {
        store_rows_free(f->rows);
        r = logs_get(c->env->store, id, &f->rows, &f->row, err);
    }
    if (r < 0)
        return admin_store_fail(c, r, err);
    return r == 1 && may_see(c, &f->row) ? 0 : admin_not_found(c, "call", id);
}

/* --- what the journal has of it --- */

static struct str text_of(struct str object, const char *name)
{
    struct str v = json_find(object, str_of(name));

    return v.n > 1 && v.p[0] == '"' ? str_at(v.p + 1, v.n - 2) : STR_NONE;
}

static void put_json(struct buf *b, const char *name, struct str json)
{
    put_raw(b, name, json.n ? json : STR("null"));
}

static void put_stages(struct buf *b, struct str payload)
{
    struct str stages = json_find(payload, STR("stages")), name, us;

    put_open(b, "stages", '[');
    for (unsigned i = 0; (name = ledger_stage_name(i)).n; i++) {
        json_members(stages, &name, &us, 1);
        put_open(b, NULL, '{');
        put_str(b, "name", name);
        put_raw(b, "us", us.n ? us : STR("0"));
        put_close(b, '}');
    }
    put_close(b, ']');
}

static void put_timing(struct buf *b, const struct log_row *w)
{
    put_open(b, "timing", '{');
    put_int(b, "latency_us", w->latency_us);
    put_int(b, "ttfb_us", w->ttfb_us);
    put_int(b, "upstream_us", w->upstream_us);
    put_int(b, "gateway_us", MAX(w->latency_us - w->upstream_us, 0));
    put_close(b, '}');
}

static void put_attempt(struct buf *b, struct str item)
{
    struct str payload = json_find(item, STR("payload")), n;
    uint64_t nano = 0;

    put_open(b, NULL, '{');
    put_json(b, "seq", json_find(item, STR("seq")));
    n = json_find(payload, STR("attempt"));
    put_json(b, "attempt", n);
    put_json(b, "provider", json_find(payload, STR("provider")));
    put_json(b, "model", json_find(payload, STR("model")));
    json_u64(json_find(payload, STR("reserved")), &nano);
    put_money(b, "reserved_usd", (int64_t)MIN(nano, (uint64_t)INT64_MAX));
    put_close(b, '}');
}

static void put_journal(struct admin_call *c, const struct log_row *w, const struct trace *t)
{
    struct str attempts = buf_str(&t->attempts), key, item;
    size_t at = json_inside(attempts);
    struct buf *b = &c->out;

    put_open(b, "attempts_made", '[');
    while (at && json_next(attempts, &at, &key, &item))
        put_attempt(b, item);
    put_close(b, ']');
    put_json(b, "entry", buf_str(&t->outcome));
    put_open(b, "journal", '{');
    put_str(b, "chain_id", w->node);
    put_int(b, "seq", w->seq);
    put_known(b, "open_seq", w->open_seq ? w->open_seq : -1);
    put_str_or_null(b, "entry_hmac", t->entry_hmac);
    put_str_or_null(b, "prev_hash", t->prev_hash);
    put_str_or_null(b, "key_id", t->key_id);
    put_close(b, '}');
    put_json(b, "checkpoint", json_find(buf_str(&t->proof), STR("checkpoint")));
    put_json(b, "proof", buf_str(&t->proof));
}

/* --- its prompt and reply --- */

static void put_base64(struct admin_call *c, struct buf *b, struct str bytes)
{
    char *text = arena_alloc(&c->arena, 4 * ((bytes.n + 2) / 3) + 1);

    if (!text) {
        put_null(b, "base64");
        return;
    }
    base64_encode(bytes, text);
    put_str(b, "base64", str_at(text, 4 * ((bytes.n + 2) / 3)));
}

/* Whether a stream was asked for does not say that the reply is one: errors are plain. */
static bool is_event_stream(struct str s)
{
    return str_starts(s, STR("data:")) || str_starts(s, STR("event:")) ||
           str_starts(s, STR("id:")) || str_starts(s, STR(":"));
}

/* Its text for the record, or where it is none in base64. Of a stream the text is what its pieces
 * make, and the events stand as they came. */
static void put_content(struct admin_call *c, struct str body, bool stream, struct str *ret_text)
{
    struct buf *b = &c->out, made;

    *ret_text = STR_NONE;
    if (!utf8_valid(body)) {
        put_base64(c, b, body);
        return;
    }
    *ret_text = body;
    if (stream && is_event_stream(body)) {
        buf_init(&made, BODY_BYTES);
        if (trace_assemble(body, &made) == 0)
            *ret_text = arena_dup(&c->arena, buf_str(&made));
        buf_free(&made);
        put_str(b, "raw", body);
    }
}

static const char *state_of(const struct log_row *w, int r, enum body which, struct str sha)
{
    int64_t ref = which == BODY_REQUEST ? w->req_ref : w->resp_ref;

    if (!ref)
        return sha.n ? "hashed" : "none";
    return r == 0 ? "kept" : r == -ENOENT ? "gone" : "unreadable";
}

static void put_body(
    struct admin_call *c, const struct log_row *w, enum body which, struct str payload)
{
    static const char *const names[][4] = {{"request", "req_len", "req_sha256", "request_content"},
        {"response", "resp_len", "resp_sha256", "response_content"}};
    const char *const *n = names[which];
    _cleanup_(buf_free) struct buf body = {0};
    struct str text = STR_NONE, sha = text_of(payload, n[2]);
    struct buf *b = &c->out;
    int r = read_body(c, w, which, &body);

    put_open(b, n[0], '{');
    put_str(b, "state", str_of(state_of(w, r, which, sha)));
    put_json(b, "length", json_find(payload, str_of(n[1])));
    put_str_or_null(b, "sha256", sha);
    if (r == 0)
        put_content(c, buf_str(&body), which == BODY_RESPONSE && w->streamed > 0, &text);
    put_close(b, '}');
    if (text.p)
        put_str(b, n[3], text);
    else
        put_null(b, n[3]);
}

/* --- what was done to it since --- */

static int put_acts(struct admin_call *c, const struct log_row *w)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct store_value v[] = {store_int(w->ts), store_text(w->id)};
    struct buf *b = &c->out;
    char err[STORE_ERR_BYTES] = "";
    int r = store_query(c->env->store,
        "SELECT event, chain, seq, at, actor, changes FROM admin_acts WHERE at >= ?1 "
        "AND target = ?2 AND event IN ('amend', 'erase') ORDER BY at LIMIT 200",
        v, 2, &rows, err);

    if (r < 0)
        return admin_store_fail(c, r, err);
    for (unsigned pass = 0; pass < 2; pass++) {
        put_open(b, pass ? "erasures" : "amendments", '[');
        for (unsigned i = 0; i < store_rows_n(rows); i++) {
            if (!str_eq(store_cell_str(rows, i, 0), pass ? STR("erase") : STR("amend")))
                continue;
            struct str changes = store_cell_str(rows, i, 5);
            put_open(b, NULL, '{');
            put_str(b, "chain_id", store_cell_str(rows, i, 1));
            put_int(b, "seq", store_cell_int(rows, i, 2));
            put_time(b, "timestamp", store_cell_int(rows, i, 3));
            put_str(b, "actor", store_cell_str(rows, i, 4));
            if (!pass) {
                put_json(b, "field", json_find(changes, STR("field")));
                put_json(b, "value", json_find(changes, STR("new")));
            }
            put_json(b, "reason", json_find(changes, STR("reason")));
            put_close(b, '}');
        }
        put_close(b, ']');
    }
    return 0;
}

static int write_detail(struct admin_call *c, const struct log_row *w)
{
    struct buf *b = &c->out;
    struct trace t;
    int r;

    trace_init(&t);
    if (is_here(c, w)) /* what the journal does not hold any more is simply not there */
        (void)trace_read(
            c->env->journal_dir, (uint64_t)MAX(w->open_seq, 0), (uint64_t)w->seq, w->id, &t);
    put_open(b, NULL, '{');
    put_what(b, w);
    put_usage(b, w);
    put_who(b, w);
    put_body(c, w, BODY_REQUEST, buf_str(&t.outcome));
    put_body(c, w, BODY_RESPONSE, buf_str(&t.outcome));
    put_timing(b, w);
    put_stages(b, buf_str(&t.outcome));
    put_journal(c, w, &t);
    r = put_acts(c, w);
    put_null(b, "compliance");
    put_open(b, "guardrails", '[');
    put_close(b, ']');
    put_close(b, '}');
    trace_free(&t);
    return r;
}

static int detail(struct admin_call *c)
{
    struct found f = {0};
    int r = find(c, &f);

    if (r == 0)
        r = write_detail(c, &f.row);
    store_rows_free(f.rows);
    return r;
}

/* --- erasing its content --- */

struct erase_body {
    struct str reason;
};
static const struct field_row erase_fields[] = {
    {"reason", FIELD_TEXT, FIELD_CREATE, offsetof(struct erase_body, reason), 0, 1000, NULL, NULL,
        "Why; stands in the journal.", "\"GDPR request 17\""},
};
static const struct admin_schema erase_body = {
    "Erase", erase_fields, ARRAY_LEN(erase_fields), sizeof(struct erase_body)};

static int erase_one(struct admin_call *c, int64_t ref)
{
    int r = ref ? journal_body_erase(c->env->journal, (uint64_t)ref) : -ENOENT;

    return r == -ENOENT ? 0 : r;
}

static int audit_erase(struct admin_call *c, const struct log_row *w)
{
    const struct erase_body *body = c->body;
    _cleanup_(buf_free) struct buf b = {0};

    buf_init(&b, 16 * KIB);
    put_open(&b, NULL, '{');
    put_int(&b, "erases_seq", w->seq);
    put_str(&b, "reason", body->reason.n ? body->reason : STR(""));
    put_int(&b, "ref", w->req_ref);
    put_int(&b, "reply_ref", w->resp_ref);
    put_close(&b, '}');
    return admin_audit(c, "erase", "log.erase", w->id, buf_str(&b));
}

static int erase_row(struct admin_call *c, const struct log_row *w)
{
    const struct store_value id = store_text(w->id);
    char err[STORE_ERR_BYTES] = "";

    if (!is_here(c, w))
        return admin_fail(c, 409, "other_node",
            "This call was served by node " STR_FMT ", which keeps its content: ask that one.",
            STR_ARG(w->node));
    int r = audit_erase(c, w);
    if (r == 0)
        r = erase_one(c, w->req_ref);
    if (r == 0)
        r = erase_one(c, w->resp_ref);
    if (r == 0)
        r = store_exec(
            c->env->store, "DELETE FROM log_bodies WHERE request_id = ?1", &id, 1, NULL, err);
    if (r < 0)
        return admin_store_fail(c, r, err);
    put_open(&c->out, NULL, '{');
    put_str(&c->out, "request_id", w->id);
    put_bool(&c->out, "erased", true);
    put_close(&c->out, '}');
    return 0;
}

static int erase(struct admin_call *c)
{
    struct found f = {0};
    int r = find(c, &f);

    if (r == 0)
        r = erase_row(c, &f.row);
    store_rows_free(f.rows);
    return r;
}

/* --- amending --- */

static const char *const amend_words[] = {"customer", "key_id", "model", "org_id", "provider",
    "tags", "team_id", "trace_id", "user_id", "note", NULL};

struct amend_body {
    uint32_t field;
    struct str value, reason;
};
#define AT(member) offsetof(struct amend_body, member)
static const struct field_row amend_fields[] = {
    {"field", FIELD_WORD, FIELD_CREATE | FIELD_REQUIRED, AT(field), 0, 0, amend_words, NULL,
        "What is amended; note: a remark.", "\"customer\""},
    {"value", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, AT(value), 0, 4000, NULL, NULL,
        "What should have stood there.", NULL},
    {"reason", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, AT(reason), 1, 1000, NULL, NULL, "Why.",
        NULL},
};
#undef AT
static const struct admin_schema amend_body = {
    "Amend", amend_fields, ARRAY_LEN(amend_fields), sizeof(struct amend_body)};

static int amend_row(struct admin_call *c, const struct log_row *w)
{
    const struct amend_body *body = c->body;
    const struct str old[] = {w->customer, w->key, w->model, w->org, w->provider, w->tags, w->team,
        w->trace, w->user, STR_NONE};
    _cleanup_(buf_free) struct buf b = {0};
    char hex[SHA256_HEX];

    sha256_hex(old[body->field], hex);
    buf_init(&b, 16 * KIB);
    put_open(&b, NULL, '{');
    put_int(&b, "amends_seq", w->seq);
    put_str(&b, "field", str_of(amend_words[body->field]));
    put_str(&b, "new", body->value.n ? body->value : STR(""));
    put_str(&b, "old_sha256", str_of(hex));
    put_str(&b, "reason", body->reason);
    put_close(&b, '}');
    int r = admin_audit(c, "amend", "log.amend", w->id, buf_str(&b));
    return r < 0 ? r : write_detail(c, w);
}

static int amend(struct admin_call *c)
{
    struct found f = {0};
    int r = find(c, &f);

    if (r == 0)
        r = amend_row(c, &f.row);
    store_rows_free(f.rows);
    return r;
}

static const struct admin_row rows[] = {
    {.method = HTTP_GET,
        .path = "/api/vas/logs",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_OWN,
        .handle = logs,
        .query = &logs_query,
        .reply = &log_schema,
        .name = "logs",
        .list = true,
        .tag = "Logs",
        .summary = "Calls, newest first"},
    {.method = HTTP_GET,
        .path = "/api/vas/logs/hybrid",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_OWN,
        .handle = logs,
        .query = &logs_query,
        .reply = &log_schema,
        .name = "logs",
        .list = true,
        .tag = "Logs",
        .summary = "Calls of all nodes that share this one's database, newest first"},
    {.method = HTTP_GET,
        .path = "/api/vas/logs/{id}",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_OWN,
        .handle = detail,
        .tag = "Logs",
        .summary = "All that is known of one call"},
    {.method = HTTP_DELETE,
        .path = "/api/vas/logs/{id}/content",
        .may = MAY_ADMIN,
        .handle = erase,
        .body = &erase_body,
        .flags = ADMIN_BODY_OPTIONAL,
        .tag = "Logs",
        .summary = "Erase a call's prompt and reply; its record stays"},
    {.method = HTTP_POST,
        .path = "/api/vas/logs/{id}/amend",
        .may = MAY_ADMIN,
        .handle = amend,
        .body = &amend_body,
        .tag = "Logs",
        .summary = "Put a correction beside a call's record"},
};
ADMIN_ROWS(admin_logs_rows, rows);
