/*
 * Messages for Cohere's v2 chat. Results of tools are messages of their own; a text that stands
 * before calls is the plan for them (tool_plan); documents stand beside the messages, where the
 * model can cite them.
 */
#include "translate/cohere_int.h"

struct writer {
    struct canon_call *c;
    const struct canon_request *q;
    struct jw *w;
};

static void open_message(struct writer *cw, struct str role)
{
    jw_open(cw->w, '{');
    jw_member_str(cw->w, "role", role);
}

/* --- user --- */

static int put_image(struct writer *cw, const struct canon_part *p)
{
    struct str url = native_media_url(cw->c, &p->media);
    struct jw *w = cw->w;

    if (!url.p)
        return canon_fail(cw->c, STR("messages"),
            "Cohere takes pictures by their bytes or their address, not by an id.");
    jw_open(w, '{');
    jw_member_str(w, "type", STR("image_url"));
    jw_key(w, "image_url");
    jw_open(w, '{');
    jw_member_str(w, "url", url);
    if (p->media.detail.n)
        jw_member_str(w, "detail", p->media.detail);
    jw_close(w, '}');
    jw_close(w, '}');
    return 0;
}

static void put_text(struct writer *cw, struct str text)
{
    jw_open(cw->w, '{');
    jw_member_str(cw->w, "type", STR("text"));
    jw_member_str(cw->w, "text", text);
    jw_close(cw->w, '}');
}

static int check_part(struct writer *cw, const struct canon_part *p)
{
    static const struct {
        enum canon_part_kind kind;
        const char *what;
    } refused[] = {{PART_AUDIO, "sounds"}, {PART_VIDEO, "films"}};
    struct str text;

    for (unsigned i = 0; i < ARRAY_LEN(refused); i++)
        if (p->kind == refused[i].kind)
            return canon_fail(cw->c, STR("messages"), "Cohere takes no %s.", refused[i].what);
    if (p->kind == PART_DOCUMENT && !native_document_text(cw->c, &p->media, &text))
        return canon_fail(cw->c, STR("messages"), "Cohere takes documents of text alone.");
    return 0;
}

static unsigned count(const struct canon_part *parts, uint32_t kinds)
{
    unsigned n = 0;

    for (const struct canon_part *p = parts; p; p = p->next)
        n += (kinds & ((uint32_t)1 << p->kind)) != 0;
    return n;
}

/* The user's words and pictures; a single text is a plain string. */
static int put_user(struct writer *cw, const struct canon_message *m)
{
    const uint32_t text = 1u << PART_TEXT | 1u << PART_REFUSAL, picture = 1u << PART_IMAGE;
    unsigned pictures = count(m->parts, picture), texts = count(m->parts, text);
    int r = 0;

    for (const struct canon_part *p = m->parts; p && r == 0; p = p->next)
        r = check_part(cw, p);
    if (r < 0 || (!pictures && !texts && !count(m->parts, 1u << PART_DOCUMENT)))
        return r;
    open_message(cw, STR("user"));
    jw_key(cw->w, "content");
    if (!pictures && texts <= 1) {
        jw_str(cw->w, native_join(cw->c, m->parts, text, STR("\n")));
    } else {
        jw_open(cw->w, '[');
        for (const struct canon_part *p = m->parts; p && r == 0; p = p->next) {
            if (p->kind == PART_IMAGE)
                r = put_image(cw, p);
            else if (text & 1u << p->kind)
                put_text(cw, p->text);
        }
        jw_close(cw->w, ']');
    }
    jw_close(cw->w, '}');
    return r;
}

/* --- results of tools --- */

static void put_result_document(struct writer *cw, const struct canon_part *p, struct str text)
{
    struct jw *w = cw->w;

    jw_open(w, '{');
    jw_member_str(w, "type", STR("document"));
    jw_key(w, "document");
    jw_open(w, '{');
    jw_key(w, "data");
    jw_open(w, '{');
    jw_member_str(w, "title", p->media.name);
    jw_member_str(w, "text", text);
    jw_close(w, '}');
    jw_close(w, '}');
    jw_close(w, '}');
}

static int put_result_part(struct writer *cw, const struct canon_part *p)
{
    struct str text;
    int r = check_part(cw, p);

    if (r < 0)
        return r;
    if (p->kind == PART_DOCUMENT) {
        native_document_text(cw->c, &p->media, &text);
        put_result_document(cw, p, text);
    } else if (p->kind != PART_IMAGE) { /* pictures follow in a message of the user's */
        put_text(cw, p->text);
    }
    return 0;
}

static int put_result(struct writer *cw, const struct canon_part *p)
{
    bool plain = !count(p->content, 1u << PART_DOCUMENT) && count(p->content, 1u << PART_TEXT) <= 1;
    int r = 0;

    open_message(cw, STR("tool"));
    jw_member_str(cw->w, "tool_call_id", p->id);
    jw_key(cw->w, "content");
    if (plain) {
        jw_str(cw->w, native_join(cw->c, p->content, 1u << PART_TEXT, STR_NONE));
    } else {
        jw_open(cw->w, '[');
        for (const struct canon_part *in = p->content; in && r == 0; in = in->next)
            r = put_result_part(cw, in);
        jw_close(cw->w, ']');
    }
    jw_close(cw->w, '}');
    if (r == 0 && p->is_error)
        r = canon_drop(
            cw->c, STR("is_error"), "results of tools do not say there that they failed");
    return r;
}

/* The pictures of all results, behind them. */
static int put_result_pictures(struct writer *cw, const struct canon_message *m)
{
    bool open = false;
    int r = 0;

    for (const struct canon_part *p = m->parts; p; p = p->next)
        for (const struct canon_part *in = p->content; in && r == 0; in = in->next) {
            if (in->kind != PART_IMAGE)
                continue;
            if (!open) {
                open_message(cw, STR("user"));
                jw_key(cw->w, "content");
                jw_open(cw->w, '[');
                open = true;
            }
            r = put_image(cw, in);
        }
    if (open) {
        jw_close(cw->w, ']');
        jw_close(cw->w, '}');
    }
    return r;
}

/* --- assistant --- */

static void put_call(struct writer *cw, const struct canon_part *p)
{
    struct jw *w = cw->w;

    jw_open(w, '{');
    jw_member_str(w, "id", p->id);
    jw_member_str(w, "type", STR("function"));
    jw_key(w, "function");
    jw_open(w, '{');
    jw_member_str(w, "name", cohere_name_out(cw->c, p->name));
    jw_member_str(w, "arguments", native_arguments(cw->c, p));
    jw_close(w, '}');
    jw_close(w, '}');
}

/* Thinking that another provider signed is none of Cohere's. */
static bool is_own_thinking(const struct canon_part *p)
{
    return p->kind == PART_THINKING && p->text.n && !p->signature.n;
}

static int drop_foreign(struct writer *cw, const struct canon_message *m)
{
    int r = 0;

    for (const struct canon_part *p = m->parts; p && r == 0; p = p->next) {
        if (p->kind == PART_IMAGE || p->kind == PART_DOCUMENT || p->kind == PART_AUDIO ||
            p->kind == PART_VIDEO)
            return canon_fail(cw->c, STR("messages"),
                "Cohere takes pictures and files in the user's messages alone.");
        if (p->kind == PART_REDACTED_THINKING || (p->kind == PART_THINKING && !is_own_thinking(p)))
            r = canon_drop(cw->c, STR("thinking"), "another provider's thinking is not taken");
        if (r == 0 && p->citations)
            r = canon_drop(cw->c, STR("citations"), "those of earlier answers are not passed on");
    }
    return r;
}

static void put_thinking(struct writer *cw, const struct canon_message *m)
{
    for (const struct canon_part *p = m->parts; p; p = p->next) {
        if (!is_own_thinking(p))
            continue;
        jw_open(cw->w, '{');
        jw_member_str(cw->w, "type", STR("thinking"));
        jw_member_str(cw->w, "thinking", p->text);
        jw_close(cw->w, '}');
    }
}

static int put_assistant(struct writer *cw, const struct canon_message *m)
{
    const uint32_t words = 1u << PART_TEXT | 1u << PART_REFUSAL;
    struct str text = native_join(cw->c, m->parts, words, STR("\n"));
    bool calls = count(m->parts, 1u << PART_TOOL_CALL) > 0, thinks = false;
    struct jw *w = cw->w;
    int r = drop_foreign(cw, m);

    for (const struct canon_part *p = m->parts; p; p = p->next)
        thinks |= is_own_thinking(p);
    if (r < 0 || (!calls && !text.n && !thinks))
        return r;
    open_message(cw, STR("assistant"));
    if (calls) {
        jw_key(w, "tool_calls");
        jw_open(w, '[');
        for (const struct canon_part *p = m->parts; p; p = p->next)
            if (p->kind == PART_TOOL_CALL)
                put_call(cw, p);
        jw_close(w, ']');
        if (text.n)
            jw_member_str(w, "tool_plan", text);
    }
    if (thinks) {
        jw_key(w, "content");
        jw_open(w, '[');
        put_thinking(cw, m);
        if (!calls && text.n)
            put_text(cw, text);
        jw_close(w, ']');
    } else if (!calls) {
        jw_member_str(w, "content", text);
    }
    jw_close(w, '}');
    return 0;
}

/* --- all --- */

static int put_system(struct writer *cw, const struct canon_message *m)
{
    for (const struct canon_part *p = m->parts; p; p = p->next)
        if (p->kind != PART_TEXT)
            return canon_fail(
                cw->c, STR("messages"), "Cohere takes system messages of text alone.");
    struct str text = native_join(cw->c, m->parts, 1u << PART_TEXT, STR("\n"));
    if (!text.n)
        return 0;
    open_message(cw, STR("system"));
    jw_member_str(cw->w, "content", text);
    jw_close(cw->w, '}');
    return 0;
}

static int put_message(struct writer *cw, const struct canon_message *m)
{
    int r = m->name.n ? canon_drop(cw->c, STR("name"), "messages have no author's name there") : 0;

    if (r < 0)
        return r;
    if (m->role == ROLE_ASSISTANT)
        return put_assistant(cw, m);
    if (m->role != ROLE_USER)
        return put_system(cw, m);
    for (const struct canon_part *p = m->parts; p && r == 0; p = p->next)
        if (p->kind == PART_TOOL_RESULT)
            r = put_result(cw, p);
    if (r == 0)
        r = put_result_pictures(cw, m);
    return r == 0 ? put_user(cw, m) : r;
}

/* --- documents --- */

bool cohere_has_documents(const struct canon_request *q)
{
    for (const struct canon_message *m = q->messages; m; m = m->next)
        if (m->role == ROLE_USER && count(m->parts, 1u << PART_DOCUMENT))
            return true;
    return false;
}

static void put_document(struct writer *cw, const struct canon_part *p)
{
    struct jw *w = cw->w;
    struct str text = STR("");

    native_document_text(cw->c, &p->media, &text);
    jw_open(w, '{');
    jw_key(w, "data");
    jw_open(w, '{');
    if (p->media.name.n)
        jw_member_str(w, "title", p->media.name);
    jw_member_str(w, "text", text);
    if (p->media.context.n)
        jw_member_str(w, "context", p->media.context);
    jw_close(w, '}');
    jw_close(w, '}');
}

int cohere_write_messages(
    struct canon_call *c, const struct canon_request *q, struct jw *w, bool *ret_documents)
{
    struct writer cw = {.c = c, .q = q, .w = w};
    int r = 0;

    jw_key(w, "messages");
    jw_open(w, '[');
    for (const struct canon_message *m = q->messages; m && r == 0; m = m->next)
        r = put_message(&cw, m);
    jw_close(w, ']');
    *ret_documents = cohere_has_documents(q);
    if (r < 0 || !*ret_documents)
        return r;
    jw_key(w, "documents");
    jw_open(w, '[');
    for (const struct canon_message *m = q->messages; m; m = m->next)
        for (const struct canon_part *p = m->role == ROLE_USER ? m->parts : NULL; p; p = p->next)
            if (p->kind == PART_DOCUMENT)
                put_document(&cw, p);
    jw_close(w, ']');
    return 0;
}
