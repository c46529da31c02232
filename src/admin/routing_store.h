/*
 * Rules of routing that the API changed: rows of the store's table `routing`, laid over those of
 * the file when a snapshot is made. A change there is a row in `changes` of kind
 * ADMIN_SETTINGS_KIND, so that every node makes a new snapshot.
 */
#ifndef SF_ADMIN_ROUTING_STORE_H
#define SF_ADMIN_ROUTING_STORE_H

#include "config/config.h"
#include "store/store.h"

#define ROUTING_CHAIN_KIND "chain"
#define ROUTING_TIERS_KIND "tiers"
#define ROUTING_FORCE_KIND "force"

/* All rows. Suspends where the caller is a coroutine. 0, or a store's error with err filled. */
int admin_routing_load(struct store *s, struct store_rows **ret, char *err);
/* Lays them over c's, before c is in use. A rule that is no longer good (its provider's deployment
 * is gone) is left out and told to problem. */
void admin_routing_apply(const struct store_rows *rows, struct config *c,
    void (*problem)(void *ctx, struct str kind, struct str name, struct str why), void *ctx);

#endif
