/*
 * Requests: the least of HTTP/1.1 that gateways send. The body is not parsed; the few things that
 * matter in it are searched for as text.
 */
#include "mock.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct head {
    size_t length; /* of the body */
    bool chunked;
    bool expects; /* "100 Continue" */
};

static struct head read_head(const char *in, const char *end)
{
    struct head h = {0};

    for (const char *p = in; (p = memchr(p, '\n', (size_t)(end - p)));) {
        p++;
        if (!strncasecmp(p, "content-length:", 15))
            h.length = strtoul(p + 15, NULL, 10);
        else if (!strncasecmp(p, "transfer-encoding: chunked", 26))
            h.chunked = true;
        else if (!strncasecmp(p, "expect: 100", 11))
            h.expects = true;
    }
    return h;
}

static bool ends_with(struct bytes s, const char *tail)
{
    size_t n = strlen(tail);

    return s.n >= n && !memcmp(s.p + s.n - n, tail, n);
}

/* The path of the request line, without its query. */
static struct bytes read_path(const char *in, const char *end)
{
    const char *p = memchr(in, ' ', (size_t)(end - in));

    if (!p++)
        return (struct bytes){0};
    const char *stop = p;
    while (stop < end && *stop != ' ' && *stop != '?')
        stop++;
    return (struct bytes){p, (size_t)(stop - p)};
}

static enum endpoint endpoint_of(struct bytes path)
{
    static const char *const tails[] = {
        [ENDPOINT_CHAT] = "/chat/completions",
        [ENDPOINT_MESSAGES] = "/messages",
        [ENDPOINT_EMBEDDINGS] = "/embeddings",
        [ENDPOINT_MODELS] = "/models",
        [ENDPOINT_SERVED] = "/served",
    };

    for (unsigned i = 0; i < ENDPOINT_UNKNOWN; i++)
        if (ends_with(path, tails[i]))
            return i;
    return ENDPOINT_UNKNOWN;
}

/* Whether the body has `"name": true` somewhere; a prompt that says so would mislead, ours do not.
 */
static bool has_true(struct bytes body, const char *quoted_name)
{
    const char *p = body.p, *end = body.p + body.n;
    size_t n = strlen(quoted_name);

    while ((p = memmem(p, (size_t)(end - p), quoted_name, n))) {
        p += n;
        while (p < end && (*p == ' ' || *p == ':'))
            p++;
        if (end - p >= 4 && !memcmp(p, "true", 4))
            return true;
    }
    return false;
}

static void read_number(struct bytes s, const char *key, int *ret)
{
    const char *p = memmem(s.p, s.n, key, strlen(key));

    if (p)
        *ret = atoi(p + strlen(key));
}

/* The directions: from "mock:" to the end of that string. */
static void read_directions(struct bytes body, struct order *o)
{
    const char *p = memmem(body.p, body.n, "mock:", 5);

    if (!p)
        return;
    const char *end = memchr(p, '"', (size_t)(body.p + body.n - p));
    struct bytes s = {p, (size_t)((end ? end : body.p + body.n) - p)};
    read_number(s, "delay=", &o->delay);
    read_number(s, "chunks=", &o->chunks);
    read_number(s, "interval=", &o->interval);
    read_number(s, "burst=", &o->burst);
    read_number(s, "pad=", &o->pad);
}

static struct order read_order(struct bytes path, struct bytes body)
{
    struct order o = {.endpoint = endpoint_of(path), .chunks = 32};

    if (!body.n)
        return o;
    read_directions(body, &o);
    if (o.chunks < 1)
        o.chunks = 1;
    if (o.pad < 0 || o.pad > 1 << 20)
        o.pad = 0;
    o.stream = o.endpoint <= ENDPOINT_MESSAGES && has_true(body, "\"stream\"");
    if (o.endpoint == ENDPOINT_MESSAGES)
        o.style = STYLE_ANTHROPIC;
    else if (o.stream && has_true(body, "\"include_usage\""))
        o.style = STYLE_OPENAI_USAGE;
    return o;
}

int request_take(const char *in, size_t n, struct order *ret, size_t *ret_used, bool *ret_continue)
{
    const char *end = memmem(in, n, "\r\n\r\n", 4);

    *ret_continue = false;
    if (!end)
        return 0;
    struct head h = read_head(in, end);
    const char *body = end + 4;
    size_t have = (size_t)(in + n - body), length = h.length, whole = h.length;
    if (h.chunked) { /* the chunks' own heads stay in what is searched: they do no harm */
        const char *last = memmem(body, have, "0\r\n\r\n", 5);
        length = last ? (size_t)(last - body) : 0;
        whole = last ? length + 5 : have + 1;
    }
    if (have < whole) {
        *ret_continue = h.expects && !have;
        return 0;
    }
    struct bytes path = read_path(in, end);
    if (!path.n)
        return -1;
    *ret = read_order(path, (struct bytes){body, length});
    *ret_used = (size_t)(body - in) + whole;
    return 1;
}
