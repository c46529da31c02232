/*
 * What the wires share that are spoken by providers alone (Converse, Cohere's chat, Ollama's,
 * Replicate's): which parameters are left out, which tools are on offer, texts out of parts, ids
 * for calls of tools that come without.
 */
#ifndef SF_TRANSLATE_NATIVE_INT_H
#define SF_TRANSLATE_NATIVE_INT_H

#include "base/macros.h"
#include "translate/jw.h"
#include "translate/stream.h"
#include "translate/wire.h"

#include <errno.h>

#define PARAM_BIT(p) ((uint32_t)1 << PARAM_##p)

/* Declares each parameter that was said and is not among kept. */
int native_drop_params(struct canon_call *c, const struct canon_request *q, uint32_t kept);
/* Declares the members that the canonical form does not know. */
int native_drop_extras(struct canon_call *c, const struct canon_request *q);
/* 400 where more answers are wanted than one. */
int native_one_answer(struct canon_call *c, const struct canon_request *q);
/* Declares marks for a prompt cache, for targets that have none. */
int native_drop_marks(struct canon_call *c, const struct canon_request *q);
/* What the client called its choice of tools. */
struct str native_choice_name(const struct canon_request *q);
struct str native_parallel_name(const struct canon_request *q);

/* Whether the model may call the tool: the choice may name some of them. */
bool native_offers(const struct canon_request *q, const struct canon_tool *t);
/* The tool that the client declared under this name; NULL = none. */
const struct canon_tool *native_tool(const struct canon_call *c, struct str name);
/* The schema of a tool's arguments; a free-form tool is a function of one text, `input`. */
struct str native_schema(const struct canon_tool *t);
/* The arguments of a call as a JSON object's text. */
struct str native_arguments(struct canon_call *c, const struct canon_part *p);
/* Fills in a call that a provider made: its arguments, or the text for a free-form tool. */
void native_call(struct canon_call *c, struct arena *a, struct canon_part *p, struct str arguments);
/* An id for the n-th call of this reply. */
struct str native_call_id(struct canon_call *c, struct arena *a, unsigned n);

/* Text without blanks at either end is empty. */
bool native_is_blank(struct str s);
/* The texts of all parts of these kinds (1 << PART_…), between them; empty = there is none. */
struct str native_join(
    struct canon_call *c, const struct canon_part *parts, uint32_t kinds, struct str between);
/* The text of a document that is one: plain, or base64 of a text type. False for others. */
bool native_document_text(struct canon_call *c, const struct canon_media *m, struct str *ret);
/* "data:image/png;base64,…", or the address as it is. p NULL where it has neither. */
struct str native_media_url(struct canon_call *c, const struct canon_media *m);

/* A decimal literal as a number, to compare with bounds. */
double native_decimal(struct str raw);

/* "message" or "error" of an error's body, else the body's first bytes. */
struct str native_error_text(struct canon_call *c, struct str body);
/* An error of this status whose text is known. */
void native_error(
    struct canon_call *c, int status, struct str code, struct str text, struct error *ret);

/* --- events, for readers --- */

/* A part that begins: kind, key; for calls of tools id and name. */
void native_start(struct canon_stream *s, unsigned key, const struct canon_part *part);
void native_delta(struct canon_stream *s, unsigned key, enum canon_part_kind kind,
    enum canon_delta field, struct str text);
void native_finish(struct canon_stream *s, enum canon_finish finish, struct str word);
void native_fail(struct canon_stream *s, int status, struct str code, struct str message);

/* A call of a free-form tool, whose text stands inside arguments that come in pieces: kept until
 * they are whole. */
struct native_piece {
    struct native_piece *next;
    struct str text;
};

struct native_custom {
    bool on;
    unsigned key;
    struct str id, name;
    struct native_piece *pieces, **tail;
};

int native_custom_begin(
    struct canon_stream *s, struct native_custom *k, unsigned key, const struct canon_part *part);
int native_custom_add(struct canon_stream *s, struct native_custom *k, struct str text);
/* The call, whole; nothing where none is kept. */
void native_custom_end(struct canon_stream *s, struct native_custom *k);

#endif
