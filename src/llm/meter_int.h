/*
 * What the parts of the meter share: meter.c (whole replies and tails), meter_usage.c (one usage
 * object), meter_text.c (texts for local counting, and the search for members by name),
 * meter_stream.c (events) and meter_bedrock.c (what Bedrock has of its own).
 */
#ifndef SF_LLM_METER_INT_H
#define SF_LLM_METER_INT_H

#include "llm/meter.h"

/* --- meter_usage.c --- */

/* More than any call can use; what is larger is no count, and sums of counts do not overflow. */
#define METER_COUNT_MAX ((uint64_t)1 << 50)
void meter_usage_object(struct meter *m, struct str object);
void meter_tier_word(struct meter *m, struct str literal);
void meter_tier(struct meter *m, struct str object); /* its "service_tier" */
/* The number at path into *to; leaves *to as it is when it is absent or not a whole number. */
bool meter_number_at(struct str object, struct str path, uint64_t *to);

/* --- meter_bedrock.c --- */
void meter_usage_converse(struct usage *u, struct str object);
/* event: the frame's type, with '!' before that of an exception. */
enum meter_verdict meter_bedrock_event(struct meter *m, struct str event, struct str data);
static inline bool meter_is_converse(const struct meter *m)
{
    return m->kind == KIND_CONVERSE || m->kind == KIND_CONVERSE_STREAM;
}

/* --- meter_stream.c --- */
/* An event of Anthropic's without its name, which its data has, too. */
enum meter_verdict meter_anthropic_event(struct meter *m, struct str data);

/* --- meter.c --- */
void meter_take_model(struct meter *m, struct str literal);
void meter_take_id(struct meter *m, struct str literal); /* where things of this kind have owners */
static inline bool meter_is_gemini(const struct meter *m)
{
    return m->kind == KIND_GENERATE || m->kind == KIND_STREAM_GENERATE;
}

/* --- meter_text.c --- */

/* A member that is searched for by its name with both quotes. A name and its colon cannot stand
 * inside a JSON string, where quotes have backslashes, so a plain search is exact. */
struct meter_key {
    struct str quoted;
    bool is_text;               /* its value is output of the model */
    char first[16], second[16]; /* the first two letters, as many times as a vector has bytes */
} __attribute__((aligned(16)));

#define METER_KEY(name, text, a, b)                                                                \
    {                                                                                              \
        .quoted = STR_INIT("\"" name "\""), .is_text = text, .first = {[0 ... 15] = a},            \
        .second = {[0 ... 15] = b},                                                                \
    }

struct meter_found {
    unsigned seen;    /* bit i: keys[i] stands in the data */
    unsigned repeats; /* bit i: more than once */
    size_t last[4];   /* where it stood last, if it is no text */
};

/* Looks for n keys, at most 4, in one pass over data; keeps the values of texts while they may have
 * to be counted. */
struct meter_found meter_look(
    struct meter *m, struct str data, const struct meter_key *keys, unsigned n);

#endif
