/*
 * What starting needs besides threads: data folder, keys that are made at first start, the demo's
 * address, the lines that a newcomer sees.
 */
#ifndef SF_GATEWAY_SERVE_INT_H
#define SF_GATEWAY_SERVE_INT_H

#include "config/config.h"
#include "runtime/loop.h"

enum service { SERVICE_PROXY, SERVICE_MANAGEMENT, SERVICE_DEMO, SERVICES };

/* Level, form and file of the log; at start and at every reload. */
void serve_set_log(const struct config *c);
/* Makes the data folder (0700); 0 or -errno, logged. */
int serve_data_dir(const struct config *c);
/* Fills what a snapshot takes from the running program: the demo's address and key, the admin key
 * that was made at first start. was: the snapshot before, NULL at start. */
void serve_adopt(struct config *c, const struct config *was, const uint16_t *ports);
/* The demo runs when it is asked for, or when no provider is configured. */
bool serve_wants_demo(const struct config *c);
/* Addresses, a key and three lines of curl to paste. */
void serve_banner(const struct config *c, const uint16_t *ports, bool tls);

/* memory.c: returns free heap pages; on the first loop's thread, from start to stop. */
void serve_watch_memory(void);
void serve_stop_watching(void);

/* leases.c: secrets that are kept elsewhere are read anew in time. changed is called on that loop
 * when one is another. Once the offload pool runs, and after each reload. */
void serve_keep_secrets(const struct config *c, struct loop *to, void (*changed)(void));
void serve_leave_secrets(void); /* before that pool and that loop end */

#endif
