/*
 * Gemini's resumable uploads. The reply to the start of one names in x-goog-upload-url where its
 * bytes go: an address on Google's own host, good for whoever has it, which the official SDK then
 * calls without any key. Such calls would pass the gateway by. So the client gets an address here,
 * with an id of ours in it; and a call with that id counts as made with the credential that began
 * the session, so that a key that is revoked meanwhile is refused, and goes where Google said.
 *
 * Nothing here suspends. A session is known to the process that began it, until its end or for a
 * day. All threads share the table under one mutex, held for a look at each row.
 */
#include "base/secret.h"
#include "crypto/random.h"
#include "gateway/gateway_int.h"

#include <pthread.h>
#include <stdlib.h>

#define ID_BYTES 16
#define ID_CHARS (2 * ID_BYTES)
#define LIFE_NS  (24 * 3600 * NS_PER_S)

struct session {
    char id[ID_CHARS];
    struct secret credential;
    struct secret target; /* path and query: whoever has them can write the file */
    int64_t ends_at;      /* 0 = a free row */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct session *sessions; /* LIMIT_FILE_SESSIONS of them, made with the first */

static void session_end(struct session *s)
{
    secret_free(&s->credential);
    secret_free(&s->target);
    *s = (struct session){.ends_at = 0};
}

/* The row that is free, or ends first. */
static struct session *row_for_new(void)
{
    struct session *first;

    if (!sessions && !(sessions = calloc(LIMIT_FILE_SESSIONS, sizeof *sessions)))
        return NULL;
    first = &sessions[0];
    for (unsigned i = 0; i < LIMIT_FILE_SESSIONS && first->ends_at; i++)
        if (sessions[i].ends_at < first->ends_at)
            first = &sessions[i];
    session_end(first);
    return first;
}

static struct session *session_find(struct str id)
{
    int64_t now = clock_now();

    for (unsigned i = 0; sessions && id.n == ID_CHARS && i < LIMIT_FILE_SESSIONS; i++)
        if (sessions[i].ends_at > now && mem_ct_eq(sessions[i].id, id.p, ID_CHARS))
            return &sessions[i];
    return NULL;
}

static bool session_new(struct str credential, struct str target, char id[static ID_CHARS])
{
    bool made = false;

    random_hex(id, ID_BYTES);
    pthread_mutex_lock(&lock);
    struct session *s = row_for_new();
    if (s && secret_set(&s->credential, credential) == 0 && secret_set(&s->target, target) == 0) {
        memcpy(s->id, id, ID_CHARS);
        s->ends_at = clock_now() + LIFE_NS;
        made = true;
    }
    pthread_mutex_unlock(&lock);
    return made;
}

static struct str own_id(const struct exchange *x)
{
    return http_query_get(x->rq->head.query, STR("smartflow_upload"));
}

/* --- requests --- */

int gw_file_session(struct exchange *x)
{
    struct str id = own_id(x);
    bool found = false;

    if (x->match.endpoint->kind != KIND_GEMINI_UPLOAD || !id.n)
        return 0;
    pthread_mutex_lock(&lock);
    struct session *s = session_find(id);
    if (s) {
        x->granted = arena_dup(&x->arena, secret_reveal(&s->credential));
        x->upload_target = arena_dup(&x->arena, secret_reveal(&s->target));
        found = x->granted.p && x->upload_target.p;
    }
    pthread_mutex_unlock(&lock);
    if (found)
        return 0;
    return exchange_fail(x, 404, STR("upload_not_found"),
        STR("This upload is not known here: it has ended, or began at a gateway process that has. "
            "Begin it again."));
}

/* --- replies --- */

/* Path and query of an address, below the upstream's base path. */
static struct str target_of(const struct exchange *x, struct str url)
{
    struct str base = x->upstream->base_path;
    ptrdiff_t authority = str_find(url, STR("://"));
    struct str rest = authority < 0 ? STR_NONE : str_from(url, (size_t)authority + 3);
    ptrdiff_t slash = str_chr(rest, '/');

    if (slash < 0)
        return STR_NONE;
    rest = str_from(rest, (size_t)slash);
    for (size_t i = 0; i < rest.n; i++)
        if ((unsigned char)rest.p[i] <= ' ' || rest.p[i] == '#')
            return STR_NONE;
    return base.n && str_starts(rest, base) ? str_from(rest, base.n) : rest;
}

/* As what the client knows us: by its own words, or by those of a proxy that we trust. */
static struct str own_origin(struct exchange *x)
{
    const struct http_fields *f = &x->rq->head.fields;
    const struct config *c = config_current();
    struct str host = http_get(f, HTTP_HOST), scheme = x->rq->tls ? STR("https") : STR("http");

    if (c->trusted_proxies && net_cidrs_has(c->trusted_proxies, &x->rq->peer)) {
        if (http_has(f, HTTP_X_FORWARDED_PROTO))
            scheme = str_ieq(http_get(f, HTTP_X_FORWARDED_PROTO), STR("https")) ? STR("https")
                                                                                : STR("http");
        if (http_has(f, HTTP_X_FORWARDED_HOST))
            host = http_get(f, HTTP_X_FORWARDED_HOST);
    }
    return arena_printf(&x->arena, STR_FMT "://" STR_FMT, STR_ARG(scheme), STR_ARG(host));
}

static struct str credential_of(struct exchange *x)
{
    return x->caller_credential.n ? x->caller_credential : x->presented;
}

static struct str local_url(struct exchange *x, struct str url)
{
    struct str target = target_of(x, url), origin = own_origin(x);
    char id[ID_CHARS];

    if (!target.n || !origin.p || !session_new(credential_of(x), target, id))
        return STR_NONE;
    return arena_printf(&x->arena,
        STR_FMT STR_FMT "?upload_protocol=resumable&smartflow_upload=%.*s", STR_ARG(origin),
        STR_ARG(x->rq->head.path), ID_CHARS, id);
}

static void end_own(struct exchange *x)
{
    pthread_mutex_lock(&lock);
    struct session *s = session_find(own_id(x));
    if (s)
        session_end(s);
    pthread_mutex_unlock(&lock);
}

struct str gw_file_session_field(
    struct exchange *x, const struct http_head *from, const struct http_field *h)
{
    if (!x->match.endpoint || x->match.endpoint->kind != KIND_GEMINI_UPLOAD ||
        h->id != HTTP_OTHER || !str_istarts(h->name, STR("x-goog-upload-")))
        return h->value;
    if (str_ieq(h->name, STR("x-goog-upload-control-url")))
        return STR_NONE; /* the same address once more */
    if (str_ieq(h->name, STR("x-goog-upload-url")))
        return from->status < 300 && !x->upload_target.n ? local_url(x, h->value) : STR_NONE;
    if (str_ieq(h->name, STR("x-goog-upload-status")) && x->upload_target.n &&
        !str_ieq(h->value, STR("active")))
        end_own(x);
    return h->value;
}
