/*
 * Canonical tools as functionDeclarations and server tools, and the choice among them. A free-form
 * tool becomes a function of one text, "input"; the reader of the reply takes it out again.
 */
#include "translate/gemini_int.h"
#include "translate/gemini_schema.h"

#include "base/macros.h"

#include <errno.h>

struct tools {
    struct canon_call *c;
    const struct canon_request *q;
    const struct gemini_model *m;
    struct jw *w;
    bool open; /* "tools":[ was written */
};

static void open_list(struct tools *t)
{
    if (!t->open) {
        jw_key(t->w, "tools");
        jw_open(t->w, '[');
    }
    t->open = true;
}

static int put_schema(struct tools *t, const struct canon_tool *tool, unsigned index)
{
    struct str schema = tool->raw, field;
    if (!schema.p)
        return 0;
    if (t->m->abilities & GEMINI_JSON_SCHEMA) {
        jw_member_raw(t->w, "parametersJsonSchema", schema);
        return 0;
    }
    field = arena_printf(t->c->arena, "tools[%u]", index);
    int r = gemini_schema_write(t->c, schema, field, false, &schema);
    if (r == 0)
        jw_member_raw(t->w, "parameters", schema);
    return r;
}

static int put_function(struct tools *t, const struct canon_tool *tool, unsigned index)
{
    int r = 0;
    jw_open(t->w, '{');
    jw_member_str(t->w, "name", tool->name);
    if (tool->description.n)
        jw_member_str(t->w, "description", tool->description);
    if (tool->is_custom)
        jw_member_raw(t->w, "parameters",
            STR("{\"type\":\"OBJECT\",\"properties\":{\"input\":{\"type\":\"STRING\"}},"
                "\"required\":[\"input\"]}"));
    else
        r = put_schema(t, tool, index);
    jw_close(t->w, '}');
    if (r == 0 && tool->cache)
        r = canon_drop(t->c, STR("cache_control"), "Gemini caches by itself");
    return r;
}

static int put_functions(struct tools *t)
{
    bool any = false;
    unsigned i = 0;
    int r = 0;
    for (const struct canon_tool *x = t->q->tools; x && r == 0; x = x->next, i++) {
        if (x->native.p)
            continue;
        if (!any) {
            open_list(t);
            jw_open(t->w, '{');
            jw_key(t->w, "functionDeclarations");
            jw_open(t->w, '[');
        }
        any = true;
        r = put_function(t, x, i);
    }
    if (any) {
        jw_close(t->w, ']');
        jw_close(t->w, '}');
    }
    return r;
}

/* --- server tools --- */

static bool has_functions(const struct canon_request *q)
{
    for (const struct canon_tool *t = q->tools; t; t = t->next)
        if (!t->native.p)
            return true;
    return false;
}

static const struct canon_extra *search_options(const struct canon_request *q)
{
    for (const struct canon_extra *e = q->extras; e; e = e->next)
        if (str_eq(e->name, STR("web_search_options")))
            return e;
    return NULL;
}

static bool is_search(const struct canon_tool *t)
{
    return t->maker != MAKER_GEMINI && str_starts(t->type, STR("web_search"));
}

/* Google's search stands for any other's, where the model has it. */
static bool can_search(const struct tools *t)
{
    return t->c->facts && t->c->facts->flags & MODEL_WEB_SEARCH &&
           (t->m->abilities & GEMINI_MIXED_TOOLS || !has_functions(t->q));
}

static int drop_tool(struct tools *t, const struct canon_tool *x, unsigned index)
{
    return canon_drop(t->c, arena_printf(t->c->arena, "tools[%u]", index),
        is_search(x) ? "the model does not search the web beside functions"
                     : "a tool of another provider");
}

static int put_natives(struct tools *t)
{
    bool searches = false;
    unsigned i = 0;
    int r = 0;
    for (const struct canon_tool *x = t->q->tools; x && r == 0; x = x->next, i++) {
        if (!x->native.p)
            continue;
        if (x->maker == MAKER_GEMINI) {
            open_list(t);
            jw_raw(t->w, x->native);
        } else if (is_search(x) && can_search(t)) {
            searches = true;
        } else {
            r = drop_tool(t, x, i);
        }
    }
    if (r == 0 && search_options(t->q)) {
        searches |= can_search(t);
        if (!can_search(t))
            r = canon_drop(t->c, STR("web_search_options"), "the model does not search the web");
    }
    if (r == 0 && searches) {
        open_list(t);
        jw_raw(t->w, STR("{\"googleSearch\":{}}"));
    }
    return r;
}

int gm_write_tools(
    struct canon_call *c, const struct canon_request *q, const struct gemini_model *m, struct jw *w)
{
    struct tools t = {.c = c, .q = q, .m = m, .w = w};
    int r = put_functions(&t);
    if (r == 0)
        r = put_natives(&t);
    if (t.open)
        jw_close(w, ']');
    return r;
}

/* --- the choice --- */

static bool is_strict(const struct canon_request *q)
{
    for (const struct canon_tool *t = q->tools; t; t = t->next)
        if (t->strict == 1)
            return true;
    return false;
}

/* VALIDATED holds the model to the schemas of what it calls, as ANY does: that is what strict asks
 * for, and what names of some functions need. */
static struct str mode_of(const struct canon_request *q)
{
    const struct canon_tool_choice *t = &q->tool_choice;
    switch (t->mode) {
    case TOOLS_NONE:
        return STR("NONE");
    case TOOLS_REQUIRED:
    case TOOLS_ONE:
        return STR("ANY");
    case TOOLS_ALLOWED:
        return t->must ? STR("ANY") : STR("VALIDATED");
    case TOOLS_AUTO:
        return is_strict(q) ? STR("VALIDATED") : STR("AUTO");
    default:
        return is_strict(q) ? STR("VALIDATED") : STR_NONE;
    }
}

static void put_names(const struct canon_tool_choice *t, struct jw *w)
{
    if (t->mode != TOOLS_ONE && t->mode != TOOLS_ALLOWED)
        return;
    jw_key(w, "allowedFunctionNames");
    jw_open(w, '[');
    for (unsigned i = 0; i < t->names_n; i++)
        jw_str(w, t->names[i]);
    jw_close(w, ']');
}

/* What a client of this dialect said beside it: "toolConfig.retrievalConfig". */
static bool put_rest(const struct canon_request *q, struct jw *w, bool open)
{
    for (const struct canon_extra *e = q->extras; e && q->from == &wire_gemini; e = e->next) {
        struct str rest = e->name, top = str_split(&rest, '.');
        if (!gm_name_is(top, "toolConfig") || !rest.p)
            continue;
        if (!open) {
            jw_key(w, "toolConfig");
            jw_open(w, '{');
        }
        open = true;
        jw_key_str(w, rest);
        jw_raw(w, e->raw);
    }
    return open;
}

int gm_write_choice(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    struct str mode = has_functions(q) ? mode_of(q) : STR_NONE;
    if (mode.n) {
        jw_key(w, "toolConfig");
        jw_open(w, '{');
        jw_key(w, "functionCallingConfig");
        jw_open(w, '{');
        jw_member_str(w, "mode", mode);
        put_names(&q->tool_choice, w);
        jw_close(w, '}');
    }
    if (put_rest(q, w, mode.n))
        jw_close(w, '}');
    if (q->tool_choice.parallel == 0 && has_functions(q))
        return canon_drop(c,
            q->from && q->from->id == WIRE_MESSAGES ? STR("tool_choice.disable_parallel_tool_use")
                                                    : STR("parallel_tool_calls"),
            "Gemini calls as many tools as it likes");
    return 0;
}
