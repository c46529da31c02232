/*
 * The registry: families, and the series of each. Series are looked up without a lock in a hash
 * table that only grows; creating one takes the lock. The key of a series is its label values as
 * they will be shown, so that two series can never look the same.
 */
#include "base/macros.h"
#include "base/map.h"
#include "base/utf8.h"
#include "metrics/metrics_int.h"

#include <pthread.h>
#include <stdlib.h>

#define FIRST_TABLE ((size_t)16)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct metric_registered *) families;
static struct metric_registered *last_family; /* under lock */

struct metric_registered *metrics_first_family(void)
{
    return atomic_load_explicit(&families, memory_order_acquire);
}

/* Prometheus names: letters, digits and underscores, not beginning with a digit. */
static bool is_name(const char *name)
{
    const char *word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    return *name && strspn(name, word) == strlen(name) && !(*name >= '0' && *name <= '9');
}

static bool is_power_of_ten(uint64_t n)
{
    while (n >= 10 && n % 10 == 0)
        n /= 10;
    return n == 1;
}

/* A family is part of the program: a wrong one is a mistake in it, found when it first starts. */
static void check_family(const struct metric_family *f)
{
    must(f->help && is_name(f->name));
    for (unsigned i = 0; i < METRIC_LABELS && f->labels[i]; i++)
        must(is_name(f->labels[i]) && strcmp(f->labels[i], "le") != 0);
    must(f->scale == 0 || is_power_of_ten(f->scale));
    must((f->type == METRIC_HISTOGRAM) == (f->n_buckets > 0) && f->n_buckets <= METRIC_BUCKETS);
    for (size_t i = 1; i < f->n_buckets; i++)
        must(f->buckets[i - 1] < f->buckets[i]);
    for (struct metric_registered *r = metrics_first_family(); r;
         r = atomic_load_explicit(&r->next, memory_order_acquire))
        must(strcmp(r->family->name, f->name) != 0);
}

static bool is_ascii(struct str s)
{
    unsigned char all = 0;

    for (size_t i = 0; i < s.n; i++)
        all |= (unsigned char)s.p[i];
    return all < 0x80;
}

/*
 * Appends one label value to a key, with a length byte before it. What is not UTF-8 becomes U+FFFD,
 * and a character that would pass the maximum is left out with all that follows.
 */
static size_t add_value(char *key, size_t n, struct str value)
{
    size_t at = n + 1, bad = 1;

    if (likely(value.n <= METRIC_LABEL_BYTES && is_ascii(value))) {
        key[n] = (char)value.n;
        if (value.n)
            memcpy(key + at, value.p, value.n);
        return at + value.n;
    }
    for (size_t i = 0; i < value.n;) {
        size_t got = utf8_step(value.p + i, value.n - i, &bad);
        size_t out_n = got ? got : 3;
        if (at - n - 1 + out_n > METRIC_LABEL_BYTES)
            break;
        memcpy(key + at, got ? value.p + i : "\xef\xbf\xbd", out_n);
        at += out_n;
        i += got ? got : bad;
    }
    key[n] = (char)(at - n - 1);
    return at;
}

static struct str make_key(char key[static KEY_BYTES], const struct str *values, size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        at = add_value(key, at, values[i]);
    return str_at(key, at);
}

static struct metric *find(const struct metric_registered *r, struct str key, uint64_t hash)
{
    const struct metric_table *t = atomic_load_explicit(&r->table, memory_order_acquire);

    for (size_t i = hash & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
        struct metric *m = atomic_load_explicit(&t->slots[i], memory_order_acquire);
        if (!m || (m->hash == hash && str_eq(str_at(m->key, m->key_n), key)))
            return m;
    }
}

static void table_put(struct metric_table *t, struct metric *m)
{
    size_t i = m->hash & (t->cap - 1);

    while (atomic_load_explicit(&t->slots[i], memory_order_relaxed))
        i = (i + 1) & (t->cap - 1);
    atomic_store_explicit(&t->slots[i], m, memory_order_release);
}

static struct metric_table *new_table(size_t cap, struct metric_table *older)
{
    struct metric_table *t = calloc(1, sizeof(*t) + cap * sizeof(t->slots[0]));

    if (t) {
        t->cap = cap;
        t->older = older;
    }
    return t;
}

/* Room for one more series; false when memory is out. */
static bool make_room(struct metric_registered *r)
{
    struct metric_table *old = atomic_load_explicit(&r->table, memory_order_relaxed);

    if (old && (r->n_series + 1) * 2 <= old->cap)
        return true;
    struct metric_table *t = new_table(old ? old->cap * 2 : FIRST_TABLE, old);
    if (!t)
        return false;
    for (size_t i = 0; old && i < old->cap; i++) {
        struct metric *m = atomic_load_explicit(&old->slots[i], memory_order_relaxed);
        if (m)
            table_put(t, m);
    }
    atomic_store_explicit(&r->table, t, memory_order_release);
    return true;
}

static struct metric *new_metric(const struct metric_family *f, struct str key, uint64_t hash)
{
    uint32_t n_cells = f->type == METRIC_HISTOGRAM ? (uint32_t)f->n_buckets + 2 : 1;
    struct metric *m = calloc(1, sizeof(*m) + key.n);

    if (!m || !cells_allot(n_cells, &m->cell)) {
        free(m);
        return NULL;
    }
    m->family = f;
    m->n_cells = n_cells;
    m->hash = hash;
    m->key_n = (uint16_t)key.n;
    if (key.n)
        memcpy(m->key, key.p, key.n);
    return m;
}

/* Creates a series and publishes it; NULL when memory or cells are out. Under the lock. */
static struct metric *add_series(struct metric_registered *r, struct str key, uint64_t hash)
{
    struct metric *m = make_room(r) ? new_metric(r->family, key, hash) : NULL;

    if (!m)
        return NULL;
    r->n_series++;
    table_put(atomic_load_explicit(&r->table, memory_order_relaxed), m);
    atomic_store_explicit(r->last ? &r->last->next : &r->first, m, memory_order_release);
    r->last = m;
    return m;
}

/* The series for what exceeds the family's maximum; without labels it is the only one. */
static void add_other(struct metric_registered *r)
{
    const struct str others[METRIC_LABELS] = {
        STR("other"), STR("other"), STR("other"), STR("other")};
    char bytes[KEY_BYTES];
    struct str key = make_key(bytes, others, r->n_labels);

    r->other = add_series(r, key, map_hash(key));
    must(r->other);
    r->other->is_other = r->n_labels > 0;
}

static struct metric_registered *new_family(struct metric_family *f)
{
    struct metric_registered *r = calloc(1, sizeof(*r));

    check_family(f);
    must(r);
    r->family = f;
    while (r->n_labels < METRIC_LABELS && f->labels[r->n_labels])
        r->n_labels++;
    r->max_series = f->max_series ? f->max_series : METRIC_SERIES;
    r->scale = f->scale ? f->scale : 1;
    add_other(r);
    atomic_store_explicit(last_family ? &last_family->next : &families, r, memory_order_release);
    last_family = r;
    return r;
}

void metrics_register(struct metric_family *f)
{
    pthread_mutex_lock(&lock);
    if (!atomic_load_explicit(&f->registered_, memory_order_relaxed))
        atomic_store_explicit(&f->registered_, new_family(f), memory_order_release);
    pthread_mutex_unlock(&lock);
}

static struct metric_registered *registered(struct metric_family *f)
{
    struct metric_registered *r = atomic_load_explicit(&f->registered_, memory_order_acquire);

    if (likely(r != NULL))
        return r;
    metrics_register(f);
    return atomic_load_explicit(&f->registered_, memory_order_acquire);
}

/* Not found without the lock: another thread may have created it meanwhile. */
static struct metric *get_slow(struct metric_registered *r, struct str key, uint64_t hash)
{
    pthread_mutex_lock(&lock);
    struct metric *m = find(r, key, hash);
    if (!m && r->n_series <= r->max_series) /* the overflow series is one more */
        m = add_series(r, key, hash);
    pthread_mutex_unlock(&lock);
    return m ? m : r->other;
}

struct metric *metric_get(struct metric_family *f, const struct str *values, size_t n)
{
    struct metric_registered *r = registered(f);
    char bytes[KEY_BYTES];

    must(n == r->n_labels);
    if (n == 0)
        return r->other;
    struct str key = make_key(bytes, values, n);
    uint64_t hash = map_hash(key);
    struct metric *m = find(r, key, hash);
    return likely(m != NULL) ? m : get_slow(r, key, hash);
}
