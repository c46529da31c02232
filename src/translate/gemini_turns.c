/*
 * Canonical messages as contents. Turns alternate, results of tools stand first in theirs.
 *
 * Signatures: Gemini signs one part of an answer, of parallel calls the first, and models from the
 * third generation refuse a history whose calls lack it. What came back with the call is written;
 * one that a client could only keep with the thinking before it moves to the call; where there is
 * none (the call was another model's), Google's own word for that stands in.
 */
#include "translate/fetch.h"
#include "translate/gemini_int.h"

#include "base/limits.h"
#include "base/macros.h"

#include <errno.h>

#define NO_SIGNATURE STR("skip_thought_signature_validator")

struct turns {
    struct canon_call *c;
    const struct canon_request *q;
    const struct gemini_model *m;
    struct jw *w;
    struct str pending; /* a signature that stood with the thinking */
    bool called;        /* a call of this turn was written */
    bool system_first;  /* the system's texts are to stand in front of the next turn's */
};

static struct str own_signature(const struct canon_part *p)
{
    return p->maker == MAKER_GEMINI ? p->signature : STR_NONE;
}

static int put_text(struct turns *t, struct str text, bool thought, struct str signature)
{
    jw_open(t->w, '{');
    jw_member_str(t->w, "text", text.p ? text : STR(""));
    if (thought)
        jw_member_bool(t->w, "thought", true);
    if (signature.n)
        jw_member_str(t->w, "thoughtSignature", signature);
    jw_close(t->w, '}');
    return 0;
}

/* --- media --- */

static int refuse(struct turns *t, const struct canon_part *p, const char *why)
{
    struct str where = canon_part_path(t->c, t->q, p);
    return canon_fail(t->c, where, "'" STR_FMT "' %s.", STR_ARG(where), why);
}

static int put_inline(struct turns *t, struct str mime, struct str base64)
{
    jw_open(t->w, '{');
    jw_key(t->w, "inlineData");
    jw_open(t->w, '{');
    jw_member_str(t->w, "mimeType", mime);
    jw_member_str(t->w, "data", base64);
    jw_close(t->w, '}');
    jw_close(t->w, '}');
    return 0;
}

static int put_file(struct turns *t, const struct canon_part *p)
{
    const struct canon_media *m = &p->media;
    struct str mime = m->mime.n ? m->mime : canon_mime_of(m->data);
    if (!mime.n && gm_is_vertex(t->c))
        return refuse(t, p, "needs a media type for this provider");
    jw_open(t->w, '{');
    jw_key(t->w, "fileData");
    jw_open(t->w, '{');
    if (mime.n)
        jw_member_str(t->w, "mimeType", mime);
    jw_member_str(t->w, "fileUri", m->data);
    jw_close(t->w, '}');
    jw_close(t->w, '}');
    return 0;
}

static bool is_own_file(struct str id)
{
    return str_starts(id, STR("gs://")) ||
           str_starts(id, STR("https://generativelanguage.googleapis.com/"));
}

static int put_media(struct turns *t, const struct canon_part *p)
{
    const struct canon_media *m = &p->media;
    switch (m->source) {
    case MEDIA_BASE64:
        if (!m->mime.n)
            return refuse(t, p, "needs a media type");
        return put_inline(t, m->mime, m->data);
    case MEDIA_TEXT:
        return put_text(t, m->data, false, STR_NONE);
    case MEDIA_FILE_ID:
        return is_own_file(m->data) ? put_file(t, p)
                                    : refuse(t, p, "is a file of another provider");
    default:
        return canon_media_by_url(t->c, &wire_gemini, p)
                   ? put_file(t, p)
                   : refuse(t, p, "must be given inline for this provider");
    }
}

/* --- calls and results --- */

static struct str signature_of_call(struct turns *t, const struct canon_part *p)
{
    struct str s = own_signature(p);
    if (!s.n && !t->called)
        s = t->pending;
    if (!s.n && !t->called && t->m->abilities & GEMINI_SIGNED)
        s = NO_SIGNATURE;
    t->called = true;
    t->pending = STR_NONE;
    return s;
}

static bool sends_ids(const struct turns *t)
{
    return t->m->abilities & GEMINI_CALL_ID && !gm_is_vertex(t->c);
}

static int put_call(struct turns *t, const struct canon_part *p)
{
    jw_open(t->w, '{');
    jw_key(t->w, "functionCall");
    jw_open(t->w, '{');
    if (sends_ids(t) && p->id.n)
        jw_member_str(t->w, "id", p->id);
    jw_member_str(t->w, "name", p->name);
    jw_key(t->w, "args");
    if (p->is_custom) { /* gm_write_tools() declared it with this one parameter */
        jw_open(t->w, '{');
        jw_member_str(t->w, "input", p->text.p ? p->text : STR(""));
        jw_close(t->w, '}');
    } else {
        jw_raw(t->w, p->raw.n ? p->raw : STR("{}"));
    }
    jw_close(t->w, '}');
    struct str signature = signature_of_call(t, p);
    if (signature.n)
        jw_member_str(t->w, "thoughtSignature", signature);
    jw_close(t->w, '}');
    return 0;
}

/* The texts of a result, joined by line ends. */
static struct str result_text(struct turns *t, const struct canon_part *p)
{
    struct buf text;
    buf_init(&text, LIMIT_BODY_BYTES);
    for (const struct canon_part *x = p->content; x; x = x->next) {
        bool is_text = x->kind == PART_TEXT || x->kind == PART_REFUSAL;
        if (!is_text && !(x->kind == PART_DOCUMENT && x->media.source == MEDIA_TEXT))
            continue;
        if (text.n)
            buf_addc(&text, '\n');
        buf_addstr(&text, is_text ? x->text : x->media.data);
    }
    struct str all = arena_dup(t->c->arena, buf_str(&text));
    buf_free(&text);
    return all;
}

/* An object is the response; a list is JSON in it; all else is a text in it. */
static int put_response(struct turns *t, const struct canon_part *p)
{
    const char *why;
    struct str text = result_text(t, p), trimmed = str_trim(text);
    if (!text.p)
        return canon_no_room(t->c);
    bool json = trimmed.n && (trimmed.p[0] == '{' || trimmed.p[0] == '[');
    yyjson_val *v = json ? jr_parse(t->c->arena, trimmed, &why) : NULL;
    jw_key(t->w, "response");
    if (yyjson_is_obj(v) && !p->is_error) {
        jw_raw(t->w, jr_raw(t->c->arena, v));
        return 0;
    }
    jw_open(t->w, '{');
    jw_key(t->w, p->is_error ? "error" : "result");
    if (v)
        jw_raw(t->w, jr_raw(t->c->arena, v));
    else
        jw_str(t->w, text);
    jw_close(t->w, '}');
    return 0;
}

static bool is_media(const struct canon_part *p)
{
    return (p->kind == PART_IMAGE || p->kind == PART_DOCUMENT || p->kind == PART_AUDIO ||
               p->kind == PART_VIDEO) &&
           p->media.source != MEDIA_TEXT;
}

static int put_result_media(struct turns *t, const struct canon_part *p)
{
    int r = 0;
    bool any = false;
    for (const struct canon_part *x = p->content; x && r == 0; x = x->next) {
        if (!is_media(x))
            continue;
        if (!any) {
            jw_key(t->w, "parts");
            jw_open(t->w, '[');
        }
        any = true;
        r = put_media(t, x);
    }
    if (any)
        jw_close(t->w, ']');
    return r;
}

static int put_result(struct turns *t, const struct canon_part *p)
{
    struct str name = p->name.n ? p->name : canon_tool_name(t->q, p->id);
    int r;
    if (!name.n)
        return refuse(t, p, "answers no tool call");
    jw_open(t->w, '{');
    jw_key(t->w, "functionResponse");
    jw_open(t->w, '{');
    if (sends_ids(t) && p->id.n)
        jw_member_str(t->w, "id", p->id);
    jw_member_str(t->w, "name", name);
    r = put_response(t, p);
    if (r == 0 && t->m->abilities & GEMINI_TOOL_MEDIA)
        r = put_result_media(t, p);
    jw_close(t->w, '}');
    jw_close(t->w, '}');
    return r;
}

/* Models that take no media inside a response get them behind all responses. */
static int put_late_media(struct turns *t, const struct canon_message *m)
{
    int r = 0;
    if (t->m->abilities & GEMINI_TOOL_MEDIA)
        return 0;
    for (const struct canon_part *p = m->parts; p; p = p->next)
        for (const struct canon_part *x = p->kind == PART_TOOL_RESULT ? p->content : NULL;
             x && r == 0; x = x->next)
            if (is_media(x))
                r = put_media(t, x);
    return r;
}

/* --- thinking --- */

static bool has_call(const struct canon_part *p)
{
    while (p && p->kind != PART_TOOL_CALL)
        p = p->next;
    return p != NULL;
}

/* Foreign thinking goes without its signature, which only its maker can read. */
static int put_thinking(struct turns *t, const struct canon_part *p)
{
    struct str s = own_signature(p);
    if (s.n && !t->called && has_call(p)) {
        t->pending = s;
        s = STR_NONE;
    }
    return p->text.n || s.n ? put_text(t, p->text, true, s) : 0;
}

/* --- turns --- */

static int put_part(struct turns *t, const struct canon_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
        return put_text(t, p->text, false, own_signature(p));
    case PART_REFUSAL:
        return put_text(t, p->text, false, STR_NONE);
    case PART_THINKING:
        return put_thinking(t, p);
    case PART_REDACTED_THINKING:
        return canon_drop(t->c, STR("redacted_thinking"), "only its maker can read it");
    case PART_TOOL_CALL:
        return put_call(t, p);
    case PART_TOOL_RESULT:
        return put_result(t, p);
    default:
        return put_media(t, p);
    }
}

static int note_marks(struct turns *t, const struct canon_part *p)
{
    return p->cache ? canon_drop(t->c, STR("cache_control"), "Gemini caches by itself") : 0;
}

/* Whether anything of a part is written. */
static bool is_written(const struct canon_part *p)
{
    if (p->kind == PART_REDACTED_THINKING)
        return false;
    return p->kind != PART_THINKING || p->text.n || own_signature(p).n;
}

static int put_parts(struct turns *t, const struct canon_message *m)
{
    int r = 0;
    bool late = false;
    t->pending = STR_NONE;
    t->called = false;
    for (const struct canon_part *p = m->parts; p && r == 0; p = p->next) {
        if (!late && p->kind != PART_TOOL_RESULT) {
            late = true;
            r = put_late_media(t, m);
        }
        if (r == 0)
            r = note_marks(t, p);
        if (r == 0)
            r = put_part(t, p);
    }
    return r == 0 && !late ? put_late_media(t, m) : r;
}

/* --- the system's texts --- */

static bool is_system(const struct canon_message *m)
{
    return m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
}

static int put_system_parts(struct turns *t, bool *any)
{
    int r = 0;
    for (const struct canon_message *m = t->q->messages; m; m = m->next) {
        for (const struct canon_part *p = is_system(m) ? m->parts : NULL; p && r == 0;
             p = p->next) {
            if (p->kind != PART_TEXT)
                return refuse(t, p, "must be a text in a system message");
            r = note_marks(t, p);
            if (!p->text.n || r < 0)
                continue;
            if (!*any && t->m->abilities & GEMINI_SYSTEM) {
                jw_key(t->w, "systemInstruction");
                jw_open(t->w, '{');
                jw_key(t->w, "parts");
                jw_open(t->w, '[');
            }
            *any = true;
            r = put_text(t, p->text, false, STR_NONE);
        }
    }
    return r;
}

static void open_turn(struct turns *t, struct str role)
{
    jw_open(t->w, '{');
    jw_member_str(t->w, "role", role);
    jw_key(t->w, "parts");
    jw_open(t->w, '[');
}

static void close_turn(struct turns *t)
{
    jw_close(t->w, ']');
    jw_close(t->w, '}');
}

static int put_turn(struct turns *t, const struct canon_message *m)
{
    bool any = false;
    for (const struct canon_part *p = m->parts; p; p = p->next)
        any |= is_written(p);
    if (!any)
        return canon_drop(t->c, STR("redacted_thinking"), "only its maker can read it");
    open_turn(t, m->role == ROLE_ASSISTANT ? STR("model") : STR("user"));
    int r = t->system_first ? put_system_parts(t, &any) : 0;
    t->system_first = false;
    if (r == 0)
        r = put_parts(t, m);
    close_turn(t);
    return r;
}

int gm_write_system(
    struct canon_call *c, const struct canon_request *q, const struct gemini_model *m, struct jw *w)
{
    struct turns t = {.c = c, .q = q, .m = m, .w = w};
    bool any = false;
    int r = put_system_parts(&t, &any);
    if (any) {
        jw_close(w, ']');
        jw_close(w, '}');
    }
    return r;
}

static bool has_system(const struct canon_request *q)
{
    for (const struct canon_message *m = q->messages; m; m = m->next)
        if (is_system(m))
            return true;
    return false;
}

/* A model without systemInstruction reads it as the beginning of what the user says, who may have
 * let the model speak first. */
static int put_system_turn(struct turns *t, const struct canon_message *first)
{
    bool any = false;
    if (t->m->abilities & GEMINI_SYSTEM || !has_system(t->q))
        return 0;
    if (first->role == ROLE_USER) {
        t->system_first = true;
        return 0;
    }
    open_turn(t, STR("user"));
    int r = put_system_parts(t, &any);
    close_turn(t);
    return r;
}

int gm_write_contents(
    struct canon_call *c, const struct canon_request *q, const struct gemini_model *m, struct jw *w)
{
    struct turns t = {.c = c, .q = q, .m = m, .w = w};
    int r = canon_check_tools(c, q);
    struct canon_message *list = r < 0 ? NULL : canon_alternate(c, q);
    if (!list && !c->error->status)
        canon_fail(c, STR("messages"), "This provider needs at least one message of the user.");
    if (!list)
        return -EREMOTEIO;
    jw_key(w, "contents");
    jw_open(w, '[');
    r = put_system_turn(&t, list);
    for (; list && r == 0; list = list->next)
        r = put_turn(&t, list);
    jw_close(w, ']');
    return r;
}
