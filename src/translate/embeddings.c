/* The clients' side of embeddings: OpenAI's and Gemini's requests and replies. */
#include "translate/embeddings_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "translate/gemini_int.h"

#include <errno.h>

struct embed_reader {
    struct canon_call *c;
    struct embed_request *q;
    struct embed_input *inputs;
    struct canon_extra **extras;
};

static int start_inputs(struct embed_reader *r, size_t n, struct str field)
{
    if (n == 0 || n > EMBED_INPUTS_MAX)
        return canon_fail(r->c, field, "'" STR_FMT "' must have 1 to %d entries.", STR_ARG(field),
            EMBED_INPUTS_MAX);
    r->inputs = arena_zalloc(r->c->arena, n * sizeof(*r->inputs));
    r->q->inputs = r->inputs;
    r->q->inputs_n = (unsigned)n;
    return r->inputs ? 0 : canon_no_room(r->c);
}

static int keep_extra(struct embed_reader *r, struct str name, yyjson_val *v)
{
    struct canon_extra *e = arena_new(r->c->arena, struct canon_extra);
    if (!e)
        return canon_no_room(r->c);
    *e = (struct canon_extra){.name = name, .raw = jr_raw(r->c->arena, v)};
    *r->extras = e;
    r->extras = &e->next;
    return 0;
}

static int set_dimensions(struct embed_reader *r, struct str name, yyjson_val *v)
{
    uint64_t n;
    if (!yyjson_is_raw(v) || str_u64(str_at(yyjson_get_raw(v), yyjson_get_len(v)), &n) < 0 ||
        n == 0 || n > INT32_MAX)
        return canon_fail(
            r->c, name, "'" STR_FMT "' must be a positive whole number.", STR_ARG(name));
    r->q->dimensions = (int64_t)n;
    r->q->dimensions_name = name;
    return 0;
}

static int set_use(struct embed_reader *r, struct str name, yyjson_val *v)
{
    struct str word = jr_str(v);
    if (!word.p)
        return canon_fail(r->c, name, "'" STR_FMT "' must be a string.", STR_ARG(name));
    r->q->use = embed_use_parse(word);
    r->q->use_name = name;
    if (r->q->use != EMBED_UNSAID || str_eq(word, STR("TASK_TYPE_UNSPECIFIED")))
        return 0;
    return canon_drop(r->c, name, "it is not known what that is for");
}

/* --- OpenAI --- */

static bool is_token(yyjson_val *v)
{
    uint64_t n;
    return yyjson_is_raw(v) && str_u64(str_at(yyjson_get_raw(v), yyjson_get_len(v)), &n) == 0;
}

static bool are_tokens(yyjson_val *v)
{
    yyjson_val *item;
    size_t i, n;
    if (!yyjson_is_arr(v) || yyjson_arr_size(v) == 0)
        return false;
    yyjson_arr_foreach(v, i, n, item)
    {
        if (!is_token(item))
            return false;
    }
    return true;
}

static int read_one(struct embed_reader *r, struct embed_input *to, yyjson_val *v, size_t i)
{
    struct str where = arena_printf(r->c->arena, "input[%zu]", i);
    if (yyjson_is_str(v)) {
        to->text = jr_str(v);
        return 0;
    }
    if (!are_tokens(v))
        return canon_fail(
            r->c, where, "'" STR_FMT "' must be a string or a list of tokens.", STR_ARG(where));
    to->tokens = jr_raw(r->c->arena, v);
    return to->tokens.p ? 0 : canon_no_room(r->c);
}

static int read_input(struct embed_reader *r, yyjson_val *v)
{
    yyjson_val *item;
    size_t i, n;
    if (yyjson_is_str(v) || are_tokens(v)) {
        r->q->one = true;
        int e = start_inputs(r, 1, STR("input"));
        return e < 0 ? e : read_one(r, r->inputs, v, 0);
    }
    if (!yyjson_is_arr(v))
        return canon_fail(r->c, STR("input"), "'input' must be a string or a list of them.");
    int e = start_inputs(r, yyjson_arr_size(v), STR("input"));
    if (e < 0)
        return e;
    yyjson_arr_foreach(v, i, n, item)
    {
        e = read_one(r, &r->inputs[i], item, i);
        if (e < 0)
            return e;
    }
    return 0;
}

static int read_encoding(struct embed_reader *r, yyjson_val *v)
{
    struct str word = jr_str(v);
    r->q->base64 = str_eq(word, STR("base64"));
    if (!r->q->base64 && !str_eq(word, STR("float")))
        return canon_fail(
            r->c, STR("encoding_format"), "'encoding_format' must be float or base64.");
    return 0;
}

static int read_openai_member(struct embed_reader *r, struct str name, yyjson_val *v)
{
    if (str_eq(name, STR("input")) || yyjson_is_null(v))
        return 0;
    if (str_eq(name, STR("model"))) {
        r->q->model = jr_str(v);
        return 0;
    }
    if (str_eq(name, STR("dimensions")))
        return set_dimensions(r, name, v);
    if (str_eq(name, STR("encoding_format")))
        return read_encoding(r, v);
    if (str_eq(name, STR("input_type")))
        return set_use(r, name, v);
    if (str_eq(name, STR("user"))) {
        r->q->user = jr_raw(r->c->arena, v);
        return 0;
    }
    return keep_extra(r, name, v);
}

static int read_openai(struct embed_reader *r, yyjson_val *root)
{
    yyjson_val *key, *v, *input = yyjson_obj_get(root, "input");
    size_t i, n;
    if (!input)
        return canon_fail(r->c, STR("input"), "'input' is required.");
    int e = read_input(r, input);
    yyjson_obj_foreach(root, i, n, key, v)
    {
        if (e == 0)
            e = read_openai_member(r, jr_str(key), v);
    }
    return e;
}

/* --- Gemini --- */

static int read_content(
    struct embed_reader *r, const struct gm_at *at, yyjson_val *content, struct embed_input *to)
{
    _cleanup_(buf_free) struct buf text;
    struct gm_at inside = {.up = at};
    struct gm_list list;
    buf_init(&text, LIMIT_BODY_BYTES);
    gm_list_begin(&list, gm_get(content, "parts", &inside.name));
    for (yyjson_val *item; (item = gm_list_next(&list));) {
        struct gm_at part_at = {.up = &inside, .index = list.n - 1};
        struct str s = jr_str(gm_get(item, "text", NULL));
        if (!s.p)
            return gm_fail(r->c, &part_at, "must be a text");
        if (list.n > 1)
            buf_addc(&text, '\n');
        buf_addstr(&text, s);
    }
    if (!list.n)
        return gm_fail(r->c, at, "has no parts");
    to->text = arena_dup(r->c->arena, buf_str(&text));
    return to->text.p ? 0 : canon_no_room(r->c);
}

/* One EmbedContentRequest, or the embedContentConfig in it. */
static int read_gemini_member(
    struct embed_reader *r, const struct gm_at *at, yyjson_val *v, struct embed_input *to)
{
    if (yyjson_is_null(v) || str_eq(at->name, STR("model")))
        return 0;
    if (str_eq(at->name, STR("content")))
        return read_content(r, at, v, to);
    if (gm_name_is(at->name, "outputDimensionality"))
        return set_dimensions(r, gm_path(r->c, at), v);
    if (gm_name_is(at->name, "taskType"))
        return set_use(r, gm_path(r->c, at), v);
    if (str_eq(at->name, STR("title")) && yyjson_is_str(v)) {
        to->title = jr_str(v);
        return 0;
    }
    return keep_extra(r, gm_path(r->c, at), v);
}

static int read_gemini_object(
    struct embed_reader *r, const struct gm_at *up, yyjson_val *object, struct embed_input *to)
{
    yyjson_val *key, *v;
    size_t i, n;
    int e = 0;
    yyjson_obj_foreach(object, i, n, key, v)
    {
        struct gm_at at = {.up = up, .name = jr_str(key)};
        if (e == 0 && gm_name_is(at.name, "embedContentConfig"))
            e = read_gemini_object(r, &at, v, to);
        else if (e == 0)
            e = read_gemini_member(r, &at, v, to);
    }
    return e;
}

static int check_content(struct embed_reader *r, const struct embed_input *to, struct str field)
{
    return to->text.p ? 0 : canon_fail(r->c, field, "'" STR_FMT "' is required.", STR_ARG(field));
}

static int read_gemini_one(struct embed_reader *r, yyjson_val *root)
{
    r->q->one = true;
    int e = start_inputs(r, 1, STR("content"));
    if (e == 0)
        e = read_gemini_object(r, NULL, root, r->inputs);
    return e < 0 ? e : check_content(r, r->inputs, STR("content"));
}

/* All of a batch must want the same: other providers say it once a call. */
static int read_gemini(struct embed_reader *r, yyjson_val *root)
{
    struct gm_at at = {0};
    yyjson_val *list = gm_get(root, "requests", &at.name), *item;
    size_t i, n;
    int e = start_inputs(r, yyjson_arr_size(list), STR("requests"));
    if (e < 0)
        return e;
    yyjson_arr_foreach(list, i, n, item)
    {
        struct gm_at item_at = {.up = &at, .index = (unsigned)i};
        int64_t dimensions = r->q->dimensions;
        enum embed_use use = r->q->use;
        e = read_gemini_object(r, &item_at, item, &r->inputs[i]);
        if (e == 0)
            e = check_content(
                r, &r->inputs[i], arena_printf(r->c->arena, "requests[%zu].content", i));
        if (e == 0 && i && (dimensions != r->q->dimensions || use != r->q->use))
            e = gm_fail(r->c, &item_at, "must want what the others of its batch want");
        if (e < 0)
            return e;
    }
    return 0;
}

int embed_read_request(
    struct canon_call *c, enum embed_wire from, struct str body, struct embed_request *ret)
{
    const char *why;
    *ret = (struct embed_request){.dimensions = -1, .from = from, .model = c->model_shown};
    struct embed_reader r = {.c = c, .q = ret, .extras = &ret->extras};
    yyjson_val *root = jr_parse(c->arena, body, &why);
    if (!yyjson_is_obj(root))
        return canon_fail(
            c, STR_NONE, "The body cannot be read: %s.", root ? "it is no object" : why);
    switch (from) {
    case EMBED_OPENAI:
        return read_openai(&r, root);
    case EMBED_GEMINI:
        return read_gemini(&r, root);
    default:
        must(from == EMBED_GEMINI_ONE);
        return read_gemini_one(&r, root);
    }
}

/* --- replies --- */

static struct str numbers(struct canon_call *c, const struct embed_vector *v)
{
    return v->raw.p ? v->raw : embed_unpack(c->arena, v->base64);
}

static int put_openai_vector(
    struct canon_call *c, const struct embed_vector *v, bool base64, struct jw *w)
{
    struct str text = base64 ? v->base64 : numbers(c, v);
    if (base64 && !text.p)
        text = embed_pack(c->arena, v->raw);
    if (!text.p)
        return canon_bad_reply(c, "a vector in it is no list of numbers");
    jw_key(w, "embedding");
    if (base64)
        jw_str(w, text);
    else
        jw_raw(w, text);
    return 0;
}

static int write_openai(
    struct canon_call *c, const struct embed_request *q, const struct embed_reply *r, struct jw *w)
{
    int e = 0;
    jw_open(w, '{');
    jw_member_str(w, "object", STR("list"));
    jw_key(w, "data");
    jw_open(w, '[');
    for (unsigned i = 0; i < r->vectors_n && e == 0; i++) {
        jw_open(w, '{');
        jw_member_str(w, "object", STR("embedding"));
        jw_member_int(w, "index", i);
        e = put_openai_vector(c, &r->vectors[i], q->base64, w);
        jw_close(w, '}');
    }
    jw_close(w, ']');
    jw_member_str(w, "model", c->model_shown);
    uint64_t n = usage_input_total(&r->usage);
    if (r->usage.source == USAGE_UNKNOWN)
        n = c->input_estimate;
    jw_key(w, "usage");
    jw_open(w, '{');
    jw_member_int(w, "prompt_tokens", (int64_t)n);
    jw_member_int(w, "total_tokens", (int64_t)n);
    jw_close(w, '}');
    jw_close(w, '}');
    return e;
}

static int put_values(struct canon_call *c, const struct embed_vector *v, struct jw *w)
{
    struct str raw = numbers(c, v);
    if (!raw.p)
        return canon_bad_reply(c, "a vector in it is no list of numbers");
    jw_open(w, '{');
    jw_member_raw(w, "values", raw);
    jw_close(w, '}');
    return 0;
}

static int write_gemini(struct canon_call *c, bool one, const struct embed_reply *r, struct jw *w)
{
    int e = 0;
    jw_open(w, '{');
    jw_key(w, one ? "embedding" : "embeddings");
    if (!one)
        jw_open(w, '[');
    for (unsigned i = 0; i < r->vectors_n && e == 0; i++)
        e = put_values(c, &r->vectors[i], w);
    if (!one)
        jw_close(w, ']');
    if (r->usage.source != USAGE_UNKNOWN) {
        int64_t n = (int64_t)usage_input_total(&r->usage);
        jw_key(w, "usageMetadata");
        jw_open(w, '{');
        jw_member_int(w, "promptTokenCount", n);
        jw_member_int(w, "totalTokenCount", n);
        jw_close(w, '}');
    }
    jw_close(w, '}');
    return e;
}

int embed_write_reply(struct canon_call *c, const struct embed_request *q,
    const struct embed_reply *r, struct buf *out)
{
    struct jw w = {.out = out};
    if (r->vectors_n != q->inputs_n)
        return canon_bad_reply(c, "it has not as many vectors as there were inputs");
    int e = q->from == EMBED_OPENAI ? write_openai(c, q, r, &w)
                                    : write_gemini(c, q->from == EMBED_GEMINI_ONE, r, &w);
    return e < 0 ? e : out->err;
}
