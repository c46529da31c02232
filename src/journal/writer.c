/*
 * The writer thread. While entries come it makes a group every 40 ms, or at once when somebody
 * waits or a ring holds a MiB; a second after the last one it goes to sleep for good, and the next
 * append wakes it. So an append makes no system call but that one. Between groups it does what has
 * to be done on files: checkpoints that are due, key rotation, old body files.
 *
 * Sleeping: the writer stores `asleep` and then looks at the rings; a producer stores its head and
 * then looks at `asleep`. Both are sequentially consistent, so one of them sees the other.
 */
#include "journal/journal_int.h"
#include "journal/payload.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static void ring_bell(struct journal *j)
{
    uint64_t one = 1;

    while (write(j->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void writer_urge(struct journal *j)
{
    if (!atomic_load(&j->urged) && !atomic_exchange(&j->urged, true))
        ring_bell(j);
}

void writer_wake(struct journal *j)
{
    if (atomic_exchange(&j->asleep, false))
        ring_bell(j);
}

/* --- sleeping --- */

static int64_t checkpoint_due(const struct journal *j)
{
    return j->chain.others ? j->chain.tree_since + j->s.checkpoint_ns : NEVER_NS;
}

static void sleep_until(struct journal *j, int64_t until)
{
    struct pollfd p = {.fd = j->wake_fd, .events = POLLIN};
    int64_t left = MAX(until - clock_now(), 0);
    struct timespec ts = {.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
    uint64_t count;

    if (ppoll(&p, 1, until == NEVER_NS ? NULL : &ts, NULL) == 1 &&
        read(j->wake_fd, &count, sizeof(count)) < 0) {
        /* Nothing there: another wake took it. */
    }
}

static bool hurried(struct journal *j)
{
    return atomic_load(&j->urged) || atomic_load(&j->stopping);
}

/* Nothing came for a while: sleeps until an append wakes it, or something is due. */
static void sleep_long(struct journal *j, int64_t until)
{
    atomic_store(&j->asleep, true);
    if (!rings_have(j) && !hurried(j))
        sleep_until(j, until); /* bodies wake nobody: their entries do, or their mass */
    atomic_store(&j->asleep, false);
}

static void rest(struct journal *j, int64_t last_group, int64_t last_entry)
{
    int64_t now = clock_now(), next = last_group + GROUP_NS;

    if (j->retry_at > now)
        next = j->retry_at;
    else if (hurried(j))
        return;
    else if (now - last_entry > DOZE_NS) {
        bodies_release(&j->bodies);
        sleep_long(j, MIN(checkpoint_due(j), j->house_at));
        return;
    }
    if (next > now && !atomic_load(&j->stopping))
        sleep_until(j, next);
}

/* --- key rotation --- */

static int add_key_event(
    struct journal *j, const struct chain_key *old, const struct chain_key *new)
{
    struct payload p;
    struct buf text;
    char hex[SHA256_HEX];

    buf_init(&text, 1024);
    sha256_hex(str_at((const char *)new->bytes, new->n), hex);
    payload_begin(&p, &text);
    payload_str(&p, "event", STR("key_event"));
    payload_str(&p, "new", str_of(new->id));
    payload_str(&p, "new_key_sha256", str_of(hex));
    payload_str(&p, "old", str_of(old->id));
    payload_int(&p, "ts", new->not_before);
    int r = payload_end(&p);
    if (r == 0)
        r = group_add(j, NULL, buf_str(&text));
    buf_free(&text);
    return r;
}

/* The new key is saved before the chain names it, so that no entry is ever without its key; one
 * that the chain did not come to name stays in the ring and does no harm. */
static int rotate(struct journal *j)
{
    struct chain_key *new;
    int r = keyring_make(&j->keys, clock_wall(), &new);

    if (r == 0)
        r = keyring_save(j->dir, &j->keys);
    if (r == 0)
        r = add_key_event(j, &j->keys.keys[j->key], new);
    if (r == 0)
        r = group_commit(j);
    if (r < 0) {
        group_begin(j);
        return r;
    }
    j->keys.keys[j->key].not_after = new->not_before;
    j->key = j->keys.n - 1;
    keyring_save(j->dir, &j->keys); /* not_after is for people; the chain says the rest */
    return 0;
}

static void answer_requests(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    bool wanted = j->rotate;
    pthread_mutex_unlock(&j->lock);
    if (!wanted)
        return;
    int r = rotate(j);
    pthread_mutex_lock(&j->lock);
    j->rotate = false;
    j->rotated = r;
    j->rotations++;
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

int journal_rotate_key(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    uint64_t before = j->rotations;
    j->rotate = true;
    pthread_mutex_unlock(&j->lock);
    writer_urge(j);
    pthread_mutex_lock(&j->lock);
    while (j->rotations == before)
        pthread_cond_wait(&j->changed, &j->lock);
    int r = j->rotated;
    pthread_mutex_unlock(&j->lock);
    return r;
}

/* --- the loop --- */

static void note_result(struct journal *j, int r)
{
    if (r < 0) {
        atomic_store(&j->problem, r);
        j->retry_at = clock_now() + RETRY_NS;
    } else {
        j->retry_at = 0;
        if (atomic_load(&j->problem) != 0)
            atomic_store(&j->problem, 0);
    }
}

/* One group. Returns whether there may be more to take. */
static bool make_group(struct journal *j)
{
    uint64_t before = j->chain.end.seq;
    bool more = group_take(j);
    int r = 0;

    if (checkpoint_due(j) <= clock_now() && (r = checkpoint_add(j)) < 0)
        j->group.err = r;
    if (j->group.n == 0 && j->group.err == 0 && !bodies_have(&j->bodies))
        return false;
    r = group_commit(j);
    note_result(j, r);
    if (r < 0 || j->chain.end.seq != before)
        waiters_tell(j);
    return r == 0 && more;
}

static void keep_house(struct journal *j)
{
    int64_t now = clock_now();

    if (now < j->house_at)
        return;
    j->house_at = bodies_tend(&j->bodies);
}

static void *writer_main(void *arg)
{
    struct journal *j = arg;
    int64_t last_group = 0, last_entry = clock_now();

    while (!atomic_load(&j->stopping)) {
        rest(j, last_group, last_entry);
        keep_house(j);
        if (clock_now() < j->retry_at)
            continue;
        last_group = clock_now();
        atomic_store(&j->urged, false);
        answer_requests(j);
        uint64_t before = j->chain.end.seq;
        while (make_group(j))
            ;
        if (j->chain.end.seq != before)
            last_entry = clock_now();
    }
    return NULL;
}

int writer_start(struct journal *j)
{
    sigset_t all, old;

    j->house_at = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&j->thread, NULL, writer_main, j);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    j->running = r == 0;
    return -r;
}

/* What is left is written and checkpointed here; if that fails, it stays in the rings. */
void writer_stop(struct journal *j)
{
    if (!j->running)
        return;
    atomic_store(&j->stopping, true);
    atomic_store(&j->urged, false);
    writer_urge(j);
    pthread_join(j->thread, NULL);
    j->running = false;
    answer_requests(j);
    while (make_group(j))
        ;
    if (checkpoint_add(j) < 0)
        j->group.err = -EIO;
    if (j->group.n)
        note_result(j, group_commit(j));
    waiters_tell(j);
}
