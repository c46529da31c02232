/*
 * One HTTP request to an address of the operator's: webhooks, collectors, object stores. Bounded in
 * time and in what is read of the reply; no redirects. It uses the thread's pool of connections.
 *
 * A target's proxy and CA lie in a snapshot of the configuration, which it keeps alive. Targets
 * belong to one thread. post_send() suspends; nothing else does (but reading a CA file blocks).
 */
#ifndef SF_ALERT_POST_H
#define SF_ALERT_POST_H

#include "http/client.h"
#include "net/dial.h"

struct post_target;

/* How to get out, and what these settings lie in: owner is referenced while a target uses them. */
struct post_route {
    const struct dial_proxy *proxy;
    const char *ca; /* PEM, instead of the system's roots */
    void *owner;    /* NULL: outlives all targets */
    void (*ref)(void *owner);
    void (*unref)(void *owner);
};

#define POST_ERR_BYTES 200

/* url: http:// or https://, with path and query, no user. guarded: somebody other than the operator
 * named it, so internal addresses are refused. -EINVAL with err filled; never with the URL in it,
 * which for webhooks is a secret. */
int post_target_new(struct str url, const struct post_route *route, bool guarded,
    struct post_target **ret, char err[static POST_ERR_BYTES]);
struct post_target *post_target_ref(struct post_target *t);
void post_target_unref(struct post_target *t);            /* NULL is fine */
struct str post_target_path(const struct post_target *t); /* path and query, at least "/" */
struct str post_target_host(const struct post_target *t); /* as in the host field */

struct post {
    struct str method; /* empty = POST */
    struct str target; /* empty = the URL's */
    struct str fields; /* complete lines */
    struct str body;
    int64_t timeout; /* of all; 0 = 20 s */
};

struct post_reply {
    int status;               /* 0 = there was none */
    int64_t retry_after;      /* ns; 0 = not said */
    char why[POST_ERR_BYTES]; /* of what was no success: a sentence without secrets */
};

enum post_result {
    POST_DONE,    /* 2xx */
    POST_RETRY,   /* no answer, 408, 425, 429, 5xx: may go another time */
    POST_REFUSED, /* will not go another time */
};

enum post_result post_send(struct post_target *t, const struct post *p, struct post_reply *ret);

/* The pause after the n-th failed try (from 1): first × factor^(n-1), up to 20 % more by chance, at
 * least what the server asked for, at most max. */
int64_t post_pause(
    unsigned tries, int64_t first, unsigned factor, int64_t max, int64_t retry_after);

#endif
