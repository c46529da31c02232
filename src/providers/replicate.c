/* See replicate.h. Nothing here suspends or keeps anything. */
#include "providers/replicate.h"

#include "base/macros.h"
#include "providers/quirks_int.h"
#include "providers/sigv4.h"
#include "json/scan.h"

#include <errno.h>

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

static int read_state(struct str literal, enum replicate_state *ret)
{
    static const struct {
        struct str name;
        enum replicate_state state;
    } states[] = {{STR_INIT("\"starting\""), REPLICATE_STARTING},
        {STR_INIT("\"queued\""), REPLICATE_STARTING},
        {STR_INIT("\"processing\""), REPLICATE_PROCESSING},
        {STR_INIT("\"succeeded\""), REPLICATE_SUCCEEDED},
        {STR_INIT("\"failed\""), REPLICATE_FAILED}, {STR_INIT("\"canceled\""), REPLICATE_CANCELED},
        {STR_INIT("\"aborted\""), REPLICATE_CANCELED}};
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (str_eq(states[i].name, literal)) {
            *ret = states[i].state;
            return 0;
        }
    return -EBADMSG;
}

/* The text between the quotes; empty when it is no string. */
static struct str string_at(struct str json, struct str path)
{
    struct str v = json_find(json, path);
    return v.p && json_type_of(v) == JSON_STRING ? str_at(v.p + 1, v.n - 2) : STR_NONE;
}

static struct str value_at(struct str json, struct str name)
{
    struct str v = json_find(json, name);
    return v.p && json_type_of(v) != JSON_NULL ? v : STR_NONE;
}

/* "1.2345" seconds as milliseconds, rounded up; 0 for what is no plain decimal. */
static uint64_t milliseconds(struct str literal)
{
    struct str fraction = literal, whole = str_split(&fraction, '.');
    uint64_t s, ms = 0;
    if (!whole.n || str_u64(whole, &s) < 0 || s > UINT32_MAX)
        return 0;
    for (size_t i = 0; i < 3; i++) {
        unsigned digit = i < fraction.n ? (unsigned)(fraction.p[i] - '0') : 0;
        if (digit > 9)
            return 0;
        ms = ms * 10 + digit;
    }
    return s * 1000 + ms + (fraction.n > 3);
}

int replicate_prediction_parse(struct str json, struct replicate_prediction *ret)
{
    enum json_type top;
    struct json_error err;
    if (json_scan(json, NULL, NULL, 0, &top, &err) < 0 || top != JSON_OBJECT)
        return -EBADMSG;
    *ret = (struct replicate_prediction){.id = string_at(json, STR("id")),
        .get_url = string_at(json, STR("urls.get")),
        .cancel_url = string_at(json, STR("urls.cancel")),
        .output = value_at(json, STR("output")),
        .error = value_at(json, STR("error"))};
    struct str time = value_at(json, STR("metrics.predict_time"));
    ret->predict_ms = time.p ? milliseconds(time) : 0;
    if (!ret->id.n)
        return -EBADMSG;
    return read_state(json_find(json, STR("status")), &ret->state);
}

/* ---- polling ---- */

/* Host and port compared as written, but for case and the scheme's own port. */
static bool same_authority(struct str a, struct str b, bool tls)
{
    struct str port = tls ? STR(":443") : STR(":80");
    if (str_ends(a, port))
        a = str_to(a, a.n - port.n);
    if (str_ends(b, port))
        b = str_to(b, b.n - port.n);
    return a.n && str_ieq(a, b);
}

static bool target_valid(struct str target)
{
    for (size_t i = 0; i < target.n; i++)
        if (target.p[i] <= ' ' || target.p[i] == 0x7f || strchr("\\\"#<>^`{|}", target.p[i]))
            return false;
    return target.n && target.p[0] == '/' && target.n <= 2048;
}

int replicate_poll_target(struct str url, bool tls, struct str host_field, struct str *ret_target)
{
    struct str scheme = tls ? STR("https://") : STR("http://");
    if (!str_istarts(url, scheme))
        return -EACCES;
    struct str rest = str_from(url, scheme.n);
    ptrdiff_t slash = str_chr(rest, '/');
    if (slash <= 0 || !same_authority(str_to(rest, (size_t)slash), host_field, tls))
        return -EACCES;
    struct str target = str_from(rest, (size_t)slash);
    if (!target_valid(target))
        return -EINVAL;
    *ret_target = target;
    return 0;
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

int replicate_sign(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    struct str method, struct str target, const struct iovec *body, unsigned body_n,
    struct buf *fields)
{
    struct str key = credential_of(x);
    int r = key.n ? provider_auth_field(face->auth, key, fields) : 0;

    (void)u, (void)target, (void)body, (void)body_n;
    if (r == -EINVAL)
        return exchange_fail(x, 502, STR("provider_auth_failed"),
            STR("The provider's credential holds bytes that cannot stand in a header field."));
    if (str_eq(method, STR("POST")))
        buf_printf(fields, "prefer: wait=%d\r\n", REPLICATE_MAX_WAIT_S);
    return 0;
}
