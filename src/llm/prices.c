/*
 * What a call cost. The sum is kept as one exact 128-bit fraction and rounded once, so the parts of
 * a call cannot gain or lose by being rounded apart, and the same usage costs the same everywhere.
 *
 * All terms share the denominator FRACTION: tokens, pictures and the like are priced in
 * pico-dollars, sound in pico-dollars an hour and counted in milliseconds.
 */
#include "llm/prices.h"

#include "base/macros.h"
#include <errno.h>

#define MS_PER_HOUR   3600000
#define PICO_PER_NANO 1000
#define FRACTION      ((__int128)MS_PER_HOUR * PICO_PER_NANO) /* of a nano-dollar */

struct sum {
    __int128 total; /* nano-dollars times FRACTION */
    int err;
};

static void add(struct sum *s, uint64_t count, int64_t price, int64_t weight)
{
    if (count == 0 || s->err)
        return;
    if (price < 0) {
        s->err = -ENODATA;
        return;
    }
    __int128 term;
    if (__builtin_mul_overflow((__int128)count * price, (__int128)weight, &term) ||
        __builtin_add_overflow(s->total, term, &s->total))
        s->err = -ERANGE;
}

static void add_units(struct sum *s, uint64_t count, int64_t price)
{
    add(s, count, price, MS_PER_HOUR);
}

/* The price that applies: the tier's own, or for a discount tier without one the default's. */
static int64_t rate(const struct model_facts *f, enum service_tier tier, bool above, size_t member)
{
    int64_t own = *(const int64_t *)((const char *)&f->rates[tier][above] + member);
    bool discount = tier == TIER_BATCH || tier == TIER_FLEX;
    if (own >= 0 || !discount)
        return own;
    return *(const int64_t *)((const char *)&f->rates[TIER_DEFAULT][above] + member);
}

#define RATE(member) rate(f, tier, above, offsetof(struct rate_card, member))

static void add_output(struct sum *s, const struct model_facts *f, const struct usage *u,
    enum service_tier tier, bool above)
{
    int64_t reasoning = RATE(reasoning);
    uint64_t apart = reasoning >= 0 ? MIN(u->reasoning, u->output) : 0;
    add_units(s, apart, reasoning);
    add_units(s, u->output - apart, RATE(output));
}

static void add_tokens(
    struct sum *s, const struct model_facts *f, const struct usage *u, enum service_tier tier)
{
    bool above = f->threshold && usage_input_total(u) > f->threshold;
    add_units(s, u->input, RATE(input));
    add_units(s, u->cache_read, RATE(cache_read));
    add_units(s, u->cache_write_5m, RATE(cache_write_5m));
    add_units(s, u->cache_write_1h, RATE(cache_write_1h));
    add_units(s, u->audio_in, RATE(input_audio));
    add_units(s, u->audio_out, RATE(output_audio));
    add_output(s, f, u, tier, above);
}

static bool has_unit_price(const struct model_facts *f, const struct usage *u)
{
    return (u->images && f->unit.image >= 0) || (u->audio_ms && f->unit.audio_hour >= 0) ||
           (u->characters && f->unit.character >= 0) ||
           (u->queries && f->unit.query >= 0 && f->mode == MODEL_RERANK);
}

static bool has_token_price(const struct model_facts *f)
{
    const struct rate_card *r = &f->rates[TIER_DEFAULT][0];
    return r->input > 0 || r->output > 0 || r->input_audio > 0 || r->output_audio > 0;
}

/* Tokens are the bill where they were counted and have a price; models that are sold by the
 * picture, second or character are billed by these. One of the two, never both. */
static bool billed_by_tokens(const struct model_facts *f, const struct usage *u)
{
    if (!usage_input_total(u) && !usage_output_total(u))
        return false;
    return has_token_price(f) || !has_unit_price(f, u);
}

int cost_compute(
    const struct model_facts *f, const struct usage *u, enum service_tier tier, int64_t *ret_nano)
{
    if (u->source == USAGE_UNKNOWN)
        return -ENODATA;
    must(tier >= TIER_DEFAULT && tier <= TIER_PRIORITY);
    struct sum s = {0};
    if (billed_by_tokens(f, u)) {
        add_tokens(&s, f, u, tier);
    } else {
        add_units(&s, u->images, f->unit.image);
        add_units(&s, u->characters, f->unit.character);
        add(&s, u->audio_ms, f->unit.audio_hour, 1);
    }
    add_units(&s, u->queries, f->unit.query);
    if (s.err)
        return s.err;
    __int128 nano = s.total / FRACTION + (s.total % FRACTION * 2 >= FRACTION);
    if (nano > INT64_MAX)
        return -ERANGE;
    *ret_nano = (int64_t)nano;
    return 0;
}
