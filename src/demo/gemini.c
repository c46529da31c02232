/*
 * Gemini's generateContent, whole and streamed (server-sent events, or one JSON array that grows),
 * countTokens and the embeddings. Every chunk of a stream carries the usage so far.
 */
#include "demo/demo_int.h"

static const char *finish_reason(const struct answer *a)
{
    return a->finish == FINISH_LENGTH ? "MAX_TOKENS" : "STOP";
}

static void put_usage(struct demo_call *c, uint64_t out)
{
    const struct answer *a = c->answer;
    unsigned long long in = a->tokens_in, thought = a->tokens_thought;
    unsigned long long said = out - MIN(out, a->tokens_thought);
    if (c->dir.no_usage)
        return;
    putf(c,
        ",\"usageMetadata\":{\"promptTokenCount\":%llu,\"candidatesTokenCount\":%llu,"
        "\"totalTokenCount\":%llu,\"promptTokensDetails\":[{\"modality\":\"TEXT\","
        "\"tokenCount\":%llu}]",
        in, said, in + said + thought, in);
    if (thought)
        putf(c, ",\"thoughtsTokenCount\":%llu", thought);
    put(c, "}");
}

static void put_calls(struct demo_call *c)
{
    const struct answer *a = c->answer;
    for (unsigned i = 0; i < a->n_calls; i++) {
        put_str(
            c, i ? STR(",{\"functionCall\":{\"name\":\"") : STR("{\"functionCall\":{\"name\":\""));
        put_str(c, a->calls[i].name);
        put(c, "\",\"args\":");
        put_str(c, buf_str(&a->args[i]));
        put(c, "}");
        put_str(c, i ? STR("}") : STR(",\"thoughtSignature\":\"ZGVtby1zaWduYXR1cmU=\"}"));
    }
}

static void put_text_part(struct demo_call *c, struct str text)
{
    put(c, "{\"text\":");
    put_json(c, text);
    put(c, "}");
}

static void put_head(struct demo_call *c)
{
    put(c, "{\"candidates\":[{\"content\":{\"parts\":[");
}

static void put_tail(struct demo_call *c, bool last, uint64_t tokens_out)
{
    put(c, "],\"role\":\"model\"}");
    if (last)
        putf(c, ",\"finishReason\":\"%s\"", finish_reason(c->answer));
    put(c, ",\"index\":0}]");
    put_usage(c, tokens_out);
    put(c, ",\"modelVersion\":");
    put_str(c, c->model);
    put(c, ",\"responseId\":\"");
    put_id(c, &c->out, "resp");
    put(c, "\"}");
}

static const char thought[] = "{\"text\":\"Let me think first.\",\"thought\":true}";

void gemini_generate_put(struct demo_call *c)
{
    put_head(c);
    if (c->prompt.thinking)
        putf(c, "%s,", thought);
    if (c->answer->n_calls)
        put_calls(c);
    else
        put_text_part(c, buf_str(&c->answer->text));
    put_tail(c, true, c->answer->tokens_out);
}

/* --- streamed --- */

struct generate_stream {
    struct demo_call *c;
    bool sse;
    unsigned n;
};

static void chunk_begin(struct generate_stream *s)
{
    if (s->sse)
        put(s->c, "data: ");
    else
        put_str(s->c, s->n ? STR("\n,\r\n") : STR("["));
    s->n++;
    put_head(s->c);
}

static bool chunk_end(struct generate_stream *s, bool last, uint64_t tokens_out)
{
    put_tail(s->c, last, tokens_out);
    put_str(s->c, s->sse ? STR("\r\n\r\n") : STR(""));
    return demo_event(s->c);
}

static bool stream_text(struct generate_stream *s)
{
    const struct answer *a = s->c->answer;
    struct str rest = buf_str(&a->text);
    size_t pieces = a->pieces;
    uint64_t words = count_words(rest), all = words;
    do {
        struct str piece = answer_piece(&rest, &words, &pieces);
        chunk_begin(s);
        put_text_part(s->c, piece);
        if (!chunk_end(s, !rest.n, rest.n ? a->tokens_thought + all - words : a->tokens_out))
            return false;
    } while (rest.n);
    return true;
}

static bool stream_parts(struct generate_stream *s)
{
    struct demo_call *c = s->c;
    if (c->prompt.thinking) {
        chunk_begin(s);
        putf(c, "%s", thought);
        if (!chunk_end(s, false, c->answer->tokens_thought))
            return false;
    }
    if (!c->answer->n_calls)
        return stream_text(s);
    chunk_begin(s);
    put_calls(c);
    return chunk_end(s, true, c->answer->tokens_out);
}

void gemini_generate(struct demo_call *c)
{
    if (!field(c, F_CONTENTS).p) {
        demo_error(c, 400, "* GenerateContentRequest.contents: contents is not specified");
        return;
    }
    if (c->match.endpoint->kind == KIND_GENERATE) {
        gemini_generate_put(c);
        demo_json(c);
        return;
    }
    struct generate_stream s = {.c = c};
    s.sse = str_eq(http_query_get(c->rq->head.query, STR("alt")), STR("sse"));
    demo_stream_begin(c, s.sse ? STR("text/event-stream") : STR("application/json; charset=UTF-8"),
        STREAM_GEMINI);
    c->json_array = !s.sse;
    if (stream_parts(&s) && !s.sse)
        put(c, "\n]\n");
    demo_stream_end(c);
}

/* --- counts and vectors --- */

void gemini_count(struct demo_call *c)
{
    unsigned long long n = c->prompt.words;
    struct str inner = json_find(c->body, STR("generateContentRequest"));
    if (c->dir.usage_in >= 0)
        n = (unsigned long long)c->dir.usage_in;
    else if (inner.p)
        n = prompt_gemini_words(inner);
    putf(c,
        "{\"totalTokens\":%llu,\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":%llu}"
        "]}",
        n, n);
    demo_json(c);
}

void gemini_values_put(struct demo_call *c, struct str request)
{
    struct str size = json_find(request, STR("outputDimensionality"));
    if (!size.p)
        size = json_find(request, STR("embedContentConfig.outputDimensionality"));
    uint64_t n = MAX(MIN(value_u64(size, 64), (uint64_t)4096), (uint64_t)1);
    uint64_t h = text_hash(json_find(request, STR("content")));
    put(c, "{\"values\":[");
    for (unsigned i = 0; i < n; i++)
        putf(c, "%s%.5f", i ? "," : "", vector_at(h, i));
    put(c, "]}");
}

void gemini_embed(struct demo_call *c)
{
    struct str list = json_find(c->body, STR("requests")), key, item;
    unsigned long long words = 0;
    unsigned n = 0;
    if (str_ends(c->match.rest, STR(":embedContent"))) {
        words = prompt_gemini_words(c->body);
        put(c, "{\"embedding\":");
        gemini_values_put(c, c->body);
    } else {
        put(c, "{\"embeddings\":[");
        if (json_type_of(list) == JSON_ARRAY)
            for (size_t at = json_inside(list); json_next(list, &at, &key, &item); n++) {
                put_str(c, n ? STR(",") : STR(""));
                gemini_values_put(c, item);
                words += prompt_gemini_words(item);
            }
        put(c, "]");
    }
    if (c->dir.usage_in >= 0)
        words = (unsigned long long)c->dir.usage_in;
    if (!c->dir.no_usage)
        putf(c, ",\"usageMetadata\":{\"promptTokenCount\":%llu,\"totalTokenCount\":%llu}", words,
            words);
    put(c, "}");
    demo_json(c);
}
