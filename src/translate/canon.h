/*
 * The canonical form: what a model call and its reply say, whatever dialect they are written in.
 * Each wire (translate/wire.h) reads its dialect into it and writes it out again, so that N wires
 * need N readers and N writers, never N × N. It holds what any of the dialects can say; what a
 * wire cannot express it declares as a loss (canon_drop), and never leaves out silently.
 *
 * Memory: everything lies in the arena of struct canon_call. Texts are decoded (UTF-8, no JSON
 * escapes); a member called "raw" is valid JSON text, minified, with members in the order and
 * numbers in the digits that the sender wrote. p NULL means absent, n 0 with p means empty.
 * Lists are singly linked in the sender's order.
 */
#ifndef SF_TRANSLATE_CANON_H
#define SF_TRANSLATE_CANON_H

#include "base/arena.h"
#include "base/error.h"
#include "llm/prices.h"
#include "llm/usage.h"
#include "json/scan.h"

struct wire;

/* --- messages --- */

enum canon_role { ROLE_SYSTEM, ROLE_DEVELOPER, ROLE_USER, ROLE_ASSISTANT };

enum canon_part_kind {
    PART_TEXT,
    PART_REFUSAL,
    PART_IMAGE,
    PART_DOCUMENT,
    PART_AUDIO,
    PART_VIDEO,
    PART_TOOL_CALL,
    PART_TOOL_RESULT,       /* stands in a user message, results first */
    PART_THINKING,          /* text may be empty where a signature stands for it */
    PART_REDACTED_THINKING, /* text is the opaque data */
};

/* A mark that the prompt up to and with this part should be cached. */
enum canon_cache { CACHE_NONE, CACHE_5M, CACHE_1H };

/* Whose signature it is: a provider takes back only its own (sign.h). */
enum canon_maker { MAKER_NONE, MAKER_ANTHROPIC, MAKER_GEMINI, MAKER_OPENAI, MAKER_OTHER };

enum canon_media_source { MEDIA_BASE64, MEDIA_URL, MEDIA_FILE_ID, MEDIA_TEXT };

struct canon_media {
    enum canon_media_source source;
    struct str mime;    /* "image/png"; empty where a URL does not say */
    struct str data;    /* base64 as it came, the URL, the id or the text */
    struct str name;    /* file name or title */
    struct str detail;  /* of an image: low, high, auto */
    struct str context; /* Anthropic: what a document is about */
    bool citations;     /* Anthropic: cite from it */
};

struct canon_citation {
    struct canon_citation *next;
    struct str url, title, quote; /* any may be empty */
    int64_t from, to;             /* bytes of the part's text that it stands for, or -1 */
    struct str raw;               /* as the provider wrote it, in the dialect of maker */
    enum canon_maker maker;
};

struct canon_part {
    struct canon_part *next;
    enum canon_part_kind kind;
    enum canon_cache cache;
    struct str text;        /* TEXT, REFUSAL, THINKING, REDACTED_THINKING */
    struct str signature;   /* THINKING; Gemini's stands on TEXT and TOOL_CALL, too */
    enum canon_maker maker; /* of the signature or the redacted data */
    struct canon_media media;
    struct str id, name;        /* TOOL_CALL, TOOL_RESULT (its name may have to be looked up) */
    struct str raw;             /* TOOL_CALL: the arguments, a JSON object; custom tools: NULL */
    bool is_custom;             /* a free-form tool: text is its input */
    bool is_error;              /* TOOL_RESULT */
    struct canon_part *content; /* TOOL_RESULT: its parts */
    struct canon_citation *citations;
};

struct canon_message {
    struct canon_message *next;
    enum canon_role role;
    struct str name;
    struct canon_part *parts;
};

/* --- tools --- */

struct canon_tool {
    struct canon_tool *next;
    struct str name, description;
    struct str raw;    /* its JSON schema; NULL = none */
    int strict;        /* -1 = not said */
    bool is_custom;    /* takes free text */
    struct str native; /* a server tool (web_search, …): its declaration as it came, else NULL */
    struct str type;   /* of a native one: "web_search_20250305" */
    enum canon_maker maker; /* whose server tool it is */
    enum canon_cache cache;
};

enum canon_choice_mode {
    TOOLS_UNSET,
    TOOLS_AUTO,
    TOOLS_REQUIRED,
    TOOLS_NONE,
    TOOLS_ONE,     /* names[0] */
    TOOLS_ALLOWED, /* any of names; must = one has to be called */
};

struct canon_tool_choice {
    enum canon_choice_mode mode;
    bool must;
    unsigned names_n;
    const struct str *names;
    int parallel;                       /* -1 = not said, 0 = one call at a time, 1 */
    struct str called, parallel_called; /* what the sender called them; empty: "tool_choice", … */
};

/* --- parameters --- */

enum canon_effort {
    EFFORT_UNSET,
    EFFORT_NONE,
    EFFORT_MINIMAL,
    EFFORT_LOW,
    EFFORT_MEDIUM,
    EFFORT_HIGH,
    EFFORT_XHIGH,
    EFFORT_MAX,
};

enum canon_thinking { THINKING_UNSET, THINKING_OFF, THINKING_ON, THINKING_ADAPTIVE };

struct canon_reasoning {
    enum canon_effort effort;
    enum canon_thinking mode;
    int64_t budget; /* tokens; -1 = not said */
    struct str
        summary;       /* auto, concise, detailed, none; Anthropic's display: summarized, omitted */
    struct str called; /* what the sender called it: "reasoning_effort" */
};

enum canon_format { FORMAT_UNSET, FORMAT_TEXT, FORMAT_JSON, FORMAT_SCHEMA };

struct canon_response_format {
    enum canon_format kind;
    struct str name, description, raw; /* raw: the schema */
    int strict;                        /* -1 = not said */
    struct str called;                 /* what the sender called it: "response_format" */
};

/* A parameter that the reader knows by name and passes on as it is: numbers and short texts that
 * most dialects have under some name, and those that only a few have. */
enum canon_param_id {
    PARAM_TEMPERATURE,
    PARAM_TOP_P,
    PARAM_TOP_K,
    PARAM_SEED,
    PARAM_FREQUENCY_PENALTY,
    PARAM_PRESENCE_PENALTY,
    PARAM_LOGIT_BIAS,
    PARAM_LOGPROBS,     /* true or false */
    PARAM_TOP_LOGPROBS, /* a number */
    PARAM_USER,
    PARAM_METADATA, /* an object of texts */
    PARAM_SERVICE_TIER,
    PARAM_STORE,
    PARAM_PROMPT_CACHE_KEY,
    PARAM_PROMPT_CACHE_RETENTION,
    PARAM_VERBOSITY,
    PARAM_MODALITIES,
    PARAM_AUDIO,
    PARAM_PREDICTION,
    PARAM_SAFETY, /* Gemini's safetySettings */
    CANON_PARAMS
};

/* raw JSON of the value; name: what the sender called it, for messages and declared losses. */
struct canon_param {
    struct str raw, name;
};

/* A member of the request that has no place in the canonical form. */
struct canon_extra {
    struct canon_extra *next;
    struct str name, raw;
};

struct canon_request {
    struct str model;
    struct canon_message *messages; /* system messages where they stood */
    struct canon_tool *tools;
    struct canon_tool_choice tool_choice;
    struct canon_param param[CANON_PARAMS];
    int64_t max_tokens;         /* -1 = not said */
    struct str max_tokens_name; /* what the sender called it */
    unsigned stops_n;
    const struct str *stops;
    struct str stops_called; /* what the sender called them: "stop" */
    unsigned n;              /* answers wanted; 1 */
    struct canon_response_format format;
    struct canon_reasoning reasoning;
    bool stream, include_usage;
    enum canon_cache cache;       /* Anthropic's mark on the request itself */
    struct str previous_response; /* Responses: what it goes on with; the gateway resolves it */
    struct canon_extra *extras;   /* unknown members: a writer of the same wire puts them back */
    const struct wire *from;      /* whose reader filled it, where that said so */
    const void *echo;             /* of from's: what its replies repeat of the request */
    bool legacy_functions; /* OpenAI's `functions`: its replies have a function_call, no tool_calls
                            */
};

/* --- replies --- */

enum canon_finish {
    FINISH_UNSET,
    FINISH_STOP,
    FINISH_STOP_SEQUENCE,
    FINISH_LENGTH,
    FINISH_CONTEXT, /* the context window is full: length to most */
    FINISH_TOOL_CALLS,
    FINISH_FILTER, /* refusal, safety */
    FINISH_PAUSE,  /* Anthropic's pause_turn */
    FINISH_ERROR,
};

struct canon_choice {
    struct canon_choice *next;
    unsigned index;
    struct canon_part *parts;
    enum canon_finish finish;
    struct str native_finish; /* as the provider called it */
    struct str stop_sequence; /* that was met, where it says */
    struct str logprobs;      /* raw, OpenAI's shape */
};

struct canon_reply {
    struct str id; /* the provider's */
    int64_t created;
    struct canon_choice *choices;
    struct usage usage; /* source USAGE_UNKNOWN = none was reported */
    struct str service_tier;
};

/* --- streams --- */

/*
 * A reader turns its dialect's events into these; the sequencer (stream.h) brings them into the one
 * order that every writer may rely on:
 *   START (PART_START PART_DELTA* PART_END)* FINISH USAGE? END, or … ERROR
 * for each choice; parts of one choice never overlap. A reader need not send PART_START for text
 * and thinking, PART_END, START or END where its dialect has none.
 */
enum canon_event_kind {
    EVENT_START,      /* id, created; usage: what is known of the input */
    EVENT_PART_START, /* part: kind, id, name, maker; key */
    EVENT_PART_DELTA, /* text of the part; field says of what */
    EVENT_PART_END,
    EVENT_PART_WHOLE, /* part at once (a tool call of Gemini's, an image); becomes start…end */
    EVENT_FINISH,     /* finish, native_finish, stop_sequence */
    EVENT_USAGE,      /* usage, cumulative; before END */
    EVENT_END,        /* the provider's own end marker was seen */
    EVENT_ERROR,      /* error: inside a 200 stream */
    EVENT_PING,
};

enum canon_delta {
    DELTA_TEXT,      /* TEXT, REFUSAL, THINKING, and a custom tool's input */
    DELTA_INPUT,     /* TOOL_CALL: a piece of its arguments' JSON text */
    DELTA_SIGNATURE, /* THINKING: the signature, whole; Gemini's on TEXT and TOOL_CALL, too */
    DELTA_CITATION,  /* TEXT: part->citations has one */
    DELTA_DATA,      /* media: base64 */
    DELTA_LOGPROBS,  /* raw */
};

struct canon_event {
    enum canon_event_kind kind;
    unsigned choice;
    unsigned key; /* the reader's number of the part in its choice: which one a delta belongs to */
    const struct canon_part *part;
    enum canon_delta field;
    struct str text;
    struct str id;
    int64_t created;
    enum canon_finish finish;
    struct str native_finish, stop_sequence;
    const struct usage *usage;
    const struct error *error;
};

/* --- one translated call --- */

/* What happens to a parameter that the target cannot express. */
enum canon_loss_policy { LOSSES_DECLARE, LOSSES_REFUSE };

#define CANON_LOSSES_MAX 32

struct canon_loss {
    struct str name; /* "seed", "messages[3].content[0].cache_control" */
    struct str why;  /* literal */
};

/* The context of one call, given to every reader and writer. Made by canon_call_init(). */
struct canon_call {
    struct arena *arena;
    const struct model_facts *facts; /* of the target model; NULL = unknown */
    struct str provider;             /* our id of the target: "mistral" */
    struct str model;                /* as the target knows it */
    struct str model_shown;          /* as the client asked for it: stands in replies */
    struct str request_id;           /* for ids that a provider does not give */
    int64_t now;                     /* wall clock, seconds */
    enum canon_loss_policy losses;
    uint64_t input_estimate; /* tokens, counted locally: where a dialect must say so at once */
    bool usage_asked;        /* the client wants usage in its stream */
    bool array_stream;       /* Gemini's client without alt=sse: its stream is one JSON array */
    struct str betas;        /* anthropic-beta, of the client's fields and body: "a-1,b-2" */
    struct error *error;     /* the caller's; filled by canon_fail() */
    unsigned lost_n;
    struct canon_loss lost[CANON_LOSSES_MAX];
    const struct canon_request *request; /* once it was read: writers of replies look at it */
};

void canon_call_init(struct canon_call *c, struct arena *a, struct error *e);

/* Fills c->error with 400 invalid_request naming the field; -EREMOTEIO. The first one stays. */
_cold_ int canon_fail(struct canon_call *c, struct str param, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same of a member that has to be what: "a text", "a number from 1 to 4". */
_cold_ int canon_wrong(struct canon_call *c, const char *name, const char *what);
/* 502 upstream_bad_response: the provider's reply cannot be read; -EREMOTEIO. */
int canon_bad_reply(struct canon_call *c, const char *why);
/* 413: the call does not fit into its arena; -ENOMEM. What canon_add_*() answers NULL with. */
_cold_ int canon_no_room(struct canon_call *c);
/* Declares that name is left out: 0, or canon_fail() where the policy refuses. Once each name. */
int canon_drop(struct canon_call *c, struct str name, const char *why);
/* The value of x-smartflow-dropped-params: "seed, logit_bias"; empty = nothing was lost. */
struct str canon_lost_names(struct canon_call *c);

/* --- building, for readers --- */

/* All members as "not said". */
void canon_request_init(struct canon_request *q);
/* NULL when memory is out; c->error says so. */
struct canon_message *canon_add_message(
    struct canon_call *c, struct canon_message ***tail, enum canon_role role);
struct canon_part *canon_add_part(
    struct canon_call *c, struct canon_part ***tail, enum canon_part_kind kind);

/* A text as a part; as canon_add_part(). */
struct canon_part *canon_add_text(struct canon_call *c, struct canon_part ***tail, struct str text);
/* A message of one text. 0, or -ENOMEM. */
int canon_add_words(
    struct canon_call *c, struct canon_message ***tail, enum canon_role role, struct str text);
/* The tool of this name, and no other. 0, or -ENOMEM. */
int canon_choose_one(struct canon_call *c, struct canon_tool_choice *t, struct str name);

/* Text that grows over several events, in the call's arena; .n = 0 empties it and keeps its room.
 * 0, or -ENOMEM with c->error filled. How long it may become is the caller's to say. */
struct canon_text {
    char *p;
    size_t n, cap;
};
int canon_gather(struct canon_call *c, struct canon_text *t, struct str more);
static inline struct str canon_text_str(const struct canon_text *t)
{
    return str_at(t->p, t->n);
}

/* --- what several writers need --- */

/* The name of the tool call that id answers, in the messages before; empty = none. */
struct str canon_tool_name(const struct canon_request *q, struct str id);
/* Joins neighbours of one role and drops empty texts, for dialects that want alternation: a new
 * list in the arena; system and developer messages are left out. Results of tools come first.
 * NULL: there is nothing, or memory is out (c->error says so). */
struct canon_message *canon_alternate(struct canon_call *c, const struct canon_request *q);
/* Every tool result answers a call of the turn before it, and each call has one result before the
 * next turn begins: else 400 naming the id. Results that have no name get their call's. */
int canon_check_tools(struct canon_call *c, const struct canon_request *q);
bool canon_has_tool_parts(const struct canon_request *q);
/* The budget for an effort (translate's table, clamped: 1024 <= budget <= max_tokens - 1), or -1
 * where thinking has to be left out. */
int64_t canon_budget_of(enum canon_effort e, int64_t max_tokens);
enum canon_effort canon_effort_of(int64_t budget);
enum canon_effort canon_effort_parse(struct str s); /* EFFORT_UNSET = no such */
/* Anthropic's words, which others took over: enabled, adaptive, disabled. THINKING_UNSET = none. */
enum canon_thinking canon_thinking_parse(struct str s);
struct str canon_effort_name(enum canon_effort e);
/* max_tokens, or the model's maximum from the facts, or 4096. */
int64_t canon_max_tokens(const struct canon_call *c, const struct canon_request *q);
/* "data:image/png;base64,…": fills media; false when s is no data URL. */
bool canon_data_url(struct str s, struct canon_media *ret);
/* The reverse, in the arena; p NULL: there is no room, which c->error says. */
struct str canon_data_url_of(struct canon_call *c, struct str mime, struct str base64);
/* The mime type that a file name's ending says; empty = none known. */
struct str canon_mime_of(struct str file_name);

/* --- signatures in foreign dialects (sign.c) --- */

/* What a client of another dialect is given in place of the provider's signature: it says whose it
 * is, and comes back byte for byte. native: the maker that the client's dialect means by itself. */
struct str canon_sign_out(
    struct canon_call *c, enum canon_maker native, enum canon_maker maker, struct str signature);
/* The reverse: whose it is, and the provider's own bytes, in the arena or a view of shown. */
enum canon_maker canon_sign_in(
    struct canon_call *c, enum canon_maker native, struct str shown, struct str *ret_own);
/* Whether a client's body, which is valid JSON, holds what the gateway wrote into its dialect for
 * another maker: a marked signature, or a call's id with one behind it. What the dialect's own
 * provider would refuse. One pass at the speed of memory, for every call. */
bool canon_sign_is_in(struct str body);
/* The names of members whose values are such, in any dialect: without one there is none. */
void canon_sign_watch(struct json_set *set, uint8_t mark);

#endif
