/* Lowest-cost routing: which model a call gets, who may say so, and when an answer is looked at. */
#include "route/plan_int.h"
#include "route/plan_test.h"

#include <errno.h>

static const char easy[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"Say hello\"}]}";
static const char hard[] = "{\"reasoning_effort\":\"high\",\"messages\":[{\"role\":\"user\","
                           "\"content\":\"Prove this step by step: ```c int x;```\"}]}";

static const char two[] = "\"strategy\":\"lowest_cost\",\"targets\":[{\"provider\":\"anthropic\","
                          "\"model\":\"claude-opus-4-6\"},{\"provider\":\"openai\",\"model\":"
                          "\"gpt-4o-mini\"}]";

/* gpt-4o is asked for; the efficient model is Ollama's. */
static void configure(enum lcr_mode mode, const char *body)
{
    p_configure("openai ollama anthropic");
    p_settings.rules.lcr = (struct lcr_settings){.mode = mode,
        .threshold = 500,
        .efficient_provider = STR("ollama"),
        .efficient_model = STR("phi4")};
    p_asked.body = str_of(body);
}

/* The models that a call of no chain gets, in order; "-": lowest-cost routing says nothing. */
static const char *models(void)
{
    static char out[256];
    const struct upstream *openai = route_upstream(&p_settings, STR("openai"));
    const struct route_chain *c = plan_automatic(&p_asked, openai, p_asked.model);
    size_t n = 0;

    if (!c)
        return "-";
    p_chain = *c;
    p_make_plan();
    out[0] = 0;
    for (unsigned i = 0; i < p_plan->usable; i++)
        n += (size_t)snprintf(
            out + n, sizeof out - n, "%s" STR_FMT, i ? " " : "", STR_ARG(p_plan->at[i].model));
    return out;
}

#define CHECK_MODELS(want, note_, steps)                                                           \
    do {                                                                                           \
        CHECK_STR(str_of(models()), STR(want));                                                    \
        CHECK_STR(p_plan->log.note, STR(note_));                                                   \
        CHECK_EQ(p_plan->steps_up, steps);                                                         \
    } while (0)

static void test_by_prompt(void)
{
    configure(LCR_AUTO, easy);
    CHECK_MODELS("phi4 gpt-4o", "lcr:efficient", true);
    configure(LCR_AUTO, hard);
    CHECK_MODELS("gpt-4o", "lcr:capable", false); /* what is demanding never goes down */
    p_settings.rules.lcr.threshold = 900;
    CHECK_MODELS("phi4 gpt-4o", "lcr:efficient", true);
    configure(LCR_AUTO, easy);
    p_settings.rules.lcr.threshold = 0; /* one sign is none, whatever the threshold */
    CHECK_MODELS("phi4 gpt-4o", "lcr:efficient", true);
    configure(LCR_OFF, easy);
    CHECK_STR(str_of(models()), STR("-"));
}

static void test_modes(void)
{
    configure(LCR_LOCAL, hard);
    CHECK_MODELS("phi4 gpt-4o", "lcr:efficient", true);
    configure(LCR_FRONTIER, easy);
    CHECK_MODELS("gpt-4o", "lcr:capable", false);
}

/* What is streamed cannot be looked at first. */
static void test_streams(void)
{
    configure(LCR_AUTO, easy);
    p_asked.stream = true;
    CHECK_MODELS("gpt-4o", "lcr:skipped stream", false);
    configure(LCR_LOCAL, easy);
    p_asked.stream = true;
    CHECK_MODELS("phi4 gpt-4o", "lcr:efficient", false);
}

static void test_header(void)
{
    configure(LCR_AUTO, easy);
    p_asked.lcr = STR("Frontier");
    CHECK_MODELS("gpt-4o", "lcr:capable", false);
    p_asked.lcr = STR("off");
    CHECK_STR(str_of(models()), STR("-"));
    configure(LCR_OFF, hard);
    p_asked.lcr = STR("local");
    CHECK_MODELS("phi4 gpt-4o", "lcr:efficient", true);
}

static void test_key(void)
{
    struct virtual_key key = {.metadata = STR("{\"lcr_mode\":\"auto\",\"effort_threshold\":0.95,"
                                              "\"efficient_model\":\"gpt-4o-mini\","
                                              "\"capable_model\":\"claude-opus-4-6\"}")};

    configure(LCR_OFF, hard);
    CHECK(lcr_is_set(&p_settings.rules, &key));
    p_asked.key = &key;
    CHECK_MODELS("gpt-4o-mini claude-opus-4-6", "lcr:efficient", true);
    p_asked.lcr = STR("frontier"); /* the call beats its key */
    CHECK_MODELS("claude-opus-4-6", "lcr:capable", false);
    configure(LCR_LOCAL, easy);
    key.metadata = STR("{\"lcr_mode\":\"off\"}"); /* the key beats the settings */
    p_asked.key = &key;
    CHECK_STR(str_of(models()), STR("-"));
    /* what is of another kind says nothing */
    key.metadata = STR("{\"lcr_mode\":7,\"effort_threshold\":\"x\",\"efficient_model\":[]}");
    CHECK_MODELS("phi4 gpt-4o", "lcr:efficient", true);
    key.metadata = STR("{}");
    p_settings.rules.lcr = (struct lcr_settings){0};
    CHECK(!lcr_is_set(&p_settings.rules, &key) && !lcr_is_set(&p_settings.rules, NULL));
}

static void test_which_efficient_model(void)
{
    configure(LCR_AUTO, easy);
    p_settings.rules.lcr.efficient_provider = STR_NONE; /* as its name says */
    p_settings.rules.lcr.efficient_model = STR("gpt-4o-mini");
    CHECK_MODELS("gpt-4o-mini gpt-4o", "lcr:efficient", true);
    configure(LCR_AUTO, easy);
    p_settings.rules.lcr.efficient_model = STR_NONE; /* the equivalent there */
    CHECK_MODELS("qwen2.5:14b gpt-4o", "lcr:efficient", true);
    configure(LCR_AUTO, easy);
    p_settings.rules.lcr.efficient_provider = p_settings.rules.lcr.efficient_model = STR_NONE;
    CHECK_STR(str_of(models()), STR("-"));
}

/* A model that would cost as much or more is no efficient one, unless it is always wanted. */
static void test_what_saves_nothing(void)
{
    configure(LCR_AUTO, easy);
    p_settings.rules.lcr.efficient_provider = STR("anthropic");
    p_settings.rules.lcr.efficient_model = STR("claude-opus-4-6");
    CHECK_MODELS("gpt-4o", "lcr:efficient", false);
    p_settings.rules.lcr.mode = LCR_LOCAL;
    CHECK_MODELS("claude-opus-4-6 gpt-4o", "lcr:efficient", true);
    configure(LCR_AUTO, easy);
    p_settings.rules.lcr.efficient_provider = STR("openai");
    p_settings.rules.lcr.efficient_model = STR("gpt-4o");
    CHECK_MODELS("gpt-4o", "lcr:efficient", false); /* the same */
}

/* What is not there cannot be efficient: the log says who serves. */
static void test_efficient_model_away(void)
{
    configure(LCR_AUTO, easy);
    ((struct upstream *)route_upstream(&p_settings, STR("ollama")))->configured = false;
    CHECK_MODELS("gpt-4o", "lcr:capable", false);
    configure(LCR_AUTO, easy);
    route_state_rest(p_state("ollama", "phi4"), p_asked.now + NS_PER_S);
    CHECK_MODELS("gpt-4o phi4", "lcr:capable", false);
}

/* The general strategy chooses among the equivalents of the capable model. */
static void test_with_a_strategy(void)
{
    configure(LCR_AUTO, hard);
    p_settings.rules.strategy = STRATEGY_PRIORITY;
    CHECK_MODELS("gpt-4o claude-sonnet-4-6 qwen2.5:14b", "lcr:capable", false);
    p_asked.body = str_of(easy);
    CHECK_MODELS("phi4 gpt-4o", "lcr:efficient", true);
}

static void test_chain(void)
{
    configure(LCR_OFF, easy); /* the chain itself asks for it */
    p_make_chain(two);
    CHECK_STR(p_order(), STR("openai anthropic"));
    CHECK_STR(p_plan->log.note, STR("lcr:efficient"));
    CHECK(p_plan->steps_up);
    CHECK(plan_step_up(p_plan, &p_plan->at[0], p_asked.now) == &p_plan->at[1]);
    CHECK(!plan_step_up(p_plan, &p_plan->at[1], p_asked.now));
    p_asked.body = str_of(hard);
    CHECK_STR(p_order(), STR("anthropic openai"));
    CHECK_STR(p_plan->log.note, STR("lcr:capable"));
    CHECK(!p_plan->steps_up);
    p_asked.lcr = STR("local"); /* the header beats the prompt */
    CHECK_STR(p_order(), STR("openai anthropic"));
    p_asked.lcr = STR("frontier");
    p_asked.body = str_of(easy);
    CHECK_STR(p_order(), STR("anthropic openai"));
    p_asked.lcr = STR("off"); /* as the chain has them */
    CHECK_STR(p_order(), STR("anthropic openai"));
    CHECK_STR(p_plan->log.note, STR_NONE);
    p_asked.lcr = STR_NONE;
    p_asked.stream = true;
    CHECK_STR(p_order(), STR("anthropic openai"));
    CHECK_STR(p_plan->log.note, STR("lcr:skipped stream"));
}

/* A model without a price is neither the cheapest nor the dearest. */
static void test_without_a_price(void)
{
    configure(LCR_OFF, hard);
    p_make_chain("\"strategy\":\"lowest_cost\",\"targets\":[{\"provider\":\"ollama\",\"model\":"
                 "\"nobody-knows\"},{\"provider\":\"openai\",\"model\":\"gpt-4o\"}]");
    CHECK_STR(p_order(), STR("openai ollama"));
    p_asked.body = str_of(easy);
    CHECK_STR(p_order(), STR("openai ollama"));
}

static void test_thresholds(void)
{
    unsigned t = 7;

    CHECK_EQ(lcr_threshold_parse(STR("0.25"), &t), 0);
    CHECK_EQ(t, 250);
    CHECK_EQ(lcr_threshold_parse(STR("1"), &t), 0);
    CHECK_EQ(t, 1000);
    CHECK_EQ(lcr_threshold_parse(STR("1.1"), &t), -EINVAL);
    CHECK_EQ(lcr_threshold_parse(STR("-0.1"), &t), -EINVAL);
    CHECK_EQ(lcr_threshold_parse(STR("much"), &t), -EINVAL);
    CHECK_EQ(lcr_threshold_parse(STR(""), &t), -EINVAL);
    CHECK_EQ(t, 1000);
}

int main(void)
{
    TAP_RUN(test_by_prompt);
    TAP_RUN(test_modes);
    TAP_RUN(test_streams);
    TAP_RUN(test_header);
    TAP_RUN(test_key);
    TAP_RUN(test_which_efficient_model);
    TAP_RUN(test_what_saves_nothing);
    TAP_RUN(test_efficient_model_away);
    TAP_RUN(test_with_a_strategy);
    TAP_RUN(test_chain);
    TAP_RUN(test_without_a_price);
    TAP_RUN(test_thresholds);
    p_end();
    return tap_done();
}
