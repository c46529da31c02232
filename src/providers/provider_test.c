/* Base URLs, targets and credentials of every provider. */
#include "providers/provider.h"

#include "llm/exchange_test.h"
#include <errno.h>

static struct made made;

/* --- base URLs --- */

static void test_base_urls(void)
{
    static const struct {
        const char *url;
        int tls;
        const char *host;
        unsigned port;
        const char *header, *path;
    } rows[] = {
        {"https://api.openai.com", 1, "api.openai.com", 443, "api.openai.com", ""},
        {"https://api.openai.com/", 1, "api.openai.com", 443, "api.openai.com", ""},
        {"https://api.openai.com/v1", 1, "api.openai.com", 443, "api.openai.com", ""},
        {"https://api.openai.com/v1/", 1, "api.openai.com", 443, "api.openai.com", ""},
        {"https://h/v1beta//", 1, "h", 443, "h", ""},
        {"HTTPS://H/x/v1", 1, "H", 443, "H", "/x"},
        {"  http://localhost:11434/v1 ", 0, "localhost", 11434, "localhost:11434", ""},
        {" https://h\n", 1, "h", 443, "h", ""},
        {"http://127.0.0.1", 0, "127.0.0.1", 80, "127.0.0.1", ""},
        {"http://[::1]:8080/openai", 0, "::1", 8080, "[::1]:8080", "/openai"},
        {"http://[2001:db8::1]", 0, "2001:db8::1", 80, "[2001:db8::1]", ""},
        {"https://h/v1/openai", 1, "h", 443, "h", "/v1/openai"},
        {"https://h/xv1", 1, "h", 443, "h", "/xv1"},
        {"https://h:65535", 1, "h", 65535, "h:65535", ""},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct upstream u = {.provider = NULL};
        const char *why = "";
        int r = upstream_set_base(&u, str_of(rows[i].url), &why);
        if (r != rows[i].tls)
            tap_fail(__FILE__, __LINE__, "%s: %d %s", rows[i].url, r, why);
        CHECK_STR(u.origin.target.host, str_of(rows[i].host));
        CHECK_EQ(u.origin.target.port, rows[i].port);
        CHECK_STR(u.origin.host_header, str_of(rows[i].header));
        CHECK_STR(u.base_path, str_of(rows[i].path));
    }
}

static void test_bad_base_urls(void)
{
    static const char *const urls[] = {"", "api.openai.com", "ftp://h", "https:/h", "https://",
        "https:///v1", "https://user@h", "https://user:secret@h/v1", "https://h:0",
        "https://h:65536", "https://h:-1", "https://h:8o", "https://h:1:2", "https://[::1",
        "https://[]", "https://[::1]x80", "https://[::1]80", "https://h?x=1", "https://h/v1?x=1",
        "https://h#f", "https://h/a b", "https://a b/", "https://h/a\r\nX: y", "https://h\t.x",
        "https://h\x7f", "https://h\xc3\xa9", "https://h\\x", "https://h<x>", "https://h%41"};

    for (unsigned i = 0; i < ARRAY_LEN(urls); i++) {
        struct upstream u = {.provider = NULL};
        const char *why = NULL;
        if (upstream_set_base(&u, str_of(urls[i]), &why) != -EINVAL || !why)
            tap_fail(__FILE__, __LINE__, "%s was taken", urls[i]);
        CHECK(!why || !strstr(why, "secret"));
    }
}

/* --- targets --- */

static struct upstream up;

static const struct upstream *upstream_at(const char *provider, const char *base)
{
    const char *why;

    upstream_keys_free(&up);
    up = (struct upstream){.provider = provider_by_id(str_of(provider)), .configured = true};
    must(up.provider);
    must(upstream_set_base(&up, base ? str_of(base) : up.provider->base, &why) >= 0);
    return &up;
}

static struct buf out;

/* The target, or "status code" of the refusal. */
static struct str target(const struct upstream *u, struct exchange *x)
{
    const struct provider_face *face =
        provider_face(u->provider, x->dialect, x->match.endpoint->kind);

    buf_free(&out);
    buf_init(&out, 4096);
    if (!face)
        return STR("no face");
    if (provider_target(u, face, x, &out) < 0) {
        buf_clear(&out);
        buf_printf(&out, "%d " STR_FMT, x->error.status, STR_ARG(x->error.code));
    }
    return buf_str(&out);
}

static void test_targets(void)
{
    static const struct {
        const char *provider, *base, *method, *asked, *model_asked, *model, *want;
    } rows[] = {
        {"openai", NULL, "POST", "/v1/chat/completions", "gpt-4o", "gpt-4o",
            "/v1/chat/completions"},
        {"openai", "http://h/proxy/v1/", "POST", "/chat/completions/?a=b", "m", "m",
            "/proxy/v1/chat/completions?a=b"},
        {"openai", NULL, "POST", "/v1/embeddings?limit=2&key=sk-x&after=f", "m", "m",
            "/v1/embeddings?limit=2&after=f"},
        {"openai", NULL, "GET", "/v1/models?key=", NULL, NULL, "/v1/models"},
        {"openai", NULL, "GET", "/v1/models?&&a&monkey=1&", NULL, NULL, "/v1/models?a&monkey=1"},
        {"openai", NULL, "GET", "/v1/responses/r%2F1", NULL, NULL, "/v1/responses/r%2F1"},
        {"openai", NULL, "GET", "/v1/models/openai%2Fgpt-4o", NULL, "gpt-4o", "/v1/models/gpt-4o"},
        {"anthropic", NULL, "POST", "/anthropic/v1/messages?beta=true", "claude-x", "claude-x",
            "/v1/messages?beta=true"},
        {"deepseek", NULL, "POST", "/v1/messages", "deepseek-chat", "deepseek-chat",
            "/anthropic/v1/messages"},
        {"deepseek", NULL, "POST", "/v1/chat/completions", "d", "d", "/v1/chat/completions"},
        {"groq", NULL, "POST", "/v1/chat/completions", "m", "m", "/openai/v1/chat/completions"},
        {"groq", "https://api.groq.com/openai/v1", "POST", "/v1/chat/completions", "m", "m",
            "/openai/v1/chat/completions"},
        {"openrouter", NULL, "POST", "/v1/chat/completions", "m", "m", "/api/v1/chat/completions"},
        {"fireworks", NULL, "POST", "/v1/embeddings", "m", "m", "/inference/v1/embeddings"},
        {"novita", NULL, "POST", "/v1/chat/completions", "m", "m", "/openai/v1/chat/completions"},
        {"perplexity", NULL, "POST", "/v1/chat/completions", "sonar", "sonar", "/chat/completions"},
        {"vercel", NULL, "POST", "/v1/messages", "m", "m", "/v1/messages"},
        {"cohere", NULL, "POST", "/v1/chat/completions", "m", "m",
            "/compatibility/v1/chat/completions"},
        {"cohere", NULL, "POST", "/v1/rerank", "m", "m", "no face"}, /* it is translated */
        {"vllm", "http://h:8000", "POST", "/v1/rerank", "m", "m", "/v1/rerank"},
        {"vllm", "http://h:8000", "POST", "/v2/rerank", "m", "m", "/v1/rerank"},
        {"ollama", "http://localhost:11434", "POST", "/v1/messages", "m", "m", "/v1/messages"},
        /* Gemini: the client's own version; the model in the path */
        {"gemini", NULL, "POST", "/v1beta/models/gemini-pro:generateContent?key=k", NULL,
            "gemini-pro", "/v1beta/models/gemini-pro:generateContent"},
        {"gemini", NULL, "POST", "/gemini/v1/models/g:streamGenerateContent?alt=sse&key=k", NULL,
            "g", "/v1/models/g:streamGenerateContent?alt=sse"},
        {"gemini", NULL, "POST", "/gemini/models/g:countTokens", NULL, "g",
            "/v1beta/models/g:countTokens"},
        {"gemini", "https://h/v1beta", "POST", "/v1alpha/models/google%2Fg:generateContent", NULL,
            "g", "/v1alpha/models/g:generateContent"},
        {"gemini", NULL, "POST", "/v1/chat/completions", "g", "g",
            "/v1beta/openai/chat/completions"},
        {"gemini", NULL, "GET", "/v1beta/models", NULL, NULL, "/v1beta/models"},
        {"gemini", NULL, "GET", "/v1beta/models/fast", NULL, "a b\xc3\xa9?#%\r\n",
            "/v1beta/models/a%20b%C3%A9%3F%23%25%0D%0A"},
        /* Replicate and others have no face for it */
        {"replicate", NULL, "POST", "/v1/chat/completions", "m", "m", "no face"},
        {"cohere", NULL, "POST", "/v1/messages", "m", "m", "no face"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct exchange *x =
            made_begin(&made, rows[i].method, rows[i].asked, "", rows[i].model_asked);
        x->model = str_of(rows[i].model);
        struct str got = target(upstream_at(rows[i].provider, rows[i].base), x);
        if (!str_eq(got, str_of(rows[i].want)))
            tap_fail(__FILE__, __LINE__, "%s %s: " STR_FMT ", wanted %s", rows[i].provider,
                rows[i].asked, STR_ARG(got), rows[i].want);
    }
}

/* Options of a translated call stand in the query, encoded. */
static void test_made_query(void)
{
    _cleanup_(buf_free) struct buf query = {0};
    struct exchange *x = made_begin(&made, "POST", "/v1/audio/speech?a=b", "", "asked");
    const struct upstream *u = upstream_at("deepgram", NULL);
    const struct provider_face *face = &u->provider->faces[0];

    buf_init(&query, 256);
    CHECK_EQ(provider_put_param(&query, STR("model"), STR("x&callback=http://evil")), 0);
    CHECK_EQ(provider_put_param(&query, STR("keyterm"), STR("Smart flow\r\n")), 0);
    buf_free(&out);
    buf_init(&out, 4096);
    x->model = STR("m");
    x->made_query = buf_str(&query);
    CHECK_EQ(provider_target_of(u, face, KIND_TRANSCRIPTION, false, x, &out), 0);
    CHECK_STR(buf_str(&out), STR("/v1/listen?model=x%26callback%3Dhttp%3A%2F%2Fevil"
                                 "&keyterm=Smart%20flow%0D%0A"));
}

/* Where a translated call goes, whatever the client's path and query were. */
static void test_translated_targets(void)
{
    static const struct {
        const char *provider, *base;
        enum dialect dialect;
        enum endpoint_kind kind;
        bool stream;
        const char *model, *want;
    } rows[] = {
        {"openai", NULL, DIALECT_OPENAI, KIND_CHAT, true, "gpt-4o", "/v1/chat/completions"},
        {"openai", NULL, DIALECT_OPENAI, KIND_RESPONSES, false, "m", "/v1/responses"},
        {"openai", NULL, DIALECT_OPENAI, KIND_EMBEDDINGS, false, "m", "/v1/embeddings"},
        {"anthropic", NULL, DIALECT_ANTHROPIC, KIND_MESSAGES, true, "c", "/v1/messages"},
        {"anthropic", NULL, DIALECT_ANTHROPIC, KIND_COUNT_TOKENS, false, "c",
            "/v1/messages/count_tokens"},
        {"gemini", NULL, DIALECT_GEMINI, KIND_GENERATE, false, "gemini-2.5-pro",
            "/v1beta/models/gemini-2.5-pro:generateContent"},
        {"gemini", NULL, DIALECT_GEMINI, KIND_STREAM_GENERATE, true, "g",
            "/v1beta/models/g:streamGenerateContent?alt=sse"},
        {"gemini", NULL, DIALECT_GEMINI, KIND_GENERATE, true, "g",
            "/v1beta/models/g:streamGenerateContent?alt=sse"},
        {"gemini", NULL, DIALECT_GEMINI, KIND_GEMINI_COUNT, false, "g",
            "/v1beta/models/g:countTokens"},
        {"vertex", NULL, DIALECT_GEMINI, KIND_GENERATE, false, "gemini-2.5-pro",
            "/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-pro:"
            "generateContent"},
        {"vertex", NULL, DIALECT_ANTHROPIC, KIND_MESSAGES, false, "claude-opus-4-5@20251101",
            "/v1/projects/p/locations/global/publishers/anthropic/models/"
            "claude-opus-4-5@20251101:rawPredict"},
        {"vertex", NULL, DIALECT_ANTHROPIC, KIND_MESSAGES, true, "claude-x",
            "/v1/projects/p/locations/global/publishers/anthropic/models/claude-x:"
            "streamRawPredict"},
        {"cohere", NULL, DIALECT_COHERE, KIND_CHAT, true, "command-a", "/v2/chat"},
        {"deepgram", NULL, DIALECT_DEEPGRAM, KIND_TRANSCRIPTION, false, "nova-3", "/v1/listen"},
        {"deepgram", "http://h/dg/v1", DIALECT_DEEPGRAM, KIND_SPEECH, false, "aura-2",
            "/dg/v1/speak"},
        {"cohere", NULL, DIALECT_COHERE, KIND_RERANK, false, "rerank-v4", "/v2/rerank"},
        {"nvidia_nim", NULL, DIALECT_OPENAI, KIND_RERANK, false, "m", "/v1/ranking"},
        {"nvidia_nim", NULL, DIALECT_OPENAI, KIND_CHAT, true, "m", "/v1/chat/completions"},
        {"gemini", NULL, DIALECT_GEMINI, KIND_IMAGES, false, "imagen-4.0-generate-001",
            "/v1beta/models/imagen-4.0-generate-001:predict"},
        {"gemini", NULL, DIALECT_GEMINI, KIND_IMAGES, false, "a/b", "/v1beta/models/a%2Fb:predict"},
        {"vertex", NULL, DIALECT_GEMINI, KIND_IMAGES, false, "imagen-4.0-generate-001",
            "/v1/projects/p/locations/global/publishers/google/models/imagen-4.0-generate-001:"
            "predict"},
        {"ollama", "http://h:11434/v1", DIALECT_OLLAMA, KIND_CHAT, true, "llama3", "/api/chat"},
        {"replicate", NULL, DIALECT_REPLICATE, KIND_CHAT, false, "meta/llama-3-8b",
            "/v1/models/meta/llama-3-8b/predictions"},
        {"replicate", NULL, DIALECT_REPLICATE, KIND_CHAT, false,
            "a/b:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "/v1/predictions"},
        {"replicate", NULL, DIALECT_REPLICATE, KIND_CHAT, false, "llama", "404 model_not_found"},
        {"azure", "https://h", DIALECT_OPENAI, KIND_CHAT, false, "d",
            "/openai/v1/chat/completions"},
        {"deepseek", NULL, DIALECT_ANTHROPIC, KIND_MESSAGES, true, "d", "/anthropic/v1/messages"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct exchange *x =
            made_begin(&made, "POST", "/v1/messages?beta=true&key=sk-x", "", "asked");
        const struct upstream *u = upstream_at(rows[i].provider, rows[i].base);
        const struct provider_face *face = NULL;
        for (unsigned f = 0; f < PROVIDER_FACES_MAX && !face; f++)
            if (u->provider->faces[f].kinds && u->provider->faces[f].dialect == rows[i].dialect)
                face = &u->provider->faces[f];
        must(face);
        if (strcmp(rows[i].provider, "vertex") == 0)
            up.options[0] = STR("p");
        x->model = str_of(rows[i].model);
        x->face = face;
        x->up_kind = rows[i].kind;
        x->stream = rows[i].stream;
        buf_free(&out);
        buf_init(&out, 4096);
        if (face->dialect == x->dialect && rows[i].kind == KIND_MESSAGES)
            x->model = x->model_asked = str_of(rows[i].model);
        int r = provider_target_of(u, face, rows[i].kind, rows[i].stream, x, &out);
        if (r < 0) {
            buf_clear(&out);
            buf_printf(&out, "%d " STR_FMT, x->error.status, STR_ARG(x->error.code));
        }
        if (!str_eq(buf_str(&out), str_of(rows[i].want)))
            tap_fail(__FILE__, __LINE__, "%s: " STR_FMT ", wanted %s", rows[i].provider,
                STR_ARG(buf_str(&out)), rows[i].want);
    }
}

/* The exchange says where the attempt goes; else the client's path is the target's. */
static void test_target_of_exchange(void)
{
    struct exchange *x = made_begin(&made, "POST", "/v1/messages?beta=true", "", "c");
    const struct upstream *u = upstream_at("cohere", NULL);

    x->face = &u->provider->faces[0];
    x->up_kind = KIND_CHAT;
    buf_clear(&out);
    CHECK_EQ(provider_target(u, x->face, x, &out), 0);
    CHECK_STR(buf_str(&out), STR("/v2/chat"));
    u = upstream_at("anthropic", NULL);
    x->face = &u->provider->faces[0];
    x->up_kind = KIND_MESSAGES;
    buf_clear(&out);
    CHECK_EQ(provider_target(u, x->face, x, &out), 0);
    CHECK_STR(buf_str(&out), STR("/v1/messages?beta=true"));
}

/* A client of Vertex AI's path, served by Anthropic itself. */
static void test_raw_predict(void)
{
    struct exchange *x = made_begin(&made, "POST",
        "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x:rawPredict", "", NULL);
    const struct upstream *u = upstream_at("anthropic", NULL);

    x->face = &u->provider->faces[0];
    x->up_kind = KIND_MESSAGES;
    buf_clear(&out);
    CHECK_EQ(provider_target(u, x->face, x, &out), 0);
    CHECK_STR(buf_str(&out), STR("/v1/messages"));
}

static void test_replicates_fields(void)
{
    struct exchange *x = made_begin(&made, "POST", "/v1/messages", "", "a/b");
    const struct upstream *u = upstream_at("replicate", NULL);

    must(upstream_add_key(&up, UPSTREAM_KEY_ENV, STR("r8_k"), 1) == 0);
    x->upstream_key = upstream_pick(u);
    buf_clear(&out);
    const struct provider_face *face = &u->provider->faces[0];
    CHECK_EQ(provider_sign(u, face, x, STR("POST"), STR("/v1/predictions"), &out), 0);
    CHECK(str_starts(
        buf_str(&out), STR("authorization: Bearer r8_k\r\nprefer: wait=60\r\ncancel-after: ")));
    buf_clear(&out);
    CHECK_EQ(provider_sign(u, face, x, STR("POST"), STR("/v1/predictions/p1/cancel"), &out), 0);
    CHECK_STR(buf_str(&out), STR("authorization: Bearer r8_k\r\n"));
}

static void test_azure(void)
{
    static const struct {
        const char *base, *version, *method, *asked, *model_asked, *model, *want;
    } rows[] = {
        /* with AZURE_API_VERSION: deployments */
        {"https://r.openai.azure.com", "2024-10-21", "POST", "/v1/chat/completions", "azure/gpt 4o",
            "gpt 4o", "/openai/deployments/gpt%204o/chat/completions?api-version=2024-10-21"},
        {"https://r.openai.azure.com/openai/", "2024-10-21", "POST", "/v1/embeddings?x=1", "e", "e",
            "/openai/deployments/e/embeddings?x=1&api-version=2024-10-21"},
        {"https://h", "2024-10-21", "POST", "/v1/responses", "m", "m",
            "/openai/responses?api-version=2024-10-21"},
        {"https://h", "2024-10-21", "GET", "/v1/models/azure%2Fm", NULL, "m",
            "/openai/models/m?api-version=2024-10-21"},
        /* a client of Azure's own paths keeps its version */
        {"https://h", "2024-10-21", "POST",
            "/azure/openai/deployments/dep/chat/completions?api-version=2025-01-01-preview", NULL,
            "dep", "/openai/deployments/dep/chat/completions?api-version=2025-01-01-preview"},
        {"https://h", "", "POST",
            "/openai/deployments/dep/chat/completions?api-version=2025-01-01-preview", NULL, "dep",
            "/openai/deployments/dep/chat/completions?api-version=2025-01-01-preview"},
        /* without: the v1 surface */
        {"https://h", "", "POST", "/v1/chat/completions", "m", "m", "/openai/v1/chat/completions"},
        {"https://h/openai/v1", "", "POST", "/v1/chat/completions", "m", "m",
            "/openai/v1/chat/completions"},
        {"https://h", "", "POST", "/azure/openai/deployments/dep/chat/completions", NULL, "dep",
            "/openai/v1/chat/completions"},
        {"https://h", "2024-10-21", "POST", "/azure/openai/v1/chat/completions", "m", "m",
            "/openai/v1/chat/completions"},
        /* names that would climb or break out */
        {"https://h", "2024-10-21", "POST", "/v1/chat/completions", "..", "..", "400 invalid_path"},
        {"https://h", "2024-10-21", "POST", "/v1/chat/completions", "a/../b?c", "a/../b?c",
            "400 invalid_path"},
        {"https://h", "2024-10-21 x", "POST", "/v1/chat/completions", "m", "m",
            "/openai/deployments/m/chat/completions?api-version=2024-10-21%20x"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct exchange *x =
            made_begin(&made, rows[i].method, rows[i].asked, "", rows[i].model_asked);
        upstream_at("azure", rows[i].base);
        up.options[0] = str_of(rows[i].version);
        x->model = str_of(rows[i].model);
        struct str got = target(&up, x);
        if (!str_eq(got, str_of(rows[i].want)))
            tap_fail(__FILE__, __LINE__, "%s: " STR_FMT ", wanted %s", rows[i].asked, STR_ARG(got),
                rows[i].want);
    }
}

static void test_vertex(void)
{
    struct exchange *x =
        made_begin(&made, "POST", "/v1beta/models/gemini-pro@001:generateContent?key=k", "", NULL);

    upstream_at("vertex", NULL);
    CHECK_STR(target(&up, x), STR("503 provider_not_configured"));
    x = made_begin(
        &made, "POST", "/v1beta/models/gemini-pro@001:streamGenerateContent?alt=sse", "", NULL);
    up.options[0] = STR("my project");
    CHECK_STR(target(&up, x), STR("/v1/projects/my%20project/locations/global/publishers/google/"
                                  "models/gemini-pro@001:streamGenerateContent?alt=sse"));
    up.options[1] = STR("europe-west4");
    x = made_begin(&made, "POST", "/v1beta/models/vertex%2Fg:countTokens", "", NULL);
    x->model = STR("g/../x");
    CHECK_STR(target(&up, x), STR("400 invalid_path"));
}

/* No path reaches another endpoint of the provider than the one that was checked. */
static void test_climbing(void)
{
    static const char *const paths[] = {"/v1/responses/..", "/v1/responses/%2e%2E",
        "/v1/responses/.%2e/input_items", "/v1/responses/./cancel", "/v1/files/../content",
        "/v1/files/x%2f..%2fy", "/v1/files/..%5cx", "/v1/models/gpt-4o/../../files/f",
        "/v1/models/gpt-4o%2F..%2F..%2Ffiles"};
    static const char *const fine[] = {"/v1/files/...", "/v1/files/a..b", "/v1/files/.x",
        "/v1/files/%2e%2e%2e", "/v1/files?path=../x", "/v1/models/gpt-4.1..2"};

    for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
        const char *method = strstr(paths[i], "cancel") ? "POST" : "GET";
        struct str got =
            target(upstream_at("openai", NULL), made_begin(&made, method, paths[i], "", NULL));
        if (!str_eq(got, STR("400 invalid_path")))
            tap_fail(__FILE__, __LINE__, "%s became " STR_FMT, paths[i], STR_ARG(got));
    }
    for (unsigned i = 0; i < ARRAY_LEN(fine); i++)
        CHECK_STR(target(upstream_at("openai", NULL), made_begin(&made, "GET", fine[i], "", NULL)),
            str_of(fine[i]));
}

/* A name from a JSON string can hold any byte, NUL too. */
static void test_name_bytes(void)
{
    struct exchange *x = made_begin(&made, "GET", "/v1/models/alias", "", NULL);

    x->model = STR("a\0b\x01\x7f\xff /x");
    CHECK_STR(target(upstream_at("openai", NULL), x), STR("/v1/models/a%00b%01%7F%FF%20/x"));
}

static void test_too_long(void)
{
    char name[5000];
    struct exchange *x = made_begin(&made, "GET", "/v1/models/alias", "", NULL);

    memset(name, ' ', sizeof name);
    x->model = str_at(name, sizeof name);
    CHECK_STR(target(upstream_at("openai", NULL), x), STR("414 uri_too_long"));
}

/* --- credentials --- */

static struct str sign(const char *provider, const char *base, const char *asked, const char *key)
{
    struct exchange *x = made_begin(&made, "POST", asked, "", "m");
    const struct upstream *u = upstream_at(provider, base);
    const struct provider_face *face =
        provider_face(u->provider, x->dialect, x->match.endpoint->kind);

    must(face);
    if (key)
        must(upstream_add_key(&up, UPSTREAM_KEY_ENV, str_of(key), 1) == 0);
    x->upstream_key = upstream_pick(u);
    buf_free(&out);
    buf_init(&out, 4096);
    if (provider_sign(u, face, x, STR("POST"), STR("/"), &out) < 0) {
        buf_clear(&out);
        buf_printf(&out, "%d " STR_FMT, x->error.status, STR_ARG(x->error.code));
    }
    return buf_str(&out);
}

static void test_credentials(void)
{
    const char *chat = "/v1/chat/completions", *messages = "/v1/messages";

    CHECK_STR(sign("openai", NULL, chat, "sk-1"), STR("authorization: Bearer sk-1\r\n"));
    CHECK_STR(sign("anthropic", NULL, messages, "sk-1"), STR("x-api-key: sk-1\r\n"));
    CHECK_STR(sign("azure", "https://h", chat, "k"), STR("api-key: k\r\n"));
    CHECK_STR(sign("gemini", NULL, "/v1beta/models/g:generateContent", "k"),
        STR("x-goog-api-key: k\r\n"));
    CHECK_STR(sign("gemini", NULL, chat, "k"), STR("authorization: Bearer k\r\n"));
    CHECK_STR(sign("vertex", NULL, "/v1beta/models/g:generateContent", "t"),
        STR("authorization: Bearer t\r\n"));
    CHECK_STR(sign("vllm", "http://h", messages, "k"), STR("authorization: Bearer k\r\n"));
    CHECK_STR(sign("ollama", "http://h", messages, "k"), STR(""));
    CHECK_STR(sign("ollama", "http://h", chat, NULL), STR(""));
    CHECK_STR(sign("openai", NULL, chat, "a\r\nx: y"), STR("502 provider_auth_failed"));
}

static void test_callers_credential(void)
{
    struct exchange *x = made_begin(&made, "POST", "/v1/chat/completions", "", "m");
    const struct upstream *u = upstream_at("openai", NULL);
    const struct provider_face *face = provider_face(u->provider, x->dialect, KIND_CHAT);

    must(upstream_add_key(&up, UPSTREAM_KEY_ENV, STR("sk-ours"), 1) == 0);
    x->upstream_key = upstream_pick(u);
    x->caller_credential = STR("sk-theirs");
    buf_clear(&out);
    CHECK_EQ(provider_sign(u, face, x, STR("POST"), STR("/"), &out), 0);
    CHECK_STR(buf_str(&out), STR("authorization: Bearer sk-theirs\r\n"));
}

/* --- the table --- */

static void test_table(void)
{
    unsigned n;
    const struct provider *p = provider_table(&n);

    CHECK(n >= 20);
    for (unsigned i = 0; i < n; i++) {
        CHECK(p[i].id.n && p[i].title.n && p[i].base_env.n && p[i].faces[0].kinds);
        CHECK(p[i].id.n < 32);
        CHECK(provider_by_id(p[i].id) == &p[i]);
        CHECK(provider_first_face(&p[i]) == &p[i].faces[0]);
        if (p[i].base.n) {
            struct upstream u = {.provider = &p[i]};
            const char *why;
            CHECK(upstream_set_base(&u, p[i].base, &why) == 1);
        }
    }
    CHECK(provider_by_id(STR("nobody")) == NULL);
    CHECK(provider_by_id(STR_NONE) == NULL);
}

static void test_faces(void)
{
    const struct provider *anthropic = provider_by_id(STR("anthropic"));
    const struct provider *gemini = provider_by_id(STR("gemini"));

    CHECK(provider_face(anthropic, DIALECT_ANTHROPIC, KIND_MESSAGES) != NULL);
    CHECK(provider_face(anthropic, DIALECT_OPENAI, KIND_CHAT) == NULL);
    CHECK(provider_face(gemini, DIALECT_GEMINI, KIND_GENERATE)->auth == AUTH_X_GOOG);
    CHECK(provider_face(gemini, DIALECT_OPENAI, KIND_CHAT)->auth == AUTH_BEARER);
    CHECK(provider_face(gemini, DIALECT_OPENAI, KIND_RESPONSES) == NULL);
    CHECK_STR(anthropic->default_field_name, STR("anthropic-version"));
}

static void test_geminis_refused_keys(void)
{
#define DETAIL "{\"error\":{\"code\":400,\"details\":[{\"reason\":\"API_KEY_INVALID\"}]}}"
    static const struct {
        int status;
        const char *body;
        bool want;
    } rows[] = {
        {400, DETAIL, true},
        {400, " [ " DETAIL " ] ", true},
        {400, "{\"error\":{\"details\":[1,{},{\"reason\":\"API_KEY_INVALID\"}]}}", true},
        {403, DETAIL, false},
        {200, DETAIL, false},
        {400, DETAIL "x", false},
        {400, "[]", false},
        {400, "[1]", false},
        {400, "{}", false},
        {400, "", false},
        {400, "\"error\"", false},
        {400, "{\"error\":\"API_KEY_INVALID\"}", false},
        {400, "{\"error\":{\"details\":{\"reason\":\"API_KEY_INVALID\"}}}", false},
        {400, "{\"error\":{\"details\":[{\"reason\":\"API_KEY_INVALID_\"}]}}", false},
    };
    const struct provider *p = provider_by_id(STR("gemini"));

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (p->refused_key(rows[i].status, str_of(rows[i].body)) != rows[i].want)
            tap_fail(__FILE__, __LINE__, "%d %s", rows[i].status, rows[i].body);
    CHECK(!provider_by_id(STR("openai"))->refused_key);
#undef DETAIL
}

int main(void)
{
    TAP_RUN(test_base_urls);
    TAP_RUN(test_bad_base_urls);
    TAP_RUN(test_targets);
    TAP_RUN(test_made_query);
    TAP_RUN(test_translated_targets);
    TAP_RUN(test_target_of_exchange);
    TAP_RUN(test_raw_predict);
    TAP_RUN(test_replicates_fields);
    TAP_RUN(test_azure);
    TAP_RUN(test_vertex);
    TAP_RUN(test_climbing);
    TAP_RUN(test_name_bytes);
    TAP_RUN(test_too_long);
    TAP_RUN(test_credentials);
    TAP_RUN(test_callers_credential);
    TAP_RUN(test_geminis_refused_keys);
    TAP_RUN(test_table);
    TAP_RUN(test_faces);
    made_end(&made);
    upstream_keys_free(&up);
    buf_free(&out);
    return tap_done();
}
