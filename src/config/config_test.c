/* Loading the configuration: values from both sources, and every complaint with its line. */
#include "config/config_test.h"

#include "base/tap.h"
#include <fcntl.h>
#include <stdlib.h>

#define ENV(...)  ((const char *const[]){__VA_ARGS__, NULL})
#define YAML(...) load(STR(__VA_ARGS__), NULL)

static struct str problems(const struct loaded *l)
{
    return str_at(l->problems, l->problems_n);
}

static void test_defaults(void)
{
    struct config *c = load(STR_NONE, NULL)->c;

    CHECK(c != NULL);
    CHECK_STR(c->bind, STR("127.0.0.1"));
    CHECK_EQ(c->proxy_port, 7775);
    CHECK_EQ(c->management_port, 7778);
    CHECK_EQ(c->roles, 31);
    CHECK_EQ(c->max_body, 64 << 20);
    CHECK_EQ(c->head_timeout, 15 * NS_PER_S);
    CHECK(c->admin_on_proxy && !c->demo && !c->keys.passthrough && !c->core_dumps);
    CHECK(!c->tls_cert && !c->trusted_proxies && !c->cors_origins_n && !c->route.aliases_n);
    CHECK(!secret_is_set(&c->admin_key));
    for (unsigned i = 0; i < c->route.upstreams_n; i++)
        CHECK(!c->route.upstreams[i].configured);
}

static void test_environment(void)
{
    struct config *c = load(STR_NONE,
        ENV("SMARTFLOW_BIND=::", "PROXY_PORT=0", "SMARTFLOW_MAX_BODY=1MiB",
            "SMARTFLOW_IDLE_TIMEOUT=250ms", "SMARTFLOW_DEMO=yes", "SMARTFLOW_ADMIN_KEY=sk-admin",
            "SMARTFLOW_TLS_CERT=/x.pem", "SMARTFLOW_TLS_KEY=/x.key", "UNRELATED=1", "NOEQUALS",
            "=x", "SMARTFLOW_THREADS=3"))
                           ->c;

    CHECK(c != NULL);
    CHECK_STR(c->bind, STR("::"));
    CHECK_EQ(c->proxy_port, 0);
    CHECK_EQ(c->max_body, 1 << 20);
    CHECK_EQ(c->idle_timeout, 250 * NS_PER_MS);
    CHECK(c->demo);
    CHECK(secret_eq(&c->admin_key, STR("sk-admin")));
    CHECK_STR(str_of(c->tls_cert), STR("/x.pem"));
    CHECK_EQ(c->threads, 3);
}

/* What would quietly serve something else than what was meant. */
static void test_half_said(void)
{
    CHECK_STR(problems(load(STR_NONE, ENV("SMARTFLOW_TLS_CERT=/x.pem"))),
        STR("-: SMARTFLOW_TLS_CERT is set without SMARTFLOW_TLS_KEY\n"));
    CHECK_STR(problems(load(STR("smartflow: {tls_key: /x.key}\n"), NULL)),
        STR("1: SMARTFLOW_TLS_KEY is set without SMARTFLOW_TLS_CERT\n"));
    CHECK_STR(problems(load(STR_NONE, ENV("SMARTFLOW_TLS_CLIENT_CA=/ca.pem"))),
        STR("-: SMARTFLOW_TLS_CLIENT_CA is set without SMARTFLOW_TLS_CERT\n"));
    CHECK_STR(problems(load(STR_NONE, ENV("SMARTFLOW_UPSTREAM_KEY=/x.key"))),
        STR("-: SMARTFLOW_UPSTREAM_KEY is set without SMARTFLOW_UPSTREAM_CERT\n"));
    CHECK_STR(problems(YAML("smartflow:\n  log_level: loud\n")),
        STR("2: SMARTFLOW_LOG_LEVEL must be one of: debug info warn error; not 'loud'\n"));
    CHECK_STR(problems(load(STR_NONE, ENV("SMARTFLOW_LOG_FORMAT=xml"))),
        STR("-: SMARTFLOW_LOG_FORMAT must be one of: json pretty; not 'xml'\n"));
    CHECK(load(STR_NONE, ENV("SMARTFLOW_LOG_LEVEL=WARN", "SMARTFLOW_LOG_FORMAT=json"))->c);
}

/* NAME= means what leaving it out means. */
static void test_empty_values(void)
{
    struct loaded *l = load(STR_NONE,
        ENV("SMARTFLOW_BIND=", "PROXY_PORT=", "SMARTFLOW_DATA=", "SMARTFLOW_ADMIN_KEY=",
            "SMARTFLOW_DEMO=", "OPENAI_API_KEY=", "OPENAI_API_BASE=", "SMARTFLOW_ROLES=",
            "SMARTFLOW_MODEL_ALIASES=", "SMARTFLOW_TRUSTED_PROXIES=", "SMARTFLOW_TLS_CERT="));

    CHECK_STR(problems(l), STR(""));
    CHECK_STR(l->c->bind, STR("127.0.0.1"));
    CHECK(l->c->data_dir.n > 0);
    CHECK_EQ(l->c->proxy_port, 7775);
    CHECK(!secret_is_set(&l->c->admin_key));
    CHECK(!route_upstream(&l->c->route, STR("openai"))->configured);
    CHECK_EQ(l->c->roles, 31);
    CHECK(!l->c->tls_cert);
}

static void test_yaml_translation(void)
{
    struct config *c = YAML("translation:\n"
                            "  losses: refuse\n"
                            "  keep_alive: 3s\n"
                            "  fetch_images: false\n")
                           ->c;

    CHECK(c != NULL);
    CHECK_EQ(c->losses, 1);
    CHECK_EQ(c->keep_alive, 3 * NS_PER_S);
    CHECK(!c->fetch_images);
    CHECK_STR(problems(YAML("translation:\n  losses: maybe\n")),
        STR("2: SMARTFLOW_LOSSES must be one of: declare refuse; not 'maybe'\n"));
    CHECK_STR(problems(YAML("translation: {lossy: refuse}\n")),
        STR("1: translation has no setting 'lossy' (losses, keep_alive, fetch_images, "
            "fetch_allow)\n"));
    CHECK_STR(problems(YAML("translation: refuse\n")), STR("1: translation must be a mapping\n"));
}

static void test_yaml_nesting(void)
{
    struct config *c = YAML("smartflow:\n"
                            "  bind: 0.0.0.0\n"
                            "  max:\n"
                            "    body: 2MiB\n"
                            "  idle-timeout: 10s\n"
                            "proxy: {port: 8080}\n"
                            "MANAGEMENT_PORT: 0\n"
                            "openai.api_key: sk-1\n")
                           ->c;

    CHECK(c != NULL);
    CHECK_STR(c->bind, STR("0.0.0.0"));
    CHECK_EQ(c->max_body, 2 << 20);
    CHECK_EQ(c->idle_timeout, 10 * NS_PER_S);
    CHECK_EQ(c->proxy_port, 8080);
    CHECK_EQ(c->management_port, 0);
    CHECK(route_upstream(&c->route, STR("openai"))->configured);
}

static void test_precedence(void)
{
    struct config *c =
        load(STR("proxy: {port: 1111}\nmanagement: {port: 2222}\n"), ENV("PROXY_PORT=3333"))->c;

    CHECK(c != NULL);
    CHECK_EQ(c->proxy_port, 3333);
    CHECK_EQ(c->management_port, 2222);
}

/* --- NAME_FILE --- */

static char *file_with(const char *text)
{
    static char path[] = "/tmp/sf-config-XXXXXX";

    strcpy(path + sizeof path - 7, "XXXXXX");
    int fd = mkstemp(path);
    must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void test_files(void)
{
    char set[128];
    char *path = file_with("  sk-from-file\n");

    snprintf(set, sizeof set, "OPENAI_API_KEY_FILE=%s", path);
    struct config *c = load(STR_NONE, ENV(set))->c;
    unlink(path);
    CHECK(c != NULL);
    CHECK(secret_eq(
        &upstream_pick(route_upstream(&c->route, STR("openai")))->key, STR("sk-from-file")));
    struct loaded *l = load(STR_NONE, ENV("OPENAI_API_KEY_FILE=/nowhere/at/all"));
    CHECK_STR(problems(l), STR("-: OPENAI_API_KEY_FILE: cannot read /nowhere/at/all\n"));
    l = load(STR_NONE, ENV("OPENAI_API_KEY_FILE=/tmp"));
    CHECK_EQ(l->n, 1);
    l = load(STR_NONE, ENV("OPENAI_API_KEY_FILE=/etc/hostname", "OPENAI_API_KEY=sk-secret"));
    CHECK_STR(problems(l),
        STR("-: OPENAI_API_KEY and OPENAI_API_KEY_FILE are both set: which one counts?\n"));
    l = load(STR_NONE, ENV("OPENAI_API_KEY=", "OPENAI_API_KEY_FILE="));
    CHECK_STR(problems(l), STR(""));
    /* SMARTFLOW_LOG_FILE is a setting, not a file with SMARTFLOW_LOG in it. */
    l = load(STR_NONE, ENV("SMARTFLOW_LOG_FILE=/nowhere/log"));
    CHECK_STR(problems(l), STR(""));
    CHECK_STR(str_of(l->c->log_file), STR("/nowhere/log"));
}

static void test_no_such_file(void)
{
    static struct loaded l;
    struct config *c;
    char *env[] = {NULL};

    CHECK_EQ(config_load("/nowhere/x.yaml", env, loaded_problem, &l, &c), 1);
    CHECK(c == NULL);
    CHECK_STR(problems(&l), STR("-: cannot read /nowhere/x.yaml: No such file or directory\n"));
}

/* --- values --- */

static void test_durations(void)
{
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {{"5", 5 * NS_PER_S}, {"5s", 5 * NS_PER_S}, {"5 s", 5 * NS_PER_S},
        {"1500ms", 1500 * NS_PER_MS}, {"2m", 120 * NS_PER_S}, {"2min", 120 * NS_PER_S},
        {"1h", 3600 * NS_PER_S}, {"1H", 3600 * NS_PER_S}, {"", 0}, {"s", 0}, {"-1s", 0},
        {"1.5s", 0}, {"1w", 0}, {"0", 0}, {"99999999999999999999s", 0}, {"9223372036854775807h", 0},
        {"1e3", 0}, {"0x10", 0}};
    char set[64];

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(set, sizeof set, "SMARTFLOW_IDLE_TIMEOUT=%s", rows[i].text);
        struct loaded *l = load(STR_NONE, ENV(set));
        int64_t want = rows[i].text[0] ? rows[i].ns : 75 * NS_PER_S;
        if ((l->c ? l->c->idle_timeout : 0) != want)
            tap_fail(__FILE__, __LINE__, "%s: %s", rows[i].text, l->problems);
    }
}

static void test_sizes(void)
{
    static const struct {
        const char *text;
        uint64_t n;
    } rows[] = {{"2048", 2048}, {"64k", 65536}, {"64KiB", 65536}, {"64kb", 64000}, {"2048b", 2048},
        {"1m", 1 << 20}, {"1MB", 1000000}, {"64MiB", 64 << 20}, {"65MiB", 0}, {"1023", 0},
        {"1g", 0}, {"k", 0}, {"-1k", 0}, {"1.5m", 0}, {"18446744073709551615g", 0}};
    char set[64];

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(set, sizeof set, "SMARTFLOW_MAX_BODY=%s", rows[i].text);
        struct loaded *l = load(STR_NONE, ENV(set));
        if ((l->c ? l->c->max_body : 0) != rows[i].n)
            tap_fail(__FILE__, __LINE__, "%s: %s", rows[i].text, l->problems);
    }
}

static void test_bools(void)
{
    static const struct {
        const char *text;
        int want; /* -1: refused */
    } rows[] = {{"true", 1}, {"TRUE", 1}, {"1", 1}, {"yes", 1}, {"On", 1}, {"false", 0}, {"0", 0},
        {"no", 0}, {"OFF", 0}, {"2", -1}, {"tru", -1}, {"y", -1}};
    char set[64];

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(set, sizeof set, "SMARTFLOW_DEMO=%s", rows[i].text);
        struct loaded *l = load(STR_NONE, ENV(set));
        CHECK_EQ(l->c ? l->c->demo : -1, rows[i].want);
    }
}

static void test_ports(void)
{
    CHECK_EQ(load(STR_NONE, ENV("PROXY_PORT=65535"))->c->proxy_port, 65535);
    CHECK_EQ(load(STR_NONE, ENV("PROXY_PORT=65536"))->n, 1);
    CHECK_EQ(load(STR_NONE, ENV("PROXY_PORT=-1"))->n, 1);
    CHECK_STR(problems(load(STR_NONE, ENV("PROXY_PORT=http"))),
        STR("-: PROXY_PORT must be a port number from 0 to 65535, not 'http'\n"));
}

/* --- complaints --- */

static void test_lines(void)
{
    static const struct {
        const char *yaml, *want;
    } rows[] = {
        {"a: [\n", "2: not valid YAML: "},
        {"proxy:\n  port: x\n", "2: PROXY_PORT must be a port number"},
        {"\n\nproxy: {prot: 1}\n", "3: unknown setting PROXY_PROT (did you mean PROXY_PORT?)\n"},
        {"smartflow:\n  bnid: x\n",
            "2: unknown setting SMARTFLOW_BNID (did you mean SMARTFLOW_BIND?)\n"},
        {"zzzzzzzzzzzzzzzzzzzz: 1\n", "1: unknown setting ZZZZZZZZZZZZZZZZZZZZ\n"},
        {"x\n", "1: settings must be nested mappings of names\n"},
        {"- x\n", "1: settings must be nested mappings of names\n"},
        {"proxy:\n  port: [1]\n", "2: settings must be nested mappings of names\n"},
        {"a: {b: {c: {d: {e: {f: {g: {h: {i: {j: 1}}}}}}}}}\n",
            "1: settings must be nested mappings of names\n"},
        {"? [a]\n: b\n", "1: a setting's name must be a single value\n"},
        {"\xc3\xa9: 1\n", "1: unknown setting \xc3\xa9\n"},
        {"smartflow:\n  demo: maybe\n", "2: SMARTFLOW_DEMO must be true or false, not 'maybe'\n"},
        {"smartflow:\n  max_body: 1\n",
            "2: SMARTFLOW_MAX_BODY is out of range: '1' (default 64MiB)\n"},
        {"openai:\n  api_base: ftp://h\n",
            "2: OPENAI_API_BASE: a base URL must begin with http:// or https://\n"},
        {"smartflow:\n  trusted_proxies: 10.0.0.0/99\n", "2: SMARTFLOW_TRUSTED_PROXIES must be"},
        {"smartflow:\n  roles: proxy,x\n", "2: SMARTFLOW_ROLES: there is no role 'x'"},
        {"smartflow:\n  model_aliases: fast\n", "2: SMARTFLOW_MODEL_ALIASES must be a list"},
        {"\nsmartflow: {default_provider: nobody}\n",
            "2: SMARTFLOW_DEFAULT_PROVIDER: there is no provider 'nobody'\n"},
        {"smartflow:\n  prices: /nowhere.json\n", "2: SMARTFLOW_PRICES: "},
        {"virtual_keys: 1\n", "1: virtual_keys must be a list\n"},
        {"virtual_keys:\n- x\n", "2: a virtual key must be a mapping with name and key\n"},
        {"virtual_keys:\n- name: a\n", "2: a virtual key needs a name and a key\n"},
        {"virtual_keys:\n- {name: a, key: short}\n", "2: the key of 'a' must be sk-sf- and"},
        {"virtual_keys:\n- {name: a, key: sk-sf-11111111, colour: red}\n",
            "2: a virtual key has no field 'colour'"},
        {"virtual_keys:\n- {name: a, key: sk-sf-11111111, model_allowlist: gpt-4o}\n",
            "2: 'model_allowlist' must be a list of at most 100"},
        {"virtual_keys:\n- {name: a, key: sk-sf-11111111, is_active: flase}\n",
            "2: 'is_active' must be true or false.\n"},
        {"virtual_keys:\n- {name: a, key: sk-sf-11111111, budgets: {hourly: 1}}\n", "2: 'budgets"},
        {"virtual_keys:\n- {name: a, key: sk-sf-11111111, rpm_limit: -1}\n", "2: 'rpm_limit'"},
        {"virtual_keys:\n- {name: a, key: sk-sf-11111111}\n- {name: b, key: sk-sf-11111111}\n",
            "is already another's\n"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct loaded *l = load(str_of(rows[i].yaml), NULL);
        if (!l->n || str_find(problems(l), str_of(rows[i].want)) < 0)
            tap_fail(
                __FILE__, __LINE__, "%s: %s, wanted %s", rows[i].yaml, l->problems, rows[i].want);
    }
}

/* All of them are told at once. */
static void test_many_problems(void)
{
    struct loaded *l = load(STR("proxy: {port: x}\nmanagement: {port: y}\nfoo: 1\n"),
        ENV("SMARTFLOW_DEMO=z", "SMARTFLOW_THREADS=999"));

    CHECK_EQ(l->n, 5);
}

/* No complaint shows a secret. */
static void test_secrets_stay(void)
{
    struct loaded *l = load(STR("virtual_keys: [{name: a, key: sk-secret}]\n"
                                "openai: {api_base: 'https://user:secret@h'}\n"),
        ENV("ANTHROPIC_API_KEY=a\nsecret", "SMARTFLOW_DEMO_KEY=secret"));

    CHECK_EQ(l->n, 4);
    CHECK(str_find(problems(l), STR("secret")) < 0);
    CHECK(str_find(problems(l), STR("ANTHROPIC_API_KEY holds a blank or a control")) >= 0);
}

/* An alias in an alias makes a small file a huge tree: it is given up. */
static void test_bomb(void)
{
    char yaml[2048];
    int n = snprintf(yaml, sizeof yaml, "a: &a {x: 1}\n");

    for (char c = 'b'; c <= 'h'; c++) {
        n += snprintf(yaml + n, sizeof yaml - (size_t)n, "%c: &%c {", c, c);
        for (int i = 0; i < 12; i++)
            n += snprintf(yaml + n, sizeof yaml - (size_t)n, "%sk%d: *%c", i ? ", " : "", i, c - 1);
        n += snprintf(yaml + n, sizeof yaml - (size_t)n, "}\n");
    }
    struct loaded *l = load(str_at(yaml, (size_t)n), NULL);
    CHECK(l->n > 0 && l->n <= 10001);
}

/* --- lists --- */

static void test_aliases(void)
{
    struct config *c =
        load(STR_NONE, ENV("SMARTFLOW_MODEL_ALIASES= fast = groq/x , best=openai/gpt-5"))->c;

    CHECK(c != NULL);
    CHECK_EQ(c->route.aliases_n, 2);
    CHECK_STR(c->route.aliases[0].name, STR("fast"));
    CHECK_STR(c->route.aliases[0].target, STR("groq/x"));
    CHECK_STR(c->route.aliases[1].name, STR("best"));
    c = YAML("model_aliases:\n  fast: groq/x\n  best: openai/gpt-5\n")->c;
    CHECK(c && c->route.aliases_n == 2);
    CHECK_STR(c->route.aliases[1].target, STR("openai/gpt-5"));
    CHECK_EQ(load(STR_NONE, ENV("SMARTFLOW_MODEL_ALIASES=a=,=b,c"))->n, 3);
}

static void test_cors(void)
{
    struct config *c = load(STR_NONE, ENV("SMARTFLOW_CORS_ORIGINS=https://a, ,https://b,"))->c;

    CHECK(c && c->cors_origins_n == 2);
    CHECK_STR(c->cors_origins[1], STR("https://b"));
    c = YAML("cors_origins: [https://a, '*']\n")->c;
    CHECK(c && c->cors_origins_n == 2);
    CHECK_STR(c->cors_origins[1], STR("*"));
    c = YAML("smartflow: {cors_origins: https://a}\n")->c;
    CHECK(c && c->cors_origins_n == 1);
}

static void test_roles(void)
{
    CHECK_EQ(load(STR_NONE, ENV("SMARTFLOW_ROLES=proxy"))->c->roles, ROLE_PROXY);
    CHECK_EQ(load(STR_NONE, ENV("SMARTFLOW_ROLES= management , bridge "))->c->roles,
        ROLE_MANAGEMENT | ROLE_BRIDGE);
    CHECK_EQ(load(STR_NONE, ENV("SMARTFLOW_ROLES=Proxy"))->n, 1);
}

static void test_virtual_keys(void)
{
    struct config *c = load(STR("virtual_keys:\n"
                                "- name: team\n"
                                "  key: sk-sf-11111111\n"
                                "  model_allowlist: [gpt-4o, 'claude-*']\n"
                                "  provider_allowlist: [openai, anthropic]\n"
                                "  budgets: {daily: 1.5, monthly: '20'}\n"
                                "  rpm_limit: 60\n"
                                "  expires_at: 2090-01-01T00:00:00Z\n"
                                "- {name: off, key: sk-sf-22222222, is_active: no}\n"),
        ENV("SMARTFLOW_DEMO_KEY=sk-sf-demo0000"))
                           ->c;

    CHECK(c != NULL);
    CHECK_EQ(vkey_count(c->keys.set), 3);
    const struct virtual_key *k = vkey_find(c->keys.set, STR("sk-sf-11111111"));
    CHECK(k && k->subject.is_active);
    CHECK_STR(k->subject.name, STR("team"));
    CHECK(vkey_allows_model(k, STR("claude-x")) && !vkey_allows_model(k, STR("gpt-5")));
    CHECK(vkey_allows_provider(k, STR("openai")) && !vkey_allows_provider(k, STR("groq")));
    CHECK_EQ(k->subject.limits.rpm, 60);
    CHECK_EQ(k->subject.limits.budgets_n, 2);
    CHECK_EQ(k->subject.limits.budgets[0].limit_nano, 1500000000);
    CHECK_EQ(k->expires_at / NS_PER_S, 3786912000);
    k = vkey_find(c->keys.set, STR("sk-sf-22222222"));
    CHECK(k && !k->subject.is_active);
    CHECK(vkey_find(c->keys.set, STR("sk-sf-demo0000")) != NULL);
}

static void test_upstreams(void)
{
    struct config *c =
        load(STR_NONE, ENV("OPENAI_API_KEY= sk-1 ", "OLLAMA_BASE_URL=http://localhost:11434/v1",
                           "AZURE_API_KEY=k", "GROQ_API_BASE=http://h/openai/v1",
                           "OPENAI_COMPATIBLE_API_BASE="
                           "http://127.0.0.1:9",
                           "VERTEXAI_API_KEY=t", "VERTEXAI_PROJECT=p"))
            ->c;
    const struct upstream *u;

    CHECK(c != NULL);
    u = route_upstream(&c->route, STR("openai"));
    CHECK(u->configured && u->origin.target.tls && secret_eq(&upstream_pick(u)->key, STR("sk-1")));
    u = route_upstream(&c->route, STR("ollama"));
    CHECK(u->configured && !u->origin.target.tls && u->origin.target.port == 11434);
    CHECK(!route_upstream(&c->route, STR("azure"))->configured); /* no base URL */
    CHECK(!route_upstream(&c->route, STR("groq"))->configured);  /* no key */
    CHECK_STR(c->route.default_upstream->provider->id, STR("openai_compatible"));
    CHECK_STR(route_upstream(&c->route, STR("vertex"))->options[0], STR("p"));
    c = load(STR_NONE, ENV("SMARTFLOW_PASSTHROUGH_KEYS=1"))->c;
    CHECK(c && route_upstream(&c->route, STR("openai"))->configured);
    CHECK(!route_upstream(&c->route, STR("ollama"))->configured);
    c = load(STR_NONE, ENV("SMARTFLOW_DEFAULT_PROVIDER=groq"))->c;
    CHECK_STR(c->route.default_upstream->provider->id, STR("groq"));
}

static void test_references(void)
{
    struct config *c = load(STR_NONE, NULL)->c;

    config_ref(c);
    config_set_current(c);
    CHECK(config_current() == c);
    CHECK_EQ(c->refs_, 3);
    config_set_current(NULL);
    CHECK(config_current() == NULL);
    CHECK_EQ(c->refs_, 2);
    config_unref(c);
}

int main(void)
{
    TAP_RUN(test_defaults);
    TAP_RUN(test_environment);
    TAP_RUN(test_half_said);
    TAP_RUN(test_empty_values);
    TAP_RUN(test_yaml_nesting);
    TAP_RUN(test_yaml_translation);
    TAP_RUN(test_precedence);
    TAP_RUN(test_files);
    TAP_RUN(test_no_such_file);
    TAP_RUN(test_durations);
    TAP_RUN(test_sizes);
    TAP_RUN(test_bools);
    TAP_RUN(test_ports);
    TAP_RUN(test_lines);
    TAP_RUN(test_many_problems);
    TAP_RUN(test_secrets_stay);
    TAP_RUN(test_bomb);
    TAP_RUN(test_aliases);
    TAP_RUN(test_cors);
    TAP_RUN(test_roles);
    TAP_RUN(test_virtual_keys);
    TAP_RUN(test_upstreams);
    TAP_RUN(test_references);
    config_unref(load(STR_NONE, NULL)->c);
    return tap_done();
}
