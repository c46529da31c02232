/* Rerank at providers whose bodies are not Jina's, which clients ask with. */
#include "gateway/translated_int.h"

#include "translate/rerank.h"

#include <errno.h>

static bool is_rerank(const struct exchange *x)
{
    return x->match.endpoint->kind == KIND_RERANK;
}

static int read_request(struct exchange *x)
{
    struct translated *t = x->translated;

    if (!(t->rerank = arena_new(&t->arena, struct rerank_request)))
        return -ENOMEM;
    return rerank_read_request(&t->as_read, x->body, t->rerank);
}

static int write_request(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;

    return rerank_write_request(&t->call, t->rerank, rerank_form_of(t->call.provider), out);
}

/* Bedrock's models say nothing of what they are billed for. */
static void note_usage(struct exchange *x, const struct rerank_reply *reply)
{
    translated_usage(x, &reply->usage);
    if (x->meter.usage.source != USAGE_UNKNOWN)
        return;
    x->meter.usage.queries = rerank_searches(x->translated->rerank);
    x->meter.usage.source = USAGE_COUNTED;
}

static int write_reply(struct exchange *x, struct str body, struct buf *out)
{
    struct translated *t = x->translated;
    struct rerank_reply reply;

    translated_make_room(t, body.n);
    int r = rerank_read_reply(&t->call, t->rerank, body, &reply);

    if (r < 0)
        return r;
    note_usage(x, &reply);
    return rerank_write_reply(&t->call, t->rerank, &reply, out);
}

const struct translated_other translated_rerank = {
    .is = is_rerank,
    .read = read_request,
    .write = write_request,
    .reply = write_reply,
};
