/*
 * The JSON literal of any bytes is well-formed: quotes at both ends, nothing inside that must be
 * escaped, valid UTF-8 throughout; and escaping well-formed plain text changes nothing.
 */
#include "base/buf.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t check_escape(struct str s)
{
    must(s.n >= 2);
    if (s.p[1] != 'u') {
        must(strchr("\"\\bfnrt", s.p[1]));
        return 2;
    }
    must(s.n >= 6 && s.p[2] == '0' && s.p[3] == '0');
    return 6;
}

static void check_body(struct str s)
{
    size_t bad;

    while (s.n) {
        unsigned char c = (unsigned char)s.p[0];
        must(c >= 0x20 && c != '"');
        size_t n = c == '\\' ? check_escape(s) : utf8_step(s.p, s.n, &bad);
        must(n > 0);
        s = str_from(s, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(buf_free) struct buf b;
    struct str in = str_at((const char *)data, size);
    bool plain = true;

    buf_init(&b, 6 * size + 2);
    must(buf_addjson(&b, in) == 0); /* no byte grows beyond six */
    must(b.n >= 2 && b.p[0] == '"' && b.p[b.n - 1] == '"');
    struct str body = str_at(b.p + 1, b.n - 2);
    check_body(body);
    for (size_t i = 0; i < size; i++)
        plain = plain && data[i] >= 0x20 && data[i] < 0x80 && data[i] != '"' && data[i] != '\\';
    must(!plain || str_eq(body, in));
    return 0;
}
