/* Which answers fall short. */
#include "route/plan.h"

#include "base/tap.h"
#include "translate/canon.h"

static struct canon_part parts[2];
static struct canon_choice choice;

static struct str judged(void)
{
    const struct canon_reply r = {.choices = &choice};

    return route_falls_short(&r);
}

static struct str of(enum canon_part_kind kind, const char *text, enum canon_finish finish)
{
    parts[0] = (struct canon_part){.kind = kind, .text = str_of(text)};
    choice = (struct canon_choice){.parts = &parts[0], .finish = finish};
    return judged();
}

static struct str says(const char *text)
{
    return of(PART_TEXT, text, FINISH_STOP);
}

static void test_answers(void)
{
    CHECK_STR(says("Paris."), STR_NONE);
    CHECK_STR(says("0"), STR_NONE);
    CHECK_STR(of(PART_TOOL_CALL, "", FINISH_TOOL_CALLS), STR_NONE);
    CHECK_STR(of(PART_IMAGE, "", FINISH_STOP), STR_NONE);
    CHECK_STR(of(PART_TEXT, "", FINISH_LENGTH), STR_NONE); /* the client wanted so few tokens */
}

static void test_empty(void)
{
    const struct canon_reply none = {0};

    CHECK_STR(route_falls_short(&none), STR("empty"));
    CHECK_STR(says(""), STR("empty"));
    CHECK_STR(says(" \n\t"), STR("empty"));
    CHECK_STR(of(PART_THINKING, "Hm.", FINISH_STOP), STR("empty"));
    choice = (struct canon_choice){.finish = FINISH_STOP};
    CHECK_STR(judged(), STR("empty"));
}

static void test_refusals(void)
{
    CHECK_STR(of(PART_REFUSAL, "No.", FINISH_STOP), STR("refusal"));
    CHECK_STR(of(PART_TEXT, "Well", FINISH_FILTER), STR("refusal"));
    CHECK_STR(of(PART_TEXT, "", FINISH_FILTER), STR("refusal"));
    CHECK_STR(says("I'm sorry, but I can't help with that."), STR("refusal"));
    CHECK_STR(says("  I\u2019m sorry, but I can\u2019t assist."), STR("refusal"));
    CHECK_STR(says("I cannot help with this."), STR("refusal"));
}

static void test_no_refusals(void)
{
    static char text[600];

    CHECK_STR(says("The sign says \"I can't help you\"."), STR_NONE);
    CHECK_STR(says("I'm sorry to hear that. Here is what helps."), STR_NONE);
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "I'm unable to", 13);
    CHECK_STR(says(text), STR_NONE);
    says("I can't do that here, so I ask the tool.");
    parts[0].next = &parts[1];
    parts[1] = (struct canon_part){.kind = PART_TOOL_CALL};
    CHECK_STR(judged(), STR_NONE);
}

int main(void)
{
    TAP_RUN(test_answers);
    TAP_RUN(test_empty);
    TAP_RUN(test_refusals);
    TAP_RUN(test_no_refusals);
    return tap_done();
}
