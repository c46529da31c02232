/*
 * multipart/form-data, read whole: fields are few and the body is in memory, so values are views of
 * it; only names are copied, since the parser reuses their memory.
 */
#include "demo/demo_int.h"

#include "http/multipart.h"
#include <errno.h>
#include <stdlib.h>

static struct str keep(struct form *f, struct str s)
{
    if (!s.p)
        return STR_NONE;
    size_t at = f->names.n;
    if (buf_addstr(&f->names, s) < 0)
        return STR_NONE;
    return str_at(f->names.p + at, s.n);
}

static int read_parts(struct demo_call *c, struct form *f, struct multipart *m)
{
    struct str in = c->body;
    struct form_field *part = NULL;
    int e;
    while ((e = multipart_next(m, &in)) > MULTIPART_MORE && e != MULTIPART_END) {
        if (e == MULTIPART_PART) {
            if (f->n == ARRAY_LEN(f->at))
                return -E2BIG;
            part = &f->at[f->n++];
            part->name = keep(f, m->name);
            part->filename = keep(f, m->filename);
            part->type = keep(f, m->content_type);
            part->value = STR("");
        } else if (e == MULTIPART_DATA) {
            const char *p = c->body.p + m->data_at;
            if (!part->value.n)
                part->value.p = p;
            part->value.n = (size_t)(p + m->data.n - part->value.p);
        }
    }
    return e == MULTIPART_END ? 0 : -EINVAL;
}

struct form *form_read(struct demo_call *c)
{
    struct str boundary = multipart_boundary(http_get(&c->rq->head.fields, HTTP_CONTENT_TYPE));
    struct multipart m;
    if (!boundary.p || multipart_init(&m, boundary) < 0)
        return NULL;
    struct form *f = calloc(1, sizeof(*f));
    /* Its whole room at once: the views must not move. */
    size_t most = MIN(c->body.n, LIMIT_MULTIPART_HEAD * ARRAY_LEN(f->at)) + 1;
    if (f) {
        buf_init(&f->names, most);
        if (buf_reserve(&f->names, most) < 0 || read_parts(c, f, &m) < 0) {
            form_free(f);
            f = NULL;
        }
    }
    multipart_free(&m);
    return f;
}

void form_free(struct form *f)
{
    if (!f)
        return;
    buf_free(&f->names);
    free(f);
}

struct str form_value(const struct form *f, struct str name)
{
    for (unsigned i = 0; f && i < f->n; i++)
        if (str_eq(f->at[i].name, name))
            return f->at[i].value;
    return STR_NONE;
}

const struct form_field *form_file(const struct form *f)
{
    for (unsigned i = 0; f && i < f->n; i++)
        if (f->at[i].filename.p)
            return &f->at[i];
    return NULL;
}
