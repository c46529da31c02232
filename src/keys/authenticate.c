/*
 * The stage that says who calls. A credential can stand in five places; where several are sent, the
 * first in the contract's order that begins with sk-sf- counts, and two different ones are refused,
 * so that no proxy in front can be made to see another caller than we do.
 */
#include "base/clock.h"
#include "keys/vkey.h"
#include "llm/exchange.h"

#include <errno.h>

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

static int check_key(struct exchange *x, const struct virtual_key *k)
{
    if (!k)
        return refuse(x, STR("Unknown virtual key."),
            STR("Check that the key was copied whole, or ask for a new one."));
    if (!k->is_active)
        return refuse(x, STR("This virtual key has been revoked."), STR("Ask for a new one."));
    if (k->expires_at && k->expires_at <= clock_wall())
        return refuse(x, STR("This virtual key has expired."), STR("Ask for a new one."));
    x->key = k;
    return 0;
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
        return check_key(x, vkey_find(set->set, f.virtual));
    if (f.other.n && set->passthrough) {
        x->caller_credential = f.other;
        return 0;
    }
    if (f.other.n)
        return refuse(x, STR("This credential is not a virtual key."),
            STR("Use a key that begins with sk-sf-. (The gateway passes providers' own keys on "
                "only "
                "where SMARTFLOW_PASSTHROUGH_KEYS=true.)"));
    return refuse(x, STR("No API key was sent."),
        STR("Send a virtual key as 'Authorization: Bearer sk-sf-...' or in 'x-api-key'."));
}

const struct stage stage_authenticate = {
    .name = "authenticate",
    .on_request = authenticate,
};
