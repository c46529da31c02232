/*
 * The tables of fields of organisations, teams, users, keys and end customers. See keys/record.h.
 */
#include "keys/record.h"

#include "base/macros.h"
#include "llm/endpoint.h"
#include "net/dial.h"

#include <ctype.h>

const char *const key_content_words[] = {"full", "hashed", "off", NULL};
const char *const user_role_words[] = {
    "internal_user", "proxy_admin_viewer", "org_admin", "proxy_admin", NULL};

/* --- what texts may be --- */

static const char *check_endpoint(struct str s)
{
    if (str_starts(s, STR("/")))
        return NULL;
    for (int k = 0; k < ENDPOINT_KINDS; k++)
        if (str_glob(s, endpoint_kind_name((enum endpoint_kind)k)))
            return NULL;
    return "must be kinds of endpoints (chat, responses, messages, embeddings, ...) or paths that "
           "begin with '/', both with '*' where anything may stand";
}

static const char *check_address(struct str s)
{
    struct net_cidrs *c = NULL;

    if (str_chr(s, ',') < 0 && net_cidrs_parse(s, &c) == 0) {
        net_cidrs_free(c);
        return NULL;
    }
    return "must be IP addresses or networks like \"192.0.2.7\" or \"2001:db8::/32\"";
}

static const char *check_tag(struct str s)
{
    return str_chr(s, ',') < 0 && str_eq(str_trim(s), s)
               ? NULL
               : "must be tags without commas, and without spaces around them";
}

static const char *check_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '_' && s.p[i] != '-')
            return "must be an id of letters, digits, '_' and '-'";
    return NULL;
}

static const char *check_email(struct str s)
{
    ptrdiff_t at = str_chr(s, '@');

    return at > 0 && (size_t)at + 1 < s.n && str_chr(s, ' ') < 0 ? NULL
                                                                 : "must be an e-mail address";
}

/* --- rows --- */

#define AT(m)      offsetof(struct record, m)
#define LIST_MAX   100
#define OBJECT_MAX 16384

#define ROW_ID(text)                                                                               \
    {                                                                                              \
        .name = "id", .type = FIELD_TEXT, .flags = FIELD_FILTER, .offset = AT(id), .min = 1,       \
        .max = 256, .doc = text                                                                    \
    }
#define ROW_NAME(text)                                                                             \
    {                                                                                              \
        .name = "name", .type = FIELD_TEXT, .flags = FIELD_WRITE | FIELD_REQUIRED | FIELD_FILTER,  \
        .offset = AT(name), .min = 1, .max = 128, .doc = text, .example = "\"search-backend\""     \
    }
#define ROW_LINK(field, how, text)                                                                 \
    {                                                                                              \
        .name = #field, .type = FIELD_TEXT, .flags = (how) | FIELD_FILTER, .offset = AT(field),    \
        .max = 64, .check = check_id, .doc = text                                                  \
    }
#define ROW_LIST(field, member, how, checked, text, shown)                                         \
    {                                                                                              \
        .name = field, .type = FIELD_TEXTS, .flags = how, .offset = AT(member), .max = LIST_MAX,   \
        .check = checked, .doc = text, .example = shown                                            \
    }
#define ROW_COUNT(field, member, most, text)                                                       \
    {                                                                                              \
        .name = field, .type = FIELD_INT, .flags = FIELD_WRITE, .offset = AT(member), .min = 1,    \
        .max = most, .doc = text                                                                   \
    }
#define ROW_TIME(field, how, text)                                                                 \
    {                                                                                              \
        .name = #field, .type = FIELD_TIME, .flags = how, .offset = AT(field), .doc = text,        \
        .example = "\"2026-12-31T23:59:59Z\""                                                      \
    }

#define ROWS_LIMITS                                                                                \
    {.name = "budgets",                                                                            \
        .type = FIELD_BUDGETS,                                                                     \
        .flags = FIELD_WRITE,                                                                      \
        .offset = AT(budgets),                                                                     \
        .doc = "Money that may be spent in a day, ISO week, month (UTC) or ever, in US dollars; "  \
               "soft ones only alert. As a list, or short as {\"daily\":10}.",                     \
        .example = "[{\"period\":\"monthly\",\"limit_usd\":100,\"soft\":false,\"model\":null,"     \
                   "\"tag\":null}]"},                                                              \
        {.name = "monthly_spend_cap",                                                              \
            .type = FIELD_CAP,                                                                     \
            .flags = FIELD_WRITE | FIELD_DERIVED,                                                  \
            .offset = AT(budgets),                                                                 \
            .doc = "The monthly budget, in US dollars.",                                           \
            .example = "100"},                                                                     \
        ROW_COUNT("rpm_limit", rpm, 1000000000, "Requests a minute."),                             \
        ROW_COUNT("tpm_limit", tpm, 1000000000000, "Tokens a minute, in and out."),                \
        ROW_COUNT("max_parallel_requests", parallel, 1000000, "Calls at the same time.")

#define ROW_METADATA                                                                               \
    {                                                                                              \
        .name = "metadata", .type = FIELD_OBJECT, .flags = FIELD_WRITE, .offset = AT(metadata),    \
        .max = OBJECT_MAX, .doc = "Anything of yours.", .example = "{\"cost_center\":\"4711\"}"    \
    }
#define ROW_ACTIVE(text)                                                                           \
    {                                                                                              \
        .name = "is_active", .type = FIELD_BOOL, .flags = FIELD_WRITE | FIELD_FILTER,              \
        .offset = AT(is_active), .doc = text, .example = "true"                                    \
    }
#define ROWS_TIMES                                                                                 \
    ROW_TIME(created_at, FIELD_FILTER, "When it was made."),                                       \
        ROW_TIME(updated_at, 0, "When it was last changed.")

static const struct field_row org_fields[] = {
    ROW_ID("The organisation's id."),
    ROW_NAME("What it is called; unique."),
    ROWS_LIMITS,
    ROW_METADATA,
    ROW_ACTIVE("Whether its keys work."),
    ROWS_TIMES,
};

static const struct field_row team_fields[] = {
    ROW_ID("The team's id."),
    ROW_NAME("What it is called; unique in its organisation."),
    ROW_LINK(org_id, FIELD_CREATE, "The organisation that it belongs to; cannot be changed."),
    ROWS_LIMITS,
    ROW_METADATA,
    ROW_ACTIVE("Whether its keys work."),
    ROWS_TIMES,
};

static const struct field_row user_fields[] = {
    ROW_ID("The user's id."),
    ROW_NAME("What they are called; unique in their organisation."),
    {.name = "email",
        .type = FIELD_TEXT,
        .flags = FIELD_WRITE | FIELD_FILTER,
        .offset = AT(email),
        .max = 254,
        .check = check_email,
        .doc = "Their e-mail address."},
    {.name = "role",
        .type = FIELD_WORD,
        .flags = FIELD_WRITE | FIELD_FILTER,
        .offset = AT(role),
        .words = user_role_words,
        .doc = "What they may do in the management API."},
    ROW_LINK(team_id, FIELD_WRITE, "Their team."),
    ROW_LINK(org_id, FIELD_CREATE, "Their organisation, or their team's; cannot be changed."),
    ROWS_LIMITS,
    ROW_METADATA,
    ROW_ACTIVE("Whether their keys work."),
    ROWS_TIMES,
};

static const struct field_row key_fields[] = {
    ROW_ID("The key's id: the beginning of its hash."),
    ROW_NAME("What it is called; unique among the active keys of its team."),
    {.name = "last4",
        .type = FIELD_TEXT,
        .offset = AT(last4),
        .min = 1,
        .max = 4,
        .doc = "The key's last four characters."},
    ROW_LIST("model_allowlist", models, FIELD_WRITE, NULL,
        "Models that it may call, with '*'; empty: all.", "[\"gpt-4.1*\"]"),
    ROW_LIST("provider_allowlist", providers, FIELD_WRITE, NULL,
        "Providers that it may use; empty: all.", "[\"openai\"]"),
    ROW_LIST("endpoint_allowlist", endpoints, FIELD_WRITE, check_endpoint,
        "Kinds of endpoints or paths that it may call; empty: all.", "[\"chat\",\"/v1/files*\"]"),
    ROW_LIST("address_allowlist", addresses, FIELD_WRITE, check_address,
        "Addresses and networks that it may be used from; empty: all.", "[\"10.0.0.0/8\"]"),
    ROWS_LIMITS,
    {.name = "policy_set",
        .type = FIELD_TEXT,
        .flags = FIELD_WRITE,
        .offset = AT(policy_set),
        .max = 128,
        .doc = "The policies that judge its calls."},
    ROW_LINK(team_id, FIELD_WRITE | FIELD_FILTER, "Its team."),
    ROW_LINK(user_id, FIELD_WRITE | FIELD_FILTER, "Its user."),
    ROW_LINK(org_id, FIELD_CREATE, "Its organisation, or its team's; cannot be changed."),
    ROW_LIST("tags", tags, FIELD_WRITE, check_tag, "Tags of all its calls.", "[\"production\"]"),
    ROW_METADATA,
    ROW_TIME(expires_at, FIELD_WRITE, "When it ends; null: never."),
    ROW_LIST("mcp_servers", mcp_servers, FIELD_WRITE, NULL,
        "MCP servers that it may use; empty: all.", "[\"github\"]"),
    ROW_LIST("agents", agents, FIELD_WRITE, NULL, "Agents that it may call; empty: all.",
        "[\"planner\"]"),
    {.name = "content_logging",
        .type = FIELD_WORD,
        .flags = FIELD_WRITE,
        .offset = AT(content),
        .words = key_content_words,
        .doc = "What is kept of prompts and replies: all, their hashes, nothing."},
    ROW_ACTIVE("false: revoked."),
    {.name = "rotated_from",
        .type = FIELD_TEXT,
        .flags = FIELD_FILTER,
        .offset = AT(rotated_from),
        .max = 64,
        .doc = "The key in whose place it came."},
    ROWS_TIMES,
};

static const struct field_row customer_fields[] = {
    {.name = "id",
        .type = FIELD_TEXT,
        .flags = FIELD_CREATE | FIELD_REQUIRED | FIELD_FILTER,
        .offset = AT(id),
        .min = 1,
        .max = 256,
        .doc = "What calls name in 'user' or x-smartflow-user; \"*\": all that have no record.",
        .example = "\"customer-4711\""},
    {.name = "name",
        .type = FIELD_TEXT,
        .flags = FIELD_WRITE | FIELD_FILTER,
        .offset = AT(name),
        .max = 128,
        .doc = "What they are called."},
    ROWS_LIMITS,
    ROW_METADATA,
    ROW_ACTIVE("Whether these limits are in force."),
    ROWS_TIMES,
};

#define TYPE(k, n, p, t, id, f)                                                                    \
    {                                                                                              \
        .kind = k, .name = n, .plural = p, .table = t, .prefix = id, .fields = f,                  \
        .fields_n = ARRAY_LEN(f)                                                                   \
    }

static const struct record_type types[SUBJECT_KINDS] = {
    [SUBJECT_ORG] = TYPE(SUBJECT_ORG, "organisation", "organizations", "orgs", "org_", org_fields),
    [SUBJECT_TEAM] = TYPE(SUBJECT_TEAM, "team", "teams", "teams", "team_", team_fields),
    [SUBJECT_USER] = TYPE(SUBJECT_USER, "user", "users", "users", "user_", user_fields),
    [SUBJECT_KEY] = TYPE(SUBJECT_KEY, "virtual key", "keys", "vkeys", NULL, key_fields),
    [SUBJECT_CUSTOMER] =
        TYPE(SUBJECT_CUSTOMER, "end customer", "customers", "customers", NULL, customer_fields),
};

const struct record_type *record_type(enum subject_kind k)
{
    return &types[k];
}
