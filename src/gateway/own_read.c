/*
 * Asking a provider for a batch and its results, as the gateway's own call: nobody is charged for
 * it and it is no request of anybody's. With the credential that the batch was made with.
 *
 * All of it suspends.
 */
#include "gateway/own.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define OBJECT_MAX LIMIT_RESPONSE_BYTES /* Google's may hold the results */
#define TOTAL_NS   (300 * NS_PER_S)
#define WAIT_NS    (30 * NS_PER_S)

/* A call by the gateway itself: as much of an exchange as targets and signatures look at. */
struct errand {
    struct http_request rq;
    struct exchange x;
    struct buf target, fields;
    struct http_call *call;
    char errbuf[512];
};

static void errand_free(struct errand *e)
{
    if (!e)
        return;
    http_call_end(e->call);
    if (e->fields.p)
        mem_wipe(e->fields.p, e->fields.n);
    buf_free(&e->fields);
    buf_free(&e->target);
    arena_free(&e->x.arena);
    free(e);
}

static int errand_start(struct errand *e, const struct upstream *u, const struct owned *o)
{
    const struct provider_face *face =
        provider_face(u->provider, e->x.dialect, e->x.match.endpoint->kind);
    const struct http_timeouts t = {.connect = u->timeouts.connect,
        .first_byte = WAIT_NS,
        .between = WAIT_NS,
        .total = TOTAL_NS};
    struct error err = {0};

    if (!face || provider_target(u, face, &e->x, &e->target) < 0)
        return -EOPNOTSUPP;
    e->x.upstream_key = o->upstream_key.n ? upstream_key_by_id(u, o->upstream_key) : NULL;
    if (!e->x.upstream_key)
        e->x.upstream_key = upstream_pick(u);
    http_put(&e->fields, STR("user-agent"), STR("smartflow"));
    http_put(&e->fields, STR("accept-encoding"), STR("identity"));
    if (u->provider->default_field_name.n && face->dialect == DIALECT_ANTHROPIC)
        http_put(&e->fields, u->provider->default_field_name, u->provider->default_field_value);
    if (provider_sign(u, face, &e->x, STR("GET"), buf_str(&e->target), &e->fields) < 0 ||
        e->fields.err || e->target.err)
        return -EOPNOTSUPP;
    struct http_client_request rq = {
        .method = STR("GET"), .target = buf_str(&e->target), .fields = buf_str(&e->fields)};
    return http_call_start(&u->origin, &rq, &t, &e->call, &err, e->errbuf);
}

static struct errand *errand_new(const char *path, const char *query)
{
    struct errand *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    arena_init(&e->x.arena, NULL, 0, 256 * KIB);
    buf_init(&e->target, LIMIT_TARGET_BYTES);
    buf_init(&e->fields, LIMIT_HEAD_BYTES);
    e->rq.head.method = HTTP_GET;
    e->rq.head.method_text = STR("GET");
    e->rq.head.path = str_of(path);
    e->rq.head.query = str_of(query);
    e->x.rq = &e->rq;
    e->x.cost_nano = -1;
    if (endpoint_find(&e->rq.head, &e->x.match, &e->x.dialect))
        return e;
    errand_free(e);
    return NULL;
}

/* 200 and a call to be read; the status otherwise, or -errno. */
static int get(const struct upstream *u, const struct owned *o, const char *path, const char *query,
    struct errand **ret)
{
    struct errand *e = errand_new(path, query);
    const struct http_head *head;
    struct error err = {0};
    int r = e ? errand_start(e, u, o) : -ENOMEM;

    if (r == 0)
        r = http_call_head(e->call, &head, &err);
    if (r == 0)
        r = head->status;
    *ret = e;
    return r;
}

/* --- the parts of a batch --- */

/* Ids go into a path as they are: of letters, digits and what stands between them. */
static bool is_path_safe(struct str id)
{
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && c != '-' &&
            c != '_' && c != '.' && c != ':')
            return false;
    }
    return id.n > 0 && id.p[0] != '.';
}

/* Google's ids begin with what they are of: "files/abc". */
static bool is_google_id(struct str id, struct str prefix)
{
    return str_starts(id, prefix) && is_path_safe(str_from(id, prefix.n));
}

static bool is_batch_id(const struct owned *o)
{
    return o->kind == OWNED_GEMINI_BATCH ? is_google_id(o->id, STR("batches/"))
                                         : is_path_safe(o->id);
}

/* Where the results are. 0; -ENOENT: in no file. */
static int path_of_results(
    const struct owned *o, struct str object, char path[static OWNED_ID_BYTES + 64])
{
    const size_t room = OWNED_ID_BYTES + 64;
    struct str file = str_to(own_batch_file(o->kind, object), OWNED_ID_BYTES);

    if (o->kind == OWNED_MESSAGE_BATCH)
        snprintf(path, room, "/v1/messages/batches/" STR_FMT "/results", STR_ARG(o->id));
    else if (!file.n)
        return -ENOENT;
    else if (o->kind == OWNED_BATCH && is_path_safe(file))
        snprintf(path, room, "/v1/files/" STR_FMT "/content", STR_ARG(file));
    else if (o->kind == OWNED_GEMINI_BATCH && is_google_id(file, STR("files/")))
        snprintf(path, room, "/v1beta/" STR_FMT ":download", STR_ARG(file));
    else
        return -EINVAL;
    return 0;
}

/* Lines of results, while they come. 0, an HTTP status, or -errno. */
static int read_lines(
    const struct upstream *u, const struct owned *o, const char *path, struct own_lines *lines)
{
    struct errand *e;
    struct str piece;
    ssize_t n = 0;
    int r = get(u, o, path, o->kind == OWNED_GEMINI_BATCH ? "alt=media" : "", &e);

    while (r == 200 && (n = http_call_read(e->call, &piece)) > 0)
        own_lines_add(lines, piece);
    errand_free(e);
    return r != 200 ? r : n < 0 ? (int)n : 0;
}

static bool is_gone(int status)
{
    return status == 404 || status == 410;
}

static int read_results(const struct upstream *u, const struct owned *o, struct str object,
    const struct prices_overlay *prices, struct own_usage *sums, unsigned *ret_skipped)
{
    struct own_lines lines;
    char path[OWNED_ID_BYTES + 64];
    int r = path_of_results(o, object, path);

    if (r == -ENOENT) { /* nothing was done, or it stands in the object */
        if (o->kind == OWNED_GEMINI_BATCH)
            own_usage_of_object(sums, o->kind, object, u->provider->id, prices);
        return 0;
    }
    if (r < 0)
        return 404;
    own_lines_init(&lines, sums, o->kind, object, u->provider->id, prices);
    r = read_lines(u, o, path, &lines);
    own_lines_end(&lines);
    *ret_skipped = lines.skipped;
    return r;
}

static int read_object(const struct upstream *u, const struct owned *o, struct buf *out)
{
    char path[OWNED_ID_BYTES + 64];
    struct errand *e;
    struct str body;
    struct json_error err;
    enum json_type top;
    const char *where = o->kind == OWNED_BATCH           ? "/v1/batches"
                        : o->kind == OWNED_MESSAGE_BATCH ? "/v1/messages/batches"
                                                         : "/v1beta";

    snprintf(path, sizeof path, "%s/" STR_FMT, where, STR_ARG(o->id));
    int r = get(u, o, path, "", &e);
    if (r == 200 && (r = http_call_read_all(e->call, OBJECT_MAX, &body)) == 0)
        r = buf_addstr(out, body);
    errand_free(e);
    if (r == 0 && (json_scan(buf_str(out), NULL, NULL, 0, &top, &err) < 0 || top != JSON_OBJECT))
        return -EBADMSG;
    return r;
}

/* What the results' lines did not tell, the object may. */
static int ended(const struct config *c, const struct upstream *u, const struct owned *o,
    struct str object, bool last_try, struct own_usage *sums, unsigned *ret_skipped)
{
    int r = read_results(u, o, object, c->route.prices, sums, ret_skipped);

    own_made_outputs(o, object);
    if (r != 0 && !is_gone(r) && !last_try)
        return r < 0 ? r : -EIO;
    if (r != 0) {
        *sums = (struct own_usage){.n = 0};
        own_usage_of_object(sums, o->kind, object, u->provider->id, c->route.prices);
        *ret_skipped += sums->n == 0;
    }
    return OWN_READ_ENDED;
}

int own_read(const struct owned *o, bool last_try, struct own_usage *sums, unsigned *ret_skipped)
{
    struct config *c = config_ref(config_current());
    const struct upstream *u = route_upstream(&c->route, o->provider);
    _cleanup_(buf_free) struct buf object = {0};
    int r = -ENOENT;

    buf_init(&object, OBJECT_MAX);
    if (u && u->configured && is_batch_id(o))
        r = read_object(u, o, &object);
    if (r == 0)
        r = own_batch_ended(o->kind, buf_str(&object))
                ? ended(c, u, o, buf_str(&object), last_try, sums, ret_skipped)
                : OWN_READ_RUNS;
    else if (is_gone(r) || r == -EMSGSIZE || last_try) {
        *ret_skipped = !is_gone(r);
        r = OWN_READ_ENDED; /* nobody can say any more what it used */
    } else if (r > 0)
        r = -EIO;
    config_unref(c);
    return r;
}
