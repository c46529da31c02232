/*
 * Edits to a JSON body whose dialect is the provider's: it goes out as it came but for named spans.
 * The model gets the name that the upstream knows; a stream is asked for usage where the client did
 * not ask, always metered and shown only when asked; a limit that the model refuses under its old
 * name gets the new one; and what the provider knows under another name, or not at all, is renamed
 * or taken out (translate/chat.h).
 */
#include "gateway/translated_int.h"

#include <errno.h>

static int put_model(struct exchange *x, struct splice *to, bool insert)
{
    struct json_span *s = &x->spans[BODY_MODEL];
    _cleanup_(buf_free) struct buf lit = {0};
    size_t at = json_inside(x->body), first = at;
    struct str key, value;

    buf_init(&lit, 4096);
    buf_addstr(&lit, insert ? STR("\"model\":") : STR(""));
    buf_addjson(&lit, x->model);
    if (insert && json_next(x->body, &first, &key, &value))
        buf_addc(&lit, ',');
    struct str with = arena_dup(&x->arena, buf_str(&lit));
    if (lit.err || !with.p)
        return -ENOMEM;
    return insert ? splice_replace(to, at, at, with) : splice_replace(to, s->value, s->end, with);
}

/* Below an Azure deployment the path's name is the one that was checked, so it must be the body's,
 * too: another upstream than Azure would read that. */
static int edit_model(struct exchange *x, struct splice *to)
{
    struct json_span *s = &x->spans[BODY_MODEL];

    if (!x->model.n || (x->match.endpoint->flags & EP_MODEL_PATH))
        return 0;
    if (x->match.azure_deployment)
        return put_model(x, to, s->key == s->end);
    if (s->type != JSON_STRING || str_eq(x->model, x->model_asked))
        return 0;
    return put_model(x, to, false);
}

static int edit_usage(struct exchange *x, const struct chat_fit *fit, struct splice *to)
{
    struct json_span *o = &x->spans[BODY_STREAM_OPTIONS], *u = &x->spans[BODY_INCLUDE_USAGE];
    int r;

    if (!x->stream || x->usage_asked || fit->usage_unasked ||
        !(x->match.endpoint->flags & EP_USAGE_OPT))
        return 0;
    if (u->type == JSON_FALSE || u->key != u->end) /* false or null */
        r = splice_replace(to, u->value, u->end, STR("true"));
    else if (o->type == JSON_OBJECT)
        r = splice_replace(to, o->value + 1, o->value + 1,
            o->items ? STR("\"include_usage\":true,") : STR("\"include_usage\":true"));
    else if (o->key != o->end) /* "stream_options":null */
        r = splice_replace(to, o->value, o->end, STR("{\"include_usage\":true}"));
    else
        r = splice_replace(to, x->spans[BODY_STREAM].end, x->spans[BODY_STREAM].end,
            STR(",\"stream_options\":{\"include_usage\":true}"));
    if (r == 0)
        x->usage_injected = true;
    return r;
}

/* Only where the facts say that the old name is refused; a call with both is left as it is. */
static int edit_max_tokens(struct exchange *x, struct splice *to)
{
    const struct json_span *s = &x->spans[BODY_MAX_TOKENS];

    if (x->match.endpoint->kind != KIND_CHAT || s->type != JSON_NUMBER || !x->facts ||
        !(x->facts->flags & MODEL_MAX_COMPLETION_TOKENS) ||
        x->spans[BODY_MAX_COMPLETION_TOKENS].type != JSON_NONE)
        return 0;
    return splice_replace(to, s->key, s->value, STR("\"max_completion_tokens\":"));
}

static int edit_for_provider(const struct chat_fit *fit, struct splice *to)
{
    int r = 0;

    for (unsigned i = 0; i < fit->edits_n && r == 0; i++)
        r = splice_replace(to, fit->edits[i].from, fit->edits[i].to, fit->edits[i].with);
    return r;
}

static bool loses(const struct chat_fit *fit)
{
    for (unsigned i = 0; i < fit->edits_n; i++)
        if (fit->edits[i].lost.n)
            return true;
    return false;
}

int gw_edit_body(struct exchange *x, const struct chat_fit *fit, struct gw_body *ret)
{
    struct str body = x->body;
    struct splice edits;

    if (x->match.endpoint->kind == KIND_MESSAGE_BATCHES) { /* has no edits of the other kinds */
        buf_init(&ret->own, body.n);
        body = gw_without_marks(body, &ret->own);
    }
    splice_init(&edits, body);
    if (loses(fit) && translated_declare(x, fit) < 0)
        return -EREMOTEIO;
    if (edit_for_provider(fit, &edits) < 0 || edit_model(x, &edits) < 0 ||
        edit_usage(x, fit, &edits) < 0 || edit_max_tokens(x, &edits) < 0)
        return exchange_fail(x, 500, STR("internal_error"), STR("Editing the body failed."));
    ret->n = splice_iov(&edits, ret->iov);
    ret->length = splice_length(&edits);
    return 0;
}
