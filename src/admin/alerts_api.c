/*
 * Alerts: those that were told, one of an administrator's own, and a test of where they go. See
 * alert/alert.h.
 */
#include "admin/api_int.h"
#include "admin/rows.h"
#include "alert/alert.h"
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>

/* --- the list --- */

static const char *const status_words[] = {
    "pending", "sent", "partial", "failed", "recorded", NULL};

static const struct field_row alert_fields[] = {
    {"id", FIELD_TEXT, 0, 0, 0, 32, NULL, NULL, "Its id; idempotency-key of signed webhooks.",
        NULL},
    {"timestamp", FIELD_TIME, 0, 0, 0, 0, NULL, NULL, "When it was raised.", NULL},
    {"node", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "By which node.", NULL},
    {"kind", FIELD_WORD, 0, 0, 0, 0, alert_kind_words, NULL, "What it is about.", NULL},
    {"severity", FIELD_WORD, 0, 0, 0, 0, alert_severity_words, NULL, "How bad it is.", NULL},
    {"subject", FIELD_TEXT, 0, 0, 0, ALERT_SUBJECT_BYTES, NULL, NULL, "About whom or what.",
        "\"provider:openai\""},
    {"title", FIELD_TEXT, 0, 0, 0, ALERT_TITLE_BYTES, NULL, NULL, "In a few words.", NULL},
    {"message", FIELD_TEXT, 0, 0, 0, ALERT_TEXT_BYTES, NULL, NULL, "In a sentence.", NULL},
    {"details", FIELD_OBJECT, 0, 0, 0, 0, NULL, NULL, "The numbers behind it.", NULL},
    {"repeats", FIELD_INT, 0, 0, 0, 0, NULL, NULL,
        "How many of the same kind and subject were not told before it.", NULL},
    {"status", FIELD_WORD, 0, 0, 0, 0, status_words, NULL,
        "What became of it; recorded: there was nowhere to send it.", NULL},
    {"deliveries", FIELD_OBJECT, 0, 0, 0, 0, NULL, NULL, "Status and tries by destination.", NULL},
};
static const struct admin_schema alert_schema = {"Alert", alert_fields, ARRAY_LEN(alert_fields), 0};

struct alerts_query {
    int64_t start, end;
    uint32_t kind;
    struct str status;
};
#define AT(member) offsetof(struct alerts_query, member)
static const struct field_row query_fields[] = {
    {"start", FIELD_TIME, 0, AT(start), 0, 0, NULL, NULL, "Not before this time.", NULL},
    {"end", FIELD_TIME, 0, AT(end), 0, 0, NULL, NULL, "Before this time.", NULL},
    {"kind", FIELD_WORD, 0, AT(kind), 0, 0, alert_kind_words, NULL, "Only of this kind.", NULL},
    {"status", FIELD_TEXT, 0, AT(status), 1, 16, NULL, NULL, "Only with this status.", NULL},
};
#undef AT
static const struct admin_schema alerts_query = {
    NULL, query_fields, ARRAY_LEN(query_fields), sizeof(struct alerts_query)};

static void put_alert(struct buf *b, const struct store_rows *r, unsigned i)
{
    put_open(b, NULL, '{');
    put_str(b, "id", store_cell_str(r, i, 0));
    put_time(b, "timestamp", store_cell_int(r, i, 1));
    put_str(b, "node", store_cell_str(r, i, 2));
    put_str(b, "kind", store_cell_str(r, i, 3));
    put_str(b, "severity", store_cell_str(r, i, 4));
    put_str(b, "subject", store_cell_str(r, i, 5));
    put_str(b, "title", store_cell_str(r, i, 6));
    put_str(b, "message", store_cell_str(r, i, 7));
    put_raw(b, "details", store_cell_str(r, i, 8));
    put_int(b, "repeats", store_cell_int(r, i, 9));
    put_str(b, "status", store_cell_str(r, i, 10));
    put_raw(b, "deliveries", store_cell_str(r, i, 11));
    put_close(b, '}');
}

/* "at:id" of the last one shown; the next is an older one. */
static bool read_cursor(struct str text, struct store_value v[static 2])
{
    uint64_t at;
    struct str first = str_split(&text, ':');

    if (!text.p || str_u64(first, &at) < 0 || at > INT64_MAX)
        return false;
    v[0] = store_int((int64_t)at);
    v[1] = store_text(text);
    return true;
}

static int alerts_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct alerts_query *q = c->query;
    char err[STORE_ERR_BYTES] = "";
    struct str kind = admin_asked(c, "kind") ? str_of(alert_kind_words[q->kind]) : STR("");
    struct store_value v[] = {store_int(INT64_MAX), store_text(STR("")), store_int(q->start),
        store_int(q->end ? q->end : INT64_MAX), store_text(kind), store_text(q->status),
        store_int((int64_t)p->limit + 1)};
    (void)ctx;

    if (p->cursor.n && !read_cursor(p->cursor, v))
        return admin_bad(c, "cursor", "cursor is not of this list.");
    int r = store_query(c->env->store,
        "SELECT id, at, node, kind, severity, subject, title, message, details, repeats, status, "
        "deliveries FROM alerts WHERE (at < ?1 OR (at = ?1 AND id < ?2)) AND at >= ?3 AND at < ?4 "
        "AND (?5 = '' OR kind = ?5) AND (?6 = '' OR status = ?6) "
        "ORDER BY at DESC, id DESC LIMIT ?7",
        v, ARRAY_LEN(v), &rows, err);
    if (r < 0)
        return admin_store_fail(c, r, err);
    unsigned n = MIN(store_rows_n(rows), p->limit);
    for (unsigned i = 0; i < n; i++)
        put_alert(p->items, rows, i);
    if (store_rows_n(rows) > n)
        p->next = arena_printf(&c->arena, "%" PRId64 ":" STR_FMT, store_cell_int(rows, n - 1, 1),
            STR_ARG(store_cell_str(rows, n - 1, 0)));
    return 0;
}

static int list(struct admin_call *c)
{
    return c->env->store ? admin_list(c, alerts_page, NULL) : admin_store_fail(c, -EHOSTDOWN, NULL);
}

/* --- one's own --- */

struct alert_body {
    struct str title, message, subject, details, webhook_url;
    uint32_t severity;
};
#define AT(member) offsetof(struct alert_body, member)
static const struct field_row body_fields[] = {
    {"title", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, AT(title), 1, ALERT_TITLE_BYTES, NULL,
        NULL, "In a few words.", "\"Nightly import failed\""},
    {"message", FIELD_TEXT, FIELD_CREATE, AT(message), 0, ALERT_TEXT_BYTES, NULL, NULL,
        "In a sentence.", NULL},
    {"severity", FIELD_WORD, FIELD_CREATE, AT(severity), 0, 0, alert_severity_words, NULL,
        "How bad it is.", "\"warning\""},
    {"subject", FIELD_TEXT, FIELD_CREATE, AT(subject), 1, ALERT_SUBJECT_BYTES, NULL, NULL,
        "What it is about; one alert a subject is told within SMARTFLOW_ALERT_REPEAT. The title, "
        "when not given.",
        "\"job:import\""},
    {"details", FIELD_OBJECT, FIELD_CREATE, AT(details), 2, ALERT_DETAILS_BYTES, NULL, NULL,
        "Anything more.", NULL},
    {"webhook_url", FIELD_TEXT, FIELD_CREATE, AT(webhook_url), 1, ALERT_URL_BYTES, NULL, NULL,
        "A further address that gets it as JSON, unsigned; internal ones are refused.", NULL},
};
#undef AT
static const struct admin_schema alert_body = {
    "Custom_alert", body_fields, ARRAY_LEN(body_fields), sizeof(struct alert_body)};

static int check_url(struct admin_call *c, struct str url)
{
    struct post_target *t = NULL;
    char why[POST_ERR_BYTES] = "";

    if (!url.n)
        return 0;
    int r = post_target_new(url, NULL, true, &t, why);
    post_target_unref(t);
    return r < 0 ? admin_bad(c, "webhook_url", "webhook_url: %s.", why) : 0;
}

static int create(struct admin_call *c)
{
    const struct alert_body *b = c->body;
    char id[ALERT_ID_BYTES] = "";
    const struct alert a = {.kind = ALERT_CUSTOM,
        .severity = admin_gave(c, "severity") ? (enum alert_severity)b->severity : ALERT_INFO,
        .subject = b->subject.n ? b->subject : b->title,
        .title = b->title,
        .text = b->message,
        .details = b->details,
        .url = b->webhook_url};
    int r = check_url(c, b->webhook_url);

    if (r < 0)
        return r;
    enum alert_taken taken = alert_fire(&a, id);
    if (taken == ALERT_OFF)
        return admin_fail(
            c, 503, "alerts_disabled", "Alerts are switched off: SMARTFLOW_ALERTS_ENABLED.");
    put_open(&c->out, NULL, '{');
    put_str_or_null(&c->out, "id", str_of(id));
    put_bool(&c->out, "queued", taken == ALERT_TAKEN);
    put_bool(&c->out, "repeated", taken == ALERT_REPEATED);
    put_close(&c->out, '}');
    c->status = 200;
    return 0;
}

/* --- the test --- */

static int test(struct admin_call *c)
{
    _cleanup_(buf_free) struct buf results = {0};
    const struct post_route route = {.proxy = c->config->proxy, .ca = c->config->export_ca};

    buf_init(&results, 64 * KIB);
    alert_test(&c->config->alert, &route, c->env->node, &results);
    put_open(&c->out, NULL, '{');
    put_raw(&c->out, "results", buf_str(&results));
    put_close(&c->out, '}');
    return results.err;
}

static const struct admin_row rows[] = {
    {.method = HTTP_GET,
        .path = "/api/alerts",
        .may = MAY_VIEW,
        .scope = SCOPE_COMMON,
        .handle = list,
        .query = &alerts_query,
        .reply = &alert_schema,
        .name = "alerts",
        .list = true,
        .tag = "Alerts",
        .summary = "Alerts, and what became of them, newest first"},
    {.method = HTTP_POST,
        .path = "/api/alerts",
        .may = MAY_ADMIN,
        .handle = create,
        .body = &alert_body,
        .name = "alert",
        .flags = ADMIN_UNRECORDED,
        .tag = "Alerts",
        .summary = "Raise an alert of one's own"},
    {.method = HTTP_POST,
        .path = "/api/alerts/test",
        .may = MAY_ADMIN,
        .handle = test,
        .flags = ADMIN_UNRECORDED | ADMIN_BODY_OPTIONAL,
        .tag = "Alerts",
        .summary = "Send a test to every destination, and see what it answers"},
};
const struct admin_rows admin_alerts_rows = {rows, ARRAY_LEN(rows)};
