/*
 * Replicate's predictions that are not over when their first answer comes (it is held for a minute
 * at most): asked for until they end, within the time that the attempt has. A client that leaves,
 * or a deadline, ends the prediction at the provider, too, which else would go on and be billed.
 *
 * A prediction is whole or not at all, so a stream's client hears keep-alives until then.
 */
#include "gateway/followup.h"
#include "gateway/translated_int.h"
#include "providers/replicate.h"

#include <errno.h>

#define FIRST_NS   (500 * NS_PER_MS) /* between two polls, half as long again each time */
#define LONGEST_NS (5 * NS_PER_S)
#define CANCEL_NS  (5 * NS_PER_S)
#define FAULTS_MAX 5 /* polls in a row that got no answer */

struct poll {
    struct exchange *x;
    const struct http_head *head; /* of the first answer */
    struct str target, cancel;    /* of the prediction */
    int64_t ends, quiet_from;
    unsigned faults;
    struct followup *last; /* the newest answer */
};

static struct str target_of(struct exchange *x, struct str id, bool cancel)
{
    struct buf *b = gw_scratch();

    replicate_prediction_target(b, x->upstream->base_path, id, cancel);
    return arena_dup(&x->translated->arena, buf_str(b));
}

/* Best effort: whatever becomes of it, the call ends with the error that it has. */
static void cancel(struct poll *p)
{
    struct exchange *x = p->x;
    struct error error = x->error;
    enum exchange_outcome outcome = x->outcome;
    struct followup f;

    co_mask_cancel();
    gw_followup(
        x, &(struct followup_ask){STR("POST"), p->cancel, STR_NONE, clock_now() + CANCEL_NS}, &f);
    gw_followup_end(&f);
    co_unmask_cancel();
    x->error = error;
    x->outcome = outcome;
}

static int too_late(struct exchange *x)
{
    x->outcome = OUTCOME_UPSTREAM_ERROR;
    return exchange_fail(
        x, 504, STR("upstream_timeout"), STR("The provider's prediction did not end in time."));
}

/* --- waiting --- */

/* Tells a stream's client that it is still worked on. */
static int keep_alive(struct poll *p)
{
    struct exchange *x = p->x;
    struct str ping = gw_keep_alive(x);

    if (!x->stream_asked || !ping.n ||
        clock_now() < p->quiet_from + translated_config(x)->keep_alive)
        return 0;
    x->stream = true;
    p->quiet_from = clock_now();
    if (translated_stream_begin(x, p->head, true) < 0 || http_reply_write(x->rq, ping) < 0)
        return gw_client_gone(x);
    return 0;
}

/* Sleeps, no longer at once than a keep-alive takes. */
static int wait_until(struct poll *p, int64_t at)
{
    int64_t every = translated_config(p->x)->keep_alive, now;
    int r = 0;

    while (r == 0 && (now = clock_now()) < at) {
        if (co_sleep_until(MIN(at, now + every)) < 0)
            return gw_client_gone(p->x);
        r = keep_alive(p);
    }
    return r;
}

/* --- asking --- */

/* A poll that got no answer says nothing of the prediction. */
static bool is_passing(const struct poll *p, int r)
{
    int status = r < 0 ? p->x->error.status : p->last->head->status;

    return !co_cancelled() && (status == 429 || status >= 500) && p->faults < FAULTS_MAX;
}

/* 1: it has ended; 0: it goes on; or x->error. */
static int ask(struct poll *p)
{
    struct exchange *x = p->x;
    struct replicate_prediction found;
    int r;

    gw_followup_end(p->last);
    r = gw_followup(x, &(struct followup_ask){STR("GET"), p->target, STR_NONE, p->ends}, p->last);
    if ((r < 0 || p->last->head->status >= 300) && is_passing(p, r)) {
        p->faults++;
        x->error = (struct error){0};
        x->outcome = OUTCOME_PENDING;
        return 0;
    }
    if (r < 0)
        return r;
    if (p->last->head->status >= 300)
        return gw_followup_refused(x, p->last);
    p->faults = 0;
    if (replicate_prediction_parse(p->last->body, &found) < 0)
        return 1; /* its reader says what is wrong */
    return replicate_ended(found.state);
}

static int ask_until_over(struct poll *p)
{
    int64_t span = FIRST_NS;
    int r;

    for (;;) {
        int64_t at = clock_now() + span;
        if ((r = wait_until(p, MIN(at, p->ends))) < 0)
            return r;
        if (clock_now() >= p->ends)
            return too_late(p->x);
        if ((r = ask(p)) != 0)
            return r;
        span = MIN(span + span / 2, LONGEST_NS);
    }
}

/* Another target may still have its turn, and has it when this one takes too long. */
static int64_t ends_of(const struct exchange *x)
{
    int64_t at = gw_attempt_ends(x);

    return x->may_fail_over && x->first_token_by ? MIN(at, x->first_token_by) : at;
}

int translated_await_prediction(
    struct exchange *x, const struct http_head *h, struct str *body, struct followup *last)
{
    struct replicate_prediction made;
    struct poll p = {
        .x = x, .head = h, .ends = ends_of(x), .quiet_from = clock_now(), .last = last};

    if (x->face->dialect != DIALECT_REPLICATE || replicate_prediction_parse(*body, &made) < 0 ||
        replicate_ended(made.state))
        return 0;
    p.target = target_of(x, made.id, false);
    p.cancel = target_of(x, made.id, true);
    if (!p.target.p || !p.cancel.p)
        return translated_failed(x, -ENOMEM);
    int r = ask_until_over(&p);
    if (r < 0)
        cancel(&p);
    else
        *body = last->body;
    return r < 0 ? r : 0;
}
