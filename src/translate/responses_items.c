/*
 * Messages as the items of an upstream's input. The texts of the first system messages are the
 * instructions; a message becomes one item for each run of its texts and media, one for each call,
 * output and reasoning in it, in their order.
 */
#include "translate/responses_int.h"

#include "base/macros.h"

#include <errno.h>

struct items {
    struct canon_call *c;
    const struct canon_request *q;
    struct jw *w;
    unsigned message; /* the number of the one that is written */
};

/* --- instructions --- */

static bool is_instruction(const struct canon_message *m)
{
    if (m->role != ROLE_SYSTEM)
        return false;
    for (const struct canon_part *p = m->parts; p; p = p->next)
        if (p->kind != PART_TEXT)
            return false;
    return true;
}

struct str responses_instructions(
    struct canon_call *c, const struct canon_request *q, const struct canon_message **ret_rest)
{
    const struct canon_message *m = q->messages;
    struct str all = STR_NONE;

    for (; m && is_instruction(m); m = m->next)
        for (const struct canon_part *p = m->parts; p; p = p->next) {
            if (p->cache)
                canon_drop(c, STR("cache_control"), "it caches by itself");
            if (!p->text.n)
                continue;
            all = all.n
                      ? arena_printf(c->arena, STR_FMT "\n" STR_FMT, STR_ARG(all), STR_ARG(p->text))
                      : p->text;
        }
    *ret_rest = m;
    return all;
}

/* --- media --- */

static int fail_part(struct items *it, const char *why)
{
    const struct place *at = AT(IN(NULL, "messages"), it->message);

    return canon_fail(it->c, place_path(it->c, IN(at, "content")), "%s", why);
}

static int write_image(struct items *it, const struct canon_media *m)
{
    struct str detail = m->detail.n ? m->detail : STR("auto");

    jw_open(it->w, '{');
    jw_member_str(it->w, "type", STR("input_image"));
    jw_member_str(it->w, "detail", detail);
    if (m->source == MEDIA_FILE_ID)
        jw_member_str(it->w, "file_id", m->data);
    else
        jw_member_str(it->w, "image_url",
            m->source == MEDIA_URL
                ? m->data
                : canon_data_url_of(it->c, m->mime.n ? m->mime : STR("image/png"), m->data));
    jw_close(it->w, '}');
    return m->source == MEDIA_TEXT ? fail_part(it, "A picture cannot be given as text.") : 0;
}

static struct str file_name(const struct canon_media *m)
{
    return m->name.n                                 ? m->name
           : str_eq(m->mime, STR("application/pdf")) ? STR("document.pdf")
                                                     : STR("document");
}

static int write_file(struct items *it, const struct canon_media *m)
{
    struct jw *w = it->w;

    if (m->source == MEDIA_TEXT) { /* a document of plain text */
        jw_open(w, '{');
        jw_member_str(w, "type", STR("input_text"));
        jw_member_str(w, "text", m->data);
        jw_close(w, '}');
        return m->name.n ? canon_drop(it->c, STR("title"), "a text has none here") : 0;
    }
    jw_open(w, '{');
    jw_member_str(w, "type", STR("input_file"));
    if (m->source == MEDIA_FILE_ID) {
        jw_member_str(w, "file_id", m->data);
    } else if (m->source == MEDIA_URL) {
        jw_member_str(w, "file_url", m->data);
    } else {
        jw_member_str(w, "filename", file_name(m));
        jw_member_str(w, "file_data",
            canon_data_url_of(it->c, m->mime.n ? m->mime : STR("application/pdf"), m->data));
    }
    jw_close(w, '}');
    if (m->context.n)
        return canon_drop(it->c, STR("context"), "a file has none here");
    return m->citations ? canon_drop(it->c, STR("citations"), "files are not cited from here") : 0;
}

/* --- content --- */

static void write_text(struct items *it, bool spoken, struct str text)
{
    jw_open(it->w, '{');
    jw_member_str(it->w, "type", spoken ? STR("output_text") : STR("input_text"));
    jw_member_str(it->w, "text", text.p ? text : STR(""));
    jw_close(it->w, '}');
}

/* spoken: by the assistant. */
static int write_part(struct items *it, const struct canon_part *p, bool spoken)
{
    int r = p->cache ? canon_drop(it->c, STR("cache_control"), "it caches by itself") : 0;

    if (r < 0)
        return r;
    switch (p->kind) {
    case PART_TEXT:
        write_text(it, spoken, p->text);
        return 0;
    case PART_REFUSAL:
        jw_open(it->w, '{');
        jw_member_str(it->w, "type", STR("refusal"));
        jw_member_str(it->w, "refusal", p->text);
        jw_close(it->w, '}');
        return 0;
    case PART_IMAGE:
        if (spoken) /* pictures that a model made cannot be given back in its words */
            return canon_drop(it->c, STR("image"), "the assistant's messages hold text alone");
        return write_image(it, &p->media);
    case PART_DOCUMENT:
        return write_file(it, &p->media);
    case PART_AUDIO:
        if (spoken)
            return canon_drop(it->c, STR("audio"), "the assistant's messages hold text alone");
        return fail_part(it, "This provider takes no sound here.");
    default:
        return fail_part(it, "This provider takes no video.");
    }
}

static bool is_content(const struct canon_part *p)
{
    return p->kind <= PART_VIDEO;
}

/* The parts from p to end as a list; one plain text as a string. */
static int write_content(
    struct items *it, const struct canon_part *p, const struct canon_part *end, bool spoken)
{
    int r = 0;

    if (p && p->next == end && p->kind == PART_TEXT && !p->cache) {
        jw_str(it->w, p->text.p ? p->text : STR(""));
        return 0;
    }
    jw_open(it->w, '[');
    for (; r == 0 && p && p != end; p = p->next)
        r = write_part(it, p, spoken);
    jw_close(it->w, ']');
    return r;
}

static struct str role_name(enum canon_role role)
{
    static const struct str names[] = {[ROLE_SYSTEM] = STR_INIT("system"),
        [ROLE_DEVELOPER] = STR_INIT("developer"),
        [ROLE_USER] = STR_INIT("user"),
        [ROLE_ASSISTANT] = STR_INIT("assistant")};

    return names[role];
}

/* --- calls, outputs, reasoning --- */

static struct str call_id(struct items *it, struct str id)
{
    return chat_id_out(it->c, chat_quirks_of(STR("openai")), id);
}

static void write_call(struct items *it, const struct canon_part *p)
{
    struct jw *w = it->w;
    bool custom = p->is_custom;

    jw_open(w, '{');
    jw_member_str(w, "type", custom ? STR("custom_tool_call") : STR("function_call"));
    jw_member_str(w, "call_id", call_id(it, p->id));
    jw_member_str(w, "name", chat_name_out(it->c, p->name));
    jw_key(w, custom ? "input" : "arguments");
    jw_str(w, custom ? (p->text.p ? p->text : STR("")) : p->raw.n ? p->raw : STR("{}"));
    jw_close(w, '}');
}

static bool answers_custom(const struct canon_request *q, const struct canon_part *result)
{
    bool custom = result->is_custom;

    for (const struct canon_message *m = q->messages; m; m = m->next)
        for (const struct canon_part *p = m->parts; p; p = p->next)
            if (p->kind == PART_TOOL_CALL && str_eq(p->id, result->id))
                custom = p->is_custom;
    return custom;
}

static int write_result(struct items *it, const struct canon_part *p)
{
    struct jw *w = it->w;
    bool custom = answers_custom(it->q, p);
    int r = 0;

    jw_open(w, '{');
    jw_member_str(w, "type", custom ? STR("custom_tool_call_output") : STR("function_call_output"));
    jw_member_str(w, "call_id", call_id(it, p->id));
    jw_key(w, "output");
    if (p->content)
        r = write_content(it, p->content, NULL, false);
    else
        jw_str(w, STR(""));
    jw_close(w, '}');
    if (r == 0 && p->cache)
        r = canon_drop(it->c, STR("cache_control"), "it caches by itself");
    if (r == 0 && p->is_error)
        r = canon_drop(it->c, STR("is_error"), "an output does not say whether it is an error");
    return r;
}

/* Reasoning goes back to the provider that made it alone. */
static int write_thinking(struct items *it, const struct canon_part *p)
{
    struct jw *w = it->w;

    if (p->maker != MAKER_OPENAI || !p->signature.n)
        return canon_drop(it->c, STR("thinking"), "only the provider that made it can read it");
    jw_open(w, '{');
    jw_member_str(w, "type", STR("reasoning"));
    if (p->id.n)
        jw_member_str(w, "id", p->id);
    jw_key(w, "summary");
    jw_open(w, '[');
    if (p->text.n) {
        jw_open(w, '{');
        jw_member_str(w, "type", STR("summary_text"));
        jw_member_str(w, "text", p->text);
        jw_close(w, '}');
    }
    jw_close(w, ']');
    jw_member_str(w, "encrypted_content", p->signature);
    jw_close(w, '}');
    return 0;
}

/* --- messages --- */

/* A run of texts and media as one item; *ret_end is what stands behind it. */
static int write_run(struct items *it, const struct canon_message *m, const struct canon_part *p,
    const struct canon_part **ret_end)
{
    const struct canon_part *end = p;
    bool spoken = m->role == ROLE_ASSISTANT, says = false;
    int r = 0;

    for (; end && is_content(end); end = end->next)
        says |= !spoken || (end->kind != PART_IMAGE && end->kind != PART_AUDIO);
    *ret_end = end;
    for (; !says && r == 0 && p != end; p = p->next) /* leaves them out */
        r = write_part(it, p, spoken);
    if (!says)
        return r;
    jw_open(it->w, '{');
    jw_member_str(it->w, "role", role_name(m->role));
    jw_key(it->w, "content");
    r = write_content(it, p, end, spoken);
    jw_close(it->w, '}');
    return r;
}

static int write_message(struct items *it, const struct canon_message *m)
{
    int r = m->name.n ? canon_drop(it->c, STR("name"), "messages have no names here") : 0;

    for (const struct canon_part *p = m->parts; p && r == 0;) {
        const struct canon_part *next = p->next;
        if (p->signature.n && p->kind != PART_THINKING)
            r = canon_drop(it->c, STR("thinking"), "only the provider that made it can read it");
        if (r == 0 && is_content(p))
            r = write_run(it, m, p, &next);
        else if (p->kind == PART_TOOL_CALL)
            write_call(it, p);
        else if (p->kind == PART_TOOL_RESULT)
            r = write_result(it, p);
        else if (r == 0)
            r = write_thinking(it, p);
        p = next;
    }
    return r;
}

int responses_write_input(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    struct items it = {.c = c, .q = q, .w = w};
    const struct canon_message *rest;
    int r = 0;

    responses_instructions(c, q, &rest);
    for (const struct canon_message *m = q->messages; m != rest; m = m->next)
        it.message++;
    jw_key(w, "input");
    jw_open(w, '[');
    for (const struct canon_message *m = rest; m && r == 0; m = m->next, it.message++)
        r = write_message(&it, m);
    jw_close(w, ']');
    return r;
}
