/*
 * A request to Ollama's chat. What clients of other dialects add for it (num_ctx, keep_alive,
 * options, and other members of its options) passes, since Ollama cuts prompts that are longer than
 * num_ctx without a word.
 */
#include "translate/ollama_int.h"

/* --- tools --- */

static int put_tool(
    struct canon_call *c, const struct canon_request *q, const struct canon_tool *t, struct jw *w)
{
    if (t->native.p)
        return canon_drop(c, t->type.n ? t->type : STR("tools"), "Ollama has no such tool");
    if (!native_offers(q, t))
        return 0;
    jw_open(w, '{');
    jw_member_str(w, "type", STR("function"));
    jw_key(w, "function");
    jw_open(w, '{');
    jw_member_str(w, "name", t->name);
    if (t->description.n)
        jw_member_str(w, "description", t->description);
    jw_member_raw(w, "parameters", native_schema(t));
    jw_close(w, '}');
    jw_close(w, '}');
    return t->strict == 1 ? canon_drop(c, STR("strict"), "arguments are not kept to the schema")
                          : 0;
}

static bool has_own_tools(const struct canon_request *q)
{
    for (const struct canon_tool *t = q->tools; t; t = t->next)
        if (!t->native.p)
            return true;
    return false;
}

/* A tool cannot be forced; that none may be called is said by not offering any. */
static int drop_choice(struct canon_call *c, const struct canon_request *q)
{
    const struct canon_tool_choice *t = &q->tool_choice;
    bool force =
        t->mode == TOOLS_REQUIRED || t->mode == TOOLS_ONE || (t->mode == TOOLS_ALLOWED && t->must);
    int r = 0;

    if (force && !has_own_tools(q))
        return canon_fail(c, native_choice_name(q), "A tool must be called, but there are none.");
    if (force)
        r = canon_drop(c, native_choice_name(q), "no tool can be forced");
    if (r == 0 && t->parallel == 0 && has_own_tools(q))
        r = canon_drop(c, native_parallel_name(q), "the model decides that itself");
    return r;
}

static int put_tools(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    bool any = has_own_tools(q) && q->tool_choice.mode != TOOLS_NONE;
    int r = drop_choice(c, q);

    if (q->tool_choice.mode == TOOLS_NONE)
        return r;
    if (any) {
        jw_key(w, "tools");
        jw_open(w, '[');
    }
    for (const struct canon_tool *t = q->tools; t && r == 0; t = t->next)
        r = put_tool(c, q, t, w);
    if (any)
        jw_close(w, ']');
    return r;
}

/* --- options --- */

static bool is_option(struct str name)
{
    static const struct str names[] = {STR_INIT("num_ctx"), STR_INIT("num_keep"),
        STR_INIT("num_batch"), STR_INIT("num_gpu"), STR_INIT("main_gpu"), STR_INIT("num_thread"),
        STR_INIT("use_mmap"), STR_INIT("min_p"), STR_INIT("typical_p"), STR_INIT("repeat_last_n"),
        STR_INIT("repeat_penalty"), STR_INIT("mirostat"), STR_INIT("mirostat_tau"),
        STR_INIT("mirostat_eta")};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

/* The members of the client's own `options`, without its braces. */
static void put_given(const struct canon_request *q, struct jw *w)
{
    for (const struct canon_extra *e = q->extras; e; e = e->next) {
        if (!str_eq(e->name, STR("options")) || e->raw.n <= 2 || e->raw.p[0] != '{')
            continue;
        if (w->comma)
            buf_addc(w->out, ',');
        buf_add(w->out, e->raw.p + 1, e->raw.n - 2);
        w->comma = true;
    }
}

static void put_stops(const struct canon_request *q, struct jw *w)
{
    if (!q->stops_n)
        return;
    jw_key(w, "stop");
    jw_open(w, '[');
    for (unsigned i = 0; i < q->stops_n; i++)
        jw_str(w, q->stops[i]);
    jw_close(w, ']');
}

static void put_options(const struct canon_request *q, struct jw *w)
{
    size_t before = w->out->n;
    bool comma = w->comma;

    jw_key(w, "options");
    jw_open(w, '{');
    size_t empty = w->out->n;
    if (q->max_tokens >= 0)
        jw_member_int(w, "num_predict", q->max_tokens);
    jw_member_raw(w, "temperature", q->param[PARAM_TEMPERATURE].raw);
    jw_member_raw(w, "top_p", q->param[PARAM_TOP_P].raw);
    jw_member_raw(w, "top_k", q->param[PARAM_TOP_K].raw);
    jw_member_raw(w, "seed", q->param[PARAM_SEED].raw);
    jw_member_raw(w, "frequency_penalty", q->param[PARAM_FREQUENCY_PENALTY].raw);
    jw_member_raw(w, "presence_penalty", q->param[PARAM_PRESENCE_PENALTY].raw);
    put_stops(q, w);
    for (const struct canon_extra *e = q->extras; e; e = e->next)
        if (is_option(e->name)) {
            jw_key_str(w, e->name);
            jw_raw(w, e->raw);
        }
    put_given(q, w);
    if (w->out->n == empty) {
        w->out->n = before;
        w->comma = comma;
        return;
    }
    jw_close(w, '}');
}

static int put_extras(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    int r = 0;

    for (const struct canon_extra *e = q->extras; e && r == 0; e = e->next) {
        if (is_option(e->name) || (str_eq(e->name, STR("options")) && e->raw.p[0] == '{'))
            continue;
        if (str_eq(e->name, STR("keep_alive")))
            jw_member_raw(w, "keep_alive", e->raw);
        else
            r = canon_drop(c, e->name, "it is not known there");
    }
    return r;
}

/* --- format, thinking --- */

static void put_format(const struct canon_request *q, struct jw *w)
{
    if (q->format.kind == FORMAT_JSON || (q->format.kind == FORMAT_SCHEMA && !q->format.raw.p))
        jw_member_str(w, "format", STR("json"));
    else if (q->format.kind == FORMAT_SCHEMA)
        jw_member_raw(w, "format", q->format.raw);
}

/* Most models only know on and off; how much is declared as lost. */
static int put_thinking(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    const struct canon_reasoning *t = &q->reasoning;
    struct str called = t->called.n ? t->called : STR("reasoning_effort");
    bool off = t->mode == THINKING_OFF || t->effort == EFFORT_NONE || t->budget == 0;
    bool graded = t->effort > EFFORT_NONE || t->budget > 0;

    if (t->mode == THINKING_UNSET && t->effort == EFFORT_UNSET && t->budget < 0)
        return 0;
    if (c->facts && !(c->facts->flags & MODEL_REASONING))
        return off ? 0 : canon_drop(c, called, "the model does not think");
    jw_member_bool(w, "think", !off);
    return graded && !off ? canon_drop(c, called, "thinking is on or off there: it is on") : 0;
}

/* --- the body --- */

static int put_body(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    int r;

    jw_open(w, '{');
    jw_member_str(w, "model", c->model);
    r = ollama_write_messages(c, q, w);
    if (r == 0)
        r = put_tools(c, q, w);
    put_format(q, w);
    put_options(q, w);
    if (r == 0)
        r = put_thinking(c, q, w);
    jw_member_raw(w, "logprobs", q->param[PARAM_LOGPROBS].raw);
    jw_member_raw(w, "top_logprobs", q->param[PARAM_TOP_LOGPROBS].raw);
    if (r == 0)
        r = put_extras(c, q, w);
    jw_member_bool(w, "stream", q->stream); /* it streams where nothing is said */
    jw_close(w, '}');
    return r;
}

int ollama_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out)
{
    const uint32_t kept = PARAM_BIT(TEMPERATURE) | PARAM_BIT(TOP_P) | PARAM_BIT(TOP_K) |
                          PARAM_BIT(SEED) | PARAM_BIT(FREQUENCY_PENALTY) |
                          PARAM_BIT(PRESENCE_PENALTY) | PARAM_BIT(LOGPROBS) |
                          PARAM_BIT(TOP_LOGPROBS);
    struct jw w = {.out = out};
    int r = native_one_answer(c, q);

    if (r == 0)
        r = canon_check_tools(c, q);
    if (r == 0)
        r = native_drop_params(c, q, kept);
    if (r == 0)
        r = native_drop_marks(c, q);
    if (r == 0)
        r = put_body(c, q, &w);
    return r == 0 && out->err ? canon_no_room(c) : r;
}
