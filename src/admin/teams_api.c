/*
 * Organisations, teams, users and end customers. See records.c for who may do what.
 */
#include "admin/records.h"
#include "admin/rows.h"

#define SCHEMAS(name, kind, title)                                                                 \
    static const struct admin_schema name##_schema =                                               \
        RECORD_SCHEMA(kind, title, &admin_spend_schema);                                           \
    static const struct admin_schema name##_input = RECORD_SCHEMA(kind, NULL, NULL)

SCHEMAS(org, SUBJECT_ORG, "Organization");
SCHEMAS(team, SUBJECT_TEAM, "Team");
SCHEMAS(user, SUBJECT_USER, "User");
SCHEMAS(customer, SUBJECT_CUSTOMER, "Customer");

#define RECORD_ROW(http, url, who, function, kind, called, in, flag, group, text)                  \
    {                                                                                              \
        .method = http, .path = url, .may = who, .scope = SCOPE_OWN, .handle = function,           \
        .body = in, .reply = &kind##_schema, .name = called, .flags = flag, .tag = group,          \
        .summary = text                                                                            \
    }

#define RECORD_LIST(url, who, kind, called, group)                                                 \
    {                                                                                              \
        .method = HTTP_GET, .path = url, .may = who, .scope = SCOPE_OWN,                           \
        .handle = admin_records_list, .query = &kind##_input, .reply = &kind##_schema,             \
        .name = called, .list = true, .tag = group, .summary = "List " called                      \
    }

/* see: who sees them; change: who changes what is there; make: who makes and deletes. */
#define RECORD_ROWS(base, kind, one, many, group, see, change, make)                               \
    RECORD_LIST(base, see, kind, many, group),                                                     \
        RECORD_ROW(HTTP_POST, base, make, admin_records_create, kind, one, &kind##_input,          \
            ADMIN_BODY_RAW | ADMIN_CREATED, group, "Make: " one),                                  \
        RECORD_ROW(HTTP_GET, base "/{id}", see, admin_records_get, kind, one, NULL, 0, group,      \
            "Show, with what it has spent: " one),                                                 \
        RECORD_ROW(HTTP_PUT, base "/{id}", change, admin_records_update, kind, one, &kind##_input, \
            ADMIN_BODY_RAW | ADMIN_CHANGES, group, "Change the fields given: " one),               \
        RECORD_ROW(HTTP_PATCH, base "/{id}", change, admin_records_update, kind, one,              \
            &kind##_input, ADMIN_BODY_RAW | ADMIN_CHANGES, group,                                  \
            "Change the fields given: " one),                                                      \
        RECORD_ROW(HTTP_DELETE, base "/{id}", make, admin_records_delete, kind, one, NULL, 0,      \
            group, "Delete: " one),                                                                \
        RECORD_ROW(HTTP_POST, base "/{id}/reset-spend", MAY_ADMIN, admin_records_reset_spend,      \
            kind, one, &admin_reset_body, ADMIN_BODY_OPTIONAL, group,                              \
            "Begin the sums of its budgets anew: " one)

static const struct admin_row rows[] = {
    RECORD_ROWS("/api/organizations", org, "organization", "organizations", "Organizations",
        MAY_VIEW_ORG, MAY_ADMIN, MAY_ADMIN),
    RECORD_ROWS(
        "/api/teams", team, "team", "teams", "Teams", MAY_VIEW_ORG, MAY_MANAGE_ORG, MAY_MANAGE_ORG),
    RECORD_ROWS("/api/users", user, "user", "users", "Users", MAY_SIGNED_IN, MAY_MANAGE_ORG,
        MAY_MANAGE_ORG),
    RECORD_ROWS("/api/customers", customer, "customer", "customers", "Customers", MAY_VIEW,
        MAY_ADMIN, MAY_ADMIN),
};
const struct admin_rows admin_teams_rows = {rows, ARRAY_LEN(rows)};
