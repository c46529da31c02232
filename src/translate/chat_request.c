/*
 * A client's request: its parameters. Each member that is known has one row in a table with the
 * type that it has to have; the others become extras, under their own names.
 */
#include "translate/chat_int.h"

#include <errno.h>

enum value_type { A_TEXT, A_NUMBER, A_BOOL, AN_OBJECT, AN_ARRAY };

static const char *const type_names[] = {
    [A_TEXT] = "a text",
    [A_NUMBER] = "a number",
    [A_BOOL] = "true or false",
    [AN_OBJECT] = "an object",
    [AN_ARRAY] = "an array",
};

static bool is_of_type(yyjson_val *v, enum value_type t)
{
    switch (t) {
    case A_TEXT:
        return yyjson_is_str(v);
    case A_NUMBER:
        return yyjson_is_raw(v) || yyjson_is_num(v);
    case A_BOOL:
        return yyjson_is_bool(v);
    case AN_OBJECT:
        return yyjson_is_obj(v);
    case AN_ARRAY:
        return yyjson_is_arr(v);
    }
    return false;
}

static int fail_type(struct canon_call *c, struct str name, const char *type)
{
    return canon_fail(c, name, STR_FMT " has to be %s", STR_ARG(str_to(name, 64)), type);
}

/* --- parameters that are passed on as they are --- */

static const struct {
    struct str name;
    enum canon_param_id id;
    enum value_type type;
} params[] = {
    {STR_INIT("temperature"), PARAM_TEMPERATURE, A_NUMBER},
    {STR_INIT("top_p"), PARAM_TOP_P, A_NUMBER},
    {STR_INIT("top_k"), PARAM_TOP_K, A_NUMBER},
    {STR_INIT("seed"), PARAM_SEED, A_NUMBER},
    {STR_INIT("frequency_penalty"), PARAM_FREQUENCY_PENALTY, A_NUMBER},
    {STR_INIT("presence_penalty"), PARAM_PRESENCE_PENALTY, A_NUMBER},
    {STR_INIT("logit_bias"), PARAM_LOGIT_BIAS, AN_OBJECT},
    {STR_INIT("logprobs"), PARAM_LOGPROBS, A_BOOL},
    {STR_INIT("top_logprobs"), PARAM_TOP_LOGPROBS, A_NUMBER},
    {STR_INIT("user"), PARAM_USER, A_TEXT},
    {STR_INIT("metadata"), PARAM_METADATA, AN_OBJECT},
    {STR_INIT("service_tier"), PARAM_SERVICE_TIER, A_TEXT},
    {STR_INIT("store"), PARAM_STORE, A_BOOL},
    {STR_INIT("prompt_cache_key"), PARAM_PROMPT_CACHE_KEY, A_TEXT},
    {STR_INIT("prompt_cache_retention"), PARAM_PROMPT_CACHE_RETENTION, A_TEXT},
    {STR_INIT("verbosity"), PARAM_VERBOSITY, A_TEXT},
    {STR_INIT("modalities"), PARAM_MODALITIES, AN_ARRAY},
    {STR_INIT("audio"), PARAM_AUDIO, AN_OBJECT},
    {STR_INIT("prediction"), PARAM_PREDICTION, AN_OBJECT},
};

/* 1: it was none of them. */
static int read_param(struct canon_call *c, struct str name, yyjson_val *v, struct canon_request *q)
{
    for (unsigned i = 0; i < ARRAY_LEN(params); i++) {
        if (!str_eq(name, params[i].name))
            continue;
        if (!is_of_type(v, params[i].type))
            return fail_type(c, name, type_names[params[i].type]);
        struct canon_param *p = &q->param[params[i].id];
        p->raw = jr_raw(c->arena, v);
        p->name = params[i].name;
        return p->raw.p ? 0 : canon_no_room(c);
    }
    return 1;
}

/* --- those with a meaning of their own --- */

static int read_model(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    q->model = jr_str(v);
    return q->model.p ? 0 : fail_type(c, STR("model"), "a text");
}

static int read_limit(struct canon_call *c, yyjson_val *v, struct str name, struct canon_request *q)
{
    uint64_t n;
    if (!yyjson_is_raw(v) || str_u64(str_at(yyjson_get_raw(v), yyjson_get_len(v)), &n) < 0 ||
        n == 0 || n > INT64_MAX)
        return fail_type(c, name, "a whole number above 0");
    q->max_tokens = (int64_t)n;
    q->max_tokens_name = name;
    return 0;
}

static int read_max_tokens(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    if (q->max_tokens >= 0) /* max_completion_tokens wins, wherever it stands */
        return 0;
    return read_limit(c, v, STR("max_tokens"), q);
}

static int read_max_completion_tokens(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    return read_limit(c, v, STR("max_completion_tokens"), q);
}

static int read_n(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    uint64_t n;
    if (!yyjson_is_raw(v) || str_u64(str_at(yyjson_get_raw(v), yyjson_get_len(v)), &n) < 0 ||
        n == 0 || n > 128)
        return fail_type(c, STR("n"), "a whole number from 1 to 128");
    q->n = (unsigned)n;
    return 0;
}

static int read_stop(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    size_t i, n = yyjson_is_arr(v) ? yyjson_arr_size(v) : 1;
    yyjson_val *one;
    struct str *list = arena_alloc(c->arena, MAX(n, 1u) * sizeof(*list));
    if (!list)
        return canon_no_room(c);
    q->stops = list;
    q->stops_n = (unsigned)n;
    if (yyjson_is_str(v)) {
        list[0] = jr_str(v);
        return 0;
    }
    if (!yyjson_is_arr(v))
        return fail_type(c, STR("stop"), "a text or an array of texts");
    yyjson_arr_foreach(v, i, n, one)
    {
        list[i] = jr_str(one);
        if (!list[i].p)
            return fail_type(c, arena_printf(c->arena, "stop[%zu]", i), "a text");
    }
    return 0;
}

static int read_stream(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    q->stream = yyjson_get_bool(v);
    return yyjson_is_bool(v) ? 0 : fail_type(c, STR("stream"), "true or false");
}

static int read_stream_options(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    yyjson_val *usage = yyjson_obj_get(v, "include_usage");
    if (!yyjson_is_obj(v))
        return fail_type(c, STR("stream_options"), "an object");
    if (usage && !yyjson_is_bool(usage) && !yyjson_is_null(usage))
        return fail_type(c, STR("stream_options.include_usage"), "true or false");
    q->include_usage = yyjson_get_bool(usage);
    if (!jr_get_bool(v, "include_obfuscation", false))
        return 0;
    return canon_drop(c, STR("stream_options.include_obfuscation"), "streams are not padded here");
}

static int read_schema(struct canon_call *c, yyjson_val *v, struct canon_response_format *f)
{
    yyjson_val *schema = yyjson_obj_get(v, "schema"), *strict = yyjson_obj_get(v, "strict");
    if (!yyjson_is_obj(v))
        return fail_type(c, STR("response_format.json_schema"), "an object");
    if (schema && !yyjson_is_obj(schema) && !yyjson_is_null(schema))
        return fail_type(c, STR("response_format.json_schema.schema"), "an object");
    f->kind = FORMAT_SCHEMA;
    f->name = jr_get_str(v, "name");
    f->description = jr_get_str(v, "description");
    f->raw = jr_raw(c->arena, schema);
    f->strict = yyjson_is_bool(strict) ? yyjson_get_bool(strict) : -1;
    return 0;
}

static int read_format(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    struct str type = jr_get_str(v, "type");
    if (!yyjson_is_obj(v))
        return fail_type(c, STR("response_format"), "an object");
    if (str_eq(type, STR("json_schema")))
        return read_schema(c, yyjson_obj_get(v, "json_schema"), &q->format);
    if (str_eq(type, STR("json_object")))
        q->format.kind = FORMAT_JSON;
    else if (str_eq(type, STR("text")))
        q->format.kind = FORMAT_TEXT;
    else
        return fail_type(c, STR("response_format.type"), "text, json_object or json_schema");
    return 0;
}

static int read_parallel(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    q->tool_choice.parallel = yyjson_get_bool(v);
    return yyjson_is_bool(v) ? 0 : fail_type(c, STR("parallel_tool_calls"), "true or false");
}

/* --- reasoning --- */

static int set_effort(struct canon_call *c, yyjson_val *v, struct str name, struct canon_request *q)
{
    if (!v || yyjson_is_null(v))
        return 0;
    if (str_eq(jr_str(v), STR("default"))) /* Groq's word for saying nothing */
        return 0;
    q->reasoning.effort = canon_effort_parse(jr_str(v));
    if (q->reasoning.effort == EFFORT_UNSET)
        return fail_type(c, name, "none, minimal, low, medium, high, xhigh or max");
    return 0;
}

static int set_budget(struct canon_call *c, yyjson_val *v, const char *member, struct str name,
    struct canon_request *q)
{
    yyjson_val *budget = yyjson_obj_get(v, member);
    if (!budget || yyjson_is_null(budget))
        return 0;
    if (jr_get_int(v, member, &q->reasoning.budget) && q->reasoning.budget >= 0)
        return 0;
    return fail_type(c, name, "a whole number");
}

static int read_effort(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    return set_effort(c, v, STR("reasoning_effort"), q);
}

/* OpenRouter's object: effort or max_tokens. */
static int read_reasoning(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    yyjson_val *enabled = yyjson_obj_get(v, "enabled");
    if (!yyjson_is_obj(v))
        return fail_type(c, STR("reasoning"), "an object");
    int r = set_effort(c, yyjson_obj_get(v, "effort"), STR("reasoning.effort"), q);
    if (r == 0)
        r = set_budget(c, v, "max_tokens", STR("reasoning.max_tokens"), q);
    if (r < 0)
        return r;
    q->reasoning.summary = jr_get_str(v, "summary");
    if (q->reasoning.budget >= 0 || yyjson_is_true(enabled))
        q->reasoning.mode = THINKING_ON;
    if (yyjson_is_false(enabled))
        q->reasoning.mode = THINKING_OFF;
    if (!jr_get_bool(v, "exclude", false))
        return 0;
    return canon_drop(c, STR("reasoning.exclude"), "what the model thinks is shown");
}

/* Anthropic's object, which some clients send here. */
static int read_thinking(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    if (!yyjson_is_obj(v))
        return fail_type(c, STR("thinking"), "an object");
    q->reasoning.mode = canon_thinking_parse(jr_get_str(v, "type"));
    if (q->reasoning.mode == THINKING_UNSET)
        return fail_type(c, STR("thinking.type"), "enabled, adaptive or disabled");
    return set_budget(c, v, "budget_tokens", STR("thinking.budget_tokens"), q);
}

static const struct {
    struct str name;
    int (*read)(struct canon_call *c, yyjson_val *v, struct canon_request *q);
} members[] = {
    {STR_INIT("model"), read_model},
    {STR_INIT("messages"), chat_read_messages},
    {STR_INIT("max_completion_tokens"), read_max_completion_tokens},
    {STR_INIT("max_tokens"), read_max_tokens},
    {STR_INIT("n"), read_n},
    {STR_INIT("stop"), read_stop},
    {STR_INIT("stream"), read_stream},
    {STR_INIT("stream_options"), read_stream_options},
    {STR_INIT("response_format"), read_format},
    {STR_INIT("tools"), chat_read_tools},
    {STR_INIT("tool_choice"), chat_read_tool_choice},
    {STR_INIT("parallel_tool_calls"), read_parallel},
    {STR_INIT("functions"), chat_read_functions},
    {STR_INIT("function_call"), chat_read_function_call},
    {STR_INIT("reasoning_effort"), read_effort},
    {STR_INIT("reasoning"), read_reasoning},
    {STR_INIT("thinking"), read_thinking},
};

/* OpenAI's newer name of the end user; where both are said it stays an extra. */
static int read_end_user(
    struct canon_call *c, yyjson_val *root, struct canon_request *q, bool *ret_taken)
{
    yyjson_val *v = yyjson_obj_get(root, "safety_identifier");
    struct canon_param *p = &q->param[PARAM_USER];
    *ret_taken = false;
    if (!v || yyjson_is_null(v) || yyjson_is_str(yyjson_obj_get(root, "user")))
        return 0;
    if (!yyjson_is_str(v))
        return fail_type(c, STR("safety_identifier"), "a text");
    p->raw = jr_raw(c->arena, v);
    p->name = STR("safety_identifier");
    *ret_taken = true;
    return p->raw.p ? 0 : canon_no_room(c);
}

static int add_extra(
    struct canon_call *c, struct str name, yyjson_val *v, struct canon_extra ***tail)
{
    struct canon_extra *x = arena_new(c->arena, struct canon_extra);
    if (!x)
        return canon_no_room(c);
    x->name = name;
    x->raw = jr_raw(c->arena, v);
    **tail = x;
    *tail = &x->next;
    return x->raw.p ? 0 : canon_no_room(c);
}

int chat_read_member(struct canon_call *c, struct str name, yyjson_val *v, struct canon_request *q,
    struct canon_extra ***extras)
{
    if (yyjson_is_null(v)) /* as if it were not there */
        return 0;
    for (unsigned i = 0; i < ARRAY_LEN(members); i++)
        if (str_eq(name, members[i].name))
            return members[i].read(c, v, q);
    int r = read_param(c, name, v, q);
    return r > 0 ? add_extra(c, name, v, extras) : r;
}

int chat_parse(struct canon_call *c, struct str body, yyjson_val **ret)
{
    const char *why;
    *ret = jr_parse(c->arena, body, &why);
    if (yyjson_is_obj(*ret))
        return 0;
    if (*ret)
        return canon_fail(c, STR(""), "The request body has to be a JSON object.");
    return str_eq(str_of(why), STR("it is too large"))
               ? canon_no_room(c)
               : canon_fail(c, STR(""), "The request body cannot be read: %s.", why);
}

int chat_read_request(struct canon_call *c, struct str body, struct canon_request *ret)
{
    struct canon_extra **extras = &ret->extras;
    yyjson_val *root, *key, *v;
    bool named_user = false;
    size_t i, n;
    canon_request_init(ret);
    ret->from = &wire_chat;
    int r = chat_parse(c, body, &root);
    if (r == 0)
        r = read_end_user(c, root, ret, &named_user);
    if (r < 0)
        return r;
    yyjson_obj_foreach(root, i, n, key, v)
    {
        struct str name = jr_str(key);
        if (named_user && str_eq(name, STR("safety_identifier")))
            continue;
        r = chat_read_member(c, name, v, ret, &extras);
        if (r < 0)
            return r;
    }
    if (!ret->messages)
        return canon_fail(c, STR("messages"), "messages is missing");
    return 0;
}
