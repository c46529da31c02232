/*
 * The table of character classes against the grammars it stands for, written out.
 */
#include "base/tap.h"
#include "http/chars.h"

#define ALNUM   "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define SUB     "!$&'()*+,;="
#define UNRES   ALNUM "-._~"
#define TCHAR   ALNUM "!#$%&'*+-.^_`|~"
#define BCHARS  ALNUM "'()+_,-./:=? "
#define VISIBLE ALNUM "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

static const struct {
    unsigned class;
    const char *chars;
} grammars[] = {
    {HTTP_CHAR_TOKEN, TCHAR},
    {HTTP_CHAR_PATH, UNRES SUB ":@/"},
    {HTTP_CHAR_QUERY, UNRES SUB ":@/?[]{}|^`"},
    {HTTP_CHAR_HOST, UNRES SUB},
    {HTTP_CHAR_BOUNDARY, BCHARS},
};

static void test_classes(void)
{
    for (unsigned g = 0; g < sizeof(grammars) / sizeof(grammars[0]); g++) {
        for (unsigned c = 0; c < 256; c++) {
            bool want = c != 0 && strchr(grammars[g].chars, (int)c) != NULL;
            if (http_is((unsigned char)c, grammars[g].class) != want)
                tap_fail(__FILE__, __LINE__, "class %u, byte 0x%02x", grammars[g].class, c);
        }
    }
}

static void test_text(void)
{
    for (unsigned c = 0; c < 256; c++) {
        bool want = c == '\t' || c == ' ' || c >= 0x80 || (c && strchr(VISIBLE, (int)c));
        CHECK_EQ(http_is_text((unsigned char)c), want);
    }
}

int main(void)
{
    TAP_RUN(test_classes);
    TAP_RUN(test_text);
    return tap_done();
}
