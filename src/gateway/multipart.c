/*
 * Multipart bodies. They are passed on while they arrive. Where the model decides the upstream and
 * its part comes late, what was read before is held: up to 256 KiB in memory, beyond that in a
 * spool (spool.h) in the data folder. Once the model is known, the held bytes go out (with the
 * model's value replaced where it has another name upstream), and the rest follows as it comes.
 *
 * A call that may be tried again, or whose provider wants no form, is held whole first: then each
 * attempt sends of it what it needs (gw_upload_send), and form.c reads its fields.
 */
#include "http/multipart.h"
#include "gateway/own.h"
#include "gateway/spool.h"
#include "gateway/translated.h"

#include <errno.h>
#include <stdlib.h>

#define MODEL_MAX 512

struct upload {
    struct multipart parser;
    struct buf memory;   /* the first LIMIT_SPOOL_MEMORY bytes */
    struct spool *spool; /* the bytes behind those; NULL = none */
    uint64_t held;       /* bytes in memory and spool */
    bool ended;          /* the whole body is held */
    bool in_model, found;
    uint64_t model_at; /* where the model's value stands in the body */
    size_t model_n;
    char model[MODEL_MAX];
};

void gw_upload_free(struct upload *u)
{
    if (!u)
        return;
    multipart_free(&u->parser);
    buf_free(&u->memory);
    spool_free(u->spool);
    free(u);
}

/* --- holding --- */

static int hold(struct upload *u, struct str bytes)
{
    size_t room = LIMIT_SPOOL_MEMORY - MIN(u->memory.n, LIMIT_SPOOL_MEMORY);
    struct str in_memory = str_to(bytes, room), rest = str_from(bytes, room);

    if (buf_addstr(&u->memory, in_memory) < 0)
        return -ENOMEM;
    u->held += bytes.n;
    if (!rest.n)
        return 0;
    int r = u->spool ? 0 : spool_open(config_current()->data_dir, &u->spool);
    return r < 0 ? r : spool_append(&u->spool, rest);
}

static int hold_failed(struct exchange *x, int r, uint64_t limit)
{
    if (r == -ECANCELED)
        return gw_body_error(x, r, limit);
    return exchange_fail(x, 507, STR("spool_failed"),
        STR("The upload could not be held: the data folder cannot be written."));
}

/* --- looking for the model --- */

static int take_model(struct exchange *x, struct upload *u)
{
    struct multipart *m = &u->parser;

    if (u->model_n + m->data.n > MODEL_MAX)
        return exchange_fail_param(x, 400, STR("invalid_request_error"), STR("model"),
            "'model' must be a name of at most %d bytes.", MODEL_MAX);
    if (!u->model_n)
        u->model_at = m->data_at;
    memcpy(u->model + u->model_n, m->data.p, m->data.n);
    u->model_n += m->data.n;
    return 0;
}

static int look(struct exchange *x, struct upload *u, struct str bytes)
{
    int r;

    while ((r = multipart_next(&u->parser, &bytes)) != MULTIPART_MORE && r >= 0) {
        if (r == MULTIPART_PART) {
            u->in_model = str_eq(u->parser.name, STR("model"));
            if (u->in_model && u->found)
                return exchange_fail_param(x, 400, STR("duplicate_member"), STR("model"),
                    "'model' stands more than once in the form.");
        } else if (r == MULTIPART_DATA && u->in_model && (r = take_model(x, u)) < 0) {
            return r;
        } else if (r == MULTIPART_PART_END && u->in_model) {
            u->found = true;
            u->in_model = false;
        } else if (r == MULTIPART_END) {
            break;
        }
    }
    if (r == -E2BIG)
        return exchange_fail(x, 400, STR("invalid_request_error"),
            STR("The form has too many parts, or a part with too long a head."));
    if (r < 0)
        return exchange_fail(
            x, 400, STR("invalid_request_error"), STR("The multipart body is malformed."));
    return 0;
}

static struct upload *upload_new(struct exchange *x)
{
    struct str boundary = multipart_boundary(http_get(&x->rq->head.fields, HTTP_CONTENT_TYPE));
    struct upload *u = calloc(1, sizeof *u);

    if (!u)
        return NULL;
    buf_init(&u->memory, LIMIT_SPOOL_MEMORY);
    if (!boundary.p || multipart_init(&u->parser, boundary) < 0) {
        gw_upload_free(u);
        exchange_fail_param(x, 400, STR("invalid_request_error"), STR("content-type"),
            "Content-Type has no valid boundary.");
        return NULL;
    }
    return u;
}

int gw_upload_read(struct exchange *x)
{
    uint64_t limit = config_current()->max_upload;
    struct upload *u = x->upload = upload_new(x);
    struct str piece;
    ssize_t n;
    int r;

    if (!u)
        return exchange_fail(x, 500, STR("internal_error"), STR("Out of memory."));
    while (!u->found) {
        n = http_body_read(x->rq, limit, &piece);
        if (n < 0)
            return gw_body_error(x, (int)n, limit);
        if (n == 0)
            break;
        if ((r = look(x, u, piece)) < 0)
            return r;
        if ((r = hold(u, piece)) < 0)
            return hold_failed(x, r, limit);
    }
    u->ended = !u->found;
    if (u->found && !x->match.azure_deployment) /* there the path names it */
        x->model_asked = str_at(u->model, u->model_n);
    if (!x->model_asked.n && (x->match.endpoint->flags & EP_MODEL_BODY) && !x->match.model.n)
        return exchange_fail_param(
            x, 400, STR("invalid_request_error"), STR("model"), "The form has no field 'model'.");
    return 0;
}

/* --- what is held --- */

int gw_upload_hold(struct exchange *x)
{
    uint64_t limit = config_current()->max_upload;
    struct upload *u = x->upload;
    struct str piece;
    ssize_t n;
    int r;

    if (x->rq->head.framing == HTTP_BODY_LENGTH && x->rq->head.content_length > limit)
        return gw_body_error(x, -EMSGSIZE, limit);
    while (!u->ended && (n = http_body_read(x->rq, limit, &piece)) != 0) {
        if (n < 0)
            return gw_body_error(x, (int)n, limit);
        if ((r = look(x, u, piece)) < 0)
            return r;
        if ((r = hold(u, piece)) < 0)
            return hold_failed(x, r, limit);
    }
    u->ended = true;
    return 0;
}

uint64_t gw_upload_size(const struct exchange *x)
{
    return x->upload->held;
}

ssize_t gw_upload_piece(struct exchange *x, uint64_t at, uint64_t n, struct str *ret)
{
    struct upload *u = x->upload;
    ssize_t got;

    if (at < u->memory.n) {
        *ret = str_at(u->memory.p + at, (size_t)MIN(n, u->memory.n - at));
        return (ssize_t)ret->n;
    }
    got = u->spool ? spool_read(&u->spool, at - u->memory.n, (size_t)MIN(n, SIZE_MAX), ret) : 0;
    return got == 0 && n ? -EIO : got;
}

/* --- passing on --- */

static int send_range(struct exchange *x, struct http_call *c, uint64_t from, uint64_t to)
{
    struct str piece;
    ssize_t n = 0;
    int r = 0;

    for (; r == 0 && from < to; from += (uint64_t)n) {
        if ((n = gw_upload_piece(x, from, to - from, &piece)) < 0)
            return (int)n;
        r = http_call_write(c, piece);
    }
    return r;
}

static bool renamed(const struct exchange *x)
{
    const struct upload *u = x->upload;

    return u && u->found && x->model.n && !str_eq(x->model, str_at(u->model, u->model_n));
}

static int send_held(struct exchange *x, struct http_call *c)
{
    struct upload *u = x->upload;
    int r;

    if (!u)
        return 0;
    if (!renamed(x))
        return send_range(x, c, 0, u->held);
    r = send_range(x, c, 0, u->model_at);
    if (r == 0)
        r = http_call_write(c, x->model);
    if (r == 0)
        r = send_range(x, c, u->model_at + u->model_n, u->held);
    return r;
}

static int send_rest(struct exchange *x, struct http_call *c)
{
    _cleanup_(own_upload_freep) struct own_upload *lines = NULL;
    uint64_t limit = config_current()->max_upload;
    struct str piece;
    ssize_t n;
    int r = own_upload_begin(x, &lines);

    if (r < 0)
        return r;
    while ((n = http_body_read(x->rq, limit, &piece)) > 0) {
        if (lines && (r = own_upload_look(x, lines, piece)) < 0)
            return r;
        /* A second "model" behind the one that was checked must not get through. */
        if (x->upload && (r = look(x, x->upload, piece)) < 0)
            return r;
        if ((r = http_call_write(c, piece)) < 0)
            return r;
    }
    return n < 0 ? gw_body_error(x, (int)n, limit) : 0;
}

static uint64_t length_out(struct exchange *x)
{
    const struct http_head *h = &x->rq->head;

    if (h->framing != HTTP_BODY_LENGTH)
        return HTTP_LENGTH_UNKNOWN;
    return renamed(x) ? h->content_length - x->upload->model_n + x->model.n : h->content_length;
}

/* What sending ended with, as the exchange's error. */
static int end_sending(struct exchange *x, struct http_call *c, int r)
{
    if (r == 0)
        r = http_call_write_end(c);
    if (r == -EPIPE || r >= 0) /* -EPIPE: the upstream has answered already */
        return 0;
    if (x->error.status)
        return r;
    if (r == -ECANCELED)
        x->outcome = OUTCOME_CANCELLED;
    return exchange_fail(
        x, 502, STR("upstream_send_failed"), STR("Passing the body on to the provider failed."));
}

static int pass_body(struct exchange *x, struct http_call *c)
{
    int r = send_held(x, c);

    if (r == 0 && !(x->upload && x->upload->ended))
        r = send_rest(x, c);
    return end_sending(x, c, r);
}

void gw_upload_body(const struct exchange *x, struct gw_body *ret)
{
    const struct upload *u = x->upload;

    ret->of_upload = GW_FORM;
    ret->length = renamed(x) ? u->held - u->model_n + x->model.n : u->held;
}

int gw_upload_send(struct exchange *x, const struct gw_body *b, struct http_call *c)
{
    int r = b->of_upload == GW_FORM ? send_held(x, c)
                                    : send_range(x, c, b->file_at, b->file_at + b->length);

    return end_sending(x, c, r);
}

static int call_streamed(struct exchange *x)
{
    struct http_call *c = NULL;
    const struct http_head *head;
    uint64_t limit = config_current()->max_upload;
    int r;

    if (x->rq->head.framing == HTTP_BODY_LENGTH && x->rq->head.content_length > limit)
        return gw_body_error(x, -EMSGSIZE, limit);
    r = gw_call_start(x, NULL, 0, length_out(x), true, true, &c);
    if (r == 0)
        r = pass_body(x, c);
    if (r == 0)
        r = gw_call_head(x, c, &head);
    if (r == 0)
        r = gw_relay_reply(x, c, head);
    http_call_end(c);
    return r;
}

int gw_call_multipart(struct exchange *x)
{
    int r = gw_attempt_begin(x);

    if (r < 0)
        return r;
    if (!x->upload || !(x->plan || gw_needs_translation(x)))
        return call_streamed(x);
    return (r = gw_upload_hold(x)) < 0 ? r : gw_call_whole(x);
}

int gw_call_raw(struct exchange *x)
{
    return call_streamed(x);
}
