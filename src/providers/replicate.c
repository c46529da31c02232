/* See replicate.h. Nothing here suspends or keeps anything. */
#include "providers/replicate.h"

#include "base/macros.h"
#include "providers/quirks_int.h"
#include "providers/sigv4.h"
#include "json/scan.h"

#include <errno.h>

#define TOTAL_NS     (1800 * NS_PER_S) /* of a call, where nothing is set: http/client.h */
#define LEAST_LIFE_S 5                 /* of a prediction */

/* ---- models ---- */

static bool is_version(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == 64;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                strchr("-_.", c)))
            return false;
    }
    return s.n && s.n <= 128 && !str_eq(s, STR(".")) && !str_eq(s, STR(".."));
}

int replicate_model_parse(struct str model, struct replicate_model *ret)
{
    *ret = (struct replicate_model){0};
    if (is_version(model)) {
        ret->version = model;
        return 0;
    }
    bool pinned = str_chr(model, ':') >= 0;
    struct str rest = model, path = str_split(&rest, ':');
    ret->version = rest;
    ret->owner = str_split(&path, '/');
    ret->name = path;
    return is_name(ret->owner) && is_name(ret->name) && pinned == is_version(ret->version)
               ? 0
               : -EINVAL;
}

int replicate_target(struct buf *out, struct str base_path, const struct replicate_model *m)
{
    buf_addstr(out, base_path);
    if (m->version.n)
        return buf_addstr(out, STR("/v1/predictions"));
    buf_addstr(out, STR("/v1/models/"));
    uri_encode(out, m->owner, false);
    buf_addc(out, '/');
    uri_encode(out, m->name, false);
    return buf_addstr(out, STR("/predictions"));
}

int replicate_body(struct buf *out, const struct replicate_model *m, struct str input, bool stream)
{
    buf_addc(out, '{');
    if (m->version.n) {
        buf_addstr(out, STR("\"version\":"));
        buf_addjson(out, m->version);
        buf_addc(out, ',');
    }
    if (stream)
        buf_addstr(out, STR("\"stream\":true,"));
    buf_addstr(out, STR("\"input\":"));
    buf_addstr(out, input);
    return buf_addc(out, '}');
}

/* ---- answers ---- */

/* A word that is not known is none of an end. */
static int read_state(struct str literal, enum replicate_state *ret)
{
    static const struct {
        struct str name;
        enum replicate_state state;
    } ends[] = {{STR_INIT("\"succeeded\""), REPLICATE_SUCCEEDED},
        {STR_INIT("\"failed\""), REPLICATE_FAILED}, {STR_INIT("\"canceled\""), REPLICATE_CANCELED},
        {STR_INIT("\"aborted\""), REPLICATE_CANCELED}};
    *ret = REPLICATE_RUNS;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (str_eq(ends[i].name, literal))
            *ret = ends[i].state;
    return literal.p && json_type_of(literal) == JSON_STRING ? 0 : -EBADMSG;
}

/* The text between the quotes; empty when it is no string. */
static struct str string_at(struct str json, const char *name)
{
    struct str v = json_find(json, str_of(name));
    return v.p && json_type_of(v) == JSON_STRING ? str_at(v.p + 1, v.n - 2) : STR_NONE;
}

int replicate_prediction_parse(struct str json, struct replicate_prediction *ret)
{
    enum json_type top;
    struct json_error err;
    if (json_scan(json, NULL, NULL, 0, &top, &err) < 0 || top != JSON_OBJECT)
        return -EBADMSG;
    *ret = (struct replicate_prediction){.id = string_at(json, "id")};
    if (!is_name(ret->id))
        return -EBADMSG;
    return read_state(json_find(json, STR("status")), &ret->state);
}

int replicate_prediction_target(struct buf *out, struct str base_path, struct str id, bool cancel)
{
    buf_addstr(out, base_path);
    buf_addstr(out, STR("/v1/predictions/"));
    uri_encode(out, id, false);
    return buf_addstr(out, cancel ? STR("/cancel") : STR(""));
}

/* ---- the provider ---- */

int replicate_call_target(const struct upstream *u, const struct provider_face *face,
    struct exchange *x, const struct provider_asked *a, struct buf *out)
{
    struct replicate_model m;

    (void)face;
    if (replicate_model_parse(a->model, &m) < 0)
        return exchange_fail_param(x, 404, STR("model_not_found"), STR("model"),
            "Replicate's models are named 'owner/name', 'owner/name:version' or by a version.");
    replicate_target(out, u->base_path, &m);
    return 0;
}

/* How long the first answer may be held, and when nobody waits for a prediction any more: one whose
 * client left before its id was known ends by itself (replicate.com/changelog, 2025-10-16). */
static void put_wishes(const struct upstream *u, const struct exchange *x, struct buf *fields)
{
    int64_t total = u->timeouts.total ? u->timeouts.total : TOTAL_NS, now = clock_now();

    if (x->deadline)
        total = MIN(total, x->deadline - now);
    buf_printf(fields, "prefer: wait=%d\r\ncancel-after: %llds\r\n", REPLICATE_MAX_WAIT_S,
        (long long)MAX(total / NS_PER_S, (int64_t)LEAST_LIFE_S));
}

int replicate_sign(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    struct str method, struct str target, const struct iovec *body, unsigned body_n,
    struct buf *fields)
{
    struct str key = credential_of(x);
    int r = key.n ? provider_auth_field(face->auth, key, fields) : 0;

    (void)body, (void)body_n;
    if (r == -EINVAL)
        return exchange_fail(x, 502, STR("provider_auth_failed"),
            STR("The provider's credential holds bytes that cannot stand in a header field."));
    if (str_eq(method, STR("POST")) && str_ends(target, STR("/predictions")))
        put_wishes(u, x, fields);
    return 0;
}
