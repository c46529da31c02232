/*
 * Messages for Ollama: one text each, pictures as base64 beside it, thinking and calls of tools as
 * members of their own. Text documents become part of the text, as there is nothing else for them.
 */
#include "translate/ollama_int.h"

#define WORDS (1u << PART_TEXT | 1u << PART_REFUSAL)

/* --- content --- */

static int put_images(struct canon_call *c, const struct canon_part *parts, struct jw *w)
{
    bool open = false;

    for (const struct canon_part *p = parts; p; p = p->next) {
        if (p->kind != PART_IMAGE)
            continue;
        if (p->media.source != MEDIA_BASE64)
            return canon_fail(c, STR("messages"),
                "Ollama takes pictures by their bytes, not by an address or id.");
        if (!open) {
            jw_key(w, "images");
            jw_open(w, '[');
        }
        open = true;
        jw_str(w, p->media.data);
    }
    if (open)
        jw_close(w, ']');
    return 0;
}

/* A copy of the parts in which text documents are texts. */
static int with_documents(
    struct canon_call *c, const struct canon_part *parts, struct canon_part **ret)
{
    struct canon_part **tail = ret;
    struct str text;

    *ret = NULL;
    for (const struct canon_part *p = parts; p; p = p->next) {
        if (p->kind == PART_AUDIO || p->kind == PART_VIDEO)
            return canon_fail(c, STR("messages"), "Ollama takes no sounds and no films.");
        if (p->kind == PART_DOCUMENT && !native_document_text(c, &p->media, &text))
            return canon_fail(c, STR("messages"), "Ollama takes documents of text alone.");
        struct canon_part *copy = canon_add_part(c, &tail, PART_TEXT);
        if (!copy)
            return -ENOMEM;
        *copy = *p;
        copy->next = NULL;
        if (p->kind != PART_DOCUMENT)
            continue;
        copy->kind = PART_TEXT;
        copy->text = text;
        if (p->media.name.n)
            copy->text = arena_printf(
                c->arena, STR_FMT ":\n" STR_FMT, STR_ARG(p->media.name), STR_ARG(text));
    }
    return 0;
}

/* "content" and "images". */
static int put_content(struct canon_call *c, const struct canon_part *parts, struct jw *w)
{
    struct canon_part *copy;
    int r = with_documents(c, parts, &copy);

    if (r < 0)
        return r;
    jw_member_str(w, "content", native_join(c, copy, WORDS, STR("\n")));
    return put_images(c, copy, w);
}

/* --- messages --- */

static int put_result(
    struct canon_call *c, const struct canon_request *q, const struct canon_part *p, struct jw *w)
{
    struct str name = p->name.n ? p->name : canon_tool_name(q, p->id);
    int r;

    jw_open(w, '{');
    jw_member_str(w, "role", STR("tool"));
    r = put_content(c, p->content, w);
    jw_member_str(w, "tool_name", name);
    jw_close(w, '}');
    if (r == 0 && p->is_error)
        r = canon_drop(c, STR("is_error"), "results of tools do not say there that they failed");
    return r;
}

static void put_calls(struct canon_call *c, const struct canon_message *m, struct jw *w)
{
    bool open = false;

    for (const struct canon_part *p = m->parts; p; p = p->next) {
        if (p->kind != PART_TOOL_CALL)
            continue;
        if (!open) {
            jw_key(w, "tool_calls");
            jw_open(w, '[');
        }
        open = true;
        jw_open(w, '{');
        jw_key(w, "function");
        jw_open(w, '{');
        jw_member_str(w, "name", p->name);
        jw_member_raw(w, "arguments", native_arguments(c, p));
        jw_close(w, '}');
        jw_close(w, '}');
    }
    if (open)
        jw_close(w, ']');
}

/* Thinking that another provider signed is none of this model's. */
static int put_thinking(struct canon_call *c, const struct canon_message *m, struct jw *w)
{
    struct canon_part *own = NULL, **tail = &own;
    int r = 0;

    for (const struct canon_part *p = m->parts; p && r == 0; p = p->next) {
        bool foreign =
            p->kind == PART_REDACTED_THINKING || (p->kind == PART_THINKING && p->signature.n);
        if (foreign)
            r = canon_drop(c, STR("thinking"), "another provider's thinking is not taken");
        if (foreign || p->kind != PART_THINKING)
            continue;
        struct canon_part *copy = canon_add_part(c, &tail, PART_THINKING);
        if (!copy)
            return -ENOMEM;
        copy->text = p->text;
    }
    struct str text = native_join(c, own, 1u << PART_THINKING, STR("\n"));
    if (text.n)
        jw_member_str(w, "thinking", text);
    return r;
}

static bool has(const struct canon_message *m, uint32_t kinds)
{
    for (const struct canon_part *p = m->parts; p; p = p->next)
        if (kinds & 1u << p->kind)
            return true;
    return false;
}

static int put_assistant(struct canon_call *c, const struct canon_message *m, struct jw *w)
{
    int r = 0;

    for (const struct canon_part *p = m->parts; p && r == 0; p = p->next)
        if (p->citations)
            r = canon_drop(c, STR("citations"), "those of earlier answers are not passed on");
    if (r < 0)
        return r;
    jw_open(w, '{');
    jw_member_str(w, "role", STR("assistant"));
    r = put_content(c, m->parts, w);
    if (r == 0)
        r = put_thinking(c, m, w);
    put_calls(c, m, w);
    jw_close(w, '}');
    return r;
}

static int put_user(struct canon_call *c, const struct canon_request *q,
    const struct canon_message *m, struct jw *w)
{
    int r = 0;

    for (const struct canon_part *p = m->parts; p && r == 0; p = p->next)
        if (p->kind == PART_TOOL_RESULT)
            r = put_result(c, q, p, w);
    if (r < 0 || !has(m, ~(1u << PART_TOOL_RESULT)))
        return r;
    jw_open(w, '{');
    jw_member_str(w, "role", m->role == ROLE_USER ? STR("user") : STR("system"));
    r = put_content(c, m->parts, w);
    jw_close(w, '}');
    return r;
}

int ollama_write_messages(struct canon_call *c, const struct canon_request *q, struct jw *w)
{
    int r = 0;

    jw_key(w, "messages");
    jw_open(w, '[');
    for (const struct canon_message *m = q->messages; m && r == 0; m = m->next) {
        if (m->name.n)
            r = canon_drop(c, STR("name"), "messages have no author's name there");
        if (r == 0 && m->parts)
            r = m->role == ROLE_ASSISTANT ? put_assistant(c, m, w) : put_user(c, q, m, w);
    }
    jw_close(w, ']');
    return r;
}
