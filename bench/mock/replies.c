/*
 * The bytes of every reply, made once at the start and shared by all threads.
 *
 * A stream is: head, first event, middle events, last events, end of the body. Each event is one
 * chunk of the chunked coding, sent alone, as providers do. Middle events with padding are made at
 * the first request for that size; there are few sizes, and one thread asks for them.
 */
#include "mock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAT_ID "chatcmpl-mock0000000000000000000000"
#define TEXT                                                                                       \
    "The quick brown fox jumps over the lazy dog, then pauses to consider whether the dog was in " \
    "fact lazy or merely at rest after a long day of guarding the gateway from runaway requests."
#define TOKENS "\"prompt_tokens\":210,\"completion_tokens\":34,\"total_tokens\":244"

#define CHUNK_HEAD                                                                                 \
    "data: {\"id\":\"" CHAT_ID "\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"   \
    "\"model\":\"gpt-4o-mini\",\"system_fingerprint\":\"fp_mock\",\"choices\":["
#define CHUNK(delta, reason, usage)                                                                \
    CHUNK_HEAD "{\"index\":0,\"delta\":" delta ",\"logprobs\":null,\"finish_reason\":" reason      \
               "}]" usage "}\n\n"
#define ROLE_DELTA "{\"role\":\"assistant\",\"content\":\"\"}"
#define TEXT_DELTA "{\"content\":\" token%s\"}"
#define NO_USAGE   ",\"usage\":null"

#define ANTHROPIC_FIRST                                                                            \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{"                        \
    "\"id\":\"msg_mock00000000000000000000\",\"type\":\"message\",\"role\":\"assistant\","         \
    "\"model\":\"claude-mock\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"        \
    "\"usage\":{\"input_tokens\":210,\"output_tokens\":1}}}\n\n"                                   \
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"             \
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
#define ANTHROPIC_MIDDLE                                                                           \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"   \
    "{\"type\":\"text_delta\",\"text\":\" token%s\"}}\n\n"
#define ANTHROPIC_LAST                                                                             \
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"           \
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"          \
    "\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":34}}\n\n"                   \
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

static const char chat_body[] =
    "{\"id\":\"" CHAT_ID "\",\"object\":\"chat.completion\","
    "\"created\":1700000000,\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"message\":"
    "{\"role\":\"assistant\",\"content\":\"" TEXT "\",\"refusal\":null},\"logprobs\":null,"
    "\"finish_reason\":\"stop\"}],\"usage\":{" TOKENS "},\"service_tier\":\"default\","
    "\"system_fingerprint\":\"fp_mock\"}";

static const char messages_body[] =
    "{\"id\":\"msg_mock00000000000000000000\","
    "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-mock\",\"content\":"
    "[{\"type\":\"text\",\"text\":\"" TEXT "\"}],\"stop_reason\":\"end_turn\","
    "\"stop_sequence\":null,\"usage\":{\"input_tokens\":210,\"output_tokens\":34}}";

static const char models_body[] =
    "{\"object\":\"list\",\"data\":[{\"id\":\"gpt-4o-mini\","
    "\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"mock\"},{\"id\":\"claude-mock\","
    "\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"mock\"}]}";

static const char unknown_body[] =
    "{\"error\":{\"message\":\"not found\",\"type\":\"invalid_request_error\"}}";

static const char stream_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                  "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

static const char *const first_events[STYLES] = {
    CHUNK(ROLE_DELTA, "null", ""),
    CHUNK(ROLE_DELTA, "null", NO_USAGE),
    ANTHROPIC_FIRST,
};

static const char *const middle_events[STYLES] = {
    CHUNK(TEXT_DELTA, "null", ""),
    CHUNK(TEXT_DELTA, "null", NO_USAGE),
    ANTHROPIC_MIDDLE,
};

enum { LAST_EVENTS = 4 };
static const char *const last_events[STYLES][LAST_EVENTS] = {
    {CHUNK("{}", "\"stop\"", ""), "data: [DONE]\n\n"},
    {CHUNK("{}", "\"stop\"", NO_USAGE), CHUNK_HEAD "],\"usage\":{" TOKENS "}}\n\n",
        "data: [DONE]\n\n"},
    {ANTHROPIC_LAST},
};

static struct bytes plain[ENDPOINT_UNKNOWN + 1];
static struct bytes head, end;
static struct bytes first[STYLES], last[STYLES][LAST_EVENTS];

static struct bytes bytes_of(const char *s)
{
    return (struct bytes){s, strlen(s)};
}

static struct bytes with_head(const char *status, const char *body)
{
    struct bytes b;
    int n = asprintf((char **)&b.p,
        "HTTP/1.1 %s\r\nContent-Type: application/json\r\nx-request-id: req_mock\r\n"
        "Content-Length: %zu\r\n\r\n%s",
        status, strlen(body), body);

    b.n = (size_t)n;
    return b;
}

static struct bytes as_chunk(const char *event)
{
    struct bytes b;
    int n = asprintf((char **)&b.p, "%zx\r\n%s\r\n", strlen(event), event);

    b.n = (size_t)n;
    return b;
}

/* An embedding of 384 numbers, as a small model gives. */
static struct bytes embeddings(void)
{
    enum { DIMENSIONS = 384 };
    static char body[16384];
    size_t n = 0;

    n += (size_t)sprintf(body,
        "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[");
    for (unsigned i = 0; i < DIMENSIONS; i++) {
        double v = (i * 2654435761u) % 20001 / 100000.0 - 0.1;
        n += (size_t)sprintf(body + n, "%s%.6f", i ? "," : "", v);
    }
    sprintf(body + n, "]}],\"model\":\"text-embedding-3-small\","
                      "\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}");
    return with_head("200 OK", body);
}

static struct bytes padded_middle(enum stream_style s, int pad)
{
    char *text = grow(NULL, (size_t)pad + 1), *event;

    memset(text, 'x', (size_t)pad);
    text[pad] = 0;
    if (asprintf(&event, middle_events[s], text) < 0)
        abort();
    struct bytes b = as_chunk(event);
    free(event);
    free(text);
    return b;
}

void replies_make(void)
{
    plain[ENDPOINT_CHAT] = with_head("200 OK", chat_body);
    plain[ENDPOINT_MESSAGES] = with_head("200 OK", messages_body);
    plain[ENDPOINT_EMBEDDINGS] = embeddings();
    plain[ENDPOINT_MODELS] = with_head("200 OK", models_body);
    plain[ENDPOINT_UNKNOWN] = with_head("404 Not Found", unknown_body);
    head = bytes_of(stream_head);
    end = bytes_of("0\r\n\r\n");
    for (unsigned s = 0; s < STYLES; s++) {
        first[s] = as_chunk(first_events[s]);
        for (unsigned i = 0; last_events[s][i]; i++)
            last[s][i] = as_chunk(last_events[s][i]);
    }
}

/* How many calls were answered; not counting those that ask for it. */
static atomic_ullong served;

void reply_count(enum endpoint e)
{
    if (e < ENDPOINT_MODELS)
        atomic_fetch_add_explicit(&served, 1, memory_order_relaxed);
}

static struct bytes tell_served(void)
{
    static _Thread_local char text[160];
    char body[64];
    int n = snprintf(body, sizeof body, "{\"served\":%llu}", atomic_load(&served));

    n = snprintf(text, sizeof text,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n,
        body);
    return (struct bytes){text, (size_t)n};
}

struct bytes reply_plain(enum endpoint e)
{
    return e == ENDPOINT_SERVED ? tell_served() : plain[e];
}

struct bytes reply_stream_head(void)
{
    return head;
}

struct bytes reply_stream_first(enum stream_style s)
{
    return first[s];
}

struct bytes reply_stream_middle(enum stream_style s, int pad)
{
    static _Thread_local struct bytes kept[STYLES];
    static _Thread_local int kept_pad[STYLES];

    if (!kept[s].p || kept_pad[s] != pad) {
        free((char *)kept[s].p);
        kept[s] = padded_middle(s, pad);
        kept_pad[s] = pad;
    }
    return kept[s];
}

struct bytes reply_stream_last(enum stream_style s, unsigned i)
{
    if (i < LAST_EVENTS && last[s][i].p)
        return last[s][i];
    return i == 0 || (i <= LAST_EVENTS && last[s][i - 1].p) ? end : (struct bytes){0};
}
