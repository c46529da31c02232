/*
 * Replies that the gateway makes itself: errors in the caller's dialect and small JSON answers.
 */
#include "gateway/gateway_int.h"
#include "keys/limits.h"

#define SCRATCH_MAX (2 * LIMIT_HEAD_BYTES)

static _Thread_local struct buf scratch;

struct buf *gw_scratch(void)
{
    if (!scratch.max)
        buf_init(&scratch, SCRATCH_MAX);
    buf_clear(&scratch);
    return &scratch;
}

void gw_reply_thread_end(void)
{
    buf_free(&scratch);
}

static void error_fields(struct exchange *x, struct buf *out)
{
    const struct error *e = &x->error;

    http_put(out, STR("content-type"), STR("application/json"));
    http_put(out, dialect_request_id_field(x->dialect), str_of(x->id));
    if (x->dialect == DIALECT_BEDROCK) /* AWS' SDKs make their exception of this */
        http_put(out, STR("x-amzn-errortype"), dialect_error_type(x->dialect, e->status));
    if (e->retry_after_s > 0)
        http_put_u64(out, STR("retry-after"), (uint64_t)e->retry_after_s);
    if (e->no_retry)
        http_put(out, STR("x-should-retry"), STR("false"));
    if (dialect_status(x->dialect, e->status) == 401 && x->dialect != DIALECT_ANTHROPIC)
        http_put(out, STR("www-authenticate"), STR("Bearer realm=\"smartflow\""));
    if (e->status == 405) {
        struct str name = STR("allow: ");
        buf_addstr(out, name);
        endpoint_allow_text(x->match.allow, out);
        buf_addstr(out, STR("\r\n"));
    }
    size_t before = out->n;
    limits_fields(x, out);
    if (out->n == before) /* a key's own limits are what its holder wants to know */
        buf_addstr(out, x->error_fields);
    gw_own_fields(x, out);
}

/* The reply has begun: an event of the dialect in streams, otherwise a reset that the client sees.
 */
static void error_after_begin(struct exchange *x, struct buf *body)
{
    if (!x->stream) {
        http_reply_abort(x->rq);
        return;
    }
    if (x->stream_error.p)
        buf_addstr(body, x->stream_error);
    else
        dialect_stream_error(
            x->match.endpoint->stream, &x->error, str_of(x->id), x->meter.events, body);
    if (http_reply_write(x->rq, buf_str(body)) == 0)
        http_reply_end(x->rq, STR_NONE);
}

void gw_send_error(struct exchange *x)
{
    _cleanup_(buf_free) struct buf body = {0};

    if (x->error.status == 499 || gw_ws_send_error(x))
        return;
    buf_init(&body, 32 * KIB);
    if (http_reply_begun(x->rq)) {
        error_after_begin(x, &body);
        return;
    }
    dialect_error_body(x->dialect, &x->error, str_of(x->id), &body);
    struct buf *fields = gw_scratch();
    error_fields(x, fields);
    http_reply(x->rq, dialect_status(x->dialect, x->error.status), buf_str(fields), buf_str(&body));
}

int gw_reply_json(struct exchange *x, int status, struct str body)
{
    struct buf *fields = gw_scratch();

    http_put(fields, STR("content-type"), STR("application/json"));
    gw_own_fields(x, fields);
    return http_reply(x->rq, status, buf_str(fields), body);
}
