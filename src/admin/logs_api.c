/*
 * The log of calls: lists with filters and export. Rows come from the store, previews of prompts
 * and replies from where they lie (logs_detail.c).
 */
#include "admin/logs_int.h"
#include "admin/rows.h"
#include "admin/when.h"
#include "text/utf8.h"

#include <errno.h>
#include <inttypes.h>

#define PREVIEW_BYTES 2048

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

void logs_put_what(struct buf *b, const struct log_row *w)
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

void logs_put_usage(struct buf *b, const struct log_row *w)
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

void logs_put_who(struct buf *b, const struct log_row *w)
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

/* --- previews --- */

static void put_preview(struct admin_call *c, struct buf *b, const char *name,
    const struct log_row *w, enum log_body which)
{
    _cleanup_(buf_free) struct buf text = {0};
    int r = logs_read_body(c, w, which, &text);
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
    logs_put_what(b, w);
    logs_put_usage(b, w);
    logs_put_who(b, w);
    if (page->content) {
        put_preview(page->c, b, "request_content", w, LOG_REQUEST);
        put_preview(page->c, b, "response_content", w, LOG_REPLY);
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
        .path = "/api/redis/logs",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_OWN,
        .handle = logs,
        .query = &logs_query,
        .reply = &log_schema,
        .name = "logs",
        .list = true,
        .tag = "Logs",
        .summary = "The same, under the name that the SDK's bridge has"},
    {.method = HTTP_GET,
        .path = "/api/vas/logs/{id}",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_OWN,
        .handle = logs_detail,
        .tag = "Logs",
        .summary = "All that is known of one call"},
    {.method = HTTP_DELETE,
        .path = "/api/vas/logs/{id}/content",
        .may = MAY_ADMIN,
        .handle = logs_erase,
        .body = &logs_erase_body,
        .flags = ADMIN_BODY_OPTIONAL,
        .tag = "Logs",
        .summary = "Erase a call's prompt and reply; its record stays"},
    {.method = HTTP_POST,
        .path = "/api/vas/logs/{id}/amend",
        .may = MAY_ADMIN,
        .handle = logs_amend,
        .body = &logs_amend_body,
        .tag = "Logs",
        .summary = "Put a correction beside a call's record"},
};
ADMIN_ROWS(admin_logs_rows, rows);
