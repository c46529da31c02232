/*
 * Any bytes: the validator against a plain decoder, cutting never makes a valid text invalid, and
 * text that comes in pieces is the same text.
 */
#include "base/macros.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes by arithmetic and then rejects what has a shorter form, is a surrogate or too large. */
static size_t reference_prefix(const uint8_t *p, size_t n)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t i = 0;

    while (i < n) {
        size_t want = p[i] < 0x80       ? 1
                      : p[i] >> 5 == 6  ? 2
                      : p[i] >> 4 == 14 ? 3
                      : p[i] >> 3 == 30 ? 4
                                        : 0;
        if (want == 0 || want > n - i)
            return i;
        uint32_t c = want == 1 ? p[i] : p[i] & (0xff >> (want + 1));
        for (size_t k = 1; k < want; k++) {
            if ((p[i + k] & 0xc0) != 0x80)
                return i;
            c = c << 6 | (p[i + k] & 0x3f);
        }
        if (c < least[want] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
            return i;
        i += want;
    }
    return i;
}

static void check_cut(struct str s, size_t cut)
{
    struct str head = utf8_truncate(s, cut), whole = utf8_whole(str_to(s, cut));
    bool valid = utf8_valid(s);

    must(head.n <= cut && head.n + 3 >= MIN(cut, s.n));
    must(whole.n <= MIN(cut, s.n) && whole.n + 3 >= MIN(cut, s.n));
    must(!valid || (utf8_valid(head) && utf8_valid(whole)));
    must(!valid || utf8_count(whole) + utf8_count(str_from(s, whole.n)) == utf8_count(s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = str_at((const char *)data, size);
    size_t count = utf8_count(s);

    must(utf8_valid_prefix(s) == reference_prefix(data, size));
    must(count <= size && count * 4 >= size);
    must(utf8_first(s, count).n == size && (size == 0 || utf8_first(s, count - 1).n < size));
    for (size_t cut = 0; cut <= size; cut++)
        check_cut(s, cut);
    return 0;
}
