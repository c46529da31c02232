/* Virtual keys from the command line. See cmd/keys.h. */
#include "cmd/keys.h"

#include "base/limits.h"
#include "cmd/client.h"
#include "json/scan.h"

#include <stdlib.h>

#define BASE "/api/enterprise/vkeys"

void keys_usage(FILE *to)
{
    fputs("  keys list [--team ID] [--user ID] [--active true|false] [--limit N]\n"
          "  keys create --name NAME [--team ID] [--user ID] [--models A,B] [--providers A,B]\n"
          "              [--tags A,B] [--daily USD] [--monthly USD] [--rpm N] [--tpm N]\n"
          "              [--parallel N] [--expires TIME]\n"
          "  keys get|revoke ID, keys rotate ID [--grace SECONDS]\n"
          "                                         virtual keys of a running gateway\n"
          "                                         (--url URL, --ca FILE, --json)\n",
        to);
}

static int usage(void)
{
    keys_usage(stderr);
    return 2;
}

static const struct client_column columns[] = {{"id", "ID", 16}, {"name", "NAME", 24},
    {"last4", "LAST4", 5}, {"is_active", "ACTIVE", 6}, {"team_id", "TEAM", 24},
    {"monthly_spend_cap", "MONTHLY", 9}, {"rpm_limit", "RPM", 7}, {"expires_at", "EXPIRES", 24},
    {NULL, NULL, 0}};

static int show_list(const struct client *c)
{
    if (c->json)
        client_print_json(c);
    else
        client_table(columns, json_find(buf_str(&c->reply), STR("data")), true, false);
    return 0;
}

static int show_one(const struct client *c)
{
    struct str data = json_find(buf_str(&c->reply), STR("data"));

    if (c->json)
        client_print_json(c);
    else
        client_members(data);
    if (!c->json && json_find(data, STR("key")).n)
        fputs("\nThe key is shown this once: keep it now.\n", stderr);
    return 0;
}

/* --- list --- */

static int list(struct client *c)
{
    static const char *const known[] = {"team", "user", "active", "limit", NULL};
    static const struct {
        const char *option, *parameter;
    } map[] = {
        {"team", "team_id"}, {"user", "user_id"}, {"active", "is_active"}, {"limit", "limit"}};
    _cleanup_(buf_free) struct buf target = {0};

    if (!client_knows(c, known) || client_plain(c, 1))
        return usage();
    buf_init(&target, LIMIT_TARGET_BYTES);
    buf_addstr(&target, STR(BASE "?"));
    for (unsigned i = 0; i < ARRAY_LEN(map); i++) {
        const char *value = client_option(c, map[i].option);
        if (!value)
            continue;
        buf_printf(&target, "%s=", map[i].parameter);
        client_encode(&target, str_of(value));
        buf_addc(&target, '&');
    }
    target.n--; /* the last '&' or '?' */
    buf_addc(&target, '\0');
    return target.err || client_call(c, "GET", target.p, STR_NONE) < 0 ? 1 : show_list(c);
}

/* --- create --- */

enum how { AS_TEXT, AS_NUMBER, AS_LIST };
static const struct {
    const char *option, *field;
    enum how how;
} fields[] = {
    {"name", "name", AS_TEXT},
    {"team", "team_id", AS_TEXT},
    {"user", "user_id", AS_TEXT},
    {"org", "org_id", AS_TEXT},
    {"models", "model_allowlist", AS_LIST},
    {"providers", "provider_allowlist", AS_LIST},
    {"tags", "tags", AS_LIST},
    {"monthly", "monthly_spend_cap", AS_TEXT},
    {"rpm", "rpm_limit", AS_NUMBER},
    {"tpm", "tpm_limit", AS_NUMBER},
    {"parallel", "max_parallel_requests", AS_NUMBER},
    {"expires", "expires_at", AS_TEXT},
};

static void add_list(struct buf *b, struct str value)
{
    buf_addc(b, '[');
    while (value.p && value.n) {
        buf_addjson(b, str_trim(str_split(&value, ',')));
        if (value.n)
            buf_addc(b, ',');
    }
    buf_addc(b, ']');
}

static void add_field(struct buf *b, const char *field, enum how how, struct str value)
{
    uint64_t n;

    if (b->n > 1)
        buf_addc(b, ',');
    buf_addjson(b, str_of(field));
    buf_addc(b, ':');
    if (how == AS_LIST)
        add_list(b, value);
    else if (how == AS_NUMBER && str_u64(value, &n) == 0)
        buf_addu64(b, n);
    else
        buf_addjson(b, value); /* the gateway says what is wrong with it */
}

/* --daily and --monthly together are two budgets; --monthly alone is the cap. */
static void add_budgets(struct buf *b, const char *daily, const char *monthly)
{
    if (b->n > 1)
        buf_addc(b, ',');
    buf_addstr(b, STR("\"budgets\":{\"daily\":"));
    buf_addjson(b, str_of(daily));
    if (monthly) {
        buf_addstr(b, STR(",\"monthly\":"));
        buf_addjson(b, str_of(monthly));
    }
    buf_addc(b, '}');
}

static int create(struct client *c)
{
    static const char *const known[] = {"name", "team", "user", "org", "models", "providers",
        "tags", "daily", "monthly", "rpm", "tpm", "parallel", "expires", NULL};
    const char *daily = client_option(c, "daily");
    _cleanup_(buf_free) struct buf body = {0};

    if (!client_knows(c, known) || client_plain(c, 1) || !client_option(c, "name"))
        return usage();
    buf_init(&body, MIB);
    buf_addc(&body, '{');
    for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
        const char *value = client_option(c, fields[i].option);
        if (value && !(daily && !strcmp(fields[i].option, "monthly")))
            add_field(&body, fields[i].field, fields[i].how, str_of(value));
    }
    if (daily)
        add_budgets(&body, daily, client_option(c, "monthly"));
    buf_addc(&body, '}');
    return body.err || client_call(c, "POST", BASE, buf_str(&body)) < 0 ? 1 : show_one(c);
}

/* --- get, revoke, rotate --- */

static int on_key(struct client *c, const char *method, const char *tail, struct str body)
{
    const char *id = client_plain(c, 1);
    _cleanup_(buf_free) struct buf target = {0};

    if (!id || client_plain(c, 2))
        return usage();
    buf_init(&target, LIMIT_TARGET_BYTES);
    buf_addstr(&target, STR(BASE "/"));
    client_encode(&target, str_of(id));
    buf_addstr(&target, str_of(tail));
    buf_addc(&target, '\0');
    return target.err || client_call(c, method, target.p, body) < 0 ? 1 : show_one(c);
}

static int rotate(struct client *c)
{
    static const char *const known[] = {"grace", NULL};
    const char *grace = client_option(c, "grace");
    char body[64] = "{}";
    uint64_t seconds;

    if (!client_knows(c, known) || (grace && str_u64(str_of(grace), &seconds) < 0))
        return usage();
    if (grace)
        snprintf(body, sizeof body, "{\"grace_seconds\":%llu}", (unsigned long long)seconds);
    return on_key(c, "POST", "/rotate", str_of(body));
}

static int command(struct client *c)
{
    static const char *const none[] = {NULL};
    const char *verb = client_plain(c, 0);

    if (!verb)
        return usage();
    if (!strcmp(verb, "list"))
        return list(c);
    if (!strcmp(verb, "create"))
        return create(c);
    if (!strcmp(verb, "rotate"))
        return rotate(c);
    if (!client_knows(c, none))
        return usage();
    if (!strcmp(verb, "get"))
        return on_key(c, "GET", "", STR_NONE);
    if (!strcmp(verb, "revoke"))
        return on_key(c, "DELETE", "", STR_NONE);
    return usage();
}

int keys_command(int argc, char **argv)
{
    return client_main(argc, argv, command);
}
