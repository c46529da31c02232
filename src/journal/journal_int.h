/*
 * What the parts of the journal share. Who touches what:
 *
 *     rings, body files     their own loop thread, and the writer (ring_int.h, bodies_int.h)
 *     chain, segment, keys  the writer thread alone; at start and at the end journal_open/close
 *     lock                  guards what is marked below; never held across a system call on a file
 *     atomics               anybody
 */
#ifndef SF_JOURNAL_JOURNAL_INT_H
#define SF_JOURNAL_JOURNAL_INT_H

#include "base/clock.h"
#include "base/list.h"
#include "journal/bodies_int.h"
#include "journal/checkpoint_int.h"
#include "journal/journal.h"
#include "journal/keyring_int.h"
#include "journal/sys.h"

#include <pthread.h>
#include <sys/types.h>

#define GROUP_NS        (40 * NS_PER_MS) /* between two groups: with the sync below 50 ms */
#define RETRY_NS        NS_PER_S         /* after a failed write */
#define DOZE_NS         NS_PER_S         /* without an entry: then the writer sleeps until woken */
#define GROUP_BYTES     ((size_t)4 << 20)
#define BACKLOG_BYTES   ((size_t)1 << 20) /* of one ring: the writer need not wait any longer */
#define LOOPS_MAX       (JOURNAL_THREADS_MAX + 1)
#define HEAD_FILE       "head"
#define HEAD_FILE_BYTES 4096

/* The mapped file that says who writes here and how far it is. */
struct head_page {
    char magic[8];
    _Atomic uint64_t epoch; /* + 1 each time the folder is opened */
    _Atomic uint64_t
        synced_seq; /* readers stop here; what is damaged before it was no torn write */
};

/* All that a failed group takes back. */
struct chain {
    struct chain_end end;
    struct merkle tree; /* since the last checkpoint */
    uint64_t tree_from;
    uint64_t others;    /* entries in it besides those about checkpoints */
    int64_t tree_since; /* monotonic: when the first of these came */
    uint64_t ring_end[RINGS_MAX];
    unsigned n_rings;
};

struct waiters;
struct listener;

struct journal {
    struct journal_settings s;
    char *dir_path, *chain_name;
    int dir, head_fd;
    struct head_page *head;

    /* the writer's */
    pthread_t thread;
    bool running;
    int segment_fd, checkpoints_fd;
    uint64_t segment_first;
    off_t segment_size, checkpoints_size; /* what is good of them */
    off_t segment_kept;                   /* before it, the kernel was told to let go */
    struct chain chain;
    struct chain *saved; /* before the group that is being made */
    struct buf group, lines;
    size_t saved_lines;
    struct keyring keys;
    unsigned key; /* index of the one in force */
    struct signer signer;
    int64_t retry_at, house_at;

    struct ring rings[RINGS_MAX];
    uint64_t ring_saved[RINGS_MAX];
    unsigned n_rings;
    pthread_mutex_t other_lock; /* the producer's side of ring 0 */

    int wake_fd;
    atomic_bool asleep; /* the writer sleeps until woken */
    atomic_bool urged;  /* somebody waits for the next group */
    atomic_bool stopping;
    atomic_int problem; /* -errno; 0 = well */

    pthread_mutex_t lock;
    pthread_cond_t changed;             /* lock: after each group, and each answered request */
    unsigned blocked;                   /* lock: plain threads in journal_wait() */
    bool rotate;                        /* lock */
    int rotated;                        /* lock: result */
    uint64_t rotations;                 /* lock: how many were answered */
    struct waiters *waiters[LOOPS_MAX]; /* lock to add; the first n_waiters never change */
    atomic_uint n_waiters;
    struct listener *listener; /* lock */

    struct bodies bodies;
};

/* --- write.c: groups. 0 or -errno, after which nothing has happened. --- */

void group_begin(struct journal *j); /* an empty group: what a failure goes back to */
int group_add(struct journal *j, const struct entry_origin *from, struct str payload);
/* Takes what the rings hold, up to GROUP_BYTES. Returns whether they may hold more. */
bool group_take(struct journal *j);
int group_commit(struct journal *j);
int checkpoint_add(struct journal *j); /* adds one to the group when there is anything new */
int segment_open(struct journal *j, uint64_t first_seq, off_t size);
bool rings_have(const struct journal *j);

/* All of it, through journal_sys. 0 or -errno, and then maybe a part. */
int write_at(int fd, struct str text, off_t at);

/* --- writer.c: the thread --- */

int writer_start(struct journal *j);
void writer_stop(struct journal *j);
void writer_urge(struct journal *j); /* a group now */
void writer_wake(struct journal *j); /* when it is `asleep` */

/* --- recover.c --- */

int recover(struct journal *j, struct journal_recovery *found, char *err, size_t err_n);

/* --- wait.c --- */

void waiters_tell(struct journal *j); /* after a group, or when writing failed */
void waiters_free(struct journal *j);

/* --- metrics.c --- */

void journal_count_group(uint64_t entries, size_t bytes, int64_t ns);
void journal_count_refused(void);
void journal_count_body_lost(void);
void journal_metrics_register(void);

#endif
