/*
 * Reading an Anthropic request. Members of known names are strict in their types, and a fault is
 * named by its path. Members that nobody else has a word for become extras, under their path: a
 * writer of another wire declares each as lost. What is null is as if it were absent.
 */
#include "translate/messages_int.h"

#include "base/macros.h"

#include <stdio.h>

#define STOPS_MAX     64
#define INNER_MAX     64 /* extras that are no members of the body itself */
#define PATH_MAX_SIZE 160

/* --- places --- */

static size_t path_add(char *to, size_t at, const struct place *p)
{
    if (p->up)
        at = path_add(to, at, p->up);
    if (at >= PATH_MAX_SIZE - 1)
        return at;
    const char *dot = p->up && at ? "." : "";
    int n = p->name ? snprintf(to + at, PATH_MAX_SIZE - at, "%s%s", dot, p->name)
                    : snprintf(to + at, PATH_MAX_SIZE - at, "[%zu]", p->i);
    return MIN(at + (size_t)n, (size_t)PATH_MAX_SIZE - 1);
}

struct str place_path(struct canon_call *c, const struct place *at)
{
    char text[PATH_MAX_SIZE];
    size_t n = path_add(text, 0, at);
    return arena_dup(c->arena, str_at(text, n));
}

int place_wrong(struct canon_call *c, const struct place *at, const char *what)
{
    struct str path = place_path(c, at);
    return canon_fail(c, path, "'" STR_FMT "' must be %s.", STR_ARG(path), what);
}

int place_str(struct canon_call *c, yyjson_val *obj, const struct place *at, const char *name,
    struct str *ret)
{
    yyjson_val *v = yyjson_obj_get(obj, name);
    *ret = jr_str(v);
    if (!v || yyjson_is_null(v) || yyjson_is_str(v))
        return 0;
    return place_wrong(c, &(struct place){at, name, 0}, "a string");
}

int messages_extra(struct messages_reader *rd, const struct place *at, yyjson_val *v)
{
    if (at->up && rd->inner_n++ >= INNER_MAX)
        return 0;
    struct canon_extra *x = arena_new(rd->c->arena, struct canon_extra);
    if (!x)
        return canon_no_room(rd->c);
    x->name = place_path(rd->c, at);
    x->raw = jr_raw(rd->c->arena, v);
    if (!x->name.p || !x->raw.p)
        return canon_no_room(rd->c);
    *rd->extras = x;
    rd->extras = &x->next;
    return 0;
}

static bool is_known(const char *const *known, struct str name)
{
    for (; *known; known++)
        if (str_eq(str_of(*known), name))
            return true;
    return false;
}

int messages_others(
    struct messages_reader *rd, yyjson_val *obj, const struct place *at, const char *const *known)
{
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach(obj, i, n, key, v)
    {
        if (yyjson_is_null(v) || is_known(known, jr_str(key)))
            continue;
        int r = messages_extra(rd, &(struct place){at, yyjson_get_str(key), 0}, v);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- members --- */

typedef int member_fn(struct messages_reader *rd, yyjson_val *v, const struct place *at);

static int read_model(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    rd->q->model = jr_str(v);
    return yyjson_is_str(v) ? 0 : place_wrong(rd->c, at, "a string");
}

static int read_max_tokens(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    struct str raw = yyjson_is_raw(v) ? str_at(yyjson_get_raw(v), yyjson_get_len(v)) : STR_NONE;
    uint64_t n;
    if (str_u64(raw, &n) < 0 || n > INT64_MAX)
        return place_wrong(rd->c, at, "a whole number of 0 or more");
    rd->q->max_tokens = (int64_t)n;
    rd->q->max_tokens_name = STR("max_tokens");
    return 0;
}

static int read_number(
    struct messages_reader *rd, yyjson_val *v, const struct place *at, enum canon_param_id id)
{
    if (!yyjson_is_raw(v))
        return place_wrong(rd->c, at, "a number");
    struct str raw = str_at(yyjson_get_raw(v), yyjson_get_len(v));
    rd->q->param[id] = (struct canon_param){.raw = raw, .name = str_of(at->name)};
    return 0;
}

static int read_temperature(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    return read_number(rd, v, at, PARAM_TEMPERATURE);
}

static int read_top_p(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    return read_number(rd, v, at, PARAM_TOP_P);
}

static int read_top_k(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    return read_number(rd, v, at, PARAM_TOP_K);
}

static int read_stops(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    size_t i, n, count = yyjson_arr_size(v);
    yyjson_val *item;
    if (!yyjson_is_arr(v) || count > STOPS_MAX)
        return place_wrong(rd->c, at, "an array of at most 64 strings");
    struct str *stops = arena_alloc(rd->c->arena, MAX(count, 1u) * sizeof(*stops));
    if (!stops)
        return canon_no_room(rd->c);
    yyjson_arr_foreach(v, i, n, item)
    {
        stops[i] = jr_str(item);
        if (!yyjson_is_str(item))
            return place_wrong(rd->c, &(struct place){at, NULL, i}, "a string");
    }
    rd->q->stops = stops;
    rd->q->stops_n = (unsigned)count;
    rd->q->stops_called = STR("stop_sequences");
    return 0;
}

static int read_stream(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    rd->q->stream = rd->q->include_usage = yyjson_get_bool(v);
    return yyjson_is_bool(v) ? 0 : place_wrong(rd->c, at, "true or false");
}

static int read_metadata(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    static const char *const known[] = {"user_id", NULL};
    struct str user;
    if (!yyjson_is_obj(v))
        return place_wrong(rd->c, at, "an object");
    int r = place_str(rd->c, v, at, "user_id", &user);
    if (r < 0)
        return r;
    if (user.p)
        rd->q->param[PARAM_USER] = (struct canon_param){
            .raw = jr_raw(rd->c->arena, yyjson_obj_get(v, "user_id")),
            .name = STR("metadata.user_id"),
        };
    return messages_others(rd, v, at, known);
}

/* The canonical words are OpenAI's, which has more of them. */
static int read_tier(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    struct str tier = jr_str(v);
    if (!yyjson_is_str(v))
        return place_wrong(rd->c, at, "a string");
    struct str raw =
        str_eq(tier, STR("standard_only")) ? STR("\"default\"") : jr_raw(rd->c->arena, v);
    rd->q->param[PARAM_SERVICE_TIER] =
        (struct canon_param){.raw = raw, .name = STR("service_tier")};
    return 0;
}

static int read_thinking(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    static const char *const known[] = {"type", "budget_tokens", "display", NULL};
    struct canon_reasoning *t = &rd->q->reasoning;
    struct str type;
    if (!yyjson_is_obj(v))
        return place_wrong(rd->c, at, "an object");
    int r = place_str(rd->c, v, at, "type", &type);
    if (r == 0)
        r = place_str(rd->c, v, at, "display", &t->summary);
    if (r < 0)
        return r;
    t->called = STR("thinking");
    t->mode = canon_thinking_parse(type);
    if (t->mode == THINKING_UNSET)
        return messages_extra(rd, at, v);
    if (t->mode == THINKING_ON && !jr_get_int(v, "budget_tokens", &t->budget))
        return place_wrong(rd->c, &(struct place){at, "budget_tokens", 0}, "a whole number");
    return messages_others(rd, v, at, known);
}

static int read_format(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    static const char *const known[] = {"type", "schema", NULL};
    struct canon_response_format *f = &rd->q->format;
    struct str type;
    if (!yyjson_is_obj(v))
        return place_wrong(rd->c, at, "an object");
    int r = place_str(rd->c, v, at, "type", &type);
    if (r < 0)
        return r;
    if (!str_eq(type, STR("json_schema")))
        return place_wrong(rd->c, &(struct place){at, "type", 0}, "\"json_schema\"");
    if (!yyjson_is_obj(yyjson_obj_get(v, "schema")))
        return place_wrong(rd->c, &(struct place){at, "schema", 0}, "an object");
    f->kind = FORMAT_SCHEMA;
    f->raw = jr_raw(rd->c->arena, yyjson_obj_get(v, "schema"));
    f->called = place_path(rd->c, at);
    return messages_others(rd, v, at, known);
}

static int read_output(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    static const char *const known[] = {"effort", "format", NULL};
    struct str effort;
    if (!yyjson_is_obj(v))
        return place_wrong(rd->c, at, "an object");
    int r = place_str(rd->c, v, at, "effort", &effort);
    if (r < 0)
        return r;
    if (effort.p) {
        rd->q->reasoning.effort = canon_effort_parse(effort);
        if (rd->q->reasoning.effort == EFFORT_UNSET)
            return place_wrong(rd->c, &(struct place){at, "effort", 0},
                "\"low\", \"medium\", \"high\", \"xhigh\" or \"max\"");
        if (!rd->q->reasoning.called.n)
            rd->q->reasoning.called = STR("output_config.effort");
    }
    yyjson_val *format = yyjson_obj_get(v, "format");
    if (format && !yyjson_is_null(format))
        r = read_format(rd, format, &(struct place){at, "format", 0});
    return r < 0 ? r : messages_others(rd, v, at, known);
}

static int read_top_cache(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    return messages_read_cache(rd, v, at, &rd->q->cache);
}

/* --- tools --- */

static int read_function(
    struct messages_reader *rd, yyjson_val *v, const struct place *at, struct canon_tool *t)
{
    static const char *const known[] = {
        "type", "name", "description", "input_schema", "strict", "cache_control", NULL};
    yyjson_val *schema = yyjson_obj_get(v, "input_schema"), *strict = yyjson_obj_get(v, "strict");
    int r = place_str(rd->c, v, at, "description", &t->description);
    if (r < 0)
        return r;
    if (schema && !yyjson_is_null(schema) && !yyjson_is_obj(schema))
        return place_wrong(rd->c, &(struct place){at, "input_schema", 0}, "an object");
    if (strict && !yyjson_is_null(strict) && !yyjson_is_bool(strict))
        return place_wrong(rd->c, &(struct place){at, "strict", 0}, "true or false");
    t->raw = jr_raw(rd->c->arena, schema);
    t->strict = yyjson_is_bool(strict) ? yyjson_get_bool(strict) : -1;
    return messages_others(rd, v, at, known);
}

static int read_tool(
    struct messages_reader *rd, yyjson_val *v, const struct place *at, struct canon_tool *t)
{
    if (!yyjson_is_obj(v))
        return place_wrong(rd->c, at, "an object");
    t->strict = -1;
    int r = place_str(rd->c, v, at, "type", &t->type);
    if (r == 0)
        r = place_str(rd->c, v, at, "name", &t->name);
    if (r == 0)
        r = messages_read_cache(rd, yyjson_obj_get(v, "cache_control"),
            &(struct place){at, "cache_control", 0}, &t->cache);
    if (r < 0)
        return r;
    if (!t->type.p || str_eq(t->type, STR("custom"))) {
        t->type = STR_NONE;
        if (!t->name.n)
            return place_wrong(rd->c, &(struct place){at, "name", 0}, "a name");
        return read_function(rd, v, at, t);
    }
    t->maker = MAKER_ANTHROPIC;
    t->native = jr_raw(rd->c->arena, v);
    return t->native.p ? 0 : canon_no_room(rd->c);
}

static int read_tools(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    struct canon_tool **tail = &rd->q->tools;
    size_t i, n;
    yyjson_val *item;
    if (!yyjson_is_arr(v))
        return place_wrong(rd->c, at, "an array");
    yyjson_arr_foreach(v, i, n, item)
    {
        struct canon_tool *t = arena_new(rd->c->arena, struct canon_tool);
        if (!t)
            return canon_no_room(rd->c);
        int r = read_tool(rd, item, &(struct place){at, NULL, i}, t);
        if (r < 0)
            return r;
        *tail = t;
        tail = &t->next;
    }
    return 0;
}

static int read_named_choice(
    struct messages_reader *rd, yyjson_val *v, const struct place *at, struct canon_tool_choice *ch)
{
    struct str name;
    int r = place_str(rd->c, v, at, "name", &name);
    if (r < 0)
        return r;
    if (!name.n)
        return place_wrong(rd->c, &(struct place){at, "name", 0}, "the name of a tool");
    return canon_choose_one(rd->c, ch, name);
}

static int read_choice(struct messages_reader *rd, yyjson_val *v, const struct place *at)
{
    static const char *const known[] = {"type", "name", "disable_parallel_tool_use", NULL};
    struct canon_tool_choice *ch = &rd->q->tool_choice;
    struct str type;
    if (!yyjson_is_obj(v))
        return place_wrong(rd->c, at, "an object");
    int r = place_str(rd->c, v, at, "type", &type);
    if (r < 0)
        return r;
    ch->called = STR("tool_choice");
    ch->parallel_called = STR("tool_choice.disable_parallel_tool_use");
    if (str_eq(type, STR("auto")))
        ch->mode = TOOLS_AUTO;
    else if (str_eq(type, STR("any")))
        ch->mode = TOOLS_REQUIRED;
    else if (str_eq(type, STR("none")))
        ch->mode = TOOLS_NONE;
    else if (str_eq(type, STR("tool")))
        r = read_named_choice(rd, v, at, ch);
    else
        r = place_wrong(
            rd->c, &(struct place){at, "type", 0}, "\"auto\", \"any\", \"tool\" or \"none\"");
    yyjson_val *alone = yyjson_obj_get(v, "disable_parallel_tool_use");
    if (r == 0 && alone && !yyjson_is_null(alone)) {
        if (!yyjson_is_bool(alone))
            return place_wrong(
                rd->c, &(struct place){at, "disable_parallel_tool_use", 0}, "true or false");
        ch->parallel = !yyjson_get_bool(alone);
    }
    return r < 0 ? r : messages_others(rd, v, at, known);
}

/* --- messages --- */

static int add_message(struct messages_reader *rd, struct canon_message ***tail,
    enum canon_role role, yyjson_val *content, const struct place *at)
{
    struct canon_message *m = canon_add_message(rd->c, tail, role);
    if (!m)
        return -ENOMEM;
    struct canon_part **parts = &m->parts;
    return messages_read_content(rd, content, at, &parts);
}

static int read_message(
    struct messages_reader *rd, struct canon_message ***tail, yyjson_val *v, const struct place *at)
{
    static const char *const known[] = {"role", "content", NULL};
    struct str role;
    enum canon_role r_role;
    if (!yyjson_is_obj(v))
        return place_wrong(rd->c, at, "an object");
    int r = place_str(rd->c, v, at, "role", &role);
    if (r < 0)
        return r;
    if (str_eq(role, STR("user")))
        r_role = ROLE_USER;
    else if (str_eq(role, STR("assistant")))
        r_role = ROLE_ASSISTANT;
    else if (str_eq(role, STR("system")))
        r_role = ROLE_SYSTEM;
    else
        return place_wrong(
            rd->c, &(struct place){at, "role", 0}, "\"user\", \"assistant\" or \"system\"");
    r = add_message(
        rd, tail, r_role, yyjson_obj_get(v, "content"), &(struct place){at, "content", 0});
    return r < 0 ? r : messages_others(rd, v, at, known);
}

/* The system prompt stands first, wherever the body has it. */
static int read_dialogue(struct messages_reader *rd, yyjson_val *body)
{
    yyjson_val *system = yyjson_obj_get(body, "system"), *list = yyjson_obj_get(body, "messages");
    const struct place at_list = {NULL, "messages", 0}, at_system = {NULL, "system", 0};
    struct canon_message **tail = &rd->q->messages;
    int r = 0;
    size_t i, n;
    yyjson_val *item;
    if (system && !yyjson_is_null(system) && yyjson_get_len(system))
        r = add_message(rd, &tail, ROLE_SYSTEM, system, &at_system);
    else if (system && !yyjson_is_null(system) && !yyjson_is_str(system) && !yyjson_is_arr(system))
        r = place_wrong(rd->c, &at_system, "a string or an array of blocks");
    if (r < 0)
        return r;
    if (!yyjson_is_arr(list))
        return place_wrong(rd->c, &at_list, "an array");
    yyjson_arr_foreach(list, i, n, item)
    {
        r = read_message(rd, &tail, item, &(struct place){&at_list, NULL, i});
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- the body --- */

static const struct {
    struct str name;
    member_fn *read; /* NULL: read elsewhere, or of the envelope */
} members[] = {
    {STR_INIT("model"), read_model},
    {STR_INIT("messages"), NULL},
    {STR_INIT("system"), NULL},
    {STR_INIT("max_tokens"), read_max_tokens},
    {STR_INIT("temperature"), read_temperature},
    {STR_INIT("top_p"), read_top_p},
    {STR_INIT("top_k"), read_top_k},
    {STR_INIT("stop_sequences"), read_stops},
    {STR_INIT("stream"), read_stream},
    {STR_INIT("metadata"), read_metadata},
    {STR_INIT("service_tier"), read_tier},
    {STR_INIT("thinking"), read_thinking},
    {STR_INIT("output_config"), read_output},
    {STR_INIT("output_format"), read_format}, /* its name while it was new */
    {STR_INIT("tools"), read_tools},
    {STR_INIT("tool_choice"), read_choice},
    {STR_INIT("cache_control"), read_top_cache},
    {STR_INIT("anthropic_version"), NULL},
    {STR_INIT("anthropic_beta"), NULL},
};

static int read_member(struct messages_reader *rd, yyjson_val *key, yyjson_val *v)
{
    const struct place at = {NULL, yyjson_get_str(key), 0};
    if (yyjson_is_null(v))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (str_eq(members[i].name, jr_str(key)))
            return members[i].read ? members[i].read(rd, v, &at) : 0;
    return messages_extra(rd, &at, v);
}

int messages_read_request(struct canon_call *c, struct str body, struct canon_request *q)
{
    struct messages_reader rd = {.c = c, .q = q, .extras = &q->extras};
    const char *why;
    size_t i, n;
    yyjson_val *key, *v, *root = jr_parse(c->arena, body, &why);
    canon_request_init(q);
    if (!root)
        return canon_fail(c, STR_NONE, "The body cannot be read: %s.", why);
    if (!yyjson_is_obj(root))
        return canon_fail(c, STR_NONE, "The body must be a JSON object.");
    q->from = &wire_messages;
    int r = read_dialogue(&rd, root);
    if (r < 0)
        return r;
    yyjson_obj_foreach(root, i, n, key, v)
    {
        r = read_member(&rd, key, v);
        if (r < 0)
            return r;
    }
    return 0;
}
