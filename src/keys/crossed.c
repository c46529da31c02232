/*
 * Telling of budgets whose use crosses 50, 80 and 100 percent, once a window and step. The record
 * remembers the last step told, which costs one comparison a call. A record that was replaced
 * forgets it, and the one record for all end customers serves many counters: so whatever seems new
 * is looked up in a small table of the process as well.
 */
#include "keys/limits_int.h"

#include "base/macros.h"
#include "base/map.h"

#include <pthread.h>

#define TOLD 4096

static limits_crossed_fn *listener;

static const unsigned steps[] = {50, 80, 100};

/* By the hash of the counter's name: the last step told of it. Two counters in one place forget
 * each other, which costs an alert told twice. */
static struct told {
    uint64_t counter;
    int64_t step;
} told[TOLD];
static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER;

void limits_on_crossed(limits_crossed_fn *fn)
{
    listener = fn;
}

/* How many steps are crossed. */
static unsigned crossed(const struct budget *b, int64_t used)
{
    unsigned n = 0;

    while (n < ARRAY_LEN(steps) && (__int128)used * 100 >= (__int128)b->limit_nano * steps[n])
        n++;
    return n;
}

static bool is_new(const struct subject *s, const struct budget *b, const struct window *w,
    struct str scope, int64_t step)
{
    char room[COUNTER_NAME_BYTES];
    uint64_t h = map_hash(counter_name_of(s, 0, w, scope, room)) ^ (uint64_t)b->limit_nano * 31;

    pthread_mutex_lock(&told_lock);
    struct told *t = &told[h % TOLD];
    bool fresh = t->counter != h || t->step < step;
    if (fresh)
        *t = (struct told){.counter = h, .step = step};
    pthread_mutex_unlock(&told_lock);
    return fresh;
}

static void check_one(const struct subject *s, unsigned i, const struct window *w, int64_t used)
{
    const struct budget *b = &s->limits.budgets[i];
    struct budget_state *st = &s->state_->at[i];
    unsigned n = crossed(b, used);

    if (n == 0)
        return;
    int64_t from = w->from == INT64_MIN ? 0 : w->from / NS_PER_S, step = from * 4 + (int64_t)n;
    if (__atomic_load_n(&st->crossed_, __ATOMIC_RELAXED) >= step && s->kind != SUBJECT_CUSTOMER)
        return;
    __atomic_store_n(&st->crossed_, step, __ATOMIC_RELAXED);
    if (is_new(s, b, w, str_at(st->scope, st->scope_n), step))
        listener(s, b, used, steps[n - 1]);
}

void crossed_check(const struct subject *s, unsigned first, const struct window *w, int64_t used)
{
    const struct limits *l = &s->limits;

    if (!listener)
        return;
    for (unsigned i = first; i < l->budgets_n; i++)
        if (l->budgets[i].period == l->budgets[first].period &&
            str_eq(l->budgets[i].model, l->budgets[first].model) &&
            str_eq(l->budgets[i].tag, l->budgets[first].tag))
            check_one(s, i, w, used);
}
