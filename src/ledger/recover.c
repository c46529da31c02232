/*
 * At start: what a crash left behind. A call that is on the journal without an outcome was running
 * when the process died; whether its provider did the work is not known, so its outcome is
 * `unknown` and it costs what was held for it. Then the counters get what this node's calls have
 * spent in the windows that are still open.
 */
#include "base/clock.h"
#include "journal/payload.h"
#include "ledger/ledger_int.h"
#include "json/scan.h"

#include <errno.h>

/* As they stand in the entry `open`: ["name",expiry,…] */
static void put_scopes(struct payload *p, struct str scopes)
{
    size_t at = json_inside(scopes);
    struct str key, name, expiry;

    if (!at)
        return;
    payload_array(p, "scopes");
    while (json_next(scopes, &at, &key, &name) && json_next(scopes, &at, &key, &expiry)) {
        uint64_t end = 0;
        json_u64(expiry, &end);
        payload_item_str(p, str_at(name.p + 1, name.n - 2));
        payload_item_int(p, (int64_t)end);
    }
    payload_close(p);
}

static int write_unknown(const struct call_entry *e, struct buf *out)
{
    struct payload p;

    payload_begin(&p, out);
    payload_some_int(&p, "booked", e->booked);
    payload_int(&p, "charged", e->reserved);
    payload_some_str(&p, "customer", e->customer);
    payload_some_str(&p, "endpoint", e->endpoint);
    payload_str(&p, "event", STR("request"));
    payload_str(&p, "id", e->id);
    payload_some_str(&p, "key", e->key);
    payload_some_str(&p, "model", e->model);
    payload_some_str(&p, "org", e->org);
    payload_str(&p, "outcome", STR("unknown"));
    payload_str(&p, "phase", STR("outcome"));
    payload_some_str(&p, "provider", e->provider);
    payload_some_int(&p, "req_len", e->req_len);
    payload_some_int(&p, "req_ref", e->req_ref);
    put_scopes(&p, e->scopes);
    payload_int(&p, "status", 0);
    payload_some_str(&p, "team", e->team);
    payload_int(&p, "ts", e->ts);
    payload_some_str(&p, "user", e->user);
    return payload_end(&p);
}

static int append_unknown(struct projection *p, const struct open_call *o)
{
    _cleanup_(buf_free) struct buf out = {0};
    struct call_entry e;
    struct arena a;
    char first[1024];

    arena_init(&a, first, sizeof first, 64 << 10);
    buf_init(&out, JOURNAL_PAYLOAD_BYTES);
    int r = call_entry_read(o->payload, &e, &a) > 0 ? write_unknown(&e, &out) : 0;
    if (r == 0 && out.n)
        r = journal_append(p->set.journal, JOURNAL_OTHER, buf_str(&out), NULL);
    arena_free(&a);
    return r;
}

int recover_open_calls(struct projection *p, unsigned *ret_n)
{
    struct str id;
    void *o;
    int r = 0;

    *ret_n = 0;
    for (size_t at = 0; r == 0 && map_next(&p->open, &at, &id, &o);) {
        r = append_unknown(p, o);
        *ret_n += r == 0;
    }
    return r;
}

int recover_seed(struct projection *p, char *err)
{
    struct store_rows *rows = NULL;
    const struct store_value v[] = {store_text(p->set.node), store_int(clock_wall())};
    int r = store_query(p->set.store,
        "SELECT name, used, expires_at FROM ledger_spend "
        "WHERE node = ?1 AND (expires_at = 0 OR expires_at > ?2)",
        v, 2, &rows, err);

    for (unsigned i = 0; r == 0 && i < store_rows_n(rows); i++)
        shared_seed(p->set.shared, store_cell_str(rows, i, 0), store_cell_int(rows, i, 1),
            store_cell_int(rows, i, 2));
    store_rows_free(rows);
    return r;
}

/* Requests and tokens of a minute: no ledger knows them, and they are soon over. */
static bool is_of_a_minute(struct str name)
{
    ptrdiff_t at = -1;

    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == ':')
            at = (ptrdiff_t)i;
    struct str window = str_from(name, (size_t)(at + 1));
    return window.n > 1 && (window.p[0] == 'r' || window.p[0] == 't');
}

/* The parts of nodes that may not run, for a counter that Redis does not know. */
int ledger_fill(void *ctx, struct str name, struct shared_part_of *parts, unsigned max)
{
    static _Thread_local char nodes[64][64];
    struct ledger_settings *set = ctx;
    struct store_rows *rows = NULL;
    const struct store_value v[] = {store_text(name), store_text(set->node)};
    unsigned n = 0;

    if (is_of_a_minute(name))
        return 0;
    int r = store_query(set->store,
        "SELECT node, used FROM ledger_spend WHERE name = ?1 AND node <> ?2", v, 2, &rows, NULL);

    if (r < 0)
        return r;
    for (; n < store_rows_n(rows) && n < max && n < ARRAY_LEN(nodes); n++) {
        struct str node = str_to(store_cell_str(rows, n, 0), sizeof nodes[0]);
        memcpy(nodes[n], node.p, node.n);
        parts[n] = (struct shared_part_of){str_at(nodes[n], node.n), store_cell_int(rows, n, 1)};
    }
    store_rows_free(rows);
    return (int)n;
}
