/* One HTTP request to an address of the operator's. See alert/post.h. */
#include "alert/post.h"

#include "base/secret.h"
#include "crypto/random.h"
#include "http/retry_after.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT     (20 * NS_PER_S)
#define REPLY_BYTES (64 * KIB)

struct post_target {
    unsigned refs;
    struct str path;
    struct http_origin origin;
    struct tls_ctx *tls;
    struct post_route route;
    char text[]; /* the URL, wiped in the end */
};

/* --- the address --- */

static bool is_clean(struct str url)
{
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] >= 127)
            return false;
    return true;
}

/* "name", "name:80", "[::1]:80" */
static int split_authority(struct str a, struct dial_target *to, bool tls)
{
    uint64_t port = tls ? 443 : 80;
    ptrdiff_t end = a.n && a.p[0] == '[' ? str_chr(a, ']') : -1;
    ptrdiff_t colon = str_chr(str_from(a, end < 0 ? 0 : (size_t)end), ':');

    if (colon >= 0) {
        colon += end < 0 ? 0 : end;
        if (str_u64(str_from(a, (size_t)colon + 1), &port) < 0 || port == 0 || port > 65535)
            return -EINVAL;
        a = str_to(a, (size_t)colon);
    }
    if (end >= 0)
        a = (size_t)end + 1 == a.n ? str_at(a.p + 1, a.n - 2) : STR_NONE;
    to->host = a;
    to->port = (uint16_t)port;
    return a.n && a.n < 256 ? 0 : -EINVAL;
}

/* The parts of t->text into t; the fragment is not sent. */
static int split_url(struct post_target *t, bool *ret_tls)
{
    struct str url = str_of(t->text), authority;
    bool tls = str_istarts(url, STR("https://"));

    if (!is_clean(url) || (!tls && !str_istarts(url, STR("http://"))))
        return -EINVAL;
    *ret_tls = tls;
    authority = str_from(url, tls ? 8 : 7);
    authority = str_split(&authority, '#');
    size_t n = 0;
    while (n < authority.n && authority.p[n] != '/' && authority.p[n] != '?')
        n++;
    t->path = str_from(authority, n);
    authority = str_to(authority, n);
    if (str_chr(authority, '@') >= 0 || (t->path.n && t->path.p[0] == '?'))
        return -EINVAL;
    if (!t->path.n)
        t->path = STR("/");
    t->origin.host_header = authority;
    return split_authority(authority, &t->origin.target, tls);
}

static int make_tls(struct post_target *t, const char *ca, char *err)
{
    struct tls_client_settings set = {.ca_file = ca};
    char why[256];
    int r = tls_client_ctx(&set, &t->tls, why, sizeof why);

    if (r < 0)
        snprintf(err, POST_ERR_BYTES, "%.*s", POST_ERR_BYTES - 1, why);
    t->origin.target.tls = t->tls;
    return r;
}

int post_target_new(struct str url, const struct post_route *route, bool guarded,
    struct post_target **ret, char err[static POST_ERR_BYTES])
{
    struct post_target *t = calloc(1, sizeof *t + url.n + 1);
    bool tls = false;
    int r;

    if (!t)
        return -ENOMEM;
    memcpy(t->text, url.p ? url.p : "", url.n);
    t->refs = 1;
    r = split_url(t, &tls);
    if (r < 0)
        snprintf(err, POST_ERR_BYTES,
            "it must be http:// or https://, a host, and a path, without blanks and user names");
    t->origin.target.caller_chosen = guarded;
    if (route)
        t->route = *route;
    t->origin.target.proxy = t->route.proxy;
    if (t->route.owner)
        t->route.ref(t->route.owner);
    if (r == 0 && tls)
        r = make_tls(t, t->route.ca, err);
    if (r < 0) {
        post_target_unref(t);
        return r;
    }
    *ret = t;
    return 0;
}

struct post_target *post_target_ref(struct post_target *t)
{
    t->refs++;
    return t;
}

void post_target_unref(struct post_target *t)
{
    if (!t || --t->refs)
        return;
    if (t->tls)
        tls_ctx_unref(t->tls);
    if (t->route.owner)
        t->route.unref(t->route.owner);
    mem_wipe(t->text, strlen(t->text));
    free(t);
}

struct str post_target_path(const struct post_target *t)
{
    return t->path;
}

struct str post_target_host(const struct post_target *t)
{
    return t->origin.host_header;
}

/* --- sending --- */

static enum post_result judge(int status)
{
    if (status >= 200 && status < 300)
        return POST_DONE;
    if (status == 408 || status == 425 || status == 429 || status >= 500)
        return POST_RETRY;
    return POST_REFUSED;
}

static void say_failure(struct post_reply *ret, const struct error *e, int r)
{
    struct str m = e->message.n ? e->message : str_of(strerror(-r));

    snprintf(ret->why, sizeof ret->why, STR_FMT, (int)MIN(m.n, sizeof ret->why - 1), m.p);
}

/* The reply's body is read, so that the connection can be used again, and its size is bounded. */
static enum post_result take_reply(
    struct http_call *c, const struct http_head *head, struct post_reply *ret)
{
    struct str body;

    ret->status = head->status;
    ret->retry_after = http_retry_after(&head->fields, clock_wall());
    enum post_result judged = judge(head->status);
    if (judged != POST_DONE)
        snprintf(ret->why, sizeof ret->why, "it answered %d", head->status);
    (void)http_call_read_all(c, REPLY_BYTES, &body);
    return judged;
}

enum post_result post_send(struct post_target *t, const struct post *p, struct post_reply *ret)
{
    int64_t limit = p->timeout ? p->timeout : TIMEOUT;
    const struct http_timeouts times = {limit, limit, limit, limit, limit};
    struct iovec iov = {(char *)p->body.p, p->body.n};
    struct http_client_request rq = {.method = p->method.n ? p->method : STR("POST"),
        .target = p->target.n ? p->target : t->path,
        .fields = p->fields,
        .body = &iov,
        .body_n = p->body.n ? 1 : 0,
        .body_length = p->body.n,
        .has_body = true};
    const struct http_head *head;
    struct http_call *c = NULL;
    struct error e = {0};
    char errbuf[512];
    enum post_result judged = POST_RETRY;

    *ret = (struct post_reply){0};
    post_target_ref(t);
    int r = http_call_start(&t->origin, &rq, &times, &c, &e, errbuf);
    if (r == 0)
        r = http_call_head(c, &head, &e);
    if (r == 0)
        judged = take_reply(c, head, ret);
    else
        say_failure(ret, &e, r);
    http_call_end(c);
    post_target_unref(t);
    return r == -EPERM ? POST_REFUSED : judged;
}

/* --- pauses --- */

int64_t post_pause(unsigned tries, int64_t first, unsigned factor, int64_t max, int64_t retry_after)
{
    int64_t pause = first;

    for (unsigned i = 1; i < tries && pause < max; i++)
        pause *= factor;
    pause = MIN(pause, max);
    pause += (int64_t)random_below((uint64_t)pause / 5 + 1);
    return MIN(MAX(pause, retry_after), max);
}
