/* WebSocket calls. */
#include "base/macros.h"
#include "gateway/gateway_int.h"

int gw_ws_accept(struct exchange *x)
{
    return exchange_fail(x, 426, STR("upgrade_required"), STR("WebSocket handshake expected"));
}

bool gw_ws_send_error(struct exchange *x)
{
    return x->ws != NULL && false;
}

void gw_ws_free(struct ws_front *w)
{
    (void)w;
}

int gw_call_websocket(struct exchange *x)
{
    return exchange_fail(x, 426, STR("upgrade_required"), STR("WebSocket handshake expected"));
}
