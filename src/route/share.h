/*
 * What nodes tell each other of their targets: how long calls take there, and who asked to be left
 * alone. Once a second, what changed, in one message; whoever misses one hears the next. Breakers
 * are each node's own: one node that cannot reach a provider must not close it to the others.
 */
#ifndef SF_ROUTE_SHARE_H
#define SF_ROUTE_SHARE_H

#include "route/rules.h"
#include "store/shared.h"

#define ROUTE_CHANNEL "routing"

/* A message that came; node: this one's own name. */
void route_share_heard(struct str node, struct str message);
/* What there is to be told, as a message; empty: nothing. Appends to out. */
void route_share_tell(struct str node, struct buf *out);

#endif
