/*
 * What hangs together in a request to Converse: thinking, the choice of tools, the format of the
 * answer. Claude follows the rules of its own dialect (messages_plan.c). Of other publishers'
 * models a schema is asked for as a forced tool, and effort in the publisher's own words:
 *
 *   Amazon   reasoningConfig: {type, maxReasoningEffort: low, medium, high}
 *   OpenAI   reasoning_effort (gpt-oss), reasoning: {effort} (others)
 */
#include "translate/converse_int.h"

#include "base/limits.h"

/* --- whose model it is --- */

static enum converse_publisher publisher_word(struct str word)
{
    if (str_eq(word, STR("anthropic")))
        return PUBLISHER_ANTHROPIC;
    if (str_eq(word, STR("amazon")))
        return PUBLISHER_AMAZON;
    return str_eq(word, STR("openai")) ? PUBLISHER_OPENAI : PUBLISHER_OTHER;
}

/* "publisher.model" or "region.publisher.model", behind the last slash of an ARN. */
static enum converse_publisher publisher_of_id(struct str id)
{
    size_t slash = id.n;

    while (slash > 0 && id.p[slash - 1] != '/')
        slash--;
    id = str_from(id, slash);
    if (str_starts(id, STR("claude-")))
        return PUBLISHER_ANTHROPIC;
    struct str first = str_split(&id, '.');
    enum converse_publisher p = id.p ? publisher_word(first) : PUBLISHER_OTHER;
    if (p != PUBLISHER_OTHER || !id.p)
        return p;
    first = str_split(&id, '.');
    return id.p ? publisher_word(first) : PUBLISHER_OTHER;
}

enum converse_publisher converse_publisher_of(const struct canon_call *c)
{
    enum converse_publisher p = publisher_of_id(c->model);

    return p == PUBLISHER_OTHER && c->facts ? publisher_of_id(c->facts->model) : p;
}

/* --- format --- */

static bool has(const struct canon_call *c, uint32_t flag)
{
    return c->facts && c->facts->flags & flag;
}

static bool lacks(const struct canon_call *c, uint32_t flag)
{
    return c->facts && !(c->facts->flags & flag);
}

static bool wants_json(const struct canon_request *q)
{
    return q->format.kind == FORMAT_JSON || q->format.kind == FORMAT_SCHEMA;
}

/* A format is a schema there: where any JSON will do, it is a tool, too. */
bool converse_json_tool(const struct canon_call *c, const struct canon_request *q)
{
    if (converse_publisher_of(c) == PUBLISHER_ANTHROPIC)
        return messages_json_tool(c, q);
    if (!q || !wants_json(q) || has(c, MODEL_NO_FORCED_TOOLS) || lacks(c, MODEL_TOOLS))
        return false;
    return q->format.kind == FORMAT_JSON || lacks(c, MODEL_NATIVE_SCHEMA);
}

static int plan_format(struct canon_call *c, const struct canon_request *q, struct converse_plan *p)
{
    struct str called = q->format.called.n ? q->format.called : STR("response_format");

    if (p->publisher == PUBLISHER_ANTHROPIC) /* messages_plan() has settled it */
        return 0;
    p->claude.json_tool = converse_json_tool(c, q);
    if (!wants_json(q) || p->claude.json_tool)
        return 0;
    p->claude.json_format = q->format.kind == FORMAT_SCHEMA && !lacks(c, MODEL_NATIVE_SCHEMA);
    return p->claude.json_format ? 0
                                 : canon_drop(c, called, "the model cannot be kept to a format");
}

/* --- effort, of publishers but Anthropic --- */

static int plan_effort(struct canon_call *c, const struct canon_request *q, struct converse_plan *p)
{
    const struct canon_reasoning *t = &q->reasoning;
    struct str called = t->called.n ? t->called : STR("reasoning_effort");
    enum canon_effort effort = t->effort;
    bool off = t->mode == THINKING_OFF || t->budget == 0;

    if (t->mode == THINKING_UNSET && t->effort == EFFORT_UNSET && t->budget < 0)
        return 0;
    if (effort == EFFORT_UNSET)
        effort = off ? EFFORT_NONE : t->budget > 0 ? canon_effort_of(t->budget) : EFFORT_MEDIUM;
    if (lacks(c, MODEL_REASONING) || p->publisher == PUBLISHER_OTHER)
        return effort == EFFORT_NONE ? 0 : canon_drop(c, called, "the model has no such setting");
    p->effort = effort == EFFORT_MINIMAL ? EFFORT_LOW : MIN(effort, EFFORT_HIGH);
    if (p->effort == EFFORT_NONE && p->publisher == PUBLISHER_OPENAI) {
        p->effort = EFFORT_UNSET;
        return canon_drop(c, called, "the model always thinks");
    }
    return 0;
}

/* --- tools --- */

static bool wants_force(const struct canon_tool_choice *t)
{
    return t->mode == TOOLS_REQUIRED || t->mode == TOOLS_ONE ||
           (t->mode == TOOLS_ALLOWED && t->must);
}

static int plan_choice(struct canon_call *c, const struct canon_request *q, struct converse_plan *p)
{
    const struct canon_tool_choice *t = &q->tool_choice;

    p->claude.choice = q->tools ? t->mode : TOOLS_UNSET;
    if (!q->tools && wants_force(t))
        return canon_fail(c, native_choice_name(q), "A tool must be called, but there are none.");
    if (wants_force(t) && has(c, MODEL_NO_FORCED_TOOLS)) {
        p->claude.choice = TOOLS_AUTO;
        return canon_drop(c, native_choice_name(q), "the model cannot be forced to a tool");
    }
    return 0;
}

/* There is no word for "none": without earlier calls no tool is declared, else they must be. */
static int plan_none(struct canon_call *c, const struct canon_request *q, struct converse_plan *p)
{
    if (p->claude.choice != TOOLS_NONE)
        return 0;
    p->claude.choice = TOOLS_UNSET;
    p->no_tools = !canon_has_tool_parts(q);
    return p->no_tools ? 0
                       : canon_drop(c, native_choice_name(q),
                             "tools stay on offer where earlier "
                             "turns have called them");
}

int converse_plan(struct canon_call *c, const struct canon_request *q, struct converse_plan *ret)
{
    int r;

    *ret = (struct converse_plan){.publisher = converse_publisher_of(c)};
    if (ret->publisher == PUBLISHER_ANTHROPIC) {
        r = messages_plan(c, q, &ret->claude);
    } else {
        ret->claude.max_tokens = canon_max_tokens(c, q);
        r = plan_effort(c, q, ret);
        if (r == 0)
            r = plan_choice(c, q, ret);
    }
    if (r == 0)
        r = plan_format(c, q, ret);
    if (r == 0)
        r = plan_none(c, q, ret);
    ret->dummy_tools = !q->tools && !ret->claude.json_tool && canon_has_tool_parts(q);
    return r;
}

/* --- what stands beside the common parameters --- */

/* Betas that Bedrock knows; it refuses others. */
static const struct str known_betas[] = {
    STR_INIT("computer-use-2024-10-22"),
    STR_INIT("computer-use-2025-01-24"),
    STR_INIT("computer-use-2025-11-24"),
    STR_INIT("token-efficient-tools-2025-02-19"),
    STR_INIT("output-128k-2025-02-19"),
    STR_INIT("interleaved-thinking-2025-05-14"),
    STR_INIT("dev-full-thinking-2025-05-14"),
    STR_INIT("fine-grained-tool-streaming-2025-05-14"),
    STR_INIT("context-1m-2025-08-07"),
    STR_INIT("context-management-2025-06-27"),
    STR_INIT("effort-2025-11-24"),
    STR_INIT("tool-search-tool-2025-10-19"),
    STR_INIT("tool-examples-2025-10-29"),
};

static bool is_known_beta(struct str beta)
{
    for (unsigned i = 0; i < ARRAY_LEN(known_betas); i++)
        if (str_eq(known_betas[i], beta))
            return true;
    return false;
}

static int write_betas(struct converse_writer *cw, struct jw *w)
{
    struct str list = cw->c->betas;
    bool any = false, lost = false;

    while (list.p && list.n) {
        struct str beta = str_trim(str_split(&list, ','));
        if (!beta.n)
            continue;
        if (!is_known_beta(beta)) {
            lost = true;
            continue;
        }
        if (!any) {
            jw_key(w, "anthropic_beta");
            jw_open(w, '[');
        }
        any = true;
        jw_str(w, beta);
    }
    if (any)
        jw_close(w, ']');
    return lost ? canon_drop(cw->c, STR("anthropic-beta"), "Bedrock does not know all of them") : 0;
}

static void write_thinking(const struct messages_plan *p, struct jw *w)
{
    if (p->thinking == THINK_UNSAID)
        return;
    jw_key(w, "thinking");
    jw_open(w, '{');
    jw_member_str(w, "type",
        p->thinking == THINK_OFF      ? STR("disabled")
        : p->thinking == THINK_BUDGET ? STR("enabled")
                                      : STR("adaptive"));
    if (p->thinking == THINK_BUDGET)
        jw_member_int(w, "budget_tokens", p->budget);
    if (p->display.n)
        jw_member_str(w, "display", p->display);
    jw_close(w, '}');
}

/* Tools that Anthropic's models know by a type, which the caller carries out itself. */
static bool is_own_tool(const struct canon_tool *t)
{
    return t->maker == MAKER_ANTHROPIC &&
           (str_starts(t->type, STR("computer_")) || str_starts(t->type, STR("bash_")) ||
               str_starts(t->type, STR("text_editor_")) || str_starts(t->type, STR("memory_")));
}

static int write_own_tools(struct converse_writer *cw, struct jw *w)
{
    bool claude = cw->plan.publisher == PUBLISHER_ANTHROPIC, any = false;
    int r = 0;

    for (const struct canon_tool *t = cw->q->tools; t && r == 0; t = t->next) {
        if (!t->native.p)
            continue;
        if (!claude || !is_own_tool(t)) {
            r = canon_drop(cw->c, t->type.n ? t->type : STR("tools"), "Bedrock has no such tool");
            continue;
        }
        if (!any) {
            jw_key(w, "tools");
            jw_open(w, '[');
        }
        any = true;
        jw_raw(w, t->native);
    }
    if (any)
        jw_close(w, ']');
    return r;
}

static int write_claude(struct converse_writer *cw, struct jw *w)
{
    const struct canon_request *q = cw->q;
    bool no_sampling = has(cw->c, MODEL_NO_SAMPLING) || cw->plan.claude.thinking == THINK_BUDGET ||
                       cw->plan.claude.thinking == THINK_ADAPTIVE;
    int r = 0;

    if (q->param[PARAM_TOP_K].raw.p) {
        if (no_sampling)
            r = canon_drop(cw->c, q->param[PARAM_TOP_K].name, "the model takes none now");
        else
            jw_member_raw(w, "top_k", q->param[PARAM_TOP_K].raw);
    }
    write_thinking(&cw->plan.claude, w);
    if (r == 0)
        r = write_betas(cw, w);
    if (r == 0)
        r = write_own_tools(cw, w);
    if (r == 0 && q->tool_choice.parallel == 0 && q->tools && !cw->plan.no_tools)
        jw_member_raw(
            w, "tool_choice", STR("{\"type\":\"auto\",\"disable_parallel_tool_use\":true}"));
    return r;
}

static void write_effort(struct converse_writer *cw, struct jw *w)
{
    struct str effort = canon_effort_name(cw->plan.effort);

    if (cw->plan.effort == EFFORT_UNSET)
        return;
    if (cw->plan.publisher == PUBLISHER_AMAZON) {
        jw_key(w, "reasoningConfig");
        jw_open(w, '{');
        jw_member_str(w, "type", cw->plan.effort == EFFORT_NONE ? STR("disabled") : STR("enabled"));
        if (cw->plan.effort != EFFORT_NONE)
            jw_member_str(w, "maxReasoningEffort", effort);
        jw_close(w, '}');
    } else if (str_find(cw->c->model, STR("openai.gpt-oss")) >= 0) { /* its name, not an ability */
        jw_member_str(w, "reasoning_effort", effort);
    } else {
        jw_key(w, "reasoning");
        jw_open(w, '{');
        jw_member_str(w, "effort", effort);
        jw_close(w, '}');
    }
}

static int write_others(struct converse_writer *cw, struct jw *w)
{
    const struct canon_request *q = cw->q;
    struct str top_k = q->param[PARAM_TOP_K].raw;
    int r = write_own_tools(cw, w); /* declares them */

    if (top_k.p && cw->plan.publisher == PUBLISHER_AMAZON) {
        jw_key(w, "inferenceConfig");
        jw_open(w, '{');
        jw_member_raw(w, "topK", top_k);
        jw_close(w, '}');
    } else {
        jw_member_raw(w, "top_k", top_k);
    }
    write_effort(cw, w);
    if (r == 0 && q->tool_choice.parallel == 0 && q->tools)
        r = canon_drop(cw->c, native_parallel_name(q), "the model decides that itself");
    return r;
}

/* What a client of Converse itself put there stands first. */
static struct str given_fields(const struct canon_request *q)
{
    for (const struct canon_extra *e = q->extras; e; e = e->next)
        if (str_eq(e->name, STR("additionalModelRequestFields")))
            return e->raw;
    return STR_NONE;
}

int converse_write_fields(struct converse_writer *cw)
{
    _cleanup_(buf_free) struct buf text = {0};
    struct str given = given_fields(cw->q);
    struct jw w = {.out = &text};
    int r;

    buf_init(&text, LIMIT_BODY_BYTES);
    jw_open(&w, '{');
    if (given.n > 2) {
        buf_add(&text, given.p + 1, given.n - 2);
        w.comma = true;
    }
    r = cw->plan.publisher == PUBLISHER_ANTHROPIC ? write_claude(cw, &w) : write_others(cw, &w);
    jw_close(&w, '}');
    if (r < 0)
        return r;
    if (text.err)
        return canon_no_room(cw->c);
    if (text.n > 2)
        jw_member_raw(&cw->w, "additionalModelRequestFields", buf_str(&text));
    return 0;
}
