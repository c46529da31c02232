/* The routing stage: where a call goes, what its model is called there, and every refusal. */
#include "route/route.h"

#include "llm/exchange_test.h"
#include "route/budget.h"
#include "route/owned.h"
#include "route/plan.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct made made;
static struct upstream ups[64];
static struct route_settings settings;

/* ids: "openai groq" are configured, all others are not. */
static void configure(const char *ids)
{
    struct str rest = str_of(ids);
    const struct provider *table = provider_table(&settings.upstreams_n);

    must(settings.upstreams_n <= ARRAY_LEN(ups));
    for (unsigned i = 0; i < settings.upstreams_n; i++) {
        upstream_keys_free(&ups[i]);
        ups[i] = (struct upstream){.provider = &table[i]};
    }
    settings.upstreams = ups;
    settings.default_upstream = NULL;
    settings.aliases_n = 0;
    while (rest.n) {
        struct str id = str_split(&rest, ' ');
        struct upstream *u = (struct upstream *)route_upstream(&settings, id);
        must(u);
        u->configured = true;
    }
}

/* "provider model", or "status code" of the refusal. */
static struct str routed(struct exchange *x)
{
    static char out[512];
    int n;

    x->route_settings = &settings;
    int r = stage_route.on_request(x);
    if (r < 0)
        n = snprintf(out, sizeof out, "%d " STR_FMT, x->error.status, STR_ARG(x->error.code));
    else
        n = snprintf(out, sizeof out, STR_FMT " " STR_FMT, STR_ARG(x->upstream->provider->id),
            STR_ARG(x->model));
    return str_at(out, (size_t)n);
}

static struct exchange *post(const char *target, const char *fields, const char *model)
{
    return made_begin(&made, "POST", target, fields, model);
}

static struct str chat(const char *model)
{
    return routed(post("/v1/chat/completions", "", model));
}

static void test_names(void)
{
    configure("openai groq gemini anthropic openrouter");
    CHECK_STR(chat("gpt-4o"), STR("openai gpt-4o"));
    CHECK_STR(chat("openai/gpt-4o"), STR("openai gpt-4o"));
    CHECK_STR(chat("groq/gpt-oss-120b"), STR("groq gpt-oss-120b"));
    CHECK_STR(chat("openrouter/openai/gpt-4o"), STR("openrouter openai/gpt-4o"));
    CHECK_STR(chat("gemini-2.5-pro"), STR("gemini gemini-2.5-pro"));
    CHECK_STR(
        routed(post("/v1/messages", "", "claude-sonnet-4-6")), STR("anthropic claude-sonnet-4-6"));
}

static void test_header(void)
{
    const char * or = "x-smartflow-provider: openrouter\r\n";

    configure("openai groq openrouter");
    CHECK_STR(routed(post("/v1/chat/completions", "x-smartflow-provider: groq\r\n", "my-model")),
        STR("groq my-model"));
    CHECK_STR(routed(post("/v1/chat/completions", "x-smartflow-provider: groq\r\n", "groq/x")),
        STR("groq x"));
    /* another's prefix is part of the name there */
    CHECK_STR(
        routed(post("/v1/chat/completions", or, "openai/gpt-4o")), STR("openrouter openai/gpt-4o"));
    CHECK_STR(routed(post("/v1/chat/completions", or, "gpt-4o")), STR("openrouter gpt-4o"));
    CHECK_STR(routed(post("/v1/chat/completions", "x-smartflow-provider: nobody\r\n", "gpt-4o")),
        STR("400 unknown_provider"));
    CHECK_STR(made.x.error.param, STR("x-smartflow-provider"));
    CHECK_STR(routed(post("/v1/chat/completions", "x-smartflow-provider: xai\r\n", "gpt-4o")),
        STR("503 provider_not_configured"));
}

static void test_aliases(void)
{
    static const struct route_alias aliases[] = {{STR_INIT("fast"), STR_INIT("groq/llama-x")},
        {STR_INIT("gpt-4o"), STR_INIT("gpt-4.1")}, {STR_INIT("loop"), STR_INIT("loop")},
        {STR_INIT("long"), STR_INIT("claude-opus-4-6[1m]")},
        {STR_INIT("big"), STR_INIT("claude-plain")},
        {STR_INIT("big[1m]"), STR_INIT("claude-marked")}};

    configure("openai groq anthropic");
    settings.aliases = aliases;
    settings.aliases_n = ARRAY_LEN(aliases);
    CHECK_STR(chat("fast"), STR("groq llama-x"));
    CHECK_STR(chat("gpt-4o"), STR("openai gpt-4.1"));
    CHECK_STR(chat("loop"), STR("404 model_not_found"));
    CHECK_STR(routed(post("/v1/messages", "", "long")), STR("anthropic claude-opus-4-6"));
    /* an alias may be asked for with the mark; one that has it in its own name comes first */
    CHECK_STR(routed(post("/v1/messages", "", "long[1m]")), STR("anthropic claude-opus-4-6"));
    CHECK_STR(routed(post("/v1/messages", "", "big[1m]")), STR("anthropic claude-marked"));
    CHECK_STR(routed(post("/v1/messages", "", "big")), STR("anthropic claude-plain"));
}

static void test_long_context_mark(void)
{
    configure("openai anthropic");
    CHECK_STR(
        routed(post("/v1/messages", "", "claude-opus-4-6[1m]")), STR("anthropic claude-opus-4-6"));
    CHECK_STR(routed(post("/cursor/v1/messages", "", "anthropic/claude-x[1m]")),
        STR("anthropic claude-x"));
    CHECK_STR(chat("gpt-4o[1m]"), STR("openai gpt-4o[1m]"));
}

static void test_not_found(void)
{
    configure("openai");
    CHECK_STR(chat("gpt4o"), STR("404 model_not_found"));
    CHECK(str_find(made.x.error.hint, STR("'gpt-4o'")) > 0);
    CHECK_STR(made.x.error.param, STR("model"));
    CHECK_STR(chat("zzzzzzzzzzzzzzzz"), STR("404 model_not_found"));
    CHECK(str_find(made.x.error.hint, STR("provider/model")) > 0);
    settings.default_upstream = route_upstream(&settings, STR("openai"));
    CHECK_STR(chat("zzzzzzzzzzzzzzzz"), STR("openai zzzzzzzzzzzzzzzz"));
}

static void test_not_configured(void)
{
    configure("openai");
    CHECK_STR(routed(post("/v1/messages", "", "claude-x")), STR("503 provider_not_configured"));
    CHECK(str_find(made.x.error.hint, STR("ANTHROPIC_API_KEY")) > 0);
    CHECK(made.x.error.no_retry);
    CHECK_STR(chat("azure/x"), STR("503 provider_not_configured"));
    CHECK(str_find(made.x.error.hint, STR("AZURE_API_BASE")) > 0);
    CHECK_STR(chat("ollama/x"), STR("503 provider_not_configured"));
    CHECK(str_find(made.x.error.hint, STR("OLLAMA_BASE_URL")) > 0);
}

static void test_demo(void)
{
    configure("demo openai");
    CHECK_STR(routed(post("/v1/messages", "", "claude-sonnet-4-6")), STR("demo claude-sonnet-4-6"));
    CHECK(made.x.facts != NULL); /* priced as what was asked for */
    CHECK_STR(chat("gpt-4o"), STR("openai gpt-4o"));
    CHECK_STR(chat("nothing"), STR("404 model_not_found"));
}

/* Where a call can be translated, another dialect is no obstacle; elsewhere it is. */
static void test_other_dialects(void)
{
    configure("openai anthropic gemini replicate deepgram");
    CHECK_STR(chat("claude-sonnet-4-6"), STR("anthropic claude-sonnet-4-6"));
    CHECK_STR(routed(post("/v1/messages", "", "gpt-4o")), STR("openai gpt-4o"));
    CHECK_STR(routed(post("/v1/responses", "", "gemini-2.5-pro")), STR("gemini gemini-2.5-pro"));
    CHECK_STR(chat("replicate/x"), STR("replicate x"));
    CHECK_STR(chat("deepgram/nova-3"), STR("400 unsupported_dialect"));
    CHECK_STR(routed(post("/v1/audio/speech", "", "claude-x")), STR("400 unsupported_dialect"));
    CHECK(str_find(made.x.error.hint, STR("/v1/messages")) > 0);
}

/* The header takes any model to any provider, by the equivalent of its tier. */
static void test_any_to_any(void)
{
    const char *anthropic = "x-smartflow-provider: anthropic\r\n";

    configure("openai anthropic gemini ollama");
    CHECK_STR(routed(post("/v1/chat/completions", anthropic, "gpt-5.4")),
        STR("anthropic claude-opus-4-6"));
    CHECK_STR(made.x.model_asked, STR("gpt-5.4"));
    CHECK(made.x.facts && str_eq(made.x.facts->model, STR("claude-opus-4-6")));
    CHECK_STR(routed(post("/v1/messages", "x-smartflow-provider: openai\r\n", "claude-sonnet-4-6")),
        STR("openai gpt-4.1"));
    CHECK_STR(routed(post(
                  "/v1/messages", "x-smartflow-provider: ollama\r\n", "claude-haiku-4-5-20251001")),
        STR("ollama phi4"));
    CHECK_STR(routed(post("/v1/chat/completions", anthropic, "claude-opus-4-5")),
        STR("anthropic claude-opus-4-5"));
}

/* --- chains --- */

static struct exchange *with_body(const char *fields, const char *model, const char *body)
{
    struct exchange *x = post("/v1/chat/completions", fields, model);

    x->body = str_of(body);
    return x;
}

static struct arena rules_arena;

static void add_chain(const char *text)
{
    static struct route_chain chains[4];
    struct error e = {0};

    if (settings.rules.chains != chains)
        settings.rules.chains_n = 0;
    settings.rules.chains = chains;
    struct route_chain *c = &chains[settings.rules.chains_n++];
    if (route_chain_parse(&settings, str_of(text), &rules_arena, c, &e) < 0)
        tap_fail(__FILE__, __LINE__, STR_FMT ": " STR_FMT, STR_ARG(e.param), STR_ARG(e.message));
}

static void test_chains(void)
{
    configure("openai groq anthropic");
    add_chain("{\"name\":\"main\",\"models\":[\"gpt-4o\"],\"targets\":[{\"provider\":\"groq\","
              "\"model\":\"llama\"},{\"provider\":\"anthropic\"}]}");
    CHECK_STR(routed(with_body("", "gpt-4o", "{}")), STR("groq llama"));
    CHECK(made.x.plan && made.x.plan->usable == 2 && made.x.routing == &made.x.plan->log);
    CHECK_STR(made.x.plan->at[1].model, STR("claude-sonnet-4-6"));
    CHECK_STR(routed(with_body("", "main", "{}")), STR("groq llama"));
    CHECK_STR(routed(with_body("", "gpt-4.1", "{}")), STR("openai gpt-4.1"));
    CHECK(!made.x.plan && !made.x.routing); /* a name alone: nothing is decided */
    /* the header goes before a chain, and what goes on elsewhere takes none */
    CHECK_STR(routed(with_body("x-smartflow-provider: openai\r\n", "gpt-4o", "{}")),
        STR("openai gpt-4o"));
    CHECK(!made.x.plan);
    /* without a body at hand nothing can be sent twice */
    CHECK_STR(routed(post("/v1/chat/completions", "", "gpt-4o")), STR("openai gpt-4o"));
}

static void test_nobody_serves(void)
{
    configure("openai");
    settings.rules.chains_n = 0;
    add_chain("{\"name\":\"main\",\"providers\":[\"groq\",\"xai\"]}");
    CHECK_STR(routed(with_body("", "main", "{}")), STR("503 no_provider_available"));
    CHECK(str_find(made.x.error.hint, STR("not configured")) > 0);
    settings.rules.chains_n = 0;
    add_chain("{\"name\":\"main\",\"providers\":[\"deepgram\"]}");
    ((struct upstream *)route_upstream(&settings, STR("deepgram")))->configured = true;
    CHECK_STR(routed(with_body("", "main", "{}")), STR("400 unsupported_dialect"));
}

static void test_forced(void)
{
    configure("openai anthropic groq");
    settings.rules.chains_n = 0;
    add_chain("{\"name\":\"main\",\"models\":[\"gpt-4o\"],\"providers\":[\"groq\"]}");
    settings.rules.forced = route_upstream(&settings, STR("anthropic"));
    settings.rules.forced_until = clock_wall() + 60 * NS_PER_S;
    CHECK_STR(routed(with_body("", "gpt-4o", "{}")), STR("anthropic claude-sonnet-4-6"));
    CHECK_STR(made.x.routing->note, STR("forced"));
    CHECK_STR(routed(with_body("x-smartflow-provider: groq\r\n", "gpt-5.4", "{}")),
        STR("anthropic claude-opus-4-6"));
    /* what it cannot serve goes where it would */
    CHECK_STR(routed(post("/v1/audio/speech", "", "tts-1")), STR("openai tts-1"));
    settings.rules.forced_until = clock_wall() - 1;
    CHECK_STR(routed(with_body("", "gpt-4o", "{}")), STR("groq gpt-4o"));
    settings.rules = (struct route_rules){0};
}

static void test_retries_without_chain(void)
{
    configure("openai");
    settings.rules = (struct route_rules){.retries = 2};
    CHECK_STR(routed(with_body("", "gpt-4o", "{}")), STR("openai gpt-4o"));
    CHECK(made.x.plan && made.x.plan->n == 1 && made.x.plan->chain->retries == 2);
    settings.rules = (struct route_rules){0};
}

static void test_strategy_without_chain(void)
{
    configure("openai anthropic gemini");
    settings.rules = (struct route_rules){.strategy = STRATEGY_COST};
    CHECK_STR(routed(with_body("", "gpt-4.1", "{}")), STR("gemini gemini-2.5-flash"));
    CHECK_EQ(made.x.plan->usable, 3);
    /* who is asked for outright is asked */
    CHECK_STR(routed(with_body("x-smartflow-provider: openai\r\n", "gpt-4.1", "{}")),
        STR("openai gpt-4.1"));
    settings.rules = (struct route_rules){0};
}

static void test_provider_budget(void)
{
    static const struct route_budget budgets[] = {{STR_INIT("openai"), 1}};

    configure("openai groq");
    settings.rules = (struct route_rules){.budgets = budgets, .budgets_n = 1};
    route_budget_use(NULL);
    CHECK_STR(chat("gpt-4o"), STR("openai gpt-4o"));
    route_budget_add(STR("openai"), 1, clock_wall());
    CHECK_STR(chat("gpt-4o"), STR("429 insufficient_quota"));
    CHECK_STR(made.x.error.type, STR("budget_exceeded"));
    add_chain("{\"name\":\"main\",\"providers\":[\"openai\",\"groq\"]}");
    CHECK_STR(routed(with_body("", "main", "{}")), STR("groq main"));
    settings.rules.chains_n = 0;
    add_chain("{\"name\":\"main\",\"providers\":[\"openai\",\"xai\"]}");
    CHECK_STR(routed(with_body("", "main", "{}")), STR("429 insufficient_quota"));
    route_budget_use(NULL);
    settings.rules = (struct route_rules){0};
}

static void test_azure_door(void)
{
    const char *dep = "/azure/openai/deployments/dep/chat/completions";

    configure("openai azure groq");
    CHECK_STR(routed(post(dep, "", NULL)), STR("azure dep"));
    CHECK_STR(routed(post("/openai/v1/chat/completions", "", "gpt-4o")), STR("azure gpt-4o"));
    CHECK_STR(routed(post("/openai/v1/chat/completions", "", "groq/x")), STR("groq x"));
    configure("openai");
    CHECK_STR(routed(post("/azure/openai/deployments/gpt-4o/chat/completions", "", NULL)),
        STR("openai gpt-4o"));
}

static void test_without_model(void)
{
    configure("openai groq");
    CHECK_STR(routed(made_begin(&made, "GET", "/v1/files", "", NULL)), STR("openai "));
    configure("groq");
    CHECK_STR(routed(made_begin(&made, "GET", "/v1/files", "", NULL)), STR("groq "));
    configure("groq xai");
    CHECK_STR(routed(made_begin(&made, "GET", "/v1/files", "", NULL)),
        STR("503 provider_not_configured"));
    CHECK_STR(routed(made_begin(&made, "GET", "/v1/models", "", NULL)), STR("xai "));
    configure("anthropic gemini");
    CHECK_STR(
        routed(made_begin(&made, "GET", "/anthropic/v1/models", "", NULL)), STR("anthropic "));
    CHECK_STR(routed(made_begin(&made, "GET", "/v1beta/models", "", NULL)), STR("gemini "));
}

/* --- allow-lists --- */

static struct virtual_key key;

static struct exchange *limited(struct exchange *x)
{
    x->key = &key;
    return x;
}

static void limit(
    const struct str *models, unsigned models_n, const struct str *providers, unsigned providers_n)
{
    key = (struct virtual_key){.models = {models, models_n},
        .providers = {providers, providers_n},
        .subject.is_active = true};
}

static struct str chat_limited(const char *model)
{
    return routed(limited(post("/v1/chat/completions", "", model)));
}

static void test_model_list(void)
{
    static const struct route_alias aliases[] = {
        {STR_INIT("fast"), STR_INIT("groq/llama-x")}, {STR_INIT("sneaky"), STR_INIT("gpt-5-pro")}};
    const struct str models[] = {STR("gpt-4o"), STR("claude-sonnet-*"), STR("fast")};

    configure("openai groq anthropic");
    settings.aliases = aliases;
    settings.aliases_n = ARRAY_LEN(aliases);
    limit(models, 3, NULL, 0);
    CHECK_STR(chat_limited("gpt-4o"), STR("openai gpt-4o"));
    CHECK_STR(chat_limited("openai/gpt-4o"), STR("openai gpt-4o"));
    CHECK_STR(chat_limited("fast"), STR("groq llama-x"));
    CHECK_STR(chat_limited("groq/llama-x"), STR("403 not_allowed"));
    CHECK_STR(chat_limited("sneaky"), STR("403 not_allowed"));
    CHECK_STR(chat_limited("gpt-5-pro"), STR("403 not_allowed"));
    CHECK_STR(chat_limited("gpt-4o-mini"), STR("403 not_allowed"));
    CHECK_STR(routed(limited(post("/v1/messages", "", "claude-sonnet-4-6[1m]"))),
        STR("anthropic claude-sonnet-4-6"));
    CHECK_STR(
        routed(limited(post("/v1/messages", "", "claude-opus-4-6[1m]"))), STR("403 not_allowed"));
    CHECK_STR(made.x.error.param, STR("model"));
}

/* Calls that run a model without naming one where the gateway looks. */
static void test_unnamed_models(void)
{
    static const char *const refused[] = {"/v1/responses", "/v1/moderations",
        "/v1/images/generations", "/v1/images/edits", "/v1/images/variations", "/v1/batches",
        "/v1/responses/compact", "/v1/messages/batches", "/v1/realtime/client_secrets",
        "/v1/realtime/calls"};
    static const char *const fine[] = {"/v1/files", "/v1/responses/r/cancel",
        "/v1/batches/b/cancel", "/v1/conversations", "/v1/uploads"};
    const struct str models[] = {STR("gpt-4o")};

    configure("openai anthropic");
    limit(models, 1, NULL, 0);
    for (unsigned i = 0; i < ARRAY_LEN(refused); i++) {
        struct str got = routed(limited(post(refused[i], "", NULL)));
        if (!str_eq(got, STR("403 not_allowed")))
            tap_fail(__FILE__, __LINE__, "%s: " STR_FMT, refused[i], STR_ARG(got));
    }
    for (unsigned i = 0; i < ARRAY_LEN(fine); i++)
        CHECK_STR(routed(limited(post(fine[i], "", NULL))), STR("openai "));
    CHECK_STR(routed(limited(post("/v1/responses", "", "gpt-4o"))), STR("openai gpt-4o"));
    CHECK_STR(routed(limited(made_begin(&made, "GET", "/v1/batches", "", NULL))), STR("openai "));
    CHECK_STR(routed(limited(made_begin(&made, "GET", "/v1/realtime", "", NULL))),
        STR("403 not_allowed"));
    limit(NULL, 0, NULL, 0);
    CHECK_STR(routed(limited(post("/v1/batches", "", NULL))), STR("openai "));
    CHECK_STR(routed(limited(post("/v1/moderations", "", NULL))), STR("openai "));
}

static void test_provider_list(void)
{
    const struct str providers[] = {STR("groq")};

    configure("openai groq demo");
    limit(NULL, 0, providers, 1);
    CHECK_STR(chat_limited("groq/llama"), STR("groq llama"));
    CHECK_STR(chat_limited("gpt-4o"), STR("403 not_allowed"));
    CHECK_STR(routed(limited(
                  post("/v1/chat/completions", "x-smartflow-provider: openai\r\n", "llama-x"))),
        STR("403 not_allowed"));
    CHECK_STR(chat_limited("grok-4"), STR("403 not_allowed"));
    CHECK_STR(routed(limited(made_begin(&made, "GET", "/v1/models", "", NULL))), STR("groq "));
    CHECK_STR(
        routed(limited(made_begin(&made, "GET", "/v1/files", "", NULL))), STR("403 not_allowed"));
}

/* --- a caller's own credential --- */

static void test_own_credential(void)
{
    configure("openai ollama vllm");
    struct exchange *x = post("/v1/chat/completions", "", "gpt-4o");
    x->caller_credential = STR("sk-own");
    CHECK_STR(routed(x), STR("openai gpt-4o"));
    x = post("/v1/chat/completions", "", "ollama/llama3");
    x->caller_credential = STR("anything");
    CHECK_STR(routed(x), STR("401 invalid_api_key"));
    struct upstream *vllm = (struct upstream *)route_upstream(&settings, STR("vllm"));
    x = post("/v1/chat/completions", "", "vllm/m");
    x->caller_credential = STR("sk-own");
    CHECK_STR(routed(x), STR("401 invalid_api_key"));
    must(upstream_add_key(vllm, UPSTREAM_KEY_ENV, STR("k"), 1) == 0);
    x = post("/v1/chat/completions", "", "vllm/m");
    x->caller_credential = STR("sk-own");
    CHECK_STR(routed(x), STR("vllm m"));
}

/* --- ids that a provider made --- */

static struct exchange *goes_on(struct exchange *x, const char *provider)
{
    struct owned o = {.id = STR("x"), .provider = str_of(provider)}, *kept = NULL;

    kept = arena_new(&x->arena, struct owned);
    must(kept);
    *kept = o;
    x->owned = kept;
    return x;
}

static void test_owners(void)
{
    configure("openai groq");
    struct exchange *x = made_begin(&made, "GET", "/v1/responses/resp_1", "", NULL);
    CHECK_STR(routed(goes_on(x, "groq")), STR("groq "));
    CHECK_STR(routed(made_begin(&made, "GET", "/v1/responses/resp_2", "", NULL)), STR("openai "));
    /* an owner that is no longer configured */
    x = made_begin(&made, "GET", "/v1/files/file-1", "", NULL);
    CHECK_STR(routed(goes_on(x, "xai")), STR("openai "));
    CHECK_STR(routed(goes_on(post("/v1/responses", "", "gpt-4o"), "groq")), STR("groq gpt-4o"));
    CHECK_STR(routed(goes_on(post("/v1/batches", "", NULL), "groq")), STR("groq "));
    /* what the caller says outright comes first */
    x = post("/v1/responses", "x-smartflow-provider: openai\r\n", "gpt-4o");
    CHECK_STR(routed(goes_on(x, "groq")), STR("openai gpt-4o"));
}

int main(void)
{
    arena_init(&rules_arena, NULL, 0, MIB);
    TAP_RUN(test_names);
    TAP_RUN(test_header);
    TAP_RUN(test_aliases);
    TAP_RUN(test_long_context_mark);
    TAP_RUN(test_not_found);
    TAP_RUN(test_not_configured);
    TAP_RUN(test_demo);
    TAP_RUN(test_other_dialects);
    TAP_RUN(test_any_to_any);
    TAP_RUN(test_chains);
    TAP_RUN(test_nobody_serves);
    TAP_RUN(test_forced);
    TAP_RUN(test_retries_without_chain);
    TAP_RUN(test_strategy_without_chain);
    TAP_RUN(test_provider_budget);
    TAP_RUN(test_azure_door);
    TAP_RUN(test_without_model);
    TAP_RUN(test_model_list);
    TAP_RUN(test_unnamed_models);
    TAP_RUN(test_provider_list);
    TAP_RUN(test_own_credential);
    TAP_RUN(test_owners);
    made_end(&made);
    arena_free(&rules_arena);
    configure("");
    return tap_done();
}
