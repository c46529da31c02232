/*
 * Messages: publishing hands a copy to each subscription of this node at once, whatever becomes of
 * Redis, and sends it to the other nodes through Redis. A subscription delivers its messages in
 * order, from a coroutine that lives on the owning loop as long as there are any; so one that takes
 * its time over a message does not hold up the others. Beyond SHARED_QUEUE_BYTES messages are lost.
 */
#include "store/redis_int.h"
#include "store/shared_int.h"
#include <errno.h>
#include <stdlib.h>

struct message {
    struct list at;
    size_t n;
    char bytes[];
};

int shared_subscribe(struct shared *s, const char *channel, shared_message_fn *fn, void *ctx)
{
    if (s->n_subs == SHARED_SUBS_MAX)
        return -ENOSPC;
    struct subscription *sub = &s->subs[s->n_subs];
    *sub = (struct subscription){.s = s, .channel = str_dup(str_of(channel)), .fn = fn, .ctx = ctx};
    if (!sub->channel)
        return -ENOMEM;
    list_init(&sub->queue);
    s->n_subs++;
    return 0;
}

static struct message *take(struct subscription *sub)
{
    shared_lock(&sub->s->bus_lock);
    struct list *it = sub->s->owner ? list_pop_front(&sub->queue) : NULL;
    struct message *m = it ? list_entry(it, struct message, at) : NULL;
    if (m)
        sub->bytes -= m->n;
    else
        sub->running = false;
    shared_unlock(&sub->s->bus_lock);
    return m;
}

static void deliver(void *arg)
{
    struct subscription *sub = arg;
    for (struct message *m; (m = take(sub));) {
        sub->fn(sub->ctx, str_at(m->bytes, m->n));
        free(m);
    }
}

static void begin(void *arg)
{
    struct subscription *sub = arg;
    if (co_spawn("shared message", deliver, sub, NULL) == 0)
        return;
    shared_lock(&sub->s->bus_lock);
    sub->running = false; /* the next message tries again */
    shared_unlock(&sub->s->bus_lock);
}

/* Takes m over, or returns it. */
static struct message *enqueue(struct subscription *sub, struct message *m)
{
    struct shared *s = sub->s;
    shared_lock(&s->bus_lock);
    bool fits = s->owner && sub->bytes + m->n <= SHARED_QUEUE_BYTES;
    if (fits) {
        list_push_back(&sub->queue, &m->at);
        sub->bytes += m->n;
        if (!sub->running)
            sub->running = loop_post(s->owner, begin, sub) == 0;
    }
    shared_unlock(&s->bus_lock);
    return fits ? NULL : m;
}

void bus_deliver(struct shared *s, struct str channel, struct str message)
{
    for (unsigned i = 0; i < s->n_subs; i++) {
        if (!str_eq(str_of(s->subs[i].channel), channel))
            continue;
        struct message *m = malloc(sizeof *m + message.n);
        if (!m)
            return;
        list_init(&m->at);
        m->n = message.n;
        if (message.n)
            memcpy(m->bytes, message.p, message.n);
        free(enqueue(&s->subs[i], m));
    }
}

void shared_publish(struct shared *s, const char *channel, struct str message)
{
    bus_deliver(s, str_of(channel), message);
    if (s->redis)
        redis_publish(s, str_of(channel), message);
}

void bus_free(struct shared *s)
{
    for (unsigned i = 0; i < s->n_subs; i++) {
        for (struct list *it; (it = list_pop_front(&s->subs[i].queue));)
            free(list_entry(it, struct message, at));
        free(s->subs[i].channel);
    }
}
