/*
 * Batches of OpenAI (lines of a file) and Anthropic (a list in the body). A batch is worked off
 * when it is created, but says so only when asked again, as a real one would.
 */
#include "demo/anthropic_int.h"
#include "demo/openai_int.h"

bool batch_answer(
    struct demo_call *c, struct str body, void (*render)(struct demo_call *), struct buf *out)
{
    struct demo_call one;
    call_init(&one, c->rq);
    one.match = c->match;
    one.dialect = c->dialect;
    one.model = c->model;
    one.body = body;
    bool ok = request_parse(&one) == 0;
    if (ok) {
        prompt_read(&one);
        one.answer = answer_make(&one);
        ok = one.answer != NULL && one.dir.status < 300;
    }
    if (ok) {
        render(&one);
        buf_addstr(out, buf_str(&one.out));
    }
    call_free(&one);
    return ok;
}

/* --- OpenAI --- */

struct batch {
    struct str file, endpoint, window, metadata; /* as sent */
    char id[48], output[48];
    unsigned total, failed;
};

static void batch_put(struct buf *out, const struct batch *b, const char *status, bool ended)
{
    buf_printf(
        out, "{\"id\":\"%s\",\"object\":\"batch\",\"status\":\"%s\",\"endpoint\":", b->id, status);
    buf_addstr(out, b->endpoint.p ? b->endpoint : STR("\"/v1/chat/completions\""));
    buf_addstr(out, STR(",\"errors\":null,\"input_file_id\":"));
    buf_addstr(out, b->file.p ? b->file : STR("\"\""));
    buf_addstr(out, STR(",\"completion_window\":"));
    buf_addstr(out, b->window.p ? b->window : STR("\"24h\""));
    buf_printf(out, ",\"created_at\":%d,\"expires_at\":%d,\"in_progress_at\":%s", DEMO_CREATED,
        DEMO_CREATED + 86400, ended ? "1700000001" : "null");
    buf_printf(out,
        ",\"finalizing_at\":%s,\"completed_at\":%s,\"failed_at\":null,\"expired_at\":null,"
        "\"cancelling_at\":null,\"cancelled_at\":null,\"error_file_id\":null,\"output_file_id\":",
        ended ? "1700000002" : "null", ended ? "1700000003" : "null");
    if (ended)
        buf_printf(out, "\"%s\"", b->output);
    else
        buf_addstr(out, STR("null"));
    buf_printf(out,
        ",\"request_counts\":{\"total\":%u,\"completed\":%u,\"failed\":%u},\"metadata\":",
        ended ? b->total : 0, ended ? b->total - b->failed : 0, ended ? b->failed : 0);
    buf_addstr(out, b->metadata.p ? b->metadata : STR("null"));
    buf_addstr(out, STR("}"));
}

static void batch_line(struct demo_call *c, struct batch *b, struct str line, struct buf *out)
{
    struct json_error err;
    enum json_type top;
    if (!str_trim(line).n || json_scan(line, NULL, NULL, 0, &top, &err) < 0)
        return;
    struct str custom = json_find(line, STR("custom_id"));
    buf_printf(out, "{\"id\":\"batch_req_%s%u\",\"custom_id\":", b->id + 6, b->total++);
    buf_addstr(out, custom.p ? custom : STR("null"));
    buf_addstr(
        out, STR(",\"response\":{\"status_code\":200,\"request_id\":\"req_demo\",\"body\":"));
    if (!batch_answer(c, json_find(line, STR("body")), openai_chat_put, out)) {
        buf_addstr(out, STR("{}"));
        b->failed++;
    }
    buf_addstr(out, STR("},\"error\":null}\n"));
}

static void batch_run(struct demo_call *c, struct batch *b, struct str lines)
{
    _cleanup_(buf_free) struct buf out, file;
    buf_init(&out, STORE_BYTES);
    buf_init(&file, 4 * KIB);
    while (lines.n) {
        struct str line = str_split(&lines, '\n');
        batch_line(c, b, line, &out);
    }
    new_id("file-", b->output);
    openai_file_put(&file, b->output, STR("output.jsonl"), STR("batch_output"), out.n);
    (void)store_put(STORE_FILE, str_of(b->output), buf_str(&file), buf_str(&out));
}

static void batch_create(struct demo_call *c)
{
    _cleanup_(buf_free) struct buf lines, done;
    struct batch b = {.file = json_find(c->body, STR("input_file_id")),
        .endpoint = json_find(c->body, STR("endpoint")),
        .window = json_find(c->body, STR("completion_window")),
        .metadata = json_find(c->body, STR("metadata"))};
    buf_init(&lines, STORE_BYTES);
    buf_init(&done, 64 * KIB);
    if (!store_get(STORE_FILE, unquoted(b.file), NULL, &lines)) {
        demo_error(c, 400, "The input_file_id names no file.");
        return;
    }
    new_id("batch_", b.id);
    batch_run(c, &b, buf_str(&lines));
    batch_put(&done, &b, "completed", true);
    (void)store_put(STORE_BATCH, str_of(b.id), buf_str(&done), STR_NONE);
    batch_put(&c->out, &b, "validating", false);
    demo_json(c);
}

/* Replaces the first value of a member that stands with this text. */
static void put_replaced(struct demo_call *c, struct str object, struct str from, struct str to)
{
    ptrdiff_t at = str_find(object, from);
    if (at < 0) {
        put_str(c, object);
        return;
    }
    put_str(c, str_to(object, (size_t)at));
    put_str(c, to);
    put_str(c, str_from(object, (size_t)at + from.n));
}

void openai_batches(struct demo_call *c)
{
    _cleanup_(buf_free) struct buf object;
    buf_init(&object, MIB);
    struct str id = c->match.id;
    if (!id.n && c->rq->head.method == HTTP_GET) {
        demo_list(c, STORE_BATCH);
    } else if (!id.n) {
        batch_create(c);
    } else if (!store_get(STORE_BATCH, id, &object, NULL)) {
        demo_not_found(c, "batch");
    } else if (c->rq->head.method == HTTP_POST) {
        put_replaced(
            c, buf_str(&object), STR("\"status\":\"completed\""), STR("\"status\":\"cancelling\""));
        (void)store_put(STORE_BATCH, id, buf_str(&c->out), STR_NONE);
        demo_json(c);
    } else {
        put_str(c, buf_str(&object));
        demo_json(c);
    }
}

/* --- Anthropic --- */

static void message_batch_put(
    struct demo_call *c, struct buf *out, const char *id, unsigned n, bool ended)
{
    struct str host = http_get(&c->rq->head.fields, HTTP_HOST);
    buf_printf(out,
        "{\"id\":\"%s\",\"type\":\"message_batch\",\"processing_status\":\"%s\","
        "\"request_counts\":{\"processing\":%u,\"succeeded\":%u,\"errored\":0,\"canceled\":0,"
        "\"expired\":0},\"created_at\":\"" DEMO_DATE "\",\"expires_at\":\"2023-11-15T22:13:20Z\","
        "\"ended_at\":%s,\"archived_at\":null,\"cancel_initiated_at\":null,\"results_url\":",
        id, ended ? "ended" : "in_progress", ended ? 0 : n, ended ? n : 0,
        ended ? "\"" DEMO_DATE "\"" : "null");
    if (ended)
        buf_printf(
            out, "\"http://" STR_FMT "/v1/messages/batches/%s/results\"}", STR_ARG(host), id);
    else
        buf_addstr(out, STR("null}"));
}

static void message_batch_create(struct demo_call *c)
{
    _cleanup_(buf_free) struct buf results, done;
    struct str list = json_find(c->body, STR("requests")), key, item;
    unsigned n = 0;
    char id[48];
    buf_init(&results, STORE_BYTES);
    buf_init(&done, 64 * KIB);
    if (json_type_of(list) != JSON_ARRAY) {
        demo_error(c, 400, "requests: Field required");
        return;
    }
    for (size_t at = json_inside(list); json_next(list, &at, &key, &item); n++) {
        struct str custom = json_find(item, STR("custom_id"));
        buf_addstr(&results, STR("{\"custom_id\":"));
        buf_addstr(&results, custom.p ? custom : STR("\"\""));
        buf_addstr(&results, STR(",\"result\":{\"type\":\"succeeded\",\"message\":"));
        if (!batch_answer(c, json_find(item, STR("params")), anthropic_message, &results))
            buf_addstr(&results, STR("null"));
        buf_addstr(&results, STR("}}\n"));
    }
    new_id("msgbatch_", id);
    message_batch_put(c, &done, id, n, true);
    (void)store_put(STORE_BATCH_ANTHROPIC, str_of(id), buf_str(&done), buf_str(&results));
    message_batch_put(c, &c->out, id, n, false);
    demo_json(c);
}

static void message_batch_by_id(struct demo_call *c)
{
    struct str id = c->match.id;
    bool results = str_ends(c->match.rest, STR("/results"));
    if (!store_get(STORE_BATCH_ANTHROPIC, id, results ? NULL : &c->out, results ? &c->out : NULL)) {
        demo_not_found(c, "batch");
        return;
    }
    if (c->rq->head.method == HTTP_DELETE) {
        (void)store_delete(STORE_BATCH_ANTHROPIC, id);
        buf_clear(&c->out);
        put(c, "{\"id\":");
        put_json(c, id);
        put(c, ",\"type\":\"message_batch_deleted\"}");
    } else if (c->rq->head.method == HTTP_POST) {
        _cleanup_(buf_free) struct buf object;
        buf_init(&object, MIB);
        buf_addstr(&object, buf_str(&c->out));
        buf_clear(&c->out);
        put_replaced(c, buf_str(&object), STR("\"cancel_initiated_at\":null"),
            STR("\"cancel_initiated_at\":\"" DEMO_DATE "\""));
    }
    demo_reply(c, 200, results ? STR("application/x-jsonl") : STR("application/json"));
}

void anthropic_batches(struct demo_call *c)
{
    if (c->match.id.n)
        message_batch_by_id(c);
    else if (c->rq->head.method == HTTP_POST)
        message_batch_create(c);
    else
        demo_list(c, STORE_BATCH_ANTHROPIC);
}
