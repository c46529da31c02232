/*
 * Virtual keys: /api/enterprise/vkeys, and the same under /api/auth/virtual-keys.
 */
#include "admin/records.h"
#include "admin/rows.h"

#include <errno.h>

static const struct admin_schema key_schema =
    RECORD_SCHEMA(SUBJECT_KEY, "Virtual_key", &admin_spend_schema);
static const struct admin_schema key_input = RECORD_SCHEMA(SUBJECT_KEY, NULL, NULL);

/* --- rotate and revoke --- */

struct rotation {
    int64_t grace_seconds;
    struct str changes;
};
static const struct field_row rotation_fields[] = {
    {"grace_seconds", FIELD_INT, FIELD_CREATE, offsetof(struct rotation, grace_seconds), 0,
        90 * 86400, NULL, NULL, "How long the old key stays good; a day when not given.", "3600"},
    {"changes", FIELD_OBJECT, FIELD_CREATE, offsetof(struct rotation, changes), 0,
        (int64_t)(256 * KIB), NULL, NULL, "Fields of the new key that are not the old one's.",
        NULL},
};
static const struct admin_schema rotation_body = {
    "Rotation", rotation_fields, ARRAY_LEN(rotation_fields), sizeof(struct rotation)};

static int rotate(struct admin_call *c)
{
    const struct rotation *body = c->body;
    int64_t grace = admin_gave(c, "grace_seconds") ? body->grace_seconds : 86400;
    struct str changes = body->changes.n ? body->changes : STR("{}"), secret = STR_NONE;
    struct record old, rec;
    struct error e = {0};
    int r = admin_record_load(c, &old);

    if (r == 0)
        r = admin_record_confine(c, false, &changes);
    if (r < 0)
        return r;
    r = registry_rotate(
        c->env->registry, old.id, grace * NS_PER_S, changes, &rec, &secret, &c->arena, &e);
    if (r < 0)
        return admin_registry_fail(c, r, &e);
    if ((r = admin_record_audit(c, "rotate", &rec, c->text)) < 0)
        return r;
    return admin_record_show(c, &rec, secret, false);
}

static int revoke(struct admin_call *c)
{
    struct record rec;
    struct error e = {0};
    int r = admin_record_load(c, &rec);

    if (r < 0)
        return r;
    r = registry_revoke(c->env->registry, rec.id, &rec, &c->arena, &e);
    if (r < 0)
        return admin_registry_fail(c, r, &e);
    if ((r = admin_record_audit(c, "revoke", &rec, STR_NONE)) < 0)
        return r;
    return admin_record_show(c, &rec, STR_NONE, false);
}

/* --- rows --- */

#define KEY_ROWS(base)                                                                             \
    {.method = HTTP_GET,                                                                           \
        .path = base,                                                                              \
        .may = MAY_SIGNED_IN,                                                                      \
        .scope = SCOPE_OWN,                                                                        \
        .handle = admin_records_list,                                                              \
        .query = &key_input,                                                                       \
        .reply = &key_schema,                                                                      \
        .name = "keys",                                                                            \
        .list = true,                                                                              \
        .tag = "Virtual keys",                                                                     \
        .summary = "List virtual keys"},                                                           \
        {.method = HTTP_POST,                                                                      \
            .path = base,                                                                          \
            .may = MAY_MANAGE_ORG,                                                                 \
            .scope = SCOPE_OWN,                                                                    \
            .handle = admin_records_create,                                                        \
            .body = &key_input,                                                                    \
            .reply = &key_schema,                                                                  \
            .name = "vkey",                                                                        \
            .flags = ADMIN_BODY_RAW | ADMIN_CREATED,                                               \
            .tag = "Virtual keys",                                                                 \
            .summary = "Make a virtual key; it is shown this once"},                               \
        {.method = HTTP_GET,                                                                       \
            .path = base "/{key}",                                                                 \
            .may = MAY_SIGNED_IN,                                                                  \
            .scope = SCOPE_OWN,                                                                    \
            .handle = admin_records_get,                                                           \
            .reply = &key_schema,                                                                  \
            .name = "vkey",                                                                        \
            .tag = "Virtual keys",                                                                 \
            .summary = "Show a virtual key by its id, or self for the key that asks"},             \
        {.method = HTTP_PUT,                                                                       \
            .path = base "/{key}",                                                                 \
            .may = MAY_MANAGE_ORG,                                                                 \
            .scope = SCOPE_OWN,                                                                    \
            .handle = admin_records_update,                                                        \
            .body = &key_input,                                                                    \
            .reply = &key_schema,                                                                  \
            .name = "vkey",                                                                        \
            .flags = ADMIN_BODY_RAW | ADMIN_CHANGES,                                               \
            .tag = "Virtual keys",                                                                 \
            .summary = "Change the fields given of a virtual key"},                                \
        {.method = HTTP_PATCH,                                                                     \
            .path = base "/{key}",                                                                 \
            .may = MAY_MANAGE_ORG,                                                                 \
            .scope = SCOPE_OWN,                                                                    \
            .handle = admin_records_update,                                                        \
            .body = &key_input,                                                                    \
            .reply = &key_schema,                                                                  \
            .name = "vkey",                                                                        \
            .flags = ADMIN_BODY_RAW | ADMIN_CHANGES,                                               \
            .tag = "Virtual keys",                                                                 \
            .summary = "Change the fields given of a virtual key"},                                \
        {.method = HTTP_DELETE,                                                                    \
            .path = base "/{key}",                                                                 \
            .may = MAY_MANAGE_ORG,                                                                 \
            .scope = SCOPE_OWN,                                                                    \
            .handle = revoke,                                                                      \
            .reply = &key_schema,                                                                  \
            .name = "vkey",                                                                        \
            .tag = "Virtual keys",                                                                 \
            .summary = "Revoke a virtual key; its record stays for lists and logs"},               \
        {.method = HTTP_POST,                                                                      \
            .path = base "/{key}/revoke",                                                          \
            .may = MAY_MANAGE_ORG,                                                                 \
            .scope = SCOPE_OWN,                                                                    \
            .handle = revoke,                                                                      \
            .reply = &key_schema,                                                                  \
            .name = "vkey",                                                                        \
            .tag = "Virtual keys",                                                                 \
            .summary = "Revoke a virtual key"},                                                    \
        {.method = HTTP_POST,                                                                      \
            .path = base "/{key}/rotate",                                                          \
            .may = MAY_MANAGE_ORG,                                                                 \
            .scope = SCOPE_OWN,                                                                    \
            .handle = rotate,                                                                      \
            .body = &rotation_body,                                                                \
            .reply = &key_schema,                                                                  \
            .name = "vkey",                                                                        \
            .flags = ADMIN_BODY_OPTIONAL,                                                          \
            .tag = "Virtual keys",                                                                 \
            .summary = "Make a new key in place of this one, which stays good for a while"},       \
    {                                                                                              \
        .method = HTTP_POST, .path = base "/{key}/reset-spend", .may = MAY_ADMIN,                  \
        .scope = SCOPE_OWN, .handle = admin_records_reset_spend, .body = &admin_reset_body,        \
        .reply = &key_schema, .name = "vkey", .flags = ADMIN_BODY_OPTIONAL, .tag = "Virtual keys", \
        .summary = "Begin the sums of its budgets anew"                                            \
    }

static const struct admin_row rows[] = {
    KEY_ROWS("/api/enterprise/vkeys"),
    KEY_ROWS("/api/auth/virtual-keys"),
};
const struct admin_rows admin_keys_rows = {rows, ARRAY_LEN(rows)};
