/*
 * Counting a prompt's tokens: by the provider, in its dialect. Where no provider counts, the
 * gateway does, and says so.
 */
#include "gateway/own.h"
#include "gateway/translated_int.h"

#include "llm/tokens.h"
#include "providers/face.h"
#include "runtime/offload.h"
#include "translate/count.h"

#include <errno.h>

static const struct wire *client_counts(const struct exchange *x)
{
    return count_wire_for(x->dialect, x->match.endpoint->kind, x->match.rest);
}

static bool is_count(const struct exchange *x)
{
    return client_counts(x) != NULL;
}

static int read_request(struct exchange *x)
{
    struct translated *t = x->translated;

    t->client = client_counts(x);
    return count_read_request(&t->as_read, t->client, x->body, &t->request);
}

static int write_request(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;

    t->provider = count_wire_for(x->face->dialect, x->up_kind, STR("input_tokens"));
    return t->provider && count_is_served(t->provider)
               ? count_write_request(&t->call, t->provider, &t->request, out)
               : -ENOTSUP;
}

static int write_reply(struct exchange *x, struct str body, struct buf *out)
{
    struct translated *t = x->translated;
    uint64_t tokens;
    int r = count_read_reply(&t->call, t->provider, body, &tokens);

    return r < 0 ? r : count_write_reply(&t->call, t->client, tokens, out);
}

const struct translated_other translated_counts = {
    .is = is_count,
    .read = read_request,
    .write = write_request,
    .reply = write_reply,
};

/* --- counting here --- */

bool gw_counts_here(const struct exchange *x)
{
    const uint64_t counting =
        KIND_BIT(KIND_COUNT_TOKENS) | KIND_BIT(KIND_GEMINI_COUNT) | KIND_BIT(KIND_RESPONSES_AUX);

    return counting & KIND_BIT(x->match.endpoint->kind) && kind_generates(x->up_kind) &&
           is_count(x);
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
