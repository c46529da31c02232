/*
 * What follows a failed attempt: the same target again, another one, or the end. The table of
 * faults is that of the translation page, section 6.
 *
 *   the request's own fault (bad request, too large, permission)   the end
 *   the prompt is too long       targets for that; else those that are known to take longer ones
 *   refused for its content      targets for that alone
 *   no money, no such model, our credential refused                the next target
 *   rate limit                   the next target; the same one when it is the last, after its wait
 *   overload, server error       the same target again, after a backoff; then the next
 *   timeout                      the next target
 */
#include "route/plan_int.h"

#include "crypto/random.h"

enum follow { FOLLOW_NONE, FOLLOW_LONGER, FOLLOW_TYPED, FOLLOW_NEXT, FOLLOW_RETRY };

static enum follow follow_of(enum wire_fault f)
{
    switch (f) {
    case FAULT_CONTEXT:
        return FOLLOW_LONGER;
    case FAULT_POLICY:
        return FOLLOW_TYPED;
    case FAULT_AUTH:
    case FAULT_BILLING:
    case FAULT_NOT_FOUND:
    case FAULT_RATE:
    case FAULT_TIMEOUT:
        return FOLLOW_NEXT;
    case FAULT_OVERLOAD:
    case FAULT_SERVER:
        return FOLLOW_RETRY;
    default:
        return FOLLOW_NONE;
    }
}

/* Which list of the chain is for it; -1: none. */
static int list_of(enum wire_fault f)
{
    switch (f) {
    case FAULT_CONTEXT:
        return FALLBACK_CONTEXT;
    case FAULT_POLICY:
        return FALLBACK_POLICY;
    case FAULT_RATE:
    case FAULT_BILLING:
        return FALLBACK_RATE;
    case FAULT_TIMEOUT:
    case FAULT_OVERLOAD:
    case FAULT_SERVER:
    case FAULT_AUTH:
    case FAULT_NOT_FOUND:
        return FALLBACK_ERROR;
    default:
        return -1;
    }
}

static uint64_t room_of(const struct plan_target *t)
{
    return !t->facts ? 0 : t->facts->max_input ? t->facts->max_input : t->facts->context;
}

static bool fits(const struct plan_target *t, const struct plan_target *last, enum wire_fault f)
{
    if (t->over || plan_is_dead(t->reason))
        return false;
    return f != FAULT_CONTEXT || !last || room_of(t) > room_of(last);
}

bool plan_is_followed(enum wire_fault f)
{
    enum follow next = follow_of(f);

    return next != FOLLOW_NONE && next != FOLLOW_TYPED;
}

bool plan_may_retry(const struct plan *p, const struct plan_target *t, enum wire_fault f)
{
    enum follow next = follow_of(f);

    return (next == FOLLOW_RETRY || f == FAULT_RATE) && t->tries <= p->chain->retries;
}

static struct plan_target *of_list(const struct plan *p, enum wire_fault f)
{
    int list = list_of(f);

    for (unsigned i = 0; list >= 0 && i < p->fallbacks_n[list]; i++) {
        struct plan_target *t = &p->fallbacks[list][i];
        if (!t->over && !plan_is_dead(t->reason))
            return t;
    }
    return NULL;
}

bool plan_has_other(const struct plan *p, const struct plan_target *t)
{
    for (unsigned i = 0; i < p->n; i++)
        if (&p->at[i] != t && !p->at[i].over && !plan_is_dead(p->at[i].reason))
            return true;
    for (unsigned k = 0; k < ROUTE_FALLBACKS; k++)
        for (unsigned i = 0; i < p->fallbacks_n[k]; i++)
            if (&p->fallbacks[k][i] != t && !p->fallbacks[k][i].over &&
                !plan_is_dead(p->fallbacks[k][i].reason))
                return true;
    return false;
}

bool plan_may_fall_back(const struct plan *p, const struct plan_target *t, enum wire_fault f)
{
    enum follow next = follow_of(f);

    if (of_list(p, f))
        return true;
    if (next == FOLLOW_NONE || next == FOLLOW_TYPED)
        return false;
    for (unsigned i = 0; i < p->n; i++)
        if (&p->at[i] != t && fits(&p->at[i], t, f))
            return true;
    return false;
}

/* Of those that are left the first that is well; else the one that will be so first. */
static struct plan_target *best_left(struct plan *p, const struct plan_target *last,
    enum wire_fault f, int64_t now, int64_t *ret_wait)
{
    struct plan_target *soonest = NULL;
    int64_t soon = 0;

    for (unsigned i = 0; i < p->n; i++) {
        struct plan_target *t = &p->at[i];
        if (!fits(t, last, f))
            continue;
        int64_t until = route_state_until(t->state, now);
        if (!until) {
            *ret_wait = 0;
            return t;
        }
        if (!soonest || until < soon) {
            soonest = t;
            soon = until;
        }
    }
    /* A breaker that is open is not waited for: the call is tried all the same, once. */
    *ret_wait = soonest ? now + route_state_resting(soonest->state, now) : 0;
    if (*ret_wait == now)
        *ret_wait = 0;
    return soonest;
}

struct plan_target *plan_next(struct plan *p, const struct plan_target *last, enum wire_fault after,
    int64_t now, int64_t *ret_wait)
{
    struct plan_target *t = last ? of_list(p, after) : NULL;
    enum follow next = last ? follow_of(after) : FOLLOW_NEXT;

    *ret_wait = 0;
    if (t)
        return t;
    if (next == FOLLOW_NONE || next == FOLLOW_TYPED)
        return NULL;
    return best_left(p, last, after, now, ret_wait);
}

struct plan_target *plan_step_up(struct plan *p, const struct plan_target *from, int64_t now)
{
    for (struct plan_target *t = (struct plan_target *)from + 1; t < p->at + p->n; t++)
        if (!t->over && t->reason == PLAN_USABLE && route_state_is_well(t->state, now))
            return t;
    return NULL;
}

int64_t plan_backoff(const struct route_chain *c, unsigned n)
{
    int64_t bound = c->backoff;

    for (unsigned i = 1; i < n && bound < c->backoff_max; i++)
        bound *= 2;
    bound = MIN(bound, c->backoff_max);
    return bound > 0 ? (int64_t)random_below((uint64_t)bound + 1) : 0;
}
