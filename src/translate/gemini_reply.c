/*
 * Whole replies. A provider's candidate becomes a choice; a prompt that was blocked, for which
 * Google answers 200 without candidates, becomes a choice that was filtered.
 */
#include "translate/gemini_int.h"
#include "translate/native_int.h"

#include "base/macros.h"

#include <errno.h>

#define REDACTED STR("redacted_thinking:")

/* --- from the provider --- */

static bool read_call(
    struct canon_call *c, struct arena *a, yyjson_val *v, unsigned n, struct canon_part *p)
{
    p->kind = PART_TOOL_CALL;
    p->name = jr_get_str(v, "name");
    p->id = jr_get_str(v, "id");
    if (!p->name.n)
        return false;
    if (!p->id.n)
        p->id = native_call_id(c, a, n);
    struct str args = jr_raw(a, yyjson_obj_get(v, "args"));
    native_call(c, a, p, args.n && args.p[0] == '{' ? args : STR("{}"));
    return true;
}

static bool read_data(yyjson_val *v, struct canon_part *p)
{
    struct str mime = jr_get_str(v, "mimeType");
    p->kind = str_istarts(mime, STR("image/"))   ? PART_IMAGE
              : str_istarts(mime, STR("audio/")) ? PART_AUDIO
              : str_istarts(mime, STR("video/")) ? PART_VIDEO
                                                 : PART_DOCUMENT;
    p->media.source = MEDIA_BASE64;
    p->media.mime = mime;
    p->media.data = jr_get_str(v, "data");
    return p->media.data.n > 0;
}

bool gm_reply_part(
    struct canon_call *c, struct arena *a, yyjson_val *v, unsigned n, struct canon_part *ret)
{
    yyjson_val *call = yyjson_obj_get(v, "functionCall"), *data = yyjson_obj_get(v, "inlineData");
    yyjson_val *text = yyjson_obj_get(v, "text");
    *ret = (struct canon_part){.signature = jr_get_str(v, "thoughtSignature")};
    if (ret->signature.n)
        ret->maker = MAKER_GEMINI;
    if (yyjson_is_obj(call))
        return read_call(c, a, call, n, ret);
    if (yyjson_is_obj(data))
        return read_data(data, ret);
    ret->kind = jr_get_bool(v, "thought", false) ? PART_THINKING : PART_TEXT;
    ret->text = jr_str(text);
    return ret->text.n || ret->signature.n;
}

struct reader {
    struct canon_call *c;
    struct canon_choice **tail;
    unsigned calls; /* read so far, of all candidates */
};

static struct canon_choice *add_choice(struct reader *r, unsigned index)
{
    struct canon_choice *choice = arena_new(r->c->arena, struct canon_choice);
    if (!choice) {
        canon_no_room(r->c);
        return NULL;
    }
    choice->index = index;
    *r->tail = choice;
    r->tail = &choice->next;
    return choice;
}

static int read_parts(
    struct reader *r, yyjson_val *list, struct canon_choice *choice, struct canon_part **by_index)
{
    struct canon_part **tail = &choice->parts;
    yyjson_val *item;
    size_t i, n;
    yyjson_arr_foreach(list, i, n, item)
    {
        struct canon_part part, *p;
        by_index[i] = NULL;
        if (!gm_reply_part(r->c, r->c->arena, item, r->calls, &part))
            continue;
        p = canon_add_part(r->c, &tail, part.kind);
        if (!p)
            return -ENOMEM;
        *p = part;
        by_index[i] = p;
        r->calls += p->kind == PART_TOOL_CALL;
    }
    return 0;
}

static bool has_call(const struct canon_part *p)
{
    while (p && p->kind != PART_TOOL_CALL)
        p = p->next;
    return p != NULL;
}

static int read_candidate(struct reader *r, yyjson_val *v, unsigned position)
{
    int64_t index = position;
    yyjson_val *list = yyjson_obj_get(yyjson_obj_get(v, "content"), "parts");
    size_t n = yyjson_arr_size(list);
    struct canon_part **by_index = arena_alloc(r->c->arena, n * sizeof(*by_index) + 1);
    if (!by_index)
        return canon_no_room(r->c);
    jr_get_int(v, "index", &index);
    struct canon_choice *choice = add_choice(r, (unsigned)MAX(index, 0));
    if (!choice || read_parts(r, list, choice, by_index) < 0)
        return -ENOMEM;
    struct str reason = jr_get_str(v, "finishReason");
    choice->finish = reason.n ? gm_finish_of(reason) : FINISH_STOP;
    if (choice->finish == FINISH_STOP && has_call(choice->parts))
        choice->finish = FINISH_TOOL_CALLS;
    choice->native_finish = reason;
    choice->logprobs = gm_read_logprobs(r->c->arena, v);
    gm_read_citations(r->c, v, by_index, n);
    return 0;
}

struct str gm_block_reason(yyjson_val *root)
{
    return jr_get_str(yyjson_obj_get(root, "promptFeedback"), "blockReason");
}

static int read_candidates(struct reader *r, yyjson_val *root)
{
    yyjson_val *list = yyjson_obj_get(root, "candidates"), *item;
    struct str blocked = gm_block_reason(root);
    size_t i, n;
    yyjson_arr_foreach(list, i, n, item)
    {
        int e = read_candidate(r, item, (unsigned)i);
        if (e < 0)
            return e;
    }
    if (yyjson_arr_size(list))
        return 0;
    if (!blocked.n)
        return canon_bad_reply(r->c, "it has no candidates");
    struct canon_choice *choice = add_choice(r, 0);
    if (!choice)
        return -ENOMEM;
    choice->finish = FINISH_FILTER;
    choice->native_finish = blocked;
    return 0;
}

int gm_read_reply(struct canon_call *c, struct str body, struct canon_reply *ret)
{
    const char *why;
    *ret = (struct canon_reply){0};
    yyjson_val *root = jr_parse(c->arena, body, &why);
    if (!yyjson_is_obj(root))
        return canon_bad_reply(c, root ? "it is no object" : why);
    struct reader r = {.c = c, .tail = &ret->choices};
    ret->id = jr_get_str(root, "responseId");
    ret->created = c->now;
    gm_read_usage(yyjson_obj_get(root, "usageMetadata"), &ret->usage);
    return read_candidates(&r, root);
}

/* --- to the client --- */

struct str gm_signature_out(struct canon_call *c, const struct canon_part *p)
{
    if (p->kind == PART_REDACTED_THINKING) {
        struct str data = arena_printf(c->arena, "redacted_thinking:" STR_FMT, STR_ARG(p->text));
        return canon_sign_out(c, MAKER_GEMINI, p->maker, data);
    }
    return p->signature.n ? canon_sign_out(c, MAKER_GEMINI, p->maker, p->signature) : STR_NONE;
}

static void put_text(struct jw *w, struct str text, bool thought)
{
    jw_member_str(w, "text", text.p ? text : STR(""));
    if (thought)
        jw_member_bool(w, "thought", true);
}

static void put_call(struct canon_call *c, const struct canon_part *p, struct jw *w)
{
    jw_key(w, "functionCall");
    jw_open(w, '{');
    if (p->id.n)
        jw_member_str(w, "id", p->id);
    jw_member_str(w, "name", p->name);
    jw_member_raw(w, "args", native_arguments(c, p));
    jw_close(w, '}');
}

static bool put_media(const struct canon_media *m, struct jw *w)
{
    bool data = m->source == MEDIA_BASE64;
    jw_key(w, data ? "inlineData" : "fileData");
    jw_open(w, '{');
    if (m->mime.n)
        jw_member_str(w, "mimeType", m->mime);
    jw_member_str(w, data ? "data" : "fileUri", m->data);
    jw_close(w, '}');
    return true;
}

static bool is_writable(const struct canon_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
    case PART_THINKING:
        return p->text.n || p->signature.n;
    case PART_TOOL_RESULT:
        return false;
    case PART_TOOL_CALL:
    case PART_REDACTED_THINKING:
        return true;
    default:
        return p->media.data.n > 0;
    }
}

bool gm_write_part(struct canon_call *c, const struct canon_part *p, struct jw *w)
{
    if (!is_writable(p))
        return false;
    struct str signature = gm_signature_out(c, p);
    jw_open(w, '{');
    if (p->kind == PART_TOOL_CALL)
        put_call(c, p, w);
    else if (p->kind == PART_REDACTED_THINKING)
        put_text(w, STR(""), true);
    else if (p->kind == PART_TEXT || p->kind == PART_REFUSAL || p->kind == PART_THINKING)
        put_text(w, p->text, p->kind == PART_THINKING);
    else if (p->media.source == MEDIA_TEXT)
        put_text(w, p->media.data, false);
    else
        put_media(&p->media, w);
    if (signature.n)
        jw_member_str(w, "thoughtSignature", signature);
    jw_close(w, '}');
    return true;
}

static void write_choice(struct canon_call *c, const struct canon_choice *choice, struct jw *w)
{
    jw_open(w, '{');
    jw_key(w, "content");
    jw_open(w, '{');
    jw_key(w, "parts");
    jw_open(w, '[');
    for (const struct canon_part *p = choice->parts; p; p = p->next)
        gm_write_part(c, p, w);
    jw_close(w, ']');
    jw_member_str(w, "role", STR("model"));
    jw_close(w, '}');
    jw_member_str(w, "finishReason", gm_finish_name(choice->finish, choice->native_finish));
    jw_member_int(w, "index", choice->index);
    gm_write_grounding(c, choice->parts, w);
    gm_write_logprobs(c->arena, choice->logprobs, w);
    jw_close(w, '}');
}

int gm_write_reply(struct canon_call *c, const struct canon_reply *r, struct buf *out)
{
    struct jw w = {.out = out};
    jw_open(&w, '{');
    jw_key(&w, "candidates");
    jw_open(&w, '[');
    for (const struct canon_choice *choice = r->choices; choice; choice = choice->next)
        write_choice(c, choice, &w);
    jw_close(&w, ']');
    if (r->usage.source != USAGE_UNKNOWN) {
        jw_key(&w, "usageMetadata");
        gm_write_usage(&r->usage, &w);
    }
    jw_member_str(&w, "modelVersion", c->model_shown);
    jw_member_str(&w, "responseId", r->id.n ? r->id : c->request_id);
    jw_close(&w, '}');
    return out->err;
}
