/*
 * The look at a body's top members. See translate/chat.h; what lies inside messages and tools is
 * looked at in chat_fit_deep.c.
 *
 * A member that the provider does not know is taken out, and declared as lost unless it says what
 * would be so without it. A value that a model refuses stays where it is the default, which all
 * take.
 */
#include "translate/chat_fit_int.h"

/* One member: its name, and the bytes from its name's quote to behind its value. */
struct place {
    struct str key, value;
    size_t from, at, to;
};

struct member {
    struct str name;
    void (*look)(struct fit *f, const struct member *m, const struct place *p);
    enum canon_param_id id;
    struct str usual; /* says what is so anyway */
};

/* --- what is done to one --- */

static struct chat_edit *add_edit(struct fit *f, size_t from, size_t to, struct str with)
{
    struct chat_fit *r = f->fit;

    if (r->edits_n == CHAT_EDITS_MAX) {
        r->way = CHAT_ANEW;
        return NULL;
    }
    struct chat_edit *e = &r->edits[r->edits_n++];
    *e = (struct chat_edit){.from = from, .to = to, .with = with};
    r->way = MAX(r->way, CHAT_EDITED);
    return e;
}

static void rename_to(struct fit *f, const struct place *p, struct str with)
{
    add_edit(f, p->from, p->at, with);
}

/* With the comma before it; the first ones with the comma behind, once it is known where the next
 * member begins. */
static void take_out(struct fit *f, const struct place *p, struct str lost)
{
    struct chat_edit *e = add_edit(f, f->kept ? f->behind : p->from, p->to, STR_NONE);

    if (!e)
        return;
    e->lost = lost;
    f->taken = true;
    if (!f->kept)
        f->open = e;
}

static bool is_usual(const struct member *m, struct str value)
{
    struct str whole = str_ends(value, STR(".0")) ? str_to(value, value.n - 2) : value;

    return str_eq(value, STR("null")) || (m->usual.n && str_eq(whole, m->usual));
}

static void take_out_declared(struct fit *f, const struct member *m, const struct place *p)
{
    take_out(f, p, is_usual(m, p->value) ? STR_NONE : m->name);
}

/* --- one function a kind of member --- */

static void look_param(struct fit *f, const struct member *m, const struct place *p)
{
    if (chat_takes(f->facts, f->k, m->id))
        return;
    if (chat_knows(f->k, m->id) && is_usual(m, p->value))
        return;
    take_out_declared(f, m, p);
}

static void look_seed(struct fit *f, const struct member *m, const struct place *p)
{
    if (f->k->flags & CHAT_RANDOM_SEED)
        rename_to(f, p, STR("\"random_seed\":"));
    else
        look_param(f, m, p);
}

static void look_logprobs(struct fit *f, const struct member *m, const struct place *p)
{
    if (f->k->flags & CHAT_LOGPROBS_NUMBER && json_type_of(p->value) == JSON_TRUE)
        f->fit->way = CHAT_ANEW;
    else
        look_param(f, m, p);
}

/* Both names at once: the writer knows which one wins. */
static void look_limit(struct fit *f, const struct member *m, const struct place *p)
{
    bool is_new = str_eq(m->name, STR("max_completion_tokens"));
    bool only_new = chat_model_has(f->facts, MODEL_MAX_COMPLETION_TOKENS) > 0;

    if (json_type_of(p->value) != JSON_NUMBER)
        return;
    if (f->limited && (f->k->flags & CHAT_OLD_MAX_TOKENS))
        f->fit->way = CHAT_ANEW;
    else if (is_new && !only_new && (f->k->flags & CHAT_OLD_MAX_TOKENS))
        rename_to(f, p, STR("\"max_tokens\":"));
    f->limited = true;
}

static void look_stop(struct fit *f, const struct member *m, const struct place *p)
{
    if (!chat_takes_stop(f->facts, f->k))
        take_out_declared(f, m, p);
}

static void look_n(struct fit *f, const struct member *m, const struct place *p)
{
    if (f->k->flags & CHAT_ONE_ANSWER && !is_usual(m, p->value))
        f->fit->way = CHAT_ANEW; /* which is refused */
}

static void look_tools(struct fit *f, const struct member *m, const struct place *p)
{
    (void)m;
    if (json_type_of(p->value) == JSON_ARRAY && p->value.n > 2)
        f->tools = p->value;
}

static void look_choice(struct fit *f, const struct member *m, const struct place *p)
{
    const struct str allowed = STR("\"allowed_tools\"");
    bool forces = !says(p->value, "auto") && !says(p->value, "none");

    if (f->k->flags & CHAT_NO_TOOL_CHOICE)
        take_out_declared(f, m, p);
    else if (forces && chat_model_has(f->facts, MODEL_NO_FORCED_TOOLS) > 0)
        f->fit->way = CHAT_ANEW;
    else if (!(f->k->flags & CHAT_CUSTOM_TOOLS) && json_mentions(p->value, &allowed, 1))
        f->fit->way = CHAT_ANEW;
}

static void look_parallel(struct fit *f, const struct member *m, const struct place *p)
{
    if (f->k->flags & CHAT_NO_PARALLEL)
        take_out_declared(f, m, p);
}

static void look_format(struct fit *f, const struct member *m, const struct place *p)
{
    (void)m;
    if (f->k->flags & CHAT_NO_SCHEMA && says(json_find(p->value, STR("type")), "json_schema"))
        f->fit->way = CHAT_ANEW;
}

/* Rows of the facts that state little have no word on reasoning, but say that sampling is refused.
 */
static bool never_reasons(const struct model_facts *f)
{
    return chat_model_has(f, MODEL_REASONING) == 0 && chat_model_has(f, MODEL_NO_SAMPLING) == 0;
}

static void look_effort(struct fit *f, const struct member *m, const struct place *p)
{
    struct str word = p->value.n > 2 ? str_at(p->value.p + 1, p->value.n - 2) : STR_NONE;
    enum canon_effort e = canon_effort_parse(word);

    if (e == EFFORT_UNSET) /* Groq's "default", or what nobody knows: the provider answers */
        return;
    f->thinks |= e != EFFORT_NONE;
    if (never_reasons(f->facts))
        take_out(f, p, e == EFFORT_NONE ? STR_NONE : m->name);
    else if (chat_refuses_effort(f->facts, f->k, e) ||
             (e == EFFORT_NONE && f->k->think == THINK_SWITCH))
        f->fit->way = CHAT_ANEW;
}

/* The objects that some routers (reasoning) and DeepSeek (thinking) have. */
static void look_object(struct fit *f, const struct member *m, const struct place *p)
{
    enum chat_think own = str_eq(m->name, STR("thinking")) ? THINK_SWITCH : THINK_OBJECT;
    bool budget = json_find(p->value, STR("budget_tokens")).p != NULL;
    bool enabled = f->k->flags & CHAT_SAYS_ENABLED && !json_find(p->value, STR("effort")).p;

    if (json_type_of(p->value) != JSON_OBJECT)
        return;
    f->thinks = true;
    if (!(enabled && own == THINK_OBJECT) && (f->k->think != own || budget))
        f->fit->way = CHAT_ANEW;
}

static void look_stream_options(struct fit *f, const struct member *m, const struct place *p)
{
    (void)m;
    if (f->k->flags & CHAT_NO_STREAM_OPTIONS)
        take_out(f, p, STR_NONE); /* usage comes all the same */
}

/* Google's own members of its compatible endpoint: whoever writes them means that one. */
static void look_extra_body(struct fit *f, const struct member *m, const struct place *p)
{
    (void)m;
    f->stays |= json_type_of(p->value) == JSON_OBJECT;
}

#define PARAM(name, id, usual)                                                                     \
    {                                                                                              \
        STR_INIT(name), look_param, PARAM_##id, STR_INIT(usual)                                    \
    }

static const struct member members[] = {
    PARAM("temperature", TEMPERATURE, "1"),
    PARAM("top_p", TOP_P, "1"),
    PARAM("top_k", TOP_K, ""),
    PARAM("frequency_penalty", FREQUENCY_PENALTY, "0"),
    PARAM("presence_penalty", PRESENCE_PENALTY, "0"),
    PARAM("logit_bias", LOGIT_BIAS, "{}"),
    PARAM("top_logprobs", TOP_LOGPROBS, "0"),
    PARAM("user", USER, ""),
    PARAM("safety_identifier", USER, ""),
    PARAM("metadata", METADATA, "{}"),
    PARAM("service_tier", SERVICE_TIER, "\"auto\""),
    PARAM("store", STORE, "false"),
    PARAM("prompt_cache_key", PROMPT_CACHE_KEY, ""),
    PARAM("prompt_cache_retention", PROMPT_CACHE_RETENTION, ""),
    PARAM("verbosity", VERBOSITY, "\"medium\""),
    PARAM("modalities", MODALITIES, "[\"text\"]"),
    PARAM("audio", AUDIO, ""),
    PARAM("prediction", PREDICTION, ""),
    {STR_INIT("seed"), look_seed, PARAM_SEED, STR_INIT("")},
    {STR_INIT("logprobs"), look_logprobs, PARAM_LOGPROBS, STR_INIT("false")},
    {STR_INIT("max_tokens"), look_limit, 0, STR_INIT("")},
    {STR_INIT("max_completion_tokens"), look_limit, 0, STR_INIT("")},
    {STR_INIT("stop"), look_stop, 0, STR_INIT("[]")},
    {STR_INIT("n"), look_n, 0, STR_INIT("1")},
    {STR_INIT("tools"), look_tools, 0, STR_INIT("")},
    {STR_INIT("functions"), look_tools, 0, STR_INIT("")},
    {STR_INIT("tool_choice"), look_choice, 0, STR_INIT("\"auto\"")},
    {STR_INIT("parallel_tool_calls"), look_parallel, 0, STR_INIT("true")},
    {STR_INIT("response_format"), look_format, 0, STR_INIT("")},
    {STR_INIT("reasoning_effort"), look_effort, 0, STR_INIT("")},
    {STR_INIT("reasoning"), look_object, 0, STR_INIT("")},
    {STR_INIT("thinking"), look_object, 0, STR_INIT("")},
    {STR_INIT("stream_options"), look_stream_options, 0, STR_INIT("")},
    {STR_INIT("extra_body"), look_extra_body, 0, STR_INIT("")},
};

/* --- the walk --- */

/* The next top member but for the messages, which may be long and are jumped over. */
static bool next_member(struct fit *f, const struct chat_call *c, size_t *at, struct place *p)
{
    if (!f->past_messages) {
        if (json_next(str_to(c->body, c->messages->key), at, &p->key, &p->value))
            return true;
        if (f->open)
            f->open->to = c->messages->key;
        f->open = NULL;
        f->past_messages = f->kept = true;
        *at = f->behind = c->messages->end;
    }
    return json_next(c->body, at, &p->key, &p->value);
}

static void look_at(struct fit *f, const struct place *p)
{
    for (unsigned i = 0; i < ARRAY_LEN(members); i++)
        if (p->key.n && p->key.p[0] == members[i].name.p[0] && str_eq(p->key, members[i].name)) {
            members[i].look(f, &members[i], p);
            return;
        }
}

static void look_at_members(struct fit *f, const struct chat_call *c)
{
    size_t at = json_inside(c->body);
    struct place p;

    while (f->fit->way != CHAT_ANEW && next_member(f, c, &at, &p)) {
        p.from = (size_t)(p.key.p - c->body.p) - 1;
        p.at = (size_t)(p.value.p - c->body.p);
        p.to = at;
        if (f->open)
            f->open->to = p.from;
        f->open = NULL;
        f->taken = false;
        look_at(f, &p);
        f->kept |= !f->taken;
        f->behind = p.to;
    }
}

/* What its own dialect does better: all that is lost or bent here, and thinking, whose signatures
 * a client of this dialect does not give back. */
static bool is_better_native(const struct fit *f)
{
    const struct chat_fit *r = f->fit;

    if (!(f->k->flags & CHAT_ELSE_NATIVE) || f->stays)
        return false;
    if (r->way == CHAT_ANEW || f->thinks ||
        (f->tools.n && chat_model_has(f->facts, MODEL_REASONING) > 0))
        return true;
    for (unsigned i = 0; i < r->edits_n; i++)
        if (r->edits[i].lost.n)
            return true;
    return false;
}

/* --- whether to look at all --- */

/* OpenAI's own API with a model that refuses nothing, which is what most calls go to. */
static bool takes_all(const struct fit *f)
{
    const uint32_t harmless = CHAT_NEW_MAX_TOKENS | CHAT_CUSTOM_TOOLS | CHAT_HIDES_THINKING;

    return !(f->k->flags & ~harmless) && f->k->lacks == (uint32_t)1 << PARAM_TOP_K &&
           chat_model_has(f->facts, f->k->model_flag) <= 0 &&
           chat_model_has(f->facts, MODEL_NO_SAMPLING) <= 0 &&
           chat_model_has(f->facts, MODEL_NO_SYSTEM) <= 0 &&
           chat_model_has(f->facts, MODEL_NO_FORCED_TOOLS) <= 0;
}

/* What even that does not take. */
void chat_fit_watch(struct json_set *set, uint8_t mark)
{
    static const struct json_word words[] = {
        {STR_INIT("cache_control"), false},
        {STR_INIT("reasoning"), true},
        {STR_INIT("thinking"), true},
        {STR_INIT("tool_call_id"), false},
        {STR_INIT("top_k"), false},
        {STR_INIT("video_url"), false},
    };

    json_set_add(set, words, ARRAY_LEN(words), mark);
}

void chat_fit(const struct chat_call *c, struct chat_fit *ret)
{
    struct fit f = {.k = chat_quirks_of(c->provider), .facts = c->facts, .fit = ret};

    ret->way = CHAT_AS_IT_CAME;
    ret->edits_n = 0;
    ret->native = ret->usage_unasked = false;
    if (!f.k->provider.n) /* nothing is known of it: then it answers for itself */
        return;
    if (c->is_plain && takes_all(&f))
        return;
    look_at_members(&f, c);
    if (ret->way != CHAT_ANEW && chat_fit_deep(&f, c))
        ret->way = CHAT_ANEW;
    ret->native = is_better_native(&f);
    ret->usage_unasked = (f.k->flags & CHAT_NO_STREAM_OPTIONS) != 0;
    if (ret->way == CHAT_ANEW)
        ret->edits_n = 0;
}
