/*
 * Reading chains and budgets, writing chains, looking them up. See route/rules.h. What a chain may
 * say stands in one table of fields, from which its checks and the management API's document
 * follow.
 */
#include "route/rules.h"

#include "route/route.h"
#include "json/scan.h"

#include <errno.h>
#include <stdio.h>

const char *const route_strategy_words[ROUTE_STRATEGIES + 1] = {"none", "round_robin", "weighted",
    "least_connections", "random", "priority", "latency", "cost", "tag", "lowest_cost", NULL};
const char *const route_fallback_words[ROUTE_FALLBACKS + 1] = {
    "context_window", "content_policy", "rate_limit", "error", NULL};
const char *const lcr_words[] = {"off", "auto", "local", "frontier", NULL};

#define MS_MAX (3600 * (int64_t)1000)

/* --- fields --- */

struct chain_body {
    struct str name, targets, fallbacks[ROUTE_FALLBACKS], shadow;
    struct str_list models, providers;
    uint32_t strategy;
    int64_t retries, backoff, backoff_max, retry_after_max, timeout, first_token;
    int64_t failures, cooldown, hedge_after, hedge_percent, shadow_percent;
    bool affinity, hedge, is_active;
};

static const char *check_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && !strchr("-_.", c))
            return "must be letters, digits, '-', '_' or '.'";
    }
    return NULL;
}

#define AT(member) offsetof(struct chain_body, member)
#define MS_ROW(name, at, doc)                                                                      \
    {                                                                                              \
        name, FIELD_INT, FIELD_WRITE, AT(at), 0, MS_MAX, NULL, NULL, doc, NULL                     \
    }
#define ITEMS_ROW(name, at, doc)                                                                   \
    {                                                                                              \
        name, FIELD_ITEMS, FIELD_WRITE, AT(at), 0, (int64_t)ROUTE_RULE_BYTES, NULL, NULL, doc,     \
            NULL                                                                                   \
    }

const struct field_row route_chain_fields[ROUTE_CHAIN_FIELDS] = {
    {"name", FIELD_TEXT, FIELD_WRITE | FIELD_REQUIRED, AT(name), 1, 64, NULL, check_name,
        "Its name; a call may ask for it as its model.", "\"main\""},
    {"models", FIELD_TEXTS, FIELD_WRITE, AT(models), 0, 64, NULL, NULL,
        "Names of models whose calls take it, with * for any run; \"*\" takes all.",
        "[\"gpt-4o\"]"},
    {"strategy", FIELD_WORD, FIELD_WRITE, AT(strategy), 0, 0, route_strategy_words, NULL,
        "Which target comes first; none is priority.", "\"priority\""},
    {"targets", FIELD_ITEMS, FIELD_WRITE, AT(targets), 0, (int64_t)ROUTE_RULE_BYTES, NULL, NULL,
        "In order: provider or deployment, model, weight, tags.",
        "[{\"provider\":\"openai\",\"model\":\"gpt-4o\"},{\"provider\":\"anthropic\"}]"},
    {"providers", FIELD_TEXTS, FIELD_WRITE, AT(providers), 0, ROUTE_TARGETS_MAX, NULL, NULL,
        "Instead of targets: providers in order, each with its equivalent of the model.", NULL},
    ITEMS_ROW("context_window_fallbacks", fallbacks[FALLBACK_CONTEXT],
        "Targets for prompts that are too long for the one before."),
    ITEMS_ROW("content_policy_fallbacks", fallbacks[FALLBACK_POLICY],
        "Targets for what the one before refused for its content."),
    ITEMS_ROW("rate_limit_fallbacks", fallbacks[FALLBACK_RATE],
        "Targets for 429, before the next of the chain."),
    ITEMS_ROW("error_fallbacks", fallbacks[FALLBACK_ERROR],
        "Targets for other failures, before the next of the chain."),
    {"retries", FIELD_INT, FIELD_WRITE, AT(retries), 0, ROUTE_RETRIES_MAX, NULL, NULL,
        "Further attempts on one target, before the next.", "1"},
    MS_ROW("backoff_ms", backoff, "The wait before the first of them, at most; doubled each time."),
    MS_ROW("backoff_max_ms", backoff_max, "The longest such wait."),
    MS_ROW("retry_after_max_ms", retry_after_max,
        "What a provider may ask to wait; where it asks for more, the next target's turn comes."),
    MS_ROW("timeout_ms", timeout, "The whole call with all its attempts; 0: the general limit."),
    MS_ROW("first_token_timeout_ms", first_token,
        "How long one attempt may take to its first token; 0: the general limit."),
    {"breaker_failures", FIELD_INT, FIELD_WRITE, AT(failures), 0, 1000, NULL, NULL,
        "Failures in a row after which a target is left out; 0: never.", "3"},
    MS_ROW("breaker_cooldown_ms", cooldown, "For how long."),
    {"affinity", FIELD_BOOL, FIELD_WRITE, AT(affinity), 0, 0, NULL, NULL,
        "Calls that begin alike go to the same target, whose prompt cache then hits.", NULL},
    {"hedge", FIELD_BOOL, FIELD_WRITE, AT(hedge), 0, 0, NULL, NULL,
        "A second call where the first takes unusually long; the first token wins.", NULL},
    MS_ROW("hedge_after_ms", hedge_after, "After how long; 0: after the target's p99."),
    {"hedge_percent", FIELD_INT, FIELD_WRITE, AT(hedge_percent), 0, 100, NULL, NULL,
        "At most this share of a target's calls.", NULL},
    {"shadow", FIELD_OBJECT, FIELD_WRITE, AT(shadow), 0, 4096, NULL, NULL,
        "A target that gets a copy of calls; its replies are dropped.", NULL},
    {"shadow_percent", FIELD_INT, FIELD_WRITE, AT(shadow_percent), 0, 100, NULL, NULL,
        "Which share of calls it gets.", NULL},
    {"is_active", FIELD_BOOL, FIELD_WRITE, AT(is_active), 0, 0, NULL, NULL,
        "Whether calls take it.", NULL},
};
#undef AT

struct target_body {
    struct str provider, deployment, model;
    int64_t weight;
    struct str_list tags;
};
#define AT(member) offsetof(struct target_body, member)
const struct field_row route_target_fields[ROUTE_TARGET_FIELDS] = {
    {"provider", FIELD_TEXT, FIELD_CREATE, AT(provider), 0, 32, NULL, NULL, "Whose.", "\"openai\""},
    {"deployment", FIELD_TEXT, FIELD_CREATE, AT(deployment), 0, 64, NULL, NULL,
        "Instead: a deployment of the configuration file.", NULL},
    {"model", FIELD_TEXT, FIELD_CREATE, AT(model), 0, ROUTE_MODEL_BYTES, NULL, NULL,
        "Its name there; empty: the one asked for, or its equivalent.", "\"gpt-4o\""},
    {"weight", FIELD_INT, FIELD_CREATE, AT(weight), 0, ROUTE_WEIGHT_MAX, NULL, NULL,
        "Its share of calls, with the strategy weighted; 0: only after the others.", "1"},
    {"tags", FIELD_TEXTS, FIELD_CREATE, AT(tags), 0, 32, NULL, NULL,
        "What it is good for, with the strategy tag.", "[\"eu\"]"},
};
#undef AT

/* --- targets --- */

static int refuse(struct arena *a, struct error *e, struct str param, struct str message)
{
    *e = (struct error){.status = 400,
        .code = STR("invalid_request_error"),
        .param = arena_dup(a, param),
        .message = message};
    return -EINVAL;
}

static int no_memory(struct error *e)
{
    *e = (struct error){
        .status = 500, .code = STR("internal_error"), .message = STR("Out of memory.")};
    return -ENOMEM;
}

static int find_upstream(const struct route_settings *s, const struct target_body *b,
    struct route_target *t, struct arena *a, struct error *e)
{
    if (b->deployment.n) {
        const struct route_deployment *d = route_deployment_find(&s->rules, b->deployment);
        if (!d)
            return refuse(a, e, STR("deployment"),
                arena_printf(a, "There is no deployment '" STR_FMT "'.", STR_ARG(b->deployment)));
        t->upstream = &d->upstream;
    } else {
        t->upstream = route_upstream(s, b->provider);
        if (!t->upstream)
            return refuse(a, e, STR("provider"),
                b->provider.n
                    ? arena_printf(a, "There is no provider '" STR_FMT "'.", STR_ARG(b->provider))
                    : STR("A target needs a provider or a deployment."));
    }
    t->provider = t->upstream->provider->id;
    return 0;
}

static int parse_target(const struct route_settings *s, struct str json, struct arena *a,
    struct route_target *t, struct error *e)
{
    struct target_body b = {.weight = 1};
    uint64_t given;
    int r = fields_parse(
        route_target_fields, ROUTE_TARGET_FIELDS, FIELD_CREATE, json, &b, &given, a, e);

    if (r == 0)
        r = find_upstream(s, &b, t, a, e);
    if (r < 0)
        return r;
    t->deployment = b.deployment;
    t->model = b.model;
    t->weight = (unsigned)b.weight;
    t->tags = b.tags;
    return 0;
}

/* "provider" becomes "targets[1].provider". */
static int inside(struct arena *a, struct error *e, const char *list, unsigned i, int r)
{
    if (r == -EINVAL)
        e->param =
            arena_printf(a, "%s[%u]%s" STR_FMT, list, i, e->param.n ? "." : "", STR_ARG(e->param));
    return r;
}

static int parse_targets(const struct route_settings *s, struct str json, const char *name,
    struct arena *a, struct route_targets *ret, struct error *e)
{
    struct route_target *list;
    struct str key, item;
    size_t at = json_inside(json);
    unsigned n = 0;

    *ret = (struct route_targets){0};
    if (!json.n)
        return 0;
    if (!(list = arena_zalloc(a, ROUTE_TARGETS_MAX * sizeof *list)))
        return no_memory(e);
    while (at && json_next(json, &at, &key, &item)) {
        if (n == ROUTE_TARGETS_MAX)
            return refuse(a, e, str_of(name),
                arena_printf(a, "'%s' may have at most %d targets.", name, ROUTE_TARGETS_MAX));
        int r = inside(a, e, name, n, parse_target(s, item, a, &list[n], e));
        if (r < 0)
            return r;
        n++;
    }
    *ret = (struct route_targets){list, n};
    return 0;
}

/* The short form: providers alone. */
static int name_providers(const struct route_settings *s, const struct str_list *names,
    struct arena *a, struct route_targets *ret, struct error *e)
{
    struct route_target *list = arena_zalloc(a, (names->n + 1) * sizeof *list);

    if (!list)
        return no_memory(e);
    for (unsigned i = 0; i < names->n; i++) {
        struct target_body b = {.provider = names->at[i]};
        int r = inside(a, e, "providers", i, find_upstream(s, &b, &list[i], a, e));
        if (r < 0)
            return r;
        list[i].weight = 1;
    }
    *ret = (struct route_targets){list, names->n};
    return 0;
}

/* --- chains --- */

static struct chain_body defaults(const struct route_rules *r)
{
    return (struct chain_body){
        .strategy = STRATEGY_PRIORITY,
        .retries = r->chain_retries,
        .backoff = r->backoff / NS_PER_MS,
        .backoff_max = r->backoff_max / NS_PER_MS,
        .retry_after_max = r->retry_after_max / NS_PER_MS,
        .first_token = r->first_token / NS_PER_MS,
        .failures = r->breaker_failures,
        .cooldown = r->breaker_cooldown / NS_PER_MS,
        .affinity = r->affinity,
        .hedge = r->hedge,
        .hedge_percent = r->hedge_percent,
        .is_active = true,
    };
}

static void take_numbers(const struct chain_body *b, struct route_chain *c)
{
    c->strategy = b->strategy == STRATEGY_NONE ? STRATEGY_PRIORITY : b->strategy;
    c->retries = (unsigned)b->retries;
    c->backoff = b->backoff * NS_PER_MS;
    c->backoff_max = b->backoff_max * NS_PER_MS;
    c->retry_after_max = b->retry_after_max * NS_PER_MS;
    c->timeout = b->timeout * NS_PER_MS;
    c->first_token = b->first_token * NS_PER_MS;
    c->breaker = (struct breaker_settings){(unsigned)b->failures, b->cooldown * NS_PER_MS};
    c->affinity = b->affinity;
    c->hedge = b->hedge;
    c->hedge_after = b->hedge_after * NS_PER_MS;
    c->hedge_percent = (unsigned)b->hedge_percent;
    c->shadow_percent = (unsigned)b->shadow_percent;
    c->active = b->is_active;
}

static int take_targets(const struct route_settings *s, const struct chain_body *b, struct arena *a,
    struct route_chain *c, struct error *e)
{
    static const char *const names[ROUTE_FALLBACKS] = {"context_window_fallbacks",
        "content_policy_fallbacks", "rate_limit_fallbacks", "error_fallbacks"};
    int r = b->targets.n || !b->providers.n
                ? parse_targets(s, b->targets, "targets", a, &c->targets, e)
                : name_providers(s, &b->providers, a, &c->targets, e);

    for (unsigned i = 0; i < ROUTE_FALLBACKS && r == 0; i++)
        r = parse_targets(s, b->fallbacks[i], names[i], a, &c->fallbacks[i], e);
    if (r == 0 && c->targets.n == 0)
        r = refuse(a, e, STR("targets"), STR("A chain needs at least one target."));
    if (r < 0 || !b->shadow.n)
        return r;
    struct route_target *shadow = arena_new(a, struct route_target);
    if (!shadow)
        return no_memory(e);
    c->shadow = (struct route_targets){shadow, 1};
    r = parse_target(s, b->shadow, a, shadow, e);
    if (r == -EINVAL)
        e->param = arena_printf(a, "shadow." STR_FMT, STR_ARG(e->param));
    return r;
}

int route_chain_parse(const struct route_settings *s, struct str json, struct arena *a,
    struct route_chain *ret, struct error *e)
{
    struct chain_body b = defaults(&s->rules);
    uint64_t given;
    char turn[80];
    int r =
        fields_parse(route_chain_fields, ROUTE_CHAIN_FIELDS, FIELD_CREATE, json, &b, &given, a, e);

    *ret = (struct route_chain){.name = b.name, .models = b.models};
    if (r < 0)
        return r;
    take_numbers(&b, ret);
    if ((r = take_targets(s, &b, a, ret, e)) < 0)
        return r;
    int n = snprintf(turn, sizeof turn, "chain:" STR_FMT, (int)MIN(b.name.n, 57), b.name.p);
    ret->turn = route_state_get(str_at(turn, (size_t)n), STR_NONE);
    ret->text = arena_dup(a, json);
    return ret->text.p ? 0 : no_memory(e);
}

/* --- budgets --- */

int route_budgets_parse(const struct route_settings *s, struct str text, struct arena *a,
    const struct route_budget **ret, unsigned *ret_n, struct error *e)
{
    struct route_budget *list = arena_zalloc(a, (s->upstreams_n + 1) * sizeof *list);
    unsigned n = 0;

    if (!list)
        return no_memory(e);
    while (text.p && text.n) {
        struct str amount = str_trim(str_split(&text, ',')), name;
        if (!amount.n)
            continue;
        name = str_trim(str_split(&amount, ':'));
        const struct upstream *u = route_upstream(s, name);
        if (!u || n == s->upstreams_n)
            return refuse(a, e, STR_NONE,
                arena_printf(a, "there is no provider '" STR_FMT "'", STR_ARG(name)));
        list[n].provider = u->provider->id;
        if (money_parse(str_trim(amount), &list[n].nano) < 0)
            return refuse(a, e, STR_NONE,
                arena_printf(a, "'" STR_FMT "' must be followed by dollars a day, as in openai:100",
                    STR_ARG(name)));
        n++;
    }
    *ret = list;
    *ret_n = n;
    return 0;
}

/* --- looking up --- */

const struct route_chain *route_chain_find(const struct route_rules *r, struct str name)
{
    for (unsigned i = 0; i < r->chains_n; i++)
        if (str_eq(r->chains[i].name, name))
            return &r->chains[i];
    return NULL;
}

static bool takes(const struct route_chain *c, struct str model)
{
    if (str_eq(c->name, model))
        return true;
    for (unsigned i = 0; i < c->models.n; i++)
        if (str_glob(c->models.at[i], model))
            return true;
    return false;
}

/* A chain that names the model goes before one that takes it with others. */
const struct route_chain *route_chain_for(const struct route_rules *r, struct str model)
{
    const struct route_chain *found = NULL;

    for (unsigned i = 0; i < r->chains_n; i++) {
        const struct route_chain *c = &r->chains[i];
        if (!c->active || !takes(c, model))
            continue;
        if (str_eq(c->name, model))
            return c;
        bool exact = false;
        for (unsigned k = 0; k < c->models.n; k++)
            exact |= str_eq(c->models.at[k], model);
        if (exact)
            return c;
        if (!found)
            found = c;
    }
    return found;
}

const struct route_deployment *route_deployment_find(const struct route_rules *r, struct str name)
{
    for (unsigned i = 0; i < r->deployments_n; i++)
        if (str_eq(r->deployments[i].name, name))
            return &r->deployments[i];
    return NULL;
}

const struct route_budget *route_budget_of(const struct route_rules *r, struct str provider)
{
    for (unsigned i = 0; i < r->budgets_n; i++)
        if (str_eq(r->budgets[i].provider, provider))
            return &r->budgets[i];
    return NULL;
}

const struct upstream *route_forced(const struct route_rules *r)
{
    return r->forced && clock_wall() < r->forced_until ? r->forced : NULL;
}

/* --- writing --- */

static void write_target(const struct route_target *t, struct buf *out)
{
    struct target_body b = {t->provider, t->deployment, t->model, t->weight, t->tags};

    buf_addc(out, '{');
    fields_write(route_target_fields, ROUTE_TARGET_FIELDS, &b, out);
    buf_addc(out, '}');
}

static struct str targets_text(const struct route_targets *list, struct buf *room)
{
    size_t at = room->n;

    buf_addc(room, '[');
    for (unsigned i = 0; i < list->n; i++) {
        if (i)
            buf_addc(room, ',');
        write_target(&list->at[i], room);
    }
    buf_addc(room, ']');
    return str_at((const char *)at, room->n - at); /* an offset: room may still move */
}

static struct str placed(struct str s, const struct buf *room)
{
    return str_at(room->p + (size_t)s.p, s.n);
}

void route_chain_write(const struct route_chain *c, struct buf *out)
{
    _cleanup_(buf_free) struct buf room = {0};
    struct chain_body b = {.name = c->name,
        .models = c->models,
        .strategy = c->strategy,
        .retries = c->retries,
        .backoff = c->backoff / NS_PER_MS,
        .backoff_max = c->backoff_max / NS_PER_MS,
        .retry_after_max = c->retry_after_max / NS_PER_MS,
        .timeout = c->timeout / NS_PER_MS,
        .first_token = c->first_token / NS_PER_MS,
        .failures = c->breaker.failures,
        .cooldown = c->breaker.cooldown / NS_PER_MS,
        .affinity = c->affinity,
        .hedge = c->hedge,
        .hedge_after = c->hedge_after / NS_PER_MS,
        .hedge_percent = c->hedge_percent,
        .shadow_percent = c->shadow_percent,
        .is_active = c->active};

    buf_init(&room, 8 * ROUTE_RULE_BYTES);
    b.targets = targets_text(&c->targets, &room);
    for (unsigned i = 0; i < ROUTE_FALLBACKS; i++)
        b.fallbacks[i] = targets_text(&c->fallbacks[i], &room);
    struct str shadow = targets_text(&c->shadow, &room);
    b.targets = placed(b.targets, &room);
    for (unsigned i = 0; i < ROUTE_FALLBACKS; i++)
        b.fallbacks[i] = placed(b.fallbacks[i], &room);
    shadow = placed(shadow, &room);
    if (shadow.n > 2)
        b.shadow = str_at(shadow.p + 1, shadow.n - 2);
    fields_write(route_chain_fields, ROUTE_CHAIN_FIELDS, &b, out);
}
