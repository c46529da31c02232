/* What all log sinks share: queues, batches, second tries. See telemetry/sinks_int.h. */
#include "telemetry/sinks_int.h"

#include "base/log.h"
#include "crypto/random.h"
#include "runtime/sync.h"

#include <stdio.h>
#include <stdlib.h>

#define TAKE_NS    (200 * NS_PER_MS)
#define TAKE_BYTES (64 * MIB)
#define WAIT_BYTES (32 * MIB) /* of one sink */
#define PAUSE_MAX  (30 * NS_PER_S)
#define STOP_WAIT  (3 * NS_PER_S)

static struct metric_family dropped = {
    .name = "smartflow_log_lines_dropped_total",
    .help = "Lines of calls that a log sink did not get: no room while it was away, or refused.",
    .type = METRIC_COUNTER,
    .labels = {"sink"},
};
static struct metric_family sent = {
    .name = "smartflow_log_lines_sent_total",
    .help = "Lines of calls that a log sink took.",
    .type = METRIC_COUNTER,
    .labels = {"sink"},
};
struct lanes sink_lanes = {
    .index = 1,
    .max = 4 * MIB,
    .dropped = &dropped,
    .what = "all",
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

struct sink {
    const struct sink_ops *ops;
    void *state, *next; /* next: of newer settings, when renewed */
    bool renewed, failing, running;
    struct event news;
    struct buf waiting;
    int64_t since; /* when the first line that waits came */
};

static struct sink sinks[] = {
    {.ops = &sink_file},
    {.ops = &sink_syslog},
    {.ops = &sink_hec},
    {.ops = &sink_s3},
};
static struct {
    struct event news, ended;
    unsigned running; /* coroutines */
    bool stop, started;
    struct str node;
} me;

static unsigned count_lines(struct str s)
{
    unsigned n = 0;

    for (const char *p = s.p; p && (p = memchr(p, '\n', (size_t)(s.p + s.n - p))) != NULL; p++)
        n++;
    return n;
}

static void count(struct metric_family *f, const struct sink *s, unsigned n)
{
    struct str name = str_of(s->ops->name);

    metric_add(metric_get(f, &name, 1), n);
}

struct str sink_line_time(struct str line)
{
    return str_starts(line, STR("{\"ts\":\"")) && line.n > 31 ? str_at(line.p + 7, 24) : STR_NONE;
}

/* --- one sink --- */

static bool configured(const struct sink *s)
{
    return s->renewed ? s->next != NULL : s->state != NULL;
}

static void take_settings(struct sink *s)
{
    if (!s->renewed)
        return;
    if (s->state)
        s->ops->close(s->state);
    s->state = s->next;
    s->next = NULL;
    s->renewed = false;
    if (s->state || !s->waiting.n)
        return;
    count(&dropped, s, count_lines(buf_str(&s->waiting)));
    buf_clear(&s->waiting);
}

/* When the lines that wait are to go: NEVER_NS while there are none. */
static int64_t due(const struct sink *s)
{
    if (!s->state || !s->waiting.n)
        return NEVER_NS;
    if (me.stop || !s->ops->interval || s->waiting.n >= s->ops->batch_bytes)
        return 0;
    return s->since + s->ops->interval(s->state);
}

static void say(struct sink *s, bool failing, const char *why)
{
    struct logline l;

    if (s->failing == failing)
        return;
    s->failing = failing;
    if (!log_begin(&l, failing ? LOG_WARN : LOG_INFO,
            failing ? "a log sink takes no lines" : "a log sink takes lines again"))
        return;
    log_str(&l, "sink", str_of(s->ops->name));
    if (failing)
        log_str(&l, "why", str_of(why));
    log_end(&l);
}

/* The first lines that wait, at most a batch, or one that is longer. */
static struct str first_batch(const struct sink *s)
{
    struct str all = buf_str(&s->waiting);
    const char *end = NULL;

    if (all.n <= s->ops->batch_bytes)
        return all;
    end = memrchr(all.p, '\n', s->ops->batch_bytes);
    if (!end)
        end = memchr(all.p, '\n', all.n);
    return end ? str_at(all.p, (size_t)(end - all.p) + 1) : all;
}

static void name_batch(struct sink_batch *b)
{
    char time[25];

    clock_rfc3339(clock_wall(), time);
    memcpy(b->name, time, 23);
    b->name[23] = '-';
    random_hex(b->name + 24, 4);
}

static void pause_for(struct sink *s, int64_t ns)
{
    int64_t until = clock_now() + ns;

    while (!me.stop && !s->renewed && !co_cancelled() && clock_now() < until) {
        event_reset(&s->news);
        event_wait(&s->news, until);
    }
}

/* Until it is there, or refused, or has nowhere to go any more. */
static void send_batch(struct sink *s, struct sink_batch *b)
{
    struct post_reply reply = {0};
    enum post_result r = POST_RETRY;

    for (; s->state; b->tries++) {
        r = s->ops->send(s->state, b, &reply);
        say(s, r != POST_DONE, reply.why);
        if (r != POST_RETRY || me.stop || co_cancelled())
            break;
        pause_for(s, post_pause(b->tries + 1, NS_PER_S, 2, PAUSE_MAX, reply.retry_after));
        take_settings(s);
    }
    count(r == POST_DONE ? &sent : &dropped, s, b->n);
}

static void send_first(struct sink *s)
{
    _cleanup_(buf_free) struct buf lines = {0};
    struct str first = first_batch(s);
    struct sink_batch b = {.n = count_lines(first)};

    buf_init(&lines, WAIT_BYTES);
    if (buf_addstr(&lines, first) < 0) {
        count(&dropped, s, b.n);
        buf_drop(&s->waiting, first.n);
        return;
    }
    buf_drop(&s->waiting, first.n);
    s->since = clock_now();
    b.lines = buf_str(&lines);
    name_batch(&b);
    send_batch(s, &b);
}

static void run(void *arg)
{
    struct sink *s = arg;

    while (!me.stop && !co_cancelled()) {
        take_settings(s);
        if (due(s) <= clock_now()) {
            send_first(s);
            continue;
        }
        event_reset(&s->news);
        event_wait(&s->news, due(s));
    }
    co_set_deadline(clock_now() + STOP_WAIT);
    while (s->state && s->waiting.n && clock_now() < co_deadline())
        send_first(s);
    s->running = false;
    if (--me.running == 0)
        event_set(&me.ended);
}

/* --- all of them --- */

static void give(struct sink *s, struct str lines, unsigned n)
{
    if (!configured(s))
        return;
    if (!s->waiting.max)
        buf_init(&s->waiting, WAIT_BYTES);
    if (!s->waiting.n)
        s->since = clock_now();
    if (buf_addstr(&s->waiting, lines) < 0) {
        s->waiting.err = 0;
        count(&dropped, s, n);
    }
    event_set(&s->news);
}

static void bring(void)
{
    _cleanup_(buf_free) struct buf lines = {0};

    buf_init(&lines, TAKE_BYTES);
    unsigned n = lanes_take(&sink_lanes, &lines);
    for (unsigned i = 0; n && i < ARRAY_LEN(sinks); i++)
        give(&sinks[i], buf_str(&lines), n);
}

static void collect(void *arg)
{
    (void)arg;
    while (!me.stop && !co_cancelled()) {
        bool on = atomic_load(&sink_lanes.on);
        if (on)
            bring();
        event_reset(&me.news);
        event_wait(&me.news, clock_now() + (on ? TAKE_NS : 3600 * NS_PER_S));
    }
    if (--me.running == 0)
        event_set(&me.ended);
}

void sinks_use(const struct sink_settings *set, const struct post_route *route,
    void (*problem)(void *ctx, const char *name, const char *why), void *ctx)
{
    char why[POST_ERR_BYTES] = "";
    bool any = false;

    for (unsigned i = 0; i < ARRAY_LEN(sinks); i++) {
        struct sink *s = &sinks[i];
        void *state = NULL;
        if (s->ops->open(set, route, me.node, &state, why) < 0)
            problem(ctx, s->ops->variable, why);
        if (s->renewed && s->next)
            s->ops->close(s->next);
        s->next = state;
        s->renewed = true;
        any |= state != NULL;
        event_set(&s->news);
    }
    atomic_store(&sink_lanes.on, any);
    event_set(&me.news);
}

void sinks_open(struct str node)
{
    me.node = node;
    me.stop = false;
    event_init(&me.news);
    event_init(&me.ended);
    for (unsigned i = 0; i < ARRAY_LEN(sinks); i++)
        event_init(&sinks[i].news);
    metrics_register(&dropped);
    metrics_register(&sent);
}

int sinks_start(void)
{
    int r = co_spawn("log lines", collect, NULL, NULL);

    me.running = r == 0;
    for (unsigned i = 0; r == 0 && i < ARRAY_LEN(sinks); i++) {
        r = co_spawn("log sink", run, &sinks[i], NULL);
        me.running += r == 0;
    }
    me.started = r == 0;
    return r;
}

void sinks_stop(void)
{
    if (!me.started)
        return;
    if (atomic_exchange(&sink_lanes.on, false))
        bring();
    me.stop = true;
    event_set(&me.news);
    for (unsigned i = 0; i < ARRAY_LEN(sinks); i++)
        event_set(&sinks[i].news);
    event_wait(&me.ended, clock_now() + 3 * STOP_WAIT);
    me.started = false;
    for (unsigned i = 0; i < ARRAY_LEN(sinks); i++) {
        take_settings(&sinks[i]);
        sinks[i].next = NULL;
        sinks[i].renewed = true;
        take_settings(&sinks[i]);
        buf_free(&sinks[i].waiting);
        sinks[i].renewed = false;
    }
}
