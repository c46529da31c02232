/*
 * What the files of the Responses wire share.
 *
 *   responses.c          the struct of functions; errors; ids and small helpers
 *   responses_request.c  a client's request: parameters
 *   responses_input.c    its input: items ─▶ messages
 *   responses_tools.c    tools and tool_choice, both ways
 *   responses_write.c    the upstream's request: parameters
 *   responses_items.c    messages ─▶ items
 *   responses_parts.c    reasoning, signatures, annotations, both ways
 *   responses_reply.c    an upstream's reply read, a client's written
 *   responses_object.c   the Response object around what was answered, with all that it repeats
 *   responses_events.c   an upstream's stream read
 *   responses_stream.c   a client's stream written
 *
 * Reasoning. A reasoning item holds a thinking part: its summary the text, encrypted_content the
 * signature. What other providers sign stands there, too, marked by sign.h as theirs. Two marks
 * more stand before a foreign signature: "redacted:" (the part is REDACTED_THINKING), and
 * "part:" (Gemini's: it belongs to the text or the call that stands before the item).
 */
#ifndef SF_TRANSLATE_RESPONSES_INT_H
#define SF_TRANSLATE_RESPONSES_INT_H

#include "translate/chat_int.h"
#include "translate/jw.h"
#include "translate/messages_int.h"
#include "translate/stream.h"

/* What the client of a Responses call wrote, for what its replies repeat (canon_request.echo); NULL
 * where another wire has read the request. */
yyjson_val *responses_echo(const struct canon_call *c);

/* --- responses.c --- */

/* Where a reader stands: a member or an element of that (translate/messages_int.h). */
#define IN(at, member) (&(const struct place){(at), (member), 0})
#define AT(at, index)  (&(const struct place){(at), NULL, (index)})
/* 400 "Missing required parameter: 'input[0].role'." */
int responses_missing(struct canon_call *c, const struct place *at, const char *member);
/* Both texts, whatever bytes are in them; p NULL when memory is out. */
struct str responses_join(
    struct arena *a, struct str first, const char *between, struct str second);
/* A member that is neither absent nor null; NULL. */
yyjson_val *responses_get(yyjson_val *obj, const char *name);
/* Appends a value to out as JSON. */
void responses_put_value(struct canon_call *c, struct jw *w, yyjson_val *v);

#define RESPONSES_ID_BYTES 64
/* "resp_sf" and the 32 digits of the request's id. */
struct str responses_id(const struct canon_call *c, char room[static RESPONSES_ID_BYTES]);
/* "msg_sf…0003": prefix names the kind of the item. */
struct str responses_item_id(const struct canon_call *c, const char *prefix, unsigned i,
    char room[static RESPONSES_ID_BYTES]);

/* How an error object's code is told to others: its HTTP status. */
int responses_error_status(struct str code);
/* Of an object {code, message, …}; the status stays. */
void responses_read_error_object(struct canon_call *c, yyjson_val *v, struct error *ret);
/* --- requests --- */

int responses_read_request(struct canon_call *c, struct str body, struct canon_request *ret);
/* Appends the messages of input. */
int responses_read_input(struct canon_call *c, struct canon_message **tail, yyjson_val *input);
int responses_read_tools(struct canon_call *c, struct canon_request *q, yyjson_val *tools);
/* A tool in a group of tools as others know it, and back: its own name, and its group (or none). */
struct str responses_full_name(struct canon_call *c, struct str space, struct str name);
struct str responses_split_name(const struct canon_call *c, struct str full, struct str *ret_space);
int responses_read_tool_choice(struct canon_call *c, struct canon_request *q, yyjson_val *v);
int responses_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out);
/* "tools" and "tool_choice", nothing where there are none. */
int responses_write_tools(struct canon_call *c, const struct canon_request *q, struct jw *w);
int responses_write_input(struct canon_call *c, const struct canon_request *q, struct jw *w);
/* The texts of the system messages that stand first; p NULL = none. */
struct str responses_instructions(
    struct canon_call *c, const struct canon_request *q, const struct canon_message **ret_rest);
/* The declaration of a free-form tool of that name; NULL. */
const struct canon_tool *responses_custom_tool(const struct canon_request *q, struct str name);

/* --- parts, shared by requests and replies (responses_parts.c) --- */

/* Appends what a reasoning item says to the list. before: the last part in front of it, or NULL.
 * 1 = it was the signature of that one; 0 with nothing appended = it says nothing. */
int responses_read_reasoning(
    struct canon_call *c, yyjson_val *item, struct canon_part ***tail, struct canon_part *before);
/* Its text: of its content, or else of its summary. */
struct str responses_reasoning_text(struct arena *a, yyjson_val *item);
/* Whose signature encrypted_content is, and which part it makes (REDACTED_THINKING or THINKING;
 * TEXT: it belongs to the part before). */
enum canon_part_kind responses_open_signature(
    struct canon_call *c, struct str encrypted, enum canon_maker *ret_maker, struct str *ret_own);
/* The reverse: encrypted_content of a part in a client's reply; p NULL = none. */
struct str responses_seal_signature(
    struct canon_call *c, enum canon_part_kind kind, enum canon_maker maker, struct str own);
/* The annotations of an output_text, onto the part, whose text is there. Lenient. */
int responses_read_annotations(struct canon_call *c, yyjson_val *list, struct canon_part *p);
/* One; NULL where memory is out. text is what its places count in. */
struct canon_citation *responses_read_annotation(
    struct canon_call *c, yyjson_val *v, struct str text);
/* false, and nothing written, where it has no place in this dialect. */
bool responses_put_annotation(struct jw *w, const struct canon_citation *x, struct str text);

/* --- replies --- */

int responses_read_reply(struct canon_call *c, struct str body, struct canon_reply *ret);
int responses_write_reply(struct canon_call *c, const struct canon_reply *r, struct buf *out);
/* The parts of one output item. */
int responses_read_item(struct canon_call *c, yyjson_val *item, struct canon_part ***tail);
void responses_read_usage(yyjson_val *v, struct usage *u);
/* What ended it: by status, reason and whether a tool was called. */
enum canon_finish responses_finish(struct str status, struct str reason, bool called);

enum responses_status { RESPONSE_RUNS, RESPONSE_COMPLETED, RESPONSE_INCOMPLETE, RESPONSE_FAILED };

struct responses_object {
    enum responses_status status;
    enum canon_finish finish;
    int64_t created;
    struct str output;         /* the items, with commas, without brackets */
    const struct usage *usage; /* NULL = not known */
    struct str service_tier;
};
/* The whole object. */
int responses_put_object(struct canon_call *c, struct jw *w, const struct responses_object *o);
enum responses_status responses_status_of(enum canon_finish f);

/* --- streams --- */

int responses_read_event(struct canon_stream *s, struct str event, struct str data);
int responses_write_event(struct canon_stream *s, const struct canon_event *e, struct buf *out);

/* Output items as JSON (responses_object.c): what the reply has, and the stream's last words. */
void responses_put_text_part(
    struct jw *w, bool refusal, struct str text, struct str annotations, struct str logprobs);
void responses_put_reasoning(struct jw *w, struct str id, struct str text, struct str encrypted);
/* input: the arguments, or a free-form tool's input. status "in_progress": none is said yet. */
void responses_put_call(const struct canon_call *c, struct jw *w, bool custom, struct str id,
    const struct canon_part *p, struct str input, const char *status);
void responses_put_image(struct jw *w, struct str id, struct str mime, struct str data);

#endif
