/*
 * Writing an Anthropic request: the body's members; messages_turns.c writes the dialogue and
 * messages_plan.c settles what goes together. At most four cache marks may stand in one request: of
 * more, the first ones in the prompt's order (tools, system, messages) are left out, since a later
 * mark covers what an earlier one does.
 */
#include "translate/messages_int.h"

#include "base/macros.h"

#include <stdlib.h>

#define MARKS_MAX 4

/* --- cache marks --- */

void messages_write_cache(struct messages_writer *mw, enum canon_cache cache)
{
    if (cache == CACHE_NONE || mw->no_marks)
        return;
    if (mw->marks_skip) {
        mw->marks_skip--;
        return;
    }
    jw_key(&mw->w, "cache_control");
    jw_raw(&mw->w, cache == CACHE_1H ? STR("{\"type\":\"ephemeral\",\"ttl\":\"1h\"}")
                                     : STR("{\"type\":\"ephemeral\"}"));
}

static unsigned marks_of_parts(const struct canon_part *p)
{
    unsigned n = 0;
    for (; p; p = p->next)
        n += p->cache != CACHE_NONE ? 1 : marks_of_parts(p->content);
    return n;
}

static unsigned marks_of_tools(const struct canon_request *q)
{
    unsigned n = 0;
    for (const struct canon_tool *t = q->tools; t; t = t->next)
        n += t->cache != CACHE_NONE;
    return n;
}

/* How many of the tools' marks are to be skipped; those of the dialogue go into marks_skip. */
static int count_marks(struct messages_writer *mw, unsigned *ret_tools)
{
    unsigned tools = marks_of_tools(mw->q), n = tools + (mw->q->cache != CACHE_NONE);
    for (const struct canon_message *m = mw->q->messages; m; m = m->next)
        n += marks_of_parts(m->parts);
    unsigned skip = n > MARKS_MAX ? n - MARKS_MAX : 0;
    *ret_tools = MIN(skip, tools);
    mw->marks_skip = skip - *ret_tools;
    return skip ? canon_drop(mw->c, STR("cache_control"), "there may be four marks at most") : 0;
}

/* --- thinking and format --- */

static void write_thinking(struct messages_writer *mw)
{
    const struct messages_plan *p = &mw->plan;
    struct jw *w = &mw->w;
    if (p->thinking == THINK_UNSAID)
        return;
    jw_key(w, "thinking");
    jw_open(w, '{');
    jw_member_str(w, "type",
        p->thinking == THINK_OFF      ? STR("disabled")
        : p->thinking == THINK_BUDGET ? STR("enabled")
                                      : STR("adaptive"));
    if (p->thinking == THINK_BUDGET)
        jw_member_int(w, "budget_tokens", p->budget);
    jw_member_str(w, "display", p->display);
    jw_close(w, '}');
}

static int write_format(struct messages_writer *mw)
{
    const struct canon_response_format *f = &mw->q->format;
    struct jw *w = &mw->w;
    struct str schema = f->raw;
    struct str called =
        messages_called(mw->q, f->called, "response_format", "generationConfig.responseSchema");
    int r = messages_schema(mw->c, f->raw, called, &schema);
    jw_key(w, "format");
    jw_open(w, '{');
    jw_member_str(w, "type", STR("json_schema"));
    jw_member_raw(w, "schema", schema);
    jw_close(w, '}');
    return r;
}

static int write_output_config(struct messages_writer *mw)
{
    const struct messages_plan *p = &mw->plan;
    struct jw *w = &mw->w;
    int r = 0;
    if (p->effort == EFFORT_UNSET && !p->json_format)
        return 0;
    jw_key(w, "output_config");
    jw_open(w, '{');
    if (p->effort != EFFORT_UNSET)
        jw_member_str(w, "effort", canon_effort_name(p->effort));
    if (p->json_format)
        r = write_format(mw);
    jw_close(w, '}');
    return r;
}

/* --- sampling and the other parameters --- */

static double number_of(struct str raw)
{
    char text[64];
    size_t n = MIN(raw.n, sizeof(text) - 1);
    memcpy(text, raw.p, n);
    text[n] = 0;
    return strtod(text, NULL);
}

static bool thinks(const struct messages_writer *mw)
{
    return mw->plan.thinking == THINK_BUDGET || mw->plan.thinking == THINK_ADAPTIVE;
}

/* Which values cannot be sent, and what is sent instead (p NULL: nothing). */
static const char *sampling_fault(
    const struct messages_writer *mw, enum canon_param_id id, struct str raw, struct str *instead)
{
    double v = number_of(raw);
    *instead = STR_NONE;
    if (mw->c->facts && mw->c->facts->flags & MODEL_NO_SAMPLING)
        return "the model takes no sampling parameters";
    if (thinks(mw) && id == PARAM_TEMPERATURE && v != 1)
        return "while the model thinks it must be 1";
    if (thinks(mw) && id == PARAM_TOP_P && v < 0.95)
        return "while the model thinks it must be 0.95 or more";
    if (thinks(mw) && id == PARAM_TOP_K)
        return "the model takes none while it thinks";
    if (id == PARAM_TEMPERATURE && v > 1) {
        *instead = STR("1");
        return "it may be 1 at most";
    }
    return NULL;
}

static int write_sampling(struct messages_writer *mw, enum canon_param_id id, const char *name)
{
    const struct canon_param *p = &mw->q->param[id];
    struct str value = p->raw, instead;
    if (!value.p)
        return 0;
    const char *fault = sampling_fault(mw, id, value, &instead);
    if (fault)
        value = instead;
    jw_member_raw(&mw->w, name, value);
    return fault ? canon_drop(mw->c, p->name.n ? p->name : str_of(name), fault) : 0;
}

static bool is_blank(struct str s)
{
    return str_trim(s).n == 0;
}

static int write_stops(struct messages_writer *mw)
{
    const struct canon_request *q = mw->q;
    unsigned n = 0;
    for (unsigned i = 0; i < q->stops_n; i++)
        n += !is_blank(q->stops[i]);
    if (n) {
        jw_key(&mw->w, "stop_sequences");
        jw_open(&mw->w, '[');
        for (unsigned i = 0; i < q->stops_n; i++)
            if (!is_blank(q->stops[i]))
                jw_str(&mw->w, q->stops[i]);
        jw_close(&mw->w, ']');
    }
    if (n == q->stops_n)
        return 0;
    return canon_drop(mw->c,
        messages_called(q, q->stops_called, "stop", "generationConfig.stopSequences"),
        "a sequence of white space alone is not taken");
}

static int write_user(struct messages_writer *mw)
{
    const struct canon_param *p = &mw->q->param[PARAM_USER];
    if (!p->raw.p)
        return 0;
    jw_key(&mw->w, "metadata");
    jw_open(&mw->w, '{');
    jw_member_raw(&mw->w, "user_id", p->raw);
    jw_close(&mw->w, '}');
    return 0;
}

static int write_tier(struct messages_writer *mw)
{
    const struct canon_param *p = &mw->q->param[PARAM_SERVICE_TIER];
    if (!p->raw.p)
        return 0;
    if (mw->form == MESSAGES_PLAIN && str_eq(p->raw, STR("\"auto\""))) {
        jw_member_raw(&mw->w, "service_tier", p->raw);
        return 0;
    }
    if (mw->form == MESSAGES_PLAIN && str_eq(p->raw, STR("\"default\""))) {
        jw_member_str(&mw->w, "service_tier", STR("standard_only"));
        return 0;
    }
    return canon_drop(mw->c, p->name, "the provider has no such tier");
}

/* A value that asks for nothing is no loss. */
static bool asks_nothing(enum canon_param_id id, struct str raw)
{
    switch (id) {
    case PARAM_FREQUENCY_PENALTY:
    case PARAM_PRESENCE_PENALTY:
        return number_of(raw) == 0;
    case PARAM_LOGPROBS:
    case PARAM_STORE:
        return str_eq(raw, STR("false"));
    case PARAM_LOGIT_BIAS:
    case PARAM_METADATA:
        return str_eq(raw, STR("{}"));
    case PARAM_MODALITIES:
        return str_eq(raw, STR("[\"text\"]"));
    default:
        return false;
    }
}

static int drop_params(struct messages_writer *mw)
{
    int r = 0;
    for (unsigned id = 0; id < CANON_PARAMS && r == 0; id++) {
        const struct canon_param *p = &mw->q->param[id];
        bool sent = id == PARAM_TEMPERATURE || id == PARAM_TOP_P || id == PARAM_TOP_K ||
                    id == PARAM_USER || id == PARAM_SERVICE_TIER;
        if (p->raw.p && !sent && !asks_nothing((enum canon_param_id)id, p->raw))
            r = canon_drop(mw->c, p->name, "Claude models have no such parameter");
    }
    return r;
}

/* Members of the body that only Anthropic knows go back; all others are lost. */
static int write_extras(struct messages_writer *mw)
{
    const struct canon_request *q = mw->q;
    bool own = q->from && q->from->read_request == messages_read_request;
    int r = 0;
    for (const struct canon_extra *x = q->extras; x && r == 0; x = x->next) {
        bool inner = str_chr(x->name, '.') >= 0 || str_chr(x->name, '[') >= 0;
        if (messages_is_search(mw, x))
            continue;
        if (own && !inner) {
            jw_key_str(&mw->w, x->name);
            jw_raw(&mw->w, x->raw);
        } else {
            r = canon_drop(mw->c, x->name, "Claude models have no such parameter");
        }
    }
    return r;
}

/* --- the body --- */

static int write_params(struct messages_writer *mw)
{
    int r = write_sampling(mw, PARAM_TEMPERATURE, "temperature");
    if (r == 0)
        r = write_sampling(mw, PARAM_TOP_P, "top_p");
    if (r == 0)
        r = write_sampling(mw, PARAM_TOP_K, "top_k");
    if (r == 0)
        r = write_stops(mw);
    if (r == 0)
        r = write_user(mw);
    if (r == 0)
        r = write_tier(mw);
    if (r == 0 && mw->q->stream && mw->form != MESSAGES_BEDROCK)
        jw_member_bool(&mw->w, "stream", true);
    if (r == 0 && mw->q->cache != CACHE_NONE)
        messages_write_cache(mw, mw->q->cache);
    return r;
}

static int write_body(struct messages_writer *mw)
{
    unsigned tool_marks;
    bool has_tools;
    int r = count_marks(mw, &tool_marks);
    jw_open(&mw->w, '{');
    messages_write_envelope(mw->c, mw->form, &mw->w);
    jw_member_int(&mw->w, "max_tokens", mw->plan.max_tokens);
    if (r == 0)
        r = messages_write_system(mw);
    if (r == 0)
        r = messages_write_turns(mw);
    if (r == 0)
        r = messages_write_tools(mw, tool_marks, &has_tools);
    if (r < 0)
        return r;
    messages_write_choice(mw, has_tools);
    write_thinking(mw);
    r = write_output_config(mw);
    if (r == 0)
        r = write_params(mw);
    if (r == 0)
        r = drop_params(mw);
    if (r == 0)
        r = write_extras(mw);
    jw_close(&mw->w, '}');
    return r;
}

int messages_write_request(
    struct canon_call *c, const struct canon_request *q, enum messages_form form, struct buf *out)
{
    struct messages_writer mw = {.c = c, .q = q, .form = form, .w.out = out};
    if (q->n > 1)
        return canon_fail(c, messages_called(q, STR_NONE, "n", "generationConfig.candidateCount"),
            "Claude models give one answer a call.");
    if (messages_prefill(q) && c->facts && !(c->facts->flags & MODEL_PREFILL))
        return canon_fail(c, STR("messages"),
            "The last message must be the user's: this model does not go on with an answer that "
            "is begun.");
    int r = canon_check_tools(c, q);
    if (r == 0)
        r = messages_plan(c, q, &mw.plan);
    if (r == 0)
        r = write_body(&mw);
    if (r == 0 && out->err)
        r = canon_no_room(c);
    return r;
}
