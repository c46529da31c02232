/* From all threads to one coroutine. See telemetry/lanes.h. */
#include "telemetry/lanes.h"

#include <errno.h>
#include <stdlib.h>

#define KEPT_BYTES ((size_t)512 << 10)

struct lane {
    pthread_mutex_t lock;
    struct buf bytes, spare; /* spare: empty, the taker's while it copies */
    unsigned n;
    struct lane *next;
};

static _Thread_local struct lane *mine[LANES_MAX];

static struct lane *lane_of_thread(struct lanes *l)
{
    struct lane *own = mine[l->index];

    if (likely(own != NULL))
        return own;
    if (!(own = calloc(1, sizeof *own)))
        return NULL;
    pthread_mutex_init(&own->lock, NULL);
    buf_init(&own->bytes, l->max);
    buf_init(&own->spare, l->max);
    pthread_mutex_lock(&l->lock);
    own->next = l->first;
    l->first = own;
    pthread_mutex_unlock(&l->lock);
    return mine[l->index] = own;
}

void lanes_count_dropped(struct lanes *l, unsigned n)
{
    struct str label = str_of(l->what);

    metric_add(metric_get(l->dropped, &label, l->what ? 1 : 0), n);
}

/* With the lane's lock held. */
static int append(struct lane *own, const struct str *parts, unsigned n)
{
    size_t before = own->bytes.n;
    int r = 0;

    for (unsigned i = 0; i < n && r == 0; i++)
        r = buf_addstr(&own->bytes, parts[i]);
    if (r < 0) {
        own->bytes.n = before;
        own->bytes.err = 0;
    } else {
        own->n++;
    }
    return r;
}

void lanes_add(struct lanes *l, const struct str *parts, unsigned n)
{
    struct lane *own = lane_of_thread(l);
    int r = -ENOMEM;

    if (own) {
        pthread_mutex_lock(&own->lock);
        r = append(own, parts, n);
        pthread_mutex_unlock(&own->lock);
    }
    if (r < 0)
        lanes_count_dropped(l, 1);
}

/* A lane's two buffers take turns; one that grew for a burst is not kept. */
static void empty(struct lanes *l, struct buf *b)
{
    if (b->cap > KEPT_BYTES) {
        buf_free(b);
        buf_init(b, l->max);
    }
    buf_clear(b);
}

/* Swaps the buffers, so that the lane's thread never waits for the copying. */
static unsigned take_one(struct lanes *l, struct lane *from, struct buf *out)
{
    struct buf taken;
    unsigned n;

    pthread_mutex_lock(&from->lock);
    n = from->n;
    taken = from->bytes;
    from->bytes = from->spare;
    from->n = 0;
    pthread_mutex_unlock(&from->lock);
    if (n && buf_reserve(out, taken.n) < 0) {
        lanes_count_dropped(l, n);
        n = 0;
    } else {
        buf_add(out, taken.p, taken.n);
    }
    empty(l, &taken);
    from->spare = taken;
    return n;
}

unsigned lanes_take(struct lanes *l, struct buf *out)
{
    unsigned n = 0;

    pthread_mutex_lock(&l->lock);
    for (struct lane *i = l->first; i; i = i->next)
        n += take_one(l, i, out);
    pthread_mutex_unlock(&l->lock);
    return n;
}

void lanes_thread_end(struct lanes *l)
{
    struct lane *own = mine[l->index];

    if (!own)
        return;
    pthread_mutex_lock(&l->lock);
    for (struct lane **at = &l->first; *at; at = &(*at)->next) {
        if (*at != own)
            continue;
        *at = own->next;
        break;
    }
    pthread_mutex_unlock(&l->lock);
    mine[l->index] = NULL;
    pthread_mutex_destroy(&own->lock);
    buf_free(&own->bytes);
    buf_free(&own->spare);
    free(own);
}
