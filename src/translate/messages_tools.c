/*
 * Tools in an Anthropic request, and the choice among them. Server tools of Anthropic's go as they
 * came. Another maker's search of the web becomes Anthropic's where the model has one; what else a
 * provider runs itself is declared as lost.
 */
#include "translate/messages_int.h"

#include "base/macros.h"
#include "json/scan.h"

/* The model searches the web; Bedrock does not run Anthropic's tools. */
static bool can_search(const struct messages_writer *mw)
{
    return mw->form != MESSAGES_BEDROCK && mw->c->facts && mw->c->facts->flags & MODEL_WEB_SEARCH;
}

static bool is_allowed(const struct canon_tool_choice *t, struct str name)
{
    if (t->mode != TOOLS_ALLOWED)
        return true;
    for (unsigned i = 0; i < t->names_n; i++)
        if (str_eq(t->names[i], name))
            return true;
    return false;
}

/* A schema needs its type, and may not be missing. p NULL: memory is out. */
static struct str typed_schema(struct canon_call *c, struct str raw)
{
    size_t inside = json_inside(raw);
    if (!inside || str_eq(raw, STR("{}")))
        return STR("{\"type\":\"object\",\"properties\":{}}");
    if (json_find(raw, STR("type")).p)
        return raw;
    return arena_printf(c->arena, "{\"type\":\"object\"," STR_FMT, STR_ARG(str_from(raw, inside)));
}

/* A tool that takes free text becomes one with a single text member. */
static void write_custom_schema(struct jw *w)
{
    jw_key(w, "input_schema");
    jw_raw(w, STR("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"
                  "\"required\":[\"input\"]}"));
}

static int write_function(struct messages_writer *mw, const struct canon_tool *t, struct str at)
{
    struct jw *w = &mw->w;
    struct str schema = typed_schema(mw->c, t->raw);
    int r = t->strict == 1 ? messages_schema(mw->c, schema, at, &schema) : 0;
    jw_open(w, '{');
    jw_member_str(w, "name", messages_name_out(mw->c, t->name));
    if (t->description.n)
        jw_member_str(w, "description", t->description);
    if (t->is_custom)
        write_custom_schema(w);
    else
        jw_member_raw(w, "input_schema", schema);
    if (t->strict == 1)
        jw_member_bool(w, "strict", true);
    messages_write_cache(mw, t->cache);
    jw_close(w, '}');
    return r;
}

/* --- searching the web --- */

bool messages_is_search(const struct messages_writer *mw, const struct canon_extra *x)
{
    return can_search(mw) && mw->q->from && mw->q->from->id == WIRE_CHAT &&
           str_eq(x->name, STR("web_search_options"));
}

/* OpenAI's and Google's searches of the web. */
static bool is_foreign_search(const struct canon_tool *t)
{
    return (t->maker == MAKER_OPENAI && str_starts(t->type, STR("web_search"))) ||
           (t->maker == MAKER_GEMINI &&
               (str_eq(t->type, STR("googleSearch")) || str_eq(t->type, STR("google_search"))));
}

/* Where the user is: chat completions have it one level deeper than the others. */
static void write_location(struct jw *w, struct str raw)
{
    struct str inner = json_find(raw, STR("approximate"));
    size_t inside = json_inside(inner);
    jw_key(w, "user_location");
    if (!inside) {
        jw_raw(w, raw);
        return;
    }
    jw_raw(w, STR("{\"type\":\"approximate\""));
    if (!str_eq(str_trim(str_from(inner, inside)), STR("}")))
        buf_addc(w->out, ',');
    buf_addstr(w->out, str_from(inner, inside));
}

/* A member of the options: written, or 1 where it has no equivalent. */
static int write_option(struct messages_writer *mw, struct str key, struct str value)
{
    if (str_eq(key, STR("type")) || json_type_of(value) == JSON_NULL)
        return 0;
    if (str_eq(key, STR("search_context_size")) && str_eq(value, STR("\"medium\"")))
        return 0; /* which is what it is where nobody says it */
    if (str_eq(key, STR("user_location")) && json_type_of(value) == JSON_OBJECT) {
        write_location(&mw->w, value);
        return 0;
    }
    return 1;
}

static int write_search(struct messages_writer *mw, struct str options, struct str called)
{
    struct str key, value, domains = json_find(options, STR("filters.allowed_domains"));
    size_t at = json_inside(options);
    int r = 0;
    jw_open(&mw->w, '{');
    jw_member_str(&mw->w, "type", STR("web_search_20250305"));
    jw_member_str(&mw->w, "name", STR("web_search"));
    jw_member_raw(&mw->w, "allowed_domains", domains);
    while (r == 0 && at && json_next(options, &at, &key, &value)) {
        if ((domains.p && str_eq(key, STR("filters"))) || !write_option(mw, key, value))
            continue;
        struct str name = arena_printf(
            mw->c->arena, STR_FMT "." STR_FMT, STR_ARG(called), STR_ARG(str_to(key, 40)));
        r = canon_drop(mw->c, name, "Anthropic's search has no such setting");
    }
    jw_close(&mw->w, '}');
    return r;
}

static int write_search_extra(struct messages_writer *mw)
{
    for (const struct canon_extra *x = mw->q->extras; x; x = x->next)
        if (messages_is_search(mw, x))
            return write_search(mw, x->raw, x->name);
    return 0;
}

/* --- all tools --- */

static int write_tool(struct messages_writer *mw, const struct canon_tool *t, unsigned i)
{
    struct canon_call *c = mw->c;
    if (t->native.p && t->maker == MAKER_ANTHROPIC) {
        jw_raw(&mw->w, t->native);
        return 0;
    }
    struct str at = arena_printf(c->arena, "tools[%u]", i);
    if (t->native.p && is_foreign_search(t) && can_search(mw))
        return write_search(mw, t->maker == MAKER_OPENAI ? t->native : STR("{}"), at);
    if (t->native.p)
        return canon_drop(c, at, "it is a tool of another provider's own");
    if (!is_allowed(&mw->q->tool_choice, t->name))
        return 0;
    int r = write_function(mw, t, at);
    if (r < 0 || !t->is_custom || !t->raw.p)
        return r;
    at = arena_printf(c->arena, "tools[%u].custom.format", i);
    return canon_drop(c, at, "free text cannot be held to a grammar");
}

static void write_json_tool(struct messages_writer *mw)
{
    struct jw *w = &mw->w;
    const struct canon_response_format *f = &mw->q->format;
    jw_open(w, '{');
    jw_member_str(w, "name", JSON_TOOL);
    jw_member_str(w, "description",
        f->description.n ? f->description : STR("Gives the answer in the form that is asked for."));
    jw_member_raw(w, "input_schema",
        typed_schema(mw->c, f->kind == FORMAT_SCHEMA && f->raw.p ? f->raw : MESSAGES_OPEN_OBJECT));
    jw_close(w, '}');
}

int messages_write_tools(struct messages_writer *mw, unsigned marks_skip, bool *ret_any)
{
    unsigned i = 0, dialogue = mw->marks_skip;
    size_t start = mw->w.out->n;
    struct jw before = mw->w;
    int r = 0;
    jw_key(&mw->w, "tools");
    jw_open(&mw->w, '[');
    mw->marks_skip = marks_skip;
    size_t empty = mw->w.out->n;
    for (const struct canon_tool *t = mw->q->tools; t && r == 0; t = t->next)
        r = write_tool(mw, t, i++);
    if (r == 0)
        r = write_search_extra(mw);
    *ret_any = mw->w.out->n > empty;
    if (mw->plan.json_tool)
        write_json_tool(mw);
    jw_close(&mw->w, ']');
    mw->marks_skip = dialogue;
    if (!*ret_any && !mw->plan.json_tool) { /* nothing to say */
        mw->w.out->n = start;
        mw->w = before;
    }
    return r;
}

static void write_choice_of(struct messages_writer *mw, const char *type, struct str name)
{
    struct jw *w = &mw->w;
    jw_key(w, "tool_choice");
    jw_open(w, '{');
    jw_member_str(w, "type", str_of(type));
    jw_member_str(w, "name", name);
    if (mw->q->tool_choice.parallel == 0 && strcmp(type, "none") != 0)
        jw_member_bool(w, "disable_parallel_tool_use", true);
    jw_close(w, '}');
}

void messages_write_choice(struct messages_writer *mw, bool has_tools)
{
    const struct canon_tool_choice *t = &mw->q->tool_choice;
    enum canon_choice_mode mode = mw->plan.choice;
    if (mw->plan.json_tool && (!has_tools || mode == TOOLS_NONE))
        write_choice_of(mw, "tool", JSON_TOOL);
    else if (mw->plan.json_tool && mode != TOOLS_ONE)
        write_choice_of(mw, "any", STR_NONE);
    else if (!has_tools || mode == TOOLS_UNSET)
        return;
    else if (mode == TOOLS_AUTO)
        write_choice_of(mw, "auto", STR_NONE);
    else if (mode == TOOLS_NONE)
        write_choice_of(mw, "none", STR_NONE);
    else if (mode == TOOLS_ONE)
        write_choice_of(mw, "tool", messages_name_out(mw->c, t->names[0]));
    else if (mode == TOOLS_REQUIRED || (t->must && !mw->plan.free))
        write_choice_of(mw, "any", STR_NONE);
    else
        write_choice_of(mw, "auto", STR_NONE);
}
