/*
 * The routing stage: from what the request says to one upstream and the model's name there. Later
 * steps put strategies and fallback chains behind the same stage; its result stays the same.
 */
#include "route/route.h"

#include "llm/prices.h"
#include "route/owned.h"
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
static struct str without_mark(struct exchange *x, struct str model)
{
    if (x->dialect == DIALECT_ANTHROPIC && str_ends(model, STR("[1m]")))
        return str_to(model, model.n - 4);
    return model;
}

/* The name that is looked up: one alias is followed, which may have the mark or be asked for with
 * it. */
static struct str real_name(struct exchange *x)
{
    const struct route_settings *s = x->route_settings;
    struct str plain = without_mark(x, x->model_asked);
    const struct route_alias *a = alias_of(s, x->model_asked);

    if (!a)
        a = alias_of(s, plain);
    return a ? without_mark(x, a->target) : plain;
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
    x->error.type = STR("invalid_request_error");
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
                     : face->dialect == DIALECT_OPENAI ? STR("/v1/chat/completions")
                                                       : STR_NONE;
    if (use.n)
        x->error.hint = arena_printf(&x->arena, "Use " STR_FMT " for it.", STR_ARG(use));
    return exchange_fail_param(x, 400, STR("unsupported_dialect"), STR("model"),
        STR_FMT " speaks another dialect than this endpoint (" STR_FMT ").", STR_ARG(p->title),
        STR_ARG(x->match.endpoint->example));
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
    static const char *const own[DIALECTS_IN_FRONT] = {"openai", "anthropic", "gemini"};
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

static int choose(struct exchange *x, const struct upstream **ret)
{
    const struct route_settings *s = x->route_settings;
    struct str asked = http_get(&x->rq->head.fields, HTTP_X_SMARTFLOW_PROVIDER), rest;
    struct str model = real_name(x);
    const struct provider *p = model.n ? route_by_name(model, &rest) : NULL;
    int r;

    x->model = model;
    if (p)
        x->model = rest;
    *ret = NULL;
    if (asked.n) {
        if (p && !str_eq(p->id, asked)) /* "openai/gpt-4o" is OpenRouter's own name for it */
            x->model = model;
        *ret = by_header(x, asked, &r);
        return r;
    }
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
    if (p)
        *ret = route_upstream(s, p->id);
    else
        *ret = s->default_upstream;
    return *ret ? 0 : not_found(x);
}

static int route(struct exchange *x)
{
    const struct route_settings *s = x->route_settings;
    const struct upstream *u;
    int r = choose(x, &u);

    if (r < 0)
        return r;
    if (!u->configured) {
        const struct upstream *demo = demo_of(s);
        if (!demo)
            return not_configured(x, u->provider);
        x->facts = prices_find(s->prices, u->provider->id, x->model);
        u = demo;
    }
    if (!provider_face(u->provider, x->dialect, x->match.endpoint->kind))
        return wrong_dialect(x, u->provider);
    if ((r = check_key(x, u)) < 0)
        return r;
    x->upstream = u;
    if (!x->facts && x->model.n)
        x->facts = prices_find(s->prices, u->provider->id, x->model);
    return 0;
}

const struct stage stage_route = {
    .name = "route",
    .on_request = route,
};
