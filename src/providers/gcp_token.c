/*
 * The JWT is header.claims.signature, each base64url without padding, signed with RS256. Key files
 * and answers are small and validated by one scan before members are looked up in them; the text of
 * the private key is wiped as soon as OpenSSL has it.
 */
#include "providers/gcp_token.h"

#include "base/clock.h"
#include "base/macros.h"
#include "crypto/encode.h"
#include "providers/sigv4.h"
#include "json/scan.h"

#include <errno.h>
#include <stdlib.h>

#define ASSERTION_S 3600
#define TOKEN_MAX_S (24 * 3600)

static int refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return -EINVAL;
}

/* A whole, valid JSON object in which no member of ours stands twice. */
static int check_object(struct str json, const struct json_want *wants, size_t n)
{
    struct json_span spans[8];
    enum json_type top;
    struct json_error err;
    must(n <= ARRAY_LEN(spans));
    int r = json_scan(json, wants, spans, n, &top, &err);
    if (r < 0 || top != JSON_OBJECT)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        if (spans[i].duplicate)
            return -EINVAL;
    return 0;
}

/* A string member decoded to the heap; NULL when it is absent, no string, empty or has a NUL. */
static char *string_member(struct str object, struct str name)
{
    struct str literal = json_find(object, name);
    if (!literal.p || json_type_of(literal) != JSON_STRING)
        return NULL;
    char *s = malloc(literal.n + 1);
    if (!s)
        return NULL;
    ptrdiff_t n = json_unescape(literal, s);
    if (n <= 0 || memchr(s, 0, (size_t)n)) {
        mem_wipe(s, literal.n);
        free(s);
        return NULL;
    }
    s[n] = 0;
    return s;
}

/* ---- the account ---- */

static int read_key(struct str json, struct gcp_account *a, const char **ret_why)
{
    char *pem = string_member(json, STR("private_key"));
    if (!pem)
        return refuse(ret_why, "private_key is missing");
    int r = sign_key_new(str_of(pem), &a->key);
    mem_wipe(pem, strlen(pem));
    free(pem);
    return r == -EINVAL ? refuse(ret_why, "private_key is no RSA key of 2048 bits or more") : r;
}

static int read_account(struct str json, struct gcp_account *a, const char **ret_why)
{
    char *type = string_member(json, STR("type"));
    bool service_account = type && str_eq(str_of(type), STR("service_account"));
    free(type);
    if (!service_account)
        return refuse(ret_why, "type is not service_account");
    a->email = string_member(json, STR("client_email"));
    a->token_uri = string_member(json, STR("token_uri"));
    a->key_id = string_member(json, STR("private_key_id"));
    a->project = string_member(json, STR("project_id"));
    if (!a->email)
        return refuse(ret_why, "client_email is missing");
    if (!a->token_uri && !json_find(json, STR("token_uri")).p)
        a->token_uri = str_dup(STR("https://oauth2.googleapis.com/token"));
    if (!a->token_uri || !str_starts(str_of(a->token_uri), STR("https://")))
        return refuse(ret_why, "token_uri is not an https URL");
    return read_key(json, a, ret_why);
}

int gcp_account_parse(struct str json, struct gcp_account *ret, const char **ret_why)
{
    static const struct json_want wants[] = {{STR_INIT("type")}, {STR_INIT("client_email")},
        {STR_INIT("private_key")}, {STR_INIT("private_key_id")}, {STR_INIT("project_id")},
        {STR_INIT("token_uri")}};
    struct gcp_account a = {0};
    if (json.n > LIMIT_GCP_KEY_FILE || check_object(json, wants, ARRAY_LEN(wants)) < 0)
        return refuse(ret_why, "the key file is not a JSON object");
    int r = read_account(json, &a, ret_why);
    if (r < 0) {
        gcp_account_free(&a);
        return r;
    }
    *ret = a;
    return 0;
}

void gcp_account_free(struct gcp_account *a)
{
    free(a->email);
    free(a->key_id);
    free(a->project);
    free(a->token_uri);
    sign_key_free(a->key);
    *a = (struct gcp_account){0};
}

/* ---- the assertion ---- */

static void put_header(const struct gcp_account *a, struct buf *json)
{
    buf_addstr(json, STR("{\"alg\":\"RS256\",\"typ\":\"JWT\""));
    if (a->key_id) {
        buf_addstr(json, STR(",\"kid\":"));
        buf_addjson(json, str_of(a->key_id));
    }
    buf_addc(json, '}');
}

static void put_claims(
    const struct gcp_account *a, struct str scope, int64_t wall_ns, struct buf *json)
{
    int64_t now = wall_ns / NS_PER_S;
    buf_addstr(json, STR("{\"iss\":"));
    buf_addjson(json, str_of(a->email));
    buf_addstr(json, STR(",\"sub\":"));
    buf_addjson(json, str_of(a->email));
    buf_addstr(json, STR(",\"aud\":"));
    buf_addjson(json, str_of(a->token_uri));
    buf_addstr(json, STR(",\"scope\":"));
    buf_addjson(json, scope);
    buf_printf(json, ",\"iat\":%lld,\"exp\":%lld}", (long long)now, (long long)now + ASSERTION_S);
}

int gcp_assertion(const struct gcp_account *a, struct str scope, int64_t wall_ns, struct buf *out)
{
    _cleanup_(buf_free) struct buf json = {0}, jwt = {0}, signature = {0};
    buf_init(&json, LIMIT_GCP_KEY_FILE);
    buf_init(&jwt, LIMIT_GCP_KEY_FILE);
    buf_init(&signature, 4096);
    put_header(a, &json);
    base64url_add(&jwt, buf_str(&json));
    buf_addc(&jwt, '.');
    buf_clear(&json);
    put_claims(a, scope, wall_ns, &json);
    base64url_add(&jwt, buf_str(&json));
    if (json.err || jwt.err)
        return json.err ? json.err : jwt.err;
    int r = sign_rs256(a->key, buf_str(&jwt), &signature);
    if (r < 0)
        return r;
    buf_addstr(out, buf_str(&jwt));
    buf_addc(out, '.');
    return base64url_add(out, buf_str(&signature));
}

int gcp_token_request(
    const struct gcp_account *a, struct str scope, int64_t wall_ns, struct buf *out)
{
    buf_addstr(out, STR("grant_type="));
    uri_encode(out, STR("urn:ietf:params:oauth:grant-type:jwt-bearer"), false);
    buf_addstr(out, STR("&assertion=")); /* base64url and dots need no encoding */
    return gcp_assertion(a, scope, wall_ns, out);
}

/* ---- the answer ---- */

/* A token goes into a field as it is, so it may hold only what RFC 6750 allows. */
static bool token_valid(const char *token)
{
    size_t n = strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                             "-._~+/=");
    return n > 0 && token[n] == 0;
}

static int read_expiry(struct str json, int64_t wall_ns, int64_t *ret)
{
    struct str literal = json_find(json, STR("expires_in"));
    uint64_t seconds;
    if (!literal.p || json_u64(literal, &seconds) < 0 || seconds == 0)
        return -EINVAL;
    *ret = wall_ns + (int64_t)MIN(seconds, (uint64_t)TOKEN_MAX_S) * NS_PER_S;
    return 0;
}

int gcp_token_parse(struct str json, int64_t wall_ns, struct secret *ret_token,
    int64_t *ret_expires_ns, const char **ret_why)
{
    static const struct json_want wants[] = {
        {STR_INIT("access_token")}, {STR_INIT("expires_in")}, {STR_INIT("token_type")}};
    if (json.n > LIMIT_GCP_TOKEN_BODY || check_object(json, wants, ARRAY_LEN(wants)) < 0)
        return refuse(ret_why, "the answer is not a JSON object");
    char *type = string_member(json, STR("token_type"));
    bool bearer = type && str_ieq(str_of(type), STR("Bearer"));
    free(type);
    if (!bearer)
        return refuse(ret_why, "token_type is not Bearer");
    if (read_expiry(json, wall_ns, ret_expires_ns) < 0)
        return refuse(ret_why, "expires_in is missing or not a number of seconds");
    char *token = string_member(json, STR("access_token"));
    bool valid = token && token_valid(token);
    int r = valid ? secret_set(ret_token, str_of(token)) : -EINVAL;
    if (token)
        mem_wipe(token, strlen(token));
    free(token);
    return valid ? r : refuse(ret_why, "access_token is missing or malformed");
}
