/*
 * Streams as providers send them, with random text and known usage: the truth that a translation
 * must find again, however the bytes are cut. Written by hand after each provider's own convention,
 * not by the program.
 */
#ifndef SF_TRANSLATE_PROVIDER_STREAMS_TEST_H
#define SF_TRANSLATE_PROVIDER_STREAMS_TEST_H

#include "http/eventstream.h"
#include "translate/random_test.h"
#include "translate/stream.h"

/* What was used, as llm/usage.h counts it. */
static inline struct usage made_usage(struct chance *r, bool cache, bool writes)
{
    struct usage u = {.source = USAGE_REPORTED};
    u.input = 1 + chance_below(r, 100000);
    u.output = 1 + chance_below(r, 50000);
    u.reasoning = chance_one_in(r, 2) ? chance_below(r, (unsigned)u.output) : 0;
    u.cache_read = cache && chance_one_in(r, 2) ? chance_below(r, 200000) : 0;
    u.cache_write_5m = writes && chance_one_in(r, 2) ? chance_below(r, 30000) : 0;
    return u;
}

static inline void put_words(struct chance *r, struct buf *out)
{
    _cleanup_(buf_free) struct buf text;
    buf_init(&text, 4096);
    buf_addc(&text, 'x');
    chance_text(r, 1 + chance_below(r, 6), &text);
    buf_addjson(out, buf_str(&text));
}

static inline void maybe_noise(struct chance *r, struct buf *out)
{
    if (chance_one_in(r, 6))
        buf_addstr(out, STR(": keep-alive\n\n"));
}

static inline int lld(uint64_t n)
{
    return (int)n;
}

static inline void chat_stream(struct chance *r, struct usage u, struct buf *out)
{
    const char *head =
        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":5,"
        "\"model\":\"m\",";
    buf_printf(out,
        "%s\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
        "\"finish_reason\":null}],\"usage\":null}\n\n",
        head);
    for (unsigned i = 0, n = 1 + chance_below(r, 6); i < n; i++) {
        maybe_noise(r, out);
        buf_printf(out, "%s\"choices\":[{\"index\":0,\"delta\":{\"content\":", head);
        put_words(r, out);
        buf_addstr(out, STR("},\"finish_reason\":null}]}\n\n"));
    }
    buf_printf(
        out, "%s\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", head);
    buf_printf(out,
        "%s\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,"
        "\"total_tokens\":%d,\"prompt_tokens_details\":{\"cached_tokens\":%d,"
        "\"cache_write_tokens\":%d},\"completion_tokens_details\":{\"reasoning_tokens\":%d}}}"
        "\n\ndata: [DONE]\n\n",
        head, lld(u.input + u.cache_read + u.cache_write_5m), lld(u.output),
        lld(u.input + u.cache_read + u.cache_write_5m + u.output), lld(u.cache_read),
        lld(u.cache_write_5m), lld(u.reasoning));
}

static inline void responses_stream(struct chance *r, struct usage u, struct buf *out)
{
    _cleanup_(buf_free) struct buf all;
    unsigned seq = 0;
    const char *at = "\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0";
    buf_init(&all, 65536);
    buf_printf(out,
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":"
        "\"resp_1\",\"object\":\"response\",\"created_at\":5,\"status\":\"in_progress\",\"output\":"
        "[]},"
        "\"sequence_number\":%u}\n\n",
        seq++);
    buf_printf(out,
        "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\","
        "\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"in_"
        "progress\","
        "\"role\":\"assistant\",\"content\":[]},\"sequence_number\":%u}\n\n",
        seq++);
    buf_printf(out,
        "event: response.content_part.added\ndata: {\"type\":\"response.content_part.added\",%s,"
        "\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]},"
        "\"sequence_number\":%u}\n\n",
        at, seq++);
    for (unsigned i = 0, n = 1 + chance_below(r, 6); i < n; i++) {
        maybe_noise(r, out);
        buf_printf(out,
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","
            "%s,\"delta\":\"word%u \",\"sequence_number\":%u}\n\n",
            at, i, seq++);
        buf_printf(&all, "word%u ", i);
    }
    buf_printf(out,
        "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",%s,"
        "\"text\":\"" STR_FMT "\",\"sequence_number\":%u}\n\n",
        at, STR_ARG(buf_str(&all)), seq++);
    const char *item =
        "\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"completed\",\"role\":"
        "\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"";
    buf_printf(out,
        "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\","
        "\"output_index\":0,%s" STR_FMT "\",\"annotations\":[]}]},\"sequence_number\":%u}\n\n",
        item, STR_ARG(buf_str(&all)), seq++);
    buf_printf(out,
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":"
        "\"resp_1\",\"object\":\"response\",\"created_at\":5,\"status\":\"completed\",\"output\":[]"
        ","
        "\"usage\":{\"input_tokens\":%d,\"input_tokens_details\":{\"cached_tokens\":%d},"
        "\"output_tokens\":%d,\"output_tokens_details\":{\"reasoning_tokens\":%d},"
        "\"total_tokens\":%d}},\"sequence_number\":%u}\n\n",
        lld(u.input + u.cache_read), lld(u.cache_read), lld(u.output), lld(u.reasoning),
        lld(u.input + u.cache_read + u.output), seq++);
}

static inline void messages_event(struct buf *out, const char *type, const char *rest)
{
    buf_printf(out, "event: %s\ndata: {\"type\":\"%s\"%s}\n\n", type, type, rest);
}

static inline void messages_stream(struct chance *r, struct usage u, struct buf *out)
{
    bool again = chance_one_in(r, 2); /* newer ones say all of it at the end once more */
    char in[256], rest[512];
    snprintf(in, sizeof(in),
        "\"input_tokens\":%d,\"cache_read_input_tokens\":%d,"
        "\"cache_creation_input_tokens\":%d",
        lld(u.input), lld(u.cache_read), lld(u.cache_write_5m));
    snprintf(rest, sizeof(rest),
        ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\","
        "\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"usage\":{%s,"
        "\"output_tokens\":1}}",
        in);
    messages_event(out, "message_start", rest);
    messages_event(out, "content_block_start",
        ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}");
    for (unsigned i = 0, n = 1 + chance_below(r, 6); i < n; i++) {
        if (chance_one_in(r, 5))
            messages_event(out, "ping", "");
        buf_addstr(out, STR("event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                            "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"));
        put_words(r, out);
        buf_addstr(out, STR("}}\n\n"));
    }
    messages_event(out, "content_block_stop", ",\"index\":0");
    snprintf(rest, sizeof(rest),
        ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
        "\"usage\":{%s%s\"output_tokens\":%d}",
        again ? in : "", again ? "," : "", lld(u.output));
    messages_event(out, "message_delta", rest);
    messages_event(out, "message_stop", "");
}

static inline void gemini_stream(struct chance *r, struct usage u, struct buf *out)
{
    unsigned n = 1 + chance_below(r, 6);
    int tools = (int)(u.input / 3), prompt = lld(u.input + u.cache_read) - tools;
    for (unsigned i = 1; i <= n; i++) {
        int said = lld((u.output - u.reasoning) * i / n);
        buf_addstr(out, STR("data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":"));
        put_words(r, out);
        buf_printf(out,
            "}],\"role\":\"model\"}%s,\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":%d,"
            "\"candidatesTokenCount\":%d,\"totalTokenCount\":%d",
            i == n ? ",\"finishReason\":\"STOP\"" : "", prompt, said,
            prompt + tools + said + lld(u.reasoning));
        if (tools)
            buf_printf(out, ",\"toolUsePromptTokenCount\":%d", tools);
        if (u.cache_read)
            buf_printf(out, ",\"cachedContentTokenCount\":%d", lld(u.cache_read));
        if (u.reasoning)
            buf_printf(out, ",\"thoughtsTokenCount\":%d", lld(u.reasoning));
        buf_addstr(out, STR("},\"modelVersion\":\"m\",\"responseId\":\"r1\"}\r\n\r\n"));
    }
}

static inline void converse_frame(struct buf *out, const char *type, struct str payload)
{
    const struct eventstream_header headers[] = {
        {STR_INIT(":event-type"), EVENTSTREAM_STRING, str_of(type)},
        {STR_INIT(":content-type"), EVENTSTREAM_STRING, STR_INIT("application/json")},
        {STR_INIT(":message-type"), EVENTSTREAM_STRING, STR_INIT("event")},
    };
    must(eventstream_write(out, headers, ARRAY_LEN(headers), payload) == 0);
}

static inline void converse_stream(struct chance *r, struct usage u, struct buf *out)
{
    _cleanup_(buf_free) struct buf one;
    buf_init(&one, 65536);
    converse_frame(out, "messageStart", STR("{\"role\":\"assistant\",\"p\":\"abc\"}"));
    for (unsigned i = 0, n = 1 + chance_below(r, 6); i < n; i++) {
        buf_clear(&one);
        buf_addstr(&one, STR("{\"contentBlockIndex\":0,\"delta\":{\"text\":"));
        put_words(r, &one);
        buf_addstr(&one, STR("}}"));
        converse_frame(out, "contentBlockDelta", buf_str(&one));
    }
    converse_frame(out, "contentBlockStop", STR("{\"contentBlockIndex\":0}"));
    converse_frame(out, "messageStop", STR("{\"stopReason\":\"end_turn\"}"));
    buf_clear(&one);
    buf_printf(&one,
        "{\"usage\":{\"inputTokens\":%d,\"outputTokens\":%d,\"totalTokens\":%d,"
        "\"cacheReadInputTokens\":%d,\"cacheWriteInputTokens\":%d},\"metrics\":{\"latencyMs\":9}}",
        lld(u.input), lld(u.output), lld(u.input + u.output + u.cache_read + u.cache_write_5m),
        lld(u.cache_read), lld(u.cache_write_5m));
    converse_frame(out, "metadata", buf_str(&one));
}

static inline void cohere_event(struct buf *out, const char *type, const char *rest)
{
    buf_printf(out, "event: %s\ndata: {\"type\":\"%s\"%s}\n\n", type, type, rest);
}

static inline void cohere_stream(struct chance *r, struct usage u, struct buf *out)
{
    char rest[512];
    cohere_event(out, "message-start",
        ",\"id\":\"c1\",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[],\"tool_"
        "plan\":\"\","
        "\"tool_calls\":[],\"citations\":[]}}");
    cohere_event(out, "content-start",
        ",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":\"text\",\"text\":\"\"}}}");
    for (unsigned i = 0, n = 1 + chance_below(r, 6); i < n; i++) {
        buf_addstr(out, STR("event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,"
                            "\"delta\":{\"message\":{\"content\":{\"text\":"));
        put_words(r, out);
        buf_addstr(out, STR("}}}}\n\n"));
    }
    cohere_event(out, "content-end", ",\"index\":0");
    snprintf(rest, sizeof(rest),
        ",\"delta\":{\"finish_reason\":\"COMPLETE\",\"usage\":{\"billed_units\":"
        "{\"input_tokens\":%d,\"output_tokens\":%d},\"tokens\":{\"input_tokens\":%d,"
        "\"output_tokens\":%d}}}",
        lld(u.input), lld(u.output), lld(u.input), lld(u.output));
    cohere_event(out, "message-end", rest);
}

static inline void ollama_stream(struct chance *r, struct usage u, struct buf *out)
{
    const char *head =
        "{\"model\":\"m\",\"created_at\":\"2026-11-21T10:00:00.1Z\",\"message\":{\"role\":"
        "\"assistant\",\"content\":";
    for (unsigned i = 0, n = 1 + chance_below(r, 6); i < n; i++) {
        buf_addstr(out, str_of(head));
        put_words(r, out);
        buf_addstr(out, STR("},\"done\":false}\n"));
    }
    buf_printf(out,
        "%s\"\"},\"done_reason\":\"stop\",\"done\":true,\"total_duration\":5,"
        "\"prompt_eval_count\":%d,\"eval_count\":%d}\n",
        head, lld(u.input), lld(u.output));
}

struct provider_stream {
    const struct wire *wire;
    void (*make)(struct chance *r, struct usage u, struct buf *out);
    bool cache, writes, reasoning; /* what it reports */
};

static const struct provider_stream provider_streams[] = {
    {&wire_chat, chat_stream, true, true, true},
    {&wire_responses, responses_stream, true, false, true},
    {&wire_messages, messages_stream, true, true, false},
    {&wire_gemini, gemini_stream, true, false, true},
    {&wire_converse, converse_stream, true, true, false},
    {&wire_cohere, cohere_stream, false, false, false},
    {&wire_ollama, ollama_stream, false, false, false},
};

#endif
