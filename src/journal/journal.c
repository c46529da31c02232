/*
 * Opening and closing the journal, and appending to it. See journal.h for the whole and
 * journal_int.h for who touches what.
 */
#include "journal/journal.h"
#include "crypto/encode.h"
#include "journal/files_int.h"
#include "journal/journal_int.h"
#include "journal/payload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_MAGIC         "sfhead1"
#define SEGMENT_DEFAULT    ((size_t)64 << 20)
#define CHECKPOINT_ENTRIES 1024
#define CHECKPOINT_NS      (60 * NS_PER_S)
#define GROUP_ROOM         (2 * GROUP_BYTES)
#define LINES_ROOM         ((size_t)16 << 20)
#define OUTCOMES_BYTES     ((uint64_t)512 << 10) /* of a ring: kept for calls that run */

/* --- the folder --- */

static int open_folder(struct journal *j)
{
    if (mkdir(j->dir_path, 0700) < 0 && errno != EEXIST)
        return -errno;
    j->dir = open(j->dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return j->dir < 0 ? -errno : 0;
}

static int lock_folder(struct journal *j)
{
    j->head_fd = openat(j->dir, HEAD_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (j->head_fd < 0)
        return -errno;
    if (flock(j->head_fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    return -posix_fallocate(j->head_fd, 0, HEAD_FILE_BYTES);
}

static int map_head(struct journal *j)
{
    void *p = mmap(NULL, HEAD_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, j->head_fd, 0);

    if (p == MAP_FAILED)
        return -errno;
    j->head = p;
    if (memcmp(j->head->magic, HEAD_MAGIC, sizeof(HEAD_MAGIC)) != 0) {
        atomic_store(&j->head->epoch, 0);
        atomic_store(&j->head->synced_seq, 0);
        memcpy(j->head->magic, HEAD_MAGIC, sizeof(HEAD_MAGIC));
    }
    atomic_fetch_add(&j->head->epoch, 1);
    return 0;
}

static bool file_is_there(struct journal *j, const char *name)
{
    struct stat st;

    return fstatat(j->dir, name, &st, 0) == 0 && st.st_size > 0;
}

/* Keys are made at the first start only: a chain without its keys must not go on under new ones. */
static int open_keys(struct journal *j, char *err, size_t err_n)
{
    struct chain_key *made;
    uint64_t *list;
    size_t n;
    int r = segment_list(j->dir, &list, &n);

    if (r < 0)
        return r;
    free(list);
    r = keyring_load(j->dir, &j->keys);
    if (r == -ENOENT && n == 0) {
        r = keyring_make(&j->keys, clock_wall(), &made);
        if (r == 0)
            r = keyring_save(j->dir, &j->keys);
    }
    if (r == 0 && file_is_there(j, CHECKPOINTS_FILE) && !file_is_there(j, SIGN_KEY_FILE))
        r = -ENOENT;
    if (r == 0)
        r = signer_open(j->dir, &j->signer);
    if (r == -ENOENT || r == -EINVAL)
        snprintf(err, err_n, "%s/" KEYS_FILE " or " SIGN_KEY_FILE " is %s", j->dir_path,
            r == -ENOENT ? "missing" : "damaged");
    return r == -ENOENT || r == -EINVAL ? -EBADMSG : r;
}

/* --- life --- */

static int init_sync(struct journal *j)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&j->lock, NULL);
    pthread_mutex_init(&j->other_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&j->changed, &attr);
    pthread_condattr_destroy(&attr);
    j->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return j->wake_fd < 0 ? -errno : 0;
}

static int take_settings(struct journal *j, const struct journal_settings *s)
{
    if (s->threads > JOURNAL_THREADS_MAX)
        return -EINVAL;
    j->s = *s;
    j->dir_path = str_dup(s->dir);
    j->chain_name = str_dup(s->chain);
    j->saved = calloc(1, sizeof(*j->saved));
    if (!j->dir_path || !j->chain_name || !j->saved)
        return -ENOMEM;
    j->s.dir = str_of(j->dir_path);
    j->s.chain = str_of(j->chain_name);
    if (j->s.segment_bytes == 0)
        j->s.segment_bytes = SEGMENT_DEFAULT;
    if (j->s.checkpoint_entries == 0)
        j->s.checkpoint_entries = CHECKPOINT_ENTRIES;
    j->s.checkpoint_entries = MAX(j->s.checkpoint_entries, 2u);
    if (j->s.checkpoint_ns == 0)
        j->s.checkpoint_ns = CHECKPOINT_NS;
    return 0;
}

static void free_journal(struct journal *j)
{
    waiters_free(j);
    bodies_close(&j->bodies);
    for (unsigned i = 0; i < RINGS_MAX; i++)
        ring_close(&j->rings[i]);
    keyring_free(&j->keys);
    signer_close(&j->signer);
    buf_free(&j->group);
    buf_free(&j->lines);
    if (j->head)
        munmap(j->head, HEAD_FILE_BYTES);
    const int fds[] = {j->segment_fd, j->checkpoints_fd, j->head_fd, j->dir, j->wake_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pthread_mutex_destroy(&j->lock);
    pthread_mutex_destroy(&j->other_lock);
    pthread_cond_destroy(&j->changed);
    free(j->saved);
    free(j->dir_path);
    free(j->chain_name);
    free(j);
}

static int open_all(struct journal *j, const struct journal_settings *s,
    struct journal_recovery *found, char *err, size_t err_n)
{
    int r = init_sync(j);

    if (r == 0)
        r = take_settings(j, s);
    if (r == 0)
        r = open_folder(j);
    if (r == 0)
        r = lock_folder(j);
    if (r == 0)
        r = map_head(j);
    if (r == 0)
        r = open_keys(j, err, err_n);
    if (r == 0)
        r = recover(j, found, err, err_n);
    if (r == 0)
        r = bodies_open(&j->bodies, j->dir, j->s.threads + 1, j->s.body_max, j->s.body_retention);
    return r == 0 ? writer_start(j) : r;
}

int journal_open(const struct journal_settings *s, struct journal **ret,
    struct journal_recovery *ret_found, char *err, size_t err_n)
{
    struct journal *j = calloc(1, sizeof(*j));
    struct journal_recovery found = {0};

    if (!j)
        return -ENOMEM;
    j->dir = j->head_fd = j->segment_fd = j->checkpoints_fd = j->wake_fd = -1;
    buf_init(&j->group, GROUP_ROOM);
    buf_init(&j->lines, LINES_ROOM);
    if (err_n)
        err[0] = '\0';
    journal_metrics_register();
    int r = open_all(j, s, &found, err, err_n);
    if (r < 0) {
        if (err_n && !err[0])
            snprintf(err, err_n, "%.*s: %s", STR_ARG(s->dir),
                r == -EBUSY ? "another process writes this journal" : strerrordesc_np(-r));
        free_journal(j);
        return r;
    }
    if (ret_found)
        *ret_found = found;
    *ret = j;
    return 0;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    writer_stop(j);
    free_journal(j);
}

/* --- appending --- */

static int check_payload(struct str p)
{
    if (p.n > JOURNAL_PAYLOAD_BYTES)
        return -EMSGSIZE;
    if (p.n < 2 || p.p[0] != '{' || p.p[p.n - 1] != '}' || memchr(p.p, '\n', p.n))
        return -EINVAL;
    return p.n == 2 || (p.n > 4 && p.p[1] == '"' && p.p[2] >= 'a' && p.p[2] <= 'z') ? 0 : -EINVAL;
}

static int put(struct journal *j, unsigned ring, struct str payload, struct journal_ticket *t)
{
    struct ring *r = &j->rings[ring];

    t->ring = ring;
    int err = ring_put(r, payload, &t->position);
    if (err == 0 && unlikely(ring_backlog(r) > BACKLOG_BYTES)) {
        r->tail_seen = atomic_load_explicit(&r->page->tail, memory_order_acquire);
        if (ring_backlog(r) > BACKLOG_BYTES)
            writer_urge(j);
    }
    return err;
}

int journal_append(
    struct journal *j, unsigned thread, struct str payload, struct journal_ticket *ret)
{
    struct journal_ticket t;
    int r = check_payload(payload);

    if (unlikely(r < 0))
        return r;
    must(thread == JOURNAL_OTHER || thread < j->s.threads);
    if (likely(thread != JOURNAL_OTHER)) {
        r = put(j, thread + 1, payload, &t);
    } else if (!journal_is_well(j)) {
        r = -ENOSPC;
    } else {
        pthread_mutex_lock(&j->other_lock);
        r = put(j, 0, payload, &t);
        pthread_mutex_unlock(&j->other_lock);
    }
    if (unlikely(r < 0)) {
        journal_count_refused();
        return r;
    }
    if (unlikely(atomic_load(&j->asleep)))
        writer_wake(j);
    if (ret)
        *ret = t;
    return 0;
}

void journal_supersede(struct journal *j, const struct journal_ticket *t)
{
    ring_supersede(&j->rings[t->ring], t->position);
}

bool journal_has_room(struct journal *j, unsigned thread)
{
    struct ring *r = &j->rings[thread + 1];

    if (likely(ring_room(r) >= OUTCOMES_BYTES))
        return true;
    r->tail_seen = atomic_load_explicit(&r->page->tail, memory_order_acquire);
    return ring_room(r) >= OUTCOMES_BYTES;
}

/* --- small questions --- */

enum journal_durability journal_durability(const struct journal *j)
{
    return j->s.durability;
}

bool journal_is_well(const struct journal *j)
{
    return atomic_load_explicit(&j->problem, memory_order_relaxed) == 0;
}

const char *journal_problem(const struct journal *j)
{
    int problem = atomic_load_explicit(&j->problem, memory_order_relaxed);

    return problem ? strerrordesc_np(-problem) : NULL;
}

uint64_t journal_last_seq(const struct journal *j)
{
    return atomic_load_explicit(&j->head->synced_seq, memory_order_acquire);
}

int journal_jwks(const struct journal *j, struct buf *out)
{
    const uint8_t *key = j->signer.public;
    struct buf x;
    struct payload p;

    buf_init(&x, 64);
    base64url_add(&x, str_at((const char *)key, ED25519_KEY_BYTES));
    payload_begin(&p, out);
    payload_array(&p, "keys");
    payload_item_object(&p);
    payload_str(&p, "alg", STR("EdDSA"));
    payload_str(&p, "crv", STR("Ed25519"));
    payload_str(&p, "kid", str_of(j->signer.kid));
    payload_str(&p, "kty", STR("OKP"));
    payload_str(&p, "use", STR("sig"));
    payload_str(&p, "x", buf_str(&x));
    payload_close(&p);
    payload_close(&p);
    buf_free(&x);
    return payload_end(&p);
}
