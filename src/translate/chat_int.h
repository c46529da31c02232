/*
 * OpenAI's chat completions, as clients write them and as the many compatible providers read them.
 * What the files of this wire share:
 *
 *   chat_request.c, chat_messages.c   a client's request ──▶ canonical
 *   chat_write.c, chat_write_messages.c   canonical ──▶ a provider's request
 *   chat_reply.c, chat_stream.c       a provider's reply or stream ──▶ canonical
 *   chat_write_reply.c, chat_write_stream.c   canonical ──▶ what the client gets
 *   chat_think.c                      thinking, under the names that the dialects of chat gave it
 *   chat_tools.c                      tools, names and ids of calls
 *   chat_declare.c                    their declarations, and the choice among them
 *   chat_media.c                      pictures, documents, audio, video
 *   completions.c                     the older text completions, in front alone
 *   chat_quirks.c                     what each provider takes, as data
 *   chat_fit.c, chat_fit_deep.c       whether a client's body may go there as it came (chat.h)
 */
#ifndef SF_TRANSLATE_CHAT_INT_H
#define SF_TRANSLATE_CHAT_INT_H

#include "base/limits.h"
#include "base/macros.h"
#include "translate/jw.h"
#include "translate/stream.h"
#include "translate/wire.h"

/* The signatures of its thinking_blocks are Anthropic's where they do not say otherwise. */
#define CHAT_SIGNER MAKER_ANTHROPIC

/* --- quirks (chat_quirks.c) --- */

enum chat_flag {
    CHAT_NO_STREAM_OPTIONS = 1 << 0, /* usage comes in a stream without being asked for */
    CHAT_NEW_MAX_TOKENS = 1 << 1,    /* max_completion_tokens where nothing is known of the model */
    CHAT_OLD_MAX_TOKENS = 1 << 2,    /* knows max_tokens alone */
    CHAT_RANDOM_SEED = 1 << 3,       /* `random_seed` */
    CHAT_SAYS_ANY = 1 << 4,          /* "any" for "required" */
    CHAT_SHORT_IDS = 1 << 5,         /* ids of tool calls are 9 of [a-zA-Z0-9] */
    CHAT_ALTERNATES = 1 << 6,        /* user and assistant in turns; system messages first */
    CHAT_NO_SCHEMA = 1 << 7,         /* response_format json_object alone */
    CHAT_NO_DEVELOPER = 1 << 8,
    CHAT_NO_NAMES = 1 << 9,      /* messages[].name */
    CHAT_CUSTOM_TOOLS = 1 << 10, /* takes free-form tools, and allowed_tools */
    CHAT_NO_STRICT = 1 << 11,    /* tools[].function.strict */
    CHAT_CACHE_MARKS = 1 << 12,  /* cache_control on parts and tools */
    CHAT_ONE_ANSWER = 1 << 13,   /* no n */
    CHAT_NO_TOOL_CHOICE = 1 << 15,
    CHAT_NO_PARALLEL = 1 << 16,        /* parallel_tool_calls */
    CHAT_PLAIN_TEXT = 1 << 17,         /* several texts are one string */
    CHAT_NO_USER_AFTER_TOOL = 1 << 18, /* what follows results joins the last of them */
    CHAT_LOGPROBS_NUMBER = 1 << 19,    /* `logprobs` says how many */
    CHAT_MISTRAL_MEDIA = 1 << 20,      /* document_url, file_id and audio of its own shape */
    CHAT_URL_FILES = 1 << 21,          /* file_data may be an address */
    CHAT_VIDEO = 1 << 22,              /* video_url */
    CHAT_HIDES_THINKING = 1 << 23,     /* never shows it: a summary cannot be had */
    CHAT_ELSE_NATIVE = 1 << 25,        /* what it lacks here, the provider's own dialect has */
    CHAT_DATA_IMAGES = 1 << 26,        /* pictures as data: URLs alone */
    CHAT_SAYS_ENABLED = 1 << 27,       /* reasoning: {enabled} */
};

/* How thinking of earlier turns is given back. */
enum chat_history {
    HISTORY_NONE,
    HISTORY_CONTENT,   /* reasoning_content on each assistant message */
    HISTORY_OF_TOOLS,  /* the same, within turns that called tools */
    HISTORY_REASONING, /* `reasoning` */
    HISTORY_DETAILS,   /* reasoning_details */
    HISTORY_CHUNKS,    /* parts of the content, of type "thinking" */
};

/* How effort is asked for. */
enum chat_think { THINK_EFFORT, THINK_OBJECT, THINK_SWITCH };

struct chat_quirks {
    struct str provider;
    uint32_t flags;
    uint32_t lacks;      /* 1 << PARAM_…: what it does not take */
    uint32_t model_flag; /* of models that take even less: … */
    uint32_t model_lacks;
    bool model_no_stop;
    uint8_t efforts; /* 1 << EFFORT_…: those that it knows */
    enum chat_history history;
    enum chat_think think;
};

const struct chat_quirks *chat_quirks_of(struct str provider);
/* Whether it takes a parameter, with this model. */
bool chat_takes(const struct model_facts *f, const struct chat_quirks *k, enum canon_param_id id);
/* Whether the provider knows its name at all, whatever the model. */
bool chat_knows(const struct chat_quirks *k, enum canon_param_id id);
bool chat_takes_stop(const struct model_facts *f, const struct chat_quirks *k);
/* 1 = the model has the ability, 0 = it has not, -1 = nothing is known of it. */
int chat_model_has(const struct model_facts *f, uint32_t flag);
/* The nearest effort that provider and model know; EFFORT_UNSET = say none. */
enum canon_effort chat_nearest_effort(
    const struct model_facts *f, const struct chat_quirks *k, enum canon_effort wanted);

/* Whether it is known that this effort is refused. */
bool chat_refuses_effort(
    const struct model_facts *f, const struct chat_quirks *k, enum canon_effort e);

/* --- tools (chat_tools.c) --- */

/* The reader's place in a request, for messages about what is wrong there. */
struct chat_at {
    unsigned message;
    const char *list; /* "content", "tool_calls"; NULL = the message itself */
    unsigned index;
};

/* 400 naming "messages[2].content[0].text"; member NULL = the element itself. */
int chat_fail_at(
    struct canon_call *c, const struct chat_at *at, const char *member, const char *why);

/* One of tool_calls. at NULL: in a reply, read leniently; then 1 means that it is none. */
int chat_read_call(
    struct canon_call *c, const struct chat_at *at, yyjson_val *v, struct canon_part ***tail);
/* Arguments as a JSON object; {} for what is none, and *ret_bad then. */
struct str chat_arguments(struct arena *a, yyjson_val *v, bool *ret_bad);
/* Takes Gemini's signature out of "<id>__thought__<signature>". */
struct str chat_split_id(struct str id, struct str *ret_signature);
void chat_write_call(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_part *p, struct jw *w);
/* Whether the provider takes an id as it is, and the id as it takes it. */
bool chat_takes_id(const struct chat_quirks *k, struct str id);
struct str chat_id_out(struct canon_call *c, const struct chat_quirks *k, struct str id);
/* A name with nothing but [A-Za-z0-9_-] in it, at most 64; and back, by the request's tools. */
struct str chat_name_out(struct canon_call *c, struct str name);
struct str chat_name_in(const struct canon_call *c, struct str name);
/* The provider takes no free-form tools: they are functions of one text, `input`. */
bool chat_is_wrapped(const struct canon_call *c, struct str name);
/* That text; p NULL when arguments have none. */
struct str chat_unwrap(struct arena *a, struct str arguments);
/* The "tools", "tool_choice" and "parallel_tool_calls" members. */
int chat_write_tools(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_request *q, struct jw *w);
/* "tools", "tool_choice", "functions", "function_call". */
int chat_read_tools(struct canon_call *c, yyjson_val *v, struct canon_request *q);
int chat_read_functions(struct canon_call *c, yyjson_val *v, struct canon_request *q);
int chat_read_tool_choice(struct canon_call *c, yyjson_val *v, struct canon_request *q);
int chat_read_function_call(struct canon_call *c, yyjson_val *v, struct canon_request *q);

/* --- thinking (chat_think.c) --- */

/* The thinking of a message, from whichever member has it; in the order of trust: thinking_blocks,
 * reasoning_details, reasoning_content, reasoning. */
int chat_read_thinking(struct canon_call *c, yyjson_val *message, struct canon_part ***tail);
/* Gemini's signatures of calls, which reasoning_details has by their id. */
void chat_sign_calls(yyjson_val *message, struct canon_part *parts);
/* "reasoning_content" and "thinking_blocks" of a reply. */
void chat_write_thinking(struct canon_call *c, const struct canon_part *parts, struct jw *w);
/* An element of thinking_blocks. */
void chat_write_block(struct canon_call *c, const struct canon_part *p, struct jw *w);
/* Thinking of an earlier turn, as the provider takes it back; of_tools: the turn called tools. */
int chat_write_history(struct canon_call *c, const struct chat_quirks *k,
    const struct canon_part *parts, bool of_tools, struct jw *w);
enum canon_maker chat_maker_of_format(struct str format);
bool chat_has_kind(const struct canon_part *parts, enum canon_part_kind kind);
/* The texts of all parts of one kind, one behind the other; p NULL = there is none. */
struct str chat_join(
    struct canon_call *c, const struct canon_part *parts, enum canon_part_kind kind, char between);

/* --- messages --- */

/* What has a name of its own in each client's dialect, for errors and declared losses. */
enum chat_word {
    CHAT_STOP,
    CHAT_N,
    CHAT_REASONING,
    CHAT_SCHEMA,
    CHAT_CHOICE,
    CHAT_PARALLEL,
    CHAT_STRICT,
    CHAT_CUSTOM_FORMAT,
    CHAT_WORDS
};
struct str chat_client_word(const struct canon_request *q, enum chat_word what);

int chat_read_messages(struct canon_call *c, yyjson_val *v, struct canon_request *q);
int chat_write_messages(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_request *q, struct jw *w);
enum canon_cache chat_read_cache(yyjson_val *object);
/* The members of a part that is a picture, a document, audio or video. */
int chat_write_media(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_part *p, struct jw *w);

/* --- replies --- */

/* *u stays as it is where o is no report of usage. */
void chat_read_usage(yyjson_val *o, struct usage *u);
enum service_tier chat_tier(struct str word);
void chat_write_usage(const struct usage *u, struct jw *w);
enum canon_finish chat_read_finish(struct str word, bool calls_tools);
struct str chat_finish_word(enum canon_finish f, bool calls_tools, bool legacy);
/* The citations in "annotations" of text; raw values live as long as a. */
struct canon_citation *chat_read_annotations(struct arena *a, yyjson_val *list, struct str text);
/* Of Perplexity's "search_results" and "citations", beside the choices. */
struct canon_citation *chat_read_sources(struct arena *a, yyjson_val *root, struct str text);
/* A picture as OpenRouter shows it: an element of "images". */
void chat_write_image(const struct canon_media *m, struct str data, struct jw *w);
/* An annotation of the characters [from, to); from < 0: of no place in particular. */
void chat_write_annotation(const struct canon_citation *t, int64_t from, int64_t to, struct jw *w);
/* How many characters begin before the byte n. */
int64_t chat_chars_before(struct str text, int64_t n);
/* The words of a content that is a string or a list of parts, thinking apart; appended to *tail. */
int chat_read_content(struct canon_call *c, yyjson_val *content, struct canon_part ***tail);

/* The body of a request, which has to be an object. */
int chat_parse(struct canon_call *c, struct str body, yyjson_val **ret);
/* One of its members; *extras is where the next unknown one goes. */
int chat_read_member(struct canon_call *c, struct str name, yyjson_val *v, struct canon_request *q,
    struct canon_extra ***extras);

/* The wire's functions. */
int chat_read_request(struct canon_call *c, struct str body, struct canon_request *ret);
int chat_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out);
int chat_read_reply(struct canon_call *c, struct str body, struct canon_reply *ret);
int chat_write_reply(struct canon_call *c, const struct canon_reply *r, struct buf *out);
int chat_read_event(struct canon_stream *s, struct str event, struct str data);
int chat_write_event(struct canon_stream *s, const struct canon_event *e, struct buf *out);
void chat_read_error(
    struct canon_call *c, int status, struct str type_field, struct str body, struct error *ret);
/* The same of a value that was parsed: root has a member "error", or is one. */
void chat_read_error_value(struct arena *a, int status, yyjson_val *root, struct error *ret);

#endif
