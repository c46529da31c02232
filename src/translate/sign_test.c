/* Signatures through foreign dialects: they come back byte for byte, whatever the client's SDK does
 * to base64. */
#include "base/macros.h"
#include "base/tap.h"
#include "crypto/encode.h"
#include "translate/canon.h"

static struct arena arena;
static struct error error;
static struct canon_call c;

static const enum canon_maker makers[] = {
    MAKER_ANTHROPIC, MAKER_GEMINI, MAKER_OPENAI, MAKER_OTHER, MAKER_NONE};

/* What an SDK makes of it that reads base64 and writes the URL-safe kind, perhaps unpadded. */
static struct str rewritten(struct str shown, bool padded)
{
    char *raw = arena_alloc(&arena, BASE64_MAX_BYTES(shown.n));
    char *url = arena_alloc(&arena, BASE64_SIZE(shown.n) + 4);
    ssize_t n = base64_decode(shown, raw);
    must(n >= 0);
    base64url_encode(str_at(raw, (size_t)n), url);
    size_t m = BASE64URL_SIZE((size_t)n);
    while (padded && m % 4)
        url[m++] = '=';
    return str_at(url, m);
}

static void check_round(enum canon_maker native, enum canon_maker maker, struct str signature)
{
    struct str own, shown = canon_sign_out(&c, native, maker, signature);
    if (native == maker)
        CHECK_STR(shown, signature);
    CHECK_EQ(canon_sign_in(&c, native, shown, &own), maker);
    CHECK_STR(own, signature);
    if (native == maker)
        return;
    for (int padded = 0; padded < 2; padded++) {
        CHECK_EQ(canon_sign_in(&c, native, rewritten(shown, padded), &own), maker);
        CHECK_STR(own, signature);
    }
}

static void test_round_trip(void)
{
    char bytes[67];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 151 + 250); /* no text, and with + and / in base64 */
    for (unsigned native = 0; native < 4; native++)
        for (unsigned maker = 0; maker < ARRAY_LEN(makers); maker++) {
            check_round(makers[native], makers[maker], STR("ErUBCkYIBxgCIkD+a/b=="));
            check_round(makers[native], makers[maker], STR("x"));
            for (size_t n = 1; n <= sizeof(bytes); n++)
                check_round(makers[native], makers[maker], str_at(bytes, n));
        }
}

static void test_native(void)
{
    struct str own;
    CHECK_STR(canon_sign_out(&c, MAKER_GEMINI, MAKER_GEMINI, STR("QUJD")), STR("QUJD"));
    CHECK_EQ(canon_sign_in(&c, MAKER_GEMINI, STR("QUJD"), &own), MAKER_GEMINI);
    CHECK_STR(own, STR("QUJD"));
    CHECK_EQ(canon_sign_in(&c, MAKER_ANTHROPIC, STR(""), &own), MAKER_NONE);
    CHECK_EQ(canon_sign_in(&c, MAKER_ANTHROPIC, STR_NONE, &own), MAKER_NONE);
    CHECK_EQ(canon_sign_out(&c, MAKER_ANTHROPIC, MAKER_GEMINI, STR_NONE).n, 0);
}

/* What only looks like ours is the native maker's, as it is. */
static void test_lookalikes(void)
{
    static const char *const odd[] = {"c21mbHd", "c21mbHdC", "c21mbHdB!", "c21mbHdBA", "C21mbHdB"};
    for (unsigned i = 0; i < ARRAY_LEN(odd); i++) {
        struct str own;
        CHECK_EQ(canon_sign_in(&c, MAKER_OPENAI, str_of(odd[i]), &own), MAKER_OPENAI);
        CHECK_STR(own, str_of(odd[i]));
    }
    CHECK_STR(canon_sign_out(&c, MAKER_GEMINI, MAKER_ANTHROPIC, STR("ABC")), STR("c21mbHdBQUJD"));
}

/* At whatever place of the sixteen that are looked at together, and beside the others. */
static void check_in(const char *body, bool want)
{
    char room[512];
    for (size_t before = 0; before < 40; before++)
        for (size_t after = 0; after < 20; after++) {
            size_t n = strlen(body);
            memset(room, ' ', sizeof(room));
            memcpy(room + before, body, n);
            if (canon_sign_is_in(str_at(room, before + n + after)) != want)
                tap_fail(__FILE__, __LINE__, "%s, %zu before, %zu after", body, before, after);
        }
}

static void test_in_a_body(void)
{
    check_in("{\"signature\":\"c21mbHdHQUJD\"}", true);
    check_in("{\"data\":\"c21mbHdPQUJD\"}", true);
    check_in("\"tool_use_id\":\"call_1__thought__Ci+A\"", true);
    check_in("\"id\" : \"c__thought__A\"", true);
    check_in("\"toolUseId\":\"c__thought__A\"", true);
    check_in("{\"signature\":\"EqQBc21mbHdHQUJD\"}", false);
    check_in("{\"text\":\"c__thought__A\"}", false);
    check_in("{\"text\":\"say \\\"id\\\":\\\"c__thought__A\\\"\"}", false);
    check_in("{\"id\":\"c_thought_A\",\"c2\":\"_t_t\"}", false);
    check_in("c21mbHd", false);
    CHECK(
        !canon_sign_is_in(STR("")) && !canon_sign_is_in(STR("_")) && !canon_sign_is_in(STR("c2")));
    struct str out = canon_sign_out(&c, MAKER_ANTHROPIC, MAKER_GEMINI, STR("x"));
    struct str body = arena_printf(&arena, "{\"signature\":\"" STR_FMT "\"}", STR_ARG(out));
    CHECK(canon_sign_is_in(body));
}

/* Where a dialect has room for a signature, the name says so: see canon_sign_watch(). */
static void test_names(void)
{
    static const char *const bodies[] = {
        "{\"messages\":[{\"content\":[{\"type\":\"thinking\",\"signature\":\"c21mbHdHQUJD\"}]}]}",
        "{\"messages\":[{\"content\":[{\"type\":\"redacted_thinking\",\"data\":\"c21mbHdPQUJD\"}]}]"
        "}",
        "{\"messages\":[{\"reasoning_details\":[{\"data\":\"c21mbHdPQUJD\"}]}]}",
        "{\"messages\":[{\"content\":[{\"tool_use_id\":\"call_1__thought__Ci+A\"}]}]}",
        "{\"messages\":[{\"tool_call_id\":\"call_1__thought__Ci+A\"}]}",
        "{\"messages\":[{\"tool_calls\":[{\"id\":\"call_1__thought__Ci+A\"}]}]}",
        "{\"input\":[{\"call_id\":\"call_1__thought__Ci+A\"}]}",
        "{\"input\":[{\"type\":\"reasoning\",\"encrypted_content\":\"c21mbHdHQUJD\"}]}",
        "{\"contents\":[{\"parts\":[{\"text\":\"\",\"thoughtSignature\":\"c21mbHdBQUJD\"}]}]}",
        "{\"contents\":[{\"parts\":[{\"thought_signature\":\"c21mbHdBQUJD\"}]}]}",
        "{\"messages\":[{\"content\":[{\"toolUse\":{\"toolUseId\":\"c__thought__A\"}}]}]}",
        "{\"messages\":[{\"content\":[{\"reasoningContent\":{\"redactedContent\":\"c21mbHdPQUJD\"}}"
        "]}]}",
    };
    struct json_set set;
    struct json_error e;
    enum json_type top;
    unsigned marks;

    json_set_init(&set, NULL, 0);
    canon_sign_watch(&set, 4);
    for (unsigned i = 0; i < ARRAY_LEN(bodies); i++) {
        CHECK_EQ(json_scan_set(str_of(bodies[i]), &set, NULL, &marks, &top, &e), 0);
        CHECK_EQ(marks, 4);
        CHECK(canon_sign_is_in(str_of(bodies[i])));
    }
}

int main(void)
{
    arena_init(&arena, NULL, 0, 64 << 20);
    canon_call_init(&c, &arena, &error);
    TAP_RUN(test_round_trip);
    TAP_RUN(test_native);
    TAP_RUN(test_lookalikes);
    TAP_RUN(test_in_a_body);
    TAP_RUN(test_names);
    arena_free(&arena);
    return tap_done();
}
