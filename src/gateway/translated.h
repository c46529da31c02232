/*
 * Calls whose provider speaks another dialect than the client: how one attempt's body, fields and
 * reply are made, through the canonical form (translate/canon.h).
 *
 *   translated.c         which attempt is translated; the body of one
 *   translated_reply.c   whole replies, and errors of providers in the client's dialect
 *   translated_stream.c  streams
 *   translated_predictions.c  Replicate's, which may not be over at once
 *   translated_media.c   pictures and documents by URL, for providers that do not take URLs
 *   translated_other.c   calls that are no answers, by kind: translated_count.c (count_tokens),
 *                        translated_embeddings.c, …
 *
 * For the loop over attempts (attempt.c):
 *   1. set x->upstream, x->model, x->facts; gw_attempt_begin(x)
 *   2. gw_body_for_target(x, &body); gw_call_start(x, body.iov, body.n, body.length, …)
 *   3. gw_call_head(x, c, &head); a status to be looked at: gw_upstream_error(x, c, head, &e)
 *   4. gw_relay_reply(x, c, head): 0, or x->error. While gw_nothing_sent(x), another attempt may
 *      follow: gw_attempt_begin() forgets the error.
 * With x->may_fail_over, a stream's head is held back until its first token.
 */
#ifndef SF_GATEWAY_TRANSLATED_H
#define SF_GATEWAY_TRANSLATED_H

#include "gateway/gateway_int.h"
#include "json/splice.h"

/* What of a form that is held whole an attempt sends: nothing, all of it, or its file alone. */
enum gw_of_upload { GW_NOT_UPLOAD, GW_FORM, GW_FILE };

/* What an attempt sends: the client's bytes with edits, or a body of its own. */
struct gw_body {
    struct iovec iov[2 * SPLICE_MAX_EDITS + 1];
    unsigned n;
    uint64_t length;
    struct buf own;              /* of what has to be made anew */
    enum gw_of_upload of_upload; /* then iov is empty, and gw_upload_send() sends it */
    uint64_t file_at;            /* where the file begins in the form */
};

/* Decides x->face and x->up_kind for x->upstream and x->model, and forgets what the attempt before
 * it left: error, outcome, usage. 0; 400 unsupported_dialect in x->error. */
int gw_attempt_begin(struct exchange *x);
/* The body of this attempt, for calls with a JSON body. Views are good until gw_body_free() and the
 * next attempt. 0 or x->error. May suspend (pictures are fetched, forms are read again). */
int gw_body_for_target(struct exchange *x, struct gw_body *ret);
void gw_body_free(struct gw_body *b);
/* Starts the upstream call and sends the body. 0 or x->error. */
int gw_body_send(struct exchange *x, const struct gw_body *b, struct http_call **ret);
/* The form as it came, with the target's name of the model in it; and what of_upload says. */
void gw_upload_body(const struct exchange *x, struct gw_body *ret);
int gw_upload_send(struct exchange *x, const struct gw_body *b, struct http_call *c);
/* Whether the attempt's body has to be made anew. */
bool gw_needs_translation(const struct exchange *x);
/* Whether the attempt that runs is translated. */
bool gw_is_translated(const struct exchange *x);
/* Whether its body is made anew, be it only in another envelope: then it goes to the provider's
 * own path. */
bool gw_is_remade(const struct exchange *x);

/* The provider's error reply (status >= 400), read whole and understood, into *ret; its texts live
 * in x->arena. What it means to routing: wire_fault_of(). The bytes still pass unchanged if the
 * reply is relayed after this. 0, or x->error when it could not be read. */
int gw_upstream_error(
    struct exchange *x, struct http_call *c, const struct http_head *h, struct error *ret);
/* A prompt's tokens are to be counted, and the provider does not: it is answered here. */
bool gw_counts_here(const struct exchange *x);
int gw_count_here(struct exchange *x);
/* gw_relay_reply() of an attempt that is translated. */
int gw_relay_translated(struct exchange *x, struct http_call *c, const struct http_head *h);
/* Keeps a silent stream's connections open; empty where the dialect has nothing for that. */
struct str gw_keep_alive(const struct exchange *x);
/* No byte of an answer went to the client yet, but perhaps keep-alives. */
bool gw_nothing_sent(const struct exchange *x);

#endif
