/*
 * The upstream's request: parameters. The input is written in responses_items.c, tools in
 * responses_tools.c.
 *
 * Clients of other dialects do not know that OpenAI keeps responses: store is false unless they
 * said otherwise, and reasoning comes back sealed (include), so that it can be given to the model
 * again.
 */
#include "translate/native_int.h"
#include "translate/responses_int.h"

#include "base/macros.h"

#define MAX_TOKENS_LEAST 16 /* fewer are refused */
#define USER_BYTES       64

#define KEPT_PARAMS                                                                                \
    (PARAM_BIT(TEMPERATURE) | PARAM_BIT(TOP_P) | PARAM_BIT(LOGPROBS) | PARAM_BIT(TOP_LOGPROBS) |   \
        PARAM_BIT(USER) | PARAM_BIT(METADATA) | PARAM_BIT(SERVICE_TIER) | PARAM_BIT(STORE) |       \
        PARAM_BIT(PROMPT_CACHE_KEY) | PARAM_BIT(PROMPT_CACHE_RETENTION) | PARAM_BIT(VERBOSITY) |   \
        PARAM_BIT(MODALITIES))

static const struct chat_quirks *quirks(void)
{
    return chat_quirks_of(STR("openai"));
}

static struct str or_name(struct str called, const char *otherwise)
{
    return called.n ? called : str_of(otherwise);
}

/* --- text --- */

static void write_format(struct jw *w, const struct canon_response_format *f)
{
    jw_key(w, "format");
    jw_open(w, '{');
    if (f->kind != FORMAT_SCHEMA) {
        jw_member_str(w, "type", f->kind == FORMAT_JSON ? STR("json_object") : STR("text"));
        jw_close(w, '}');
        return;
    }
    jw_member_str(w, "type", STR("json_schema"));
    jw_member_str(w, "name", f->name.n ? f->name : STR("response"));
    if (f->description.n)
        jw_member_str(w, "description", f->description);
    if (f->strict >= 0)
        jw_member_bool(w, "strict", f->strict);
    jw_member_raw(w, "schema", f->raw.p ? f->raw : STR("{}"));
    jw_close(w, '}');
}

static void write_text(const struct canon_request *q, struct jw *w)
{
    struct str verbosity = q->param[PARAM_VERBOSITY].raw;

    if (q->format.kind == FORMAT_UNSET && !verbosity.p)
        return;
    jw_key(w, "text");
    jw_open(w, '{');
    if (q->format.kind != FORMAT_UNSET)
        write_format(w, &q->format);
    jw_member_raw(w, "verbosity", verbosity);
    jw_close(w, '}');
}

/* --- reasoning --- */

static enum canon_effort effort_of(struct canon_call *c, const struct canon_request *q)
{
    const struct canon_reasoning *r = &q->reasoning;
    enum canon_effort e = r->effort;

    if (e == EFFORT_UNSET && r->mode == THINKING_OFF)
        e = EFFORT_NONE;
    if (e == EFFORT_UNSET && r->budget >= 0)
        e = canon_effort_of(r->budget);
    return e == EFFORT_UNSET ? e : chat_nearest_effort(c->facts, quirks(), e);
}

/* Clients that ask for thinking by name get to see it, those that set an effort alone do not. */
static struct str summary_of(const struct canon_request *q)
{
    const struct canon_reasoning *r = &q->reasoning;

    if (str_eq(r->summary, STR("concise")) || str_eq(r->summary, STR("detailed")))
        return r->summary;
    if (str_eq(r->summary, STR("omitted")) || str_eq(r->summary, STR("none")))
        return STR_NONE;
    if (r->summary.n || r->mode == THINKING_ON || r->mode == THINKING_ADAPTIVE)
        return STR("auto");
    return STR_NONE;
}

static int write_reasoning(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    bool off = q->reasoning.mode == THINKING_OFF || q->reasoning.effort == EFFORT_NONE;
    enum canon_effort effort = effort_of(c, q);
    struct str summary = off ? STR_NONE : summary_of(q);

    if (effort == EFFORT_UNSET && !summary.p)
        return 0;
    if (chat_model_has(c->facts, MODEL_REASONING) == 0)
        return off ? 0
                   : canon_drop(c, or_name(q->reasoning.called, "reasoning_effort"),
                         "this model does not reason");
    jw_key(w, "reasoning");
    jw_open(w, '{');
    if (effort != EFFORT_UNSET)
        jw_member_str(w, "effort", canon_effort_name(effort));
    jw_member_str(w, "summary", summary);
    jw_close(w, '}');
    return 0;
}

static bool has_thinking(const struct canon_request *q)
{
    for (const struct canon_message *m = q->messages; m; m = m->next)
        for (const struct canon_part *p = m->parts; p; p = p->next)
            if (p->kind == PART_THINKING && p->maker == MAKER_OPENAI)
                return true;
    return false;
}

/* Models that do not reason refuse to be asked for it. */
static bool wants_sealed(const struct canon_call *c, const struct canon_request *q)
{
    int reasons = chat_model_has(c->facts, MODEL_REASONING);
    bool asked = q->reasoning.effort != EFFORT_UNSET || q->reasoning.mode == THINKING_ON ||
                 q->reasoning.mode == THINKING_ADAPTIVE || has_thinking(q);

    return reasons > 0 || (reasons < 0 && asked);
}

static int write_include(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    bool sealed = wants_sealed(c, q);
    bool logprobs = str_eq(q->param[PARAM_LOGPROBS].raw, STR("true"));

    if (logprobs && !chat_takes(c->facts, quirks(), PARAM_LOGPROBS)) {
        int r = canon_drop(c, q->param[PARAM_LOGPROBS].name, "this model does not take it");
        if (r < 0)
            return r;
        logprobs = false;
    }
    if (!sealed && !logprobs)
        return 0;
    jw_key(w, "include");
    jw_open(w, '[');
    if (sealed)
        jw_str(w, STR("reasoning.encrypted_content"));
    if (logprobs)
        jw_str(w, STR("message.output_text.logprobs"));
    jw_close(w, ']');
    return 0;
}

/* --- parameters --- */

static int write_max_tokens(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    if (q->max_tokens < 0)
        return 0;
    jw_member_int(w, "max_output_tokens", MAX(q->max_tokens, MAX_TOKENS_LEAST));
    return q->max_tokens >= MAX_TOKENS_LEAST
               ? 0
               : canon_drop(
                     c, or_name(q->max_tokens_name, "max_tokens"), "fewer than 16 are not allowed");
}

static int write_sampling(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    static const struct {
        enum canon_param_id id;
        const char *name;
    } rows[] = {{PARAM_TEMPERATURE, "temperature"}, {PARAM_TOP_P, "top_p"},
        {PARAM_TOP_LOGPROBS, "top_logprobs"}};
    int r = 0;

    for (unsigned i = 0; i < ARRAY_LEN(rows) && r == 0; i++) {
        const struct canon_param *p = &q->param[rows[i].id];
        if (!p->raw.p)
            continue;
        if (chat_takes(c->facts, quirks(), rows[i].id))
            jw_member_raw(w, rows[i].name, p->raw);
        else
            r = canon_drop(c, p->name, "this model does not take it");
    }
    return r;
}

/* Those of other dialects, by their meaning. */
static struct str tier_of(struct str raw)
{
    if (str_eq(raw, STR("\"standard_only\"")) || str_eq(raw, STR("\"standard\"")))
        return STR("\"default\"");
    return raw;
}

static struct str cut(struct str s, size_t n)
{
    while (n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return str_to(s, n);
}

/* OpenAI takes at most 64 bytes; what Claude Code writes is longer. */
static void write_user(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    const struct canon_param *p = &q->param[PARAM_USER];
    const char *why;

    if (!p->raw.p)
        return;
    struct str text = jr_str(jr_parse(c->arena, p->raw, &why));
    if (!text.p)
        return;
    bool newer = str_eq(p->name, STR("safety_identifier"));
    jw_member_str(w, newer ? "safety_identifier" : "user", cut(text, USER_BYTES));
}

static int write_modalities(struct canon_call *c, const struct canon_request *q)
{
    const struct canon_param *p = &q->param[PARAM_MODALITIES];

    if (!p->raw.p || str_eq(p->raw, STR("[\"text\"]")) || str_eq(p->raw, STR("[\"TEXT\"]")))
        return 0;
    return canon_drop(c, p->name, "its answers are text");
}

/* What a client of this dialect wrote is known here, even where it is not known to us. */
static bool is_own(const struct canon_request *q)
{
    return q->from == &wire_responses;
}

static int write_rest(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    int r = write_modalities(c, q);

    jw_member_raw(w, "metadata", q->param[PARAM_METADATA].raw);
    jw_member_raw(
        w, "store", q->param[PARAM_STORE].raw.p ? q->param[PARAM_STORE].raw : STR("false"));
    jw_member_raw(w, "service_tier", tier_of(q->param[PARAM_SERVICE_TIER].raw));
    jw_member_raw(w, "prompt_cache_key", q->param[PARAM_PROMPT_CACHE_KEY].raw);
    jw_member_raw(w, "prompt_cache_retention", q->param[PARAM_PROMPT_CACHE_RETENTION].raw);
    write_user(c, q, w);
    for (const struct canon_extra *e = is_own(q) ? q->extras : NULL; e; e = e->next) {
        jw_key_str(w, e->name);
        jw_raw(w, e->raw);
    }
    if (q->stream)
        jw_member_bool(w, "stream", true);
    return r;
}

/* --- the whole --- */

static int drop_rest(struct canon_call *c, const struct canon_request *q)
{
    int r = native_one_answer(c, q);

    r = r < 0 ? r : native_drop_params(c, q, KEPT_PARAMS);
    if (r == 0 && q->stops_n)
        r = canon_drop(c, or_name(q->stops_called, "stop"), "it has none");
    if (r == 0 && q->cache)
        r = canon_drop(c, STR("cache_control"), "it caches by itself");
    return r < 0 || is_own(q) ? r : native_drop_extras(c, q);
}

int responses_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out)
{
    struct jw w = {.out = out};
    const struct canon_message *rest;
    int r = canon_check_tools(c, q);

    r = r < 0 ? r : drop_rest(c, q);
    if (r < 0)
        return r;
    jw_open(&w, '{');
    jw_member_str(&w, "model", c->model);
    jw_member_str(&w, "instructions", responses_instructions(c, q, &rest));
    r = responses_write_input(c, q, &w);
    r = r < 0 ? r : responses_write_tools(c, q, &w);
    if (r < 0)
        return r;
    write_text(q, &w);
    r = write_reasoning(c, q, &w);
    r = r < 0 ? r : write_include(c, q, &w);
    r = r < 0 ? r : write_max_tokens(c, q, &w);
    r = r < 0 ? r : write_sampling(c, q, &w);
    r = r < 0 ? r : write_rest(c, q, &w);
    jw_close(&w, '}');
    return r < 0 ? r : out->err ? canon_no_room(c) : c->error->status ? -EREMOTEIO : 0;
}
