/*
 * Messages and system texts as Converse takes them: turns of user and assistant that alternate and
 * begin with the user's, no blank text, a text beside each document, marks of the prompt cache as
 * blocks of their own behind what they end.
 */
#include "translate/chat_int.h"
#include "translate/converse_int.h"

#include "crypto/digest.h"

/* Stands where a text has to be and none was given. */
#define FILLER STR(".")

/* What has been written of a message. */
struct turn {
    enum canon_role role;
    bool text, document;
    const struct canon_part *pictures; /* of the tool result, that had to go out of it */
};

static void put_text(struct converse_writer *cw, struct str text)
{
    jw_open(&cw->w, '{');
    jw_member_str(&cw->w, "text", text);
    jw_close(&cw->w, '}');
}

int converse_write_mark(struct converse_writer *cw, enum canon_cache cache)
{
    if (cache == CACHE_NONE)
        return 0;
    if (!cw->marks)
        return canon_drop(cw->c, STR("cache_control"), "the model has no prompt cache");
    jw_raw(&cw->w, cache == CACHE_1H ? STR("{\"cachePoint\":{\"type\":\"default\",\"ttl\":\"1h\"}}")
                                     : STR("{\"cachePoint\":{\"type\":\"default\"}}"));
    return 0;
}

/* --- calls and results --- */

static bool is_id(struct str id)
{
    for (size_t i = 0; i < id.n; i++) {
        char b = id.p[i], low = b | 0x20;
        if (!(low >= 'a' && low <= 'z') && !(b >= '0' && b <= '9') && !(b && strchr("_.:-", b)))
            return false;
    }
    return id.n > 0 && id.n <= 64;
}

struct str converse_id_out(struct canon_call *c, struct str id)
{
    char hex[SHA256_HEX];

    if (is_id(id))
        return id;
    sha256_hex(id, hex);
    return arena_printf(c->arena, "tooluse_%.32s", hex);
}

static void put_call(struct converse_writer *cw, const struct canon_part *p)
{
    struct jw *w = &cw->w;

    jw_open(w, '{');
    jw_key(w, "toolUse");
    jw_open(w, '{');
    jw_member_str(w, "toolUseId", converse_id_out(cw->c, p->id));
    jw_member_str(w, "name", chat_name_out(cw->c, p->name));
    jw_member_raw(w, "input", native_arguments(cw->c, p));
    jw_close(w, '}');
    jw_close(w, '}');
}

static bool takes_pictures(const struct converse_writer *cw)
{
    return !cw->c->facts || !(cw->c->facts->flags & MODEL_NO_TOOL_IMAGES);
}

static int put_result_part(
    struct converse_writer *cw, struct turn *t, const struct canon_part *p, unsigned *n)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        if (native_is_blank(p->text))
            return 0;
        put_text(cw, p->text);
        break;
    case PART_IMAGE:
        if (!takes_pictures(cw)) {
            t->pictures = p;
            return 0;
        }
        /* fall through */
    case PART_DOCUMENT:
    case PART_VIDEO: {
        int r = converse_write_media(cw, p);
        if (r < 0)
            return r;
        break;
    }
    default:
        return canon_fail(
            cw->c, STR("messages"), "The result of a tool holds what Bedrock does not take.");
    }
    *n += 1;
    return 0;
}

static int put_result(struct converse_writer *cw, struct turn *t, const struct canon_part *p)
{
    struct jw *w = &cw->w;
    unsigned n = 0;
    int r = 0;

    jw_open(w, '{');
    jw_key(w, "toolResult");
    jw_open(w, '{');
    jw_member_str(w, "toolUseId", converse_id_out(cw->c, p->id));
    jw_key(w, "content");
    jw_open(w, '[');
    for (const struct canon_part *in = p->content; in && r == 0; in = in->next)
        r = put_result_part(cw, t, in, &n);
    if (!n)
        put_text(cw, FILLER);
    jw_close(w, ']');
    if (p->is_error)
        jw_member_str(w, "status", STR("error"));
    jw_close(w, '}');
    jw_close(w, '}');
    return r;
}

/* Pictures of a result that its model only takes beside it. */
static int put_pictures(struct converse_writer *cw, struct turn *t, const struct canon_part *p)
{
    int r = 0;

    if (!t->pictures)
        return 0;
    t->pictures = NULL;
    for (const struct canon_part *in = p->content; in && r == 0; in = in->next)
        if (in->kind == PART_IMAGE)
            r = converse_write_media(cw, in);
    return r;
}

/* --- thinking --- */

static void put_thinking(struct converse_writer *cw, const struct canon_part *p)
{
    struct jw *w = &cw->w;

    jw_open(w, '{');
    jw_key(w, "reasoningContent");
    jw_open(w, '{');
    if (p->kind == PART_REDACTED_THINKING) {
        jw_member_str(w, "redactedContent", p->text);
    } else {
        jw_key(w, "reasoningText");
        jw_open(w, '{');
        jw_member_str(w, "text", p->text.p ? p->text : STR(""));
        jw_member_str(w, "signature", p->signature);
        jw_close(w, '}');
    }
    jw_close(w, '}');
    jw_close(w, '}');
}

/* --- a message --- */

static int put_words(struct converse_writer *cw, struct turn *t, const struct canon_part *p)
{
    put_text(cw, p->text);
    t->text = true;
    return p->citations
               ? canon_drop(cw->c, STR("citations"), "those of earlier answers are not taken")
               : 0;
}

static int put_media(struct converse_writer *cw, struct turn *t, const struct canon_part *p)
{
    if (t->role == ROLE_ASSISTANT)
        return canon_fail(cw->c, STR("messages"),
            "Bedrock takes pictures and files in the user's messages alone.");
    t->document |= p->kind == PART_DOCUMENT;
    return converse_write_media(cw, p);
}

static int put_part(struct converse_writer *cw, struct turn *t, const struct canon_part *p)
{
    int r = 0;

    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        r = put_words(cw, t, p);
        break;
    case PART_THINKING:
    case PART_REDACTED_THINKING:
        put_thinking(cw, p);
        break;
    case PART_TOOL_CALL:
        put_call(cw, p);
        break;
    case PART_TOOL_RESULT:
        r = put_result(cw, t, p);
        if (r == 0)
            r = put_pictures(cw, t, p);
        break;
    default:
        r = put_media(cw, t, p);
    }
    return r == 0 ? converse_write_mark(cw, p->cache) : r;
}

static void open_message(struct converse_writer *cw, enum canon_role role)
{
    jw_open(&cw->w, '{');
    jw_member_str(&cw->w, "role", role == ROLE_ASSISTANT ? STR("assistant") : STR("user"));
    jw_key(&cw->w, "content");
    jw_open(&cw->w, '[');
}

static void close_message(struct converse_writer *cw)
{
    jw_close(&cw->w, ']');
    jw_close(&cw->w, '}');
}

static int put_message(struct converse_writer *cw, const struct canon_message *m, struct str system)
{
    struct turn t = {.role = m->role, .text = system.n > 0};
    int r = 0;

    open_message(cw, m->role);
    if (system.n)
        put_text(cw, system);
    for (const struct canon_part *p = m->parts; p && r == 0; p = p->next)
        r = put_part(cw, &t, p);
    if (t.document && !t.text)
        put_text(cw, FILLER);
    if (r == 0 && !m->next)
        r = converse_write_mark(cw, cw->q->cache);
    close_message(cw);
    if (r == 0 && m->name.n)
        r = canon_drop(cw->c, STR("name"), "messages have no author's name there");
    return r;
}

/* --- system --- */

static bool is_system(const struct canon_message *m)
{
    return m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
}

static struct str all_system_text(struct converse_writer *cw)
{
    struct canon_part *parts = NULL, **tail = &parts;

    for (const struct canon_message *m = cw->q->messages; m; m = m->next)
        for (const struct canon_part *p = is_system(m) ? m->parts : NULL; p; p = p->next) {
            struct canon_part *copy = canon_add_part(cw->c, &tail, PART_TEXT);
            if (copy)
                copy->text = p->text;
        }
    return native_join(cw->c, parts, 1u << PART_TEXT, STR("\n\n"));
}

static int put_system_part(struct converse_writer *cw, const struct canon_part *p, bool *open)
{
    if (p->kind != PART_TEXT)
        return canon_fail(cw->c, STR("messages"), "Bedrock takes system messages of text alone.");
    if (native_is_blank(p->text))
        return *open ? converse_write_mark(cw, p->cache) : 0;
    if (!*open) {
        jw_key(&cw->w, "system");
        jw_open(&cw->w, '[');
        *open = true;
    }
    put_text(cw, p->text);
    return converse_write_mark(cw, p->cache);
}

static int put_system(struct converse_writer *cw)
{
    bool open = false;
    int r = 0;

    for (const struct canon_message *m = cw->q->messages; m && r == 0; m = m->next)
        for (const struct canon_part *p = is_system(m) ? m->parts : NULL; p && r == 0; p = p->next)
            r = put_system_part(cw, p, &open);
    if (open)
        jw_close(&cw->w, ']');
    return r;
}

/* --- all of them --- */

/* Models take their own thinking back, signed; all else of it would be refused. */
static bool takes_thinking(const struct converse_writer *cw, const struct canon_part *p)
{
    return cw->plan.publisher == PUBLISHER_ANTHROPIC && p->maker == MAKER_ANTHROPIC &&
           (p->kind == PART_REDACTED_THINKING || p->signature.n);
}

/* Copies what can be written. A blank text that has a mark stays as an empty one: the mark is moved
 * to what stands before it. */
static int keep_part(
    struct converse_writer *cw, const struct canon_part *p, struct canon_part ***tail)
{
    bool words = p->kind == PART_TEXT || p->kind == PART_REFUSAL;
    bool thinks = p->kind == PART_THINKING || p->kind == PART_REDACTED_THINKING;
    bool blank = words && native_is_blank(p->text);

    if (thinks && !takes_thinking(cw, p))
        return canon_drop(
            cw->c, STR("thinking"), "the model takes back its own, signed thinking alone");
    if (blank && !p->cache)
        return 0;
    struct canon_part *copy = canon_add_part(cw->c, tail, p->kind);
    if (!copy)
        return -ENOMEM;
    *copy = *p;
    copy->next = NULL;
    if (blank)
        copy->text = STR("");
    return 0;
}

static int keep_message(
    struct converse_writer *cw, const struct canon_message *m, struct canon_message ***tail)
{
    struct canon_message *copy = canon_add_message(cw->c, tail, m->role);
    int r = copy ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    struct canon_part **at = &copy->parts;
    copy->name = m->name;
    for (const struct canon_part *p = m->parts; p && r == 0; p = p->next)
        r = keep_part(cw, p, &at);
    return r;
}

/* The turns, in which all that stands can be written. */
static int make_turns(struct converse_writer *cw, const struct canon_message **ret)
{
    struct canon_request q = *cw->q;
    struct canon_message **tail = &q.messages;
    int r = 0;

    q.messages = NULL;
    for (const struct canon_message *m = cw->q->messages; m && r == 0; m = m->next)
        r = keep_message(cw, m, &tail);
    if (r < 0)
        return r;
    *ret = canon_alternate(cw->c, &q);
    return !*ret && cw->c->error->status ? -EREMOTEIO : 0;
}

static void put_filler(struct converse_writer *cw, struct str system)
{
    open_message(cw, ROLE_USER);
    put_text(cw, system.n ? system : FILLER);
    close_message(cw);
}

int converse_write_messages(struct converse_writer *cw)
{
    bool inline_system = cw->c->facts && cw->c->facts->flags & MODEL_NO_SYSTEM;
    struct str system = inline_system ? all_system_text(cw) : STR_NONE;
    const struct canon_message *m;
    int r = make_turns(cw, &m);

    if (r < 0)
        return r;
    jw_key(&cw->w, "messages");
    jw_open(&cw->w, '[');
    if (!m || m->role == ROLE_ASSISTANT) {
        put_filler(cw, system);
        system = STR_NONE;
    }
    for (; m && r == 0; m = m->next) {
        r = put_message(cw, m, system);
        system = STR_NONE;
    }
    jw_close(&cw->w, ']');
    return r == 0 && !inline_system ? put_system(cw) : r;
}
