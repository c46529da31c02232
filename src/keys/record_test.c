/* Fields of records: money exactly, times, what is refused and how it says so, and both ways. */
#include "keys/record.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/tap.h"
#include "json/scan.h"
#include <errno.h>
#include <stdio.h>

static struct arena arena;
static struct error error;

/* --- money --- */

static void test_money(void)
{
    static const struct {
        const char *json;
        int64_t nano;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"0.0", 0},
        {"0e5", 0},
        {"12.5", 12500000000},
        {"\"12.50\"", 12500000000},
        {"100", 100000000000},
        {"1e2", 100000000000},
        {"1E+2", 100000000000},
        {"0.000000001", 1},
        {"1e-9", 1},
        {"10e-10", 1},
        {"0.1", 100000000},
        {"0.3", 300000000},
        {"999999999.999999999", 999999999999999999},
        {"1000000000", 1000000000000000000},
        {"\"1.10000000000000000000\"", 1100000000},
        {"-1", -ERANGE},
        {"\"-0.01\"", -ERANGE},
        {"1000000000.000000001", -ERANGE},
        {"1e10", -ERANGE},
        {"1e999", -ERANGE},
        {"1e1001", -ERANGE},
        {"0.0000000001", -ERANGE},
        {"1.0000000005", -ERANGE},
        {"99999999999999999999999999999999999999999999", -ERANGE},
        {"\"\"", -EINVAL},
        {"\"ten\"", -EINVAL},
        {"\"1,000\"", -EINVAL},
        {"\"$5\"", -EINVAL},
        {"\"1.2.3\"", -EINVAL},
        {"\".\"", -EINVAL},
        {"\"1e\"", -EINVAL},
        {"\"0x10\"", -EINVAL},
        {"\"NaN\"", -EINVAL},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t got = -12345;
        int r = money_parse(str_of(cases[i].json), &got);
        if ((r < 0 ? r : got) != cases[i].nano)
            tap_fail(__FILE__, __LINE__, "%s: %d, %lld", cases[i].json, r, (long long)got);
    }
}

/* What is written is read as the same. */
static void test_money_both_ways(void)
{
    static const int64_t amounts[] = {
        0, 1, 999999999, 1000000000, 1000000001, 12500000000, 123456789012345678, MONEY_MAX_NANO};

    for (unsigned i = 0; i < ARRAY_LEN(amounts); i++) {
        _cleanup_(buf_free) struct buf b = {.max = 64};
        int64_t got = -1;
        money_write(amounts[i], &b);
        CHECK_EQ(money_parse(buf_str(&b), &got), 0);
        CHECK_EQ(got, amounts[i]);
    }
    _cleanup_(buf_free) struct buf b = {.max = 64};
    money_write(12500000000, &b);
    CHECK_STR(buf_str(&b), STR("12.5"));
}

/* --- times --- */

static void test_times(void)
{
    static const struct {
        const char *text;
        int64_t wall;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-21T10:40:00Z", 1795257600 * NS_PER_S},
        {"2026-11-21T10:40:00.5Z", 1795257600 * NS_PER_S + NS_PER_S / 2},
        {"2026-11-21t12:40:00+02:00", 1795257600 * NS_PER_S},
        {"2026-11-21 05:10:00-05:30", 1795257600 * NS_PER_S},
        {"2024-02-29T00:00:00Z", 1709164800 * NS_PER_S},
        {"2026-02-29T00:00:00Z", -EINVAL},
        {"2026-13-01T00:00:00Z", -EINVAL},
        {"2026-00-01T00:00:00Z", -EINVAL},
        {"2026-11-31T00:00:00Z", -EINVAL},
        {"2026-11-21", -EINVAL},
        {"2026-11-21T10:40:00", -EINVAL},
        {"2026-11-21T24:00:00Z", -EINVAL},
        {"2026-11-21T10:40:00.Z", -EINVAL},
        {"1969-12-31T23:59:59Z", -EINVAL},
        {"9999-12-31T23:59:59Z", -EINVAL},
        {"soon", -EINVAL},
        {"", -EINVAL},
    };
    char text[25];

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t got = -1;
        int r = time_parse(str_of(cases[i].text), &got);
        if ((r < 0 ? r : got) != cases[i].wall)
            tap_fail(__FILE__, __LINE__, "%s: %d, %lld", cases[i].text, r, (long long)got);
    }
    for (int64_t day = 0; day < 100000; day += 7) { /* against the writer */
        int64_t wall = day * 86400 * NS_PER_S, got = -1;
        clock_rfc3339(wall, text);
        if (time_parse(str_of(text), &got) < 0 || got != wall)
            tap_fail(__FILE__, __LINE__, "%s", text);
    }
}

/* --- records --- */

static int parse(enum subject_kind kind, unsigned need, const char *json, struct record *rec)
{
    const struct record_type *t = record_type(kind);
    uint64_t given;

    error = (struct error){0};
    return fields_parse(t->fields, t->fields_n, need, str_of(json), rec, &given, &arena, &error);
}

static void test_refusals(void)
{
    static const struct {
        const char *json, *param, *says;
    } cases[] = {
        {"{", "", "not valid JSON"},
        {"[]", "", "must be a JSON object"},
        {"{\"nme\":\"x\"}", "nme",
            "There is no field 'nme'. The fields are: name, model_allowlist"},
        {"{}", "name", "'name' is missing"},
        {"{\"name\":\"\"}", "name", "1 to 128 bytes"},
        {"{\"name\":7}", "name", "must be a string"},
        {"{\"name\":\"a\\nb\"}", "name", "without control characters"},
        {"{\"name\":\"a\",\"name\":\"b\"}", "name", "more than once"},
        {"{\"name\":\"a\",\"id\":\"x\"}", "id", "cannot be set"},
        {"{\"name\":\"a\",\"rpm_limit\":-1}", "rpm_limit", "whole number from 1 to 1000000000"},
        {"{\"name\":\"a\",\"rpm_limit\":1.5}", "rpm_limit", "whole number"},
        {"{\"name\":\"a\",\"rpm_limit\":0}", "rpm_limit", "or null"},
        {"{\"name\":\"a\",\"tpm_limit\":\"10\"}", "tpm_limit", "whole number"},
        {"{\"name\":\"a\",\"budgets\":{\"yearly\":1}}", "budgets",
            "no period 'yearly': it must be \"daily\", \"weekly\", \"monthly\" or \"lifetime\""},
        {"{\"name\":\"a\",\"budgets\":{\"daily\":-1}}", "budgets.daily", "from 0 to 1000000000"},
        {"{\"name\":\"a\",\"budgets\":{\"daily\":\"ten\"}}", "budgets.daily",
            "amount in US dollars"},
        {"{\"name\":\"a\",\"budgets\":[{\"period\":\"hourly\",\"limit_usd\":1}]}", "budgets.period",
            "\"daily\", \"weekly\""},
        {"{\"name\":\"a\",\"budgets\":[{\"period\":\"daily\"}]}", "budgets",
            "period and limit_usd"},
        {"{\"name\":\"a\",\"budgets\":[{\"period\":\"daily\",\"limit_eur\":1}]}", "budgets",
            "and no others"},
        {"{\"name\":\"a\",\"budgets\":[{\"period\":\"daily\",\"limit_usd\":1},"
         "{\"period\":\"daily\",\"limit_usd\":2}]}",
            "budgets", "two entries"},
        {"{\"name\":\"a\",\"budgets\":7}", "budgets", "must be a list"},
        {"{\"name\":\"a\",\"monthly_spend_cap\":1e12}", "monthly_spend_cap",
            "from 0 to 1000000000"},
        {"{\"name\":\"a\",\"model_allowlist\":\"gpt\"}", "model_allowlist", "list of at most 100"},
        {"{\"name\":\"a\",\"model_allowlist\":[\"\"]}", "model_allowlist", "1 to 256 bytes"},
        {"{\"name\":\"a\",\"endpoint_allowlist\":[\"chats\"]}", "endpoint_allowlist",
            "kinds of endpoints (chat,"},
        {"{\"name\":\"a\",\"address_allowlist\":[\"10.0.0.0/99\"]}", "address_allowlist",
            "192.0.2.7"},
        {"{\"name\":\"a\",\"address_allowlist\":[\"localhost\"]}", "address_allowlist",
            "IP addresses"},
        {"{\"name\":\"a\",\"tags\":[\"a,b\"]}", "tags", "without commas"},
        {"{\"name\":\"a\",\"metadata\":[]}", "metadata", "object of at most 16384 bytes"},
        {"{\"name\":\"a\",\"expires_at\":\"tomorrow\"}", "expires_at", "RFC 3339"},
        {"{\"name\":\"a\",\"is_active\":\"yes\"}", "is_active", "true or false"},
        {"{\"name\":\"a\",\"content_logging\":\"none\"}", "content_logging",
            "\"full\", \"hashed\" or \"off\""},
        {"{\"name\":\"a\",\"team_id\":\"../x\"}", "team_id", "must be an id"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct record rec = {0};
        int r = parse(SUBJECT_KEY, FIELD_CREATE, cases[i].json, &rec);
        if (r != -EINVAL || error.status != 400 || !str_eq(error.param, str_of(cases[i].param)) ||
            str_find(error.message, str_of(cases[i].says)) < 0)
            tap_fail(__FILE__, __LINE__, "%s: %d '" STR_FMT "' " STR_FMT, cases[i].json, r,
                STR_ARG(error.param), STR_ARG(error.message));
    }
    struct record rec = {0};
    CHECK_EQ(
        parse(SUBJECT_USER, FIELD_CREATE, "{\"name\":\"u\",\"role\":\"root\"}", &rec), -EINVAL);
    CHECK(str_find(error.message, STR("\"internal_user\", \"proxy_admin_viewer\", \"org_admin\" or "
                                      "\"proxy_admin\"")) > 0);
    CHECK_EQ(parse(SUBJECT_TEAM, FIELD_UPDATE, "{\"org_id\":\"org_1\"}", &rec), -EINVAL);
    CHECK(str_find(error.message, STR("cannot be changed")) > 0);
}

static struct str shown(enum subject_kind kind, const struct record *rec, const char *field)
{
    static struct buf b;
    const struct record_type *t = record_type(kind);

    b.max = 64 * KIB;
    buf_clear(&b);
    buf_addc(&b, '{');
    fields_write(t->fields, t->fields_n, rec, &b);
    buf_addc(&b, '}');
    struct json_error why;
    enum json_type top;
    must(json_scan(buf_str(&b), NULL, NULL, 0, &top, &why) == 0);
    return json_find(buf_str(&b), str_of(field));
}

static void test_both_ways(void)
{
    struct record rec = {.is_active = true};

    CHECK_EQ(
        parse(SUBJECT_KEY, FIELD_CREATE,
            "{\"name\":\"s\\u00e9arch\",\"model_allowlist\":[\"gpt-*\",\"a\\\"b\"],"
            "\"monthly_spend_cap\":\"7.25\",\"budgets\":{\"daily\":1,\"weekly\":null,\"monthly\":"
            "5},\"rpm_limit\":10,\"tpm_limit\":null,\"expires_at\":\"2030-01-01T00:00:00Z\","
            "\"metadata\":{\"a\":[1]},\"content_logging\":\"hashed\","
            "\"address_allowlist\":[\"10.0.0.0/8\",\"::1\"],\"endpoint_allowlist\":[\"chat\","
            "\"/v1/files*\"]}",
            &rec),
        0);
    CHECK_STR(shown(SUBJECT_KEY, &rec, "name"), STR("\"s\xc3\xa9"
                                                    "arch\""));
    CHECK_STR(shown(SUBJECT_KEY, &rec, "model_allowlist"), STR("[\"gpt-*\",\"a\\\"b\"]"));
    CHECK_STR(shown(SUBJECT_KEY, &rec, "monthly_spend_cap"), STR("7.25"));
    CHECK_EQ(rec.budgets.n, 2);
    CHECK_EQ(rec.budgets.at[0].limit_nano, 1000000000);
    CHECK_STR(shown(SUBJECT_KEY, &rec, "rpm_limit"), STR("10"));
    CHECK_STR(shown(SUBJECT_KEY, &rec, "tpm_limit"), STR("null"));
    CHECK_STR(shown(SUBJECT_KEY, &rec, "expires_at"), STR("\"2030-01-01T00:00:00.000Z\""));
    CHECK_STR(shown(SUBJECT_KEY, &rec, "metadata"), STR("{\"a\":[1]}"));
    CHECK_STR(shown(SUBJECT_KEY, &rec, "content_logging"), STR("\"hashed\""));
    CHECK_STR(shown(SUBJECT_KEY, &rec, "team_id"), STR("null"));
    CHECK_STR(shown(SUBJECT_KEY, &rec, "is_active"), STR("true"));
    /* what budgets are shown as is what they may be given as */
    struct str as_shown = shown(SUBJECT_KEY, &rec, "budgets");
    char again[512];
    snprintf(again, sizeof again, "{\"budgets\":" STR_FMT "}", STR_ARG(as_shown));
    struct record second = {0};
    CHECK_EQ(parse(SUBJECT_KEY, FIELD_UPDATE, again, &second), 0);
    CHECK_EQ(second.budgets.n, 2);
    CHECK_EQ(second.budgets.at[1].limit_nano, 7250000000);
    CHECK_EQ(parse(SUBJECT_KEY, FIELD_UPDATE, "{\"monthly_spend_cap\":null}", &second), 0);
    CHECK_EQ(second.budgets.n, 1);
}

/* Every table: names stand once, examples are taken by their own rows. */
static void test_tables(void)
{
    for (int k = 0; k < SUBJECT_KINDS; k++) {
        const struct record_type *t = record_type((enum subject_kind)k);
        CHECK(t->fields_n <= 64 && t->kind == (enum subject_kind)k);
        for (unsigned i = 0; i < t->fields_n; i++) {
            const struct field_row *f = &t->fields[i];
            struct record rec = {0};
            unsigned at;
            CHECK(field_find(t->fields, t->fields_n, str_of(f->name), &at) == f && at == i);
            CHECK(f->doc && f->doc[0]);
            if (f->example && field_parse(f, str_of(f->example), &rec, &arena, &error) < 0)
                tap_fail(__FILE__, __LINE__, "%s: %s", f->name, f->example);
        }
    }
}

int main(void)
{
    arena_init(&arena, NULL, 0, 16 * MIB);
    TAP_RUN(test_money);
    TAP_RUN(test_money_both_ways);
    TAP_RUN(test_times);
    TAP_RUN(test_refusals);
    TAP_RUN(test_both_ways);
    TAP_RUN(test_tables);
    arena_free(&arena);
    return tap_done();
}
