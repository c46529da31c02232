/*
 * A call on one connection.
 *
 * A single statement goes by itself; its rows are taken one by one as they come, so that a result
 * beyond the limit ends there and not in memory.
 *
 * A transaction is a pipeline: BEGIN and all statements are written without waiting for answers,
 * which are read meanwhile; when all have come, COMMIT or ROLLBACK is a second trip. So whatever
 * fails before COMMIT was sent has done nothing.
 */
#include "store/postgres_int.h"
#include <errno.h>

#define STMTS_AT_A_TIME 64

/* --- one statement --- */

static int take_result(struct pg_conn *c, PGresult *res, struct store_call *call,
    struct rows_builder *rows, bool *undone)
{
    int r = pg_result_error(c, res, undone, call->err);
    if (r < 0)
        return r;
    call->changed = pg_result_changed(res);
    bool has_rows =
        pq.PQresultStatus(res) == PGRES_SINGLE_TUPLE || pq.PQresultStatus(res) == PGRES_TUPLES_OK;
    return call->want_rows && has_rows ? pg_result_rows(res, rows, call->err) : 0;
}

/* The first failure stands; the connection is read until the statement's end, unless the rest is
 * rows that nobody wants. */
static int take_results(
    struct pg_conn *c, struct store_call *call, struct rows_builder *rows, bool *undone)
{
    for (;;) {
        PGresult *res = NULL;
        int r = pg_conn_result(c, call->deadline, &res, call->err);
        if (r < 0 || !res)
            return r;
        r = take_result(c, res, call, rows, undone);
        c->broken |= r < 0 && pq.PQresultStatus(res) == PGRES_SINGLE_TUPLE;
        pq.PQclear(res);
        if (r < 0)
            return c->broken ? r : pg_conn_drain(c, call->deadline, r);
    }
}

static int run_one(struct pg_conn *c, struct store_call *call, bool *ret_again)
{
    const struct store_stmt *s = &call->stmts[0];
    int r = pg_stmt_prepare(c, s, call->deadline, call->err);
    *ret_again = r == -EHOSTDOWN;
    if (r == 0)
        r = pg_stmt_send(c, s, call->err);
    if (r < 0)
        return r;
    struct rows_builder rows;
    rows_init(&rows);
    if (call->want_rows)
        (void)pq.PQsetSingleRowMode(c->pg);
    bool undone = false;
    r = take_results(c, call, &rows, &undone);
    if (r == 0 && call->want_rows)
        r = rows_finish(&rows, &call->rows);
    rows_drop(&rows);
    bool reads = store_sql_begins(s->sql, "SELECT"); /* may be done twice */
    *ret_again = undone || (r == -EHOSTDOWN && reads);
    return r;
}

/* --- a transaction --- */

struct pipeline {
    struct pg_conn *c;
    struct store_call *call;
    unsigned sent, taken; /* BEGIN is number 0 */
    bool synced, undone;
    int failed; /* the first failure of a statement */
};

static void take_statement(struct pipeline *p, PGresult *res)
{
    struct store_call *call = p->call;
    int r = pg_result_error(p->c, res, &p->undone, call->err);
    if (r < 0) {
        p->failed = r;
    } else if (p->taken > 0 && (call->stmts[p->taken - 1].flags & STORE_EXPECT_ONE) &&
               pg_result_changed(res) != 1) {
        store_say(call->err, "statement %u changed %lld rows", p->taken,
            (long long)pg_result_changed(res));
        p->failed = -EAGAIN;
    }
}

static void take(struct pipeline *p, PGresult *res)
{
    if (!res)
        p->taken++; /* the end of one statement's results */
    else if (pq.PQresultStatus(res) == PGRES_PIPELINE_SYNC)
        p->synced = true;
    else if (pq.PQresultStatus(res) != PGRES_PIPELINE_ABORTED && p->failed == 0)
        take_statement(p, res);
    pq.PQclear(res);
}

/* Takes the answers that are there, and writes what the socket takes. */
static int pump(struct pipeline *p)
{
    PGconn *pg = p->c->pg;
    for (;;) {
        int more = pq.PQflush(pg);
        if (more < 0)
            return pg_conn_lost(p->c, p->call->err);
        if (more == 0)
            return 0;
        int r = pg_conn_wait(p->c, POLLIN | POLLOUT, p->call->deadline);
        if (r < 0)
            return r;
        if (!pq.PQconsumeInput(pg))
            return pg_conn_lost(p->c, p->call->err);
        while (p->taken < p->sent && !pq.PQisBusy(pg))
            take(p, pq.PQgetResult(pg));
    }
}

static int send_all(struct pipeline *p)
{
    struct store_call *call = p->call;
    if (!pq.PQsendQueryParams(p->c->pg, "BEGIN", 0, NULL, NULL, NULL, NULL, 0))
        return pg_conn_lost(p->c, call->err);
    p->sent = 1;
    for (unsigned i = 0; i < call->n; i++) {
        int r = pg_stmt_send(p->c, &call->stmts[i], call->err);
        if (r < 0)
            return r;
        p->sent++;
        r = i % STMTS_AT_A_TIME == 0 ? pump(p) : 0;
        if (r < 0)
            return r;
    }
    return pq.PQpipelineSync(p->c->pg) ? 0 : pg_conn_lost(p->c, call->err);
}

static int take_all(struct pipeline *p)
{
    while (!p->synced) {
        PGresult *res = NULL;
        int r = pg_conn_result(p->c, p->call->deadline, &res, p->call->err);
        if (r < 0)
            return r;
        take(p, res);
    }
    return 0;
}

/* All statements were answered, p->failed says how; or not 0, and the connection is broken. */
static int run_pipeline(struct pipeline *p)
{
    if (!pq.PQenterPipelineMode(p->c->pg))
        return pg_conn_lost(p->c, p->call->err);
    int r = send_all(p);
    if (r == 0)
        r = take_all(p);
    if (r == 0 && !pq.PQexitPipelineMode(p->c->pg))
        r = pg_conn_lost(p->c, p->call->err);
    p->c->broken |= r < 0;
    return r;
}

static int prepare_all(struct pg_conn *c, struct store_call *call)
{
    int r = 0;
    for (unsigned i = 0; i < call->n && r == 0; i++)
        r = pg_stmt_prepare(c, &call->stmts[i], call->deadline, call->err);
    return r;
}

static int run_transaction(struct pg_conn *c, struct store_call *call, bool *ret_again)
{
    struct pipeline p = {.c = c, .call = call};
    int r = prepare_all(c, call);
    if (r == 0)
        r = run_pipeline(&p);
    if (r < 0) {
        *ret_again = r == -EHOSTDOWN;
        return r;
    }
    if (p.failed == 0)
        return pg_conn_script(c, "COMMIT", call->deadline, NULL, call->err);
    *ret_again = p.undone || p.failed == -EHOSTDOWN;
    if (!c->broken && pg_conn_script(c, "ROLLBACK", call->deadline, NULL, NULL) < 0)
        c->broken = true;
    return p.failed;
}

int pg_run(struct pg_conn *c, struct store_call *call, bool *ret_again)
{
    *ret_again = false;
    return call->transaction ? run_transaction(c, call, ret_again) : run_one(c, call, ret_again);
}
