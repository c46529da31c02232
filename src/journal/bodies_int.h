/*
 * Bodies: what was said, outside of the chain. A body is one or more pieces, each linked back to
 * the one before; they lie in files of 16 MiB, bodies-<ring>-<number>:
 *
 *     file    {magic, made, sealed} pieces
 *     piece   {magic, length, previous ref} bytes, 16-byte aligned
 *     ref     ring (8 bits), number (25), offset / 16 (20): 53 bits, exact in every JSON reader
 *
 * A thread's files one behind the other are one stream of bytes: position / 16 MiB is the number of
 * a file, and the rest the offset in it. The thread puts the stream's end into a stage, a mapped
 * file of its own that is used round and round (stage-<ring>): one copy into pages that are there,
 * which survives kill -9. With each group the writer thread writes what the stage holds to its
 * place in the files, before the entries that refer to it. So a loop thread neither waits for the
 * file system nor faults new pages in.
 */
#ifndef SF_JOURNAL_BODIES_INT_H
#define SF_JOURNAL_BODIES_INT_H

#include "base/clock.h"
#include "base/str.h"
#include "journal/ring_int.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#define BODY_FILE_BYTES   ((uint64_t)16 << 20)
#define BODY_MAX_MOST     ((size_t)8 << 20)
#define BODY_MAX_DEFAULT  ((size_t)256 << 10)
#define BODY_PIECE_MOST   ((size_t)1 << 20) /* larger ones are cut in several */
#define BODY_NUMBER_BITS  25
#define BODY_OFFSET_BITS  20
#define BODY_UNIT         16
#define BODY_PIECE_MAGIC  0x31424673u /* "sFB1" */
#define BODY_ERASED_MAGIC 0x30424673u /* "sFB0" */

#define STAGE_PAGE  4096
#define STAGE_BYTES ((uint64_t)8 << 20)
#define STAGE_WARM  ((uint64_t)512 << 10) /* a stage found empty beyond goes back to its start */
#define STAGE_URGE  ((uint64_t)2 << 20)   /* the writer need not wait any longer */

struct body_head {
    char magic[8];
    int64_t made, sealed; /* wall clock; sealed 0 = not yet, or the process was killed */
    char reserved[40];
};

struct body_piece {
    uint32_t magic, length;
    uint64_t before; /* ref; 0 = this is the first */
    char bytes[];
};

/* The first page of a stage. Positions are of the stream; what lies in [tail, head) is in no file
 * yet. */
struct stage_page {
    char magic[8];
    uint64_t base;      /* the position that lies at the start of the data */
    uint64_t skip_from; /* where the newest file ended that was left before it was full */
    _Alignas(64) _Atomic uint64_t head;
    _Alignas(64) _Atomic uint64_t tail;
};

/* One thread's: a stage and the file it goes to. */
struct body_slot {
    pthread_mutex_t lock; /* the producer's side; only an erasure or a sealing ever contends */
    struct stage_page *page;
    char *data;
    uint64_t tail_seen;
    unsigned ring;
    int fd;        /* the writer's: the file that is written to, -1 = none */
    int sealed_fd; /* and the one before, until its end is sure to be on the disk, -1 = none */
    uint32_t number;
    off_t kept_from;     /* before it, the kernel was told twice to let go of the file */
    int64_t made;        /* monotonic */
    int64_t wiped_at;    /* monotonic: when nothing that is in a file was staged, */
    uint64_t wiped_head; /* and where the stream stood then */
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

static inline uint64_t body_position(uint64_t ref)
{
    return body_ref_number(ref) * BODY_FILE_BYTES + body_ref_offset(ref);
}

struct bodies {
    int dir;
    size_t body_max;
    int64_t retention; /* 0 = for ever */
    unsigned n_slots;
    struct body_slot *slots;          /* by ring */
    int64_t next_sweep, next_release; /* monotonic */
};

int bodies_open(struct bodies *b, int dir, unsigned slots, size_t body_max, int64_t retention);
void bodies_close(struct bodies *b);
/* Appends a piece of at most BODY_PIECE_MOST; the new ref, or 0: the writer is too far behind. */
uint64_t bodies_put(struct bodies *b, unsigned ring, uint64_t before, struct str piece);
/* Whether so much is staged that the writer should come. */
bool bodies_press(const struct bodies *b, unsigned ring);
/* The writer's: all that is staged goes to its files. 0 or -errno; then it stays staged. */
int bodies_flush(struct bodies *b);
bool bodies_have(const struct bodies *b);
/* Gives back to the kernel what pages of the stages a burst touched; their bytes stay in the file.
 * A flush does it once a second. */
void bodies_release(struct bodies *b);
bool bodies_is_flushed(const struct bodies *b, uint64_t ref);
/* The writer's housekeeping: old files sealed and deleted. Returns when it wants to be called
 * again. */
int64_t bodies_tend(struct bodies *b);
/* Deletes files that were sealed longer ago than the retention. */
void bodies_sweep(struct bodies *b, int64_t wall_now);

/* --- stage.c --- */

/* Opens or makes stage-<ring>. make false: -ENOENT where there is none. */
int stage_open(int dir, unsigned ring, bool make, struct body_slot *s);
void stage_close(struct body_slot *s);
void stage_delete(int dir, const struct body_slot *s); /* its file */
/* With the slot's lock held. */
uint64_t stage_put(struct body_slot *s, uint64_t before, struct str piece);
void stage_release(struct body_slot *s);
/* The writer's: goes on in the next file, when nothing is staged. Takes the lock. */
bool stage_leave_file(struct body_slot *s);
/* At start, when nothing is staged: goes on in a new file, at first or behind it. */
void stage_go_on_at(struct body_slot *s, uint64_t first);
/* Overwrites all that is not waiting to be written. Takes the lock. */
void stage_wipe(struct body_slot *s);

#endif
