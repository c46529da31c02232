/*
 * A ring: how a thread hands payloads to the writer. A preallocated file, mapped shared, so that
 * what a thread has put there is still there when the process is killed. One producer, one
 * consumer.
 *
 *     page 0   magic, head (release-stored by the producer), tail (by the writer, once synced)
 *     data     records {length, check, position, seq} payload, 8-byte aligned, never split at the
 *              end: what does not fit there becomes a filler
 *
 * Positions are bytes since the ring was made and never go back, so that a position names a record
 * for ever; it stands at position % RING_BYTES. A ring that is found empty far from its start jumps
 * back to it, so that a quiet thread touches few pages.
 */
#ifndef SF_JOURNAL_RING_INT_H
#define SF_JOURNAL_RING_INT_H

#include "base/macros.h"
#include "base/str.h"

#include <stdalign.h>
#include <stdatomic.h>

#define RING_BYTES ((uint64_t)8 << 20)
#define RING_WARM                                                                                  \
    ((uint64_t)1 << 20) /* after a jump this is all the room until the writer came                 \
                         */
#define RING_PAGE 4096
#define RINGS_MAX 256 /* ring 0 is JOURNAL_OTHER's, ring t + 1 that of thread t */

struct ring_page {
    char magic[8];
    alignas(64) _Atomic uint64_t head;
    alignas(64) _Atomic uint64_t tail;
};

struct ring_record {
    uint32_t length;             /* RING_FILLER: nothing more up to the end of the data */
    _Atomic uint32_t superseded; /* by a record behind it: the writer leaves it out */
    uint64_t check;
    _Atomic uint64_t position;
    _Atomic uint64_t seq; /* set by the writer */
    char payload[];
};
#define RING_FILLER UINT32_MAX

struct ring {
    struct ring_page *page; /* NULL: not open */
    char *data;
    alignas(64) uint64_t head, tail_seen; /* the producer's */
    alignas(64) uint64_t cursor;          /* the writer's: what it took, synced or not */
};

/* Opens or makes ring-<index> in the folder. 0 or -errno; what is not a ring file is made anew. */
int ring_open(int dir, unsigned index, struct ring *r);
void ring_close(struct ring *r);

/* Producer. -ENOSPC when it is full. */
int ring_put(struct ring *r, struct str payload, uint64_t *ret_position);
/* A record put since says all that the one at this position does. */
void ring_supersede(struct ring *r, uint64_t position);
/* Bytes that the writer has not yet released, as far as the producer knows. */
static inline uint64_t ring_backlog(const struct ring *r)
{
    return r->head - r->tail_seen;
}

/* Bytes that can be put before the writer releases more. A jump takes room until it does. */
static inline uint64_t ring_room(const struct ring *r)
{
    return RING_BYTES - ring_backlog(r);
}

/* Consumer: the record at the cursor, or NULL; moves the cursor behind it. */
struct ring_record *ring_take(struct ring *r);
static inline bool ring_has(const struct ring *r)
{
    return atomic_load(&r->page->head) != r->cursor;
}
void ring_release(struct ring *r, uint64_t upto);

/* At start: moves the cursor to the first record that is not on the chain, whose entries of this
 * ring end at on_chain. Returns the bytes that cannot be read as records: none, unless the machine
 * itself stopped. *ret_records counts those that can be taken. */
uint64_t ring_recover(struct ring *r, uint64_t on_chain, uint64_t *ret_records);

/* The number that the writer gave to a record; 0 when it has none yet or was overwritten. */
uint64_t ring_seq_of(const struct ring *r, uint64_t position);

#endif
