/*
 * What all providers have in common: finding a face, building the request target, adding the
 * credential. See providers/provider.h.
 */
#include "providers/quirks_int.h"

#include <ctype.h>
#include <errno.h>

const struct provider_face *provider_face(
    const struct provider *p, enum dialect d, enum endpoint_kind k)
{
    for (unsigned i = 0; i < PROVIDER_FACES_MAX && p->faces[i].kinds; i++)
        if (p->faces[i].dialect == d && (p->faces[i].kinds & KIND_BIT(k)))
            return &p->faces[i];
    return NULL;
}

const struct provider_face *provider_first_face(const struct provider *p)
{
    return &p->faces[0];
}

/* --- targets --- */

void put_encoded(struct buf *out, struct str s, const char *keep)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (isalnum(c) || (c && (strchr("-._~", c) || strchr(keep, c)))) {
            buf_addc(out, (char)c);
            continue;
        }
        buf_addc(out, '%');
        buf_addc(out, hex[c >> 4]);
        buf_addc(out, hex[c & 15]);
    }
}

void target_rest(const struct provider_asked *a, struct buf *out)
{
    struct str rest = a->match.rest, model = a->match.model;

    if (!(a->match.endpoint->flags & EP_MODEL_PATH) || !model.n || !a->model.n || !a->renamed) {
        buf_addstr(out, rest);
        return;
    }
    buf_addstr(out, str_at(rest.p, (size_t)(model.p - rest.p)));
    put_encoded(out, a->model, "/:@");
    buf_addstr(out, str_at(model.p + model.n, (size_t)(rest.p + rest.n - model.p - model.n)));
}

void target_query(const struct provider_asked *a, struct buf *out)
{
    struct str query = a->query;
    char sep = '?';

    while (query.p && query.n) {
        struct str param = str_split(&query, '&');
        if (!param.n || str_starts(param, STR("key=")))
            continue;
        buf_addc(out, sep);
        buf_addstr(out, param);
        sep = '&';
    }
}

void target_path(
    const struct upstream *u, struct str prefix, const struct provider_asked *a, struct buf *out)
{
    buf_addstr(out, u->base_path);
    buf_addstr(out, prefix);
    buf_addc(out, '/');
    target_rest(a, out);
}

/* The end of a path segment at s, where servers that decode before they look would see one too. */
static size_t segment_end(struct str s, size_t *ret_next)
{
    for (size_t i = 0; i < s.n; i++) {
        bool slash = s.p[i] == '/' || s.p[i] == '\\';
        struct str three = str_to(str_from(s, i), 3);
        if (slash || str_ieq(three, STR("%2f")) || str_ieq(three, STR("%5c"))) {
            *ret_next = i + (slash ? 1 : 3);
            return i;
        }
    }
    *ret_next = s.n;
    return s.n;
}

/* "." and "..", however they are written. */
static bool is_dots(struct str segment)
{
    unsigned dots = 0;

    while (segment.n) {
        size_t one = segment.p[0] == '.' ? 1 : str_istarts(segment, STR("%2e")) ? 3 : 0;
        if (!one)
            return false;
        dots++;
        segment = str_from(segment, one);
    }
    return dots == 1 || dots == 2;
}

/* A path that climbs would reach another endpoint than the one that was checked. */
static bool climbs(struct str target)
{
    struct str path = str_split(&target, '?');

    if (str_chr(path, '.') < 0 && str_chr(path, '%') < 0) /* nothing that could be dots */
        return false;
    while (path.n) {
        size_t next, end = segment_end(path, &next);
        if (is_dots(str_to(path, end)))
            return true;
        path = str_from(path, next);
    }
    return false;
}

static int make_target(const struct upstream *u, const struct provider_face *face,
    struct exchange *x, const struct provider_asked *a, struct buf *out)
{
    if (u->provider->target) {
        int r = u->provider->target(u, face, x, a, out);
        if (r < 0)
            return r;
    } else {
        target_path(u, face->prefix, a, out);
        target_query(a, out);
    }
    if (out->err)
        return exchange_fail(x, 414, STR("uri_too_long"), STR("The request target is too long."));
    if (climbs(buf_str(out)))
        return exchange_fail(x, 400, STR("invalid_path"),
            STR("The path, or the model's name in it, must not have '.' or '..' as a segment."));
    return 0;
}

/* Anthropic's messages at Vertex AI's path. */
static bool is_raw_predict(const struct endpoint *e)
{
    return e->kind == KIND_MESSAGES && e->flags & EP_MODEL_PATH;
}

/* Whether the call goes to another endpoint than the one that the client used. */
static bool is_translated(const struct exchange *x, const struct provider_face *face)
{
    const struct endpoint *e = x->match.endpoint;

    return x->face == face && face &&
           (face->dialect != x->dialect || x->up_kind != e->kind || is_raw_predict(e));
}

int provider_target(
    const struct upstream *u, const struct provider_face *face, struct exchange *x, struct buf *out)
{
    if (is_translated(x, face))
        return provider_target_of(u, face, x->up_kind, x->stream, x, out);
    const struct provider_asked a = {
        .match = x->match,
        .model = x->model,
        .renamed = !str_eq(x->model, x->model_asked),
        .stream = x->stream,
        .query = x->rq->head.query,
        .upload_target = x->upload_target,
    };
    return make_target(u, face, x, &a, out);
}

/* Google's stream is an endpoint of its own, and server-sent events only where they are asked for.
 */
static enum endpoint_kind kind_of_stream(enum endpoint_kind k, bool stream)
{
    if (k == KIND_GENERATE || k == KIND_STREAM_GENERATE)
        return stream ? KIND_STREAM_GENERATE : KIND_GENERATE;
    return k;
}

/* The first row of this kind that creates something; of the dialect, if that has one. */
static const struct endpoint *endpoint_of(enum dialect d, enum endpoint_kind k)
{
    const struct endpoint *any = NULL;
    unsigned n;
    const struct endpoint *e = endpoint_table(&n);

    for (unsigned i = 0; i < n; i++) {
        if (e[i].kind != k || !(e[i].methods & (1u << HTTP_POST)) || is_raw_predict(&e[i]))
            continue;
        if (e[i].dialect == d)
            return &e[i];
        if (!any)
            any = &e[i];
    }
    return any;
}

int provider_target_of(const struct upstream *u, const struct provider_face *face,
    enum endpoint_kind kind, bool stream, struct exchange *x, struct buf *out)
{
    const struct endpoint no_row = {.dialect = face->dialect, .kind = kind};
    const struct endpoint *e = endpoint_of(face->dialect, kind_of_stream(kind, stream));
    struct provider_asked a = {.model = x->model, .renamed = true, .stream = stream};

    if (!e) /* no client can ask so here */
        e = &no_row;
    a.match = (struct endpoint_match){.endpoint = e, .rest = e->pattern};
    ptrdiff_t at = str_find(e->pattern, STR("{model}"));
    if (at >= 0)
        a.match.model = str_to(str_from(e->pattern, (size_t)at), 7);
    if (e->kind == KIND_STREAM_GENERATE)
        a.query = STR("alt=sse");
    else
        a.query = x->made_query;
    return make_target(u, face, x, &a, out);
}

int provider_put_param(struct buf *query, struct str name, struct str value)
{
    if (query->n)
        buf_addc(query, '&');
    put_encoded(query, name, "");
    buf_addc(query, '=');
    put_encoded(query, value, "");
    return query->err;
}

/* --- credentials --- */

int put_key(struct buf *out, struct str name, struct str scheme, struct str key)
{
    for (size_t i = 0; i < key.n; i++)
        if ((unsigned char)key.p[i] < ' ' || key.p[i] == 127)
            return -EINVAL;
    buf_addstr(out, name);
    buf_addstr(out, STR(": "));
    buf_addstr(out, scheme);
    buf_addstr(out, key);
    return buf_addstr(out, STR("\r\n"));
}

int provider_auth_field(enum provider_auth auth, struct str key, struct buf *out)
{
    switch (auth) {
    case AUTH_NONE:
        return 0;
    case AUTH_BEARER:
        return put_key(out, STR("authorization"), STR("Bearer "), key);
    case AUTH_TOKEN:
        return put_key(out, STR("authorization"), STR("Token "), key);
    case AUTH_X_API_KEY:
        return put_key(out, STR("x-api-key"), STR(""), key);
    case AUTH_API_KEY:
        return put_key(out, STR("api-key"), STR(""), key);
    case AUTH_X_GOOG:
        return put_key(out, STR("x-goog-api-key"), STR(""), key);
    case AUTH_SIGV4:
        break;
    }
    return -EOPNOTSUPP;
}

struct str credential_of(const struct exchange *x)
{
    if (x->caller_credential.n)
        return x->caller_credential;
    return x->upstream_key ? secret_reveal(&x->upstream_key->key) : STR_NONE;
}

int provider_sign_body(const struct upstream *u, const struct provider_face *face,
    struct exchange *x, struct str method, struct str target, const struct iovec *body,
    unsigned body_n, struct buf *out)
{
    struct str key = credential_of(x);

    if (u->provider->sign)
        return u->provider->sign(u, face, x, method, target, body, body_n, out);
    switch (key.n ? provider_auth_field(face->auth, key, out) : 0) {
    case -EINVAL:
        return exchange_fail(x, 502, STR("provider_auth_failed"),
            STR("The provider's credential holds bytes that cannot stand in a header field."));
    case -EOPNOTSUPP:
        return exchange_fail(x, 501, STR("not_supported"),
            STR("This provider's signing is not available for this endpoint."));
    default:
        return 0; /* a full buffer says so itself */
    }
}

int provider_sign(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    struct str method, struct str target, struct buf *out)
{
    return provider_sign_body(u, face, x, method, target, NULL, 0, out);
}

/* --- base URLs --- */

static int parse_port(struct str s, uint16_t *ret)
{
    uint64_t v;

    if (str_u64(s, &v) < 0 || v == 0 || v > 65535)
        return -EINVAL;
    *ret = (uint16_t)v;
    return 0;
}

/* host, [v6], host:port, [v6]:port */
static int parse_authority(struct upstream *u, struct str a, bool tls, const char **ret_why)
{
    struct dial_target *t = &u->origin.target;
    struct str port = STR_NONE;
    bool bad = false;
    ptrdiff_t at;

    if (str_chr(a, '@') >= 0) {
        *ret_why = "a base URL must not hold user information";
        return -EINVAL;
    }
    if (a.n && a.p[0] == '[' && (at = str_chr(a, ']')) > 0) {
        t->host = str_at(a.p + 1, (size_t)at - 1);
        port = str_from(a, (size_t)at + 1);
        bad = port.n && port.p[0] != ':';
        port = str_from(port, 1);
    } else {
        struct str rest = a;
        t->host = str_split(&rest, ':');
        port = rest;
    }
    t->port = tls ? 443 : 80;
    *ret_why = "the host or port of the base URL is malformed";
    for (size_t i = 0; i < a.n; i++)
        bad |= !isalnum((unsigned char)a.p[i]) && !strchr("-._~:[]", a.p[i]);
    if (bad || !t->host.n || (port.n && parse_port(port, &t->port) < 0))
        return -EINVAL;
    u->origin.host_header = a;
    return 0;
}

int upstream_set_base(struct upstream *u, struct str url, const char **ret_why)
{
    url = str_trim(url);
    bool tls = str_istarts(url, STR("https://"));
    if (!tls && !str_istarts(url, STR("http://"))) {
        *ret_why = "a base URL must begin with http:// or https://";
        return -EINVAL;
    }
    url = str_from(url, tls ? 8 : 7);
    if (str_chr(url, '?') >= 0 || str_chr(url, '#') >= 0) {
        *ret_why = "a base URL must not hold a query or fragment";
        return -EINVAL;
    }
    for (size_t i = 0; i < url.n; i++) {
        if (url.p[i] > ' ' && url.p[i] < 127)
            continue;
        *ret_why = "a base URL must not hold blanks, control or non-ASCII characters";
        return -EINVAL;
    }
    ptrdiff_t slash = str_chr(url, '/');
    struct str path = slash < 0 ? str_from(url, url.n) : str_from(url, (size_t)slash);
    int r = parse_authority(u, slash < 0 ? url : str_to(url, (size_t)slash), tls, ret_why);
    if (r < 0)
        return r;
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    if (str_ends(path, STR("/v1")) || str_ends(path, STR("/v1beta")))
        path = str_to(path, path.n - (str_ends(path, STR("/v1")) ? 3 : 7));
    u->base_path = path;
    u->https = tls;
    return tls ? 1 : 0;
}
