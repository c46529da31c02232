/*
 * Wires: how each dialect writes a call down. One constant struct a wire, in one file each (a pair
 * of files where it is long); the table in wire.c is the one place that lists them.
 *
 *   request   client's body ──read_request──▶ canonical ──write_request──▶ upstream's body
 *   reply     upstream's body ──read_reply──▶ canonical ──write_reply──▶ client's body
 *   stream    upstream's event ──read_event──▶ sequencer ──write_event──▶ client's bytes
 *   error     upstream's body ──read_error──▶ struct error ──dialect_error_body()──▶ client's body
 *
 * Readers take whole JSON texts (an event's data is one), parse with yyjson out of the call's arena
 * or a pool of the stream's, numbers raw. All functions are pure: no waiting, no logging, nothing
 * global. They return 0 or a negative errno with c->error filled.
 */
#ifndef SF_TRANSLATE_WIRE_H
#define SF_TRANSLATE_WIRE_H

#include "base/buf.h"
#include "llm/endpoint.h"
#include "translate/canon.h"

enum wire_id {
    WIRE_CHAT,        /* OpenAI chat completions, and those compatible with it */
    WIRE_RESPONSES,   /* OpenAI Responses */
    WIRE_MESSAGES,    /* Anthropic */
    WIRE_GEMINI,      /* generateContent */
    WIRE_CONVERSE,    /* Bedrock */
    WIRE_COHERE,      /* v2 chat */
    WIRE_OLLAMA,      /* /api/chat */
    WIRE_REPLICATE,   /* predictions */
    WIRE_COMPLETIONS, /* OpenAI's older text completions: spoken by clients alone */
    WIRES
};

enum wire_framing {
    FRAMES_SSE,
    FRAMES_EVENTSTREAM, /* AWS: event is ":event-type", or ":exception-type" with '!' before it */
    FRAMES_LINES,       /* one JSON text a line */
};

struct canon_stream;

struct wire {
    enum wire_id id;
    struct str name; /* "anthropic messages", for messages and the log */
    enum canon_maker maker;
    enum wire_framing framing; /* of its streams */
    struct str stream_type;    /* content-type of a stream to a client; empty: no front door */

    int (*read_request)(struct canon_call *c, struct str body, struct canon_request *ret);
    int (*write_request)(struct canon_call *c, const struct canon_request *q, struct buf *out);
    int (*read_reply)(struct canon_call *c, struct str body, struct canon_reply *ret);
    int (*write_reply)(struct canon_call *c, const struct canon_reply *r, struct buf *out);
    /* event: its name or empty. Calls canon_emit() for each canonical event. */
    int (*read_event)(struct canon_stream *s, struct str event, struct str data);
    /* Appends whole events of the client's dialect to out. Comes from the sequencer, in order. */
    int (*write_event)(struct canon_stream *s, const struct canon_event *e, struct buf *out);
    /* A provider's error reply. Fills status, code, type, message, param and retry_after_s where
     * the body says (Gemini's retryDelay); body may be no JSON at all. */
    void (*read_error)(struct canon_call *c, int status, struct str type_field, struct str body,
        struct error *ret);
    /* May be NULL: brings an error into the words that clients of this dialect look for. */
    void (*word_error)(struct canon_call *c, struct error *e);
};

extern const struct wire wire_chat, wire_responses, wire_messages, wire_gemini, wire_converse,
    wire_cohere, wire_ollama, wire_replicate, wire_completions;
/* Claude elsewhere: the id is WIRE_MESSAGES, the envelope another (messages.h). Chosen by target.
 */
extern const struct wire wire_messages_vertex, wire_messages_bedrock;

const struct wire *wire_of(enum wire_id id);
/* The wire that a dialect has for a kind of endpoint, NULL where none: Anthropic's KIND_MESSAGES.
 */
const struct wire *wire_for(enum dialect d, enum endpoint_kind k);

/* What an error means to routing, whoever said it. */
enum wire_fault {
    FAULT_NONE,
    FAULT_BAD_REQUEST,
    FAULT_CONTEXT, /* the prompt is too long for the model */
    FAULT_POLICY,  /* refused for its content */
    FAULT_AUTH,    /* the gateway's credential */
    FAULT_PERMISSION,
    FAULT_BILLING, /* the account has no money left */
    FAULT_NOT_FOUND,
    FAULT_TOO_LARGE,
    FAULT_RATE,
    FAULT_TIMEOUT,
    FAULT_OVERLOAD,
    FAULT_SERVER,
};
/* By status, code and text (translation page, section 6). */
enum wire_fault wire_fault_of(int status, struct str code, struct str type, struct str message);
const char *wire_fault_name(enum wire_fault f);
/* Brings a provider's error into the words of the client's dialect: status, code and type by what
 * it means, then the wire's own word_error. client may be NULL. */
void wire_word_error(
    enum dialect d, const struct wire *client, struct canon_call *c, struct error *e);

#endif
