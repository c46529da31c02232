/*
 * Lowest-cost routing: easy calls go to an efficient model, demanding ones to the capable model,
 * which is the one that was asked for where nothing else is said. What a prompt demands is counted
 * from its text (effort.c); no model is asked.
 *
 * What holds for a call is said by its header x-smartflow-lcr, else by its key's metadata
 * (lcr_mode, effort_threshold, efficient_model, capable_model), else by the settings. Streams are
 * left alone, as their answer cannot be looked at before it is sent, but where the mode says which
 * model it is.
 *
 * An answer of the efficient model that falls short (an error, nothing at all, a refusal) makes the
 * call step up once: plan.steps_up, and gateway/attempt_quality.c.
 */
#include "route/plan_int.h"

#include "keys/record.h"
#include "route/route.h"
#include "json/scan.h"

#include <errno.h>

/* --- what is said --- */

bool lcr_mode_parse(struct str word, enum lcr_mode *ret)
{
    for (unsigned i = 0; lcr_words[i]; i++)
        if (str_ieq(word, str_of(lcr_words[i]))) {
            *ret = (enum lcr_mode)i;
            return true;
        }
    return false;
}

int lcr_threshold_parse(struct str text, unsigned *ret)
{
    int64_t nano;

    if (money_parse(text, &nano) < 0 || nano < 0 || nano > 1000000000)
        return -EINVAL;
    *ret = (unsigned)(nano / 1000000);
    return 0;
}

/* A text without escapes; names of models have none. */
static struct str text_in(struct str object, const char *name)
{
    struct str v = json_find(object, str_of(name));
    bool plain = json_type_of(v) == JSON_STRING && str_chr(v, '\\') < 0;

    return plain ? str_at(v.p + 1, v.n - 2) : STR_NONE;
}

/* Of the model that a name stands for: its provider as the name says it, else usual. */
static struct route_target target_of(
    const struct route_settings *s, struct str model, const struct upstream *usual)
{
    struct str rest;
    const struct provider *p = route_by_name(model, &rest);
    const struct upstream *u = p ? route_upstream(s, p->id) : NULL;

    if (!u)
        rest = model;
    u = u ? u : usual;
    return (struct route_target){
        .upstream = u, .provider = u ? u->provider->id : STR_NONE, .model = rest, .weight = 1};
}

static struct route_target efficient_of(const struct route_settings *s)
{
    const struct lcr_settings *l = &s->rules.lcr;
    const struct upstream *u = route_upstream(s, l->efficient_provider);

    if (!u && l->efficient_model.n)
        return target_of(s, l->efficient_model, NULL);
    return (struct route_target){
        .upstream = u, .provider = l->efficient_provider, .model = l->efficient_model, .weight = 1};
}

static void of_key(const struct plan_asked *a, struct lcr_policy *p)
{
    struct str metadata = a->key ? a->key->metadata : STR_NONE, model;

    if (json_type_of(metadata) != JSON_OBJECT)
        return;
    p->said |= lcr_mode_parse(text_in(metadata, "lcr_mode"), &p->mode);
    (void)lcr_threshold_parse(json_find(metadata, STR("effort_threshold")), &p->threshold);
    p->capable = text_in(metadata, "capable_model");
    if ((model = text_in(metadata, "efficient_model")).n)
        p->efficient = target_of(a->settings, model, p->efficient.upstream);
}

void lcr_policy_of(const struct plan_asked *a, struct lcr_policy *ret)
{
    const struct lcr_settings *l = &a->settings->rules.lcr;

    *ret = (struct lcr_policy){.mode = (enum lcr_mode)l->mode,
        .threshold = l->threshold,
        .efficient = efficient_of(a->settings)};
    of_key(a, ret);
    ret->said |= lcr_mode_parse(a->lcr, &ret->mode);
}

bool lcr_is_set(const struct route_rules *r, const struct virtual_key *key)
{
    return r->lcr.efficient_provider.n || r->lcr.efficient_model.n ||
           (key && key->metadata.n > STR("{}").n);
}

/* --- which model --- */

static enum lcr_lane lane_of(const struct plan_asked *a, const struct lcr_policy *p)
{
    switch (p->mode) {
    case LCR_LOCAL:
        return LANE_EFFICIENT;
    case LCR_FRONTIER:
        return LANE_CAPABLE;
    default:
        return a->stream                              ? LANE_SKIPPED
               : route_effort(a->body) > p->threshold ? LANE_CAPABLE
                                                      : LANE_EFFICIENT;
    }
}

static struct str note_of(enum lcr_lane lane)
{
    static const struct str notes[] = {[LANE_NONE] = STR_INIT(""),
        [LANE_EFFICIENT] = STR_INIT("lcr:efficient"),
        [LANE_CAPABLE] = STR_INIT("lcr:capable"),
        [LANE_SKIPPED] = STR_INIT("lcr:skipped stream")};

    return notes[lane];
}

/* Pico-dollars of a token of its calls; -1: not known. */
static int64_t price_at(const struct route_settings *s, const struct route_target *t)
{
    return plan_price(prices_find(s->prices, t->upstream->provider->id, t->model));
}

/* Whether the efficient model would save anything. */
static bool is_cheaper(const struct route_settings *s, const struct route_target *efficient,
    const struct route_target *capable)
{
    int64_t low = price_at(s, efficient), high = price_at(s, capable);

    return low < 0 || high < 0 || low < high;
}

static bool is_same(const struct route_target *a, const struct route_target *b)
{
    return a->upstream == b->upstream && str_eq(a->model, b->model);
}

enum lcr_lane lcr_choose(
    const struct plan_asked *a, struct route_target *efficient, struct route_target *capable)
{
    struct lcr_policy p;

    lcr_policy_of(a, &p);
    *efficient = p.efficient;
    if (p.mode == LCR_OFF || !capable->upstream || (!p.efficient.upstream && !p.capable.n))
        return LANE_NONE;
    enum lcr_lane lane = lane_of(a, &p);
    if (lane != LANE_SKIPPED && p.capable.n)
        *capable = target_of(a->settings, p.capable, capable->upstream);
    if (!p.efficient.upstream)
        return lane == LANE_EFFICIENT ? LANE_NONE : lane;
    if (!efficient->model.n)
        efficient->model = arena_dup(
            a->arena, route_model_at(a->settings, a->model, efficient->upstream->provider));
    bool saves = p.mode == LCR_LOCAL || is_cheaper(a->settings, efficient, capable);
    if (is_same(efficient, capable) || !saves)
        efficient->upstream = NULL;
    return lane;
}

/* --- the order of a chain --- */

/* The cheapest first, for demanding prompts the dearest; without a price last. */
void lcr_order(const struct plan_asked *a, struct plan *p)
{
    struct lcr_policy policy;

    lcr_policy_of(a, &policy);
    if (policy.mode == LCR_OFF && policy.said)
        return;
    p->lane = lane_of(a, &policy);
    for (unsigned i = 0; p->lane != LANE_SKIPPED && i < p->n; i++) {
        int64_t price = plan_price(p->at[i].facts);
        p->at[i].score = p->lane == LANE_CAPABLE && price >= 0 ? INT64_MAX - price : price;
    }
    if (p->lane != LANE_SKIPPED)
        plan_sort(p);
}

/* Once it is known who can serve: what the log says, and whether a poor answer steps up. A plan
 * that was made for a call has the efficient target at place 0. */
void lcr_settle(const struct plan_asked *a, struct plan *p)
{
    bool made = p->chain->lane != LANE_NONE;

    if (made)
        p->lane = p->chain->lane;
    if (made && p->lane == LANE_EFFICIENT && p->usable && p->at[0].place > 0)
        p->lane = LANE_CAPABLE;
    if (p->lane != LANE_NONE)
        p->log.note = note_of(p->lane);
    p->steps_up = p->chain->strategy == STRATEGY_LOWEST_COST && p->lane == LANE_EFFICIENT &&
                  p->usable > 1 && !a->stream;
}
