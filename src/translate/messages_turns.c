/*
 * Writing the dialogue of an Anthropic request. System messages go into "system", a block each; a
 * model that takes them between the turns gets the later ones there, behind a user's turn, where
 * they do not change the cached prefix. The rest is joined into turns (canon_alternate()).
 *
 * Thinking goes back only where Anthropic signed it; that of other makers is declared as lost.
 * Where a turn has some, it begins with it.
 */
#include "translate/messages_int.h"

#include "base/macros.h"
#include "crypto/encode.h"
#include "translate/fetch.h"

static int write_parts(struct messages_writer *mw, const struct canon_part *p, bool first_thinking);

/* 400 naming the part as the client wrote it. */
static int refuse(struct messages_writer *mw, const struct canon_part *p, const char *why)
{
    return canon_fail(mw->c, canon_part_path(mw->c, mw->q, p), "%s", why);
}

/* --- media --- */

static bool is_own_file(const struct messages_writer *mw)
{
    return mw->q->from && mw->q->from->read_request == messages_read_request;
}

/* The type of a picture by its first bytes, where nobody said it. */
static struct str picture_type(const struct canon_media *m)
{
    static const struct {
        struct str begin, mime;
    } types[] = {
        {STR_INIT("iVBORw0KGgo"), STR_INIT("image/png")},
        {STR_INIT("/9j/"), STR_INIT("image/jpeg")},
        {STR_INIT("R0lGOD"), STR_INIT("image/gif")},
        {STR_INIT("UklGR"), STR_INIT("image/webp")},
    };
    if (m->mime.n && !str_eq(m->mime, STR("application/octet-stream")))
        return m->mime;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_starts(m->data, types[i].begin))
            return types[i].mime;
    return canon_mime_of(m->name);
}

static int write_reference(struct messages_writer *mw, const struct canon_part *p)
{
    const struct canon_media *m = &p->media;
    struct jw *w = &mw->w;
    bool url = m->source == MEDIA_URL;
    if (url && mw->form != MESSAGES_PLAIN)
        return refuse(
            mw, p, "This provider does not fetch URLs: send the picture or document itself.");
    if (!url && !is_own_file(mw))
        return refuse(mw, p, "That file lies with another provider: send its content.");
    jw_member_str(w, "type", url ? STR("url") : STR("file"));
    jw_member_str(w, url ? "url" : "file_id", m->data);
    return 0;
}

static int write_data(
    struct messages_writer *mw, const char *type, struct str mime, struct str data)
{
    jw_member_str(&mw->w, "type", str_of(type));
    jw_member_str(&mw->w, "media_type", mime);
    jw_member_str(&mw->w, "data", data);
    return 0;
}

static int write_picture_source(struct messages_writer *mw, const struct canon_part *p)
{
    const struct canon_media *m = &p->media;
    if (m->source != MEDIA_BASE64)
        return write_reference(mw, p);
    struct str mime = picture_type(m);
    if (!mime.n)
        return refuse(mw, p, "The picture does not say its type.");
    return write_data(mw, "base64", mime, m->data);
}

static bool is_text_type(struct str mime)
{
    return str_starts(mime, STR("text/")) || str_eq(mime, STR("application/json")) ||
           str_eq(mime, STR("application/xml"));
}

/* A text that came as base64. */
static int write_decoded(struct messages_writer *mw, const struct canon_part *p)
{
    const struct canon_media *m = &p->media;
    char *text = arena_alloc(mw->c->arena, BASE64_MAX_BYTES(m->data.n));
    if (!text)
        return canon_no_room(mw->c);
    ssize_t n = base64_decode(m->data, text);
    if (n < 0)
        return refuse(mw, p, "The document's data is not base64.");
    return write_data(mw, "text", STR("text/plain"), str_at(text, (size_t)n));
}

static int write_document_source(struct messages_writer *mw, const struct canon_part *p)
{
    const struct canon_media *m = &p->media;
    struct str mime = m->mime.n ? m->mime : canon_mime_of(m->name);
    if (m->source == MEDIA_TEXT)
        return write_data(mw, "text", STR("text/plain"), m->data);
    if (m->source != MEDIA_BASE64)
        return write_reference(mw, p);
    if (is_text_type(mime))
        return write_decoded(mw, p);
    if (str_eq(mime, STR("application/pdf")))
        return write_data(mw, "base64", mime, m->data);
    return refuse(mw, p, "Claude models read PDF and text, no other documents.");
}

static int write_media(struct messages_writer *mw, const struct canon_part *p)
{
    struct jw *w = &mw->w;
    bool picture = p->kind == PART_IMAGE;
    jw_open(w, '{');
    jw_member_str(w, "type", picture ? STR("image") : STR("document"));
    jw_key(w, "source");
    jw_open(w, '{');
    int r = picture ? write_picture_source(mw, p) : write_document_source(mw, p);
    jw_close(w, '}');
    if (!picture && p->media.name.n)
        jw_member_str(w, "title", p->media.name);
    if (!picture && p->media.context.n)
        jw_member_str(w, "context", p->media.context);
    if (!picture && p->media.citations)
        jw_member_raw(w, "citations", STR("{\"enabled\":true}"));
    messages_write_cache(mw, p->cache);
    jw_close(w, '}');
    if (r == 0 && picture && p->media.detail.n && !str_eq(p->media.detail, STR("auto")))
        r = canon_drop(mw->c, STR("detail"), "Claude models have one way to look at a picture");
    return r;
}

/* --- other parts --- */

static int write_text(struct messages_writer *mw, const struct canon_part *p)
{
    struct jw *w = &mw->w;
    bool any = false;
    if (!str_trim(p->text).n)
        return 0; /* refused by the provider, and says nothing */
    jw_open(w, '{');
    jw_member_str(w, "type", STR("text"));
    jw_member_str(w, "text", p->text);
    for (const struct canon_citation *t = p->citations; t; t = t->next) {
        if (t->maker != MAKER_ANTHROPIC || !t->raw.p)
            continue;
        if (!any) {
            jw_key(w, "citations");
            jw_open(w, '[');
        }
        any = true;
        jw_raw(w, t->raw);
    }
    if (any)
        jw_close(w, ']');
    messages_write_cache(mw, p->cache);
    jw_close(w, '}');
    return 0;
}

static void write_input(struct messages_writer *mw, const struct canon_part *p)
{
    struct jw *w = &mw->w;
    jw_key(w, "input");
    if (p->is_custom) {
        jw_open(w, '{');
        jw_member_str(w, "input", p->text.p ? p->text : STR(""));
        jw_close(w, '}');
        return;
    }
    struct str raw = str_trim(p->raw);
    jw_raw(w, raw.n > 1 && raw.p[0] == '{' ? raw : STR("{}"));
}

static int write_call(struct messages_writer *mw, const struct canon_part *p)
{
    struct jw *w = &mw->w;
    jw_open(w, '{');
    jw_member_str(w, "type", STR("tool_use"));
    jw_member_str(w, "id", messages_id_fit(mw->c, p->id));
    jw_member_str(w, "name", messages_name_out(mw->c, p->name));
    write_input(mw, p);
    messages_write_cache(mw, p->cache);
    jw_close(w, '}');
    return 0;
}

/* One text with nothing else to it, which can be written as a string. */
static bool is_plain(const struct canon_part *p, bool marked)
{
    return p && !p->next && p->kind == PART_TEXT && (marked || p->cache == CACHE_NONE) &&
           !p->citations;
}

static int write_result(struct messages_writer *mw, const struct canon_part *p)
{
    struct jw *w = &mw->w;
    int r = 0;
    jw_open(w, '{');
    jw_member_str(w, "type", STR("tool_result"));
    jw_member_str(w, "tool_use_id", messages_id_fit(mw->c, p->id));
    if (is_plain(p->content, p->cache != CACHE_NONE)) {
        jw_member_str(w, "content", p->content->text);
    } else if (p->content) {
        jw_key(w, "content");
        jw_open(w, '[');
        mw->no_marks = p->cache != CACHE_NONE; /* the result's own covers all in it */
        r = write_parts(mw, p->content, false);
        mw->no_marks = false;
        jw_close(w, ']');
    }
    if (p->is_error)
        jw_member_bool(w, "is_error", true);
    messages_write_cache(mw, p->cache);
    jw_close(w, '}');
    return r;
}

static int write_thought(struct messages_writer *mw, const struct canon_part *p)
{
    struct jw *w = &mw->w;
    bool redacted = p->kind == PART_REDACTED_THINKING;
    if (p->maker != MAKER_ANTHROPIC || !(redacted ? p->text : p->signature).n)
        return canon_drop(mw->c, STR("thinking"), "only thinking of Anthropic's models goes back");
    jw_open(w, '{');
    jw_member_str(w, "type", redacted ? STR("redacted_thinking") : STR("thinking"));
    if (redacted) {
        jw_member_str(w, "data", p->text);
    } else {
        jw_member_str(w, "thinking", p->text.p ? p->text : STR(""));
        jw_member_str(w, "signature", p->signature);
    }
    jw_close(w, '}');
    return 0;
}

static int write_part(struct messages_writer *mw, const struct canon_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        return write_text(mw, p);
    case PART_IMAGE:
    case PART_DOCUMENT:
        return write_media(mw, p);
    case PART_TOOL_CALL:
        return write_call(mw, p);
    case PART_TOOL_RESULT:
        return write_result(mw, p);
    case PART_THINKING:
    case PART_REDACTED_THINKING:
        return write_thought(mw, p);
    case PART_AUDIO:
        return refuse(mw, p, "Claude models take no audio.");
    case PART_VIDEO:
        return refuse(mw, p, "Claude models take no video.");
    }
    return 0;
}

static bool is_thought(const struct canon_part *p)
{
    return p->kind == PART_THINKING || p->kind == PART_REDACTED_THINKING;
}

/* first_thinking: where there is some, but something else stands first, it is brought to the front;
 * thinking between calls that begins with thinking stays where its maker put it. */
static int write_parts(
    struct messages_writer *mw, const struct canon_part *list, bool first_thinking)
{
    bool front = first_thinking && list && !is_thought(list);
    int r = 0;
    for (const struct canon_part *p = list; front && p && r == 0; p = p->next)
        if (is_thought(p))
            r = write_part(mw, p);
    for (const struct canon_part *p = list; p && r == 0; p = p->next)
        if (!front || !is_thought(p))
            r = write_part(mw, p);
    return r;
}

/* --- turns --- */

static struct str role_name(enum canon_role role)
{
    return role == ROLE_ASSISTANT ? STR("assistant")
           : role == ROLE_USER    ? STR("user")
                                  : STR("system");
}

/* A message, or nothing where nothing of it is left. */
static int write_message(
    struct messages_writer *mw, enum canon_role role, const struct canon_part *parts)
{
    struct jw *w = &mw->w;
    struct jw before = *w;
    size_t start = w->out->n;
    jw_open(w, '{');
    jw_member_str(w, "role", role_name(role));
    jw_key(w, "content");
    if (is_plain(parts, false) && str_trim(parts->text).n) {
        jw_str(w, parts->text);
        jw_close(w, '}');
        return 0;
    }
    jw_open(w, '[');
    size_t empty = w->out->n;
    int r = write_parts(mw, parts, role == ROLE_ASSISTANT);
    bool nothing = w->out->n == empty;
    jw_close(w, ']');
    jw_close(w, '}');
    if (nothing && r == 0) {
        w->out->n = start;
        *w = before;
    }
    return r;
}

/* The answer that is to be gone on with may not end in white space. */
static void trim_end(struct canon_message *m)
{
    for (struct canon_part *p = m->parts; p; p = p->next)
        while (!p->next && p->kind == PART_TEXT && p->text.n &&
               strchr(" \t\r\n", p->text.p[p->text.n - 1]))
            p->text.n--;
}

static int write_joined(struct messages_writer *mw, struct canon_message *list, bool last_segment)
{
    struct canon_request part = *mw->q;
    part.messages = list;
    struct canon_message *turns = canon_alternate(mw->c, &part);
    int r = mw->c->error->status ? -EREMOTEIO : 0;
    for (struct canon_message *m = turns; m && r == 0; m = m->next) {
        if (last_segment && !m->next && m->role == ROLE_ASSISTANT)
            trim_end(m);
        r = write_message(mw, m->role, m->parts);
    }
    return r;
}

/* --- system messages --- */

static bool is_system(const struct canon_message *m)
{
    return m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
}

static const struct canon_message *next_turn(const struct canon_message *m)
{
    while (m && is_system(m))
        m = m->next;
    return m;
}

/* Where a system message goes: into "system", or behind the user's turn that it follows or that
 * follows it. prev: the last message before it that is none. */
static bool goes_between(const struct messages_writer *mw, const struct canon_message *prev,
    const struct canon_message *m)
{
    const struct canon_message *next = next_turn(m);
    if (!mw->c->facts || !(mw->c->facts->flags & MODEL_SYSTEM_ANYWHERE) || !prev)
        return false;
    return prev->role == ROLE_USER || (next && next->role == ROLE_USER);
}

static int write_system_parts(struct messages_writer *mw, const struct canon_part *p)
{
    int r = 0;
    for (; p && r == 0; p = p->next) {
        if (p->kind == PART_TEXT)
            r = write_text(mw, p);
        else
            r = canon_drop(mw->c, STR("system"), "system messages hold text alone");
    }
    return r;
}

/* The one plain text that "system" is made of; NULL: blocks are needed, or nothing is there. */
static const struct canon_part *lone_system_text(const struct messages_writer *mw)
{
    const struct canon_part *found = NULL;
    const struct canon_message *prev = NULL;
    for (const struct canon_message *m = mw->q->messages; m; m = m->next) {
        if (!is_system(m)) {
            prev = m;
            continue;
        }
        for (const struct canon_part *p = m->parts; p && !goes_between(mw, prev, m); p = p->next) {
            if (found || p->kind != PART_TEXT || p->cache != CACHE_NONE)
                return NULL;
            found = p;
        }
    }
    return found && str_trim(found->text).n ? found : NULL;
}

int messages_write_system(struct messages_writer *mw)
{
    struct jw *w = &mw->w, before = *w;
    size_t start = w->out->n;
    const struct canon_part *lone = lone_system_text(mw);
    const struct canon_message *prev = NULL;
    int r = 0;
    if (lone) {
        jw_member_str(w, "system", lone->text);
        return 0;
    }
    jw_key(w, "system");
    jw_open(w, '[');
    size_t empty = w->out->n;
    for (const struct canon_message *m = mw->q->messages; m && r == 0; m = m->next) {
        if (!is_system(m))
            prev = m;
        else if (!goes_between(mw, prev, m))
            r = write_system_parts(mw, m->parts);
    }
    bool nothing = w->out->n == empty;
    jw_close(w, ']');
    if (nothing) {
        w->out->n = start;
        *w = before;
    }
    return r;
}

/* --- the dialogue --- */

/* Turns and system messages that are not written yet. */
struct pending {
    struct canon_message *turns, **turn;
    struct canon_message *system, **next_system;
};

static void forget(struct pending *p)
{
    p->turns = p->system = NULL;
    p->turn = &p->turns;
    p->next_system = &p->system;
}

static int flush(struct messages_writer *mw, struct pending *p, bool last)
{
    struct canon_part *parts = NULL, **tail = &parts;
    int r = write_joined(mw, p->turns, last && !p->system);
    for (struct canon_message *m = p->system; m; m = m->next)
        for (const struct canon_part *s = m->parts; s; s = s->next) {
            struct canon_part *copy = canon_add_part(mw->c, &tail, s->kind);
            if (!copy)
                return -ENOMEM;
            *copy = *s;
            copy->next = NULL;
        }
    if (r == 0 && parts)
        r = write_message(mw, ROLE_SYSTEM, parts);
    forget(p);
    return r;
}

static int keep(
    struct messages_writer *mw, struct canon_message ***tail, const struct canon_message *m)
{
    struct canon_message *copy = canon_add_message(mw->c, tail, m->role);
    if (!copy)
        return -ENOMEM;
    *copy = *m;
    copy->next = NULL;
    return 0;
}

int messages_write_turns(struct messages_writer *mw)
{
    struct pending p;
    const struct canon_message *prev = NULL;
    int r = 0;
    forget(&p);
    jw_key(&mw->w, "messages");
    jw_open(&mw->w, '[');
    size_t empty = mw->w.out->n;
    for (const struct canon_message *m = mw->q->messages; m && r == 0; m = m->next) {
        if (m->name.n)
            r = canon_drop(mw->c, STR("name"), "messages have no author's name there");
        if (is_system(m)) {
            if (r == 0 && goes_between(mw, prev, m))
                r = keep(mw, &p.next_system, m);
            continue;
        }
        if (r == 0 && m->role == ROLE_ASSISTANT && p.system && prev && prev->role == ROLE_USER)
            r = flush(mw, &p, false);
        if (r == 0)
            r = keep(mw, &p.turn, m);
        prev = m;
    }
    if (r == 0)
        r = flush(mw, &p, true);
    if (r == 0 && mw->w.out->n == empty)
        r = canon_fail(mw->c, STR("messages"), "There is no message of a user.");
    jw_close(&mw->w, ']');
    return r;
}
