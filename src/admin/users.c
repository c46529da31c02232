/*
 * Administrators in the store: who may manage this gateway beside the holder of the admin key.
 * Their tokens ("sk-admin-" and 48 hex digits) are shown once and kept as SHA-256.
 */
#include "admin/api_int.h"
#include "crypto/digest.h"
#include "store/store.h"

#include <errno.h>

/* An organisation's administrator without an organisation, or a role that this version does not
 * know, may nothing. */
static bool role_of(struct str word, struct str org_id, enum user_role *ret)
{
    for (unsigned i = 0; user_role_words[i]; i++) {
        if (!str_eq(word, str_of(user_role_words[i])))
            continue;
        *ret = (enum user_role)i;
        return i != ROLE_ORG_ADMIN || org_id.n;
    }
    return false;
}

int admin_user_take(
    struct admin_call *c, const struct store_rows *rows, unsigned row, unsigned first_column)
{
    struct str cell[6];
    enum user_role role;

    for (unsigned i = 0; i < ARRAY_LEN(cell); i++)
        cell[i] = arena_dup(&c->arena, store_cell_str(rows, row, first_column + i));
    if (!store_cell_int(rows, row, first_column + 6) || !role_of(cell[3], cell[4], &role))
        return -ENOENT;
    c->who = (struct admin_who){
        .by = BY_TOKEN,
        .role = role,
        .id = cell[0],
        .name = cell[1],
        .email = cell[2],
        .org_id = cell[4],
        .user_id = cell[5],
        .actor = arena_printf(&c->arena, "admin_user:" STR_FMT, STR_ARG(cell[0])),
    };
    return c->who.actor.p ? 0 : -ENOMEM;
}

int admin_user_by_token(struct admin_call *c, struct str token)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char hash[SHA256_HEX], err[STORE_ERR_BYTES] = "";

    if (!c->env->store)
        return -ENOENT;
    sha256_hex(token, hash);
    int r = store_query(c->env->store,
        "SELECT " ADMIN_USER_WHO " FROM admin_users u WHERE u.token_hash = ?1",
        &(struct store_value){.type = STORE_TEXT, .s = str_of(hash)}, 1, &rows, err);
    if (r < 0)
        return admin_store_fail(c, r, err);
    return store_rows_n(rows) ? admin_user_take(c, rows, 0, 0) : -ENOENT;
}
