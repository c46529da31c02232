/*
 * One call with all that is known of it, for the trace page. Its row comes from the store, the rest
 * from this node's journal; the prompt and the reply from the journal's bodies, or, of calls that
 * another node served, from the store where it has copies.
 *
 * Nothing of a call is ever changed. What was erased is gone from where bodies lie and named in the
 * journal; an amendment stands beside what it amends.
 */
#include "admin/logs_int.h"
#include "crypto/digest.h"
#include "crypto/encode.h"
#include "journal/journal.h"
#include "ledger/ledger.h"
#include "ledger/trace.h"
#include "text/utf8.h"
#include "json/scan.h"

#include <errno.h>
#include <stdio.h>

#define BODY_BYTES (8 * MIB)
#define WAIT_NS    NS_PER_S
#define RECENT_NS  (60 * NS_PER_S)

/* --- bodies --- */

static bool is_here(const struct admin_call *c, const struct log_row *w)
{
    return c->env->journal && str_eq(w->node, c->env->node);
}

static int copied_body(
    struct admin_call *c, const struct log_row *w, enum log_body which, struct buf *out)
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

int logs_read_body(
    struct admin_call *c, const struct log_row *w, enum log_body which, struct buf *out)
{
    int64_t ref = which == LOG_REQUEST ? w->req_ref : w->resp_ref;

    buf_init(out, BODY_BYTES);
    if (!ref)
        return -ENOENT;
    return is_here(c, w) ? journal_body_read(c->env->journal, (uint64_t)ref, out)
                         : copied_body(c, w, which, out);
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
static int find_soon(struct admin_call *c, struct found *f, int64_t began, char *err)
{
    int64_t deadline = clock_now() + WAIT_NS;
    bool recent = clock_wall() - began < RECENT_NS;
    int r = logs_get(c->env->store, admin_param(c, 0), &f->rows, &f->row, err);

    for (bool again = true; r == 0 && again; again = recent && clock_now() < deadline) {
        store_rows_free(f->rows);
        f->rows = NULL;
        r = ledger_wait(began, deadline);
        if (r == 0)
            r = logs_get(c->env->store, admin_param(c, 0), &f->rows, &f->row, err);
    }
    return r;
}

static int find(struct admin_call *c, struct found *f)
{
    struct str id = admin_param(c, 0);
    char err[STORE_ERR_BYTES] = "";
    int64_t began;

    (void)admin_own_org(c);
    if (!c->env->store)
        return admin_store_fail(c, -EHOSTDOWN, NULL);
    if (logs_time_of_id(id, &began) < 0)
        return admin_not_found(c, "call", id);
    int r = find_soon(c, f, began, err);
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

/* entry: its `open`, or the outcome of a call with one attempt. */
static void put_attempt(struct buf *b, struct str number, struct str seq, struct str entry)
{
    uint64_t nano = 0;

    put_open(b, NULL, '{');
    put_json(b, "seq", seq);
    put_json(b, "attempt", number);
    put_json(b, "provider", json_find(entry, STR("provider")));
    put_json(b, "model", json_find(entry, STR("model")));
    json_u64(json_find(entry, STR("reserved")), &nano);
    put_money(b, "reserved_usd", (int64_t)MIN(nano, (uint64_t)INT64_MAX));
    put_close(b, '}');
}

/* A call that was over within moments is one entry. */
static void put_only_attempt(struct buf *b, int64_t at, struct str outcome)
{
    char seq[24];

    snprintf(seq, sizeof seq, "%lld", (long long)at);
    if (str_eq(json_find(outcome, STR("attempts")), STR("1")))
        put_attempt(b, STR("1"), str_of(seq), outcome);
}

static void put_attempts(struct buf *b, const struct log_row *w, const struct trace *t)
{
    struct str attempts = buf_str(&t->attempts), key, item;
    size_t at = json_inside(attempts);

    put_open(b, "attempts_made", '[');
    if (!w->open_seq)
        put_only_attempt(b, w->seq, buf_str(&t->outcome));
    while (at && json_next(attempts, &at, &key, &item)) {
        struct str entry = json_find(item, STR("payload"));
        put_attempt(b, json_find(entry, STR("attempt")), json_find(item, STR("seq")), entry);
    }
    put_close(b, ']');
}

static void put_journal(struct admin_call *c, const struct log_row *w, const struct trace *t)
{
    struct buf *b = &c->out;

    put_attempts(b, w, t);
    put_json(b, "entry", buf_str(&t->outcome));
    put_open(b, "journal", '{');
    put_str(b, "chain_id", w->node);
    put_int(b, "seq", w->seq);
    if (w->open_seq)
        put_int(b, "open_seq", w->open_seq);
    else
        put_null(b, "open_seq");
    put_str_or_null(b, "entry_hmac", t->entry_hmac);
    put_str_or_null(b, "prev_hash", t->prev_hash);
    put_str_or_null(b, "key_id", t->key_id);
    put_close(b, '}');
    put_json(b, "checkpoint", json_find(buf_str(&t->proof), STR("checkpoint")));
    put_json(b, "proof", buf_str(&t->proof));
}

/* --- what routing did --- */

static void put_candidate(struct buf *b, struct str c)
{
    put_open(b, NULL, '{');
    put_json(b, "provider", json_find(c, STR("provider")));
    put_json(b, "model", json_find(c, STR("model")));
    put_json(b, "skipped", json_find(c, STR("why")));
    put_close(b, '}');
}

static void put_try(struct buf *b, struct str t)
{
    static const struct str names[] = {STR_INIT("provider"), STR_INIT("model"), STR_INIT("then"),
        STR_INIT("fault"), STR_INIT("status"), STR_INIT("us"), STR_INIT("waited_us")};
    struct str v[ARRAY_LEN(names)];

    json_members(t, names, v, ARRAY_LEN(names));
    put_open(b, NULL, '{');
    put_json(b, "provider", v[0]);
    put_json(b, "model", v[1]);
    put_json(b, "result", v[2]);
    put_json(b, "fault", v[3]);
    put_json(b, "status", v[4]);
    put_raw(b, "us", v[5].n ? v[5] : STR("0"));
    put_raw(b, "waited_us", v[6].n ? v[6] : STR("0"));
    put_close(b, '}');
}

static void put_each(
    struct buf *b, const char *name, struct str list, void (*put)(struct buf *b, struct str item))
{
    struct str key, item;
    size_t at = list.n ? json_inside(list) : 0;

    put_open(b, name, '[');
    while (at && json_next(list, &at, &key, &item))
        put(b, item);
    put_close(b, ']');
}

static bool is_set(struct str routing, const char *name)
{
    return json_find(routing, str_of(name)).n > 0;
}

/* A call whose model's name alone led to its provider has none in the journal. */
static void put_routing(struct buf *b, struct str payload)
{
    struct str r = json_find(payload, STR("routing"));

    put_open(b, "routing", '{');
    put_json(b, "chain", json_find(r, STR("chain")));
    put_json(b, "strategy", json_find(r, STR("strategy")));
    put_json(b, "note", json_find(r, STR("note")));
    put_bool(b, "fallback_used", is_set(r, "fallback_used"));
    put_raw(b, "fallbacks", is_set(r, "fallbacks") ? json_find(r, STR("fallbacks")) : STR("0"));
    put_raw(b, "hedges", is_set(r, "hedges") ? json_find(r, STR("hedges")) : STR("0"));
    put_raw(b, "skipped", is_set(r, "skipped") ? json_find(r, STR("skipped")) : STR("0"));
    put_open(b, "shadow", '{');
    put_json(b, "provider", json_find(r, STR("shadow_provider")));
    put_json(b, "model", json_find(r, STR("shadow")));
    put_close(b, '}');
    put_each(b, "candidates", json_find(r, STR("candidates")), put_candidate);
    put_each(b, "attempts", json_find(r, STR("tries")), put_try);
    put_close(b, '}');
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

static const char *state_of(const struct log_row *w, int r, enum log_body which, struct str sha)
{
    int64_t ref = which == LOG_REQUEST ? w->req_ref : w->resp_ref;

    if (!ref)
        return sha.n ? "hashed" : "none";
    return r == 0 ? "kept" : r == -ENOENT ? "gone" : "unreadable";
}

static void put_body(
    struct admin_call *c, const struct log_row *w, enum log_body which, struct str payload)
{
    static const char *const names[][4] = {{"request", "req_len", "req_sha256", "request_content"},
        {"response", "resp_len", "resp_sha256", "response_content"}};
    const char *const *n = names[which];
    _cleanup_(buf_free) struct buf body = {0};
    struct str text = STR_NONE, sha = text_of(payload, n[2]);
    struct buf *b = &c->out;
    int r = logs_read_body(c, w, which, &body);

    put_open(b, n[0], '{');
    put_str(b, "state", str_of(state_of(w, r, which, sha)));
    put_json(b, "length", json_find(payload, str_of(n[1])));
    put_str_or_null(b, "sha256", sha);
    if (r == 0)
        put_content(c, buf_str(&body), which == LOG_REPLY && w->streamed > 0, &text);
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
    logs_put_what(b, w);
    logs_put_usage(b, w);
    logs_put_who(b, w);
    put_body(c, w, LOG_REQUEST, buf_str(&t.outcome));
    put_body(c, w, LOG_REPLY, buf_str(&t.outcome));
    put_timing(b, w);
    put_stages(b, buf_str(&t.outcome));
    put_routing(b, buf_str(&t.outcome));
    put_journal(c, w, &t);
    r = put_acts(c, w);
    put_null(b, "compliance");
    put_open(b, "guardrails", '[');
    put_close(b, ']');
    put_close(b, '}');
    trace_free(&t);
    return r;
}

int logs_detail(struct admin_call *c)
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
const struct admin_schema logs_erase_body = {
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

int logs_erase(struct admin_call *c)
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
const struct admin_schema logs_amend_body = {
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

int logs_amend(struct admin_call *c)
{
    struct found f = {0};
    int r = find(c, &f);

    if (r == 0)
        r = amend_row(c, &f.row);
    store_rows_free(f.rows);
    return r;
}
