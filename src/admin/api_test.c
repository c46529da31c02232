/* The framework of the management API: rows, roles, schemas, sessions, lists, audit. */
#include "admin/api_test.h"

#include "keys/limits.h"

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
    CHECK_EQ(t_call("GET", "/api/teams/%zz", T_ADMIN, NULL), 404);
    CHECK_EQ(t_call("GET", "/api/teams/a%2Fb", T_ADMIN, NULL), 404);
    CHECK(t_has("a/b"));
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
    bad_one("POST", "/api/prices", "{\"provider\":\"openai\",\"model\":\"m\",\"prices\":{}}",
        "prices");
    bad_one("POST", "/api/prices",
        "{\"provider\":\"opnai\",\"model\":\"m\",\"prices\":{\"input_cost_per_token\":1}}",
        "provider");
    CHECK_EQ(t_call("POST", "/api/teams", T_ADMIN, "{\"name\":"), 400);
    CHECK_EQ(t_call("POST", "/api/teams", T_ADMIN, "[]"), 400);
    CHECK_EQ(t_call("POST", "/api/teams", T_ADMIN, ""), 400);
    CHECK_EQ(t_call("POST", "/api/organizations", T_ADMIN, "{\"name\":\"acme\"}"), 409);
    CHECK_EQ(t_call("POST", "/api/admin/users", T_ADMIN,
                 "{\"name\":\"vera\",\"role\":\"proxy_admin\"}"),
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
    CHECK_EQ(t_send("POST", "/api/teams", "Authorization: Bearer " T_ADMIN "\r\n", buf_str(&b)), 413);
}

static void test_large_body(void)
{
    t_run(large_body);
}

/* --- confining --- */

static void confining(void)
{
    const char *own = t_make("/api/teams",
        t_format("{\"name\":\"search\",\"org_id\":\"%s\"}", who.org, ""), "data.id");
    const char *other = t_make("/api/teams",
        t_format("{\"name\":\"labs\",\"org_id\":\"%s\"}", who.other_org, ""), "data.id");
    char path[128];

    CHECK_EQ(t_call("GET", "/api/teams", who.org_admin, NULL), 200);
    CHECK(t_has(own) && !t_has(other));
    CHECK_EQ(t_call("GET", "/api/teams", who.viewer, NULL), 200);
    CHECK(t_has(own) && t_has(other));
    snprintf(path, sizeof path, "/api/teams/%s", other);
    CHECK_EQ(t_call("GET", path, who.org_admin, NULL), 404);
    CHECK_EQ(t_call("PUT", path, who.org_admin, "{\"name\":\"mine\"}"), 404);
    CHECK_EQ(t_call("DELETE", path, who.org_admin, NULL), 404);
    /* what an org_admin makes is of its organisation */
    CHECK_EQ(t_call("POST", "/api/teams", who.org_admin, "{\"name\":\"ads\"}"), 201);
    CHECK_STR(t_at("data.org_id"), str_of(who.org));
    CHECK_EQ(t_call("POST", "/api/teams", who.org_admin,
                 t_format("{\"name\":\"spy\",\"org_id\":\"%s\"}", who.other_org, "")),
        400);
    CHECK_STR(t_at("error.param"), STR("org_id"));
    CHECK_EQ(t_call("POST", "/api/enterprise/vkeys", who.org_admin,
                 t_format("{\"name\":\"spy\",\"team_id\":\"%s\"}", other, "")),
        400);
    CHECK_STR(t_at("error.param"), STR("team_id"));
    CHECK_EQ(t_call("POST", "/api/users", who.org_admin,
                 "{\"name\":\"max\",\"role\":\"proxy_admin\"}"),
        403);
    CHECK_EQ(t_call("GET", "/api/organizations", who.org_admin, NULL), 200);
    CHECK(t_has(who.org) && !t_has(who.other_org));
}

static void test_org_admins_are_confined(void)
{
    t_run(confining);
}

static void own_keys(void)
{
    const char *other = t_make("/api/enterprise/vkeys", "{\"name\":\"root\"}", "data.id");
    char path[128];

    CHECK_EQ(t_call("GET", "/api/enterprise/vkeys", who.user, NULL), 200);
    CHECK(t_has(who.key_id) && !t_has(other));
    CHECK_EQ(t_call("GET", "/api/enterprise/vkeys", who.key, NULL), 200);
    CHECK(t_has(who.key_id) && !t_has(other));
    CHECK_EQ(t_call("GET", "/api/enterprise/vkeys/self", who.key, NULL), 200);
    CHECK_STR(t_at("data.id"), str_of(who.key_id));
    CHECK(!t_has(who.key)); /* the key itself was shown once */
    CHECK(t_at("data.spend.monthly.used_usd").n > 0);
    snprintf(path, sizeof path, "/api/enterprise/vkeys/%s", other);
    CHECK_EQ(t_call("GET", path, who.key, NULL), 404);
    CHECK_EQ(t_call("GET", path, who.user, NULL), 404);
    CHECK_EQ(t_call("DELETE", path, who.user, NULL), 403);
    CHECK_EQ(t_call("GET", path, T_ADMIN, NULL), 200);
    CHECK_EQ(t_call("GET", "/api/users", who.key, NULL), 200);
    CHECK_STR(t_at("data"), STR("[]"));
}

static void test_users_see_their_own_keys(void)
{
    t_run(own_keys);
}

/* --- keys --- */

static void key_life(void)
{
    const char *key = t_make("/api/auth/virtual-keys",
        "{\"name\":\"life\",\"monthly_spend_cap\":\"12.50\",\"tags\":[\"a\"]}", "data.key");
    const char *id = t_keep("data.id"), *newer;
    char path[128];

    CHECK_EQ(strlen(key), 6 + 48);
    CHECK_STR(t_at("data.monthly_spend_cap"), STR("12.5"));
    snprintf(path, sizeof path, "/api/enterprise/vkeys/%s", id);
    CHECK_EQ(t_call("PATCH", path, T_ADMIN, "{\"rpm_limit\":7}"), 200);
    CHECK_STR(t_at("vkey.rpm_limit"), STR("7"));
    CHECK_STR(t_at("data.monthly_spend_cap"), STR("12.5"));
    strcat(path, "/rotate");
    CHECK_EQ(t_call("POST", path, T_ADMIN,
                 "{\"grace_seconds\":3600,\"changes\":{\"name\":\"life2\"}}"),
        200);
    newer = t_keep("data.key");
    CHECK_STR(t_at("data.rotated_from"), str_of(id));
    CHECK(strcmp(key, newer) != 0);
    CHECK_EQ(t_call("GET", "/api/auth/me", key, NULL), 200); /* within its grace */
    CHECK_EQ(t_call("GET", "/api/auth/me", newer, NULL), 200);
    CHECK_STR(t_at("data.role"), STR("internal_user"));
    snprintf(path, sizeof path, "/api/enterprise/vkeys/%s/reset-spend", id);
    CHECK_EQ(t_call("POST", path, T_ADMIN, "{\"periods\":[\"hourly\"]}"), 400);
    CHECK_STR(t_at("error.param"), STR("periods"));
    CHECK_EQ(t_call("POST", path, T_ADMIN, "{\"periods\":[\"monthly\"]}"), 200);
    snprintf(path, sizeof path, "/api/enterprise/vkeys/%s", id);
    CHECK_EQ(t_call("DELETE", path, T_ADMIN, NULL), 200);
    CHECK_STR(t_at("data.is_active"), STR("false"));
    CHECK_EQ(t_call("GET", "/api/auth/me", key, NULL), 401);
    CHECK_EQ(t_call("GET", "/api/enterprise/vkeys?is_active=false", T_ADMIN, NULL), 200);
    CHECK(t_has(id));
}

static void test_life_of_a_key(void)
{
    t_run(key_life);
}

static void versions(void)
{
    const char *id = t_make("/api/teams", "{\"name\":\"versions\"}", "data.id");
    char path[128];

    snprintf(path, sizeof path, "/api/teams/%s", id);
    CHECK_EQ(t_send("PUT", path, "Authorization: Bearer " T_ADMIN "\r\nIf-Match: \"1\"\r\n",
                 STR("{\"name\":\"v\"}")),
        409);
    CHECK_EQ(t_send("PUT", path, "Authorization: Bearer " T_ADMIN "\r\nIf-Match: new\r\n",
                 STR("{\"name\":\"v\"}")),
        400);
    CHECK_EQ(t_send("PUT", path, "Authorization: Bearer " T_ADMIN "\r\nIf-Match: *\r\n",
                 STR("{\"name\":\"v\"}")),
        200);
}

static void test_if_match(void)
{
    t_run(versions);
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

static unsigned lines(struct str s)
{
    unsigned n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

#define AS(type) "Authorization: Bearer " T_ADMIN "\r\nAccept: " type "\r\n"

static void streams(void)
{
    CHECK_EQ(t_send("GET", "/api/customers", AS("text/csv"), STR_NONE), 200);
    CHECK(t_head_has("content-type: text/csv"));
    CHECK(str_starts(t_body(), STR("id,name,")));
    CHECK(t_has(",\"'=1+1,\"\"x\"\"\",")); /* no formula, and properly quoted */
    CHECK_EQ(lines(t_body()), 8);
    CHECK_EQ(t_send("GET", "/api/customers?limit=2", AS("application/x-ndjson"), STR_NONE), 200);
    CHECK_EQ(lines(t_body()), 2);
    CHECK_EQ(t_send("GET", "/api/customers", AS("application/jsonl, */*;q=0.1"), STR_NONE), 200);
    CHECK_EQ(lines(t_body()), 7);
    CHECK_EQ(t_send("GET", "/api/customers", AS("text/html, application/json"), STR_NONE), 200);
    CHECK(t_head_has("content-type: application/json"));
    /* what goes wrong before the first line is an error like any other */
    CHECK_EQ(t_send("GET", "/api/customers?limit=x", AS("text/csv"), STR_NONE), 400);
}

static void test_lists_stream(void)
{
    t_run(streams);
}

/* --- sessions --- */

static char cookie[2048], csrf[128];

static int with_session(const char *method, const char *target, const char *token, const char *body)
{
    char fields[3000];

    snprintf(fields, sizeof fields, "Cookie: a=b; smartflow_token=%s\r\n%s%s%s", cookie,
        token ? "X-CSRF-Token: " : "", token ? token : "", token ? "\r\n" : "");
    return t_send(method, target, fields, str_of(body ? body : ""));
}

static void take_session(void)
{
    const char *at = strstr(t_got.head.p, "smartflow_token=");

    must(at);
    at += strlen("smartflow_token=");
    snprintf(cookie, sizeof cookie, "%.*s", (int)strcspn(at, ";"), at);
    snprintf(csrf, sizeof csrf, STR_FMT, STR_ARG(t_at("data.csrf_token")));
}

static void sessions(void)
{
    CHECK_EQ(t_call("POST", "/api/auth/login", NULL, "{\"api_key\":\"sk-admin-wrong\"}"), 401);
    CHECK_EQ(t_call("POST", "/api/auth/login", NULL, t_format("{\"api_key\":\"%s\"}", who.key, "")),
        403);
    CHECK_EQ(t_call("POST", "/api/auth/login", NULL,
                 "{\"api_key\":\"" T_ADMIN "\",\"remember\":true}"),
        200);
    CHECK(t_head_has("HttpOnly") && t_head_has("SameSite=Lax"));
    take_session();
    CHECK_EQ(with_session("GET", "/api/auth/me", NULL, NULL), 200);
    CHECK_STR(t_at("data.authenticated_by"), STR("session"));
    CHECK_STR(t_at("data.csrf_token"), str_of(csrf));
    CHECK_EQ(with_session("POST", "/api/teams", NULL, "{\"name\":\"csrf\"}"), 403);
    CHECK_STR(t_at("error.code"), STR("csrf_failed"));
    CHECK_EQ(with_session("POST", "/api/teams", "no", "{\"name\":\"csrf\"}"), 403);
    CHECK_EQ(with_session("POST", "/api/teams", csrf, "{\"name\":\"csrf\"}"), 201);
    CHECK_EQ(with_session("POST", "/api/auth/logout", csrf, NULL), 200);
    CHECK(t_head_has("Max-Age=0"));
    CHECK_EQ(with_session("GET", "/api/auth/me", NULL, NULL), 401);
}

static void test_sessions_and_csrf(void)
{
    t_run(sessions);
}

static void forged(void)
{
    CHECK_EQ(t_call("POST", "/api/auth/login", NULL, "{\"api_key\":\"" T_ADMIN "\"}"), 200);
    take_session();
    CHECK_EQ(with_session("GET", "/api/auth/me", NULL, NULL), 200);
    size_t n = strlen(cookie);
    for (size_t i = 0; i < n; i += 7) { /* any byte changed */
        char was = cookie[i];
        cookie[i] = was == 'A' ? 'B' : 'A';
        if (with_session("GET", "/api/auth/me", NULL, NULL) != 401) {
            tap_fail(__FILE__, __LINE__, "byte %zu of the token does not count", i);
            return;
        }
        cookie[i] = was;
    }
    /* {"alg":"none"} */
    char *claims = strchr(cookie, '.');
    char none[2048];
    snprintf(none, sizeof none, "eyJhbGciOiJub25lIn0%.*s.", (int)strcspn(claims + 1, ".") + 1,
        claims);
    strcpy(cookie, none);
    CHECK_EQ(with_session("GET", "/api/auth/me", NULL, NULL), 401);
}

static void test_forged_tokens(void)
{
    t_run(forged);
}

static void revoked(void)
{
    char path[160], body[256];
    const char *id;

    CHECK_EQ(t_call("POST", "/api/admin/users", T_ADMIN,
                 "{\"name\":\"sid\",\"role\":\"proxy_admin\"}"),
        201);
    id = t_keep("data.id");
    snprintf(body, sizeof body, "{\"api_key\":\"%s\"}", t_keep("data.token"));
    CHECK_EQ(t_call("POST", "/api/auth/login", NULL, body), 200);
    take_session();
    CHECK_EQ(with_session("GET", "/api/auth/me", NULL, NULL), 200);
    CHECK_STR(t_at("data.name"), STR("sid"));
    snprintf(path, sizeof path, "/api/admin/users/%s", id);
    CHECK_EQ(t_call("PATCH", path, T_ADMIN, "{\"is_active\":false}"), 200);
    CHECK_EQ(with_session("GET", "/api/auth/me", NULL, NULL), 401);
    CHECK_EQ(t_call("POST", "/api/auth/login", NULL, body), 401);
    CHECK_EQ(t_call("PATCH", path, T_ADMIN, "{\"is_active\":true}"), 200);
    CHECK_EQ(t_call("POST", "/api/auth/login", NULL, body), 200);
    take_session();
    CHECK_EQ(t_call("GET", "/api/auth/sessions", T_ADMIN, NULL), 200);
    CHECK(t_has(id) && !t_has(cookie));
    snprintf(path, sizeof path, "/api/admin/users/%s/rotate", id);
    CHECK_EQ(t_call("POST", path, T_ADMIN, NULL), 200);
    CHECK_EQ(with_session("GET", "/api/auth/me", NULL, NULL), 401);
    CHECK_EQ(t_call("POST", "/api/auth/login", NULL, body), 401); /* the old token */
}

static void test_sessions_end_with_their_administrator(void)
{
    t_run(revoked);
}

/* --- guessing --- */

static void guessing(void)
{
    int status = 0;

    for (int i = 0; i < 20; i++)
        CHECK_EQ(t_call("GET", "/api/teams", "sk-admin-guess", NULL), 401);
    CHECK_EQ(t_call("GET", "/api/teams", "sk-admin-guess", NULL), 429);
    CHECK(t_head_has("retry-after: "));
    CHECK_EQ(t_call("GET", "/api/teams", who.viewer, NULL), 429); /* not even looked at */
    CHECK_EQ(t_call("GET", "/api/teams", T_ADMIN, NULL), 200);   /* too long to be a guess */
    admin_guard_reset();
    CHECK_EQ(t_call("GET", "/api/teams", who.viewer, NULL), 200);
    CHECK_EQ(status, 0);
}

static void test_guessing_is_slowed(void)
{
    t_run(guessing);
}

/* --- the audit --- */

static void changes_are(const char *json, const char *want)
{
    _cleanup_(buf_free) struct buf b = {0};

    buf_init(&b, MIB);
    admin_changes_text(str_of(json), &b);
    CHECK_STR(buf_str(&b), str_of(want));
}

static void test_what_is_recorded(void)
{
    changes_are("{\"name\":\"x\",\"n\":3,\"a\":1.5,\"b\":[1,2],\"c\":null,\"d\":true}",
        "{\"a\":\"1.5\",\"b\":\"[1,2]\",\"c\":\"null\",\"d\":\"true\",\"n\":3,\"name\":\"x\"}");
    changes_are("{\"api_key\":\"sk-secret-secret-1234\",\"token\":\"short\"}",
        "{\"api_key\":\"…1234\",\"token\":\"…\"}");
    changes_are("{\"deep\":{\"list\":[{\"client_secret\":\"0123456789abcdef\"}]}}",
        "{\"deep\":\"{\\\"list\\\":[{\\\"client_secret\\\":\\\"…cdef\\\"}]}\"}");
    changes_are("{\"k\\u0065y\":\"sk-secret-secret-1234\"}", "{\"k\\u0065y\":\"…1234\"}");
    changes_are("{\"key\":{\"a\":\"sk-secret-secret-1234\"}}", "{\"key\":\"…\"}");
    changes_are("{\"n\":-1,\"n\":2}", "{\"n\":\"-1\"}");
    changes_are("[]", "{}");
    changes_are("{\"a\":", "{}");
}

static void audited(void)
{
    CHECK_EQ(t_call("POST", "/api/enterprise/vkeys", who.org_admin,
                 "{\"name\":\"audited\",\"tpm_limit\":5,\"metadata\":{\"password\":\"hunter2hunter2\"}}"),
        201);
    const char *id = t_keep("data.id"), *key = t_keep("data.key");
    CHECK_EQ(t_call("GET", "/api/audit/logs?limit=1", who.viewer, NULL), 200);
    CHECK(t_has("\"action\":\"vkey.create\"") && t_has(id) && t_has("\"role\":\"org_admin\""));
    CHECK(t_has("\"tpm_limit\":5") && !t_has("hunter2") && !t_has(key));
    CHECK_EQ(t_call("GET", "/api/audit/logs?actor=nobody", T_ADMIN, NULL), 200);
    CHECK_STR(t_at("data"), STR("[]"));
    CHECK_EQ(t_call("GET", "/api/audit/logs?end=2001-01-01T00:00:00Z", T_ADMIN, NULL), 200);
    CHECK_STR(t_at("logs"), STR("[]"));
    /* the journal has it, and no secret */
    CHECK_EQ(t_call("GET", "/api/audit/export", T_ADMIN, NULL), 200);
    CHECK(t_has(id) && t_has("\"entry_hmac\":") && !t_has("hunter2") && !t_has(key));
    CHECK(!t_has("9f3a") && !t_has(T_ADMIN));
    unsigned all = lines(t_body());
    CHECK_EQ(t_call("GET", "/api/audit/export?from=2&to=3", T_ADMIN, NULL), 200);
    CHECK_EQ(lines(t_body()), 2);
    CHECK_EQ(t_call("POST", "/api/admin/audit/verify_chain", T_ADMIN, "{}"), 200);
    CHECK_STR(t_at("data.valid"), STR("true"));
    CHECK_EQ(t_at("data.entries_checked").n > 0 ? (long)all : 0, strtol(t_keep("data.entries_checked"), NULL, 10));
    CHECK_EQ(t_call("POST", "/api/admin/audit/verify_chain", T_ADMIN, "{\"chain_id\":\"other\"}"),
        400);
    CHECK_EQ(t_call("GET", "/api/admin/audit/checkpoints", T_ADMIN, NULL), 200);
    CHECK_EQ(t_call("GET", "/api/admin/audit/proof?seq=999999", T_ADMIN, NULL), 404);
}

static void test_acts_are_audited(void)
{
    t_run(audited);
}

/* --- settings, prices, providers --- */

static void settings(void)
{
    unsigned before = t_reloads;

    CHECK_EQ(t_call("GET", "/api/config", who.viewer, NULL), 200);
    CHECK(t_has("\"name\":\"SMARTFLOW_MAX_BODY\",\"value\":\"1048576\",\"default\":\"64MiB\","
                "\"source\":\"env\""));
    CHECK(t_has("\"name\":\"SMARTFLOW_ADMIN_KEY\",\"value\":null"));
    CHECK(!t_has(T_ADMIN));
    CHECK_EQ(t_call("PUT", "/api/config", T_ADMIN,
                 "{\"SMARTFLOW_MAX_BODY\":\"2MiB\",\"PROXY_PORT\":7776}"),
        200);
    CHECK_STR(t_at("data.needs_restart"), STR("[\"PROXY_PORT\"]"));
    CHECK_EQ(t_reloads, before + 1);
    CHECK_EQ(t_call("GET", "/api/config", T_ADMIN, NULL), 200);
    CHECK(t_has("\"source\":\"store\""));
    struct admin_overlay o;
    char why[STORE_ERR_BYTES];
    CHECK_EQ(admin_overlay_load(t_env.store, t_environ, &o, why), 0);
    unsigned found = 0;
    for (char **e = o.environ; *e; e++) {
        found += !strcmp(*e, "SMARTFLOW_MAX_BODY=2MiB") || !strcmp(*e, "PROXY_PORT=7776");
        CHECK(strcmp(*e, "SMARTFLOW_MAX_BODY=1MiB") != 0 && strncmp(*e, "admin.", 6) != 0);
    }
    CHECK_EQ(found, 2);
    admin_overlay_free(&o);
    CHECK_EQ(t_call("DELETE", "/api/config/SMARTFLOW_MAX_BODY", T_ADMIN, NULL), 200);
    CHECK_EQ(t_call("PUT", "/api/config", T_ADMIN, "{\"PROXY_PORT\":null}"), 200);
    CHECK_EQ(t_call("GET", "/api/config", T_ADMIN, NULL), 200);
    CHECK(!t_has("\"source\":\"store\""));
}

static void test_settings(void)
{
    t_run(settings);
}

static void prices(void)
{
    struct admin_overlay o;
    char why[256];

    CHECK_EQ(t_call("GET", "/api/prices?provider=openai&model=gpt-4o", who.user, NULL), 200);
    CHECK(t_has("\"overridden\":false") && t_has("\"input_cost_per_token\":\"0.0000025\""));
    CHECK_EQ(t_call("POST", "/api/prices", T_ADMIN,
                 "{\"provider\":\"openai\",\"model\":\"gpt-4o\",\"prices\":{"
                 "\"input_cost_per_token\":\"0.000001\",\"output_cost_per_token\":0.000002}}"),
        201);
    CHECK_EQ(admin_overlay_load(t_env.store, t_environ, &o, why), 0);
    CHECK(o.prices != NULL);
    CHECK_EQ(admin_overlay_prices(&o, t_config, why, sizeof why), 0);
    admin_overlay_free(&o);
    CHECK_EQ(t_call("GET", "/api/prices?overridden=true", T_ADMIN, NULL), 200);
    CHECK(t_has("\"overridden\":true") && t_has("\"input_cost_per_token\":\"0.000001\""));
    CHECK_EQ(t_call("DELETE", "/api/prices/openai/gpt-4o", T_ADMIN, NULL), 200);
    CHECK_EQ(t_call("DELETE", "/api/prices/openai/gpt-4o", T_ADMIN, NULL), 404);
}

static void test_prices(void)
{
    t_run(prices);
}

static void providers(void)
{
    CHECK_EQ(t_call("GET", "/api/providers?configured=true", T_ADMIN, NULL), 200);
    CHECK(t_has("\"id\":\"openai\"") && t_has("…9f3a") && !t_has("sk-upstream"));
    CHECK(!t_has("\"id\":\"anthropic\""));
    CHECK_EQ(t_call("GET", "/api/providers/perf", who.key, NULL), 200);
    CHECK(t_has("\"provider\":\"openai\",\"status\":\"idle\""));
    CHECK_EQ(t_call("GET", "/api/health/comprehensive", who.key, NULL), 200);
    CHECK_STR(t_at("data.components.journal.status"), STR("ok"));
    CHECK_STR(t_at("data.status"), STR("ok"));
    CHECK_EQ(t_call("GET", "/api/routing/status", who.key, NULL), 200);
    CHECK_STR(t_at("data.active_providers"), STR("[\"openai\"]"));
}

static void test_providers_and_health(void)
{
    t_run(providers);
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
    CHECK_STR(buf_str(&b),
        STR("{\"a\":\"{\",\"b\":[-1,12.5,false],\"c\":{},\"t\":null,\"s\":0.333333,"
            "\"z\":0.000000}"));
}

int main(void)
{
    t_open();
    TAP_RUN(test_put);
    TAP_RUN(test_what_is_recorded);
    TAP_RUN(test_finds_rows);
    TAP_RUN(test_every_row_by_every_role);
    TAP_RUN(test_paths_and_methods);
    TAP_RUN(test_bad_input_is_named);
    TAP_RUN(test_large_body);
    TAP_RUN(test_org_admins_are_confined);
    TAP_RUN(test_users_see_their_own_keys);
    TAP_RUN(test_life_of_a_key);
    TAP_RUN(test_if_match);
    TAP_RUN(test_lists_page);
    TAP_RUN(test_lists_stream);
    TAP_RUN(test_sessions_and_csrf);
    TAP_RUN(test_forged_tokens);
    TAP_RUN(test_sessions_end_with_their_administrator);
    TAP_RUN(test_guessing_is_slowed);
    TAP_RUN(test_acts_are_audited);
    TAP_RUN(test_settings);
    TAP_RUN(test_prices);
    TAP_RUN(test_providers_and_health);
    TAP_RUN(test_document_has_every_row);
    t_close();
    return tap_done();
}
