/*
 * One connection. libpq never blocks here: it is in its non-blocking mode, and every wait goes
 * through pg_conn_wait().
 *
 * That wait is level-triggered, although the loop's epoll is not: libpq does not say whether it
 * read the socket empty, so poll() is asked before each wait (an event that comes after it wakes
 * the coroutine). Both directions are waited for at once through io's on_event: while a pipeline is
 * written, the server's answers must be read, or both sides would wait for each other.
 *
 * While connecting, libpq may close its socket and open another of the same number (the next
 * address), so the socket is registered anew for each wait.
 */
#include "runtime/co.h"
#include "store/postgres_int.h"
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

/* --- waiting --- */

static void on_event(struct io *io, int dirs)
{
    struct pg_conn *c = container_of(io, struct pg_conn, io);
    (void)dirs;
    if (c->waiter)
        co_wake(c->waiter, 0);
}

int pg_conn_attach(struct pg_conn *c)
{
    if (!co_self())
        return 0;
    int r = io_open(&c->io, pq.PQsocket(c->pg));
    c->watched = r == 0;
    c->io.on_event = on_event;
    return r;
}

void pg_conn_detach(struct pg_conn *c)
{
    if (c->watched)
        (void)io_release(&c->io);
    c->watched = false;
}

/* Bytes that TLS has read from the socket and libpq has not. */
static bool has_pending(const struct pg_conn *c)
{
    SSL *ssl = pq.PQsslInUse(c->pg) ? pq.PQsslStruct(c->pg, "OpenSSL") : NULL;
    return ssl && SSL_pending(ssl) > 0;
}

static int poll_ms(int64_t deadline)
{
    int64_t left = (deadline - clock_now() + NS_PER_MS - 1) / NS_PER_MS;
    return (int)MIN(MAX(left, 0), 60 * 1000);
}

static int wait_once(struct pg_conn *c, int64_t deadline)
{
    c->waiter = co_self();
    int r = co_park("postgres", deadline);
    c->waiter = NULL;
    return r;
}

int pg_conn_wait(struct pg_conn *c, short events, int64_t deadline)
{
    int r = 0;
    if ((events & POLLIN) && has_pending(c))
        return 0;
    while (r == 0) {
        struct pollfd fd = {.fd = pq.PQsocket(c->pg), .events = events};
        int n = poll(&fd, 1, c->watched ? 0 : poll_ms(deadline));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            r = -errno;
        else if (clock_now() >= deadline)
            r = -ETIMEDOUT;
        else if (c->watched)
            r = wait_once(c, deadline);
    }
    c->broken = true;
    return r;
}

/* --- life --- */

int pg_conn_lost(struct pg_conn *c, char *err)
{
    c->broken = true;
    char text[STORE_ERR_BYTES];
    snprintf(text, sizeof text, "%s", pq.PQerrorMessage(c->pg));
    for (char *p = text; *p; p++)
        if (*p == '\n' || *p == '\t')
            *p = ' ';
    store_say(err, "PostgreSQL: " STR_FMT, STR_ARG(str_trim(str_of(text))));
    return -EHOSTDOWN;
}

static int wait_connecting(struct pg_conn *c, short events, int64_t deadline)
{
    int r = pg_conn_attach(c);
    if (r == 0)
        r = pg_conn_wait(c, events, deadline);
    pg_conn_detach(c);
    return r;
}

static int finish_connecting(struct pg_conn *c, int64_t deadline, char *err)
{
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (pq.PQstatus(c->pg) != CONNECTION_BAD && next != PGRES_POLLING_FAILED) {
        if (next == PGRES_POLLING_OK)
            return 0;
        int r = wait_connecting(c, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline);
        if (r < 0) {
            store_say(err, "PostgreSQL does not answer");
            return r;
        }
        next = pq.PQconnectPoll(c->pg);
    }
    return pg_conn_lost(c, err);
}

/* Notices would go to standard error. */
static void ignore_notice(void *arg, const PGresult *res)
{
    (void)arg, (void)res;
}

/* The server gives up what runs too long, and (from 14 on) what nobody waits for any more. */
static int set_up(struct pg_conn *c, int64_t timeout, int64_t deadline, char *err)
{
    char sql[512];
    snprintf(sql, sizeof sql,
        "SET client_min_messages = warning; SET statement_timeout = %lld; "
        "SET idle_in_transaction_session_timeout = 60000; SET standard_conforming_strings = on; "
        "SELECT set_config(name, '1000', false) FROM pg_settings "
        "WHERE name = 'client_connection_check_interval'",
        (long long)MAX(timeout / NS_PER_MS, 1));
    int r = pg_conn_attach(c);
    if (r == 0)
        r = pg_conn_script(c, sql, deadline, NULL, err);
    pg_conn_detach(c);
    return r;
}

int pg_conn_open(
    const struct pg_url *u, int64_t timeout, int64_t deadline, struct pg_conn **ret, char *err)
{
    struct pg_conn *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    list_init(&c->idle);
    map_init(&c->by_sql);
    int r = pg_url_start(u, deadline, &c->pg, err);
    if (r == 0)
        r = finish_connecting(c, deadline, err);
    if (r == 0) {
        pq.PQsetNoticeReceiver(c->pg, ignore_notice, NULL);
        r = pq.PQsetnonblocking(c->pg, 1) == 0 ? set_up(c, timeout, deadline, err) : -ENOMEM;
    }
    if (r < 0) {
        pg_conn_close(c);
        return r;
    }
    *ret = c;
    return 0;
}

void pg_conn_close(struct pg_conn *c)
{
    if (!c)
        return;
    pg_conn_detach(c);
    pg_stmts_free(c);
    pq.PQfinish(c->pg);
    free(c);
}

/* Without this, the first call after a restart of the server would fail on each old connection. */
bool pg_conn_alive(struct pg_conn *c)
{
    struct pollfd fd = {.fd = pq.PQsocket(c->pg), .events = POLLIN | POLLRDHUP};
    if (pq.PQstatus(c->pg) != CONNECTION_OK)
        return false;
    if (poll(&fd, 1, 0) <= 0)
        return true;
    if (fd.revents & (POLLRDHUP | POLLHUP | POLLERR))
        return false;
    return pq.PQconsumeInput(c->pg) && pq.PQstatus(c->pg) == CONNECTION_OK;
}

/* --- results --- */

int pg_conn_result(struct pg_conn *c, int64_t deadline, PGresult **ret, char *err)
{
    for (;;) {
        int more = pq.PQflush(c->pg);
        if (more < 0)
            return pg_conn_lost(c, err);
        if (!pq.PQisBusy(c->pg)) {
            *ret = pq.PQgetResult(c->pg);
            return !*ret && pq.PQstatus(c->pg) == CONNECTION_BAD ? pg_conn_lost(c, err) : 0;
        }
        int r = pg_conn_wait(c, (short)(POLLIN | (more ? POLLOUT : 0)), deadline);
        if (r < 0) {
            store_say(err, r == -ETIMEDOUT ? "the deadline passed" : "cancelled");
            return r;
        }
        if (!pq.PQconsumeInput(c->pg))
            return pg_conn_lost(c, err);
    }
}

int pg_conn_drain(struct pg_conn *c, int64_t deadline, int r)
{
    for (PGresult *res = NULL; pg_conn_result(c, deadline, &res, NULL) == 0 && res;)
        pq.PQclear(res);
    return r;
}

static int keep_rows(const PGresult *res, struct store_rows **ret, char *err)
{
    struct rows_builder b;
    rows_init(&b);
    int r = pg_result_rows(res, &b, err);
    store_rows_free(*ret);
    *ret = NULL;
    if (r == 0)
        r = rows_finish(&b, ret);
    rows_drop(&b);
    return r;
}

int pg_conn_script(
    struct pg_conn *c, const char *sql, int64_t deadline, struct store_rows **ret_rows, char *err)
{
    int first = 0;
    PGresult *res;
    if (!pq.PQsendQuery(c->pg, sql))
        return pg_conn_lost(c, err);
    for (;;) {
        int r = pg_conn_result(c, deadline, &res, first < 0 ? NULL : err);
        if (r < 0 || !res)
            return r < 0 ? r : first;
        r = pg_result_error(c, res, NULL, first < 0 ? NULL : err);
        if (r == 0 && ret_rows && pq.PQresultStatus(res) == PGRES_TUPLES_OK)
            r = keep_rows(res, ret_rows, err);
        first = first < 0 ? first : r;
        pq.PQclear(res);
    }
}
