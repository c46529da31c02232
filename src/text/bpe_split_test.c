/*
 * Splitting: known texts with their pieces, and random ones against the expressions matched by
 * backtracking. No ranks are needed.
 */
#include "base/tap.h"
#include "text/bpe_oracle.h"

/* Pieces are joined with this, which no text here has in it. */
#define BAR "\x01"

static void check_pieces(split_fn *split, struct str text, const char *want)
{
    char got[512];
    size_t n = 0;
    struct split s;
    const uint8_t *p = (const uint8_t *)text.p, *end = p + text.n;
    split_init(&s, end);
    while (p < end) {
        const uint8_t *q = split(&s, p);
        must(q > p && q <= end && n + (size_t)(q - p) < sizeof(got));
        memcpy(got + n, p, (size_t)(q - p));
        n += (size_t)(q - p);
        got[n++] = BAR[0];
        p = q;
    }
    CHECK_STR(str_at(got, n ? n - 1 : 0), str_of(want));
}

static const struct {
    struct str text;
    const char *cl100k, *o200k; /* o200k NULL: the same */
} cases[] = {
    {STR_INIT(""), "", NULL},
    {STR_INIT("hello world"), "hello" BAR " world", NULL},
    {STR_INIT("  two  spaces"), " " BAR " two" BAR " " BAR " spaces", NULL},
    {STR_INIT("I'm he'll we've THEY'RE"),
        "I" BAR "'m" BAR " he" BAR "'ll" BAR " we" BAR "'ve" BAR " THEY" BAR "'RE",
        "I'm" BAR " he'll" BAR " we've" BAR " THEY'RE"},
    {STR_INIT("it's'S 'tis"), "it" BAR "'s" BAR "'S" BAR " '" BAR "tis",
        "it's" BAR "'S" BAR " '" BAR "tis"},
    {STR_INIT("x'\xc5\xbfy"), "x" BAR "'\xc5\xbf" BAR "y", "x'\xc5\xbf" BAR "y"},
    {STR_INIT("x'lv 'l"), "x" BAR "'lv" BAR " '" BAR "l", NULL},
    {STR_INIT("HTTPServer aB ABc"), "HTTPServer" BAR " aB" BAR " ABc",
        "HTTPServer" BAR " a" BAR "B" BAR " ABc"},
    {STR_INIT("A\xe4\xba\xba"
              "BC"),
        "A\xe4\xba\xba"
        "BC",
        "A\xe4\xba\xba" BAR "BC"},
    {STR_INIT("e\xcc\x81x"), "e" BAR "\xcc\x81x", "e\xcc\x81x"},
    {STR_INIT("E\xcc\x81 \xcc\x81"), "E" BAR "\xcc\x81" BAR " \xcc\x81",
        "E\xcc\x81" BAR " \xcc\x81"},
    {STR_INIT("12345 67"), "123" BAR "45" BAR " " BAR "67", NULL},
    {STR_INIT("a1b"), "a" BAR "1" BAR "b", NULL},
    {STR_INIT("\xc2\xbd\xd9\xa1\xe2\x85\xa3"
              "4"),
        "\xc2\xbd\xd9\xa1\xe2\x85\xa3" BAR "4", NULL},
    {STR_INIT("f(x) != 1;\n}"), "f" BAR "(x" BAR ")" BAR " !=" BAR " " BAR "1" BAR ";\n" BAR "}",
        NULL},
    {STR_INIT("a/\n/b"), "a" BAR "/\n" BAR "/b", "a" BAR "/\n/" BAR "b"},
    {STR_INIT("\ta\n\tb"), "\ta" BAR "\n" BAR "\tb", NULL},
    {STR_INIT("a \n \n  b"), "a" BAR " \n \n" BAR " " BAR " b", NULL},
    {STR_INIT("a\r\n\r\nb"), "a" BAR "\r\n\r\n" BAR "b", NULL},
    {STR_INIT("a\n  "), "a" BAR "\n  ", "a" BAR "\n" BAR "  "},
    {STR_INIT("a  "), "a" BAR "  ", NULL},
    {STR_INIT("a\xe3\x80\x80\xe3\x80\x80"
              "b"),
        "a" BAR "\xe3\x80\x80" BAR "\xe3\x80\x80"
        "b",
        NULL},
    {STR_INIT(" \xf0\x9f\x98\x80!"), " \xf0\x9f\x98\x80!", NULL},
    {STR_INIT("\xff\xfe"
              "a\xc3"),
        "\xff\xfe" BAR "a" BAR "\xc3", NULL},
    {STR_INIT("<|end|>"), "<|" BAR "end" BAR "|>", NULL},
};

static void test_pieces(void)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        check_pieces(split_cl100k, cases[i].text, cases[i].cl100k);
        check_pieces(split_o200k, cases[i].text, cases[i].o200k ? cases[i].o200k : cases[i].cl100k);
    }
}

static void check_class(const char *utf8, enum char_class want)
{
    struct split s;
    size_t n;
    split_init(&s, (const uint8_t *)utf8 + strlen(utf8));
    CHECK_EQ(split_class(&s, (const uint8_t *)utf8, &n), want);
    CHECK_EQ(n, strlen(utf8));
}

static void test_classes(void)
{
    check_class("\x7f", CLASS_OTHER);
    check_class("\xc2\x80", CLASS_OTHER);
    check_class("\xc2\x85", CLASS_SPACE);
    check_class("\xc2\xa0", CLASS_SPACE);
    check_class("\xc2\xaa", CLASS_LETTER);     /* feminine ordinal, Lo */
    check_class("\xc2\xb2", CLASS_NUMBER);     /* superscript two, No */
    check_class("\xc3\x80", CLASS_UPPER);      /* A with grave */
    check_class("\xc3\x9f", CLASS_LOWER);      /* sharp s */
    check_class("\xc7\x85", CLASS_UPPER);      /* Dz with caron, Lt */
    check_class("\xca\xb0", CLASS_LETTER);     /* modifier h, Lm */
    check_class("\xcc\x81", CLASS_MARK);       /* combining acute */
    check_class("\xd0\xb0", CLASS_LOWER);      /* Cyrillic a */
    check_class("\xe2\x80\x8b", CLASS_OTHER);  /* zero width space is no white space */
    check_class("\xe2\x80\xa8", CLASS_SPACE);  /* line separator is no line end here */
    check_class("\xe2\x85\xa3", CLASS_NUMBER); /* Roman four, Nl */
    check_class("\xe4\xba\xba", CLASS_LETTER);
    check_class("\xea\x9f\x8b", CLASS_UPPER); /* U+A7CB, new in Unicode 16 */
    check_class("\xef\xb8\x8f", CLASS_MARK);  /* variation selector */
    check_class("\xf0\x9f\x98\x80", CLASS_OTHER);
    check_class("\xf0\x9d\x9f\x98", CLASS_NUMBER);
    check_class("\xf4\x8f\xbf\xbf", CLASS_OTHER);
}

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

/* The fuzzer does the same with any bytes. */
static void test_against_backtracking(void)
{
    static const char *const parts[] = {"a", "b", "A", "B", " ", " ", "\n", "\r\n", "\t", "1", "2",
        "'", "'s", "'LL", "'ve", "/", "!", ".", "\xc2\xa0", "\xe4\xba\xba", "\xcc\x81", "\xc7\x85",
        "\xca\xb0", "\xd0\xb0", "\xc2\xb2", "\xf0\x9f\x98\x80", "\xc5\xbf", "\xff", "s", "t"};
    uint64_t seed = 1;
    for (int round = 0; round < 30000; round++) {
        char text[128];
        size_t n = 0;
        for (uint32_t k = draw(&seed, 16); k > 0; k--) {
            const char *part = parts[draw(&seed, ARRAY_LEN(parts))];
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        oracle_check_split(str_at(text, n), split_cl100k, oracle_cl100k);
        oracle_check_split(str_at(text, n), split_o200k, oracle_o200k);
    }
}

/* A million characters of the kinds that invite rescanning take one pass; a scan for each
 * would outlast the test's time limit. */
static void test_long_runs(void)
{
    static const char *const kinds[] = {" ", "\n ", "A", "A\xe4\xba\xba", "'", "\xcc\x81", "!/"};
    enum { LENGTH = 1 << 20 };
    uint8_t *text = malloc(LENGTH);
    must(text);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        size_t unit = strlen(kinds[k]), n = LENGTH / unit * unit, pieces = 0;
        for (size_t i = 0; i < n; i++)
            text[i] = (uint8_t)kinds[k][i % unit];
        for (split_fn *const *f = (split_fn *const[]){split_cl100k, split_o200k, NULL}; *f; f++) {
            struct split s;
            const uint8_t *p = text;
            split_init(&s, text + n);
            for (; p < text + n; pieces++)
                p = (*f)(&s, p);
            must(p == text + n);
        }
        must(pieces > 0);
    }
    free(text);
}

int main(void)
{
    TAP_RUN(test_pieces);
    TAP_RUN(test_classes);
    TAP_RUN(test_against_backtracking);
    TAP_RUN(test_long_runs);
    return tap_done();
}
