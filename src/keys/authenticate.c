/*
 * The stage that says who calls. A credential can stand in five places; where several are sent, the
 * first in the contract's order that begins with sk-sf- counts, and two different ones are refused,
 * so that no proxy in front can be made to see another caller than we do.
 */
#include "base/clock.h"
#include "keys/catalog_int.h"
#include "keys/vkey.h"
#include "llm/exchange.h"
#include "runtime/loop.h"

#include <errno.h>
#include <stdio.h>

static struct str bearer(struct str v)
{
    if (!str_istarts(v, STR("bearer ")))
        return STR_NONE;
    return str_trim(str_from(v, 7));
}

/* Browsers cannot set headers on a WebSocket; the SDK puts the key into a subprotocol. */
static struct str subprotocol_key(struct str list)
{
    const struct str prefix = STR("openai-insecure-api-key.");

    while (list.p && list.n) {
        struct str item = str_trim(str_split(&list, ','));
        if (str_starts(item, prefix))
            return str_from(item, prefix.n);
    }
    return STR_NONE;
}

static struct str query_key(struct exchange *x)
{
    struct str raw = http_query_get(x->rq->head.query, STR("key"));
    char *out;
    ptrdiff_t n;

    if (!raw.n || str_chr(raw, '%') < 0)
        return raw;
    out = arena_alloc(&x->arena, raw.n);
    n = out ? http_percent_decode(raw, out) : -1;
    for (ptrdiff_t i = 0; i < n; i++)
        if ((unsigned char)out[i] <= ' ' || out[i] == 127)
            return STR_NONE; /* it would be passed on in a header field */
    return n > 0 ? str_at(out, (size_t)n) : STR_NONE;
}

/* What has been found, place by place. */
struct found {
    struct str virtual, other;
    bool conflict;
};

static void consider(struct found *f, struct str credential)
{
    if (!credential.n)
        return;
    if (!str_starts(credential, STR("sk-sf-")))
        f->other = f->other.n ? f->other : credential;
    else if (!f->virtual.n)
        f->virtual = credential;
    else
        f->conflict |= !str_eq(f->virtual, credential);
}

/* Every field of the name counts: what stands in front may look at another than the first. */
static void consider_fields(
    struct exchange *x, struct found *f, enum http_name id, struct str (*take)(struct str))
{
    const struct http_fields *all = &x->rq->head.fields;

    if (!http_has(all, id))
        return;
    for (unsigned i = 0; i < all->n; i++)
        if (all->at[i].id == id)
            consider(f, take ? take(all->at[i].value) : all->at[i].value);
}

static void look_everywhere(struct exchange *x, struct found *f)
{
    consider_fields(x, f, HTTP_AUTHORIZATION, bearer);
    consider_fields(x, f, HTTP_X_API_KEY, NULL);
    consider_fields(x, f, HTTP_API_KEY, NULL);
    consider_fields(x, f, HTTP_X_GOOG_API_KEY, NULL);
    consider(f, query_key(x));
    consider_fields(x, f, HTTP_SEC_WEBSOCKET_PROTOCOL, subprotocol_key);
    consider(f, x->granted);
}

static int refuse(struct exchange *x, struct str message, struct str hint)
{
    x->error.hint = hint;
    return exchange_fail(x, 401, STR("invalid_api_key"), message);
}

/* --- what the key says of itself --- */

static int not_active(struct exchange *x, const struct subject *s, const char *what)
{
    if (!s || s->is_active)
        return 0;
    x->error.hint = STR("Ask the gateway's administrator.");
    return exchange_failf(x, 403, STR("not_allowed"), "The %s of this key is not active.", what);
}

static int check_state(struct exchange *x, const struct virtual_key *k)
{
    int r;

    if (!k->subject.is_active)
        return refuse(x, STR("This virtual key has been revoked."), STR("Ask for a new one."));
    if (k->expires_at && k->expires_at <= clock_wall())
        return refuse(x, STR("This virtual key has expired."), STR("Ask for a new one."));
    if ((r = not_active(x, k->user, "user")) < 0 || (r = not_active(x, k->team, "team")) < 0)
        return r;
    return not_active(x, k->org, "organisation");
}

static int check_address(struct exchange *x, const struct virtual_key *k)
{
    if (!k->addresses || net_cidrs_has(k->addresses, &x->client))
        return 0;
    x->error.hint = STR("Its 'addresses' say from where it may.");
    return exchange_fail(
        x, 403, STR("address_not_allowed"), STR("This key may not be used from your address."));
}

/* "/v1/chat/completions" also where the client wrote it below another door or without version. */
static struct str canonical_path(const struct exchange *x, char *room, size_t room_n)
{
    struct str version = x->match.version.n ? x->match.version : STR("v1");
    int n =
        snprintf(room, room_n, "/" STR_FMT "/" STR_FMT, STR_ARG(version), STR_ARG(x->match.rest));

    return n > 0 && (size_t)n < room_n ? str_at(room, (size_t)n) : STR_NONE;
}

static bool endpoint_listed(const struct exchange *x, const struct str_list *l)
{
    struct str kind = endpoint_kind_name(x->match.endpoint->kind), path = STR_NONE;
    char room[512];

    for (unsigned i = 0; i < l->n; i++) {
        bool is_path = str_starts(l->at[i], STR("/"));
        if (is_path && !path.n)
            path = canonical_path(x, room, sizeof room);
        if (str_glob(l->at[i], is_path ? path : kind))
            return true;
    }
    return l->n == 0;
}

static int check_endpoint(struct exchange *x, const struct virtual_key *k)
{
    if (!k->endpoints.n || !x->match.endpoint || endpoint_listed(x, &k->endpoints))
        return 0;
    return exchange_failf(x, 403, STR("not_allowed"), "This key may not call " STR_FMT ".",
        STR_ARG(x->match.endpoint->example));
}

/* --- finding it --- */

/* Whoever tries many keys is slowed; and where the newest keys may not be known here, a good one is
 * not called unknown. */
static int unknown_key(struct exchange *x)
{
    struct catalog *c = catalog_here();
    int wait = flood_guess(&x->client, clock_now());

    if (wait > 0) {
        x->error.retry_after_s = wait;
        return exchange_fail(x, 429, STR("rate_limit_exceeded"),
            STR("Too many unknown keys came from this address. Wait before you try again."));
    }
    if (c && !catalog_is_fresh(c)) {
        x->error.retry_after_s = 1;
        return exchange_fail(x, 503, STR("keys_unavailable"),
            STR("The store of virtual keys cannot be reached, and this key is not known here."));
    }
    return refuse(x, STR("Unknown virtual key."),
        STR("Check that the key was copied whole, or ask for a new one."));
}

/* A thread without a catalogue knows the configuration's keys alone. */
static const struct virtual_key *find_key(const struct keys_settings *set, struct str secret)
{
    return catalog_here() ? catalog_find(secret) : vkey_ref(vkey_find(set->set, secret));
}

static int take_key(struct exchange *x, struct str secret)
{
    const struct virtual_key *k = find_key(x->keys_settings, secret);
    int r;

    if (!k)
        return unknown_key(x);
    if ((r = check_state(x, k)) < 0 || (r = check_address(x, k)) < 0 ||
        (r = check_endpoint(x, k)) < 0) {
        vkey_unref(k);
        return r;
    }
    x->key = k;
    return 0;
}

/* A call that a client of AWS's signed. To check that, the gateway would need the secret itself,
 * and of virtual keys it keeps digests alone. */
static bool is_signed(const struct exchange *x)
{
    return str_istarts(http_get(&x->rq->head.fields, HTTP_AUTHORIZATION), STR("AWS4-"));
}

static int refuse_signature(struct exchange *x)
{
    x->error.hint = STR("Set AWS_BEARER_TOKEN_BEDROCK to the virtual key (sk-sf-...) in place of "
                        "access keys, or send the key in 'x-api-key' beside the signature.");
    return exchange_fail(x, 403, STR("invalid_api_key"),
        STR("Signatures of AWS (SigV4) cannot be checked against a virtual key."));
}

static int authenticate(struct exchange *x)
{
    const struct keys_settings *set = x->keys_settings;
    struct found f = {.conflict = false};

    look_everywhere(x, &f);
    if (f.conflict)
        return exchange_fail(x, 400, STR("conflicting_credentials"),
            STR("Two different virtual keys were sent; send one."));
    x->presented = f.virtual;
    if (f.virtual.n)
        return take_key(x, f.virtual);
    if (f.other.n && set->passthrough) {
        x->caller_credential = f.other;
        return 0;
    }
    if (f.other.n)
        return refuse(x, STR("This credential is not a virtual key."),
            STR("Use a key that begins with sk-sf-. (The gateway passes providers' own keys on "
                "only "
                "where SMARTFLOW_PASSTHROUGH_KEYS=true.)"));
    if (is_signed(x))
        return refuse_signature(x);
    return refuse(x, STR("No API key was sent."),
        STR("Send a virtual key as 'Authorization: Bearer sk-sf-...' or in 'x-api-key'."));
}

const struct stage stage_authenticate = {
    .name = "authenticate",
    .on_request = authenticate,
};
