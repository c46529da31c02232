/*
 * Checkpoints as text and under their signature; the key pair. See checkpoint_int.h.
 */
#include "base/secret.h"
#include "crypto/encode.h"
#include "journal/checkpoint_int.h"
#include "journal/files_int.h"
#include "journal/payload.h"
#include "json/scan.h"

#include <errno.h>

#define PEM_BYTES 4096

/* --- keys --- */

void public_key_id(const uint8_t key[static ED25519_KEY_BYTES], char out[static KID_BYTES + 1])
{
    char hex[SHA256_HEX];

    sha256_hex(str_at((const char *)key, ED25519_KEY_BYTES), hex);
    memcpy(out, hex, KID_BYTES);
    out[KID_BYTES] = '\0';
}

static int write_public(int dir, const struct signer *s)
{
    struct buf pem;

    buf_init(&pem, PEM_BYTES);
    int r = sign_ed25519_public_pem(s->key, &pem);
    if (r == 0)
        r = file_write(dir, PUBLIC_KEY_FILE, buf_str(&pem), 0644);
    buf_free(&pem);
    return r;
}

static int read_or_make(int dir, struct buf *pem, bool *ret_made)
{
    int r = file_read(dir, SIGN_KEY_FILE, pem);

    *ret_made = r == -ENOENT;
    if (r != -ENOENT)
        return r;
    r = sign_ed25519_make(pem);
    return r < 0 ? r : file_write(dir, SIGN_KEY_FILE, buf_str(pem), 0600);
}

int signer_open(int dir, struct signer *ret)
{
    struct buf pem;
    bool made = false;

    *ret = (struct signer){0};
    buf_init(&pem, PEM_BYTES);
    int r = buf_reserve(&pem, PEM_BYTES);
    if (r == 0)
        r = read_or_make(dir, &pem, &made);
    if (r == 0)
        r = sign_ed25519_new(buf_str(&pem), &ret->key);
    if (pem.cap)
        mem_wipe(pem.p, pem.cap);
    buf_free(&pem);
    if (r == 0)
        r = sign_ed25519_public(ret->key, ret->public);
    if (r == 0 && (made || file_read(dir, PUBLIC_KEY_FILE, &pem) == -ENOENT))
        r = write_public(dir, ret);
    buf_free(&pem);
    if (r < 0)
        signer_close(ret);
    else
        public_key_id(ret->public, ret->kid);
    return r;
}

void signer_close(struct signer *s)
{
    sign_key_free(s->key);
    s->key = NULL;
}

static int add_jwk(struct str jwk, struct public_keys *ret)
{
    struct str crv = json_find(jwk, STR("crv")), x = json_find(jwk, STR("x"));

    if (!str_eq(crv, STR("\"Ed25519\"")))
        return 0; /* a key of another kind */
    if (x.n != 2 + BASE64URL_SIZE(ED25519_KEY_BYTES) || ret->n == PUBLIC_KEYS_MAX)
        return -EINVAL;
    char raw[BASE64_MAX_BYTES(BASE64URL_SIZE(ED25519_KEY_BYTES))];
    if (base64url_decode(str_at(x.p + 1, x.n - 2), raw) != ED25519_KEY_BYTES)
        return -EINVAL;
    memcpy(ret->key[ret->n++], raw, ED25519_KEY_BYTES);
    return 0;
}

int public_keys_parse(struct str text, struct public_keys *ret)
{
    struct json_error why;
    enum json_type top;
    struct str name, value;
    int r = 0;

    *ret = (struct public_keys){0};
    if (verify_ed25519_read_pem(text, ret->key[0]) == 0) {
        ret->n = 1;
        return 0;
    }
    if (json_scan(text, NULL, NULL, 0, &top, &why) < 0 || top != JSON_OBJECT)
        return -EINVAL;
    struct str set = json_find(text, STR("keys"));
    if (json_type_of(set) != JSON_ARRAY)
        r = add_jwk(text, ret);
    else
        for (size_t at = json_inside(set); r == 0 && json_next(set, &at, &name, &value);)
            r = add_jwk(value, ret);
    return r < 0 ? r : ret->n ? 0 : -EINVAL;
}

/* --- text --- */

static void add_hex(struct payload *p, const char *name, const uint8_t *bytes, size_t n)
{
    char hex[2 * ED25519_SIGNATURE_BYTES];

    hex_encode(str_at((const char *)bytes, n), hex);
    payload_str(p, name, str_at(hex, 2 * n));
}

static int signed_text(const struct checkpoint *c, struct buf *out)
{
    struct payload p;

    payload_begin(&p, out);
    payload_int(&p, "count", (int64_t)c->count);
    payload_int(&p, "from", (int64_t)c->from);
    payload_str(&p, "head_hmac", str_of(c->head_hmac));
    add_hex(&p, "merkle_root", c->root, sizeof(c->root));
    payload_int(&p, "to", (int64_t)c->to);
    return payload_end(&p);
}

int checkpoint_sign(struct checkpoint *c, const struct signer *s)
{
    struct buf text;

    buf_init(&text, 1024);
    memcpy(c->kid, s->kid, sizeof(c->kid));
    int r = signed_text(c, &text);
    if (r == 0)
        r = sign_ed25519(s->key, buf_str(&text), c->signature);
    buf_free(&text);
    return r;
}

int checkpoint_verify(const struct checkpoint *c, const struct public_keys *keys)
{
    struct buf text;

    buf_init(&text, 1024);
    int r = signed_text(c, &text), good = -EBADMSG;
    for (unsigned i = 0; i < keys->n && r == 0 && good < 0; i++)
        good = verify_ed25519(keys->key[i], buf_str(&text), c->signature);
    buf_free(&text);
    return r < 0 ? r : good;
}

static void add_rings(struct payload *p, const struct checkpoint *c)
{
    payload_array(p, "rings");
    for (unsigned i = 0; i < c->n_rings; i++)
        payload_item_int(p, (int64_t)c->ring_end[i]);
    payload_close(p);
}

int checkpoint_text(const struct checkpoint *c, struct str chain, bool in_file, struct buf *out)
{
    struct payload p;

    payload_begin(&p, out);
    payload_str(&p, "alg", STR("Ed25519"));
    payload_str(&p, "chain", chain);
    payload_int(&p, "count", (int64_t)c->count);
    payload_str(&p, "event", STR("checkpoint"));
    payload_int(&p, "from", (int64_t)c->from);
    payload_str(&p, "head_hmac", str_of(c->head_hmac));
    payload_str(&p, "hmac_key", str_of(c->hmac_key));
    payload_str(&p, "kid", str_of(c->kid));
    add_hex(&p, "merkle_root", c->root, sizeof(c->root));
    if (in_file)
        payload_int(&p, "offset", (int64_t)c->offset);
    add_rings(&p, c);
    if (in_file)
        payload_int(&p, "segment", (int64_t)c->segment);
    add_hex(&p, "sig", c->signature, sizeof(c->signature));
    payload_int(&p, "to", (int64_t)c->to);
    payload_int(&p, "ts", c->ts);
    return payload_end(&p);
}

/* --- reading --- */

static bool read_text(struct str value, char *out, size_t most)
{
    if (value.n < 2 || value.n - 2 > most || value.p[0] != '"' || memchr(value.p, '\\', value.n))
        return false;
    memcpy(out, value.p + 1, value.n - 2);
    out[value.n - 2] = '\0';
    return true;
}

static bool read_hex(struct str value, void *out, size_t n)
{
    return value.n == 2 * n + 2 && value.p[0] == '"' &&
           hex_decode(str_at(value.p + 1, 2 * n), out) == (ssize_t)n;
}

static bool read_number(struct str value, uint64_t *out)
{
    return value.p && json_u64(value, out) == 0 && *out <= INT64_MAX;
}

static bool read_rings(struct str value, struct checkpoint *c)
{
    struct str key, item;

    if (!value.p)
        return true;
    for (size_t at = json_inside(value); json_next(value, &at, &key, &item); c->n_rings++)
        if (c->n_rings == RINGS_MAX || !read_number(item, &c->ring_end[c->n_rings]))
            return false;
    return true;
}

enum { COUNT, FROM, HEAD, HMAC_KEY, KID, ROOT, OFFSET, RINGS, SEGMENT, SIG, TO, TS, MEMBERS };
static const struct str names[MEMBERS] = {STR_INIT("count"), STR_INIT("from"),
    STR_INIT("head_hmac"), STR_INIT("hmac_key"), STR_INIT("kid"), STR_INIT("merkle_root"),
    STR_INIT("offset"), STR_INIT("rings"), STR_INIT("segment"), STR_INIT("sig"), STR_INIT("to"),
    STR_INIT("ts")};

int checkpoint_read(struct str text, struct checkpoint *ret)
{
    struct checkpoint c = {0};
    struct json_error why;
    enum json_type top;
    struct str v[MEMBERS];
    uint64_t ts = 0;

    if (json_scan(text, NULL, NULL, 0, &top, &why) < 0 || top != JSON_OBJECT)
        return -EINVAL;
    json_members(text, names, v, MEMBERS);
    if (!read_number(v[COUNT], &c.count) || !read_number(v[FROM], &c.from) ||
        !read_number(v[TO], &c.to) || !read_text(v[HEAD], c.head_hmac, 2 * SHA256_BYTES) ||
        !read_hex(v[ROOT], c.root, sizeof(c.root)) ||
        !read_hex(v[SIG], c.signature, sizeof(c.signature)))
        return -EINVAL;
    if (c.from == 0 || c.to < c.from || c.count != c.to - c.from + 1)
        return -EINVAL;
    if ((v[HMAC_KEY].p && !read_text(v[HMAC_KEY], c.hmac_key, KEY_ID_BYTES)) ||
        (v[KID].p && !read_text(v[KID], c.kid, KID_BYTES)) || !read_rings(v[RINGS], &c))
        return -EINVAL;
    if ((v[OFFSET].p && !read_number(v[OFFSET], &c.offset)) ||
        (v[SEGMENT].p && !read_number(v[SEGMENT], &c.segment)) ||
        (v[TS].p && !read_number(v[TS], &ts)))
        return -EINVAL;
    c.ts = (int64_t)ts;
    *ret = c;
    return 0;
}

bool checkpoint_is_payload(struct str payload)
{
    return str_starts(payload, STR("{\"alg\":")) &&
           str_eq(json_find(payload, STR("event")), STR("\"checkpoint\""));
}
