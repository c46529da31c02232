/*
 * Content blocks of Converse as parts, and parts as blocks. A client's are read strictly: a known
 * member of a wrong type, or a block that is not known, is refused by its place. A provider's are
 * read leniently.
 */
#include "translate/chat_int.h"
#include "translate/converse_int.h"

/* 400 that names "messages[0].content[2].text"; 0 where a reply is read. */
static int wrong(struct converse_blocks *b, size_t i, const char *member, const char *what)
{
    if (!b->at)
        return 0;
    struct str at =
        arena_printf(b->c->arena, "%s[%zu]%s%s", b->at, i, member ? "." : "", member ? member : "");
    return canon_fail(b->c, at, STR_FMT " has to be %s.", STR_ARG(at), what);
}

static struct canon_part *add(struct converse_blocks *b, enum canon_part_kind kind)
{
    return b->last = canon_add_part(b->c, &b->tail, kind);
}

/* Replies may bring texts in several pieces, of which each is a block. */
static int add_text(struct converse_blocks *b, size_t i, yyjson_val *v, const char *member)
{
    struct canon_part *p;

    if (!yyjson_is_str(v))
        return wrong(b, i, member, "a text");
    if (!(p = add(b, PART_TEXT)))
        return -ENOMEM;
    p->text = jr_str(v);
    return 0;
}

static int add_call(struct converse_blocks *b, size_t i, yyjson_val *v)
{
    struct str name = jr_get_str(v, "name"), id = jr_get_str(v, "toolUseId");
    yyjson_val *input = yyjson_obj_get(v, "input");
    struct canon_part *p;

    if (!name.n)
        return wrong(b, i, "toolUse.name", "a text");
    if (!id.n && b->at)
        return wrong(b, i, "toolUse.toolUseId", "a text");
    if (input && !yyjson_is_obj(input) && b->at)
        return wrong(b, i, "toolUse.input", "an object");
    if (!(p = add(b, PART_TOOL_CALL)))
        return -ENOMEM;
    p->name = name;
    p->raw = yyjson_is_obj(input) ? jr_raw(b->c->arena, input) : STR("{}");
    if (b->at)
        return messages_id_in(b->c, id, p);
    p->id = id;
    converse_take_call(b->c, b->c->arena, p);
    return 0;
}

static int add_result(struct converse_blocks *b, size_t i, yyjson_val *v)
{
    struct str id = jr_get_str(v, "toolUseId");
    struct canon_part *p;
    struct str at;

    if (!id.n)
        return wrong(b, i, "toolResult.toolUseId", "a text");
    if (!(p = add(b, PART_TOOL_RESULT)))
        return -ENOMEM;
    p->is_error = str_eq(jr_get_str(v, "status"), STR("error"));
    int r = messages_id_in(b->c, id, p);
    at = arena_printf(b->c->arena, "%s[%zu].toolResult.content", b->at ? b->at : "", i);
    if (r < 0 || !at.p)
        return r < 0 ? r : canon_no_room(b->c);
    p->signature = STR_NONE; /* it belongs to the call */
    p->maker = MAKER_NONE;
    struct converse_blocks in = {.c = b->c, .tail = &p->content, .at = b->at ? at.p : NULL};
    return converse_read_blocks(&in, yyjson_obj_get(v, "content"));
}

static int add_thinking(struct converse_blocks *b, size_t i, yyjson_val *v)
{
    yyjson_val *text = yyjson_obj_get(v, "reasoningText");
    struct str redacted = jr_get_str(v, "redactedContent"), signature;
    struct canon_part *p;

    if (!text && !redacted.p)
        return wrong(b, i, "reasoningContent", "reasoningText or redactedContent");
    if (!(p = add(b, text ? PART_THINKING : PART_REDACTED_THINKING)))
        return -ENOMEM;
    if (!text) {
        p->text = redacted;
        p->maker = MAKER_ANTHROPIC;
        return 0;
    }
    p->text = jr_get_str(text, "text");
    signature = jr_get_str(text, "signature");
    if (!signature.n)
        return 0;
    p->maker =
        b->at ? canon_sign_in(b->c, MAKER_ANTHROPIC, signature, &p->signature) : MAKER_ANTHROPIC;
    if (!b->at)
        p->signature = signature;
    return 0;
}

static int add_cited(struct converse_blocks *b, yyjson_val *v)
{
    struct canon_part *texts = NULL, **tail = &texts, *p;
    struct canon_citation **at;
    yyjson_val *in;
    size_t i, max;

    yyjson_arr_foreach(yyjson_obj_get(v, "content"), i, max, in)
    {
        struct canon_part *t = canon_add_part(b->c, &tail, PART_TEXT);
        if (!t)
            return -ENOMEM;
        t->text = jr_get_str(in, "text");
    }
    if (!(p = add(b, PART_TEXT)))
        return -ENOMEM;
    p->text = native_join(b->c, texts, 1u << PART_TEXT, STR_NONE);
    at = &p->citations;
    yyjson_arr_foreach(yyjson_obj_get(v, "citations"), i, max, in)
    {
        struct canon_citation *t = converse_read_citation(b->c->arena, in);
        if (!t)
            continue;
        t->from = 0;
        t->to = (int64_t)p->text.n;
        *at = t;
        at = &t->next;
    }
    return 0;
}

static int add_json(struct converse_blocks *b, yyjson_val *v)
{
    struct canon_part *p = add(b, PART_TEXT);

    if (!p)
        return -ENOMEM;
    p->text = jr_raw(b->c->arena, v);
    return 0;
}

/* A mark means all that stands before it; at the beginning it means nothing. */
static int take_mark(struct converse_blocks *b, yyjson_val *v)
{
    if (b->last)
        b->last->cache = str_eq(jr_get_str(v, "ttl"), STR("1h")) ? CACHE_1H : CACHE_5M;
    return 0;
}

static int add_media(struct converse_blocks *b, size_t i, yyjson_val *block)
{
    struct canon_part media = {0}, *p;

    if (!converse_read_media(block, &media))
        return wrong(b, i, NULL, "a content block with a source that is known here");
    if (!(p = add(b, media.kind)))
        return -ENOMEM;
    p->media = media.media;
    return 0;
}

static int read_block(struct converse_blocks *b, size_t i, yyjson_val *block)
{
    yyjson_val *v;

    if ((v = yyjson_obj_get(block, "text")))
        return add_text(b, i, v, "text");
    if ((v = yyjson_obj_get(block, "toolUse")))
        return add_call(b, i, v);
    if ((v = yyjson_obj_get(block, "toolResult")))
        return add_result(b, i, v);
    if ((v = yyjson_obj_get(block, "reasoningContent")))
        return add_thinking(b, i, v);
    if ((v = yyjson_obj_get(block, "citationsContent")))
        return add_cited(b, v);
    if ((v = yyjson_obj_get(block, "cachePoint")))
        return take_mark(b, v);
    if ((v = yyjson_obj_get(block, "json")))
        return add_json(b, v);
    if ((v = yyjson_obj_get(yyjson_obj_get(block, "guardContent"), "text")))
        return add_text(b, i, yyjson_obj_get(v, "text"), "guardContent.text.text");
    return add_media(b, i, block);
}

int converse_read_blocks(struct converse_blocks *b, yyjson_val *list)
{
    yyjson_val *v;
    size_t i, max;
    int r = 0;

    if (list && !yyjson_is_arr(list) && b->at)
        return canon_fail(b->c, str_of(b->at), "%s has to be an array.", b->at);
    yyjson_arr_foreach(list, i, max, v)
    {
        if (r == 0)
            r = yyjson_is_obj(v) ? read_block(b, i, v) : wrong(b, i, NULL, "an object");
    }
    return r;
}

void converse_take_call(struct canon_call *c, struct arena *a, struct canon_part *p)
{
    if (str_eq(p->name, JSON_TOOL) && converse_json_tool(c, c->request)) {
        p->kind = PART_TEXT;
        p->text = p->raw;
        p->id = p->name = p->raw = STR_NONE;
        return;
    }
    p->name = chat_name_in(c, p->name);
    native_call(c, a, p, p->raw);
}

/* --- parts as blocks --- */

static void write_thinking(struct canon_call *c, struct jw *w, const struct canon_part *p)
{
    jw_key(w, "reasoningContent");
    jw_open(w, '{');
    if (p->kind == PART_REDACTED_THINKING) {
        jw_member_str(w, "redactedContent", p->text);
    } else {
        jw_key(w, "reasoningText");
        jw_open(w, '{');
        jw_member_str(w, "text", p->text.p ? p->text : STR(""));
        if (p->signature.n)
            jw_member_str(
                w, "signature", canon_sign_out(c, MAKER_ANTHROPIC, p->maker, p->signature));
        jw_close(w, '}');
    }
    jw_close(w, '}');
}

static void write_cited(struct canon_call *c, struct jw *w, const struct canon_part *p)
{
    jw_key(w, "citationsContent");
    jw_open(w, '{');
    jw_key(w, "content");
    jw_open(w, '[');
    jw_open(w, '{');
    jw_member_str(w, "text", p->text);
    jw_close(w, '}');
    jw_close(w, ']');
    jw_key(w, "citations");
    jw_open(w, '[');
    for (const struct canon_citation *t = p->citations; t; t = t->next)
        converse_write_citation(c->arena, w, t);
    jw_close(w, ']');
    jw_close(w, '}');
}

static void write_call(struct canon_call *c, struct jw *w, const struct canon_part *p)
{
    jw_key(w, "toolUse");
    jw_open(w, '{');
    jw_member_str(w, "toolUseId", messages_id_out(c, p));
    jw_member_str(w, "name", p->name);
    jw_member_raw(w, "input", native_arguments(c, p));
    jw_close(w, '}');
}

static void write_image(struct jw *w, const struct canon_part *p)
{
    jw_key(w, "image");
    jw_open(w, '{');
    jw_member_str(w, "format", converse_image_format(p->media.mime));
    jw_key(w, "source");
    jw_open(w, '{');
    jw_member_str(w, "bytes", p->media.data);
    jw_close(w, '}');
    jw_close(w, '}');
}

void converse_write_block(struct canon_call *c, struct jw *w, const struct canon_part *p)
{
    if (p->kind == PART_IMAGE &&
        (p->media.source != MEDIA_BASE64 || !converse_image_format(p->media.mime).n))
        return;
    if (p->kind == PART_DOCUMENT || p->kind == PART_AUDIO || p->kind == PART_VIDEO ||
        p->kind == PART_TOOL_RESULT)
        return; /* no provider answers with these in a form that is known there */
    jw_open(w, '{');
    if (p->kind == PART_THINKING || p->kind == PART_REDACTED_THINKING)
        write_thinking(c, w, p);
    else if (p->kind == PART_TOOL_CALL)
        write_call(c, w, p);
    else if (p->kind == PART_IMAGE)
        write_image(w, p);
    else if (p->citations)
        write_cited(c, w, p);
    else
        jw_member_str(w, "text", p->text.p ? p->text : STR(""));
    jw_close(w, '}');
}
