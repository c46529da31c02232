/*
 * What is put on or taken off a counter by hand: a reset, or what a rotated key takes over. It goes
 * onto the journal like all money, so that what the ledger makes from it stays equal to the
 * counters, also after a restart.
 *
 *   {"at":…,"counter":"{ORG}k:ID:m2026-11","event":"spend_adjust","expires":…,"nano":-123}
 */
#include "base/clock.h"
#include "journal/payload.h"
#include "ledger/ledger_int.h"
#include "json/scan.h"

#include <errno.h>

#define ADJUST_WAIT_NS (10 * NS_PER_S)

int ledger_adjust(void *ctx, struct str counter, int64_t nano, int64_t expires_at)
{
    _cleanup_(buf_free) struct buf out = {0};
    struct journal *j = ledger_journal();
    struct journal_ticket t;
    struct payload p;
    (void)ctx;

    if (!j)
        return 0;
    buf_init(&out, JOURNAL_PAYLOAD_BYTES);
    payload_begin(&p, &out);
    payload_int(&p, "at", clock_wall());
    payload_str(&p, "counter", counter);
    payload_str(&p, "event", STR("spend_adjust"));
    payload_int(&p, "expires", expires_at);
    payload_int(&p, "nano", nano);
    int r = payload_end(&p);
    if (r == 0)
        r = journal_append(j, JOURNAL_OTHER, buf_str(&out), &t);
    return r < 0 ? r : journal_wait(j, &t, clock_now() + ADJUST_WAIT_NS);
}

static int64_t number(struct str literal)
{
    bool minus = literal.n && literal.p[0] == '-';
    uint64_t n = 0;

    if (json_u64(minus ? str_from(literal, 1) : literal, &n) < 0 || n > INT64_MAX)
        return 0;
    return minus ? -(int64_t)n : (int64_t)n;
}

/* Names of counters hold no character that JSON escapes (keys/counters.c). */
bool adjust_read(struct str payload, struct adjustment *ret)
{
    const struct str names[] = {STR_INIT("event"), STR_INIT("counter"), STR_INIT("nano"),
        STR_INIT("expires"), STR_INIT("at")};
    struct str v[5];

    json_members(payload, names, v, 5);
    if (!str_eq(v[0], STR("\"spend_adjust\"")) || v[1].n < 3)
        return false;
    *ret = (struct adjustment){.at = number(v[4]),
        .nano = number(v[2]),
        .expires_at = number(v[3]),
        .counter = str_at(v[1].p + 1, v[1].n - 2)};
    return true;
}
