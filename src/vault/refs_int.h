/*
 * What the files of the references share: refs.c (the thread, documents, time), hashicorp.c and
 * aws_sm.c (one read each), refs_http.c (one request). Everything here belongs to the thread of the
 * references.
 */
#ifndef SF_VAULT_REFS_INT_H
#define SF_VAULT_REFS_INT_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"
#include "base/map.h"
#include "http/client.h"
#include "net/dial.h"
#include "providers/provider.h"
#include "runtime/loop.h"
#include "runtime/sync.h"
#include "vault/refs.h"
#include <pthread.h>

#define REF_DEADLINE   (10 * NS_PER_S)
#define REF_BODY_BYTES (256 * KIB)

enum ref_store { REF_HASHICORP, REF_AWS };

/* One thing that was read: a path or a secret's name. */
struct doc {
    struct doc *next;
    enum ref_store store;
    char *path;
    char *api_path;     /* HashiCorp: where it is read, once known; owned */
    struct secret body; /* the JSON object of its fields; AWS: the secret string as it is */
    int64_t read_at;    /* 0 = never */
    int64_t due;        /* when it must be looked at again */
    int64_t lease;      /* ns; 0 = none */
    char *lease_id;     /* of one that can be renewed; NULL = read again instead */
    struct sem busy;    /* one read at a time */
    int result;         /* of the last read, with its err */
    char err[REF_ERROR_N];
};

/* An address of the operator's, and how to get there. */
struct ref_host {
    char *url;
    struct upstream at; /* only its origin and base path */
    struct tls_ctx *tls;
};

struct ref_token {
    struct secret value;
    int64_t due; /* when it is renewed, or fetched anew; NEVER_NS */
    bool renewable, logged_in;
    struct sem busy;
};

struct secret_refs {
    struct map env; /* name → char *: the variables of the two stores, and proxies */
    struct dial_proxy *proxy;
    /* the thread's own */
    struct doc *docs;
    unsigned docs_n;
    struct ref_host vault;
    struct ref_token token;
    bool pool_runs;      /* the program's offload pool; before it does, a job brings its own */
    unsigned pool_users; /* of that */
    int64_t refresh;
    void (*changed)(void *ctx);
    void *ctx;
    struct event more; /* the keeper looks again: something is due that was not there before */
    /* what other threads see */
    pthread_mutex_t lock; /* guards started and what begins a thread */
    pthread_t thread;
    struct loop *loop;
    bool started, stopped;
    pthread_cond_t may_end;
    bool ending;
};

void ref_say(char *err, const char *fmt, ...) _printf_(2, 3);
/* The value of NAME, or what the file of NAME_FILE holds: 1, 0 neither is set, -errno with err. */
int ref_setting(struct secret_refs *r, const char *name, struct secret *ret, char *err);
struct str ref_env(
    struct secret_refs *r, const char *name); /* as it is; not for secrets in files */

/* --- refs_read.c --- */
/* The document of a reference, made when there is none: NULL with err. */
struct doc *ref_doc(struct secret_refs *r, struct str ref, char *err);
/* The field that ref names in what was read. */
int ref_pick(const struct doc *d, struct str ref, struct secret *ret, char *err);
void ref_doc_free(struct doc *d);
/* Reads it, unless somebody did since `since`. Suspends. */
int ref_read(struct secret_refs *r, struct doc *d, int64_t since);
/* The coroutine that looks after leases. */
void ref_keep(void *refs);

/* --- refs_http.c --- */
int ref_host_set(
    struct secret_refs *r, struct ref_host *h, struct str url, const char *ca, char *err);
void ref_host_free(struct ref_host *h);
/* One request. *ret_body is wiped and freed by secret_free(). Returns the status, or -errno. */
int ref_http(struct ref_host *h, struct str method, struct str target, struct str fields,
    struct str body, struct secret *ret_body, char *err);

/* --- one read or renewal; each suspends, and ends within REF_DEADLINE --- */
int hashicorp_read(struct secret_refs *r, struct doc *d, char *err);
int hashicorp_renew(struct secret_refs *r, struct doc *d, char *err);
/* Renews the token when it is due; a failure shows when it is next used. */
void hashicorp_keep_token(struct secret_refs *r);
int aws_read(struct secret_refs *r, struct doc *d, char *err);

/* A string member, decoded. 0, -ENOENT, -EBADMSG. */
int ref_json_text(struct str object, struct str name, struct secret *ret);
bool ref_json_ok(struct str text); /* a valid JSON object */

#endif
