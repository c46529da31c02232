/*
 * The vault over SQLite: what is kept and what is not, changes, the snapshot, and rotation of the
 * master key, also when it is cut short or others change records meanwhile.
 */
#include "vault/vault_int.h"

#include "base/tap.h"
#include "crypto/random.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], err[VAULT_ERR_BYTES];
static struct store *store;
static struct vault *v;
static struct secret master, next;
static unsigned changes;

static void count_change(void *ctx)
{
    (void)ctx;
    changes++;
}

static void empty_folder(void)
{
    char path[512];
    DIR *d = opendir(dir);
    struct dirent *e;

    while (d && (e = readdir(d)))
        if (snprintf(path, sizeof path, "%s/%s", dir, e->d_name) > 0)
            unlink(path);
    if (d)
        closedir(d);
}

static int reopen(void)
{
    struct vault_settings set = {
        .store = store, .data_dir = str_of(dir), .master = &master, .next = &next};

    vault_close(v);
    v = NULL;
    err[0] = 0;
    int r = vault_open(&set, &v, err);
    if (r == 0)
        vault_on_change(v, count_change, NULL);
    return r;
}

/* A fresh folder, store and vault. */
static void begin(void)
{
    struct store_settings set = {.data_dir = str_of(dir)};

    vault_close(v);
    v = NULL;
    store_close(store);
    secret_free(&master);
    secret_free(&next);
    empty_folder();
    changes = 0;
    if (store_open(&set, &store, err, sizeof err) < 0)
        panic("%s", err);
    if (reopen() < 0)
        panic("%s", err);
}

static struct str add(const char *provider, const char *name, const char *value, int64_t weight)
{
    static char id[VAULT_ID_BYTES];
    struct vault_new n = {str_of(provider), str_of(name), str_of(value), weight, true};

    must(vault_add(v, &n, id, err) == 0);
    return str_of(id);
}

static bool holds(struct str id, const char *value)
{
    _cleanup_(secret_free) struct secret s = {0};
    int r = vault_value(v, id, &s, err);

    return r == 0 && secret_eq(&s, str_of(value));
}

/* --- records --- */

static void test_add_and_list(void)
{
    _cleanup_(vault_list_freep) struct vault_list *l = NULL;

    begin();
    struct str id = add("openai", "main", "sk-canary-0123456789", 3);
    CHECK_EQ(id.n, VAULT_ID_BYTES - 1);
    CHECK(holds(id, "sk-canary-0123456789"));
    CHECK_EQ(changes, 1);
    CHECK_EQ(vault_list(v, STR(""), &l, err), 0);
    CHECK_EQ(l->n, 1);
    CHECK_STR(l->at[0].provider, STR("openai"));
    CHECK_STR(l->at[0].name, STR("main"));
    CHECK_STR(l->at[0].last4, STR("6789"));
    CHECK_EQ(l->at[0].weight, 3);
    CHECK_EQ(l->at[0].version, 1);
    CHECK(l->at[0].is_active && l->at[0].created_at > 0);
    CHECK_EQ(vault_value(v, STR("pk_none"), &master, err), -ENOENT);
}

static void test_refusals(void)
{
    char id[VAULT_ID_BYTES];
    struct vault_new n = {STR("openai"), STR("a"), STR("sk-1"), 1, true};

    begin();
    CHECK_EQ(vault_add(v, &n, id, err), 0);
    CHECK_EQ(vault_add(v, &n, id, err), -EEXIST);
    n.provider = STR("groq");
    CHECK_EQ(vault_add(v, &n, id, err), 0); /* a name is its provider's own */
    static const struct str bad_values[] = {STR_INIT(""), STR_INIT("a b"), STR_INIT("a\n")};
    for (unsigned i = 0; i < ARRAY_LEN(bad_values); i++) {
        n.value = bad_values[i];
        CHECK_EQ(vault_add(v, &n, id, err), -EINVAL);
    }
    n.value = STR("x");
    static const struct str bad_names[] = {STR_INIT(""), STR_INIT(" a"), STR_INIT("a\x01")};
    for (unsigned i = 0; i < ARRAY_LEN(bad_names); i++) {
        n.name = bad_names[i];
        CHECK_EQ(vault_add(v, &n, id, err), -EINVAL);
    }
    CHECK_EQ(changes, 2);
}

static void test_change(void)
{
    _cleanup_(vault_list_freep) struct vault_list *l = NULL;
    char id[VAULT_ID_BYTES];
    struct vault_change c = {.value = STR("sk-new-value-9999"), .is_active = -1};

    begin();
    memcpy(id, add("openai", "main", "sk-old-value-1111", 1).p, sizeof id);
    add("openai", "other", "sk-x", 1);
    CHECK_EQ(vault_change(v, str_of(id), &c, err), 0);
    CHECK(holds(str_of(id), "sk-new-value-9999"));
    c = (struct vault_change){.name = STR("renamed"), .weight = 7, .is_active = 0};
    CHECK_EQ(vault_change(v, str_of(id), &c, err), 0);
    CHECK(holds(str_of(id), "sk-new-value-9999"));
    CHECK_EQ(vault_get(v, str_of(id), &l, err), 0);
    CHECK_STR(l->at[0].name, STR("renamed"));
    CHECK_STR(l->at[0].last4, STR("9999"));
    CHECK_EQ(l->at[0].version, 2);
    CHECK_EQ(l->at[0].weight, 7);
    CHECK(!l->at[0].is_active);
    c = (struct vault_change){.name = STR("other"), .is_active = -1};
    CHECK_EQ(vault_change(v, str_of(id), &c, err), -EEXIST);
    CHECK_EQ(vault_change(v, STR("pk_none"), &c, err), -ENOENT);
    CHECK_EQ(vault_delete(v, str_of(id), err), 0);
    CHECK_EQ(vault_delete(v, str_of(id), err), -ENOENT);
    CHECK(!holds(str_of(id), "sk-new-value-9999"));
}

static void test_snapshot(void)
{
    _cleanup_(vault_secrets_freep) struct vault_secrets *s = NULL;
    struct vault_change off = {.is_active = 0};

    begin();
    add("openai", "one", "sk-one", 2);
    add("anthropic", "two", "sk-two", 1);
    CHECK_EQ(vault_change(v, add("openai", "off", "sk-off", 1), &off, err), 0);
    CHECK_EQ(vault_snapshot(v, &s, err), 0);
    CHECK_EQ(s->n, 2);
    CHECK_EQ(s->failed, 0);
    for (unsigned i = 0; i < s->n; i++) {
        bool one = str_eq(s->at[i].provider, STR("openai"));
        CHECK(secret_eq(&s->at[i].value, one ? STR("sk-one") : STR("sk-two")));
        CHECK_EQ(s->at[i].weight, one ? 2 : 1);
    }
}

/* A row's value does not open in another's place, nor under another provider. */
static void test_swapped(void)
{
    _cleanup_(vault_secrets_freep) struct vault_secrets *s = NULL;
    char a[VAULT_ID_BYTES], b[VAULT_ID_BYTES];

    begin();
    memcpy(a, add("openai", "a", "sk-aaaaaaaa", 1).p, sizeof a);
    memcpy(b, add("groq", "b", "sk-bbbbbbbb", 1).p, sizeof b);
    struct store_value p[] = {store_text(str_of(a)), store_text(str_of(b))};
    CHECK_EQ(
        store_exec(store,
            "UPDATE provider_keys SET sealed = (SELECT sealed FROM provider_keys WHERE id = ?2) "
            "WHERE id = ?1",
            p, 2, NULL, err),
        0);
    CHECK_EQ(vault_value(v, str_of(a), &master, err), -EBADMSG);
    CHECK(strstr(err, a) && !strstr(err, "sk-"));
    CHECK_EQ(
        store_exec(store, "UPDATE provider_keys SET provider = 'openai' WHERE id = ?2 AND ?1 <> ''",
            p, 2, NULL, err),
        0);
    CHECK_EQ(vault_value(v, str_of(b), &master, err), -EBADMSG);
    CHECK_EQ(vault_snapshot(v, &s, err), 0);
    CHECK_EQ(s->n, 0);
    CHECK_EQ(s->failed, 2);
}

/* --- the bytes on disk --- */

static bool file_has(const char *path, const char *needle)
{
    char *text = malloc(16 << 20);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, 16 << 20);
    bool has = n > 0 && memmem(text, (size_t)n, needle, strlen(needle));

    if (fd >= 0)
        close(fd);
    free(text);
    return has;
}

static bool folder_has(const char *needle)
{
    char path[512];
    DIR *d = opendir(dir);
    struct dirent *e;
    bool has = false;

    while (d && (e = readdir(d)))
        if (snprintf(path, sizeof path, "%s/%s", dir, e->d_name) > 0 && e->d_type == DT_REG)
            has |= file_has(path, needle);
    closedir(d);
    return has;
}

static void test_no_clear_text(void)
{
    struct vault_change c = {.value = STR("sk-CANARY-second-0987654321"), .is_active = -1};

    begin();
    struct str id = add("openai", "visible-name", "sk-CANARY-first-1234567890", 1);
    CHECK_EQ(vault_change(v, id, &c, err), 0);
    CHECK_EQ(vault_rotate_master(v, NULL, err), 0);
    CHECK(folder_has("visible-name")); /* the search itself works */
    CHECK(!folder_has("CANARY"));
    store_close(store);
    store = NULL;
    CHECK(!folder_has("CANARY"));
}

/* --- the master key --- */

static void set(struct secret *s, const char *hex_digit)
{
    char text[65];

    memset(text, *hex_digit, 64);
    must(secret_set(s, str_at(text, 64)) == 0);
}

static void id_now(char out[static 9])
{
    vault_master_id(v, out);
}

static void test_first_start(void)
{
    char path[128], a[9], b[9];
    struct stat st;

    begin();
    snprintf(path, sizeof path, "%s/master.key", dir);
    must(stat(path, &st) == 0);
    CHECK_EQ(st.st_mode & 07777, 0600);
    id_now(a);
    add("openai", "a", "sk-aaaa", 1);
    CHECK_EQ(reopen(), 0);
    id_now(b);
    CHECK_STR(str_of(a), str_of(b));
    must(chmod(path, 0644) == 0);
    CHECK_EQ(reopen(), -EACCES);
    CHECK(strstr(err, "chmod 600"));
    unlink(path);
    CHECK_EQ(reopen(), -ENOKEY); /* the records need it: no other is made */
    CHECK(strstr(err, a));
    CHECK(access(path, F_OK) < 0);
}

static void test_settings_key(void)
{
    begin();
    set(&master, "a");
    CHECK_EQ(reopen(), 0); /* the empty vault takes it */
    struct str id = add("openai", "a", "sk-aaaa", 1);
    set(&master, "b");
    CHECK_EQ(reopen(), -ENOKEY);
    CHECK(strstr(err, "SMARTFLOW_MASTER_KEY"));
    must(secret_set(&master, STR("not a key")) == 0);
    CHECK_EQ(reopen(), -EINVAL);
    CHECK(!strstr(err, "not a key"));
    set(&master, "a");
    CHECK_EQ(reopen(), 0);
    CHECK(holds(id, "sk-aaaa"));
    CHECK_EQ(vault_rotate_master(v, NULL, err), -ENOKEY); /* to what? */
    CHECK(strstr(err, "SMARTFLOW_MASTER_KEY_NEXT"));
    secret_free(&master);
    set(&next, "c");
    CHECK_EQ(reopen(), -EINVAL); /* NEXT alone */
}

static void test_rotate_settings(void)
{
    char before[9], after[9];
    unsigned n = 0;

    begin();
    set(&master, "a");
    set(&next, "b");
    CHECK_EQ(reopen(), 0);
    struct str id = add("openai", "a", "sk-aaaa", 1);
    id_now(before);
    CHECK_EQ(vault_rotate_master(v, &n, err), 0);
    CHECK_EQ(n, 1);
    id_now(after);
    CHECK(strcmp(before, after) != 0);
    CHECK(holds(id, "sk-aaaa"));
    CHECK_EQ(reopen(), 0); /* with both, before the settings were changed */
    CHECK(holds(id, "sk-aaaa"));
    CHECK_EQ(vault_rotate_master(v, &n, err), -ENOKEY); /* done already */
    secret_free(&next);
    CHECK_EQ(reopen(), -ENOKEY); /* the old one alone is not enough */
    set(&master, "b");
    CHECK_EQ(reopen(), 0);
    CHECK(holds(id, "sk-aaaa"));
}

static void test_file_to_settings(void)
{
    begin();
    struct str id = add("openai", "a", "sk-aaaa", 1);
    set(&master, "a");
    CHECK_EQ(reopen(), 0); /* the file's key still opens */
    CHECK(holds(id, "sk-aaaa"));
    CHECK_EQ(vault_rotate_master(v, NULL, err), 0);
    char path[128];
    snprintf(path, sizeof path, "%s/master.key", dir);
    unlink(path);
    CHECK_EQ(reopen(), 0);
    CHECK(holds(id, "sk-aaaa"));
}

static void test_rotate_file(void)
{
    char ids[3][VAULT_ID_BYTES], value[32], seen[12][9];
    unsigned n = 0;

    begin();
    for (unsigned i = 0; i < 3; i++) {
        snprintf(value, sizeof value, "sk-value-%u", i);
        memcpy(ids[i], add("openai", value + 3, value, 1).p, sizeof ids[i]);
    }
    for (unsigned k = 0; k < 12; k++) { /* more often than the file has room for keys */
        CHECK_EQ(vault_rotate_master(v, &n, err), 0);
        CHECK_EQ(n, 3);
        id_now(seen[k]);
        CHECK(!k || strcmp(seen[k], seen[k - 1]) != 0);
    }
    CHECK_EQ(reopen(), 0);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(value, sizeof value, "sk-value-%u", i);
        CHECK(holds(str_of(ids[i]), value));
    }
}

/* Cut short between the file and the store: both keys are there, and the next start ends it. */
static void test_rotation_cut_short(void)
{
    char before[9], after[9];
    struct ring r = {0};
    struct master_key k;

    begin();
    struct str id = add("openai", "a", "sk-aaaa", 1);
    id_now(before);
    must(ring_read(&r, dir, err) == 0);
    master_key_make(&k);
    ring_put_first(&r, &k);
    must(ring_write(&r, dir, err) == 0);
    CHECK(holds(id, "sk-aaaa")); /* the process that was there goes on */
    CHECK_EQ(reopen(), 0);
    id_now(after);
    CHECK_STR(str_of(after), str_of(k.id));
    CHECK(strcmp(before, after) != 0);
    CHECK(holds(id, "sk-aaaa"));
}

/* Another node on the same store and file rotates; this one learns it as it goes. */
static void test_two_nodes(void)
{
    struct vault_settings set = {.store = store, .data_dir = str_of(dir)};
    _cleanup_(vault_secrets_freep) struct vault_secrets *s = NULL;
    struct vault *other = NULL;
    char mine[9];

    begin();
    set.store = store;
    CHECK_EQ(vault_open(&set, &other, err), 0);
    struct str id = add("openai", "a", "sk-aaaa", 1);
    CHECK_EQ(vault_rotate_master(other, NULL, err), 0);
    CHECK(holds(id, "sk-aaaa"));
    CHECK_EQ(vault_rotate_master(other, NULL, err), 0);
    CHECK_EQ(vault_snapshot(v, &s, err), 0);
    CHECK_EQ(s->n, 1);
    CHECK(secret_eq(&s->at[0].value, STR("sk-aaaa")));
    char second[VAULT_ID_BYTES];
    memcpy(
        second, add("openai", "b", "sk-bbbb", 1).p, sizeof second); /* sealed under the new one */
    vault_master_id(other, mine);
    _cleanup_(vault_list_freep) struct vault_list *l = NULL;
    CHECK_EQ(vault_get(other, str_of(second), &l, err), 0);
    CHECK_STR(l->at[0].master_id, str_of(mine));
    CHECK_EQ(vault_rotate_master(v, NULL, err), 0); /* and the other way round */
    vault_close(other);
}

/* A record that does not open stops a rotation before anything is written. */
static void test_rotation_refused(void)
{
    char before[9], after[9];

    begin();
    struct str id = add("openai", "a", "sk-aaaa", 1);
    must(store_exec(store, "UPDATE provider_keys SET version = 9", NULL, 0, NULL, err) == 0);
    id_now(before);
    CHECK_EQ(vault_rotate_master(v, NULL, err), -EBADMSG);
    id_now(after);
    CHECK_STR(str_of(after), str_of(before));
    must(store_exec(store, "UPDATE provider_keys SET version = 1", NULL, 0, NULL, err) == 0);
    CHECK(holds(id, "sk-aaaa"));
}

int main(void)
{
    snprintf(dir, sizeof dir, "/tmp/vault-test-%d", (int)getpid());
    must(mkdir(dir, 0700) == 0);
    TAP_RUN(test_add_and_list);
    TAP_RUN(test_refusals);
    TAP_RUN(test_change);
    TAP_RUN(test_snapshot);
    TAP_RUN(test_swapped);
    TAP_RUN(test_no_clear_text);
    TAP_RUN(test_first_start);
    TAP_RUN(test_settings_key);
    TAP_RUN(test_rotate_settings);
    TAP_RUN(test_file_to_settings);
    TAP_RUN(test_rotate_file);
    TAP_RUN(test_rotation_cut_short);
    TAP_RUN(test_two_nodes);
    TAP_RUN(test_rotation_refused);
    vault_close(v);
    store_close(store);
    secret_free(&master);
    secret_free(&next);
    empty_folder();
    rmdir(dir);
    return tap_done();
}
