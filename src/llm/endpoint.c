/*
 * The table of endpoints and the look-up in it. A path is cut into door, version segments and rest;
 * the rest is compared segment by segment with each row's pattern. The table is small (about sixty
 * rows) and rows are skipped on their first segment, so a look-up costs well under a microsecond.
 */
#include "llm/endpoint.h"

#include "text/nearest.h"

#define M(m) (uint16_t)(1u << HTTP_##m)
#define O    DIALECT_OPENAI
#define A    DIALECT_ANTHROPIC
#define G    DIALECT_GEMINI
#define B    DIALECT_BEDROCK
#define ROW(d, k, m, f, p, ex, st)                                                                 \
    {                                                                                              \
        .dialect = d, .kind = KIND_##k, .methods = m, .flags = f, .pattern = STR_INIT(p),          \
        .example = STR_INIT(ex), .stream = STREAM_##st                                             \
    }

#define JSON_MODEL (EP_JSON | EP_MODEL_BODY)
/* Claude as Vertex AI serves it: Anthropic's messages, with the model in the path. */
#define VERTEX_CLAUDE "projects/{project}/locations/{location}/publishers/anthropic/models/{model}"

static const struct endpoint table[] = {
    ROW(O, CHAT, M(POST), JSON_MODEL | EP_STREAM | EP_USAGE_OPT | EP_METERED, "chat/completions",
        "/v1/chat/completions", CHAT),
    ROW(O, COMPLETIONS, M(POST), JSON_MODEL | EP_STREAM | EP_USAGE_OPT | EP_METERED, "completions",
        "/v1/completions", CHAT),
    ROW(O, RESPONSES_WS, M(GET), EP_WEBSOCKET | EP_METERED, "responses", "/v1/responses", OTHER),
    ROW(O, RESPONSES, M(POST), EP_JSON | EP_MODEL_OPT | EP_STREAM | EP_METERED | EP_CREATES,
        "responses", "/v1/responses", RESPONSES),
    ROW(O, RESPONSES_AUX, M(POST), EP_JSON | EP_MODEL_OPT, "responses/input_tokens",
        "/v1/responses/input_tokens", OTHER),
    ROW(O, RESPONSES_AUX, M(POST), EP_JSON | EP_MODEL_OPT | EP_METERED, "responses/compact",
        "/v1/responses/compact", OTHER),
    ROW(O, RESPONSES_SUB, M(GET) | M(DELETE), EP_BY_ID, "responses/{id}", "/v1/responses/{id}",
        RESPONSES),
    ROW(O, RESPONSES_SUB, M(POST), EP_BY_ID | EP_RAW_BODY, "responses/{id}/cancel",
        "/v1/responses/{id}/cancel", OTHER),
    ROW(O, RESPONSES_SUB, M(GET), EP_BY_ID, "responses/{id}/input_items",
        "/v1/responses/{id}/input_items", OTHER),
    ROW(O, CONVERSATIONS, M(POST), EP_JSON | EP_CREATES, "conversations", "/v1/conversations",
        OTHER),
    ROW(O, CONVERSATIONS, M(GET) | M(POST) | M(DELETE), EP_BY_ID | EP_RAW_BODY,
        "conversations/{id}", "/v1/conversations/{id}", OTHER),
    ROW(O, CONVERSATIONS, M(GET), EP_BY_ID, "conversations/{id}/items",
        "/v1/conversations/{id}/items", OTHER),
    ROW(O, CONVERSATIONS, M(POST), EP_BY_ID | EP_JSON, "conversations/{id}/items",
        "/v1/conversations/{id}/items", OTHER),
    ROW(O, CONVERSATIONS, M(GET) | M(DELETE), EP_BY_ID, "conversations/{id}/items/{item}",
        "/v1/conversations/{id}/items/{item}", OTHER),
    ROW(O, EMBEDDINGS, M(POST), JSON_MODEL | EP_METERED, "embeddings", "/v1/embeddings", OTHER),
    ROW(O, MODERATIONS, M(POST), EP_JSON | EP_MODEL_OPT, "moderations", "/v1/moderations", OTHER),
    ROW(O, MODELS, M(GET), EP_LIST, "models", "/v1/models", OTHER),
    ROW(O, MODEL, M(GET) | M(DELETE), EP_MODEL_PATH, "models/{model...}", "/v1/models/{id}", OTHER),
    ROW(O, TRANSCRIPTION, M(POST), EP_MULTIPART | EP_MODEL_BODY | EP_STREAM | EP_METERED,
        "audio/transcriptions", "/v1/audio/transcriptions", OTHER),
    ROW(O, TRANSCRIPTION, M(POST), EP_MULTIPART | EP_MODEL_BODY | EP_METERED, "audio/translations",
        "/v1/audio/translations", OTHER),
    ROW(O, SPEECH, M(POST), JSON_MODEL | EP_METERED, "audio/speech", "/v1/audio/speech", OTHER),
    ROW(O, IMAGES, M(POST), EP_JSON | EP_MODEL_OPT | EP_STREAM | EP_METERED, "images/generations",
        "/v1/images/generations", OTHER),
    ROW(O, IMAGE_EDITS, M(POST), EP_MULTIPART | EP_MODEL_OPT | EP_STREAM | EP_METERED,
        "images/edits", "/v1/images/edits", OTHER),
    ROW(O, IMAGE_EDITS, M(POST), EP_MULTIPART | EP_MODEL_OPT | EP_METERED, "images/variations",
        "/v1/images/variations", OTHER),
    ROW(O, RERANK, M(POST), JSON_MODEL | EP_METERED, "rerank", "/v1/rerank", OTHER),
    ROW(O, FILES, M(POST), EP_MULTIPART | EP_CREATES, "files", "/v1/files", OTHER),
    ROW(O, FILES, M(GET), EP_LIST, "files", "/v1/files", OTHER),
    ROW(O, FILES, M(GET) | M(DELETE), EP_BY_ID, "files/{id}", "/v1/files/{id}", OTHER),
    ROW(O, FILES, M(GET), EP_BY_ID, "files/{id}/content", "/v1/files/{id}/content", OTHER),
    ROW(O, UPLOADS, M(POST), EP_JSON | EP_CREATES, "uploads", "/v1/uploads", OTHER),
    ROW(O, UPLOADS, M(POST), EP_BY_ID | EP_RAW_BODY, "uploads/{id}/parts", "/v1/uploads/{id}/parts",
        OTHER),
    ROW(O, UPLOADS, M(POST), EP_BY_ID | EP_RAW_BODY | EP_CREATES, "uploads/{id}/complete",
        "/v1/uploads/{id}/complete", OTHER),
    ROW(O, UPLOADS, M(POST), EP_BY_ID | EP_RAW_BODY, "uploads/{id}/cancel",
        "/v1/uploads/{id}/cancel", OTHER),
    ROW(O, BATCHES, M(POST), EP_JSON | EP_CREATES, "batches", "/v1/batches", OTHER),
    ROW(O, BATCHES, M(GET), EP_LIST, "batches", "/v1/batches", OTHER),
    ROW(O, BATCHES, M(GET), EP_BY_ID, "batches/{id}", "/v1/batches/{id}", OTHER),
    ROW(O, BATCHES, M(POST), EP_BY_ID | EP_RAW_BODY, "batches/{id}/cancel",
        "/v1/batches/{id}/cancel", OTHER),
    ROW(O, REALTIME_WS, M(GET), EP_WEBSOCKET | EP_METERED, "realtime", "/v1/realtime", OTHER),
    ROW(O, REALTIME, M(POST), EP_JSON, "realtime/client_secrets", "/v1/realtime/client_secrets",
        OTHER),
    ROW(O, REALTIME, M(POST), EP_RAW_BODY | EP_CREATES, "realtime/calls", "/v1/realtime/calls",
        OTHER),

    ROW(A, MESSAGES, M(POST), JSON_MODEL | EP_STREAM | EP_METERED, "messages", "/v1/messages",
        ANTHROPIC),
    ROW(A, COUNT_TOKENS, M(POST), JSON_MODEL, "messages/count_tokens", "/v1/messages/count_tokens",
        OTHER),
    ROW(A, MESSAGE_BATCHES, M(POST), EP_JSON | EP_CREATES, "messages/batches",
        "/v1/messages/batches", OTHER),
    ROW(A, MESSAGE_BATCHES, M(GET), EP_LIST, "messages/batches", "/v1/messages/batches", OTHER),
    ROW(A, MESSAGE_BATCHES, M(GET) | M(DELETE), EP_BY_ID, "messages/batches/{id}",
        "/v1/messages/batches/{id}", OTHER),
    ROW(A, MESSAGE_BATCHES, M(POST), EP_BY_ID | EP_RAW_BODY, "messages/batches/{id}/cancel",
        "/v1/messages/batches/{id}/cancel", OTHER),
    ROW(A, MESSAGE_BATCHES, M(GET), EP_BY_ID, "messages/batches/{id}/results",
        "/v1/messages/batches/{id}/results", OTHER),
    ROW(A, MESSAGES, M(POST), EP_JSON | EP_MODEL_PATH | EP_METERED, VERTEX_CLAUDE ":rawPredict",
        "/v1/" VERTEX_CLAUDE ":rawPredict", ANTHROPIC),
    ROW(A, MESSAGES, M(POST), EP_JSON | EP_MODEL_PATH | EP_STREAM | EP_METERED,
        VERTEX_CLAUDE ":streamRawPredict", "/v1/" VERTEX_CLAUDE ":streamRawPredict", ANTHROPIC),
    ROW(A, COMPLETE, M(POST), JSON_MODEL | EP_STREAM | EP_METERED, "complete", "/v1/complete",
        ANTHROPIC),
    ROW(A, MODELS, M(GET), EP_LIST, "models", "/v1/models", OTHER),
    ROW(A, MODEL, M(GET), EP_MODEL_PATH, "models/{model...}", "/v1/models/{id}", OTHER),
    ROW(A, FILES, M(POST), EP_MULTIPART | EP_CREATES, "files", "/v1/files", OTHER),
    ROW(A, FILES, M(GET), EP_LIST, "files", "/v1/files", OTHER),
    ROW(A, FILES, M(GET) | M(DELETE), EP_BY_ID, "files/{id}", "/v1/files/{id}", OTHER),
    ROW(A, FILES, M(GET), EP_BY_ID, "files/{id}/content", "/v1/files/{id}/content", OTHER),

    ROW(G, GENERATE, M(POST), EP_JSON | EP_MODEL_PATH | EP_METERED,
        "models/{model}:generateContent", "/v1beta/models/{model}:generateContent", GEMINI),
    ROW(G, STREAM_GENERATE, M(POST), EP_JSON | EP_MODEL_PATH | EP_METERED | EP_STREAM,
        "models/{model}:streamGenerateContent", "/v1beta/models/{model}:streamGenerateContent",
        GEMINI),
    ROW(G, GEMINI_COUNT, M(POST), EP_JSON | EP_MODEL_PATH, "models/{model}:countTokens",
        "/v1beta/models/{model}:countTokens", OTHER),
    ROW(G, GEMINI_EMBED, M(POST), EP_JSON | EP_MODEL_PATH | EP_METERED,
        "models/{model}:embedContent", "/v1beta/models/{model}:embedContent", OTHER),
    ROW(G, GEMINI_EMBED, M(POST), EP_JSON | EP_MODEL_PATH | EP_METERED,
        "models/{model}:batchEmbedContents", "/v1beta/models/{model}:batchEmbedContents", OTHER),
    ROW(G, GEMINI_OTHER, M(POST), EP_JSON | EP_MODEL_PATH, "models/{model}:predict",
        "/v1beta/models/{model}:predict", OTHER),
    ROW(G, GEMINI_OTHER, M(POST), EP_JSON | EP_MODEL_PATH, "models/{model}:predictLongRunning",
        "/v1beta/models/{model}:predictLongRunning", OTHER),
    ROW(G, GEMINI_BATCHES, M(POST), EP_JSON | EP_MODEL_PATH, "models/{model}:batchGenerateContent",
        "/v1beta/models/{model}:batchGenerateContent", OTHER),
    ROW(G, GEMINI_BATCHES, M(POST), EP_JSON | EP_MODEL_PATH,
        "models/{model}:asyncBatchEmbedContent", "/v1beta/models/{model}:asyncBatchEmbedContent",
        OTHER),
    ROW(G, MODELS, M(GET), EP_LIST, "models", "/v1beta/models", OTHER),
    ROW(G, MODEL, M(GET), EP_MODEL_PATH, "models/{model...}", "/v1beta/models/{model}", OTHER),
    ROW(G, GEMINI_UPLOAD, M(POST) | M(PUT), EP_RAW_BODY, "upload/{version}/files",
        "/upload/v1beta/files", OTHER),
    ROW(G, GEMINI_UPLOAD, M(POST) | M(PUT), EP_RAW_BODY, "upload/files", "/v1beta/upload/files",
        OTHER),
    ROW(G, GEMINI_OTHER, M(GET) | M(POST), EP_RAW_BODY, "files", "/v1beta/files", OTHER),
    ROW(G, GEMINI_OTHER, M(GET) | M(DELETE), EP_RAW_BODY, "files/{item}", "/v1beta/files/{name}",
        OTHER),
    ROW(G, GEMINI_OTHER, M(GET) | M(POST), EP_RAW_BODY, "cachedContents", "/v1beta/cachedContents",
        OTHER),
    ROW(G, GEMINI_OTHER, M(GET) | M(DELETE) | M(PATCH), EP_RAW_BODY, "cachedContents/{item}",
        "/v1beta/cachedContents/{name}", OTHER),
    ROW(G, GEMINI_BATCHES, M(GET), EP_LIST, "batches", "/v1beta/batches", OTHER),
    ROW(G, GEMINI_BATCHES, M(GET) | M(POST) | M(DELETE), EP_RAW_BODY, "batches/{item}",
        "/v1beta/batches/{name}", OTHER),
    ROW(G, GEMINI_OTHER, M(GET), EP_RAW_BODY, "operations/{item}", "/v1beta/operations/{name}",
        OTHER),

    /* A model's id stands in one segment, with %3A and, of an ARN, %2F. */
    ROW(B, CONVERSE, M(POST), EP_JSON | EP_MODEL_PATH | EP_METERED, "model/{model}/converse",
        "/model/{model}/converse", OTHER),
    ROW(B, CONVERSE_STREAM, M(POST), EP_JSON | EP_MODEL_PATH | EP_METERED | EP_STREAM,
        "model/{model}/converse-stream", "/model/{model}/converse-stream", BEDROCK),
    ROW(B, INVOKE, M(POST), EP_JSON | EP_MODEL_PATH | EP_METERED, "model/{model}/invoke",
        "/model/{model}/invoke", OTHER),
    ROW(B, INVOKE_STREAM, M(POST), EP_JSON | EP_MODEL_PATH | EP_METERED | EP_STREAM,
        "model/{model}/invoke-with-response-stream", "/model/{model}/invoke-with-response-stream",
        BEDROCK),
};

#undef M
#undef O
#undef A
#undef G
#undef B
#undef ROW

static const struct str kind_names[ENDPOINT_KINDS] = {
    [KIND_CHAT] = STR_INIT("chat"),
    [KIND_COMPLETIONS] = STR_INIT("completions"),
    [KIND_RESPONSES] = STR_INIT("responses"),
    [KIND_RESPONSES_SUB] = STR_INIT("responses_sub"),
    [KIND_RESPONSES_AUX] = STR_INIT("responses_aux"),
    [KIND_RESPONSES_WS] = STR_INIT("responses_ws"),
    [KIND_CONVERSATIONS] = STR_INIT("conversations"),
    [KIND_EMBEDDINGS] = STR_INIT("embeddings"),
    [KIND_MODERATIONS] = STR_INIT("moderations"),
    [KIND_MODELS] = STR_INIT("models"),
    [KIND_MODEL] = STR_INIT("model"),
    [KIND_TRANSCRIPTION] = STR_INIT("transcription"),
    [KIND_SPEECH] = STR_INIT("speech"),
    [KIND_IMAGES] = STR_INIT("images"),
    [KIND_IMAGE_EDITS] = STR_INIT("image_edits"),
    [KIND_RERANK] = STR_INIT("rerank"),
    [KIND_FILES] = STR_INIT("files"),
    [KIND_UPLOADS] = STR_INIT("uploads"),
    [KIND_BATCHES] = STR_INIT("batches"),
    [KIND_REALTIME_WS] = STR_INIT("realtime_ws"),
    [KIND_REALTIME] = STR_INIT("realtime"),
    [KIND_MESSAGES] = STR_INIT("messages"),
    [KIND_COUNT_TOKENS] = STR_INIT("count_tokens"),
    [KIND_MESSAGE_BATCHES] = STR_INIT("message_batches"),
    [KIND_COMPLETE] = STR_INIT("complete"),
    [KIND_GENERATE] = STR_INIT("generate_content"),
    [KIND_STREAM_GENERATE] = STR_INIT("stream_generate_content"),
    [KIND_GEMINI_COUNT] = STR_INIT("gemini_count_tokens"),
    [KIND_GEMINI_EMBED] = STR_INIT("gemini_embed"),
    [KIND_GEMINI_UPLOAD] = STR_INIT("gemini_upload"),
    [KIND_GEMINI_BATCHES] = STR_INIT("gemini_batches"),
    [KIND_GEMINI_OTHER] = STR_INIT("gemini_other"),
    [KIND_CONVERSE] = STR_INIT("converse"),
    [KIND_CONVERSE_STREAM] = STR_INIT("converse_stream"),
    [KIND_INVOKE] = STR_INIT("invoke_model"),
    [KIND_INVOKE_STREAM] = STR_INIT("invoke_model_stream"),
};

struct str endpoint_kind_name(enum endpoint_kind k)
{
    return kind_names[k];
}

const struct endpoint *endpoint_table(unsigned *ret_n)
{
    *ret_n = ARRAY_LEN(table);
    return table;
}

/* --- cutting a path --- */

/* The next segment of *path (without its slash), which moves on. */
static struct str next_segment(struct str *path)
{
    while (path->n && path->p[0] == '/')
        *path = str_from(*path, 1);
    struct str all = *path;
    ptrdiff_t slash = str_chr(all, '/');
    if (slash < 0) {
        *path = str_from(all, all.n);
        return all;
    }
    *path = str_from(all, (size_t)slash);
    return str_to(all, (size_t)slash);
}

static bool is_door(struct str s)
{
    return str_eq(s, STR("anthropic")) || str_eq(s, STR("cursor")) || str_eq(s, STR("azure")) ||
           str_eq(s, STR("gemini")) || str_eq(s, STR("bedrock"));
}

static bool is_version(struct str s)
{
    return str_eq(s, STR("v1")) || str_eq(s, STR("v1beta")) || str_eq(s, STR("v1alpha"));
}

/* Cohere's SDKs ask for a rerank below /v2, in nearly the same shape. */
static bool is_cohere_rerank(struct str version, struct str rest)
{
    return str_eq(version, STR("v2")) && str_eq(rest, STR("/rerank"));
}

/* door, version(s) and "openai/deployments/NAME" are taken off; what is left is m->rest. */
static void cut_path(struct str path, struct endpoint_match *m)
{
    struct str rest = path, before = path, s = next_segment(&rest);

    if (is_door(s)) {
        m->door = s;
        before = rest;
        s = next_segment(&rest);
    }
    if (str_eq(s, STR("openai"))) {
        if (!m->door.n)
            m->door = STR("azure");
        before = rest;
        s = next_segment(&rest);
    }
    while (is_version(s) || is_cohere_rerank(s, rest)) {
        m->version = s;
        before = rest;
        s = next_segment(&rest);
    }
    if (str_eq(m->door, STR("azure")) && str_eq(s, STR("deployments"))) {
        m->model = next_segment(&rest);
        m->azure_deployment = true;
        before = rest;
    }
    while (before.n && before.p[0] == '/')
        before = str_from(before, 1);
    while (before.n && before.p[before.n - 1] == '/')
        before.n--;
    m->rest = before;
}

/* --- matching --- */

/* One pattern segment against one path segment; "{model}:verb" splits at the last colon. */
static bool segment_matches(struct str pat, struct str seg, struct endpoint_match *m)
{
    if (!pat.n || pat.p[0] != '{')
        return str_eq(pat, seg);
    ptrdiff_t close = str_chr(pat, '}');
    struct str name = str_at(pat.p + 1, (size_t)close - 1);
    struct str tail = str_from(pat, (size_t)close + 1);
    if (!seg.n || seg.n <= tail.n || !str_ends(seg, tail))
        return false;
    struct str value = str_to(seg, seg.n - tail.n);
    if (str_eq(name, STR("id")))
        m->id = value;
    else if (str_eq(name, STR("model")))
        m->model = value;
    return true;
}

static bool row_matches(const struct endpoint *e, struct str rest, struct endpoint_match *m)
{
    struct str pat = e->pattern;

    while (pat.n) {
        if (str_eq(pat, STR("{model...}"))) {
            m->model = rest;
            /* Google's verbs stand behind a colon; one that no row has is not part of a name. */
            return rest.n > 0 && !(e->dialect == DIALECT_GEMINI && str_chr(rest, ':') >= 0);
        }
        struct str p = str_split(&pat, '/'), s = str_split(&rest, '/');
        if (!segment_matches(p, s, m))
            return false;
        if ((pat.n == 0) != (rest.n == 0))
            return false;
    }
    return rest.n == 0;
}

/* --- whose dialect --- */

static bool gemini_credential(const struct http_head *h)
{
    return http_has(&h->fields, HTTP_X_GOOG_API_KEY) || http_query_get(h->query, STR("key")).n > 0;
}

static enum dialect guess_dialect(const struct http_head *h, const struct endpoint_match *m)
{
    if (str_eq(m->door, STR("gemini")) || str_starts(m->version, STR("v1beta")) ||
        str_starts(m->version, STR("v1alpha")))
        return DIALECT_GEMINI;
    if (str_eq(m->door, STR("azure")))
        return DIALECT_OPENAI;
    bool any_door = !m->door.n || str_eq(m->door, STR("cursor"));
    if (str_eq(m->door, STR("bedrock")) || (any_door && str_starts(m->rest, STR("model/"))))
        return DIALECT_BEDROCK;
    if (str_eq(m->door, STR("anthropic")) || http_has(&h->fields, HTTP_ANTHROPIC_VERSION))
        return DIALECT_ANTHROPIC;
    if (str_starts(m->rest, STR("messages")))
        return DIALECT_ANTHROPIC;
    if (gemini_credential(h))
        return DIALECT_GEMINI;
    if (str_starts(m->rest, STR("models/")) && str_chr(m->rest, ':') > 0 && h->method == HTTP_POST)
        return DIALECT_GEMINI;
    return DIALECT_OPENAI;
}

static bool method_fits(const struct endpoint *e, const struct http_head *h)
{
    if (e->flags & EP_WEBSOCKET)
        return h->method == HTTP_GET;
    if (h->method == HTTP_HEAD)
        return (e->methods & (1u << HTTP_GET)) != 0;
    return (e->methods & (1u << h->method)) != 0;
}

/* Tries the rows of one dialect; collects the methods of rows that match the path alone. */
static bool find_in(enum dialect d, const struct http_head *h, struct endpoint_match *m)
{
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        const struct endpoint *e = &table[i];
        if (e->dialect != d || !m->rest.n || e->pattern.p[0] != m->rest.p[0])
            continue;
        struct endpoint_match t = *m;
        if (!row_matches(e, m->rest, &t))
            continue;
        if (!method_fits(e, h)) {
            m->allow |= e->methods;
            continue;
        }
        if (m->azure_deployment && !(e->flags & EP_MODEL_PATH))
            t.model = m->model;
        *m = t;
        m->endpoint = e;
        return true;
    }
    return false;
}

bool endpoint_find(const struct http_head *head, struct endpoint_match *ret, enum dialect *dialect)
{
    *ret = (struct endpoint_match){0};
    cut_path(head->path, ret);
    *dialect = guess_dialect(head, ret);
    if (find_in(*dialect, head, ret))
        return true;
    /* /cursor and the root serve every dialect: a path that exists in one alone is that one's.
     * Below /v1beta and /v1alpha all is Google's. */
    const enum dialect guessed = *dialect;
    for (int d = 0; d < DIALECTS_IN_FRONT; d++) {
        if (d == (int)guessed || (ret->door.n && !str_eq(ret->door, STR("cursor"))) ||
            str_starts(ret->version, STR("v1beta")) || str_starts(ret->version, STR("v1alpha")))
            continue;
        const uint16_t allow = ret->allow;
        bool found = find_in((enum dialect)d, head, ret);
        if (found || (!allow && ret->allow))
            *dialect = (enum dialect)d;
        if (found)
            return true;
    }
    return false;
}

struct str endpoint_nearest(struct str path)
{
    struct endpoint_match m = {0};
    struct str rests[ARRAY_LEN(table)], best;

    cut_path(path, &m);
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        rests[i] = table[i].pattern;
    if (!m.rest.n || !text_nearest(m.rest, rests, ARRAY_LEN(table), &best, 1))
        return STR_NONE;
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].pattern.p == best.p)
            return table[i].example;
    return STR_NONE;
}

void endpoint_allow_text(uint16_t methods, struct buf *out)
{
    static const struct str names[] = {
        [HTTP_GET] = STR_INIT("GET"),
        [HTTP_HEAD] = STR_INIT("HEAD"),
        [HTTP_POST] = STR_INIT("POST"),
        [HTTP_PUT] = STR_INIT("PUT"),
        [HTTP_PATCH] = STR_INIT("PATCH"),
        [HTTP_DELETE] = STR_INIT("DELETE"),
    };
    for (unsigned i = 1; i < ARRAY_LEN(names); i++) {
        if (!(methods & (1u << i)))
            continue;
        buf_addstr(out, names[i]);
        buf_addstr(out, STR(", "));
    }
    buf_addstr(out, STR("OPTIONS"));
}
