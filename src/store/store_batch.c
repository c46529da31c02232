/*
 * Batches. Values and their bytes are copied into an arena that lives as long as the batch. A batch
 * is counted: its caller holds one reference and, while it runs on another thread, the driver holds
 * another; a caller whose wait ended early may free it at once. For the same reason nothing can be
 * added once it was run.
 */
#include "base/arena.h"
#include "store/store_int.h"
#include <errno.h>
#include <stdlib.h>

#define BATCH_BYTES ((size_t)256 << 20)

struct store_batch {
    atomic_uint refs;
    bool shared; /* was handed to a driver */
    struct arena arena;
    struct store_stmt *stmts;
    unsigned n, cap;
};

int store_batch_new(struct store_batch **ret)
{
    struct store_batch *b = calloc(1, sizeof *b);
    if (!b)
        return -ENOMEM;
    atomic_init(&b->refs, 1);
    arena_init(&b->arena, NULL, 0, BATCH_BYTES);
    *ret = b;
    return 0;
}

struct store_batch *batch_ref(struct store_batch *b)
{
    b->shared = true;
    atomic_fetch_add(&b->refs, 1);
    return b;
}

void store_batch_free(struct store_batch *b)
{
    if (!b || atomic_fetch_sub(&b->refs, 1) > 1)
        return;
    arena_free(&b->arena);
    free(b->stmts);
    free(b);
}

unsigned store_batch_n(const struct store_batch *b)
{
    return b->n;
}

const struct store_stmt *batch_stmts(const struct store_batch *b)
{
    return b->stmts;
}

static int no_room(const struct store_batch *b, size_t n)
{
    return n > b->arena.max - b->arena.total - sizeof(struct store_value) ? -EMSGSIZE : -ENOMEM;
}

static int copy_params(struct store_batch *b, const struct store_value *params, unsigned n,
    const struct store_value **ret)
{
    size_t bytes = n * sizeof(*params);
    struct store_value *copy = arena_alloc(&b->arena, MAX(bytes, 1));
    if (!copy)
        return no_room(b, bytes);
    for (unsigned i = 0; i < n; i++) {
        copy[i] = params[i];
        if (params[i].type != STORE_TEXT && params[i].type != STORE_BLOB)
            continue;
        copy[i].s = arena_dup(&b->arena, params[i].s);
        if (!copy[i].s.p)
            return no_room(b, params[i].s.n);
    }
    *ret = copy;
    return 0;
}

static int add(struct store_batch *b, const char *sql, const struct store_value *params, unsigned n,
    unsigned flags)
{
    struct store_stmt stmt = {.sql = sql, .n = n, .flags = flags};
    int r = copy_params(b, params, n, &stmt.params);
    if (r < 0)
        return r;
    struct store_stmt *more = store_vector_room(b->stmts, b->n, &b->cap, sizeof(*b->stmts));
    if (!more)
        return -ENOMEM;
    b->stmts = more;
    b->stmts[b->n++] = stmt;
    return 0;
}

int store_batch_add(struct store_batch *b, const char *sql, const struct store_value *params,
    unsigned n, unsigned flags)
{
    must(!b->shared);
    int r = store_check_params(params, n, NULL);
    return r < 0 ? r : add(b, sql, params, n, flags);
}

int batch_add_copy(struct store_batch *b, const struct store_stmt *s)
{
    struct str sql = arena_dup(&b->arena, str_of(s->sql));
    return sql.p ? add(b, sql.p, s->params, s->n, s->flags) : no_room(b, strlen(s->sql));
}

int store_batch_add_change(struct store_batch *b, const char *kind, struct str id)
{
    const struct store_value row[] = {
        store_text(str_of(kind)), store_text(id), store_int(clock_wall())};
    int r = store_batch_add(
        b, "UPDATE change_counter SET n = n + 1 WHERE id = 1", NULL, 0, STORE_EXPECT_ONE);
    if (r < 0)
        return r;
    return store_batch_add(b,
        "INSERT INTO changes (seq, kind, id, at) SELECT n, ?1, ?2, ?3 FROM change_counter", row, 3,
        STORE_EXPECT_ONE);
}
