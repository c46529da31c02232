/*
 * The handlers of the catalogue's records. The registry (keys/registry.h) checks fields, writes and
 * spreads; here is who may see and touch what:
 *
 *   proxy_admin, proxy_admin_viewer   everything
 *   org_admin       records of the own organisation. What is made gets its org_id; teams and users
 *                   that a record names must be of it, too; an organisation's own limits, and roles
 *                   above org_admin, are not theirs to give
 *   internal_user   the keys of the own user, or the one key that was presented
 *
 * A record that the caller may not see does not exist for it: 404, not 403.
 */
#include "admin/records.h"

#include "json/scan.h"

#include <errno.h>

enum subject_kind admin_kind(const struct admin_call *c)
{
    must(c->row->reply && c->row->reply->record);
    return (enum subject_kind)(c->row->reply->record - 1);
}

int admin_registry_fail(struct admin_call *c, int r, const struct error *e)
{
    if (!c->error.status && e->status)
        c->error = *e;
    return c->error.status ? -EREMOTEIO : admin_store_fail(c, r, NULL);
}

static int no_registry(struct admin_call *c)
{
    return admin_store_fail(c, -EHOSTDOWN, NULL);
}

/* The organisation that a record is of: an organisation is its own. */
static struct str org_of(enum subject_kind kind, const struct record *rec)
{
    return kind == SUBJECT_ORG ? rec->id : rec->org_id;
}

static bool may_see(struct admin_call *c, enum subject_kind kind, const struct record *rec)
{
    bool is_user = kind == SUBJECT_USER, is_key = kind == SUBJECT_KEY;

    return admin_owns(c, org_of(kind, rec),
        is_user  ? rec->id
        : is_key ? rec->user_id
                 : STR_NONE,
        is_key ? rec->id : STR_NONE);
}

int admin_record_load(struct admin_call *c, struct record *ret)
{
    enum subject_kind kind = admin_kind(c);
    struct str id = admin_param(c, 0);
    struct error e = {0};

    if (!c->env->registry)
        return no_registry(c);
    if (kind == SUBJECT_KEY && c->who.by == BY_VIRTUAL_KEY && str_eq(id, STR("self")))
        id = c->who.key_id;
    int r = registry_get(c->env->registry, kind, id, ret, &c->arena, &e);
    if (r < 0)
        return admin_registry_fail(c, r, &e);
    return may_see(c, kind, ret) ? 0 : admin_not_found(c, record_type(kind)->name, id);
}

/* --- showing --- */

static const struct field_row spend_fields[] = {
    {"spend", FIELD_OBJECT, 0, 0, 0, 0, NULL, NULL,
        "By period (daily, weekly, monthly, lifetime): used_usd, held_usd, resets_at.", NULL},
    {"key", FIELD_TEXT, 0, 0, 0, 128, NULL, NULL, "Virtual keys: the key itself, shown this once.",
        NULL},
};
const struct admin_schema admin_spend_schema = {NULL, spend_fields, ARRAY_LEN(spend_fields), 0};

void admin_record_put(enum subject_kind kind, const struct record *rec, struct buf *out)
{
    const struct record_type *t = record_type(kind);

    fields_write(t->fields, t->fields_n, rec, out);
}

static int put_spend(struct admin_call *c, enum subject_kind kind, const struct record *rec)
{
    struct record_spend spend[BUDGET_PERIODS];
    int r = registry_spend(c->env->registry, kind, rec, spend);

    if (r < 0 && r != -EHOSTDOWN) /* while Redis is away: what this node knows */
        return admin_store_fail(c, r, NULL);
    put_open(&c->out, "spend", '{');
    for (unsigned p = 0; p < BUDGET_PERIODS; p++) {
        put_open(&c->out, budget_period_words[p], '{');
        put_money(&c->out, "used_usd", spend[p].used_nano);
        put_money(&c->out, "held_usd", spend[p].held_nano);
        put_time(&c->out, "resets_at", spend[p].resets_at);
        put_close(&c->out, '}');
    }
    put_close(&c->out, '}');
    return 0;
}

int admin_record_show(struct admin_call *c, const struct record *rec, struct str secret, bool spend)
{
    enum subject_kind kind = admin_kind(c);
    int r = 0;

    put_open(&c->out, NULL, '{');
    if (secret.n)
        put_str(&c->out, "key", secret);
    admin_record_put(kind, rec, &c->out);
    if (spend)
        r = put_spend(c, kind, rec);
    put_close(&c->out, '}');
    return r;
}

int admin_records_get(struct admin_call *c)
{
    struct record rec;
    int r = admin_record_load(c, &rec);

    return r < 0 ? r : admin_record_show(c, &rec, STR_NONE, true);
}

/* --- listing --- */

static void add_filter(struct admin_call *c, const char *field, struct str value)
{
    must(c->filters_n < ADMIN_FILTERS_MAX);
    c->filters[c->filters_n++] = (struct admin_filter){str_of(field), value};
}

/* The caller's own, as further filters. false: there is nothing that it could see. */
static bool confine_list(struct admin_call *c, enum subject_kind kind)
{
    struct str org = admin_own_org(c), user, key;

    admin_own_user(c, &user, &key);
    if (c->who.role == ROLE_ORG_ADMIN && !org.n)
        return false;
    if (org.n)
        add_filter(c, kind == SUBJECT_ORG ? "id" : "org_id", org);
    if (c->who.role != ROLE_INTERNAL_USER)
        return true;
    if (user.n)
        add_filter(c, kind == SUBJECT_USER ? "id" : "user_id", user);
    return user.n && (kind == SUBJECT_KEY || kind == SUBJECT_USER);
}

static int list_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    enum subject_kind kind = admin_kind(c);
    struct registry_filter filters[ADMIN_FILTERS_MAX];
    struct registry_page page = {0};
    struct error e = {0};
    (void)ctx;

    for (unsigned i = 0; i < c->filters_n; i++)
        filters[i] = (struct registry_filter){c->filters[i].field, c->filters[i].value};
    const struct registry_query q = {
        .filters = filters, .filters_n = c->filters_n, .cursor = p->cursor, .limit = p->limit};
    int r = registry_list(c->env->registry, kind, &q, &page, &c->arena, &e);
    if (r < 0)
        return admin_registry_fail(c, r, &e);
    for (unsigned i = 0; i < page.n; i++) {
        if (!may_see(c, kind, &page.at[i])) /* those of the configuration belong to nobody */
            continue;
        put_open(p->items, NULL, '{');
        admin_record_put(kind, &page.at[i], p->items);
        put_close(p->items, '}');
    }
    p->next = page.next;
    return 0;
}

/* A list of the one record that the caller is. */
static int own_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    enum subject_kind kind = admin_kind(c);
    struct str id = *(const struct str *)ctx;
    struct record rec;
    struct error e = {0};

    if (!id.n)
        return 0;
    int r = registry_get(c->env->registry, kind, id, &rec, &c->arena, &e);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return admin_registry_fail(c, r, &e);
    put_open(p->items, NULL, '{');
    admin_record_put(kind, &rec, p->items);
    put_close(p->items, '}');
    return 0;
}

int admin_records_list(struct admin_call *c)
{
    enum subject_kind kind = admin_kind(c);
    struct str own = STR_NONE;

    if (!c->env->registry)
        return no_registry(c);
    if (kind == SUBJECT_ORG && c->who.role == ROLE_ORG_ADMIN)
        own = admin_own_org(c);
    else if (confine_list(c, kind))
        return admin_list(c, list_page, NULL);
    else if (kind == SUBJECT_KEY)
        own = c->who.key_id;
    return admin_list(c, own_page, &own);
}

/* --- what may be given --- */

static struct str member_text(struct admin_call *c, struct str json, const char *name)
{
    struct str v = json_find(json, str_of(name));
    char *text = v.p && json_type_of(v) == JSON_STRING ? arena_alloc(&c->arena, v.n) : NULL;
    ptrdiff_t n = text ? json_unescape(v, text) : -1;

    return n < 0 ? STR_NONE : str_at(text, (size_t)n);
}

/* A team or user that the record is to be of. */
static int check_parent(
    struct admin_call *c, struct str json, const char *field, enum subject_kind kind)
{
    struct str id = member_text(c, json, field);
    struct record parent;
    struct error e = {0};

    if (!id.n)
        return 0;
    int r = registry_get(c->env->registry, kind, id, &parent, &c->arena, &e);
    if (r < 0 && r != -ENOENT)
        return admin_registry_fail(c, r, &e);
    if (r == 0 && str_eq(parent.org_id, c->who.org_id))
        return 0;
    return admin_bad(c, field, "%s: there is no %s '" STR_FMT "' in your organisation.", field,
        record_type(kind)->name, (int)MIN(id.n, 64), id.p);
}

static int check_role(struct admin_call *c, struct str json)
{
    struct str role = member_text(c, json, "role");

    if (!str_eq(role, STR("proxy_admin")) && !str_eq(role, STR("proxy_admin_viewer")))
        return 0;
    return admin_fail(
        c, 403, "not_allowed", "An org_admin cannot give the role " STR_FMT ".", STR_ARG(role));
}

static bool has_field(enum subject_kind kind, const char *name)
{
    const struct record_type *t = record_type(kind);
    const struct field_row *f = field_find(t->fields, t->fields_n, str_of(name), NULL);

    return f && (f->flags & FIELD_CREATE);
}

/* {"a":1} → {"org_id":"…","a":1} */
static struct str with_org(struct admin_call *c, struct str json)
{
    _cleanup_(buf_free) struct buf b = {0};
    size_t at = json_inside(json);
    struct str rest = str_trim(str_from(json, at));

    buf_init(&b, ADMIN_BODY_BYTES + 4 * KIB);
    put_open(&b, NULL, '{');
    put_str(&b, "org_id", c->who.org_id);
    if (rest.n && rest.p[0] != '}')
        buf_addc(&b, ',');
    buf_addstr(&b, rest);
    return arena_dup(&c->arena, buf_str(&b));
}

int admin_record_confine(struct admin_call *c, bool creates, struct str *json)
{
    enum json_type top;
    struct json_error err;
    int r;

    if (c->who.role != ROLE_ORG_ADMIN)
        return 0;
    c->confined = true;
    if (json_scan(*json, NULL, NULL, 0, &top, &err) < 0 || top != JSON_OBJECT)
        return 0; /* the registry says what is wrong with it */
    if ((r = check_parent(c, *json, "team_id", SUBJECT_TEAM)) < 0 ||
        (r = check_parent(c, *json, "user_id", SUBJECT_USER)) < 0 || (r = check_role(c, *json)) < 0)
        return r;
    if (!json_find(*json, STR("org_id")).p) {
        if (creates && has_field(admin_kind(c), "org_id"))
            *json = with_org(c, *json);
        return 0;
    }
    if (str_eq(member_text(c, *json, "org_id"), c->who.org_id))
        return 0;
    return admin_bad(c, "org_id", "org_id must be your own organisation.");
}

/* --- changing --- */

int admin_record_audit(
    struct admin_call *c, const char *verb, const struct record *rec, struct str changes)
{
    static const char *const words[] = {[SUBJECT_ORG] = "organization",
        [SUBJECT_TEAM] = "team",
        [SUBJECT_USER] = "user",
        [SUBJECT_KEY] = "vkey",
        [SUBJECT_CUSTOMER] = "customer"};
    enum subject_kind kind = admin_kind(c);
    struct str action = arena_printf(&c->arena, "%s.%s", words[kind], verb);

    return admin_audit(
        c, kind == SUBJECT_KEY ? "key_event" : "policy_change", action.p, rec->id, changes);
}

int admin_records_create(struct admin_call *c)
{
    struct str secret = STR_NONE, json = c->text;
    struct record rec;
    struct error e = {0};

    if (!c->env->registry)
        return no_registry(c);
    int r = admin_record_confine(c, true, &json);
    if (r < 0)
        return r;
    c->confined = true;
    r = registry_create(c->env->registry, admin_kind(c), json, &rec, &secret, &c->arena, &e);
    if (r < 0)
        return admin_registry_fail(c, r, &e);
    if ((r = admin_record_audit(c, "create", &rec, json)) < 0)
        return r;
    return admin_record_show(c, &rec, secret, false);
}

/* If-Match: "17", the version that the caller saw. */
static int version_of(struct admin_call *c, int64_t *ret)
{
    struct str v = str_trim(http_get_other(&c->rq->head.fields, STR("if-match")));
    uint64_t n = 0;

    if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
        v = str_at(v.p + 1, v.n - 2);
    if (v.n && !str_eq(v, STR("*")) && (str_u64(v, &n) < 0 || n > INT64_MAX))
        return admin_bad(c, "if-match", "if-match must be a record's version.");
    *ret = (int64_t)n;
    return 0;
}

int admin_records_update(struct admin_call *c)
{
    struct record rec;
    struct error e = {0};
    struct str json = c->text;
    int64_t version = 0;
    int r = admin_record_load(c, &rec);

    if (r == 0)
        r = version_of(c, &version);
    if (r == 0)
        r = admin_record_confine(c, false, &json);
    if (r < 0)
        return r;
    r = registry_update(
        c->env->registry, admin_kind(c), rec.id, json, version, &rec, &c->arena, &e);
    if (r < 0)
        return admin_registry_fail(c, r, &e);
    if ((r = admin_record_audit(c, "update", &rec, json)) < 0)
        return r;
    return admin_record_show(c, &rec, STR_NONE, false);
}

int admin_records_delete(struct admin_call *c)
{
    struct record rec;
    struct error e = {0};
    int r = admin_record_load(c, &rec);

    if (r < 0)
        return r;
    r = registry_delete(c->env->registry, admin_kind(c), rec.id, &rec, &c->arena, &e);
    if (r < 0)
        return admin_registry_fail(c, r, &e);
    if ((r = admin_record_audit(c, "delete", &rec, STR_NONE)) < 0)
        return r;
    return admin_record_show(c, &rec, STR_NONE, false);
}

/* --- spend --- */

struct reset {
    struct str_list periods;
};

static const char *is_period(struct str text)
{
    for (unsigned i = 0; i < BUDGET_PERIODS; i++)
        if (str_eq(text, str_of(budget_period_words[i])))
            return NULL;
    return "must be daily, weekly, monthly or lifetime";
}

static const struct field_row reset_fields[] = {
    {"periods", FIELD_TEXTS, FIELD_CREATE, offsetof(struct reset, periods), 0, BUDGET_PERIODS, NULL,
        is_period, "Which to reset: daily, weekly, monthly, lifetime; all when not given.",
        "[\"monthly\"]"},
};
const struct admin_schema admin_reset_body = {
    "Reset", reset_fields, ARRAY_LEN(reset_fields), sizeof(struct reset)};

int admin_records_reset_spend(struct admin_call *c)
{
    const struct reset *body = c->body;
    struct record rec;
    struct error e = {0};
    unsigned periods = 0;
    int r = admin_record_load(c, &rec);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < body->periods.n; i++)
        for (unsigned p = 0; p < BUDGET_PERIODS; p++)
            periods |= str_eq(body->periods.at[i], str_of(budget_period_words[p])) ? 1u << p : 0;
    if (!periods)
        periods = (1u << BUDGET_PERIODS) - 1;
    r = registry_reset_spend(c->env->registry, admin_kind(c), &rec, periods, &e);
    if (r < 0)
        return admin_registry_fail(c, r, &e);
    if ((r = admin_record_audit(c, "reset_spend", &rec, c->text)) < 0)
        return r;
    return admin_record_show(c, &rec, STR_NONE, true);
}
