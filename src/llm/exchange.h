/*
 * struct exchange: one call through the gateway, from the first byte of its request to its log
 * line. Front doors make it, the stages of the pipeline (llm/stage.h) read and fill it, the end
 * stages account for it. It lives on one thread and is freed when its handler returns.
 *
 * Memory: everything an exchange needs lies in its arena. Views into the request head stay valid
 * until the request's memory is given back (gateway: detach), which copies what is needed later.
 */
#ifndef SF_LLM_EXCHANGE_H
#define SF_LLM_EXCHANGE_H

#include "base/arena.h"
#include "base/error.h"
#include "base/list.h"
#include "http/server.h"
#include "llm/endpoint.h"
#include "llm/meter.h"
#include "llm/usage.h"
#include "json/scan.h"

struct co;
struct hold;
struct keys_settings;
struct ledger_call;
struct model_facts;
struct owned;
struct plan;
struct provider_face;
struct route_settings;
struct routing_log;
struct subject;
struct trace;
struct translated;
struct upload;
struct upstream;
struct upstream_key;
struct virtual_key;
struct ws_front;

enum { STAGES_MAX = 16 };

/* What a JSON request may hold, by the names of members in it: only then it is looked at. */
enum {
    NAMES_FILES = 1,    /* ids of files and other things that have owners */
    NAMES_QUIRKS = 2,   /* what some provider of the chat dialect refuses */
    NAMES_PICTURES = 4, /* pictures, sound and files, as text */
    NAMES_SIGNS = 8,    /* signatures, or ids that may hold one */
    NAMES_ALL = 15
};

/* The members of a JSON request that the gateway reads; indexes into exchange.spans. */
enum body_member {
    BODY_MODEL,
    BODY_STREAM,
    BODY_STREAM_OPTIONS,
    BODY_INCLUDE_USAGE,
    BODY_MESSAGES,
    BODY_INPUT,
    BODY_PROMPT,
    BODY_CONTENTS,
    BODY_MAX_TOKENS,
    BODY_MAX_COMPLETION_TOKENS,
    BODY_MAX_OUTPUT_TOKENS,
    BODY_USER,
    BODY_SERVICE_TIER,
    BODY_PREVIOUS_RESPONSE,
    BODY_CONVERSATION,
    BODY_BACKGROUND,
    BODY_N,
    BODY_QUERY,
    BODY_DOCUMENTS,
    BODY_INPUT_FILE,
    BODY_MEMBERS
};

enum exchange_outcome {
    OUTCOME_PENDING,
    OUTCOME_OK,
    OUTCOME_REFUSED,        /* by us, before an upstream was called */
    OUTCOME_UPSTREAM_ERROR, /* the provider answered with an error, or not at all */
    OUTCOME_CANCELLED,      /* the client went away */
    OUTCOME_TRUNCATED,      /* failed after the reply had begun */
};

struct exchange {
    struct http_request *rq;
    const struct keys_settings *keys_settings; /* of the configuration snapshot it runs under */
    const struct route_settings *route_settings;
    struct arena arena;
    void *arena_first; /* its first block */
    char id[37];       /* request id: a UUID v7 in text */
    int64_t started_wall;

    /* what was asked */
    struct endpoint_match match;
    enum dialect dialect;    /* of the caller; errors are rendered in it */
    struct str body;         /* JSON bodies, whole; empty otherwise */
    struct json_span *spans; /* BODY_MEMBERS of them where the body is JSON; NULL once detached */
    unsigned body_names;     /* NAMES_…: what names of members in it, at any depth, tell of */
    struct upload *upload;   /* multipart: what was read before the model was known */
    struct ws_front *ws;     /* a WebSocket that was accepted before its upstream is known */
    struct str model_asked;  /* as the client wrote it, decoded */
    bool stream;             /* the client gets a stream, */
    bool stream_asked;       /* as it asked for */
    bool usage_asked;        /* it asked for usage in the stream itself */
    bool usage_injected;     /* we asked on its behalf: taken out again */

    /* who */
    const struct virtual_key *key; /* NULL: admin or caller's own provider key */
    struct str caller_credential;  /* SMARTFLOW_PASSTHROUGH_KEYS: passed on as it came */
    struct str presented;          /* the virtual key itself; a view of the request's head */
    struct str granted;            /* by an upload session: the credential that began it */
    struct net_addr client;        /* after trusted proxies */
    struct str end_user;
    const struct subject *customer; /* its limits, where there are any */
    struct hold *hold;              /* what limits hold for it; in the arena (keys/limits.c) */
    int64_t reserved_nano;          /* money held for the attempt that runs */
    int64_t charged_nano;           /* what its subjects' counters got in the end */
    struct ledger_call *record;     /* what stands on the journal of it; in the arena (ledger/) */
    struct str trace_id;            /* x-smartflow-trace-id, or traceparent's; empty = none */
    struct trace *trace; /* its spans, where calls are traced; in the arena (telemetry/) */
    bool wants_trailers; /* TE: trailers */

    /* where */
    const struct owned *owned; /* what it goes on with: decides who serves it (route/owned.h) */
    const struct owned *part;  /* a file named inside its body: decides with which credential */
    const struct upstream *upstream;
    const struct upstream_key *upstream_key; /* the credential of the attempt that runs, or NULL */
    struct str model;                        /* as the upstream knows it */
    struct str upload_target; /* path and query below the base path, of an upload session */
    struct str made_query;    /* of a translated call whose options stand there; without '?' */
    const struct model_facts *facts;
    /* How the attempt goes to that upstream (gateway/translated.h); what builds targets and signs
     * reads these, and never what the client asked. */
    const struct provider_face *face; /* NULL: not decided yet */
    enum endpoint_kind up_kind; /* what the call is there: a chat call at Anthropic's is MESSAGES */
    struct translated *translated; /* NULL until a target needs it; state of all its attempts */
    struct str dropped_params;     /* what the target cannot express: "seed, logit_bias" */
    unsigned attempts;
    bool can_send_again; /* its whole body is here: another attempt is possible */
    bool may_fail_over;  /* another attempt is left: a stream's head waits for its first token */
    struct plan *plan;   /* who else may serve it (route/plan.h); NULL: one target, one try */
    struct routing_log *routing; /* what routing did, for the log; NULL where nothing was decided */
    int64_t deadline;            /* of all attempts together; 0 = the time-outs alone */
    int64_t first_token_by;      /* the attempt that runs gives up then; 0 = its time-outs alone */
    bool hedging;                /* the attempt that starts runs beside another one */
    bool shadow;                 /* a copy whose reply nobody gets: accounted apart */
    int64_t spent_nano;          /* by attempts that failed or lost: part of its cost */
    uint64_t spent_tokens;
    struct str provider_scope; /* the counter of the provider's daily budget that it counts in */
    int64_t provider_scope_end;

    /* what came back */
    int upstream_status;
    struct meter meter; /* collects usage while the reply passes */
    struct usage usage;
    uint64_t characters; /* of the text to be spoken */
    int64_t cost_nano;   /* -1 = unknown */
    enum exchange_outcome outcome;
    struct error error;      /* status 0 = none */
    bool head_only;          /* of the reply no more went out than its head, and keep-alives */
    struct str stream_error; /* of a translated stream: its error event, as its writer makes it */
    struct str held_reply;   /* a reply that was looked at before; until its call ends */
    struct str error_fields; /* of the provider's error reply, passed on with ours: ratelimits */
    bool accounted;          /* usage, counters and journal are done (gateway/account.c) */
    bool ended_by_us;        /* its key was revoked while it ran (gateway/live.c) */
    struct co *co;           /* that runs it */
    struct list live;        /* in its thread's open calls */
    char *body_copy;         /* keeps x->body when the request's memory was given back */

    /* when: monotonic instants, 0 = not reached */
    int64_t upstream_sent_at, upstream_first_at, reply_first_at, ended_at;
    int64_t stage_ns[STAGES_MAX]; /* time in each row of the pipeline table */
};

/* Fills x->error once (later calls keep the first) and returns -EREMOTEIO, so that a stage can say
 * `return exchange_fail(x, 400, ...)`. Texts must be literals or arena memory. */
_cold_ int exchange_fail(struct exchange *x, int status, struct str code, struct str message);
_cold_ int exchange_failf(struct exchange *x, int status, struct str code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same, naming the field at fault. */
_cold_ int exchange_fail_param(struct exchange *x, int status, struct str code, struct str param,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
