/*
 * The provider's body: the top level and generationConfig. The model stands in the path, the stream
 * in the method: neither is in the body.
 *
 * With a cachedContent the system's texts and the tools live in the cache: Google refuses them
 * beside it, so they are left out, declared.
 */
#include "translate/gemini_int.h"
#include "translate/gemini_schema.h"

#include "base/macros.h"

#include <errno.h>

#define STOPS_MAX 5

struct body {
    struct canon_call *c;
    const struct canon_request *q;
    const struct gemini_model *m;
    struct jw *w;
    bool open; /* "generationConfig":{ was written */
};

bool gm_is_vertex(const struct canon_call *c)
{
    return str_eq(c->provider, STR("vertex"));
}

/* --- generationConfig --- */

/* Opens the object before its first member. */
static struct jw *config(struct body *b)
{
    if (!b->open) {
        jw_key(b->w, "generationConfig");
        jw_open(b->w, '{');
    }
    b->open = true;
    return b->w;
}

static void put_raw(struct body *b, const char *name, struct str raw)
{
    jw_member_raw(config(b), name, raw);
}

static int drop_param(struct body *b, enum canon_param_id id, const char *why)
{
    return canon_drop(b->c, b->q->param[id].name, why);
}

enum gate { ALWAYS, SAMPLING, PENALTIES };

static const struct {
    enum canon_param_id id;
    const char *name;
    enum gate gate;
} numbers[] = {
    {PARAM_TEMPERATURE, "temperature", SAMPLING},
    {PARAM_TOP_P, "topP", SAMPLING},
    {PARAM_TOP_K, "topK", SAMPLING},
    {PARAM_SEED, "seed", ALWAYS},
    {PARAM_PRESENCE_PENALTY, "presencePenalty", PENALTIES},
    {PARAM_FREQUENCY_PENALTY, "frequencyPenalty", PENALTIES},
};

static bool is_shut(const struct body *b, enum gate g)
{
    if (g == SAMPLING)
        return b->c->facts && b->c->facts->flags & MODEL_NO_SAMPLING;
    return g == PENALTIES && !(b->m->abilities & GEMINI_PENALTIES);
}

static int put_numbers(struct body *b)
{
    int r = 0;
    for (unsigned i = 0; i < ARRAY_LEN(numbers) && r == 0; i++) {
        struct str raw = b->q->param[numbers[i].id].raw;
        if (!raw.p)
            continue;
        if (is_shut(b, numbers[i].gate))
            r = drop_param(b, numbers[i].id, "the model does not take it");
        else
            put_raw(b, numbers[i].name, raw);
    }
    return r;
}

static int put_limits(struct body *b)
{
    const struct canon_request *q = b->q;
    struct str called = q->stops_called.n ? q->stops_called : STR("stop");
    if (q->n > 1)
        jw_member_int(config(b), "candidateCount", q->n);
    if (q->max_tokens >= 0)
        jw_member_int(config(b), "maxOutputTokens", q->max_tokens);
    if (q->stops_n > STOPS_MAX)
        return canon_fail(b->c, called,
            "'" STR_FMT "' may have at most %d entries for this "
            "provider.",
            STR_ARG(called), STOPS_MAX);
    if (!q->stops_n)
        return 0;
    jw_key(config(b), "stopSequences");
    jw_open(b->w, '[');
    for (unsigned i = 0; i < q->stops_n; i++)
        jw_str(b->w, q->stops[i]);
    jw_close(b->w, ']');
    return 0;
}

static int put_logprobs(struct body *b)
{
    struct str on = b->q->param[PARAM_LOGPROBS].raw, top = b->q->param[PARAM_TOP_LOGPROBS].raw;
    if (on.p)
        put_raw(b, "responseLogprobs", on);
    if (top.p && !str_eq(top, STR("0")))
        put_raw(b, "logprobs", top);
    return 0;
}

static int put_format(struct body *b)
{
    const struct canon_response_format *f = &b->q->format;
    struct str schema = f->raw;
    if (f->kind != FORMAT_JSON && f->kind != FORMAT_SCHEMA)
        return 0;
    jw_member_str(config(b), "responseMimeType", STR("application/json"));
    if (f->kind == FORMAT_JSON || !schema.p)
        return 0;
    if (b->m->abilities & GEMINI_JSON_SCHEMA) {
        put_raw(b, "responseJsonSchema", schema);
        return 0;
    }
    int r = gemini_schema_write(b->c, schema, STR("response_format"), true, &schema);
    if (r == 0 && schema.p)
        put_raw(b, "responseSchema", schema);
    return r;
}

/* ["text","audio"] → ["TEXT","AUDIO"] */
static int put_modalities(struct body *b)
{
    const char *why;
    struct str raw = b->q->param[PARAM_MODALITIES].raw;
    yyjson_val *list = raw.p ? jr_parse(b->c->arena, raw, &why) : NULL, *item;
    size_t i, n;
    if (!yyjson_is_arr(list))
        return 0;
    if (yyjson_arr_size(list) == 1 && str_eq(jr_str(yyjson_arr_get_first(list)), STR("text")))
        return 0; /* what it does anyway */
    jw_key(config(b), "responseModalities");
    jw_open(b->w, '[');
    yyjson_arr_foreach(list, i, n, item)
    {
        struct str s = jr_str(item);
        char upper[16];
        size_t k = 0;
        for (; k < s.n && k < sizeof(upper); k++)
            upper[k] = (char)(s.p[k] >= 'a' && s.p[k] <= 'z' ? s.p[k] - 0x20 : s.p[k]);
        jw_str(b->w, str_at(upper, k));
    }
    jw_close(b->w, ']');
    return 0;
}

/* {"voice": "Kore", "format": "pcm16"}: Gemini speaks PCM alone. */
static int put_audio(struct body *b)
{
    const char *why;
    struct str raw = b->q->param[PARAM_AUDIO].raw;
    yyjson_val *audio = raw.p ? jr_parse(b->c->arena, raw, &why) : NULL;
    struct str voice = jr_get_str(audio, "voice"), format = jr_get_str(audio, "format");
    if (!raw.p)
        return 0;
    if (voice.n) {
        jw_key(config(b), "speechConfig");
        jw_raw(b->w, STR("{\"voiceConfig\":{\"prebuiltVoiceConfig\":{\"voiceName\":"));
        buf_addjson(b->w->out, voice);
        buf_addstr(b->w->out, STR("}}}"));
    }
    if (format.n && !str_eq(format, STR("pcm16")))
        return canon_drop(b->c, STR("audio.format"), "Gemini speaks pcm16 alone");
    return 0;
}

static struct str reasoning_name(const struct canon_request *q)
{
    if (q->from && q->from->id == WIRE_MESSAGES)
        return STR("thinking");
    if (q->from && q->from->id == WIRE_RESPONSES)
        return STR("reasoning");
    return q->from == &wire_gemini ? STR("generationConfig.thinkingConfig")
                                   : STR("reasoning_effort");
}

static int put_thinking(struct body *b)
{
    struct gemini_thought t = gemini_thought_of(b->m, &b->q->reasoning, b->q->max_tokens);
    if (t.lost)
        return canon_drop(b->c, reasoning_name(b->q), "the model does not think");
    if (!t.any)
        return 0;
    jw_key(config(b), "thinkingConfig");
    jw_open(b->w, '{');
    if (t.include >= 0)
        jw_member_bool(b->w, "includeThoughts", t.include);
    if (t.level.p)
        jw_member_str(b->w, "thinkingLevel", t.level);
    else if (t.budget != GEMINI_NO_BUDGET)
        jw_member_int(b->w, "thinkingBudget", t.budget);
    jw_close(b->w, '}');
    return 0;
}

/* What a client of this dialect said: "generationConfig.mediaResolution". */
static void put_config_rest(struct body *b)
{
    for (const struct canon_extra *e = b->q->extras; e && b->q->from == &wire_gemini; e = e->next) {
        struct str rest = e->name, top = str_split(&rest, '.');
        if (!gm_name_is(top, "generationConfig") || !rest.p)
            continue;
        jw_key_str(config(b), rest);
        jw_raw(b->w, e->raw);
    }
}

static int write_config(struct body *b)
{
    static int (*const steps[])(struct body *) = {
        put_numbers, put_limits, put_logprobs, put_format, put_modalities, put_audio, put_thinking};
    int r = 0;
    for (unsigned i = 0; i < ARRAY_LEN(steps) && r == 0; i++)
        r = steps[i](b);
    put_config_rest(b);
    if (b->open)
        jw_close(b->w, '}');
    return r;
}

/* --- the rest of the top level --- */

static bool is_label(struct str s, bool key)
{
    if (s.n > 63 || (key && (!s.n || s.p[0] < 'a' || s.p[0] > 'z')))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* Whether an object of texts may be a Vertex call's labels as it is. */
static bool are_labels(yyjson_val *o)
{
    yyjson_val *key, *v;
    size_t i, n;
    if (!yyjson_is_obj(o) || yyjson_obj_size(o) > 60)
        return false;
    yyjson_obj_foreach(o, i, n, key, v)
    {
        if (!yyjson_is_str(v) || !is_label(jr_str(key), true) || !is_label(jr_str(v), false))
            return false;
    }
    return true;
}

/* metadata and user: labels, for Vertex. */
static int write_labels(struct body *b)
{
    const char *why;
    struct str metadata = b->q->param[PARAM_METADATA].raw, user = b->q->param[PARAM_USER].raw;
    yyjson_val *o = metadata.p ? jr_parse(b->c->arena, metadata, &why) : NULL, *key, *v;
    yyjson_val *u = user.p ? jr_parse(b->c->arena, user, &why) : NULL;
    bool vertex = gm_is_vertex(b->c);
    bool all = vertex && o && are_labels(o), one = vertex && u && is_label(jr_str(u), false);
    size_t i, n;
    int r = 0;
    if (all || one) {
        jw_key(b->w, "labels");
        jw_open(b->w, '{');
        if (all)
            yyjson_obj_foreach(o, i, n, key, v)
            {
                jw_key_str(b->w, jr_str(key));
                jw_str(b->w, jr_str(v));
            }
        if (one && !(all && yyjson_obj_get(o, "user")))
            jw_member_str(b->w, "user", jr_str(u));
        jw_close(b->w, '}');
    }
    if (metadata.p && !all)
        r = drop_param(b, PARAM_METADATA, "they cannot be labels of the call");
    if (r == 0 && user.p && !one)
        r = drop_param(b, PARAM_USER, "it cannot be a label of the call");
    return r;
}

static int write_tier(struct body *b)
{
    struct str tier = b->q->param[PARAM_SERVICE_TIER].raw;
    if (!tier.p || str_eq(tier, STR("\"auto\"")))
        return 0;
    if (str_eq(tier, STR("\"flex\"")) || str_eq(tier, STR("\"priority\"")))
        jw_member_raw(b->w, "serviceTier", tier);
    else if (str_eq(tier, STR("\"default\"")) || str_eq(tier, STR("\"standard_only\"")))
        jw_member_str(b->w, "serviceTier", STR("standard"));
    else
        return drop_param(b, PARAM_SERVICE_TIER, "Gemini has no such tier");
    return 0;
}

/* Nothing is stored, so that a wish for that is met. */
static int drop_store(struct body *b)
{
    struct str store = b->q->param[PARAM_STORE].raw;
    return store.p && str_eq(store, STR("true"))
               ? drop_param(b, PARAM_STORE, "Gemini stores no answers")
               : 0;
}

static int drop_params(struct body *b)
{
    static const enum canon_param_id none[] = {PARAM_LOGIT_BIAS, PARAM_PROMPT_CACHE_KEY,
        PARAM_PROMPT_CACHE_RETENTION, PARAM_VERBOSITY, PARAM_PREDICTION};
    int r = drop_store(b);
    for (unsigned i = 0; i < ARRAY_LEN(none) && r == 0; i++)
        if (b->q->param[none[i]].raw.p)
            r = drop_param(b, none[i], "Gemini has nothing like it");
    if (r == 0 && b->q->cache)
        r = canon_drop(b->c, STR("cache_control"), "Gemini caches by itself");
    return r;
}

/* Members that this writer puts back or has put elsewhere. */
static bool is_used(const struct body *b, const struct canon_extra *e)
{
    struct str rest = e->name, top = str_split(&rest, '.');
    if (str_eq(e->name, STR("web_search_options")) || gm_name_is(e->name, "cachedContent"))
        return true;
    return b->q->from == &wire_gemini && rest.p &&
           (gm_name_is(top, "generationConfig") || gm_name_is(top, "toolConfig"));
}

static int write_extras(struct body *b)
{
    int r = 0;
    for (const struct canon_extra *e = b->q->extras; e && r == 0; e = e->next) {
        if (is_used(b, e))
            continue;
        if (b->q->from != &wire_gemini) {
            r = canon_drop(b->c, e->name, "Gemini does not know it");
            continue;
        }
        jw_key_str(b->w, e->name);
        jw_raw(b->w, e->raw);
    }
    return r;
}

static struct str cached_content(const struct canon_request *q)
{
    for (const struct canon_extra *e = q->extras; e; e = e->next)
        if (gm_name_is(e->name, "cachedContent"))
            return e->raw;
    return STR_NONE;
}

static bool has_system(const struct canon_request *q)
{
    for (const struct canon_message *m = q->messages; m; m = m->next)
        if (m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER)
            return true;
    return false;
}

/* What the cache holds already. */
static int drop_cached(struct body *b)
{
    const char *why = "it has to be in the cachedContent";
    int r = has_system(b->q) ? canon_drop(b->c, STR("system"), why) : 0;
    if (r == 0 && b->q->tools)
        r = canon_drop(b->c, STR("tools"), why);
    if (r == 0 && b->q->tool_choice.mode != TOOLS_UNSET)
        r = canon_drop(b->c, STR("tool_choice"), why);
    return r;
}

static int write_prompt(struct body *b)
{
    bool cached = cached_content(b->q).p != NULL;
    int r = 0;
    if (cached)
        r = drop_cached(b);
    else if (b->m->abilities & GEMINI_SYSTEM)
        r = gm_write_system(b->c, b->q, b->m, b->w);
    if (r == 0)
        r = gm_write_contents(b->c, b->q, b->m, b->w);
    if (r == 0 && !cached)
        r = gm_write_tools(b->c, b->q, b->m, b->w);
    if (r == 0 && !cached)
        r = gm_write_choice(b->c, b->q, b->w);
    return r;
}

static int write_rest(struct body *b)
{
    static int (*const steps[])(struct body *) = {
        write_config, write_labels, write_tier, drop_params, write_extras};
    int r = 0;
    jw_member_raw(b->w, "safetySettings", b->q->param[PARAM_SAFETY].raw);
    for (unsigned i = 0; i < ARRAY_LEN(steps) && r == 0; i++)
        r = steps[i](b);
    return r;
}

int gm_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out)
{
    struct jw w = {.out = out};
    struct gemini_model m;
    struct body b = {.c = c, .q = q, .m = &m, .w = &w};
    gemini_model_of(c, &m);
    jw_open(&w, '{');
    int r = write_prompt(&b);
    if (r == 0)
        r = write_rest(&b);
    if (r == 0)
        jw_member_raw(&w, "cachedContent", cached_content(q));
    jw_close(&w, '}');
    return r < 0 ? r : out->err;
}

void gm_write_text(struct jw *w, struct str prompt)
{
    jw_key(w, "contents");
    jw_open(w, '[');
    jw_open(w, '{');
    jw_member_str(w, "role", STR("user"));
    jw_key(w, "parts");
    jw_open(w, '[');
    jw_open(w, '{');
    jw_member_str(w, "text", prompt);
    jw_close(w, '}');
    jw_close(w, ']');
    jw_close(w, '}');
    jw_close(w, ']');
}
