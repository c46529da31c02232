/*
 * POST /messages, whole and streamed, and count_tokens. Blocks come in the order thinking, text or
 * tool_use; a stream sends each as start, deltas, stop, between message_start and message_stop.
 */
#include "demo/anthropic_int.h"

#include "demo/openai_int.h"

static const struct str thought = STR_INIT("Let me think first.");
static const struct str signature = STR_INIT("ZGVtby1zaWduYXR1cmUtMDAwMQ==");

static struct str stop_reason(const struct answer *a)
{
    switch (a->finish) {
    case FINISH_LENGTH:
        return STR("max_tokens");
    case FINISH_TOOLS:
        return STR("tool_use");
    case FINISH_SEQUENCE:
        return STR("stop_sequence");
    default:
        return STR("end_turn");
    }
}

static void put_stop(struct demo_call *c)
{
    const struct answer *a = c->answer;
    put(c, "\"stop_reason\":\"");
    put_str(c, stop_reason(a));
    put(c, "\",\"stop_sequence\":");
    demo_put_raw(c, a->stop_text, "null");
}

static void put_usage(struct demo_call *c, uint64_t out)
{
    putf(c,
        "\"usage\":{\"input_tokens\":%llu,\"cache_creation_input_tokens\":0,"
        "\"cache_read_input_tokens\":0,\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,"
        "\"ephemeral_1h_input_tokens\":0},\"output_tokens\":%llu,\"service_tier\":\"standard\"}",
        (unsigned long long)c->answer->tokens_in, (unsigned long long)out);
}

static void put_tool_head(struct demo_call *c, unsigned i)
{
    put(c, "{\"type\":\"tool_use\",\"id\":\"");
    put_id(c, &c->out, "toolu_");
    putf(c, "%02u\",\"name\":\"", i);
    put_str(c, c->answer->calls[i].name);
    put(c, "\",\"input\":");
}

static void put_message_head(struct demo_call *c)
{
    put(c, "{\"id\":\"");
    put_id(c, &c->out, "msg_");
    put(c, "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    put_str(c, c->model);
    put(c, ",\"content\":[");
}

/* --- whole --- */

void anthropic_message(struct demo_call *c)
{
    const struct answer *a = c->answer;
    put_message_head(c);
    if (c->prompt.thinking) {
        put(c, "{\"type\":\"thinking\",\"thinking\":");
        put_json(c, thought);
        put(c, ",\"signature\":");
        put_json(c, signature);
        put(c, "},");
    }
    for (unsigned i = 0; i < a->n_calls; i++) {
        put_str(c, i ? STR(",") : STR(""));
        put_tool_head(c, i);
        put_str(c, buf_str(&a->args[i]));
        put(c, "}");
    }
    if (!a->n_calls) {
        put(c, "{\"type\":\"text\",\"text\":");
        put_json(c, buf_str(&a->text));
        put(c, "}");
    }
    put(c, "],");
    put_stop(c);
    if (!c->dir.no_usage) {
        put(c, ",");
        put_usage(c, a->tokens_out);
    }
    put(c, "}");
}

/* --- streamed --- */

static void event_head(struct demo_call *c, struct str name)
{
    put(c, "event: ");
    put_str(c, name);
    put(c, "\ndata: {\"type\":\"");
    put_str(c, name);
    put(c, "\"");
}

static bool event_end(struct demo_call *c)
{
    put(c, "}\n\n");
    return demo_event(c);
}

static bool block_start(struct demo_call *c, unsigned index, struct str block)
{
    event_head(c, STR("content_block_start"));
    putf(c, ",\"index\":%u,\"content_block\":", index);
    put_str(c, block);
    return event_end(c);
}

static bool block_delta(
    struct demo_call *c, unsigned index, struct str type, struct str member, struct str text)
{
    event_head(c, STR("content_block_delta"));
    put(c, ",\"index\":");
    buf_addu64(&c->out, index);
    put(c, ",\"delta\":{\"type\":\"");
    put_str(c, type);
    put(c, "\",\"");
    put_str(c, member);
    put(c, "\":");
    put_json(c, text);
    put(c, "}");
    return event_end(c);
}

static bool block_stop(struct demo_call *c, unsigned index)
{
    event_head(c, STR("content_block_stop"));
    putf(c, ",\"index\":%u", index);
    return event_end(c);
}

static bool stream_thought(struct demo_call *c, unsigned index)
{
    return block_start(
               c, index, STR("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")) &&
           block_delta(c, index, STR("thinking_delta"), STR("thinking"), thought) &&
           block_delta(c, index, STR("signature_delta"), STR("signature"), signature) &&
           block_stop(c, index);
}

static bool stream_text(struct demo_call *c, unsigned index)
{
    struct str rest = buf_str(&c->answer->text);
    size_t pieces = c->answer->pieces;
    uint64_t words = count_words(rest);

    if (!block_start(c, index, STR("{\"type\":\"text\",\"text\":\"\"}")))
        return false;
    while (rest.n) {
        struct str piece = answer_piece(&rest, &words, &pieces);
        if (!block_delta(c, index, STR("text_delta"), STR("text"), piece))
            return false;
    }
    return block_stop(c, index);
}

/* The first fragment of the input is empty, as Anthropic's is. */
static bool stream_call(struct demo_call *c, unsigned index, unsigned i)
{
    struct str rest = buf_str(&c->answer->args[i]);
    event_head(c, STR("content_block_start"));
    putf(c, ",\"index\":%u,\"content_block\":", index);
    put_tool_head(c, i);
    put(c, "{}}");
    if (!event_end(c) ||
        !block_delta(c, index, STR("input_json_delta"), STR("partial_json"), STR("")))
        return false;
    while (rest.n) {
        struct str piece = utf8_piece(&rest, 12);
        if (!block_delta(c, index, STR("input_json_delta"), STR("partial_json"), piece))
            return false;
    }
    return block_stop(c, index);
}

static bool stream_blocks(struct demo_call *c)
{
    unsigned index = 0;
    if (c->prompt.thinking && !stream_thought(c, index++))
        return false;
    if (!c->answer->n_calls)
        return stream_text(c, index);
    for (unsigned i = 0; i < c->answer->n_calls; i++)
        if (!stream_call(c, index++, i))
            return false;
    return true;
}

static bool stream_start(struct demo_call *c)
{
    event_head(c, STR("message_start"));
    put(c, ",\"message\":");
    put_message_head(c);
    put(c, "],\"stop_reason\":null,\"stop_sequence\":null");
    if (!c->dir.no_usage) {
        put(c, ",");
        put_usage(c, 1);
    }
    put(c, "}");
    if (!event_end(c))
        return false;
    event_head(c, STR("ping"));
    return event_end(c);
}

static bool stream_stop(struct demo_call *c)
{
    event_head(c, STR("message_delta"));
    put(c, ",\"delta\":{");
    put_stop(c);
    put(c, "}");
    if (!c->dir.no_usage)
        putf(c,
            ",\"usage\":{\"input_tokens\":%llu,\"cache_creation_input_tokens\":0,"
            "\"cache_read_input_tokens\":0,\"output_tokens\":%llu}",
            (unsigned long long)c->answer->tokens_in, (unsigned long long)c->answer->tokens_out);
    if (!event_end(c))
        return false;
    event_head(c, STR("message_stop"));
    return event_end(c);
}

void anthropic_messages(struct demo_call *c)
{
    if (c->fields[F_MESSAGES].type != JSON_ARRAY) {
        demo_error(c, 400, "messages: Field required");
    } else if (!c->prompt.max_tokens) {
        demo_error(c, 400, "max_tokens: Field required");
    } else if (field_true(c, F_STREAM)) {
        demo_stream_begin(c, STR("text/event-stream; charset=utf-8"), STREAM_ANTHROPIC);
        if (stream_start(c) && stream_blocks(c))
            (void)stream_stop(c);
        demo_stream_end(c);
    } else {
        anthropic_message(c);
        demo_json(c);
    }
}

void anthropic_count(struct demo_call *c)
{
    uint64_t n = c->dir.usage_in >= 0 ? (uint64_t)c->dir.usage_in : c->prompt.words;
    putf(c, "{\"input_tokens\":%llu}", (unsigned long long)n);
    demo_json(c);
}

/* --- the legacy text completion --- */

void anthropic_complete(struct demo_call *c)
{
    struct str rest = buf_str(&c->answer->text);
    bool stream = field_true(c, F_STREAM);
    size_t pieces = stream ? c->answer->pieces : 1;
    uint64_t words = count_words(rest);

    if (stream)
        demo_stream_begin(c, STR("text/event-stream"), STREAM_ANTHROPIC);
    do {
        struct str piece = answer_piece(&rest, &words, &pieces);
        put_str(c, stream ? STR("event: completion\ndata: ") : STR(""));
        put(c, "{\"type\":\"completion\",\"id\":\"");
        put_id(c, &c->out, "compl_");
        put(c, "\",\"completion\":");
        put_json(c, piece);
        put_str(
            c, rest.n ? STR(",\"stop_reason\":null") : STR(",\"stop_reason\":\"stop_sequence\""));
        put(c, ",\"stop\":null,\"model\":");
        put_str(c, c->model);
        put_str(c, stream ? STR("}\n\n") : STR("}"));
    } while ((!stream || demo_event(c)) && rest.n);
    if (stream)
        demo_stream_end(c);
    else
        demo_json(c);
}
