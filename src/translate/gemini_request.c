/*
 * A client's request: the top level, tools, generationConfig. The model is named by the path, the
 * stream by the method; the caller fills both in.
 */
#include "translate/gemini_int.h"
#include "translate/gemini_schema.h"

#include "base/limits.h"
#include "base/macros.h"

#include <errno.h>

#define NAMES_MAX      256 /* stop sequences, function names */
#define CANDIDATES_MAX 8

int gm_keep_extra(struct gm_reader *r, struct str name, yyjson_val *v)
{
    struct canon_extra *e = arena_new(r->c->arena, struct canon_extra);
    struct str raw = jr_raw(r->c->arena, v);
    if (!e || !raw.p)
        return canon_no_room(r->c);
    *e = (struct canon_extra){.name = name, .raw = raw};
    *r->extras = e;
    r->extras = &e->next;
    return 0;
}

/* --- values --- */

static int set_param(
    struct gm_reader *r, const struct gm_at *at, enum canon_param_id id, struct str raw)
{
    if (!raw.p)
        return canon_no_room(r->c);
    r->q->param[id] = (struct canon_param){.raw = raw, .name = gm_path(r->c, at)};
    return 0;
}

static int read_number(
    struct gm_reader *r, const struct gm_at *at, yyjson_val *v, enum canon_param_id id)
{
    if (!yyjson_is_raw(v))
        return gm_fail(r->c, at, "must be a number");
    return set_param(r, at, id, jr_raw(r->c->arena, v));
}

static int read_count(
    struct gm_reader *r, const struct gm_at *at, yyjson_val *v, int64_t least, int64_t *ret)
{
    uint64_t n;
    struct str digits = str_at(yyjson_get_raw(v), yyjson_get_len(v));
    bool minus = yyjson_is_raw(v) && str_starts(digits, STR("-"));
    if (!yyjson_is_raw(v) || str_u64(str_from(digits, minus), &n) < 0 || n > INT32_MAX)
        return gm_fail(r->c, at, "must be a whole number");
    *ret = minus ? -(int64_t)n : (int64_t)n;
    return *ret < least ? gm_fail(r->c, at, "is too small") : 0;
}

static int read_names(struct gm_reader *r, const struct gm_at *at, yyjson_val *v,
    const struct str **ret, unsigned *ret_n)
{
    struct gm_list list;
    size_t n = yyjson_is_arr(v) ? yyjson_arr_size(v) : 1;
    if (n > NAMES_MAX)
        return gm_fail(r->c, at, "has too many entries");
    struct str *names = arena_alloc(r->c->arena, n * sizeof(*names) + 1);
    if (!names)
        return canon_no_room(r->c);
    gm_list_begin(&list, v);
    for (yyjson_val *item; (item = gm_list_next(&list));) {
        struct gm_at item_at = {.up = at, .index = list.n - 1};
        if (!yyjson_is_str(item))
            return gm_fail(r->c, &item_at, "must be a string");
        names[list.n - 1] = jr_str(item);
    }
    *ret = names;
    *ret_n = list.n;
    return 0;
}

/* --- generationConfig --- */

typedef int config_reader(struct gm_reader *r, const struct gm_at *at, yyjson_val *v);

static int read_max(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    r->q->max_tokens_name = gm_path(r->c, at);
    return read_count(r, at, v, 0, &r->q->max_tokens);
}

static int read_stops(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    r->q->stops_called = gm_path(r->c, at);
    return read_names(r, at, v, &r->q->stops, &r->q->stops_n);
}

static int read_candidates(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    int64_t n;
    int e = read_count(r, at, v, 1, &n);
    if (e == 0 && n > CANDIDATES_MAX)
        e = gm_fail(r->c, at, "is too large");
    if (e == 0)
        r->q->n = (unsigned)n;
    return e;
}

static int read_response_logprobs(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    if (!yyjson_is_bool(v))
        return gm_fail(r->c, at, "must be true or false");
    return set_param(r, at, PARAM_LOGPROBS, jr_raw(r->c->arena, v));
}

static int read_mime(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    struct str mime = jr_str(v);
    if (!mime.p)
        return gm_fail(r->c, at, "must be a string");
    if (str_eq(mime, STR("application/json"))) {
        if (r->q->format.kind == FORMAT_UNSET)
            r->q->format.kind = FORMAT_JSON;
        return 0;
    }
    if (!mime.n || str_eq(mime, STR("text/plain")))
        return 0;
    return gm_keep_extra(r, gm_path(r->c, at), v);
}

static int read_schema(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    if (!yyjson_is_obj(v))
        return gm_fail(r->c, at, "must be an object");
    r->q->format.kind = FORMAT_SCHEMA;
    r->q->format.raw = gm_name_is(at->name, "responseSchema") ? gemini_schema_read(r->c, v)
                                                              : jr_raw(r->c->arena, v);
    return r->q->format.raw.p ? 0 : canon_no_room(r->c);
}

/* In OpenAI's words; a wish for text alone is no wish. */
static int read_modalities(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    _cleanup_(buf_free) struct buf text;
    struct jw w = {.out = &text};
    struct gm_list list;
    bool other = false;
    buf_init(&text, 4096);
    jw_open(&w, '[');
    gm_list_begin(&list, v);
    for (yyjson_val *item; (item = gm_list_next(&list));) {
        struct str word = jr_str(item);
        if (!word.p)
            return gm_fail(r->c, at, "must be a list of strings");
        bool is_text = str_ieq(word, STR("TEXT"));
        other |= !is_text;
        jw_str(&w, is_text                       ? STR("text")
                   : str_ieq(word, STR("AUDIO")) ? STR("audio")
                   : str_ieq(word, STR("IMAGE")) ? STR("image")
                                                 : word);
    }
    jw_close(&w, ']');
    if (!other)
        return 0;
    if (text.err)
        return gm_fail(r->c, at, "is too long");
    return set_param(r, at, PARAM_MODALITIES, arena_dup(r->c->arena, buf_str(&text)));
}

static int read_budget(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    int64_t n;
    int e = read_count(r, at, v, -1, &n);
    if (e < 0)
        return e;
    r->q->reasoning.mode = n == 0 ? THINKING_OFF : n < 0 ? THINKING_ADAPTIVE : THINKING_ON;
    r->q->reasoning.budget = n > 0 ? n : -1;
    return 0;
}

static int read_thinking(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    struct gm_at inside = {.up = at};
    struct str level;
    if (!yyjson_is_obj(v))
        return gm_fail(r->c, at, "must be an object");
    yyjson_val *budget = gm_get(v, "thinkingBudget", &inside.name);
    if (budget && read_budget(r, &inside, budget) < 0)
        return -EREMOTEIO;
    if (gm_text(r->c, at, v, "thinkingLevel", &level) < 0)
        return -EREMOTEIO;
    r->q->reasoning.effort = gemini_effort_of(level);
    bool include = yyjson_get_bool(gm_get(v, "includeThoughts", NULL)); /* false by itself */
    r->q->reasoning.summary = include ? STR("auto") : STR("none");
    return 0;
}

static const struct {
    const char *name;
    config_reader *read; /* NULL: a number, param says which */
    enum canon_param_id param;
} config_members[] = {
    {"temperature", NULL, PARAM_TEMPERATURE},
    {"topP", NULL, PARAM_TOP_P},
    {"topK", NULL, PARAM_TOP_K},
    {"seed", NULL, PARAM_SEED},
    {"presencePenalty", NULL, PARAM_PRESENCE_PENALTY},
    {"frequencyPenalty", NULL, PARAM_FREQUENCY_PENALTY},
    {"logprobs", NULL, PARAM_TOP_LOGPROBS},
    {"responseLogprobs", read_response_logprobs, 0},
    {"candidateCount", read_candidates, 0},
    {"maxOutputTokens", read_max, 0},
    {"stopSequences", read_stops, 0},
    {"responseMimeType", read_mime, 0},
    {"responseSchema", read_schema, 0},
    {"responseJsonSchema", read_schema, 0},
    {"_responseJsonSchema", read_schema, 0},
    {"responseModalities", read_modalities, 0},
    {"thinkingConfig", read_thinking, 0},
};

static int read_config_member(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    for (unsigned i = 0; i < ARRAY_LEN(config_members); i++) {
        if (!gm_name_is(at->name, config_members[i].name))
            continue;
        return config_members[i].read ? config_members[i].read(r, at, v)
                                      : read_number(r, at, v, config_members[i].param);
    }
    return gm_keep_extra(r, gm_path(r->c, at), v);
}

static int read_config(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    yyjson_val *key, *child;
    size_t i, n;
    if (!yyjson_is_obj(v))
        return gm_fail(r->c, at, "must be an object");
    yyjson_obj_foreach(v, i, n, key, child)
    {
        struct gm_at inside = {.up = at, .name = jr_str(key)};
        int e = yyjson_is_null(child) ? 0 : read_config_member(r, &inside, child);
        if (e < 0)
            return e;
    }
    return 0;
}

/* --- tools --- */

static struct canon_tool *add_tool(struct gm_reader *r)
{
    struct canon_tool *t = arena_new(r->c->arena, struct canon_tool);
    if (!t) {
        canon_no_room(r->c);
        return NULL;
    }
    t->strict = -1;
    *r->tools = t;
    r->tools = &t->next;
    return t;
}

static int read_parameters(
    struct gm_reader *r, const struct gm_at *at, yyjson_val *v, struct canon_tool *t)
{
    struct gm_at inside = {.up = at};
    yyjson_val *schema = gm_get(v, "parametersJsonSchema", &inside.name);
    bool is_json = schema != NULL;
    if (!schema)
        schema = gm_get(v, "parameters", &inside.name);
    if (!schema)
        return 0;
    if (!yyjson_is_obj(schema))
        return gm_fail(r->c, &inside, "must be an object");
    t->raw = is_json ? jr_raw(r->c->arena, schema) : gemini_schema_read(r->c, schema);
    return t->raw.p ? 0 : canon_no_room(r->c);
}

static int read_function(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    static const char *const unknown[] = {"response", "responseJsonSchema", "behavior"};
    struct gm_at inside = {.up = at};
    struct canon_tool *t;
    if (!yyjson_is_obj(v))
        return gm_fail(r->c, at, "must be an object");
    t = add_tool(r);
    if (!t)
        return -ENOMEM;
    if (gm_text(r->c, at, v, "name", &t->name) < 0 ||
        gm_text(r->c, at, v, "description", &t->description) < 0)
        return -EREMOTEIO;
    if (!t->name.n)
        return gm_fail(r->c, at, "needs a name");
    for (unsigned i = 0; i < ARRAY_LEN(unknown); i++)
        if (gm_get(v, unknown[i], &inside.name) &&
            canon_drop(r->c, gm_path(r->c, &inside), "only Gemini has it") < 0)
            return -EREMOTEIO;
    return read_parameters(r, at, v, t);
}

/* A server tool: {"googleSearch": {}}. */
static int read_native(struct gm_reader *r, struct str name, yyjson_val *v)
{
    struct canon_tool *t = add_tool(r);
    struct str raw = jr_raw(r->c->arena, v);
    if (!t || !raw.p)
        return canon_no_room(r->c);
    t->name = t->type = name;
    t->maker = MAKER_GEMINI;
    t->native =
        arena_printf(r->c->arena, "{\"" STR_FMT "\":" STR_FMT "}", STR_ARG(name), STR_ARG(raw));
    return t->native.p ? 0 : canon_no_room(r->c);
}

static int read_tool(struct gm_reader *r, const struct gm_at *at, yyjson_val *tool)
{
    yyjson_val *key, *v;
    size_t i, n;
    if (!yyjson_is_obj(tool))
        return gm_fail(r->c, at, "must be an object");
    yyjson_obj_foreach(tool, i, n, key, v)
    {
        struct gm_at inside = {.up = at, .name = jr_str(key)};
        struct gm_list list;
        int e = 0;
        if (yyjson_is_null(v))
            continue;
        if (!gm_name_is(inside.name, "functionDeclarations")) {
            for (size_t k = 0; k < inside.name.n; k++) /* it is written back between quotes */
                if (inside.name.p[k] == '"' || inside.name.p[k] == '\\' || inside.name.p[k] < ' ')
                    return gm_fail(r->c, at, "has a member of no valid name");
            e = read_native(r, inside.name, v);
        }
        gm_list_begin(&list, gm_name_is(inside.name, "functionDeclarations") ? v : NULL);
        for (yyjson_val *item; e == 0 && (item = gm_list_next(&list));) {
            struct gm_at item_at = {.up = &inside, .index = list.n - 1};
            e = read_function(r, &item_at, item);
        }
        if (e < 0)
            return e;
    }
    return 0;
}

static int read_tools(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    struct gm_list list;
    gm_list_begin(&list, v);
    for (yyjson_val *item; (item = gm_list_next(&list));) {
        struct gm_at item_at = {.up = at, .index = list.n - 1};
        int e = read_tool(r, &item_at, item);
        if (e < 0)
            return e;
    }
    return 0;
}

/* --- toolConfig --- */

static int set_mode(struct gm_reader *r, const struct gm_at *at, struct str mode)
{
    struct canon_tool_choice *t = &r->q->tool_choice;
    if (str_ieq(mode, STR("ANY"))) {
        t->mode = t->names_n == 1 ? TOOLS_ONE : t->names_n ? TOOLS_ALLOWED : TOOLS_REQUIRED;
        t->must = true;
    } else if (str_ieq(mode, STR("NONE"))) {
        t->mode = TOOLS_NONE;
    } else if (str_ieq(mode, STR("AUTO")) || str_ieq(mode, STR("VALIDATED"))) {
        t->mode = t->names_n ? TOOLS_ALLOWED : TOOLS_AUTO;
        r->validated = str_ieq(mode, STR("VALIDATED"));
    } else if (mode.n && !str_ieq(mode, STR("MODE_UNSPECIFIED"))) {
        return gm_fail(r->c, at, "must be AUTO, ANY, NONE or VALIDATED");
    }
    return 0;
}

static int read_calling(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    struct gm_at inside = {.up = at};
    struct str mode;
    if (!yyjson_is_obj(v))
        return gm_fail(r->c, at, "must be an object");
    yyjson_val *names = gm_get(v, "allowedFunctionNames", &inside.name);
    int e =
        names ? read_names(r, &inside, names, &r->q->tool_choice.names, &r->q->tool_choice.names_n)
              : 0;
    if (e == 0)
        e = gm_text(r->c, at, v, "mode", &mode);
    inside.name = STR("mode");
    return e < 0 ? e : set_mode(r, &inside, mode);
}

static int read_tool_config(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    yyjson_val *key, *child;
    size_t i, n;
    if (!yyjson_is_obj(v))
        return gm_fail(r->c, at, "must be an object");
    yyjson_obj_foreach(v, i, n, key, child)
    {
        struct gm_at inside = {.up = at, .name = jr_str(key)};
        int e = 0;
        if (gm_name_is(inside.name, "functionCallingConfig") && !yyjson_is_null(child))
            e = read_calling(r, &inside, child);
        else if (!yyjson_is_null(child))
            e = gm_keep_extra(r, gm_path(r->c, &inside), child);
        if (e < 0)
            return e;
    }
    return 0;
}

/* --- the top level --- */

static int read_safety(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    if (!yyjson_is_arr(v))
        return gm_fail(r->c, at, "must be a list");
    return set_param(r, at, PARAM_SAFETY, jr_raw(r->c->arena, v));
}

static int read_labels(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    if (!yyjson_is_obj(v))
        return gm_fail(r->c, at, "must be an object");
    return set_param(r, at, PARAM_METADATA, jr_raw(r->c->arena, v));
}

static int read_tier(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    struct str tier = jr_str(v);
    if (!tier.p)
        return gm_fail(r->c, at, "must be a string");
    if (str_ieq(tier, STR("flex")))
        return set_param(r, at, PARAM_SERVICE_TIER, STR("\"flex\""));
    if (str_ieq(tier, STR("priority")))
        return set_param(r, at, PARAM_SERVICE_TIER, STR("\"priority\""));
    if (str_ieq(tier, STR("standard")))
        return set_param(r, at, PARAM_SERVICE_TIER, STR("\"default\""));
    return 0;
}

static int read_store(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    return set_param(r, at, PARAM_STORE, jr_raw(r->c->arena, v));
}

static const struct {
    const char *name;
    config_reader *read;
} members[] = {
    {"tools", read_tools},
    {"toolConfig", read_tool_config},
    {"generationConfig", read_config},
    {"safetySettings", read_safety},
    {"labels", read_labels},
    {"serviceTier", read_tier},
    {"store", read_store},
};

static int read_member(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    if (gm_name_is(at->name, "contents") || gm_name_is(at->name, "systemInstruction") ||
        str_eq(at->name, STR("model")) || yyjson_is_null(v))
        return 0;
    for (unsigned i = 0; i < ARRAY_LEN(members); i++)
        if (gm_name_is(at->name, members[i].name))
            return members[i].read(r, at, v);
    return gm_keep_extra(r, at->name, v);
}

static int read_messages(struct gm_reader *r, yyjson_val *root)
{
    struct gm_at at = {0};
    yyjson_val *system = gm_get(root, "systemInstruction", &at.name);
    int e = system ? gm_read_system(r, &at, system) : 0;
    if (e < 0)
        return e;
    yyjson_val *contents = gm_get(root, "contents", &at.name);
    if (!contents)
        return canon_fail(r->c, STR("contents"), "'contents' is required.");
    return gm_read_contents(r, &at, contents);
}

static int read_root(struct gm_reader *r, yyjson_val *root)
{
    yyjson_val *key, *v;
    size_t i, n;
    yyjson_obj_foreach(root, i, n, key, v)
    {
        struct gm_at at = {.name = jr_str(key)};
        int e = read_member(r, &at, v);
        if (e < 0)
            return e;
    }
    for (struct canon_tool *t = r->q->tools; t && r->validated; t = t->next)
        t->strict = t->native.p ? -1 : 1;
    return 0;
}

int gm_read_request(struct canon_call *c, struct str body, struct canon_request *q)
{
    const char *why;
    canon_request_init(q);
    q->from = &wire_gemini;
    q->model = c->model_shown;
    yyjson_val *root = jr_parse(c->arena, body, &why);
    if (!root)
        return canon_fail(c, STR_NONE, "The body cannot be read: %s.", why);
    if (!yyjson_is_obj(root))
        return canon_fail(c, STR_NONE, "The body must be an object.");
    struct gm_reader r = {
        .c = c, .q = q, .messages = &q->messages, .tools = &q->tools, .extras = &q->extras};
    int e = read_messages(&r, root);
    return e < 0 ? e : read_root(&r, root);
}
