/*
 * Responses that the gateway keeps, where the model's provider keeps none: so that
 * previous_response_id, item references, GET and DELETE /v1/responses/{id} and input_items work
 * with every model.
 *
 * A row holds the items of the whole conversation up to the answer, and the answer. Its id tells
 * that it lies here ("resp_sf…", made of the request's id by wire_responses); the ids of its items
 * tell which row they are in. It belongs to whom own.h says: the team, or the key where there is
 * none; of a call with the caller's own credential, to that credential. After
 * SMARTFLOW_RESPONSES_RETENTION (30 days, as at OpenAI) it is gone.
 *
 *   responses_kept.c    rows: put, get, delete, expiry
 *   responses_items.c   items as JSON: ids, references, pages; pure
 *   responses_serve.c   the endpoints, and the input of a call that goes on
 *
 * For a Responses call whose provider keeps nothing:
 *
 *   gw_kept_input(x, &items)       the conversation: what it goes on with, and its own input
 *   gw_kept_body(x, items, …)      the body to translate, with all of it as input
 *   … the call …
 *   gw_kept_put(x, id, items, reply)   before the client sees the last byte
 */
#ifndef SF_GATEWAY_RESPONSES_KEPT_H
#define SF_GATEWAY_RESPONSES_KEPT_H

#include "gateway/gateway_int.h"

#define KEPT_MAX_BYTES                                                                             \
    ((size_t)1 << 20)     /* items and reply together; what is larger is not kept                  \
                           */
#define KEPT_LIST_MAX 100 /* items on a page */

/* --- rows --- */

struct kept_response {
    struct str items; /* a JSON array; both in the exchange's arena */
    struct str reply;
};

/* Whether the id is of a response, or of an item of one, that was made here. */
bool gw_kept_is(struct str id);
/* The response in which an item of this id lies: "resp_sf…" in room; empty = it is none of ours. */
#define KEPT_ID_BYTES 64
struct str gw_kept_owner_of(struct str item_id, char room[static KEPT_ID_BYTES]);

/* Whether this call's answer is to be kept at all. */
bool gw_kept_wanted(const struct exchange *x);
/* Keeps an answer, unless "store" is false in the call's body, the key keeps no content, or it is
 * too large. Replaces nothing. 0 also then; -errno when the store did not take it (the caller logs,
 * the client gets its answer). Suspends. */
int gw_kept_put(struct exchange *x, struct str id, struct str items, struct str reply);
/* 1 found; 0 not there, expired, or another's; -EREMOTEIO with x->error: the store is away. */
int gw_kept_get(struct exchange *x, struct str id, struct kept_response *ret);
/* The same. */
int gw_kept_delete(struct exchange *x, struct str id);
/* Housekeeping, as often as one likes: once an hour (or retention, if that is shorter) rows
 * that have expired go, FORGET_ROWS at a time until none is left. Suspends. */
void gw_kept_forget(void);

/* --- calls --- */

/* GET, DELETE, cancel and input_items of a response that lies here: 1 when it was answered, 0 when
 * it is none of ours, or x->error. */
int gw_kept_serve(struct exchange *x);
/* Whether any of this matters to a Responses call: it goes on with something that lies here, names
 * an item, or is to be kept. If not, its body can be translated as it came. */
bool gw_kept_concerns(const struct exchange *x);
/* The items of the whole conversation as a JSON array, appended to out: 0, or x->error (400
 * previous_response_not_found, 404 for a reference to nothing). Suspends. */
int gw_kept_input(struct exchange *x, struct buf *out);
/* The body with these items as its input. */
int gw_kept_body(struct exchange *x, struct str items, struct buf *out);

/* --- items (pure) --- */

/* Finds the item of a reference; p NULL = unknown. */
typedef struct str kept_find_fn(void *ctx, struct str id);
/* Appends the items of input (a text or an array, valid JSON), comma-separated and after *any of
 * them, each with type, id and status; references are replaced by what find() says. seed: the
 * request's id, of which new ids are made. 0; -ENOENT with *ret_id a reference to nothing; -EINVAL
 * where it is neither. */
int kept_add_items(struct str input, struct str seed, kept_find_fn *find, void *ctx, bool *any,
    struct buf *out, struct str *ret_id);
/* The item of that id in an array, p NULL = none. */
struct str kept_item(struct str items, struct str id);
/* A page of items as a list object. after: the id behind which it begins; empty = at the start. 0,
 * or -ENOENT where there is no such item. */
int kept_page(struct str items, struct str after, unsigned limit, bool ascending, struct buf *out);

#endif
