/*
 * Bodies: what was said, outside of the chain. Each thread writes into mapped files of its own,
 * bodies-<ring>-<number>, 16 MiB each, which the writer thread makes ahead, so that a loop thread
 * never waits for the file system. A body is one or more pieces, each linked back to the one
 * before:
 *
 *     file    {magic, made, sealed, used} pieces
 *     piece   {magic, length, previous ref} bytes, 16-byte aligned
 *     ref     ring (8 bits), number (25), offset / 16 (20): 53 bits, exact in every JSON reader
 *
 * The file that a thread writes to lies in a slot. The thread takes it out of the slot while it
 * writes, and so does the writer when it wants to seal it (too old); nobody waits: a thread that
 * finds its slot empty takes the next file.
 */
#ifndef SF_JOURNAL_BODIES_INT_H
#define SF_JOURNAL_BODIES_INT_H

#include "base/clock.h"
#include "base/str.h"
#include "journal/ring_int.h"

#include <pthread.h>
#include <stdbool.h>

#define BODY_FILE_BYTES   ((size_t)16 << 20)
#define BODY_MAX_MOST     ((size_t)8 << 20)
#define BODY_RELEASE      ((size_t)1 << 20)
#define BODY_MAX_DEFAULT  ((size_t)256 << 10)
#define BODY_NUMBER_BITS  25
#define BODY_OFFSET_BITS  20
#define BODY_UNIT         16
#define BODY_PIECE_MAGIC  0x31424673u /* "sFB1" */
#define BODY_ERASED_MAGIC 0x30424673u /* "sFB0" */

struct body_head {
    char magic[8];
    int64_t made, sealed; /* wall clock; sealed 0 = not yet, or the process was killed */
    _Atomic uint64_t used;
    char reserved[32];
};

struct body_piece {
    uint32_t magic, length;
    uint64_t before; /* ref; 0 = this is the first */
    char bytes[];
};

struct body_file {
    char *map;
    uint32_t number;
    unsigned ring;
    size_t used, released; /* released: pages given back to the kernel */
    int64_t made;          /* monotonic */
    struct body_file *next;
};

#define BODY_NAME 48
void body_file_name(unsigned ring, uint32_t number, char out[static BODY_NAME]);
bool body_file_parse(const char *name, unsigned *ret_ring, uint32_t *ret_number);

static inline uint64_t body_ref(unsigned ring, uint32_t number, uint64_t offset)
{
    return (uint64_t)ring << (BODY_NUMBER_BITS + BODY_OFFSET_BITS) |
           (uint64_t)number << BODY_OFFSET_BITS | offset / BODY_UNIT;
}

static inline unsigned body_ref_ring(uint64_t ref)
{
    return (unsigned)(ref >> (BODY_NUMBER_BITS + BODY_OFFSET_BITS));
}

static inline uint32_t body_ref_number(uint64_t ref)
{
    return (uint32_t)(ref >> BODY_OFFSET_BITS & ((1u << BODY_NUMBER_BITS) - 1));
}

static inline uint64_t body_ref_offset(uint64_t ref)
{
    return (ref & ((1u << BODY_OFFSET_BITS) - 1)) * BODY_UNIT;
}

/* What a thread writes to; `next` is the one that is ready. */
struct body_slot {
    _Atomic(struct body_file *) current, next;
};

struct bodies {
    int dir;
    size_t body_max;
    int64_t retention; /* 0 = for ever */
    unsigned n_slots;
    struct body_slot *slots;    /* by ring */
    uint32_t *numbers;          /* by ring: of the file to be made next; the writer's */
    pthread_mutex_t other_lock; /* for slot 0 */
    pthread_mutex_t full_lock;
    struct body_file *full; /* full_lock: to be sealed by the writer */
    atomic_bool wanted;     /* some thread took its ready file, or has one to be sealed */
    int64_t next_sweep;     /* monotonic */
};

int bodies_open(struct bodies *b, int dir, unsigned slots, size_t body_max, int64_t retention);
void bodies_close(struct bodies *b);
/* The writer's housekeeping: files made ahead, full ones sealed, old ones deleted. Returns when it
 * wants to be called again. */
int64_t bodies_tend(struct bodies *b);
/* Gives back to the kernel the pages that a thread has filled. */
void bodies_release(struct bodies *b);
/* Deletes files that were sealed longer ago than the retention. */
void bodies_sweep(struct bodies *b, int64_t wall_now);
/* Appends a piece; the new ref or 0 when there is no room ready. */
uint64_t bodies_put(struct bodies *b, unsigned ring, uint64_t before, struct str piece);

#endif
