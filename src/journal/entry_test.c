/*
 * Entries against the known answers (key = bytes 00 … 1f, key_id "kat-1"), and the Merkle tree
 * against the published roots of the Certificate Transparency test data.
 */
#include "base/macros.h"
#include "base/tap.h"
#include "crypto/encode.h"
#include "journal/entry_int.h"
#include "journal/merkle_int.h"

#include <errno.h>

static const struct entry_origin own = {.ring = -1};

static struct str kat_key(void)
{
    static char key[32];

    for (int i = 0; i < 32; i++)
        key[i] = (char)i;
    return str_at(key, sizeof(key));
}

static void test_known_answers(void)
{
    struct chain_end end = {.link = GENESIS};
    struct hmac_key key;
    uint8_t leaf[SHA256_BYTES];
    struct journal_entry e;
    struct buf out, mem;

    buf_init(&out, 8192);
    buf_init(&mem, 8192);
    CHECK_EQ(hmac_key_init(&key, kat_key()), 0);
    CHECK_EQ(entry_add(&out, &end, STR("kat-1"), &key, &own,
                 STR("{\"a\":[{\"x\":1,\"y\":2}],\"event\":\"request\",\"request_id\":\"req-1\","
                     "\"z\":1}"),
                 leaf),
        0);
    CHECK_STR(
        str_of(end.link), STR("47e180fc2bc4742a6604cd445895337e11c438fc8ef9732d05fd5349024d22d0"));
    size_t first = out.n;
    CHECK_EQ(
        entry_add(&out, &end, STR("kat-1"), &key, &own,
            STR("{\"event\":\"block\",\"reason\":\"\xc3\xa9\\\"\\\\\",\"request_id\":\"req-2\"}"),
            leaf),
        0);
    CHECK_STR(
        str_of(end.link), STR("31bd5e1f63d4e7c95522fec24085b639859a1cf3c2dd7d32bc6437da09aac9dd"));
    CHECK_EQ(end.seq, 2);
    CHECK(entry_read(str_at(out.p, first - 1), &e));
    CHECK_EQ(entry_read_any(e.line, &mem, &e), 0);
    CHECK_STR(e.canonical,
        STR("{\"key_id\":\"kat-1\",\"payload\":{\"a\":[{\"x\":1,\"y\":2}],\"event\":\"request\","
            "\"request_id\":\"req-1\",\"z\":1},\"prev_hash\":\"genesis\",\"seq\":1}"));
    uint8_t again[SHA256_BYTES];
    CHECK(entry_read(str_at(out.p + first, out.n - first - 1), &e));
    CHECK_EQ(entry_read_any(e.line, &mem, &e), 0);
    merkle_leaf(e.canonical, again);
    CHECK(memcmp(leaf, again, sizeof(leaf)) == 0);
    hmac_key_free(&key);
    buf_free(&out);
    buf_free(&mem);
}

/* An entry of another writer: other order, white space, escapes. */
static void test_foreign_entry(void)
{
    struct journal_entry e;
    struct buf mem;

    buf_init(&mem, 8192);
    struct str line = STR(" {\"seq\": 7, \"prev_hash\": \"unsigned:6\", \"key_id\": \"k\",\n"
                          " \"payload\": {\"b\": \"\\u00e9\", \"a\": 1}, \"entry_hmac\": \"ab\"} ");
    CHECK(!entry_read(line, &e));
    CHECK_EQ(entry_read_any(line, &mem, &e), 0);
    CHECK_EQ(e.seq, 7);
    CHECK_STR(e.prev_hash, STR("unsigned:6"));
    CHECK_STR(e.entry_hmac, STR("ab"));
    CHECK_STR(e.canonical, STR("{\"key_id\":\"k\",\"payload\":{\"a\":1,\"b\":\"\xc3\xa9\"},"
                               "\"prev_hash\":\"unsigned:6\",\"seq\":7}"));
    CHECK_EQ(
        entry_read_any(STR("{\"payload\":{},\"prev_hash\":\"genesis\",\"seq\":1}"), &mem, &e), 0);
    CHECK_EQ(e.entry_hmac.n, 0);
    buf_free(&mem);
}

static void test_no_entry(void)
{
    static const char *const bad[] = {"", "{}", "[]", "7", "{\"seq\":1}",
        "{\"payload\":{},\"prev_hash\":\"genesis\",\"seq\":0}",
        "{\"payload\":{},\"prev_hash\":\"genesis\",\"seq\":1.0}",
        "{\"payload\":[],\"prev_hash\":\"genesis\",\"seq\":1}",
        "{\"payload\":{\"a\":1.5},\"prev_hash\":\"genesis\",\"seq\":1}",
        "{\"payload\":{},\"prev_hash\":7,\"seq\":1}",
        "{\"payload\":{},\"prev_hash\":\"genesis\",\"seq\":1,\"seq\":1}",
        "{\"entry_hmac\":\"a\",\"entry_hmac\":\"b\",\"payload\":{},\"prev_hash\":\"x\",\"seq\":1}"};
    struct journal_entry e;
    struct buf mem;

    buf_init(&mem, 8192);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int r = entry_read_any(str_of(bad[i]), &mem, &e);
        if (r != -EINVAL)
            tap_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
    }
    buf_free(&mem);
}

static void test_origin(void)
{
    struct entry_origin o;

    CHECK(entry_origin(STR("{\"_ring\":[3,88],\"event\":\"x\"}"), &o));
    CHECK_EQ(o.ring, 3);
    CHECK_EQ(o.end, 88);
    CHECK(entry_origin(STR("{\"_ring\":[0,8]}"), &o));
    CHECK(!entry_origin(STR("{\"event\":\"x\"}"), &o));
    CHECK(!entry_origin(STR("{\"_ring\":[x,8]}"), &o));
    CHECK(!entry_origin(STR("{\"_ring\":[1"), &o));
}

static const struct {
    const char *leaf, *root;
} tree[] = {
    {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
    {"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
    {"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
    {"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
    {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
    {"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
    {"606162636465666768696a6b6c6d6e6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
};

static void test_merkle_known(void)
{
    struct merkle m = {0};
    uint8_t root[SHA256_BYTES], leaf[SHA256_BYTES];
    char data[32], hex[2 * SHA256_BYTES];

    merkle_root(&m, root);
    hex_encode(str_at((char *)root, sizeof(root)), hex);
    CHECK_STR(
        str_at(hex, 64), STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    for (size_t i = 0; i < ARRAY_LEN(tree); i++) {
        ssize_t n = hex_decode(str_of(tree[i].leaf), data);
        merkle_leaf(str_at(data, (size_t)n), leaf);
        merkle_add(&m, leaf);
        merkle_root(&m, root);
        hex_encode(str_at((char *)root, sizeof(root)), hex);
        CHECK_STR(str_at(hex, 64), str_of(tree[i].root));
    }
}

static void test_merkle_paths(void)
{
    uint8_t leaves[70][SHA256_BYTES], root[SHA256_BYTES];
    struct buf path;

    buf_init(&path, 4096);
    for (uint8_t i = 0; i < 70; i++)
        merkle_leaf(str_at((char *)&i, 1), leaves[i]);
    for (size_t n = 1; n <= 70; n++) {
        struct merkle m = {0};
        for (size_t i = 0; i < n; i++)
            merkle_add(&m, leaves[i]);
        merkle_root(&m, root);
        for (size_t i = 0; i < n; i++) {
            buf_clear(&path);
            CHECK_EQ(merkle_path((const uint8_t(*)[SHA256_BYTES])leaves, n, i, &path), 0);
            CHECK(merkle_check(leaves[i], i, n, buf_str(&path), root));
            CHECK(!merkle_check(leaves[(i + 1) % 70], i, n, buf_str(&path), root));
            CHECK(n == 1 || !merkle_check(leaves[i], (i + 1) % n, n, buf_str(&path), root));
            CHECK(n == 1 || !merkle_check(leaves[i], i, n, str_from(buf_str(&path), 32), root));
        }
    }
    buf_free(&path);
}

int main(void)
{
    TAP_RUN(test_known_answers);
    TAP_RUN(test_foreign_entry);
    TAP_RUN(test_no_entry);
    TAP_RUN(test_origin);
    TAP_RUN(test_merkle_known);
    TAP_RUN(test_merkle_paths);
    return tap_done();
}
