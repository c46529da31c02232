/*
 * Translated calls that are no answers: counting a prompt's tokens, and embeddings. They go the way
 * of all attempts (translated.c); only what stands in the bodies is another thing. Where no
 * provider counts, the gateway does, and says so.
 */
#include "gateway/own.h"
#include "gateway/translated_int.h"

#include "llm/tokens.h"
#include "providers/face.h"
#include "runtime/offload.h"
#include "translate/count.h"
#include "translate/embeddings.h"

#include <errno.h>

static const struct wire *client_counts(const struct exchange *x)
{
    return count_wire_for(x->dialect, x->match.endpoint->kind, x->match.rest);
}

bool translated_is_count(const struct exchange *x)
{
    return client_counts(x) != NULL;
}

bool translated_is_embedding(const struct exchange *x)
{
    enum endpoint_kind k = x->match.endpoint->kind;

    return k == KIND_EMBEDDINGS || k == KIND_GEMINI_EMBED;
}

/* --- requests --- */

static enum embed_wire client_embeds(const struct exchange *x)
{
    if (x->dialect == DIALECT_OPENAI)
        return EMBED_OPENAI;
    return str_ends(x->match.rest, STR(":embedContent")) ? EMBED_GEMINI_ONE : EMBED_GEMINI;
}

static enum embed_wire provider_embeds(const struct exchange *x)
{
    if (x->face->dialect == DIALECT_OPENAI)
        return EMBED_OPENAI;
    return embed_wire_of(x->upstream->provider->id, x->model);
}

static int write_count(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;
    int r = t->was_read ? 0 : count_read_request(&t->call, t->client, x->body, &t->request);

    t->was_read = r == 0;
    return r < 0 ? r : count_write_request(&t->call, t->provider, &t->request, out);
}

static int write_embedding(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;
    unsigned n = 0;
    int r = 0;

    if (!t->embed) {
        if (!(t->embed = arena_new(&t->arena, struct embed_request)))
            return -ENOMEM;
        r = embed_read_request(&t->call, client_embeds(x), x->body, t->embed);
    }
    if (r == 0)
        r = embed_write_request(&t->call, provider_embeds(x), t->embed, 0, out, &n);
    if (r == 0 && n < t->embed->inputs_n)
        return canon_fail(&t->call, STR("input"),
            "This provider takes at most %u inputs in one call, not %u.", n, t->embed->inputs_n);
    t->embedded_n = n;
    return r;
}

int translated_write_other(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;

    if (translated_is_embedding(x))
        return write_embedding(x, out);
    t->client = client_counts(x);
    t->provider = count_wire_for(x->face->dialect, x->up_kind, STR("input_tokens"));
    return t->client && t->provider && count_is_served(t->provider) ? write_count(x, out)
                                                                    : -ENOTSUP;
}

/* --- replies --- */

int translated_other_reply(struct exchange *x, struct str body, struct buf *out)
{
    struct translated *t = x->translated;
    struct embed_reply reply = {0};
    uint64_t tokens;
    int r;

    if (translated_is_embedding(x)) {
        r = embed_read_reply(&t->call, provider_embeds(x), body, t->embedded_n, &reply);
        if (r < 0)
            return r;
        translated_usage(x, &reply.usage);
        return embed_write_reply(&t->call, t->embed, &reply, out);
    }
    r = count_read_reply(&t->call, t->provider, body, &tokens);
    return r < 0 ? r : count_write_reply(&t->call, t->client, tokens, out);
}

/* --- counting here --- */

bool gw_counts_here(const struct exchange *x)
{
    const uint64_t counting =
        KIND_BIT(KIND_COUNT_TOKENS) | KIND_BIT(KIND_GEMINI_COUNT) | KIND_BIT(KIND_RESPONSES_AUX);

    return counting & KIND_BIT(x->match.endpoint->kind) && kind_generates(x->up_kind) &&
           translated_is_count(x);
}

struct count_job {
    const struct exchange *x;
    uint64_t tokens;
};

static int count_work(void *data)
{
    struct count_job *j = data;
    enum dialect d = j->x->dialect;
    enum endpoint_kind k = d == DIALECT_ANTHROPIC ? KIND_MESSAGES
                           : d == DIALECT_GEMINI  ? KIND_GENERATE
                                                  : KIND_RESPONSES;
    j->tokens = tokens_of_request(j->x->model, k, j->x->body);
    return 0;
}

int gw_count_here(struct exchange *x)
{
    struct count_job j = {.x = x};
    _cleanup_(buf_free) struct buf out = {0};
    struct error error = {0};
    struct canon_call call;

    co_mask_cancel();
    if (offload_run(count_work, &j, NULL, NEVER_NS) < 0)
        j.tokens = x->body.n / 4;
    co_unmask_cancel();
    buf_init(&out, 4 * KIB);
    canon_call_init(&call, &x->arena, &error);
    int r = count_write_reply(&call, client_counts(x), MAX(j.tokens, 1), &out);
    if (r < 0)
        return exchange_fail(x, 500, STR("internal_error"), STR("Out of memory."));
    struct buf *fields = gw_scratch();
    http_put(fields, STR("content-type"), STR("application/json"));
    http_put(fields, STR("x-smartflow-tokens-estimated"), STR("true"));
    gw_own_fields(x, fields);
    x->outcome = OUTCOME_OK;
    return http_reply(x->rq, 200, buf_str(fields), buf_str(&out)) < 0 ? gw_client_gone(x) : 0;
}
