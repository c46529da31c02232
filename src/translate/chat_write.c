/*
 * The request that a provider of OpenAI's chat dialect gets: its parameters, in the usual order.
 * What the provider or the model does not take is declared as lost under the client's name for it.
 */
#include "translate/chat_int.h"

#include "base/utf8.h"

#include <errno.h>

#define USER_MAX_BYTES 64 /* OpenAI refuses longer ones */

/* --- what the client calls it --- */

static const struct str client_words[CHAT_WORDS][WIRES] = {
    [CHAT_STOP] = {[WIRE_CHAT] = STR_INIT("stop"),
        [WIRE_MESSAGES] = STR_INIT("stop_sequences"),
        [WIRE_GEMINI] = STR_INIT("generationConfig.stopSequences"),
        [WIRE_CONVERSE] = STR_INIT("inferenceConfig.stopSequences")},
    [CHAT_N] =
        {[WIRE_CHAT] = STR_INIT("n"), [WIRE_GEMINI] = STR_INIT("generationConfig.candidateCount")},
    [CHAT_REASONING] = {[WIRE_CHAT] = STR_INIT("reasoning_effort"),
        [WIRE_RESPONSES] = STR_INIT("reasoning"),
        [WIRE_MESSAGES] = STR_INIT("thinking"),
        [WIRE_GEMINI] = STR_INIT("generationConfig.thinkingConfig")},
    [CHAT_SCHEMA] = {[WIRE_CHAT] = STR_INIT("response_format.json_schema"),
        [WIRE_RESPONSES] = STR_INIT("text.format"),
        [WIRE_MESSAGES] = STR_INIT("output_config.format"),
        [WIRE_GEMINI] = STR_INIT("generationConfig.responseJsonSchema"),
        [WIRE_CONVERSE] = STR_INIT("outputConfig.textFormat")},
    [CHAT_CHOICE] = {[WIRE_CHAT] = STR_INIT("tool_choice"),
        [WIRE_GEMINI] = STR_INIT("toolConfig.functionCallingConfig"),
        [WIRE_CONVERSE] = STR_INIT("toolConfig.toolChoice")},
    [CHAT_PARALLEL] = {[WIRE_CHAT] = STR_INIT("parallel_tool_calls"),
        [WIRE_MESSAGES] = STR_INIT("tool_choice.disable_parallel_tool_use")},
    [CHAT_STRICT] = {[WIRE_CHAT] = STR_INIT("tools[].function.strict"),
        [WIRE_RESPONSES] = STR_INIT("tools[].strict"),
        [WIRE_MESSAGES] = STR_INIT("tools[].strict")},
    [CHAT_CUSTOM_FORMAT] = {[WIRE_CHAT] = STR_INIT("tools[].custom.format"),
        [WIRE_RESPONSES] = STR_INIT("tools[].format")},
};

struct str chat_client_word(const struct canon_request *q, enum chat_word what)
{
    struct str own = q->from ? client_words[what][q->from->id] : STR_NONE;
    return own.n ? own : client_words[what][WIRE_CHAT];
}

/* --- parameters that are passed on as they are --- */

static const struct {
    enum canon_param_id id;
    const char *name;
} params[] = {
    {PARAM_TEMPERATURE, "temperature"},
    {PARAM_TOP_P, "top_p"},
    {PARAM_TOP_K, "top_k"},
    {PARAM_FREQUENCY_PENALTY, "frequency_penalty"},
    {PARAM_PRESENCE_PENALTY, "presence_penalty"},
    {PARAM_LOGIT_BIAS, "logit_bias"},
    {PARAM_LOGPROBS, "logprobs"},
    {PARAM_TOP_LOGPROBS, "top_logprobs"},
    {PARAM_SEED, "seed"},
    {PARAM_USER, "user"},
    {PARAM_METADATA, "metadata"},
    {PARAM_SERVICE_TIER, "service_tier"},
    {PARAM_STORE, "store"},
    {PARAM_PROMPT_CACHE_KEY, "prompt_cache_key"},
    {PARAM_PROMPT_CACHE_RETENTION, "prompt_cache_retention"},
    {PARAM_VERBOSITY, "verbosity"},
    {PARAM_MODALITIES, "modalities"},
    {PARAM_AUDIO, "audio"},
    {PARAM_PREDICTION, "prediction"},
};

/* Texts of other dialects are too long at times: Claude Code's is a JSON object of its own. */
static void write_user(
    struct canon_call *c, const struct canon_request *q, struct str raw, struct jw *w)
{
    const char *why;
    struct str s = jr_str(jr_parse(c->arena, raw, &why));
    size_t n = 0, step, bad;
    while (n < s.n && (step = utf8_step(s.p + n, s.n - n, &bad)) && n + step <= USER_MAX_BYTES)
        n += step;
    const char *name =
        str_eq(q->param[PARAM_USER].name, STR("safety_identifier")) ? "safety_identifier" : "user";
    if (q->from == &wire_chat || n == s.n)
        jw_member_raw(w, name, raw);
    else
        jw_member_str(w, name, str_to(s, n));
}

/* Gemini writes them in capitals. */
static void write_modalities(struct canon_call *c, struct str raw, struct jw *w)
{
    struct str low = arena_dup(c->arena, raw);
    for (size_t i = 0; i < low.n; i++)
        if (low.p[i] >= 'A' && low.p[i] <= 'Z')
            ((char *)low.p)[i] |= 0x20;
    jw_member_raw(w, "modalities", low.p ? low : raw);
}

/* "standard_only" is Anthropic's word. */
static void write_tier(struct str raw, struct jw *w)
{
    bool standard = str_eq(raw, STR("\"standard_only\""));
    jw_member_raw(w, "service_tier", standard ? STR("\"default\"") : raw);
}

/* Where one number says both whether and how many. */
static void write_logprobs_number(const struct canon_request *q, struct jw *w)
{
    struct str how_many = q->param[PARAM_TOP_LOGPROBS].raw;
    if (str_eq(q->param[PARAM_LOGPROBS].raw, STR("true")))
        jw_member_raw(w, "logprobs", how_many.p ? how_many : STR("1"));
}

/* OpenAI keeps metadata with stored answers alone, and refuses it otherwise. */
static bool is_out_of_place(
    const struct chat_quirks *k, const struct canon_request *q, enum canon_param_id id)
{
    return id == PARAM_METADATA && (k->flags & CHAT_CUSTOM_TOOLS) && q->from != &wire_chat;
}

/* Answers that are kept are kept by the gateway, where the client's dialect has that. */
static bool is_ours(const struct canon_request *q, enum canon_param_id id)
{
    return id == PARAM_STORE && q->from != &wire_chat;
}

static void write_param(struct canon_call *c, const struct chat_quirks *k,
    const struct canon_request *q, unsigned i, struct jw *w)
{
    struct str raw = q->param[params[i].id].raw;
    bool numbered = k->flags & CHAT_LOGPROBS_NUMBER;
    switch (params[i].id) {
    case PARAM_USER:
        write_user(c, q, raw, w);
        break;
    case PARAM_MODALITIES:
        write_modalities(c, raw, w);
        break;
    case PARAM_SERVICE_TIER:
        write_tier(raw, w);
        break;
    case PARAM_SEED:
        jw_member_raw(w, k->flags & CHAT_RANDOM_SEED ? "random_seed" : "seed", raw);
        break;
    case PARAM_LOGPROBS:
        if (numbered)
            write_logprobs_number(q, w);
        else
            jw_member_raw(w, "logprobs", raw);
        break;
    case PARAM_TOP_LOGPROBS:
        if (numbered)
            break;
        if (q->from != &wire_chat && !q->param[PARAM_LOGPROBS].raw.p)
            jw_member_bool(w, "logprobs", true); /* without it OpenAI refuses the number */
        jw_member_raw(w, "top_logprobs", raw);
        break;
    default:
        jw_member_raw(w, params[i].name, raw);
    }
}

static int write_params(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_request *q, struct jw *w)
{
    int r = 0;
    for (unsigned i = 0; i < ARRAY_LEN(params) && r == 0; i++) {
        const struct canon_param *p = &q->param[params[i].id];
        if (!p->raw.p || is_ours(q, params[i].id))
            continue;
        if (!chat_takes(c->facts, k, params[i].id))
            r = canon_drop(c, p->name, "the model or its provider does not take it");
        else if (is_out_of_place(k, q, params[i].id))
            r = canon_drop(c, p->name, "OpenAI takes it with stored answers alone");
        else
            write_param(c, k, q, i, w);
    }
    const struct canon_param *safety = &q->param[PARAM_SAFETY];
    return r == 0 && safety->raw.p ? canon_drop(c, safety->name, "it is Gemini's own") : r;
}

/* --- those with a meaning of their own --- */

static void write_limit(const struct canon_call *c, const struct chat_quirks *k,
    const struct canon_request *q, struct jw *w)
{
    int only_new = chat_model_has(c->facts, MODEL_MAX_COMPLETION_TOKENS);
    bool new_name = only_new > 0 || (only_new < 0 && (k->flags & CHAT_NEW_MAX_TOKENS));
    if (q->max_tokens >= 0)
        jw_member_int(w, new_name ? "max_completion_tokens" : "max_tokens", q->max_tokens);
}

static int write_stops(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_request *q, struct jw *w)
{
    if (!q->stops_n)
        return 0;
    if (!chat_takes_stop(c->facts, k))
        return canon_drop(
            c, chat_client_word(q, CHAT_STOP), "the model or its provider does not take it");
    jw_key(w, "stop");
    jw_open(w, '[');
    for (unsigned i = 0; i < q->stops_n; i++)
        jw_str(w, q->stops[i]);
    jw_close(w, ']');
    return 0;
}

static int write_n(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_request *q, struct jw *w)
{
    if (q->n <= 1)
        return 0;
    if (k->flags & CHAT_ONE_ANSWER)
        return canon_fail(c, chat_client_word(q, CHAT_N), STR_FMT " gives one answer to a call",
            STR_ARG(c->provider));
    jw_member_int(w, "n", q->n);
    return 0;
}

static void write_schema(const struct canon_response_format *f, struct jw *w)
{
    jw_member_str(w, "type", STR("json_schema"));
    jw_key(w, "json_schema");
    jw_open(w, '{');
    jw_member_str(w, "name", f->name.n ? f->name : STR("response"));
    jw_member_str(w, "description", f->description);
    jw_member_raw(w, "schema", f->raw);
    if (f->strict >= 0)
        jw_member_bool(w, "strict", f->strict);
    jw_close(w, '}');
}

static int write_format(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_request *q, struct jw *w)
{
    const struct canon_response_format *f = &q->format;
    bool degrades = f->kind == FORMAT_SCHEMA && (k->flags & CHAT_NO_SCHEMA);
    if (f->kind == FORMAT_UNSET)
        return 0;
    jw_key(w, "response_format");
    jw_open(w, '{');
    if (f->kind == FORMAT_SCHEMA && !degrades)
        write_schema(f, w);
    else
        jw_member_str(w, "type", f->kind == FORMAT_TEXT ? STR("text") : STR("json_object"));
    jw_close(w, '}');
    return degrades ? canon_drop(c, chat_client_word(q, CHAT_SCHEMA),
                          "the provider gives JSON, but follows no schema")
                    : 0;
}

/* --- reasoning --- */

static enum canon_effort wanted_effort(const struct canon_request *q)
{
    if (q->reasoning.mode == THINKING_OFF)
        return EFFORT_NONE;
    if (q->reasoning.effort != EFFORT_UNSET)
        return q->reasoning.effort;
    return canon_effort_of(q->reasoning.budget);
}

/* OpenRouter takes a budget as it is. */
static void write_object(const struct canon_request *q, enum canon_effort e, struct jw *w)
{
    bool budget = q->reasoning.budget > 0 && q->reasoning.effort == EFFORT_UNSET;
    jw_key(w, "reasoning");
    jw_open(w, '{');
    if (e == EFFORT_UNSET)
        jw_member_bool(w, "enabled", true);
    else if (budget)
        jw_member_int(w, "max_tokens", q->reasoning.budget);
    else
        jw_member_str(w, "effort", canon_effort_name(e));
    jw_close(w, '}');
}

/* DeepSeek turns thinking on and off, and takes an effort for what is on. */
static void write_switch(enum canon_effort e, struct jw *w)
{
    jw_member_raw(w, "thinking",
        e == EFFORT_NONE ? STR("{\"type\":\"disabled\"}") : STR("{\"type\":\"enabled\"}"));
    if (e != EFFORT_NONE)
        jw_member_str(w, "reasoning_effort", canon_effort_name(e));
}

static int write_reasoning(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_request *q, struct jw *w)
{
    enum canon_effort wanted = wanted_effort(q);
    int reasons = chat_model_has(c->facts, MODEL_REASONING);
    bool mere_switch = wanted == EFFORT_UNSET && q->reasoning.mode != THINKING_UNSET &&
                       k->think == THINK_OBJECT && reasons > 0;
    if (mere_switch)
        write_object(q, wanted, w);
    if (wanted == EFFORT_UNSET)
        return 0;
    /* Of an unknown model only what is asked for in its own words may be expected. */
    bool said = q->reasoning.effort != EFFORT_UNSET || k->think == THINK_SWITCH;
    if (reasons == 0 || (reasons < 0 && !said))
        return wanted == EFFORT_NONE ? 0
                                     : canon_drop(c, chat_client_word(q, CHAT_REASONING),
                                           "the model is not known to reason");
    enum canon_effort e = chat_nearest_effort(c->facts, k, wanted);
    if (k->think == THINK_OBJECT)
        write_object(q, e, w);
    else if (k->think == THINK_SWITCH)
        write_switch(e, w);
    else
        jw_member_str(w, "reasoning_effort", canon_effort_name(e));
    struct str summary = q->reasoning.summary;
    bool shows = summary.n && !str_eq(summary, STR("none")) && !str_eq(summary, STR("omitted"));
    if (shows && (k->flags & CHAT_HIDES_THINKING))
        return canon_drop(c, STR("reasoning.summary"), "chat completions do not show it");
    return 0;
}

/* --- the whole --- */

static int write_extras(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    int r = 0;
    for (const struct canon_extra *x = q->extras; x && r == 0; x = x->next) {
        if (q->from != &wire_chat) {
            r = canon_drop(c, x->name, "it is not known in chat completions");
            continue;
        }
        jw_key_str(w, x->name);
        jw_raw(w, x->raw);
    }
    return r;
}

/* Anthropic's mark on the request itself, which routers know. */
static int write_cache(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_request *q, struct jw *w)
{
    if (!q->cache)
        return 0;
    if (!(k->flags & CHAT_CACHE_MARKS))
        return canon_drop(c, STR("cache_control"), "the provider caches by itself");
    jw_member_raw(w, "cache_control",
        q->cache == CACHE_1H ? STR("{\"type\":\"ephemeral\",\"ttl\":\"1h\"}")
                             : STR("{\"type\":\"ephemeral\"}"));
    return 0;
}

static void write_stream(const struct chat_quirks *k, const struct canon_request *q, struct jw *w)
{
    if (!q->stream)
        return;
    jw_member_bool(w, "stream", true);
    if (!(k->flags & CHAT_NO_STREAM_OPTIONS)) /* usage is needed here, whoever asked for it */
        jw_member_raw(w, "stream_options", STR("{\"include_usage\":true}"));
}

int chat_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out)
{
    const struct chat_quirks *k = chat_quirks_of(c->provider);
    struct jw w = {.out = out};
    int r = canon_check_tools(c, q);
    if (r < 0)
        return r;
    jw_open(&w, '{');
    jw_member_str(&w, "model", c->model.n ? c->model : q->model);
    r = chat_write_messages(c, k, q, &w);
    write_limit(c, k, q, &w);
    r = r < 0 ? r : write_params(c, k, q, &w);
    r = r < 0 ? r : write_stops(c, k, q, &w);
    r = r < 0 ? r : write_n(c, k, q, &w);
    r = r < 0 ? r : write_reasoning(c, k, q, &w);
    r = r < 0 ? r : write_format(c, k, q, &w);
    r = r < 0 ? r : chat_write_tools(c, k, q, &w);
    r = r < 0 ? r : write_extras(c, q, &w);
    r = r < 0 ? r : write_cache(c, k, q, &w);
    write_stream(k, q, &w);
    jw_close(&w, '}');
    return r < 0 ? r : out->err;
}
