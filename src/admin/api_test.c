/* The framework of the management API: rows, roles, bad input, lists, the document. */
#include "admin/api_test.h"

/* --- every row, every role --- */

/* "/api/teams/{id}" → "/api/teams/x" */
static void concrete(const char *path, char out[static 256])
{
    size_t n = 0;

    for (; *path; path++) {
        if (*path != '{') {
            out[n++] = *path;
            continue;
        }
        out[n++] = 'x';
        path += strcspn(path, "}");
    }
    out[n] = '\0';
}

static void check_role(const struct admin_row *r, const char *token, unsigned may)
{
    char path[256];

    concrete(r->path, path);
    int status = t_call(admin_method_name(r->method), path, token, r->body ? "{}" : NULL);
    bool refused = status == 401 || status == 403;
    if (refused != !(r->may & may) || status == 500)
        tap_fail(__FILE__, __LINE__, "%s %s as %x: %d " STR_FMT, admin_method_name(r->method), path,
            may, status, STR_ARG(str_to(t_body(), 200)));
}

static void every_row(void (*fn)(const struct admin_row *r))
{
    const struct admin_rows *rows;

    for (unsigned i = 0; (rows = admin_table_at(i)); i++)
        for (unsigned k = 0; k < rows->n; k++)
            fn(&rows->at[k]);
}

static void every_role(const struct admin_row *r)
{
    if (r->may & MAY_ANYONE)
        return;
    check_role(r, NULL, 0);
    check_role(r, T_ADMIN, MAY_ADMIN);
    check_role(r, who.viewer, MAY_VIEWER);
    check_role(r, who.org_admin, MAY_ORG_ADMIN);
    check_role(r, who.user, MAY_USER);
    check_role(r, who.key, MAY_USER);
}

static void rows_and_roles(void)
{
    every_row(every_role);
}

static void test_every_row_by_every_role(void)
{
    t_run(rows_and_roles);
}

/* --- paths and methods --- */

static void finds_rows(void)
{
    struct admin_match m;

    admin_find(HTTP_GET, STR("/api/teams/team_1"), &m);
    CHECK(m.row && m.params_n == 1);
    CHECK_STR(m.params[0], STR("team_1"));
    admin_find(HTTP_GET, STR("/api/teams/"), &m);
    CHECK(m.row && m.row->list);
    admin_find(HTTP_HEAD, STR("/api/teams"), &m);
    CHECK(m.row && m.row->method == HTTP_GET);
    admin_find(HTTP_GET, STR("/api/teams//"), &m);
    CHECK(!m.row && !m.allow);
    admin_find(HTTP_GET, STR("/api/auth/me"), &m);
    CHECK(m.row && !m.params_n);
    admin_find(HTTP_DELETE, STR("/api/auth/me"), &m);
    CHECK(!m.row && m.allow == 1u << HTTP_GET);
    admin_find(HTTP_GET, STR("/api/teamsx"), &m);
    CHECK(!m.allow);
    admin_find(HTTP_GET, STR("/api/providers/perf"), &m);
    CHECK(m.row && !strcmp(m.row->path, "/api/providers/perf"));
}

static void test_finds_rows(void)
{
    finds_rows();
}

static void paths(void)
{
    CHECK_EQ(t_call("GET", "/api/team", T_ADMIN, NULL), 404);
    CHECK_STR(t_at("error.code"), STR("unknown_url"));
    CHECK(t_has("Did you mean /api/teams?"));
    CHECK_EQ(t_call("PUT", "/api/teams", T_ADMIN, "{}"), 405);
    CHECK(t_head_has("allow: GET, HEAD, POST, OPTIONS"));
    CHECK_EQ(t_call("OPTIONS", "/api/teams", NULL, NULL), 204);
    CHECK(t_head_has("allow: GET, HEAD, POST, OPTIONS"));
    CHECK_EQ(t_call("HEAD", "/api/teams", T_ADMIN, NULL), 200);
    CHECK_EQ(t_got.body.n, 0);
    CHECK_EQ(t_call("GET", "/api/teams", T_ADMIN, NULL), 200);
    CHECK(t_head_has("cache-control: no-store"));
    CHECK(t_head_has("x-smartflow-request-id: req_"));
    CHECK_STR(t_at("success"), STR("true"));
    /* another path in disguise is not that path */
    CHECK_EQ(t_call("GET", "/api/health/../teams", NULL, NULL), 404);
    CHECK_EQ(t_call("GET", "/api/teams/%00", T_ADMIN, NULL), 404);
    CHECK_EQ(t_call("GET", "/api/teams/%zz", T_ADMIN, NULL), 400); /* no target at all */
    CHECK_EQ(t_call("GET", "/api/teams/a%2Fb", T_ADMIN, NULL), 404);
}

static void test_paths_and_methods(void)
{
    t_run(paths);
}

/* --- bad input --- */

static void bad_one(const char *method, const char *target, const char *body, const char *param)
{
    int status = t_call(method, target, T_ADMIN, body);

    if (status != 400 || !str_eq(t_at("error.param"), str_of(param)))
        tap_fail(__FILE__, __LINE__, "%s %s %s: %d " STR_FMT, method, target, body ? body : "",
            status, STR_ARG(t_body()));
}

static void bad_input(void)
{
    bad_one("GET", "/api/teams?limit=0", NULL, "limit");
    bad_one("GET", "/api/teams?limit=1001", NULL, "limit");
    bad_one("GET", "/api/teams?limit=ten", NULL, "limit");
    bad_one("GET", "/api/teams?limit=1&limit=2", NULL, "limit");
    bad_one("GET", "/api/teams?cursor=abc", NULL, "cursor");
    bad_one("GET", "/api/teams?cursor=", NULL, "cursor");
    bad_one("GET", "/api/teams?nmae=x", NULL, "nmae");
    CHECK(t_has("Did you mean 'name'?"));
    bad_one("GET", "/api/audit/logs?start=yesterday", NULL, "start");
    bad_one("GET", "/api/admin/users?role=king", NULL, "role");
    CHECK(t_has("proxy_admin_viewer"));
    bad_one("GET", "/api/prices?overridden=maybe", NULL, "overridden");
    bad_one("GET", "/api/prices?model=%ff", NULL, "model");
    bad_one("GET", "/api/admin/audit/proof", NULL, "seq");
    bad_one("GET", "/api/admin/audit/proof?seq=-1", NULL, "seq");
    bad_one("POST", "/api/admin/users", "{\"role\":\"org_admin\"}", "name");
    bad_one("POST", "/api/admin/users", "{\"name\":\"x\",\"role\":\"org_admin\"}", "org_id");
    bad_one("POST", "/api/admin/users",
        "{\"name\":\"x\",\"role\":\"org_admin\",\"org_id\":\"org_none\"}", "org_id");
    bad_one("POST", "/api/admin/users", "{\"name\":\"x\",\"role\":\"internal_user\"}", "user_id");
    bad_one("POST", "/api/admin/users", "{\"nome\":\"x\",\"role\":\"proxy_admin\"}", "nome");
    bad_one("POST", "/api/enterprise/vkeys", "{\"name\":\"x\",\"monthly_spend_cap\":-1}",
        "monthly_spend_cap");
    bad_one("PUT", "/api/config", "{\"SMARTFLOW_MAX_BDY\":\"1MiB\"}", "SMARTFLOW_MAX_BDY");
    CHECK(t_has("Did you mean 'SMARTFLOW_MAX_BODY'?"));
    bad_one("PUT", "/api/config", "{\"SMARTFLOW_MAX_BODY\":\"much\"}", "SMARTFLOW_MAX_BODY");
    CHECK(t_has("a size such as"));
    bad_one("PUT", "/api/config", "{\"SMARTFLOW_ADMIN_KEY\":\"x\"}", "SMARTFLOW_ADMIN_KEY");
    bad_one(
        "POST", "/api/prices", "{\"provider\":\"openai\",\"model\":\"m\",\"prices\":{}}", "prices");
    bad_one("POST", "/api/prices",
        "{\"provider\":\"opnai\",\"model\":\"m\",\"prices\":{\"input_cost_per_token\":1}}",
        "provider");
    CHECK_EQ(t_call("POST", "/api/teams", T_ADMIN, "{\"name\":"), 400);
    CHECK_EQ(t_call("POST", "/api/teams", T_ADMIN, "[]"), 400);
    CHECK_EQ(t_call("POST", "/api/teams", T_ADMIN, ""), 400);
    CHECK_EQ(t_call("POST", "/api/organizations", T_ADMIN, "{\"name\":\"acme\"}"), 409);
    CHECK_EQ(
        t_call("POST", "/api/admin/users", T_ADMIN, "{\"name\":\"vera\",\"role\":\"proxy_admin\"}"),
        409);
    CHECK_STR(t_at("error.param"), STR("name"));
}

static void test_bad_input_is_named(void)
{
    t_run(bad_input);
}

static void large_body(void)
{
    _cleanup_(buf_free) struct buf b = {0};

    buf_init(&b, 4 * MIB);
    buf_addstr(&b, STR("{\"name\":\""));
    while (b.n <= ADMIN_BODY_BYTES)
        buf_addstr(&b, STR("0123456789012345678901234567890123456789012345678901234567890123"));
    buf_addstr(&b, STR("\"}"));
    CHECK_EQ(
        t_send("POST", "/api/teams", "Authorization: Bearer " T_ADMIN "\r\n", buf_str(&b)), 413);
}

static void test_large_body(void)
{
    t_run(large_body);
}

/* --- lists --- */

static void lists(void)
{
    char target[512];

    for (int i = 0; i < 7; i++) {
        snprintf(target, sizeof target, "{\"id\":\"page-%d\",\"name\":\"%s\"}", i,
            i == 3 ? "=1+1,\\\"x\\\"" : "plain");
        CHECK_EQ(t_call("POST", "/api/customers", T_ADMIN, target), 201);
    }
    unsigned seen = 0, pages = 0;
    strcpy(target, "/api/customers?limit=3");
    for (; pages < 10; pages++) {
        CHECK_EQ(t_call("GET", target, T_ADMIN, NULL), 200);
        struct str items = t_at("customers"), key, item;
        CHECK(str_eq(items, json_find(t_body(), STR("data"))));
        for (size_t at = 1; json_next(items, &at, &key, &item);)
            seen++;
        if (str_eq(t_at("has_more"), STR("false")))
            break;
        snprintf(target, sizeof target, "/api/customers?limit=3&cursor=" STR_FMT,
            STR_ARG(t_at("next_cursor")));
    }
    CHECK_EQ(seen, 7);
    CHECK_EQ(pages, 2);
    CHECK_STR(t_at("next_cursor"), STR("null"));
    /* a cursor of one list is none of another, and a cut one is none at all */
    char *cursor = strstr(target, "cursor=");
    char other[512];
    snprintf(other, sizeof other, "/api/organizations?%s", cursor);
    CHECK_EQ(t_call("GET", other, T_ADMIN, NULL), 400);
    CHECK_STR(t_at("error.param"), STR("cursor"));
    target[strlen(target) - 2] = '\0';
    CHECK_EQ(t_call("GET", target, T_ADMIN, NULL), 400);
}

static void test_lists_page(void)
{
    t_run(lists);
}

#define AS(type) "Authorization: Bearer " T_ADMIN "\r\nAccept: " type "\r\n"

static void streams(void)
{
    CHECK_EQ(t_send("GET", "/api/customers", AS("text/csv"), STR_NONE), 200);
    CHECK(t_head_has("content-type: text/csv"));
    CHECK(str_starts(t_body(), STR("id,name,")));
    CHECK(t_has(",\"'=1+1,\"\"x\"\"\",")); /* no formula, and properly quoted */
    CHECK_EQ(t_lines(), 8);
    CHECK_EQ(t_send("GET", "/api/customers?limit=2", AS("application/x-ndjson"), STR_NONE), 200);
    CHECK_EQ(t_lines(), 2);
    CHECK_EQ(t_send("GET", "/api/customers", AS("application/jsonl, */*;q=0.1"), STR_NONE), 200);
    CHECK_EQ(t_lines(), 7);
    CHECK_EQ(t_send("GET", "/api/customers", AS("text/html, application/json"), STR_NONE), 200);
    CHECK(t_head_has("content-type: application/json"));
    /* what goes wrong before the first line is an error like any other */
    CHECK_EQ(t_send("GET", "/api/customers?limit=x", AS("text/csv"), STR_NONE), 400);
}

static void test_lists_stream(void)
{
    t_run(streams);
}

/* --- the document --- */

static struct str document;

static void row_is_documented(const struct admin_row *r)
{
    char name[160], method[8];
    struct str paths = json_find(document, STR("paths")), item, op;

    snprintf(name, sizeof name, "%s", r->path);
    snprintf(method, sizeof method, "%s", admin_method_name(r->method));
    for (char *m = method; *m; m++)
        *m |= 32;
    struct str path_name = str_of(name), method_name = str_of(method);
    json_members(paths, &path_name, &item, 1);
    CHECK(item.p != NULL);
    json_members(item, &method_name, &op, 1);
    CHECK(op.p != NULL && json_find(op, STR("responses")).p != NULL);
}

static void documented(void)
{
    struct json_error e;
    enum json_type top;

    CHECK_EQ(t_call("GET", "/api/openapi.json", who.key, NULL), 200);
    document = t_body();
    CHECK_EQ(json_scan(document, NULL, NULL, 0, &top, &e), 0);
    CHECK_STR(t_at("openapi"), STR("3.1.0"));
    every_row(row_is_documented);
}

static void test_document_has_every_row(void)
{
    t_run(documented);
}

/* --- writing --- */

static void test_put(void)
{
    _cleanup_(buf_free) struct buf b = {0};

    buf_init(&b, 4 * KIB);
    put_open(&b, NULL, '{');
    put_str(&b, "a", STR("{"));
    put_open(&b, "b", '[');
    put_int(&b, NULL, -1);
    put_money(&b, NULL, 12500000000);
    put_bool(&b, NULL, false);
    put_close(&b, ']');
    put_open(&b, "c", '{');
    put_close(&b, '}');
    put_time(&b, "t", 0);
    put_share(&b, "s", 1, 3);
    put_share(&b, "z", 1, 0);
    put_close(&b, '}');
    CHECK_STR(
        buf_str(&b), STR("{\"a\":\"{\",\"b\":[-1,12.5,false],\"c\":{},\"t\":null,\"s\":0.333333,"
                         "\"z\":0.000000}"));
}

int main(void)
{
    t_open();
    TAP_RUN(test_every_row_by_every_role);
    TAP_RUN(test_finds_rows);
    TAP_RUN(test_paths_and_methods);
    TAP_RUN(test_bad_input_is_named);
    TAP_RUN(test_large_body);
    TAP_RUN(test_lists_page);
    TAP_RUN(test_lists_stream);
    TAP_RUN(test_document_has_every_row);
    TAP_RUN(test_put);
    t_close();
    return tap_done();
}
