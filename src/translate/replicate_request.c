/* A prediction's body: {"version": …, "input": {"prompt": …}}. See replicate_int.h. */
#include "translate/replicate_int.h"

#include "base/limits.h"

#define WORDS (1u << PART_TEXT | 1u << PART_REFUSAL)

/* --- the prompt --- */

static int check_parts(struct canon_call *c, const struct canon_message *m)
{
    for (const struct canon_part *p = m->parts; p; p = p->next)
        switch (p->kind) {
        case PART_TEXT:
        case PART_REFUSAL:
            break;
        case PART_IMAGE:
            if (m->role == ROLE_USER)
                break;
            return canon_fail(
                c, STR("messages"), "Replicate takes a picture in the user's message alone.");
        case PART_THINKING:
        case PART_REDACTED_THINKING:
            if (canon_drop(c, STR("thinking"), "a prompt has no place for it") < 0)
                return -EREMOTEIO;
            break;
        case PART_TOOL_CALL:
        case PART_TOOL_RESULT:
            return canon_fail(c, STR("messages"), "Replicate's models have no tools.");
        default:
            return canon_fail(c, STR("messages"), "Replicate's models take text and one picture.");
        }
    return m->name.n ? canon_drop(c, STR("name"), "messages have no author's name there") : 0;
}

static unsigned turns_of(const struct canon_request *q)
{
    unsigned n = 0;

    for (const struct canon_message *m = q->messages; m; m = m->next)
        n += m->role == ROLE_USER || m->role == ROLE_ASSISTANT;
    return n;
}

static void add_turn(struct canon_call *c, const struct canon_message *m, struct buf *out)
{
    if (out->n)
        buf_addstr(out, STR("\n\n"));
    buf_addstr(out, m->role == ROLE_USER ? STR("User: ") : STR("Assistant: "));
    buf_addstr(out, native_join(c, m->parts, WORDS, STR("\n")));
}

/* One message is the prompt as it is; several are a dialogue that the model is to go on with. */
static int put_prompt(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    _cleanup_(buf_free) struct buf text = {0};
    const struct canon_message *last = NULL;
    bool single = turns_of(q) == 1;

    buf_init(&text, LIMIT_BODY_BYTES);
    for (const struct canon_message *m = q->messages; m; m = m->next) {
        if (m->role != ROLE_USER && m->role != ROLE_ASSISTANT)
            continue;
        last = m;
        if (single)
            buf_addstr(&text, native_join(c, m->parts, WORDS, STR("\n")));
        else
            add_turn(c, m, &text);
    }
    if (!last)
        return canon_fail(c, STR("messages"), "There is no message to answer.");
    if (!single && last->role == ROLE_USER)
        buf_addstr(&text, STR("\n\nAssistant:"));
    if (text.err)
        return canon_no_room(c);
    jw_member_str(w, "prompt", buf_str(&text));
    return 0;
}

static void put_system(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    struct canon_part *parts = NULL, **tail = &parts;

    for (const struct canon_message *m = q->messages; m; m = m->next)
        if (m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER)
            for (const struct canon_part *p = m->parts; p; p = p->next) {
                struct canon_part *copy = canon_add_part(c, &tail, PART_TEXT);
                if (copy)
                    copy->text = p->text;
            }
    struct str text = native_join(c, parts, 1u << PART_TEXT, STR("\n\n"));
    if (text.n)
        jw_member_str(w, "system_prompt", text);
}

static int put_image(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    bool any = false;

    for (const struct canon_message *m = q->messages; m; m = m->next)
        for (const struct canon_part *p = m->parts; p; p = p->next) {
            if (p->kind != PART_IMAGE)
                continue;
            struct str url = native_media_url(c, &p->media);
            if (any || !url.p)
                return canon_fail(c, STR("messages"),
                    "Replicate's models take one picture, by its bytes or its address.");
            any = true;
            jw_member_str(w, "image", url);
        }
    return 0;
}

/* --- input --- */

/* Its models take them as one text, parted by commas. */
static int put_stops(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    struct str called = q->stops_called.n ? q->stops_called : STR("stop");
    struct canon_part *parts = NULL, **tail = &parts;

    for (unsigned i = 0; i < q->stops_n; i++) {
        if (str_chr(q->stops[i], ',') >= 0)
            return canon_drop(c, called, "they are parted by commas, and one has a comma");
        if (!canon_add_text(c, &tail, q->stops[i]))
            return -ENOMEM;
    }
    if (parts)
        jw_member_str(w, "stop_sequences", native_join(c, parts, 1u << PART_TEXT, STR(",")));
    return 0;
}

static int put_input(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    int r = put_prompt(c, q, w);

    if (r < 0)
        return r;
    put_system(c, q, w);
    if ((r = put_image(c, q, w)) < 0)
        return r;
    if (q->max_tokens >= 0)
        jw_member_int(w, "max_tokens", q->max_tokens);
    jw_member_raw(w, "temperature", q->param[PARAM_TEMPERATURE].raw);
    jw_member_raw(w, "top_p", q->param[PARAM_TOP_P].raw);
    jw_member_raw(w, "top_k", q->param[PARAM_TOP_K].raw);
    jw_member_raw(w, "seed", q->param[PARAM_SEED].raw);
    jw_member_raw(w, "frequency_penalty", q->param[PARAM_FREQUENCY_PENALTY].raw);
    jw_member_raw(w, "presence_penalty", q->param[PARAM_PRESENCE_PENALTY].raw);
    return put_stops(c, q, w);
}

/* "owner/name:version" or a version alone; else the newest is meant, which the path says. */
static struct str version_of(struct str model)
{
    ptrdiff_t colon = str_chr(model, ':');

    if (colon >= 0)
        return str_from(model, (size_t)colon + 1);
    return str_chr(model, '/') < 0 ? model : STR_NONE;
}

static int drop_others(struct canon_call *c, const struct canon_request *q)
{
    const struct canon_reasoning *t = &q->reasoning;
    bool thinks = t->mode > THINKING_OFF || t->effort > EFFORT_NONE || t->budget > 0;
    int r = 0;

    if (q->format.kind == FORMAT_JSON || q->format.kind == FORMAT_SCHEMA)
        r = canon_drop(c, q->format.called.n ? q->format.called : STR("response_format"),
            "the model cannot be kept to a format");
    if (r == 0 && thinks)
        r = canon_drop(
            c, t->called.n ? t->called : STR("reasoning_effort"), "the model has no such setting");
    return r;
}

int replicate_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out)
{
    const uint32_t kept = PARAM_BIT(TEMPERATURE) | PARAM_BIT(TOP_P) | PARAM_BIT(TOP_K) |
                          PARAM_BIT(SEED) | PARAM_BIT(FREQUENCY_PENALTY) |
                          PARAM_BIT(PRESENCE_PENALTY);
    struct jw w = {.out = out};
    struct str version = version_of(c->model);
    int r = native_one_answer(c, q);

    if (r == 0 && q->tools && q->tool_choice.mode != TOOLS_NONE)
        r = canon_fail(c, STR("tools"), "Replicate's models have no tools.");
    for (const struct canon_message *m = q->messages; m && r == 0; m = m->next)
        r = check_parts(c, m);
    if (r == 0)
        r = native_drop_params(c, q, kept);
    if (r == 0)
        r = native_drop_extras(c, q);
    if (r == 0)
        r = native_drop_marks(c, q);
    if (r == 0)
        r = drop_others(c, q);
    if (r < 0)
        return r;
    jw_open(&w, '{');
    if (version.n)
        jw_member_str(&w, "version", version);
    jw_key(&w, "input");
    jw_open(&w, '{');
    r = put_input(c, q, &w);
    jw_close(&w, '}');
    jw_close(&w, '}');
    return r == 0 && out->err ? canon_no_room(c) : r;
}
