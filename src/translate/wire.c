/*
 * The table of wires: the one place that lists them.
 */
#include "translate/wire.h"

#include "base/macros.h"

static const struct wire *const wires[WIRES] = {
    [WIRE_CHAT] = &wire_chat,
    [WIRE_RESPONSES] = &wire_responses,
    [WIRE_MESSAGES] = &wire_messages,
    [WIRE_GEMINI] = &wire_gemini,
    [WIRE_CONVERSE] = &wire_converse,
    [WIRE_COHERE] = &wire_cohere,
    [WIRE_OLLAMA] = &wire_ollama,
    [WIRE_REPLICATE] = &wire_replicate,
    [WIRE_COMPLETIONS] = &wire_completions,
};

const struct wire *wire_of(enum wire_id id)
{
    must(id < WIRES);
    return wires[id];
}

static const struct wire *openai_wire(enum endpoint_kind k)
{
    switch (k) {
    case KIND_CHAT:
        return &wire_chat;
    case KIND_RESPONSES:
        return &wire_responses;
    case KIND_COMPLETIONS:
        return &wire_completions;
    default:
        return NULL;
    }
}

static bool is_answer(enum endpoint_kind k)
{
    return k == KIND_CHAT || k == KIND_RESPONSES || k == KIND_MESSAGES || k == KIND_GENERATE ||
           k == KIND_STREAM_GENERATE || k == KIND_CONVERSE || k == KIND_CONVERSE_STREAM;
}

static const struct wire *bedrock_wire(enum endpoint_kind k)
{
    if (k == KIND_INVOKE || k == KIND_INVOKE_STREAM)
        return &wire_messages_bedrock;
    return is_answer(k) ? &wire_converse : NULL;
}

const struct wire *wire_for(enum dialect d, enum endpoint_kind k)
{
    switch (d) {
    case DIALECT_OPENAI:
        return openai_wire(k);
    case DIALECT_ANTHROPIC:
        return k == KIND_MESSAGES ? &wire_messages : NULL;
    case DIALECT_GEMINI:
        return k == KIND_GENERATE || k == KIND_STREAM_GENERATE ? &wire_gemini : NULL;
    case DIALECT_BEDROCK: /* these have one way to ask, whatever the client calls it */
        return bedrock_wire(k);
    case DIALECT_COHERE:
        return is_answer(k) ? &wire_cohere : NULL;
    case DIALECT_OLLAMA:
        return is_answer(k) ? &wire_ollama : NULL;
    case DIALECT_REPLICATE:
        return is_answer(k) ? &wire_replicate : NULL;
    default:
        return NULL;
    }
}
