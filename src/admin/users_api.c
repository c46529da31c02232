/*
 * Administrators: /api/admin/users. See users.c for what their tokens are.
 */
#include "admin/api_int.h"
#include "admin/rows.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "keys/registry.h"
#include "store/store.h"

#include <errno.h>

struct administrator {
    struct str id, name, email, org_id, user_id, last4;
    uint32_t role;
    bool is_active;
    int64_t created_at, updated_at;
};

#define AT(member) offsetof(struct administrator, member)
static const struct field_row fields[] = {
    {"id", FIELD_TEXT, 0, AT(id), 0, 64, NULL, NULL, "Of the administrator.", NULL},
    {"name", FIELD_TEXT, FIELD_WRITE | FIELD_REQUIRED | FIELD_FILTER, AT(name), 1, 128, NULL, NULL,
        "A name of its own.", "\"Ada\""},
    {"email", FIELD_TEXT, FIELD_WRITE, AT(email), 0, 256, NULL, NULL, "Where to reach them.",
        "\"ada@example.com\""},
    {"role", FIELD_WORD, FIELD_WRITE | FIELD_REQUIRED | FIELD_FILTER, AT(role), 0, 0,
        user_role_words, NULL,
        "proxy_admin may do all, proxy_admin_viewer may read all, org_admin manages one "
        "organisation, internal_user sees one user's keys and logs.",
        "\"org_admin\""},
    {"org_id", FIELD_TEXT, FIELD_WRITE, AT(org_id), 0, 64, NULL, NULL,
        "The organisation that an org_admin manages.", NULL},
    {"user_id", FIELD_TEXT, FIELD_WRITE, AT(user_id), 0, 64, NULL, NULL,
        "The user whose keys and logs an internal_user sees.", NULL},
    {"is_active", FIELD_BOOL, FIELD_WRITE, AT(is_active), 0, 0, NULL, NULL,
        "Whether its token and sessions are good.", "true"},
    {"token_last4", FIELD_TEXT, 0, AT(last4), 0, 4, NULL, NULL,
        "The last four characters of the token.", NULL},
    {"created_at", FIELD_TIME, 0, AT(created_at), 0, 0, NULL, NULL, "When it was made.", NULL},
    {"updated_at", FIELD_TIME, 0, AT(updated_at), 0, 0, NULL, NULL, "When it was last changed.",
        NULL},
};
static const struct admin_schema schema = {
    "Administrator", fields, ARRAY_LEN(fields), sizeof(struct administrator)};

/* With the token, this once. */
static const struct field_row made_fields[] = {
    {"token", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "The token, shown this once.", NULL},
    {"id", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "Of the administrator.", NULL},
    {"name", FIELD_TEXT, 0, 0, 0, 128, NULL, NULL, "Its name.", NULL},
    {"role", FIELD_WORD, 0, 0, 0, 0, user_role_words, NULL, "Its role.", NULL},
};
static const struct admin_schema made = {
    "Administrator_with_token", made_fields, ARRAY_LEN(made_fields), 0};

/* --- reading --- */

#define COLUMNS                                                                                    \
    "id, name, email, role, org_id, user_id, token_last4, is_active, created_at, updated_at"

static struct str text(struct admin_call *c, const struct store_rows *r, unsigned row, unsigned i)
{
    return arena_dup(&c->arena, store_cell_str(r, row, i));
}

static void take(
    struct admin_call *c, const struct store_rows *r, unsigned row, struct administrator *u)
{
    struct str role = store_cell_str(r, row, 3);

    *u = (struct administrator){
        .id = text(c, r, row, 0),
        .name = text(c, r, row, 1),
        .email = text(c, r, row, 2),
        .org_id = text(c, r, row, 4),
        .user_id = text(c, r, row, 5),
        .last4 = text(c, r, row, 6),
        .is_active = store_cell_int(r, row, 7) != 0,
        .created_at = store_cell_int(r, row, 8),
        .updated_at = store_cell_int(r, row, 9),
    };
    for (unsigned i = 0; user_role_words[i]; i++)
        if (str_eq(role, str_of(user_role_words[i])))
            u->role = i;
}

static int load(struct admin_call *c, struct str id, struct administrator *u)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char err[STORE_ERR_BYTES] = "";
    const struct store_value v = store_text(id);

    if (!c->env->store)
        return admin_store_fail(c, -EHOSTDOWN, NULL);
    int r = store_query(
        c->env->store, "SELECT " COLUMNS " FROM admin_users WHERE id = ?1", &v, 1, &rows, err);
    if (r < 0)
        return admin_store_fail(c, r, err);
    if (!store_rows_n(rows))
        return admin_not_found(c, "administrator", id);
    take(c, rows, 0, u);
    return 0;
}

static void show(struct buf *out, const struct administrator *u, struct str token)
{
    put_open(out, NULL, '{');
    if (token.n)
        put_str(out, "token", token);
    fields_write(fields, ARRAY_LEN(fields), u, out);
    put_close(out, '}');
}

struct users_query {
    struct str name;
    uint32_t role;
};
static const struct field_row query_fields[] = {
    {"name", FIELD_TEXT, 0, offsetof(struct users_query, name), 1, 128, NULL, NULL,
        "Only the one called so.", NULL},
    {"role", FIELD_WORD, 0, offsetof(struct users_query, role), 0, 0, user_role_words, NULL,
        "Only those of this role.", NULL},
};
static const struct admin_schema query = {
    NULL, query_fields, ARRAY_LEN(query_fields), sizeof(struct users_query)};

static int page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct users_query *q = c->query;
    char err[STORE_ERR_BYTES] = "";
    const struct store_value v[] = {store_text(p->cursor), store_text(q->name),
        store_text(admin_asked(c, "role") ? str_of(user_role_words[q->role]) : STR("")),
        store_int((int64_t)p->limit + 1)};
    int r = store_query(c->env->store,
        "SELECT " COLUMNS " FROM admin_users WHERE id > ?1 AND (?2 = '' OR name = ?2) "
        "AND (?3 = '' OR role = ?3) ORDER BY id LIMIT ?4",
        v, 4, &rows, err);
    (void)ctx;

    if (r < 0)
        return admin_store_fail(c, r, err);
    unsigned n = MIN(store_rows_n(rows), p->limit);
    for (unsigned i = 0; i < n; i++) {
        struct administrator u = {0};
        take(c, rows, i, &u);
        show(p->items, &u, STR_NONE);
        if (i + 1 == n && store_rows_n(rows) > n)
            p->next = u.id;
    }
    return 0;
}

static int list(struct admin_call *c)
{
    return c->env->store ? admin_list(c, page, NULL) : admin_store_fail(c, -EHOSTDOWN, NULL);
}

static int get(struct admin_call *c)
{
    struct administrator u = {0};
    int r = load(c, admin_param(c, 0), &u);

    if (r == 0)
        show(&c->out, &u, STR_NONE);
    return r;
}

/* --- changing --- */

static int exists(struct admin_call *c, enum subject_kind kind, struct str id, const char *field)
{
    struct record rec;
    struct error e = {0};

    if (!c->env->registry)
        return admin_store_fail(c, -EHOSTDOWN, NULL);
    int r = registry_get(c->env->registry, kind, id, &rec, &c->arena, &e);
    if (r == -ENOENT)
        return admin_bad(c, field, "%s: there is no %s '" STR_FMT "'.", field,
            record_type(kind)->name, STR_ARG(id));
    if (r < 0)
        c->error = e;
    return r < 0 ? -EREMOTEIO : 0;
}

/* What the role needs. */
static int check(struct admin_call *c, const struct administrator *u)
{
    if (u->role == ROLE_ORG_ADMIN && !u->org_id.n)
        return admin_bad(c, "org_id", "org_id is missing: an org_admin manages one organisation.");
    if (u->role == ROLE_INTERNAL_USER && !u->user_id.n)
        return admin_bad(c, "user_id", "user_id is missing: an internal_user is one user.");
    int r = u->org_id.n ? exists(c, SUBJECT_ORG, u->org_id, "org_id") : 0;
    return r == 0 && u->user_id.n ? exists(c, SUBJECT_USER, u->user_id, "user_id") : r;
}

static struct str new_token(struct admin_call *c, char hash[static SHA256_HEX])
{
    uint8_t bytes[24];
    char hex[48];

    crypto_random(bytes, sizeof bytes);
    for (unsigned i = 0; i < sizeof bytes; i++) {
        hex[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    struct str token = arena_printf(&c->arena, "sk-admin-%.48s", hex);
    sha256_hex(token, hash);
    mem_wipe(hex, sizeof hex);
    return token;
}

static int taken(struct admin_call *c, int r, const char *err, struct str name)
{
    if (r != -EEXIST)
        return admin_store_fail(c, r, err);
    admin_fail(c, 409, "already_exists", "There is already an administrator called '" STR_FMT "'.",
        STR_ARG(name));
    c->error.param = STR("name");
    return -EREMOTEIO;
}

static int create(struct admin_call *c)
{
    struct administrator *u = c->body;
    char hash[SHA256_HEX], hex[24], err[STORE_ERR_BYTES] = "";
    int r = check(c, u);

    if (r < 0)
        return r;
    if (!admin_gave(c, "is_active"))
        u->is_active = true;
    random_hex(hex, sizeof hex / 2);
    u->id = arena_printf(&c->arena, "adm_%.24s", hex);
    struct str token = new_token(c, hash);
    u->last4 = str_from(token, token.n - 4);
    u->created_at = u->updated_at = clock_wall();
    const struct store_value v[] = {store_text(u->id), store_text(u->name), store_text(u->email),
        store_text(str_of(user_role_words[u->role])), store_text(u->org_id), store_text(u->user_id),
        store_text(str_of(hash)), store_text(u->last4), store_int(u->is_active),
        store_int(u->created_at), store_int(u->updated_at)};
    r = store_exec(c->env->store,
        "INSERT INTO admin_users (id, name, email, role, org_id, user_id, token_hash, token_last4, "
        "is_active, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        v, ARRAY_LEN(v), NULL, err);
    if (r < 0)
        return taken(c, r, err, u->name);
    show(&c->out, u, token);
    return admin_audit(c, "key_event", "admin_user.create", u->id, c->text);
}

/* Its sessions end: their role may have been another. */
static int end_sessions(struct admin_call *c, struct str id)
{
    char err[STORE_ERR_BYTES] = "";
    const struct store_value v = store_text(id);
    int r = store_exec(c->env->store,
        "DELETE FROM admin_sessions WHERE kind = 'admin_user' AND subject = ?1", &v, 1, NULL, err);

    return r < 0 ? admin_store_fail(c, r, err) : 0;
}

static int save(struct admin_call *c, struct administrator *u)
{
    char err[STORE_ERR_BYTES] = "";

    u->updated_at = clock_wall();
    const struct store_value v[] = {store_text(u->id), store_text(u->name), store_text(u->email),
        store_text(str_of(user_role_words[u->role])), store_text(u->org_id), store_text(u->user_id),
        store_int(u->is_active), store_int(u->updated_at)};
    int r = store_exec(c->env->store,
        "UPDATE admin_users SET name = ?2, email = ?3, role = ?4, org_id = ?5, user_id = ?6, "
        "is_active = ?7, updated_at = ?8 WHERE id = ?1",
        v, ARRAY_LEN(v), NULL, err);
    return r < 0 ? taken(c, r, err, u->name) : end_sessions(c, u->id);
}

static int update(struct admin_call *c)
{
    struct administrator u = {0};
    int r = load(c, admin_param(c, 0), &u);

    if (r == 0)
        r = fields_parse(fields, ARRAY_LEN(fields), FIELD_UPDATE, c->text, &u, &c->body_given,
            &c->arena, &c->error);
    if (r == 0)
        r = check(c, &u);
    if (r == 0)
        r = save(c, &u);
    if (r < 0)
        return c->error.status ? -EREMOTEIO : r;
    show(&c->out, &u, STR_NONE);
    return admin_audit(c, "key_event", "admin_user.update", u.id, c->text);
}

static int rotate(struct admin_call *c)
{
    struct administrator u = {0};
    char hash[SHA256_HEX], err[STORE_ERR_BYTES] = "";
    int r = load(c, admin_param(c, 0), &u);

    if (r < 0)
        return r;
    struct str token = new_token(c, hash);
    u.last4 = str_from(token, token.n - 4);
    u.updated_at = clock_wall();
    const struct store_value v[] = {
        store_text(u.id), store_text(str_of(hash)), store_text(u.last4), store_int(u.updated_at)};
    r = store_exec(c->env->store,
        "UPDATE admin_users SET token_hash = ?2, token_last4 = ?3, updated_at = ?4 WHERE id = ?1",
        v, ARRAY_LEN(v), NULL, err);
    if (r < 0)
        return admin_store_fail(c, r, err);
    if ((r = end_sessions(c, u.id)) < 0)
        return r;
    show(&c->out, &u, token);
    return admin_audit(c, "key_event", "admin_user.rotate", u.id, STR_NONE);
}

static int delete (struct admin_call *c)
{
    struct administrator u = {0};
    char err[STORE_ERR_BYTES] = "";
    int r = load(c, admin_param(c, 0), &u);

    if (r < 0 || (r = end_sessions(c, u.id)) < 0)
        return r;
    const struct store_value v = store_text(u.id);
    r = store_exec(c->env->store, "DELETE FROM admin_users WHERE id = ?1", &v, 1, NULL, err);
    if (r < 0)
        return admin_store_fail(c, r, err);
    show(&c->out, &u, STR_NONE);
    return admin_audit(c, "key_event", "admin_user.delete", u.id, STR_NONE);
}

static const struct admin_row rows[] = {
    {.method = HTTP_GET,
        .path = "/api/admin/users",
        .may = MAY_VIEW,
        .handle = list,
        .query = &query,
        .reply = &schema,
        .name = "users",
        .list = true,
        .tag = "Administrators",
        .summary = "List administrators"},
    {.method = HTTP_POST,
        .path = "/api/admin/users",
        .may = MAY_ADMIN,
        .handle = create,
        .body = &schema,
        .reply = &made,
        .name = "user",
        .flags = ADMIN_CREATED,
        .tag = "Administrators",
        .summary = "Make an administrator; its token is shown this once"},
    {.method = HTTP_GET,
        .path = "/api/admin/users/{id}",
        .may = MAY_VIEW,
        .handle = get,
        .reply = &schema,
        .name = "user",
        .tag = "Administrators",
        .summary = "Show an administrator"},
    {.method = HTTP_PUT,
        .path = "/api/admin/users/{id}",
        .may = MAY_ADMIN,
        .handle = update,
        .body = &schema,
        .reply = &schema,
        .name = "user",
        .flags = ADMIN_BODY_RAW | ADMIN_CHANGES,
        .tag = "Administrators",
        .summary = "Change an administrator; its sessions end"},
    {.method = HTTP_PATCH,
        .path = "/api/admin/users/{id}",
        .may = MAY_ADMIN,
        .handle = update,
        .body = &schema,
        .reply = &schema,
        .name = "user",
        .flags = ADMIN_BODY_RAW | ADMIN_CHANGES,
        .tag = "Administrators",
        .summary = "Change an administrator; its sessions end"},
    {.method = HTTP_POST,
        .path = "/api/admin/users/{id}/rotate",
        .may = MAY_ADMIN,
        .handle = rotate,
        .reply = &made,
        .name = "user",
        .tag = "Administrators",
        .summary = "Give an administrator a new token; the old one ends at once"},
    {.method = HTTP_DELETE,
        .path = "/api/admin/users/{id}",
        .may = MAY_ADMIN,
        .handle = delete,
        .reply = &schema,
        .name = "user",
        .tag = "Administrators",
        .summary = "Delete an administrator"},
};
const struct admin_rows admin_users_rows = {rows, ARRAY_LEN(rows)};
