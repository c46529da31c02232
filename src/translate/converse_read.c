/*
 * A client's request to Bedrock Converse. The model and whether to stream stand in the path: the
 * caller sets q->model and q->stream. What a publisher's models take beside the common parameters
 * is looked for in additionalModelRequestFields.
 */
#include "translate/converse_int.h"

static void set_param(struct canon_call *c, struct canon_request *q, enum canon_param_id id,
    const char *name, yyjson_val *v)
{
    if (v && !yyjson_is_null(v))
        q->param[id] = (struct canon_param){.raw = jr_raw(c->arena, v), .name = str_of(name)};
}

static int add_extra(struct canon_call *c, struct canon_request *q, struct str name, struct str raw)
{
    struct canon_extra **tail = &q->extras, *e = arena_new(c->arena, struct canon_extra);

    if (!e)
        return canon_no_room(c);
    while (*tail)
        tail = &(*tail)->next;
    *e = (struct canon_extra){.name = name, .raw = raw};
    *tail = e;
    return 0;
}

/* --- messages --- */

static int read_role(struct str role, enum canon_role *ret)
{
    if (str_eq(role, STR("user")))
        *ret = ROLE_USER;
    else if (str_eq(role, STR("assistant")))
        *ret = ROLE_ASSISTANT;
    else if (str_eq(role, STR("system")))
        *ret = ROLE_SYSTEM;
    else
        return -EINVAL;
    return 0;
}

static int read_content(
    struct canon_call *c, struct canon_message *m, struct str at, yyjson_val *content)
{
    struct converse_blocks b = {.c = c, .tail = &m->parts, .at = at.p};

    if (!at.p)
        return canon_no_room(c);
    if (!yyjson_is_arr(content))
        return canon_fail(c, at, STR_FMT " has to be an array.", STR_ARG(at));
    return converse_read_blocks(&b, content);
}

static int read_messages(struct canon_call *c, yyjson_val *list, struct canon_request *q)
{
    struct canon_message **tail = &q->messages;
    enum canon_role role;
    yyjson_val *v;
    size_t i, max;
    int r = 0;

    if (!yyjson_is_arr(list) || !yyjson_arr_size(list))
        return canon_wrong(c, "messages", "an array that is not empty");
    while (*tail)
        tail = &(*tail)->next;
    yyjson_arr_foreach(list, i, max, v)
    {
        struct str at = arena_printf(c->arena, "messages[%zu].content", i);
        if (r < 0)
            break;
        if (read_role(jr_get_str(v, "role"), &role) < 0) {
            at = arena_printf(c->arena, "messages[%zu].role", i);
            r = canon_fail(c, at, STR_FMT " has to be user or assistant.", STR_ARG(at));
            break;
        }
        struct canon_message *m = canon_add_message(c, &tail, role);
        r = m ? read_content(c, m, at, yyjson_obj_get(v, "content")) : -ENOMEM;
    }
    return r;
}

static int read_system(struct canon_call *c, yyjson_val *list, struct canon_request *q)
{
    struct canon_message **tail = &q->messages;

    if (!list)
        return 0;
    struct canon_message *m = canon_add_message(c, &tail, ROLE_SYSTEM);
    return m ? read_content(c, m, STR("system"), list) : -ENOMEM;
}

/* --- tools --- */

static int read_spec(struct canon_call *c, yyjson_val *spec, size_t i, struct canon_tool ***tail,
    struct canon_tool **last)
{
    struct canon_tool *t = arena_new(c->arena, struct canon_tool);
    yyjson_val *schema = yyjson_obj_get(yyjson_obj_get(spec, "inputSchema"), "json");
    yyjson_val *strict = yyjson_obj_get(spec, "strict");

    if (!t)
        return canon_no_room(c);
    t->name = jr_get_str(spec, "name");
    if (!t->name.n) {
        struct str at = arena_printf(c->arena, "toolConfig.tools[%zu].toolSpec.name", i);
        return canon_fail(c, at, STR_FMT " has to be a text.", STR_ARG(at));
    }
    t->description = jr_get_str(spec, "description");
    t->raw = jr_raw(c->arena, schema);
    t->strict = yyjson_is_bool(strict) ? yyjson_get_bool(strict) : -1;
    **tail = *last = t;
    *tail = &t->next;
    return 0;
}

static int read_system_tool(
    struct canon_call *c, yyjson_val *v, struct canon_tool ***tail, struct canon_tool **last)
{
    struct canon_tool *t = arena_new(c->arena, struct canon_tool);

    if (!t)
        return canon_no_room(c);
    t->strict = -1;
    t->name = t->type = jr_get_str(v, "name");
    t->native = jr_raw(c->arena, v);
    t->maker = MAKER_OTHER;
    **tail = *last = t;
    *tail = &t->next;
    return 0;
}

static int read_tool(struct canon_call *c, yyjson_val *v, size_t i, struct canon_tool ***tail,
    struct canon_tool **last)
{
    yyjson_val *spec = yyjson_obj_get(v, "toolSpec"), *own = yyjson_obj_get(v, "systemTool");
    yyjson_val *mark = yyjson_obj_get(v, "cachePoint");

    if (spec)
        return read_spec(c, spec, i, tail, last);
    if (own)
        return read_system_tool(c, own, tail, last);
    if (mark && *last)
        (*last)->cache = str_eq(jr_get_str(mark, "ttl"), STR("1h")) ? CACHE_1H : CACHE_5M;
    return 0;
}

static int read_choice(struct canon_call *c, yyjson_val *v, struct canon_tool_choice *t)
{
    yyjson_val *one = yyjson_obj_get(v, "tool");
    struct str *name;

    t->called = STR("toolConfig.toolChoice");
    if (yyjson_obj_get(v, "auto"))
        t->mode = TOOLS_AUTO;
    else if (yyjson_obj_get(v, "any"))
        t->mode = TOOLS_REQUIRED;
    if (!one)
        return 0;
    if (!(name = arena_new(c->arena, struct str)))
        return canon_no_room(c);
    *name = jr_get_str(one, "name");
    if (!name->n)
        return canon_wrong(c, "toolConfig.toolChoice.tool.name", "a text");
    t->mode = TOOLS_ONE;
    t->names = name;
    t->names_n = 1;
    return 0;
}

static int read_tools(struct canon_call *c, yyjson_val *config, struct canon_request *q)
{
    yyjson_val *list = yyjson_obj_get(config, "tools"), *v;
    struct canon_tool **tail = &q->tools, *last = NULL;
    size_t i, max;
    int r = 0;

    if (config && !yyjson_is_arr(list))
        return canon_wrong(c, "toolConfig.tools", "an array");
    yyjson_arr_foreach(list, i, max, v)
    {
        if (r == 0)
            r = read_tool(c, v, i, &tail, &last);
    }
    return r < 0 ? r : read_choice(c, yyjson_obj_get(config, "toolChoice"), &q->tool_choice);
}

/* --- parameters --- */

static int read_stops(struct canon_call *c, yyjson_val *list, struct canon_request *q)
{
    static const char name[] = "inferenceConfig.stopSequences";
    yyjson_val *v;
    size_t i, max;

    if (!list)
        return 0;
    struct str *stops = arena_alloc(c->arena, (yyjson_arr_size(list) + 1) * sizeof(*stops));
    if (!stops)
        return canon_no_room(c);
    yyjson_arr_foreach(list, i, max, v)
    {
        stops[i] = jr_str(v);
        if (!stops[i].p)
            return canon_wrong(c, name, "an array of texts");
    }
    q->stops = stops;
    q->stops_n = (unsigned)yyjson_arr_size(list);
    q->stops_called = str_of(name);
    return yyjson_is_arr(list) ? 0 : canon_wrong(c, name, "an array of texts");
}

static int read_inference(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    yyjson_val *max = yyjson_obj_get(v, "maxTokens");

    if (v && !yyjson_is_obj(v))
        return canon_wrong(c, "inferenceConfig", "an object");
    if (max && !jr_get_int(v, "maxTokens", &q->max_tokens))
        return canon_wrong(c, "inferenceConfig.maxTokens", "a whole number");
    q->max_tokens_name = STR("inferenceConfig.maxTokens");
    set_param(
        c, q, PARAM_TEMPERATURE, "inferenceConfig.temperature", yyjson_obj_get(v, "temperature"));
    set_param(c, q, PARAM_TOP_P, "inferenceConfig.topP", yyjson_obj_get(v, "topP"));
    return read_stops(c, yyjson_obj_get(v, "stopSequences"), q);
}

static void read_thinking(yyjson_val *v, struct canon_request *q)
{
    struct canon_reasoning *t = &q->reasoning;
    struct str type = jr_get_str(v, "type");

    t->called = STR("additionalModelRequestFields.thinking");
    t->summary = jr_get_str(v, "display");
    if (str_eq(type, STR("disabled")))
        t->mode = THINKING_OFF;
    else if (str_eq(type, STR("adaptive")))
        t->mode = THINKING_ADAPTIVE;
    else if (str_eq(type, STR("enabled")))
        t->mode = THINKING_ON;
    jr_get_int(v, "budget_tokens", &t->budget);
}

static void read_reasoning_config(yyjson_val *v, struct canon_request *q)
{
    struct canon_reasoning *t = &q->reasoning;

    t->called = STR("additionalModelRequestFields.reasoningConfig");
    t->effort = canon_effort_parse(jr_get_str(v, "maxReasoningEffort"));
    t->mode = str_eq(jr_get_str(v, "type"), STR("disabled")) ? THINKING_OFF : THINKING_ON;
}

/* True when the field has a place in the canonical form. */
static bool take_field(
    struct canon_call *c, struct str name, yyjson_val *v, struct canon_request *q)
{
    if (str_eq(name, STR("top_k"))) {
        set_param(c, q, PARAM_TOP_K, "additionalModelRequestFields.top_k", v);
    } else if (str_eq(name, STR("thinking"))) {
        read_thinking(v, q);
    } else if (str_eq(name, STR("reasoningConfig"))) {
        read_reasoning_config(v, q);
    } else if (str_eq(name, STR("reasoning_effort"))) {
        q->reasoning.called = STR("additionalModelRequestFields.reasoning_effort");
        q->reasoning.effort = canon_effort_parse(jr_str(v));
    } else {
        return str_eq(name, STR("anthropic_beta")); /* read before */
    }
    return true;
}

/* What has no place stays together under the member's name. */
static int read_fields(struct canon_call *c, yyjson_val *fields, struct canon_request *q)
{
    _cleanup_(buf_free) struct buf text = {0};
    struct jw w = {.out = &text};
    yyjson_val *key, *v;
    size_t i, max;

    if (fields && !yyjson_is_obj(fields))
        return canon_wrong(c, "additionalModelRequestFields", "an object");
    int r = messages_read_betas(c, yyjson_obj_get(fields, "anthropic_beta"));
    if (r < 0)
        return r;
    buf_init(&text, LIMIT_BODY_BYTES);
    jw_open(&w, '{');
    yyjson_obj_foreach(fields, i, max, key, v)
    {
        if (take_field(c, jr_str(key), v, q))
            continue;
        jw_key_str(&w, jr_str(key));
        jw_raw(&w, jr_raw(c->arena, v));
    }
    jw_close(&w, '}');
    if (text.n <= 2)
        return 0;
    struct str raw = text.err ? STR_NONE : arena_dup(c->arena, buf_str(&text));
    return raw.p ? add_extra(c, q, STR("additionalModelRequestFields"), raw) : canon_no_room(c);
}

static int read_format(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    static const char name[] = "outputConfig.textFormat.structure.jsonSchema.schema";
    yyjson_val *schema = yyjson_obj_get(yyjson_obj_get(v, "structure"), "jsonSchema");
    const char *why;

    if (!v)
        return 0;
    yyjson_val *root = jr_parse(c->arena, jr_get_str(schema, "schema"), &why);
    if (!yyjson_is_obj(root))
        return canon_wrong(c, name, "a text that holds a JSON schema");
    q->format.kind = FORMAT_SCHEMA;
    q->format.called = STR("outputConfig.textFormat");
    q->format.raw = jr_raw(c->arena, root);
    q->format.name = jr_get_str(schema, "name");
    q->format.description = jr_get_str(schema, "description");
    return 0;
}

static int read_output(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    struct str effort = jr_get_str(v, "effort");

    if (effort.n) {
        q->reasoning.effort = canon_effort_parse(effort);
        if (!q->reasoning.called.n)
            q->reasoning.called = STR("outputConfig.effort");
        if (q->reasoning.effort == EFFORT_UNSET)
            return canon_wrong(c, "outputConfig.effort", "low, medium, high, xhigh or max");
    }
    return read_format(c, yyjson_obj_get(v, "textFormat"), q);
}

static int read_rest(struct canon_call *c, yyjson_val *root, struct canon_request *q)
{
    static const char *const known[] = {"messages", "system", "inferenceConfig", "toolConfig",
        "additionalModelRequestFields", "requestMetadata", "serviceTier", "outputConfig",
        "modelId"};
    yyjson_val *key, *v;
    size_t i, max;
    int r = 0;

    yyjson_obj_foreach(root, i, max, key, v)
    {
        bool is_known = false;
        for (unsigned k = 0; k < ARRAY_LEN(known); k++)
            is_known |= str_eq(jr_str(key), str_of(known[k]));
        if (!is_known && r == 0)
            r = add_extra(c, q, jr_str(key), jr_raw(c->arena, v));
    }
    return r;
}

int converse_read_request(struct canon_call *c, struct str body, struct canon_request *q)
{
    const char *why = "no JSON";
    yyjson_val *root = jr_parse(c->arena, body, &why);
    int r;

    canon_request_init(q);
    if (!yyjson_is_obj(root))
        return canon_fail(
            c, STR_NONE, "The body is no JSON object: %s.", root ? "another value" : why);
    r = read_system(c, yyjson_obj_get(root, "system"), q);
    if (r == 0)
        r = read_messages(c, yyjson_obj_get(root, "messages"), q);
    if (r == 0)
        r = read_tools(c, yyjson_obj_get(root, "toolConfig"), q);
    if (r == 0)
        r = read_inference(c, yyjson_obj_get(root, "inferenceConfig"), q);
    if (r == 0)
        r = read_fields(c, yyjson_obj_get(root, "additionalModelRequestFields"), q);
    if (r == 0)
        r = read_output(c, yyjson_obj_get(root, "outputConfig"), q);
    set_param(c, q, PARAM_METADATA, "requestMetadata", yyjson_obj_get(root, "requestMetadata"));
    set_param(c, q, PARAM_SERVICE_TIER, "serviceTier",
        yyjson_obj_get(yyjson_obj_get(root, "serviceTier"), "type"));
    return r == 0 ? read_rest(c, root, q) : r;
}
