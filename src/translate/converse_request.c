/*
 * A request to Converse: common parameters and tools. The model stands in the path, and so does
 * whether to stream. See converse_int.h for the other parts.
 */
#include "translate/chat_int.h"
#include "translate/converse_int.h"

#include "base/limits.h"

#define SAMPLING (PARAM_BIT(TEMPERATURE) | PARAM_BIT(TOP_P))

/* --- inferenceConfig --- */

static bool samples(const struct converse_writer *cw)
{
    enum messages_thinking t = cw->plan.claude.thinking;
    bool no = cw->c->facts && cw->c->facts->flags & MODEL_NO_SAMPLING;

    return !no && t != THINK_BUDGET && t != THINK_ADAPTIVE;
}

static int put_sampling(struct converse_writer *cw, enum canon_param_id id, const char *member)
{
    const struct canon_param *p = &cw->q->param[id];

    if (!p->raw.p)
        return 0;
    if (!samples(cw))
        return canon_drop(cw->c, p->name, "the model takes none now");
    if (native_decimal(p->raw) > 1) {
        jw_member_raw(&cw->w, member, STR("1"));
        return canon_drop(cw->c, p->name, "it is at most 1 there, and was set to that");
    }
    jw_member_raw(&cw->w, member, p->raw);
    return 0;
}

static int put_stops(struct converse_writer *cw)
{
    const struct canon_request *q = cw->q;
    struct str called = q->stops_called.n ? q->stops_called : STR("stop");
    bool open = false, lost = false;

    for (unsigned i = 0; i < q->stops_n; i++) {
        if (native_is_blank(q->stops[i])) {
            lost = true;
            continue;
        }
        if (!open) {
            jw_key(&cw->w, "stopSequences");
            jw_open(&cw->w, '[');
        }
        open = true;
        jw_str(&cw->w, q->stops[i]);
    }
    if (open)
        jw_close(&cw->w, ']');
    return lost ? canon_drop(cw->c, called, "blank ones are refused") : 0;
}

/* The most tokens are said where the client did, and where a budget has to stay below them. */
static int64_t max_tokens(const struct converse_writer *cw)
{
    return cw->plan.claude.thinking == THINK_BUDGET ? cw->plan.claude.max_tokens
                                                    : cw->q->max_tokens;
}

static int put_inference(struct converse_writer *cw)
{
    const struct canon_request *q = cw->q;
    size_t before = cw->w.out->n;
    bool comma = cw->w.comma;
    int r;

    jw_key(&cw->w, "inferenceConfig");
    jw_open(&cw->w, '{');
    size_t empty = cw->w.out->n;
    if (max_tokens(cw) >= 0)
        jw_member_int(&cw->w, "maxTokens", max_tokens(cw));
    r = put_sampling(cw, PARAM_TEMPERATURE, "temperature");
    if (r == 0)
        r = put_sampling(cw, PARAM_TOP_P, "topP");
    if (r == 0 && q->stops_n)
        r = put_stops(cw);
    if (cw->w.out->n == empty) { /* nothing was said */
        cw->w.out->n = before;
        cw->w.comma = comma;
        return r;
    }
    jw_close(&cw->w, '}');
    return r;
}

/* --- toolConfig --- */

static int put_spec(struct converse_writer *cw, struct str name, struct str description,
    struct str schema, int strict)
{
    struct jw *w = &cw->w;
    bool no_strict = cw->c->facts && cw->c->facts->flags & MODEL_NO_STRICT_TOOLS;

    jw_open(w, '{');
    jw_key(w, "toolSpec");
    jw_open(w, '{');
    jw_member_str(w, "name", name);
    if (description.n) /* an empty one is refused */
        jw_member_str(w, "description", description);
    jw_key(w, "inputSchema");
    jw_open(w, '{');
    jw_member_raw(w, "json", schema);
    jw_close(w, '}');
    if (strict == 1 && !no_strict)
        jw_member_bool(w, "strict", true);
    jw_close(w, '}');
    jw_close(w, '}');
    return strict == 1 && no_strict ? canon_drop(cw->c, STR("strict"), "the model knows none") : 0;
}

static int put_tool(struct converse_writer *cw, const struct canon_tool *t)
{
    int r;

    if (t->native.p || (cw->q->tool_choice.mode == TOOLS_ALLOWED && !native_offers(cw->q, t)))
        return 0;
    r = put_spec(cw, chat_name_out(cw->c, t->name), t->description, native_schema(t), t->strict);
    return r == 0 ? converse_write_mark(cw, t->cache) : r;
}

static int put_json_tool(struct converse_writer *cw)
{
    const struct canon_response_format *f = &cw->q->format;
    struct str schema = f->raw.p ? f->raw : STR("{\"type\":\"object\",\"properties\":{}}");
    struct str text =
        f->description.n ? f->description : STR("Give your answer as the arguments of this tool.");

    return put_spec(cw, JSON_TOOL, text, schema, -1);
}

/* Earlier turns have calls, but no tools are declared any more: Bedrock wants them by name. */
static int put_dummies(struct converse_writer *cw)
{
    struct converse_name *seen = NULL;

    for (const struct canon_message *m = cw->q->messages; m; m = m->next)
        for (const struct canon_part *p = m->parts; p; p = p->next) {
            const struct converse_name *n = seen;
            if (p->kind != PART_TOOL_CALL)
                continue;
            while (n && !str_eq(n->name, p->name))
                n = n->next;
            if (n)
                continue;
            struct converse_name *add = arena_new(cw->c->arena, struct converse_name);
            if (!add)
                return canon_no_room(cw->c);
            *add = (struct converse_name){.next = seen, .name = p->name};
            seen = add;
            put_spec(cw, chat_name_out(cw->c, p->name), STR_NONE,
                STR("{\"type\":\"object\",\"properties\":{}}"), -1);
        }
    return 0;
}

static void put_choice(struct converse_writer *cw)
{
    const struct canon_tool_choice *t = &cw->q->tool_choice;
    const struct messages_plan *p = &cw->plan.claude;
    bool users = cw->q->tools && !cw->plan.no_tools, one = p->choice == TOOLS_ONE && t->names_n;
    struct jw *w = &cw->w;

    if (p->json_tool && !users)
        jw_member_raw(w, "toolChoice", STR("{\"tool\":{\"name\":\"json_tool_call\"}}"));
    else if (p->json_tool || p->choice == TOOLS_REQUIRED ||
             (p->choice == TOOLS_ALLOWED && t->must && !p->free))
        jw_member_raw(w, "toolChoice", STR("{\"any\":{}}"));
    else if (p->choice == TOOLS_AUTO || p->choice == TOOLS_ALLOWED)
        jw_member_raw(w, "toolChoice", STR("{\"auto\":{}}"));
    if (p->json_tool || !one)
        return;
    jw_key(w, "toolChoice");
    jw_open(w, '{');
    jw_key(w, "tool");
    jw_open(w, '{');
    jw_member_str(w, "name", chat_name_out(cw->c, t->names[0]));
    jw_close(w, '}');
    jw_close(w, '}');
}

static bool has_specs(const struct converse_writer *cw)
{
    if (cw->plan.claude.json_tool || cw->plan.dummy_tools)
        return true;
    for (const struct canon_tool *t = cw->plan.no_tools ? NULL : cw->q->tools; t; t = t->next)
        if (!t->native.p)
            return true;
    return false;
}

static int put_tools(struct converse_writer *cw)
{
    int r = 0;

    if (!has_specs(cw))
        return 0;
    jw_key(&cw->w, "toolConfig");
    jw_open(&cw->w, '{');
    jw_key(&cw->w, "tools");
    jw_open(&cw->w, '[');
    for (const struct canon_tool *t = cw->plan.no_tools ? NULL : cw->q->tools; t && r == 0;
         t = t->next)
        r = put_tool(cw, t);
    if (r == 0 && cw->plan.dummy_tools)
        r = put_dummies(cw);
    if (r == 0 && cw->plan.claude.json_tool)
        r = put_json_tool(cw);
    jw_close(&cw->w, ']');
    put_choice(cw);
    jw_close(&cw->w, '}');
    return r;
}

/* --- requestMetadata, serviceTier, outputConfig --- */

static bool metadata_char(char ch)
{
    char low = ch | 0x20;

    return (low >= 'a' && low <= 'z') || (ch >= '0' && ch <= '9') || ch == ' ' ||
           (ch && strchr("\t\n:_@$#=/+,-.", ch));
}

static bool is_metadata(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!metadata_char(s.p[i]))
            return false;
    return s.p && s.n <= 256;
}

/* Appends one entry; what the pattern refuses is declared. */
static int put_entry(
    struct converse_writer *cw, struct str key, struct str value, struct str called, unsigned *n)
{
    if (!key.n || !is_metadata(key) || !is_metadata(value) || *n == 16)
        return canon_drop(cw->c, called, "Bedrock takes 16 short texts of few characters");
    if (!*n) {
        jw_key(&cw->w, "requestMetadata");
        jw_open(&cw->w, '{');
    }
    *n += 1;
    jw_key_str(&cw->w, key);
    jw_str(&cw->w, value);
    return 0;
}

static int put_metadata(struct converse_writer *cw)
{
    const struct canon_param *m = &cw->q->param[PARAM_METADATA], *u = &cw->q->param[PARAM_USER];
    const char *why;
    unsigned n = 0;
    int r = 0;
    size_t i, max;
    yyjson_val *key, *value, *root = m->raw.p ? jr_parse(cw->c->arena, m->raw, &why) : NULL;

    yyjson_obj_foreach(root, i, max, key, value)
    {
        if (r == 0)
            r = put_entry(cw, jr_str(key), jr_str(value), m->name, &n);
    }
    if (r == 0 && u->raw.p) {
        struct str user = jr_str(jr_parse(cw->c->arena, u->raw, &why));
        r = put_entry(cw, STR("user"), user, u->name, &n);
    }
    if (n)
        jw_close(&cw->w, '}');
    return r;
}

static int put_tier(struct converse_writer *cw)
{
    static const struct {
        struct str said, type; /* empty type: is what happens anyway */
    } tiers[] = {
        {STR_INIT("\"auto\""), STR_INIT("")},
        {STR_INIT("\"default\""), STR_INIT("default")},
        {STR_INIT("\"standard_only\""), STR_INIT("default")},
        {STR_INIT("\"flex\""), STR_INIT("flex")},
        {STR_INIT("\"priority\""), STR_INIT("priority")},
        {STR_INIT("\"reserved\""), STR_INIT("reserved")},
    };
    const struct canon_param *p = &cw->q->param[PARAM_SERVICE_TIER];

    if (!p->raw.p)
        return 0;
    for (unsigned i = 0; i < ARRAY_LEN(tiers); i++) {
        if (!str_eq(tiers[i].said, p->raw))
            continue;
        if (!tiers[i].type.n)
            return 0;
        jw_key(&cw->w, "serviceTier");
        jw_open(&cw->w, '{');
        jw_member_str(&cw->w, "type", tiers[i].type);
        jw_close(&cw->w, '}');
        return 0;
    }
    return canon_drop(cw->c, p->name, "Bedrock has no such tier");
}

static void put_format(struct converse_writer *cw)
{
    const struct canon_response_format *f = &cw->q->format;
    struct str any = STR("{\"type\":\"object\",\"additionalProperties\":true}");
    struct jw *w = &cw->w;

    jw_key(w, "textFormat");
    jw_open(w, '{');
    jw_member_str(w, "type", STR("json_schema"));
    jw_key(w, "structure");
    jw_open(w, '{');
    jw_key(w, "jsonSchema");
    jw_open(w, '{');
    jw_member_str(w, "schema", f->raw.p ? f->raw : any); /* a text that holds the schema */
    jw_member_str(w, "name", f->name);
    jw_member_str(w, "description", f->description);
    jw_close(w, '}');
    jw_close(w, '}');
    jw_close(w, '}');
}

static void put_output(struct converse_writer *cw)
{
    bool format = cw->plan.claude.json_format, effort = cw->plan.claude.effort != EFFORT_UNSET;

    if (!format && !effort)
        return;
    jw_key(&cw->w, "outputConfig");
    jw_open(&cw->w, '{');
    if (format)
        put_format(cw);
    if (effort)
        jw_member_str(&cw->w, "effort", canon_effort_name(cw->plan.claude.effort));
    jw_close(&cw->w, '}');
}

/* --- the body --- */

/* Members that only a client of Converse itself can have given. */
static bool is_own_extra(struct str name)
{
    static const struct str own[] = {STR_INIT("guardrailConfig"), STR_INIT("promptVariables"),
        STR_INIT("additionalModelResponseFieldPaths"), STR_INIT("performanceConfig")};

    for (unsigned i = 0; i < ARRAY_LEN(own); i++)
        if (str_eq(own[i], name))
            return true;
    return false;
}

static int put_extras(struct converse_writer *cw)
{
    int r = 0;

    for (const struct canon_extra *e = cw->q->extras; e && r == 0; e = e->next) {
        if (str_eq(e->name, STR("additionalModelRequestFields")))
            continue; /* converse_write_fields() */
        if (!is_own_extra(e->name)) {
            r = canon_drop(cw->c, e->name, "it is not known there");
            continue;
        }
        jw_key_str(&cw->w, e->name);
        jw_raw(&cw->w, e->raw);
    }
    return r;
}

static int put_body(struct converse_writer *cw)
{
    static int (*const parts[])(struct converse_writer *) = {converse_write_messages, put_inference,
        put_tools, converse_write_fields, put_metadata, put_tier, put_extras};
    int r = 0;

    jw_open(&cw->w, '{');
    for (unsigned i = 0; i < ARRAY_LEN(parts) && r == 0; i++)
        r = parts[i](cw);
    put_output(cw);
    jw_close(&cw->w, '}');
    return r;
}

int converse_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out)
{
    const uint32_t kept = SAMPLING | PARAM_BIT(TOP_K) | PARAM_BIT(METADATA) | PARAM_BIT(USER) |
                          PARAM_BIT(SERVICE_TIER);
    struct converse_writer cw = {.c = c, .q = q, .w = {.out = out}};
    int r = native_one_answer(c, q);

    if (r == 0)
        r = canon_check_tools(c, q);
    if (r == 0)
        r = converse_plan(c, q, &cw.plan);
    if (r == 0)
        r = native_drop_params(c, q, kept);
    cw.marks = !c->facts || c->facts->flags & MODEL_PROMPT_CACHE;
    if (r == 0)
        r = put_body(&cw);
    return r == 0 && out->err ? canon_no_room(c) : r;
}
