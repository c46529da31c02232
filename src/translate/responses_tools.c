/*
 * Tools and their choice, both ways. A function is flat here ("name" beside "type"); free-form
 * tools are of type custom, their grammar in canon_tool.raw as this dialect writes it. All other
 * types are tools of OpenAI's own, kept as they came.
 */
#include "translate/responses_int.h"

#include "base/macros.h"

#include <errno.h>

/* --- reading --- */

static int read_function(
    struct canon_call *c, yyjson_val *v, const struct place *at, struct canon_tool *t)
{
    yyjson_val *schema = responses_get(v, "parameters"), *strict = responses_get(v, "strict");

    if (schema && !yyjson_is_obj(schema))
        return place_wrong(c, IN(at, "parameters"), "an object");
    if (strict && !yyjson_is_bool(strict))
        return place_wrong(c, IN(at, "strict"), "a boolean");
    t->raw = jr_raw(c->arena, schema);
    t->strict = strict ? yyjson_get_bool(strict) : -1;
    return 0;
}

/* Members that are of use here alone: "output_schema", "allowed_callers", … */
static int drop_others(struct canon_call *c, yyjson_val *v, const struct place *at)
{
    static const struct str known[] = {STR_INIT("type"), STR_INIT("name"), STR_INIT("description"),
        STR_INIT("parameters"), STR_INIT("strict"), STR_INIT("format")};
    yyjson_val *key, *value;
    size_t i, n;
    int r = 0;

    yyjson_obj_foreach(v, i, n, key, value)
    {
        bool is_known = yyjson_is_null(value) || yyjson_is_false(value);
        for (unsigned k = 0; k < ARRAY_LEN(known); k++)
            is_known |= str_eq(jr_str(key), known[k]);
        if (!is_known && r == 0)
            r = canon_drop(c, responses_join(c->arena, place_path(c, at), ".", jr_str(key)),
                "it is not known there");
    }
    return r;
}

static int read_tool(
    struct canon_call *c, yyjson_val *v, const struct place *at, struct canon_tool *t)
{
    struct str type;
    int r = place_str(c, v, at, "type", &type);

    if (r < 0)
        return r;
    t->strict = -1;
    t->is_custom = str_eq(type, STR("custom"));
    if (!t->is_custom && !str_eq(type, STR("function"))) {
        t->native = jr_raw(c->arena, v);
        t->type = type;
        t->maker = MAKER_OPENAI;
        return 0;
    }
    r = place_str(c, v, at, "name", &t->name);
    r = r < 0 ? r : place_str(c, v, at, "description", &t->description);
    if (r == 0 && !t->name.n)
        r = responses_missing(c, at, "name");
    r = r < 0 ? r : drop_others(c, v, at);
    if (r < 0)
        return r;
    if (t->is_custom) {
        t->raw = jr_raw(c->arena, responses_get(v, "format"));
        return 0;
    }
    return read_function(c, v, at, t);
}

/* --- namespaces: groups of tools, whose names others know as "group__tool" --- */

struct str responses_full_name(struct canon_call *c, struct str space, struct str name)
{
    struct str full;

    if (!space.n)
        return name;
    full = responses_join(c->arena, space, str_ends(space, STR("__")) ? "" : "__", name);
    return full.p ? full : name;
}

static bool is_full_name(struct str full, struct str space, struct str name)
{
    struct str between = str_ends(space, STR("__")) ? STR("") : STR("__");
    struct str rest = str_from(full, space.n);

    return full.n == space.n + between.n + name.n && str_starts(full, space) &&
           str_starts(rest, between) && str_eq(str_from(rest, between.n), name);
}

/* The inner name, where the tool is one of the group's; p NULL. */
static struct str name_within(yyjson_val *group, struct str full)
{
    yyjson_val *one;
    size_t i, n;

    if (!str_eq(jr_get_str(group, "type"), STR("namespace")))
        return STR_NONE;
    yyjson_arr_foreach(yyjson_obj_get(group, "tools"), i, n, one)
    {
        struct str name = jr_get_str(one, "name");
        if (name.n && is_full_name(full, jr_get_str(group, "name"), name))
            return name;
    }
    return STR_NONE;
}

struct str responses_split_name(const struct canon_call *c, struct str full, struct str *ret_space)
{
    yyjson_val *list = yyjson_obj_get(responses_echo(c), "tools"), *group;
    size_t i, n;

    *ret_space = STR_NONE;
    yyjson_arr_foreach(list, i, n, group)
    {
        struct str name = name_within(group, full);
        if (name.n) {
            *ret_space = jr_get_str(group, "name");
            return name;
        }
    }
    return full;
}

/* --- lists of tools --- */

static int read_list(struct canon_call *c, yyjson_val *tools, const struct place *at,
    struct str space, struct canon_tool ***tail);

static int read_group(
    struct canon_call *c, yyjson_val *v, const struct place *at, struct canon_tool ***tail)
{
    struct str name, about;
    int r = place_str(c, v, at, "name", &name);

    r = r < 0 ? r : place_str(c, v, at, "description", &about);
    if (r == 0 && !name.n)
        r = responses_missing(c, at, "name");
    if (r == 0 && about.n)
        r = canon_drop(c, place_path(c, IN(at, "description")), "groups of tools are not known");
    return r < 0 ? r : read_list(c, responses_get(v, "tools"), IN(at, "tools"), name, tail);
}

static int read_one(struct canon_call *c, yyjson_val *v, const struct place *at, struct str space,
    struct canon_tool ***tail)
{
    if (!yyjson_is_obj(v))
        return place_wrong(c, at, "an object");
    if (!space.n && str_eq(jr_get_str(v, "type"), STR("namespace")))
        return read_group(c, v, at, tail);
    struct canon_tool *t = arena_new(c->arena, struct canon_tool);
    if (!t)
        return canon_no_room(c);
    int r = read_tool(c, v, at, t);
    t->name = t->name.n ? responses_full_name(c, space, t->name) : t->name;
    **tail = t;
    *tail = &t->next;
    return r;
}

/* space: the group that they stand in; empty = none. */
static int read_list(struct canon_call *c, yyjson_val *tools, const struct place *at,
    struct str space, struct canon_tool ***tail)
{
    yyjson_val *one;
    size_t i, n;
    int r = 0;

    if (!yyjson_is_arr(tools))
        return place_wrong(c, at, "an array");
    yyjson_arr_foreach(tools, i, n, one)
    {
        if ((r = read_one(c, one, AT(at, i), space, tail)) < 0)
            return r;
    }
    return 0;
}

int responses_read_tools(struct canon_call *c, struct canon_request *q, yyjson_val *tools)
{
    struct canon_tool **tail = &q->tools;

    return read_list(c, tools, IN(NULL, "tools"), STR_NONE, &tail);
}

static const struct place choice_at = {NULL, "tool_choice", 0};

static int choose_one(struct canon_call *c, yyjson_val *v, struct canon_tool_choice *to)
{
    struct str name;
    int r = place_str(c, v, &choice_at, "name", &name);

    if (r < 0)
        return r;
    if (!name.n)
        return responses_missing(c, &choice_at, "name");
    to->must = true;
    return canon_choose_one(c, to, name);
}

static int choose_allowed(struct canon_call *c, yyjson_val *v, struct canon_tool_choice *to)
{
    yyjson_val *list = responses_get(v, "tools"), *one;
    const struct place at = {&choice_at, "tools", 0};
    struct str mode, *names;
    size_t i, n;
    int r = place_str(c, v, &choice_at, "mode", &mode);

    if (r < 0)
        return r;
    if (!yyjson_is_arr(list))
        return place_wrong(c, &at, "an array");
    names = arena_alloc(c->arena, (yyjson_arr_size(list) + 1) * sizeof *names);
    if (!names)
        return canon_no_room(c);
    yyjson_arr_foreach(list, i, n, one)
    {
        struct str name = jr_get_str(one, "name");
        if (name.n)
            names[to->names_n++] = name;
        else if ((r = canon_drop(c, place_path(c, AT(&at, i)), "it is a tool of OpenAI's own")) < 0)
            return r;
    }
    to->mode = TOOLS_ALLOWED;
    to->must = str_eq(mode, STR("required"));
    to->names = names;
    return 0;
}

int responses_read_tool_choice(struct canon_call *c, struct canon_request *q, yyjson_val *v)
{
    struct canon_tool_choice *to = &q->tool_choice;
    struct str word = jr_str(v), type;

    if (word.p) {
        to->mode = str_eq(word, STR("auto"))       ? TOOLS_AUTO
                   : str_eq(word, STR("required")) ? TOOLS_REQUIRED
                   : str_eq(word, STR("none"))     ? TOOLS_NONE
                                                   : TOOLS_UNSET;
        if (to->mode != TOOLS_UNSET)
            return 0;
        return canon_fail(
            c, STR("tool_choice"), "Invalid value: '" STR_FMT "'.", STR_ARG(str_to(word, 64)));
    }
    if (!yyjson_is_obj(v))
        return place_wrong(c, &choice_at, "a string or an object");
    int r = place_str(c, v, &choice_at, "type", &type);
    if (r < 0)
        return r;
    if (str_eq(type, STR("function")) || str_eq(type, STR("custom")))
        return choose_one(c, v, to);
    if (str_eq(type, STR("allowed_tools")))
        return choose_allowed(c, v, to);
    to->mode = TOOLS_AUTO;
    return canon_drop(c, STR("tool_choice"), "it is a tool of OpenAI's own");
}

const struct canon_tool *responses_custom_tool(const struct canon_request *q, struct str name)
{
    for (const struct canon_tool *t = q ? q->tools : NULL; t; t = t->next)
        if (t->is_custom && str_eq(t->name, name))
            return t;
    return NULL;
}

/* --- writing --- */

static void write_function(struct canon_call *c, struct jw *w, const struct canon_tool *t)
{
    jw_open(w, '{');
    jw_member_str(w, "type", t->is_custom ? STR("custom") : STR("function"));
    jw_member_str(w, "name", chat_name_out(c, t->name));
    if (t->description.n)
        jw_member_str(w, "description", t->description);
    if (t->is_custom) {
        jw_member_raw(w, "format", t->raw);
    } else {
        jw_key(w, "parameters");
        jw_raw(w, t->raw.p ? t->raw : STR("{\"type\":\"object\",\"properties\":{}}"));
        jw_member_bool(w, "strict", t->strict == 1); /* what is not said is true here */
    }
    jw_close(w, '}');
}

static int write_tool(struct canon_call *c, struct jw *w, const struct canon_tool *t, unsigned i)
{
    if (t->native.p && t->maker == MAKER_OPENAI) {
        jw_raw(w, t->native);
        return 0;
    }
    if (t->native.p)
        return canon_drop(
            c, place_path(c, AT(IN(NULL, "tools"), i)), "it is a tool of another provider's own");
    write_function(c, w, t);
    return t->cache ? canon_drop(c, STR("cache_control"), "it caches by itself") : 0;
}

static bool has_tool(const struct canon_request *q)
{
    for (const struct canon_tool *t = q->tools; t; t = t->next)
        if (!t->native.p || t->maker == MAKER_OPENAI)
            return true;
    return false;
}

static void write_named(
    struct canon_call *c, const struct canon_request *q, struct jw *w, struct str name)
{
    jw_open(w, '{');
    jw_member_str(w, "type", responses_custom_tool(q, name) ? STR("custom") : STR("function"));
    jw_member_str(w, "name", chat_name_out(c, name));
    jw_close(w, '}');
}

static void write_choice(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    static const struct str words[] = {[TOOLS_AUTO] = STR_INIT("auto"),
        [TOOLS_REQUIRED] = STR_INIT("required"),
        [TOOLS_NONE] = STR_INIT("none")};
    const struct canon_tool_choice *t = &q->tool_choice;

    if (t->mode == TOOLS_UNSET)
        return;
    jw_key(w, "tool_choice");
    if (t->mode == TOOLS_ONE) {
        write_named(c, q, w, t->names[0]);
        return;
    }
    if (t->mode != TOOLS_ALLOWED) {
        jw_str(w, words[t->mode]);
        return;
    }
    jw_open(w, '{');
    jw_member_str(w, "type", STR("allowed_tools"));
    jw_member_str(w, "mode", t->must ? STR("required") : STR("auto"));
    jw_key(w, "tools");
    jw_open(w, '[');
    for (unsigned i = 0; i < t->names_n; i++)
        write_named(c, q, w, t->names[i]);
    jw_close(w, ']');
    jw_close(w, '}');
}

int responses_write_tools(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    unsigned i = 0;
    int r = 0;

    if (!has_tool(q)) {
        for (const struct canon_tool *t = q->tools; t && r == 0; t = t->next)
            r = write_tool(c, w, t, i++);
        return r;
    }
    jw_key(w, "tools");
    jw_open(w, '[');
    for (const struct canon_tool *t = q->tools; t && r == 0; t = t->next)
        r = write_tool(c, w, t, i++);
    jw_close(w, ']');
    write_choice(c, q, w);
    if (q->tool_choice.parallel >= 0)
        jw_member_bool(w, "parallel_tool_calls", q->tool_choice.parallel);
    return r;
}
