/*
 * Embeddings between OpenAI's and Gemini's forms and those of providers. What does not fit into one
 * call of the provider's goes in several, one after the other, within the attempt; one that fails
 * is the attempt's failure, and what the others used is its usage.
 */
#include "gateway/followup.h"
#include "gateway/translated_int.h"

#include "providers/face.h"
#include "translate/embeddings.h"

#include <errno.h>

#define CALLS_MAX    512 /* of one request */
#define ARENA_A_BYTE 12  /* of a reply: a number takes a node and its digits */

static bool is_embedding(const struct exchange *x)
{
    enum endpoint_kind k = x->match.endpoint->kind;

    return k == KIND_EMBEDDINGS || k == KIND_GEMINI_EMBED;
}

static enum embed_wire client_wire(const struct exchange *x)
{
    if (x->dialect == DIALECT_OPENAI)
        return EMBED_OPENAI;
    return str_ends(x->match.rest, STR(":embedContent")) ? EMBED_GEMINI_ONE : EMBED_GEMINI;
}

static enum embed_wire provider_wire(const struct exchange *x)
{
    if (x->face->dialect == DIALECT_OPENAI)
        return EMBED_OPENAI;
    return embed_wire_of(x->upstream->provider->id, x->model);
}

static int read_request(struct exchange *x)
{
    struct translated *t = x->translated;

    if (!(t->embed = arena_new(&t->arena, struct embed_request)))
        return -ENOMEM;
    return embed_read_request(&t->as_read, client_wire(x), x->body, t->embed);
}

static int write_request(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;
    unsigned n, all = t->embed->inputs_n;
    int r = embed_write_request(&t->call, provider_wire(x), t->embed, 0, out, &n);

    if (r == 0 && all > n * CALLS_MAX)
        return canon_fail(&t->call, STR("input"),
            "This provider takes %u inputs in one call, and the gateway makes at most %u calls.", n,
            CALLS_MAX);
    t->embedded_n = n;
    return r;
}

bool translated_splits_embedding(const struct exchange *x)
{
    const struct json_span *in = x->spans ? &x->spans[BODY_INPUT] : NULL;

    return in && x->match.endpoint->kind == KIND_EMBEDDINGS && in->type == JSON_ARRAY &&
           in->items > embed_batch(provider_wire(x), x->upstream->provider->id, x->model);
}

/* --- replies --- */

/* All replies of one request, which are held together. */
struct replies {
    struct embed_reply sum;
    size_t bytes;
};

static int add_reply(struct exchange *x, struct replies *all, struct str body, unsigned n)
{
    struct translated *t = x->translated;

    all->bytes += body.n;
    if (all->bytes > LIMIT_RESPONSE_BYTES)
        return gw_upstream_broke(x, -EMSGSIZE);
    t->arena.max += ARENA_A_BYTE * body.n;
    return embed_read_reply(&t->call, provider_wire(x), body, n, &all->sum);
}

/* The inputs from `first` on, as many as fit into one call; *ret_n gets how many. */
static int call_one(
    struct exchange *x, struct str target, unsigned first, struct replies *all, unsigned *ret_n)
{
    _cleanup_(buf_free) struct buf body = {0};
    _cleanup_(gw_followup_end) struct followup f = {0};
    struct translated *t = x->translated;
    int r;

    buf_init(&body, LIMIT_BODY_BYTES);
    r = embed_write_request(&t->call, provider_wire(x), t->embed, first, &body, ret_n);
    if (r == 0)
        r = gw_followup(
            x, &(struct followup_ask){STR("POST"), target, buf_str(&body), gw_attempt_ends(x)}, &f);
    if (r == 0 && f.head->status >= 300)
        r = gw_followup_refused(x, &f);
    return r < 0 ? r : add_reply(x, all, f.body, *ret_n);
}

/* What the first call had no room for. */
static int call_more(struct exchange *x, struct replies *all)
{
    struct translated *t = x->translated;
    struct buf *b = gw_scratch();
    unsigned n;
    int r = provider_target_of(x->upstream, x->face, x->up_kind, false, x, b);
    struct str target = arena_dup(&t->arena, buf_str(b));

    if (r == 0 && !target.p)
        return -ENOMEM;
    for (unsigned at = t->embedded_n; r == 0 && at < t->embed->inputs_n; at += n)
        r = call_one(x, target, at, all, &n);
    return r;
}

static int write_reply(struct exchange *x, struct str body, struct buf *out)
{
    struct translated *t = x->translated;
    struct replies all = {0};
    int r = add_reply(x, &all, body, t->embedded_n);

    if (r == 0 && t->embedded_n < t->embed->inputs_n)
        r = call_more(x, &all);
    translated_usage(x, &all.sum.usage);
    if (r < 0)
        return r;
    if (all.sum.usage.source == USAGE_UNKNOWN) {
        gw_count_usage(x);
        all.sum.usage = x->meter.usage;
    }
    return embed_write_reply(&t->call, t->embed, &all.sum, out);
}

const struct translated_other translated_embeddings = {
    .is = is_embedding,
    .read = read_request,
    .write = write_request,
    .reply = write_reply,
};
