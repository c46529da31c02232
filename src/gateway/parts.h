/*
 * The parts behind the control plane, one of each a process: durable store, vault, shared store,
 * journal, catalogue of keys, ledger. Opened in that order before any loop runs, closed in the
 * other.
 */
#ifndef SF_GATEWAY_PARTS_H
#define SF_GATEWAY_PARTS_H

#include "config/config.h"
#include "journal/journal.h"
#include "keys/catalog.h"
#include "keys/registry.h"
#include "store/shared.h"
#include "store/store.h"
#include "vault/vault.h"

struct parts {
    struct store *store;
    struct vault *vault;
    struct shared *shared;
    struct journal *journal; /* NULL: SMARTFLOW_JOURNAL=off */
    struct catalog *catalog;
    struct registry *registry;
    char node[64];
};

extern struct parts parts;

/* Opens all; what fails is logged with what to do. 0 or -errno. threads: loop threads. */
int parts_open(const struct config *c, unsigned threads);
/* On the first loop, before it runs: connections, the projector, the follower of changes. */
int parts_start(void);
/* On the first loop, when calls have ended. May suspend. */
void parts_stop(void);
/* After all loops. */
void parts_close(void);
/* A new snapshot: its keys go into the catalogue. On the first loop. */
void parts_take_config(const struct config *c);

/* reload runs on the first loop when settings, prices or provider keys may have changed, here or on
 * another node; it must not suspend. Set before parts_start(). */
void parts_on_reload(void (*reload)(void));
/* Tells this and all other nodes that they have. Any loop. */
void parts_tell_reload(void);

/* snapshot.c: a new snapshot of everything. fresh: referred secrets are read anew. Suspends, or
 * blocks a plain thread. 0, or -errno with every problem logged. */
int snapshot_make(const char *path, bool fresh, struct config **ret);
int64_t snapshot_version(void);
/* The version that the newest snapshot was made of: what came since is still to be read. -1: none.
 */
int64_t snapshot_made_of(void);

#endif
