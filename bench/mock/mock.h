/*
 * A mock LLM provider for measuring gateways: it answers like OpenAI and Anthropic do, from bytes
 * made at the start, so that it costs as little as possible beside the gateway under test.
 *
 * One thread has one loop: a listener of its own (SO_REUSEPORT), an epoll set, a heap of timers and
 * the connections accepted there. A connection belongs to its loop, is never shared, and is freed
 * at the end of the epoll round in which it was closed (events of that round may still name it).
 *
 * What a request wants travels in its body, in the "user" field, and so survives any proxy:
 *   "user":"mock:delay=20,chunks=32,interval=10,burst=4,pad=1000"
 * delay, interval: milliseconds before the first byte and between two events; chunks: events with
 * content; burst: how many of these go out at once at the start; pad: bytes of text added to each.
 *
 * GET /served tells how many replies to calls were made to their end.
 *
 * A stream obeys back-pressure: it goes on only when all that was sent before has been taken by the
 * kernel, so a gateway that does not read costs the mock no memory.
 */
#ifndef MOCK_H
#define MOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum endpoint {
    ENDPOINT_CHAT,
    ENDPOINT_MESSAGES,
    ENDPOINT_EMBEDDINGS,
    ENDPOINT_MODELS,
    ENDPOINT_SERVED,
    ENDPOINT_UNKNOWN,
};

/* What the events of a stream look like. */
enum stream_style {
    STYLE_OPENAI,
    STYLE_OPENAI_USAGE, /* stream_options.include_usage: a last chunk has it, the others say null */
    STYLE_ANTHROPIC,
    STYLES,
};

struct bytes {
    const char *p;
    size_t n;
};

/* What one request asked for. */
struct order {
    enum endpoint endpoint;
    enum stream_style style;
    bool stream;
    int delay;
    int chunks;
    int interval;
    int burst;
    int pad;
};

struct connection {
    int fd; /* -1: closed, waits to be freed */
    struct order order;
    bool busy;    /* a reply is under way; further requests wait in `in` */
    bool blocked; /* the kernel takes no more; EPOLLOUT is awaited */
    int sent;     /* content events so far */
    int timer;    /* place in the heap, -1: none */
    int64_t due;
    char *in;
    size_t in_n, in_cap;
    char *out; /* what the kernel did not take at once */
    size_t out_n, out_off, out_cap;
    struct connection *next_closed;
};

struct timers {
    struct connection **heap; /* the earliest first */
    int n, cap;
};

struct loop {
    int epoll;
    int listener;
    struct timers timers;
    struct connection *closed;
};

int64_t now_ns(void);
void *grow(void *p, size_t n);

void timers_add(struct timers *t, struct connection *c);
void timers_remove(struct timers *t, struct connection *c);

/* The whole reply to a call that is not streamed. */
struct bytes reply_plain(enum endpoint e);
/* One more has been made to its end. Any thread. */
void reply_count(enum endpoint e);
struct bytes reply_stream_head(void);
struct bytes reply_stream_first(enum stream_style s);
struct bytes reply_stream_middle(enum stream_style s, int pad);
struct bytes reply_stream_last(enum stream_style s, unsigned i); /* p is NULL after the last */
void replies_make(void);

/* Takes one request from the start of `in`. 1: done, *ret_used bytes of it are consumed; 0: it is
 * not complete yet (*ret_continue: it waits for "100 Continue"); -1: not a request. */
int request_take(const char *in, size_t n, struct order *ret, size_t *ret_used, bool *ret_continue);

void connection_new(struct loop *l, int fd);
void connection_close(struct loop *l, struct connection *c);
void connection_readable(struct loop *l, struct connection *c);
void connection_writable(struct loop *l, struct connection *c);
void connection_timer(struct loop *l, struct connection *c);
void connections_free_closed(struct loop *l);

#endif
