/* Counting tokens across dialects, see translate/count.h. */
#include "translate/count.h"

#include "base/limits.h"
#include "base/macros.h"
#include "translate/gemini_int.h"

#include <errno.h>

#define MEMBERS_MAX 12

/* What of a call's request each counts. */
static const char *const counted[WIRES][MEMBERS_MAX] = {
    [WIRE_MESSAGES] = {"model", "system", "messages", "tools", "tool_choice", "thinking",
        "output_config", "cache_control"},
    [WIRE_RESPONSES] = {"model", "input", "instructions", "tools", "tool_choice", "text",
        "reasoning", "parallel_tool_calls", "previous_response_id", "conversation", "truncation"},
    [WIRE_GEMINI] = {"systemInstruction", "contents", "tools", "toolConfig", "generationConfig",
        "cachedContent"},
    [WIRE_CONVERSE] = {"messages", "system", "toolConfig", "additionalModelRequestFields"},
};

/* Vertex takes no envelope, and of the members only these. */
static const char *const vertex_counts[MEMBERS_MAX] = {
    "systemInstruction", "contents", "tools", "generationConfig"};

bool count_is_served(const struct wire *to)
{
    return counted[to->id][0] != NULL;
}

const struct wire *count_wire_for(enum dialect d, enum endpoint_kind k, struct str path)
{
    if (k == KIND_COUNT_TOKENS && d == DIALECT_ANTHROPIC)
        return &wire_messages;
    if (k == KIND_GEMINI_COUNT)
        return &wire_gemini;
    return k == KIND_RESPONSES_AUX && str_ends(path, STR("input_tokens")) ? &wire_responses : NULL;
}

/* --- the client's request --- */

/* A count says nothing of how long the answer may get, which Anthropic's reader insists on. */
static struct str with_limit(struct canon_call *c, struct str body)
{
    struct str rest = str_trim(body);
    const char *why;
    yyjson_val *root = jr_parse(c->arena, body, &why);
    if (!yyjson_is_obj(root) || yyjson_obj_get(root, "max_tokens"))
        return body;
    return arena_printf(c->arena, "{\"max_tokens\":1%s" STR_FMT, yyjson_obj_size(root) ? "," : "",
        STR_ARG(str_from(rest, 1)));
}

/* {"generateContentRequest": {…}} → what is in it. */
static struct str unwrapped(struct canon_call *c, struct str body)
{
    const char *why;
    yyjson_val *root = jr_parse(c->arena, body, &why);
    yyjson_val *inner = gm_get(root, "generateContentRequest", NULL);
    return inner ? jr_raw(c->arena, inner) : body;
}

int count_read_request(
    struct canon_call *c, const struct wire *from, struct str body, struct canon_request *ret)
{
    if (from->id == WIRE_MESSAGES)
        body = with_limit(c, body);
    else if (from->id == WIRE_GEMINI)
        body = unwrapped(c, body);
    if (!body.p)
        return canon_no_room(c);
    int r = from->read_request(c, body, ret);
    ret->max_tokens = -1;
    ret->stream = false;
    return r;
}

/* --- the target's request --- */

static void put_members(
    struct canon_call *c, struct jw *w, yyjson_val *request, const char *const *names)
{
    for (unsigned i = 0; i < MEMBERS_MAX && names[i]; i++)
        jw_member_raw(w, names[i], jr_raw(c->arena, yyjson_obj_get(request, names[i])));
}

static void put_gemini(struct canon_call *c, struct jw *w, yyjson_val *request)
{
    if (gm_is_vertex(c)) {
        put_members(c, w, request, vertex_counts);
        return;
    }
    jw_key(w, "generateContentRequest");
    jw_open(w, '{');
    jw_member_str(w, "model", arena_printf(c->arena, "models/" STR_FMT, STR_ARG(c->model)));
    put_members(c, w, request, counted[WIRE_GEMINI]);
    jw_close(w, '}');
}

static void put_converse(struct canon_call *c, struct jw *w, yyjson_val *request)
{
    jw_key(w, "input");
    jw_open(w, '{');
    jw_key(w, "converse");
    jw_open(w, '{');
    put_members(c, w, request, counted[WIRE_CONVERSE]);
    jw_close(w, '}');
    jw_close(w, '}');
}

static int put_request(
    struct canon_call *c, const struct wire *to, struct str whole, struct buf *out)
{
    struct jw w = {.out = out};
    const char *why;
    yyjson_val *request = jr_parse(c->arena, whole, &why);
    if (!yyjson_is_obj(request))
        return canon_no_room(c);
    jw_open(&w, '{');
    if (to->id == WIRE_GEMINI)
        put_gemini(c, &w, request);
    else if (to->id == WIRE_CONVERSE)
        put_converse(c, &w, request);
    else
        put_members(c, &w, request, counted[to->id]);
    jw_close(&w, '}');
    return out->err;
}

int count_write_request(
    struct canon_call *c, const struct wire *to, const struct canon_request *q, struct buf *out)
{
    _cleanup_(buf_free) struct buf whole;
    buf_init(&whole, LIMIT_BODY_BYTES * 2);
    if (!count_is_served(to))
        return -ENOTSUP;
    int r = to->write_request(c, q, &whole);
    return r < 0 ? r : put_request(c, to, buf_str(&whole), out);
}

/* --- replies --- */

static const char *const names[WIRES] = {
    [WIRE_MESSAGES] = "input_tokens",
    [WIRE_RESPONSES] = "input_tokens",
    [WIRE_GEMINI] = "totalTokens",
    [WIRE_CONVERSE] = "inputTokens",
};

int count_read_reply(
    struct canon_call *c, const struct wire *to, struct str body, uint64_t *ret_tokens)
{
    const char *why;
    int64_t n;
    yyjson_val *root = jr_parse(c->arena, body, &why);
    if (!jr_get_int(root, names[to->id], &n) || n < 0)
        return canon_bad_reply(c, "it has no count");
    *ret_tokens = (uint64_t)n;
    return 0;
}

int count_write_reply(
    struct canon_call *c, const struct wire *from, uint64_t tokens, struct buf *out)
{
    struct jw w = {.out = out};
    jw_open(&w, '{');
    if (from->id == WIRE_RESPONSES)
        jw_member_str(&w, "object", STR("response.input_tokens"));
    jw_member_int(&w, names[from->id], (int64_t)tokens);
    jw_close(&w, '}');
    return out->err;
}
