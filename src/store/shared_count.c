/*
 * Reserving and settling: the part of it that happens in this process, which is all there is
 * without Redis.
 *
 * A reserve takes the rows one after the other and puts back what it took when one refuses. Once
 * the counters exist nothing is allocated. Names are hashed before the lock is taken.
 */
#include "store/redis_int.h"
#include "store/shared_int.h"
#include <errno.h>

/* --- one counter ------------------------------------------------------------------------------ */

void part_add(struct shared *s, struct counter *c, int64_t used, int64_t held)
{
    if (s->redis)
        redis_before_change(s, c);
    int64_t old_used = c->used, old_held = c->held;
    c->used = sum_within(c->used, used);
    c->held = MAX(sum_within(c->held, held), 0); /* what was forgotten cannot be released */
    if (s->redis)
        redis_after_change(s, c, c->used - old_used, c->held - old_held);
}

static bool is_over(int64_t expires_at, int64_t wall)
{
    return expires_at != 0 && expires_at <= wall;
}

/* A call that ends after its window did, changes what is over already and begins nothing anew: if
 * the clock had jumped, it may jump back. */
void counter_touch(struct shared *s, struct counter *c, int64_t expires_at, int64_t wall)
{
    /* forgotten, though not swept yet */
    if (unlikely(is_over(c->expires, wall)) && !is_over(expires_at, wall)) {
        part_add(s, c, -c->used, -c->held);
        c->others_used = c->others_held = 0;
        c->there = false;
        c->expires = expires_at;
    } else if (c->touched == 0) {
        c->expires = expires_at;
    } else if (c->expires != 0) {
        c->expires = expires_at == 0 ? 0 : MAX(c->expires, expires_at);
    }
    c->touched = wall;
}

bool counter_fits(struct shared *s, struct counter *c, int64_t amount, int64_t limit)
{
    if (limit == SHARED_NO_LIMIT)
        return true;
    if (amount > SHARED_NUMBER_MAX)
        return false;
    limit = MIN(limit, SHARED_NUMBER_MAX);
    if (c->used + c->held + c->others_used + c->others_held + amount > limit)
        return false;
    return !s->redis || redis_share_fits(s, c, amount, limit);
}

void row_sums(const struct counter *c, struct shared_row *row)
{
    row->used = sum_within(c->used, c->others_used);
    row->held = sum_within(c->held, c->others_held);
}

/* --- rows ------------------------------------------------------------------------------------- */

static struct counter *find_or_make(struct shared *s, struct str name, uint64_t hash)
{
    struct counter *c = counter_find(&s->table, name, hash);
    return likely(c != NULL) ? c : counter_make(&s->table, name, hash);
}

int rows_find(struct shared *s, const struct shared_row *rows, const uint64_t *hash, unsigned n,
    struct counter **at)
{
    int64_t wall = clock_wall();
    uint32_t mark = ++s->marks;
    for (unsigned i = 0; i < n; i++) {
        must(rows[i].amount >= 0);
        if (rows[i].name.n == 0 || rows[i].name.n > SHARED_KEY_BYTES)
            return -EINVAL;
        at[i] = find_or_make(s, rows[i].name, hash[i]);
        if (!at[i])
            return -ENOMEM;
        if (at[i]->mark == mark)
            return -EINVAL;
        at[i]->mark = mark;
        at[i]->kind = (uint8_t)rows[i].kind;
        counter_touch(s, at[i], rows[i].expires_at, wall);
    }
    return 0;
}

static void put_back(struct shared *s, const struct row_at *was, unsigned n)
{
    while (n-- > 0)
        part_add(s, was[n].c, was[n].used - was[n].c->used, was[n].held - was[n].c->held);
}

static bool closed(const struct shared *s, const struct shared_row *rows, unsigned n)
{
    if (!s->redis || s->down != SHARED_DOWN_CLOSED)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (rows[i].limit != SHARED_NO_LIMIT)
            return true;
    return false;
}

int rows_judge(
    struct shared *s, struct shared_row *rows, unsigned n, struct counter **at, unsigned *ret_row)
{
    struct row_at was[SHARED_ROWS_MAX];
    if (closed(s, rows, n))
        return -EHOSTDOWN;
    for (unsigned i = 0; i < n; i++) {
        struct counter *c = at[i];
        was[i] = (struct row_at){c, c->used, c->held};
        c->remote |= s->redis && rows[i].limit != SHARED_NO_LIMIT;
        if (!counter_fits(s, c, rows[i].amount, rows[i].limit)) {
            row_sums(c, &rows[i]);
            put_back(s, was, i);
            *ret_row = i;
            return -EDQUOT;
        }
        part_add(s, c, 0, rows[i].amount);
        if (rows[i].limit != SHARED_NO_LIMIT)
            row_sums(c, &rows[i]);
    }
    return 0;
}

static int reserve_here(
    struct shared *s, struct shared_row *rows, const uint64_t *hash, unsigned n, unsigned *ret_row)
{
    struct counter *at[SHARED_ROWS_MAX];
    uint32_t settles = 0;
    shared_lock(&s->lock);
    int r = rows_find(s, rows, hash, n, at);
    if (r == 0)
        r = rows_judge(s, rows, n, at, ret_row);
    if (r == -EDQUOT)
        settles = at[*ret_row]->settles;
    shared_unlock(&s->lock);
    if (r == -EDQUOT)
        refusal_note(s, &rows[*ret_row], hash[*ret_row], settles);
    if (s->redis)
        redis_kick(s);
    return r;
}

int shared_reserve(struct shared *s, struct shared_row *rows, unsigned n, unsigned *ret_row)
{
    uint64_t hash[SHARED_ROWS_MAX];
    bool limited = false;
    must(n <= SHARED_ROWS_MAX);
    for (unsigned i = 0; i < n; i++) {
        hash[i] = map_hash(rows[i].name);
        limited |= rows[i].limit != SHARED_NO_LIMIT;
    }
    if (limited && s->redis) {
        int r = redis_reserve(s, rows, hash, n, ret_row);
        if (r != -ENOTCONN)
            return r;
    }
    return reserve_here(s, rows, hash, n, ret_row);
}

/* --- settling --------------------------------------------------------------------------------- */

static void settle_one(struct shared *s, const struct shared_change *ch, uint64_t hash,
    int64_t wall, struct list *woken)
{
    must(ch->release >= 0);
    struct counter *c = counter_find(&s->table, ch->name, hash);
    if (!c) {
        if (is_over(ch->expires_at, wall))
            return; /* forgotten, and rightly so */
        c = counter_make(&s->table, ch->name, hash);
        if (!c)
            return; /* no memory for a counter: its window is lost */
    }
    c->kind = (uint8_t)ch->kind;
    counter_touch(s, c, ch->expires_at, wall);
    part_add(s, c, ch->use, -MIN(ch->release, SHARED_NUMBER_MAX));
    c->settles++;
    if (unlikely(!list_empty(&c->waiters)))
        waiters_choose(s, c, woken);
}

void shared_settle(struct shared *s, const struct shared_change *changes, unsigned n)
{
    uint64_t hash[SHARED_ROWS_MAX];
    struct list woken;
    list_init(&woken);
    must(n <= SHARED_ROWS_MAX);
    for (unsigned i = 0; i < n; i++)
        hash[i] = map_hash(changes[i].name);
    shared_lock(&s->lock);
    int64_t wall = clock_wall();
    for (unsigned i = 0; i < n; i++)
        settle_one(s, &changes[i], hash[i], wall, &woken);
    shared_unlock(&s->lock);
    waiters_wake(&woken);
    if (s->redis)
        redis_kick(s);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* NULL also when it has expired. */
static struct counter *find_alive(struct shared *s, struct str name)
{
    struct counter *c = counter_find(&s->table, name, map_hash(name));
    return c && is_over(c->expires, clock_wall()) ? NULL : c;
}

void shared_part(struct shared *s, struct str name, int64_t *ret_used, int64_t *ret_held)
{
    shared_lock(&s->lock);
    struct counter *c = find_alive(s, name);
    *ret_used = c ? c->used : 0;
    *ret_held = c ? c->held : 0;
    shared_unlock(&s->lock);
}

void shared_seed(struct shared *s, struct str name, int64_t used, int64_t expires_at)
{
    uint64_t hash = map_hash(name);
    int64_t wall = clock_wall();
    if (is_over(expires_at, wall))
        return;
    shared_lock(&s->lock);
    struct counter *c = find_or_make(s, name, hash);
    if (c) {
        counter_touch(s, c, expires_at, wall);
        c->remote = s->redis != NULL;
        part_add(s, c, used - c->used, 0);
    }
    shared_unlock(&s->lock);
    if (s->redis)
        redis_kick(s);
}

#define SUM_PARTS 64

int shared_sum(struct shared *s, struct str name, int64_t *ret_used, int64_t *ret_held)
{
    struct shared_part_of parts[SUM_PARTS];
    int n = s->redis && s->fill ? s->fill(s->fill_ctx, name, parts, SUM_PARTS) : 0;

    shared_part(s, name, ret_used, ret_held);
    for (int i = 0; i < n; i++)
        *ret_used += parts[i].used;
    return MIN(n, 0);
}

int shared_total(struct shared *s, struct str name, int64_t *ret_used, int64_t *ret_held)
{
    int r = s->redis ? redis_look(s, name) : 0;
    struct shared_row row = {0};
    shared_lock(&s->lock);
    struct counter *c = find_alive(s, name);
    if (c)
        row_sums(c, &row);
    shared_unlock(&s->lock);
    *ret_used = row.used;
    *ret_held = row.held;
    return r;
}
