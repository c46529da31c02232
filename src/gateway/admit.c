/*
 * Requests in flight, counted over all threads; beyond the maximum the server sheds at once, before
 * anything is parsed.
 */
#include "gateway/gateway_int.h"

#include <stdatomic.h>

static atomic_uint in_flight;

bool gw_admit(struct config *c)
{
    if (atomic_fetch_add_explicit(&in_flight, 1, memory_order_relaxed) < c->max_in_flight)
        return true;
    gw_release();
    return false;
}

void gw_release(void)
{
    atomic_fetch_sub_explicit(&in_flight, 1, memory_order_relaxed);
}

unsigned gw_in_flight(void)
{
    return atomic_load_explicit(&in_flight, memory_order_relaxed);
}

bool gateway_overloaded(void *ctx)
{
    (void)ctx;
    return gw_in_flight() >= config_current()->max_in_flight;
}
