/*
 * Channels: a ring of pointers with a queue of senders and a queue of receivers.
 *
 * Invariant: receivers wait only while the ring is empty, senders only while it is full. An item
 * goes straight from the sender to the first waiting receiver; a receiver that makes room moves the
 * first waiting sender's item in. So the order of items is the order of chan_send() calls, and
 * nobody is overtaken.
 */
#include "runtime/sync_int.h"
#include <errno.h>
#include <stdlib.h>

struct chan {
    size_t capacity, n, first;
    bool closed;
    struct list senders, receivers;
    void *items[];
};

int chan_new(size_t capacity, struct chan **ret)
{
    must(capacity >= 1);
    if (capacity > (SIZE_MAX - sizeof(struct chan)) / sizeof(void *))
        return -ENOMEM;
    struct chan *c = calloc(1, sizeof *c + capacity * sizeof(void *));
    if (!c)
        return -ENOMEM;
    c->capacity = capacity;
    list_init(&c->senders);
    list_init(&c->receivers);
    *ret = c;
    return 0;
}

void chan_free(struct chan *c)
{
    if (!c)
        return;
    must(list_empty(&c->senders) && list_empty(&c->receivers));
    free(c);
}

static void put(struct chan *c, void *item)
{
    c->items[(c->first + c->n++) % c->capacity] = item;
}

static void *take(struct chan *c)
{
    void *item = c->items[c->first];
    c->first = (c->first + 1) % c->capacity;
    c->n--;
    return item;
}

int chan_send(struct chan *c, void *item, int64_t deadline)
{
    int r = wait_allowed();
    if (r < 0)
        return r;
    if (c->closed)
        return -EPIPE;
    struct waiter *receiver = wake_first(&c->receivers);
    if (receiver) {
        receiver->item = item;
        return 0;
    }
    if (c->n < c->capacity) {
        put(c, item);
        return 0;
    }
    struct waiter w = {.item = item};
    r = wait_in(&c->senders, &w, "channel send", deadline);
    return r < 0 ? r : w.result;
}

int chan_recv(struct chan *c, void **ret_item, int64_t deadline)
{
    int r = wait_allowed();
    if (r < 0)
        return r;
    if (c->n > 0) {
        *ret_item = take(c);
        struct waiter *sender = wake_first(&c->senders);
        if (sender)
            put(c, sender->item);
        return 0;
    }
    if (c->closed)
        return -EPIPE;
    struct waiter w = {0};
    r = wait_in(&c->receivers, &w, "channel receive", deadline);
    if (r < 0 || w.result < 0)
        return r < 0 ? r : w.result;
    *ret_item = w.item;
    return 0;
}

static void refuse_all(struct list *waiters)
{
    for (struct waiter *w; (w = wake_first(waiters)) != NULL;)
        w->result = -EPIPE;
}

void chan_close(struct chan *c)
{
    c->closed = true;
    refuse_all(&c->senders);
    refuse_all(&c->receivers);
}
