/*
 * What end customers spent, within bounds. A caller may name another customer with each call, and
 * each of them leaves counters in ledger_spend, of which the one without an end would stay for
 * good. Where a node has more of them than it may, those that used least go: they are what an
 * invented name leaves, and nearest to what a customer has who never called. A customer with a
 * record of his own keeps his counters in any case, so that his budgets stay exact.
 *
 * Looked after every ten minutes by the thread that follows the journal. Suspends.
 */
#include "keys/limits.h"
#include "ledger/ledger_int.h"

#include <errno.h>

#define PAGE_ROWS 10000

/* "{ORG}c:ID:" is how the names begin (keys/counters.c); no other holds a brace. */
#define OF_CUSTOMERS "node = ?1 AND name LIKE '%}c:%'"

struct forgetting {
    const struct ledger_settings *set;
    struct arena arena;
    struct map known; /* "c:ID:" of those with a record */
    int64_t over;     /* how many are to go */
    int64_t used;     /* behind what the next page begins */
    struct str name;
};

static int64_t counters_n(const struct ledger_settings *set)
{
    const struct store_value node = store_text(set->node);
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int r = store_query(
        set->store, "SELECT COUNT(*) FROM ledger_spend WHERE " OF_CUSTOMERS, &node, 1, &rows, NULL);

    return r == 0 && store_rows_n(rows) == 1 ? store_cell_int(rows, 0, 0) : 0;
}

/* "c:ID:" of a counter's name. */
static struct str whose(struct str name)
{
    ptrdiff_t brace = str_chr(name, '}');
    struct str rest = str_from(name, (size_t)(brace + 1));
    ptrdiff_t end = str_chr(str_from(rest, 2), ':');

    return end < 0 ? rest : str_to(rest, (size_t)end + 3);
}

static int know(struct forgetting *f, struct str id)
{
    _cleanup_(buf_free) struct buf name = {.max = 512};

    limits_counter_of(SUBJECT_CUSTOMER, STR_NONE, id, BUDGET_LIFETIME, clock_wall(), &name);
    struct str own = arena_dup(&f->arena, whose(buf_str(&name)));
    if (name.err || !own.p)
        return -ENOMEM;
    return map_put(&f->known, own, (void *)own.p, NULL);
}

static int know_all(struct forgetting *f)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int r = store_query(
        f->set->store, "SELECT id FROM customers WHERE id <> '*'", NULL, 0, &rows, NULL);

    for (unsigned i = 0; r == 0 && i < store_rows_n(rows); i++)
        r = know(f, store_cell_str(rows, i, 0));
    return r;
}

static int drop_unknown(struct forgetting *f, const struct store_rows *rows, struct store_batch *b)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < store_rows_n(rows) && f->over > 0; i++) {
        const struct store_value v[] = {*store_cell(rows, i, 0), store_text(f->set->node)};
        if (map_get(&f->known, whose(v[0].s)))
            continue;
        r = store_batch_add(b, "DELETE FROM ledger_spend WHERE name = ?1 AND node = ?2", v, 2, 0);
        f->over--;
    }
    return r;
}

/* 1: there are more. */
static int forget_page(struct forgetting *f)
{
    const struct store_value v[] = {
        store_text(f->set->node), store_int(f->used), store_text(f->name), store_int(PAGE_ROWS)};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    _cleanup_(store_batch_freep) struct store_batch *b = NULL;
    int r = store_query(f->set->store,
        "SELECT name, used FROM ledger_spend WHERE " OF_CUSTOMERS
        " AND (used > ?2 OR (used = ?2 AND name > ?3)) ORDER BY used, name LIMIT ?4",
        v, ARRAY_LEN(v), &rows, NULL);
    unsigned n = r == 0 ? store_rows_n(rows) : 0;

    if (n == 0 || (r = store_batch_new(&b)) < 0)
        return r;
    f->used = store_cell_int(rows, n - 1, 1);
    f->name = arena_dup(&f->arena, store_cell_str(rows, n - 1, 0));
    r = f->name.p ? drop_unknown(f, rows, b) : -ENOMEM;
    if (r == 0 && store_batch_n(b))
        r = store_batch_run(f->set->store, b, NULL);
    return r < 0 ? r : n == PAGE_ROWS && f->over > 0;
}

int customers_forget(const struct ledger_settings *set, int64_t most)
{
    struct forgetting f = {.set = set, .used = INT64_MIN, .name = STR("")};
    int64_t n = counters_n(set);
    int r;

    if (n <= most)
        return 0;
    f.over = n - most + most / 10; /* room for a while */
    arena_init(&f.arena, NULL, 0, (size_t)64 << 20);
    map_init(&f.known);
    r = know_all(&f);
    while (r == 0 && (r = forget_page(&f)) > 0)
        r = 0;
    map_free(&f.known);
    arena_free(&f.arena);
    return r;
}
