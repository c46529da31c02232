/*
 * Whose a thing is that a provider made and keeps: files, uploads, batches, responses,
 * conversations, Gemini's files and caches. A record says which provider made it, with which of the
 * provider's keys (its account, where the thing lies), and which organisation, team and key asked
 * for it. The team is the owner; of a key without a team the key itself.
 *
 * This is the memory in front: the last OWNED_MAX records of the process, the least recently used
 * go first. What lasts is a table of the store (gateway/own_store.c), which is written behind: a
 * record that is new waits in a queue, and stays in memory until it was written. All threads share
 * it under one mutex, held for a look-up. Nothing here suspends.
 */
#ifndef SF_ROUTE_OWNED_H
#define SF_ROUTE_OWNED_H

#include "base/arena.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

#define OWNED_ID_BYTES   256 /* the longest id; longer ones are nobody's */
#define OWNED_TEXT_BYTES 128 /* of any other text of a record */
#define OWNED_MAX        100000
#define OWNED_QUEUE_MAX  50000

enum owned_kind {
    OWNED_THING,
    OWNED_RESPONSE,      /* providers forget them in time, and so does the store */
    OWNED_BATCH,         /* whose cost is booked when it ends */
    OWNED_MESSAGE_BATCH, /* likewise, Anthropic's */
    OWNED_OUTPUT,        /* a file that a batch wrote */
    OWNED_GEMINI_BATCH,  /* a batch, too: these numbers are in the store, so new ones go last */
    OWNED_KINDS
};

struct owned {
    struct str id;
    enum owned_kind kind;
    struct str provider, upstream_key; /* upstream_key: struct upstream_key's id; empty = any */
    struct str org, team, user, key;   /* team and key empty: nobody knows */
    struct str customer;               /* of a batch: the end customer of the call */
    struct str batch;                  /* of OWNED_OUTPUT: who wrote it */
    int64_t created_at;                /* wall ns */
};

static inline bool owned_is_batch(const struct owned *o)
{
    return o->kind == OWNED_BATCH || o->kind == OWNED_MESSAGE_BATCH ||
           o->kind == OWNED_GEMINI_BATCH;
}

static inline bool owned_is_known(const struct owned *o)
{
    return o->team.n || o->key.n;
}

/* Copies *o. The first record of an id stays, whoever comes later; true when this one is it. write:
 * it is put into the queue. False also for ids that no provider makes (bytes beyond printable
 * ASCII) and without memory. Any thread. */
bool owned_put(const struct owned *o, bool write);
/* A copy in the arena; NULL: not in memory. */
const struct owned *owned_get(struct str id, struct arena *a);
/* Whether it is in memory. */
bool owned_has(struct str id);

/* The queue, for the one that writes: up to max records, to be given back by owned_wrote():
 * written, or else to be tried again. */
unsigned owned_take(const struct owned **ret, unsigned max);
void owned_wrote(const struct owned *const *at, unsigned n, bool written);
/* fn is called by the thread that puts the first record into an empty queue, with the lock held: it
 * must neither suspend nor call anything of this file. Behind the call that takes it away (NULL) it
 * runs no more. */
void owned_on_queued(void (*fn)(void));
/* Records in memory; those that wait; those that were not queued because too many waited. */
void owned_counts(size_t *ret_n, size_t *ret_queued, uint64_t *ret_unwritten);
void owned_clear(void); /* at the end, and in tests */

#endif
