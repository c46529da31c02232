/*
 * Inside src/alert: an alert on its way, and the steps it takes.
 */
#ifndef SF_ALERT_ALERT_INT_H
#define SF_ALERT_ALERT_INT_H

#include "alert/alert.h"
#include "base/buf.h"
#include "base/list.h"

#define ALERT_QUEUE 1024 /* that wait to be looked at, and again that wait for a destination */
#define ALERT_TRIES 5

enum delivery_state { DELIVERY_NONE, DELIVERY_WAITS, DELIVERY_SENT, DELIVERY_FAILED };

struct delivery {
    enum delivery_state state;
    unsigned tries;
    int64_t due; /* when it is tried next */
    int status;  /* of the last answer */
    char why[POST_ERR_BYTES];
};

/* One alert with its texts, in one piece of memory. */
struct alert_item {
    struct list node;
    struct alert a;
    char id[ALERT_ID_BYTES];
    int64_t at;       /* wall clock */
    uint64_t repeats; /* of its kind and subject that were not told before it */
    struct delivery to[ALERT_DESTINATIONS];
    char text[];
};

/* --- queue.c: from any thread to the first loop --- */

/* A copy whose texts are valid UTF-8 without control characters, cut to their maxima. NULL: no
 * memory. */
struct alert_item *alert_item_new(const struct alert *a);
/* From now on wake runs, in loop context of the calling thread's loop, when something came. What
 * was fired before, once the queue was set, waits. */
void alert_queue_open(void (*wake)(void));
void alert_queue_close(void); /* what is in it is dropped, and nothing is taken any more */
void alert_queue_set(bool enabled, int64_t repeat);
struct alert_item *alert_queue_take(void); /* the oldest, or NULL */

/* --- render.c: bodies --- */

/* The body for a destination, as it takes it. */
void alert_render(
    enum alert_destination d, const struct alert_item *i, struct str node, struct buf *out);
/* The header lines of a signed webhook: signature over "<unix seconds>.<body>". */
void alert_sign(const struct secret *key, int64_t wall_ns, struct str body, struct buf *out);

/* --- send.c --- */

/* What the coroutine knows of a destination. */
struct sender {
    struct post_target *to; /* NULL = none */
    struct secret key;      /* signs; may be empty */
    int64_t not_before;     /* it asked for a pause, or failed just now */
};
/* One try at one destination. */
enum post_result alert_post(enum alert_destination d, struct post_target *t,
    const struct secret *key, const struct alert_item *i, struct str node, struct post_reply *ret);

/* --- window.c --- */

#define WINDOW_NS    (60 * NS_PER_S)
#define WINDOW_CELLS 12 /* of 5 s */
#define WINDOW_CALLS 10 /* fewer say nothing */
struct window {
    uint64_t cells[WINDOW_CELLS]; /* atomic: slice, calls and failures in one word */
};
void window_add(struct window *w, int64_t now, bool failed);
void window_read(struct window *w, int64_t now, uint64_t *ret_calls, uint64_t *ret_failed);
void alert_window_set(int64_t slow, unsigned percent);

/* --- records.c --- */

/* The rows are for looking at: what cannot be written is counted, and the alert goes on. */
void alert_record(struct store *s, const struct alert_item *i, struct str node);
void alert_record_end(struct store *s, const struct alert_item *i);
const char *alert_status(const struct alert_item *i);
/* Rows that nobody looks at any more. */
void alert_forget_old(struct store *s);

#endif
