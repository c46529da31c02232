/*
 * What the parts of the Gemini wire share.
 *
 *   gemini.c           the struct, errors, usage, finish reasons
 *   gemini_names.c     members by either of their names, places for messages
 *   gemini_request.c   client's body → canonical: the top level, tools, generationConfig
 *   gemini_contents.c  client's body → canonical: contents and their parts
 *   gemini_write.c     canonical → provider's body: the top level, generationConfig
 *   gemini_turns.c     canonical → provider's body: contents, signatures
 *   gemini_tools.c     canonical → provider's body: tools and their choice
 *   gemini_reply.c     whole replies, both ways
 *   gemini_ground.c    citations and log probabilities, both ways
 *   gemini_stream.c    streams, both ways
 *   gemini_models.c    what each model takes
 *   gemini_schema.c    JSON schema ⇄ the subset of OpenAPI's that Gemini calls Schema
 *
 * Protocol buffers read every member under two names, "inlineData" and "inline_data": so does the
 * reader here. In messages a member is called as the client called it.
 */
#ifndef SF_TRANSLATE_GEMINI_INT_H
#define SF_TRANSLATE_GEMINI_INT_H

#include "translate/gemini_models.h"
#include "translate/jw.h"
#include "translate/stream.h"

/* --- gemini_names.c --- */

/* A place in the client's body: a chain of frames on the stack, put into words only on failure. */
struct gm_at {
    const struct gm_at *up;
    struct str name; /* of a member; p NULL where index counts */
    unsigned index;
};

bool gm_name_is(struct str key, const char *camel);
/* The member, under either name; NULL when absent or null. *ret_key (may be NULL) is its name. */
yyjson_val *gm_get(yyjson_val *obj, const char *camel, struct str *ret_key);
struct str gm_path(struct canon_call *c, const struct gm_at *at);
int gm_fail(struct canon_call *c, const struct gm_at *at, const char *why);
/* A text member: 0 with *ret (p NULL when absent), or 400 when it is no text. */
int gm_text(struct canon_call *c, const struct gm_at *up, yyjson_val *obj, const char *camel,
    struct str *ret);
/* Lists may be written as their only element. NULL behind the last. */
struct gm_list {
    yyjson_arr_iter iter;
    yyjson_val *only;
    unsigned n; /* given so far */
};
void gm_list_begin(struct gm_list *l, yyjson_val *v); /* v may be NULL: nothing in it */
yyjson_val *gm_list_next(struct gm_list *l);

/* --- gemini_request.c --- */
int gm_read_request(struct canon_call *c, struct str body, struct canon_request *ret);

struct gm_reader {
    struct canon_call *c;
    struct canon_request *q;
    struct canon_message **messages; /* tails */
    struct canon_tool **tools;
    struct canon_extra **extras;
    struct gm_open_call *open; /* calls without an answer, oldest first */
    unsigned open_n;
    unsigned calls; /* met so far: numbers those without an id */
    bool validated; /* mode VALIDATED: calls follow their schemas */
};

int gm_keep_extra(struct gm_reader *r, struct str name, yyjson_val *v);

/* --- gemini_contents.c --- */
int gm_read_contents(struct gm_reader *r, const struct gm_at *at, yyjson_val *list);
int gm_read_system(struct gm_reader *r, const struct gm_at *at, yyjson_val *v);

/* --- gemini_write.c --- */
int gm_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out);
void gm_write_text(struct jw *w, struct str prompt); /* contents of this one text */
bool gm_is_vertex(const struct canon_call *c);

/* --- gemini_turns.c --- */
/* "contents", and for models without it the system's texts in front. */
int gm_write_contents(struct canon_call *c, const struct canon_request *q,
    const struct gemini_model *m, struct jw *w);
/* "systemInstruction" */
int gm_write_system(struct canon_call *c, const struct canon_request *q,
    const struct gemini_model *m, struct jw *w);

/* --- gemini_tools.c --- */
int gm_write_tools(struct canon_call *c, const struct canon_request *q,
    const struct gemini_model *m, struct jw *w);
int gm_write_choice(struct canon_call *c, const struct canon_request *q, struct jw *w);

/* --- gemini.c --- */
enum canon_finish gm_finish_of(struct str reason);
struct str gm_finish_name(enum canon_finish f, struct str native);
void gm_read_usage(yyjson_val *o, struct usage *u);
void gm_write_usage(const struct usage *u, struct jw *w); /* the object */
void gm_read_error(
    struct canon_call *c, int status, struct str type_field, struct str body, struct error *ret);

/* --- gemini_reply.c --- */
int gm_read_reply(struct canon_call *c, struct str body, struct canon_reply *ret);
int gm_write_reply(struct canon_call *c, const struct canon_reply *r, struct buf *out);
/* Why there is no candidate: promptFeedback.blockReason. */
struct str gm_block_reason(yyjson_val *root);
/* One part of a provider's reply, its texts in a. False where there is nothing in it that has a
 * canonical form. n: which tool call of the reply it would be, for its id. */
bool gm_reply_part(
    struct canon_call *c, struct arena *a, yyjson_val *v, unsigned n, struct canon_part *ret);
/* One part for a client; false when it has none for it. */
bool gm_write_part(struct canon_call *c, const struct canon_part *p, struct jw *w);
/* The signature that stands for p to a client of this dialect. */
struct str gm_signature_out(struct canon_call *c, const struct canon_part *p);

/* --- gemini_stream.c, gemini_stream_write.c --- */
int gm_read_event(struct canon_stream *s, struct str event, struct str data);
int gm_write_event(struct canon_stream *s, const struct canon_event *e, struct buf *out);

/* --- gemini_ground.c --- */

/* Hangs the citations of a candidate onto the texts they stand for. parts: those of its content in
 * order, NULL where one has no canonical form. */
void gm_read_citations(
    struct canon_call *c, yyjson_val *candidate, struct canon_part *const *parts, size_t n);
/* "groundingMetadata" out of all citations of the parts; nothing when there are none. */
void gm_write_grounding(struct canon_call *c, const struct canon_part *parts, struct jw *w);
struct str gm_read_logprobs(struct arena *a, yyjson_val *candidate); /* OpenAI's shape */
void gm_write_logprobs(struct arena *a, struct str raw, struct jw *w);

#endif
