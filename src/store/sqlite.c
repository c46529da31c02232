/*
 * The SQLite driver: a file, and threads that own its connections.
 *
 *   callers ──▶ queue "write"  ──▶ the one writer (SQLite has one at a time anyway)
 *          ├──▶ queue "read"   ──▶ a few readers, each sees the last commit (WAL)
 *          └──▶ queue "backup" ──▶ a thread of its own, since a copy takes long
 *
 * A job holds copies of all that it needs and two references, its caller's and its thread's; who
 * comes last frees it. A caller that leaves early (deadline, cancellation) opens nothing up: a job
 * that waits is skipped, one that runs is interrupted and rolled back, unless its commit was under
 * way.
 *
 * What reads is told by the first word; a WITH that turns out to write goes on to the writer.
 */
#include "base/list.h"
#include "store/sqlite_int.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define READERS 3

struct job {
    struct list link;
    atomic_uint refs;
    struct latch *latch;
    struct store_batch *batch; /* NULL: a backup */
    char *backup_path;
    struct store_call call;
    int result;
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty;
    struct list jobs;
    unsigned n;
    bool stopping;
};

struct worker {
    struct sqlite *owner;
    struct queue *queue;
    struct sqlite_conn *conn; /* NULL: makes backups */
    pthread_t thread;
    bool started;
};

enum { WRITER, BACKUP, FIRST_READER, WORKERS = FIRST_READER + READERS };

struct sqlite {
    struct store *store;
    char *path;
    struct queue write, read, backup;
    struct worker workers[WORKERS];
};

/* --- jobs --- */

static void job_free(struct job *job)
{
    store_batch_free(job->batch);
    store_rows_free(job->call.rows);
    free(job->backup_path);
    free(job);
}

static void job_unref(struct job *job)
{
    if (atomic_fetch_sub(&job->refs, 1) == 1)
        job_free(job);
}

static struct job *job_new(struct store_batch *batch, int64_t deadline)
{
    struct job *job = calloc(1, sizeof *job);
    struct latch *latch = job ? latch_new() : NULL;
    if (!latch) {
        free(job);
        return NULL;
    }
    list_init(&job->link);
    atomic_init(&job->refs, 2);
    job->latch = latch;
    job->batch = batch ? batch_ref(batch) : NULL;
    job->call.deadline = deadline;
    return job;
}

static int push(struct queue *q, struct job *job)
{
    pthread_mutex_lock(&q->lock);
    bool room = q->n < QUEUE_MAX;
    if (room) {
        list_push_back(&q->jobs, &job->link);
        q->n++;
        pthread_cond_signal(&q->not_empty);
    }
    pthread_mutex_unlock(&q->lock);
    return room ? 0 : -ETIMEDOUT;
}

/* NULL: stopping, and all is done. */
static struct job *pop(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (list_empty(&q->jobs) && !q->stopping)
        pthread_cond_wait(&q->not_empty, &q->lock);
    struct list *first = list_pop_front(&q->jobs);
    q->n -= first != NULL;
    pthread_mutex_unlock(&q->lock);
    return first ? list_entry(first, struct job, link) : NULL;
}

/* --- threads --- */

static int work(struct worker *w, struct job *job)
{
    if (latch_left(job->latch))
        return -ECANCELED;
    if (!w->conn)
        return sqlite_copy(
            w->owner->path, job->backup_path, job->call.deadline, job->latch, job->call.err);
    sqlite_conn_limit(w->conn, job->call.deadline, job->latch);
    int r = sqlite_conn_run(w->conn, &job->call);
    sqlite_conn_limit(w->conn, NEVER_NS, NULL);
    atomic_store(&w->owner->store->up, sqlite_conn_is_up(w->conn));
    return r;
}

static void finish(struct job *job, int result)
{
    job->result = result;
    latch_open(job->latch);
    job_unref(job);
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    for (struct job *job; (job = pop(w->queue)) != NULL;) {
        int r = work(w, job);
        bool handed_on = r == SQLITE_NEEDS_WRITER && (r = push(&w->owner->write, job)) == 0;
        if (!handed_on)
            finish(job, r);
    }
    sqlite_memory_thread_end();
    return NULL;
}

static int start_thread(struct worker *w)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the loops' business */
    int r = pthread_create(&w->thread, NULL, thread_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    w->started = r == 0;
    return -r;
}

static void stop_worker(struct worker *w)
{
    if (w->started) {
        pthread_mutex_lock(&w->queue->lock);
        w->queue->stopping = true;
        pthread_cond_broadcast(&w->queue->not_empty);
        pthread_mutex_unlock(&w->queue->lock);
        pthread_join(w->thread, NULL);
    }
    sqlite_conn_close(w->conn);
}

/* --- life --- */

static void queue_init(struct queue *q)
{
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->not_empty, NULL);
    list_init(&q->jobs);
}

static void queue_free(struct queue *q)
{
    pthread_cond_destroy(&q->not_empty);
    pthread_mutex_destroy(&q->lock);
}

static int open_workers(struct sqlite *q, char *err)
{
    int r = sqlite_conn_open(q->path, SQLITE_WRITES, &q->workers[WRITER].conn, err);
    if (r == 0)
        r = sqlite_conn_migrate(q->workers[WRITER].conn, err);
    for (int i = FIRST_READER; i < WORKERS && r == 0; i++)
        r = sqlite_conn_open(q->path, SQLITE_READS, &q->workers[i].conn, err);
    for (int i = 0; i < WORKERS && r == 0; i++) {
        struct worker *w = &q->workers[i];
        w->owner = q;
        w->queue = i == WRITER ? &q->write : i == BACKUP ? &q->backup : &q->read;
        r = start_thread(w);
    }
    return r;
}

static int make_path(struct str dir, char **ret, char *err)
{
    char *folder = str_dup(dir);
    int r = folder ? 0 : -ENOMEM;
    if (folder && mkdir(folder, 0700) < 0 && errno != EEXIST) {
        r = -errno;
        store_say(err, "cannot make the data folder %s: %s", folder, strerror(-r));
    }
    if (r == 0 && asprintf(ret, "%s/smartflow.db", folder) < 0)
        r = -ENOMEM;
    free(folder);
    return r;
}

static void add_path(const struct sqlite *q, char *err)
{
    char why[STORE_ERR_BYTES];
    memcpy(why, err, sizeof why);
    if (q->path && !strstr(why, q->path))
        store_say(err, "%s: %s", q->path, why);
}

int sqlite_open(struct store *s, struct str data_dir, char *err)
{
    struct sqlite *q = calloc(1, sizeof *q);
    if (!q)
        return -ENOMEM;
    s->sqlite = q;
    q->store = s;
    queue_init(&q->write);
    queue_init(&q->read);
    queue_init(&q->backup);
    int r = make_path(data_dir, &q->path, err);
    if (r == 0)
        r = open_workers(q, err);
    if (r < 0)
        add_path(q, err);
    return r;
}

void sqlite_close(struct sqlite *q)
{
    for (int i = WORKERS - 1; i >= 0; i--) /* the writer last: readers may hand it work */
        stop_worker(&q->workers[i]);
    queue_free(&q->write);
    queue_free(&q->read);
    queue_free(&q->backup);
    free(q->path);
    free(q);
}

/* --- calls --- */

static const char *why_left(int r)
{
    return r == -ETIMEDOUT ? "the deadline passed" : "cancelled";
}

/* Waits for a job that was queued; ret (may be NULL) gets its rows and counts. */
static int wait_for(struct job *job, struct store_call *ret, char *err)
{
    int r = latch_wait(job->latch, job->call.deadline);
    latch_unref(job->latch);
    if (r < 0) {
        store_say(err, "%s", why_left(r));
    } else {
        r = job->result;
        store_say(r < 0 ? err : NULL, "%s", job->call.err);
        if (ret && r == 0) {
            ret->rows = job->call.rows;
            ret->changed = job->call.changed;
            job->call.rows = NULL;
        }
    }
    job_unref(job);
    return r;
}

static int run_job(struct queue *q, struct job *job, struct store_call *ret, char *err)
{
    int r = push(q, job);
    if (r < 0) {
        store_say(err, "too many calls wait for the database");
        latch_unref(job->latch); /* the opener's and */
        latch_unref(job->latch); /* the waiter's */
        job_free(job);
        return r;
    }
    return wait_for(job, ret, err);
}

static int run_batch(struct sqlite *q, struct store_batch *b, struct store_call *call, char *err)
{
    struct job *job = job_new(b, call->deadline);
    if (!job)
        return -ENOMEM;
    job->call.stmts = batch_stmts(b);
    job->call.n = store_batch_n(b);
    job->call.transaction = call->transaction;
    job->call.want_rows = call->want_rows;
    const char *sql = job->call.stmts[0].sql;
    bool reads =
        !call->transaction && (store_sql_begins(sql, "SELECT") || store_sql_begins(sql, "WITH"));
    return run_job(reads ? &q->read : &q->write, job, call, err);
}

int sqlite_call(struct store *s, struct store_call *call)
{
    if (call->batch)
        return run_batch(s->sqlite, call->batch, call, call->err);
    _cleanup_(store_batch_freep) struct store_batch *copy = NULL;
    int r = store_batch_new(&copy);
    if (r == 0)
        r = batch_add_copy(copy, &call->stmts[0]);
    return r == 0 ? run_batch(s->sqlite, copy, call, call->err) : r;
}

int sqlite_backup(struct store *s, const char *path, int64_t deadline, char *err)
{
    char *copy = str_dup(str_of(path));
    struct job *job = copy ? job_new(NULL, deadline) : NULL;
    if (!job) {
        free(copy);
        return -ENOMEM;
    }
    job->backup_path = copy;
    return run_job(&s->sqlite->backup, job, NULL, err);
}
