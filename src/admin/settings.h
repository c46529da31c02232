/*
 * Settings and prices that the API changed: rows of the store's table `settings`, laid over the
 * environment and the file when a snapshot is loaded. The gateway does that at start, and again
 * when admin_env.reload or a row in `changes` of kind ADMIN_SETTINGS_KIND says so.
 */
#ifndef SF_ADMIN_SETTINGS_H
#define SF_ADMIN_SETTINGS_H

#include "config/config.h"

struct store;

#define ADMIN_SETTINGS_KIND "setting"

/* What the store lays over, read in one go; owned by the caller. */
struct admin_overlay {
    char *
        *environ; /* the process's environment with the store's settings in it: for config_load() */
    unsigned settings; /* how many of them are the store's */
    char *prices;      /* a JSON object in LiteLLM's format, NUL-terminated; NULL = none */
};

/* Reads it. Suspends where the caller is a coroutine; any thread may call. 0, or a store's error
 * with err (STORE_ERR_BYTES) filled; -ENOMEM. */
int admin_overlay_load(struct store *s, char *const *env, struct admin_overlay *ret, char *err);
void admin_overlay_free(struct admin_overlay *o); /* wipes; also on a zeroed one */

/* The prices of the overlay over those that the snapshot's file gave, before the snapshot is in
 * use. 0, or a negative errno with err (256 bytes) filled: the snapshot is as it was. */
int admin_overlay_prices(const struct admin_overlay *o, struct config *c, char *err, size_t err_n);

#endif
