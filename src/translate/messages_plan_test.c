/*
 * How requests are fitted to each kind of Claude model: thinking, forced tools, sampling, cache
 * marks, turns and schemas.
 */
#include "translate/messages_fixture_test.h"

#include <stdio.h>

/* --- the plan --- */

static void test_any_effort_and_maximum_give_a_legal_budget(void)
{
    for (unsigned e = EFFORT_UNSET; e <= EFFORT_MAX; e++) {
        for (int64_t max = 1; max < 40000; max = max < 1100 ? max + 1 : max * 7 / 4) {
            for (int64_t budget = -1; budget < 50000;
                 budget = budget < 8 ? budget + 1 : budget * 3) {
                FIXTURE f;
                struct messages_plan p;
                fixture_init(&f);
                f.q.reasoning.effort = (enum canon_effort)e;
                f.q.reasoning.budget = budget;
                f.q.reasoning.mode = budget > 0 ? THINKING_ON : THINKING_UNSET;
                f.q.max_tokens = max;
                CHECK_EQ(messages_plan(&f.c, &f.q, &p), 0);
                if (p.thinking == THINK_BUDGET)
                    CHECK(p.budget >= 1024 && p.budget < max);
                else
                    CHECK(p.thinking == THINK_OFF || p.thinking == THINK_UNSAID);
                bool wanted = e > EFFORT_NONE || (budget > 0 && e != EFFORT_NONE);
                if (wanted && max <= 1024 && budget != 0)
                    CHECK(p.thinking == THINK_UNSAID && f.c.lost_n == 1);
            }
        }
    }
}

static const struct {
    enum canon_effort effort;
    const char *budget, *adaptive;
} efforts[] = {
    {EFFORT_NONE, "{\"type\":\"disabled\"}", NULL},
    {EFFORT_MINIMAL, "{\"type\":\"enabled\",\"budget_tokens\":1024}", "\"low\""},
    {EFFORT_LOW, "{\"type\":\"enabled\",\"budget_tokens\":1024}", "\"low\""},
    {EFFORT_MEDIUM, "{\"type\":\"enabled\",\"budget_tokens\":2048}", "\"medium\""},
    {EFFORT_HIGH, "{\"type\":\"enabled\",\"budget_tokens\":4096}", "\"high\""},
    {EFFORT_XHIGH, "{\"type\":\"enabled\",\"budget_tokens\":8192}", "\"xhigh\""},
    {EFFORT_MAX, "{\"type\":\"enabled\",\"budget_tokens\":16384}", "\"max\""},
};

static void test_efforts_by_kind_of_model(void)
{
    for (size_t i = 0; i < ARRAY_LEN(efforts); i++) {
        FIXTURE f;
        fixture_init(&f);
        CHECK_EQ(read_into(&f, "{" ASK "}"), 0);
        f.q.max_tokens = 32000;
        f.q.reasoning.effort = efforts[i].effort;
        CHECK_STR(member(written(&f, &wire_messages), "thinking"), str_of(efforts[i].budget));
        f.facts.flags |= MODEL_ADAPTIVE_THINKING | MODEL_EFFORT_XHIGH | MODEL_EFFORT_MAX;
        struct str body = written(&f, &wire_messages);
        CHECK_STR(member(body, "thinking"),
            efforts[i].adaptive ? STR("{\"type\":\"adaptive\",\"display\":\"summarized\"}")
                                : STR("{\"type\":\"disabled\"}"));
        CHECK_STR(member(body, "output_config.effort"), str_of(efforts[i].adaptive));
        f.facts.flags &= ~(uint32_t)(MODEL_EFFORT_XHIGH | MODEL_EFFORT_MAX);
        body = written(&f, &wire_messages);
        if (efforts[i].effort > EFFORT_HIGH)
            CHECK_STR(member(body, "output_config.effort"), STR("\"high\""));
    }
}

static void test_thinking_that_is_always_on_is_not_turned_off(void)
{
    FIXTURE f;
    fixture_init(&f);
    CHECK_EQ(read_into(&f, "{" ASK ",\"thinking\":{\"type\":\"disabled\"}}"), 0);
    f.facts.flags |= MODEL_THINKING_ALWAYS | MODEL_ADAPTIVE_THINKING;
    CHECK(!member(written(&f, &wire_messages), "thinking").p);
    CHECK_EQ(f.c.lost_n, 1);
    CHECK_STR(f.c.lost[0].name, STR("thinking"));
    f.c.losses = LOSSES_REFUSE;
    CHECK(!written(&f, &wire_messages).p);
    CHECK_STR(f.error.param, STR("thinking"));
}

static void test_budget_on_an_adaptive_model(void)
{
    FIXTURE f;
    fixture_init(&f);
    CHECK_EQ(
        read_into(&f, "{" ASK ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":9000}}"), 0);
    f.facts.flags |= MODEL_ADAPTIVE_THINKING;
    struct str body = written(&f, &wire_messages);
    CHECK_STR(member(body, "thinking.type"), STR("\"adaptive\""));
    CHECK_STR(member(body, "output_config.effort"), STR("\"medium\""));
    f.facts.flags |= MODEL_BUDGET_THINKING; /* takes both: the budget stays, below max_tokens */
    body = written(&f, &wire_messages);
    CHECK_STR(member(body, "thinking"), STR("{\"type\":\"enabled\",\"budget_tokens\":4095}"));
    CHECK(!member(body, "output_config").p);
}

#define LOOP                                                                                       \
    "{\"max_tokens\":4096,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000},\"tools\":["  \
    "{\"name\":\"f\",\"input_schema\":{}}],\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"   \
    "{\"role\":\"assistant\",\"content\":[%s{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"f\","   \
    "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"   \
    "\"1\",\"content\":\"b\"}]}%s]}"

static struct str loop_thinking(struct fixture *f, const char *before, const char *behind)
{
    char body[1024];
    snprintf(body, sizeof(body), LOOP, before, behind);
    fixture_init(f);
    return read_into(f, body) < 0 ? STR_NONE : member(written(f, &wire_messages), "thinking.type");
}

static void test_a_tool_loop_without_its_thinking_goes_on_without(void)
{
    FIXTURE f, g, h, i;
    const char *own = "{\"type\":\"thinking\",\"thinking\":\"x\",\"signature\":\"s\"},";
    const char *anew = ",{\"role\":\"assistant\",\"content\":\"c\"},"
                       "{\"role\":\"user\",\"content\":\"d\"}";
    CHECK(!loop_thinking(&f, "", "").p);
    CHECK_STR(f.c.lost[0].name, STR("thinking"));
    CHECK_STR(loop_thinking(&g, own, ""), STR("\"enabled\""));
    CHECK_STR(loop_thinking(&h, "", anew), STR("\"enabled\""));
    CHECK(
        !loop_thinking(&i, "{\"type\":\"thinking\",\"thinking\":\"x\",\"signature\":\"\"},", "").p);
}

static void test_forced_tools_give_way(void)
{
    static const struct {
        uint32_t flags;
        const char *thinking, *want;
        unsigned lost;
    } cases[] = {
        {0, "", "{\"type\":\"any\"}", 0},
        {0, ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}", "{\"type\":\"auto\"}",
            1},
        {MODEL_NO_FORCED_TOOLS, "", "{\"type\":\"auto\"}", 1},
        {MODEL_THINKING_ALWAYS | MODEL_ADAPTIVE_THINKING, ",\"thinking\":{\"type\":\"adaptive\"}",
            "{\"type\":\"any\"}", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        FIXTURE f;
        char body[512];
        fixture_init(&f);
        f.facts.flags |= cases[i].flags;
        snprintf(body, sizeof(body),
            "{" ASK ",\"tools\":[{\"name\":\"t\"}],\"tool_choice\":{\"type\":\"any\"}%s}",
            cases[i].thinking);
        CHECK_EQ(read_into(&f, body), 0);
        CHECK_STR(member(written(&f, &wire_messages), "tool_choice"), str_of(cases[i].want));
        CHECK_EQ(f.c.lost_n, cases[i].lost);
        if (cases[i].lost)
            CHECK_STR(f.c.lost[0].name, STR("tool_choice"));
    }
}

static void test_sampling(void)
{
    static const struct {
        uint32_t flags;
        const char *params, *temperature, *top_p, *top_k, *lost;
    } cases[] = {
        {0, ",\"temperature\":0.50,\"top_p\":0.9,\"top_k\":5", "0.50", "0.9", "5", ""},
        {0, ",\"temperature\":1.5", "1", NULL, NULL, "temperature"},
        {MODEL_NO_SAMPLING, ",\"temperature\":0.5,\"top_p\":0.9,\"top_k\":5", NULL, NULL, NULL,
            "temperature, top_p, top_k"},
        {0,
            ",\"temperature\":0.5,\"top_p\":0.9,\"top_k\":5,\"thinking\":{\"type\":\"enabled\","
            "\"budget_tokens\":1024}",
            NULL, NULL, NULL, "temperature, top_p, top_k"},
        {0,
            ",\"temperature\":1,\"top_p\":0.95,\"thinking\":{\"type\":\"enabled\","
            "\"budget_tokens\":1024}",
            "1", "0.95", NULL, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        FIXTURE f;
        char body[512];
        fixture_init(&f);
        f.facts.flags |= cases[i].flags;
        snprintf(body, sizeof(body), "{" ASK "%s}", cases[i].params);
        CHECK_EQ(read_into(&f, body), 0);
        struct str out = written(&f, &wire_messages);
        CHECK(out.p);
        CHECK_STR(member(out, "temperature"), str_of(cases[i].temperature));
        CHECK_STR(member(out, "top_p"), str_of(cases[i].top_p));
        CHECK_STR(member(out, "top_k"), str_of(cases[i].top_k));
        CHECK_STR(canon_lost_names(&f.c), str_of(cases[i].lost));
    }
}

static void test_prefill_is_gated(void)
{
    FIXTURE f;
    fixture_init(&f);
    CHECK_EQ(read_into(&f, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
                           "{\"role\":\"assistant\",\"content\":\"The answer is \"}]}"),
        0);
    CHECK_STR(member(written(&f, &wire_messages), "messages"),
        STR("[{\"role\":\"user\",\"content\":\"a\"},"
            "{\"role\":\"assistant\",\"content\":\"The answer is\"}]"));
    f.facts.flags &= ~(uint32_t)MODEL_PREFILL;
    CHECK(!written(&f, &wire_messages).p);
    CHECK_EQ(f.error.status, 400);
    CHECK_STR(f.error.param, STR("messages"));
    f.c.facts = NULL; /* nobody knows: the provider decides */
    CHECK(written(&f, &wire_messages).p);
}

static void test_at_most_four_marks_and_the_last_ones_stay(void)
{
    FIXTURE f;
    struct str out;
    unsigned n = 0;
    fixture_init(&f);
#define MARK ",\"cache_control\":{\"type\":\"ephemeral\"}"
    CHECK_EQ(
        read_into(&f,
            "{\"max_tokens\":9,\"tools\":[{\"name\":\"t\"" MARK "}],\"system\":[{\"type\":"
            "\"text\",\"text\":\"s1\"" MARK "},{\"type\":\"text\",\"text\":\"s2\"" MARK "}],"
            "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"" MARK
            "},{\"type\":\"text\",\"text\":\"b\"" MARK "},{\"type\":\"text\",\"text\":"
            "\"c\"" MARK "}]}]}"),
        0);
    out = written(&f, &wire_messages);
    CHECK(!member(out, "tools").p || str_find(member(out, "tools"), STR("cache_control")) < 0);
    CHECK_STR(member(out, "system"), STR("[{\"type\":\"text\",\"text\":\"s1\"},{\"type\":\"text\","
                                         "\"text\":\"s2\"" MARK "}]"));
    for (ptrdiff_t at; (at = str_find(out, STR("cache_control"))) >= 0; n++)
        out = str_from(out, (size_t)at + 1);
    CHECK_EQ(n, 4);
    CHECK_STR(canon_lost_names(&f.c), STR("cache_control"));
}

/* Any number of calls over any number of messages: one user message answers each turn. */
static void test_one_message_of_results_a_batch(void)
{
    for (unsigned calls = 1; calls < 6; calls++)
        for (unsigned cut = 0; cut <= calls; cut++) {
            FIXTURE f;
            struct canon_message **tail;
            struct canon_part **parts;
            char ids[8][8];
            fixture_init(&f);
            tail = &f.q.messages;
            CHECK(canon_add_message(&f.c, &tail, ROLE_ASSISTANT));
            parts = &f.q.messages->parts;
            for (unsigned i = 0; i < calls; i++) {
                struct canon_part *p = canon_add_part(&f.c, &parts, PART_TOOL_CALL);
                snprintf(ids[i], sizeof(ids[i]), "id%u", i);
                p->id = str_of(ids[i]);
                p->name = STR("f");
            }
            for (unsigned i = 0; i < calls; i++) {
                struct canon_message *m = NULL;
                if (i == 0 || i == cut) {
                    m = canon_add_message(&f.c, &tail, ROLE_USER);
                    parts = &m->parts;
                    canon_add_part(&f.c, &parts, PART_TEXT)->text = STR("said before");
                }
                struct canon_part *p = canon_add_part(&f.c, &parts, PART_TOOL_RESULT);
                p->id = str_of(ids[i]);
            }
            struct str out = member(written(&f, &wire_messages), "messages"), key, m, part;
            size_t at = 1, inner = 1;
            unsigned results = 0;
            CHECK(out.p);
            CHECK(json_next(out, &at, &key, &m) && json_next(out, &at, &key, &m));
            struct str content = member(m, "content");
            while (json_next(content, &inner, &key, &part) &&
                   str_eq(member(part, "type"), STR("\"tool_result\"")))
                results++;
            CHECK_EQ(results, calls);
            CHECK(!json_next(out, &at, &key, &m));
        }
}

static void test_system_between_the_turns(void)
{
    FIXTURE f;
    fixture_init(&f);
    CHECK_EQ(read_into(&f, "{\"max_tokens\":9,\"system\":\"s\",\"messages\":[{\"role\":\"user\","
                           "\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},"
                           "{\"role\":\"system\",\"content\":\"later\"},{\"role\":\"user\","
                           "\"content\":\"c\"}]}"),
        0);
    struct str out = written(&f, &wire_messages);
    CHECK_STR(member(out, "system"), STR("[{\"type\":\"text\",\"text\":\"s\"},"
                                         "{\"type\":\"text\",\"text\":\"later\"}]"));
    f.facts.flags |= MODEL_SYSTEM_ANYWHERE;
    out = written(&f, &wire_messages);
    CHECK_STR(member(out, "system"), STR("\"s\""));
    CHECK_STR(member(out, "messages"),
        STR("[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},"
            "{\"role\":\"user\",\"content\":\"c\"},{\"role\":\"system\",\"content\":\"later\"}]"));
}

/* --- structured output --- */

static void test_schema_by_a_forced_tool(void)
{
    FIXTURE f;
    struct canon_reply r;
    fixture_init(&f);
    CHECK_EQ(read_into(&f, "{" ASK ",\"output_config\":{\"format\":{\"type\":\"json_schema\","
                           "\"schema\":{\"type\":\"object\",\"additionalProperties\":false}}}}"),
        0);
    CHECK_STR(member(written(&f, &wire_messages), "output_config"),
        STR("{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\","
            "\"additionalProperties\":false}}}"));
    f.facts.flags &= ~(uint32_t)MODEL_NATIVE_SCHEMA;
    struct str out = written(&f, &wire_messages);
    CHECK(!member(out, "output_config").p);
    CHECK_STR(member(out, "tool_choice"), STR("{\"type\":\"tool\",\"name\":\"json_tool_call\"}"));
    CHECK_EQ(wire_messages.read_reply(&f.c,
                 STR("{\"id\":\"msg_1\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":"
                     "\"json_tool_call\",\"input\":{\"a\":1.0}}],\"stop_reason\":\"tool_use\"}"),
                 &r),
        0);
    CHECK_EQ(r.choices->finish, FINISH_STOP);
    CHECK_EQ(r.choices->parts->kind, PART_TEXT);
    CHECK_STR(r.choices->parts->text, STR("{\"a\":1.0}"));
}

static void test_schemas_are_brought_into_what_the_models_are_held_to(void)
{
    static const struct {
        const char *schema, *want, *lost;
    } cases[] = {
        {"{\"type\":\"string\",\"format\":\"date\"}", NULL, ""},
        {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1}", NULL, ""},
        {"{\"type\":\"object\",\"properties\":{\"minimum\":{\"type\":\"null\"}},"
         "\"additionalProperties\":false}",
            NULL, ""},
        {"{\"type\":\"integer\",\"minimum\":1,\"maximum\":1.0e2,\"description\":\"n\"}",
            "{\"type\":\"integer\",\"description\":\"n\\n\\n{minimum: 1, maximum: 1.0e2}\"}",
            "f.minimum, f.maximum"},
        {"{\"type\":\"array\",\"uniqueItems\":false,\"minItems\":2}",
            "{\"type\":\"array\",\"description\":\"{minItems: 2}\"}", "f.minItems"},
        {"{\"type\":\"string\",\"format\":\"color\"}",
            "{\"type\":\"string\",\"description\":\"{format: \\\"color\\\"}\"}", "f.format"},
        {"{\"$defs\":{\"d\":{\"oneOf\":[{\"type\":\"object\"},{\"$ref\":\"#\"}]}}}",
            "{\"$defs\":{\"d\":{\"anyOf\":[{\"type\":\"object\",\"additionalProperties\":false},"
            "{\"$ref\":\"#\"}]}}}",
            ""},
        {"{\"type\":[\"object\",\"null\"],\"additionalProperties\":{\"type\":\"string\"}}",
            "{\"type\":[\"object\",\"null\"],\"additionalProperties\":false}",
            "f.additionalProperties"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        FIXTURE f;
        struct str out;
        fixture_init(&f);
        CHECK_EQ(messages_schema(&f.c, str_of(cases[i].schema), STR("f"), &out), 0);
        CHECK_STR(out, str_of(cases[i].want ? cases[i].want : cases[i].schema));
        CHECK_STR(canon_lost_names(&f.c), str_of(cases[i].lost));
    }
}

int main(void)
{
    TAP_RUN(test_any_effort_and_maximum_give_a_legal_budget);
    TAP_RUN(test_efforts_by_kind_of_model);
    TAP_RUN(test_thinking_that_is_always_on_is_not_turned_off);
    TAP_RUN(test_budget_on_an_adaptive_model);
    TAP_RUN(test_a_tool_loop_without_its_thinking_goes_on_without);
    TAP_RUN(test_forced_tools_give_way);
    TAP_RUN(test_sampling);
    TAP_RUN(test_prefill_is_gated);
    TAP_RUN(test_at_most_four_marks_and_the_last_ones_stay);
    TAP_RUN(test_one_message_of_results_a_batch);
    TAP_RUN(test_system_between_the_turns);
    TAP_RUN(test_schema_by_a_forced_tool);
    TAP_RUN(test_schemas_are_brought_into_what_the_models_are_held_to);
    return tap_done();
}
