/*
 * Heads of messages: where a head ends, the lexer's run over it, and the rules that decide what the
 * message means. The end is looked for line by line, so that a head that came in parts costs only
 * this search until it is whole; the search itself refuses bare LF and folded lines.
 *
 * Framing is decided here and nowhere else (RFC 9112 6.3), from fields whose every occurrence was
 * looked at. When two readings of a head are possible, it is refused.
 *
 * All results are views into the caller's bytes. Nothing allocates or suspends.
 */
#include "http/head.h"
#include "http/chars.h"
#include "http/head_int.h"
#include <errno.h>

/* A request line without the target: method, two spaces, version, CRLF. */
#define REQUEST_LINE_EXTRA 64

static int bad(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -EINVAL;
}

/* What an unfinished head can already be refused for, so that a peer that speaks something else
 * (TLS on a plain port) is told at once. */
static int check_start(struct str s, size_t first_line, bool request, const char **ret_why)
{
    if (request && s.n && !http_is_token((unsigned char)s.p[0]))
        return bad(ret_why, "not an HTTP request");
    if (!request && memcmp(s.p, "HTTP/", MIN(s.n, 5u)) != 0)
        return bad(ret_why, "not an HTTP response");
    if (request && first_line > LIMIT_TARGET_BYTES + REQUEST_LINE_EXTRA) {
        *ret_why = "the request target is too long";
        return -E2BIG;
    }
    return 0;
}

/* The length of the head with its empty line; 0 when it is not whole. */
static ptrdiff_t find_end(struct str s, bool request, const char **ret_why)
{
    size_t at = 0, first_line = s.n;
    const char *lf;
    while (at < s.n && (lf = memchr(s.p + at, '\n', s.n - at))) {
        size_t end = (size_t)(lf - s.p);
        if (end == at || s.p[end - 1] != '\r')
            return bad(ret_why, "a line ends without CR LF");
        if (end == 1)
            return bad(ret_why, "an empty line instead of a message");
        if (at == 0)
            first_line = end;
        else if (end == at + 1)
            return (ptrdiff_t)end + 1;
        at = end + 1;
        if (at < s.n && (s.p[at] == ' ' || s.p[at] == '\t'))
            return bad(ret_why, "a header line is folded");
    }
    return check_start(s, first_line, request, ret_why);
}

/* "HTTP/1.0" or "HTTP/1.1" in its place; llhttp does not tell a wrong version from a wrong form. */
static int check_version(struct str version, const char **ret_why)
{
    const char *v = version.p;
    bool formed = version.n == 8 && memcmp(v, "HTTP/", 5) == 0 && v[5] >= '0' && v[5] <= '9' &&
                  v[6] == '.' && v[7] >= '0' && v[7] <= '9';
    if (!formed)
        return bad(ret_why, "no HTTP version");
    if (v[5] != '1' || v[7] > '1') {
        *ret_why = "unsupported HTTP version";
        return -EPROTONOSUPPORT;
    }
    return 0;
}

/* The version stands at the end of a request's first line and at the front of a response's. */
static int check_first_line(struct str head, bool request, const char **ret_why)
{
    struct str line = str_to(head, (size_t)((const char *)memchr(head.p, '\r', head.n) - head.p));
    struct str version = str_to(line, 8);
    if (request && line.n >= 8)
        version = str_from(line, line.n - 8);
    return check_version(version, ret_why);
}

static void index_fields(struct http_fields *f, struct http_field *room, unsigned n)
{
    f->at = room;
    f->n = n;
    memset(f->first, 0, sizeof(f->first));
    for (unsigned i = n; i-- > 0;)
        f->first[room[i].id] = (uint8_t)(i + 1);
    f->first[HTTP_OTHER] = 0;
}

static ptrdiff_t lex(struct str bytes, bool request, struct http_field *room, unsigned field_room,
    struct http_head *ret, struct head_lexed *l, const char **ret_why)
{
    *ret_why = "";
    ptrdiff_t n = find_end(bytes, request, ret_why);
    if (n <= 0)
        return n;
    *l = (struct head_lexed){.room = room, .field_room = MIN(field_room, 254u)};
    int r = check_first_line(bytes, request, ret_why);
    if (r >= 0)
        r = head_lex(str_to(bytes, (size_t)n), request, l, ret_why);
    if (r < 0)
        return r;
    *ret = (struct http_head){.minor = l->minor, .bytes = (size_t)n};
    index_fields(&ret->fields, room, l->field_n);
    return n;
}

/* llhttp passes over more than one space between the parts of a request line. */
static bool single_spaces(const struct head_lexed *l)
{
    const char *behind = l->target.p + l->target.n;
    return l->method.p + l->method.n + 1 == l->target.p && behind[0] == ' ' && behind[1] == 'H';
}

/* True when any Connection field lists token. */
static bool connection_has(const struct http_fields *f, struct str token)
{
    for (unsigned i = f->first[HTTP_CONNECTION]; i && i <= f->n; i++) {
        if (f->at[i - 1].id == HTTP_CONNECTION && http_list_has(f->at[i - 1].value, token))
            return true;
    }
    return false;
}

static void set_connection(struct http_head *h)
{
    const struct http_fields *f = &h->fields;
    h->keep_alive = h->minor >= 1;
    if (!http_has(f, HTTP_CONNECTION))
        return;
    if (connection_has(f, STR("close")))
        h->keep_alive = false;
    else if (connection_has(f, STR("keep-alive")))
        h->keep_alive = true;
    h->upgrade = h->minor >= 1 && http_has(f, HTTP_UPGRADE) && connection_has(f, STR("upgrade"));
}

static int set_framing(struct http_head *h, const char **ret_why)
{
    const struct http_fields *f = &h->fields;
    bool coded = http_has(f, HTTP_TRANSFER_ENCODING), sized = http_has(f, HTTP_CONTENT_LENGTH);
    if (coded && sized)
        return bad(ret_why, "both content-length and transfer-encoding");
    if (coded) {
        if (h->minor < 1)
            return bad(ret_why, "transfer-encoding in an HTTP/1.0 message");
        if (http_count(f, HTTP_TRANSFER_ENCODING) > 1 ||
            !str_ieq(http_get(f, HTTP_TRANSFER_ENCODING), STR("chunked")))
            return bad(ret_why, "a transfer-encoding other than chunked");
        h->framing = HTTP_BODY_CHUNKED;
    } else if (sized) {
        if (http_count(f, HTTP_CONTENT_LENGTH) > 1)
            return bad(ret_why, "more than one content-length");
        if (str_u64(http_get(f, HTTP_CONTENT_LENGTH), &h->content_length) < 0 ||
            h->content_length > INT64_MAX)
            return bad(ret_why, "a malformed content-length");
        h->framing = HTTP_BODY_LENGTH;
    }
    return 0;
}

static enum http_method method_of(struct str s)
{
    switch (s.n) {
    case 3:
        return str_eq(s, STR("GET")) ? HTTP_GET : str_eq(s, STR("PUT")) ? HTTP_PUT : 0;
    case 4:
        return str_eq(s, STR("POST")) ? HTTP_POST : str_eq(s, STR("HEAD")) ? HTTP_HEAD : 0;
    case 5:
        return str_eq(s, STR("PATCH")) ? HTTP_PATCH : 0;
    case 6:
        return str_eq(s, STR("DELETE")) ? HTTP_DELETE : 0;
    case 7:
        return str_eq(s, STR("OPTIONS")) ? HTTP_OPTIONS : 0;
    default:
        return HTTP_METHOD_OTHER;
    }
}

static int check_host(const struct http_head *h, struct str authority, const char **ret_why)
{
    unsigned count = http_count(&h->fields, HTTP_HOST);
    if (count > 1)
        return bad(ret_why, "more than one host field");
    if (count == 0)
        return h->minor >= 1 ? bad(ret_why, "the host field is missing") : 0;
    struct str host = http_get(&h->fields, HTTP_HOST);
    if (!head_authority_ok(host))
        return bad(ret_why, "the host field is malformed");
    if (authority.p && !str_ieq(host, authority))
        return bad(ret_why, "the host field differs from the request target");
    return 0;
}

static int set_target(struct http_head *h, const char **ret_why)
{
    struct str authority;
    if (h->target.n > LIMIT_TARGET_BYTES) {
        *ret_why = "the request target is too long";
        return -E2BIG;
    }
    int r = head_cut_target(
        h->target, h->method == HTTP_OPTIONS, &h->path, &h->query, &authority, ret_why);
    return r < 0 ? r : check_host(h, authority, ret_why);
}

static void set_expectation(struct http_head *h)
{
    h->expect_continue = h->minor >= 1 && h->framing != HTTP_BODY_NONE &&
                         str_ieq(http_get(&h->fields, HTTP_EXPECT), STR("100-continue"));
}

ptrdiff_t http_parse_request(struct str bytes, struct http_field *room, unsigned field_room,
    struct http_head *ret, const char **ret_why)
{
    struct head_lexed l;
    /* One empty line before a request is passed over (RFC 9112 2.2). */
    size_t skip = bytes.n >= 2 && bytes.p[0] == '\r' && bytes.p[1] == '\n' ? 2 : 0;
    if (bytes.n == skip || (bytes.n == 1 && bytes.p[0] == '\r'))
        return 0;
    ptrdiff_t n = lex(str_from(bytes, skip), true, room, field_room, ret, &l, ret_why);
    if (n <= 0)
        return n;
    if (!single_spaces(&l))
        return bad(ret_why, "more than one space in the request line");
    ret->bytes += skip;
    ret->method_text = l.method;
    ret->method = method_of(l.method);
    ret->target = l.target;
    set_connection(ret);
    int r = set_framing(ret, ret_why);
    if (r >= 0)
        r = set_target(ret, ret_why);
    if (r < 0)
        return r;
    set_expectation(ret);
    return (ptrdiff_t)ret->bytes;
}

static bool text_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!http_is_text((unsigned char)s.p[i]))
            return false;
    }
    return true;
}

ptrdiff_t http_parse_response(struct str bytes, bool request_was_head, struct http_field *room,
    unsigned field_room, struct http_head *ret, const char **ret_why)
{
    struct head_lexed l;
    ptrdiff_t n = lex(bytes, false, room, field_room, ret, &l, ret_why);
    if (n <= 0)
        return n;
    if (l.status < 100 || l.status > 599)
        return bad(ret_why, "a status outside 100 to 599");
    if (!text_ok(l.reason))
        return bad(ret_why, "control characters in the reason phrase");
    ret->status = l.status;
    ret->reason = l.reason;
    set_connection(ret);
    int r = set_framing(ret, ret_why);
    if (r < 0)
        return r;
    if (request_was_head || l.status < 200 || l.status == 204 || l.status == 304)
        ret->framing = HTTP_BODY_NONE;
    else if (ret->framing == HTTP_BODY_NONE)
        ret->framing = HTTP_BODY_TO_EOF;
    if (ret->framing == HTTP_BODY_TO_EOF)
        ret->keep_alive = false;
    return n;
}
