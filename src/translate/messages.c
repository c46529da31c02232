/*
 * The wire of Anthropic's dialect, and its errors: what kind of error it is stands in error.type,
 * behind a 200 too, where it ends a stream. OpenAI's words for it are what the gateway goes by, and
 * "prompt is too long" is what clients of this dialect look for when the context is full.
 */
#include "translate/messages_int.h"

#include "base/macros.h"

#define TOO_LONG    STR("prompt is too long")
#define BODY_LOGGED ((size_t)512)

static int write_plain(struct canon_call *c, const struct canon_request *q, struct buf *out)
{
    return messages_write_request(c, q, MESSAGES_PLAIN, out);
}

const struct wire wire_messages = {
    .id = WIRE_MESSAGES,
    .name = STR_INIT("anthropic messages"),
    .maker = MAKER_ANTHROPIC,
    .framing = FRAMES_SSE,
    .stream_type = STR_INIT("text/event-stream"),
    .read_request = messages_read_request,
    .write_request = write_plain,
    .read_reply = messages_read_reply,
    .write_reply = messages_write_reply,
    .read_event = messages_read_event,
    .write_event = messages_write_event,
    .read_error = messages_read_error,
    .word_error = messages_word_error,
};

bool messages_same_dialect(const struct wire *a, const struct wire *b)
{
    return a && b && a->read_reply == messages_read_reply && b->read_reply == messages_read_reply;
}

/* --- errors --- */

static const struct {
    struct str type;
    int status;
    struct str code; /* none: the type is the code */
} types[] = {
    {STR_INIT("invalid_request_error"), 400, STR_INIT("")},
    {STR_INIT("authentication_error"), 401, STR_INIT("")},
    {STR_INIT("billing_error"), 402, STR_INIT("insufficient_quota")},
    {STR_INIT("permission_error"), 403, STR_INIT("")},
    {STR_INIT("not_found_error"), 404, STR_INIT("")},
    {STR_INIT("request_too_large"), 413, STR_INIT("")},
    {STR_INIT("rate_limit_error"), 429, STR_INIT("rate_limit_exceeded")},
    {STR_INIT("api_error"), 500, STR_INIT("")},
    {STR_INIT("timeout_error"), 504, STR_INIT("")},
    {STR_INIT("overloaded_error"), 529, STR_INIT("")},
};

static void fill_type(struct error *e, struct str type)
{
    e->code = type;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!str_eq(types[i].type, type))
            continue;
        if (!e->status)
            e->status = types[i].status;
        if (types[i].code.n)
            e->code = types[i].code;
    }
    if (!e->status)
        e->status = 500;
}

void messages_read_error(
    struct canon_call *c, int status, struct str type_field, struct str body, struct error *ret)
{
    const char *why;
    yyjson_val *root = jr_parse(c->arena, body, &why), *e = yyjson_obj_get(root, "error");
    struct str type = jr_get_str(e, "type"), message = jr_get_str(e, "message");
    *ret = (struct error){.status = status};
    if (!message.p)
        message = jr_get_str(root, "message");
    if (!type.p)
        type = type_field;
    if (!message.n) {
        message = STR("The provider answered with an error that says nothing.");
        ret->detail = arena_dup(c->arena, str_to(body, BODY_LOGGED));
    }
    ret->message = message;
    fill_type(ret, type);
    if (wire_fault_of(ret->status, ret->code, STR_NONE, message) == FAULT_CONTEXT)
        ret->code = STR("context_length_exceeded");
    else if (str_eq(type, STR("not_found_error")) && str_find(message, STR("model")) >= 0)
        ret->code = STR("model_not_found");
}

void messages_word_error(struct canon_call *c, struct error *e)
{
    if (wire_fault_of(e->status, e->code, e->type, e->message) != FAULT_CONTEXT)
        return;
    e->status = 400;
    e->type = STR("invalid_request_error");
    if (str_find(e->message, TOO_LONG) >= 0)
        return;
    struct str worded =
        arena_printf(c->arena, "prompt is too long: " STR_FMT, STR_ARG(str_to(e->message, 4096)));
    e->message = worded.p ? worded : TOO_LONG;
}
