/* See native_int.h. */
#include "translate/native_int.h"

#include "crypto/encode.h"
#include "translate/chat_int.h"

#include <stdlib.h>

/* --- what is left out --- */

int native_drop_params(struct canon_call *c, const struct canon_request *q, uint32_t kept)
{
    int r = 0;

    for (unsigned i = 0; i < CANON_PARAMS && r == 0; i++)
        if (q->param[i].raw.p && !(kept & ((uint32_t)1 << i)))
            r = canon_drop(c, q->param[i].name, "it has no equivalent there");
    return r;
}

int native_drop_extras(struct canon_call *c, const struct canon_request *q)
{
    int r = 0;

    for (const struct canon_extra *e = q->extras; e && r == 0; e = e->next)
        r = canon_drop(c, e->name, "it is not known there");
    return r;
}

int native_one_answer(struct canon_call *c, const struct canon_request *q)
{
    if (q->n <= 1)
        return 0;
    return canon_fail(c, STR("n"), "This provider gives one answer a call, not %u.", q->n);
}

static bool is_marked(const struct canon_part *parts)
{
    for (const struct canon_part *p = parts; p; p = p->next)
        if (p->cache || is_marked(p->content))
            return true;
    return false;
}

int native_drop_marks(struct canon_call *c, const struct canon_request *q)
{
    bool any = q->cache != CACHE_NONE;

    for (const struct canon_message *m = q->messages; m && !any; m = m->next)
        any = is_marked(m->parts);
    for (const struct canon_tool *t = q->tools; t && !any; t = t->next)
        any = t->cache != CACHE_NONE;
    return any ? canon_drop(c, STR("cache_control"), "it has no prompt cache to be told of") : 0;
}

struct str native_choice_name(const struct canon_request *q)
{
    return q->tool_choice.called.n ? q->tool_choice.called : STR("tool_choice");
}

struct str native_parallel_name(const struct canon_request *q)
{
    return q->tool_choice.parallel_called.n ? q->tool_choice.parallel_called
                                            : STR("parallel_tool_calls");
}

/* --- tools --- */

bool native_offers(const struct canon_request *q, const struct canon_tool *t)
{
    const struct canon_tool_choice *choice = &q->tool_choice;

    if (choice->mode != TOOLS_ONE && choice->mode != TOOLS_ALLOWED)
        return true;
    for (unsigned i = 0; i < choice->names_n; i++)
        if (str_eq(choice->names[i], t->name))
            return true;
    return false;
}

const struct canon_tool *native_tool(const struct canon_call *c, struct str name)
{
    for (const struct canon_tool *t = c->request ? c->request->tools : NULL; t; t = t->next)
        if (!t->native.p && str_eq(t->name, name))
            return t;
    return NULL;
}

struct str native_schema(const struct canon_tool *t)
{
    if (t->is_custom)
        return STR("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"
                   "\"required\":[\"input\"]}");
    return t->raw.p ? t->raw : STR("{\"type\":\"object\",\"properties\":{}}");
}

struct str native_arguments(struct canon_call *c, const struct canon_part *p)
{
    _cleanup_(buf_free) struct buf text = {0};

    if (!p->is_custom)
        return p->raw.n ? p->raw : STR("{}");
    buf_init(&text, 8 * p->text.n + 64);
    struct jw w = {.out = &text};
    jw_open(&w, '{');
    jw_key(&w, "input");
    jw_str(&w, p->text);
    jw_close(&w, '}');
    struct str s = arena_dup(c->arena, buf_str(&text));
    return text.err || !s.p ? STR("{}") : s;
}

void native_call(struct canon_call *c, struct arena *a, struct canon_part *p, struct str arguments)
{
    const struct canon_tool *t = native_tool(c, p->name);

    if (t && t->is_custom) {
        struct str text = chat_unwrap(a, arguments);
        p->is_custom = true;
        p->text = text.p ? text : arguments;
        return;
    }
    p->raw = arguments.n ? arguments : STR("{}");
}

struct str native_call_id(struct canon_call *c, struct arena *a, unsigned n)
{
    char id[64];
    size_t len = 0;

    for (size_t i = 0; i < c->request_id.n && len < 32; i++)
        if (c->request_id.p[i] != '-')
            id[len++] = c->request_id.p[i];
    return arena_printf(a, "call_%.*s%u", (int)len, id, n);
}

/* --- texts --- */

bool native_is_blank(struct str s)
{
    return str_trim(s).n == 0;
}

struct str native_join(
    struct canon_call *c, const struct canon_part *parts, uint32_t kinds, struct str between)
{
    size_t n = 0, at = 0;

    for (const struct canon_part *p = parts; p; p = p->next)
        if (kinds & ((uint32_t)1 << p->kind) && p->text.n)
            n += p->text.n + between.n;
    char *to = n ? arena_alloc(c->arena, n) : NULL;
    if (!to) {
        if (n)
            canon_no_room(c);
        return STR("");
    }
    for (const struct canon_part *p = parts; p; p = p->next) {
        if (!(kinds & ((uint32_t)1 << p->kind)) || !p->text.n)
            continue;
        if (at && between.n) {
            memcpy(to + at, between.p, between.n);
            at += between.n;
        }
        memcpy(to + at, p->text.p, p->text.n);
        at += p->text.n;
    }
    return str_at(to, at);
}

static bool is_text_type(struct str mime)
{
    return str_istarts(mime, STR("text/")) || str_ieq(mime, STR("application/json")) ||
           str_ieq(mime, STR("application/xml"));
}

bool native_document_text(struct canon_call *c, const struct canon_media *m, struct str *ret)
{
    struct str mime = m->mime.n ? m->mime : canon_mime_of(m->name);

    if (m->source == MEDIA_TEXT) {
        *ret = m->data;
        return true;
    }
    if (m->source != MEDIA_BASE64 || !is_text_type(mime))
        return false;
    char *text = arena_alloc(c->arena, BASE64_MAX_BYTES(m->data.n));
    ssize_t n = text ? base64_decode(m->data, text) : -1;
    *ret = str_at(text, n > 0 ? (size_t)n : 0);
    return n >= 0;
}

struct str native_media_url(struct canon_call *c, const struct canon_media *m)
{
    if (m->source == MEDIA_URL)
        return m->data;
    if (m->source != MEDIA_BASE64)
        return STR_NONE;
    return canon_data_url_of(c, m->mime.n ? m->mime : STR("application/octet-stream"), m->data);
}

double native_decimal(struct str raw)
{
    char text[48];

    if (raw.n >= sizeof(text))
        raw = str_to(raw, sizeof(text) - 1);
    memcpy(text, raw.p ? raw.p : "", raw.n);
    text[raw.n] = 0;
    return strtod(text, NULL);
}

/* --- errors --- */

struct str native_error_text(struct canon_call *c, struct str body)
{
    const char *why;
    yyjson_val *root = jr_parse(c->arena, body, &why), *error = yyjson_obj_get(root, "error");
    static const char *const names[] = {"message", "Message", "detail", "title"};

    if (yyjson_is_str(error))
        return jr_str(error);
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        struct str s = jr_get_str(yyjson_is_obj(error) ? error : root, names[i]);
        if (s.n)
            return s;
    }
    return root ? STR_NONE : arena_dup(c->arena, str_to(str_trim(body), 500));
}

void native_error(
    struct canon_call *c, int status, struct str code, struct str text, struct error *ret)
{
    *ret = (struct error){.status = status, .code = code, .message = text};
    if (!ret->message.n)
        ret->message = arena_printf(c->arena, "The provider answered with status %d.", status);
    if (!ret->message.n)
        ret->message = STR("The provider answered with an error.");
}

/* --- events --- */

void native_start(struct canon_stream *s, unsigned key, const struct canon_part *part)
{
    canon_emit(s, &(struct canon_event){.kind = EVENT_PART_START, .key = key, .part = part});
}

void native_delta(struct canon_stream *s, unsigned key, enum canon_part_kind kind,
    enum canon_delta field, struct str text)
{
    const struct canon_part part = {.kind = kind};

    canon_emit(
        s, &(struct canon_event){
               .kind = EVENT_PART_DELTA, .key = key, .part = &part, .field = field, .text = text});
}

void native_finish(struct canon_stream *s, enum canon_finish finish, struct str word)
{
    canon_emit(
        s, &(struct canon_event){.kind = EVENT_FINISH, .finish = finish, .native_finish = word});
}

void native_fail(struct canon_stream *s, int status, struct str code, struct str message)
{
    struct error e;

    native_error(s->c, status, code, arena_dup(s->c->arena, message), &e);
    canon_emit(s, &(struct canon_event){.kind = EVENT_ERROR, .error = &e});
}

/* --- calls of free-form tools --- */

int native_custom_begin(
    struct canon_stream *s, struct native_custom *k, unsigned key, const struct canon_part *part)
{
    *k = (struct native_custom){.on = true,
        .key = key,
        .id = arena_dup(s->c->arena, part->id),
        .name = arena_dup(s->c->arena, part->name),
        .tail = &k->pieces};
    return k->id.p && k->name.p ? 0 : canon_no_room(s->c);
}

int native_custom_add(struct canon_stream *s, struct native_custom *k, struct str text)
{
    struct native_piece *piece = text.n ? arena_new(s->c->arena, struct native_piece) : NULL;

    if (!text.n)
        return 0;
    if (!piece || !(piece->text = arena_dup(s->c->arena, text)).p)
        return canon_no_room(s->c);
    *k->tail = piece;
    k->tail = &piece->next;
    return 0;
}

void native_custom_end(struct canon_stream *s, struct native_custom *k)
{
    struct canon_part *texts = NULL, **tail = &texts;
    struct canon_part p = {.kind = PART_TOOL_CALL, .id = k->id, .name = k->name};

    if (!k->on)
        return;
    for (const struct native_piece *piece = k->pieces; piece; piece = piece->next) {
        struct canon_part *t = canon_add_part(s->c, &tail, PART_TEXT);
        if (t)
            t->text = piece->text;
    }
    native_call(s->c, &s->pool, &p, native_join(s->c, texts, 1u << PART_TEXT, STR_NONE));
    canon_emit(s, &(struct canon_event){.kind = EVENT_PART_WHOLE, .key = k->key, .part = &p});
    k->on = false;
}
