/*
 * The inside of the demo provider. One struct demo_call lives for one request, on the stack of its
 * coroutine; it owns its buffers, and everything else in it is a view of the request's body.
 *
 *   demo.c       look up the endpoint, read the body, find the directions, call the handler
 *   request.c    members of the JSON body; directions.c what a test asks for in "demo:..."
 *   prompt*.c    the facts of a prompt in each dialect → struct prompt
 *   answer.c     struct prompt + directions → struct answer: text or tool calls, token counts
 *   reply.c      how bytes leave: plain or as a stream, with all the faults that directions ask for
 *   openai_*.c, anthropic*.c, gemini*.c, realtime.c   render an answer in a dialect
 *   store.c      the objects that have an id: files, batches, responses, conversations
 *
 * Handlers write a body into c->out and end with demo_reply(), or begin with demo_stream_begin()
 * and call demo_event() for each event. Those, and nothing else here, suspend.
 */
#ifndef SF_DEMO_DEMO_INT_H
#define SF_DEMO_DEMO_INT_H

#include "demo/store_int.h"
#include "http/server.h"
#include "llm/endpoint.h"
#include "json/scan.h"

#define DEMO_CREATED  1700000000 /* every object is this old: replies repeat byte by byte */
#define DEMO_DATE     "2023-11-14T22:13:20Z"
#define DEMO_CALLS    16         /* tool calls in one answer */
#define DEMO_CHOICES  16         /* "n" */
#define DEMO_SIZE_MAX (64 * MIB) /* of a reply text that a direction asks for */
#define DEMO_OUT_MAX  (256 * MIB)
#define DEMO_PIECES   1024 /* a longer text is streamed in this many pieces */

/* --- members of a JSON body, of all dialects --- */

enum demo_field {
    F_MODEL,
    F_MESSAGES,
    F_SYSTEM,
    F_STREAM,
    F_INCLUDE_USAGE,
    F_USER,
    F_USER_ID,
    F_TOOLS,
    F_TOOL_CHOICE,
    F_RESPONSE_FORMAT,
    F_MAX_TOKENS,
    F_MAX_COMPLETION_TOKENS,
    F_N,
    F_LOGPROBS,
    F_THINKING,
    F_INPUT,
    F_INSTRUCTIONS,
    F_PREVIOUS_RESPONSE_ID,
    F_CONVERSATION,
    F_BACKGROUND,
    F_TEXT,
    F_MAX_OUTPUT_TOKENS,
    F_PROMPT,
    F_CONTENTS,
    F_SYSTEM_INSTRUCTION,
    F_GENERATION_CONFIG,
    F_ENCODING_FORMAT,
    F_DIMENSIONS,
    F_TOOL_CONFIG,
    F_STORE,
    F_STOP,
    F_STOP_SEQUENCES,
    DEMO_FIELDS
};

/* --- directions --- */

enum demo_echo { ECHO_TEXT, ECHO_HEADERS, ECHO_BODY };

struct directions { /* numbers: -1 = not given */
    int64_t delay_ms, chunks, interval_ms, error_after, cut_after, stall_after, size;
    int64_t usage_in, usage_out;
    int64_t lie_length; /* added to content-length; 0 = the truth */
    int status, retry_after;
    bool no_usage, gzip, bad_json;
    enum demo_echo echo;
};

void directions_init(struct directions *d);
/* Reads every "demo:" or "mock:" list in text; later ones win. */
void directions_read(struct directions *d, struct str text);

/* --- prompt and answer --- */

struct demo_tool {
    struct str name;   /* as in the request, escapes and all, without quotes */
    struct str schema; /* of its arguments; p NULL = none */
    bool custom;       /* OpenAI's custom tools take free text */
};

enum tool_choice { TOOLS_AUTO, TOOLS_NONE, TOOLS_ANY, TOOLS_NAMED };

struct prompt {
    struct buf user, tool_result; /* decoded text of the last turn */
    bool after_tool;              /* the last turn brings tool results */
    unsigned images, audios, files;
    uint64_t words;   /* of all texts */
    struct str tools; /* the array, p NULL = none */
    enum tool_choice choice;
    struct str choice_name;
    bool wants_json;
    struct str schema;   /* with wants_json: p NULL = any object */
    uint64_t max_tokens; /* 0 = not given */
    struct str stop;     /* a string literal or an array of them */
    bool thinking;
};

enum finish { FINISH_STOP, FINISH_LENGTH, FINISH_TOOLS, FINISH_SEQUENCE };

struct answer {
    struct buf text;
    struct buf args[DEMO_CALLS]; /* JSON, one a call */
    struct demo_tool calls[DEMO_CALLS];
    unsigned n_calls;
    enum finish finish;
    struct str stop_text; /* FINISH_SEQUENCE: the literal that was met */
    uint64_t tokens_in, tokens_out, tokens_thought;
    size_t pieces; /* a stream sends the text in so many */
};

struct gzip;
struct form;

struct demo_call {
    struct http_request *rq;
    struct endpoint_match match;
    enum dialect dialect;
    struct str body;
    bool is_json;
    struct json_span fields[DEMO_FIELDS];
    struct directions dir;
    struct prompt prompt;
    struct answer *answer; /* NULL for endpoints that answer no prompt */
    uint64_t hash;         /* of the body: ids come from it */
    struct str model;      /* a JSON string literal */
    struct buf model_text; /* where it lies when the path named it */
    struct buf out;        /* the reply, or the events that wait to be sent */
    /* emission */
    enum stream_style style;
    bool streaming, done;
    bool json_array; /* Gemini's other form of a stream */
    unsigned events;
    uint64_t sent, sequence;
    int64_t due;
    struct gzip *gzip;
    struct form *form;      /* NULL = the body is none */
    struct str more_fields; /* of the reply's head */
    struct ws *ws;          /* NULL = HTTP: events go there instead */
};

/* demo.c. A WebSocket makes one for every message. */
void call_init(struct demo_call *c, struct http_request *rq);
void call_free(struct demo_call *c);

/* request.c */
int request_parse(struct demo_call *c); /* fills is_json, fields, model; -EINVAL: not JSON */
struct str field(const struct demo_call *c, enum demo_field f); /* raw value; p NULL when absent */
bool field_true(const struct demo_call *c, enum demo_field f);
uint64_t field_u64(const struct demo_call *c, enum demo_field f, uint64_t otherwise);
struct str unquoted(struct str literal); /* between its quotes; empty for anything else */
bool literal_is(struct str literal, struct str text);
void add_decoded(struct buf *out, struct str literal); /* the text of a string literal */
/* json_next() for texts that were scanned already; skips long strings faster. */
bool next_child(struct str container, size_t *at, struct str *ret_key, struct str *ret_value);
uint64_t value_u64(struct str value, uint64_t otherwise);
uint64_t count_words(struct str s);
bool has_folded(struct str s, struct str lower); /* lower, letter case of s ignored */

/* prompt.c and its dialects: what the request says */
void prompt_read(struct demo_call *c);
void prompt_free(struct prompt *p);
/* The member a, else b: Google's JSON takes the names of fields in both of its spellings. */
struct str first_of(struct str object, struct str a, struct str b);
void prompt_text(struct prompt *p, struct str literal, bool last_user);
void prompt_openai_chat(struct demo_call *c);
void prompt_openai_responses(struct demo_call *c);
void prompt_anthropic(struct demo_call *c);
void prompt_gemini(struct demo_call *c);
uint64_t prompt_gemini_words(struct str request); /* of its content or contents */
/* Fills up to max tools of any dialect's array. */
unsigned tools_read(struct str array, struct demo_tool *out, unsigned max);
bool tool_read(struct str item, struct demo_tool *out);

/* answer.c */
struct answer *answer_make(struct demo_call *c); /* NULL: out of memory */
void answer_free(struct answer *a);
/* Cuts the next of left pieces off *rest. */
struct str answer_piece(struct str *rest, uint64_t *words_left, size_t *pieces_left);
void sample_json(struct buf *out, struct str schema); /* a value that fits the schema */

/* reply.c */
bool demo_ready(struct demo_call *c); /* waits, or fails the call as directed: then false */
void demo_reply(struct demo_call *c, int status, struct str content_type);
void demo_json(struct demo_call *c); /* 200 and JSON */
void demo_stream_begin(struct demo_call *c, struct str content_type, enum stream_style style);
/* An event has been written to c->out. False: the stream is over, write nothing more. */
bool demo_event(struct demo_call *c);
void demo_stream_end(struct demo_call *c);

/* gzip.c */
struct gzip *gzip_new(void);
void gzip_free(struct gzip *z);
int gzip_add(struct gzip *z, struct str in, bool last, struct buf *out);

/* errors.c */
void demo_error(struct demo_call *c, int status, const char *message);
void demo_not_found(struct demo_call *c, const char *what);
void error_body(struct demo_call *c, int status, const char *message);
void error_event(struct demo_call *c);

/* ids: "chatcmpl-" and 24 hex digits of the body's hash, or of a count for stored objects */
void put_id(struct demo_call *c, struct buf *out, const char *prefix);
void new_id(const char *prefix, char out[static 48]);

#define put(c, lit)    buf_addstr(&(c)->out, STR(lit))
#define putf(c, ...)   buf_printf(&(c)->out, __VA_ARGS__)
#define put_str(c, s)  buf_addstr(&(c)->out, s)
#define put_json(c, s) buf_addjson(&(c)->out, s)

/* The value as it was sent, or otherwise (a literal). */
void demo_put_raw(struct demo_call *c, struct str value, const char *otherwise);

/* --- handlers: one a kind of endpoint --- */

void openai_chat(struct demo_call *c);
void openai_completions(struct demo_call *c);
void openai_responses(struct demo_call *c);
void openai_response_by_id(struct demo_call *c);
void openai_response_aux(struct demo_call *c);
void openai_responses_ws(struct demo_call *c);
void openai_conversations(struct demo_call *c);
void openai_embeddings(struct demo_call *c);
void openai_moderations(struct demo_call *c);
void openai_transcription(struct demo_call *c);
void openai_speech(struct demo_call *c);
void openai_images(struct demo_call *c);
void openai_rerank(struct demo_call *c);
void openai_uploads(struct demo_call *c);
void openai_batches(struct demo_call *c);
void openai_realtime(struct demo_call *c);
void openai_realtime_ws(struct demo_call *c);
void demo_models(struct demo_call *c);
void demo_model(struct demo_call *c);
void demo_files(struct demo_call *c);
void anthropic_messages(struct demo_call *c);
void anthropic_count(struct demo_call *c);
void anthropic_batches(struct demo_call *c);
void anthropic_complete(struct demo_call *c);
void gemini_generate(struct demo_call *c);
void gemini_count(struct demo_call *c);
void gemini_embed(struct demo_call *c);
void gemini_other(struct demo_call *c);
void gemini_upload(struct demo_call *c);
void gemini_batches(struct demo_call *c);

/* gemini.c: the bodies alone, into c->out */
void gemini_generate_put(struct demo_call *c);
void gemini_values_put(struct demo_call *c, struct str request);
/* gemini_other.c: a file's object, into c->out */
void gemini_file_put(struct demo_call *c, const char *name, bool generated);
/* batches.c: answers one request of a batch into out, as render puts it into its c->out. */
bool batch_answer(
    struct demo_call *c, struct str body, void (*render)(struct demo_call *), struct buf *out);

/* A form of multipart/form-data, read whole. */
struct form_field {
    struct str name, filename, type;
    struct str value; /* view into the body; of the first 32 parts */
};
struct form {
    struct form_field at[32];
    unsigned n;
    struct buf names; /* names, file names and types */
};
struct form *form_read(struct demo_call *c); /* NULL: not a form */
void form_free(struct form *f);
struct str form_value(const struct form *f, struct str name); /* p NULL when absent */
const struct form_field *form_file(const struct form *f);     /* the first file, or NULL */

/* files.c: the list of a kind in the dialect's envelope. */
void demo_list(struct demo_call *c, enum store_kind k);

/* A vector of n numbers in [-0.1, 0.1] that depends on text alone. */
uint64_t text_hash(struct str s);
double vector_at(uint64_t hash, unsigned i);

#endif
