/*
 * One HTTP request to a store of secrets: bounded, with one deadline, its reply wiped after use.
 * Messages name the host and the cause, never a body: what these servers answer may hold secrets.
 */
#include "vault/refs_int.h"

#include <errno.h>
#include <stdlib.h>

void ref_host_free(struct ref_host *h)
{
    free(h->url);
    if (h->tls)
        tls_ctx_unref(h->tls);
    *h = (struct ref_host){0};
}

int ref_host_set(
    struct secret_refs *r, struct ref_host *h, struct str url, const char *ca, char *err)
{
    struct tls_client_settings set = {.ca_file = ca};
    const char *why = "memory is short";
    char tls_err[256];

    if (h->url && str_eq(str_of(h->url), url))
        return 0;
    ref_host_free(h);
    h->url = str_dup(url);
    int tls = h->url ? upstream_set_base(&h->at, str_of(h->url), &why) : -ENOMEM;
    if (tls < 0) {
        ref_say(err, "the address " STR_FMT " is of no use: %s", (int)MIN(url.n, 100), url.p, why);
        ref_host_free(h);
        return -EINVAL;
    }
    if (tls && tls_client_ctx(&set, &h->tls, tls_err, sizeof tls_err) < 0) {
        ref_say(err, "%.200s", tls_err);
        ref_host_free(h);
        return -EINVAL;
    }
    h->at.origin.target.tls = h->tls;
    h->at.origin.target.proxy = r->proxy;
    return 0;
}

static int read_body(struct http_call *c, struct secret *ret)
{
    struct str body;
    int r = http_call_read_all(c, REF_BODY_BYTES, &body);

    if (r < 0)
        return r;
    r = secret_set(ret, body);
    mem_wipe((char *)body.p, body.n); /* the pool's block, which others get next */
    return r;
}

int ref_http(struct ref_host *h, struct str method, struct str target, struct str fields,
    struct str body, struct secret *ret_body, char *err)
{
    struct iovec iov = {(char *)body.p, body.n};
    struct http_client_request rq = {.method = method,
        .target = target,
        .fields = fields,
        .body = &iov,
        .body_n = body.p ? 1 : 0,
        .body_length = body.n,
        .has_body = body.p != NULL};
    const struct http_timeouts t = {.connect = REF_DEADLINE,
        .first_byte = REF_DEADLINE,
        .between = REF_DEADLINE,
        .total = REF_DEADLINE,
        .send = REF_DEADLINE};
    const struct http_head *head;
    struct http_call *c = NULL;
    struct error e = {0};
    char errbuf[512];
    int status = 0, r = http_call_start(&h->at.origin, &rq, &t, &c, &e, errbuf);

    if (r == 0 && (r = http_call_head(c, &head, &e)) == 0) {
        status = head->status;
        r = read_body(c, ret_body);
    }
    if (r < 0)
        ref_say(err, "%s: " STR_FMT, h->url, e.message.n ? (int)MIN(e.message.n, 160) : 25,
            e.message.n ? e.message.p : "the reply was not usable.");
    http_call_end(c);
    return r < 0 ? r : status;
}
