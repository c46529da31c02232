/*
 * The ledger's life: following the journal to its end at start, and a thread that goes on following
 * it. See ledger/ledger.h.
 *
 * The thread asks ten times a second whether there are new entries, so that under load a batch is
 * large and cheap, and at rest it costs nothing. When the database is away it tries again with a
 * growing pause, and says so once.
 */
#include "base/clock.h"
#include "base/log.h"
#include "ledger/ledger_int.h"
#include "metrics/metrics.h"
#include "runtime/co.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define PACE_NS      (100 * NS_PER_MS)
#define AWAY_NS      (2 * NS_PER_S)
#define CATCH_UP_NS  (30 * NS_PER_S)
#define GROUP_NS     (60 * NS_PER_MS) /* longer than the journal's writer takes for a group */
#define CLOSE_NS     (5 * NS_PER_S)
#define RECENT_NS    (3600 * NS_PER_S)
#define WAIT_STEP_NS (10 * NS_PER_MS)
#define BEHIND       4000 /* entries: then there is no pause */

static struct ledger {
    struct projection projection;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_bool stop;
    atomic_ullong seq;         /* projected */
    atomic_llong behind_since; /* monotonic ns; 0 = not behind */
} ledger = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct metric_family refusals = {
    .name = "smartflow_journal_refusals_total",
    .help = "Calls refused because the journal could not be written.",
    .type = METRIC_COUNTER,
};
static struct metric_family waits = {
    .name = "smartflow_journal_waits_total",
    .help = "Calls that waited until the journal's writer had caught up.",
    .type = METRIC_COUNTER,
};
static struct metric_family lost = {
    .name = "smartflow_journal_outcomes_late_total",
    .help = "Outcomes that could not be written; a restart marks these calls unknown.",
    .type = METRIC_COUNTER,
};
static struct metric_family lag = {
    .name = "smartflow_ledger_lag_entries",
    .help = "Entries of the journal that are not in the database yet.",
    .type = METRIC_GAUGE,
};
static struct metric_family failures = {
    .name = "smartflow_ledger_failures_total",
    .help = "Batches of log rows that the database did not take; they are tried again.",
    .type = METRIC_COUNTER,
};

struct journal *ledger_journal(void)
{
    return ledger.projection.set.journal;
}

struct store *ledger_store(void)
{
    return ledger.projection.set.store;
}

bool ledger_is_stopping(void)
{
    return atomic_load(&ledger.stop);
}

bool ledger_is_strict(void)
{
    struct journal *j = ledger_journal();

    return j && journal_durability(j) == JOURNAL_STRICT;
}

void ledger_count_refusal(void)
{
    metric_add(metric_get(&refusals, NULL, 0), 1);
}

void ledger_count_wait(void)
{
    metric_add(metric_get(&waits, NULL, 0), 1);
}

void ledger_count_lost(void)
{
    metric_add(metric_get(&lost, NULL, 0), 1);
}

/* --- a journal that cannot be written --- */

static atomic_bool problem_said;
static atomic_llong problem_said_at; /* when it was last logged; at most once a second */

bool ledger_problem_said(void)
{
    return atomic_load_explicit(&problem_said, memory_order_relaxed);
}

void ledger_say_problem(const char *why)
{
    if (!why) {
        if (atomic_exchange(&problem_said, false))
            log_msg(LOG_INFO, "the journal is written again: calls are served");
        return;
    }
    long long before = atomic_load(&problem_said_at), now = clock_now();
    if (before && now - before < NS_PER_S)
        return;
    if (!atomic_exchange(&problem_said, true) &&
        atomic_compare_exchange_strong(&problem_said_at, &before, now))
        log_msg(LOG_ERROR, "the journal cannot be written: %s; new calls are refused", why);
}

void ledger_lag(uint64_t *ret_entries, int64_t *ret_age)
{
    struct journal *j = ledger_journal();
    uint64_t last = j ? journal_last_seq(j) : 0, seq = atomic_load(&ledger.seq);
    int64_t since = atomic_load(&ledger.behind_since);

    *ret_entries = last > seq ? last - seq : 0;
    *ret_age = *ret_entries && since ? clock_now() - since : 0;
    metric_set(metric_get(&lag, NULL, 0), (int64_t)*ret_entries);
}

/* --- start --- */

static int follow_to_end(struct projection *p, char *err)
{
    int r;

    while ((r = projection_step(p, err)) > 0)
        atomic_store(&ledger.seq, p->seq);
    return r;
}

/* The writer gives the new entries their numbers; they are waited for like any reader does. */
static int settle_open(struct projection *p, char *err)
{
    int64_t deadline = clock_now() + CATCH_UP_NS;
    unsigned n = 0;
    int r = recover_open_calls(p, &n);

    if (n)
        log_msg(LOG_WARN,
            "%u calls were running when the gateway ended; their outcome is unknown "
            "and they cost what was held for them",
            n);
    while (r >= 0 && p->open.n && clock_now() < deadline) {
        r = projection_step(p, err);
        if (r == 0)
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return r < 0 ? r : p->open.n ? -ETIMEDOUT : 0;
}

int ledger_open(const struct ledger_settings *s, char *err, size_t err_n)
{
    struct projection *p = &ledger.projection;
    char why[STORE_ERR_BYTES] = "";

    p->set = *s;
    p->finishing = true; /* counters are seeded from the sums */
    metrics_register(&refusals);
    metrics_register(&lost);
    metrics_register(&waits);
    metrics_register(&failures);
    int r = rewind_position(s, why);
    if (r == 0)
        r = projection_open(p, why);
    if (r == 0)
        r = follow_to_end(p, why);
    if (r == 0 && p->open.n)
        r = settle_open(p, why);
    if (r == 0)
        r = recover_seed(p, why);
    if (r == 0)
        shared_set_fill(s->shared, ledger_fill, &p->set);
    p->finishing = false;
    atomic_store(&ledger.seq, p->seq);
    snprintf(err, err_n, "%s", why);
    return r;
}

/* --- the thread --- */

static bool pause_thread(int64_t ns)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ns / NS_PER_S;
    until.tv_nsec += ns % NS_PER_S;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_nsec -= NS_PER_S;
        until.tv_sec++;
    }
    pthread_mutex_lock(&ledger.lock);
    if (!ledger.stop)
        pthread_cond_timedwait(&ledger.wake, &ledger.lock, &until);
    bool stop = ledger.stop;
    pthread_mutex_unlock(&ledger.lock);
    return stop;
}

static void report_failure(bool *away, const char *err, int r)
{
    metric_add(metric_get(&failures, NULL, 0), 1);
    if (!*away)
        log_msg(LOG_WARN, "log rows wait for the database: %s", err[0] ? err : strerror(-r));
    *away = true;
}

static void note_progress(struct projection *p)
{
    bool behind = journal_last_seq(p->set.journal) > p->seq;
    uint64_t entries;
    int64_t age;

    atomic_store(&ledger.seq, p->seq);
    ledger_lag(&entries, &age); /* for the metric */
    if (!behind)
        atomic_store(&ledger.behind_since, 0);
    else if (!atomic_load(&ledger.behind_since))
        atomic_store(&ledger.behind_since, clock_now());
}

static bool is_far_behind(const struct projection *p)
{
    return journal_last_seq(p->set.journal) > p->seq + BEHIND;
}

static void *follow_main(void *arg)
{
    struct projection *p = arg;
    bool away = false, stop = false;
    char err[STORE_ERR_BYTES];

    while (!stop) {
        err[0] = 0;
        int r = projection_step(p, err);
        note_progress(p);
        if (r < 0)
            report_failure(&away, err, r);
        else if (r > 0 && away)
            log_msg(LOG_INFO, "the database takes log rows again");
        away &= r <= 0;
        if (r >= 0)
            retention_step(&p->set);
        stop = pause_thread(r < 0 ? AWAY_NS : is_far_behind(p) ? 0 : PACE_NS);
    }
    return NULL;
}

int ledger_start(void)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&ledger.wake, &attr);
    pthread_condattr_destroy(&attr);
    int r = -pthread_create(&ledger.thread, NULL, follow_main, &ledger.projection);
    ledger.running = r == 0;
    return r;
}

void ledger_stop(void)
{
    if (!ledger.running)
        return;
    pthread_mutex_lock(&ledger.lock);
    ledger.stop = true;
    pthread_cond_signal(&ledger.wake);
    pthread_mutex_unlock(&ledger.lock);
    pthread_join(ledger.thread, NULL);
    ledger.running = false;
}

/* To the journal's end, also what its writer has yet to write. */
static void finish(struct projection *p)
{
    int64_t deadline = clock_now() + CLOSE_NS;
    char err[STORE_ERR_BYTES];

    p->finishing = true;
    ledger_wait_written(deadline);
    while (clock_now() < deadline && projection_step(p, err) > 0)
        ;
}

void ledger_close(void)
{
    struct projection *p = &ledger.projection;

    ledger_stop();
    if (p->is_open && store_is_up(p->set.store))
        finish(p);
    projection_close(p);
    ledger.projection = (struct projection){0};
    ledger.stop = false;
}

int ledger_wait(int64_t wall, int64_t deadline)
{
    struct journal *j = ledger_journal();
    int64_t group = clock_wall() - wall < RECENT_NS ? clock_now() + GROUP_NS : 0;
    int r = 0;

    if (!j || !ledger.running)
        return 0;
    while (r == 0 && clock_now() < deadline &&
           (clock_now() < group || atomic_load(&ledger.seq) < journal_last_seq(j))) {
        pthread_mutex_lock(&ledger.lock);
        pthread_cond_signal(&ledger.wake);
        pthread_mutex_unlock(&ledger.lock);
        r = co_sleep_until(clock_now() + WAIT_STEP_NS);
    }
    return r;
}
