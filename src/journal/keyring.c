/*
 * The key ring and its file. See keyring_int.h. Copies of keys are wiped when they go.
 */
#include "base/macros.h"
#include "base/secret.h"
#include "crypto/encode.h"
#include "crypto/random.h"
#include "journal/files_int.h"
#include "journal/keyring_int.h"
#include "journal/payload.h"
#include "json/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

void keyring_free(struct keyring *k)
{
    for (unsigned i = 0; i < k->n; i++)
        hmac_key_free(&k->keys[i].hmac);
    if (k->keys)
        mem_wipe(k->keys, k->n * sizeof(*k->keys));
    free(k->keys);
    *k = (struct keyring){0};
}

static int grow(struct keyring *k)
{
    if (k->n == KEYS_MAX)
        return -ENOSPC;
    struct chain_key *more = calloc(k->n + 1, sizeof(*more));
    if (!more)
        return -ENOMEM;
    if (k->n) {
        memcpy(more, k->keys, k->n * sizeof(*more));
        mem_wipe(k->keys, k->n * sizeof(*more));
    }
    free(k->keys);
    k->keys = more;
    return 0;
}

int keyring_add(struct keyring *k, struct str id, struct str bytes)
{
    if (bytes.n == 0 || bytes.n > KEY_BYTES_MAX || id.n > KEY_ID_BYTES)
        return -EINVAL;
    int r = grow(k);
    if (r < 0)
        return r;
    struct chain_key *key = &k->keys[k->n];
    if (id.n)
        memcpy(key->id, id.p, id.n);
    memcpy(key->bytes, bytes.p, bytes.n);
    key->n = bytes.n;
    r = hmac_key_init(&key->hmac, bytes);
    if (r == 0)
        k->n++;
    return r;
}

int keyring_make(struct keyring *k, int64_t now, struct chain_key **ret)
{
    char id[2 + 16] = {'k', '-'}, bytes[KEY_BYTES];

    random_hex(id + 2, 8);
    crypto_random(bytes, sizeof(bytes));
    int r = keyring_add(k, str_at(id, sizeof(id)), str_at(bytes, sizeof(bytes)));
    mem_wipe(bytes, sizeof(bytes));
    if (r < 0)
        return r;
    *ret = &k->keys[k->n - 1];
    (*ret)->not_before = now;
    return 0;
}

const struct chain_key *keyring_find(const struct keyring *k, struct str id)
{
    if (k->any_id && k->n)
        return &k->keys[0];
    for (unsigned i = k->n; i-- > 0;)
        if (str_eq(str_of(k->keys[i].id), id))
            return &k->keys[i];
    return NULL;
}

/* --- the file --- */

static int64_t read_time(struct str value)
{
    uint64_t v = 0;

    return value.p && json_u64(value, &v) == 0 && v <= INT64_MAX ? (int64_t)v : 0;
}

static int parse_key(struct str object, struct keyring *k)
{
    static const struct str names[] = {
        STR_INIT("hex"), STR_INIT("key_id"), STR_INIT("not_after"), STR_INIT("not_before")};
    struct str v[ARRAY_LEN(names)];
    char bytes[KEY_BYTES_MAX];

    json_members(object, names, v, ARRAY_LEN(names));
    if (v[0].n < 2 || v[0].n - 2 > HEX_SIZE(sizeof(bytes)) || v[1].n < 3 ||
        json_type_of(v[0]) != JSON_STRING || json_type_of(v[1]) != JSON_STRING)
        return -EINVAL;
    ssize_t n = hex_decode(str_at(v[0].p + 1, v[0].n - 2), bytes);
    int r =
        n > 0 ? keyring_add(k, str_at(v[1].p + 1, v[1].n - 2), str_at(bytes, (size_t)n)) : -EINVAL;
    mem_wipe(bytes, sizeof(bytes));
    if (r < 0)
        return r;
    k->keys[k->n - 1].not_after = read_time(v[2]);
    k->keys[k->n - 1].not_before = read_time(v[3]);
    return 0;
}

int keyring_parse(struct str json, struct keyring *ret)
{
    struct keyring k = {0};
    struct json_error why;
    enum json_type top;
    struct str key, value;
    int r = json_scan(json, NULL, NULL, 0, &top, &why);

    if (r < 0 || top != JSON_ARRAY)
        return -EINVAL;
    for (size_t at = json_inside(json); r == 0 && json_next(json, &at, &key, &value);)
        r = parse_key(value, &k);
    if (r == 0 && k.n == 0)
        r = -EINVAL;
    if (r < 0)
        keyring_free(&k);
    else
        *ret = k;
    return r;
}

static void free_secret_buf(struct buf *b)
{
    if (b->cap)
        mem_wipe(b->p, b->cap);
    buf_free(b);
}

int keyring_load(int dir, struct keyring *ret)
{
    struct buf text;

    buf_init(&text, KEYS_FILE_BYTES);
    int r = file_read(dir, KEYS_FILE, &text);
    if (r == 0)
        r = keyring_parse(buf_str(&text), ret);
    free_secret_buf(&text);
    return r;
}

static void add_key(struct payload *p, const struct chain_key *key)
{
    char hex[HEX_SIZE(KEY_BYTES_MAX)];

    hex_encode(str_at((const char *)key->bytes, key->n), hex);
    payload_item_object(p);
    payload_str(p, "hex", str_at(hex, HEX_SIZE(key->n)));
    payload_str(p, "key_id", str_of(key->id));
    payload_int(p, "not_after", key->not_after);
    payload_int(p, "not_before", key->not_before);
    payload_close(p);
    mem_wipe(hex, sizeof(hex));
}

int keyring_save(int dir, const struct keyring *k)
{
    struct payload p;
    struct buf text;

    buf_init(&text, KEYS_FILE_BYTES);
    int r = buf_reserve(&text, 1024 + 512 * (size_t)k->n); /* so that no copy is left behind */
    payload_begin(&p, &text);
    payload_array(&p, "keys");
    for (unsigned i = 0; i < k->n; i++)
        add_key(&p, &k->keys[i]);
    payload_close(&p);
    if (r == 0)
        r = payload_end(&p);
    if (r == 0) { /* the array alone */
        struct str array = str_at(text.p + 8, text.n - 9);
        r = file_write(dir, KEYS_FILE, array, 0600);
    }
    free_secret_buf(&text);
    return r;
}

/* --- a key as an operator gives it --- */

static int one_key(struct str bytes, struct keyring *ret)
{
    struct keyring k = {.any_id = true};
    int r = keyring_add(&k, STR_NONE, bytes);

    if (r < 0)
        keyring_free(&k);
    else
        *ret = k;
    return r;
}

static int decode_key(struct str text, ssize_t (*decode)(struct str, void *), struct keyring *ret)
{
    char bytes[2 * KEY_BYTES_MAX + 4];

    if (text.n > 2 * (size_t)KEY_BYTES_MAX)
        return -EINVAL;
    ssize_t n = decode(text, bytes);
    int r = n > 0 ? one_key(str_at(bytes, (size_t)n), ret) : -EINVAL;
    mem_wipe(bytes, sizeof(bytes));
    return r;
}

/* A key ring, hex of at least 16 bytes, or the bytes themselves. */
static int bare_key(struct str text, struct keyring *ret)
{
    text = str_trim(text);
    if (text.n && text.p[0] == '[')
        return keyring_parse(text, ret);
    if (text.n >= 32 && decode_key(text, hex_decode, ret) == 0)
        return 0;
    return one_key(text, ret);
}

static int key_file(const char *path, struct keyring *ret)
{
    struct buf text;

    buf_init(&text, KEYS_FILE_BYTES);
    int r = file_read(AT_FDCWD, path, &text);
    if (r == 0)
        r = bare_key(buf_str(&text), ret);
    free_secret_buf(&text);
    return r;
}

int keyring_spec(const char *spec, struct keyring *ret)
{
    struct str s = str_of(spec);

    if (str_starts(s, STR("file:")))
        return key_file(spec + 5, ret);
    if (str_starts(s, STR("hex:")))
        return decode_key(str_from(s, 4), hex_decode, ret);
    if (str_starts(s, STR("base64:")))
        return decode_key(str_from(s, 7), base64_decode, ret);
    if (str_starts(s, STR("env:"))) {
        const char *value = getenv(spec + 4);
        return value ? bare_key(str_of(value), ret) : -ENOENT;
    }
    int r = key_file(spec, ret);
    return r == -ENOENT || r == -ENAMETOOLONG ? bare_key(s, ret) : r;
}
