/*
 * Reading the blocks of Anthropic's messages. A block of a kind that no other dialect has (server
 * tools and their results, container uploads) becomes an extra under its path; what other dialects
 * can say in their own way is brought into that: a search result is a document of text, a document
 * made of blocks is its text, with its pictures behind it.
 */
#include "translate/messages_int.h"

#include "base/macros.h"

int messages_read_cache(
    struct messages_reader *rd, yyjson_val *v, const struct place *at, enum canon_cache *ret)
{
    struct str type, ttl;
    if (!v || yyjson_is_null(v))
        return 0;
    if (!yyjson_is_obj(v))
        return place_wrong(rd->c, at, "an object");
    int r = place_str(rd->c, v, at, "type", &type);
    if (r == 0)
        r = place_str(rd->c, v, at, "ttl", &ttl);
    if (r < 0)
        return r;
    if (!str_eq(type, STR("ephemeral")))
        return place_wrong(rd->c, &(struct place){at, "type", 0}, "\"ephemeral\"");
    if (ttl.p && !str_eq(ttl, STR("5m")) && !str_eq(ttl, STR("1h")))
        return place_wrong(rd->c, &(struct place){at, "ttl", 0}, "\"5m\" or \"1h\"");
    *ret = str_eq(ttl, STR("1h")) ? CACHE_1H : CACHE_5M;
    return 0;
}

static int must_str(struct messages_reader *rd, yyjson_val *b, const struct place *at,
    const char *name, struct str *ret)
{
    int r = place_str(rd->c, b, at, name, ret);
    if (r == 0 && !ret->p)
        r = place_wrong(rd->c, &(struct place){at, name, 0}, "a string");
    return r;
}

/* --- citations --- */

struct canon_citation *messages_read_citation(struct canon_call *c, struct arena *a, yyjson_val *v)
{
    struct canon_citation *t = arena_new(a, struct canon_citation);
    if (!t) {
        canon_no_room(c);
        return NULL;
    }
    t->url = jr_get_str(v, "url");
    if (!t->url.n)
        t->url = jr_get_str(v, "source");
    t->title = jr_get_str(v, "title");
    if (!t->title.n)
        t->title = jr_get_str(v, "document_title");
    t->quote = jr_get_str(v, "cited_text");
    t->from = t->to = -1;
    t->raw = jr_raw(a, v);
    t->maker = MAKER_ANTHROPIC;
    /* One that we made out of another provider's has no index to look it up by. */
    struct str index = jr_get_str(v, "encrypted_index");
    if (index.p && !index.n) {
        t->maker = MAKER_OTHER;
        t->raw = STR_NONE;
    }
    return t;
}

static int read_citations(
    struct messages_reader *rd, yyjson_val *v, const struct place *at, struct canon_part *p)
{
    struct canon_citation **tail = &p->citations;
    size_t i, n;
    yyjson_val *item;
    if (!v || yyjson_is_null(v))
        return 0;
    if (!yyjson_is_arr(v))
        return place_wrong(rd->c, at, "an array");
    yyjson_arr_foreach(v, i, n, item)
    {
        if (!yyjson_is_obj(item))
            return place_wrong(rd->c, &(struct place){at, NULL, i}, "an object");
        struct canon_citation *t = messages_read_citation(rd->c, rd->c->arena, item);
        if (!t)
            return -ENOMEM;
        t->from = 0;
        t->to = (int64_t)p->text.n;
        *tail = t;
        tail = &t->next;
    }
    return 0;
}

/* --- kinds of blocks --- */

typedef int block_fn(
    struct messages_reader *rd, yyjson_val *b, const struct place *at, struct canon_part ***tail);

static int read_text(
    struct messages_reader *rd, yyjson_val *b, const struct place *at, struct canon_part ***tail)
{
    struct canon_part *p = canon_add_part(rd->c, tail, PART_TEXT);
    int r = p ? must_str(rd, b, at, "text", &p->text) : -ENOMEM;
    return r < 0 ? r
                 : read_citations(
                       rd, yyjson_obj_get(b, "citations"), &(struct place){at, "citations", 0}, p);
}

/* A document made of blocks: its texts, a line apart. */
static int read_source_blocks(struct messages_reader *rd, yyjson_val *v, const struct place *at,
    struct canon_part *p, struct canon_part ***tail)
{
    _cleanup_(buf_free) struct buf text;
    struct canon_part *parts = NULL, **inner = &parts;
    int r = messages_read_content(rd, v, at, &inner);
    buf_init(&text, rd->c->arena->max);
    for (struct canon_part *k = parts, *next; k && r == 0; k = next) {
        next = k->next;
        if (k->kind == PART_TEXT) {
            if (text.n)
                buf_addc(&text, '\n');
            r = buf_addstr(&text, k->text);
        } else {
            k->next = NULL;
            **tail = k;
            *tail = &k->next;
        }
    }
    if (r < 0)
        return r == -ENOMEM || r == -ENOBUFS ? canon_no_room(rd->c) : r;
    p->media.data = arena_dup(rd->c->arena, buf_str(&text));
    p->media.source = MEDIA_TEXT;
    p->media.mime = STR("text/plain");
    return p->media.data.p ? 0 : canon_no_room(rd->c);
}

static int read_source_data(struct messages_reader *rd, yyjson_val *v, const struct place *at,
    struct canon_media *m, struct str type)
{
    const char *name = str_eq(type, STR("url"))    ? "url"
                       : str_eq(type, STR("file")) ? "file_id"
                                                   : "data";
    m->source = str_eq(type, STR("url"))    ? MEDIA_URL
                : str_eq(type, STR("file")) ? MEDIA_FILE_ID
                : str_eq(type, STR("text")) ? MEDIA_TEXT
                                            : MEDIA_BASE64;
    int r = place_str(rd->c, v, at, "media_type", &m->mime);
    return r < 0 ? r : must_str(rd, v, at, name, &m->data);
}

static int read_source(struct messages_reader *rd, yyjson_val *b, const struct place *up,
    struct canon_part *p, struct canon_part ***tail)
{
    const struct place at = {up, "source", 0};
    yyjson_val *v = yyjson_obj_get(b, "source");
    struct str type;
    if (!yyjson_is_obj(v))
        return place_wrong(rd->c, &at, "an object");
    int r = must_str(rd, v, &at, "type", &type);
    if (r < 0)
        return r;
    if (p->kind == PART_DOCUMENT && str_eq(type, STR("content")))
        return read_source_blocks(
            rd, yyjson_obj_get(v, "content"), &(struct place){&at, "content", 0}, p, tail);
    if (!str_eq(type, STR("base64")) && !str_eq(type, STR("url")) && !str_eq(type, STR("file")) &&
        !(p->kind == PART_DOCUMENT && str_eq(type, STR("text"))))
        return place_wrong(rd->c, &(struct place){&at, "type", 0}, "a kind of source");
    return read_source_data(rd, v, &at, &p->media, type);
}

static int read_image(
    struct messages_reader *rd, yyjson_val *b, const struct place *at, struct canon_part ***tail)
{
    struct canon_part *p = canon_add_part(rd->c, tail, PART_IMAGE);
    return p ? read_source(rd, b, at, p, tail) : -ENOMEM;
}

static int read_document(
    struct messages_reader *rd, yyjson_val *b, const struct place *at, struct canon_part ***tail)
{
    struct canon_part *p = canon_add_part(rd->c, tail, PART_DOCUMENT);
    if (!p)
        return -ENOMEM;
    int r = read_source(rd, b, at, p, tail);
    if (r == 0)
        r = place_str(rd->c, b, at, "title", &p->media.name);
    if (r == 0)
        r = place_str(rd->c, b, at, "context", &p->media.context);
    p->media.citations = jr_get_bool(yyjson_obj_get(b, "citations"), "enabled", false);
    return r;
}

static int read_search_result(
    struct messages_reader *rd, yyjson_val *b, const struct place *at, struct canon_part ***tail)
{
    struct canon_part *p = canon_add_part(rd->c, tail, PART_DOCUMENT);
    if (!p)
        return -ENOMEM;
    int r = read_source_blocks(
        rd, yyjson_obj_get(b, "content"), &(struct place){at, "content", 0}, p, tail);
    if (r == 0)
        r = place_str(rd->c, b, at, "title", &p->media.name);
    if (r == 0)
        r = place_str(rd->c, b, at, "source", &p->media.context);
    p->media.citations = jr_get_bool(yyjson_obj_get(b, "citations"), "enabled", false);
    return r;
}

static int read_tool_use(
    struct messages_reader *rd, yyjson_val *b, const struct place *at, struct canon_part ***tail)
{
    struct canon_part *p = canon_add_part(rd->c, tail, PART_TOOL_CALL);
    yyjson_val *input = yyjson_obj_get(b, "input");
    struct str id;
    int r = p ? must_str(rd, b, at, "id", &id) : -ENOMEM;
    if (r == 0)
        r = must_str(rd, b, at, "name", &p->name);
    if (r < 0)
        return r;
    if (input && !yyjson_is_null(input) && !yyjson_is_obj(input))
        return place_wrong(rd->c, &(struct place){at, "input", 0}, "an object");
    p->raw = input ? jr_raw(rd->c->arena, input) : STR("{}");
    return messages_id_in(rd->c, id, p);
}

static int read_tool_result(
    struct messages_reader *rd, yyjson_val *b, const struct place *at, struct canon_part ***tail)
{
    struct canon_part *p = canon_add_part(rd->c, tail, PART_TOOL_RESULT);
    yyjson_val *content = yyjson_obj_get(b, "content"), *wrong = yyjson_obj_get(b, "is_error");
    struct str id;
    int r = p ? must_str(rd, b, at, "tool_use_id", &id) : -ENOMEM;
    if (r < 0)
        return r;
    if (wrong && !yyjson_is_null(wrong) && !yyjson_is_bool(wrong))
        return place_wrong(rd->c, &(struct place){at, "is_error", 0}, "true or false");
    p->is_error = yyjson_get_bool(wrong);
    r = messages_id_in(rd->c, id, p);
    p->signature = STR_NONE; /* the call's, which its result only repeats */
    p->maker = MAKER_NONE;
    if (r < 0 || !content || yyjson_is_null(content))
        return r;
    struct canon_part **inner = &p->content;
    return messages_read_content(rd, content, &(struct place){at, "content", 0}, &inner);
}

static int read_thinking(
    struct messages_reader *rd, yyjson_val *b, const struct place *at, struct canon_part ***tail)
{
    struct canon_part *p = canon_add_part(rd->c, tail, PART_THINKING);
    struct str shown;
    int r = p ? must_str(rd, b, at, "thinking", &p->text) : -ENOMEM;
    if (r == 0)
        r = place_str(rd->c, b, at, "signature", &shown);
    if (r == 0)
        p->maker = canon_sign_in(rd->c, MAKER_ANTHROPIC, shown, &p->signature);
    return r;
}

static int read_redacted(
    struct messages_reader *rd, yyjson_val *b, const struct place *at, struct canon_part ***tail)
{
    struct canon_part *p = canon_add_part(rd->c, tail, PART_REDACTED_THINKING);
    struct str shown;
    int r = p ? must_str(rd, b, at, "data", &shown) : -ENOMEM;
    if (r == 0)
        p->maker = canon_sign_in(rd->c, MAKER_ANTHROPIC, shown, &p->text);
    return r;
}

#define KNOWN(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        "type", "cache_control", __VA_ARGS__, NULL                                                 \
    }

static const struct {
    struct str type;
    block_fn *read;
    const char *const *known;
} kinds[] = {
    {STR_INIT("text"), read_text, KNOWN("text", "citations")},
    {STR_INIT("tool_use"), read_tool_use, KNOWN("id", "name", "input")},
    {STR_INIT("tool_result"), read_tool_result, KNOWN("tool_use_id", "content", "is_error")},
    {STR_INIT("thinking"), read_thinking, KNOWN("thinking", "signature")},
    {STR_INIT("image"), read_image, KNOWN("source")},
    {STR_INIT("document"), read_document, KNOWN("source", "title", "context", "citations")},
    {STR_INIT("redacted_thinking"), read_redacted, KNOWN("data")},
    {STR_INIT("search_result"), read_search_result,
        KNOWN("source", "title", "content", "citations")},
};

static int read_block(
    struct messages_reader *rd, yyjson_val *b, const struct place *at, struct canon_part ***tail)
{
    struct canon_part **begin = *tail;
    struct str type;
    if (!yyjson_is_obj(b))
        return place_wrong(rd->c, at, "an object");
    int r = must_str(rd, b, at, "type", &type);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(kinds); i++) {
        if (!str_eq(kinds[i].type, type))
            continue;
        r = kinds[i].read(rd, b, at, tail);
        if (r == 0)
            r = messages_read_cache(rd, yyjson_obj_get(b, "cache_control"),
                &(struct place){at, "cache_control", 0}, &(*begin)->cache);
        return r < 0 ? r : messages_others(rd, b, at, kinds[i].known);
    }
    return r < 0 ? r : messages_extra(rd, at, b);
}

/* Where we wrote a signature of Gemini's behind the text that it is of, it goes back to it. */
static void sign_texts(struct canon_part *p, struct canon_part ***tail)
{
    for (; p && p->next; p = p->next) {
        struct canon_part *next = p->next;
        if (p->kind != PART_TEXT || next->kind != PART_THINKING || next->text.n ||
            next->maker != MAKER_GEMINI)
            continue;
        p->signature = next->signature;
        p->maker = MAKER_GEMINI;
        p->next = next->next;
        if (!p->next)
            *tail = &p->next;
    }
}

int messages_read_content(
    struct messages_reader *rd, yyjson_val *v, const struct place *at, struct canon_part ***tail)
{
    size_t i, n;
    yyjson_val *item;
    if (yyjson_is_str(v))
        return canon_add_text(rd->c, tail, jr_str(v)) ? 0 : -ENOMEM;
    if (!yyjson_is_arr(v))
        return place_wrong(rd->c, at, "a string or an array of blocks");
    struct canon_part **begin = *tail;
    yyjson_arr_foreach(v, i, n, item)
    {
        int r = read_block(rd, item, &(struct place){at, NULL, i}, tail);
        if (r < 0)
            return r;
    }
    sign_texts(*begin, tail);
    return 0;
}
