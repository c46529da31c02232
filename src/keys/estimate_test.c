/* Estimates: never below what a tokeniser counts, what a request asks for, and their price. */
#include "keys/estimate.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/macros.h"
#include "llm/exchange_test.h"
#include "llm/prices.h"
#include "llm/tokens.h"

#include <errno.h>
#include <stdlib.h>

/* --- guessed against counted --- */

static double worst = 99, sum_ratio;
static unsigned samples;

static void compare(struct str text, const char *what)
{
    static const char *const models[] = {"gpt-4o", "gpt-4"}; /* both rank tables */
    uint64_t guess = tokens_guess(text);

    for (unsigned i = 0; i < ARRAY_LEN(models); i++) {
        bool exact = false;
        uint64_t n = tokens_count(str_of(models[i]), text, &exact);
        if (!exact || !n)
            continue;
        double ratio = (double)guess / (double)n;
        worst = MIN(worst, ratio);
        sum_ratio += ratio;
        samples++;
        if (guess < n)
            tap_fail(__FILE__, __LINE__, "%s (%s): guessed %llu, has %llu", what, models[i],
                (unsigned long long)guess, (unsigned long long)n);
    }
}

static const char *const prose[] = {
    "The quick brown fox jumps over the lazy dog, and nobody minded at all. It was a fine morning; "
    "the "
    "kettle had boiled twice, and still she had not come down.",
    "Can you please summarise the attached meeting notes in three bullet points and list open "
    "tasks?",
    "Der Bundesgerichtshof hat entschieden, dass die Haftungsbeschr\xc3\xa4nkung im vorliegenden "
    "Fall "
    "unwirksam ist, weil die Kl\xc3\xa4gerin als Verbraucherin gehandelt hat.",
    "L'\xc3\xa9t\xc3\xa9 dernier, nous avons d\xc3\xa9"
    "couvert une petite cr\xc3\xaaperie au bord de la mer o\xc3\xb9 l'on "
    "servait des galettes au sarrasin.",
    "El a\xc3\xb1o pasado la empresa aument\xc3\xb3 su producci\xc3\xb3n un quince por ciento "
    "gracias a la nueva planta.",
    "W zesz\xc5\x82ym roku firma zwi\xc4\x99kszy\xc5\x82"
    "a produkcj\xc4\x99 o pi\xc4\x99tna\xc5\x9b"
    "cie procent dzi\xc4\x99ki nowej fabryce pod Krakowem.",
    "Hyv\xc3\xa4\xc3\xa4 p\xc3\xa4iv\xc3\xa4\xc3\xa4! "
    "J\xc3\xa4rjestelm\xc3\xa4llisyydell\xc3\xa4\xc3\xa4nk\xc3\xa4\xc3\xa4n h\xc3\xa4n ei "
    "p\xc3\xa4rj\xc3\xa4nnyt "
    "ep\xc3\xa4tavallisessa tilanteessa.",
    "\xd0\x92\xd1\x87\xd0\xb5\xd1\x80\xd0\xb0 "
    "\xd0\xb2\xd0\xb5\xd1\x87\xd0\xb5\xd1\x80\xd0\xbe\xd0\xbc \xd0\xbc\xd1\x8b "
    "\xd0\xb3\xd1\x83\xd0\xbb\xd1\x8f\xd0\xbb\xd0\xb8 "
    "\xd0\xbf\xd0\xbe "
    "\xd0\xbd\xd0\xb0\xd0\xb1\xd0\xb5\xd1\x80\xd0\xb5\xd0\xb6\xd0\xbd\xd0\xbe\xd0\xb9.",
    "\xce\x9a\xce\xb1\xce\xbb\xce\xb7\xce\xbc\xce\xad\xcf\x81\xce\xb1 \xcf\x83\xce\xb5 "
    "\xcf\x8c\xce\xbb\xce\xbf\xcf\x85\xcf\x82, \xcf\x84\xce\xb9 "
    "\xce\xba\xce\xac\xce\xbd\xce\xb5\xcf\x84\xce\xb5;",
    "\xe4\xbb\x8a\xe5\xa4\xa9\xe5\xa4\xa9\xe6\xb0\x94\xe5\xbe\x88\xe5\xa5\xbd\xef\xbc\x8c\xe6\x88"
    "\x91\xe4\xbb\xac\xe5\x8e\xbb\xe5\x85\xac\xe5\x9b\xad"
    "\xe6\x95\xa3\xe6\xad\xa5\xe5\x90\xa7\xe3\x80\x82\xe8\xaf\xb7\xe6\x8a\x8a\xe8\xbf\x99\xe6\xae"
    "\xb5\xe6\x96\x87\xe5\xad\x97\xe7\xbf\xbb\xe8\xaf\x91"
    "\xe6\x88\x90\xe8\x8b\xb1\xe6\x96\x87\xe3\x80\x82",
    "\xe5\x90\xbe\xe8\xbc\xa9\xe3\x81\xaf\xe7\x8c\xab\xe3\x81\xa7\xe3\x81\x82\xe3\x82\x8b\xe3\x80"
    "\x82\xe5\x90\x8d\xe5\x89\x8d\xe3\x81\xaf\xe3\x81\xbe"
    "\xe3\x81\xa0\xe7\x84\xa1\xe3\x81\x84\xe3\x80\x82\xe3\x83\x88\xe3\x83\xbc\xe3\x82\xaf\xe3\x83"
    "\xb3",
    "\xeb\x8c\x80\xed\x95\x9c\xeb\xaf\xbc\xea\xb5\xad\xec\x9d\x80 "
    "\xeb\xaf\xbc\xec\xa3\xbc\xea\xb3\xb5\xed\x99\x94\xea\xb5\xad\xec\x9d\xb4\xeb\x8b\xa4.",
    "\xd9\x85\xd8\xb1\xd8\xad\xd8\xa8\xd8\xa7 \xd8\xa8\xd9\x83\xd9\x85 \xd9\x81\xd9\x8a "
    "\xd9\x85\xd8\xaf\xd9\x8a\xd9\x86\xd8\xaa\xd9\x86\xd8\xa7",
    "\xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d\xe0\xa4\xa4\xe0\xa5\x87 "
    "\xe0\xa4\xa6\xe0\xa5\x81\xe0\xa4\xa8\xe0\xa4\xbf\xe0\xa4\xaf\xe0\xa4\xbe",
    "\xe0\xb8\xaa\xe0\xb8\xa7\xe0\xb8\xb1\xe0\xb8\xaa\xe0\xb8\x94\xe0\xb8\xb5\xe0\xb8\x84\xe0\xb8"
    "\xa3\xe0\xb8\xb1\xe0\xb8\x9a",
    "Well done \xf0\x9f\x8e\x89\xf0\x9f\x8e\x89 see you \xf0\x9f\x91\x8b\xf0\x9f\x8f\xbd tomorrow "
    "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7",
};

static const char *const code[] = {
    "for (size_t i = 0; i < n; i++)\n    if (a[i] != b[i])\n        return a[i] < b[i] ? -1 : 1;\n",
    "def f(x: list[int]) -> dict[str, int]:\n    return {str(k): v ** 2 for k, v in "
    "enumerate(x)}\n",
    "SELECT u.id, COUNT(*) AS n FROM users u LEFT JOIN logs l ON l.user_id = u.id GROUP BY 1 "
    "HAVING n > 3;",
    "{\"a\":[1,2.5,-3e-7,null,true],\"nested\":{\"k\":\"v\",\"t\":[\"x\",\"y\"]}}",
    "2026-11-21T10:40:00.123Z ERROR [worker-7] conn=0x7f3a91 took 15432.21ms peer=10.21.3.44:51234",
    "https://example.com/a/b-c_d?x=1&y=%7Bfoo%7D#frag",
    "d41d8cd98f00b204e9800998ecf8427e 3b5d5c3712955042212316173ccf37be",
    "019a2f3c-7b1e-7c44-9d0a-2f6b8e1c5a77",
    "+------+-------+\n| name | count |\n+------+-------+\n| abc  |  12   |\n+------+-------+\n",
    "\\u4f60\\u597d\\uff0c\\u4e16\\u754c\\u3002\\u8bf7\\u7ffb\\u8bd1",
    "\\\\frac{\\\\partial^2 u}{\\\\partial x^2} = \\\\alpha \\\\nabla^2 u + f(x,t)",
    "aGVsbG8gd29ybGQsIHRoaXMgaXMgYmFzZTY0IGVuY29kZWQgdGV4dCB0aGF0IHNvbWVib2R5IHBhc3RlZA==",
    "ATGCGTACGTTAGCCTAGGCTAACGTACGATCGATCGGCTA",
    "<div class=\"row\"><a href=\"/x\">&nbsp;ok</a></div>\n\t\t<p>\r\n</p>",
};

static void compare_file(const char *path)
{
    char whole[4200];
    const char *root = getenv("SF_SOURCE_ROOT");
    static char text[64 * 1024];

    snprintf(whole, sizeof whole, "%s/%s", root ? root : ".", path);
    FILE *f = fopen(whole, "re");
    if (!f)
        return;
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    for (size_t at = 0; at < n; at += 2048)
        compare(str_at(text + at, MIN(n - at, 2048)), path);
}

static void test_guess_is_high(void)
{
    static const char *const files[] = {"src/keys/fields.c", "src/keys/record.h", "meson.build",
        "README.md", "ARCHITECTURE.md", "src/llm/model_facts.tsv", "tests/layers_test.py",
        "src/store/migrations/001_keys.sql", "LICENSE"};
    const char *share = getenv("SF_SHARE");

    tokens_set_share(share ? share : "build/share");
    for (unsigned i = 0; i < ARRAY_LEN(prose); i++)
        compare(str_of(prose[i]), prose[i]);
    for (unsigned i = 0; i < ARRAY_LEN(code); i++)
        compare(str_of(code[i]), code[i]);
    for (unsigned i = 0; i < ARRAY_LEN(files); i++)
        compare_file(files[i]);
    printf("# %u samples, guess over count: worst %.2f, mean %.2f\n", samples, worst,
        samples ? sum_ratio / samples : 0);
}

static void test_guess_is_fast(void)
{
    static char text[1 << 20];
    uint64_t n = 0;

    memset(text, 'e', sizeof text);
    int64_t t0 = clock_now();
    for (int i = 0; i < 16; i++)
        n += tokens_guess(str_at(text, sizeof text));
    printf("# guessing takes %.2f ns a byte\n", (double)(clock_now() - t0) / (16.0 * sizeof text));
    CHECK(n > 0);
    CHECK_EQ(tokens_guess(STR_NONE), 1);
}

/* --- what requests ask for --- */

static struct made made;

static struct exchange *request(const char *target, const char *body)
{
    static const struct json_want wants[BODY_MEMBERS] = {
        [BODY_PROMPT] = {STR_INIT("prompt")},
        [BODY_MAX_TOKENS] = {STR_INIT("max_tokens")},
        [BODY_MAX_COMPLETION_TOKENS] = {STR_INIT("max_completion_tokens")},
        [BODY_MAX_OUTPUT_TOKENS] = {STR_INIT("max_output_tokens")},
        [BODY_SERVICE_TIER] = {STR_INIT("service_tier")},
        [BODY_N] = {STR_INIT("n")},
        [BODY_DOCUMENTS] = {STR_INIT("documents")},
    };
    struct json_want named[BODY_MEMBERS];
    struct exchange *x = made_begin(&made, "POST", target, "", "m");
    struct json_error why;
    enum json_type top;

    for (unsigned i = 0; i < BODY_MEMBERS; i++)
        named[i] = wants[i].path.n ? wants[i] : (struct json_want){STR("nothing")};
    x->body = str_of(body);
    must(json_scan(x->body, named, x->spans, BODY_MEMBERS, &top, &why) == 0);
    return x;
}

static void test_output(void)
{
    static const struct {
        const char *target, *body;
        uint64_t output;
    } cases[] = {
        {"/v1/chat/completions", "{\"messages\":[]}", 4096},
        {"/v1/chat/completions", "{\"max_tokens\":10}", 10},
        {"/v1/chat/completions", "{\"max_tokens\":10,\"max_completion_tokens\":20}", 20},
        {"/v1/chat/completions", "{\"max_completion_tokens\":20,\"n\":3}", 60},
        {"/v1/chat/completions", "{\"n\":2}", 8192},
        {"/v1/responses", "{\"max_output_tokens\":7}", 7},
        {"/v1/messages", "{\"max_tokens\":5}", 5},
        {"/v1/completions", "{\"max_tokens\":5,\"prompt\":[\"a\",\"b\",\"c\"]}", 15},
        {"/v1/completions", "{\"max_tokens\":5,\"prompt\":[1,2,3]}", 5},
        {"/v1beta/models/m:generateContent",
            "{\"generationConfig\":{\"maxOutputTokens\":9,\"candidateCount\":2}}", 18},
        {"/v1beta/models/m:generateContent", "{\"generation_config\":{\"max_output_tokens\":9}}",
            9},
        {"/model/m/converse", "{\"inferenceConfig\":{\"maxTokens\":9}}", 9},
        {"/model/m/converse-stream", "{\"inferenceConfig\":{\"topP\":1},\"messages\":[]}", 4096},
        {"/model/m/invoke", "{\"max_tokens\":5}", 5},
        {"/bedrock/model/m/invoke-with-response-stream", "{\"inferenceConfig\":{\"maxTokens\":8}}",
            8},
        {"/v1/embeddings", "{\"input\":\"abc\"}", 0},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct estimate e;
        estimate_make(request(cases[i].target, cases[i].body), 4096, &e);
        if (e.output != cases[i].output || !e.metered)
            tap_fail(__FILE__, __LINE__, "%s %s: %llu", cases[i].target, cases[i].body,
                (unsigned long long)e.output);
    }
    struct estimate e;
    struct exchange *x = request("/v1/chat/completions", "{}");
    const struct model_facts small = {.max_output = 100};
    x->facts = &small;
    estimate_make(x, 4096, &e);
    CHECK_EQ(e.output, 100);
    estimate_make(made_begin(&made, "GET", "/v1/models", "", NULL), 4096, &e);
    CHECK(!e.metered && e.input == 0 && e.output == 0);
}

static void test_price(void)
{
    struct model_facts f = {.mode = MODEL_CHAT};
    struct estimate e = {.metered = true, .input = 1000, .output = 100};
    int64_t nano = -1;

    memset(f.rates, 0xff, sizeof f.rates); /* all unknown */
    memset(&f.unit, 0xff, sizeof f.unit);
    struct exchange *x = request("/v1/messages", "{\"x\":\"cache_control\"}");
    CHECK_EQ(estimate_price(x, &e, &nano), -ENODATA);
    x->facts = &f;
    CHECK_EQ(estimate_price(x, &e, &nano), -ENODATA);
    f.rates[0][0].input = 1000000; /* a dollar a million */
    f.rates[0][0].output = 10000000;
    CHECK_EQ(estimate_price(x, &e, &nano), 0);
    CHECK_EQ(nano, 1000 * 1000 + 100 * 10000);
    f.rates[0][0].cache_write_5m = 1250000;
    struct estimate again;
    estimate_make(x, 100, &again);
    CHECK(again.cache_writes);
    e.cache_writes = true;
    CHECK_EQ(estimate_price(x, &e, &nano), 0);
    CHECK_EQ(nano, 1000 * 1250 + 100 * 10000);
    e = (struct estimate){.metered = false};
    CHECK_EQ(estimate_price(x, &e, &nano), 0);
    CHECK_EQ(nano, 0);
}

int main(void)
{
    TAP_RUN(test_guess_is_high);
    TAP_RUN(test_guess_is_fast);
    TAP_RUN(test_output);
    TAP_RUN(test_price);
    made_end(&made);
    return tap_done();
}
