/*
 * A chain that is shorter than what the store has seen of it: its disk lost what had been synced,
 * or an older copy of it was put back. What the rings still hold was appended again, so that from
 * some entry on (the first behind what was kept) entries bear other numbers than the store knows.
 *
 * The position goes back to what was kept. Of the entries behind it, up to the end that was found
 * at this start, the store is asked by the call's id: a call that has its row keeps it, and its
 * sums count only where they had not been put yet, which the row's old number tells. What was put
 * on a counter by hand has no row; ledger_adjustments tells which of these the sums hold.
 */
#include "ledger/ledger_int.h"

int rewind_position(const struct ledger_settings *s, char *err)
{
    const struct store_value v[] = {store_int((int64_t)s->journal_kept),
        store_int((int64_t)journal_last_seq(s->journal)), store_text(s->node)};

    return store_exec(s->store,
        "UPDATE ledger_position SET rewound_sums = sums_seq, rewound_to = ?2, seq = ?1, "
        "sums_seq = CASE WHEN sums_seq > ?1 THEN ?1 ELSE sums_seq END "
        "WHERE node = ?3 AND seq > ?1",
        v, ARRAY_LEN(v), NULL, err);
}

int rewind_find(struct projection *p, const struct call_entry *e, uint64_t *ret_seq)
{
    const struct store_value v[] = {store_int(e->ts), store_text(e->id)};
    struct store_rows *rows = NULL;
    int r = store_query(p->set.store, "SELECT seq FROM logs WHERE ts = ?1 AND request_id = ?2", v,
        ARRAY_LEN(v), &rows, NULL);

    *ret_seq = r == 0 && store_rows_n(rows) ? (uint64_t)store_cell_int(rows, 0, 0) : 0;
    store_rows_free(rows);
    return r;
}

int rewind_adjusted(struct projection *p, const struct adjustment *a)
{
    const struct store_value v[] = {
        store_text(p->set.node), store_int(a->at), store_text(a->counter)};
    struct store_rows *rows = NULL;
    int r = store_query(p->set.store,
        "SELECT 1 FROM ledger_adjustments WHERE node = ?1 AND at = ?2 AND counter = ?3", v,
        ARRAY_LEN(v), &rows, NULL);

    if (r == 0)
        r = store_rows_n(rows) > 0;
    store_rows_free(rows);
    return r;
}

int rewind_row(const struct call_entry *e, uint64_t seq, uint64_t open_seq, struct store_batch *b)
{
    const struct store_value v[] = {
        store_int((int64_t)seq), store_int((int64_t)open_seq), store_int(e->ts), store_text(e->id)};

    return store_batch_add(b,
        "UPDATE logs SET seq = ?1, open_seq = CASE WHEN ?2 > 0 THEN ?2 ELSE open_seq END "
        "WHERE ts = ?3 AND request_id = ?4",
        v, ARRAY_LEN(v), 0);
}
