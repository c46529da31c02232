/* The table of endpoints: every row from every base URL, whose dialect it is, 404 and 405. */
#include "llm/endpoint.h"

#include "base/tap.h"
#include <stdio.h>

struct asked {
    char text[1024];
    struct http_field room[LIMIT_HEADERS];
    struct http_head head;
    struct endpoint_match m;
    enum dialect d;
    bool found;
};

/* method, target and further field lines of one request */
static struct asked *ask(const char *method, const char *target, const char *fields)
{
    static struct asked a;
    const char *why = "";

    snprintf(a.text, sizeof a.text, "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, target, fields);
    if (http_parse_request(str_of(a.text), a.room, LIMIT_HEADERS, &a.head, &why) <= 0) {
        tap_fail(__FILE__, __LINE__, "%s %s: %s", method, target, why);
        a.m = (struct endpoint_match){0};
        a.found = false;
        return &a;
    }
    a.found = endpoint_find(&a.head, &a.m, &a.d);
    return &a;
}

static struct str text_of(const struct asked *a)
{
    static char out[256];

    if (!a->found)
        return a->m.allow ? STR("405") : STR("404");
    int n = snprintf(out, sizeof out, STR_FMT " " STR_FMT, STR_ARG(dialect_name(a->d)),
        STR_ARG(endpoint_kind_name(a->m.endpoint->kind)));
    return str_at(out, (size_t)n);
}

static struct str what(const char *method, const char *target)
{
    return text_of(ask(method, target, ""));
}

static struct str what_with(const char *method, const char *target, const char *fields)
{
    return text_of(ask(method, target, fields));
}

static const char *const methods[] = {"", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

/* A path that the pattern matches. */
static void fill_in(struct str pattern, char *out, size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < pattern.n && at + 8 < n; i++) {
        if (pattern.p[i] != '{') {
            out[at++] = pattern.p[i];
            continue;
        }
        memcpy(out + at, "x-1", 3);
        at += 3;
        i += (size_t)str_chr(str_from(pattern, i), '}');
    }
    out[at] = 0;
}

static bool reaches(const struct endpoint *e, const char *base, const char *fields)
{
    char path[256], target[400];

    fill_in(e->pattern, path, sizeof path);
    snprintf(target, sizeof target, "%s/%s", base, path);
    for (unsigned method = HTTP_GET; method <= HTTP_DELETE; method++) {
        if (!(e->methods & (1u << method)))
            continue;
        struct asked *a = ask(methods[method], target, fields);
        if (a->found && a->m.endpoint == e && a->d == e->dialect)
            continue;
        tap_fail(
            __FILE__, __LINE__, "%s %s is " STR_FMT, methods[method], target, STR_ARG(text_of(a)));
        return false;
    }
    return true;
}

/* Every row from every base URL that a client of its dialect may have been given. */
static void test_rows(void)
{
    static const struct {
        enum dialect d;
        const char *base, *fields;
    } bases[] = {
        {DIALECT_OPENAI, "", ""},
        {DIALECT_OPENAI, "/v1", ""},
        {DIALECT_OPENAI, "/v1/v1", ""},
        {DIALECT_OPENAI, "/cursor", ""},
        {DIALECT_OPENAI, "/cursor/v1", ""},
        {DIALECT_OPENAI, "/openai/v1", ""},
        {DIALECT_OPENAI, "/azure/openai/v1", ""},
        {DIALECT_OPENAI, "/azure/openai/deployments/dep", ""},
        {DIALECT_OPENAI, "/openai/deployments/dep", ""},
        {DIALECT_ANTHROPIC, "/anthropic", ""},
        {DIALECT_ANTHROPIC, "/anthropic/v1", ""},
        {DIALECT_ANTHROPIC, "/anthropic/v1/v1", ""},
        {DIALECT_ANTHROPIC, "", "anthropic-version: 2023-06-01\r\n"},
        {DIALECT_ANTHROPIC, "/v1", "anthropic-version: 2023-06-01\r\n"},
        {DIALECT_ANTHROPIC, "/cursor/v1", "anthropic-version: 2023-06-01\r\n"},
        {DIALECT_GEMINI, "/v1beta", ""},
        {DIALECT_GEMINI, "/v1alpha", ""},
        {DIALECT_GEMINI, "/gemini", ""},
        {DIALECT_GEMINI, "/gemini/v1", ""},
        {DIALECT_GEMINI, "/gemini/v1beta", ""},
        {DIALECT_GEMINI, "/v1", "x-goog-api-key: k\r\n"},
        {DIALECT_GEMINI, "", "x-goog-api-key: k\r\n"},
        {DIALECT_BEDROCK, "", ""},
        {DIALECT_BEDROCK, "/bedrock", ""},
        {DIALECT_BEDROCK, "/bedrock/", "anthropic-version: 2023-06-01\r\n"},
        {DIALECT_BEDROCK, "/v1", "x-goog-api-key: k\r\n"},
    };
    unsigned n, reached = 0;
    const struct endpoint *e = endpoint_table(&n);

    CHECK(n > 50);
    for (unsigned i = 0; i < n; i++)
        for (unsigned b = 0; b < ARRAY_LEN(bases); b++)
            if (bases[b].d == e[i].dialect)
                reached += reaches(&e[i], bases[b].base, bases[b].fields);
    CHECK(reached > 400);
}

/* The example that messages show leads to its row. */
static void test_examples(void)
{
    unsigned n;
    const struct endpoint *e = endpoint_table(&n);

    for (unsigned i = 0; i < n; i++) {
        char path[256];
        unsigned method = HTTP_GET;
        fill_in(e[i].example, path, sizeof path);
        while (!(e[i].methods & (1u << method)))
            method++;
        struct asked *a = ask(methods[method], path,
            e[i].dialect == DIALECT_ANTHROPIC ? "anthropic-version: 2023-06-01\r\n" : "");
        CHECK_STR(a->found ? a->m.endpoint->pattern : STR_NONE, e[i].pattern);
    }
}

static void test_shared_paths(void)
{
    static const char *const paths[] = {"/v1/models", "/v1/models/m", "/v1/files"};
    static const char *const kinds[] = {"models", "model", "files"};
    char want[64];

    for (unsigned i = 0; i < 2; i++) {
        snprintf(want, sizeof want, "openai %s", kinds[i]);
        CHECK_STR(what("GET", paths[i]), str_of(want));
        CHECK_STR(what_with("GET", paths[i], "Authorization: Bearer k\r\n"), str_of(want));
        snprintf(want, sizeof want, "anthropic %s", kinds[i]);
        CHECK_STR(what_with("GET", paths[i], "anthropic-version: 2023-06-01\r\n"), str_of(want));
        snprintf(want, sizeof want, "gemini %s", kinds[i]);
        CHECK_STR(what_with("GET", paths[i], "x-goog-api-key: k\r\n"), str_of(want));
    }
    CHECK_STR(what("GET", "/v1/models?key=abc"), STR("gemini models"));
    CHECK_STR(what("GET", "/v1/models?monkey=abc"), STR("openai models"));
    CHECK_STR(what("GET", "/v1/models?key="), STR("openai models"));
    CHECK_STR(what("GET", "/v1beta/models"), STR("gemini models"));
    CHECK_STR(what("GET", "/gemini/v1/models"), STR("gemini models"));
    CHECK_STR(what("GET", "/anthropic/v1/models"), STR("anthropic models"));
    CHECK_STR(
        what_with("GET", "/azure/openai/models", "anthropic-version: x\r\n"), STR("openai models"));
    CHECK_STR(what("GET", "/v1/files"), STR("openai files"));
    CHECK_STR(
        what_with("GET", "/v1/files", "anthropic-version: 2023-06-01\r\n"), STR("anthropic files"));
    CHECK_STR(what_with("GET", "/v1/files", "x-goog-api-key: k\r\n"), STR("gemini gemini_other"));
    CHECK_STR(what("GET", "/v1/batches"), STR("openai batches"));
    CHECK_STR(
        what_with("GET", "/v1/batches", "x-goog-api-key: k\r\n"), STR("gemini gemini_batches"));
    CHECK_STR(what("GET", "/v1beta/batches"), STR("gemini gemini_batches"));
    CHECK_STR(what("POST", "/v1beta/batches/b:cancel"), STR("gemini gemini_batches"));
    CHECK_STR(what("GET", "/v1beta/files/f:download?alt=media"), STR("gemini gemini_other"));
}

/* A path that one dialect alone has is its own, whatever the fields say. */
static void test_own_paths(void)
{
    CHECK_STR(what("POST", "/v1/messages"), STR("anthropic messages"));
    CHECK_STR(what("POST", "/messages"), STR("anthropic messages"));
    CHECK_STR(what("POST", "/cursor/v1/messages"), STR("anthropic messages"));
    CHECK_STR(what("POST", "/v1/complete"), STR("anthropic complete"));
    CHECK_STR(
        what_with("POST", "/v1/chat/completions", "anthropic-version: x\r\n"), STR("openai chat"));
    CHECK_STR(
        what_with("POST", "/v1/chat/completions", "x-goog-api-key: k\r\n"), STR("openai chat"));
    CHECK_STR(
        what("POST", "/v1/models/gemini-pro:generateContent"), STR("gemini generate_content"));
    CHECK_STR(what("POST", "/v1beta/models/gemini-pro:streamGenerateContent?alt=sse"),
        STR("gemini stream_generate_content"));
    /* A front door is of its dialect alone. */
    CHECK_STR(what("POST", "/anthropic/v1/chat/completions"), STR("404"));
    CHECK_STR(what("POST", "/gemini/v1beta/messages"), STR("404"));
    CHECK_STR(what("POST", "/azure/openai/v1/messages"), STR("404"));
    CHECK_STR(what("POST", "/bedrock/v1/messages"), STR("404"));
    CHECK_STR(what("POST", "/v2/rerank"), STR("openai rerank"));
    CHECK_STR(what("POST", "/v2/rerank/x"), STR("404"));
    CHECK_STR(what("POST", "/v2/chat/completions"), STR("404"));
    CHECK_STR(what("POST", "/anthropic/model/m/converse"), STR("404"));
}

static void test_error_dialects(void)
{
    CHECK(!ask("GET", "/v1/nothing", "")->found);
    CHECK_EQ(ask("GET", "/v1/nothing", "")->d, DIALECT_OPENAI);
    CHECK_EQ(ask("GET", "/v1/nothing", "anthropic-version: x\r\n")->d, DIALECT_ANTHROPIC);
    CHECK_EQ(ask("GET", "/anthropic/v1/nothing", "")->d, DIALECT_ANTHROPIC);
    CHECK_EQ(ask("GET", "/gemini/v1beta/nothing", "")->d, DIALECT_GEMINI);
    CHECK_EQ(ask("GET", "/v1beta/nothing", "")->d, DIALECT_GEMINI);
    CHECK_EQ(ask("GET", "/v1/messages", "")->d, DIALECT_ANTHROPIC);
    CHECK_EQ(ask("GET", "/v1/complete", "")->d, DIALECT_ANTHROPIC);
    CHECK_EQ(ask("GET", "/v1/cachedContents/x", "")->d, DIALECT_GEMINI);
    CHECK_EQ(ask("PUT", "/v1/cachedContents", "")->d, DIALECT_GEMINI);
    CHECK_EQ(ask("DELETE", "/v1/chat/completions", "")->d, DIALECT_OPENAI);
    CHECK_EQ(ask("POST", "/bedrock/nothing", "")->d, DIALECT_BEDROCK);
    CHECK_EQ(ask("POST", "/model/m/explode", "")->d, DIALECT_BEDROCK);
    CHECK_EQ(ask("GET", "/model/m/converse", "")->d, DIALECT_BEDROCK);
}

static uint16_t allow_of(const char *method, const char *target)
{
    struct asked *a = ask(method, target, "");

    return a->found ? 0 : a->m.allow;
}

static void test_methods(void)
{
    CHECK_EQ(allow_of("GET", "/v1/chat/completions"), 1 << HTTP_POST);
    CHECK_EQ(allow_of("PUT", "/v1/responses"), 1 << HTTP_GET | 1 << HTTP_POST);
    CHECK_EQ(allow_of("POST", "/v1/responses/r/input_items"), 1 << HTTP_GET);
    CHECK_EQ(allow_of("PUT", "/v1/files/f"), 1 << HTTP_GET | 1 << HTTP_DELETE);
    CHECK_EQ(allow_of("PURGE", "/v1/models"), 1 << HTTP_GET);
    CHECK_EQ(allow_of("OPTIONS", "/v1/messages"), 1 << HTTP_POST);
    CHECK_EQ(allow_of("GET", "/v1/nothing"), 0);
    CHECK_STR(what("HEAD", "/v1/models"), STR("openai models"));
    CHECK_STR(what("HEAD", "/v1/models/m"), STR("openai model"));
    CHECK_STR(what("HEAD", "/v1/chat/completions"), STR("405"));
    CHECK_STR(what("HEAD", "/v1/realtime"), STR("405"));
    CHECK_STR(what("GET", "/v1/responses"), STR("openai responses_ws"));
    CHECK_STR(what("POST", "/v1/responses"), STR("openai responses"));
    CHECK_STR(what("GET", "/v1/responses/input_tokens"), STR("openai responses_sub"));
}

static void test_allow_text(void)
{
    _cleanup_(buf_free) struct buf b = {0};

    buf_init(&b, 256);
    endpoint_allow_text(1 << HTTP_GET | 1 << HTTP_DELETE, &b);
    CHECK_STR(buf_str(&b), STR("GET, DELETE, OPTIONS"));
    buf_clear(&b);
    endpoint_allow_text(0xffff, &b);
    CHECK_STR(buf_str(&b), STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
}

static void test_models_in_paths(void)
{
    struct asked *a = ask("GET", "/v1/models/openai%2Fgpt-4o", "");
    CHECK(a->found);
    CHECK_STR(a->m.model, STR("openai%2Fgpt-4o"));
    a = ask("GET", "/v1/models/openai/gpt-4o/", "");
    CHECK_STR(a->m.model, STR("openai/gpt-4o"));
    a = ask("POST", "/v1beta/models/a:b:generateContent", "");
    CHECK_STR(a->m.model, STR("a:b"));
    CHECK_STR(a->m.version, STR("v1beta"));
    CHECK_STR(a->m.rest, STR("models/a:b:generateContent"));
    CHECK_STR(what("POST", "/v1beta/models/:generateContent"), STR("404"));
    CHECK_STR(what("POST", "/v1beta/models/a:explode"), STR("404"));
    CHECK_STR(what("GET", "/v1/models/"), STR("openai models"));
}

/* A model's id is one segment, as boto3 writes it. */
static void test_bedrock(void)
{
    struct asked *a =
        ask("POST", "/bedrock/model/us.anthropic.claude-x-v1%3A0/converse-stream", "");

    CHECK_STR(text_of(a), STR("bedrock converse_stream"));
    CHECK_STR(a->m.door, STR("bedrock"));
    CHECK_STR(a->m.model, STR("us.anthropic.claude-x-v1%3A0"));
    CHECK_STR(a->m.rest, STR("model/us.anthropic.claude-x-v1%3A0/converse-stream"));
    a = ask(
        "POST", "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx/invoke", "");
    CHECK_STR(text_of(a), STR("bedrock invoke_model"));
    CHECK_STR(a->m.model, STR("arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx"));
    CHECK_STR(
        what("POST", "/model/m/invoke-with-response-stream"), STR("bedrock invoke_model_stream"));
    CHECK_STR(what("POST", "/model/a/b/converse"), STR("404"));
    CHECK_STR(what("POST", "/model//converse"), STR("404"));
    CHECK_STR(what("GET", "/model/m/converse"), STR("405"));
}

static void test_azure(void)
{
    struct asked *a = ask(
        "POST", "/azure/openai/deployments/my%2Ddep/chat/completions?api-version=2024-10-21", "");
    CHECK(a->found && a->m.azure_deployment);
    CHECK_STR(a->m.door, STR("azure"));
    CHECK_STR(a->m.model, STR("my%2Ddep"));
    CHECK_STR(a->m.rest, STR("chat/completions"));
    a = ask("POST", "/openai/deployments/dep/embeddings", "");
    CHECK(a->found && a->m.azure_deployment);
    CHECK_STR(a->m.door, STR("azure"));
    a = ask("POST", "/openai/v1/chat/completions", "");
    CHECK(a->found && !a->m.azure_deployment);
    CHECK_STR(a->m.version, STR("v1"));
    /* The path's own model stands in its rest, where targets are cut from. */
    a = ask("GET", "/azure/openai/deployments/dep/models/m", "");
    CHECK(a->found);
    CHECK_STR(a->m.model, STR("m"));
    CHECK(a->m.model.p >= a->m.rest.p && a->m.model.p < a->m.rest.p + a->m.rest.n);
    CHECK_STR(what("POST", "/azure/openai/deployments/dep"), STR("404"));
    CHECK_STR(what("POST", "/v1/deployments/dep/chat/completions"), STR("404"));
}

static void test_slashes(void)
{
    CHECK_STR(what("POST", "/v1/chat/completions/"), STR("openai chat"));
    CHECK_STR(what("POST", "/v1/chat/completions//"), STR("openai chat"));
    CHECK_STR(what("POST", "//v1//chat/completions"), STR("openai chat"));
    CHECK_STR(what("POST", "/v1/chat//completions"), STR("404"));
    CHECK_STR(what("POST", "/v1/messages/batches/b/cancel/"), STR("anthropic message_batches"));
}

static void test_hostile_paths(void)
{
    static const char *const paths[] = {"/", "//", "///////", "/v1", "/v1/", "/v1/v1/v1/v1",
        "/anthropic", "/azure/openai/deployments", "/azure/openai/deployments/",
        "/azure/openai/deployments//", "/openai", "/gemini/v1beta/", "/V1/chat/completions",
        "/v1/Chat/Completions", "/v1/chat%2Fcompletions", "/%761/chat/completions",
        "/v1/chat/completions/x", "/v1/chat/completionsx", "/v1/responses//cancel",
        "/v1/chat/completions%00", "/anthropic/anthropic/v1/messages"};

    for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
        struct str got = what("POST", paths[i]);
        if (!str_eq(got, STR("404")) && !str_eq(got, STR("405")))
            tap_fail(__FILE__, __LINE__, "%s is " STR_FMT, paths[i], STR_ARG(got));
    }
    struct asked *a = ask("POST", "/v1/responses/%2e%2e/cancel", "");
    CHECK(a->found); /* the id is the provider's business, the climb is refused at the target */
    CHECK_STR(a->m.id, STR("%2e%2e"));
}

static void test_nearest(void)
{
    CHECK_STR(endpoint_nearest(STR("/v1/chat/completion")), STR("/v1/chat/completions"));
    CHECK_STR(endpoint_nearest(STR("/v1/embedings")), STR("/v1/embeddings"));
    CHECK_STR(endpoint_nearest(STR("/anthropic/v1/mesages")), STR("/v1/messages"));
    CHECK_STR(endpoint_nearest(STR("/azure/openai/deployments/d/chat/completion")),
        STR("/v1/chat/completions"));
    CHECK_STR(endpoint_nearest(STR("/zzzzzzzzzzzz")), STR_NONE);
    CHECK_STR(endpoint_nearest(STR("/")), STR_NONE);
    CHECK_STR(endpoint_nearest(STR_NONE), STR_NONE);
}

static void test_names(void)
{
    for (unsigned i = 0; i < ENDPOINT_KINDS; i++) {
        CHECK(endpoint_kind_name(i).n > 0);
        for (unsigned j = 0; j < i; j++)
            CHECK(!str_eq(endpoint_kind_name(i), endpoint_kind_name(j)));
    }
}

int main(void)
{
    TAP_RUN(test_rows);
    TAP_RUN(test_examples);
    TAP_RUN(test_shared_paths);
    TAP_RUN(test_own_paths);
    TAP_RUN(test_error_dialects);
    TAP_RUN(test_methods);
    TAP_RUN(test_allow_text);
    TAP_RUN(test_models_in_paths);
    TAP_RUN(test_azure);
    TAP_RUN(test_bedrock);
    TAP_RUN(test_slashes);
    TAP_RUN(test_hostile_paths);
    TAP_RUN(test_nearest);
    TAP_RUN(test_names);
    return tap_done();
}
