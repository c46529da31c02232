/*
 * A load generator for LLM gateways over HTTP/1.1: one thread, epoll, exact percentiles.
 *
 * A connection carries one request after the other. The modes decide when:
 *   rate    open loop: request i is due at start + i / rate, whatever became of the others. Its
 * time counts from when it was due, so a gateway that stalls is charged for all that it held up.
 *   closed  every connection sends again as soon as its reply has ended.
 *   hold    connections are opened at a rate, each asks for one stream, and all stay open.
 * In hold mode some clients may be made to read no more after their first event.
 *
 * All requests are the same bytes. Replies are parsed only as far as needed to find their end and,
 * in streams, where events begin.
 */
#ifndef LOADGEN_H
#define LOADGEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mode {
    MODE_RATE,
    MODE_CLOSED,
    MODE_HOLD,
};

struct options {
    const char *url;
    char fields[4096]; /* header lines */
    enum mode mode;
    double rate;
    int connections;
    double seconds;
    double warm_up;
    bool stream;
    const char *directions; /* for the mock, in "user" */
    size_t body_bytes;
    const char *model;
    double not_reading; /* share of the clients in hold mode */
    struct sockaddr_in address;
    int port;
    char path[512];
};

enum body_framing {
    BODY_TO_CLOSE,
    BODY_LENGTH,
    BODY_CHUNKED,
};

enum chunk_part {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_DATA,
    CHUNK_END,
    CHUNK_TRAILER,
};

enum { HEAD_MAX = 4096 };

/* Where the parser is in a reply. */
struct reply {
    char head[HEAD_MAX];
    size_t head_n;
    bool in_body;
    int status;
    bool close; /* the connection ends with this reply */
    enum body_framing framing;
    size_t left; /* of the body, or of the chunk */
    enum chunk_part part;
    size_t line_n;        /* bytes in the trailer line so far */
    int event_match;      /* bytes of "\ndata:" seen; -1: not at a line's start */
    unsigned long events; /* found by the latest reply_take() */
};

struct client {
    int fd;
    bool connected;
    bool busy;
    bool deaf; /* stops reading after its first event */
    bool had_first;
    size_t written; /* of the request */
    int64_t due;
    struct reply reply;
};

struct samples {
    double *v;
    size_t n, cap;
};

struct totals {
    long sent, ok, not_2xx, errors, reconnects, unfinished;
    long in_flight;
    long firsts; /* streams that brought an event */
    long events; /* within the measured time */
    long done;   /* replies within the measured time */
    long longest_queue;
    struct samples latency;
    struct samples first_event;
};

/* Everything of a run. */
struct load {
    struct options o;
    char *request;
    size_t request_n;
    int epoll;
    struct client *clients;
    int *idle; /* a stack of clients without a request */
    int idle_n;
    int opened; /* hold mode: clients so far */
    int64_t start, record_from, end;
    bool stopping;
    bool announced; /* hold mode: all are open */
    long due_n, due_all;
    struct totals t;
};

int64_t now_ns(void);

int options_read(int argc, char **argv, struct options *ret);
char *request_make(const struct options *o, size_t *ret_n);

void reply_reset(struct reply *r);
/* 1: the reply is complete; 0: more is needed; -1: broken. */
int reply_take(struct reply *r, const char *p, size_t n);

void client_dial(struct load *l, struct client *c);
void client_start(struct load *l, struct client *c, int64_t due);
void client_event(struct load *l, struct client *c, uint32_t events);

void load_run(struct load *l);

void samples_add(struct samples *s, double v);
void report_print(struct load *l);

#endif
