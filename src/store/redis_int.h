/*
 * The shared store's link to Redis or Valkey: what its files, and shared*.c, have in common.
 *
 *   callers (any thread) ──rows_submit──▶ out (bytes) + unanswered (commands, in order)
 *        │                                   │ writer: swaps out against writing, one write a turn
 *        └─ held: they wait for a counter    │ reader: replies in order, each ends a command
 *   settles ──▶ dirty (counters) ──writer──▶ out
 *
 * Everything from `up` on is guarded by the shared store's lock. The connection, its two coroutines
 * and the timers belong to the owning loop. A command either lies in the frame of the coroutine
 * that waits for it (struct call), or belongs to the link and comes from its pool.
 *
 * The one rule that keeps the parts right: a row tells Redis either this node's whole part, which
 * is only allowed while no command that names the counter is unanswered, or what changed since the
 * last row. Redis refuses changes under an older generation than it knows, so what a dead link left
 * in some buffer cannot count twice.
 */
#ifndef SF_STORE_REDIS_INT_H
#define SF_STORE_REDIS_INT_H

#include "net/dial.h"
#include "runtime/sync.h"
#include "store/redis_resp.h"
#include "store/shared_int.h"

#define REDIS_CONNECT_NS  NS_PER_S
#define REDIS_BACKOFF_MIN (50 * NS_PER_MS)
#define REDIS_BACKOFF_MAX NS_PER_S
#define REDIS_BEAT_NS     NS_PER_S         /* how often the link is tried, and nodes are counted */
#define REDIS_WATCH_NS    (50 * NS_PER_MS) /* how often counters with waiters are looked at */
#define REDIS_RENEW_NS    (8 * NS_PER_S)   /* leases; with the sweep's round below 20 s */
#define REDIS_NODE_S      30    /* a node, and its leases, end so long after its last word */
#define REDIS_SLACK_MS    60000 /* keys live longer than counters, as clocks differ */
#define REDIS_RECOVER_NS  (3 * NS_PER_S)
#define REDIS_OUT_BYTES   ((size_t)64 << 20)
#define REDIS_FILLS       8 /* fill functions running at a time */
#define REDIS_FILL_PARTS  64

enum command_kind {
    COMMAND_ROWS,   /* the script, for one call or for the link itself */
    COMMAND_VALUE,  /* GET for a caller */
    COMMAND_PLAIN,  /* SET, DEL for a caller: done, or nil */
    COMMAND_EPOCH,  /* GET of the epoch */
    COMMAND_NODES,  /* ZCARD of the nodes */
    COMMAND_TIME,   /* TIME */
    COMMAND_IGNORE, /* anything but an error */
};

struct command {
    struct list at; /* in unanswered, held or the pool */
    enum command_kind kind;
    int64_t since;     /* mono ns when it was sent last */
    struct call *call; /* NULL: the link's own */
    unsigned n;
    struct counter *counters[SHARED_ROWS_MAX]; /* of a COMMAND_ROWS */
};

/* What a caller waits for; in its frame. */
struct call {
    struct command command;
    int64_t begun; /* mono ns */
    struct sleeper sleeper;
    struct shared_row *rows;
    struct counter **row_at; /* counters of all rows */
    unsigned n_rows;
    uint8_t row[SHARED_ROWS_MAX]; /* of command.counters[i]: which row */
    bool look;                    /* only wants the sums */
    unsigned refused;             /* row, when result is -EDQUOT */
    uint32_t settles;
    struct buf *out; /* of a COMMAND_VALUE */
    int result;
};

/* A connection that has logged in. */
struct redis_conn {
    struct stream stream;
    struct resp resp;
    char *in; /* REDIS_IN_BYTES */
};

#define REDIS_IN_BYTES ((size_t)64 << 10)
#define REDIS_WHY      240

struct redis {
    struct shared *s;

    /* settings */
    char *host;
    uint16_t port;
    unsigned db;
    bool secure;
    struct secret user, password;
    struct tls_ctx *tls;
    char *prefix, *node, *field; /* field = "n:" and the node */
    char id[17];                 /* of this process, in front of each message */
    char script[41];             /* its SHA-1 */

    /* under the shared store's lock; the atomic ones are also read without */
    atomic_bool up;        /* counters are kept there */
    atomic_bool connected; /* key-value and messages go there */
    atomic_bool sub_up;    /* messages come from there */
    atomic_uint nodes;
    atomic_llong first_until; /* mono ns: calls wait for the first link so long; 0 = it came,
                                 NEVER_NS = redis_start() is to come */
    atomic_bool need, posted; /* there is something to send; the owner was told so */
    uint64_t generation, outage;
    int64_t answer_ns;     /* see struct shared_settings */
    int64_t recover_until; /* mono ns: after Redis lost its memory, see floor_of() */
    struct buf out;
    struct list unanswered, held, dirty, watched, fill, pool;
    bool epoch_asked;

    /* the owning loop's */
    struct loop *owner;
    struct redis_conn conn, sub_conn;
    struct buf writing;
    struct co *main, *writer, *sub;
    struct event writable; /* out has something, or the link is down */
    struct timer timeout, look, beat;
    int64_t watch_due; /* when `timeout` should come */
    bool late;         /* a timeout was seen, and is given one more turn */
    int64_t stalled;   /* so long did this loop stand still since the last answer */
    bool checking;     /* in redis_open(): no offload pool may be there */
    unsigned beats, fillers;
    int64_t skew; /* Redis' clock minus the monotonic one, seconds */
    int64_t up_at;
    char epoch[40];
    unsigned attempts; /* to connect */
    bool stopping, new_memory, no_scripts, was_up;
    bool told_up, told_any;
    int64_t told_at;
    char why[REDIS_WHY]; /* of the last end, or of what is missing */
};

/* --- for shared*.c ---------------------------------------------------------------------------- */

int redis_open(struct shared *s, const struct shared_settings *set, char *err, size_t err_n);
int redis_start(struct shared *s);
void redis_stop(struct shared *s);
void redis_close(struct shared *s);
bool redis_is_up(const struct shared *s);
unsigned redis_nodes(const struct shared *s);

/* -ENOTCONN: not up, nothing was done. */
int redis_reserve(
    struct shared *s, struct shared_row *rows, const uint64_t *hash, unsigned n, unsigned *ret_row);
int redis_look(struct shared *s, struct str name);
int redis_get(struct shared *s, struct str key, struct buf *out);
int redis_set(struct shared *s, struct str key, struct str value, int64_t ttl, bool only_new);
int redis_del(struct shared *s, struct str key);
void redis_publish(struct shared *s, struct str channel, struct str message);

/* Under the lock: around each change of an own part. */
void redis_before_change(struct shared *s, struct counter *c);
void redis_after_change(struct shared *s, struct counter *c, int64_t used, int64_t held);
/* Under the lock. Whether this node's share while Redis is away has room; true while it is there.
 */
bool redis_share_fits(struct shared *s, struct counter *c, int64_t amount, int64_t limit);
void redis_watch(struct shared *s, struct counter *c); /* it has a waiter */
void redis_renew(struct shared *s, struct counter *c); /* the sweep came by */
void redis_kick(struct shared *s);                     /* without the lock: sends what is due */

/* --- among the redis files ----------------------------------------------------------------------
 */

/* redis_url.c: into r's settings. 0, -EINVAL with err, -ENOMEM. */
int redis_url_parse(struct redis *r, struct str url, char *err, size_t err_n);

/* redis_conn.c. All suspend; on failure why says so and the connection is closed. */
int redis_conn_open(struct redis *r, struct redis_conn *c, char why[static REDIS_WHY]);
void conn_close(struct redis_conn *c);
void redis_conn_free(struct redis_conn *c);
int redis_conn_send(struct redis_conn *c, const struct buf *b, char why[static REDIS_WHY]);
/* The next reply into c->resp.items. 0 or -errno; no why when it is -ETIMEDOUT. */
int conn_reply(struct redis_conn *c, int64_t deadline, char why[static REDIS_WHY]);
/* Sends b, a command, and waits for its reply, which may be an error reply. */
int conn_ask(struct redis_conn *c, struct buf *b, char why[static REDIS_WHY]);
void why_reply(char why[static REDIS_WHY], const char *what, struct str text);

/* redis_hello.c: what a fresh link does before it is up. Suspends. */
int redis_hello(struct redis *r, char why[static REDIS_WHY]);
void key_of(struct redis *r, const char *what, char out[static 64]);
void nodes_announce(struct redis *r, struct buf *b); /* three commands */
void nodes_seen(struct redis *r, int64_t n);

/* redis_script.c */
extern const char redis_script_text[], redis_fill_text[];

/* redis_rows.c; all under the lock. */
void counter_queue(struct redis *r, struct counter *c); /* what is unsent is to be sent */
void call_submit(struct redis *r, struct call *call);
void held_retry(struct redis *r);
int64_t ms_to_live(const struct counter *c);    /* in Redis; 0 = for ever */
void held_let_go(struct redis *r, int64_t now); /* those that a fill has held for too long */
bool dirty_write(struct redis *r); /* one command from the dirty list; false when it is empty */
struct command *command_own(struct redis *r, enum command_kind kind);
void command_sent(struct redis *r, struct command *cmd); /* its bytes are in out */
/* Ends a command by its reply: 0, or -EPROTO with why. What is to be told or woken goes to the
 * lists. */
int rows_reply(struct redis *r, struct command *cmd, const struct resp *resp, struct list *told,
    struct list *woken, char why[static REDIS_WHY]);
void call_decide(struct redis *r, struct call *call, struct list *told); /* without Redis */
void call_done(struct call *call, int result, struct list *told);
void command_forget(struct redis *r, struct command *cmd);

/* redis_fill.c */
void fill_ask(struct redis *r, struct counter *c); /* under the lock */
void fill_begin(struct redis *r);                  /* on the owning loop, without the lock */

/* redis_link.c; on the owning loop. */
void link_down(struct redis *r, const char *why);

/* redis_sub.c */
void redis_sub_run(void *arg); /* a coroutine */

#endif
