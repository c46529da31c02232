/* Further calls within an attempt. See gateway/followup.h. */
#include "gateway/followup.h"

#include "gateway/translated.h"

#include <errno.h>

#define TOTAL_NS (1800 * NS_PER_S) /* where nothing is set: http/client.h */

int64_t gw_attempt_ends(const struct exchange *x)
{
    int64_t total = x->upstream->timeouts.total, at;

    at = x->upstream_sent_at + (total ? total : TOTAL_NS);
    return x->deadline ? MIN(at, x->deadline) : at;
}

static struct http_timeouts timeouts_until(const struct exchange *x, int64_t until)
{
    struct http_timeouts t = x->upstream->timeouts;

    t.total = MAX(until - clock_now(), NS_PER_MS);
    return t;
}

static int read_body(struct exchange *x, struct followup *f)
{
    struct str coding = http_get(&f->head->fields, HTTP_CONTENT_ENCODING);
    int r = http_call_read_all(f->call, LIMIT_RESPONSE_BYTES, &f->raw);

    if (r < 0)
        return gw_upstream_broke(x, r);
    f->body = f->raw;
    if (!coding.n || str_ieq(coding, STR("identity")))
        return 0;
    if (gw_decode(coding, f->raw, &f->plain) < 0)
        return exchange_fail(x, 502, STR("upstream_bad_response"),
            STR("The provider's reply has a coding that cannot be read."));
    f->body = buf_str(&f->plain);
    return 0;
}

static int call(struct exchange *x, const struct followup_ask *ask, struct followup *f)
{
    struct iovec body = {(char *)ask->body.p, ask->body.n};
    unsigned n = ask->body.p ? 1 : 0;
    struct http_timeouts t = timeouts_until(x, ask->until);
    struct error e = {0};
    struct str fields;
    char errbuf[512];
    int r = gw_upstream_fields(x, x->face, ask->method, ask->target, &body, n, &fields);

    if (r < 0)
        return r;
    struct http_client_request rq = {.method = ask->method,
        .target = ask->target,
        .fields = fields,
        .body = &body,
        .body_n = n,
        .body_length = ask->body.n,
        .has_body = n > 0};
    r = http_call_start(&x->upstream->origin, &rq, &t, &f->call, &e, errbuf);
    if (r == 0)
        r = http_call_head(f->call, &f->head, &e);
    return r < 0 ? gw_call_failed(x, r, &e) : read_body(x, f);
}

int gw_followup(struct exchange *x, const struct followup_ask *ask, struct followup *ret)
{
    *ret = (struct followup){0};
    buf_init(&ret->plain, LIMIT_RESPONSE_BYTES);
    return call(x, ask, ret);
}

int gw_followup_refused(struct exchange *x, const struct followup *f)
{
    if (f->head->status == 401 && !x->caller_credential.n)
        return gw_credential_refused(x);
    x->held_reply = f->raw;
    gw_relay_translated(x, f->call, f->head);
    x->held_reply = STR_NONE;
    return -EREMOTEIO;
}

void gw_followup_end(struct followup *f)
{
    http_call_end(f->call);
    buf_free(&f->plain);
    f->call = NULL;
}
