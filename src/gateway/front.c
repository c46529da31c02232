/*
 * The front of the proxy port: what happens to a request before and after the pipeline. Health,
 * metrics and admin paths are answered here; everything else must be a row of the endpoint table.
 *
 * The frame of gateway_handle() is there as long as the call is, and most of it is the exchange.
 * What has much on its stack and does not call the pipeline is kept out of that frame by not being
 * inlined: an open stream must get by with one page.
 */
#include "admin/admin.h"
#include "gateway/gateway_int.h"

#include <errno.h>

/* --- CORS preflight and OPTIONS --- */

static void reply_options(struct exchange *x)
{
    struct http_request *rq = x->rq;
    struct buf *out = gw_scratch();
    struct str asked = http_get(&rq->head.fields, HTTP_ACCESS_CONTROL_REQUEST_HEADERS);
    bool preflight = http_has(&rq->head.fields, HTTP_ACCESS_CONTROL_REQUEST_METHOD);

    buf_addstr(out, STR("allow: "));
    endpoint_allow_text(x->match.allow, out);
    buf_addstr(out, STR("\r\n"));
    size_t before = out->n;
    gw_cors_fields(config_current(), rq, out);
    if (preflight && out->n > before) {
        buf_addstr(out, STR("access-control-allow-methods: "));
        endpoint_allow_text(x->match.allow, out);
        buf_addstr(out, STR("\r\n"));
        if (asked.n)
            http_put(out, STR("access-control-allow-headers"), asked);
        http_put(out, STR("access-control-max-age"), STR("600"));
    }
    http_reply(rq, 204, buf_str(out), STR_NONE);
}

/* --- paths that do not exist --- */

__attribute__((noinline)) static int no_such_route(struct exchange *x)
{
    struct str path = x->rq->head.path, near = endpoint_nearest(path);

    if (x->match.allow) {
        struct buf *b = gw_scratch();
        endpoint_allow_text(x->match.allow, b);
        x->error.hint = arena_printf(&x->arena, "Use " STR_FMT ".", STR_ARG(buf_str(b)));
        return exchange_failf(x, 405, STR("method_not_allowed"),
            "The method " STR_FMT " is not allowed for this path.",
            (int)MIN(x->rq->head.method_text.n, 32), x->rq->head.method_text.p);
    }
    if (near.n)
        x->error.hint = arena_printf(&x->arena, "Did you mean " STR_FMT "?", STR_ARG(near));
    return exchange_failf(x, 404, STR("unknown_url"), "There is no route " STR_FMT " " STR_FMT ".",
        (int)MIN(x->rq->head.method_text.n, 32), x->rq->head.method_text.p, (int)MIN(path.n, 300),
        path.p);
}

/* --- one exchange --- */

static void run(struct exchange *x)
{
    int r;

    endpoint_find(&x->rq->head, &x->match, &x->dialect);
    if (x->rq->head.method == HTTP_OPTIONS && x->match.allow) {
        reply_options(x);
        x->outcome = OUTCOME_OK;
        gw_pipeline_end(x);
        return;
    }
    if (gw_came_from_us(x->rq)) {
        x->error.hint = STR("Check the provider base URLs: OPENAI_API_BASE and the like name the "
                            "provider here, not this gateway.");
        r = exchange_fail(x, 508, STR("loop_detected"),
            STR("This request came back to the gateway that sent it."));
    } else {
        r = x->match.endpoint ? 0 : no_such_route(x);
    }
    if (r == 0)
        r = gw_pipeline_request(x);
    if (r < 0 || x->error.status) {
        if (x->outcome == OUTCOME_PENDING)
            x->outcome = OUTCOME_REFUSED;
        if (co_cancelled()) { /* the client left, or we stop: then it must notice the cut */
            x->outcome = OUTCOME_CANCELLED;
            http_reply_abort(x->rq);
        } else {
            gw_send_error(x);
        }
    }
    co_mask_cancel();
    gw_pipeline_end(x);
    co_unmask_cancel();
}

__attribute__((noinline)) static void refuse_overload(struct http_request *rq)
{
    struct endpoint_match m;
    struct error e = {.status = 503,
        .code = STR("overloaded"),
        .message = STR("The gateway is at its limit of requests in flight; try again shortly.")};
    _cleanup_(buf_free) struct buf body = {0};
    enum dialect d;

    buf_init(&body, 4 * KIB);
    endpoint_find(&rq->head, &m, &d);
    dialect_error_body(d, &e, STR_NONE, &body);
    http_reply(
        rq, 503, STR("retry-after: 1\r\ncontent-type: application/json\r\n"), buf_str(&body));
}

void gateway_handle(struct http_request *rq, void *ctx)
{
    struct config *c = config_current();
    struct exchange x;
    (void)ctx;

    if (admin_handle(rq, c, true))
        return;
    if (!gw_admit(c)) {
        refuse_overload(rq);
        return;
    }
    config_ref(c);
    if (gw_exchange_init(&x, rq, c) == 0) {
        run(&x);
        gw_exchange_end(&x);
    }
    config_unref(c);
    gw_release();
}

void gateway_render_error(struct buf *out, int status, struct str path, const char *why, void *ctx)
{
    struct http_head h = {.path = path};
    struct endpoint_match m;
    enum dialect d;
    struct error e = {.status = status, .code = STR("bad_request"), .message = str_of(why)};
    (void)ctx;

    endpoint_find(&h, &m, &d);
    if (status == 408)
        e.code = STR("request_timeout");
    else if (status == 431)
        e.code = STR("head_too_large");
    else if (status == 503)
        e.code = STR("overloaded");
    dialect_error_body(d, &e, STR_NONE, out);
}
