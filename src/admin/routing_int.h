/* The handlers of /api/routing: changes (routing_api.c), what is seen (routing_view.c), what would
 * be done (routing_simulate.c). */
#ifndef SF_ADMIN_ROUTING_INT_H
#define SF_ADMIN_ROUTING_INT_H

#include "admin/api.h"
#include "admin/routing_store.h"
#include "route/route.h"

extern const struct admin_schema routing_chain_body, routing_chain_schema;

/* Milliseconds with three decimals; ns < 0: null. */
void routing_put_ms(struct buf *b, const char *name, int64_t ns);

int routing_status(struct admin_call *c);
int routing_performance(struct admin_call *c);
extern const struct admin_schema routing_performance_query, routing_performance_schema;
int routing_simulate(struct admin_call *c);
extern const struct admin_schema routing_simulate_body;

#endif
