/*
 * How a request thinks, chooses tools and formats its answer on a Claude model: three things that
 * rule each other out in ways that differ by model, so they are settled together, from the model's
 * facts, before a byte is written.
 *
 *   thinking  a budget (1024 <= budget < max_tokens), or adaptive with an effort, or off
 *   forced    a tool must be called: not while thinking by a budget, and some models know no force
 *   format    output_config.format, or a forced tool that takes the schema: of older models, and
 *             where any JSON will do, as a format knows no open objects
 *
 * What gives way is declared. A model without facts is taken for a recent one that has a budget.
 */
#include "translate/messages_int.h"

#include "base/macros.h"

#define BUDGET_MIN 1024

static bool has(const struct canon_call *c, uint32_t flag)
{
    return c->facts && c->facts->flags & flag;
}

/* Facts are there, and do not grant it. */
static bool lacks(const struct canon_call *c, uint32_t flag)
{
    return c->facts && !(c->facts->flags & flag);
}

struct str messages_called(
    const struct canon_request *q, struct str called, const char *openai, const char *gemini)
{
    if (called.n)
        return called;
    return str_of(q->from && q->from->id == WIRE_GEMINI ? gemini : openai);
}

static int drop_reasoning(struct canon_call *c, const struct canon_request *q, const char *why)
{
    struct str called = messages_called(
        q, q->reasoning.called, "reasoning_effort", "generationConfig.thinkingConfig");
    return canon_drop(c, called, why);
}

/* --- what is asked for --- */

static bool wants_none(const struct canon_reasoning *t)
{
    return t->mode == THINKING_OFF || (t->mode == THINKING_UNSET && t->effort == EFFORT_NONE) ||
           (t->mode != THINKING_ADAPTIVE && t->budget == 0);
}

static bool wants_thinking(const struct canon_reasoning *t)
{
    return t->mode != THINKING_UNSET || t->effort != EFFORT_UNSET || t->budget > 0;
}

static bool wants_json(const struct canon_request *q)
{
    return q->format.kind == FORMAT_JSON || q->format.kind == FORMAT_SCHEMA;
}

static bool wants_force(const struct canon_tool_choice *t)
{
    return t->mode == TOOLS_REQUIRED || t->mode == TOOLS_ONE ||
           (t->mode == TOOLS_ALLOWED && t->must);
}

static bool has_schema(const struct canon_request *q)
{
    return q->format.kind == FORMAT_SCHEMA && q->format.raw.p;
}

/* Any JSON is a schema with an open object, which formats refuse (anthropic 2.11, lib/_parse:
 * transform_schema() closes all); a tool's schema may be open. */
bool messages_json_tool(const struct canon_call *c, const struct canon_request *q)
{
    if (!q || !wants_json(q) || has(c, MODEL_NO_FORCED_TOOLS))
        return false;
    if (lacks(c, MODEL_NATIVE_SCHEMA))
        return true;
    return !has_schema(q) && (!wants_thinking(&q->reasoning) || wants_none(&q->reasoning));
}

/* Clients that want any JSON say so in their prompt: OpenAI refuses them otherwise. */
static int plan_format(struct canon_call *c, const struct canon_request *q, struct messages_plan *p)
{
    p->json_tool = messages_json_tool(c, q);
    p->json_format = has_schema(q) && !p->json_tool;
    if (!wants_json(q) || p->json_tool || p->json_format)
        return 0;
    return canon_drop(c,
        messages_called(
            q, q->format.called, "response_format", "generationConfig.responseMimeType"),
        "the model cannot be held to JSON without a schema while it thinks or is free to call "
        "tools");
}

/* --- the conversation --- */

bool messages_prefill(const struct canon_request *q)
{
    const struct canon_message *last = NULL;
    for (const struct canon_message *m = q->messages; m; m = m->next)
        if (m->role == ROLE_USER || m->role == ROLE_ASSISTANT)
            last = m;
    return last && last->role == ROLE_ASSISTANT;
}

static bool is_own_thinking(const struct canon_part *p)
{
    return p->maker == MAKER_ANTHROPIC &&
           ((p->kind == PART_THINKING && p->signature.n) || p->kind == PART_REDACTED_THINKING);
}

/* A turn with calls of tools is under way, and its thinking did not come back with it: clients of
 * other dialects leave it out. Thinking by a budget would be refused then. */
static bool lost_its_thinking(const struct canon_request *q)
{
    bool calls = false, thinks = false, speaking = false;
    for (const struct canon_message *m = q->messages; m; m = m->next) {
        bool answers = false;
        if (m->role != ROLE_ASSISTANT && m->role != ROLE_USER)
            continue;
        if (m->role == ROLE_ASSISTANT && !speaking)
            calls = thinks = false;
        speaking = m->role == ROLE_ASSISTANT;
        for (const struct canon_part *p = m->parts; p; p = p->next) {
            calls |= p->kind == PART_TOOL_CALL;
            thinks |= is_own_thinking(p);
            answers |= p->kind == PART_TOOL_RESULT;
        }
        if (!speaking && !answers) /* the user began anew */
            calls = false;
    }
    return calls && !thinks;
}

/* --- thinking --- */

/* The next lower effort that the model has. */
static enum canon_effort nearest_effort(const struct canon_call *c, enum canon_effort e)
{
    if (e == EFFORT_MAX && lacks(c, MODEL_EFFORT_MAX))
        e = EFFORT_XHIGH;
    if (e == EFFORT_XHIGH && lacks(c, MODEL_EFFORT_XHIGH))
        e = EFFORT_HIGH;
    return e == EFFORT_MINIMAL ? EFFORT_LOW : e;
}

static void plan_adaptive(
    const struct canon_call *c, const struct canon_reasoning *t, struct messages_plan *p)
{
    bool hidden = str_eq(t->summary, STR("omitted")) || str_eq(t->summary, STR("none"));
    p->thinking = THINK_ADAPTIVE;
    p->display = hidden ? STR("omitted") : STR("summarized");
    p->effort = t->effort == EFFORT_UNSET ? canon_effort_of(t->budget) : t->effort;
    p->effort = nearest_effort(c, p->effort);
}

static int plan_budget(struct canon_call *c, const struct canon_request *q, struct messages_plan *p)
{
    const struct canon_reasoning *t = &q->reasoning;
    enum canon_effort effort = t->effort == EFFORT_UNSET ? EFFORT_MEDIUM : t->effort;
    if (p->max_tokens <= BUDGET_MIN)
        return drop_reasoning(c, q, "max_tokens leaves no room for it");
    if (lost_its_thinking(q))
        return drop_reasoning(c, q, "the turn under way came back without its thinking");
    p->thinking = THINK_BUDGET;
    p->budget = t->budget > 0 ? MIN(MAX(t->budget, (int64_t)BUDGET_MIN), p->max_tokens - 1)
                              : canon_budget_of(effort, p->max_tokens);
    if (str_eq(t->summary, STR("omitted")) || str_eq(t->summary, STR("summarized")))
        p->display = t->summary;
    return 0;
}

static int plan_on(struct canon_call *c, const struct canon_request *q, struct messages_plan *p)
{
    const struct canon_reasoning *t = &q->reasoning;
    bool adaptive = c->facts ? has(c, MODEL_ADAPTIVE_THINKING) : t->mode == THINKING_ADAPTIVE;
    bool by_budget = t->mode == THINKING_ON && t->budget > 0 && t->effort == EFFORT_UNSET &&
                     has(c, MODEL_BUDGET_THINKING);
    if (lacks(c, MODEL_REASONING))
        return drop_reasoning(c, q, "the model does not think");
    if (messages_prefill(q))
        return drop_reasoning(c, q, "an answer that is begun is gone on with without thinking");
    if (p->json_tool && !has(c, MODEL_THINKING_ALWAYS))
        return drop_reasoning(c, q, "the model cannot think and keep to a schema");
    if (!adaptive || by_budget)
        return plan_budget(c, q, p);
    plan_adaptive(c, t, p);
    return 0;
}

static int plan_thinking(
    struct canon_call *c, const struct canon_request *q, struct messages_plan *p)
{
    if (!wants_thinking(&q->reasoning) && q->reasoning.budget != 0)
        return 0;
    if (!wants_none(&q->reasoning))
        return plan_on(c, q, p);
    if (has(c, MODEL_THINKING_ALWAYS))
        return drop_reasoning(c, q, "the model always thinks");
    p->thinking = lacks(c, MODEL_REASONING) ? THINK_UNSAID : THINK_OFF;
    return 0;
}

/* --- tools --- */

static int plan_choice(struct canon_call *c, const struct canon_request *q, struct messages_plan *p)
{
    const struct canon_tool_choice *t = &q->tool_choice;
    struct str called =
        messages_called(q, t->called, "tool_choice", "toolConfig.functionCallingConfig");
    bool thinks = p->thinking == THINK_BUDGET || p->thinking == THINK_ADAPTIVE;
    if (!q->tools) {
        if (wants_force(t))
            return canon_fail(c, called, "A tool must be called, but there are none.");
        return 0;
    }
    p->choice = t->mode;
    if (t->mode == TOOLS_UNSET && t->parallel == 0)
        p->choice = TOOLS_AUTO;
    if (!wants_force(t))
        return 0;
    if (has(c, MODEL_NO_FORCED_TOOLS) || (thinks && !has(c, MODEL_THINKING_ALWAYS))) {
        p->choice = t->mode == TOOLS_ALLOWED ? TOOLS_ALLOWED : TOOLS_AUTO;
        p->free = true;
        return canon_drop(c, called,
            thinks ? "the model cannot be forced to a tool while it thinks"
                   : "the model cannot be forced to a tool");
    }
    return 0;
}

int messages_plan(struct canon_call *c, const struct canon_request *q, struct messages_plan *p)
{
    *p = (struct messages_plan){.max_tokens = canon_max_tokens(c, q)};
    int r = plan_format(c, q, p);
    if (r == 0)
        r = plan_thinking(c, q, p);
    return r < 0 ? r : plan_choice(c, q, p);
}
