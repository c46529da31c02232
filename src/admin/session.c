/*
 * Sessions of browsers. Logging in puts a row into the store and gives two cookies:
 * smartflow_token, a JWT (HS256) that scripts cannot read, and smartflow_csrf, which they can. The
 * JWT names the session by 32 random bytes of which the store knows the hash alone; a session is
 * good while its row is there, so that it can be revoked at once on all nodes.
 *
 * Whoever changes something with the cookie must send x-csrf-token as given at login. It is an HMAC
 * of the session's name, so that nothing about it has to be kept.
 *
 * The signing key is the environment's (from the master key), or one that the store keeps for all
 * nodes. Nothing but this one form of JWT is accepted: the header is compared as bytes, so that
 * there is no algorithm to choose.
 */
#include "admin/api_int.h"
#include "crypto/digest.h"
#include "crypto/encode.h"
#include "crypto/random.h"
#include "store/store.h"
#include "text/utf8.h"
#include "json/scan.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define SESSION_TTL     (12 * 3600 * NS_PER_S)
#define SESSION_BYTES   32
#define SIGNING_SETTING "admin.session_key"
#define JWT_MAX         2048

/* {"alg":"HS256","typ":"JWT"} */
static const struct str jwt_header = STR_INIT("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9");

/* --- the signing key --- */

static struct {
    pthread_mutex_t lock;
    const struct store *of; /* the store that it came from */
    uint8_t bytes[SHA256_BYTES];
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool kept_key(const struct store *store, uint8_t out[static SHA256_BYTES])
{
    pthread_mutex_lock(&kept.lock);
    bool have = kept.of == store;
    if (have)
        memcpy(out, kept.bytes, SHA256_BYTES);
    pthread_mutex_unlock(&kept.lock);
    return have;
}

static void keep_key(const struct store *store, const uint8_t key[static SHA256_BYTES])
{
    pthread_mutex_lock(&kept.lock);
    kept.of = store;
    memcpy(kept.bytes, key, SHA256_BYTES);
    pthread_mutex_unlock(&kept.lock);
}

/* The first of all nodes writes one; everybody reads what is there then. */
static int stored_key(struct admin_call *c, uint8_t out[static SHA256_BYTES])
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    uint8_t fresh[SHA256_BYTES];
    char hex[HEX_SIZE(SHA256_BYTES)], err[STORE_ERR_BYTES] = "";

    crypto_random(fresh, sizeof fresh);
    hex_encode(str_at((char *)fresh, sizeof fresh), hex);
    const struct store_value v[] = {store_text(STR(SIGNING_SETTING)),
        store_text(str_at(hex, sizeof hex)), store_int(clock_wall()), store_text(STR("smartflow"))};
    int r = store_exec(c->env->store,
        "INSERT INTO settings (name, value, updated_at, updated_by) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (name) DO NOTHING",
        v, 4, NULL, err);
    if (r == 0)
        r = store_query(
            c->env->store, "SELECT value FROM settings WHERE name = ?1", v, 1, &rows, err);
    mem_wipe(hex, sizeof hex);
    if (r < 0)
        return admin_store_fail(c, r, err);
    if (store_rows_n(rows) != 1 || store_cell_str(rows, 0, 0).n != sizeof hex ||
        hex_decode(store_cell_str(rows, 0, 0), out) != SHA256_BYTES)
        return admin_store_fail(c, -EIO, "the key that signs sessions is damaged");
    keep_key(c->env->store, out);
    return 0;
}

static int signing_key(struct admin_call *c, uint8_t out[static SHA256_BYTES])
{
    static const uint8_t none[SHA256_BYTES];

    if (memcmp(c->env->session_key, none, sizeof none) != 0) {
        memcpy(out, c->env->session_key, SHA256_BYTES);
        return 0;
    }
    return kept_key(c->env->store, out) ? 0 : stored_key(c, out);
}

void admin_session_forget_key(void)
{
    pthread_mutex_lock(&kept.lock);
    kept.of = NULL;
    pthread_mutex_unlock(&kept.lock);
}

static int keyed(
    struct admin_call *c, const char *purpose, struct str data, uint8_t out[static SHA256_BYTES])
{
    uint8_t key[SHA256_BYTES];
    const struct str parts[] = {str_at(purpose, strlen(purpose) + 1), data};
    int r = signing_key(c, key);

    if (r == 0)
        hmac_sha256_parts(str_at((char *)key, sizeof key), parts, ARRAY_LEN(parts), out);
    mem_wipe(key, sizeof key);
    return r;
}

/* --- the token --- */

static int jwt_write(struct admin_call *c, struct str sid, int64_t expires, struct str *ret)
{
    _cleanup_(buf_free) struct buf claims = {0}, out = {0};
    uint8_t mac[SHA256_BYTES];

    buf_init(&claims, JWT_MAX);
    buf_init(&out, 2 * JWT_MAX);
    put_open(&claims, NULL, '{');
    put_str(&claims, "iss", STR("smartflow"));
    put_str(&claims, "sub", c->who.actor);
    put_str(&claims, "role", str_of(user_role_words[c->who.role]));
    put_str(&claims, "sid", sid);
    put_int(&claims, "iat", clock_wall() / NS_PER_S);
    put_int(&claims, "exp", expires / NS_PER_S);
    put_close(&claims, '}');
    buf_addstr(&out, jwt_header);
    buf_addc(&out, '.');
    base64url_add(&out, buf_str(&claims));
    int r = keyed(c, "jwt", buf_str(&out), mac);
    if (r < 0)
        return r;
    buf_addc(&out, '.');
    base64url_add(&out, str_at((char *)mac, sizeof mac));
    *ret = arena_dup(&c->arena, buf_str(&out));
    return out.err || claims.err || !ret->p ? -ENOMEM : 0;
}

/* The claims of a token that is ours: 0, -ENOENT, or c->error. */
static int jwt_read(struct admin_call *c, struct str token, struct str *ret_claims)
{
    struct str rest = token, header = str_split(&rest, '.'), claims = str_split(&rest, '.');
    struct str signed_part = str_to(token, header.n + 1 + claims.n);
    uint8_t want[SHA256_BYTES], got[BASE64_MAX_BYTES(BASE64URL_SIZE(SHA256_BYTES))];

    if (token.n > JWT_MAX || !str_eq(header, jwt_header) ||
        rest.n != BASE64URL_SIZE(SHA256_BYTES) || base64url_decode(rest, got) != SHA256_BYTES)
        return -ENOENT;
    int r = keyed(c, "jwt", signed_part, want);
    if (r < 0)
        return r;
    if (!mem_ct_eq(want, got, sizeof want))
        return -ENOENT;
    char *text = arena_alloc(&c->arena, BASE64_MAX_BYTES(claims.n));
    ssize_t n = text ? base64url_decode(claims, text) : -ENOMEM;
    *ret_claims = n < 0 ? STR_NONE : str_at(text, (size_t)n);
    return n < 0 ? -ENOENT : 0;
}

static struct str claim(struct admin_call *c, struct str claims, const char *name)
{
    struct str v = json_find(claims, str_of(name));
    char *text = json_type_of(v) == JSON_STRING ? arena_alloc(&c->arena, v.n) : NULL;
    ptrdiff_t n = text ? json_unescape(v, text) : -1;

    return n < 0 ? STR_NONE : str_at(text, (size_t)n);
}

/* --- cookies --- */

static struct str cookie(const struct http_request *rq, struct str name)
{
    struct str all = http_get(&rq->head.fields, HTTP_COOKIE);

    while (all.p && all.n) {
        struct str value = str_trim(str_split(&all, ';')), key = str_split(&value, '=');
        if (value.p && str_eq(key, name))
            return value;
    }
    return STR_NONE;
}

static void put_cookie(
    struct admin_call *c, const char *name, struct str value, int64_t seconds, bool hidden)
{
    buf_printf(&c->fields, "set-cookie: %s=" STR_FMT "; Path=/; Max-Age=%lld; SameSite=Lax%s%s\r\n",
        name, STR_ARG(value), (long long)seconds, hidden ? "; HttpOnly" : "",
        c->rq->tls ? "; Secure" : "");
}

/* --- making --- */

static struct str hashed(struct admin_call *c, struct str sid)
{
    char hex[SHA256_HEX];

    sha256_hex(sid, hex);
    return arena_dup(&c->arena, str_of(hex));
}

struct str admin_key_print(struct admin_call *c)
{
    const struct str parts[] = {STR("smartflow admin key"), secret_reveal(&c->config->admin_key)};
    uint8_t digest[SHA256_BYTES];
    char hex[32];

    sha256_parts(parts, ARRAY_LEN(parts), digest);
    hex_encode(str_at((char *)digest, sizeof hex / 2), hex);
    return arena_dup(&c->arena, str_at(hex, sizeof hex));
}

struct str admin_csrf_token(struct admin_call *c, struct str session_id)
{
    uint8_t mac[SHA256_BYTES];
    char text[BASE64URL_SIZE(SHA256_BYTES)];

    if (keyed(c, "csrf", session_id, mac) < 0)
        return STR_NONE;
    base64url_encode(str_at((char *)mac, sizeof mac), text);
    return arena_dup(&c->arena, str_at(text, sizeof text));
}

static int insert(struct admin_call *c, struct str id, int64_t expires)
{
    bool by_key = c->who.by == BY_ADMIN_KEY;
    char address[64] = "", err[STORE_ERR_BYTES] = "";
    struct str agent = utf8_truncate(http_get(&c->rq->head.fields, HTTP_USER_AGENT), 200);

    admin_address(c, address);
    const struct store_value v[] = {store_text(id),
        store_text(by_key ? STR("admin_key") : STR("admin_user")),
        store_text(by_key ? admin_key_print(c) : c->who.id), store_text(str_of(address)),
        store_text(utf8_valid(agent) ? agent : STR("")), store_int(clock_wall()),
        store_int(expires)};
    /* those that ended go by the way */
    int r = store_exec(
        c->env->store, "DELETE FROM admin_sessions WHERE expires_at < ?1", &v[5], 1, NULL, err);
    if (r == 0)
        r = store_exec(c->env->store,
            "INSERT INTO admin_sessions (id, kind, subject, address, user_agent, created_at, "
            "expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            v, ARRAY_LEN(v), NULL, err);
    return r < 0 ? admin_store_fail(c, r, err) : 0;
}

int admin_session_make(struct admin_call *c, struct str *ret_csrf, int64_t *ret_expires)
{
    int64_t ttl = c->env->session_ttl > 0 ? c->env->session_ttl : SESSION_TTL;
    uint8_t name[SESSION_BYTES];
    char text[BASE64URL_SIZE(SESSION_BYTES)];
    struct str sid = str_at(text, sizeof text), token = STR_NONE;

    crypto_random(name, sizeof name);
    base64url_encode(str_at((char *)name, sizeof name), text);
    *ret_expires = clock_wall() + ttl;
    c->who.session = hashed(c, sid);
    int r = jwt_write(c, sid, *ret_expires, &token);
    if (r == 0)
        r = insert(c, c->who.session, *ret_expires);
    if (r < 0)
        return r;
    *ret_csrf = admin_csrf_token(c, c->who.session);
    put_cookie(c, SESSION_COOKIE, token, ttl / NS_PER_S, true);
    put_cookie(c, CSRF_COOKIE, *ret_csrf, ttl / NS_PER_S, false);
    return ret_csrf->n ? 0 : -ENOMEM;
}

/* --- finding --- */

/* A session of the admin key ends when that key is another. */
static int take_row(struct admin_call *c, const struct store_rows *rows)
{
    int r = 0;

    if (str_eq(store_cell_str(rows, 0, 0), STR("admin_user")))
        r = admin_user_take(c, rows, 0, 2);
    else if (secret_is_set(&c->config->admin_key) &&
             str_eq(store_cell_str(rows, 0, 1), admin_key_print(c)))
        c->who = (struct admin_who){
            .role = ROLE_PROXY_ADMIN, .actor = STR("admin"), .name = STR("admin")};
    else
        r = -ENOENT;
    c->who.by = BY_SESSION;
    return r;
}

static int look_up(struct admin_call *c, struct str id)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char err[STORE_ERR_BYTES] = "";
    const struct store_value v[] = {store_text(id), store_int(clock_wall())};
    int r = store_query(c->env->store,
        "SELECT s.kind, s.subject, " ADMIN_USER_WHO " FROM admin_sessions s "
        "LEFT JOIN admin_users u ON s.kind = 'admin_user' AND u.id = s.subject "
        "WHERE s.id = ?1 AND s.expires_at > ?2",
        v, 2, &rows, err);

    if (r < 0)
        return admin_store_fail(c, r, err);
    return store_rows_n(rows) ? take_row(c, rows) : -ENOENT;
}

int admin_session_find(struct admin_call *c)
{
    struct str token = cookie(c->rq, STR(SESSION_COOKIE)), claims, id;
    uint64_t expires;
    int r;

    if (!token.n || !c->env->store)
        return -ENOENT;
    if ((r = jwt_read(c, token, &claims)) < 0)
        return r;
    if (str_u64(json_find(claims, STR("exp")), &expires) < 0 ||
        (int64_t)expires * NS_PER_S <= clock_wall())
        return -ENOENT;
    id = hashed(c, claim(c, claims, "sid"));
    r = look_up(c, id);
    c->who.session = id;
    return r;
}

int admin_session_csrf(struct admin_call *c)
{
    struct str given = http_get_other(&c->rq->head.fields, STR("x-csrf-token"));
    struct str want = admin_csrf_token(c, c->who.session);

    if (!want.n)
        return c->error.status ? -EREMOTEIO : -ENOMEM;
    if (given.n == want.n && mem_ct_eq(given.p, want.p, want.n))
        return 0;
    return admin_fail(c, 403, "csrf_failed",
        "A change made with a session needs the header x-csrf-token as given at login.");
}

int admin_session_end(struct admin_call *c, struct str id)
{
    char err[STORE_ERR_BYTES] = "";
    const struct store_value v = store_text(id);
    int r = store_exec(c->env->store, "DELETE FROM admin_sessions WHERE id = ?1", &v, 1, NULL, err);

    put_cookie(c, SESSION_COOKIE, STR(""), 0, true);
    put_cookie(c, CSRF_COOKIE, STR(""), 0, false);
    return r < 0 ? admin_store_fail(c, r, err) : 0;
}
