/*
 * The four steps of AWS Signature Version 4: canonical request, string to sign, derived key,
 * signature. The canonical request is never joined with anything secret; the derived keys are
 * wiped.
 *
 * The canonical path is the wire's path with dot segments removed and encoded once more, so a model
 * id with ':' is "%3A" on the wire and "%253A" here. S3 alone signs the path as it is.
 */
#include "providers/sigv4.h"

#include "base/macros.h"
#include "crypto/digest.h"
#include "crypto/encode.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#define LIMIT_CANONICAL ((size_t)256 * 1024)
#define MAX_PARAMS      128

struct signing {
    const struct sigv4_credentials *c;
    const struct sigv4_request *r;
    struct sigv4_header headers[SIGV4_MAX_HEADERS + 4]; /* sorted by lower-case name */
    size_t n;
    char time[17], date[9], body_hash[SHA256_HEX];
};

/* ---- percent-encoding ---- */

static bool unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int uri_encode(struct buf *out, struct str s, bool keep_slash)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (unreserved(s.p[i]) || (keep_slash && c == '/'))
            buf_addc(out, s.p[i]);
        else
            buf_add(out, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
    return out->err;
}

/* ---- the canonical request ---- */

/* Cuts what out holds behind start back to before its last segment. */
static void drop_segment(struct buf *out, size_t start)
{
    while (out->n > start && out->p[out->n - 1] != '/')
        out->n--;
    out->n -= out->n > start;
}

/* The path without empty, "." and ".." segments, encoded again. */
static void put_path(struct buf *out, struct str path)
{
    size_t start = out->n;
    bool closing_slash = path.n && path.p[path.n - 1] == '/';
    while (path.n) {
        struct str segment = str_split(&path, '/');
        if (segment.n == 0 || str_eq(segment, STR(".")))
            continue;
        if (str_eq(segment, STR(".."))) {
            drop_segment(out, start);
            continue;
        }
        buf_addc(out, '/');
        uri_encode(out, segment, false);
    }
    if (out->n == start || closing_slash)
        buf_addc(out, '/');
}

struct param {
    struct str name, value;
};

static int bytes_cmp(struct str a, struct str b)
{
    size_t n = MIN(a.n, b.n);
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int param_cmp(const void *a, const void *b)
{
    const struct param *x = a, *y = b;
    int c = bytes_cmp(x->name, y->name);
    return c ? c : bytes_cmp(x->value, y->value);
}

static int put_query(struct buf *out, struct str query)
{
    struct param params[MAX_PARAMS];
    size_t n = 0;
    while (query.n) {
        struct str pair = str_split(&query, '&');
        if (n == MAX_PARAMS)
            return -E2BIG;
        params[n].name = str_split(&pair, '=');
        params[n++].value = pair;
    }
    if (n)
        qsort(params, n, sizeof(params[0]), param_cmp);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_addc(out, '&');
        buf_addstr(out, params[i].name);
        buf_addc(out, '=');
        buf_addstr(out, params[i].value);
    }
    return 0;
}

static void put_lower(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_addc(out, s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i]);
}

/* Trimmed, with runs of blanks as one. */
static void put_value(struct buf *out, struct str value)
{
    value = str_trim(value); /* so the first byte is no blank */
    for (size_t i = 0; i < value.n; i++) {
        bool blank = value.p[i] == ' ' || value.p[i] == '\t';
        if (!blank)
            buf_addc(out, value.p[i]);
        else if (value.p[i - 1] != ' ' && value.p[i - 1] != '\t')
            buf_addc(out, ' ');
    }
}

/* One line a name; the values of a repeated name are joined by commas in their order. */
static void put_headers(struct buf *out, const struct signing *s)
{
    for (size_t i = 0; i < s->n; i++) {
        bool again = i && str_ieq(s->headers[i - 1].name, s->headers[i].name);
        if (again) {
            buf_addc(out, ',');
        } else {
            if (i)
                buf_addc(out, '\n');
            put_lower(out, s->headers[i].name);
            buf_addc(out, ':');
        }
        put_value(out, s->headers[i].value);
    }
    buf_addc(out, '\n');
}

static void put_names(struct buf *out, const struct signing *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (i && str_ieq(s->headers[i - 1].name, s->headers[i].name))
            continue;
        if (i)
            buf_addc(out, ';');
        put_lower(out, s->headers[i].name);
    }
}

static int put_canonical(struct buf *out, const struct signing *s)
{
    const struct sigv4_request *r = s->r;
    buf_addstr(out, r->method);
    buf_addc(out, '\n');
    if (str_eq(r->service, STR("s3")))
        buf_addstr(out, r->path.n ? r->path : STR("/"));
    else
        put_path(out, r->path);
    buf_addc(out, '\n');
    int e = put_query(out, r->query);
    if (e < 0)
        return e;
    buf_addc(out, '\n');
    put_headers(out, s);
    buf_addc(out, '\n');
    put_names(out, s);
    buf_addc(out, '\n');
    return buf_addstr(out, str_of(s->body_hash));
}

/* ---- gathering ---- */

/* Keeps the list sorted; equal names stay in the order they came in. */
static int add_header(struct signing *s, struct str name, struct str value)
{
    if (s->n == ARRAY_LEN(s->headers))
        return -E2BIG;
    size_t at = s->n++;
    for (; at > 0; at--) {
        struct str before = s->headers[at - 1].name;
        size_t n = MIN(before.n, name.n);
        int c = strncasecmp(before.p, name.p, n);
        if (c < 0 || (c == 0 && before.n <= name.n))
            break;
        s->headers[at] = s->headers[at - 1];
    }
    s->headers[at] = (struct sigv4_header){name, value};
    return 0;
}

static bool printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return true;
}

/* A tab may stand in a field's value; a line break never. */
static bool field_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\t' && !printable(str_at(s.p + i, 1)))
            return false;
    return true;
}

static bool all_printable(const struct sigv4_credentials *c, const struct sigv4_request *r)
{
    const struct str parts[] = {r->method, r->host, r->path, r->query, r->region, r->service,
        c->access_key_id, c->session_token};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!printable(parts[i]))
            return false;
    return r->method.n && r->host.n && r->region.n && r->service.n && c->access_key_id.n;
}

static int gather(struct signing *s)
{
    const struct sigv4_request *r = s->r;
    if (!all_printable(s->c, r))
        return -EINVAL;
    if (r->n_headers > SIGV4_MAX_HEADERS)
        return -E2BIG;
    add_header(s, STR("host"), r->host);
    add_header(s, STR("x-amz-date"), str_of(s->time));
    if (s->c->session_token.n)
        add_header(s, STR("x-amz-security-token"), s->c->session_token);
    if (str_eq(r->service, STR("s3")))
        add_header(s, STR("x-amz-content-sha256"), str_of(s->body_hash));
    for (size_t i = 0; i < r->n_headers; i++) {
        struct str name = r->headers[i].name;
        if (!name.n || !printable(name) || !field_value(r->headers[i].value) ||
            str_ieq(name, STR("authorization")))
            return -EINVAL;
        add_header(s, name, r->headers[i].value);
    }
    return 0;
}

static int set_time(struct signing *s)
{
    time_t t = (time_t)(s->r->wall_ns / 1000000000);
    struct tm tm;
    if (!gmtime_r(&t, &tm) || tm.tm_year < 70 || tm.tm_year > 8099)
        return -EINVAL;
    strftime(s->time, sizeof(s->time), "%Y%m%dT%H%M%SZ", &tm);
    memcpy(s->date, s->time, 8);
    return 0;
}

/* ---- signature ---- */

static int derive_key(const struct signing *s, uint8_t key[static SHA256_BYTES])
{
    struct str secret = secret_reveal(s->c->secret_key);
    char prefixed[4 + 256];
    if (secret.n == 0 || secret.n > sizeof(prefixed) - 4)
        return -EINVAL;
    memcpy(prefixed, "AWS4", 4);
    memcpy(prefixed + 4, secret.p, secret.n);
    hmac_sha256(str_at(prefixed, 4 + secret.n), str_of(s->date), key);
    mem_wipe(prefixed, sizeof(prefixed));
    const struct str steps[] = {s->r->region, s->r->service, STR("aws4_request")};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        uint8_t next[SHA256_BYTES];
        hmac_sha256(str_at((char *)key, SHA256_BYTES), steps[i], next);
        memcpy(key, next, SHA256_BYTES);
        mem_wipe(next, sizeof(next));
    }
    return 0;
}

static void put_scope(struct buf *out, const struct signing *s)
{
    buf_addstr(out, str_of(s->date));
    buf_addc(out, '/');
    buf_addstr(out, s->r->region);
    buf_addc(out, '/');
    buf_addstr(out, s->r->service);
    buf_addstr(out, STR("/aws4_request"));
}

/* The signature over the canonical request, in hex. */
static int compute(const struct signing *s, char hex[static HEX_SIZE(SHA256_BYTES)])
{
    _cleanup_(buf_free) struct buf text = {0};
    uint8_t key[SHA256_BYTES], mac[SHA256_BYTES];
    char digest[SHA256_HEX];
    buf_init(&text, LIMIT_CANONICAL);
    int e = put_canonical(&text, s);
    if (e < 0)
        return e;
    sha256_hex(buf_str(&text), digest);
    buf_clear(&text);
    buf_addstr(&text, STR("AWS4-HMAC-SHA256\n"));
    buf_addstr(&text, str_of(s->time));
    buf_addc(&text, '\n');
    put_scope(&text, s);
    buf_addc(&text, '\n');
    e = buf_addstr(&text, str_of(digest));
    if (e == 0)
        e = derive_key(s, key);
    if (e < 0)
        return e;
    hmac_sha256(str_at((char *)key, sizeof(key)), buf_str(&text), mac);
    mem_wipe(key, sizeof(key));
    hex_encode(str_at((char *)mac, sizeof(mac)), hex);
    return 0;
}

static int put_field(struct buf *out, struct str name, struct str value)
{
    buf_addstr(out, name);
    buf_addstr(out, STR(": "));
    buf_addstr(out, value);
    return buf_addstr(out, STR("\r\n"));
}

static int put_authorization(struct buf *out, const struct signing *s, struct str signature)
{
    buf_addstr(out, STR("authorization: AWS4-HMAC-SHA256 Credential="));
    buf_addstr(out, s->c->access_key_id);
    buf_addc(out, '/');
    put_scope(out, s);
    buf_addstr(out, STR(", SignedHeaders="));
    put_names(out, s);
    buf_addstr(out, STR(", Signature="));
    buf_addstr(out, signature);
    return buf_addstr(out, STR("\r\n"));
}

int sigv4_sign(const struct sigv4_credentials *c, const struct sigv4_request *r, struct buf *out)
{
    struct signing s = {.c = c, .r = r};
    char signature[HEX_SIZE(SHA256_BYTES)];
    int e = set_time(&s);
    if (r->body_sha256)
        hex_encode(str_at((const char *)r->body_sha256, SHA256_BYTES), s.body_hash);
    else
        sha256_hex(r->body, s.body_hash);
    if (e == 0)
        e = gather(&s);
    if (e == 0)
        e = compute(&s, signature);
    if (e < 0)
        return e;
    put_field(out, STR("x-amz-date"), str_of(s.time));
    if (c->session_token.n)
        put_field(out, STR("x-amz-security-token"), c->session_token);
    if (str_eq(r->service, STR("s3")))
        put_field(out, STR("x-amz-content-sha256"), str_of(s.body_hash));
    return put_authorization(out, &s, str_at(signature, sizeof(signature)));
}
