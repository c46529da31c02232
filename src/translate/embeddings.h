/*
 * Embeddings across providers: OpenAI's /v1/embeddings, Gemini's embedContent and
 * batchEmbedContents (and Vertex's predict), Cohere's /v2/embed, Ollama's /api/embed, Titan and
 * Cohere on Bedrock.
 *
 *   client's body ──embed_read_request──▶ canonical ──embed_write_request──▶ upstream's body
 *   upstream's body ──embed_read_reply──▶ canonical ──embed_write_reply──▶ client's body
 *
 * Providers take different numbers of inputs a call, Titan one: embed_write_request() writes as
 * many as fit and says how many; the caller goes on until all are written. embed_read_reply() adds
 * to the reply, so that vectors and usage of several calls add up; the calls may run side by side
 * as long as their replies are read in order.
 *
 * Vectors are kept as the provider wrote their numbers; only where the client wants base64
 * (OpenAI's Python SDK does) they become 32-bit floats.
 */
#ifndef SF_TRANSLATE_EMBEDDINGS_H
#define SF_TRANSLATE_EMBEDDINGS_H

#include "base/buf.h"
#include "translate/canon.h"

#define EMBED_INPUTS_MAX 2048 /* of one request, as OpenAI */

enum embed_wire {
    EMBED_OPENAI,
    EMBED_GEMINI,         /* batchEmbedContents */
    EMBED_GEMINI_ONE,     /* embedContent */
    EMBED_VERTEX,         /* predict */
    EMBED_COHERE,         /* /v2/embed */
    EMBED_OLLAMA,         /* /api/embed */
    EMBED_TITAN,          /* Bedrock's InvokeModel of amazon.titan-embed-* */
    EMBED_BEDROCK_COHERE, /* the same of cohere.embed-* */
    EMBED_WIRES
};

/* What the vectors are for. */
enum embed_use {
    EMBED_UNSAID,
    EMBED_QUERY,
    EMBED_DOCUMENT,
    EMBED_CLASSIFICATION,
    EMBED_CLUSTERING,
    EMBED_SIMILARITY,
    EMBED_QUESTION,
    EMBED_FACT,
    EMBED_CODE,
    EMBED_USES
};

struct embed_input {
    struct str text;   /* p NULL where it is tokens */
    struct str tokens; /* raw: a list of numbers */
    struct str title;  /* Gemini: of a document */
};

struct embed_request {
    struct str model;
    const struct embed_input *inputs;
    unsigned inputs_n;
    bool one;           /* the client gave one input, and no list */
    int64_t dimensions; /* -1 = not said */
    struct str dimensions_name;
    bool base64; /* the client wants its vectors so */
    enum embed_use use;
    struct str use_name;
    struct str user; /* OpenAI's, raw */
    struct canon_extra *extras;
    enum embed_wire from;
};

struct embed_vector {
    struct str raw;    /* "[0.1,-2e-3]"; p NULL where it is base64 */
    struct str base64; /* 32-bit floats, little endian */
};

struct embed_reply {
    struct embed_vector *vectors;
    unsigned vectors_n, room;
    struct usage usage;
    struct str id;
};

/* The wire of a provider's embeddings. model matters on Bedrock. */
enum embed_wire embed_wire_of(struct str provider, struct str model);

int embed_read_request(
    struct canon_call *c, enum embed_wire from, struct str body, struct embed_request *ret);
/* How many inputs a provider takes in one call. */
unsigned embed_batch(enum embed_wire to, struct str provider, struct str model);
/* Writes the inputs from `first` on; *ret_n gets how many. c->model is the target's. */
int embed_write_request(struct canon_call *c, enum embed_wire to, const struct embed_request *q,
    unsigned first, struct buf *out, unsigned *ret_n);
/* Adds the vectors of one reply that has n of them. */
int embed_read_reply(
    struct canon_call *c, enum embed_wire to, struct str body, unsigned n, struct embed_reply *r);
int embed_write_reply(struct canon_call *c, const struct embed_request *q,
    const struct embed_reply *r, struct buf *out);

#endif
