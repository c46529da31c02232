/*
 * The delimiters and the parts between them. A delimiter begins with CR and holds no other, so that
 * a search that fails within one never has to go back: what was matched is data, and the search
 * goes on at the byte that did not fit. For the same reason the bytes of a possible delimiter at
 * the end of a piece need not be kept: they are the delimiter's own first bytes.
 *
 * At the front of the body, and of each part's data, the delimiter's CRLF counts as seen (it is
 * `implied`): there it ends the empty preamble, and here it shows the ambiguous empty part.
 */
#include "http/multipart.h"
#include "base/limits.h"
#include "http/multipart_int.h"
#include <errno.h>

enum {
    FRONT,     /* before the first delimiter */
    FRONT_LF,  /* behind a CR before it */
    BEHIND,    /* a delimiter */
    BEHIND_CR, /* and a CR */
    BEHIND_DASH,
    HEAD,
    DATA,
    EPILOGUE,
    BROKEN,
};

#define CRLF_BYTES 2

int multipart_init(struct multipart *m, struct str boundary)
{
    *m = (struct multipart){.state = FRONT, .matched = CRLF_BYTES, .implied = CRLF_BYTES};
    buf_init(&m->held, LIMIT_MULTIPART_HEAD);
    if (!multipart_boundary_ok(boundary))
        return -EINVAL;
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary.p, boundary.n);
    m->delimiter_n = 4 + boundary.n;
    return 0;
}

void multipart_free(struct multipart *m)
{
    buf_free(&m->held);
}

static void consume(struct multipart *m, struct str *in, size_t n)
{
    *in = str_from(*in, n);
    m->at += n;
}

static int give_data(struct multipart *m, const char *p, size_t n, uint64_t at)
{
    m->data = str_at(p, n);
    m->data_at = at;
    return MULTIPART_DATA;
}

/* The body may begin with the first delimiter, or with one CRLF before it; nothing else. */
static int front_byte(struct multipart *m, char c)
{
    if (m->state == FRONT_LF) {
        m->state = FRONT;
        m->matched = CRLF_BYTES;
        m->implied = 0;
        return c == '\n' ? 0 : -EINVAL;
    }
    if (c == '\r' && m->matched == CRLF_BYTES && m->implied) {
        m->state = FRONT_LF;
        return 0;
    }
    if (c != m->delimiter[m->matched])
        return -EINVAL;
    if (++m->matched == m->delimiter_n)
        m->state = BEHIND;
    return 0;
}

static int behind_byte(struct multipart *m, char c)
{
    if (m->state == BEHIND && c == '\r')
        m->state = BEHIND_CR;
    else if (m->state == BEHIND && c == '-')
        m->state = BEHIND_DASH;
    else if (m->state == BEHIND_CR && c == '\n')
        m->state = HEAD;
    else if (m->state == BEHIND_DASH && c == '-')
        m->state = EPILOGUE;
    else
        return -EINVAL;
    if (m->state == HEAD) {
        buf_clear(&m->held);
        return ++m->parts > LIMIT_MULTIPART_PARTS ? -E2BIG : 0;
    }
    return m->state == EPILOGUE ? MULTIPART_END : 0;
}

static int head_line_done(struct multipart *m)
{
    struct str head = buf_str(&m->held);
    if (!str_ends(head, STR("\r\n")))
        return -EINVAL;
    if (!str_ends(head, STR("\r\n\r\n")))
        return head.n == CRLF_BYTES ? -EINVAL : 0; /* a part without any head has no name */
    int r = multipart_read_head(m);
    if (r < 0)
        return r;
    m->state = DATA;
    m->matched = m->implied = CRLF_BYTES;
    return MULTIPART_PART;
}

/* Takes at most one line. */
static int next_head(struct multipart *m, struct str *in)
{
    const char *lf = memchr(in->p, '\n', in->n);
    size_t n = lf ? (size_t)(lf - in->p) + 1 : in->n;
    int r = buf_addstr(&m->held, str_to(*in, n));
    if (r < 0)
        return r == -ENOBUFS ? -E2BIG : r;
    consume(m, in, n);
    return lf ? head_line_done(m) : 0;
}

/* How many bytes at the front of s are data for certain. */
static size_t certain_data(const struct multipart *m, struct str s)
{
    size_t at = 0;
    while (at < s.n) {
        const char *cr = memchr(s.p + at, '\r', s.n - at);
        if (!cr)
            return s.n;
        at = (size_t)(cr - s.p);
        if (memcmp(cr, m->delimiter, MIN(s.n - at, m->delimiter_n)) == 0)
            return at;
        at++;
    }
    return at;
}

/* Goes on with a possible delimiter as far as the input fits. */
static int match_on(struct multipart *m, struct str *in)
{
    size_t n = 0;
    while (n < in->n && m->matched < m->delimiter_n && in->p[n] == m->delimiter[m->matched]) {
        n++;
        m->matched++;
    }
    consume(m, in, n);
    if (m->matched == m->delimiter_n) {
        m->state = BEHIND;
        return m->implied ? -EINVAL : MULTIPART_PART_END;
    }
    if (in->n == 0)
        return MULTIPART_MORE;
    size_t came = m->matched - m->implied;
    const char *from = m->delimiter + m->implied;
    m->matched = m->implied = 0;
    return came ? give_data(m, from, came, m->at - came) : 0;
}

static int next_data(struct multipart *m, struct str *in)
{
    if (m->matched)
        return match_on(m, in);
    const char *p = in->p;
    size_t n = certain_data(m, *in);
    if (n) {
        consume(m, in, n);
        return give_data(m, p, n, m->at - n);
    }
    return match_on(m, in);
}

static int step(struct multipart *m, struct str *in)
{
    char c = in->p[0];
    switch (m->state) {
    case FRONT:
    case FRONT_LF:
        consume(m, in, 1);
        return front_byte(m, c);
    case BEHIND:
    case BEHIND_CR:
    case BEHIND_DASH:
        consume(m, in, 1);
        return behind_byte(m, c);
    case HEAD:
        return next_head(m, in);
    case DATA:
        return next_data(m, in);
    case EPILOGUE:
        consume(m, in, in->n);
        return MULTIPART_MORE;
    default:
        return -EINVAL;
    }
}

int multipart_next(struct multipart *m, struct str *in)
{
    int r = 0;
    while (in->n && r == 0) /* MULTIPART_MORE is 0 */
        r = step(m, in);
    if (r < 0)
        m->state = BROKEN;
    return r;
}
