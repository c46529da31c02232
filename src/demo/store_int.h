/*
 * Objects that have an id, in memory. Each has its JSON text and a second text, whose meaning is
 * its kind's: the content of a file, the items of a conversation. Texts go in and come out as
 * copies, so that no lock is held while a reply waits; one demo listener runs per loop thread and
 * all of them share the store. It holds at most 1,000 objects of a kind and 64 MiB; the oldest go
 * first.
 */
#ifndef SF_DEMO_STORE_INT_H
#define SF_DEMO_STORE_INT_H

#include "base/buf.h"

enum store_kind {
    STORE_FILE,
    STORE_FILE_ANTHROPIC,
    STORE_FILE_GEMINI,
    STORE_RESPONSE,
    STORE_CONVERSATION,
    STORE_UPLOAD,
    STORE_BATCH,
    STORE_BATCH_ANTHROPIC,
    STORE_BATCH_GEMINI,
    STORE_CACHE_GEMINI,
    STORE_KINDS
};

#define STORE_OBJECTS 1000       /* of one kind */
#define STORE_BYTES   (64 * MIB) /* of all texts */

/* Adds or replaces. 0, -ENOMEM, or -ENOSPC for an object larger than the whole store. */
int store_put(enum store_kind k, struct str id, struct str json, struct str more);
/* Appends its texts; json or more may be NULL. False when there is none. */
bool store_get(enum store_kind k, struct str id, struct buf *json, struct buf *more);
bool store_delete(enum store_kind k, struct str id);
/* Appends the JSON of up to limit objects, newest first, behind the one called after (empty: from
 * the start), with commas between. first and last get their ids, 64 bytes each. */
struct store_page {
    unsigned n;
    bool more;
    char first[64], last[64];
};
void store_list(
    enum store_kind k, struct str after, unsigned limit, struct buf *out, struct store_page *ret);
void store_reset(void); /* for tests */

#endif
