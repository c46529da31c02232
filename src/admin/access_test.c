/* Who may see and do what, sessions, the audit; and the handlers of keys, settings and prices. */
#include "admin/api_test.h"

/* --- confining --- */

static void confining(void)
{
    const char *own = t_make(
        "/api/teams", t_format("{\"name\":\"search\",\"org_id\":\"%s\"}", who.org, ""), "data.id");
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
    CHECK_EQ(
        t_call("POST", "/api/users", who.org_admin, "{\"name\":\"max\",\"role\":\"proxy_admin\"}"),
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
    CHECK_EQ(
        t_call("POST", path, T_ADMIN, "{\"grace_seconds\":3600,\"changes\":{\"name\":\"life2\"}}"),
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
    CHECK_EQ(
        t_call("POST", "/api/auth/login", NULL, "{\"api_key\":\"" T_ADMIN "\",\"remember\":true}"),
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
    snprintf(
        none, sizeof none, "eyJhbGciOiJub25lIn0%.*s.", (int)strcspn(claims + 1, ".") + 1, claims);
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

    CHECK_EQ(
        t_call("POST", "/api/admin/users", T_ADMIN, "{\"name\":\"sid\",\"role\":\"proxy_admin\"}"),
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
    for (int i = 0; i < 20; i++)
        CHECK_EQ(t_call("GET", "/api/teams", "sk-admin-guess", NULL), 401);
    CHECK_EQ(t_call("GET", "/api/teams", "sk-admin-guess", NULL), 429);
    CHECK(t_head_has("retry-after: "));
    CHECK_EQ(t_call("GET", "/api/teams", who.viewer, NULL), 429); /* not even looked at */
    CHECK_EQ(t_call("GET", "/api/teams", T_ADMIN, NULL), 200);    /* too long to be a guess */
    admin_guard_reset();
    CHECK_EQ(t_call("GET", "/api/teams", who.viewer, NULL), 200);
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
                 "{\"name\":\"audited\",\"tpm_limit\":5,\"metadata\":{\"password\":"
                 "\"hunter2hunter2\"}}"),
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
    CHECK(!t_has("upstream-secret") && !t_has("secret-9f3a") && !t_has(T_ADMIN));
    unsigned all = t_lines();
    CHECK_EQ(t_call("GET", "/api/audit/export?from=2&to=3", T_ADMIN, NULL), 200);
    CHECK_EQ(t_lines(), 2);
    CHECK_EQ(t_call("POST", "/api/admin/audit/verify_chain", T_ADMIN, "{}"), 200);
    CHECK_STR(t_at("data.valid"), STR("true"));
    CHECK_EQ(t_at("data.entries_checked").n > 0 ? (long)all : 0,
        strtol(t_keep("data.entries_checked"), NULL, 10));
    CHECK_EQ(
        t_call("POST", "/api/admin/audit/verify_chain", T_ADMIN, "{\"chain_id\":\"other\"}"), 400);
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
    CHECK_STR(t_at("data.status"), STR("healthy"));
    CHECK(t_has("\"providers\":[{\"provider\":\"openai\",\"status\":\"idle\"") &&
          t_has("\"uptime_seconds\":"));
    CHECK_EQ(t_call("GET", "/api/routing/status", who.key, NULL), 200);
    CHECK_STR(t_at("data.active_providers"), STR("[\"openai\"]"));
}

static void test_providers_and_health(void)
{
    t_run(providers);
}

int main(void)
{
    t_open();
    TAP_RUN(test_org_admins_are_confined);
    TAP_RUN(test_users_see_their_own_keys);
    TAP_RUN(test_life_of_a_key);
    TAP_RUN(test_if_match);
    TAP_RUN(test_sessions_and_csrf);
    TAP_RUN(test_forged_tokens);
    TAP_RUN(test_sessions_end_with_their_administrator);
    TAP_RUN(test_guessing_is_slowed);
    TAP_RUN(test_what_is_recorded);
    TAP_RUN(test_acts_are_audited);
    TAP_RUN(test_settings);
    TAP_RUN(test_prices);
    TAP_RUN(test_providers_and_health);
    t_close();
    return tap_done();
}
