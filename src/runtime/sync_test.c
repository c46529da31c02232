/*
 * Groups, channels, semaphores, events: each in the good case, with a deadline, and cancelled.
 */
#include "base/tap.h"
#include "runtime/sync.h"
#include "runtime/test_loop.h"
#include <errno.h>

static void run_others(void)
{
    for (int i = 0; i < 3; i++)
        co_yield ();
}

/* --- groups --- */

static int ended, cancelled_children;

static int child_ok(void *arg)
{
    co_yield ();
    ended++;
    return arg ? *(int *)arg : 0;
}

static int child_sleeps(void *arg)
{
    (void)arg;
    int r = co_sleep_until(far());
    cancelled_children += r == -ECANCELED;
    co_mask_cancel(); /* a clean-up that takes a while: the group waits for it */
    co_sleep_until(soon());
    co_unmask_cancel();
    ended++;
    return r;
}

static void group_ok(void)
{
    struct group g;
    group_init(&g, false);
    CHECK_EQ(group_wait(&g, far()), 0); /* an empty one */
    ended = 0;
    for (int i = 0; i < 10; i++)
        CHECK_EQ(group_spawn(&g, "child", child_ok, NULL), 0);
    CHECK_EQ(g.running, 10);
    CHECK_EQ(group_wait(&g, far()), 0);
    CHECK_EQ(ended, 10);
    CHECK_EQ(g.running, 0);
    CHECK(list_empty(&g.children));
}

static void test_group_ok(void)
{
    in_loop(group_ok);
}

static void group_error(void)
{
    struct group g;
    int first = -EIO, second = -EINVAL;
    group_init(&g, false);
    CHECK_EQ(group_spawn(&g, "child", child_ok, NULL), 0);
    CHECK_EQ(group_spawn(&g, "child", child_ok, &first), 0);
    CHECK_EQ(group_spawn(&g, "child", child_ok, &second), 0);
    run_others();
    CHECK_EQ(g.running, 0);
    CHECK_EQ(group_wait(&g, far()), -EIO);
}

static void test_group_error(void)
{
    in_loop(group_error);
}

static void group_cancel_on_error(void)
{
    struct group g;
    int error = -EIO;
    group_init(&g, true);
    ended = cancelled_children = 0;
    CHECK_EQ(group_spawn(&g, "sleeps", child_sleeps, NULL), 0);
    CHECK_EQ(group_spawn(&g, "fails", child_ok, &error), 0);
    CHECK_EQ(group_spawn(&g, "sleeps", child_sleeps, NULL), 0);
    CHECK_EQ(group_wait(&g, far()), -EIO);
    CHECK_EQ(ended, 3);
    CHECK_EQ(cancelled_children, 2);
}

static void test_group_cancel_on_error(void)
{
    in_loop(group_cancel_on_error);
}

static void group_timeout(void)
{
    struct group g;
    group_init(&g, false);
    ended = cancelled_children = 0;
    CHECK_EQ(group_spawn(&g, "sleeps", child_sleeps, NULL), 0);
    CHECK_EQ(group_spawn(&g, "sleeps", child_sleeps, NULL), 0);
    CHECK_EQ(group_wait(&g, soon()), -ETIMEDOUT);
    CHECK_EQ(ended, 2);
    CHECK_EQ(cancelled_children, 2);
    CHECK_EQ(co_deadline(), NEVER_NS);
}

static void test_group_timeout(void)
{
    in_loop(group_timeout);
}

static int group_result;
static bool parent_done;

static void parent(void *arg)
{
    (void)arg;
    struct group g;
    group_init(&g, false);
    must(group_spawn(&g, "sleeps", child_sleeps, NULL) == 0);
    group_result = group_wait(&g, far());
    must(g.running == 0 && co_sleep_until(far()) == -ECANCELED);
    parent_done = true;
}

static void group_cancelled(void)
{
    struct co *co;
    ended = cancelled_children = 0;
    parent_done = false;
    CHECK_EQ(co_spawn_now("parent", parent, NULL, &co), 0);
    run_others();
    co_cancel(co);
    while (!parent_done)
        co_sleep_until(soon());
    CHECK_EQ(group_result, -ECANCELED);
    CHECK_EQ(ended, 1);
    CHECK_EQ(cancelled_children, 1);
}

static void test_group_cancelled(void)
{
    in_loop(group_cancelled);
}

/* --- a coroutine that does one operation and notes the result --- */

struct op {
    struct chan *chan;
    struct sem *sem;
    struct event *event;
    void *item;
    int64_t deadline;
    struct co *co;
    int result, at;
    bool done;
};

static int op_order;

static void op_end(struct op *op, int r)
{
    op->result = r;
    op->at = ++op_order;
    op->done = true;
}

static void op_send(void *arg)
{
    struct op *op = arg;
    op_end(op, chan_send(op->chan, op->item, op->deadline));
}

static void op_recv(void *arg)
{
    struct op *op = arg;
    op_end(op, chan_recv(op->chan, &op->item, op->deadline));
}

static void op_take(void *arg)
{
    struct op *op = arg;
    op_end(op, sem_take(op->sem, op->deadline));
}

static void op_event(void *arg)
{
    struct op *op = arg;
    op_end(op, event_wait(op->event, op->deadline));
}

static void start(struct op *op, void (*fn)(void *))
{
    op->done = false;
    must(co_spawn_now("op", fn, op, &op->co) == 0);
}

static void finish(struct op *op)
{
    int64_t give_up = far();
    while (!op->done && loop_now() < give_up)
        co_sleep_until(soon());
}

/* --- channels --- */

static void produce(void *arg)
{
    for (uintptr_t i = 1; i <= 1000; i++)
        must(chan_send(arg, (void *)i, far()) == 0);
    chan_close(arg);
}

static void chan_ok(void)
{
    struct chan *c;
    void *item;
    CHECK_EQ(chan_new(3, &c), 0);
    CHECK_EQ(co_spawn("produce", produce, c, NULL), 0);
    for (uintptr_t i = 1; i <= 1000; i++) {
        CHECK_EQ(chan_recv(c, &item, far()), 0);
        CHECK_EQ((uintptr_t)item, i);
    }
    CHECK_EQ(chan_recv(c, &item, far()), -EPIPE);
    CHECK_EQ(chan_send(c, item, far()), -EPIPE);
    chan_free(c);
}

static void test_chan_ok(void)
{
    in_loop(chan_ok);
}

static void chan_timeout(void)
{
    struct chan *c;
    void *item;
    int x, y;
    CHECK_EQ(chan_new(1, &c), 0);
    CHECK_EQ(chan_recv(c, &item, soon()), -ETIMEDOUT);
    CHECK_EQ(chan_send(c, &x, far()), 0);
    CHECK_EQ(chan_send(c, &y, soon()), -ETIMEDOUT);
    CHECK_EQ(chan_recv(c, &item, far()), 0);
    CHECK(item == &x);
    CHECK_EQ(chan_recv(c, &item, soon()), -ETIMEDOUT); /* y was not left behind */
    chan_free(c);
}

static void test_chan_timeout(void)
{
    in_loop(chan_timeout);
}

static void chan_cancel(void)
{
    struct chan *c;
    void *item;
    int x, y;
    CHECK_EQ(chan_new(1, &c), 0);
    struct op a = {.chan = c, .deadline = far()}, b = a;
    start(&a, op_recv);
    start(&b, op_recv);
    co_cancel(a.co);
    CHECK_EQ(chan_send(c, &x, far()), 0); /* a is still queued, but has given up: b gets it */
    run_others();
    CHECK_EQ(a.result, -ECANCELED);
    CHECK_EQ(b.result, 0);
    CHECK(b.item == &x);
    CHECK_EQ(chan_send(c, &x, far()), 0);
    a.item = &y;
    start(&a, op_send);
    co_cancel(a.co);
    run_others();
    CHECK_EQ(a.result, -ECANCELED);
    CHECK_EQ(chan_recv(c, &item, far()), 0);
    CHECK_EQ(chan_recv(c, &item, soon()), -ETIMEDOUT);
    chan_free(c);
}

static void test_chan_cancel(void)
{
    in_loop(chan_cancel);
}

/* An item that was handed over is not lost to a cancellation in the same turn. */
static void chan_handed_over(void)
{
    struct chan *c;
    int x;
    CHECK_EQ(chan_new(1, &c), 0);
    struct op a = {.chan = c, .deadline = far()};
    start(&a, op_recv);
    CHECK_EQ(chan_send(c, &x, far()), 0);
    co_cancel(a.co);
    run_others();
    CHECK_EQ(a.result, 0);
    CHECK(a.item == &x);
    chan_free(c);
}

static void test_chan_handed_over(void)
{
    in_loop(chan_handed_over);
}

static void chan_close_wakes(void)
{
    struct chan *c;
    void *item;
    int x;
    CHECK_EQ(chan_new(1, &c), 0);
    struct op recv = {.chan = c, .deadline = far()};
    start(&recv, op_recv);
    chan_close(c);
    run_others();
    CHECK_EQ(recv.result, -EPIPE);
    chan_free(c);
    CHECK_EQ(chan_new(1, &c), 0);
    struct op send = {.chan = c, .deadline = far(), .item = &x};
    CHECK_EQ(chan_send(c, &x, far()), 0);
    start(&send, op_send);
    chan_close(c);
    run_others();
    CHECK_EQ(send.result, -EPIPE);
    CHECK_EQ(chan_recv(c, &item, far()), 0); /* what was sent before is still delivered */
    CHECK_EQ(chan_recv(c, &item, far()), -EPIPE);
    chan_free(c);
}

static void test_chan_close(void)
{
    in_loop(chan_close_wakes);
}

/* --- semaphores --- */

static void sem_ok(void)
{
    struct sem s;
    sem_init_n(&s, 2);
    CHECK_EQ(sem_take(&s, far()), 0);
    CHECK_EQ(sem_take(&s, far()), 0);
    CHECK_EQ(s.free, 0);
    struct op a = {.sem = &s, .deadline = far()}, b = a;
    start(&a, op_take);
    start(&b, op_take);
    op_order = 0;
    sem_give(&s);
    CHECK_EQ(s.free, 0); /* a has it: nobody can come in between */
    sem_give(&s);
    run_others();
    CHECK_EQ(a.at, 1);
    CHECK_EQ(b.at, 2);
    CHECK_EQ(a.result, 0);
    CHECK_EQ(b.result, 0);
    sem_give(&s);
    CHECK_EQ(s.free, 1);
}

static void test_sem_ok(void)
{
    in_loop(sem_ok);
}

static void sem_timeout(void)
{
    struct sem s;
    sem_init_n(&s, 0);
    CHECK_EQ(sem_take(&s, soon()), -ETIMEDOUT);
    CHECK(list_empty(&s.waiters));
    sem_give(&s);
    CHECK_EQ(s.free, 1);
}

static void test_sem_timeout(void)
{
    in_loop(sem_timeout);
}

static void sem_cancel(void)
{
    struct sem s;
    sem_init_n(&s, 0);
    struct op a = {.sem = &s, .deadline = far()}, b = a;
    start(&a, op_take);
    start(&b, op_take);
    co_cancel(a.co);
    sem_give(&s);
    run_others();
    CHECK_EQ(a.result, -ECANCELED);
    CHECK_EQ(b.result, 0);
    sem_give(&s);
    struct op c = {.sem = &s, .deadline = far()};
    CHECK_EQ(co_spawn("op", op_take, &c, &c.co), 0);
    co_cancel(c.co);
    run_others();
    CHECK_EQ(c.result, -ECANCELED); /* though one is free */
    CHECK_EQ(s.free, 1);
}

static void test_sem_cancel(void)
{
    in_loop(sem_cancel);
}

/* --- events --- */

static void event_ok(void)
{
    struct event e;
    event_init(&e);
    struct op a = {.event = &e, .deadline = far()}, b = a;
    start(&a, op_event);
    start(&b, op_event);
    run_others();
    CHECK(!a.done && !b.done);
    event_set(&e);
    run_others();
    CHECK(a.done && b.done);
    CHECK(a.result == 0 && b.result == 0);
    CHECK_EQ(event_wait(&e, far()), 0);
    event_reset(&e);
    CHECK_EQ(event_wait(&e, soon()), -ETIMEDOUT);
}

static void test_event_ok(void)
{
    in_loop(event_ok);
}

static void event_timeout(void)
{
    struct event e;
    event_init(&e);
    struct op a = {.event = &e, .deadline = soon()};
    start(&a, op_event);
    finish(&a);
    CHECK_EQ(a.result, -ETIMEDOUT);
    CHECK(list_empty(&e.waiters));
    event_set(&e);
}

static void test_event_timeout(void)
{
    in_loop(event_timeout);
}

static void event_cancel(void)
{
    struct event e;
    event_init(&e);
    struct op a = {.event = &e, .deadline = far()};
    start(&a, op_event);
    co_cancel(a.co);
    event_set(&e);
    run_others();
    CHECK_EQ(a.result, -ECANCELED);
    CHECK(list_empty(&e.waiters));
}

static void test_event_cancel(void)
{
    in_loop(event_cancel);
}

int main(void)
{
    TAP_RUN(test_group_ok);
    TAP_RUN(test_group_error);
    TAP_RUN(test_group_cancel_on_error);
    TAP_RUN(test_group_timeout);
    TAP_RUN(test_group_cancelled);
    TAP_RUN(test_chan_ok);
    TAP_RUN(test_chan_timeout);
    TAP_RUN(test_chan_cancel);
    TAP_RUN(test_chan_handed_over);
    TAP_RUN(test_chan_close);
    TAP_RUN(test_sem_ok);
    TAP_RUN(test_sem_timeout);
    TAP_RUN(test_sem_cancel);
    TAP_RUN(test_event_ok);
    TAP_RUN(test_event_timeout);
    TAP_RUN(test_event_cancel);
    return tap_done();
}
