/* See vault/probe.h. The body of the reply is not read. */
#include "vault/probe.h"

#include "base/clock.h"
#include "base/macros.h"
#include "runtime/loop.h"

#include <stdio.h>

#define PROBE_TIMEOUT (10 * NS_PER_S)

const char *probe_result_name(enum probe_result r)
{
    static const char *const names[] = {[PROBE_OK] = "ok",
        [PROBE_REFUSED] = "refused",
        [PROBE_RATE_LIMITED] = "rate_limited",
        [PROBE_UNREACHABLE] = "unreachable",
        [PROBE_UNEXPECTED] = "unexpected",
        [PROBE_UNSUPPORTED] = "unsupported"};

    return names[r];
}

/* Below the base path, where it is not the list of models of the first face. */
static const struct {
    struct str provider, path;
} paths[] = {
    {STR_INIT("gemini"), STR_INIT("/v1beta/models?pageSize=1")},
    {STR_INIT("anthropic"), STR_INIT("/v1/models?limit=1")},
    {STR_INIT("cohere"), STR_INIT("/v1/models?page_size=1")},
    {STR_INIT("deepgram"), STR_INIT("/v1/projects")},
    {STR_INIT("replicate"), STR_INIT("/v1/account")},
    {STR_INIT("openrouter"), STR_INIT("/v1/key")}, /* its list of models needs no key */
    {STR_INIT("huggingface"), STR_INIT("/v1/models")},
    {STR_INIT("perplexity"), STR_INIT("")},
    {STR_INIT("vertex"), STR_INIT("")},
    {STR_INIT("bedrock"), STR_INIT("")},
};

static bool put_target(const struct upstream *u, struct buf *out)
{
    const struct provider *p = u->provider;

    buf_addstr(out, u->base_path);
    if (str_eq(p->id, STR("azure"))) {
        buf_addstr(out, str_ends(u->base_path, STR("/openai")) ? STR("") : STR("/openai"));
        buf_addstr(out, STR("/models?api-version="));
        buf_addstr(out, u->options[0].n ? u->options[0] : STR("2024-10-21"));
        return true;
    }
    for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
        if (!str_eq(paths[i].provider, p->id))
            continue;
        buf_addstr(out, paths[i].path);
        return paths[i].path.n > 0;
    }
    buf_addstr(out, p->faces[0].prefix);
    buf_addstr(out, STR("/models"));
    return true;
}

static enum probe_result judge(const struct upstream *u, int status)
{
    if (status >= 200 && status < 300)
        return PROBE_OK;
    if (status == 401 || status == 403)
        return PROBE_REFUSED;
    if (status == 400 && str_eq(u->provider->id, STR("gemini")))
        return PROBE_REFUSED; /* its word for a key that is not valid */
    return status == 429 ? PROBE_RATE_LIMITED : PROBE_UNEXPECTED;
}

static int call(const struct upstream *u, struct str target, struct str fields, struct probe *ret)
{
    struct http_client_request rq = {.method = STR("GET"), .target = target, .fields = fields};
    const struct http_timeouts t = {.connect = PROBE_TIMEOUT,
        .first_byte = PROBE_TIMEOUT,
        .between = PROBE_TIMEOUT,
        .total = PROBE_TIMEOUT};
    const struct http_head *head;
    struct http_call *c = NULL;
    struct error e = {0};
    char errbuf[512];
    int r = http_call_start(&u->origin, &rq, &t, &c, &e, errbuf);

    if (r == 0 && (r = http_call_head(c, &head, &e)) == 0)
        ret->status = head->status;
    if (r < 0)
        snprintf(ret->cause, sizeof ret->cause, STR_FMT, (int)MIN(e.message.n, 150), e.message.p);
    http_call_end(c);
    return r;
}

static void free_wiped(struct buf *b)
{
    if (b->p)
        mem_wipe(b->p, b->cap);
    buf_free(b);
}

void provider_probe(const struct upstream *u, const struct secret *key, struct probe *ret)
{
    _cleanup_(free_wiped) struct buf fields = {0};
    _cleanup_(buf_free) struct buf target = {0};
    int64_t began = clock_now();
    struct str value = secret_reveal(key);

    *ret = (struct probe){.result = PROBE_UNSUPPORTED};
    buf_init(&fields, 32 * KIB);
    buf_init(&target, 4 * KIB);
    (void)buf_reserve(&fields, value.n + 512); /* so that no copy is left behind */
    if (!u->origin.target.host.n || !put_target(u, &target))
        return;
    must(!u->https || u->origin.target.tls); /* else the key would go out in the clear */
    http_put(&fields, STR("accept"), STR("application/json"));
    http_put(&fields, STR("user-agent"), STR("smartflow"));
    if (u->provider->default_field_name.n)
        http_put(&fields, u->provider->default_field_name, u->provider->default_field_value);
    if (provider_auth_field(u->provider->faces[0].auth, value, &fields) < 0)
        return;
    if (fields.err || target.err)
        return;
    ret->result = call(u, buf_str(&target), buf_str(&fields), ret) < 0 ? PROBE_UNREACHABLE
                                                                       : judge(u, ret->status);
    ret->took_ns = clock_now() - began;
}
