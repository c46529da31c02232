/*
 * One body: its hash, and what of it is kept. A piece is one copy into the thread's stage and one
 * run of SHA-256; nothing here makes a system call.
 */
#include "journal/bodies_int.h"
#include "journal/journal_int.h"

#include <errno.h>

/* --- bodies --- */

static void add_hash(struct journal_body *body, struct str piece)
{
    if (!body->hashing_)
        sha256_begin(&body->hash_);
    body->hashing_ = true;
    sha256_add(&body->hash_, piece);
}

static int lost(struct journal_body *body)
{
    body->truncated = true; /* nothing may follow a gap */
    journal_count_body_lost();
    return -ENOSPC;
}

static int keep(struct journal *j, unsigned ring, struct journal_body *body, struct str piece)
{
    size_t room = body->truncated ? 0 : j->bodies.body_max - (size_t)body->kept;
    struct str rest = str_to(piece, room);

    if (rest.n < piece.n)
        body->truncated = true;
    while (rest.n) {
        struct str part = str_to(rest, BODY_PIECE_MOST);
        uint64_t ref = bodies_put(&j->bodies, ring, body->ref, part);
        if (unlikely(bodies_press(&j->bodies, ring)))
            writer_urge(j);
        if (ref == 0)
            return lost(body);
        body->ref = ref;
        body->kept += part.n;
        rest = str_from(rest, part.n);
    }
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
    add_hash(b, piece);
    return how == JOURNAL_FULL ? keep(j, ring, b, piece) : 0;
}

void journal_body_end(struct journal_body *b)
{
    b->ended = true;
    if (!b->hashing_)
        return;
    b->hashing_ = false;
    sha256_peek(&b->hash_, b->sha);
    sha256_wipe(&b->hash_);
}
