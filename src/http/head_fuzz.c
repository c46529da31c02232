/*
 * A head that is taken is taken at its own end, whatever follows, and not before; its views lie
 * inside it; printed again it means the same. A refusal is final. The first byte chooses between
 * requests and responses.
 */
#include "http/cut_fuzz.h"
#include "http/head.h"

struct parsed {
    struct http_field room[LIMIT_HEADERS];
    struct http_head head;
    const char *why;
    ptrdiff_t result;
};

static bool request, head_asked;

static void parse(struct str s, struct parsed *p)
{
    p->result = request
                    ? http_parse_request(s, p->room, LIMIT_HEADERS, &p->head, &p->why)
                    : http_parse_response(s, head_asked, p->room, LIMIT_HEADERS, &p->head, &p->why);
    must(p->result <= (ptrdiff_t)s.n);
    must(p->result >= 0 || (p->why && *p->why));
}

static void inside(struct str view, struct str head)
{
    must(view.n == 0 || (view.p >= head.p && view.p + view.n <= head.p + head.n));
}

static void check_views(const struct parsed *p, struct str head)
{
    const struct http_fields *f = &p->head.fields;
    if (!request || p->head.path.n != 1) /* "/" may be a literal */
        inside(p->head.path, head);
    inside(p->head.query, head);
    inside(p->head.reason, head);
    for (unsigned i = 0; i < f->n; i++) {
        inside(f->at[i].name, head);
        inside(f->at[i].value, head);
        must(f->at[i].name.n > 0 && f->at[i].id == http_name_of(f->at[i].name));
        must(f->at[i].id == HTTP_OTHER || f->first[f->at[i].id]);
    }
}

static void check_framing(const struct http_head *h)
{
    bool sized = http_has(&h->fields, HTTP_CONTENT_LENGTH);
    bool coded = http_has(&h->fields, HTTP_TRANSFER_ENCODING);
    must(!(sized && coded));
    must(h->framing != HTTP_BODY_LENGTH || sized);
    must(h->framing != HTTP_BODY_CHUNKED || coded);
    must(!request || (h->framing == HTTP_BODY_NONE) == (!sized && !coded));
    must(!request || h->framing != HTTP_BODY_TO_EOF);
}

static void print(const struct http_head *h, struct buf *out)
{
    if (request)
        buf_printf(out, STR_FMT " " STR_FMT " HTTP/1.%d\r\n", STR_ARG(h->method_text),
            STR_ARG(h->target), h->minor);
    else
        buf_printf(out, "HTTP/1.%d %d " STR_FMT "\r\n", h->minor, h->status, STR_ARG(h->reason));
    for (unsigned i = 0; i < h->fields.n; i++)
        must(http_put(out, h->fields.at[i].name, h->fields.at[i].value) == 0);
    buf_addstr(out, STR("\r\n"));
    must(out->err == 0);
}

static void check_same(const struct http_head *a, const struct http_head *b)
{
    must(a->framing == b->framing && a->content_length == b->content_length);
    must(a->keep_alive == b->keep_alive && a->upgrade == b->upgrade);
    must(a->expect_continue == b->expect_continue && a->status == b->status);
    must(a->method == b->method && str_eq(a->path, b->path) && str_eq(a->query, b->query));
    must(a->fields.n == b->fields.n && str_eq(a->reason, b->reason));
    for (unsigned i = 0; i < a->fields.n; i++) {
        must(str_eq(a->fields.at[i].name, b->fields.at[i].name));
        must(str_eq(a->fields.at[i].value, b->fields.at[i].value));
    }
}

static void check_taken(const struct parsed *p, struct str s)
{
    static struct parsed other;
    struct str head = str_to(s, (size_t)p->result);
    struct cutter c = cutter_of(s, 1);
    check_views(p, head);
    check_framing(&p->head);
    parse(head, &other);
    must(other.result == p->result);
    for (unsigned i = 0; i < 4; i++) {
        parse(str_to(head, cutter_number(&c, head.n)), &other);
        must(other.result == 0);
    }
    _cleanup_(buf_free) struct buf again;
    buf_init(&again, 2 * MIB);
    print(&p->head, &again);
    parse(buf_str(&again), &other);
    must(other.result == (ptrdiff_t)again.n);
    check_same(&p->head, &other.head);
}

static void check_refused(struct str s)
{
    static struct parsed other;
    _cleanup_(buf_free) struct buf more;
    buf_init(&more, 2 * MIB);
    buf_addstr(&more, s);
    buf_addstr(&more, STR("\r\nHost: a\r\n\r\n"));
    parse(buf_str(&more), &other);
    must(other.result < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct parsed p;
    if (size < 1 || size > MIB)
        return 0;
    request = data[0] & 1;
    head_asked = data[0] & 2;
    struct str s = str_at((const char *)data + 1, size - 1);
    parse(s, &p);
    if (p.result > 0)
        check_taken(&p, s);
    else if (p.result < 0)
        check_refused(s);
    return 0;
}
