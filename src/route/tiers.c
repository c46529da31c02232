/*
 * Equivalent models: which tier a model is of, and who stands for that tier at another provider.
 * The built-in table is that of the published documents for OpenAI, Anthropic and Ollama, with
 * Gemini, Vertex, Bedrock, Mistral, xAI and DeepSeek beside them; the management API replaces it as
 * a whole.
 */
#include "route/rules.h"

#include "llm/prices.h"
#include "route/route.h"
#include "json/scan.h"

#include <errno.h>
#include <stdio.h>

#define MODELS(...)                                                                                \
    {                                                                                              \
        (const struct str[]){__VA_ARGS__},                                                         \
            sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str)                         \
    }
#define M(text) STR_INIT(text)
#define EQUIVALENTS(...)                                                                           \
    .equivalents = (const struct tier_model[]){__VA_ARGS__},                                       \
    .equivalents_n = sizeof((const struct tier_model[]){__VA_ARGS__}) / sizeof(struct tier_model)
#define AT(provider, model)                                                                        \
    {                                                                                              \
        STR_INIT(provider), STR_INIT(model)                                                        \
    }

/* Tried in order: names that say what they are (mini, pro) before the families they are of. */
const struct route_tier route_builtin_tiers[] = {
    {.name = STR_INIT("fast"),
        .models =
            MODELS(M("gpt-4.1-mini*"), M("gpt-4.1-nano*"), M("gpt-4o-mini*"), M("gpt-5*-mini*"),
                M("gpt-5*-nano*"), M("gpt-3.5-*"), M("*claude-haiku-*"), M("*claude-3-haiku*"),
                M("*claude-3-5-haiku*"), M("*amazon.nova-lite*"), M("*amazon.nova-micro*"),
                M("gemini-*-flash-lite*"), M("gemini-*-flash-8b*"), M("mistral-small*"),
                M("ministral-*"), M("grok-*-mini*"), M("phi4*"), M("phi3*"), M("llama3.2*")),
        EQUIVALENTS(AT("openai", "gpt-4.1-mini"), AT("anthropic", "claude-haiku-4-5-20251001"),
            AT("gemini", "gemini-2.5-flash-lite"),
            AT("bedrock", "global.anthropic.claude-haiku-4-5-20251001-v1:0"),
            AT("vertex", "gemini-2.5-flash-lite"), AT("ollama", "phi4"),
            AT("mistral", "mistral-small-latest"), AT("xai", "grok-3-mini"),
            AT("deepseek", "deepseek-chat"))},
    {.name = STR_INIT("flagship_pro"),
        .models = MODELS(M("gpt-5*-pro*")),
        EQUIVALENTS(AT("openai", "gpt-5.4-pro"), AT("anthropic", "claude-opus-4-6"),
            AT("gemini", "gemini-2.5-pro"), AT("bedrock", "global.anthropic.claude-opus-4-6-v1"),
            AT("vertex", "gemini-2.5-pro"), AT("ollama", "llama3.3"),
            AT("mistral", "mistral-large-latest"), AT("xai", "grok-4"),
            AT("deepseek", "deepseek-reasoner"))},
    {.name = STR_INIT("reasoning"),
        .models = MODELS(M("o1*"), M("o3*"), M("o4*"), M("deepseek-r1*"), M("deepseek-reasoner*"),
            M("magistral-*")),
        EQUIVALENTS(AT("openai", "o3"), AT("anthropic", "claude-opus-4-6"),
            AT("gemini", "gemini-2.5-pro"), AT("bedrock", "global.anthropic.claude-opus-4-6-v1"),
            AT("vertex", "gemini-2.5-pro"), AT("ollama", "deepseek-r1"),
            AT("mistral", "magistral-medium-latest"), AT("xai", "grok-4"),
            AT("deepseek", "deepseek-reasoner"))},
    {.name = STR_INIT("flagship"),
        .models = MODELS(M("gpt-5*"), M("*claude-opus-*"), M("*claude-3-opus*"),
            M("*amazon.nova-premier*"), M("gemini-*-pro*"), M("mistral-large*"), M("grok-4*"),
            M("llama3.3*"), M("llama3.1*")),
        EQUIVALENTS(AT("openai", "gpt-5.4"), AT("anthropic", "claude-opus-4-6"),
            AT("gemini", "gemini-2.5-pro"), AT("bedrock", "global.anthropic.claude-opus-4-6-v1"),
            AT("vertex", "gemini-2.5-pro"), AT("ollama", "llama3.3"),
            AT("mistral", "mistral-large-latest"), AT("xai", "grok-4"),
            AT("deepseek", "deepseek-chat"))},
    {.name = STR_INIT("upper_mid"),
        .models = MODELS(M("gpt-4.1*"), M("gpt-4o*"), M("gpt-4*"), M("chatgpt-4o*"),
            M("*claude-sonnet-*"), M("*claude-3-*sonnet*"), M("*amazon.nova-pro*"),
            M("gemini-*-flash*"), M("mistral-medium*"), M("grok-*"), M("deepseek-chat*"),
            M("deepseek-v*"), M("qwen2.5*"), M("qwen3*")),
        EQUIVALENTS(AT("openai", "gpt-4.1"), AT("anthropic", "claude-sonnet-4-6"),
            AT("gemini", "gemini-2.5-flash"), AT("bedrock", "global.anthropic.claude-sonnet-4-6"),
            AT("vertex", "gemini-2.5-flash"), AT("ollama", "qwen2.5:14b"),
            AT("mistral", "mistral-medium-latest"), AT("xai", "grok-3"),
            AT("deepseek", "deepseek-chat"))},
};
const unsigned route_builtin_tiers_n = ARRAY_LEN(route_builtin_tiers);

/* --- looking up --- */

static bool is_of(const struct route_tier *t, struct str model)
{
    for (unsigned i = 0; i < t->models.n; i++)
        if (str_glob(t->models.at[i], model))
            return true;
    return false;
}

const struct route_tier *route_tier_of(const struct route_rules *r, struct str model)
{
    const struct route_tier *all = r->tiers_n ? r->tiers : route_builtin_tiers;
    unsigned n = r->tiers_n ? r->tiers_n : route_builtin_tiers_n;

    for (unsigned i = 0; i < n; i++)
        if (is_of(&all[i], model))
            return &all[i];
    return NULL;
}

static struct str equivalent(const struct route_tier *t, struct str provider)
{
    for (unsigned i = 0; t && i < t->equivalents_n; i++)
        if (str_eq(t->equivalents[i].provider, provider))
            return t->equivalents[i].model;
    return STR_NONE;
}

/* The built-in table knows these providers' models by their families' names; of others (servers of
 * anything) no name is foreign. */
static bool is_own(const struct route_settings *s, struct str model, const struct provider *p)
{
    struct str rest;
    const struct provider *owner = route_by_name(model, &rest);

    if (owner == p)
        return true;
    if (str_eq(p->id, STR("bedrock")) &&
        (str_starts(model, STR("arn:")) || str_find(model, STR("anthropic.")) >= 0 ||
            str_find(model, STR("amazon.")) >= 0))
        return true;
    return prices_find(s->prices, p->id, model) != NULL;
}

/* "-20251001" at the end becomes "@20251001" with the form "@". */
static int spelled(const char *before, struct str model, const char *behind, char *out, size_t n)
{
    const size_t date = STR("-20251001").n;

    if (*behind != '@')
        return snprintf(out, n, "%s" STR_FMT "%s", before, STR_ARG(model), behind);
    if (model.n <= date || model.p[model.n - date] != '-')
        return 0;
    return snprintf(out, n, "%s" STR_FMT "@" STR_FMT, before, (int)(model.n - date), model.p,
        (int)date - 1, model.p + model.n - date + 1);
}

/* Claude has other names in the clouds: a date behind '@' at Vertex, an inference profile at
 * Bedrock. Where the built-in table knows it under one, it is the same model, no equivalent. */
static struct str claude_at(struct str model, const struct provider *p)
{
    static const char *const forms[][3] = {{"vertex", "", "@"},
        {"bedrock", "global.anthropic.", ""}, {"bedrock", "global.anthropic.", "-v1"},
        {"bedrock", "global.anthropic.", "-v1:0"}};
    char name[128];

    if (!str_starts(model, STR("claude-")))
        return STR_NONE;
    for (unsigned i = 0; i < ARRAY_LEN(forms); i++) {
        if (!str_eq(p->id, str_of(forms[i][0])))
            continue;
        int n = spelled(forms[i][1], model, forms[i][2], name, sizeof name);
        struct str asked = n > 0 && n < (int)sizeof name ? str_at(name, (size_t)n) : STR_NONE;
        const struct model_facts *f = asked.n ? model_facts_find(p->id, asked) : NULL;
        if (f && str_eq(f->model, asked))
            return f->model;
    }
    return STR_NONE;
}

struct str route_model_at(
    const struct route_settings *s, struct str model, const struct provider *p)
{
    struct str rest, found;
    const struct provider *owner = route_by_name(model, &rest);

    if (owner == p)
        return rest;
    if ((found = claude_at(rest, p)).n)
        return found;
    if (is_own(s, model, p))
        return model;
    found = equivalent(route_tier_of(&s->rules, owner ? rest : model), p->id);
    return found.n ? found : model;
}

/* --- reading --- */

struct tier_body {
    struct str name, equivalents;
    struct str_list models;
};
#define FIELD(member) offsetof(struct tier_body, member)
static const struct field_row tier_fields[] = {
    {"name", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, FIELD(name), 1, 64, NULL, NULL,
        "The tier's name.", "\"flagship\""},
    {"models", FIELD_TEXTS, FIELD_CREATE | FIELD_REQUIRED, FIELD(models), 0, 256, NULL, NULL,
        "Which models are of it, with * for any run.", "[\"gpt-5*\"]"},
    {"equivalents", FIELD_OBJECT, FIELD_CREATE | FIELD_REQUIRED, FIELD(equivalents), 0, 16384, NULL,
        NULL, "Which model stands for it at each provider.", "{\"anthropic\":\"claude-opus-4-6\"}"},
};

static int refuse(struct error *e, struct str param, struct str message)
{
    *e = (struct error){
        .status = 400, .code = STR("invalid_request_error"), .param = param, .message = message};
    return -EINVAL;
}

static int parse_equivalents(const struct route_settings *s, struct str json, unsigned tier,
    struct arena *a, struct route_tier *t, struct error *e)
{
    struct tier_model *list = arena_zalloc(a, (s->upstreams_n + 1) * sizeof *list);
    struct str key, value;
    size_t at = json_inside(json);

    if (!list)
        return -ENOMEM;
    t->equivalents = list;
    while (at && json_next(json, &at, &key, &value)) {
        const struct upstream *u = route_upstream(s, key);
        char *text = arena_alloc(a, value.n + 1);
        ptrdiff_t n = text && json_type_of(value) == JSON_STRING ? json_unescape(value, text) : -1;
        if (!u || t->equivalents_n == s->upstreams_n)
            return refuse(e, arena_printf(a, "tiers[%u].equivalents", tier),
                arena_printf(a, "There is no provider '" STR_FMT "'.", (int)MIN(key.n, 64), key.p));
        if (n <= 0 || n > ROUTE_MODEL_BYTES)
            return refuse(e, arena_printf(a, "tiers[%u].equivalents." STR_FMT, tier, STR_ARG(key)),
                STR("Each provider's equivalent must be a model's name."));
        list[t->equivalents_n++] = (struct tier_model){u->provider->id, str_at(text, (size_t)n)};
    }
    return 0;
}

static int parse_tier(const struct route_settings *s, struct str json, unsigned i, struct arena *a,
    struct route_tier *t, struct error *e)
{
    struct tier_body b = {0};
    uint64_t given;
    int r = fields_parse(tier_fields, ARRAY_LEN(tier_fields), FIELD_CREATE, json, &b, &given, a, e);

    if (r == -EINVAL)
        e->param = arena_printf(a, "tiers[%u]." STR_FMT, i, STR_ARG(e->param));
    if (r < 0)
        return r;
    *t = (struct route_tier){.name = b.name, .models = b.models};
    return parse_equivalents(s, b.equivalents, i, a, t, e);
}

int route_tiers_parse(const struct route_settings *s, struct str json, struct arena *a,
    const struct route_tier **ret, unsigned *ret_n, struct error *e)
{
    struct route_tier *list = arena_zalloc(a, ROUTE_TIERS_MAX * sizeof *list);
    struct str tiers = json_type_of(json) == JSON_ARRAY ? json : json_find(json, STR("tiers"));
    struct str key, item;
    size_t at = json_type_of(tiers) == JSON_ARRAY ? json_inside(tiers) : 0;
    unsigned n = 0;
    int r = list ? 0 : -ENOMEM;

    while (r == 0 && at && json_next(tiers, &at, &key, &item)) {
        if (n == ROUTE_TIERS_MAX) {
            r = refuse(e, STR("tiers"),
                arena_printf(a, "'tiers' may have at most %d tiers.", ROUTE_TIERS_MAX));
            break;
        }
        r = parse_tier(s, item, n, a, &list[n], e);
        n++;
    }
    if (r == 0 && n == 0)
        r = refuse(e, STR("tiers"), STR("'tiers' must be a list of tiers."));
    *ret = list;
    *ret_n = n;
    return r;
}

void route_tiers_write(const struct route_tier *tiers, unsigned n, struct buf *out)
{
    buf_addc(out, '[');
    for (unsigned i = 0; i < n; i++) {
        const struct route_tier *t = &tiers[i];
        buf_addstr(out, i ? STR(",{\"name\":") : STR("{\"name\":"));
        buf_addjson(out, t->name);
        buf_addstr(out, STR(",\"models\":["));
        for (unsigned k = 0; k < t->models.n; k++) {
            if (k)
                buf_addc(out, ',');
            buf_addjson(out, t->models.at[k]);
        }
        buf_addstr(out, STR("],\"equivalents\":{"));
        for (unsigned k = 0; k < t->equivalents_n; k++) {
            if (k)
                buf_addc(out, ',');
            buf_addjson(out, t->equivalents[k].provider);
            buf_addc(out, ':');
            buf_addjson(out, t->equivalents[k].model);
        }
        buf_addstr(out, STR("}}"));
    }
    buf_addc(out, ']');
}
