/* See bedrock.h. Nothing here suspends or keeps anything. */
#include "providers/bedrock.h"

#include "base/clock.h"
#include "base/macros.h"
#include "crypto/digest.h"
#include "providers/quirks_int.h"
#include "providers/sigv4.h"

#include <errno.h>

int bedrock_target(
    struct buf *out, struct str base_path, struct str model, enum bedrock_operation op)
{
    static const struct str tails[] = {[BEDROCK_CONVERSE] = STR_INIT("/converse"),
        [BEDROCK_CONVERSE_STREAM] = STR_INIT("/converse-stream"),
        [BEDROCK_INVOKE] = STR_INIT("/invoke"),
        [BEDROCK_INVOKE_STREAM] = STR_INIT("/invoke-with-response-stream")};
    if (!model.n || str_eq(model, STR(".")) || str_eq(model, STR("..")))
        return -EINVAL; /* dots would change the path that is signed */
    buf_addstr(out, base_path);
    buf_addstr(out, STR("/model/"));
    uri_encode(out, model, false);
    return buf_addstr(out, tails[op]);
}

int bedrock_host(struct buf *out, struct str region)
{
    for (size_t i = 0; i < region.n; i++) {
        char c = region.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return -EINVAL;
    }
    if (!region.n || region.n > 40)
        return -EINVAL;
    buf_addstr(out, STR("bedrock-runtime."));
    buf_addstr(out, region);
    bool china = str_starts(region, STR("cn-"));
    return buf_addstr(out, china ? STR(".amazonaws.com.cn") : STR(".amazonaws.com"));
}

/* ---- the provider ---- */

enum bedrock_option { OPTION_SECRET, OPTION_REGION, OPTION_TOKEN, OPTION_DEFAULT_REGION };

const struct str bedrock_options[] = {[OPTION_SECRET] = STR_INIT("AWS_SECRET_ACCESS_KEY"),
    [OPTION_REGION] = STR_INIT("AWS_REGION"),
    [OPTION_TOKEN] = STR_INIT("AWS_SESSION_TOKEN"),
    [OPTION_DEFAULT_REGION] = STR_INIT("AWS_DEFAULT_REGION"),
    STR_INIT("")};

/* As configured; else as the host says that is called; else where Bedrock was first. */
static struct str region_of(const struct upstream *u)
{
    struct str host = u->origin.target.host;

    if (u->options[OPTION_REGION].n)
        return u->options[OPTION_REGION];
    if (u->options[OPTION_DEFAULT_REGION].n)
        return u->options[OPTION_DEFAULT_REGION];
    if (str_istarts(host, STR("bedrock-runtime")) && str_find(host, STR(".amazonaws.com")) > 0) {
        str_split(&host, '.');
        return str_split(&host, '.');
    }
    return STR("us-east-1");
}

int bedrock_base(const struct upstream *u, struct buf *out)
{
    buf_addstr(out, STR("https://"));
    return bedrock_host(out, region_of(u));
}

/* Rerank models are invoked with their own bodies. */
static enum bedrock_operation operation_of(const struct provider_asked *a)
{
    switch (a->match.endpoint->kind) {
    case KIND_CONVERSE_STREAM:
        return BEDROCK_CONVERSE_STREAM;
    case KIND_INVOKE:
    case KIND_RERANK:
        return BEDROCK_INVOKE;
    case KIND_INVOKE_STREAM:
        return BEDROCK_INVOKE_STREAM;
    default:
        return BEDROCK_CONVERSE;
    }
}

int bedrock_call_target(const struct upstream *u, const struct provider_face *face,
    struct exchange *x, const struct provider_asked *a, struct buf *out)
{
    (void)face;
    if (bedrock_target(out, u->base_path, a->model, operation_of(a)) == -EINVAL)
        return exchange_fail(
            x, 400, STR("invalid_path"), STR("The name of the model cannot stand in a path."));
    return 0;
}

/* An id is capitals and digits; API keys of Bedrock have other characters, too. */
static bool is_access_key_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= '0' && s.p[i] <= '9')))
            return false;
    return s.n >= 16 && s.n <= 128;
}

static void hash_body(const struct iovec *body, unsigned n, uint8_t out[static SHA256_BYTES])
{
    _cleanup_(sha256_wipe) struct sha256 d;

    sha256_begin(&d);
    for (unsigned i = 0; i < n; i++)
        sha256_add(&d, str_at(body[i].iov_base, body[i].iov_len));
    sha256_peek(&d, out);
}

static int sign_v4(const struct upstream *u, struct exchange *x, const struct sigv4_credentials *c,
    struct sigv4_request *r, struct str target, struct buf *fields)
{
    r->query = target;
    r->path = str_split(&r->query, '?');
    r->host = u->origin.host_header;
    r->region = region_of(u);
    r->service = BEDROCK_SERVICE;
    r->wall_ns = clock_wall();
    if (sigv4_sign(c, r, fields) < 0 && !fields->err)
        return exchange_fail(x, 502, STR("provider_auth_failed"),
            STR("The call cannot be signed with the provider's credential."));
    return 0;
}

/* A credential is an API key of Bedrock's, sent as a bearer token; or an access key id, whose
 * secret is an option; or id:secret or id:secret:session token in one. */
int bedrock_sign(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    struct str method, struct str target, const struct iovec *body, unsigned body_n,
    struct buf *fields)
{
    _cleanup_(secret_free) struct secret secret = {0};
    struct str rest = credential_of(x), whole = rest, id = str_split(&rest, ':');
    struct sigv4_credentials c = {.access_key_id = id, .secret_key = &secret};
    uint8_t digest[SHA256_BYTES];
    struct sigv4_request r = {.method = method, .body_sha256 = digest};

    (void)face;
    if (!whole.n)
        return 0;
    if (!is_access_key_id(id))
        return put_key(fields, STR("authorization"), STR("Bearer "), whole) == -EINVAL
                   ? exchange_fail(x, 502, STR("provider_auth_failed"),
                         STR("The provider's credential holds bytes that cannot stand in a header "
                             "field."))
                   : 0;
    struct str own = rest.p ? str_split(&rest, ':') : u->options[OPTION_SECRET];
    c.session_token = rest.p                                 ? rest
                      : own.p == u->options[OPTION_SECRET].p ? u->options[OPTION_TOKEN]
                                                             : STR_NONE;
    if (!own.n)
        return exchange_fail(x, 503, STR("provider_not_configured"),
            STR("Bedrock needs the access key's secret: set AWS_SECRET_ACCESS_KEY."));
    if (secret_set(&secret, own) < 0)
        return exchange_fail(x, 500, STR("internal_error"), STR("Out of memory."));
    hash_body(body, body_n, digest);
    return sign_v4(u, x, &c, &r, target, fields);
}
