/*
 * One body: its hash, and what of it is kept. A piece is one copy into the thread's mapped file and
 * one run of SHA-256; nothing here makes a system call, but for touching a page for the first time.
 */
#include "crypto/digest.h"
#include "journal/bodies_int.h"
#include "journal/journal_int.h"

#include <errno.h>

#define ALIGN_UNIT(n) (((n) + BODY_UNIT - 1) & ~(size_t)(BODY_UNIT - 1))

/* --- pieces --- */

static void hand_over(struct bodies *b, struct body_file *f)
{
    pthread_mutex_lock(&b->full_lock);
    f->next = b->full;
    b->full = f;
    pthread_mutex_unlock(&b->full_lock);
    atomic_store(&b->wanted, true);
}

/* The slot's file with room for so much, taken out of it; NULL when none is ready. */
static struct body_file *take_file(struct bodies *b, struct body_slot *slot, size_t need)
{
    struct body_file *f = atomic_exchange(&slot->current, NULL);

    if (f && f->used + need <= BODY_FILE_BYTES)
        return f;
    if (f)
        hand_over(b, f);
    f = atomic_exchange(&slot->next, NULL);
    atomic_store(&b->wanted, true);
    return f;
}

static uint64_t put(struct bodies *b, unsigned ring, uint64_t before, struct str piece)
{
    struct body_slot *slot = &b->slots[ring];
    size_t need = ALIGN_UNIT(sizeof(struct body_piece) + piece.n);
    struct body_file *f = take_file(b, slot, need);

    if (!f)
        return 0;
    struct body_piece *p = (struct body_piece *)(f->map + f->used);
    uint64_t ref = body_ref(ring, f->number, f->used);
    *p = (struct body_piece){
        .magic = BODY_PIECE_MAGIC, .length = (uint32_t)piece.n, .before = before};
    memcpy(p->bytes, piece.p, piece.n);
    f->used += need;
    atomic_store_explicit(&((struct body_head *)f->map)->used, f->used, memory_order_release);
    atomic_store(&slot->current, f);
    return ref;
}

uint64_t bodies_put(struct bodies *b, unsigned ring, uint64_t before, struct str piece)
{
    must(ring < b->n_slots);
    if (ring != 0)
        return put(b, ring, before, piece);
    pthread_mutex_lock(&b->other_lock);
    uint64_t ref = put(b, ring, before, piece);
    pthread_mutex_unlock(&b->other_lock);
    return ref;
}

/* --- bodies --- */

static int add_hash(struct journal_body *body, struct str piece)
{
    struct sha256 d = {.ctx_ = body->hash_};

    if (!d.ctx_ && sha256_begin(&d) < 0)
        return -ENOSPC;
    sha256_add(&d, piece);
    body->hash_ = d.ctx_;
    return 0;
}

static int keep(struct journal *j, unsigned ring, struct journal_body *body, struct str piece)
{
    size_t room = body->truncated ? 0 : j->bodies.body_max - (size_t)body->kept;
    struct str part = str_to(piece, room);

    if (part.n < piece.n)
        body->truncated = true;
    if (part.n == 0)
        return 0;
    uint64_t ref = bodies_put(&j->bodies, ring, body->ref, part);
    if (ref == 0) {
        body->truncated = true; /* nothing may follow a gap */
        journal_count_body_lost();
        return -ENOSPC;
    }
    body->ref = ref;
    body->kept += part.n;
    return 0;
}

int journal_body_add(struct journal *j, unsigned thread, struct journal_body *b,
    enum journal_content how, struct str piece)
{
    unsigned ring = thread == JOURNAL_OTHER ? 0 : thread + 1;

    must(!b->ended);
    b->length += piece.n;
    if (how == JOURNAL_OFF || piece.n == 0)
        return 0;
    int hashed = add_hash(b, piece);
    int kept = how == JOURNAL_FULL ? keep(j, ring, b, piece) : 0;
    return hashed < 0 ? hashed : kept;
}

void journal_body_end(struct journal_body *b)
{
    struct sha256 d = {.ctx_ = b->hash_};

    b->ended = true;
    if (!d.ctx_)
        return;
    sha256_peek(&d, b->sha);
    sha256_free(&d);
    b->hash_ = NULL;
}
