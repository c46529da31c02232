/*
 * Files of OpenAI and Anthropic, and OpenAI's uploads in parts, which end as a file.
 */
#include "demo/openai_int.h"

static enum store_kind kind_of(const struct demo_call *c)
{
    return c->dialect == DIALECT_ANTHROPIC ? STORE_FILE_ANTHROPIC : STORE_FILE;
}

/* A raw query value; empty when absent. */
static struct str query(const struct demo_call *c, struct str name)
{
    return http_query_get(c->rq->head.query, name);
}

/* The list of a kind in the dialect's envelope. */
void demo_list(struct demo_call *c, enum store_kind k)
{
    bool anthropic = c->dialect == DIALECT_ANTHROPIC;
    uint64_t limit = value_u64(query(c, STR("limit")), anthropic ? 20 : 100);
    struct str after = query(c, anthropic ? STR("after_id") : STR("after"));
    struct store_page page;
    put_str(c, anthropic ? STR("{\"data\":[") : STR("{\"object\":\"list\",\"data\":["));
    store_list(k, after, (unsigned)MIN(limit, (uint64_t)STORE_OBJECTS), &c->out, &page);
    putf(c, "],\"has_more\":%s", page.more ? "true" : "false");
    if (page.n)
        putf(c, ",\"first_id\":\"%s\",\"last_id\":\"%s\"}", page.first, page.last);
    else
        put(c, ",\"first_id\":null,\"last_id\":null}");
    demo_json(c);
}

void openai_file_put(struct buf *out, const char *id, struct str name, struct str purpose, size_t n)
{
    buf_printf(out,
        "{\"id\":\"%s\",\"object\":\"file\",\"bytes\":%zu,\"created_at\":%d,\"filename\":", id, n,
        DEMO_CREATED);
    buf_addjson(out, name);
    buf_addstr(out, STR(",\"purpose\":"));
    buf_addjson(out, purpose.n ? purpose : STR("user_data"));
    buf_addstr(out, STR(",\"status\":\"processed\",\"expires_at\":null,\"status_details\":null}"));
}

static void anthropic_file_put(struct buf *out, const char *id, const struct form_field *f)
{
    buf_printf(
        out, "{\"type\":\"file\",\"id\":\"%s\",\"size_bytes\":%zu,\"filename\":", id, f->value.n);
    buf_addjson(out, f->filename);
    buf_addstr(out, STR(",\"mime_type\":"));
    buf_addjson(out, f->type.n ? f->type : STR("application/octet-stream"));
    buf_addstr(out, STR(",\"created_at\":\"" DEMO_DATE "\",\"downloadable\":true}"));
}

static void create(struct demo_call *c)
{
    const struct form_field *f = form_file(c->form);
    char id[48];
    if (!f) {
        demo_error(c, 400, "A multipart form with a 'file' is required.");
        return;
    }
    bool anthropic = c->dialect == DIALECT_ANTHROPIC;
    new_id(anthropic ? "file_" : "file-", id);
    if (anthropic)
        anthropic_file_put(&c->out, id, f);
    else
        openai_file_put(&c->out, id, f->filename, form_value(c->form, STR("purpose")), f->value.n);
    if (store_put(kind_of(c), str_of(id), buf_str(&c->out), f->value) < 0)
        demo_error(c, 413, "The file is too large.");
    else
        demo_json(c);
}

static void by_id(struct demo_call *c)
{
    enum store_kind k = kind_of(c);
    struct str id = c->match.id;
    bool content = str_ends(c->match.rest, STR("/content"));
    if (c->rq->head.method == HTTP_DELETE) {
        if (!store_delete(k, id)) {
            demo_not_found(c, "file");
            return;
        }
        put(c, "{\"id\":");
        put_json(c, id);
        put_str(c, k == STORE_FILE ? STR(",\"object\":\"file\",\"deleted\":true}")
                                   : STR(",\"type\":\"file_deleted\"}"));
    } else if (!store_get(k, id, content ? NULL : &c->out, content ? &c->out : NULL)) {
        demo_not_found(c, "file");
        return;
    }
    demo_reply(c, 200, content ? STR("application/octet-stream") : STR("application/json"));
}

void demo_files(struct demo_call *c)
{
    if (c->match.id.n)
        by_id(c);
    else if (c->rq->head.method == HTTP_POST)
        create(c);
    else
        demo_list(c, kind_of(c));
}

/* --- uploads: the second text of the object gathers the parts, in the order they came --- */

static void upload_put(struct demo_call *c, struct buf *out, const char *id, const char *status,
    struct str of, struct str file)
{
    struct str bytes = json_find(of, STR("bytes")), name = json_find(of, STR("filename"));
    struct str purpose = json_find(of, STR("purpose"));
    buf_printf(
        out, "{\"id\":\"%s\",\"object\":\"upload\",\"status\":\"%s\",\"bytes\":", id, status);
    buf_addstr(out, bytes.p ? bytes : STR("0"));
    buf_addstr(out, STR(",\"filename\":"));
    buf_addstr(out, name.p ? name : STR("\"file\""));
    buf_addstr(out, STR(",\"purpose\":"));
    buf_addstr(out, purpose.p ? purpose : STR("\"user_data\""));
    buf_printf(
        out, ",\"created_at\":%d,\"expires_at\":%d,\"file\":", DEMO_CREATED, DEMO_CREATED + 3600);
    buf_addstr(out, file.p ? file : STR("null"));
    buf_addstr(out, STR("}"));
}

static void upload_part(struct demo_call *c, const char *id, struct str object, struct buf *data)
{
    char part[48];
    struct str piece = form_value(c->form, STR("data"));
    if (!piece.p) {
        demo_error(c, 400, "A multipart form with 'data' is required.");
        return;
    }
    buf_addstr(data, piece);
    if (data->err || store_put(STORE_UPLOAD, str_of(id), object, buf_str(data)) < 0) {
        demo_error(c, 413, "The upload is too large.");
        return;
    }
    new_id("part_", part);
    putf(c, "{\"id\":\"%s\",\"object\":\"upload.part\",\"created_at\":%d,\"upload_id\":\"%s\"}",
        part, DEMO_CREATED, id);
    demo_json(c);
}

static void upload_end(
    struct demo_call *c, const char *id, struct str object, struct str data, bool complete)
{
    _cleanup_(buf_free) struct buf file, name, purpose;
    char file_id[48];
    buf_init(&file, 64 * KIB);
    buf_init(&name, 16 * KIB);
    buf_init(&purpose, KIB);
    if (complete) {
        new_id("file-", file_id);
        add_decoded(&name, json_find(object, STR("filename")));
        add_decoded(&purpose, json_find(object, STR("purpose")));
        openai_file_put(&file, file_id, buf_str(&name), buf_str(&purpose), data.n);
        (void)store_put(STORE_FILE, str_of(file_id), buf_str(&file), data);
    }
    upload_put(c, &c->out, id, complete ? "completed" : "cancelled", object,
        complete ? buf_str(&file) : STR_NONE);
    (void)store_delete(STORE_UPLOAD, str_of(id));
    demo_json(c);
}

void openai_uploads(struct demo_call *c)
{
    _cleanup_(buf_free) struct buf object, data;
    char id[48];
    buf_init(&object, 64 * KIB);
    buf_init(&data, STORE_BYTES);
    if (!c->match.id.n) {
        new_id("upload_", id);
        upload_put(c, &c->out, id, "pending", c->body, STR_NONE);
        (void)store_put(STORE_UPLOAD, str_of(id), buf_str(&c->out), STR_NONE);
        demo_json(c);
        return;
    }
    if (c->match.id.n >= sizeof(id) || !store_get(STORE_UPLOAD, c->match.id, &object, &data)) {
        demo_not_found(c, "upload");
        return;
    }
    memcpy(id, c->match.id.p, c->match.id.n);
    id[c->match.id.n] = '\0';
    if (str_ends(c->match.rest, STR("/parts")))
        upload_part(c, id, buf_str(&object), &data);
    else
        upload_end(
            c, id, buf_str(&object), buf_str(&data), str_ends(c->match.rest, STR("/complete")));
}
