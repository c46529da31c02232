/*
 * What is known of each target: a provider (or a deployment of it) and a model there. Calls that
 * run, how the last ones ended, how long they took. All threads of the process share one record of
 * a target, and so do all snapshots of the configuration; nodes tell each other of latencies and
 * rests (route/share.h).
 *
 * The breaker: closed while all is well. After `failures` in a row within a minute it opens for
 * `cooldown`: the target is not chosen. Then it is half open: one call at a time may try, whose
 * success closes it; a failure opens it again, twice as long, at most a minute.
 *
 * A target that said 429 rests for as long as it asked, which is no failure.
 *
 * Records are made once and never freed, at most ROUTE_STATES_MAX. Their numbers are read and
 * written atomically and by themselves: two threads may see each other's changes a moment late.
 * Nothing here suspends, locks (but for making a record) or logs.
 */
#ifndef SF_ROUTE_HEALTH_H
#define SF_ROUTE_HEALTH_H

#include "base/clock.h"
#include "base/str.h"
#include <stdbool.h>

#define ROUTE_STATES_MAX  1024
#define ROUTE_WHERE_BYTES 64              /* of a provider's or deployment's name */
#define ROUTE_MODEL_BYTES 192             /* longer names have no record */
#define ROUTE_FRESH_NS    (60 * NS_PER_S) /* a latency older than this says nothing */
#define ROUTE_REST_MAX_NS (60 * NS_PER_S)
#define ROUTE_REST_NS     NS_PER_S /* where the provider does not say how long */

struct route_state;

/* NULL: there are too many, or a name is too long, or holds what would break a line of text. */
struct route_state *route_state_get(struct str where, struct str model);
/* Of a name that only a client says: all of them together take no more than half of the room. */
struct route_state *route_state_get_spare(struct str where, struct str model);
struct route_state *route_state_find(struct str where, struct str model); /* does not make one */
struct route_state *route_state_at(unsigned i);                           /* NULL behind the last */
struct str route_state_where(const struct route_state *s);
struct str route_state_model(const struct route_state *s);
uint64_t route_state_hash(const struct route_state *s); /* of its names: the same on all nodes */
/* Counts up with each call: for taking turns. */
unsigned route_state_turn(struct route_state *s);

/* --- the breaker --- */

struct breaker_settings {
    unsigned failures; /* 0 = it never opens */
    int64_t cooldown;
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
const char *breaker_state_name(enum breaker_state b);

enum breaker_state route_state_breaker(const struct route_state *s, int64_t now);
/* Whether a call may choose it: not open, not resting, and no other call is trying it out. */
bool route_state_is_well(const struct route_state *s, int64_t now);
/* When it may be chosen again; 0 = now. */
int64_t route_state_until(const struct route_state *s, int64_t now);
/* It rests, as its provider asked this node. */
void route_state_rest(struct route_state *s, int64_t until);

/* --- calls --- */

enum route_result {
    ROUTE_OK,
    ROUTE_FAILED,    /* of the target's own making: counts for the breaker */
    ROUTE_LIMITED,   /* 429 */
    ROUTE_NO_FAULT,  /* the request's fault, or nobody's: says nothing of the target */
    ROUTE_ABANDONED, /* cancelled by us or the client */
};

/* s may be NULL in both. */
void route_state_begin(struct route_state *s, int64_t now);
/* True when this call opened the breaker. */
bool route_state_end(
    struct route_state *s, enum route_result result, const struct breaker_settings *b, int64_t now);
unsigned route_state_in_flight(const struct route_state *s);

/* --- latency --- */

/* Streams by their first token, other calls by their whole reply. */
enum route_flow { ROUTE_WHOLE, ROUTE_STREAM, ROUTE_FLOWS };

void route_state_took(struct route_state *s, enum route_flow f, int64_t ns, int64_t now);
/* The moving average of the p95 over the last calls, ns; -1 where there were none lately, here or
 * on another node. */
int64_t route_state_p95(const struct route_state *s, enum route_flow f, int64_t now);
/* After how long a second call is worth it: the p99 over the last thousand, but no more than three
 * times the p95, so that stalls of one call in a hundred do not hide themselves. -1: too few calls
 * to know (ROUTE_HEDGE_CALLS). */
#define ROUTE_HEDGE_CALLS 20
int64_t route_state_hedge_after(const struct route_state *s, enum route_flow f);
/* The share q (0 to 1) of the last calls took at most this, ns; -1: none. */
int64_t route_state_quantile(const struct route_state *s, enum route_flow f, double q);
/* Whether one more hedged call keeps them below percent of this target's calls; counts it. */
bool route_state_may_hedge(struct route_state *s, unsigned percent);
/* True for one caller in a while: an unknown target is tried by one call, not by all. */
bool route_state_claim_probe(struct route_state *s, int64_t now);

/* What other nodes see, and what they told (route/share.c). */
bool route_state_take_news(struct route_state *s, enum route_flow f, int64_t *ret_p95);
void route_state_heard(struct route_state *s, enum route_flow f, int64_t p95, int64_t now);
/* Another node was asked to leave it alone. It is not told again: nodes that repeat each other
 * would make a rest last for ever. */
void route_state_heard_rest(struct route_state *s, int64_t until);
int64_t route_state_own_rest(const struct route_state *s, int64_t now); /* ns left; 0 = does not */
int64_t route_state_resting(const struct route_state *s, int64_t now);  /* of both */

/* --- counts since the start --- */

struct route_counts {
    uint64_t calls, ok, failed, limited, abandoned, hedges;
    uint64_t took_ns, took_n;                 /* sum and number of latencies, both flows */
    int64_t last_failure, last_ok, last_call; /* wall ns; 0 = none */
};
void route_state_counts(const struct route_state *s, struct route_counts *ret);

void route_states_reset(void); /* for tests: all records as new */

#endif
