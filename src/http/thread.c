/*
 * The per-thread state of this folder, and the date line, written once a second. The slot of the
 * loop is there for the end: it frees everything when the loop of the thread goes.
 */
#include "http/thread.h"
#include "http/client_int.h"
#include "runtime/loop.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static _Thread_local struct http_thread *self;
static pthread_once_t slot_once = PTHREAD_ONCE_INIT;
static int slot;

static void thread_destroy(void *p)
{
    struct http_thread *t = p;
    client_pool_free(t);
    bufpool_clear(&t->blocks);
    free(t);
    self = NULL;
}

static void slot_make(void)
{
    slot = loop_slot_new(thread_destroy);
    must(slot >= 0);
}

static struct http_thread *thread_make(void)
{
    pthread_once(&slot_once, slot_make);
    self = calloc(1, sizeof(*self));
    must(self != NULL); /* once per thread, at start-up */
    loop_slot_set(slot, self);
    return self;
}

struct http_thread *http_thread(void)
{
    return likely(self != NULL) ? self : thread_make();
}

size_t http_blocks_held(void)
{
    return http_thread()->blocks.out;
}

static void date_write(struct http_thread *t)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t wall = clock_wall();
    time_t s = (time_t)(wall / NS_PER_S);
    struct tm tm;
    gmtime_r(&s, &tm);
    int n = snprintf(t->date, sizeof(t->date), "date: %.3s, %02u %.3s %04u %02u:%02u:%02u GMT\r\n",
        days + 3 * tm.tm_wday, (unsigned)tm.tm_mday % 100, months + 3 * tm.tm_mon,
        ((unsigned)tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
        (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    t->date_n = (size_t)n;
    t->date_until = loop_now() + NS_PER_S - wall % NS_PER_S;
}

struct str http_date_line(void)
{
    struct http_thread *t = http_thread();
    if (unlikely(loop_now() >= t->date_until))
        date_write(t);
    return str_at(t->date, t->date_n);
}
