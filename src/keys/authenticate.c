/*
 * The stage that says who calls. A credential can stand in five places; where several are sent, the
 * first in the contract's order that begins with sk-sf- counts, and two different ones are refused,
 * so that no proxy in front can be made to see another caller than we do.
 */
#include "base/clock.h"
#include "keys/vkey.h"
#include "llm/exchange.h"

#include <errno.h>

enum { PLACES = 6 };

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
    return n > 0 ? str_at(out, (size_t)n) : STR_NONE;
}

static void credentials(struct exchange *x, struct str out[PLACES])
{
    const struct http_fields *f = &x->rq->head.fields;

    out[0] = bearer(http_get(f, HTTP_AUTHORIZATION));
    out[1] = http_get(f, HTTP_X_API_KEY);
    out[2] = http_get(f, HTTP_API_KEY);
    out[3] = http_get(f, HTTP_X_GOOG_API_KEY);
    out[4] = query_key(x);
    out[5] = subprotocol_key(http_get(f, HTTP_SEC_WEBSOCKET_PROTOCOL));
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
    struct str place[PLACES], virtual = STR_NONE, other = STR_NONE;

    credentials(x, place);
    for (int i = 0; i < PLACES; i++) {
        if (!place[i].n)
            continue;
        if (!str_starts(place[i], STR("sk-sf-"))) {
            other = other.n ? other : place[i];
        } else if (!virtual.n) {
            virtual = place[i];
        } else if (!str_eq(virtual, place[i])) {
            return exchange_fail(x, 400, STR("conflicting_credentials"),
                STR("Two different virtual keys were sent; send one."));
        }
    }
    if (virtual.n)
        return check_key(x, vkey_find(set->set, virtual));
    if (other.n && set->passthrough) {
        x->caller_credential = other;
        return 0;
    }
    if (other.n)
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
