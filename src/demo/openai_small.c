/*
 * OpenAI's endpoints that answer with numbers: embeddings, moderations, rerank. The numbers depend
 * on the text alone, so equal texts have equal vectors and different ones differ.
 */
#include "demo/openai_int.h"

#include "base/utf8.h"
#include "crypto/encode.h"

#define DIMENSIONS     64
#define DIMENSIONS_MAX 4096
#define INPUTS_MAX     2048

double vector_at(uint64_t hash, unsigned i)
{
    uint64_t x = hash + (uint64_t)(i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (double)((x ^ x >> 31) % 20001) / 100000.0 - 0.1;
}

struct str utf8_piece(struct str *rest, size_t n)
{
    n = MIN(n, rest->n);
    while (n < rest->n && ((unsigned char)rest->p[n] & 0xc0) == 0x80)
        n++;
    struct str piece = str_to(*rest, n);
    *rest = str_from(*rest, n);
    return piece;
}

/* --- embeddings --- */

static void put_vector(struct demo_call *c, struct str input, unsigned n)
{
    uint64_t h = text_hash(input);
    if (!literal_is(field(c, F_ENCODING_FORMAT), STR("base64"))) {
        put(c, "[");
        for (unsigned i = 0; i < n; i++)
            putf(c, "%s%.5f", i ? "," : "", vector_at(h, i));
        put(c, "]");
        return;
    }
    put(c, "\"");
    float part[48]; /* 192 bytes: a multiple of three, so pieces join without padding */
    for (unsigned i = 0; i < n;) {
        unsigned k = 0;
        for (; k < ARRAY_LEN(part) && i < n; k++, i++)
            part[k] = (float)vector_at(h, i);
        base64_add(&c->out, str_at((const char *)part, k * sizeof(part[0])));
    }
    put(c, "\"");
}

static void put_embedding(struct demo_call *c, struct str input, unsigned i, unsigned dimensions)
{
    putf(c, "%s{\"object\":\"embedding\",\"index\":%u,\"embedding\":", i ? "," : "", i);
    put_vector(c, input, dimensions);
    put(c, "}");
}

/* A string, an array of strings, tokens, or an array of token arrays. */
static void put_embeddings(struct demo_call *c, unsigned dimensions)
{
    struct str input = field(c, F_INPUT), key, item;
    unsigned n = 0;
    size_t at = json_inside(input);
    bool one = json_type_of(input) != JSON_ARRAY;
    if (!one && json_next(input, &at, &key, &item))
        one = json_type_of(item) == JSON_NUMBER;
    if (one) {
        put_embedding(c, input, 0, dimensions);
        return;
    }
    for (at = json_inside(input); n < INPUTS_MAX && json_next(input, &at, &key, &item); n++)
        put_embedding(c, item, n, dimensions);
}

void openai_embeddings(struct demo_call *c)
{
    uint64_t dimensions = field_u64(c, F_DIMENSIONS, DIMENSIONS);
    unsigned long long words = c->prompt.words;
    if (c->fields[F_INPUT].type == JSON_NONE) {
        demo_error(c, 400, "Missing required parameter: 'input'.");
        return;
    }
    if (c->dir.usage_in >= 0)
        words = (unsigned long long)c->dir.usage_in;
    dimensions = MAX(MIN(dimensions, (uint64_t)DIMENSIONS_MAX), (uint64_t)1);
    put(c, "{\"object\":\"list\",\"data\":[");
    put_embeddings(c, (unsigned)dimensions);
    put(c, "],\"model\":");
    put_str(c, c->model);
    if (!c->dir.no_usage)
        putf(c, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}", words, words);
    put(c, "}");
    demo_json(c);
}

/* --- moderations: a text with the word "violence" is flagged --- */

static const char *const categories[] = {"harassment", "harassment/threatening", "hate",
    "hate/threatening", "illicit", "illicit/violent", "self-harm", "self-harm/instructions",
    "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic"};

static void put_categories(struct demo_call *c, const char *no, const char *yes, bool flagged)
{
    for (unsigned i = 0; i < ARRAY_LEN(categories); i++) {
        bool hit = flagged && strcmp(categories[i], "violence") == 0;
        putf(c, "%s\"%s\":%s", i ? "," : "", categories[i], hit ? yes : no);
    }
}

static void put_moderation(struct demo_call *c, struct str input, bool first)
{
    bool flagged = has_folded(input, STR("violence"));
    putf(c, "%s{\"flagged\":%s,\"categories\":{", first ? "" : ",", flagged ? "true" : "false");
    put_categories(c, "false", "true", flagged);
    put(c, "},\"category_scores\":{");
    put_categories(c, "0.0001", "0.99", flagged);
    put(c, "},\"category_applied_input_types\":{");
    put_categories(c, "[\"text\"]", "[\"text\"]", flagged);
    put(c, "}}");
}

void openai_moderations(struct demo_call *c)
{
    struct str input = field(c, F_INPUT), key, item;
    bool first = true;
    if (!input.p) {
        demo_error(c, 400, "Missing required parameter: 'input'.");
        return;
    }
    put(c, "{\"id\":\"");
    put_id(c, &c->out, "modr-");
    put(c, "\",\"model\":");
    put_str(
        c, c->fields[F_MODEL].type == JSON_STRING ? c->model : STR("\"omni-moderation-latest\""));
    put(c, ",\"results\":[");
    if (json_type_of(input) != JSON_ARRAY)
        put_moderation(c, input, true);
    else
        for (size_t at = json_inside(input); json_next(input, &at, &key, &item); first = false)
            put_moderation(c, item, first);
    put(c, "]}");
    demo_json(c);
}

/* --- rerank: documents in their order, with falling scores --- */

void openai_rerank(struct demo_call *c)
{
    struct str list = json_find(c->body, STR("documents")), key, item;
    uint64_t top = value_u64(json_find(c->body, STR("top_n")), INPUTS_MAX);
    bool full = str_eq(json_find(c->body, STR("return_documents")), STR("true"));
    unsigned i = 0;

    put(c, "{\"id\":\"");
    put_id(c, &c->out, "rerank-");
    put(c, "\",\"model\":");
    put_str(c, c->model);
    put(c, ",\"results\":[");
    if (json_type_of(list) == JSON_ARRAY)
        for (size_t at = json_inside(list); i < top && json_next(list, &at, &key, &item); i++) {
            putf(c, "%s{\"index\":%u,\"relevance_score\":%.4f", i ? "," : "", i, 0.99 / (i + 1));
            if (full) {
                put_str(c, json_type_of(item) == JSON_STRING ? STR(",\"document\":{\"text\":")
                                                             : STR(",\"document\":"));
                put_str(c, item);
                put_str(c, json_type_of(item) == JSON_STRING ? STR("}") : STR(""));
            }
            put(c, "}");
        }
    put(c, "],\"meta\":{\"billed_units\":{\"search_units\":1}}");
    uint64_t words =
        c->prompt.words + count_words(json_find(c->body, STR("query"))) + count_words(list);
    if (!c->dir.no_usage)
        putf(c, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}",
            (unsigned long long)words, (unsigned long long)words);
    put(c, "}");
    demo_json(c);
}
