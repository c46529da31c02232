/*
 * Counts against those of the reference tokeniser (tests/data/bpe_counts.jsonl) where the rank
 * tables are at hand (SF_SHARE names their folder); merging and damaged tables always, with a small
 * table made here.
 */
#include "base/tap.h"
#include "text/bpe_table.h"
#include <errno.h>

static const char *const tokens[] = {"th", "he", "in", "the", "aa", "aaa", "er", " t", " the", "bc",
    "ab", "abcd", "cd", "\xe4\xba", "\xe4\xba\xba", "hello", NULL};

static void test_counts(void)
{
    static const struct {
        struct str text;
        int64_t tokens;
    } cases[] = {
        {STR_INIT(""), 0},
        {STR_INIT("x"), 1},
        {STR_INIT("the"), 1},
        {STR_INIT("then"), 2},
        {STR_INIT(" the"), 1},        /* th, " th" is none, the, " the" */
        {STR_INIT("aaaa"), 2},        /* aa aa, not aaa a */
        {STR_INIT("aaa"), 1},         /* whole */
        {STR_INIT("abc"), 2},         /* a bc: of lower rank than ab */
        {STR_INIT("abcd"), 1},        /* whole, though merging cannot make it */
        {STR_INIT("xabcd"), 4},       /* x a bc d */
        {STR_INIT("hello hello"), 6}, /* as a piece of its own one; " hello" by merging */
        {STR_INIT("\xe4\xba\xba"), 1},
        {STR_INIT("\xe4\xba\xe4\xba\xba"), 2},
        {STR_INIT("\0\xff\x80"), 3},
        {STR_INIT("<|endoftext|>"), 13},
    };
    struct bpe_table table;
    struct bpe *b;
    table_make(&table, 2, tokens);
    CHECK_EQ(table_open(&table, &b), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t n = bpe_count(b, cases[i].text);
        if (n != cases[i].tokens)
            tap_fail(__FILE__, __LINE__, "\"" STR_FMT "\" is %lld tokens, wanted %lld",
                STR_ARG(cases[i].text), (long long)n, (long long)cases[i].tokens);
    }
    CHECK_EQ(bpe_count(b, STR_NONE), 0);
    bpe_close(b);
}

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

static bool merges_alike(const struct bpe *b, const uint8_t *p, size_t n, size_t overlap)
{
    struct merge_room *room = NULL;
    int64_t want = merge_plainly(b, p, n);
    bool alike = merge_piece(b, p, n, &room) == want &&
                 merge_windows(b, p, n, 4096, overlap, &room) == want &&
                 merge_windows(b, p, n, 2 * overlap, overlap, &room) == want;
    free(room);
    return alike;
}

/* Short and long pieces, in windows of any size, against the plainest way. */
static void test_merge(void)
{
    static const char *const letters[] = {"ab", "abc", "abcdehilnort ", "a"};
    struct bpe_table table;
    struct bpe *b;
    uint64_t seed = 5;
    table_make(&table, 2, tokens);
    CHECK_EQ(table_open(&table, &b), 0);
    for (int round = 0; round < 3000; round++) {
        uint8_t text[1200];
        const char *from = letters[draw(&seed, ARRAY_LEN(letters))];
        size_t n = 1 + draw(&seed, round % 20 ? 150 : sizeof(text) - 1);
        for (size_t i = 0; i < n; i++)
            text[i] = (uint8_t)from[draw(&seed, (uint32_t)strlen(from))];
        CHECK(merges_alike(b, text, n, 32));
    }
    bpe_close(b);
}

/* Bits of text that join with what follows them in every way that the splitters know. */
static const char *const bits[] = {" ", " ", "  ", "\n", "\r\n", "\t", "'", "'s", "'l", "l", "ve",
    "R", "the", "a", "A", "B", "1", "23", "/", ".", "==", "\xe4\xba\xba", "\xe4\xba", "\xba",
    "\xc3", "\xa9", "\xcc\x81", "\xc5\xbf", "\xc7\x85", "\xca\xb0", "\xd0\xb0", "\xf0\x9f",
    "\x98\x80", "\xe2\x80\xa8"};

static size_t draw_text(uint64_t *seed, char *text, size_t max)
{
    size_t n = 0, want = 1 + draw(seed, (uint32_t)max - 1);
    unsigned of = 2 + draw(seed, ARRAY_LEN(bits) - 1), from = draw(seed, ARRAY_LEN(bits));
    for (;;) {
        const char *bit = bits[(from + draw(seed, of)) % ARRAY_LEN(bits)];
        if (n + strlen(bit) > want)
            return n;
        memcpy(text + n, bit, strlen(bit));
        n += strlen(bit);
    }
}

/* Whatever a text began with, what was counted of it then is part of the count of the whole. */
static void check_begun(const struct bpe *b, struct str text)
{
    int64_t whole = bpe_count(b, text);
    for (size_t n = 0; n <= text.n; n++) {
        size_t used = 99;
        int64_t begun = bpe_count_begun(b, str_to(text, n), &used);
        must(used <= n);
        if (begun + bpe_count(b, str_from(text, used)) != whole)
            tap_fail(__FILE__, __LINE__, "\"" STR_FMT "\" cut at %zu, counted to %zu",
                STR_ARG(text), n, used);
    }
}

static void test_begun(void)
{
    struct bpe_table table;
    uint64_t seed = 11;
    for (uint32_t splitter = 1; splitter <= 2; splitter++) {
        struct bpe *b;
        size_t used;
        table_make(&table, splitter, tokens);
        CHECK_EQ(table_open(&table, &b), 0);
        CHECK_EQ(bpe_count_begun(b, STR_NONE, &used), 0);
        CHECK_EQ(used, 0);
        CHECK_EQ(bpe_count_begun(b, STR("the the then the"), &used), 2);
        CHECK_EQ(used, 7);
        for (int round = 0; round < 4000; round++) {
            char text[48];
            check_begun(b, str_at(text, draw_text(&seed, text, sizeof text)));
        }
        bpe_close(b);
    }
}

static void test_missing_file(void)
{
    struct bpe *b = NULL;
    CHECK_EQ(bpe_open("/nonexistent/cl100k_base.bpe", &b), -ENOENT);
    CHECK_EQ(bpe_open("/", &b), -EBADMSG);
    CHECK(!b);
    bpe_close(NULL);
}

static int open_damaged(void (*damage)(struct bpe_table *t))
{
    struct bpe_table table;
    struct bpe *b = NULL;
    table_make(&table, 1, tokens);
    damage(&table);
    int r = table_open(&table, &b);
    bpe_close(b);
    return r;
}

static void damage_nothing(struct bpe_table *t)
{
}
static void damage_magic(struct bpe_table *t)
{
    t->head.magic[3] ^= 1;
}
static void damage_version(struct bpe_table *t)
{
    t->head.version++;
}
static void damage_splitter(struct bpe_table *t)
{
    t->head.splitter = 3;
}
static void damage_no_splitter(struct bpe_table *t)
{
    t->head.splitter = 0;
}
static void damage_bits(struct bpe_table *t)
{
    t->head.bits = 60;
}
static void damage_fewer_bits(struct bpe_table *t)
{
    t->head.bits--;
}
static void damage_text_n(struct bpe_table *t)
{
    t->text[t->head.text_n] = 0;
    t->head.tokens++;
}
static void damage_longest(struct bpe_table *t)
{
    t->head.longest--;
}
static void damage_place(struct bpe_table *t)
{
    for (size_t i = 0; i < TABLE_SLOTS; i++)
        if (t->slots[i].place)
            t->slots[i].place |= 0xffffff00;
}
static void damage_full(struct bpe_table *t)
{
    for (size_t i = 0; i < TABLE_SLOTS; i++)
        t->slots[i].place = 1;
    t->head.tokens = TABLE_SLOTS;
}
static void damage_byte(struct bpe_table *t)
{
    for (size_t i = 0; i < TABLE_SLOTS; i++)
        if (t->slots[i].place == ('q' << 8 | 1))
            t->slots[i].place = 'r' << 8 | 1;
}

static void test_damaged_table(void)
{
    CHECK_EQ(open_damaged(damage_nothing), 0);
    CHECK_EQ(open_damaged(damage_magic), -EBADMSG);
    CHECK_EQ(open_damaged(damage_version), -EBADMSG);
    CHECK_EQ(open_damaged(damage_splitter), -EBADMSG);
    CHECK_EQ(open_damaged(damage_no_splitter), -EBADMSG);
    CHECK_EQ(open_damaged(damage_bits), -EBADMSG);
    CHECK_EQ(open_damaged(damage_fewer_bits), -EBADMSG);
    CHECK_EQ(open_damaged(damage_text_n), -EBADMSG);
    CHECK_EQ(open_damaged(damage_longest), -EBADMSG);
    CHECK_EQ(open_damaged(damage_place), -EBADMSG);
    CHECK_EQ(open_damaged(damage_full), -EBADMSG);
    CHECK_EQ(open_damaged(damage_byte), -EBADMSG);
}

static void test_cut_table(void)
{
    struct bpe_table table;
    struct bpe *b = NULL;
    table_make(&table, 1, tokens);
    size_t whole = offsetof(struct bpe_table, text) + table.head.text_n;
    for (size_t n = 0; n < whole; n += n < 64 || n + 64 > whole ? 1 : 61)
        CHECK_EQ(table_open_part(&table, n, &b), -EBADMSG);
    CHECK_EQ(table_open_part(&table, whole + 1, &b), -EBADMSG);
    CHECK(!b);
}

/* -- against the reference ------------------------------------------------------------------------
 */

static struct bpe *cl100k, *o200k;

static struct bpe *open_share(const char *name)
{
    const char *share = getenv("SF_SHARE");
    char path[4096];
    struct bpe *b = NULL;
    if (!share)
        return NULL;
    snprintf(path, sizeof(path), "%s/%s", share, name);
    int r = bpe_open(path, &b);
    must(r == 0 || r == -ENOENT);
    return b;
}

/* Decodes the JSON string that begins at p in place (the data file has only these escapes);
 * returns the byte behind its closing quote. */
static char *decode_string(char *p, struct str *ret)
{
    static const char letters[] = "\"\\nrtbf", bytes[] = "\"\\\n\r\t\b\f";
    char *out = ++p, *start = p;
    for (; *p != '"'; p++) {
        must(*p);
        if (*p == '\\' && p[1] == 'u') {
            unsigned c;
            must(sscanf(p + 2, "%4x", &c) == 1 && c < 0x80);
            *out++ = (char)c;
            p += 5;
        } else if (*p == '\\') {
            const char *at = strchr(letters, *++p);
            must(at);
            *out++ = bytes[at - letters];
        } else {
            *out++ = *p;
        }
    }
    *ret = str_at(start, (size_t)(out - start));
    return p + 1;
}

/* {"text":"..","cl100k":1,"o200k":1} */
static bool check_line(char *line)
{
    struct str text;
    long long want_c, want_o;
    must(strncmp(line, "{\"text\":\"", 9) == 0);
    char *rest = decode_string(line + 8, &text);
    must(sscanf(rest, ",\"cl100k\":%lld,\"o200k\":%lld}", &want_c, &want_o) == 2);
    long long got_c = bpe_count(cl100k, text), got_o = bpe_count(o200k, text);
    if (got_c == want_c && got_o == want_o)
        return true;
    return tap_fail(__FILE__, __LINE__, "%.60s: %lld and %lld tokens, wanted %lld and %lld", text.p,
        got_c, got_o, want_c, want_o);
}

static void test_reference_counts(void)
{
    size_t n, lines = 0;
    char *all = tap_read("data/bpe_counts.jsonl", &n), *save = NULL;
    CHECK(all);
    for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        check_line(line);
        lines++;
    }
    free(all);
    CHECK(lines >= 200);
}

/* With the real ranks: what the windows of a long piece give is what one merge gives. */
static void test_reference_windows(void)
{
    static const char *const parts[] = {"the", "ing", "tion", "a", "qz", "aaaaaaa", "\xe4\xba\xba",
        "\xe3\x81\xae", "==========", "er", "   "};
    uint64_t seed = 9;
    struct merge_room *room = NULL;
    for (int round = 0; round < 60; round++) {
        uint8_t text[4096];
        size_t n = 0, of = 1 + draw(&seed, ARRAY_LEN(parts));
        while (n + 16 < sizeof(text)) {
            const char *part = parts[draw(&seed, (uint32_t)of)];
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        int64_t whole = merge_windows(o200k, text, n, 4096, 128, &room);
        CHECK_EQ(merge_windows(o200k, text, n, 2048, 1024, &room), whole);
        CHECK_EQ(merge_windows(o200k, text, n, 1100, 1024, &room), whole);
    }
    free(room);
}

static void nothing(void)
{
}

int main(void)
{
    TAP_RUN(test_counts);
    TAP_RUN(test_merge);
    TAP_RUN(test_begun);
    TAP_RUN(test_missing_file);
    TAP_RUN(test_damaged_table);
    TAP_RUN(test_cut_table);
    cl100k = open_share("cl100k_base.bpe");
    o200k = open_share("o200k_base.bpe");
    if (cl100k && o200k) {
        TAP_RUN(test_reference_counts);
        TAP_RUN(test_reference_windows);
    } else {
        tap_run("test_reference_counts # SKIP no rank tables in SF_SHARE", nothing);
        tap_run("test_reference_windows # SKIP no rank tables in SF_SHARE", nothing);
    }
    bpe_close(cl100k);
    bpe_close(o200k);
    return tap_done();
}
