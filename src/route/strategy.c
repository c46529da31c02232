/*
 * Strategies: in which order the targets of a plan are tried. Each orders all of them, so that what
 * follows a failure is its second choice; who cannot serve the call is sorted out afterwards.
 */
#include "route/plan_int.h"

#include "crypto/random.h"
#include "route/route.h"

#include <math.h>

/* --- sorting --- */

static void swap(struct plan_target *a, struct plan_target *b)
{
    struct plan_target t = *a;

    *a = *b;
    *b = t;
}

/* Insertion by score, the lowest first: stable, and lists are short. Unknown (-1) comes last. */
void plan_sort(struct plan *p)
{
    for (unsigned i = 1; i < p->n; i++)
        for (unsigned k = i; k > 0; k--) {
            uint64_t a = (uint64_t)p->at[k - 1].score, b = (uint64_t)p->at[k].score;
            if (a <= b)
                break;
            swap(&p->at[k - 1], &p->at[k]);
        }
}

static void to_front(struct plan *p, unsigned i)
{
    for (; i > 0; i--)
        swap(&p->at[i], &p->at[i - 1]);
}

static void rotate(struct plan *p, unsigned by)
{
    for (by %= MAX(p->n, 1u); by > 0; by--)
        for (unsigned i = 1; i < p->n; i++)
            swap(&p->at[i - 1], &p->at[i]);
}

/* Which of the chain's calls this is. */
static unsigned turn_of(const struct plan *p)
{
    static unsigned without_chain;

    if (p->chain->turn)
        return route_state_turn(p->chain->turn);
    return __atomic_fetch_add(&without_chain, 1, __ATOMIC_RELAXED);
}

/* --- in turn, by chance, by weight --- */

/* Those that are well take turns among themselves: one that is left out must not give its turns to
 * its neighbour alone. */
static void round_robin(struct plan *p)
{
    unsigned well = 0;

    for (unsigned i = 0; i < p->n; i++)
        if (p->at[i].reason == PLAN_USABLE)
            swap(&p->at[i], &p->at[well++]);
    if (!well)
        return;
    struct plan head = {.at = p->at, .n = well};
    rotate(&head, turn_of(p) % well);
}

static unsigned share_of(const struct plan_target *t, bool weighted)
{
    return t->reason != PLAN_USABLE ? 0 : weighted ? t->weight : 1;
}

/* One by one, each drawn from those that are left. */
static void draw(struct plan *p, bool weighted)
{
    for (unsigned first = 0; first < p->n; first++) {
        uint64_t total = 0, at;
        unsigned i = first;
        for (unsigned k = first; k < p->n; k++)
            total += share_of(&p->at[k], weighted);
        if (!total)
            return;
        at = random_below(total);
        while (at >= share_of(&p->at[i], weighted))
            at -= share_of(&p->at[i++], weighted);
        swap(&p->at[first], &p->at[i]);
    }
}

static void least_connections(struct plan *p)
{
    round_robin(p); /* among equals */
    for (unsigned i = 0; i < p->n; i++)
        p->at[i].score = (int64_t)route_state_in_flight(p->at[i].state) * 1000 /
                         (int64_t)MAX(p->at[i].weight, 1u);
    plan_sort(p);
}

/* --- by what was measured --- */

/* A target of which nothing is known is tried first, by one call at a time. */
static void latency(const struct plan_asked *a, struct plan *p)
{
    enum route_flow f = a->stream ? ROUTE_STREAM : ROUTE_WHOLE;

    for (unsigned i = 0; i < p->n; i++)
        p->at[i].score = route_state_p95(p->at[i].state, f, a->now);
    plan_sort(p);
    for (unsigned i = 0; i < p->n; i++) {
        struct plan_target *t = &p->at[i];
        if (t->score >= 0 || t->reason != PLAN_USABLE || !t->state)
            continue;
        if (route_state_claim_probe(t->state, a->now)) {
            to_front(p, i);
            return;
        }
    }
}

/* --- by price --- */

int64_t plan_price(const struct model_facts *f)
{
    const struct rate_card *r = f ? &f->rates[0][0] : NULL;

    if (!r || r->input == PRICE_UNKNOWN || r->output == PRICE_UNKNOWN)
        return -1;
    return (3 * r->input + r->output) / 4;
}

static void cost(struct plan *p)
{
    for (unsigned i = 0; i < p->n; i++)
        p->at[i].score = plan_price(p->at[i].facts);
    plan_sort(p);
}

/* --- by tags --- */

static bool has_tag(const struct str_list *list, struct str tag)
{
    for (unsigned i = 0; list && i < list->n; i++)
        if (str_ieq(list->at[i], tag))
            return true;
    return false;
}

static bool has_all(const struct str_list *list, struct str asked)
{
    while (asked.p && asked.n) {
        struct str tag = str_trim(str_split(&asked, ','));
        if (tag.n && !has_tag(list, tag))
            return false;
    }
    return true;
}

/* A target serves a call when it has all the tags that are asked for. Without tags, and where no
 * target has them, those tagged "default" serve, if there are any. */
static void tags(const struct plan_asked *a, struct plan *p)
{
    const struct str usual = STR("default");
    bool any = false, any_default = false;

    for (unsigned i = 0; i < p->n; i++) {
        any |= a->tags.n && has_all(p->at[i].tags, a->tags);
        any_default |= has_tag(p->at[i].tags, usual);
    }
    if (!a->tags.n && !any_default)
        return;
    for (unsigned i = 0; i < p->n; i++) {
        struct plan_target *t = &p->at[i];
        bool fits = any ? has_all(t->tags, a->tags) : has_tag(t->tags, usual);
        t->score = fits ? 0 : -1;
        if (!fits && !plan_is_dead(t->reason))
            t->reason = PLAN_LACKS_TAGS;
    }
    plan_sort(p);
}

/* --- where its beginning is known --- */

/* Rendezvous hashing: each target draws a lot from the beginning and its own name; the highest
 * wins, by weight. A target that comes or goes moves only its own calls. */
static double lot(const struct plan_target *t, uint64_t hash)
{
    uint64_t h = hash ^ route_state_hash(t->state);

    h = (h ^ (h >> 31)) * 0x7fb5d329728ea185;
    h = (h ^ (h >> 27)) * 0x81dadef4bc2dd44d;
    h ^= h >> 33;
    double u = ((double)(h >> 11) + 0.5) / 9007199254740992.0;
    return -(double)MAX(t->weight, 1u) / log(u);
}

static void affinity(const struct plan_asked *a, struct plan *p)
{
    uint64_t hash = route_prefix_hash(a->body);
    double best = -1;
    unsigned at = 0;

    for (unsigned i = 0; hash && i < p->n; i++) {
        struct plan_target *t = &p->at[i];
        double l = t->reason == PLAN_USABLE && t->state && t->weight ? lot(t, hash) : -1;
        if (l > best) {
            best = l;
            at = i;
        }
    }
    if (best < 0)
        return;
    to_front(p, at);
    p->by_affinity = true;
    if (!p->log.note.n)
        p->log.note = STR("affinity");
}

static bool leaves_room_for_affinity(enum route_strategy s)
{
    return s == STRATEGY_ROUND_ROBIN || s == STRATEGY_WEIGHTED || s == STRATEGY_RANDOM ||
           s == STRATEGY_LEAST_CONNECTIONS || s == STRATEGY_LATENCY;
}

void plan_order(const struct plan_asked *a, struct plan *p)
{
    switch (p->chain->strategy) {
    case STRATEGY_ROUND_ROBIN:
        round_robin(p);
        break;
    case STRATEGY_WEIGHTED:
        draw(p, true);
        break;
    case STRATEGY_RANDOM:
        draw(p, false);
        break;
    case STRATEGY_LEAST_CONNECTIONS:
        least_connections(p);
        break;
    case STRATEGY_LATENCY:
        latency(a, p);
        break;
    case STRATEGY_COST:
        cost(p);
        break;
    case STRATEGY_TAG:
        tags(a, p);
        break;
    case STRATEGY_LOWEST_COST:
        if (p->chain->lane == LANE_NONE)
            lcr_order(a, p);
        break;
    default:
        break;
    }
    if (p->chain->affinity && leaves_room_for_affinity(p->chain->strategy))
        affinity(a, p);
}
