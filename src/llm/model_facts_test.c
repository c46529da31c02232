/* The built-in table's integrity, and the forms of a name. */
#include "llm/model_facts_int.h"

#include "base/macros.h"
#include "base/tap.h"
#include <pthread.h>

static struct str name_at(unsigned row)
{
    return str_at(facts_names + facts_rows[row].name, facts_rows[row].name_n);
}

static void test_every_row_is_found(void)
{
    unsigned rows = 0;
    for (unsigned i = 0; i < facts_n_providers; i++) {
        const struct facts_provider *p = &facts_providers[i];
        for (unsigned k = p->from; k < p->to; k++, rows++) {
            const struct model_facts *f = model_facts_find(str_of(p->id), name_at(k));
            CHECK(f);
            CHECK_STR(f->model, name_at(k));
            CHECK_STR(f->provider, str_of(p->id));
            CHECK(f->mode < MODEL_MODES_);
        }
    }
    CHECK_EQ(rows, facts_n_rows);
    CHECK(rows > 3000);
}

static bool sane_card(const struct rate_card *r)
{
    int64_t prices[8];
    memcpy(prices, r, sizeof(prices));
    for (size_t i = 0; i < ARRAY_LEN(prices); i++) /* unknown, or at most $ 1,000 a million */
        if (prices[i] < PRICE_UNKNOWN || prices[i] > 1000000000)
            return false;
    return r->cache_read < 0 || r->input < 0 || r->cache_read <= 2 * r->input;
}

/* A shifted column or a wrong unit shows as a price beyond reason. */
static void test_prices_are_sane(void)
{
    for (unsigned i = 0; i < facts_n_rows; i++) {
        for (int c = 0; c < 8; c++)
            if (!sane_card(&facts_rates[facts_rows[i].rates[c]]))
                tap_fail(__FILE__, __LINE__, STR_FMT ": card %d", STR_ARG(name_at(i)), c);
        const struct unit_prices *u = &facts_units[facts_rows[i].units];
        CHECK(u->image <= 5000000000000 && u->audio_hour <= 100000000000000);
        CHECK(u->character <= 1000000000 && u->query <= 1000000000000);
        for (int c = 1; c < 8; c += 2) /* a card for long inputs needs a threshold */
            CHECK(facts_rows[i].rates[c] == 0 || facts_rows[i].threshold > 0);
    }
}

static void test_known_models(void)
{
    const struct model_facts *f = model_facts_find(STR("openai"), STR("gpt-4o"));
    CHECK(f);
    CHECK_EQ(f->mode, MODEL_CHAT);
    CHECK_EQ(f->rates[TIER_DEFAULT][0].input, 2500000);
    CHECK_EQ(f->rates[TIER_DEFAULT][0].output, 10000000);
    CHECK_EQ(f->rates[TIER_DEFAULT][0].cache_read, 1250000);
    CHECK_EQ(f->rates[TIER_BATCH][0].input, 1250000);
    CHECK_EQ(f->rates[TIER_DEFAULT][0].cache_write_5m, PRICE_UNKNOWN);
    CHECK_EQ(f->max_output, 16384);
    CHECK(f->flags & MODEL_TOOLS && f->flags & MODEL_VISION);
    CHECK(!(f->flags & MODEL_REASONING) && !(f->flags & MODEL_MAX_COMPLETION_TOKENS));

    f = model_facts_find(STR("anthropic"), STR("claude-sonnet-4-5"));
    CHECK(f);
    CHECK_EQ(f->rates[TIER_DEFAULT][0].cache_write_5m, 3750000);
    CHECK_EQ(f->rates[TIER_DEFAULT][0].cache_write_1h, 6000000);
    CHECK(f->flags & MODEL_REASONING);
    CHECK(f->flags & MODEL_NATIVE_SCHEMA && !(f->flags & MODEL_ADAPTIVE_THINKING));

    const uint32_t strict =
        MODEL_ADAPTIVE_THINKING | MODEL_THINKING_ALWAYS | MODEL_NO_FORCED_TOOLS | MODEL_NO_SAMPLING;
    f = model_facts_find(STR("anthropic"), STR("claude-opus-5-5"));
    CHECK(f);
    CHECK_EQ(f->flags & strict, strict);
    CHECK(f->flags & MODEL_SYSTEM_ANYWHERE && !(f->flags & MODEL_PREFILL));
    f = model_facts_find(STR("anthropic"), STR("claude-opus-4-6"));
    CHECK(f && f->flags & MODEL_ADAPTIVE_THINKING && f->flags & MODEL_BUDGET_THINKING);

    f = model_facts_find(STR("gemini"), STR("gemini-2.5-pro"));
    CHECK(f);
    CHECK_EQ(f->threshold, 200000);
    CHECK_EQ(f->rates[TIER_DEFAULT][1].input, 2500000);

    f = model_facts_find(STR("cohere"), STR("rerank-v3.5"));
    CHECK(f);
    CHECK_EQ(f->mode, MODEL_RERANK);
    CHECK_EQ(f->unit.query, 2000000000);
}

/* Each main provider must be there; a look-up under another's name must not succeed. */
static void test_providers(void)
{
    static const char *const ids[] = {"openai", "anthropic", "gemini", "xai", "openrouter", "azure",
        "mistral", "cohere", "groq", "deepgram", "fireworks", "nvidia_nim", "huggingface",
        "together", "perplexity", "replicate", "vertex", "bedrock", "novita", "vercel", "deepseek",
        "ollama"};
    CHECK_EQ(facts_n_providers, ARRAY_LEN(ids));
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        bool found = false;
        for (unsigned k = 0; k < facts_n_providers; k++)
            found |= strcmp(facts_providers[k].id, ids[i]) == 0;
        CHECK(found);
    }
    CHECK(!model_facts_find(STR("mistral"), STR("gpt-4o")));
    CHECK(!model_facts_find(STR("nobody"), STR("gpt-4o")));
    CHECK(!model_facts_find(STR("openai"), STR("")));
    CHECK(!model_facts_find(STR(""), STR("gpt-4o")));
}

static const struct model_facts a_fact;

struct only {
    const char *name;
    int tries;
};

static const struct model_facts *only_one(const void *arg, struct str provider, struct str model)
{
    struct only *o = (struct only *)(uintptr_t)arg;
    o->tries++;
    return str_eq(model, str_of(o->name)) ? &a_fact : NULL;
}

static bool form_found(const char *asked, const char *listed)
{
    struct only o = {listed, 0};
    return facts_by_forms(only_one, &o, STR("p"), str_of(asked)) == &a_fact;
}

static void test_forms(void)
{
    CHECK(form_found("m-20250929", "m-20250929"));
    CHECK(form_found("m-20250929", "m"));
    CHECK(form_found("m-2024-08-06", "m"));
    CHECK(form_found("m@20250929", "m"));
    CHECK(form_found("m@default", "m"));
    CHECK(form_found("m-20250929", "m-latest"));
    CHECK(form_found("m-2024-08-06", "m-latest"));
    CHECK(form_found("m-latest", "m"));
    CHECK(!form_found("m", "m-latest"));
    CHECK(!form_found("m-20250929", "m-20240101"));
    CHECK(!form_found("m-12345678", "m")); /* a number, not a date of our time */
    CHECK(!form_found("m-2025092", "m"));
    CHECK(!form_found("m-2024-8-06", "m"));
    CHECK(!form_found("-20250929", ""));
    CHECK(!form_found("@1", ""));
    CHECK(form_found("m-2024-0x-06", "m") == false);
}

static void test_long_names(void)
{
    char name[600];
    memset(name, 'a', sizeof(name));
    memcpy(name + sizeof(name) - 9, "-20250929", 9);
    CHECK(!model_facts_find(STR("openai"), str_at(name, sizeof(name))));
    CHECK(!model_facts_find(STR("openai"), str_at(name + 600 - 258, 258)));
}

static void *find_all(void *unused)
{
    uintptr_t mix = 0;
    for (unsigned k = facts_providers[0].from; k < facts_providers[0].to; k++)
        mix ^= (uintptr_t)model_facts_find(str_of(facts_providers[0].id), name_at(k)) * (k + 1);
    return (void *)mix;
}

/* All threads must get the same copy of a row. Runs first, while no row is unpacked. */
static void test_threads(void)
{
    pthread_t threads[4];
    void *got[4];
    for (size_t i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, find_all, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        CHECK_EQ(pthread_join(threads[i], &got[i]), 0);
    for (size_t i = 1; i < 4; i++)
        CHECK(got[i] == got[0]);
}

int main(void)
{
    TAP_RUN(test_threads);
    TAP_RUN(test_every_row_is_found);
    TAP_RUN(test_prices_are_sane);
    TAP_RUN(test_known_models);
    TAP_RUN(test_providers);
    TAP_RUN(test_forms);
    TAP_RUN(test_long_names);
    return tap_done();
}
