/*
 * A client's contents: turns of user and model, each a list of parts. Chat sessions of Google's
 * SDKs give every chunk of a stream back as a turn of its own: neighbouring turns of the model
 * become one, and the pieces of its text one text. Calls without an id get one, by their number;
 * an answer without one belongs to the oldest open call of its name.
 */
#include "translate/gemini_int.h"

#include "base/macros.h"

#include <errno.h>

#define OPEN_CALLS_MAX 256 /* calls whose answers are still to come */
#define REDACTED       STR("redacted_thinking:")

struct gm_open_call {
    struct gm_open_call *next;
    struct str id, name;
};

/* The message that is being read. */
struct turn {
    struct gm_reader *r;
    const struct gm_at *at; /* of the part */
    enum canon_role role;
    struct canon_part *results, **results_tail;
    struct canon_part *others, **others_tail;
};

static struct canon_part *add(struct turn *t, enum canon_part_kind kind)
{
    return canon_add_part(
        t->r->c, kind == PART_TOOL_RESULT ? &t->results_tail : &t->others_tail, kind);
}

static bool is_on(yyjson_val *obj, const char *camel)
{
    return yyjson_get_bool(gm_get(obj, camel, NULL));
}

static void take_signature(struct canon_call *c, yyjson_val *part, struct canon_part *p)
{
    struct str shown = jr_str(gm_get(part, "thoughtSignature", NULL));
    if (shown.n)
        p->maker = canon_sign_in(c, MAKER_GEMINI, shown, &p->signature);
}

/* --- texts --- */

static int read_text(struct turn *t, yyjson_val *part, struct str text)
{
    struct canon_part *p = add(t, is_on(part, "thought") ? PART_THINKING : PART_TEXT);
    if (!p)
        return -ENOMEM;
    p->text = text;
    take_signature(t->r->c, part, p);
    if (p->kind == PART_THINKING && str_starts(p->signature, REDACTED)) {
        p->kind = PART_REDACTED_THINKING;
        p->text = str_from(p->signature, REDACTED.n);
        p->signature = STR_NONE;
    }
    return 0;
}

/* --- media --- */

static enum canon_part_kind media_kind(struct str mime)
{
    if (str_istarts(mime, STR("image/")))
        return PART_IMAGE;
    if (str_istarts(mime, STR("audio/")))
        return PART_AUDIO;
    return str_istarts(mime, STR("video/")) ? PART_VIDEO : PART_DOCUMENT;
}

/* Files that only Google can read: in its own store, or in a bucket. */
static bool is_own_file(struct str uri)
{
    return str_starts(uri, STR("gs://")) ||
           str_starts(uri, STR("https://generativelanguage.googleapis.com/"));
}

/* Google takes base64 in its URL-safe letters, too, and its SDKs write those; nobody else does. */
static struct str plain_base64(struct canon_call *c, struct str s)
{
    size_t pad = (4 - s.n % 4) % 4;
    if (!pad && (!s.n || (!memchr(s.p, '-', s.n) && !memchr(s.p, '_', s.n))))
        return s;
    char *out = arena_alloc(c->arena, s.n + pad);
    for (size_t i = 0; out && i < s.n; i++)
        out[i] = s.p[i] == '-' ? '+' : s.p[i] == '_' ? '/' : s.p[i];
    for (size_t i = 0; out && i < pad; i++)
        out[s.n + i] = '=';
    return str_at(out, out ? s.n + pad : 0);
}

static int read_media(struct turn *t, const struct gm_at *at, yyjson_val *v,
    struct canon_part ***tail, const char *data_name)
{
    struct canon_call *c = t->r->c;
    struct canon_media m = {0};
    if (!yyjson_is_obj(v))
        return gm_fail(c, at, "must be an object");
    if (gm_text(c, at, v, "mimeType", &m.mime) < 0 || gm_text(c, at, v, data_name, &m.data) < 0 ||
        gm_text(c, at, v, "displayName", &m.name) < 0)
        return -EREMOTEIO;
    if (!m.data.n)
        return gm_fail(c, at, "has no data");
    if (str_eq(str_of(data_name), STR("data"))) {
        if (!m.mime.n)
            return gm_fail(c, at, "needs a mimeType");
        m.source = MEDIA_BASE64;
        m.data = plain_base64(c, m.data);
    } else {
        m.source = is_own_file(m.data) ? MEDIA_FILE_ID : MEDIA_URL;
        if (!m.mime.n)
            m.mime = canon_mime_of(m.data);
    }
    struct canon_part *p = canon_add_part(c, tail, media_kind(m.mime));
    if (!p)
        return -ENOMEM;
    p->media = m;
    return 0;
}

static int read_inline(struct turn *t, const struct gm_at *at, yyjson_val *part, yyjson_val *v)
{
    return read_media(t, at, v, &t->others_tail, "data");
}

static int read_file(struct turn *t, const struct gm_at *at, yyjson_val *part, yyjson_val *v)
{
    return read_media(t, at, v, &t->others_tail, "fileUri");
}

/* --- calls and their answers --- */

static int note_open(struct turn *t, const struct gm_at *at, const struct canon_part *p)
{
    struct gm_reader *r = t->r;
    struct gm_open_call *o = arena_new(r->c->arena, struct gm_open_call), **tail = &r->open;
    if (!o)
        return canon_no_room(r->c);
    if (r->open_n++ == OPEN_CALLS_MAX)
        return gm_fail(r->c, at, "is one call too many that has no answer");
    *o = (struct gm_open_call){.id = p->id, .name = p->name};
    while (*tail)
        tail = &(*tail)->next;
    *tail = o;
    return 0;
}

static int read_call(struct turn *t, const struct gm_at *at, yyjson_val *part, yyjson_val *v)
{
    struct canon_call *c = t->r->c;
    struct gm_at args_at = {.up = at};
    struct canon_part *p = add(t, PART_TOOL_CALL);
    if (!p)
        return -ENOMEM;
    if (gm_text(c, at, v, "name", &p->name) < 0 || gm_text(c, at, v, "id", &p->id) < 0)
        return -EREMOTEIO;
    if (!p->name.n)
        return gm_fail(c, at, "needs a name");
    yyjson_val *args = gm_get(v, "args", &args_at.name);
    if (args && !yyjson_is_obj(args))
        return gm_fail(c, &args_at, "must be an object");
    p->raw = args ? jr_raw(c->arena, args) : STR("{}");
    t->r->calls++;
    if (!p->id.n)
        p->id = arena_printf(c->arena, "call_%u", t->r->calls);
    if (!p->raw.p || !p->id.p)
        return canon_no_room(c);
    take_signature(c, part, p);
    return note_open(t, at, p);
}

/* The call that is answered, taken from the list: by its id, or else by name. */
static struct str answered(struct gm_reader *r, struct str id, struct str name)
{
    for (struct gm_open_call **o = &r->open; *o; o = &(*o)->next) {
        if (!str_eq(id.n ? (*o)->id : (*o)->name, id.n ? id : name))
            continue;
        struct str found = (*o)->id;
        *o = (*o)->next;
        r->open_n--;
        return found;
    }
    return id;
}

/* What a response says: {"result": x} and {"output": x} say x, {"error": x} says that it failed. */
static yyjson_val *said(yyjson_val *response, bool *ret_error)
{
    yyjson_val *v = yyjson_obj_get(response, "error");
    *ret_error = v != NULL;
    if (!v)
        v = yyjson_obj_get(response, "result");
    if (!v)
        v = yyjson_obj_get(response, "output");
    return v && yyjson_obj_size(response) == 1 ? v : response;
}

static int add_said(
    struct canon_call *c, struct canon_part *p, yyjson_val *response, struct canon_part ***tail)
{
    yyjson_val *v = said(response, &p->is_error);
    struct canon_part *text = canon_add_part(c, tail, PART_TEXT);
    if (!text)
        return -ENOMEM;
    text->text = yyjson_is_str(v) ? jr_str(v) : jr_raw(c->arena, v);
    if (!text->text.p)
        text->text = STR("null");
    return 0;
}

/* The pictures and files of a response. */
static int read_response_media(
    struct turn *t, const struct gm_at *at, yyjson_val *parts, struct canon_part ***tail)
{
    struct gm_list list;
    gm_list_begin(&list, parts);
    for (yyjson_val *item; (item = gm_list_next(&list));) {
        struct gm_at item_at = {.up = at, .index = list.n - 1};
        yyjson_val *data = gm_get(item, "inlineData", NULL), *file = gm_get(item, "fileData", NULL);
        int r = data   ? read_media(t, &item_at, data, tail, "data")
                : file ? read_media(t, &item_at, file, tail, "fileUri")
                       : gm_fail(t->r->c, &item_at, "has neither inlineData nor fileData");
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_response(struct turn *t, const struct gm_at *at, yyjson_val *part, yyjson_val *v)
{
    struct canon_call *c = t->r->c;
    struct gm_at inside = {.up = at};
    struct str id = STR_NONE;
    struct canon_part *p = add(t, PART_TOOL_RESULT), **tail;
    if (!p)
        return -ENOMEM;
    if (gm_text(c, at, v, "name", &p->name) < 0 || gm_text(c, at, v, "id", &id) < 0)
        return -EREMOTEIO;
    p->id = answered(t->r, id, p->name);
    if (!p->id.n)
        return gm_fail(c, at, "answers no functionCall before it");
    yyjson_val *response = gm_get(v, "response", &inside.name);
    if (response && !yyjson_is_obj(response))
        return gm_fail(c, &inside, "must be an object");
    tail = &p->content;
    if (response && add_said(c, p, response, &tail) < 0)
        return -ENOMEM;
    inside.name = STR("parts");
    return read_response_media(t, &inside, gm_get(v, "parts", &inside.name), &tail);
}

/* --- parts --- */

typedef int part_reader(
    struct turn *t, const struct gm_at *at, yyjson_val *part, yyjson_val *value);

static const struct {
    const char *name;
    part_reader *read; /* NULL: other providers have no such thing */
} kinds[] = {
    {"functionCall", read_call},
    {"functionResponse", read_response},
    {"inlineData", read_inline},
    {"fileData", read_file},
    {"executableCode", NULL},
    {"codeExecutionResult", NULL},
    {"toolCall", NULL},
    {"toolResponse", NULL},
};

/* Remarks on a part that only Gemini understands. */
static const char *const remarks[] = {"videoMetadata", "mediaResolution", "mediaProcessing"};

static int drop(struct turn *t, const struct gm_at *at, const char *why)
{
    return canon_drop(t->r->c, gm_path(t->r->c, at), why);
}

static int read_part(struct turn *t, yyjson_val *part)
{
    struct gm_at at = {.up = t->at};
    if (!yyjson_is_obj(part))
        return gm_fail(t->r->c, t->at, "must be an object");
    for (unsigned i = 0; i < ARRAY_LEN(remarks); i++)
        if (gm_get(part, remarks[i], &at.name) && drop(t, &at, "only Gemini has it") < 0)
            return -EREMOTEIO;
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        yyjson_val *v = gm_get(part, kinds[i].name, &at.name);
        if (!v)
            continue;
        if (!kinds[i].read)
            return drop(t, &at, "other providers have no such part");
        return yyjson_is_obj(v) ? kinds[i].read(t, &at, part, v)
                                : gm_fail(t->r->c, &at, "must be an object");
    }
    yyjson_val *text = gm_get(part, "text", &at.name);
    if (text && !yyjson_is_str(text))
        return gm_fail(t->r->c, &at, "must be a string");
    if (text || gm_get(part, "thoughtSignature", NULL))
        return read_text(t, part, text ? jr_str(text) : STR(""));
    return gm_fail(t->r->c, t->at, "has no text, data or call");
}

/* The parts of one Content, results of tools first. */
static int read_parts(struct turn *t, const struct gm_at *at, yyjson_val *content)
{
    struct gm_at list_at = {.up = at};
    struct gm_list list;
    gm_list_begin(&list, gm_get(content, "parts", &list_at.name));
    t->results_tail = &t->results;
    t->others_tail = &t->others;
    for (yyjson_val *item; (item = gm_list_next(&list));) {
        struct gm_at part_at = {.up = &list_at, .index = list.n - 1};
        t->at = &part_at;
        int r = read_part(t, item);
        if (r < 0)
            return r;
    }
    *t->results_tail = t->others;
    if (t->results)
        t->others = t->results;
    return 0;
}

/* --- turns --- */

static int role_of(
    struct gm_reader *r, const struct gm_at *at, yyjson_val *content, enum canon_role *ret)
{
    struct gm_at role_at = {.up = at, .name = STR("role")};
    struct str role;
    if (!yyjson_is_obj(content))
        return gm_fail(r->c, at, "must be an object");
    if (gm_text(r->c, at, content, "role", &role) < 0)
        return -EREMOTEIO;
    *ret = ROLE_USER;
    if (str_eq(role, STR("model")))
        *ret = ROLE_ASSISTANT;
    else if (role.n && !str_eq(role, STR("user")) && !str_eq(role, STR("function")))
        return gm_fail(r->c, &role_at, "must be user or model");
    return 0;
}

static int read_turn(struct gm_reader *r, const struct gm_at *at, yyjson_val *content)
{
    struct turn t = {.r = r};
    if (role_of(r, at, content, &t.role) < 0)
        return -EREMOTEIO;
    int e = read_parts(&t, at, content);
    if (e < 0)
        return e;
    struct canon_message *m = canon_add_message(r->c, &r->messages, t.role);
    if (!m)
        return -ENOMEM;
    m->parts = t.others;
    return 0;
}

static bool is_piece(const struct canon_part *p)
{
    return p->kind == PART_TEXT || p->kind == PART_THINKING;
}

/* Whether next goes on with what p began. A signature ends it. */
static bool goes_on(const struct canon_part *p, const struct canon_part *next)
{
    return next && is_piece(p) && next->kind == p->kind && !p->signature.n;
}

/* Joins a run of pieces into its first; false when memory is out. */
static bool join_run(struct canon_call *c, struct canon_part *first)
{
    struct canon_part *last = first;
    size_t n = first->text.n;
    while (goes_on(last, last->next)) {
        last = last->next;
        n += last->text.n;
    }
    if (last == first)
        return true;
    char *p = arena_alloc(c->arena, n + 1), *to = p;
    if (!p)
        return false;
    for (struct canon_part *x = first; x != last->next; x = x->next) {
        if (x->text.n)
            memcpy(to, x->text.p, x->text.n);
        to += x->text.n;
    }
    first->text = str_at(p, n);
    first->signature = last->signature;
    first->maker = last->maker;
    first->next = last->next;
    return true;
}

/* Neighbouring turns of the model become one. */
static int join_turns(struct gm_reader *r)
{
    for (struct canon_message *m = r->q->messages; m; m = m->next) {
        if (m->role != ROLE_ASSISTANT)
            continue;
        struct canon_part **tail = &m->parts;
        for (;;) {
            while (*tail)
                tail = &(*tail)->next;
            if (!m->next || m->next->role != ROLE_ASSISTANT)
                break;
            *tail = m->next->parts;
            m->next = m->next->next;
        }
        for (struct canon_part *p = m->parts; p; p = p->next)
            if (!join_run(r->c, p))
                return canon_no_room(r->c);
    }
    return 0;
}

int gm_read_contents(struct gm_reader *r, const struct gm_at *at, yyjson_val *list)
{
    struct gm_list turns;
    gm_list_begin(&turns, list);
    for (yyjson_val *item; (item = gm_list_next(&turns));) {
        struct gm_at turn_at = {.up = at, .index = turns.n - 1};
        int e = read_turn(r, &turn_at, item);
        if (e < 0)
            return e;
    }
    if (!r->q->messages)
        return gm_fail(r->c, at, "must not be empty");
    return join_turns(r);
}

int gm_read_system(struct gm_reader *r, const struct gm_at *at, yyjson_val *v)
{
    struct turn t = {.r = r};
    if (yyjson_is_str(v)) {
        t.others_tail = &t.others;
        struct canon_part *p = add(&t, PART_TEXT);
        if (!p)
            return -ENOMEM;
        p->text = jr_str(v);
    } else if (!yyjson_is_obj(v)) {
        return gm_fail(r->c, at, "must be a Content");
    } else {
        int e = read_parts(&t, at, v);
        if (e < 0)
            return e;
    }
    struct canon_message *m = canon_add_message(r->c, &r->messages, ROLE_SYSTEM);
    if (!m)
        return -ENOMEM;
    m->parts = t.others;
    return 0;
}
