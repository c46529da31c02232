/*
 * Gemini's batches: a list of requests in the body, or lines of an uploaded file. A batch is worked
 * off when it is created, and says so when it is asked for. Its results stand in its object or, as
 * its requests did, in a file of lines.
 */
#include "demo/demo_int.h"

struct batch {
    struct str requests, file, display; /* as sent */
    char name[48], results_file[48];    /* results_file: empty = in the object */
    bool vectors;
    unsigned n;
};

static bool is_list(struct str s)
{
    return json_type_of(s) == JSON_ARRAY;
}

static void put_vector(struct demo_call *c)
{
    put(c, "{\"embedding\":");
    gemini_values_put(c, c->body);
    putf(c, ",\"tokenCount\":\"%llu\"}", (unsigned long long)prompt_gemini_words(c->body));
}

/* {"request":…,"metadata" or "key":…} → {"response":…} and the same mark */
static void answer(struct demo_call *c, struct batch *b, struct str item, struct buf *out)
{
    static const struct str marks[] = {STR_INIT("metadata"), STR_INIT("key")};
    struct str request = json_find(item, STR("request"));

    buf_addstr(out, STR("{\"response\":"));
    if (!batch_answer(c, request, b->vectors ? put_vector : gemini_generate_put, out))
        buf_addstr(out, STR("{}"));
    for (unsigned i = 0; i < ARRAY_LEN(marks); i++) {
        struct str mark = json_find(item, marks[i]);
        if (!mark.p)
            continue;
        buf_printf(out, ",\"" STR_FMT "\":", STR_ARG(marks[i]));
        buf_addstr(out, mark);
    }
    buf_addc(out, '}');
    b->n++;
}

static void answer_list(struct demo_call *c, struct batch *b, struct buf *out)
{
    struct str key, item;

    for (size_t at = json_inside(b->requests); json_next(b->requests, &at, &key, &item);) {
        if (b->n)
            buf_addc(out, ',');
        answer(c, b, item, out);
    }
}

static void answer_lines(struct demo_call *c, struct batch *b, struct str lines, struct buf *out)
{
    while (lines.n) {
        struct str line = str_trim(str_split(&lines, '\n'));
        struct json_error err;
        enum json_type top;
        if (!line.n || json_scan(line, NULL, NULL, 0, &top, &err) < 0)
            continue;
        answer(c, b, line, out);
        buf_addc(out, '\n');
    }
}

static void put_object(struct demo_call *c, const struct batch *b, struct str results, bool ended)
{
    putf(c, "{\"name\":\"%s\",\"metadata\":{\"name\":\"%s\",\"model\":\"models/", b->name, b->name);
    put_str(c, unquoted(c->model));
    put(c, "\",\"displayName\":");
    demo_put_raw(c, b->display, "\"demo\"");
    putf(c,
        ",\"createTime\":\"" DEMO_DATE "\",\"updateTime\":\"" DEMO_DATE "\",\"batchStats\":"
        "{\"requestCount\":\"%u\"},\"state\":\"BATCH_STATE_%s\"",
        b->n, ended ? "SUCCEEDED" : "PENDING");
    if (!ended) {
        put(c, "}}");
        return;
    }
    put(c, ",\"endTime\":\"" DEMO_DATE "\",\"output\":{");
    if (b->results_file[0]) {
        putf(c, "\"responsesFile\":\"%s\"", b->results_file);
    } else {
        put(c, "\"inlinedResponses\":{\"inlinedResponses\":[");
        put_str(c, results);
        put(c, "]}");
    }
    put(c, "}},\"done\":true}");
}

static void keep_file(struct demo_call *c, const struct batch *b, struct str results)
{
    size_t from = c->out.n;

    gemini_file_put(c, b->results_file, true);
    (void)store_put(
        STORE_FILE_GEMINI, str_of(b->results_file), str_from(buf_str(&c->out), from), results);
    c->out.n = from;
}

static void create(struct demo_call *c)
{
    _cleanup_(buf_free) struct buf lines, results;
    struct batch b = {.requests = json_find(c->body, STR("batch.inputConfig.requests.requests")),
        .file = json_find(c->body, STR("batch.inputConfig.fileName")),
        .display = json_find(c->body, STR("batch.displayName")),
        .vectors = str_ends(c->match.rest, STR(":asyncBatchEmbedContent"))};
    buf_init(&lines, STORE_BYTES);
    buf_init(&results, STORE_BYTES);
    if (!b.file.p)
        b.file = json_find(c->body, STR("batch.inputConfig.file_name"));
    if (!is_list(b.requests) && !store_get(STORE_FILE_GEMINI, unquoted(b.file), NULL, &lines)) {
        demo_error(c, 400, "* batch.inputConfig: neither requests nor a file that exists");
        return;
    }
    new_id("batches/", b.name);
    if (is_list(b.requests)) {
        answer_list(c, &b, &results);
    } else {
        answer_lines(c, &b, buf_str(&lines), &results);
        new_id("files/", b.results_file);
        keep_file(c, &b, buf_str(&results));
    }
    put_object(c, &b, buf_str(&results), true);
    (void)store_put(STORE_BATCH_GEMINI, str_of(b.name), buf_str(&c->out), STR_NONE);
    buf_clear(&c->out);
    put_object(c, &b, STR_NONE, false);
    demo_json(c);
}

static void by_name(struct demo_call *c)
{
    struct str name = c->match.rest;
    ptrdiff_t colon = str_chr(name, ':');
    bool deleted = c->rq->head.method == HTTP_DELETE;

    if (colon >= 0) /* ":cancel": too late */
        name = str_to(name, (size_t)colon);
    if (!store_get(STORE_BATCH_GEMINI, name, &c->out, NULL)) {
        c->match.id = name;
        demo_not_found(c, "object");
        return;
    }
    if (deleted)
        (void)store_delete(STORE_BATCH_GEMINI, name);
    if (deleted || colon >= 0) {
        buf_clear(&c->out);
        put(c, "{}");
    }
    demo_json(c);
}

void gemini_batches(struct demo_call *c)
{
    struct store_page page;

    if (str_starts(c->match.rest, STR("batches/"))) {
        by_name(c);
    } else if (c->rq->head.method == HTTP_POST) {
        create(c);
    } else {
        put(c, "{\"operations\":[");
        store_list(STORE_BATCH_GEMINI, STR_NONE, STORE_OBJECTS, &c->out, &page);
        put(c, "]}");
        demo_json(c);
    }
}
