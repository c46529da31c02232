/* The registry over a real SQLite store: every write as the catalogue and lists then have it. */
#include "keys/registry_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "base/tap.h"
#include "keys/limits.h"
#include "keys/vkey.h"
#include "runtime/offload.h"
#include "runtime/test_loop.h"
#include "json/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct store *store;
static struct shared *shared;
static struct catalog *cat, *other_cat;
static struct registry *reg, *other; /* two processes over one database, so to say */
static struct arena arena;
static struct error error;
static char dir[64];

static void open_all(void)
{
    char err[STORE_ERR_BYTES] = "";

    snprintf(dir, sizeof dir, "/tmp/sf-keys-XXXXXX");
    must(mkdtemp(dir));
    must(offload_start(2) == 0);
    struct store_settings s = {.data_dir = str_of(dir)};
    struct shared_settings sh = {.node = STR("n1"), .prefix = STR("sf")};
    if (store_open(&s, &store, err, sizeof err) < 0)
        panic("store: %s", err);
    must(shared_open(&sh, &shared, err, sizeof err) == 0);
    must(catalog_new(&cat) == 0 && catalog_new(&other_cat) == 0);
    must(registry_open(store, shared, cat, &reg) == 0);
    must(registry_open(store, NULL, other_cat, &other) == 0);
    must(registry_load(reg, err) == 0 && registry_load(other, err) == 0);
    arena_init(&arena, NULL, 0, 64 * MIB);
}

static void close_all(void)
{
    static const char *const files[] = {"smartflow.db", "smartflow.db-wal", "smartflow.db-shm"};
    char path[128];

    registry_close(reg);
    registry_close(other);
    catalog_free(cat);
    catalog_free(other_cat);
    shared_close(shared);
    store_close(store);
    offload_stop();
    arena_free(&arena);
    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
}

static struct record create(enum subject_kind kind, const char *json, struct str *secret)
{
    struct record rec = {0};
    int r = registry_create(reg, kind, str_of(json), &rec, secret, &arena, &error);

    if (r < 0)
        tap_fail(__FILE__, __LINE__, "%s: %d " STR_FMT, json, r, STR_ARG(error.message));
    return rec;
}

/* "status code param" of a refusal. */
static struct str refused(enum subject_kind kind, const char *json)
{
    static char out[128];
    struct record rec;
    struct str secret;

    error = (struct error){0};
    if (registry_create(reg, kind, str_of(json), &rec, &secret, &arena, &error) == 0)
        return STR("taken");
    int n = snprintf(out, sizeof out, "%d " STR_FMT " " STR_FMT, error.status, STR_ARG(error.code),
        STR_ARG(error.param));
    return str_at(out, (size_t)n);
}

static const struct virtual_key *in_catalog(struct catalog *c, struct str secret)
{
    struct virtual_key k;
    char id[17];

    vkey_set_secret(&k, secret, id);
    return catalog_key(c, k.hash);
}

static struct record get(struct str id)
{
    struct record rec = {0};

    must(registry_get(reg, SUBJECT_KEY, id, &rec, &arena, &error) == 0);
    return rec;
}

/* --- create, get --- */

static void create_body(void)
{
    struct str secret = STR_NONE;
    struct record rec = create(SUBJECT_KEY,
        "{\"name\":\"one\",\"budgets\":{\"monthly\":\"100.50\"},\"rpm_limit\":5,"
        "\"address_allowlist\":[\"127.0.0.0/8\"],\"tags\":[\"a\"]}",
        &secret);

    CHECK(str_starts(secret, STR("sk-sf-")) && secret.n == 54 && vkey_form_ok(secret));
    CHECK_EQ(rec.id.n, 16);
    CHECK_STR(rec.last4, str_from(secret, 50));
    CHECK(rec.is_active && rec.version > 0 && rec.created_at > 0);
    CHECK_EQ(rec.budgets.at[0].limit_nano, 100500000000);
    /* by its id, itself, and its hash */
    struct str hex = change_id(SUBJECT_KEY, &rec, &arena);
    CHECK_STR(get(rec.id).name, STR("one"));
    CHECK_STR(get(secret).name, STR("one"));
    CHECK_STR(get(hex).name, STR("one"));
    CHECK_EQ(registry_get(reg, SUBJECT_KEY, STR("nobody"), &rec, &arena, &error), -ENOENT);
    CHECK_EQ(error.status, 404);
    CHECK_EQ(registry_get(reg, SUBJECT_KEY, STR("' OR 1=1 --"), &rec, &arena, &error), -ENOENT);
    /* in the catalogue, here at once and elsewhere after a look */
    const struct virtual_key *k = in_catalog(cat, secret);
    CHECK(k && k->addresses && k->subject.limits.rpm == 5 && k->subject.limits.budgets_n == 1);
    vkey_unref(k);
    CHECK(in_catalog(other_cat, secret) == NULL);
    CHECK_EQ(registry_refresh(other), 0);
    k = in_catalog(other_cat, secret);
    CHECK(k != NULL);
    vkey_unref(k);
}

static void test_create(void)
{
    in_loop(create_body);
}

/* --- names, links --- */

static void names_body(void)
{
    struct str secret;
    char json[256];
    struct record org = create(SUBJECT_ORG, "{\"name\":\"acme\"}", NULL),
                  rival = create(SUBJECT_ORG, "{\"name\":\"rival\"}", NULL);

    CHECK_STR(refused(SUBJECT_ORG, "{\"name\":\"acme\"}"), STR("409 already_exists name"));
    snprintf(
        json, sizeof json, "{\"name\":\"search\",\"org_id\":\"" STR_FMT "\"}", STR_ARG(org.id));
    struct record team = create(SUBJECT_TEAM, json, NULL);
    CHECK(str_starts(team.id, STR("team_")));
    CHECK_STR(refused(SUBJECT_TEAM, json), STR("409 already_exists name"));
    CHECK_STR(refused(SUBJECT_TEAM, "{\"name\":\"x\",\"org_id\":\"org_no\"}"),
        STR("400 invalid_request_error org_id"));
    /* a key has its team's organisation, and no other */
    snprintf(json, sizeof json, "{\"name\":\"k\",\"team_id\":\"" STR_FMT "\"}", STR_ARG(team.id));
    struct record key = create(SUBJECT_KEY, json, &secret);
    CHECK_STR(key.org_id, org.id);
    CHECK_STR(refused(SUBJECT_KEY, json), STR("409 already_exists name"));
    snprintf(json, sizeof json,
        "{\"name\":\"k2\",\"team_id\":\"" STR_FMT "\",\"org_id\":\"" STR_FMT "\"}",
        STR_ARG(team.id), STR_ARG(rival.id));
    CHECK_STR(refused(SUBJECT_KEY, json), STR("400 invalid_request_error team_id"));
    CHECK_STR(refused(SUBJECT_KEY, "{\"name\":\"k2\",\"user_id\":\"user_no\"}"),
        STR("400 invalid_request_error user_id"));
    /* another team may use the name; and so may this one, once the key is revoked */
    create(SUBJECT_KEY, "{\"name\":\"k\"}", &secret);
    CHECK_STR(refused(SUBJECT_KEY, "{\"name\":\"k\"}"), STR("409 already_exists name"));
    struct record rec;
    CHECK_EQ(registry_revoke(reg, key.id, &rec, &arena, &error), 0);
    CHECK(!rec.is_active);
    snprintf(json, sizeof json, "{\"name\":\"k\",\"team_id\":\"" STR_FMT "\"}", STR_ARG(team.id));
    CHECK_STR(refused(SUBJECT_KEY, json), STR("taken"));
    /* but then the old one cannot come back under it */
    CHECK_EQ(registry_update(
                 reg, SUBJECT_KEY, key.id, STR("{\"is_active\":true}"), 0, &rec, &arena, &error),
        -EEXIST);
    CHECK_EQ(registry_delete(reg, SUBJECT_TEAM, team.id, &rec, &arena, &error), -EEXIST);
    CHECK_STR(error.code, STR("in_use"));
}

static void test_names(void)
{
    in_loop(names_body);
}

/* --- update, revoke, delete --- */

static void update_body(void)
{
    struct str secret;
    struct record was = create(
                      SUBJECT_KEY, "{\"name\":\"up\",\"rpm_limit\":5,\"tags\":[\"t\"]}", &secret),
                  rec;

    CHECK_EQ(registry_update(reg, SUBJECT_KEY, was.id,
                 STR("{\"monthly_spend_cap\":1,\"rpm_limit\":null}"), 0, &rec, &arena, &error),
        0);
    CHECK(rec.version > was.version && rec.rpm == 0 && rec.tags.n == 1 && rec.budgets.n == 1);
    CHECK_EQ(registry_update(reg, SUBJECT_KEY, was.id, STR("{\"name\":\"x\"}"), was.version, &rec,
                 &arena, &error),
        -EAGAIN);
    CHECK_EQ(error.status, 409);
    CHECK_EQ(registry_update(
                 reg, SUBJECT_KEY, was.id, STR("{\"last4\":\"x\"}"), 0, &rec, &arena, &error),
        -EINVAL);
    CHECK_EQ(
        registry_update(reg, SUBJECT_KEY, STR("no"), STR("{}"), 0, &rec, &arena, &error), -ENOENT);
    const struct virtual_key *k = in_catalog(cat, secret);
    CHECK(k && k->subject.limits.rpm == 0 && k->subject.limits.budgets_n == 1);
    vkey_unref(k);
    CHECK_EQ(registry_delete(reg, SUBJECT_KEY, was.id, &rec, &arena, &error), 0);
    CHECK_STR(rec.name, STR("up"));
    CHECK(in_catalog(cat, secret) == NULL);
    CHECK_EQ(registry_refresh(other), 0);
    CHECK(in_catalog(other_cat, secret) == NULL);
    CHECK_EQ(registry_delete(reg, SUBJECT_KEY, was.id, &rec, &arena, &error), -ENOENT);
}

static void test_update(void)
{
    in_loop(update_body);
}

static void customers_body(void)
{
    struct record rec = create(SUBJECT_CUSTOMER, "{\"id\":\"*\",\"rpm_limit\":3}", NULL);

    CHECK_STR(rec.id, STR("*"));
    CHECK_STR(refused(SUBJECT_CUSTOMER, "{\"id\":\"*\"}"), STR("409 already_exists id"));
    const struct subject *s = catalog_subject(cat, SUBJECT_CUSTOMER, STR("*"));
    CHECK(s && s->limits.rpm == 3);
    subject_unref(s);
    CHECK_EQ(registry_delete(reg, SUBJECT_CUSTOMER, STR("*"), &rec, &arena, &error), 0);
    CHECK(catalog_subject(cat, SUBJECT_CUSTOMER, STR("*")) == NULL);
    create(SUBJECT_CUSTOMER, "{\"id\":\"*\",\"rpm_limit\":4}", NULL); /* and again */
    s = catalog_subject(cat, SUBJECT_CUSTOMER, STR("*"));
    CHECK(s && s->limits.rpm == 4);
    subject_unref(s);
}

static void test_customers(void)
{
    in_loop(customers_body);
}

/* --- rotation, money --- */

static int64_t spent(const struct record *rec, enum budget_period p)
{
    struct record_spend spend[BUDGET_PERIODS];

    must(registry_spend(reg, SUBJECT_KEY, rec, spend) == 0);
    return spend[p].used_nano;
}

static int64_t adjusted_sum;

static int note_adjusted(void *ctx, struct str counter, int64_t nano, int64_t expires_at)
{
    must(ctx == &adjusted_sum && counter.n && (expires_at == 0 || expires_at > clock_wall()));
    adjusted_sum += nano;
    return 0;
}

static void spend_some(const struct record *rec, int64_t nano)
{
    for (int p = 0; p < BUDGET_PERIODS; p++) {
        _cleanup_(buf_free) struct buf name = {.max = 512};
        int64_t end = limits_counter_of(
            SUBJECT_KEY, rec->org_id, rec->id, (enum budget_period)p, clock_wall(), &name);
        struct shared_change c = {.name = buf_str(&name), .use = nano, .expires_at = end};
        shared_settle(shared, &c, 1);
    }
}

static void rotate_body(void)
{
    struct str first, second;
    struct record old = create(SUBJECT_KEY, "{\"name\":\"rot\",\"monthly_spend_cap\":9}", &first),
                  rec;

    registry_on_adjusted(reg, note_adjusted, &adjusted_sum);
    spend_some(&old, 1000);
    CHECK_EQ(registry_rotate(reg, old.id, 3600 * NS_PER_S, STR("{\"rpm_limit\":7}"), &rec, &second,
                 &arena, &error),
        0);
    CHECK(!str_eq(first, second) && !str_eq(rec.id, old.id));
    CHECK_STR(rec.rotated_from, old.id);
    CHECK_STR(rec.name, STR("rot"));
    CHECK(rec.rpm == 7 && rec.budgets.n == 1);
    const struct virtual_key *k = in_catalog(cat, first);
    CHECK(k && vkey_is_live(k, clock_wall()) && !vkey_is_live(k, clock_wall() + 3601 * NS_PER_S));
    vkey_unref(k);
    CHECK_EQ(spent(&rec, BUDGET_MONTHLY), 1000); /* no fresh budget */
    CHECK_EQ(adjusted_sum, 4000);
    CHECK_EQ(registry_rotate(reg, old.id, 0, STR_NONE, &rec, &second, &arena, &error), -EEXIST);
    CHECK_STR(error.code, STR("not_active"));
    CHECK_STR(refused(SUBJECT_KEY, "{\"name\":\"rot\"}"), STR("409 already_exists name"));
    /* at once */
    struct str third;
    struct record last;
    struct record now = get(second);
    CHECK_EQ(registry_rotate(reg, now.id, 0, STR_NONE, &last, &third, &arena, &error), 0);
    k = in_catalog(cat, second);
    CHECK(k && !vkey_is_live(k, clock_wall()));
    vkey_unref(k);
    CHECK_EQ(registry_reset_spend(reg, SUBJECT_KEY, &last, 1u << BUDGET_MONTHLY, &error), 0);
    CHECK_EQ(spent(&last, BUDGET_MONTHLY), 0);
    CHECK_EQ(spent(&last, BUDGET_DAILY), 1000);
    CHECK_EQ(adjusted_sum, 4000 + 4000 - 1000);
}

static void test_rotate(void)
{
    in_loop(rotate_body);
}

/* --- lists --- */

static void list_body(void)
{
    struct registry_page page;
    struct registry_query q = {.limit = 7};
    unsigned seen = 0;
    char json[128];
    struct str secret;
    struct record team = create(SUBJECT_TEAM, "{\"name\":\"listed\"}", NULL);

    for (unsigned i = 0; i < 30; i++) {
        snprintf(json, sizeof json,
            "{\"name\":\"l%u\",\"team_id\":\"" STR_FMT "\",\"is_active\":%s}", i, STR_ARG(team.id),
            i % 3 ? "true" : "false");
        create(SUBJECT_KEY, json, &secret);
    }
    struct registry_filter f[] = {{STR("team_id"), team.id}, {STR("is_active"), STR("true")}};
    q.filters = f;
    q.filters_n = 2;
    int64_t before = INT64_MAX;
    do {
        CHECK_EQ(registry_list(reg, SUBJECT_KEY, &q, &page, &arena, &error), 0);
        CHECK(page.n <= 7);
        for (unsigned i = 0; i < page.n; i++) {
            CHECK(page.at[i].is_active && page.at[i].created_at <= before);
            before = page.at[i].created_at;
        }
        seen += page.n;
        q.cursor = page.next;
    } while (page.next.n);
    CHECK_EQ(seen, 20);
    static const struct {
        struct registry_filter f;
        const char *cursor;
        unsigned limit;
        const char *param, *says;
    } wrong[] = {
        {{STR_INIT("colour"), STR_INIT("red")}, "", 0, "colour",
            "cannot be filtered by 'colour', but by: id, name"},
        {{STR_INIT("is_active"), STR_INIT("yes")}, "", 0, "is_active", "true or false"},
        {{STR_INIT("name"), STR_INIT("x")}, "abc", 0, "cursor", "page before"},
        {{STR_INIT("name"), STR_INIT("x")}, "12.", 0, "cursor", "page before"},
        {{STR_INIT("name"), STR_INIT("x")}, "", 1001, "limit", "1 to 1000"},
        {{STR_INIT("created_at"), STR_INIT("now")}, "", 0, "created_at", "a time like"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        struct registry_query w = {&wrong[i].f, 1, str_of(wrong[i].cursor), wrong[i].limit};
        CHECK_EQ(registry_list(reg, SUBJECT_KEY, &w, &page, &arena, &error), -EINVAL);
        CHECK_STR(error.param, str_of(wrong[i].param));
        CHECK(str_find(error.message, str_of(wrong[i].says)) >= 0);
    }
}

static void test_list(void)
{
    in_loop(list_body);
}

static void config_body(void)
{
    struct vkey_set *set;
    struct virtual_key k = {.subject = {.name = STR("from-file"), .is_active = true}};
    struct registry_page page;
    struct registry_filter f = {STR("name"), STR("from-file")};
    struct registry_query q = {.filters = &f, .filters_n = 1};
    struct record rec;

    must(vkey_set_new(&set) == 0 && vkey_set_add(set, &k, STR("sk-sf-fromfile1")) == 0);
    catalog_set_config_keys(cat, set);
    vkey_set_free(set);
    CHECK_EQ(registry_list(reg, SUBJECT_KEY, &q, &page, &arena, &error), 0);
    CHECK(page.n == 1 && page.at[0].from_config);
    CHECK_EQ(registry_get(reg, SUBJECT_KEY, page.at[0].id, &rec, &arena, &error), 0);
    CHECK_EQ(registry_revoke(reg, page.at[0].id, &rec, &arena, &error), -EPERM);
    CHECK_EQ(error.status, 403);
    CHECK_EQ(registry_delete(reg, SUBJECT_KEY, page.at[0].id, &rec, &arena, &error), -EPERM);
    catalog_set_config_keys(cat, NULL);
}

static void test_config_keys(void)
{
    in_loop(config_body);
}

/* --- following --- */

/* Where the feed was cut short, everything is read anew, and what is gone goes. */
static void stale_body(void)
{
    struct str gone, stays;
    struct record a = create(SUBJECT_KEY, "{\"name\":\"gone\"}", &gone), rec;

    create(SUBJECT_KEY, "{\"name\":\"stays\"}", &stays);
    CHECK_EQ(registry_refresh(other), 0);
    const struct virtual_key *k = in_catalog(other_cat, gone);
    CHECK(k != NULL);
    vkey_unref(k);
    CHECK_EQ(registry_delete(reg, SUBJECT_KEY, a.id, &rec, &arena, &error), 0);
    create(SUBJECT_KEY, "{\"name\":\"later\"}", &gone);
    CHECK_EQ(store_exec(store, "DELETE FROM changes WHERE seq < (SELECT MAX(seq) FROM changes)",
                 NULL, 0, NULL, NULL),
        0);
    CHECK_EQ(registry_refresh(other), 0);
    CHECK(catalog_is_fresh(other_cat));
    k = in_catalog(other_cat, gone);
    CHECK(k != NULL);
    vkey_unref(k);
    k = in_catalog(other_cat, stays);
    CHECK(k != NULL);
    vkey_unref(k);
    CHECK_EQ(catalog_count(other_cat), catalog_count(cat));
}

static void test_stale(void)
{
    in_loop(stale_body);
}

/* --- many --- */

static void many_body(void)
{
    unsigned n = getenv("KEYS_MANY") ? 100000 : 1000;
    char err[STORE_ERR_BYTES] = "";
    uint8_t hash[32] = {0};

    for (unsigned i = 0; i < n;) {
        struct store_batch *b;
        must(store_batch_new(&b) == 0);
        for (unsigned j = 0; j < 1000; j++, i++) {
            struct arena a;
            struct store_value v[COLUMNS_MAX + 2];
            memcpy(hash, &i, sizeof i);
            arena_init(&a, NULL, 0, MIB);
            struct record rec = {.id = arena_printf(&a, "many%u", i),
                .name = arena_printf(&a, "many %u", i),
                .last4 = STR("abcd"),
                .is_active = true,
                .created_at = i + 1};
            memcpy(rec.hash, hash, sizeof hash);
            int c = row_values(SUBJECT_KEY, &rec, false, v, &a);
            must(c > 0 && store_batch_add(b, reg->sql[SUBJECT_KEY].insert, v, (unsigned)c, 0) == 0);
            arena_free(&a);
        }
        CHECK_EQ(store_batch_run(store, b, err), 0);
        store_batch_free(b);
    }
    int64_t t0 = clock_now();
    unsigned before = catalog_count(other_cat);
    CHECK_EQ(registry_load(other, err), 0);
    CHECK_EQ(catalog_count(other_cat), before + n);
    printf("# %u keys loaded from SQLite in %lld ms\n", n,
        (long long)((clock_now() - t0) / NS_PER_MS));
}

static void test_many(void)
{
    in_loop(many_body);
}

int main(void)
{
    open_all();
    TAP_RUN(test_create);
    TAP_RUN(test_names);
    TAP_RUN(test_update);
    TAP_RUN(test_customers);
    TAP_RUN(test_rotate);
    TAP_RUN(test_list);
    TAP_RUN(test_config_keys);
    TAP_RUN(test_stale);
    TAP_RUN(test_many);
    close_all();
    return tap_done();
}
