/*
 * What else Gemini's API has, in its smallest working form: files, their resumable uploads (of
 * which the last piece makes the file), cached contents, images by :predict, and operations that
 * are always done. Batches: gemini_batches.c.
 */
#include "demo/demo_int.h"

#include <stdio.h>

/* "files/abc" or "cachedContents/abc": the name is the id. */
static void put_name(struct demo_call *c, const char *name)
{
    putf(c, "{\"name\":\"%s\",\"createTime\":\"" DEMO_DATE "\",\"updateTime\":\"" DEMO_DATE "\"",
        name);
}

static void put_cache(struct demo_call *c, const char *name)
{
    put_name(c, name);
    put(c, ",\"expireTime\":\"2023-11-14T23:13:20Z\",\"model\":");
    put_str(c, c->model);
    putf(c, ",\"usageMetadata\":{\"totalTokenCount\":%llu}}",
        (unsigned long long)prompt_gemini_words(c->body));
}

void gemini_file_put(struct demo_call *c, const char *name, bool generated)
{
    struct str file = c->is_json ? json_find(c->body, STR("file")) : STR_NONE;
    struct str display = json_find(file, STR("displayName"));
    struct str type = json_find(file, STR("mimeType"));

    put_name(c, name);
    put(c, ",\"displayName\":");
    demo_put_raw(c, display, "\"demo\"");
    put(c, ",\"mimeType\":");
    demo_put_raw(c, type, "\"text/plain\"");
    putf(c,
        ",\"sizeBytes\":\"%zu\",\"expirationTime\":\"2023-11-16T22:13:20Z\",\"sha256Hash\":"
        "\"ZGVtbw==\","
        "\"uri\":\"https://demo.invalid/v1beta/%s\",\"state\":\"ACTIVE\",\"source\":\"%s\"",
        c->body.n, name, generated ? "GENERATED" : "UPLOADED");
    if (generated)
        putf(c, ",\"downloadUri\":\"https://demo.invalid/v1beta/%s:download?alt=media\"", name);
    put(c, "}");
}

static void create(struct demo_call *c, enum store_kind k)
{
    char name[48];
    new_id(k == STORE_FILE_GEMINI ? "files/" : "cachedContents/", name);
    if (k == STORE_FILE_GEMINI)
        put(c, "{\"file\":");
    size_t from = c->out.n;
    if (k == STORE_FILE_GEMINI)
        gemini_file_put(c, name, false);
    else
        put_cache(c, name);
    (void)store_put(k, str_of(name), str_from(buf_str(&c->out), from), c->body);
    if (k == STORE_FILE_GEMINI)
        put(c, "}");
    demo_json(c);
}

static void collection(struct demo_call *c, enum store_kind k)
{
    struct store_page page;
    if (c->rq->head.method == HTTP_POST) {
        create(c, k);
        return;
    }
    put_str(c, k == STORE_FILE_GEMINI ? STR("{\"files\":[") : STR("{\"cachedContents\":["));
    store_list(k, STR_NONE, STORE_OBJECTS, &c->out, &page);
    put(c, "]}");
    demo_json(c);
}

static void member(struct demo_call *c, enum store_kind k)
{
    bool deleted = c->rq->head.method == HTTP_DELETE;
    struct str name = c->match.rest;
    if (!(deleted ? store_delete(k, name) : store_get(k, name, &c->out, NULL))) {
        c->match.id = name;
        demo_not_found(c, "object");
        return;
    }
    if (deleted)
        put(c, "{}");
    demo_json(c);
}

static void predict(struct demo_call *c)
{
    put(c,
        "{\"predictions\":[{\"mimeType\":\"image/png\",\"bytesBase64Encoded\":\""
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
        "rkJggg==\"}]}");
    demo_json(c);
}

/* A long-running operation: at work when it is named first, done when it is asked for. */
static void operation(struct demo_call *c)
{
    char name[48];
    if (str_chr(c->match.rest, ':') >= 0) {
        new_id("operations/", name);
        putf(c, "{\"name\":\"%s\"}", name);
    } else {
        put(c, "{\"name\":");
        put_json(c, c->match.rest);
        put(c, ",\"done\":true,\"response\":{}}");
    }
    demo_json(c);
}

static void download(struct demo_call *c)
{
    struct str name = str_to(c->match.rest, c->match.rest.n - STR(":download").n);
    if (!store_get(STORE_FILE_GEMINI, name, NULL, &c->out)) {
        c->match.id = name;
        demo_not_found(c, "object");
        return;
    }
    demo_reply(c, 200, STR("application/octet-stream"));
}

void gemini_other(struct demo_call *c)
{
    struct str rest = c->match.rest;
    if (str_eq(rest, STR("files")))
        collection(c, STORE_FILE_GEMINI);
    else if (str_eq(rest, STR("cachedContents")))
        collection(c, STORE_CACHE_GEMINI);
    else if (str_ends(rest, STR(":download")))
        download(c);
    else if (str_starts(rest, STR("files/")))
        member(c, STORE_FILE_GEMINI);
    else if (str_starts(rest, STR("cachedContents/")))
        member(c, STORE_CACHE_GEMINI);
    else if (str_ends(rest, STR(":predict")))
        predict(c);
    else
        operation(c);
}

static struct str upload_field(struct demo_call *c, struct str name)
{
    const struct http_fields *f = &c->rq->head.fields;
    for (unsigned i = 0; i < f->n; i++)
        if (str_ieq(f->at[i].name, name))
            return f->at[i].value;
    return STR_NONE;
}

void gemini_upload(struct demo_call *c)
{
    struct str command = upload_field(c, STR("x-goog-upload-command"));
    struct str host = http_get(&c->rq->head.fields, HTTP_HOST);
    char fields[512];
    if (str_find(command, STR("finalize")) >= 0) {
        c->more_fields = STR("x-goog-upload-status: final\r\n");
        create(c, STORE_FILE_GEMINI);
        return;
    }
    int n = str_find(command, STR("start")) < 0
                ? snprintf(fields, sizeof fields, "x-goog-upload-status: active\r\n")
                : snprintf(fields, sizeof fields,
                      "x-goog-upload-status: active\r\nx-goog-upload-url: http://" STR_FMT
                      "/upload/v1beta/files?upload_id=demo&upload_protocol=resumable\r\n",
                      (int)MIN(host.n, 300), host.p);
    c->more_fields = str_at(fields, (size_t)n);
    put(c, "{}");
    demo_json(c);
}
