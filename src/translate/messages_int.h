/*
 * What the files of wire_messages share. Reading: a struct place is where the reader stands, as a
 * chain on the stack, made into a path ("messages[2].content[0].source") only where a fault or a
 * loss has to be named. Writing: names and ids as Anthropic takes them, the plan of how to think,
 * and whether a schema goes through a forced tool.
 */
#ifndef SF_TRANSLATE_MESSAGES_INT_H
#define SF_TRANSLATE_MESSAGES_INT_H

#include "translate/jw.h"
#include "translate/messages.h"
#include "translate/stream.h"

#include <errno.h>

#define MESSAGES_OPEN_OBJECT STR("{\"type\":\"object\",\"additionalProperties\":true}")
#define JSON_TOOL            STR("json_tool_call") /* answers in a schema, of models that know no format */

/* --- reading a request (messages_request.c, messages_blocks.c) --- */

struct place {
    const struct place *up; /* NULL: the body */
    const char *name;       /* of a member; NULL: i is an index */
    size_t i;
};

struct messages_reader {
    struct canon_call *c;
    struct canon_request *q;
    struct canon_extra **extras; /* where the next one goes */
    unsigned inner_n;            /* those that are not the body's own members */
};

struct str place_path(struct canon_call *c, const struct place *at);
/* canon_fail(): what stands at a place is not what ("a string"). */
int place_wrong(struct canon_call *c, const struct place *at, const char *what);
/* A member of obj that must be a string, where it is there: 0, and p NULL where it is not. */
int place_str(struct canon_call *c, yyjson_val *obj, const struct place *at, const char *name,
    struct str *ret);
/* Keeps a member that has no place in the canonical form, so that it is declared as lost. */
int messages_extra(struct messages_reader *rd, const struct place *at, yyjson_val *v);
/* Those members of obj that are not in the list of known, which ends with NULL. */
int messages_others(
    struct messages_reader *rd, yyjson_val *obj, const struct place *at, const char *const *known);

int messages_read_cache(
    struct messages_reader *rd, yyjson_val *obj, const struct place *at, enum canon_cache *ret);
/* A string or an array of blocks into the list at *tail. */
int messages_read_content(
    struct messages_reader *rd, yyjson_val *v, const struct place *at, struct canon_part ***tail);
/* One citation, of a request or a reply; NULL: memory is out. */
struct canon_citation *messages_read_citation(struct canon_call *c, struct arena *a, yyjson_val *v);

/* --- names and ids (messages_names.c) --- */

/* What Anthropic takes: [A-Za-z0-9_-], at most 128. Others are changed, the same each time. */
struct str messages_name_out(struct canon_call *c, struct str name);
/* The name that the client knows the tool by. */
struct str messages_name_in(struct canon_call *c, struct str shown);
/* The tool that the client declared under a name; NULL: none. */
const struct canon_tool *messages_tool(const struct canon_call *c, struct str name);
struct str messages_id_fit(struct canon_call *c, struct str id); /* likewise, of an id */
/* Clients of this dialect keep a foreign signature of a call inside its id. */
struct str messages_id_out(struct canon_call *c, const struct canon_part *p);
int messages_id_in(struct canon_call *c, struct str shown, struct canon_part *p);

/* --- writing a request --- */

enum messages_thinking { THINK_UNSAID, THINK_OFF, THINK_BUDGET, THINK_ADAPTIVE };

/* What is sent of thinking, tool choice and format, which hang together (messages_plan.c). */
struct messages_plan {
    int64_t max_tokens;
    enum messages_thinking thinking;
    int64_t budget;
    struct str display;
    enum canon_effort effort; /* EFFORT_UNSET: output_config has none */
    bool json_tool, json_format;
    enum canon_choice_mode choice; /* TOOLS_UNSET: none is sent */
    bool free;                     /* what would force a tool only allows it */
};

/* What the client called something: as its reader noted it, else as its dialect calls it. */
struct str messages_called(
    const struct canon_request *q, struct str called, const char *openai, const char *gemini);
int messages_plan(struct canon_call *c, const struct canon_request *q, struct messages_plan *ret);
/* Whether replies to this request bring their JSON in a call of JSON_TOOL. */
bool messages_json_tool(const struct canon_call *c, const struct canon_request *q);

struct messages_writer {
    struct canon_call *c;
    const struct canon_request *q;
    enum messages_form form;
    struct messages_plan plan;
    bool no_marks;       /* what is written lies in something that bears one itself */
    unsigned marks_skip; /* cache marks that are left out: there are that many too many */
    struct jw w;
};

/* The members that come first: the model, or the version. */
void messages_write_envelope(const struct canon_call *c, enum messages_form form, struct jw *w);
/* "anthropic_beta", which stands in bodies for Bedrock, into c->betas. NULL: none. */
int messages_read_betas(struct canon_call *c, yyjson_val *list);
/* A schema as the models are held to it; called: the client's name of what holds it. */
int messages_schema(struct canon_call *c, struct str raw, struct str called, struct str *ret);
void messages_write_cache(struct messages_writer *mw, enum canon_cache cache);
/* Tools and the choice among them (messages_tools.c). marks_skip: cache marks of tools that are
 * left out. *ret_any: there is one besides JSON_TOOL. */
int messages_write_tools(struct messages_writer *mw, unsigned marks_skip, bool *ret_any);
void messages_write_choice(struct messages_writer *mw, bool has_tools);
/* An extra that became a tool: OpenAI's web_search_options. */
bool messages_is_search(const struct messages_writer *mw, const struct canon_extra *x);
/* The last turn is the assistant's: it is to be gone on with. */
bool messages_prefill(const struct canon_request *q);
int messages_write_system(struct messages_writer *mw);
int messages_write_turns(struct messages_writer *mw);
int messages_write_request(
    struct canon_call *c, const struct canon_request *q, enum messages_form form, struct buf *out);
int messages_read_request(struct canon_call *c, struct str body, struct canon_request *q);

/* --- replies and streams --- */

int messages_read_reply(struct canon_call *c, struct str body, struct canon_reply *r);
int messages_write_reply(struct canon_call *c, const struct canon_reply *r, struct buf *out);
int messages_read_event(struct canon_stream *s, struct str event, struct str data);
int messages_write_event(struct canon_stream *s, const struct canon_event *e, struct buf *out);

/* An event for the client: its data stands behind what begin returns. */
size_t messages_begin_event(struct canon_stream *s, const char *name, struct buf *out);
int messages_end_event(struct canon_stream *s, size_t start, struct buf *out);

void messages_read_usage(yyjson_val *v, struct usage *u);
/* The members of a usage object, its braces with them. */
void messages_write_usage(struct jw *w, const struct usage *u, bool delta);
enum canon_finish messages_finish_in(struct str stop_reason);
struct str messages_finish_out(enum canon_finish f, bool has_calls);
struct str messages_reply_id(struct canon_call *c, struct str id);
void messages_write_citation(struct jw *w, const struct canon_citation *t);
bool messages_can_cite(const struct canon_citation *t);
/* The text that a call of JSON_TOOL or of a custom tool stands for, out of its arguments. */
struct str messages_custom_text(struct arena *a, struct str arguments);

void messages_read_error(
    struct canon_call *c, int status, struct str type_field, struct str body, struct error *ret);
void messages_word_error(struct canon_call *c, struct error *e);

#endif
