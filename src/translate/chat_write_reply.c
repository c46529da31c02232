/*
 * The reply that a client of chat completions gets.
 */
#include "translate/chat_int.h"

#include <errno.h>

static bool is_legacy(const struct canon_call *c)
{
    return c->request && c->request->legacy_functions;
}

static struct str text_of(struct canon_call *c, const struct canon_part *parts)
{
    return chat_join(c, parts, PART_TEXT, 0);
}

/* Citations of all texts; offsets count in what the client sees, the texts one behind the other. */
static void put_annotations(struct canon_call *c, const struct canon_part *parts, struct jw *w)
{
    struct str all = text_of(c, parts);
    int64_t before = 0;
    bool any = false;
    for (const struct canon_part *p = parts; p; p = p->next) {
        if (p->kind != PART_TEXT)
            continue;
        for (const struct canon_citation *t = p->citations; t; t = t->next) {
            bool placed = t->from >= 0 && t->to >= t->from && t->to <= (int64_t)p->text.n;
            if (!any) {
                jw_key(w, "annotations");
                jw_open(w, '[');
            }
            any = true;
            chat_write_annotation(t, placed ? chat_chars_before(all, before + t->from) : -1,
                placed ? chat_chars_before(all, before + t->to) : -1, w);
        }
        before += (int64_t)p->text.n;
    }
    if (any)
        jw_close(w, ']');
}

/* The id that brings Gemini's signature back. */
static struct str id_of(struct canon_call *c, const struct canon_part *p)
{
    if (!p->signature.n || p->maker != MAKER_GEMINI)
        return p->id;
    return arena_printf(
        c->arena, STR_FMT "__thought__" STR_FMT, STR_ARG(p->id), STR_ARG(p->signature));
}

static void put_call(struct canon_call *c, const struct canon_part *p, struct jw *w)
{
    jw_open(w, '{');
    jw_member_str(w, "id", id_of(c, p));
    jw_member_str(w, "type", p->is_custom ? STR("custom") : STR("function"));
    jw_key(w, p->is_custom ? "custom" : "function");
    jw_open(w, '{');
    jw_member_str(w, "name", p->name);
    if (p->is_custom)
        jw_member_str(w, "input", p->text.p ? p->text : STR(""));
    else
        jw_member_str(w, "arguments", p->raw.p ? p->raw : STR("{}"));
    jw_close(w, '}');
    jw_close(w, '}');
}

static void put_calls(struct canon_call *c, const struct canon_part *parts, struct jw *w)
{
    if (!chat_has_kind(parts, PART_TOOL_CALL))
        return;
    jw_key(w, is_legacy(c) ? "function_call" : "tool_calls");
    if (!is_legacy(c))
        jw_open(w, '[');
    for (const struct canon_part *p = parts; p; p = p->next) {
        if (p->kind != PART_TOOL_CALL)
            continue;
        if (is_legacy(c)) { /* there is room for one */
            jw_open(w, '{');
            jw_member_str(w, "name", p->name);
            jw_member_str(w, "arguments", p->raw.p ? p->raw : STR("{}"));
            jw_close(w, '}');
            return;
        }
        put_call(c, p, w);
    }
    jw_close(w, ']');
}

void chat_write_image(const struct canon_media *m, struct str data, struct jw *w)
{
    _cleanup_(buf_free) struct buf url;
    buf_init(&url, LIMIT_RESPONSE_BYTES * 2);
    if (m->source == MEDIA_BASE64) {
        buf_addstr(&url, STR("data:"));
        buf_addstr(&url, m->mime.n ? m->mime : STR("image/png"));
        buf_addstr(&url, STR(";base64,"));
    }
    buf_addstr(&url, data);
    if (url.err && !w->out->err)
        w->out->err = url.err;
    jw_open(w, '{');
    jw_member_str(w, "type", STR("image_url"));
    jw_key(w, "image_url");
    jw_open(w, '{');
    jw_member_str(w, "url", buf_str(&url));
    jw_close(w, '}');
    jw_close(w, '}');
}

static void put_audio(const struct canon_part *p, struct jw *w)
{
    jw_key(w, "audio");
    jw_open(w, '{');
    jw_member_str(w, "id", p->id.p ? p->id : STR(""));
    jw_member_str(w, "data", p->media.data);
    jw_member_str(w, "transcript", p->text.p ? p->text : STR(""));
    jw_close(w, '}');
}

/* Pictures as OpenRouter shows them, sound as OpenAI. */
static void put_made(const struct canon_part *parts, struct jw *w)
{
    bool any = chat_has_kind(parts, PART_IMAGE);
    if (any) {
        jw_key(w, "images");
        jw_open(w, '[');
    }
    for (const struct canon_part *p = parts; p; p = p->next)
        if (p->kind == PART_IMAGE)
            chat_write_image(&p->media, p->media.data, w);
    if (any)
        jw_close(w, ']');
    for (const struct canon_part *p = parts; p; p = p->next)
        if (p->kind == PART_AUDIO) {
            put_audio(p, w);
            break;
        }
}

static void put_message(struct canon_call *c, const struct canon_choice *ch, struct jw *w)
{
    struct str text = text_of(c, ch->parts), refusal = chat_join(c, ch->parts, PART_REFUSAL, 0);
    bool silent = !text.p && (refusal.p || chat_has_kind(ch->parts, PART_TOOL_CALL) ||
                                 chat_has_kind(ch->parts, PART_AUDIO));
    jw_open(w, '{');
    jw_member_str(w, "role", STR("assistant"));
    jw_key(w, "content");
    if (silent)
        jw_null(w);
    else
        jw_str(w, text.p ? text : STR(""));
    jw_key(w, "refusal");
    if (refusal.p)
        jw_str(w, refusal);
    else
        jw_null(w);
    put_annotations(c, ch->parts, w);
    chat_write_thinking(c, ch->parts, w);
    put_calls(c, ch->parts, w);
    put_made(ch->parts, w);
    jw_close(w, '}');
}

static void put_choice(struct canon_call *c, const struct canon_choice *ch, struct jw *w)
{
    bool calls = chat_has_kind(ch->parts, PART_TOOL_CALL);
    struct str word = chat_finish_word(ch->finish, calls, is_legacy(c));
    jw_open(w, '{');
    jw_member_int(w, "index", ch->index);
    jw_key(w, "message");
    put_message(c, ch, w);
    jw_key(w, "logprobs");
    jw_raw(w, ch->logprobs);
    jw_member_str(w, "finish_reason", word);
    if (ch->native_finish.n && !str_eq(ch->native_finish, word))
        jw_member_str(w, "native_finish_reason", ch->native_finish);
    jw_close(w, '}');
}

int chat_write_reply(struct canon_call *c, const struct canon_reply *r, struct buf *out)
{
    struct jw w = {.out = out};
    struct str made =
        r->id.n ? r->id : arena_printf(c->arena, "chatcmpl-" STR_FMT, STR_ARG(c->request_id));
    jw_open(&w, '{');
    jw_member_str(&w, "id", made.p ? made : STR("chatcmpl"));
    jw_member_str(&w, "object", STR("chat.completion"));
    jw_member_int(&w, "created", r->created ? r->created : c->now);
    jw_member_str(&w, "model", c->model_shown.n ? c->model_shown : c->model);
    jw_key(&w, "choices");
    jw_open(&w, '[');
    for (const struct canon_choice *ch = r->choices; ch; ch = ch->next)
        put_choice(c, ch, &w);
    jw_close(&w, ']');
    if (r->usage.source != USAGE_UNKNOWN) {
        jw_key(&w, "usage");
        chat_write_usage(&r->usage, &w);
    }
    jw_member_str(&w, "service_tier", r->service_tier);
    jw_close(&w, '}');
    return c->error->status ? -EREMOTEIO : out->err;
}
