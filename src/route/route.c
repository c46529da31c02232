/*
 * The routing stage: from what the request says to one upstream and the model's name there, or to a
 * plan of several.
 */
#include "route/route.h"

#include "providers/face.h"
#include "route/budget.h"
#include "route/owned.h"
#include "route/plan.h"
#include "text/nearest.h"

#include <errno.h>

const struct upstream *route_upstream(const struct route_settings *s, struct str id)
{
    for (unsigned i = 0; i < s->upstreams_n; i++)
        if (str_eq(s->upstreams[i].provider->id, id))
            return &s->upstreams[i];
    return NULL;
}

static const struct upstream *demo_of(const struct route_settings *s)
{
    const struct upstream *u = route_upstream(s, STR("demo"));

    return u && u->configured ? u : NULL;
}

static const struct route_alias *alias_of(const struct route_settings *s, struct str model)
{
    for (unsigned i = 0; i < s->aliases_n; i++)
        if (str_eq(s->aliases[i].name, model))
            return &s->aliases[i];
    return NULL;
}

/* Claude Code marks the long-context variant in the name; providers do not know the mark. */
static struct str without_mark(enum dialect d, struct str model)
{
    if (d == DIALECT_ANTHROPIC && str_ends(model, STR("[1m]")))
        return str_to(model, model.n - 4);
    return model;
}

/* One alias is followed, which may have the mark or be asked for with it. */
struct str route_real_name(const struct route_settings *s, enum dialect d, struct str model)
{
    struct str plain = without_mark(d, model);
    const struct route_alias *a = alias_of(s, model);

    if (!a)
        a = alias_of(s, plain);
    return a ? without_mark(d, a->target) : plain;
}

/* --- refusals --- */

static int not_found(struct exchange *x)
{
    static const char *const known[] = {"gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5",
        "gpt-5.4", "o3", "o4-mini", "claude-opus-4-6", "claude-sonnet-4-6",
        "claude-haiku-4-5-20251001", "gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.0-flash",
        "grok-4", "mistral-large-latest", "command-a-03-2025", "llama-3.3-70b-versatile",
        "deepseek-chat", "sonar-pro", "text-embedding-3-small", "text-embedding-3-large",
        "whisper-1", "tts-1", "dall-e-3"};
    const struct route_settings *s = x->route_settings;
    struct str names[ARRAY_LEN(known) + 64], best[3];
    unsigned n = 0;

    for (unsigned i = 0; i < s->aliases_n && n < 64; i++)
        names[n++] = s->aliases[i].name;
    for (unsigned i = 0; i < ARRAY_LEN(known); i++)
        names[n++] = str_of(known[i]);
    unsigned found = text_nearest(x->model_asked, names, n, best, ARRAY_LEN(best));
    x->error.hint = found == 0 ? STR("Name it as 'provider/model', for example 'openai/gpt-4o'.")
                    : found == 1
                        ? arena_printf(&x->arena, "Did you mean '" STR_FMT "'?", STR_ARG(best[0]))
                        : arena_printf(&x->arena, "Did you mean '" STR_FMT "' or '" STR_FMT "'?",
                              STR_ARG(best[0]), STR_ARG(best[1]));
    x->error.type = x->dialect == DIALECT_OPENAI ? STR("invalid_request_error") : STR_NONE;
    return exchange_fail_param(x, 404, STR("model_not_found"), STR("model"),
        "The model '" STR_FMT "' does not exist here: no rule maps its name to a provider.",
        (int)MIN(x->model_asked.n, 200), x->model_asked.p);
}

static int not_configured(struct exchange *x, const struct provider *p)
{
    struct str env = p->key_env.n && p->base.n ? p->key_env : p->base_env;

    x->error.no_retry = true;
    x->error.hint =
        arena_printf(&x->arena, "Set " STR_FMT " and restart the gateway.", STR_ARG(env));
    return exchange_failf(
        x, 503, STR("provider_not_configured"), STR_FMT " is not configured.", STR_ARG(p->title));
}

static int wrong_dialect(struct exchange *x, const struct provider *p)
{
    const struct provider_face *face = provider_first_face(p);
    struct str use = face->dialect == DIALECT_ANTHROPIC ? STR("/v1/messages")
                     : face->dialect == DIALECT_GEMINI
                         ? STR("/v1beta/models/{model}:generateContent")
                     : face->dialect == DIALECT_OPENAI  ? STR("/v1/chat/completions")
                     : face->dialect == DIALECT_BEDROCK ? STR("/model/{model}/converse")
                                                        : STR_NONE;
    if (use.n)
        x->error.hint = arena_printf(&x->arena, "Use " STR_FMT " for it.", STR_ARG(use));
    return exchange_fail_param(x, 400, STR("unsupported_dialect"), STR("model"),
        STR_FMT " has nothing that could serve this endpoint (" STR_FMT ").", STR_ARG(p->title),
        STR_ARG(x->match.endpoint->example));
}

static int over_budget(struct exchange *x, const struct provider *p)
{
    x->error.no_retry = true;
    x->error.type = STR("budget_exceeded");
    return exchange_failf(x, 429, STR("insufficient_quota"),
        "The daily budget for " STR_FMT " is used up.", STR_ARG(p->title));
}

static int not_allowed(struct exchange *x, const char *what, struct str name)
{
    return exchange_fail_param(x, 403, STR("not_allowed"), STR("model"),
        "This key may not use the %s '" STR_FMT "'.", what, (int)MIN(name.n, 200), name.p);
}

/* A key that is limited to certain models may not run one that nobody named, nor one whose name
 * stands where the gateway does not look: in a file or in the session of a credential. */
static bool runs_unnamed(const struct exchange *x)
{
    const uint64_t unseen =
        KIND_BIT(KIND_BATCHES) | KIND_BIT(KIND_MESSAGE_BATCHES) | KIND_BIT(KIND_REALTIME);
    const uint64_t unnamed = KIND_BIT(KIND_RESPONSES) | KIND_BIT(KIND_RESPONSES_AUX) |
                             KIND_BIT(KIND_RESPONSES_WS) | KIND_BIT(KIND_MODERATIONS) |
                             KIND_BIT(KIND_IMAGES) | KIND_BIT(KIND_IMAGE_EDITS) |
                             KIND_BIT(KIND_REALTIME_WS);
    const struct endpoint *e = x->match.endpoint;

    if (e->flags & (EP_BY_ID | EP_LIST))
        return false;
    return ((x->model.n ? unseen : unseen | unnamed) & KIND_BIT(e->kind)) != 0;
}

static int check_key(struct exchange *x, const struct upstream *u)
{
    if (x->model.n && !vkey_allows_model(x->key, x->model) &&
        !vkey_allows_model(x->key, x->model_asked))
        return not_allowed(x, "model", x->model_asked);
    if (x->key && x->key->models.n && runs_unnamed(x))
        return exchange_fail_param(x, 403, STR("not_allowed"), STR("model"),
            "This key is limited to certain models, and this call does not say in 'model' which "
            "one it runs.");
    if (!vkey_allows_provider(x->key, u->provider->id))
        return not_allowed(x, "provider", u->provider->id);
    /* Any text counts as a caller's own credential; a server that asks for none would not mind. */
    if (x->caller_credential.n && !u->provider->base.n && !u->keys)
        return exchange_failf(x, 401, STR("invalid_api_key"),
            STR_FMT " needs no key of yours: use a virtual key.", STR_ARG(u->provider->title));
    return 0;
}

/* --- choosing --- */

static const struct upstream *by_header(struct exchange *x, struct str name, int *r)
{
    const struct upstream *u = route_upstream(x->route_settings, name);

    *r = 0;
    if (!u)
        *r = exchange_fail_param(x, 400, STR("unknown_provider"), STR("x-smartflow-provider"),
            "There is no provider '" STR_FMT "'.", (int)MIN(name.n, 64), name.p);
    return u;
}

/* Of a provider that the table has for certain. */
static const struct upstream *known(const struct route_settings *s, const char *id)
{
    const struct upstream *u = route_upstream(s, str_of(id));

    must(u);
    return u;
}

/* Lists of models are asked of any provider that can; other calls would be a guess. */
static bool usable(const struct exchange *x, const struct upstream *u)
{
    return u->configured && (x->match.endpoint->kind != KIND_MODELS ||
                                vkey_allows_provider(x->key, u->provider->id));
}

/* Who has what the call goes on with: a file, a batch, an earlier response. */
static const struct upstream *owner(const struct exchange *x)
{
    return x->owned ? route_upstream(x->route_settings, x->owned->provider) : NULL;
}

/* The upstream for calls that name no model: the id's owner, else the dialect's own provider, else
 * the only configured one that has the face. */
static const struct upstream *without_model(struct exchange *x)
{
    static const char *const own[DIALECTS_IN_FRONT] = {"openai", "anthropic", "gemini", "bedrock"};
    const struct route_settings *s = x->route_settings;
    const struct upstream *u = owner(x), *only = NULL;

    if (u && u->configured)
        return u;
    if (str_eq(x->match.door, STR("azure")) && usable(x, known(s, "azure")))
        return known(s, "azure");
    u = known(s, own[x->dialect]);
    if (usable(x, u))
        return u;
    for (unsigned i = 0; i < s->upstreams_n; i++) {
        const struct upstream *c = &s->upstreams[i];
        if (!usable(x, c) || !provider_face(c->provider, x->dialect, x->match.endpoint->kind))
            continue;
        if (only)
            return x->match.endpoint->kind == KIND_MODELS ? only : u;
        only = c;
    }
    return only ? only : u;
}

/* Whether a provider could serve this kind of call at all. facts: of the model there. */
static bool serves(const struct exchange *x, const struct upstream *u, struct str model,
    const struct model_facts *facts)
{
    const struct face_asked a = {.dialect = x->dialect,
        .kind = x->match.endpoint->kind,
        .stream = x->stream,
        .model = model,
        .facts = facts};
    enum endpoint_kind kind;

    return provider_face_for(u->provider, &a, &kind) != NULL;
}

static const struct upstream *forced(struct exchange *x, struct str model)
{
    const struct route_settings *s = x->route_settings;
    const struct upstream *u = route_forced(&s->rules);

    if (!u || !model.n || !u->configured || (x->match.endpoint->flags & EP_BY_ID) || owner(x))
        return NULL;
    struct str there = route_model_at(s, model, u->provider);
    return serves(x, u, there, prices_find(s->prices, u->provider->id, there)) ? u : NULL;
}

/* By what the model's name says, and where it says nothing. */
static int by_name(struct exchange *x, struct str model, const struct upstream **ret)
{
    const struct route_settings *s = x->route_settings;
    struct str rest;
    const struct provider *p = model.n ? route_by_name(model, &rest) : NULL;

    x->model = p ? rest : model;
    *ret = NULL;
    if (!(x->match.endpoint->flags & EP_BY_ID) && (*ret = owner(x)))
        return 0;
    if (!model.n) {
        *ret = without_model(x);
        return 0;
    }
    if (str_eq(x->match.door, STR("azure"))) {
        const struct upstream *azure = known(s, "azure");
        if (azure->configured && (!p || x->model.n == model.n)) {
            *ret = azure;
            return 0;
        }
    }
    *ret = p ? route_upstream(s, p->id) : s->default_upstream;
    return *ret ? 0 : not_found(x);
}

static int choose(struct exchange *x, struct str model, const struct upstream **ret)
{
    const struct route_settings *s = x->route_settings;
    struct str asked = http_get(&x->rq->head.fields, HTTP_X_SMARTFLOW_PROVIDER);
    int r = 0;

    if ((*ret = forced(x, model)))
        x->routing = arena_new(&x->arena, struct routing_log);
    else if (asked.n)
        *ret = by_header(x, asked, &r);
    if (r < 0)
        return r;
    if (!*ret)
        return by_name(x, model, ret);
    x->model = model.n ? route_model_at(s, model, (*ret)->provider) : model;
    if (x->routing)
        x->routing->note = STR("forced");
    return 0;
}

/* --- one target --- */

static int take_one(struct exchange *x, const struct upstream *u)
{
    const struct route_settings *s = x->route_settings;
    int r;

    if (!u->configured) {
        const struct upstream *demo = demo_of(s);
        if (!demo)
            return not_configured(x, u->provider);
        x->facts = prices_find(s->prices, u->provider->id, x->model);
        u = demo;
    }
    if (!x->facts && x->model.n)
        x->facts = prices_find(s->prices, u->provider->id, x->model);
    if (!serves(x, u, x->model, x->facts))
        return wrong_dialect(x, u->provider);
    if ((r = check_key(x, u)) < 0)
        return r;
    if (route_budget_spent(&s->rules, u->provider->id, clock_wall()))
        return over_budget(x, u->provider);
    x->upstream = u;
    return 0;
}

/* --- several --- */

void route_take(struct exchange *x, const struct plan_target *t)
{
    x->upstream = t->upstream;
    x->model = t->model;
    x->facts = t->facts;
}

struct str route_reasons(const struct plan *p, struct arena *a)
{
    _cleanup_(buf_free) struct buf b = {0};

    buf_init(&b, 4096);
    for (unsigned i = 0; i < p->n; i++) {
        const struct plan_target *t = &p->at[i];
        if (t->reason != PLAN_USABLE)
            buf_printf(&b, "%s" STR_FMT " " STR_FMT ": " STR_FMT, b.n ? "; " : "",
                STR_ARG(plan_where(t)), (int)MIN(t->model.n, 100), t->model.p,
                STR_ARG(plan_reason_text(t->reason)));
    }
    return arena_dup(a, buf_str(&b));
}

/* Only what was in the way of all is worth an error of its own. */
static int nobody_serves(struct exchange *x, const struct plan *p)
{
    enum plan_reason why = p->n ? p->at[0].reason : PLAN_NOT_CONFIGURED;

    for (unsigned i = 1; i < p->n; i++)
        why = p->at[i].reason == why                ? why
              : p->at[i].reason == PLAN_OVER_BUDGET ? PLAN_OVER_BUDGET
              : why == PLAN_OVER_BUDGET             ? why
                                                    : PLAN_REASONS;
    if (why == PLAN_OVER_BUDGET)
        return over_budget(x, p->at[0].upstream->provider);
    if (why == PLAN_MODEL_NOT_ALLOWED)
        return not_allowed(x, "model", x->model_asked);
    if (why == PLAN_PROVIDER_NOT_ALLOWED)
        return not_allowed(x, "provider", p->at[0].upstream->provider->id);
    if (why == PLAN_NO_FACE)
        return wrong_dialect(x, p->at[0].upstream->provider);
    if (why == PLAN_NOT_CONFIGURED && p->n == 1)
        return not_configured(x, p->at[0].upstream->provider);
    x->error.hint = route_reasons(p, &x->arena);
    return exchange_fail(
        x, 503, STR("no_provider_available"), STR("No target of the chain can serve this call."));
}

static int check_lcr(struct exchange *x, struct str word)
{
    enum lcr_mode mode;

    if (!word.n || lcr_mode_parse(word, &mode))
        return 0;
    return exchange_fail_param(x, 400, STR("invalid_request_error"), STR("x-smartflow-lcr"),
        "'x-smartflow-lcr' must be off, auto, local or frontier.");
}

static int take_plan(struct exchange *x, const struct plan_asked *a, const struct route_chain *c)
{
    struct plan *p;

    if (check_lcr(x, a->lcr) < 0)
        return -EREMOTEIO;
    if (plan_make(a, c, &p) < 0)
        return exchange_fail(x, 500, STR("internal_error"), STR("Out of memory."));
    if (x->routing)
        p->log.note = x->routing->note;
    x->routing = &p->log;
    if (!p->usable)
        return nobody_serves(x, p);
    x->plan = p;
    route_take(x, &p->at[0]);
    return 0;
}

static struct str header(const struct exchange *x, struct str name)
{
    return http_get_other(&x->rq->head.fields, name);
}

static void ask(const struct exchange *x, struct str model, struct plan_asked *a)
{
    *a = (struct plan_asked){.settings = x->route_settings,
        .key = x->key,
        .dialect = x->dialect,
        .kind = x->match.endpoint->kind,
        .stream = x->stream,
        .own_credential = x->caller_credential.n > 0,
        .model = model,
        .shown = x->model_asked,
        .tags = http_get(&x->rq->head.fields, HTTP_X_SMARTFLOW_TAGS),
        .lcr = header(x, STR("x-smartflow-lcr")),
        .body = x->body,
        .now = clock_now(),
        .arena = (struct arena *)&x->arena};
}

/* Several targets make sense for a call whose body is here whole (or will be, of a recording), that
 * names a model, and that goes on with nothing which one provider has. */
static bool may_have_plan(const struct exchange *x, struct str model)
{
    const struct endpoint *e = x->match.endpoint;
    bool whole = (x->body.p && e->flags & EP_JSON) || (x->upload && e->kind == KIND_TRANSCRIPTION);

    return model.n && whole && !(e->flags & (EP_BY_ID | EP_WEBSOCKET)) && !x->owned && !x->part &&
           !x->caller_credential.n;
}

/* Whether anything but the name decides, of calls that no chain takes. */
static bool is_general(const struct route_rules *r, const struct virtual_key *key)
{
    return r->strategy != STRATEGY_NONE || r->retries || r->hedge || lcr_is_set(r, key);
}

/* What may be there without a chain: the general strategy, and tries. */
static const struct route_chain *general(
    const struct exchange *x, const struct plan_asked *a, const struct upstream *u)
{
    const struct route_rules *r = &a->settings->rules;
    bool named = http_has(&x->rq->head.fields, HTTP_X_SMARTFLOW_PROVIDER) || x->routing;
    const struct route_chain *c = NULL;

    if (!named)
        c = plan_automatic(a, u, x->model);
    if (!c && (r->retries || r->hedge) && u->configured)
        c = plan_single(a, u, x->model);
    return c;
}

static int route(struct exchange *x)
{
    const struct route_settings *s = x->route_settings;
    struct str model = route_real_name(s, x->dialect, x->model_asked);
    bool several = may_have_plan(x, model);
    const struct route_chain *c;
    const struct upstream *u;
    struct plan_asked a;
    int r;

    if (several && s->rules.chains_n && !route_forced(&s->rules) &&
        !http_has(&x->rq->head.fields, HTTP_X_SMARTFLOW_PROVIDER) &&
        (c = route_chain_for(&s->rules, model))) {
        ask(x, model, &a);
        return take_plan(x, &a, c);
    }
    if ((r = choose(x, model, &u)) < 0)
        return r;
    if (several && is_general(&s->rules, x->key)) {
        ask(x, model, &a);
        if ((c = general(x, &a, u)))
            return take_plan(x, &a, c);
    }
    return take_one(x, u);
}

const struct stage stage_route = {
    .name = "route",
    .on_request = route,
};
