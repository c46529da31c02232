/*
 * Whole replies: an upstream's read, a client's written.
 *
 * Reading is lenient: items of OpenAI's own tools are passed over, as what they found stands in the
 * message behind them. A response that failed is an error of the provider's, although it came with
 * 200: routing may try another.
 */
#include "translate/responses_int.h"

#include "base/limits.h"
#include "base/macros.h"

#include <errno.h>

/* --- reading items --- */

static int read_output_text(struct canon_call *c, yyjson_val *v, struct canon_part ***tail)
{
    struct canon_part *p = canon_add_part(c, tail, PART_TEXT);

    if (!p)
        return -ENOMEM;
    p->text = jr_get_str(v, "text");
    if (!p->text.p)
        p->text = STR("");
    return responses_read_annotations(c, yyjson_obj_get(v, "annotations"), p);
}

static int read_message(struct canon_call *c, yyjson_val *item, struct canon_part ***tail)
{
    yyjson_val *one;
    size_t i, n;
    int r = 0;

    yyjson_arr_foreach(yyjson_obj_get(item, "content"), i, n, one)
    {
        struct str type = jr_get_str(one, "type");
        if (str_eq(type, STR("output_text"))) {
            r = read_output_text(c, one, tail);
        } else if (str_eq(type, STR("refusal"))) {
            struct canon_part *p = canon_add_part(c, tail, PART_REFUSAL);
            r = p ? 0 : -ENOMEM;
            if (p)
                p->text = jr_get_str(one, "refusal");
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_call(struct canon_call *c, yyjson_val *item, bool custom, struct canon_part ***tail)
{
    struct canon_part *p = canon_add_part(c, tail, PART_TOOL_CALL);
    bool bad;

    if (!p)
        return -ENOMEM;
    p->id = jr_get_str(item, "call_id");
    if (!p->id.n)
        p->id = jr_get_str(item, "id");
    p->name = chat_name_in(c, jr_get_str(item, "name"));
    p->is_custom = custom;
    if (custom)
        p->text = jr_get_str(item, "input");
    else
        p->raw = chat_arguments(c->arena, yyjson_obj_get(item, "arguments"), &bad);
    return custom || p->raw.p ? 0 : canon_no_room(c);
}

static int read_image(struct canon_call *c, yyjson_val *item, struct canon_part ***tail)
{
    struct str data = jr_get_str(item, "result"), kind = jr_get_str(item, "output_format");

    if (!data.n)
        return 0;
    struct canon_part *p = canon_add_part(c, tail, PART_IMAGE);
    if (!p)
        return -ENOMEM;
    p->media.source = MEDIA_BASE64;
    p->media.data = data;
    p->media.mime = responses_join(c->arena, STR("image/"), "", kind.n ? kind : STR("png"));
    return p->media.mime.p ? 0 : canon_no_room(c);
}

int responses_read_item(struct canon_call *c, yyjson_val *item, struct canon_part ***tail)
{
    struct str type = jr_get_str(item, "type");

    if (str_eq(type, STR("message")))
        return read_message(c, item, tail);
    if (str_eq(type, STR("function_call")))
        return read_call(c, item, false, tail);
    if (str_eq(type, STR("custom_tool_call")))
        return read_call(c, item, true, tail);
    if (str_eq(type, STR("image_generation_call")))
        return read_image(c, item, tail);
    if (str_eq(type, STR("reasoning")))
        return MIN(responses_read_reasoning(c, item, tail, NULL), 0);
    return 0;
}

/* --- reading the rest --- */

enum canon_finish responses_finish(struct str status, struct str reason, bool called)
{
    if (str_eq(status, STR("incomplete"))) {
        if (str_eq(reason, STR("content_filter")))
            return FINISH_FILTER;
        return str_eq(reason, STR("max_output_tokens")) ? FINISH_LENGTH : FINISH_STOP;
    }
    return called ? FINISH_TOOL_CALLS : FINISH_STOP;
}

void responses_read_usage(yyjson_val *v, struct usage *u)
{
    yyjson_val *in = yyjson_obj_get(v, "input_tokens_details");
    yyjson_val *out = yyjson_obj_get(v, "output_tokens_details");
    uint64_t total = jr_get_u64(v, "input_tokens");

    if (!yyjson_is_obj(v))
        return;
    u->cache_read = jr_get_u64(in, "cached_tokens");
    u->cache_write_5m = jr_get_u64(in, "cache_write_tokens");
    u->audio_in = jr_get_u64(in, "audio_tokens");
    uint64_t apart = u->cache_read + u->cache_write_5m + u->audio_in;
    u->input = total > apart ? total - apart : 0;
    u->audio_out = jr_get_u64(out, "audio_tokens");
    total = jr_get_u64(v, "output_tokens");
    u->output = total > u->audio_out ? total - u->audio_out : 0;
    u->reasoning = jr_get_u64(out, "reasoning_tokens");
    u->source = USAGE_REPORTED;
}

/* The log probabilities of all its texts, in the shape that chat has. */
static struct str read_logprobs(struct canon_call *c, yyjson_val *output)
{
    _cleanup_(buf_free) struct buf all;
    struct jw w = {.out = &all};
    yyjson_val *item, *part, *one;
    size_t i, n, k, m, j, l;
    bool any = false;

    buf_init(&all, LIMIT_RESPONSE_BYTES);
    jw_open(&w, '{');
    jw_key(&w, "content");
    jw_open(&w, '[');
    yyjson_arr_foreach(output, i, n, item)
    {
        yyjson_arr_foreach(yyjson_obj_get(item, "content"), k, m, part)
        {
            yyjson_arr_foreach(yyjson_obj_get(part, "logprobs"), j, l, one)
            {
                responses_put_value(c, &w, one);
                any = true;
            }
        }
    }
    jw_close(&w, ']');
    jw_member_raw(&w, "refusal", STR("null"));
    jw_close(&w, '}');
    return any && !all.err ? arena_dup(c->arena, buf_str(&all)) : STR_NONE;
}

/* It came with 200, and is an error. */
static int failed(struct canon_call *c, yyjson_val *root)
{
    struct error e = {0};

    responses_read_error_object(c, yyjson_obj_get(root, "error"), &e);
    e.status = responses_error_status(e.code);
    if (c->error->status == 0)
        *c->error = e;
    return -EREMOTEIO;
}

static bool called(const struct canon_part *p)
{
    for (; p; p = p->next)
        if (p->kind == PART_TOOL_CALL)
            return true;
    return false;
}

static int read_choice(struct canon_call *c, yyjson_val *root, struct canon_choice *to)
{
    yyjson_val *output = yyjson_obj_get(root, "output"), *one;
    struct str status = jr_get_str(root, "status");
    struct str reason = jr_get_str(yyjson_obj_get(root, "incomplete_details"), "reason");
    struct canon_part **tail = &to->parts;
    size_t i, n;

    yyjson_arr_foreach(output, i, n, one)
    {
        int r = responses_read_item(c, one, &tail);
        if (r < 0)
            return r;
    }
    to->logprobs = read_logprobs(c, output);
    to->finish = responses_finish(status, reason, called(to->parts));
    to->native_finish = reason.n ? reason : status;
    return 0;
}

int responses_read_reply(struct canon_call *c, struct str body, struct canon_reply *ret)
{
    const char *why;
    yyjson_val *root = jr_parse(c->arena, body, &why);
    struct str status = jr_get_str(root, "status");

    *ret = (struct canon_reply){0};
    if (!yyjson_is_obj(root))
        return canon_bad_reply(c, root ? "it is no object" : why);
    if (str_eq(status, STR("failed")) || yyjson_is_obj(yyjson_obj_get(root, "error")))
        return failed(c, root);
    if (!yyjson_is_arr(yyjson_obj_get(root, "output")))
        return canon_bad_reply(c, "it has no output");
    if (status.n && !str_eq(status, STR("completed")) && !str_eq(status, STR("incomplete")))
        return canon_bad_reply(c, "it is not complete");
    ret->id = jr_get_str(root, "id");
    if (!jr_get_int(root, "created_at", &ret->created))
        ret->created = c->now;
    ret->service_tier = jr_get_str(root, "service_tier");
    responses_read_usage(yyjson_obj_get(root, "usage"), &ret->usage);
    ret->choices = arena_new(c->arena, struct canon_choice);
    return ret->choices ? read_choice(c, root, ret->choices) : canon_no_room(c);
}

/* --- writing --- */

struct writer {
    struct canon_call *c;
    struct jw w;
    const struct canon_choice *choice;
    const char *last; /* status of the item that was under way when it ended */
    unsigned items;   /* written so far */
};

static struct str next_id(struct writer *wr, const char *prefix, char room[RESPONSES_ID_BYTES])
{
    return responses_item_id(wr->c, prefix, wr->items++, room);
}

static int put_annotations(struct canon_call *c, const struct canon_part *p, struct buf *out)
{
    struct jw w = {.out = out};
    int r = 0;

    for (const struct canon_citation *x = p->citations; x && r == 0; x = x->next)
        if (!responses_put_annotation(&w, x, p->text))
            r = canon_drop(c, STR("citations"), "annotations need an address");
    return r < 0 ? r : out->err ? canon_no_room(c) : 0;
}

/* The inside of the "content" array of log probabilities. */
static struct str logprobs_of(struct canon_call *c, struct str raw)
{
    const char *why;
    yyjson_val *list = raw.n ? yyjson_obj_get(jr_parse(c->arena, raw, &why), "content") : NULL;
    struct str text = jr_raw(c->arena, list);

    return text.n > 2 ? str_at(text.p + 1, text.n - 2) : STR_NONE;
}

/* A run of texts: one message with a part for each. */
static int put_message(
    struct writer *wr, const struct canon_part *p, const struct canon_part **ret_end)
{
    char room[RESPONSES_ID_BYTES];
    struct str logprobs = logprobs_of(wr->c, wr->choice->logprobs);
    const struct canon_part *end = p;
    int r = 0;

    while (end && (end->kind == PART_TEXT || end->kind == PART_REFUSAL) && !end->signature.n)
        end = end->next;
    if (end && end->signature.n && (end->kind == PART_TEXT || end->kind == PART_REFUSAL))
        end = end->next; /* its signature comes behind the message */
    *ret_end = end;
    jw_open(&wr->w, '{');
    jw_member_str(&wr->w, "id", next_id(wr, "msg", room));
    jw_member_str(&wr->w, "type", STR("message"));
    jw_member_str(&wr->w, "status", str_of(end ? "completed" : wr->last));
    jw_key(&wr->w, "content");
    jw_open(&wr->w, '[');
    for (; r == 0 && p != end; p = p->next) {
        _cleanup_(buf_free) struct buf notes;
        buf_init(&notes, LIMIT_RESPONSE_BYTES);
        r = put_annotations(wr->c, p, &notes);
        responses_put_text_part(
            &wr->w, p->kind == PART_REFUSAL, p->text, buf_str(&notes), logprobs);
        logprobs = STR_NONE;
    }
    jw_close(&wr->w, ']');
    jw_member_str(&wr->w, "role", STR("assistant"));
    jw_close(&wr->w, '}');
    return r;
}

static void put_thinking(struct writer *wr, const struct canon_part *p)
{
    bool opaque = p->kind == PART_REDACTED_THINKING;
    char room[RESPONSES_ID_BYTES];

    responses_put_reasoning(&wr->w, next_id(wr, "rs", room), opaque ? STR_NONE : p->text,
        responses_seal_signature(wr->c, p->kind, p->maker, opaque ? p->text : p->signature));
}

/* A free-form tool may have been a function to the provider. */
static void put_call(struct writer *wr, const struct canon_part *p)
{
    bool custom = p->is_custom || responses_custom_tool(wr->c->request, p->name);
    struct str input = p->is_custom ? p->text : p->raw.n ? p->raw : STR("{}");
    char room[RESPONSES_ID_BYTES], other[RESPONSES_ID_BYTES];
    struct canon_part named = *p;

    if (custom && !p->is_custom) {
        struct str text = chat_unwrap(wr->c->arena, input);
        input = text.p ? text : input;
    }
    if (!named.id.n)
        named.id = responses_item_id(wr->c, "call", wr->items, other);
    responses_put_call(wr->c, &wr->w, custom, next_id(wr, custom ? "ctc" : "fc", room), &named,
        input, p->next ? "completed" : wr->last);
}

static int put_part(
    struct writer *wr, const struct canon_part *p, const struct canon_part **ret_next)
{
    char room[RESPONSES_ID_BYTES];

    *ret_next = p->next;
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        return put_message(wr, p, ret_next);
    case PART_THINKING:
    case PART_REDACTED_THINKING:
        put_thinking(wr, p);
        return 0;
    case PART_TOOL_CALL:
        put_call(wr, p);
        return 0;
    case PART_IMAGE:
        if (p->media.source == MEDIA_BASE64) {
            responses_put_image(&wr->w, next_id(wr, "ig", room), p->media.mime, p->media.data);
            return 0;
        }
        return canon_drop(wr->c, STR("image"), "a picture has to be here as a whole");
    default:
        return canon_drop(wr->c, STR("output"), "there is no item for this kind of content");
    }
}

/* Of all that stands from p to end the last signature that belongs to a text or a call. */
static void put_signature(
    struct writer *wr, const struct canon_part *p, const struct canon_part *end)
{
    const struct canon_part *signed_ = NULL;
    char room[RESPONSES_ID_BYTES];

    for (; p != end; p = p->next)
        if (p->kind < PART_TOOL_RESULT && p->signature.n)
            signed_ = p;
    if (signed_)
        responses_put_reasoning(&wr->w, next_id(wr, "rs", room), STR_NONE,
            responses_seal_signature(wr->c, signed_->kind, signed_->maker, signed_->signature));
}

static int put_output(struct writer *wr)
{
    int r = 0;

    for (const struct canon_part *p = wr->choice->parts; p && r == 0;) {
        const struct canon_part *next;
        r = put_part(wr, p, &next);
        put_signature(wr, p, next);
        p = next;
    }
    return r;
}

int responses_write_reply(struct canon_call *c, const struct canon_reply *r, struct buf *out)
{
    static const struct canon_choice nothing;
    const struct canon_choice *choice = r->choices ? r->choices : &nothing;
    enum responses_status status = responses_status_of(choice->finish);
    _cleanup_(buf_free) struct buf items;
    struct writer wr = {.c = c,
        .w = {.out = &items},
        .choice = choice,
        .last = status == RESPONSE_COMPLETED ? "completed" : "incomplete"};
    struct jw w = {.out = out};

    buf_init(&items, LIMIT_RESPONSE_BYTES);
    int e = put_output(&wr);
    if (e == 0 && items.err)
        e = canon_no_room(c);
    if (e < 0)
        return e;
    const struct responses_object o = {.status = status,
        .finish = choice->finish,
        .created = r->created ? r->created : c->now,
        .output = buf_str(&items),
        .usage = &r->usage,
        .service_tier = r->service_tier};
    return responses_put_object(c, &w, &o);
}
