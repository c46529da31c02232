/*
 * What operators ask: health, metrics, coroutines. Served on the management port and, unless it is
 * switched off, on the proxy port too.
 */
#ifndef SF_ADMIN_ADMIN_H
#define SF_ADMIN_ADMIN_H

#include "config/config.h"
#include "http/server.h"

/* True when the path was one of these and has been answered. on_proxy: came in on the proxy port.
 */
bool admin_handle(struct http_request *rq, struct config *c, bool on_proxy);

/* The handler of the management port: admin_handle() or 404. */
void admin_serve(struct http_request *rq, void *ctx);

/* The loops whose coroutines /debug/coroutines lists; set once at start. */
struct loop;
void admin_set_loops(struct loop *const *loops, unsigned n);
/* Draining: readiness says so, that a load balancer turns away. */
void admin_set_draining(bool on);

#endif
