/*
 * What is encoded decodes to itself; and what a strict decoder accepts encodes back to the very
 * same text.
 */
#include "base/macros.h"
#include "crypto/encode.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct codec {
    void (*encode)(struct str in, char *out);
    ssize_t (*decode)(struct str in, void *out);
};

static const struct codec std = {base64_encode, base64_decode};
static const struct codec url = {base64url_encode, base64url_decode};

static void check_there_and_back(const struct codec *c, struct str in, size_t size)
{
    char *text = malloc(size + 1), *plain = malloc(BASE64_MAX_BYTES(size));

    must(text && plain);
    text[size] = '!';
    c->encode(in, text);
    must(text[size] == '!');
    must(c->decode(str_at(text, size), plain) == (ssize_t)in.n);
    must(str_eq(str_at(plain, in.n), in));
    free(text);
    free(plain);
}

static void check_one_spelling(const struct codec *c, struct str text)
{
    char *plain = malloc(BASE64_MAX_BYTES(text.n)), *again = malloc(text.n + 8);

    must(plain && again);
    ssize_t n = c->decode(text, plain);
    if (n >= 0) {
        c->encode(str_at(plain, (size_t)n), again);
        must(str_eq(str_at(again, text.n), text));
    }
    free(plain);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_at((const char *)data, size);

    check_there_and_back(&std, in, BASE64_SIZE(size));
    check_there_and_back(&url, in, BASE64URL_SIZE(size));
    check_one_spelling(&std, in);
    check_one_spelling(&url, in);
    size_t cut = size ? data[0] % size : 0;
    must(crc32_ieee(crc32_ieee(0, str_to(in, cut)), str_from(in, cut)) == crc32_ieee(0, in));
    return 0;
}
