/*
 * The messages that a provider of OpenAI's chat dialect gets.
 *
 * Results of tools become messages of their own. They hold text alone, so pictures in them follow
 * in a user message, together with what the user said behind the results; for Mistral, which wants
 * the assistant next, all that joins the last result.
 */
#include "translate/chat_int.h"

#include <errno.h>

struct writer {
    struct canon_call *c;
    const struct chat_quirks *k;
    struct jw *w;
    bool turn_calls; /* the turn that is being written calls tools */
};

/* --- parts --- */

/* A document that is text is a text. */
static bool is_text(const struct canon_part *p)
{
    return p->kind == PART_TEXT || (p->kind == PART_DOCUMENT && p->media.source == MEDIA_TEXT);
}

static bool is_media(const struct canon_part *p)
{
    return p->kind == PART_IMAGE || p->kind == PART_DOCUMENT || p->kind == PART_AUDIO ||
           p->kind == PART_VIDEO;
}

/* A copy at the end of the list; a text's words stand in text then. */
static int add_copy(struct writer *x, struct canon_part ***tail, const struct canon_part *p)
{
    struct canon_part *copy = canon_add_part(x->c, tail, p->kind);
    if (!copy)
        return -ENOMEM;
    *copy = *p;
    copy->next = NULL;
    if (is_text(p) && p->kind == PART_DOCUMENT) {
        copy->kind = PART_TEXT;
        copy->text = p->media.data;
    }
    return 0;
}

static int add_copies(struct writer *x, struct canon_part ***tail, const struct canon_part *from,
    bool (*fits)(const struct canon_part *p))
{
    int r = 0;
    for (; from && r == 0; from = from->next)
        if (fits(from))
            r = add_copy(x, tail, from);
    return r;
}

static bool says_something(const struct canon_part *p)
{
    return is_text(p) || is_media(p);
}

static bool is_mere_media(const struct canon_part *p)
{
    return is_media(p) && !is_text(p);
}

static int put_mark(struct writer *x, enum canon_cache cache)
{
    if (!cache)
        return 0;
    if (!(x->k->flags & CHAT_CACHE_MARKS))
        return canon_drop(x->c, STR("cache_control"), "the provider caches by itself");
    jw_member_raw(x->w, "cache_control",
        cache == CACHE_1H ? STR("{\"type\":\"ephemeral\",\"ttl\":\"1h\"}")
                          : STR("{\"type\":\"ephemeral\"}"));
    return 0;
}

static int put_part(struct writer *x, const struct canon_part *p)
{
    int r = 0;
    jw_open(x->w, '{');
    if (is_text(p)) {
        jw_member_str(x->w, "type", STR("text"));
        jw_member_str(x->w, "text", p->text.p ? p->text : STR(""));
    } else {
        r = chat_write_media(x->c, x->k, p, x->w);
    }
    if (r == 0)
        r = put_mark(x, p->cache);
    jw_close(x->w, '}');
    return r;
}

/* One string will do. */
static bool is_plain(struct writer *x, const struct canon_part *parts)
{
    bool marked = false, several = parts && parts->next;
    for (const struct canon_part *p = parts; p; p = p->next) {
        if (!is_text(p))
            return false;
        marked |= p->cache != CACHE_NONE;
    }
    if (marked && (x->k->flags & CHAT_CACHE_MARKS))
        return false;
    return !several || (x->k->flags & CHAT_PLAIN_TEXT);
}

static int put_content(struct writer *x, const struct canon_part *parts, char between)
{
    int r = 0;
    jw_key(x->w, "content");
    if (is_plain(x, parts)) {
        struct str text = chat_join(x->c, parts, PART_TEXT, between);
        jw_str(x->w, text.p ? text : STR(""));
        for (const struct canon_part *p = parts; p && r == 0; p = p->next)
            r = put_mark(x, p->cache); /* none is written: it is declared */
        return r;
    }
    jw_open(x->w, '[');
    for (const struct canon_part *p = parts; p && r == 0; p = p->next)
        r = put_part(x, p);
    jw_close(x->w, ']');
    return r;
}

static int put_name(struct writer *x, struct str name)
{
    if (!name.n)
        return 0;
    if (x->k->flags & CHAT_NO_NAMES)
        return canon_drop(x->c, STR("messages[].name"), "the provider does not take it");
    jw_member_str(x->w, "name", name);
    return 0;
}

/* --- system and user --- */

static struct str system_word(const struct writer *x, enum canon_role role)
{
    if (chat_model_has(x->c->facts, MODEL_NO_SYSTEM) > 0)
        return STR("user");
    bool developer = role == ROLE_DEVELOPER && !(x->k->flags & CHAT_NO_DEVELOPER);
    return developer ? STR("developer") : STR("system");
}

static int put_message(
    struct writer *x, struct str role, struct str name, const struct canon_part *parts)
{
    jw_open(x->w, '{');
    jw_member_str(x->w, "role", role);
    int r = put_content(x, parts, '\n');
    if (r == 0)
        r = put_name(x, name);
    jw_close(x->w, '}');
    return r;
}

static int put_system(struct writer *x, const struct canon_message *m)
{
    struct canon_part *texts = NULL, **tail = &texts;
    if (add_copies(x, &tail, m->parts, is_text) < 0)
        return -ENOMEM;
    return put_message(x, system_word(x, m->role), m->name, texts);
}

/* A result; joins: what else its content gets. */
static int put_result(struct writer *x, const struct canon_part *p, const struct canon_part *joins)
{
    bool whole = x->k->flags & CHAT_NO_USER_AFTER_TOOL;
    struct canon_part *parts = NULL, **tail = &parts;
    if (add_copies(x, &tail, p->content, whole ? says_something : is_text) < 0 ||
        add_copies(x, &tail, joins, says_something) < 0)
        return -ENOMEM;
    for (struct canon_part *t = parts; t; t = t->next)
        if (!t->next && p->cache)
            t->cache = p->cache;
    jw_open(x->w, '{');
    jw_member_str(x->w, "role", STR("tool"));
    jw_member_str(x->w, "tool_call_id", chat_id_out(x->c, x->k, p->id));
    int r = put_content(x, parts, '\n');
    jw_close(x->w, '}');
    if (r == 0 && p->is_error)
        r = canon_drop(x->c, STR("is_error"), "a result cannot say here that the tool failed");
    return r;
}

static const struct canon_part *last_result(const struct canon_part *parts)
{
    const struct canon_part *last = NULL;
    for (; parts; parts = parts->next)
        if (parts->kind == PART_TOOL_RESULT)
            last = parts;
    return last;
}

/* A message of the user's own words, with which a turn begins. */
static bool is_prompt(const struct canon_message *m)
{
    return m->role == ROLE_USER && !last_result(m->parts);
}

/* *at becomes the last message that was written. */
static int put_user(struct writer *x, const struct canon_message **at)
{
    const struct canon_message *m = *at;
    const struct canon_part *last = last_result(m->parts);
    bool joins = last && (x->k->flags & CHAT_NO_USER_AFTER_TOOL);
    struct canon_part *rest = NULL, **tail = &rest;
    int r = 0;
    for (const struct canon_part *p = m->parts; p && r == 0; p = p->next)
        if (p->kind == PART_TOOL_RESULT && !joins)
            r = add_copies(x, &tail, p->content, is_mere_media);
    if (r == 0)
        r = add_copies(x, &tail, m->parts, says_something);
    for (; joins && m->next && is_prompt(m->next) && r == 0; m = m->next)
        r = add_copies(x, &tail, m->next->parts, says_something);
    for (const struct canon_part *p = (*at)->parts; p && r == 0; p = p->next)
        if (p->kind == PART_TOOL_RESULT)
            r = put_result(x, p, joins && p == last ? rest : NULL);
    *at = m;
    if (r < 0 || joins || (last && !rest))
        return r;
    return put_message(x, STR("user"), m->name, rest);
}

/* --- assistant --- */

static void put_chunk(struct writer *x, const struct canon_part *p)
{
    jw_open(x->w, '{');
    jw_member_str(x->w, "type", STR("thinking"));
    jw_key(x->w, "thinking");
    jw_open(x->w, '[');
    jw_open(x->w, '{');
    jw_member_str(x->w, "type", STR("text"));
    jw_member_str(x->w, "text", p->text);
    jw_close(x->w, '}');
    jw_close(x->w, ']');
    jw_close(x->w, '}');
}

/* Mistral's: thinking and text in one list. */
static int put_chunks(struct writer *x, const struct canon_part *parts)
{
    int r = 0;
    jw_key(x->w, "content");
    jw_open(x->w, '[');
    for (const struct canon_part *p = parts; p && r == 0; p = p->next) {
        if (p->kind == PART_THINKING && p->text.n)
            put_chunk(x, p);
        else if (is_text(p) && p->text.n)
            r = put_part(x, p);
    }
    jw_close(x->w, ']');
    return r;
}

static bool has_thoughts(const struct canon_part *parts)
{
    for (; parts; parts = parts->next)
        if (parts->kind == PART_THINKING && parts->text.n)
            return true;
    return false;
}

static int put_words(struct writer *x, const struct canon_message *m, bool calls)
{
    struct canon_part *texts = NULL, **tail = &texts;
    bool thinks = x->k->history == HISTORY_CHUNKS && has_thoughts(m->parts);
    if (thinks && chat_model_has(x->c->facts, MODEL_REASONING) != 0)
        return put_chunks(x, m->parts);
    if (thinks && canon_drop(x->c, STR("messages[].thinking"), "the model does not reason") < 0)
        return -EREMOTEIO;
    if (add_copies(x, &tail, m->parts, is_text) < 0)
        return -ENOMEM;
    if (texts || !(calls || chat_has_kind(m->parts, PART_REFUSAL)))
        return put_content(x, texts, 0);
    jw_key(x->w, "content");
    jw_null(x->w);
    return 0;
}

static void put_calls(struct writer *x, const struct canon_part *parts)
{
    jw_key(x->w, "tool_calls");
    jw_open(x->w, '[');
    for (const struct canon_part *p = parts; p; p = p->next)
        if (p->kind == PART_TOOL_CALL)
            chat_write_call(x->c, x->k, p, x->w);
    jw_close(x->w, ']');
}

/* What the model itself showed or spoke; audio has an id where OpenAI made it. */
static int put_made(struct writer *x, const struct canon_part *parts)
{
    int r = 0;
    for (const struct canon_part *p = parts; p && r == 0; p = p->next) {
        if (p->kind == PART_AUDIO && p->media.source == MEDIA_FILE_ID) {
            jw_key(x->w, "audio");
            jw_open(x->w, '{');
            jw_member_str(x->w, "id", p->media.data);
            jw_close(x->w, '}');
        } else if (is_mere_media(p)) {
            r = canon_drop(x->c, STR("messages[].content[].media"),
                "an assistant's message holds text alone here");
        }
    }
    return r;
}

/* Without what this provider does not take, nothing may be left of a message. */
static bool is_hollow(const struct writer *x, const struct canon_part *parts)
{
    bool kept = x->k->history != HISTORY_NONE && x->k->history != HISTORY_OF_TOOLS;
    for (const struct canon_part *p = parts; p; p = p->next) {
        if (is_text(p) && p->text.n)
            return false;
        if (p->kind == PART_TOOL_CALL || p->kind == PART_REFUSAL || p->kind == PART_AUDIO)
            return false;
        if (kept && p->kind == PART_THINKING && p->text.n)
            return false;
    }
    return true;
}

static int put_assistant(struct writer *x, const struct canon_message *m)
{
    bool calls = chat_has_kind(m->parts, PART_TOOL_CALL);
    if (m->parts && is_hollow(x, m->parts))
        return 0;
    jw_open(x->w, '{');
    jw_member_str(x->w, "role", STR("assistant"));
    int r = put_words(x, m, calls);
    if (r == 0)
        r = put_name(x, m->name);
    if (r == 0)
        jw_member_str(x->w, "refusal", chat_join(x->c, m->parts, PART_REFUSAL, 0));
    if (r == 0)
        r = put_made(x, m->parts);
    if (r == 0)
        r = chat_write_history(x->c, x->k, m->parts, x->turn_calls, x->w);
    if (r == 0 && calls)
        put_calls(x, m->parts);
    jw_close(x->w, '}');
    return r;
}

/* --- the list --- */

static bool turn_calls(const struct canon_message *m)
{
    for (; m && !is_prompt(m); m = m->next)
        if (m->role == ROLE_ASSISTANT && chat_has_kind(m->parts, PART_TOOL_CALL))
            return true;
    return false;
}

static int put_any(struct writer *x, const struct canon_message **at)
{
    switch ((*at)->role) {
    case ROLE_USER:
        return put_user(x, at);
    case ROLE_ASSISTANT:
        return put_assistant(x, *at);
    default:
        return put_system(x, *at);
    }
}

/* For providers that want turns: system messages that do not stand first are the user's. */
static struct canon_message *in_turns(
    struct writer *x, const struct canon_message *from, int *ret_err)
{
    struct canon_request copy = {0};
    struct canon_message **tail = &copy.messages;
    *ret_err = -ENOMEM;
    for (const struct canon_message *m = from; m; m = m->next) {
        bool system = m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
        struct canon_message *to = canon_add_message(x->c, &tail, system ? ROLE_USER : m->role);
        if (!to)
            return NULL;
        to->parts = m->parts;
        to->name = m->name;
    }
    struct canon_message *list = canon_alternate(x->c, &copy);
    *ret_err = x->c->error->status ? -ENOMEM : 0;
    return list;
}

int chat_write_messages(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_request *q, struct jw *w)
{
    struct writer x = {.c = c, .k = k, .w = w};
    const struct canon_message *m = q->messages;
    int r = 0;
    jw_key(w, "messages");
    jw_open(w, '[');
    for (; m && (m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER) && r == 0; m = m->next)
        r = put_system(&x, m);
    if (r == 0 && (k->flags & CHAT_ALTERNATES))
        m = in_turns(&x, m, &r);
    x.turn_calls = turn_calls(m);
    for (; m && r == 0; m = m->next) {
        if (is_prompt(m))
            x.turn_calls = turn_calls(m->next);
        r = put_any(&x, &m);
    }
    jw_close(w, ']');
    return r;
}
