/*
 * Parameters of header values, the head of a part, and the boundary in a content type. Names are
 * views into the held head, whose quoted strings are unescaped where they stand.
 */
#include "base/limits.h"
#include "http/chars.h"
#include "http/fields.h"
#include "http/multipart_int.h"
#include <errno.h>

struct parameter {
    struct str name, value; /* value as it stands between the quotes */
    bool quoted;
};

static struct str skip_space(struct str s)
{
    size_t n = 0;
    while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t'))
        n++;
    return str_from(s, n);
}

static struct str take_while(struct str *s, unsigned classes)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != ' ' && http_is((unsigned char)s->p[n], classes))
        n++;
    struct str taken = str_to(*s, n);
    *s = str_from(*s, n);
    return taken;
}

/* *s stands behind the opening quote; it moves behind the closing one. */
static int take_quoted(struct str *s, struct str *ret)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != '"') {
        if (!http_is_text((unsigned char)s->p[n]))
            return -EINVAL;
        /* A backslash before anything else is one of a path that a browser did not escape. */
        bool escape =
            s->p[n] == '\\' && n + 1 < s->n && (s->p[n + 1] == '"' || s->p[n + 1] == '\\');
        n += escape ? 2 : 1;
    }
    if (n >= s->n)
        return -EINVAL;
    *ret = str_to(*s, n);
    *s = str_from(*s, n + 1);
    return 0;
}

/* The next ";name=value": 1, 0 at the end, -EINVAL. A boundary without quotes may hold more than
 * token characters, as several clients send it so. */
static int next_parameter(struct str *s, struct parameter *ret)
{
    *s = skip_space(*s);
    if (s->n == 0)
        return 0;
    if (s->p[0] != ';')
        return -EINVAL;
    *s = skip_space(str_from(*s, 1));
    ret->name = take_while(s, HTTP_CHAR_TOKEN);
    if (ret->name.n == 0 || s->n == 0 || s->p[0] != '=')
        return -EINVAL;
    *s = str_from(*s, 1);
    ret->quoted = s->n && s->p[0] == '"';
    if (ret->quoted) {
        *s = str_from(*s, 1);
        return take_quoted(s, &ret->value) < 0 ? -EINVAL : 1;
    }
    ret->value = take_while(s, HTTP_CHAR_TOKEN | HTTP_CHAR_BOUNDARY);
    return ret->value.n ? 1 : -EINVAL;
}

bool multipart_boundary_ok(struct str b)
{
    if (b.n == 0 || b.n > LIMIT_BOUNDARY_BYTES || b.p[b.n - 1] == ' ')
        return false;
    for (size_t i = 0; i < b.n; i++) {
        if (!http_is((unsigned char)b.p[i], HTTP_CHAR_BOUNDARY))
            return false;
    }
    return true;
}

struct str multipart_boundary(struct str content_type)
{
    struct str found = STR_NONE;
    struct parameter p;
    int r;
    if (!str_istarts(content_type, STR("multipart/")))
        return STR_NONE;
    content_type = str_from(content_type, 10);
    if (take_while(&content_type, HTTP_CHAR_TOKEN).n == 0)
        return STR_NONE;
    while ((r = next_parameter(&content_type, &p)) > 0) {
        if (!str_ieq(p.name, STR("boundary")))
            continue;
        if (found.p)
            return STR_NONE;
        found = p.value;
    }
    return r == 0 && multipart_boundary_ok(found) ? found : STR_NONE;
}

/* One unescaped byte at s.p[*at]: \" and \\ as RFC 822 has them, %22 as browsers do. */
static char unescaped(struct str s, size_t *at)
{
    const char *p = s.p + *at;
    size_t left = s.n - *at;
    if (left >= 2 && p[0] == '\\' && (p[1] == '"' || p[1] == '\\')) {
        *at += 2;
        return p[1];
    }
    if (left >= 3 && memcmp(p, "%22", 3) == 0) {
        *at += 3;
        return '"';
    }
    *at += 1;
    return p[0];
}

/* value lies in held, which is the parser's own. */
static struct str unescape(struct multipart *m, const struct parameter *p)
{
    if (!p->quoted)
        return p->value;
    char *out = m->held.p + (p->value.p - m->held.p);
    size_t n = 0;
    for (size_t at = 0; at < p->value.n;)
        out[n++] = unescaped(p->value, &at);
    return str_at(out, n);
}

static int set_once(struct multipart *m, struct str *to, const struct parameter *p)
{
    if (to->p)
        return -EINVAL;
    *to = unescape(m, p);
    return 0;
}

static int read_disposition(struct multipart *m, struct str value)
{
    struct parameter p;
    int r;
    if (m->name.p || !str_ieq(take_while(&value, HTTP_CHAR_TOKEN), STR("form-data")))
        return -EINVAL;
    while ((r = next_parameter(&value, &p)) > 0) {
        if (str_ieq(p.name, STR("name")))
            r = set_once(m, &m->name, &p);
        else if (str_ieq(p.name, STR("filename")))
            r = set_once(m, &m->filename, &p);
        if (r < 0)
            return r;
    }
    return r == 0 && m->name.p ? 0 : -EINVAL;
}

static bool same_bytes(struct str transfer_encoding)
{
    return str_ieq(transfer_encoding, STR("binary")) || str_ieq(transfer_encoding, STR("8bit")) ||
           str_ieq(transfer_encoding, STR("7bit"));
}

static int read_field(struct multipart *m, struct str name, struct str value)
{
    if (str_ieq(name, STR("content-disposition")))
        return read_disposition(m, value);
    if (str_ieq(name, STR("content-transfer-encoding")))
        return same_bytes(value) ? 0 : -EINVAL;
    if (str_ieq(name, STR("content-type"))) {
        if (m->content_type.p)
            return -EINVAL;
        m->content_type = value;
    }
    return 0;
}

static int read_line(struct multipart *m, struct str line)
{
    struct str name = take_while(&line, HTTP_CHAR_TOKEN);
    if (name.n == 0 || line.n == 0 || line.p[0] != ':')
        return -EINVAL;
    struct str value = str_trim(str_from(line, 1));
    for (size_t i = 0; i < value.n; i++) {
        if (!http_is_text((unsigned char)value.p[i]))
            return -EINVAL;
    }
    return read_field(m, name, value);
}

int multipart_read_head(struct multipart *m)
{
    struct str head = buf_str(&m->held);
    m->name = m->filename = m->content_type = STR_NONE;
    while (head.n > 2) { /* the empty line at the end is left */
        struct str line = str_split(&head, '\n');
        int r = read_line(m, str_to(line, line.n - 1));
        if (r < 0)
            return r;
    }
    return m->name.p ? 0 : -EINVAL;
}
