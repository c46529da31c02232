/*
 * A WebSocket session: a client in front, an upstream behind it, and what stands between them.
 *
 *   client.stream ──▶ client.reader ──▶ (messages checked, edited) ──▶ upstream.stream
 *   client.stream ◀────────── bytes as they came ◀── upstream.reader ◀── upstream.stream
 *                                                        └─▶ usage
 *
 * struct ws_front is made when the client's handshake is looked at and belongs to its exchange. The
 * streams belong to the server's connection and to the upstream call.
 */
#ifndef SF_WEBSOCKET_INT_H
#define SF_WEBSOCKET_INT_H

#include "gateway/gateway_int.h"
#include "http/bufpool.h"
#include "http/ws.h"
#include "net/stream.h"
#include "runtime/sync.h"

/* --- websocket_message.c: whole messages out of bytes. Pure. --- */

struct ws_reader {
    struct ws_parser frames;
    struct buf joined; /* the fragments of a message so far, or the last one given out */
    enum ws_opcode opcode;
    bool joining, drop;
};

struct ws_message {
    enum ws_opcode opcode; /* never WS_CONT */
    struct str payload;    /* unmasked; valid until the next call */
};

void ws_reader_init(struct ws_reader *r, bool from_client, size_t max);
void ws_reader_free(struct ws_reader *r);
/* Takes the next message or control frame out of *in: 1, 0 when more bytes are needed, -EPROTO,
 * -EMSGSIZE (of a frame, or of its fragments together), -ENOMEM. */
int ws_reader_next(struct ws_reader *r, struct str *in, struct ws_message *ret);
bool ws_reader_between_frames(const struct ws_reader *r);
bool ws_reader_between_messages(const struct ws_reader *r);
unsigned ws_close_code(struct str payload); /* 0 = none given */

/* --- websocket_usage.c: what the provider's events say was consumed. Pure. --- */

/* True when text is an event that ends a response and reports usage, which is added to *sum. id
 * gets the response's id, or becomes empty. */
bool ws_usage_take(enum endpoint_kind kind, struct str text, struct usage *sum, char id[static 80]);
void ws_usage_add(struct usage *sum, const struct usage *one);

/* --- websocket_side.c: one of the two ends --- */

struct ws_side {
    struct stream *stream; /* NULL = not connected */
    struct block block;
    struct str unread; /* in block, or bytes that came with the handshake */
    struct ws_reader reader;
    bool writing;    /* a write began and has not ended: nothing may be put in between */
    bool closing;    /* its close frame came */
    bool close_sent; /* a close frame was written to it */
    bool gone;       /* it ended or failed */
    unsigned code;   /* of its close frame; 0 = none */
};

void ws_side_free(struct ws_side *s);
/* Bytes into s->unread, unless there are some: > 0, 0 at the end, -errno. No memory is held while
 * it waits. */
ssize_t ws_side_fill(struct ws_side *s, int64_t deadline);
/* Writes all, waiting at most patience for each bit of progress. watch: a connection whose hang-up
 * ends the wait (-ECONNRESET), or NULL. */
int ws_side_write(struct ws_side *s, struct str bytes, int64_t patience, struct io *watch);
/* Cancels the calling coroutine as soon as the side hangs up, until ws_watch_end(). Nobody may read
 * from it meanwhile. */
struct ws_watch {
    struct group group;
    struct io *io;
    struct co *caller;
};
void ws_watch_begin(struct ws_watch *w, struct ws_side *s);
void ws_watch_end(struct ws_watch *w);

/* --- the session --- */

#define WS_OUT_MAX (LIMIT_WS_FRAME_BYTES + 8 * KIB) /* a message with an edit and its header */

enum ws_cause { WS_CLIENT, WS_UPSTREAM, WS_LOCAL, WS_DRAIN };

struct ws_front {
    struct list node; /* among the thread's */
    struct co *idle;  /* waits for the first message, and for nothing else */
    struct ws_side client, upstream;
    char key[25];        /* Sec-WebSocket-Key that went to the upstream */
    bool accepted;       /* the client has its 101 */
    bool told;           /* nothing more is to be said to the client */
    unsigned close_code; /* for an error; 0 = by its status */
    struct buf first;    /* Responses: the message that named the model */
    struct buf pending;  /* our frames for the client, until its stream stands between messages */
    struct sem to_client;
    int64_t ends_at;                /* of the session */
    struct event over;              /* one direction has ended, and it was: */
    struct ws_side *first_to_close; /* this one's close frame, or NULL: */
    enum ws_cause cause;            /* the fault of this one; with WS_DRAIN nobody's */
    int reason;                     /* with this errno */
};

/* websocket.c */
int ws_front_new(struct exchange *x); /* 0, also when there is one; or x->error */
int ws_leaving(struct exchange *x);   /* 0, or 503 in x->error when the thread is being drained */

/* websocket_handshake.c */
int ws_check_client(struct exchange *x); /* 0, or 426 or 400 in x->error */
int ws_check_upstream(struct exchange *x, const struct http_head *head); /* of its 101 */
/* Sends the 101. protocol: the subprotocol that was chosen, or empty. */
int ws_accept_client(struct exchange *x, struct str protocol);
struct str ws_own_choice(struct str offered); /* of the client's subprotocols; empty = none */
/* The model as the upstream knows it into the query, in place of what the client wrote there. */
int ws_query_model(struct exchange *x);

/* websocket_create.c: messages of the Responses protocol */
int ws_first_message(struct exchange *x); /* reads it: x->body, x->spans, x->model_asked */
/* That message as a frame for the upstream. 0 or -errno. */
int ws_put_first(struct exchange *x, struct buf *out);
/* A text message of the client as a frame for the upstream, appended to out; or, when it must not
 * go there, an error event for the client, appended to refusal. 0 or -errno. */
int ws_forward_text(struct exchange *x, struct str text, struct buf *out, struct buf *refusal);
int ws_put_error(const struct error *e, struct buf *out); /* the event as a frame */
int ws_put_masked(struct buf *out, enum ws_opcode opcode, struct str payload);

/* websocket_relay.c */
int ws_send_first(struct exchange *x); /* 0 or x->error */
int ws_relay(struct exchange *x);      /* until either side ends; sets x->outcome */

#endif
