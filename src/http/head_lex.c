/*
 * llhttp, used as a lexer over one whole head: all leniency off, callbacks only where a view is
 * wanted. Because the head is in one piece, each callback comes once, with a view into the head.
 * A field is made when its name is seen, so that an empty value needs no callback of its own.
 */
#include "http/head_int.h"
#include <errno.h>
#include <llhttp.h>

static int on_method(llhttp_t *p, const char *at, size_t n)
{
    ((struct head_lexed *)p->data)->method = str_at(at, n);
    return 0;
}

static int on_target(llhttp_t *p, const char *at, size_t n)
{
    ((struct head_lexed *)p->data)->target = str_at(at, n);
    return 0;
}

static int on_reason(llhttp_t *p, const char *at, size_t n)
{
    ((struct head_lexed *)p->data)->reason = str_at(at, n);
    return 0;
}

static int on_name(llhttp_t *p, const char *at, size_t n)
{
    struct head_lexed *l = p->data;
    if (l->field_n == l->field_room) {
        l->too_many = true;
        return HPE_USER;
    }
    struct str name = str_at(at, n);
    l->room[l->field_n++] =
        (struct http_field){.name = name, .value = str_at(at + n, 0), .id = http_name_of(name)};
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct head_lexed *l = p->data;
    while (n && (at[n - 1] == ' ' || at[n - 1] == '\t'))
        n--;
    l->room[l->field_n - 1].value = str_at(at, n);
    return 0;
}

/* Tells llhttp that no body follows: the body is not its business. */
static int on_complete(llhttp_t *p)
{
    ((struct head_lexed *)p->data)->complete = true;
    return 1;
}

static const llhttp_settings_t settings = {
    .on_method = on_method,
    .on_url = on_target,
    .on_status = on_reason,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_complete,
};

static int refuse(const llhttp_t *p, const struct head_lexed *l, const char **ret_why)
{
    if (l->too_many) {
        *ret_why = "too many header fields";
        return -E2BIG;
    }
    const char *reason = llhttp_get_error_reason(p); /* a literal of llhttp's */
    *ret_why = reason && *reason ? reason : "malformed head";
    return -EINVAL;
}

int head_lex(struct str bytes, bool request, struct head_lexed *l, const char **ret_why)
{
    llhttp_t p;
    llhttp_init(&p, request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    p.data = l;
    enum llhttp_errno e = llhttp_execute(&p, bytes.p, bytes.n);
    if (e != HPE_OK && e != HPE_PAUSED_UPGRADE)
        return refuse(&p, l, ret_why);
    if (!l->complete) {
        *ret_why = "malformed head";
        return -EINVAL;
    }
    l->minor = llhttp_get_http_minor(&p);
    l->status = llhttp_get_status_code(&p);
    return 0;
}
