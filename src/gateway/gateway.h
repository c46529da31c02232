/*
 * The gateway's front: what a proxy listener calls for each request.
 */
#ifndef SF_GATEWAY_GATEWAY_H
#define SF_GATEWAY_GATEWAY_H

#include "config/config.h"
#include "http/server.h"

/* Handles one request on the proxy port, in its coroutine. */
void gateway_handle(struct http_request *rq, void *ctx);
/* Loop context: true when the process holds as many exchanges as it may. */
bool gateway_overloaded(void *ctx);
/* Malformed heads, 408, 431: the body in the dialect that the path suggests. */
void gateway_render_error(struct buf *out, int status, struct str path, const char *why, void *ctx);

/* Runs the program until it is told to stop: listeners, threads, signals, reload, drain. Returns
 * the process exit code. */
int gateway_serve(struct config *first, const char *config_path);

#endif
