/* See form.h. */
#include "gateway/form.h"
#include "http/multipart.h"

#include <errno.h>

#define PIECE_BYTES (64 * KIB)

struct form {
    struct exchange *x;
    const struct form_reader *r;
    struct multipart parser;
    struct buf value;
    struct str name;
    struct form_file *file;
    bool in_file, has_file, ended;
};

static int malformed(struct exchange *x, const char *what)
{
    return exchange_failf(x, 400, STR("invalid_request_error"), "The multipart body %s.", what);
}

static int begin_part(struct form *f)
{
    const struct multipart *m = &f->parser;
    struct arena *a = f->r->arena;

    f->in_file = str_eq(m->name, f->r->file);
    buf_clear(&f->value);
    f->name = arena_dup(a, m->name);
    if (!f->name.p)
        return -ENOMEM;
    if (!f->in_file)
        return 0;
    if (f->has_file)
        return malformed(f->x, "has more than one file");
    f->has_file = true;
    *f->file = (struct form_file){
        .name = arena_dup(a, m->filename), .type = arena_dup(a, m->content_type)};
    return 0;
}

static int take_data(struct form *f)
{
    const struct multipart *m = &f->parser;

    if (!f->in_file) {
        if (buf_addstr(&f->value, m->data) == 0)
            return 0;
        return exchange_fail_param(f->x, 400, STR("invalid_request_error"), f->name,
            "The form's field is longer than %u bytes.", (unsigned)FORM_FIELD_MAX);
    }
    if (!f->file->n)
        f->file->at = m->data_at;
    f->file->n += m->data.n;
    return 0;
}

static int end_part(struct form *f)
{
    if (f->in_file)
        return 0;
    struct str value = arena_dup(f->r->arena, buf_str(&f->value));
    return value.p ? f->r->field(f->r->ctx, f->name, value) : -ENOMEM;
}

static int take_piece(struct form *f, struct str piece)
{
    int e = 0, r = 0;

    while (r == 0 && (e = multipart_next(&f->parser, &piece)) > MULTIPART_MORE) {
        if (e == MULTIPART_END) {
            f->ended = true;
            return 0;
        }
        r = e == MULTIPART_PART ? begin_part(f) : e == MULTIPART_DATA ? take_data(f) : end_part(f);
    }
    return r == 0 && e < 0 ? malformed(f->x, "cannot be read") : r;
}

static int read_pieces(struct form *f)
{
    uint64_t size = gw_upload_size(f->x), at = 0;
    struct str piece;
    int r = 0;

    while (r == 0 && at < size && !f->ended) {
        ssize_t n = gw_upload_piece(f->x, at, MIN(size - at, (uint64_t)PIECE_BYTES), &piece);
        if (n < 0)
            return n == -ECANCELED ? gw_body_error(f->x, (int)n, 0)
                                   : exchange_fail(f->x, 507, STR("spool_failed"),
                                         STR("The upload could not be read again."));
        at += (uint64_t)n;
        r = take_piece(f, piece);
    }
    if (r == 0 && !f->ended)
        return malformed(f->x, "is cut off");
    return r;
}

int gw_form_read(struct exchange *x, const struct form_reader *r, struct form_file *ret)
{
    struct form f = {.x = x, .r = r, .file = ret};
    struct str boundary = multipart_boundary(http_get(&x->rq->head.fields, HTTP_CONTENT_TYPE));
    int e = multipart_init(&f.parser, boundary);

    *ret = (struct form_file){0};
    buf_init(&f.value, FORM_FIELD_MAX);
    e = e < 0 ? malformed(x, "has no boundary") : read_pieces(&f);
    multipart_free(&f.parser);
    buf_free(&f.value);
    if (e == 0 && !ret->n)
        return exchange_fail_param(x, 400, STR("invalid_request_error"), r->file,
            "The form has no field '" STR_FMT "' with a file in it.", STR_ARG(r->file));
    return e;
}
