/*
 * A request to Cohere's v2 chat: parameters and tools. It names sampling p and k, has no way to
 * force one tool but to offer it alone, and keeps an answer to a schema only without tools and
 * documents.
 */
#include "translate/cohere_int.h"

#include "crypto/digest.h"

#define STOPS_MAX      5
#define NAME_MAX_BYTES 64

struct request_writer {
    struct canon_call *c;
    const struct canon_request *q;
    struct jw *w;
    bool documents;
};

/* --- tools --- */

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char b = s.p[i], low = b | 0x20;
        if (!(low >= 'a' && low <= 'z') && !(b >= '0' && b <= '9' && i) && b != '_')
            return false;
    }
    return s.n > 0 && s.n <= NAME_MAX_BYTES;
}

struct str cohere_name_out(struct canon_call *c, struct str name)
{
    char hex[SHA256_HEX];

    if (is_name(name))
        return name;
    sha256_hex(name, hex);
    size_t keep = MIN(name.n, (size_t)NAME_MAX_BYTES - 10);
    struct str made = arena_printf(c->arena, "_%.*s_%.8s", (int)keep, name.p, hex);
    for (size_t i = 0; i < made.n; i++) {
        char b = made.p[i], low = b | 0x20;
        if (!(low >= 'a' && low <= 'z') && !(b >= '0' && b <= '9'))
            ((char *)made.p)[i] = '_';
    }
    return made;
}

struct str cohere_name_in(struct canon_call *c, struct str shown)
{
    const struct canon_tool *t = c->request ? c->request->tools : NULL;

    for (; t; t = t->next)
        if (!t->native.p && str_eq(cohere_name_out(c, t->name), shown))
            return t->name;
    return shown;
}

static int put_tool(struct request_writer *rw, const struct canon_tool *t)
{
    struct jw *w = rw->w;

    if (t->native.p)
        return canon_drop(rw->c, t->type.n ? t->type : STR("tools"), "Cohere has no such tool");
    if (!native_offers(rw->q, t))
        return 0;
    jw_open(w, '{');
    jw_member_str(w, "type", STR("function"));
    jw_key(w, "function");
    jw_open(w, '{');
    jw_member_str(w, "name", cohere_name_out(rw->c, t->name));
    if (t->description.n)
        jw_member_str(w, "description", t->description);
    jw_member_raw(w, "parameters", native_schema(t));
    jw_close(w, '}');
    jw_close(w, '}');
    return 0;
}

static bool has_own_tools(const struct canon_request *q)
{
    for (const struct canon_tool *t = q->tools; t; t = t->next)
        if (!t->native.p)
            return true;
    return false;
}

static int put_choice(struct request_writer *rw)
{
    const struct canon_tool_choice *t = &rw->q->tool_choice;
    bool force =
        t->mode == TOOLS_REQUIRED || t->mode == TOOLS_ONE || (t->mode == TOOLS_ALLOWED && t->must);

    if (force && !has_own_tools(rw->q))
        return canon_fail(
            rw->c, native_choice_name(rw->q), "A tool must be called, but there are none.");
    if (force)
        jw_member_str(rw->w, "tool_choice", STR("REQUIRED"));
    else if (t->mode == TOOLS_NONE && has_own_tools(rw->q))
        jw_member_str(rw->w, "tool_choice", STR("NONE"));
    if (t->parallel == 0 && has_own_tools(rw->q))
        return canon_drop(rw->c, native_parallel_name(rw->q), "the model decides that itself");
    return 0;
}

static int put_tools(struct request_writer *rw)
{
    bool strict = false, any = has_own_tools(rw->q);
    int r = 0;

    if (any) {
        jw_key(rw->w, "tools");
        jw_open(rw->w, '[');
    }
    for (const struct canon_tool *t = rw->q->tools; t && r == 0; t = t->next) {
        strict |= t->strict == 1;
        r = put_tool(rw, t);
    }
    if (any)
        jw_close(rw->w, ']');
    if (strict)
        jw_member_bool(rw->w, "strict_tools", true);
    return r;
}

/* --- format and thinking --- */

static int put_format(struct request_writer *rw)
{
    const struct canon_response_format *f = &rw->q->format;
    struct str called = f->called.n ? f->called : STR("response_format");
    struct jw *w = rw->w;

    if (f->kind != FORMAT_JSON && f->kind != FORMAT_SCHEMA)
        return 0;
    if (has_own_tools(rw->q) || rw->documents)
        return canon_drop(rw->c, called, "Cohere has no format beside tools or documents");
    jw_key(w, "response_format");
    jw_open(w, '{');
    jw_member_str(w, "type", STR("json_object"));
    if (f->kind == FORMAT_SCHEMA)
        jw_member_raw(w, "json_schema", f->raw);
    jw_close(w, '}');
    return 0;
}

static int put_thinking(struct request_writer *rw)
{
    const struct canon_reasoning *t = &rw->q->reasoning;
    struct str called = t->called.n ? t->called : STR("reasoning_effort");
    bool off = t->mode == THINKING_OFF || t->effort == EFFORT_NONE || t->budget == 0;
    bool known = rw->c->facts != NULL, thinks = known && rw->c->facts->flags & MODEL_REASONING;
    enum canon_effort effort = t->effort == EFFORT_UNSET ? EFFORT_MEDIUM : t->effort;
    int64_t budget;

    if (t->mode == THINKING_UNSET && t->effort == EFFORT_UNSET && t->budget < 0)
        return 0;
    if (known && !thinks)
        return off ? 0 : canon_drop(rw->c, called, "the model does not think");
    if (off) {
        jw_member_raw(rw->w, "thinking", STR("{\"type\":\"disabled\"}"));
        return 0;
    }
    budget = t->budget > 0 ? t->budget : canon_budget_of(effort, rw->q->max_tokens);
    if (rw->q->max_tokens >= 0) /* room for the answer, too */
        budget = MIN(budget, rw->q->max_tokens - 1);
    jw_key(rw->w, "thinking");
    jw_open(rw->w, '{');
    jw_member_str(rw->w, "type", STR("enabled"));
    if (budget > 0)
        jw_member_int(rw->w, "token_budget", budget);
    jw_close(rw->w, '}');
    return 0;
}

/* --- parameters --- */

static int put_stops(struct request_writer *rw)
{
    const struct canon_request *q = rw->q;
    struct str called = q->stops_called.n ? q->stops_called : STR("stop");

    if (!q->stops_n)
        return 0;
    if (q->stops_n > STOPS_MAX)
        return canon_fail(rw->c, called, "Cohere takes at most %d of them.", STOPS_MAX);
    jw_key(rw->w, "stop_sequences");
    jw_open(rw->w, '[');
    for (unsigned i = 0; i < q->stops_n; i++)
        jw_str(rw->w, q->stops[i]);
    jw_close(rw->w, ']');
    return 0;
}

/* Penalties are between 0 and 1 there. */
static int put_penalty(struct request_writer *rw, enum canon_param_id id, const char *name)
{
    const struct canon_param *p = &rw->q->param[id];
    double v = p->raw.p ? native_decimal(p->raw) : 0;

    if (!p->raw.p)
        return 0;
    if (v < 0 || v > 1)
        return canon_drop(rw->c, p->name, "it is between 0 and 1 there");
    jw_member_raw(rw->w, name, p->raw);
    return 0;
}

static int put_params(struct request_writer *rw)
{
    const struct canon_request *q = rw->q;
    int r;

    if (q->max_tokens >= 0)
        jw_member_int(rw->w, "max_tokens", q->max_tokens);
    if ((r = put_stops(rw)) < 0)
        return r;
    jw_member_raw(rw->w, "temperature", q->param[PARAM_TEMPERATURE].raw);
    jw_member_raw(rw->w, "seed", q->param[PARAM_SEED].raw);
    r = put_penalty(rw, PARAM_FREQUENCY_PENALTY, "frequency_penalty");
    if (r == 0)
        r = put_penalty(rw, PARAM_PRESENCE_PENALTY, "presence_penalty");
    jw_member_raw(rw->w, "k", q->param[PARAM_TOP_K].raw);
    jw_member_raw(rw->w, "p", q->param[PARAM_TOP_P].raw);
    jw_member_raw(rw->w, "logprobs", q->param[PARAM_LOGPROBS].raw);
    return r;
}

/* Members of Cohere's own that clients of other dialects add for it. */
static int put_extras(struct request_writer *rw)
{
    static const char *const own[] = {"citation_options", "safety_mode", "priority"};
    int r = 0;

    for (const struct canon_extra *e = rw->q->extras; e && r == 0; e = e->next) {
        bool is_own = str_eq(e->name, STR("documents")) && !rw->documents;
        for (unsigned i = 0; i < ARRAY_LEN(own); i++)
            is_own |= str_eq(e->name, str_of(own[i]));
        if (!is_own) {
            r = canon_drop(rw->c, e->name, "it is not known there");
            continue;
        }
        jw_key_str(rw->w, e->name);
        jw_raw(rw->w, e->raw);
    }
    return r;
}

static int put_body(struct request_writer *rw)
{
    const struct canon_request *q = rw->q;
    int r;

    jw_open(rw->w, '{');
    jw_member_str(rw->w, "model", rw->c->model);
    r = cohere_write_messages(rw->c, q, rw->w, &rw->documents);
    if (r == 0)
        r = put_tools(rw);
    if (r == 0)
        r = put_format(rw);
    if (r == 0)
        r = put_params(rw);
    if (r == 0)
        r = put_choice(rw);
    if (r == 0)
        r = put_thinking(rw);
    if (r == 0)
        r = put_extras(rw);
    if (q->stream)
        jw_member_bool(rw->w, "stream", true);
    jw_close(rw->w, '}');
    return r;
}

int cohere_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out)
{
    const uint32_t kept = PARAM_BIT(TEMPERATURE) | PARAM_BIT(TOP_P) | PARAM_BIT(TOP_K) |
                          PARAM_BIT(SEED) | PARAM_BIT(FREQUENCY_PENALTY) |
                          PARAM_BIT(PRESENCE_PENALTY) | PARAM_BIT(LOGPROBS);
    struct jw w = {.out = out};
    struct request_writer rw = {.c = c, .q = q, .w = &w};
    int r = native_one_answer(c, q);

    if (r == 0)
        r = canon_check_tools(c, q);
    if (r == 0)
        r = native_drop_params(c, q, kept);
    if (r == 0)
        r = native_drop_marks(c, q);
    if (r == 0)
        r = put_body(&rw);
    return r == 0 && out->err ? canon_no_room(c) : r;
}
