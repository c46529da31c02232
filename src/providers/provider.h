/*
 * Providers: who can serve a call. One constant row each in providers/table.c; a provider with
 * quirks has a file of its own that the row points to.
 *
 * A provider has one or more faces: a dialect it speaks, under a path prefix, for a set of endpoint
 * kinds. Where a face has the caller's dialect and kind, the body passes as it came.
 *
 * struct upstream is a provider as configured: base URL, credential, options. It is part of the
 * configuration snapshot and constant.
 */
#ifndef SF_PROVIDERS_PROVIDER_H
#define SF_PROVIDERS_PROVIDER_H

#include "base/secret.h"
#include "http/client.h"
#include "llm/exchange.h"

#include <sys/uio.h>

enum provider_auth {
    AUTH_NONE,
    AUTH_BEARER,    /* Authorization: Bearer */
    AUTH_X_API_KEY, /* Anthropic */
    AUTH_API_KEY,   /* Azure */
    AUTH_X_GOOG,    /* x-goog-api-key */
    AUTH_TOKEN,     /* Authorization: Token (Deepgram) */
    AUTH_SIGV4,     /* AWS */
};

struct provider_face {
    enum dialect dialect;
    struct str
        prefix; /* between base URL and the endpoint's path: "/v1"; Gemini: the client's version */
    uint64_t kinds;     /* bit set of enum endpoint_kind */
    uint64_t own_forms; /* of these, the ones whose bodies are not those of the dialect */
    enum provider_auth auth;
};

#define KIND_BIT(k)        ((uint64_t)1 << (k))
#define PROVIDER_FACES_MAX 4

struct upstream;

/* What a target is made of: the path that the client used where a call passes as it came, or the
 * endpoint of the face that a translated call goes to. */
struct provider_asked {
    struct endpoint_match match;
    struct str model; /* as the upstream knows it */
    bool renamed;     /* the path's model is another one */
    bool stream;
    struct str query;         /* the client's, without '?' */
    struct str upload_target; /* exchange.upload_target */
};

struct provider {
    struct str id;        /* "openai" */
    struct str title;     /* "OpenAI" */
    struct str key_env;   /* "OPENAI_API_KEY"; empty: none is needed */
    struct str token_env; /* another variable that may hold the credential, and wins; or empty */
    struct str base_env;  /* "OPENAI_API_BASE" */
    struct str base;      /* default base URL without version; empty: must be configured */
    struct provider_face faces[PROVIDER_FACES_MAX];
    const struct str
        *extra_env; /* further variables, ended by an empty one: AZURE_API_VERSION, ... */
    /* Appends the default base URL where it depends on the options (a region); then base is only
     * an example of it. -EINVAL when an option makes none. NULL: base. */
    int (*base_of)(const struct upstream *u, struct buf *out);
    /* Builds the request target where it is not base + prefix + "/" + rest + query. Appends to out.
     * 0 or an error through exchange_fail(). */
    int (*target)(const struct upstream *u, const struct provider_face *face, struct exchange *x,
        const struct provider_asked *a, struct buf *out);
    /* Adds credential fields where they are more than one header (signatures, tokens), and others
     * that each call needs. May suspend. body: what is sent, whole. */
    int (*sign)(const struct upstream *u, const struct provider_face *face, struct exchange *x,
        struct str method, struct str target, const struct iovec *body, unsigned body_n,
        struct buf *fields);
    /* True when a reply that is no 401 says, too, that the provider knows no such credential. body
     * is JSON. NULL: 401 says it all. */
    bool (*refused_key)(int status, struct str body);
    /* Whether a face serves this model, where the provider has a face for some of them alone. NULL:
     * all do. */
    bool (*face_fits)(const struct provider_face *face, struct str model);
    /* Fields that the face always needs, unless the client sent them: "anthropic-version: …\r\n".
     */
    struct str default_field_name, default_field_value;
};

/* What is known of a credential's state. Counted and shared by the snapshots that hold the same
 * credential, so that a reload forgets nothing. Its numbers are read and written atomically. */
struct upstream_health {
    int refs_;
    int64_t refused_until;      /* clock_now() at which a refused credential is tried again */
    int64_t rate_limited_until; /* likewise, after a 429 */
    int64_t used_at;            /* wall clock, within a second; 0 = not since the start */
};

/* One of the credentials that a provider is called with. */
struct upstream_key {
    struct secret key;
    struct str id;   /* UPSTREAM_KEY_ENV, or the vault's record; owned */
    unsigned weight; /* its share of the calls among the healthy ones, >= 1 */
    struct upstream_health *health;
};

/* keys.c */
struct upstream_keys {
    unsigned n;
    unsigned turn_; /* atomic: who is next */
    struct upstream_key at[];
};

struct upstream {
    const struct provider *provider;
    struct http_origin origin;  /* host, port, TLS, proxy */
    bool https;                 /* the base URL says so; then origin must have TLS to be called */
    struct str base_path;       /* of the base URL, without trailing slash and version */
    struct upstream_keys *keys; /* NULL = none; made by upstream_add_key() */
    struct str options[4];      /* values of extra_env, in its order */
    bool configured;            /* has what it needs: key or base URL */
    struct http_timeouts timeouts;
};

#define UPSTREAM_KEY_ENV    STR("env") /* the id of the key that the settings gave */
#define UPSTREAM_KEYS_MAX   64
#define UPSTREAM_WEIGHT_MAX 1000

/* While a snapshot is built. -ENOSPC beyond UPSTREAM_KEYS_MAX, -EEXIST a second one with this id.
 */
int upstream_add_key(struct upstream *u, struct str id, struct str value, unsigned weight);
void upstream_keys_free(struct upstream *u);
/* Takes over what the snapshot before knew of the same credentials (same id and value). */
void upstream_keys_inherit(struct upstream *u, const struct upstream *was);
/* The credential for the next attempt: in turn, by weight, among those that are neither refused nor
 * rate limited; when none is, the one that will be so first. NULL when the provider has none. */
const struct upstream_key *upstream_pick(const struct upstream *u);
/* A healthy one other than this for another attempt, or NULL: then there is no use in trying. */
const struct upstream_key *upstream_pick_other(
    const struct upstream *u, const struct upstream_key *tried);
/* What a provider answered to it: 401 refuses it for a minute; 429 rests it for retry_after_s (0 =
 * not said), at most a minute; a success clears both. NULL is allowed. Any thread. */
void upstream_key_report(const struct upstream_key *k, int status, int retry_after_s);
enum upstream_key_state { UPSTREAM_KEY_GOOD, UPSTREAM_KEY_REFUSED, UPSTREAM_KEY_RATE_LIMITED };
enum upstream_key_state upstream_key_state(const struct upstream_key *k);
const struct upstream_key *upstream_key_by_id(const struct upstream *u, struct str id);

const struct provider *provider_table(unsigned *ret_n);
const struct provider *provider_by_id(struct str id); /* NULL when unknown */
/* The face that serves a call of this dialect and kind, or NULL. */
const struct provider_face *provider_face(
    const struct provider *p, enum dialect d, enum endpoint_kind k);
/* Any face of the provider, for the message that names the endpoint to use. */
const struct provider_face *provider_first_face(const struct provider *p);

/* The target (path and query) for x at u, appended to out; 0 or x->error. Where the call goes to
 * another kind of endpoint than the client's (x->face, x->up_kind), as provider_target_of(). */
int provider_target(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    struct buf *out);
/* The target of a translated call: where the face has kind (KIND_CHAT, KIND_MESSAGES,
 * KIND_GENERATE, KIND_EMBEDDINGS, ...) for x->model, whatever path and query the client used. Of
 * kinds that have a second endpoint for streams, stream picks it. */
int provider_target_of(const struct upstream *u, const struct provider_face *face,
    enum endpoint_kind kind, bool stream, struct exchange *x, struct buf *out);
/* "name=value" of such a target's query (exchange.made_query), encoded, behind what is there. */
int provider_put_param(struct buf *query, struct str name, struct str value);
/* Credential fields appended to out, of x->upstream_key or the caller's own; 0 or x->error.
 * body is what will be sent, whole: signatures of some providers cover it. */
int provider_sign_body(const struct upstream *u, const struct provider_face *face,
    struct exchange *x, struct str method, struct str target, const struct iovec *body,
    unsigned body_n, struct buf *out);
/* The same with x->upstream_body, or without a body. */
int provider_sign(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    struct str method, struct str target, struct buf *out);

/* The field that carries this key, appended to out: 0, -EINVAL when it has bytes that cannot stand
 * in a field, -EOPNOTSUPP when such credentials sign each request. */
int provider_auth_field(enum provider_auth auth, struct str key, struct buf *out);

/* Fills u from a base URL text, which must outlive u. 1 = https, 0 = http, -EINVAL with *ret_why.
 */
int upstream_set_base(struct upstream *u, struct str base_url, const char **ret_why);

#endif
