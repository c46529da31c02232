/*
 * One call of the management API, from its row to its reply. See admin/api.h for the steps.
 *
 * A reply is whole: the handler writes the data, and here it is put into the envelope
 *
 *     {"success":true,"data":…,"<name>":…,…}
 *     {"success":false,"error":{message,type,code,param,request_id},"details":{}}
 *
 * Calls that change something run with cancellation masked: a client that goes away does not leave
 * a change half recorded. All their waits have deadlines of their own.
 */
#include "admin/api_int.h"

#include "base/log.h"
#include "crypto/random.h"
#include "runtime/co.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct admin_env env;
static int64_t began;

const struct admin_env *admin_env(void)
{
    return &env;
}

int64_t admin_began(void)
{
    return began;
}

void admin_use(const struct admin_env *e)
{
    admin_table_check();
    if (!began)
        began = clock_now();
    env = *e;
    admin_session_forget_key();
}

/* --- errors --- */

static int set_error(struct admin_call *c, int status, const char *code, struct str message)
{
    struct error *e = &c->error;

    if (e->status) /* the first cause counts */
        return -EREMOTEIO;
    e->status = status; /* when to come again may have been said before */
    e->code = str_of(code);
    e->message = message.p ? message : STR("Out of memory.");
    return -EREMOTEIO;
}

static struct str text_of(struct admin_call *c, const char *fmt, va_list ap)
{
    char text[1024];
    int n = vsnprintf(text, sizeof text, fmt, ap);

    return arena_dup(&c->arena, str_at(text, (size_t)MIN(MAX(n, 0), (int)sizeof text - 1)));
}

int admin_fail(struct admin_call *c, int status, const char *code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    struct str text = text_of(c, fmt, ap);
    va_end(ap);
    return set_error(c, status, code, text);
}

int admin_bad(struct admin_call *c, const char *param, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    struct str text = text_of(c, fmt, ap);
    va_end(ap);
    set_error(c, 400, "invalid_value", text);
    c->error.param = arena_dup(&c->arena, str_of(param));
    return -EREMOTEIO;
}

int admin_not_found(struct admin_call *c, const char *what, struct str id)
{
    return admin_fail(
        c, 404, "not_found", "There is no %s '" STR_FMT "'.", what, (int)MIN(id.n, 100), id.p);
}

static void log_store_error(const struct admin_call *c, int r, const char *err)
{
    struct logline l;

    if (!log_begin(&l, LOG_ERROR, "management call failed"))
        return;
    log_str(&l, "request_id", str_of(c->id));
    log_str(&l, "path", c->row ? str_of(c->row->path) : STR("?"));
    log_str(&l, "error", str_of(strerror(-r)));
    if (err && *err)
        log_str(&l, "detail", str_of(err));
    log_end(&l);
}

int admin_store_fail(struct admin_call *c, int r, const char *err)
{
    switch (r) {
    case -EREMOTEIO: /* already said */
        return r;
    case -EEXIST:
        return admin_fail(c, 409, "already_exists", "This already exists.");
    case -EAGAIN:
        return admin_fail(c, 409, "conflict", "It was changed by another call meanwhile.");
    case -ECANCELED:
        return set_error(c, 503, "cancelled", STR("The call was cancelled."));
    default:
        break;
    }
    log_store_error(c, r, err);
    if (r != -EHOSTDOWN && r != -ETIMEDOUT)
        return admin_fail(c, 500, "internal_error",
            "The gateway could not do this; its log has "
            "the reason under this request's id.");
    c->error.retry_after_s = 1;
    return admin_fail(c, 503, "store_unavailable", "The database cannot be reached.");
}

static const char *type_of(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 429:
        return "rate_limit_error";
    default:
        return status >= 500 ? "api_error" : "invalid_request_error";
    }
}

static void error_body(struct admin_call *c, struct buf *b)
{
    const struct error *e = &c->error;

    put_open(b, NULL, '{');
    put_bool(b, "success", false);
    put_open(b, "error", '{');
    put_name(b, "message");
    if (e->hint.n)
        buf_addjson(
            b, arena_printf(&c->arena, STR_FMT " " STR_FMT, STR_ARG(e->message), STR_ARG(e->hint)));
    else
        buf_addjson(b, e->message);
    put_str(b, "type", e->type.n ? e->type : str_of(type_of(e->status)));
    put_str_or_null(b, "code", e->code);
    put_str_or_null(b, "param", e->param);
    put_str(b, "request_id", str_of(c->id));
    if (e->retry_after_s > 0)
        put_int(b, "retry_after", e->retry_after_s);
    put_close(b, '}');
    put_open(b, "details", '{');
    put_close(b, '}');
    put_close(b, '}');
}

/* --- replying --- */

void admin_reply_fields(struct admin_call *c, struct str content_type, struct buf *out)
{
    if (content_type.n)
        http_put(out, STR("content-type"), content_type);
    buf_addstr(out, STR("cache-control: no-store\r\nx-content-type-options: nosniff\r\n"));
    http_put(out, STR("x-request-id"), str_of(c->id));
    http_put(out, STR("x-smartflow-request-id"), str_of(c->id));
    if (env.cors_fields)
        env.cors_fields(c->config, c->rq, out);
    buf_addstr(out, buf_str(&c->fields));
}

static void send_reply(struct admin_call *c, int status, struct str body)
{
    _cleanup_(buf_free) struct buf fields = {0};

    buf_init(&fields, LIMIT_HEAD_BYTES);
    admin_reply_fields(c, STR("application/json"), &fields);
    http_reply(c->rq, status, buf_str(&fields), body);
}

static void send_error(struct admin_call *c)
{
    _cleanup_(buf_free) struct buf body = {0};

    buf_init(&body, 64 * KIB);
    error_body(c, &body);
    if (c->error.status == 401)
        buf_addstr(&c->fields, STR("www-authenticate: Bearer realm=\"smartflow\"\r\n"));
    if (c->error.retry_after_s > 0)
        http_put_u64(&c->fields, STR("retry-after"), (uint64_t)c->error.retry_after_s);
    send_reply(c, c->error.status, buf_str(&body));
}

static void send_data(struct admin_call *c)
{
    _cleanup_(buf_free) struct buf body = {0};
    const struct admin_row *row = c->row;

    buf_init(&body, 2 * ADMIN_OUT_BYTES + 64 * KIB);
    if (row->flags & ADMIN_BARE) {
        buf_addstr(&body, buf_str(&c->out));
    } else {
        put_open(&body, NULL, '{');
        put_bool(&body, "success", true);
        put_raw(&body, "data", buf_str(&c->out));
        if (row->name)
            put_raw(&body, row->name, buf_str(&c->out));
        put_close(&body, '}');
    }
    if (body.err) {
        admin_fail(c, 500, "internal_error", "The answer is too large.");
        send_error(c);
        return;
    }
    send_reply(c, c->status ? c->status : row->flags & ADMIN_CREATED ? 201 : 200, buf_str(&body));
}

/* What api.h promises: a reply whose handler forgot a duty does not go out. */
bool admin_duties_done(struct admin_call *c)
{
    const struct admin_row *row = c->row;
    bool is_confined = c->who.role == ROLE_ORG_ADMIN || c->who.role == ROLE_INTERNAL_USER;
    bool forgot_scope = row->scope == SCOPE_OWN && is_confined && !c->confined;
    bool forgot_audit = admin_row_changes(row) && !(row->flags & ADMIN_UNRECORDED) && !c->audited;

    if (!forgot_scope && !forgot_audit)
        return true;
    log_msg(LOG_ERROR, "%s %s: its handler forgot %s", admin_method_name(row->method), row->path,
        forgot_scope ? "to confine the caller" : "the audit");
    admin_fail(c, 500, "internal_error", "This call was not answered as it should be.");
    return false;
}

static void finish(struct admin_call *c, int r)
{
    if (c->replied)
        return;
    if (r == -ECANCELED && !c->error.status) { /* the client is gone */
        http_reply_abort(c->rq);
        return;
    }
    if (r == 0 && !c->error.status && c->out.err)
        admin_fail(c, 500, "internal_error", "The answer is too large.");
    if (r == 0 && !c->error.status)
        (void)admin_duties_done(c);
    if (r < 0 && !c->error.status)
        admin_store_fail(c, r, NULL);
    if (c->error.status)
        send_error(c);
    else
        send_data(c);
}

/* --- before there is a row --- */

static int no_such_path(struct admin_call *c)
{
    struct str path = c->rq->head.path, near = admin_nearest_path(path);

    admin_fail(c, 404, "unknown_url", "There is no path " STR_FMT " in the management API.",
        (int)MIN(path.n, 200), path.p);
    if (near.n)
        c->error.hint = arena_printf(&c->arena, "Did you mean " STR_FMT "?", STR_ARG(near));
    return -EREMOTEIO;
}

static int wrong_method(struct admin_call *c, unsigned allow)
{
    struct str method = c->rq->head.method_text;

    buf_addstr(&c->fields, STR("allow: "));
    admin_allow_text(allow, &c->fields);
    buf_addstr(&c->fields, STR("\r\n"));
    return admin_fail(c, 405, "method_not_allowed", "The method " STR_FMT " is not allowed here.",
        (int)MIN(method.n, 32), method.p);
}

static void reply_options(struct admin_call *c, unsigned allow)
{
    _cleanup_(buf_free) struct buf fields = {0};
    const struct http_fields *f = &c->rq->head.fields;
    struct str asked = http_get(f, HTTP_ACCESS_CONTROL_REQUEST_HEADERS);

    buf_init(&fields, LIMIT_HEAD_BYTES);
    buf_addstr(&c->fields, STR("allow: "));
    admin_allow_text(allow, &c->fields);
    buf_addstr(&c->fields, STR("\r\n"));
    if (http_has(f, HTTP_ACCESS_CONTROL_REQUEST_METHOD) && env.cors_fields) {
        buf_addstr(&c->fields, STR("access-control-allow-methods: "));
        admin_allow_text(allow, &c->fields);
        buf_addstr(&c->fields, STR("\r\naccess-control-max-age: 600\r\n"));
        if (asked.n)
            http_put(&c->fields, STR("access-control-allow-headers"), asked);
    }
    admin_reply_fields(c, STR_NONE, &fields);
    http_reply(c->rq, 204, buf_str(&fields), STR_NONE);
    c->replied = true;
}

static int decode_params(struct admin_call *c, const struct admin_match *m)
{
    for (unsigned i = 0; i < m->params_n; i++) {
        char *text = arena_alloc(&c->arena, m->params[i].n + 1);
        ptrdiff_t n = text ? http_percent_decode(m->params[i], text) : -ENOMEM;
        for (ptrdiff_t k = 0; k < n; k++)
            if ((unsigned char)text[k] < 0x20)
                n = -EINVAL;
        if (n <= 0)
            return admin_fail(
                c, 404, "not_found", "Parameter %u of the path names nothing.", i + 1);
        c->params[i] = str_at(text, (size_t)n);
    }
    c->params_n = m->params_n;
    return 0;
}

/* --- the steps --- */

static int handle_masked(struct admin_call *c)
{
    co_mask_cancel();
    int r = c->row->handle(c);
    co_unmask_cancel();
    return r;
}

static int steps(struct admin_call *c, const struct admin_match *m)
{
    int r = admin_authenticate(c);

    if (r == 0)
        r = admin_authorize(c);
    if (r == 0 && admin_row_changes(c->row) && c->who.by == BY_SESSION)
        r = admin_session_csrf(c);
    if (r == 0)
        r = decode_params(c, m);
    if (r == 0)
        r = admin_parse_query(c);
    if (r == 0)
        r = admin_parse_body(c);
    if (r < 0)
        return r;
    if (!admin_row_changes(c->row))
        return c->row->handle(c);
    if (!(c->row->flags & ADMIN_UNRECORDED) && !admin_can_audit(c))
        return -EREMOTEIO;
    return handle_masked(c);
}

static int run(struct admin_call *c)
{
    enum http_method method = c->rq->head.method;
    struct admin_match m;

    admin_find(method, c->rq->head.path, &m);
    if (!m.allow)
        return no_such_path(c);
    if (method == HTTP_OPTIONS) {
        reply_options(c, m.allow);
        return 0;
    }
    if (!m.row)
        return wrong_method(c, m.allow);
    c->row = m.row;
    return steps(c, &m);
}

static void make_id(char out[static 32])
{
    memcpy(out, "req_", 4);
    random_hex(out + 4, 12);
    out[28] = '\0';
}

void admin_call_run(struct http_request *rq, const struct config *config)
{
    struct admin_call *c = calloc(1, sizeof *c); /* not on the stack: handlers need theirs */

    if (!c)
        return; /* the server answers 500 */
    c->rq = rq;
    c->config = config_ref((struct config *)config);
    c->env = &env;
    c->client = env.client_address ? env.client_address(config, rq) : rq->peer;
    arena_init(&c->arena, NULL, 0, ADMIN_ARENA);
    buf_init(&c->out, ADMIN_OUT_BYTES);
    buf_init(&c->fields, 16 * KIB);
    make_id(c->id);
    finish(c, run(c));
    buf_free(&c->out);
    buf_free(&c->fields);
    arena_free(&c->arena);
    config_unref((struct config *)c->config);
    free(c);
}
