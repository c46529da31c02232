/*
 * Errors of providers that speak OpenAI's chat dialect, which write them in many ways:
 *
 *   {"error":{"message","type","param","code"}}   OpenAI and most
 *   [{"error":{…}}]                               Vertex' OpenAI face
 *   {"error":"…","code":"…"}                      xAI, Ollama
 *   {"object":"error","message","type",…}         Mistral, vLLM
 *   {"detail":[{"loc","msg"}]}, {"detail":"…"}    Mistral, others built on FastAPI
 *   {"error":{"code":429,"metadata":{"raw"}}}     OpenRouter
 *   {"err_code":"…","err_msg":"…"}              Deepgram, whose dialect is another
 */
#include "translate/chat_int.h"

#define MESSAGE_MAX_BYTES 2048

/* A copy that is no longer than a sentence or two may be, cut between characters. */
static struct str bounded(struct arena *a, struct str s)
{
    size_t n = s.n;
    if (n > MESSAGE_MAX_BYTES) {
        n = MESSAGE_MAX_BYTES;
        while (n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
            n--;
    }
    return n ? arena_dup(a, str_to(s, n)) : STR_NONE;
}

/* A word for machines. A number is a status, and xAI's "code" a sentence. */
static struct str word_of(struct arena *a, yyjson_val *v)
{
    struct str s = jr_str(v);
    return str_chr(s, ' ') < 0 ? bounded(a, s) : STR_NONE;
}

static int status_of(yyjson_val *e, int otherwise)
{
    int64_t n;
    if (otherwise >= 400)
        return otherwise;
    if ((jr_get_int(e, "code", &n) || jr_get_int(e, "status", &n)) && n >= 400 && n < 600)
        return (int)n;
    return otherwise;
}

/* FastAPI's list of what is wrong: the first of them, with its place. */
static void read_detail(struct arena *a, yyjson_val *detail, struct error *ret)
{
    yyjson_val *first = yyjson_arr_get_first(detail), *loc = yyjson_obj_get(first, "loc"), *one;
    _cleanup_(buf_free) struct buf place;
    size_t i, n;
    buf_init(&place, 256);
    ret->message = bounded(a, yyjson_is_str(detail) ? jr_str(detail) : jr_get_str(first, "msg"));
    yyjson_arr_foreach(loc, i, n, one)
    {
        struct str s = jr_str(one);
        if (i == 0 && str_eq(s, STR("body")))
            continue;
        if (yyjson_is_raw(one))
            buf_printf(&place, "[%.*s]", (int)MIN(yyjson_get_len(one), 9u), yyjson_get_raw(one));
        else if (s.n)
            buf_printf(&place, "%s" STR_FMT, place.n ? "." : "", STR_ARG(str_to(s, 64)));
    }
    if (place.n)
        ret->param = arena_dup(a, buf_str(&place));
}

static void read_object(struct arena *a, yyjson_val *e, struct error *ret)
{
    yyjson_val *inner = yyjson_obj_get(e, "innererror"); /* Azure */
    struct str raw = jr_get_str(yyjson_obj_get(e, "metadata"), "raw");
    uint64_t retry = jr_get_u64(e, "retry_after");
    ret->status = status_of(e, ret->status);
    ret->message = bounded(a, jr_get_str(e, "message"));
    if (!ret->message.n)
        ret->message = bounded(a, jr_get_str(e, "err_msg"));
    ret->type = word_of(a, yyjson_obj_get(e, "type"));
    ret->code = word_of(a, yyjson_obj_get(e, "code"));
    if (!ret->code.n)
        ret->code = word_of(a, yyjson_obj_get(e, "err_code"));
    ret->param = word_of(a, yyjson_obj_get(e, "param"));
    if (!ret->code.n)
        ret->code = word_of(a, yyjson_obj_get(inner, "code"));
    ret->detail = bounded(a, raw); /* what the provider behind a router said */
    ret->retry_after_s = retry < 86400 ? (int)retry : 0;
}

void chat_read_error_value(struct arena *a, int status, yyjson_val *root, struct error *ret)
{
    yyjson_val *e = yyjson_obj_get(root, "error"), *detail = yyjson_obj_get(root, "detail");
    *ret = (struct error){.status = status};
    if (yyjson_is_arr(root)) {
        chat_read_error_value(a, status, yyjson_arr_get_first(root), ret);
    } else if (yyjson_is_obj(e)) {
        read_object(a, e, ret);
    } else if (yyjson_is_str(e)) {
        read_object(a, root, ret);
        ret->message = bounded(a, jr_str(e));
    } else if (detail) {
        read_detail(a, detail, ret);
    } else if (yyjson_is_obj(root)) {
        read_object(a, root, ret);
    }
}

void chat_read_error(
    struct canon_call *c, int status, struct str type_field, struct str body, struct error *ret)
{
    const char *why;
    yyjson_val *root = jr_parse(c->arena, str_trim(body), &why);
    chat_read_error_value(c->arena, status, root, ret);
    if (!ret->message.n)
        ret->message = arena_printf(c->arena, "The provider answered with status %d.", status);
    (void)type_field;
}
