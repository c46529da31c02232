/*
 * Inside src/keys: what limits hold for a call. limits.c takes; limits_settle.c gives back;
 * limits_rows.c says which counters a call counts in, limits_names.c what they are called;
 * limits_refuse.c says no; crossed.c tells of budgets crossed.
 */
#ifndef SF_KEYS_LIMITS_INT_H
#define SF_KEYS_LIMITS_INT_H

#include "keys/estimate.h"
#include "keys/limits.h"
#include "keys/windows.h"
#include "llm/exchange.h"

#define BUDGETS_MAX                                                                                \
    8 /* of one subject: with five levels and their tokens they fit into a reserve */
_Static_assert(
    SUBJECT_KINDS *(BUDGETS_MAX + 1) <= SHARED_ROWS_MAX, "all rows fit into one reserve");

/* The subjects above a call, the nearest first. They live as long as x->key and x->customer. */
struct levels {
    const struct subject *at[SUBJECT_KINDS];
    unsigned n;
};

/* What a row of a reserve is about. */
struct cause {
    const struct subject *s;
    enum { CAUSE_REQUESTS, CAUSE_PARALLEL, CAUSE_TOKENS, CAUSE_MONEY } what;
    uint8_t level, budget; /* of CAUSE_MONEY: the first budget with that counter */
};

/* A budget's counter in which money is held. */
struct held_budget {
    uint8_t level, budget;
    int64_t used; /* what had been settled in it, all nodes, before this call */
};

/* The tightest of all levels, for headers; limit 0 = none. */
struct seen_limit {
    int64_t limit, left;
};

struct hold {
    struct levels levels;
    struct str tags; /* of the request, separated by commas; where a budget asks for them */
    /* requests and parallel calls */
    int64_t began; /* wall: whose minute the request counts in */
    bool stage_held, counted_request;
    struct seen_limit requests, tokens;
    /* tokens and money of the attempt that runs */
    bool open;
    bool over; /* goes on beyond its budget: no more is asked for */
    bool estimated;
    struct estimate estimate;
    int64_t at; /* wall: whose windows it counts in */
    int64_t nano;
    uint64_t tok;
    struct held_budget *budgets; /* arena */
    unsigned budgets_n, budgets_room;
};

#define ROWS_MAX SHARED_ROWS_MAX

/* Rows being put together, and the room for their names. */
struct rows {
    struct shared_row *at;
    struct cause *cause;
    char (*names)[COUNTER_NAME_BYTES];
    unsigned n;
};

/* What limits_use() set. */
struct shared *limits_shared(void);

/* customer may be NULL. */
void levels_of(const struct virtual_key *k, const struct subject *customer, struct levels *ret);
void rows_of_stage(const struct hold *h, struct rows *rows);
/* top_up: more of what runs, which its tokens a minute do not refuse. */
void rows_of_attempt(const struct exchange *x, const struct hold *h, struct rows *rows,
    int64_t nano, uint64_t tokens, bool top_up);
/* Whether any budget that applies to the call is hard. */
bool has_hard_budget(const struct exchange *x, const struct hold *h);
bool has_tag_budget(const struct levels *l);

/* Fills x->error; -EREMOTEIO. only_held: other calls' reservations alone stand in the way. */
int refuse_row(struct exchange *x, const struct rows *rows, unsigned row, bool only_held);

/* used: all that was settled in the counter of budget i, whose window this is. */
void crossed_check(const struct subject *s, unsigned i, const struct window *w, int64_t used);

#endif
