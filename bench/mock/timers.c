/* A binary heap of the connections that wait for a moment; each knows its place in it. */
#include "mock.h"

static void place(struct timers *t, int i, struct connection *c)
{
    t->heap[i] = c;
    c->timer = i;
}

static void sift_up(struct timers *t, int i)
{
    struct connection *c = t->heap[i];

    while (i > 0 && t->heap[(i - 1) / 2]->due > c->due) {
        place(t, i, t->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(t, i, c);
}

static void sift_down(struct timers *t, int i)
{
    struct connection *c = t->heap[i];

    for (;;) {
        int child = 2 * i + 1;
        if (child >= t->n)
            break;
        if (child + 1 < t->n && t->heap[child + 1]->due < t->heap[child]->due)
            child++;
        if (t->heap[child]->due >= c->due)
            break;
        place(t, i, t->heap[child]);
        i = child;
    }
    place(t, i, c);
}

void timers_add(struct timers *t, struct connection *c)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 256;
        t->heap = grow(t->heap, sizeof *t->heap * (size_t)t->cap);
    }
    place(t, t->n++, c);
    sift_up(t, t->n - 1);
}

void timers_remove(struct timers *t, struct connection *c)
{
    int i = c->timer;

    if (i < 0)
        return;
    c->timer = -1;
    struct connection *last = t->heap[--t->n];
    if (i == t->n)
        return;
    place(t, i, last);
    sift_up(t, i);
    sift_down(t, last->timer);
}
