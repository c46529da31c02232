/*
 * Writing and reading one entry. Writing costs one copy, one HMAC and one hash over the same bytes:
 * for each of them the bytes before "key_id" are what it needs them to be, and then what the line
 * wants.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* as crypto/digest.c: states that can be copied cheaply */
#include "base/macros.h"
#include "base/secret.h"
#include "crypto/encode.h"
#include "journal/entry_int.h"
#include "journal/payload.h"
#include "json/scan.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>

#define BLOCK   64
#define HEAD    "{\"entry_hmac\":\""
#define HEAD_N  (sizeof(HEAD) - 1)
#define HEX_N   (2 * (size_t)SHA256_BYTES)
#define BRACE   (HEAD_N + HEX_N + 1) /* of the comma before "key_id" */
#define KEY_ID  "\"key_id\":\""
#define PAYLOAD "\",\"payload\":"
#define PREV    ",\"prev_hash\":\""
#define SEQ     "\",\"seq\":"
#define RING    "{\"_ring\":["

/* --- HMAC --- */

static void start_state(SHA256_CTX *ctx, const uint8_t *key, uint8_t with)
{
    uint8_t pad[BLOCK];

    for (size_t i = 0; i < BLOCK; i++)
        pad[i] = key[i] ^ with;
    must(SHA256_Init(ctx) == 1 && SHA256_Update(ctx, pad, BLOCK) == 1);
    mem_wipe(pad, sizeof(pad));
}

int hmac_key_init(struct hmac_key *k, struct str key)
{
    SHA256_CTX *states = malloc(2 * sizeof(*states));
    uint8_t block[BLOCK] = {0};

    if (!states)
        return -ENOMEM;
    if (key.n > BLOCK)
        sha256(key, block);
    else if (key.n)
        memcpy(block, key.p, key.n);
    start_state(&states[0], block, 0x36);
    start_state(&states[1], block, 0x5c);
    mem_wipe(block, sizeof(block));
    k->states = states;
    return 0;
}

void hmac_key_free(struct hmac_key *k)
{
    if (k->states)
        mem_wipe(k->states, 2 * sizeof(SHA256_CTX));
    free(k->states);
    k->states = NULL;
}

void hmac_key_sign(const struct hmac_key *k, struct str data, uint8_t out[static SHA256_BYTES])
{
    const SHA256_CTX *states = k->states;
    SHA256_CTX ctx = states[0];
    uint8_t inner[SHA256_BYTES];

    must(SHA256_Update(&ctx, data.p, data.n) == 1 && SHA256_Final(inner, &ctx) == 1);
    ctx = states[1];
    must(SHA256_Update(&ctx, inner, sizeof(inner)) == 1 && SHA256_Final(out, &ctx) == 1);
}

/* --- writing --- */

static void add_payload(struct buf *out, const struct entry_origin *from, struct str payload)
{
    if (from->ring < 0) {
        buf_addstr(out, payload);
        return;
    }
    buf_add(out, RING, sizeof(RING) - 1);
    buf_addu64(out, (uint64_t)from->ring);
    buf_addc(out, ',');
    buf_addu64(out, from->end);
    buf_addc(out, ']');
    if (payload.n > 2)
        buf_addc(out, ',');
    buf_addstr(out, str_from(payload, 1));
}

int entry_add(struct buf *out, struct chain_end *end, struct str key_id, const struct hmac_key *key,
    const struct entry_origin *from, struct str payload, uint8_t ret_leaf[static SHA256_BYTES])
{
    size_t start = out->n;
    int r = buf_reserve(out, payload.n + 512);

    if (r < 0)
        return r;
    buf_add(out, HEAD, HEAD_N);
    out->n += HEX_N + 2;
    buf_add(out, KEY_ID, sizeof(KEY_ID) - 1);
    buf_addstr(out, key_id);
    buf_add(out, PAYLOAD, sizeof(PAYLOAD) - 1);
    add_payload(out, from, payload);
    buf_add(out, PREV, sizeof(PREV) - 1);
    buf_addstr(out, str_of(end->link));
    buf_add(out, SEQ, sizeof(SEQ) - 1);
    buf_addu64(out, end->seq + 1);
    buf_addc(out, '}');
    must(out->err == 0);

    char *line = out->p + start, *brace = line + BRACE;
    struct str canonical = str_at(brace, out->n - start - BRACE);
    uint8_t mac[SHA256_BYTES];
    brace[0] = '{';
    brace[-1] = '\0';
    hmac_key_sign(key, canonical, mac);
    sha256(str_at(brace - 1, canonical.n + 1), ret_leaf);
    brace[-1] = '"';
    brace[0] = ',';
    hex_encode(str_at((const char *)mac, sizeof(mac)), line + HEAD_N);
    memcpy(end->link, line + HEAD_N, HEX_N);
    end->link[HEX_N] = '\0';
    end->seq++;
    return buf_addc(out, '\n');
}

/* --- reading --- */

/* Takes text from the start, or from the end, of *s. */
static bool take_front(struct str *s, const char *text, size_t n)
{
    if (s->n < n || memcmp(s->p, text, n) != 0)
        return false;
    *s = str_from(*s, n);
    return true;
}

static bool take_back(struct str *s, const char *text, size_t n)
{
    if (s->n < n || memcmp(s->p + s->n - n, text, n) != 0)
        return false;
    s->n -= n;
    return true;
}

/* What stands behind the last quote (or is the number at the end) of *s; takes it away. */
static struct str take_back_until_quote(struct str *s)
{
    size_t i = s->n;

    while (i > 0 && s->p[i - 1] != '"')
        i--;
    struct str found = str_at(s->p + i, s->n - i);
    s->n = i;
    return found;
}

static struct str take_back_digits(struct str *s)
{
    size_t i = s->n;

    while (i > 0 && s->p[i - 1] >= '0' && s->p[i - 1] <= '9')
        i--;
    struct str found = str_at(s->p + i, s->n - i);
    s->n = i;
    return found;
}

static bool is_lower_hex(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == HEX_N;
}

static bool is_key_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return s.n <= KEY_ID_BYTES;
}

bool entry_read(struct str line, struct journal_entry *ret)
{
    struct journal_entry e = {.line = line};
    struct str s = line, seq;

    if (!take_front(&s, HEAD, HEAD_N) || s.n < HEX_N)
        return false;
    e.entry_hmac = str_to(s, HEX_N);
    s = str_from(s, HEX_N);
    if (!is_lower_hex(e.entry_hmac) || !take_front(&s, "\",", 2) ||
        !take_front(&s, KEY_ID, sizeof(KEY_ID) - 1))
        return false;
    ptrdiff_t quote = str_chr(s, '"');
    if (quote < 0)
        return false;
    e.key_id = str_to(s, (size_t)quote);
    s = str_from(s, (size_t)quote);
    if (!is_key_id(e.key_id) || !take_front(&s, PAYLOAD, sizeof(PAYLOAD) - 1) ||
        !take_back(&s, "}", 1))
        return false;
    seq = take_back_digits(&s);
    if (json_u64(seq, &e.seq) < 0 || e.seq == 0 || !take_back(&s, SEQ, sizeof(SEQ) - 1))
        return false;
    e.prev_hash = take_back_until_quote(&s);
    if (e.prev_hash.n >= LINK_BYTES || !is_key_id(e.prev_hash) ||
        !take_back(&s, PREV, sizeof(PREV) - 1))
        return false;
    e.payload = s;
    if (s.n < 2 || s.p[0] != '{' || s.p[s.n - 1] != '}')
        return false;
    *ret = e;
    return true;
}

int entry_hashed(struct str line, struct buf *out)
{
    struct str rest = str_from(line, BRACE + 1);

    buf_add(out, "\0{", 2);
    return buf_addstr(out, rest);
}

bool entry_origin(struct str payload, struct entry_origin *ret)
{
    uint64_t ring;

    if (!take_front(&payload, RING, sizeof(RING) - 1))
        return false;
    struct str first = str_split(&payload, ','), second = str_split(&payload, ']');
    if (json_u64(first, &ring) < 0 || ring > INT32_MAX || json_u64(second, &ret->end) < 0)
        return false;
    ret->ring = (int)ring;
    return true;
}

/* --- entries of other writers --- */

enum { M_HMAC, M_KEY, M_PAYLOAD, M_PREV, M_SEQ, MEMBERS };
static const struct str names[MEMBERS] = {STR_INIT("entry_hmac"), STR_INIT("key_id"),
    STR_INIT("payload"), STR_INIT("prev_hash"), STR_INIT("seq")};

/* The text between the quotes of a plain string; false when it is none. */
static bool plain_string(struct str value, struct str *ret)
{
    *ret = STR_NONE;
    if (!value.p)
        return true;
    if (value.n < 2 || value.p[0] != '"' || memchr(value.p, '\\', value.n))
        return false;
    *ret = str_at(value.p + 1, value.n - 2);
    return true;
}

static int add_without_hmac(struct str line, struct buf *out)
{
    struct str key, value;
    bool first = true;

    buf_addc(out, '{');
    for (size_t at = json_inside(line); json_next(line, &at, &key, &value);) {
        if (str_eq(key, names[M_HMAC]))
            continue;
        if (!first)
            buf_addc(out, ',');
        first = false;
        buf_addc(out, '"');
        buf_addstr(out, key);
        buf_add(out, "\":", 2);
        buf_addstr(out, value);
    }
    return buf_addc(out, '}');
}

/* A signature that stands twice would leave two readings. */
static bool stands_once(struct str line, struct str name)
{
    struct json_want want = {.path = name};
    struct json_span span;
    struct json_error why;
    enum json_type top;

    return json_scan(line, &want, &span, 1, &top, &why) == 0 && top == JSON_OBJECT &&
           !span.duplicate;
}

static int make_canonical(struct str line, struct buf *mem)
{
    struct buf text;

    buf_init(&text, line.n + 64);
    int r = add_without_hmac(line, &text);
    buf_clear(mem);
    buf_addc(mem, '\0');
    if (r == 0)
        r = payload_canonical(buf_str(&text), mem);
    buf_free(&text);
    return r;
}

static int read_foreign(struct str line, struct buf *mem, struct journal_entry *ret)
{
    struct journal_entry e = {.line = line};
    struct str v[MEMBERS];

    if (!stands_once(line, names[M_HMAC]) || make_canonical(line, mem) < 0)
        return -EINVAL;
    json_members(line, names, v, MEMBERS);
    e.canonical = str_from(buf_str(mem), HASHED_PREFIX);
    if (!plain_string(v[M_HMAC], &e.entry_hmac) || !plain_string(v[M_KEY], &e.key_id) ||
        !plain_string(v[M_PREV], &e.prev_hash) || e.prev_hash.n >= LINK_BYTES)
        return -EINVAL;
    if (!v[M_PAYLOAD].p || v[M_PAYLOAD].p[0] != '{' || !v[M_SEQ].p ||
        json_u64(v[M_SEQ], &e.seq) < 0 || e.seq == 0)
        return -EINVAL;
    e.payload = v[M_PAYLOAD];
    *ret = e;
    return 0;
}

int entry_read_any(struct str line, struct buf *mem, struct journal_entry *ret)
{
    if (!entry_read(line, ret))
        return read_foreign(line, mem, ret);
    buf_clear(mem);
    int r = entry_hashed(line, mem);
    ret->canonical = str_from(buf_str(mem), HASHED_PREFIX);
    return r;
}
