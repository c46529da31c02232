/*
 * Wanted members: where their spans lie, what counts as a duplicate, names written with escapes.
 */
#include "base/macros.h"
#include "base/tap.h"
#include "json/scan.h"
#include <errno.h>
#include <stdio.h>

enum { MODEL, USAGE, PROMPT, LIST, USER, N };

static const struct json_want wants[] = {
    [MODEL] = {STR_INIT("model")},
    [USAGE] = {STR_INIT("options.include_usage")},
    [PROMPT] = {STR_INIT("options.a")},
    [LIST] = {STR_INIT("messages")},
    [USER] = {STR_INIT("user")},
};

static struct json_span spans[N];

static bool scan(struct str text)
{
    struct json_error err;
    enum json_type top;
    return json_scan(text, wants, spans, N, &top, &err) == 0;
}

static struct str key_of(struct str text, const struct json_span *s)
{
    return str_at(text.p + s->key, strcspn(text.p + s->key + 1, "\"") + 2);
}

static void test_spans(void)
{
    struct str text =
        STR(" { \"model\" : \"gpt\" ,\"messages\":[1,{\"model\":2},[3,4]],"
            "\"options\":{\"x\":{\"include_usage\":1},\"include_usage\": true }, \"z\":0}");
    CHECK(scan(text));
    CHECK_EQ(spans[MODEL].type, JSON_STRING);
    CHECK_STR(json_span_text(text, &spans[MODEL]), STR("\"gpt\""));
    CHECK_STR(key_of(text, &spans[MODEL]), STR("\"model\""));
    CHECK(!spans[MODEL].escaped && !spans[MODEL].duplicate);
    CHECK_EQ(spans[LIST].type, JSON_ARRAY);
    CHECK_EQ(spans[LIST].items, 3);
    CHECK_STR(json_span_text(text, &spans[LIST]), STR("[1,{\"model\":2},[3,4]]"));
    CHECK_EQ(spans[USAGE].type, JSON_TRUE);
    CHECK_STR(json_span_text(text, &spans[USAGE]), STR("true"));
    CHECK_STR(key_of(text, &spans[USAGE]), STR("\"include_usage\""));
    CHECK_EQ(spans[USER].type, JSON_NONE);
    CHECK_EQ(spans[PROMPT].type, JSON_NONE);
    CHECK(!spans[USER].duplicate);
}

static void test_types_and_items(void)
{
    static const struct {
        struct str text, value;
        enum json_type type;
        uint32_t items;
    } cases[] = {
        {STR_INIT("{\"user\":null}"), STR_INIT("null"), JSON_NULL, 0},
        {STR_INIT("{\"user\":false }"), STR_INIT("false"), JSON_FALSE, 0},
        {STR_INIT("{\"user\": -1.5e7,\"a\":1}"), STR_INIT("-1.5e7"), JSON_NUMBER, 0},
        {STR_INIT("{\"user\":12}"), STR_INIT("12"), JSON_NUMBER, 0},
        {STR_INIT("{\"user\":\"\"}"), STR_INIT("\"\""), JSON_STRING, 0},
        {STR_INIT("{\"user\":[]}"), STR_INIT("[]"), JSON_ARRAY, 0},
        {STR_INIT("{\"user\":[ ]}"), STR_INIT("[ ]"), JSON_ARRAY, 0},
        {STR_INIT("{\"user\":[[1,2,3]]}"), STR_INIT("[[1,2,3]]"), JSON_ARRAY, 1},
        {STR_INIT("{\"user\":[[],{},[],1]}"), STR_INIT("[[],{},[],1]"), JSON_ARRAY, 4},
        {STR_INIT("{\"user\":{}}"), STR_INIT("{}"), JSON_OBJECT, 0},
        {STR_INIT("{\"user\":{\"a\":[1,2],\"b\":{}}}"), STR_INIT("{\"a\":[1,2],\"b\":{}}"),
            JSON_OBJECT, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK(scan(cases[i].text));
        CHECK_EQ(spans[USER].type, cases[i].type);
        CHECK_STR(json_span_text(cases[i].text, &spans[USER]), cases[i].value);
        CHECK_EQ(spans[USER].items, cases[i].items);
    }
}

static void test_escaped_value(void)
{
    CHECK(scan(STR("{\"model\":\"a\\nb\",\"user\":\"plain\"}")));
    CHECK(spans[MODEL].escaped);
    CHECK(!spans[USER].escaped);
    /* Only the value's own escapes count: not its key's, not those inside a container. */
    CHECK(scan(STR("{\"m\\u006fdel\":\"plain\",\"user\":[\"\\n\"],\"messages\":1}")));
    CHECK_EQ(spans[MODEL].type, JSON_STRING);
    CHECK(!spans[MODEL].escaped);
    CHECK(!spans[USER].escaped);
    CHECK(!spans[LIST].escaped);
}

static void test_only_the_watched_levels(void)
{
    CHECK(scan(STR("{\"a\":{\"model\":1,\"b\":{\"include_usage\":2}},\"include_usage\":3,"
                   "\"x\":[{\"options\":{\"include_usage\":4}}],\"options.include_usage\":5}")));
    for (int i = 0; i < N; i++)
        CHECK_EQ(spans[i].type, JSON_NONE);
    CHECK(scan(STR("[{\"model\":1,\"options\":{\"a\":2}}]")));
    for (int i = 0; i < N; i++)
        CHECK_EQ(spans[i].type, JSON_NONE);
    CHECK(scan(STR("{\"options\":[{\"a\":1}],\"b\":{\"a\":2}}")));
    CHECK_EQ(spans[PROMPT].type, JSON_NONE);
    CHECK(scan(STR("{\"options\":3,\"b\":{\"a\":2}}")));
    CHECK_EQ(spans[PROMPT].type, JSON_NONE);
    CHECK(scan(STR("\"model\"")));
    CHECK_EQ(spans[MODEL].type, JSON_NONE);
}

static void test_duplicates(void)
{
    struct str text = STR("{\"model\":\"first\",\"user\":1,\"model\":\"second\"}");
    CHECK(scan(text));
    CHECK(spans[MODEL].duplicate);
    CHECK_STR(json_span_text(text, &spans[MODEL]), STR("\"first\""));
    CHECK(!spans[USER].duplicate);

    CHECK(scan(STR("{\"model\":1,\"mod\\u0065l\":2}")));
    CHECK(spans[MODEL].duplicate);
    CHECK(scan(STR("{\"model\":null,\"model\":null,\"model\":null}")));
    CHECK(spans[MODEL].duplicate);

    text = STR("{\"options\":{\"a\":1,\"a\":{\"a\":2},\"include_usage\":3}}");
    CHECK(scan(text));
    CHECK(spans[PROMPT].duplicate);
    CHECK_STR(json_span_text(text, &spans[PROMPT]), STR("1"));
    CHECK(!spans[USAGE].duplicate);
    CHECK_STR(json_span_text(text, &spans[USAGE]), STR("3"));

    CHECK(scan(STR("{\"user\":{\"user\":1},\"x\":{\"user\":1}}")));
    CHECK(!spans[USER].duplicate);
}

static void test_duplicate_parents(void)
{
    struct str text = STR("{\"options\":{\"a\":1},\"options\":{\"include_usage\":2}}");
    CHECK(scan(text));
    CHECK(spans[PROMPT].duplicate && spans[USAGE].duplicate);
    CHECK_STR(json_span_text(text, &spans[PROMPT]), STR("1"));
    CHECK_STR(json_span_text(text, &spans[USAGE]), STR("2"));
    CHECK(scan(STR("{\"options\":1,\"options\":2}")));
    CHECK(spans[PROMPT].duplicate && spans[USAGE].duplicate);
    CHECK_EQ(spans[PROMPT].type, JSON_NONE);
    CHECK(!spans[MODEL].duplicate);
}

static void test_escaped_keys(void)
{
    static const struct {
        struct str key;
        bool same;
    } keys[] = {
        {STR_INIT("model"), true},
        {STR_INIT("\\u006dodel"), true},
        {STR_INIT("\\u006D\\u006f\\u0064\\u0065\\u006C"), true},
        {STR_INIT("mode\\u006c"), true},
        {STR_INIT("mode"), false},
        {STR_INIT("mode\\u006c\\u0000"), false},
        {STR_INIT("mode\\\\u006c"), false},
        {STR_INIT("mode\\n"), false},
        {STR_INIT("\\nmodel"), false},
        {STR_INIT("\\ud83dodel"), false},
        {STR_INIT("Model"), false},
        {STR_INIT(""), false},
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char text[128];
        int n = snprintf(text, sizeof(text), "{\"x\":0,\"" STR_FMT "\":1}", STR_ARG(keys[i].key));
        CHECK(scan(str_at(text, (size_t)n)));
        CHECK_EQ(spans[MODEL].type != JSON_NONE, keys[i].same);
    }
    struct str text = STR("{\"\\u006fptions\":{\"\\u0061\":7}}");
    CHECK(scan(text));
    CHECK_STR(json_span_text(text, &spans[PROMPT]), STR("7"));
    CHECK_EQ(text.p[spans[PROMPT].key], '"');
}

/* What Go's decoder takes for the name, whatever its case. */
static void test_other_case(void)
{
    static const struct {
        struct str text;
        bool model, user, list, prompt;
    } cases[] = {
        {STR_INIT("{\"model\":1,\"MODEL\":2}"), .model = true},
        {STR_INIT("{\"Model\":2}"), .model = true},
        {STR_INIT("{\"m\\u004fdel\":2}"), .model = true},
        {STR_INIT("{\"\\u004d\\u004FDEL\":2,\"USER\":1}"), .model = true, .user = true},
        {STR_INIT("{\"me\xc5\xbf\xc5\xbf"
                  "ages\":[]}"),
            .list = true},
        {STR_INIT("{\"U\\u017fer\":[]}"), .user = true},
        {STR_INIT("{\"options\":{\"A\":1}}"), .prompt = true},
        {STR_INIT("{\"Options\":{\"a\":1}}"), .prompt = true},
        {STR_INIT("{\"model\":1,\"user\":1,\"messages\":[],\"options\":{\"a\":1}}")},
        {STR_INIT("{\"model\":1,\"model\":1}")},
        {STR_INIT("{\"MODE\":1,\"MODELS\":1,\"M\\u006fDE\":1,\"\":1,\"use\xc5\xbf\":1}")},
        {STR_INIT("{\"x\":{\"MODEL\":1,\"A\":1},\"options\":{\"x\":{\"A\":1}}}")},
        {STR_INIT("{\"[ser\":1,\"us\xe2\x84\xaar\":1,\"\xc3\x9cser\":1}")},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK(scan(cases[i].text));
        CHECK_EQ(spans[MODEL].other_case, cases[i].model);
        CHECK_EQ(spans[USER].other_case, cases[i].user);
        CHECK_EQ(spans[LIST].other_case, cases[i].list);
        CHECK_EQ(spans[PROMPT].other_case, cases[i].prompt);
    }
    const struct json_want want = {STR("token_Kind")};
    struct json_span got;
    enum json_type top;
    struct json_error err;
    struct str text = STR("{\"to\xe2\x84\xaa"
                          "en_\\u212aind\":1}");
    CHECK_EQ(json_scan(text, &want, &got, 1, &top, &err), 0);
    CHECK(got.other_case && got.type == JSON_NONE);
}

/* One name wanted twice, as a member and as a parent, and names beside the usual lengths. */
static void test_odd_wants(void)
{
    char longest[200];
    memset(longest, 'k', sizeof(longest));
    const struct json_want odd[] = {{STR("a")}, {STR("a.b")}, {STR("a")}, {STR("")}, {STR(".")},
        {str_at(longest, 64)}, {str_at(longest, 199)}, {STR("\xf0\x9f\x98\x80")}};
    struct json_span got[ARRAY_LEN(odd)];
    char text[700];
    int n = snprintf(text, sizeof(text),
        "{\"a\":{\"b\":1,\"\":5},\"\":{\"\":2},\"%.*s\":3,\"%.*s\":4,\"\\ud83d\\ude00\":6}", 64,
        longest, 199, longest);
    struct str all = str_at(text, (size_t)n);
    enum json_type top;
    struct json_error err;
    CHECK_EQ(json_scan(all, odd, got, ARRAY_LEN(odd), &top, &err), 0);
    CHECK_STR(json_span_text(all, &got[0]), STR("{\"b\":1,\"\":5}"));
    CHECK_STR(json_span_text(all, &got[1]), STR("1"));
    CHECK_STR(json_span_text(all, &got[2]), STR("{\"b\":1,\"\":5}"));
    CHECK_STR(json_span_text(all, &got[3]), STR("{\"\":2}"));
    CHECK_STR(json_span_text(all, &got[4]), STR("2"));
    CHECK_STR(json_span_text(all, &got[5]), STR("3"));
    CHECK_STR(json_span_text(all, &got[6]), STR("4"));
    CHECK_STR(json_span_text(all, &got[7]), STR("6"));
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        CHECK(!got[i].duplicate);
}

static void test_most_wants(void)
{
    char text[JSON_MAX_WANTS * 8 + 2], paths[JSON_MAX_WANTS][4];
    struct json_want many[JSON_MAX_WANTS];
    struct json_span got[JSON_MAX_WANTS];
    size_t n = 0;
    text[n++] = '{';
    for (unsigned i = 0; i < JSON_MAX_WANTS; i++) {
        snprintf(paths[i], sizeof(paths[i]), "k%02u", i);
        many[i].path = str_at(paths[i], 3);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "\"k%02u\":%u,", i, i % 10);
    }
    text[n - 1] = '}';
    enum json_type top;
    struct json_error err;
    CHECK_EQ(json_scan(str_at(text, n), many, got, JSON_MAX_WANTS, &top, &err), 0);
    for (unsigned i = 0; i < JSON_MAX_WANTS; i++) {
        CHECK_EQ(got[i].type, JSON_NUMBER);
        CHECK_EQ(text[got[i].value], '0' + (int)(i % 10));
        CHECK_EQ(got[i].end, got[i].value + 1);
    }
}

static void test_fault_clears_spans(void)
{
    memset(spans, 0xff, sizeof(spans));
    CHECK(!scan(STR("{\"model\":\"a\",\"user\":1,}")));
    for (int i = 0; i < N; i++)
        CHECK(spans[i].type == JSON_NONE && !spans[i].duplicate && spans[i].end == 0);
}

/* --- words --- */

enum { FILE_ID, THINK, TOP_K, WORDS };

static unsigned words_of(const char *text)
{
    static const struct json_word words[WORDS] = {[FILE_ID] = {STR_INIT("file_id"), false},
        [THINK] = {STR_INIT("think"), true},
        [TOP_K] = {STR_INIT("top_k"), false}};
    struct json_set set;
    struct json_error err;
    enum json_type top;
    unsigned seen;

    json_set_init(&set, wants, N);
    for (unsigned i = 0; i < WORDS; i++)
        json_set_add(&set, &words[i], 1, (uint8_t)(1 << i));
    must(json_scan_set(str_of(text), &set, spans, &seen, &top, &err) == 0);
    return seen;
}

static void test_words_at_any_depth(void)
{
    CHECK_EQ(words_of("{\"model\":\"file_id\",\"x\":[\"top_k\",\"thinking\"]}"), 0);
    CHECK_EQ(spans[MODEL].type, JSON_STRING);
    CHECK_EQ(words_of("{\"a\":[[{\"b\":{\"file_id\":1}}]]}"), 1 << FILE_ID);
    CHECK_EQ(words_of("{\"FILE_Id\":1,\"Top_K\":2}"), 1 << FILE_ID | 1 << TOP_K);
    CHECK_EQ(words_of("[{\"think\":1}]"), 1 << THINK);
    CHECK_EQ(words_of("{\"thinking_blocks\":1,\"file_ids\":2,\"top_\":3,\"\":4}"), 1 << THINK);
    CHECK_EQ(
        words_of("{\"thinking_of_a_name_that_is_longer_than_thirty_one_bytes\":1}"), 1 << THINK);
    CHECK_EQ(words_of("{\"thin\":1,\"file_i\":2,\"xfile_id\":3}"), 0);
}

/* It may be any. */
static void test_words_with_escapes(void)
{
    CHECK_EQ(words_of("{\"file\\u005fid\":1}"), ~0u);
    CHECK_EQ(words_of("{\"a\":\"file\\u005fid\",\"b\\n\":1}"), ~0u);
    CHECK_EQ(words_of("{\"a\":\"file\\u005fid\"}"), 0);
}

int main(void)
{
    TAP_RUN(test_words_at_any_depth);
    TAP_RUN(test_words_with_escapes);
    TAP_RUN(test_spans);
    TAP_RUN(test_types_and_items);
    TAP_RUN(test_escaped_value);
    TAP_RUN(test_only_the_watched_levels);
    TAP_RUN(test_duplicates);
    TAP_RUN(test_duplicate_parents);
    TAP_RUN(test_escaped_keys);
    TAP_RUN(test_other_case);
    TAP_RUN(test_odd_wants);
    TAP_RUN(test_most_wants);
    TAP_RUN(test_fault_clears_spans);
    return tap_done();
}
