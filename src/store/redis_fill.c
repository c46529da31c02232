/*
 * Filling: a counter whose hash in Redis is new, because it is its first use or because Redis lost
 * its memory, lacks the parts of nodes that do not run. The script says so, the owner's function
 * is asked, and what it answers is written where no part stands. Meanwhile calls that name the
 * counter are held. A few coroutines at most do this at a time, so that a fresh Redis does not
 * become a flood of questions to the database.
 */
#include "store/redis_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void fill_ask(struct redis *r, struct counter *c)
{
    if (c->filling)
        return;
    c->filling = true;
    c->pins++;
    list_push_back(&r->fill, &c->fill);
}

static void put_parts(
    struct redis *r, struct counter *c, const struct shared_part_of *parts, unsigned n)
{
    char number[24];
    struct command *cmd = command_own(r, COMMAND_IGNORE);
    unsigned others = 0;
    if (!cmd)
        return;
    for (unsigned i = 0; i < n; i++)
        others += !str_eq(parts[i].node, str_of(r->node));
    resp_begin(&r->out, 5 + 2 * others);
    resp_arg(&r->out, STR("EVAL"));
    resp_arg(&r->out, str_of(redis_fill_text));
    resp_int(&r->out, 1);
    snprintf(number, sizeof number, "%.16s:c:", r->prefix);
    resp_arg2(&r->out, str_of(number), counter_name(c));
    resp_int(&r->out, ms_to_live(c));
    for (unsigned i = 0; i < n; i++) {
        if (str_eq(parts[i].node, str_of(r->node)))
            continue;
        resp_arg2(&r->out, STR("n:"), parts[i].node);
        resp_int(&r->out, sum_within(parts[i].used, 0));
    }
    command_sent(r, cmd);
}

/* With the lock taken by itself; n < 0: nothing is known. Of a counter that nobody used, and that
 * is only looked at, nothing comes to be in Redis: it is not asked about again at once. */
static void fill_end(struct redis *r, struct counter *c, const struct shared_part_of *parts, int n)
{
    shared_lock(&r->s->lock);
    c->filling = false;
    c->pins--;
    if (n <= 0)
        c->fill_after = clock_now() + NS_PER_S;
    if (n >= 0 && atomic_load(&r->up))
        put_parts(r, c, parts, (unsigned)MIN(n, REDIS_FILL_PARTS));
    if (c->remote)
        counter_queue(r, c);
    held_retry(r);
    shared_unlock(&r->s->lock);
    redis_kick(r->s);
}

static struct counter *next_to_fill(struct redis *r)
{
    shared_lock(&r->s->lock);
    struct list *it = list_pop_front(&r->fill);
    shared_unlock(&r->s->lock);
    return it ? list_entry(it, struct counter, fill) : NULL;
}

static void fill_run(void *arg)
{
    struct redis *r = arg;
    struct shared_part_of *parts = calloc(REDIS_FILL_PARTS, sizeof *parts);
    for (struct counter *c; (c = next_to_fill(r));) {
        int n =
            parts ? r->s->fill(r->s->fill_ctx, counter_name(c), parts, REDIS_FILL_PARTS) : -ENOMEM;
        fill_end(r, c, parts, n);
    }
    free(parts);
    r->fillers--;
}

void fill_begin(struct redis *r)
{
    /* Only this loop puts anything on the list. */
    unsigned wanted = 0;
    shared_lock(&r->s->lock);
    list_each(&r->fill, it) if (++wanted == REDIS_FILLS) break;
    shared_unlock(&r->s->lock);
    for (; r->fillers < MIN(wanted, REDIS_FILLS); r->fillers++)
        if (co_spawn("shared fill", fill_run, r, NULL) < 0)
            return; /* the next answer tries again; held calls do not wait for ever */
}
