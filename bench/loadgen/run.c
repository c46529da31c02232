/*
 * The clock of a run: who sends when, and when it is over. Waits are to the nanosecond, since a
 * request that goes out a millisecond late would be charged to the gateway.
 */
#include "loadgen.h"

#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>

#define NS_PER_S 1000000000LL
#define LINGER   (3 * NS_PER_S) /* for replies that are still under way at the end */

static volatile sig_atomic_t told_to_end;

static void on_signal(int signal)
{
    (void)signal;
    told_to_end = 1;
}

static int64_t due_time(const struct load *l, long i)
{
    return l->start + (int64_t)((double)i * 1e9 / l->o.rate);
}

/* Sends what is due, as far as there are idle connections; returns the next moment to wake at. */
static int64_t send_due(struct load *l, int64_t now)
{
    while (l->due_n < l->due_all && due_time(l, l->due_n) <= now && l->idle_n) {
        struct client *c = &l->clients[l->idle[--l->idle_n]];
        client_start(l, c, due_time(l, l->due_n++));
    }
    if (l->due_n == l->due_all)
        return INT64_MAX;
    int64_t next = due_time(l, l->due_n);
    if (next > now)
        return next;
    long queue = (long)((double)(now - next) / 1e9 * l->o.rate) + 1;
    if (queue > l->t.longest_queue)
        l->t.longest_queue = queue;
    return INT64_MAX; /* a reply has to come first */
}

static int64_t open_due(struct load *l, int64_t now)
{
    while (l->opened < l->o.connections && due_time(l, l->opened) <= now) {
        struct client *c = &l->clients[l->opened];
        int64_t due = due_time(l, l->opened++);
        client_dial(l, c);
        client_start(l, c, due);
    }
    return l->opened < l->o.connections ? due_time(l, l->opened) : INT64_MAX;
}

/* Whoever started us waits for this line, measures, and ends us. */
static void announce(struct load *l)
{
    if (l->o.mode != MODE_HOLD || l->announced || l->t.firsts < l->o.connections)
        return;
    l->announced = true;
    printf("{\"open\":%ld}\n", l->t.firsts);
    fflush(stdout);
}

static bool is_over(struct load *l, int64_t now)
{
    if (told_to_end)
        return true;
    if (now < l->end)
        return false;
    l->stopping = true;
    return l->o.mode == MODE_HOLD || !l->t.in_flight || now > l->end + LINGER;
}

static int64_t next_wake(struct load *l, int64_t now)
{
    int64_t wake = INT64_MAX, latest = l->stopping ? now + NS_PER_S / 20 : l->end;

    if (l->o.mode == MODE_RATE && !l->stopping)
        wake = send_due(l, now);
    else if (l->o.mode == MODE_HOLD)
        wake = open_due(l, now);
    return wake < latest ? wake : latest;
}

static void wait_until(struct load *l, int64_t wake)
{
    enum { EVENTS = 256 };
    struct epoll_event events[EVENTS];
    int64_t left = wake - now_ns();

    if (left < 0)
        left = 0;
    struct timespec t = {left / NS_PER_S, left % NS_PER_S};
    int n = epoll_pwait2(l->epoll, events, EVENTS, &t, NULL);
    for (int i = 0; i < n; i++)
        client_event(l, events[i].data.ptr, events[i].events);
}

static void begin(struct load *l)
{
    l->start = now_ns() + NS_PER_S / 20;
    l->record_from = l->start + (int64_t)(l->o.warm_up * 1e9);
    l->end = l->record_from + (int64_t)(l->o.seconds * 1e9);
    l->due_all = (long)(l->o.rate * (l->o.seconds + l->o.warm_up));
    for (int i = 0; i < l->o.connections; i++)
        l->clients[i].deaf = i < (int)(l->o.not_reading * l->o.connections);
    if (l->o.mode == MODE_HOLD)
        return;
    for (int i = 0; i < l->o.connections; i++) {
        client_dial(l, &l->clients[i]);
        if (l->o.mode == MODE_RATE)
            l->idle[l->idle_n++] = i;
        else
            client_start(l, &l->clients[i], now_ns());
    }
}

/* What never ended is counted with the time it had taken so far: leaving it out would flatter. */
static void count_unfinished(struct load *l)
{
    int64_t now = now_ns();

    for (int i = 0; i < l->o.connections; i++) {
        struct client *c = &l->clients[i];
        if (!c->busy)
            continue;
        l->t.unfinished++;
        if (l->o.mode == MODE_RATE && c->due >= l->record_from)
            samples_add(&l->t.latency, (double)(now - c->due) / 1e3);
    }
    for (; l->o.mode == MODE_RATE && l->due_n < l->due_all; l->due_n++) {
        l->t.unfinished++;
        samples_add(&l->t.latency, (double)(now - due_time(l, l->due_n)) / 1e3);
    }
}

void load_run(struct load *l)
{
    enum { ERRORS_MAX = 100000 };
    struct sigaction end = {.sa_handler = on_signal};

    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    begin(l);
    for (;;) {
        int64_t now = now_ns();
        if (is_over(l, now) || l->t.errors > ERRORS_MAX)
            break;
        wait_until(l, next_wake(l, now));
        announce(l);
    }
    count_unfinished(l);
}
