/*
 * Files that are uploaded for a batch: lines of JSON, each the body of a call that the provider
 * makes later, by itself, with nobody in between. So what they name is looked at while the form
 * passes (http/multipart.h), as in a body: a line that names what belongs to another team ends the
 * upload before its last byte went out, and the provider keeps nothing of it.
 *
 * Which part of the form says "batch" may come behind the file. Until then lines are looked at in
 * any case, and what was found waits for it. One line is held at a time. Suspends in the store.
 */
#include "gateway/own.h"

#include "http/multipart.h"

#include <errno.h>
#include <stdlib.h>

#define LINE_MAX_BYTES (16 * MIB)
#define PURPOSE_BYTES  32

struct own_upload {
    struct multipart parser;
    struct buf line;
    bool in_purpose, said; /* said: what it is for is known */
    bool batch;
    struct str purpose;
    char room[PURPOSE_BYTES];
    struct error found; /* status 0: nothing */
};

void own_upload_free(struct own_upload *u)
{
    if (!u)
        return;
    multipart_free(&u->parser);
    buf_free(&u->line);
    free(u);
}

int own_upload_begin(struct exchange *x, struct own_upload **ret)
{
    struct str type = http_get(&x->rq->head.fields, HTTP_CONTENT_TYPE);
    struct own_upload *u;

    *ret = NULL;
    if (!x->key || x->dialect != DIALECT_OPENAI || x->match.endpoint->kind != KIND_FILES)
        return 0; /* only OpenAI's batches read files */
    if (!(u = calloc(1, sizeof *u)))
        return exchange_fail(x, 500, STR("internal_error"), STR("Out of memory."));
    buf_init(&u->line, LINE_MAX_BYTES);
    if (multipart_init(&u->parser, multipart_boundary(type)) < 0) {
        own_upload_free(u);
        return exchange_fail_param(x, 400, STR("invalid_request_error"), STR("content-type"),
            "Content-Type has no valid boundary.");
    }
    *ret = u;
    return 0;
}

/* --- what it is for --- */

static int begin_part(struct exchange *x, struct own_upload *u)
{
    u->in_purpose = str_eq(u->parser.name, STR("purpose"));
    if (u->in_purpose && u->said)
        return exchange_fail_param(x, 400, STR("duplicate_member"), STR("purpose"),
            "'purpose' stands more than once in the form.");
    return 0;
}

static void take_purpose(struct own_upload *u)
{
    size_t n = MIN(u->parser.data.n, PURPOSE_BYTES - u->purpose.n);

    memcpy(u->room + u->purpose.n, u->parser.data.p, n);
    u->purpose = str_at(u->room, u->purpose.n + n);
}

static int end_purpose(struct exchange *x, struct own_upload *u)
{
    u->said = true;
    u->batch = str_ieq(str_trim(u->purpose), STR("batch"));
    if (!u->batch || !u->found.status)
        return 0;
    x->error = u->found;
    return -EREMOTEIO;
}

/* --- lines --- */

static int check_line(struct exchange *x, struct own_upload *u)
{
    int r = u->line.n ? gw_own_check_line(x, buf_str(&u->line)) : 0;

    buf_clear(&u->line);
    if (r == 0 || u->said)
        return r;
    u->found = x->error;
    x->error = (struct error){0};
    return 0;
}

static int hold(struct exchange *x, struct own_upload *u, struct str part)
{
    if (buf_addstr(&u->line, part) == 0)
        return 0;
    if (u->said)
        return exchange_failf(x, 400, STR("invalid_request_error"),
            "A line of a batch must not be longer than %d MiB.", (int)(LINE_MAX_BYTES / MIB));
    buf_clear(&u->line); /* of a file that is no batch's, or else too long there */
    u->found = (struct error){.status = 400,
        .code = STR("invalid_request_error"),
        .message = STR("A line of a batch is too long to be looked at.")};
    return 0;
}

static int take_data(struct exchange *x, struct own_upload *u)
{
    struct str data = u->parser.data;
    int r = 0;

    if ((u->said && !u->batch) || u->found.status)
        return 0;
    while (r == 0 && data.p && data.n) {
        struct str rest = data, part = str_split(&rest, '\n');
        r = hold(x, u, part);
        if (r == 0 && rest.p)
            r = check_line(x, u);
        data = rest;
    }
    return r;
}

/* --- the form --- */

static int take(struct exchange *x, struct own_upload *u, int event)
{
    switch (event) {
    case MULTIPART_PART:
        return begin_part(x, u);
    case MULTIPART_DATA:
        if (!u->in_purpose)
            return take_data(x, u);
        take_purpose(u);
        return 0;
    case MULTIPART_PART_END:
        return u->in_purpose ? end_purpose(x, u) : check_line(x, u);
    default:
        return 0;
    }
}

int own_upload_look(struct exchange *x, struct own_upload *u, struct str bytes)
{
    int event, r = 0;

    while (r == 0 && (event = multipart_next(&u->parser, &bytes)) != MULTIPART_MORE) {
        if (event < 0)
            return exchange_fail(
                x, 400, STR("invalid_request_error"), STR("The multipart body is malformed."));
        if (event == MULTIPART_END)
            return 0;
        r = take(x, u, event);
    }
    return r;
}

/* --- uploads in parts --- */

static bool is_string(struct str literal, struct str want)
{
    char text[64];

    if (json_type_of(literal) != JSON_STRING || literal.n >= sizeof text)
        return false;
    ptrdiff_t n = json_unescape(literal, text);
    return n > 0 && str_ieq(str_at(text, (size_t)n), want);
}

/* A line may lie in two parts, which come in any order: nobody could look at it. */
int own_upload_refused(struct exchange *x)
{
    struct str key, value;

    if (!x->key || x->match.endpoint->kind != KIND_UPLOADS || !x->body.n)
        return 0;
    for (size_t at = json_inside(x->body); at && json_next(x->body, &at, &key, &value);)
        if (is_string(str_at(key.p - 1, key.n + 2), STR("purpose")) &&
            is_string(value, STR("batch")))
            return exchange_fail_param(x, 400, STR("invalid_request_error"), STR("purpose"),
                "A file of purpose 'batch' is uploaded whole, with POST /v1/files.");
    return 0;
}
