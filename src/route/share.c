/* See route/share.h. A message: the node's name, then lines "where<TAB>model<TAB>flow<TAB>p95 in
 * µs<TAB>rests for ms". */
#include "route/share.h"

#include "base/buf.h"

#include <stdio.h>

#define MESSAGE_ROOM 512 /* of one line */

static void tell_one(struct route_state *s, struct buf *out)
{
    int64_t now = clock_now();
    long long rest = (long long)(route_state_own_rest(s, now) / NS_PER_MS);

    for (unsigned f = 0; f < ROUTE_FLOWS; f++) {
        int64_t p95 = 0;
        bool news = route_state_take_news(s, f, &p95);
        if (!news && (!rest || f > 0))
            continue;
        buf_printf(out, STR_FMT "\t" STR_FMT "\t%u\t%lld\t%lld\n", STR_ARG(route_state_where(s)),
            STR_ARG(route_state_model(s)), f, news ? (long long)(p95 / NS_PER_US) : -1LL, rest);
    }
}

void route_share_tell(struct str node, struct buf *out)
{
    struct route_state *s;
    size_t before;

    buf_printf(out, STR_FMT "\n", STR_ARG(node));
    before = out->n;
    for (unsigned i = 0; (s = route_state_at(i)) && out->max - out->n > MESSAGE_ROOM; i++)
        tell_one(s, out);
    if (out->n == before)
        buf_clear(out);
}

static void hear_line(struct str line)
{
    struct str where = str_split(&line, '\t'), model = str_split(&line, '\t');
    struct str flow = str_split(&line, '\t'), p95 = str_split(&line, '\t');
    struct route_state *s = route_state_get(where, model);
    uint64_t f, us, ms;

    if (!s || str_u64(flow, &f) < 0 || f >= ROUTE_FLOWS)
        return;
    if (str_u64(p95, &us) == 0 && us < UINT32_MAX) /* -1: nothing new */
        route_state_heard(s, (enum route_flow)f, (int64_t)us * NS_PER_US, clock_now());
    if (str_u64(line, &ms) == 0 && ms > 0)
        route_state_heard_rest(s,
            clock_now() + MIN((int64_t)MIN(ms, (uint64_t)3600000) * NS_PER_MS, ROUTE_REST_MAX_NS));
}

void route_share_heard(struct str node, struct str message)
{
    if (str_eq(str_split(&message, '\n'), node))
        return;
    while (message.p && message.n) {
        struct str line = str_split(&message, '\n');
        if (line.n)
            hear_line(line);
    }
}
