/*
 * The OpenAI Responses wire: its functions, its errors, and what its files share. See
 * translate/responses_int.h for who does what.
 */
#include "translate/responses_int.h"

#include "base/macros.h"

#include <stdio.h>

/* --- small helpers --- */

yyjson_val *responses_echo(const struct canon_call *c)
{
    const struct canon_request *q = c->request;

    return q && q->from == &wire_responses ? (yyjson_val *)q->echo : NULL;
}

int responses_missing(struct canon_call *c, const struct place *at, const char *member)
{
    struct str path = place_path(c, IN(at, member));

    return canon_fail(c, path, "Missing required parameter: '" STR_FMT "'.", STR_ARG(path));
}

yyjson_val *responses_get(yyjson_val *obj, const char *name)
{
    yyjson_val *v = yyjson_obj_get(obj, name);

    return yyjson_is_null(v) ? NULL : v;
}

struct str responses_join(struct arena *a, struct str first, const char *between, struct str second)
{
    const struct str parts[] = {first, str_of(between), second};
    char *p = arena_alloc(a, first.n + parts[1].n + second.n + 1), *at = p;

    for (unsigned i = 0; p && i < ARRAY_LEN(parts); i++) {
        if (parts[i].n)
            memcpy(at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    return p ? str_at(p, (size_t)(at - p)) : STR_NONE;
}

void responses_put_value(struct canon_call *c, struct jw *w, yyjson_val *v)
{
    jw_raw(w, jr_raw(c->arena, v));
}

/* --- ids --- */

static struct str id_of(
    const struct canon_call *c, const char *prefix, int i, char room[static RESPONSES_ID_BYTES])
{
    size_t n = (size_t)snprintf(room, RESPONSES_ID_BYTES, "%s_sf", prefix);

    for (size_t k = 0; k < c->request_id.n && n < RESPONSES_ID_BYTES - 8; k++)
        if (c->request_id.p[k] != '-')
            room[n++] = c->request_id.p[k];
    if (i >= 0)
        n += (size_t)snprintf(room + n, 8, "%04x", (unsigned)i & 0xffff);
    return str_at(room, n);
}

struct str responses_id(const struct canon_call *c, char room[static RESPONSES_ID_BYTES])
{
    return id_of(c, "resp", -1, room);
}

struct str responses_item_id(const struct canon_call *c, const char *prefix, unsigned i,
    char room[static RESPONSES_ID_BYTES])
{
    return id_of(c, prefix, (int)i, room);
}

/* --- errors --- */

static const struct {
    struct str code;
    int status;
} error_codes[] = {
    {STR_INIT("server_error"), 500},
    {STR_INIT("rate_limit_exceeded"), 429},
    {STR_INIT("insufficient_quota"), 429},
    {STR_INIT("context_length_exceeded"), 400},
    {STR_INIT("invalid_prompt"), 400},
    {STR_INIT("bio_policy"), 400},
    {STR_INIT("content_policy_violation"), 400},
    {STR_INIT("image_content_policy_violation"), 400},
    {STR_INIT("misalignment_policy_violation"), 400},
    {STR_INIT("invalid_image"), 400},
    {STR_INIT("invalid_image_format"), 400},
    {STR_INIT("invalid_base64_image"), 400},
    {STR_INIT("invalid_image_url"), 400},
    {STR_INIT("invalid_image_mode"), 400},
    {STR_INIT("image_too_large"), 400},
    {STR_INIT("image_too_small"), 400},
    {STR_INIT("image_parse_error"), 400},
    {STR_INIT("image_file_too_large"), 400},
    {STR_INIT("image_file_not_found"), 400},
    {STR_INIT("empty_image_file"), 400},
    {STR_INIT("unsupported_image_media_type"), 400},
    {STR_INIT("failed_to_download_image"), 400},
    {STR_INIT("server_is_overloaded"), 503},
    {STR_INIT("slow_down"), 503},
    {STR_INIT("vector_store_timeout"), 504},
};

int responses_error_status(struct str code)
{
    for (unsigned i = 0; i < ARRAY_LEN(error_codes); i++)
        if (str_eq(error_codes[i].code, code))
            return error_codes[i].status;
    return 502;
}

static struct str kept(struct canon_call *c, struct str s)
{
    return s.n ? arena_dup(c->arena, str_to(s, 2048)) : STR_NONE;
}

void responses_read_error_object(struct canon_call *c, yyjson_val *v, struct error *ret)
{
    ret->code = kept(c, jr_get_str(v, "code"));
    ret->type = kept(c, jr_get_str(v, "type"));
    ret->param = kept(c, jr_get_str(v, "param"));
    ret->message = kept(c, jr_get_str(v, "message"));
    if (!ret->message.p)
        ret->message = STR("The provider reported an error without a message.");
}

const struct wire wire_responses = {
    .id = WIRE_RESPONSES,
    .name = STR_INIT("openai responses"),
    .maker = MAKER_OPENAI,
    .framing = FRAMES_SSE,
    .stream_type = STR_INIT("text/event-stream; charset=utf-8"),
    .read_request = responses_read_request,
    .write_request = responses_write_request,
    .read_reply = responses_read_reply,
    .write_reply = responses_write_reply,
    .read_event = responses_read_event,
    .write_event = responses_write_event,
    .read_error = chat_read_error, /* the same as chat's */
};
