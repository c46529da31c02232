/* What follows a failed attempt: every fault, typed fallbacks, waits and backoff. */
#include "route/plan_test.h"

static struct plan_target *first(void)
{
    int64_t wait;
    struct plan_target *t = plan_next(p_plan, NULL, FAULT_NONE, clock_now(), &wait);

    t->tries = 1;
    return t;
}

/* Who comes after the first target failed so, when it is over; "-": nobody. */
static struct str after(enum wire_fault f)
{
    int64_t wait;

    p_make_plan();
    struct plan_target *t = first();
    t->over = true;
    bool may = plan_may_fall_back(p_plan, t, f);
    struct plan_target *n = plan_next(p_plan, t, f, clock_now(), &wait);
    must((n != NULL) == may);
    return n ? n->upstream->provider->id : STR("-");
}

static void test_faults(void)
{
    p_configure("openai groq xai");
    p_make_chain("\"providers\":[\"openai\",\"groq\"]");
    CHECK_STR(after(FAULT_BAD_REQUEST), STR("-"));
    CHECK_STR(after(FAULT_TOO_LARGE), STR("-"));
    CHECK_STR(after(FAULT_PERMISSION), STR("-"));
    CHECK_STR(after(FAULT_POLICY), STR("-"));
    CHECK_STR(after(FAULT_AUTH), STR("groq"));
    CHECK_STR(after(FAULT_BILLING), STR("groq"));
    CHECK_STR(after(FAULT_NOT_FOUND), STR("groq"));
    CHECK_STR(after(FAULT_RATE), STR("groq"));
    CHECK_STR(after(FAULT_TIMEOUT), STR("groq"));
    CHECK_STR(after(FAULT_OVERLOAD), STR("groq"));
    CHECK_STR(after(FAULT_SERVER), STR("groq"));
}

static void test_retries(void)
{
    static const enum wire_fault again[] = {FAULT_OVERLOAD, FAULT_SERVER, FAULT_RATE};
    static const enum wire_fault never[] = {FAULT_NONE, FAULT_BAD_REQUEST, FAULT_CONTEXT,
        FAULT_POLICY, FAULT_AUTH, FAULT_PERMISSION, FAULT_BILLING, FAULT_NOT_FOUND, FAULT_TOO_LARGE,
        FAULT_TIMEOUT};

    p_configure("openai groq");
    p_make_chain("\"retries\":2,\"providers\":[\"openai\",\"groq\"]");
    p_make_plan();
    struct plan_target *t = first();
    for (unsigned i = 0; i < ARRAY_LEN(again); i++)
        CHECK(plan_may_retry(p_plan, t, again[i]));
    for (unsigned i = 0; i < ARRAY_LEN(never); i++)
        CHECK(!plan_may_retry(p_plan, t, never[i]));
    t->tries = 2;
    CHECK(plan_may_retry(p_plan, t, FAULT_SERVER));
    t->tries = 3; /* the first, and two more */
    CHECK(!plan_may_retry(p_plan, t, FAULT_SERVER));
}

static void test_context_window(void)
{
    p_configure("openai gemini groq");
    /* the next that takes more; one of which nothing is known is no hope */
    p_make_chain("\"targets\":[{\"provider\":\"openai\",\"model\":\"gpt-4o\"},"
                 "{\"provider\":\"openai\",\"model\":\"gpt-4\"},"
                 "{\"provider\":\"groq\",\"model\":\"unheard-of\"},"
                 "{\"provider\":\"gemini\",\"model\":\"gemini-2.5-pro\"}]");
    CHECK_STR(after(FAULT_CONTEXT), STR("gemini"));
    CHECK_STR(after(FAULT_SERVER), STR("openai"));
    p_make_chain("\"targets\":[{\"provider\":\"gemini\",\"model\":\"gemini-2.5-pro\"},"
                 "{\"provider\":\"openai\",\"model\":\"gpt-4o\"}]");
    CHECK_STR(after(FAULT_CONTEXT), STR("-"));
    /* the chain says who */
    p_make_chain("\"providers\":[\"openai\",\"gemini\"],\"context_window_fallbacks\":"
                 "[{\"provider\":\"groq\",\"model\":\"long\"}]");
    CHECK_STR(after(FAULT_CONTEXT), STR("groq"));
    CHECK_STR(after(FAULT_SERVER), STR("gemini"));
}

static void test_typed(void)
{
    p_configure("openai groq xai mistral gemini");
    p_make_chain("\"providers\":[\"openai\",\"groq\"],"
                 "\"content_policy_fallbacks\":[{\"provider\":\"mistral\"}],"
                 "\"rate_limit_fallbacks\":[{\"provider\":\"xai\"}],"
                 "\"error_fallbacks\":[{\"provider\":\"anthropic\"},{\"provider\":\"gemini\"}]");
    CHECK_STR(after(FAULT_POLICY), STR("mistral"));
    CHECK_STR(after(FAULT_RATE), STR("xai"));
    CHECK_STR(after(FAULT_BILLING), STR("xai"));
    CHECK_STR(after(FAULT_SERVER), STR("gemini")); /* anthropic is not configured */
    CHECK_STR(after(FAULT_BAD_REQUEST), STR("-"));
    p_make_plan();
    CHECK(plan_has_other(p_plan, first()));
    p_make_chain("\"providers\":[\"openai\"]");
    p_make_plan();
    CHECK(!plan_has_other(p_plan, first()));
}

static void test_all_in_turn(void)
{
    int64_t wait;

    p_configure("openai groq xai");
    p_make_chain("\"providers\":[\"openai\",\"groq\",\"xai\"]");
    p_make_plan();
    struct plan_target *t = first();
    for (unsigned i = 1; i < 3; i++) {
        t->over = true;
        t = plan_next(p_plan, t, FAULT_TIMEOUT, clock_now(), &wait);
        CHECK(t == &p_plan->at[i] && wait == 0);
    }
    t->over = true;
    CHECK(!plan_next(p_plan, t, FAULT_TIMEOUT, clock_now(), &wait));
}

/* Who asked to be left alone is waited for when it is the last; an open breaker is not. */
static void test_waits(void)
{
    int64_t wait, now = clock_now();

    p_configure("openai groq");
    p_make_chain("\"providers\":[\"openai\",\"groq\"]");
    p_make_plan();
    struct plan_target *openai = first(), *groq = &p_plan->at[1];
    route_state_rest(openai->state, now + 3 * NS_PER_S);
    CHECK(plan_next(p_plan, openai, FAULT_RATE, now, &wait) == groq && wait == 0);
    route_state_rest(groq->state, now + 2 * NS_PER_S);
    CHECK(plan_next(p_plan, groq, FAULT_RATE, now, &wait) == groq);
    CHECK_EQ(wait - now, 2 * NS_PER_S);
    groq->over = true;
    CHECK(plan_next(p_plan, groq, FAULT_RATE, now, &wait) == openai);
    CHECK_EQ(wait - now, 3 * NS_PER_S);
    route_states_reset();
    groq->over = false;
    for (unsigned i = 0; i < 3; i++) {
        route_state_begin(groq->state, now);
        route_state_end(groq->state, ROUTE_FAILED, &p_chain.breaker, now);
    }
    openai->over = true;
    CHECK(plan_next(p_plan, openai, FAULT_SERVER, now, &wait) == groq);
    CHECK_EQ(wait, 0);
}

/* Full jitter: from nothing to a bound that doubles. */
static void test_backoff(void)
{
    static const int64_t bounds[] = {0, 250, 500, 1000, 2000, 4000, 8000, 8000, 8000};

    p_configure("openai");
    p_make_chain("\"providers\":[\"openai\"]");
    for (unsigned n = 1; n < ARRAY_LEN(bounds); n++) {
        int64_t most = 0, sum = 0, least = INT64_MAX;
        for (unsigned i = 0; i < 2000; i++) {
            int64_t w = plan_backoff(&p_chain, n);
            most = MAX(most, w);
            least = MIN(least, w);
            sum += w;
        }
        CHECK(least >= 0 && most <= bounds[n] * NS_PER_MS);
        CHECK(most > bounds[n] * NS_PER_MS * 9 / 10 && least < bounds[n] * NS_PER_MS / 10);
        CHECK(sum / 2000 > bounds[n] * NS_PER_MS * 4 / 10);
        CHECK(sum / 2000 < bounds[n] * NS_PER_MS * 6 / 10);
    }
    p_make_chain("\"providers\":[\"openai\"],\"backoff_ms\":0");
    CHECK_EQ(plan_backoff(&p_chain, 3), 0);
}

int main(void)
{
    TAP_RUN(test_faults);
    TAP_RUN(test_retries);
    TAP_RUN(test_context_window);
    TAP_RUN(test_typed);
    TAP_RUN(test_all_in_turn);
    TAP_RUN(test_waits);
    TAP_RUN(test_backoff);
    p_end();
    return tap_done();
}
