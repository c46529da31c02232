/*
 * Rows of kept responses. See gateway/responses_kept.h.
 *
 * A row is written once and never changed. Who may read it is decided here, by what the row says,
 * and not by the table of owners alone, which forgets.
 */
#include "gateway/responses_kept.h"

#include "crypto/digest.h"
#include "crypto/encode.h"
#include "gateway/own.h"
#include "gateway/parts.h"
#include "gateway/translated_int.h"

#include <errno.h>

#define FORGET_NS   (3600 * NS_PER_S)
#define FORGET_ROWS 1000
#define MARK        STR("_sf")
#define SEED_DIGITS 32

/* --- ids --- */

/* What stands between the mark and the item's number; empty = no id of ours. */
static struct str seed_of(struct str id)
{
    ptrdiff_t at = str_find(id, MARK);
    struct str seed = at < 0 ? STR_NONE : str_to(str_from(id, (size_t)at + MARK.n), SEED_DIGITS);

    for (size_t i = 0; i < seed.n; i++)
        if (!strchr("0123456789abcdef", seed.p[i]))
            return STR_NONE;
    return seed.n == SEED_DIGITS ? seed : STR_NONE;
}

bool gw_kept_is(struct str id)
{
    return seed_of(id).n > 0;
}

struct str gw_kept_owner_of(struct str item_id, char room[static KEPT_ID_BYTES])
{
    struct str seed = seed_of(item_id), prefix = STR("resp_sf");

    if (!seed.n)
        return STR_NONE;
    memcpy(room, prefix.p, prefix.n);
    memcpy(room + prefix.n, seed.p, seed.n);
    return str_at(room, prefix.n + seed.n);
}

/* --- whose --- */

#define CALLER_DIGITS 32

/* The caller's own credential, as a row names it. */
static struct str caller_of(const struct exchange *x, char room[static 2 * SHA256_BYTES])
{
    uint8_t hash[SHA256_BYTES];

    if (x->key || !x->caller_credential.n)
        return STR("");
    sha256(x->caller_credential, hash);
    hex_encode(str_at((const char *)hash, sizeof hash), room);
    return str_at(room, CALLER_DIGITS);
}

static bool may_read(const struct exchange *x, const struct owned *o, struct str caller)
{
    char room[2 * SHA256_BYTES];

    if (!str_eq(caller, caller_of(x, room)))
        return false;
    if (!x->key || gw_own_is_mine(x, o))
        return true;
    return !owned_is_known(o) && gw_own_allows_unknown(x);
}

/* --- writing --- */

bool gw_kept_wanted(const struct exchange *x)
{
    if (x->key && x->key->content != KEY_CONTENT_FULL)
        return false;
    return x->body.n && json_type_of(json_find(x->body, STR("store"))) != JSON_FALSE;
}

static struct store_value text(struct str s)
{
    return store_text(s.n ? s : STR(""));
}

static int insert(struct exchange *x, struct str id, struct str items, struct str reply)
{
    char room[2 * SHA256_BYTES];
    const struct virtual_key *k = x->key;
    int64_t now = clock_wall();
    const struct store_value v[] = {store_text(id), text(k ? k->org_id : STR_NONE),
        text(k ? k->team_id : STR_NONE), text(k ? k->user_id : STR_NONE),
        text(k ? k->subject.id : STR_NONE), store_text(caller_of(x, room)), store_int(now),
        store_int(now + translated_config(x)->responses_retention), store_blob(items),
        store_blob(reply)};

    return store_exec(parts.store,
        "INSERT INTO kept_responses (id, org_id, team_id, user_id, key_id, caller, created_at, "
        "expires_at, items, reply) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) "
        "ON CONFLICT (id) DO NOTHING",
        v, ARRAY_LEN(v), NULL, NULL);
}

int gw_kept_put(struct exchange *x, struct str id, struct str items, struct str reply)
{
    if (!parts.store || !gw_kept_is(id) || !gw_kept_wanted(x))
        return 0;
    if (items.n + reply.n > KEPT_MAX_BYTES)
        return 0;
    return insert(x, id, items, reply);
}

/* --- reading --- */

static int unavailable(struct exchange *x)
{
    x->error.retry_after_s = 1;
    return exchange_fail(x, 503, STR("storage_unavailable"),
        STR("Kept responses cannot be read at the moment; try again shortly."));
}

/* 1, 0 or -errno; rows has the row, if this caller may see it. */
static int look(struct exchange *x, struct str id, const char *sql, struct store_rows **rows)
{
    const struct store_value v[] = {store_text(id), store_int(clock_wall())};
    int r = store_query(parts.store, sql, v, ARRAY_LEN(v), rows, NULL);

    if (r == -EINVAL) /* no text */
        return 0;
    if (r < 0)
        return unavailable(x);
    if (!store_rows_n(*rows))
        return 0;
    const struct owned o = {.org = store_cell_str(*rows, 0, 0),
        .team = store_cell_str(*rows, 0, 1),
        .key = store_cell_str(*rows, 0, 2)};
    return may_read(x, &o, store_cell_str(*rows, 0, 3));
}

int gw_kept_get(struct exchange *x, struct str id, struct kept_response *ret)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    *ret = (struct kept_response){0};
    if (!parts.store || !gw_kept_is(id))
        return 0;
    int r = look(x, id,
        "SELECT org_id, team_id, key_id, caller, items, reply FROM kept_responses WHERE id = ?1 "
        "AND expires_at > ?2",
        &rows);
    if (r <= 0)
        return r;
    ret->items = arena_dup(&x->arena, store_cell_str(rows, 0, 4));
    ret->reply = arena_dup(&x->arena, store_cell_str(rows, 0, 5));
    if (!ret->items.p || !ret->reply.p)
        return exchange_fail(x, 413, STR("request_too_large"),
            STR("The conversation that this goes on with is too long."));
    return 1;
}

int gw_kept_delete(struct exchange *x, struct str id)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct store_value v = store_text(id);
    int64_t n = 0;

    if (!parts.store || !gw_kept_is(id))
        return 0;
    int r = look(x, id,
        "SELECT org_id, team_id, key_id, caller FROM kept_responses WHERE id = ?1 AND "
        "expires_at > ?2",
        &rows);
    if (r <= 0)
        return r;
    r = store_exec(parts.store, "DELETE FROM kept_responses WHERE id = ?1", &v, 1, &n, NULL);
    return r < 0 ? unavailable(x) : n > 0;
}

/* --- expiry --- */

/* A row on which two nodes are at work goes once; a store that is away is asked again soon. */
void gw_kept_forget(void)
{
    static int64_t due; /* of the loop that keeps house */
    const struct store_value v[] = {store_int(clock_wall()), store_int(FORGET_ROWS)};
    int64_t n = 0;

    if (!parts.store || clock_now() < due)
        return;
    int r = store_exec(parts.store,
        "DELETE FROM kept_responses WHERE id IN (SELECT id FROM kept_responses WHERE expires_at < "
        "?1 LIMIT ?2)",
        v, ARRAY_LEN(v), &n, NULL);
    if (r == 0 && n < FORGET_ROWS)
        due = clock_now() + MIN(FORGET_NS, config_current()->responses_retention);
}
