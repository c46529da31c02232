/*
 * Cells: 64-bit counters of which each thread has its own copy. A thread's copies are its shard: a
 * directory of chunks that come into being when the thread first touches one of their cells, so a
 * thread pays only for what it counts.
 *
 * Only the owner writes to a shard, with a relaxed load and store, which costs no more than a plain
 * increment; any thread may read. When its owner ends, a shard goes onto a stack of free ones, and
 * the next new thread goes on counting in it: sums never lose what an ended thread has counted. The
 * lock that both take orders the old owner's stores before the new owner's.
 */
#include "base/macros.h"
#include "metrics/metrics_int.h"

#include <pthread.h>
#include <stdlib.h>

#define CHUNK_CELLS ((size_t)512) /* 4 KiB */
#define CHUNKS      ((size_t)2048)

struct cell {
    _Atomic uint64_t count;
};

struct shard {
    struct shard *next;      /* of all; constant once published */
    struct shard *next_free; /* under lock */
    _Atomic(struct cell *) chunks[CHUNKS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end;
static struct shard *free_shards; /* under lock */
static _Atomic(struct shard *) all_shards;
static size_t allotted; /* under the registry's lock */
static _Thread_local struct shard *mine;

/* A series lies within one chunk. */
bool cells_allot(uint32_t n, uint32_t *ret_first)
{
    size_t first = allotted;

    if (first % CHUNK_CELLS + n > CHUNK_CELLS)
        first += CHUNK_CELLS - first % CHUNK_CELLS;
    if (first + n > CHUNKS * CHUNK_CELLS)
        return false;
    allotted = first + n;
    *ret_first = (uint32_t)first;
    return true;
}

static void give_back(void *shard)
{
    struct shard *s = shard;

    pthread_mutex_lock(&lock);
    s->next_free = free_shards;
    free_shards = s;
    pthread_mutex_unlock(&lock);
    mine = NULL;
}

static void set_up(void)
{
    must(pthread_key_create(&thread_end, give_back) == 0);
}

static struct shard *take_shard(void)
{
    pthread_mutex_lock(&lock);
    struct shard *s = free_shards;
    if (s) {
        free_shards = s->next_free;
    } else if ((s = calloc(1, sizeof(*s)))) {
        s->next = atomic_load_explicit(&all_shards, memory_order_relaxed);
        atomic_store_explicit(&all_shards, s, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return s;
}

static struct cell *new_chunk(struct shard *s, size_t at)
{
    struct cell *chunk = aligned_alloc(64, CHUNK_CELLS * sizeof(struct cell));

    if (!chunk)
        return NULL;
    for (size_t i = 0; i < CHUNK_CELLS; i++)
        atomic_init(&chunk[i].count, 0);
    atomic_store_explicit(&s->chunks[at], chunk, memory_order_release);
    return chunk;
}

/* The calling thread's chunk of that number; NULL when memory is out, and the count is lost. */
static struct cell *chunk_slow(size_t at)
{
    if (!mine) {
        pthread_once(&once, set_up);
        mine = take_shard();
        if (!mine)
            return NULL;
        pthread_setspecific(thread_end, mine);
    }
    struct cell *chunk = atomic_load_explicit(&mine->chunks[at], memory_order_relaxed);
    return chunk ? chunk : new_chunk(mine, at);
}

void cells_add(uint32_t cell, uint64_t by)
{
    size_t at = cell / CHUNK_CELLS;
    struct cell *chunk =
        mine ? atomic_load_explicit(&mine->chunks[at], memory_order_relaxed) : NULL;

    if (unlikely(!chunk) && !(chunk = chunk_slow(at)))
        return;
    struct cell *c = &chunk[cell % CHUNK_CELLS];
    uint64_t now = atomic_load_explicit(&c->count, memory_order_relaxed);
    atomic_store_explicit(&c->count, now + by, memory_order_relaxed);
}

void cells_sum(uint32_t first, uint32_t n, uint64_t *out)
{
    struct shard *s = atomic_load_explicit(&all_shards, memory_order_acquire);

    memset(out, 0, n * sizeof(*out));
    for (; s; s = s->next) {
        struct cell *chunk =
            atomic_load_explicit(&s->chunks[first / CHUNK_CELLS], memory_order_acquire);
        for (uint32_t i = 0; chunk && i < n; i++)
            out[i] +=
                atomic_load_explicit(&chunk[first % CHUNK_CELLS + i].count, memory_order_relaxed);
    }
}
