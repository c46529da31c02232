/*
 * Coroutines. The loop runs them one after the other from its own context; only co_spawn_now()
 * starts one from inside another, and that one hands the thread back to its spawner (co->back) at
 * its first wait. So every switch is either "run it" (into a coroutine) or "leave" (back to who ran
 * it), both through jump().
 *
 * A coroutine cannot free the stack it stands on: it leaves itself in loop->dead, and whoever runs
 * next puts it away.
 *
 * Sweeping: coroutines that stayed parked for a second give back the pages below their stack
 * pointer and move to the list `resting`, which nobody walks; running again brings them back. So a
 * thousand idle streams cost no sweep at all, and none is swept twice in one wait.
 */
#include "runtime/runtime_int.h"
#include <errno.h>
#include <string.h>

#ifdef SF_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef SF_TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_set_fiber_name(void *fiber, const char *name);
#endif

/* --- switching --- */

static void put_dead_away(struct loop *l)
{
    struct co *co = l->dead;
    l->dead = NULL;
#ifdef SF_TSAN
    __tsan_destroy_fiber(co->fiber);
#endif
    stack_put(l, co);
}

/* What the sanitizers must hear before and after a switch. to = NULL is the loop's own context. */
static inline void before_switch(struct loop *l, struct co *from, struct co *to, void **fake)
{
#ifdef SF_ASAN
    char *low = to ? to->stack : l->main_stack;
    size_t n = to ? (size_t)(to->stack_top - to->stack) : l->main_stack_bytes;
    __sanitizer_start_switch_fiber(from && from->state == CO_DEAD ? NULL : fake, low, n);
#endif
#ifdef SF_TSAN
    __tsan_switch_to_fiber(to ? to->fiber : l->main_fiber, 0);
#endif
    (void)l, (void)from, (void)to, (void)fake;
}

static inline void after_switch(struct loop *l, void *fake)
{
#ifdef SF_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
    (void)fake;
    if (l->dead)
        put_dead_away(l);
}

static void jump(struct loop *l, struct co *from, struct co *to)
{
    void *fake = NULL;
    l->current = to;
    before_switch(l, from, to, &fake);
    ctx_switch(from ? &from->ctx : &l->ctx, to ? to->ctx : l->ctx);
    after_switch(l, fake);
}

/* Gives the thread back to who resumed co. Returns when co runs again. */
static void leave(struct loop *l, struct co *co)
{
    struct co *to = co->back;
    co->back = NULL;
    jump(l, co, to);
}

/* Runs co until its next wait. */
static void run(struct loop *l, struct co *co)
{
    co->state = CO_RUNNING;
    if (unlikely(co->resting)) {
        co->resting = false;
        list_remove(&co->all);
        list_push_back(&l->active, &co->all);
    }
    co->back = l->current;
    jump(l, l->current, co);
}

static void enter(void *arg)
{
    struct co *co = arg;
    struct loop *l = co->loop;
    after_switch(l, NULL);
    co->fn(co->arg);
    timer_clear(&co->timer);
    list_remove(&co->all);
    l->n_cos--;
    co->state = CO_DEAD;
    l->dead = co;
    leave(l, co);
    panic("coroutine %s ran after its end", co->name);
}

void co_run_ready(struct loop *l)
{
    for (unsigned n = l->n_yielded; n > 0; n--) {
        list_push_back(&l->ready, list_pop_front(&l->yielded));
        l->n_ready++;
    }
    l->n_yielded = 0;
    for (int round = 0; round < ROUNDS_PER_TURN && l->n_ready > 0; round++)
        for (unsigned n = l->n_ready; n > 0; n--) {
            l->n_ready--;
            run(l, list_entry(list_pop_front(&l->ready), struct co, run));
        }
}

/* --- starting --- */

static void deadline_passed(struct timer *t)
{
    co_wake(container_of(t, struct co, timer), -ETIMEDOUT);
}

static void co_init(struct loop *l, struct co *co, const char *name, void (*fn)(void *))
{
    char *low = co->stack, *top = co->stack_top;
    *co = (struct co){
        .loop = l,
        .state = CO_READY,
        .name = name,
        .why = "start",
        .fn = fn,
        .stack = low,
        .stack_top = top,
        .deadline = NEVER_NS,
        .born_at = l->now,
        .parked_at = l->now,
    };
    timer_init(&co->timer, deadline_passed);
#ifdef SF_TSAN
    co->fiber = __tsan_create_fiber(0);
    __tsan_set_fiber_name(co->fiber, name);
#endif
}

/* With n > 0 the bytes at arg are copied to the new stack, and fn gets the copy. */
static int co_new(const char *name, void (*fn)(void *), void *arg, size_t n, struct co **ret)
{
    struct loop *l = loop_current;
    must(l && n < PAGE_BYTES / 4);
    if (l->n_cos >= COROUTINES_MAX)
        return -EAGAIN;
    struct co *co = stack_get(l);
    if (!co)
        return -ENOMEM;
    co_init(l, co, name, fn);
    char *top = co->stack_top - ((n + 15) & ~(size_t)15);
    co->arg = n > 0 ? memcpy(top, arg, n) : arg;
    co->ctx = ctx_make(co->stack + PAGE_BYTES, top, enter, co);
    list_push_back(&l->active, &co->all);
    l->n_cos++;
    *ret = co;
    return 0;
}

static void make_ready(struct loop *l, struct co *co)
{
    co->state = CO_READY;
    list_push_back(&l->ready, &co->run);
    l->n_ready++;
}

int co_spawn_copy(const char *name, void (*fn)(void *), const void *arg, size_t n, struct co **ret)
{
    struct co *co;
    int r = co_new(name, fn, (void *)(uintptr_t)arg, n, &co);
    if (r < 0)
        return r;
    make_ready(co->loop, co);
    if (ret)
        *ret = co;
    return 0;
}

int co_spawn(const char *name, void (*fn)(void *), void *arg, struct co **ret)
{
    return co_spawn_copy(name, fn, arg, 0, ret);
}

int co_spawn_now(const char *name, void (*fn)(void *), void *arg, struct co **ret)
{
    struct co *co;
    int r = co_new(name, fn, arg, 0, &co);
    if (r < 0)
        return r;
    if (ret) /* before it runs: it may be over when run() returns, or cancel itself through *ret */
        *ret = co;
    run(co->loop, co);
    return 0;
}

struct co *co_self(void)
{
    return loop_current ? loop_current->current : NULL;
}

/* --- waiting --- */

static struct co *self(void)
{
    must(loop_current && loop_current->current);
    return loop_current->current;
}

int co_park(const char *why, int64_t deadline)
{
    struct co *co = self();
    struct loop *l = co->loop;
    if (unlikely(co->cancelled && !co->masked))
        return -ECANCELED;
    deadline = MIN(deadline, co->deadline);
    if (unlikely(deadline <= l->now))
        return -ETIMEDOUT;
    if (deadline < co->timer.armed)
        timer_set(&co->timer, deadline);
    else
        co->timer.due = deadline;
    co->why = why;
    co->parked_at = l->now;
    co->state = CO_PARKED;
    leave(l, co);
    return co->result;
}

bool co_wake(struct co *co, int result)
{
    if (co->state != CO_PARKED)
        return false;
    must(co->loop == loop_current);
    co->result = result;
    make_ready(co->loop, co);
    return true;
}

void co_cancel(struct co *co)
{
    co->cancelled = true;
    if (!co->masked)
        co_wake(co, -ECANCELED);
}

bool co_cancelled(void)
{
    return self()->cancelled;
}

void co_mask_cancel(void)
{
    struct co *co = self();
    must(co->masked < UINT16_MAX);
    co->masked++;
}

void co_unmask_cancel(void)
{
    struct co *co = self();
    must(co->masked > 0);
    co->masked--;
}

int64_t co_set_deadline(int64_t deadline)
{
    struct co *co = self();
    int64_t old = co->deadline;
    co->deadline = deadline;
    return old;
}

int64_t co_deadline(void)
{
    return self()->deadline;
}

int co_sleep_until(int64_t deadline)
{
    return co_park("sleep", deadline) == -ECANCELED ? -ECANCELED : 0;
}

void co_yield (void)
{
    struct co *co = self();
    struct loop *l = co->loop;
    co->why = "yield";
    co->state = CO_READY;
    list_push_back(&l->yielded, &co->run);
    l->n_yielded++;
    leave(l, co);
}

/* --- keeping house --- */

static void sweep_one(struct loop *l, struct co *co)
{
    list_remove(&co->all);
    if (co->state != CO_PARKED || l->now - co->parked_at < SWEEP_EVERY_NS) {
        list_push_back(&l->active, &co->all);
        return;
    }
    stack_give_back(co, ctx_stack_pointer(co->ctx));
    co->resting = true;
    list_push_back(&l->resting, &co->all);
}

/* Looks at a few of the coroutines that run now and then; each once per SWEEP_EVERY_NS. */
void co_sweep(struct loop *l)
{
    for (int n = 0; n < SWEEP_PER_TURN && l->sweep_left > 0; n++) {
        l->sweep_left--;
        if (list_empty(&l->active)) {
            l->sweep_left = 0;
            return;
        }
        sweep_one(l, list_entry(l->active.next, struct co, all));
    }
}

void co_cancel_all(struct loop *l)
{
    list_each(&l->active, it) co_cancel(list_entry(it, struct co, all));
    list_each(&l->resting, it) co_cancel(list_entry(it, struct co, all));
}

/* Gives the stacks of coroutines that would not end to the pool, to be freed with it. */
void co_drop_all(struct loop *l)
{
    struct list *n;
    while ((n = list_pop_front(&l->active)) || (n = list_pop_front(&l->resting))) {
        struct co *co = list_entry(n, struct co, all);
        timer_clear(&co->timer);
#ifdef SF_TSAN
        __tsan_destroy_fiber(co->fiber);
#endif
        stack_put(l, co);
    }
    l->n_cos = 0;
}

static void describe(const struct co *co, void (*f)(const struct co_info *, void *), void *ctx)
{
    static const char *const states[] = {"ready", "running", "parked", "dead"};
    const struct loop *l = co->loop;
    char *sp = co == l->current ? __builtin_frame_address(0) : ctx_stack_pointer(co->ctx);
    struct co_info info = {
        .name = co->name,
        .state = states[co->state],
        .why = co->state == CO_PARKED ? co->why : "",
        .age_ns = l->now - co->born_at,
        .parked_ns = co->state == CO_PARKED ? l->now - co->parked_at : 0,
        .deadline = co->state == CO_PARKED ? co->timer.due : co->deadline,
        .stack_used = (size_t)(co->stack_top - sp),
        .cancelled = co->cancelled,
    };
    f(&info, ctx);
}

void co_each(void (*f)(const struct co_info *, void *ctx), void *ctx)
{
    struct loop *l = loop_current;
    must(l);
    list_each(&l->active, it) describe(list_entry(it, struct co, all), f, ctx);
    list_each(&l->resting, it) describe(list_entry(it, struct co, all), f, ctx);
}
