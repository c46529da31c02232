/*
 * Task groups. A child's node lies on the child's own stack and leaves the group as the child's
 * last act, so a group owns no memory; it must outlive its children, which group_wait() sees to.
 */
#include "runtime/runtime_int.h"
#include "runtime/sync.h"
#include <errno.h>

struct child {
    struct list node;
    struct group *group;
    int (*fn)(void *);
    void *arg;
    struct co *co;
};

void group_init(struct group *g, bool cancel_on_error)
{
    *g = (struct group){.cancel_on_error = cancel_on_error};
    list_init(&g->children);
}

static void child_main(void *arg)
{
    struct child *c = arg;
    struct group *g = c->group;
    int r = c->fn(c->arg);
    list_remove(&c->node);
    if (r < 0 && g->first_error == 0) {
        g->first_error = r;
        if (g->cancel_on_error)
            group_cancel(g);
    }
    if (--g->running == 0 && g->waiter)
        co_wake(g->waiter, 0);
}

int group_spawn(struct group *g, const char *name, int (*fn)(void *), void *arg)
{
    struct child template = {.group = g, .fn = fn, .arg = arg};
    struct co *co;
    int r = co_spawn_copy(name, child_main, &template, sizeof template, &co);
    if (r < 0)
        return r;
    struct child *c = co->arg;
    c->co = co;
    list_push_back(&g->children, &c->node);
    g->running++;
    return 0;
}

void group_cancel(struct group *g)
{
    list_each(&g->children, it) co_cancel(list_entry(it, struct child, node)->co);
}

/* No deadline and no cancellation here: children that were cancelled end soon, and their memory is
 * their parent's. */
static void wait_for_the_end(struct group *g)
{
    int64_t own = co_set_deadline(NEVER_NS);
    co_mask_cancel();
    while (g->running > 0)
        co_park("group end", NEVER_NS);
    co_unmask_cancel();
    co_set_deadline(own);
}

int group_wait(struct group *g, int64_t deadline)
{
    int r = 0;
    must(!g->waiter);
    g->waiter = co_self();
    must(g->waiter);
    while (g->running > 0 && r >= 0)
        r = co_park("group", deadline);
    if (g->running > 0) {
        group_cancel(g);
        wait_for_the_end(g);
    }
    g->waiter = NULL;
    return r < 0 ? r : g->first_error;
}
