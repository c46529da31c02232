/*
 * Limits of a call at every level at once (organisation, team, user, key, end customer): requests a
 * minute and calls in flight before anything is spent; tokens a minute and money before each
 * attempt.
 *
 *   limits stage      requests and parallel calls: holds them, or 429
 *   limits_reserve    before each attempt: tokens and money by an estimate, and what the attempts
 *                     before it spent, or 429. Where only other calls' reservations stand in the
 *                     way, it waits for them to settle, at most limits_settings.budget_wait
 *   limits_top_up     when a stream outgrew what was held
 *   limits_settle     once: what it really took, with what attempts before it did
 *                     (exchange.spent_nano); an outcome that is unknown takes what was held
 *   limits_release    an attempt that cost nothing
 *
 * The sums are shared counters (store/shared.h); the exchange's struct hold remembers what is held.
 * All of it in nano-dollars and tokens. Money of a model without a price cannot be held: with a
 * hard budget at any level such a call is refused (403 model_unpriced), unless allow_unpriced.
 */
#ifndef SF_KEYS_LIMITS_H
#define SF_KEYS_LIMITS_H

#include "keys/catalog.h"
#include "llm/stage.h"
#include "store/shared.h"

struct exchange;
struct buf;

struct limits_settings {
    int64_t budget_wait;     /* SMARTFLOW_BUDGET_WAIT, default 10 s */
    unsigned default_output; /* SMARTFLOW_DEFAULT_MAX_TOKENS, 4,096 */
    int budget_status;       /* SMARTFLOW_BUDGET_STATUS: 429 or 402 */
    bool allow_unpriced;     /* SMARTFLOW_ALLOW_UNPRICED */
    bool finish_over_budget; /* SMARTFLOW_FINISH_OVER_BUDGET: a stream whose top-up is refused goes
                                on */
};

/* Where counters live; once at start, before the loops. */
void limits_use(struct shared *s);

extern const struct stage stage_limits;

int limits_reserve(struct exchange *x);
/* As much again, for a second attempt beside the one that runs: 0, or -EDQUOT without an error. */
int limits_reserve_again(struct exchange *x);
/* Output tokens so far. 0, or -EDQUOT with x->error filled: end the stream. */
int limits_top_up(struct exchange *x, uint64_t output_tokens);
void limits_settle(struct exchange *x);
void limits_release(struct exchange *x);
/* x-ratelimit-* (OpenAI's) or anthropic-ratelimit-*, appended to out; nothing for keys without. */
void limits_fields(struct exchange *x, struct buf *out);

/* The counter of a subject's money in the window that holds `at`: its name into out; the end of the
 * window is returned (0 for lifetime). What the ledger seeds and the API shows. */
int64_t limits_money_counter(
    const struct subject *s, enum budget_period p, int64_t at, struct buf *out);
/* The same of an id alone, where there is no record; org_id: that of the key that calls (empty =
 * none), of an end customer too. */
int64_t limits_counter_of(enum subject_kind kind, struct str org_id, struct str id,
    enum budget_period p, int64_t at, struct buf *out);
/* Of the subject's budget i (with its model and tag). */
int64_t limits_budget_counter(const struct subject *s, unsigned i, int64_t at, struct buf *out);
/* The counters of budgets for one model or tag in which the call's last attempt counted: a JSON
 * array
 * ["name",end of its window,…] for the journal; nothing where there are none. */
void limits_scopes(const struct exchange *x, struct buf *out);
/* Of a call whose money is or was held: when that was (wall; 0 = never), which decides the windows,
 * and the counters of budgets for one model or tag that it counts in. For the journal. */
int64_t limits_held_at(const struct exchange *x);
typedef void limits_scope_fn(void *ctx, struct str name, int64_t expires_at);
void limits_each_scope(const struct exchange *x, limits_scope_fn *fn, void *ctx);
/* Called when a budget, soft or hard, crosses its share: alerts. Set once at start. percent: 50,
 * 80, 100; each at most once a window on this node. On the thread of the call; must not suspend. */
typedef void limits_crossed_fn(
    const struct subject *s, const struct budget *b, int64_t used_nano, unsigned percent);
void limits_on_crossed(limits_crossed_fn *fn);

#endif
