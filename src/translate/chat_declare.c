/*
 * Declarations of tools and the choice among them, read from a client and written to a provider;
 * the older `functions` and `function_call`, too.
 */
#include "translate/chat_int.h"

#include <errno.h>
#include <stdio.h>

/* --- reading --- */

static int fail_tool(
    struct canon_call *c, const char *list, size_t i, const char *member, const char *why)
{
    struct str place = member ? arena_printf(c->arena, "%s[%zu].%s", list, i, member)
                              : arena_printf(c->arena, "%s[%zu]", list, i);
    return canon_fail(c, place, STR_FMT " %s", STR_ARG(place), why);
}

static struct canon_tool *add_tool(struct canon_call *c, struct canon_request *q)
{
    struct canon_tool **tail = &q->tools, *t = arena_new(c->arena, struct canon_tool);
    if (!t) {
        canon_no_room(c);
        return NULL;
    }
    while (*tail)
        tail = &(*tail)->next;
    t->strict = -1;
    *tail = t;
    return t;
}

/* A function's declaration: {name, description, parameters, strict}. */
static int read_function(struct canon_call *c, yyjson_val *f, const char *list, size_t i,
    const char *prefix, struct canon_tool *t)
{
    yyjson_val *parameters = yyjson_obj_get(f, "parameters"), *strict = yyjson_obj_get(f, "strict");
    char member[40];
    const char *bad = NULL;
    t->name = jr_get_str(f, "name");
    t->description = jr_get_str(f, "description");
    t->raw = jr_raw(c->arena, parameters);
    if (strict && !yyjson_is_null(strict))
        t->strict = yyjson_get_bool(strict);
    if (!t->name.n)
        bad = "name";
    else if (parameters && !yyjson_is_obj(parameters) && !yyjson_is_null(parameters))
        bad = "parameters";
    else if (strict && !yyjson_is_bool(strict) && !yyjson_is_null(strict))
        bad = "strict";
    if (!bad)
        return 0;
    snprintf(member, sizeof(member), "%s%s", prefix, bad);
    return fail_tool(c, list, i, member, "is missing or of a wrong type");
}

/* A free-form tool; the format of its text is kept as Responses writes it: one level less deep. */
static int read_custom(struct canon_call *c, yyjson_val *v, size_t i, struct canon_tool *t)
{
    yyjson_val *format = yyjson_obj_get(v, "format"), *g = yyjson_obj_get(format, "grammar");
    t->is_custom = true;
    t->name = jr_get_str(v, "name");
    t->description = jr_get_str(v, "description");
    if (!t->name.n)
        return fail_tool(c, "tools", i, "custom.name", "is missing or of a wrong type");
    if (!yyjson_is_obj(g)) {
        t->raw = jr_raw(c->arena, format);
        return 0;
    }
    _cleanup_(buf_free) struct buf text;
    buf_init(&text, LIMIT_BODY_BYTES);
    struct jw w = {.out = &text};
    jw_open(&w, '{');
    jw_member_str(&w, "type", STR("grammar"));
    jw_member_str(&w, "syntax", jr_get_str(g, "syntax"));
    jw_member_str(&w, "definition", jr_get_str(g, "definition"));
    jw_close(&w, '}');
    t->raw = arena_dup(c->arena, buf_str(&text));
    return t->raw.p ? 0 : canon_no_room(c);
}

static int read_tool(struct canon_call *c, yyjson_val *v, size_t i, struct canon_request *q)
{
    yyjson_val *function = yyjson_obj_get(v, "function"), *custom = yyjson_obj_get(v, "custom");
    struct str type = jr_get_str(v, "type");
    if (!yyjson_is_obj(v))
        return fail_tool(c, "tools", i, NULL, "has to be an object");
    struct canon_tool *t = add_tool(c, q);
    if (!t)
        return -ENOMEM;
    t->cache = chat_read_cache(v);
    if (!type.n || str_eq(type, STR("function"))) {
        if (!yyjson_is_obj(function))
            return fail_tool(c, "tools", i, "function", "has to be an object");
        if (!t->cache)
            t->cache = chat_read_cache(function);
        return read_function(c, function, "tools", i, "function.", t);
    }
    if (str_eq(type, STR("custom")))
        return read_custom(c, custom, i, t);
    t->type = t->name = type;
    t->native = jr_raw(c->arena, v);
    t->maker = MAKER_OPENAI;
    return t->native.p ? 0 : canon_no_room(c);
}

int chat_read_tools(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    size_t i, n;
    yyjson_val *one;
    int r = 0;
    if (!yyjson_is_arr(v))
        return canon_fail(c, STR("tools"), "tools has to be an array");
    yyjson_arr_foreach(v, i, n, one)
    {
        r = read_tool(c, one, i, q);
        if (r < 0)
            break;
    }
    return r;
}

int chat_read_functions(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    size_t i, n;
    yyjson_val *one;
    if (!yyjson_is_arr(v))
        return canon_fail(c, STR("functions"), "functions has to be an array");
    q->legacy_functions = true;
    q->tool_choice.parallel = 0; /* there is room for one call in an answer */
    yyjson_arr_foreach(v, i, n, one)
    {
        struct canon_tool *t = add_tool(c, q);
        int r = t ? read_function(c, one, "functions", i, "", t) : -ENOMEM;
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_names(struct canon_call *c, struct canon_request *q, unsigned n, struct str **ret)
{
    struct str *names = arena_alloc(c->arena, n * sizeof(*names));
    if (!names)
        return canon_no_room(c);
    q->tool_choice.names = *ret = names;
    q->tool_choice.names_n = n;
    return 0;
}

/* A word, as text of the choice. */
static int choice_word(
    struct canon_call *c, struct canon_request *q, struct str word, struct str place)
{
    if (str_eq(word, STR("auto")))
        q->tool_choice.mode = TOOLS_AUTO;
    else if (str_eq(word, STR("none")))
        q->tool_choice.mode = TOOLS_NONE;
    else if (str_eq(word, STR("required")) || str_eq(word, STR("any")))
        q->tool_choice.mode = TOOLS_REQUIRED;
    else
        return canon_fail(c, place,
            STR_FMT " has to be none, auto, required or an object that names a tool",
            STR_ARG(place));
    return 0;
}

static int choice_one(
    struct canon_call *c, struct canon_request *q, struct str name, struct str place)
{
    if (!name.n)
        return canon_fail(c, place, STR_FMT " has to be a text", STR_ARG(place));
    return canon_choose_one(c, &q->tool_choice, name);
}

static struct str name_of_choice(yyjson_val *v)
{
    struct str name = jr_get_str(yyjson_obj_get(v, "function"), "name");
    return name.p ? name : jr_get_str(yyjson_obj_get(v, "custom"), "name");
}

static int choice_allowed(struct canon_call *c, struct canon_request *q, yyjson_val *v)
{
    yyjson_val *list = yyjson_obj_get(v, "tools"), *one;
    size_t i, n;
    struct str *names = NULL;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0)
        return canon_fail(c, STR("tool_choice.allowed_tools.tools"),
            "tool_choice.allowed_tools.tools has to be an array of tools");
    if (set_names(c, q, (unsigned)yyjson_arr_size(list), &names) < 0)
        return -ENOMEM;
    yyjson_arr_foreach(list, i, n, one)
    {
        names[i] = name_of_choice(one);
        if (!names[i].n)
            return fail_tool(c, "tool_choice.allowed_tools.tools", i, NULL, "names no tool");
    }
    q->tool_choice.mode = TOOLS_ALLOWED;
    q->tool_choice.must = str_eq(jr_get_str(v, "mode"), STR("required"));
    return 0;
}

int chat_read_tool_choice(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    yyjson_val *allowed = yyjson_obj_get(v, "allowed_tools");
    if (!yyjson_is_obj(v))
        return choice_word(c, q, jr_str(v), STR("tool_choice"));
    if (str_eq(jr_get_str(v, "type"), STR("allowed_tools")))
        return choice_allowed(c, q, allowed);
    return choice_one(c, q, name_of_choice(v), STR("tool_choice.function.name"));
}

int chat_read_function_call(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    if (!yyjson_is_obj(v))
        return choice_word(c, q, jr_str(v), STR("function_call"));
    return choice_one(c, q, jr_get_str(v, "name"), STR("function_call.name"));
}

/* --- writing --- */

static void write_function(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_tool *t, struct jw *w)
{
    jw_key(w, "function");
    jw_open(w, '{');
    jw_member_str(w, "name", chat_name_out(c, t->name));
    jw_member_str(w, "description", t->description);
    jw_member_raw(w, "parameters",
        t->is_custom ? STR("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"
                           "\"required\":[\"input\"]}")
                     : t->raw);
    if (t->strict >= 0 && !(k->flags & CHAT_NO_STRICT))
        jw_member_bool(w, "strict", t->strict);
    jw_close(w, '}');
}

/* The format as this dialect nests it. */
static void write_format(struct canon_call *c, struct str raw, struct jw *w)
{
    const char *why;
    yyjson_val *v = raw.p ? jr_parse(c->arena, raw, &why) : NULL;
    if (!str_eq(jr_get_str(v, "type"), STR("grammar"))) {
        jw_member_raw(w, "format", raw);
        return;
    }
    jw_key(w, "format");
    jw_open(w, '{');
    jw_member_str(w, "type", STR("grammar"));
    jw_key(w, "grammar");
    jw_open(w, '{');
    jw_member_str(w, "definition", jr_get_str(v, "definition"));
    jw_member_str(w, "syntax", jr_get_str(v, "syntax"));
    jw_close(w, '}');
    jw_close(w, '}');
}

static void write_custom(struct canon_call *c, const struct canon_tool *t, struct jw *w)
{
    jw_key(w, "custom");
    jw_open(w, '{');
    jw_member_str(w, "name", chat_name_out(c, t->name));
    jw_member_str(w, "description", t->description);
    write_format(c, t->raw, w);
    jw_close(w, '}');
}

static int drop_tool(struct canon_call *c, unsigned i)
{
    struct str name = arena_printf(c->arena, "tools[%u]", i);
    return canon_drop(c, name, "only its own provider has this tool");
}

static int drop_marks(struct canon_call *c, const struct canon_tool *t, struct jw *w, bool takes)
{
    if (!t->cache)
        return 0;
    if (!takes)
        return canon_drop(c, STR("cache_control"), "the provider caches by itself");
    jw_member_raw(w, "cache_control",
        t->cache == CACHE_1H ? STR("{\"type\":\"ephemeral\",\"ttl\":\"1h\"}")
                             : STR("{\"type\":\"ephemeral\"}"));
    return 0;
}

static int write_tool(struct canon_call *c, const struct chat_quirks *k,
    const struct canon_request *q, const struct canon_tool *t, struct jw *w)
{
    bool custom = t->is_custom && (k->flags & CHAT_CUSTOM_TOOLS);
    int r = 0;
    jw_open(w, '{');
    jw_member_str(w, "type", custom ? STR("custom") : STR("function"));
    if (custom)
        write_custom(c, t, w);
    else
        write_function(c, k, t, w);
    if (t->is_custom && !custom && t->raw.p)
        r = canon_drop(
            c, chat_client_word(q, CHAT_CUSTOM_FORMAT), "the tool becomes a function of one text");
    if (t->strict >= 0 && (k->flags & CHAT_NO_STRICT) && r == 0)
        r = canon_drop(c, chat_client_word(q, CHAT_STRICT), "the provider does not know it");
    if (r == 0)
        r = drop_marks(c, t, w, k->flags & CHAT_CACHE_MARKS);
    jw_close(w, '}');
    return r;
}

static bool is_named(const struct canon_tool_choice *tc, struct str name)
{
    for (unsigned i = 0; i < tc->names_n; i++)
        if (str_eq(tc->names[i], name))
            return true;
    return false;
}

/* Where the provider cannot be told which tools are allowed, it gets no others. */
static bool is_left_out(
    const struct chat_quirks *k, const struct canon_tool_choice *tc, const struct canon_tool *t)
{
    return tc->mode == TOOLS_ALLOWED && !(k->flags & CHAT_CUSTOM_TOOLS) && !is_named(tc, t->name);
}

static int write_list(struct canon_call *c, const struct chat_quirks *k,
    const struct canon_request *q, struct jw *w, unsigned *ret_n)
{
    unsigned i = 0, n = 0;
    int r = 0;
    for (const struct canon_tool *t = q->tools; t && r == 0; t = t->next, i++) {
        bool foreign = t->native.p && q->from != &wire_chat;
        if (foreign) {
            r = drop_tool(c, i);
            continue;
        }
        if (is_left_out(k, &q->tool_choice, t))
            continue;
        if (n++ == 0) {
            jw_key(w, "tools");
            jw_open(w, '[');
        }
        if (t->native.p)
            jw_raw(w, t->native);
        else
            r = write_tool(c, k, q, t, w);
    }
    if (n)
        jw_close(w, ']');
    *ret_n = n;
    return r;
}

static bool is_custom_tool(const struct canon_request *q, struct str name)
{
    for (const struct canon_tool *t = q->tools; t; t = t->next)
        if (t->is_custom && str_eq(t->name, name))
            return true;
    return false;
}

/* {"type":"function","function":{"name":…}} */
static void write_named(struct canon_call *c, const struct chat_quirks *k,
    const struct canon_request *q, struct str name, struct jw *w)
{
    bool custom = is_custom_tool(q, name) && (k->flags & CHAT_CUSTOM_TOOLS);
    jw_open(w, '{');
    jw_member_str(w, "type", custom ? STR("custom") : STR("function"));
    jw_key(w, custom ? "custom" : "function");
    jw_open(w, '{');
    jw_member_str(w, "name", chat_name_out(c, name));
    jw_close(w, '}');
    jw_close(w, '}');
}

static void write_allowed(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_request *q, struct jw *w)
{
    const struct canon_tool_choice *tc = &q->tool_choice;
    jw_key(w, "tool_choice");
    jw_open(w, '{');
    jw_member_str(w, "type", STR("allowed_tools"));
    jw_key(w, "allowed_tools");
    jw_open(w, '{');
    jw_member_str(w, "mode", tc->must ? STR("required") : STR("auto"));
    jw_key(w, "tools");
    jw_open(w, '[');
    for (unsigned i = 0; i < tc->names_n; i++)
        write_named(c, k, q, tc->names[i], w);
    jw_close(w, ']');
    jw_close(w, '}');
    jw_close(w, '}');
}

static int write_choice(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_request *q, struct jw *w)
{
    const struct canon_tool_choice *tc = &q->tool_choice;
    const struct str required = k->flags & CHAT_SAYS_ANY ? STR("any") : STR("required");
    bool forces = tc->mode == TOOLS_REQUIRED || tc->mode == TOOLS_ONE ||
                  (tc->mode == TOOLS_ALLOWED && tc->must);
    if (tc->mode == TOOLS_UNSET)
        return 0;
    if (k->flags & CHAT_NO_TOOL_CHOICE)
        return tc->mode == TOOLS_AUTO ? 0
                                      : canon_drop(c, chat_client_word(q, CHAT_CHOICE),
                                            "the provider does not know it");
    if (forces && chat_model_has(c->facts, MODEL_NO_FORCED_TOOLS) > 0) {
        jw_member_str(w, "tool_choice", STR("auto"));
        return canon_drop(
            c, chat_client_word(q, CHAT_CHOICE), "the model cannot be forced to call a tool");
    }
    if (tc->mode == TOOLS_ALLOWED && (k->flags & CHAT_CUSTOM_TOOLS)) {
        write_allowed(c, k, q, w);
    } else if (tc->mode == TOOLS_ONE) {
        jw_key(w, "tool_choice");
        write_named(c, k, q, tc->names[0], w);
    } else {
        jw_member_str(w, "tool_choice",
            forces                   ? required
            : tc->mode == TOOLS_NONE ? STR("none")
                                     : STR("auto"));
    }
    return 0;
}

int chat_write_tools(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_request *q, struct jw *w)
{
    unsigned n;
    int r = write_list(c, k, q, w, &n);
    if (r < 0 || n == 0) /* providers refuse a choice among no tools */
        return r;
    r = write_choice(c, k, q, w);
    if (r < 0 || q->tool_choice.parallel < 0)
        return r;
    if (k->flags & CHAT_NO_PARALLEL)
        return q->tool_choice.parallel ? 0
                                       : canon_drop(c, chat_client_word(q, CHAT_PARALLEL),
                                             "the provider does not know it");
    jw_member_bool(w, "parallel_tool_calls", q->tool_choice.parallel);
    return 0;
}
