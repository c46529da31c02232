/*
 * What the files of the gateway share: the per-thread state, and the steps of one exchange in the
 * order in which front.c and the pipeline call them.
 */
#ifndef SF_GATEWAY_INT_H
#define SF_GATEWAY_INT_H

#include "config/config.h"
#include "gateway/gateway.h"
#include "http/client.h"
#include "llm/exchange.h"
#include "llm/stage.h"
#include "runtime/co.h"
#include "runtime/loop.h"

/* --- exchange.c: making and freeing --- */
int gw_exchange_init(struct exchange *x, struct http_request *rq, struct config *config);
void gw_exchange_end(struct exchange *x);
/* Room for BODY_MEMBERS spans; given back with the exchange. */
struct json_span *gw_spans_new(void);
/* Gives the request's head and body back while the exchange goes on: what is still needed of them
 * is copied. For streams, which may stay open for long. -ENOMEM. */
int gw_exchange_detach(struct exchange *x);

/* --- client_addr.c --- */
struct net_addr gw_client_address(const struct config *c, const struct http_request *rq);

/* --- pipeline.c --- */
int gw_pipeline_request(struct exchange *x); /* 0, or x->error is set */
void gw_pipeline_end(struct exchange *x);
const struct stage *const *gw_pipeline_table(unsigned *ret_n);

/* --- body.c --- */
extern const struct stage stage_read; /* reads and scans JSON bodies; finds the model */
/* Scans x->body: x->spans, x->model_asked; 0, or x->error. Does not suspend. */
int gw_scan_body(struct exchange *x);
/* What every kind of body shares once the model's name is known: percent-decodes path models. */
int gw_check_model(struct exchange *x);
/* x->error for a failed body read. */
int gw_body_error(struct exchange *x, int r, uint64_t limit);

/* --- fields.c --- */
/* The fields that go to the upstream, as text in the arena. drop_encoding: ask for identity. */
int gw_upstream_fields(struct exchange *x, const struct provider_face *face, struct str method,
    struct str target, const struct iovec *body, unsigned body_n, struct str *ret);
/* The upstream's fields and ours, appended to out. drop_type: content-encoding was undone. */
void gw_reply_fields(
    struct exchange *x, const struct http_head *from, bool decoded, struct buf *out);
/* Our own fields alone (x-smartflow-…), for replies that no upstream made. */
void gw_own_fields(struct exchange *x, struct buf *out);
/* The call's cost under both of its names; nothing while it is unknown. */
void gw_cost_fields(struct exchange *x, struct buf *out);
void gw_cors_fields(const struct config *c, struct http_request *rq, struct buf *out);
bool gw_came_from_us(struct http_request *rq); /* the Via field holds our mark */

/* --- call.c: the stage that talks to the upstream --- */
extern const struct stage stage_call;
/* Starts the upstream call with this body (stream_body: follows by http_call_write). */
int gw_call_start(struct exchange *x, const struct iovec *body, unsigned body_n, uint64_t length,
    bool has_body, bool stream_body, struct http_call **ret);
/* Waits for the head; maps failures to x->error. */
int gw_call_head(struct exchange *x, struct http_call *c, const struct http_head **ret);
/* Its two halves: a failure as x->error; what the status says of the credential. -EKEYREJECTED:
 * nothing was sent to the client, and the provider has another credential here. */
int gw_call_failed(struct exchange *x, int r, const struct error *e);
int gw_check_status(struct exchange *x, const struct http_head *h);
/* When the provider wants to be asked again, in whole seconds: Retry-After in its forms, or of a
 * 429 when the limits that are used up are whole again. 0 = it does not say. */
int gw_retry_after_s(const struct http_head *h);
/* A provider that refuses our credential is our fault, not the caller's: 502 in x->error, whatever
 * the provider's status was. */
int gw_credential_refused(struct exchange *x);
/* Passes the reply on and meters it. Ends with x->outcome set. */
int gw_relay_reply(struct exchange *x, struct http_call *c, const struct http_head *head);
/* Failures of a relay as the exchange's error and outcome; r: the read's. Always < 0. */
int gw_upstream_broke(struct exchange *x, ssize_t r);
int gw_client_gone(struct exchange *x);
/* A refusal of the gateway's own credential that is no 401. body: as it came. */
bool gw_refused_key(struct exchange *x, const struct http_head *h, struct str body);
/* Gemini's resumable uploads. file_sessions.c: a request that belongs to one gets its credential
 * and target (or x->error); the fields of a reply that say where one goes on, as they are to be
 * sent, or p NULL to leave one out. */
int gw_file_session(struct exchange *x);
struct str gw_file_session_field(
    struct exchange *x, const struct http_head *from, const struct http_field *h);
/* A reply about message batches whose links lead to the gateway: written into out where that
 * changes it. links.c */
struct str gw_local_links(struct str body, struct buf *out);
/* A batch of messages whose models have no long-context mark: likewise. batch_marks.c */
struct str gw_without_marks(struct str body, struct buf *out);

/* --- the other shapes of a call --- */
int gw_call_no_body(struct exchange *x);
int gw_call_whole(struct exchange *x); /* its body is here: by a plan, or to one target */
/* What the reply made belongs to the caller. body: of a reply that is held, decoded; or empty. */
void gw_remember_ids(struct exchange *x, struct str body);
/* Undoes a content coding; a plain body is copied. 0, -EOPNOTSUPP, -EMSGSIZE, -EINVAL. */
int gw_decode(struct str coding, struct str body, struct buf *out);
int gw_relay_stream(struct exchange *x, struct http_call *c, const struct http_head *head);
int gw_call_multipart(struct exchange *x);
int gw_call_raw(struct exchange *x);
int gw_call_websocket(struct exchange *x);
int gw_models_list(struct exchange *x);

/* --- translated.c (gateway/translated.h) --- */
void gw_translated_free(struct translated *t);

/* --- multipart.c: part of the read stage, and the owner of x->upload --- */
int gw_upload_read(struct exchange *x); /* reads until the model's part is there */
int gw_upload_hold(struct exchange *x); /* reads all of it: it can be sent again. 0 or x->error */
uint64_t gw_upload_size(const struct exchange *x);
/* A view of at most n of the held bytes from offset at on, until the next call: > 0 or -errno.
 * Suspends. */
ssize_t gw_upload_piece(struct exchange *x, uint64_t at, uint64_t n, struct str *ret);
void gw_upload_free(struct upload *u);

/* --- websocket.c: likewise --- */
int gw_ws_accept(
    struct exchange *x); /* Responses over WebSocket: the first message names the model */
bool gw_ws_send_error(struct exchange *x); /* true: x->ws existed and has been told and closed */
void gw_ws_free(struct ws_front *w);
/* Loop context, at drain: the thread's sessions end with 1001 (going away), and no more begin. */
void gw_ws_go_away(void);
struct str gw_ws_key(struct exchange *x); /* a fresh Sec-WebSocket-Key; x->ws keeps it */

/* --- reply.c --- */
/* Renders x->error in the caller's dialect, or as a stream's error event, or resets. */
void gw_send_error(struct exchange *x);
int gw_reply_json(struct exchange *x, int status, struct str body);
/* A fresh, empty buffer of this thread for assembling fields; valid until the next suspension. */
struct buf *gw_scratch(void);
/* What this thread kept for its next calls. */
void gw_reply_thread_end(void);
void gw_exchange_thread_end(void);

/* --- settle.c --- */
extern const struct stage stage_settle; /* usage → cost; counts locally where none was reported */
/* Counts what the meter holds of a stream's text that goes on. May suspend. */
void gw_count_begun(struct exchange *x);

bool gw_must_count(const struct exchange *x); /* the provider reported no usage */
/* Fills the meter's usage with what is counted here (USAGE_COUNTED). May suspend. */
void gw_count_usage(struct exchange *x);

/* --- account.c: before the client sees the last byte --- */
/* Usage, cost, counters, journal; once. May suspend where gw_account_may_wait() says so. */
int gw_account(struct exchange *x);
bool gw_account_may_wait(const struct exchange *x);
/* Holds more where a stream outgrew what is held: 0, or x->error. */
int gw_top_up(struct exchange *x);

/* --- live.c: the open calls of this thread --- */
void gw_live_add(struct exchange *x);
void gw_live_remove(struct exchange *x);
void gw_live_check(void *ctx); /* ends those whose key is no longer good */
void gw_live_thread_end(void); /* before the loop is freed */
bool gw_was_ended(const struct exchange *x);

/* --- admit.c: requests in flight --- */
bool gw_admit(struct config *c);
void gw_release(void);
unsigned gw_in_flight(void);

#endif
