/*
 * See ring_int.h. The check of a record matters only after the machine itself stopped, when some
 * pages of the file reached the disk and others did not.
 */
#include "base/hash.h"
#include "journal/files_int.h"
#include "journal/ring_int.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#define MAGIC      "sfring2"
#define ALIGN8(n)  (((n) + 7) & ~(uint64_t)7)
#define FILE_BYTES (RING_PAGE + RING_BYTES)

static uint64_t check_of(uint64_t position, struct str payload)
{
    const uint64_t key[2] = {position, payload.n};

    return hash_keyed(key, payload);
}

static struct ring_record *record_at(const struct ring *r, uint64_t position)
{
    return (struct ring_record *)(r->data + position % RING_BYTES);
}

static uint64_t room_at_end(uint64_t position)
{
    return RING_BYTES - position % RING_BYTES;
}

/* --- life --- */

int ring_open(int dir, unsigned index, struct ring *r)
{
    char name[32], *p;

    *r = (struct ring){0};
    snprintf(name, sizeof(name), "ring-%u", index);
    int err = file_map(dir, name, true, FILE_BYTES, &p);
    if (err < 0)
        return err;
    r->page = (struct ring_page *)p;
    r->data = p + RING_PAGE;
    if (memcmp(r->page->magic, MAGIC, sizeof(MAGIC)) != 0) {
        atomic_store(&r->page->head, 0);
        atomic_store(&r->page->tail, 0);
        memcpy(r->page->magic, MAGIC, sizeof(MAGIC));
    }
    return 0;
}

void ring_close(struct ring *r)
{
    if (r->page)
        munmap(r->page, FILE_BYTES);
    *r = (struct ring){0};
}

/* --- the producer --- */

/* Fills the rest of the data, so that the next record stands at its start. */
static void jump_to_start(struct ring *r)
{
    struct ring_record *filler = record_at(r, r->head);

    if (room_at_end(r->head) >= sizeof(*filler)) {
        atomic_store_explicit(&filler->position, r->head, memory_order_relaxed);
        filler->length = RING_FILLER;
    }
    r->head += room_at_end(r->head);
}

static bool has_room(struct ring *r, uint64_t need)
{
    if (r->head + need - r->tail_seen <= RING_BYTES)
        return true;
    r->tail_seen = atomic_load_explicit(&r->page->tail, memory_order_acquire);
    return r->head + need - r->tail_seen <= RING_BYTES;
}

static int find_place(struct ring *r, uint64_t need)
{
    uint64_t at = r->head % RING_BYTES;
    bool jump = at + need > RING_BYTES;

    if (at > RING_WARM && !jump) {
        r->tail_seen = atomic_load_explicit(&r->page->tail, memory_order_acquire);
        jump = r->tail_seen == r->head;
    }
    if (!has_room(r, need + (jump ? room_at_end(r->head) : 0)))
        return -ENOSPC;
    if (jump)
        jump_to_start(r);
    return 0;
}

int ring_put(struct ring *r, struct str payload, uint64_t *ret_position)
{
    uint64_t need = sizeof(struct ring_record) + ALIGN8(payload.n);

    if (find_place(r, need) < 0)
        return -ENOSPC;
    struct ring_record *rec = record_at(r, r->head);
    rec->length = (uint32_t)payload.n;
    atomic_store_explicit(&rec->superseded, 0, memory_order_relaxed);
    rec->check = check_of(r->head, payload);
    atomic_store_explicit(&rec->seq, 0, memory_order_relaxed);
    atomic_store_explicit(&rec->position, r->head, memory_order_relaxed);
    memcpy(rec->payload, payload.p, payload.n);
    *ret_position = r->head;
    r->head += need;
    atomic_store(&r->page->head, r->head); /* before the look at whether the writer sleeps */
    return 0;
}

/* Its place is this thread's to write again only once the writer released it. */
void ring_supersede(struct ring *r, uint64_t position)
{
    if (position >= atomic_load_explicit(&r->page->tail, memory_order_acquire))
        atomic_store_explicit(&record_at(r, position)->superseded, 1, memory_order_release);
}

/* --- the writer --- */

struct ring_record *ring_take(struct ring *r)
{
    uint64_t head = atomic_load_explicit(&r->page->head, memory_order_acquire);

    while (r->cursor != head) {
        struct ring_record *rec = record_at(r, r->cursor);
        if (room_at_end(r->cursor) >= sizeof(*rec) && rec->length != RING_FILLER) {
            r->cursor += sizeof(*rec) + ALIGN8((uint64_t)rec->length);
            return rec;
        }
        r->cursor += room_at_end(r->cursor);
    }
    return NULL;
}

void ring_release(struct ring *r, uint64_t upto)
{
    atomic_store(&r->page->tail, upto); /* before the look at who waits */
}

uint64_t ring_seq_of(const struct ring *r, uint64_t position)
{
    struct ring_record *rec = record_at(r, position);

    if (atomic_load_explicit(&r->page->tail, memory_order_acquire) <= position)
        return 0;
    uint64_t seq = atomic_load_explicit(&rec->seq, memory_order_acquire);
    return atomic_load_explicit(&rec->position, memory_order_acquire) == position ? seq : 0;
}

/* --- at start --- */

/* The position behind the record or filler at `at`, or 0 when there is neither. */
static uint64_t step(const struct ring *r, uint64_t at, uint64_t head, bool *ret_record)
{
    const struct ring_record *rec = record_at(r, at);
    uint64_t room = room_at_end(at);

    *ret_record = false;
    if (at % 8 != 0)
        return 0;
    if (room < sizeof(*rec))
        return at + room;
    if (atomic_load(&rec->position) != at)
        return 0;
    if (rec->length == RING_FILLER)
        return at + room;
    if (rec->length > room - sizeof(*rec) || at + sizeof(*rec) + rec->length > head ||
        rec->check != check_of(at, str_at(rec->payload, rec->length)))
        return 0;
    *ret_record = true;
    return at + sizeof(*rec) + ALIGN8((uint64_t)rec->length);
}

/* Where records can be read up to, from `at`. */
static uint64_t walk(const struct ring *r, uint64_t at, uint64_t head, uint64_t *ret_records)
{
    bool record;

    *ret_records = 0;
    while (at < head) {
        uint64_t next = step(r, at, head, &record);
        if (next == 0)
            break;
        *ret_records += record;
        at = next;
    }
    return MIN(at, head);
}

uint64_t ring_recover(struct ring *r, uint64_t on_chain, uint64_t *ret_records)
{
    uint64_t head = atomic_load(&r->page->head), tail = atomic_load(&r->page->tail);
    uint64_t start = on_chain, end = on_chain, lost = 0;

    *ret_records = 0;
    if (head > on_chain && head - on_chain <= RING_BYTES)
        end = walk(r, start, head, ret_records);
    if (end == on_chain && tail > on_chain && head >= tail && head - tail <= RING_BYTES) {
        start = tail; /* the chain was cut, and what was cut is overwritten here */
        end = walk(r, start, head, ret_records);
    }
    if (head > end && head % 8 == 0)
        lost = head - end;
    r->cursor = start;
    r->head = end;
    if (end % 8 != 0) /* from a chain that is not this ring's */
        r->head = r->cursor = ALIGN8(end);
    r->tail_seen = r->cursor;
    atomic_store(&r->page->head, r->head);
    atomic_store(&r->page->tail, r->cursor);
    return MIN(lost, RING_BYTES);
}
