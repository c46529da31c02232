/*
 * struct meter: takes usage out of replies while they pass, without holding or changing them.
 *
 * A whole JSON reply is given to meter_reply(); a stream's events one by one to meter_event();
 * a reply too large to hold, piece by piece, to meter_piece(), which keeps its last 16 KiB, since
 * usage stands at the end. Where several reports come (Anthropic's message_start and message_delta,
 * Gemini's cumulative chunks) the later ones overrule field by field.
 */
#ifndef SF_LLM_METER_H
#define SF_LLM_METER_H

#include "base/buf.h"
#include "llm/endpoint.h"
#include "llm/usage.h"

#define METER_MODEL_BYTES 96

struct meter {
    enum endpoint_kind kind;
    struct usage usage;    /* source USAGE_REPORTED once anything was found */
    struct buf tail;       /* of meter_piece() */
    uint64_t events;       /* stream events with data */
    uint64_t output_bytes; /* text bytes of deltas seen while no usage was known */
    struct buf text;       /* the part of that text which is not counted yet, bounded */
    uint64_t text_counted; /* bytes of it that were counted and dropped, */
    uint64_t text_tokens;  /* and their tokens */
    size_t text_due;       /* how much is kept before it is time to count */
    size_t text_max;       /* how much may be kept; of the rest only the bytes are counted */
    bool null_seen;        /* a chunk with "usage":null came */
    bool finished;         /* the stream's own end marker came */
    bool failed;           /* an error event came inside the stream */
    char model[METER_MODEL_BYTES]; /* what the reply calls its model: often the asked one's version;
                                    */
    size_t model_n;                /* 0 = it did not say */
    struct buf ids; /* what the reply named, each with a NUL: "resp_…", a batch's output file */
};

void meter_init(struct meter *m, enum endpoint_kind kind);
void meter_free(struct meter *m);
/* The ids of things that the provider made and keeps, one by one: start with *at = 0; false at the
 * end. */
bool meter_next_id(const struct meter *m, size_t *at, struct str *ret_id);
void meter_reply(struct meter *m, struct str json);
/* What the reply's head says of usage, where its body said nothing: some of Bedrock's models. */
void meter_fields(struct meter *m, const struct http_fields *f);
void meter_piece(struct meter *m, struct str bytes);
void meter_pieces_end(struct meter *m);

/* The text of a stream is kept as long as no usage is reported, since it may never be. So that a
 * long stream holds little of it, whoever feeds the events asks after each read whether it is time
 * to count what is there, and tells the meter how much was counted. What can only be counted when
 * more of it is there (a word of many KiB) is kept up to METER_TEXT_MAX; or, where "usage":null
 * says that a report is to come, a sample of it is enough: nothing is kept after METER_TEXT_SAMPLE.
 */
#define METER_TEXT_MAX    ((size_t)256 << 10)
#define METER_TEXT_DUE    ((size_t)3 << 10)
#define METER_TEXT_LARGE  ((size_t)8 << 10) /* the same where a report is to come */
#define METER_TEXT_SAMPLE ((size_t)8 << 10)
#define METER_TEXT_KEPT                                                                            \
    ((size_t)1 << 10) /* more memory than this is given back when it is counted */
static inline bool meter_text_is_due(const struct meter *m)
{
    return m->text.n >= m->text_due;
}
/* Adds text that was read elsewhere (a translated reply's), for local counting. */
void meter_text_add(struct meter *m, struct str text);
/* The first bytes of m->text were so many tokens. */
void meter_text_counted(struct meter *m, size_t bytes, uint64_t tokens);

enum meter_verdict {
    METER_PASS,  /* pass it on */
    METER_USAGE, /* an OpenAI chat chunk that only carries usage: choices is empty */
    METER_NULL,  /* a chunk with "usage":null: [null_from, null_to) is that member with its comma */
    METER_END,   /* the end marker */
    METER_ERROR, /* an error inside a 200 stream */
};
/* data: the event's joined data; event: its name or empty. null_from/to are offsets into data. */
enum meter_verdict meter_event(
    struct meter *m, struct str event, struct str data, size_t *null_from, size_t *null_to);

#endif
