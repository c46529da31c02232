/*
 * A client's request: its parameters. input is read in responses_input.c, tools in
 * responses_tools.c.
 *
 * Members that only make sense where the provider keeps state (conversation, prompt, background)
 * are refused: without them the answer would be to another question. What previous_response_id
 * leads to has been put before the input by the gateway, which also keeps what store asks for.
 */
#include "translate/responses_int.h"

#include "base/macros.h"

#include <errno.h>

/* Parameters that go into canon_request.param as they are. */
static const struct {
    const char *name;
    enum canon_param_id id;
    enum { A_NUMBER, A_TEXT, AN_OBJECT } type;
} params[] = {
    {"temperature", PARAM_TEMPERATURE, A_NUMBER}, {"top_p", PARAM_TOP_P, A_NUMBER},
    {"top_logprobs", PARAM_TOP_LOGPROBS, A_NUMBER}, {"metadata", PARAM_METADATA, AN_OBJECT},
    {"service_tier", PARAM_SERVICE_TIER, A_TEXT},
    {"prompt_cache_key", PARAM_PROMPT_CACHE_KEY, A_TEXT},
    {"prompt_cache_retention", PARAM_PROMPT_CACHE_RETENTION, A_TEXT}, {"user", PARAM_USER, A_TEXT},
    {"safety_identifier", PARAM_USER, A_TEXT}, /* the newer name: it wins */
};

static const char *const type_names[] = {"a number", "a string", "an object"};

static bool is_of_type(yyjson_val *v, unsigned type)
{
    switch (type) {
    case A_NUMBER:
        return yyjson_is_raw(v);
    case A_TEXT:
        return yyjson_is_str(v);
    default:
        return yyjson_is_obj(v);
    }
}

static int read_params(struct canon_call *c, yyjson_val *body, struct canon_request *q)
{
    for (unsigned i = 0; i < ARRAY_LEN(params); i++) {
        struct str name = str_of(params[i].name);
        yyjson_val *v = responses_get(body, params[i].name);
        if (!v)
            continue;
        if (!is_of_type(v, params[i].type))
            return place_wrong(c, IN(NULL, params[i].name), type_names[params[i].type]);
        if (yyjson_is_obj(v) && yyjson_obj_size(v) == 0)
            continue;
        q->param[params[i].id] = (struct canon_param){jr_raw(c->arena, v), name};
    }
    return 0;
}

/* --- instructions --- */

static int read_instructions(struct canon_call *c, yyjson_val *body, struct canon_message ***tail)
{
    struct str text;
    int r = place_str(c, body, NULL, "instructions", &text);

    if (r < 0 || !text.n)
        return r;
    return canon_add_words(c, tail, ROLE_SYSTEM, text);
}

/* --- text --- */

static const struct place text_at = {NULL, "text", 0};

static int read_schema(
    struct canon_call *c, yyjson_val *v, const struct place *at, struct canon_response_format *f)
{
    yyjson_val *schema = responses_get(v, "schema"), *strict = responses_get(v, "strict");
    int r = place_str(c, v, at, "name", &f->name);

    r = r < 0 ? r : place_str(c, v, at, "description", &f->description);
    if (r < 0)
        return r;
    if (!yyjson_is_obj(schema))
        return place_wrong(c, IN(at, "schema"), "an object");
    if (strict && !yyjson_is_bool(strict))
        return place_wrong(c, IN(at, "strict"), "a boolean");
    f->raw = jr_raw(c->arena, schema);
    f->strict = strict ? yyjson_get_bool(strict) : -1;
    return 0;
}

static int read_format(struct canon_call *c, yyjson_val *v, struct canon_response_format *f)
{
    const struct place *at = IN(&text_at, "format");
    struct str type;

    f->called = STR("text.format");
    if (!yyjson_is_obj(v))
        return place_wrong(c, at, "an object");
    int r = place_str(c, v, at, "type", &type);
    if (r < 0)
        return r;
    if (str_eq(type, STR("json_schema"))) {
        f->kind = FORMAT_SCHEMA;
        return read_schema(c, v, at, f);
    }
    if (str_eq(type, STR("json_object")))
        f->kind = FORMAT_JSON;
    else if (str_eq(type, STR("text")))
        f->kind = FORMAT_TEXT;
    else
        return canon_fail(
            c, STR("text.format.type"), "Invalid value: '" STR_FMT "'.", STR_ARG(str_to(type, 64)));
    return 0;
}

static int read_text_member(struct canon_call *c, yyjson_val *body, struct canon_request *q)
{
    yyjson_val *text = responses_get(body, "text"), *format, *verbosity;

    if (!text)
        return 0;
    if (!yyjson_is_obj(text))
        return place_wrong(c, &text_at, "an object");
    format = responses_get(text, "format");
    verbosity = responses_get(text, "verbosity");
    if (verbosity && !yyjson_is_str(verbosity))
        return place_wrong(c, IN(&text_at, "verbosity"), "a string");
    if (verbosity)
        q->param[PARAM_VERBOSITY] =
            (struct canon_param){jr_raw(c->arena, verbosity), STR("text.verbosity")};
    return format ? read_format(c, format, &q->format) : 0;
}

/* --- reasoning --- */

static int read_reasoning(struct canon_call *c, yyjson_val *body, struct canon_request *q)
{
    static const char *const others[] = {"context", "mode"};
    struct canon_reasoning *to = &q->reasoning;
    yyjson_val *v = responses_get(body, "reasoning");
    const struct place *at = IN(NULL, "reasoning");
    struct str effort, older;

    if (!v)
        return 0;
    if (!yyjson_is_obj(v))
        return place_wrong(c, at, "an object");
    int r = place_str(c, v, at, "effort", &effort);
    r = r < 0 ? r : place_str(c, v, at, "generate_summary", &older);
    r = r < 0 ? r : place_str(c, v, at, "summary", &to->summary);
    if (r < 0)
        return r;
    if (!to->summary.p)
        to->summary = older;
    to->called = STR("reasoning");
    to->effort = canon_effort_parse(effort);
    if (effort.n && to->effort == EFFORT_UNSET)
        return canon_fail(c, STR("reasoning.effort"), "Invalid value: '" STR_FMT "'.",
            STR_ARG(str_to(effort, 64)));
    for (unsigned i = 0; r == 0 && i < ARRAY_LEN(others); i++)
        if (responses_get(v, others[i]))
            r = canon_drop(c, place_path(c, IN(at, others[i])), "only OpenAI's models know it");
    return r;
}

/* --- include, stream_options --- */

static int read_include(struct canon_call *c, yyjson_val *body, struct canon_request *q)
{
    yyjson_val *list = responses_get(body, "include"), *one;
    size_t i, n;
    int r = 0;

    if (!list)
        return 0;
    if (!yyjson_is_arr(list))
        return place_wrong(c, IN(NULL, "include"), "an array");
    yyjson_arr_foreach(list, i, n, one)
    {
        struct str what = jr_str(one);
        if (!what.p)
            return place_wrong(c, AT(IN(NULL, "include"), i), "a string");
        if (str_eq(what, STR("message.output_text.logprobs")))
            q->param[PARAM_LOGPROBS] = (struct canon_param){STR("true"), STR("include")};
        else if (!str_eq(what, STR("reasoning.encrypted_content"))) /* is always given */
            r = canon_drop(c, place_path(c, AT(IN(NULL, "include"), i)),
                "it asks for results of OpenAI's own tools");
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_stream(struct canon_call *c, yyjson_val *body, struct canon_request *q)
{
    yyjson_val *stream = responses_get(body, "stream");
    yyjson_val *options = responses_get(body, "stream_options");
    yyjson_val *store = responses_get(body, "store");

    if (store && !yyjson_is_bool(store))
        return place_wrong(c, IN(NULL, "store"), "a boolean");
    if (stream && !yyjson_is_bool(stream))
        return place_wrong(c, IN(NULL, "stream"), "a boolean");
    if (options && !yyjson_is_obj(options))
        return place_wrong(c, IN(NULL, "stream_options"), "an object");
    q->stream = yyjson_get_bool(stream);
    q->include_usage = true;
    if (jr_get_bool(options, "include_obfuscation", false))
        return canon_drop(
            c, STR("stream_options.include_obfuscation"), "events are sent without padding");
    return 0;
}

/* --- the rest --- */

static int read_max_tokens(struct canon_call *c, yyjson_val *body, struct canon_request *q)
{
    if (!responses_get(body, "max_output_tokens"))
        return 0;
    if (!jr_get_int(body, "max_output_tokens", &q->max_tokens) || q->max_tokens < 0)
        return place_wrong(c, IN(NULL, "max_output_tokens"), "a positive integer");
    q->max_tokens_name = STR("max_output_tokens");
    return 0;
}

static int refuse_state(struct canon_call *c, yyjson_val *body)
{
    static const struct {
        const char *name, *why;
    } stateful[] = {
        {"conversation", "Conversations lie at OpenAI; this model is served by another provider. "
                         "Use previous_response_id, or send the items."},
        {"prompt", "Prompt templates lie at OpenAI; this model is served by another provider."},
    };

    for (unsigned i = 0; i < ARRAY_LEN(stateful); i++)
        if (responses_get(body, stateful[i].name))
            return canon_fail(c, str_of(stateful[i].name), "%s", stateful[i].why);
    if (jr_get_bool(body, "background", false))
        return canon_fail(
            c, STR("background"), "Only OpenAI's own models can answer in the background.");
    return 0;
}

static const char *const known[] = {"model", "input", "instructions", "tools", "tool_choice",
    "parallel_tool_calls", "text", "reasoning", "include", "max_output_tokens", "stream",
    "stream_options", "previous_response_id", "conversation", "prompt", "background", "store"};

static bool is_known(struct str name)
{
    for (unsigned i = 0; i < ARRAY_LEN(known); i++)
        if (str_eq(name, str_of(known[i])))
            return true;
    for (unsigned i = 0; i < ARRAY_LEN(params); i++)
        if (str_eq(name, str_of(params[i].name)))
            return true;
    return false;
}

/* What it says anyway, where it is left out. */
static bool is_default(struct str name, yyjson_val *v)
{
    return str_eq(name, STR("truncation")) && str_eq(jr_str(v), STR("disabled"));
}

static int read_extras(struct canon_call *c, yyjson_val *body, struct canon_request *q)
{
    struct canon_extra **tail = &q->extras;
    yyjson_val *key, *v;
    size_t i, n;

    yyjson_obj_foreach(body, i, n, key, v)
    {
        struct str name = jr_str(key);
        if (yyjson_is_null(v) || is_known(name) || is_default(name, v))
            continue;
        struct canon_extra *e = arena_new(c->arena, struct canon_extra);
        if (!e)
            return canon_no_room(c);
        e->name = name;
        e->raw = jr_raw(c->arena, v);
        *tail = e;
        tail = &e->next;
    }
    if (responses_get(body, "user") && responses_get(body, "safety_identifier")) {
        struct canon_extra *e = arena_new(c->arena, struct canon_extra);
        if (!e)
            return canon_no_room(c);
        *e = (struct canon_extra){.name = STR("user")};
        e->raw = jr_raw(c->arena, responses_get(body, "user"));
        *tail = e;
    }
    return 0;
}

static int read_tools(struct canon_call *c, yyjson_val *body, struct canon_request *q)
{
    yyjson_val *tools = responses_get(body, "tools"), *choice = responses_get(body, "tool_choice");
    yyjson_val *parallel = responses_get(body, "parallel_tool_calls");
    int r = tools ? responses_read_tools(c, q, tools) : 0;

    if (r == 0 && choice)
        r = responses_read_tool_choice(c, q, choice);
    if (r == 0 && parallel && !yyjson_is_bool(parallel))
        r = place_wrong(c, IN(NULL, "parallel_tool_calls"), "a boolean");
    if (r == 0 && parallel)
        q->tool_choice.parallel = yyjson_get_bool(parallel);
    return r;
}

static int read_messages(struct canon_call *c, yyjson_val *body, struct canon_request *q)
{
    struct canon_message **tail = &q->messages;
    yyjson_val *input = responses_get(body, "input");
    int r = read_instructions(c, body, &tail);

    r = r < 0 ? r : place_str(c, body, NULL, "previous_response_id", &q->previous_response);
    if (r == 0 && !input && !q->previous_response.n)
        r = responses_missing(c, NULL, "input");
    return r < 0 || !input ? r : responses_read_input(c, tail, input);
}

int responses_read_request(struct canon_call *c, struct str body, struct canon_request *ret)
{
    const char *why;
    yyjson_val *root = jr_parse(c->arena, body, &why);

    canon_request_init(ret);
    if (!yyjson_is_obj(root))
        return canon_fail(
            c, STR_NONE, "The body is no JSON object: %s.", root ? "it is another value" : why);
    ret->from = &wire_responses;
    ret->echo = root;
    int r = place_str(c, root, NULL, "model", &ret->model);
    r = r < 0 ? r : refuse_state(c, root);
    r = r < 0 ? r : read_messages(c, root, ret);
    r = r < 0 ? r : read_tools(c, root, ret);
    r = r < 0 ? r : read_params(c, root, ret);
    r = r < 0 ? r : read_text_member(c, root, ret);
    r = r < 0 ? r : read_reasoning(c, root, ret);
    r = r < 0 ? r : read_include(c, root, ret);
    r = r < 0 ? r : read_max_tokens(c, root, ret);
    r = r < 0 ? r : read_stream(c, root, ret);
    return r < 0 ? r : read_extras(c, root, ret);
}
