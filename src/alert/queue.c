/*
 * From whoever sees something to the coroutine that tells it. One lock, held for a few hundred
 * nanoseconds; alerts are rare, and what repeats itself ends at the table of what was told.
 *
 * That table has a place for each hash of kind and subject. Two subjects in one place forget each
 * other, which costs an alert told twice.
 */
#include "alert/alert_int.h"

#include "base/map.h"
#include "base/utf8.h"
#include "crypto/random.h"
#include "metrics/metrics.h"
#include "runtime/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define TOLD 4096 /* 12 bits */

static struct metric_family fired = {
    .name = "smartflow_alerts_total",
    .help = "Alerts by kind: taken to be sent, repeated within the time, or dropped.",
    .type = METRIC_COUNTER,
    .labels = {"kind", "what"},
};

static struct {
    pthread_mutex_t lock;
    struct list waiting;
    unsigned n;
    struct loop *loop; /* NULL = not open yet: alerts wait */
    bool closed;
    bool woken; /* a wake is on its way */
    void (*wake)(void);
    int64_t repeat;
    struct told {
        uint64_t what;
        int64_t at;
        uint64_t repeats;
    } told[TOLD];
} q = {.lock = PTHREAD_MUTEX_INITIALIZER};
static atomic_bool enabled;

static void count(enum alert_kind kind, struct str what)
{
    metric_add(metric_get(&fired, (struct str[]){str_of(alert_kind_words[kind]), what}, 2), 1);
}

/* --- copies --- */

/* Appends at most max bytes of s to *at, as text that a database and a terminal take. */
static struct str put_text(char **at, struct str s, size_t max)
{
    char *start = *at, *p = start;
    size_t bad;

    for (size_t i = 0; i < s.n;) {
        size_t n = utf8_step(s.p + i, s.n - i, &bad);
        bool plain = n > 1 || (n == 1 && (unsigned char)s.p[i] >= ' ' && s.p[i] != 127) ||
                     (n == 1 && s.p[i] == '\n');
        if ((size_t)(p - start) + (n ? n : 1) > max)
            break;
        if (plain)
            memcpy(p, s.p + i, n);
        else
            *p = '?';
        p += plain ? n : 1;
        i += n ? n : bad;
    }
    *at = p;
    return str_at(start, (size_t)(p - start));
}

static struct str put_raw(char **at, struct str s, size_t max)
{
    char *start = *at;

    if (s.n == 0 || s.n > max)
        return STR_NONE;
    memcpy(start, s.p, s.n);
    *at += s.n;
    return str_at(start, s.n);
}

static void make_id(char out[static ALERT_ID_BYTES])
{
    memcpy(out, "alr_", 4);
    random_hex(out + 4, 10);
    out[24] = 0;
}

struct alert_item *alert_item_new(const struct alert *a)
{
    size_t room = a->subject.n + a->title.n + a->text.n + a->details.n + a->url.n;
    struct alert_item *i = calloc(1, sizeof *i + room);

    if (!i)
        return NULL;
    char *at = i->text;
    i->a = *a;
    i->a.subject = put_text(&at, a->subject, ALERT_SUBJECT_BYTES);
    i->a.title = put_text(&at, a->title, ALERT_TITLE_BYTES);
    i->a.text = put_text(&at, a->text, ALERT_TEXT_BYTES);
    i->a.details = put_raw(&at, a->details, ALERT_DETAILS_BYTES);
    i->a.url = put_raw(&at, a->url, ALERT_URL_BYTES);
    i->at = clock_wall();
    make_id(i->id);
    list_init(&i->node);
    return i;
}

/* --- in --- */

static uint64_t hash_of(const struct alert *a)
{
    return map_hash(a->subject) * 4 + (uint64_t)a->kind + 1;
}

/* With the lock held. */
static bool told_before(const struct alert *a, int64_t now, uint64_t *ret_repeats)
{
    uint64_t what = hash_of(a);
    struct told *t = &q.told[what * 0x9e3779b97f4a7c15u >> 52];

    *ret_repeats = 0;
    if (t->what == what && now - t->at < q.repeat) {
        t->repeats++;
        return true;
    }
    if (t->what == what)
        *ret_repeats = t->repeats;
    *t = (struct told){.what = what, .at = now};
    return false;
}

static void woken(void *arg)
{
    void (*wake)(void);
    (void)arg;

    pthread_mutex_lock(&q.lock);
    q.woken = false;
    wake = q.wake;
    pthread_mutex_unlock(&q.lock);
    if (wake)
        wake();
}

/* With the lock held. Returns what has to go for it. */
static struct alert_item *push(struct alert_item *i)
{
    struct list *oldest = q.n == ALERT_QUEUE ? list_pop_front(&q.waiting) : NULL;

    list_push_back(&q.waiting, &i->node);
    q.n += !oldest;
    if (!q.woken && q.loop)
        q.woken = loop_post(q.loop, woken, NULL) == 0;
    return oldest ? list_entry(oldest, struct alert_item, node) : NULL;
}

/* With the lock held. */
static enum alert_taken take(const struct alert *a, char *ret_id, struct alert_item **ret_lost)
{
    uint64_t repeats;

    if (q.closed)
        return ALERT_OFF;
    if (told_before(a, clock_now(), &repeats))
        return ALERT_REPEATED;
    struct alert_item *i = alert_item_new(a);
    if (!i)
        return ALERT_OFF;
    i->repeats = repeats;
    if (ret_id)
        memcpy(ret_id, i->id, ALERT_ID_BYTES);
    *ret_lost = push(i);
    return ALERT_TAKEN;
}

enum alert_taken alert_fire(const struct alert *a, char *ret_id)
{
    struct alert_item *lost = NULL;

    if (!atomic_load_explicit(&enabled, memory_order_relaxed))
        return ALERT_OFF;
    pthread_mutex_lock(&q.lock);
    enum alert_taken r = take(a, ret_id, &lost);
    pthread_mutex_unlock(&q.lock);
    if (lost)
        count(lost->a.kind, STR("dropped"));
    free(lost);
    if (r != ALERT_OFF)
        count(a->kind, r == ALERT_TAKEN ? STR("taken") : STR("repeated"));
    return r;
}

/* --- out --- */

struct alert_item *alert_queue_take(void)
{
    pthread_mutex_lock(&q.lock);
    struct list *n = q.n ? list_pop_front(&q.waiting) : NULL;
    q.n -= n != NULL;
    pthread_mutex_unlock(&q.lock);
    return n ? list_entry(n, struct alert_item, node) : NULL;
}

void alert_queue_open(void (*wake)(void))
{
    metrics_register(&fired);
    pthread_mutex_lock(&q.lock);
    q.closed = q.woken = false;
    q.wake = wake;
    q.loop = loop_self();
    pthread_mutex_unlock(&q.lock);
}

void alert_queue_close(void)
{
    struct alert_item *i;

    atomic_store(&enabled, false);
    while ((i = alert_queue_take()) != NULL)
        free(i);
    pthread_mutex_lock(&q.lock);
    q.closed = true;
    q.loop = NULL;
    q.wake = NULL;
    memset(q.told, 0, sizeof q.told);
    pthread_mutex_unlock(&q.lock);
}

void alert_queue_set(bool on, int64_t repeat)
{
    pthread_mutex_lock(&q.lock);
    if (!q.waiting.next)
        list_init(&q.waiting);
    q.repeat = repeat;
    pthread_mutex_unlock(&q.lock);
    atomic_store(&enabled, on);
}
