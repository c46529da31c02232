/*
 * The offload pool: threads that take jobs from one bounded queue.
 *
 * A job's way: the caller's loop makes it and queues it ─▶ a pool thread runs it ─▶ loop_post()
 * brings it back to the caller's loop, which frees it there. `waiter` is touched on that loop
 * alone, so the early end of a wait needs no lock: the coroutine clears it and goes; the job comes
 * home to nobody and its data is dropped. The pool's threads see work, data, result and `skipped`;
 * the queue's lock and the post order those.
 */
#include "runtime/offload.h"
#include "base/limits.h"
#include "runtime/runtime_int.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

struct job {
    struct job *next;
    struct loop *home;
    struct co *waiter; /* NULL = nobody waits any more */
    bool finished;
    bool skipped; /* offload_stop() came first: work was not called */
    int (*work)(void *);
    void *data;
    void (*drop)(void *);
    int result;
};

static struct pool {
    pthread_mutex_t lock;
    pthread_cond_t not_empty;
    struct job *first, **last;
    unsigned n_queued;
    bool stopping;
    pthread_t *threads;
    unsigned n_threads;
} pool = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .not_empty = PTHREAD_COND_INITIALIZER,
    .stopping = true, /* takes nothing before offload_start() */
};

static void job_drop(struct job *job)
{
    if (job->drop)
        job->drop(job->data);
    free(job);
}

/* On the caller's loop. Whoever comes last, the job or its waiter, frees it. */
static void come_home(void *arg)
{
    struct job *job = arg;
    job->finished = true;
    if (!job->waiter)
        job_drop(job);
    else
        co_wake(job->waiter, 0); /* false: it is about to leave and finds `finished` set */
}

static void send_home(struct job *job)
{
    if (loop_post(job->home, come_home, job) < 0)
        panic("no memory to bring an offloaded job home"); /* its waiter would wait for ever */
}

static struct job *next_job(void)
{
    pthread_mutex_lock(&pool.lock);
    while (!pool.first && !pool.stopping)
        pthread_cond_wait(&pool.not_empty, &pool.lock);
    struct job *job = pool.first;
    if (job) {
        pool.first = job->next;
        pool.n_queued--;
        job->skipped = pool.stopping;
        if (!pool.first)
            pool.last = &pool.first;
    }
    pthread_mutex_unlock(&pool.lock);
    return job;
}

static void *thread_main(void *arg)
{
    (void)arg;
    for (struct job *job; (job = next_job()) != NULL;) {
        if (!job->skipped)
            job->result = job->work(job->data);
        send_home(job);
    }
    return NULL;
}

static int start_threads(unsigned n)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the loops' business */
    int r = 0;
    while (pool.n_threads < n && r == 0) {
        r = pthread_create(&pool.threads[pool.n_threads], NULL, thread_main, NULL);
        pool.n_threads += r == 0;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -r;
}

int offload_start(unsigned threads)
{
    must(threads > 0 && !pool.threads);
    pool.threads = calloc(threads, sizeof *pool.threads);
    if (!pool.threads)
        return -ENOMEM;
    pool.last = &pool.first;
    pool.stopping = false;
    int r = start_threads(threads);
    if (r < 0)
        offload_stop();
    return r;
}

void offload_stop(void)
{
    pthread_mutex_lock(&pool.lock);
    pool.stopping = true;
    pthread_cond_broadcast(&pool.not_empty);
    pthread_mutex_unlock(&pool.lock);
    for (unsigned i = 0; i < pool.n_threads; i++)
        pthread_join(pool.threads[i], NULL);
    free(pool.threads);
    pool.threads = NULL;
    pool.n_threads = 0;
}

static int enqueue(struct job *job)
{
    pthread_mutex_lock(&pool.lock);
    bool room = !pool.stopping && pool.n_queued < LIMIT_OFFLOAD_QUEUE;
    if (room) {
        *pool.last = job;
        pool.last = &job->next;
        pool.n_queued++;
        pthread_cond_signal(&pool.not_empty);
    }
    pthread_mutex_unlock(&pool.lock);
    return room ? 0 : -EAGAIN;
}

/* The two results that say who owns data are the wait's own. */
static int work_result(int r)
{
    return r == -ETIMEDOUT || r == -ECANCELED || r == -EAGAIN ? -EIO : r;
}

static int wait_for(struct job *job, int64_t deadline)
{
    int r = co_park("offload", deadline);
    if (!job->finished) {
        job->waiter = NULL;
        return r < 0 ? r : -ECANCELED;
    }
    if (r < 0 || job->skipped) { /* ended early while the job was already on its way home */
        job_drop(job);
        return r < 0 ? r : -ECANCELED;
    }
    r = work_result(job->result);
    free(job);
    return r;
}

int offload_run(int (*work)(void *), void *data, void (*drop)(void *), int64_t deadline)
{
    struct co *co = co_self();
    must(co);
    if (co->cancelled && !co->masked) { /* nothing to wait for, so nothing is begun */
        if (drop)
            drop(data);
        return -ECANCELED;
    }
    struct job *job = malloc(sizeof *job);
    if (!job)
        return -EAGAIN;
    *job = (struct job){.home = co->loop, .waiter = co, .work = work, .data = data, .drop = drop};
    if (enqueue(job) < 0) {
        free(job);
        return -EAGAIN;
    }
    return wait_for(job, deadline);
}
