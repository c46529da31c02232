/*
 * The one list of everything under /api/, and the way from a path to its row. A further subject is
 * one line in the list.
 *
 * The look-up sees nothing but the path as parsed and the method: neither Host nor any other header
 * can lead elsewhere. Where two templates match, the one with fewer parameters is meant, so that
 * "…/vkeys/self" is not a key called self.
 */
#include "admin/api_int.h"
#include "admin/rows.h"
#include "text/nearest.h"

static const struct admin_rows *const tables[] = {
    &admin_auth_rows,
    &admin_users_rows,
    &admin_keys_rows,
    &admin_teams_rows,
    &admin_providers_rows,
    &admin_routing_rows,
    &admin_prices_rows,
    &admin_config_rows,
    &admin_health_rows,
    &admin_audit_rows,
    &admin_logs_rows,
    &admin_analytics_rows,
    &admin_vault_rows,
    &admin_alerts_rows,
    &admin_openapi_rows,
};

const struct admin_rows *admin_table_at(unsigned i)
{
    return i < ARRAY_LEN(tables) ? tables[i] : NULL;
}

/* --- matching --- */

/* The number of parameters, or -1 when the path is not of this template. An empty segment is no
 * parameter. */
static int match(struct str template, struct str path, struct str params[ADMIN_PARAMS_MAX])
{
    int n = 0;

    while (template.p && path.p) {
        struct str want = str_split(&template, '/'), got = str_split(&path, '/');
        if (want.n && want.p[0] == '{') {
            if (!got.n || n == ADMIN_PARAMS_MAX)
                return -1;
            params[n++] = got;
        } else if (!str_eq(want, got)) {
            return -1;
        }
    }
    return !template.p && !path.p ? n : -1;
}

/* "/api/teams/" is "/api/teams". */
static struct str without_slash(struct str path)
{
    return path.n > 1 && path.p[path.n - 1] == '/' ? str_to(path, path.n - 1) : path;
}

static bool same_method(enum http_method asked, enum http_method rows)
{
    return asked == rows || (asked == HTTP_HEAD && rows == HTTP_GET);
}

/* The rows of one array: those with as few parameters as *best, or fewer. */
static void find_in(const struct admin_rows *rows, enum http_method method, struct str path,
    int *best, struct admin_match *ret)
{
    for (unsigned i = 0; i < rows->n; i++) {
        const struct admin_row *r = &rows->at[i];
        struct str params[ADMIN_PARAMS_MAX];
        int n = match(str_of(r->path), path, params);
        if (n < 0 || (*best >= 0 && n > *best))
            continue;
        if (n != *best)
            *ret = (struct admin_match){0}; /* a better template: its methods alone count */
        *best = n;
        ret->allow |= 1u << r->method;
        if (!same_method(method, r->method))
            continue;
        ret->row = r;
        ret->params_n = (unsigned)n;
        if (n)
            memcpy(ret->params, params, (size_t)n * sizeof *params);
    }
}

void admin_find(enum http_method method, struct str path, struct admin_match *ret)
{
    const struct admin_rows *rows;
    int best = -1;

    *ret = (struct admin_match){0};
    path = without_slash(path);
    for (unsigned i = 0; (rows = admin_table_at(i)); i++)
        find_in(rows, method, path, &best, ret);
}

/* --- telling --- */

#define PATHS_MAX 512

struct str admin_nearest_path(struct str path)
{
    struct str names[PATHS_MAX], best = STR_NONE;
    const struct admin_rows *rows;
    unsigned n = 0;

    for (unsigned i = 0; (rows = admin_table_at(i)); i++)
        for (unsigned k = 0; k < rows->n && n < PATHS_MAX; k++)
            names[n++] = str_of(rows->at[k].path);
    return text_nearest(path, names, n, &best, 1) ? best : STR_NONE;
}

const char *admin_method_name(enum http_method m)
{
    static const char *const names[] = {[HTTP_GET] = "GET",
        [HTTP_HEAD] = "HEAD",
        [HTTP_POST] = "POST",
        [HTTP_PUT] = "PUT",
        [HTTP_PATCH] = "PATCH",
        [HTTP_DELETE] = "DELETE",
        [HTTP_OPTIONS] = "OPTIONS"};

    return m < ARRAY_LEN(names) && names[m] ? names[m] : "?";
}

void admin_allow_text(unsigned allow, struct buf *out)
{
    if (allow & 1u << HTTP_GET)
        allow |= 1u << HTTP_HEAD;
    allow |= 1u << HTTP_OPTIONS;
    for (unsigned m = HTTP_GET, any = 0; m <= HTTP_OPTIONS; m++)
        if (allow & 1u << m)
            buf_printf(out, "%s%s", any++ ? ", " : "", admin_method_name(m));
}

/* --- default deny --- */

bool admin_row_changes(const struct admin_row *r)
{
    return r->method != HTTP_GET;
}

static void check_row(const struct admin_row *r)
{
    const unsigned confined = MAY_ORG_ADMIN | MAY_USER;

    if (!r->may)
        panic("%s %s: nobody may", admin_method_name(r->method), r->path);
    if ((r->may & confined) && r->scope == SCOPE_UNSTATED)
        panic("%s %s: not said how callers are confined", admin_method_name(r->method), r->path);
    if ((r->may & MAY_VIEWER) && admin_row_changes(r) &&
        !(r->flags & (ADMIN_UNRECORDED | ADMIN_OWN_ACT)))
        panic("%s %s: a viewer may change it", admin_method_name(r->method), r->path);
    must(r->handle && r->tag && r->summary && str_starts(str_of(r->path), STR("/api/")));
    must(!r->body || r->body->size || (r->flags & ADMIN_BODY_RAW));
    must(!r->query || r->query->size || r->query->record);
}

/* No two rows may have one path and method: which of them is meant would depend on the order. */
static void check_alone(const struct admin_row *r)
{
    const struct admin_rows *rows;
    unsigned seen = 0;

    for (unsigned i = 0; (rows = admin_table_at(i)); i++)
        for (unsigned k = 0; k < rows->n; k++)
            seen += rows->at[k].method == r->method && !strcmp(rows->at[k].path, r->path) ? 1 : 0;
    if (seen != 1)
        panic("%s %s: %u rows", admin_method_name(r->method), r->path, seen);
}

void admin_table_check(void)
{
    const struct admin_rows *rows;

    for (unsigned i = 0; (rows = admin_table_at(i)); i++) {
        for (unsigned k = 0; k < rows->n; k++) {
            check_row(&rows->at[k]);
            check_alone(&rows->at[k]);
        }
    }
}
