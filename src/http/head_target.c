/*
 * Request targets, authorities, percent-encoding and query parameters. Everything is a view into
 * the target; a path stays percent-encoded, because a decoded one could no longer be cut at '/'.
 */
#include "http/chars.h"
#include "http/head.h"
#include "http/head_int.h"
#include <errno.h>

/* The value of the %XX at s.p[at], or -1. */
static int escaped(struct str s, size_t at)
{
    if (s.n - at < 3)
        return -1;
    int high = http_hex((unsigned char)s.p[at + 1]), low = http_hex((unsigned char)s.p[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool all_of(struct str s, unsigned classes)
{
    for (size_t i = 0; i < s.n; i++) {
        if (http_is((unsigned char)s.p[i], classes))
            continue;
        if (s.p[i] != '%' || escaped(s, i) < 0)
            return false;
        i += 2;
    }
    return true;
}

/* [ IPv6address ]: the characters are checked, whoever connects checks the rest. */
static bool ip_literal_ok(struct str s)
{
    if (s.n < 2)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (http_hex((unsigned char)s.p[i]) < 0 && s.p[i] != ':' && s.p[i] != '.')
            return false;
    }
    return true;
}

static bool port_ok(struct str port)
{
    uint64_t value;
    return port.n == 0 || (str_u64(port, &value) == 0 && value <= UINT16_MAX);
}

bool head_authority_ok(struct str a)
{
    struct str host, rest;
    if (a.n && a.p[0] == '[') {
        ptrdiff_t close = str_chr(a, ']');
        if (close < 0 || !ip_literal_ok(str_at(a.p + 1, (size_t)close - 1)))
            return false;
        rest = str_from(a, (size_t)close + 1);
    } else {
        ptrdiff_t colon = str_chr(a, ':');
        host = colon < 0 ? a : str_to(a, (size_t)colon);
        if (host.n == 0 || !all_of(host, HTTP_CHAR_HOST))
            return false;
        rest = str_from(a, host.n);
    }
    return rest.n == 0 || (rest.p[0] == ':' && port_ok(str_from(rest, 1)));
}

static int bad(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -EINVAL;
}

/* "http://authority" is taken off the front; what is left is empty, or begins with '/' or '?'. */
static int cut_authority(struct str *s, struct str *ret_authority, const char **ret_why)
{
    if (str_istarts(*s, STR("http://")))
        *s = str_from(*s, 7);
    else if (str_istarts(*s, STR("https://")))
        *s = str_from(*s, 8);
    else
        return bad(ret_why, "the request target is neither a path nor an http URI");
    size_t n = 0;
    while (n < s->n && s->p[n] != '/' && s->p[n] != '?')
        n++;
    *ret_authority = str_to(*s, n);
    *s = str_from(*s, n);
    if (!head_authority_ok(*ret_authority))
        return bad(ret_why, "the request target's authority is malformed");
    return 0;
}

int head_cut_target(struct str target, bool options, struct str *ret_path, struct str *ret_query,
    struct str *ret_authority, const char **ret_why)
{
    *ret_query = *ret_authority = STR_NONE;
    *ret_path = target;
    if (options && str_eq(target, STR("*")))
        return 0;
    if (target.n == 0 || target.p[0] != '/') {
        int r = cut_authority(&target, ret_authority, ret_why);
        if (r < 0)
            return r;
    }
    const char *mark = target.n ? memchr(target.p, '?', target.n) : NULL;
    size_t path_n = mark ? (size_t)(mark - target.p) : target.n;
    *ret_path = path_n ? str_to(target, path_n) : STR("/");
    if (mark)
        *ret_query = str_from(target, path_n + 1);
    if (!all_of(*ret_path, HTTP_CHAR_PATH) || !all_of(*ret_query, HTTP_CHAR_QUERY))
        return bad(ret_why, "the request target holds a character that must be percent-encoded");
    return 0;
}

ptrdiff_t http_percent_decode(struct str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int c = (unsigned char)s.p[i];
        if (c == '%') {
            c = escaped(s, i);
            if (c <= 0) /* malformed, or a NUL, which nothing behind a URL can mean */
                return -EINVAL;
            i += 2;
        }
        out[n++] = (char)c;
    }
    return (ptrdiff_t)n;
}

struct str http_query_get(struct str query, struct str name)
{
    while (query.p) {
        struct str value = str_split(&query, '&');
        const char *start = value.p;
        struct str key = str_split(&value, '=');
        if (str_eq(key, name) && start)
            return value.p ? value : str_at(start + key.n, 0);
    }
    return STR_NONE;
}
