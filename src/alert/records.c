/*
 * The rows of the table `alerts`: written when an alert is on its way, and again when its last
 * destination has it or has been given up.
 */
#include "alert/alert_int.h"

#include "metrics/metrics.h"
#include "store/store.h"

#include <stdlib.h>

#define KEEP_NS (90 * 86400 * NS_PER_S)

static struct metric_family lost = {
    .name = "smartflow_alert_rows_lost_total",
    .help = "Rows about alerts that could not be written.",
    .type = METRIC_COUNTER,
};

static void check(int r)
{
    if (r < 0)
        metric_add(metric_get(&lost, NULL, 0), 1);
}

const char *alert_status(const struct alert_item *i)
{
    unsigned waits = 0, sent = 0, failed = 0;

    for (unsigned d = 0; d < ALERT_DESTINATIONS; d++) {
        waits += i->to[d].state == DELIVERY_WAITS;
        sent += i->to[d].state == DELIVERY_SENT;
        failed += i->to[d].state == DELIVERY_FAILED;
    }
    if (waits)
        return "pending";
    if (sent)
        return failed ? "partial" : "sent";
    return failed ? "failed" : "recorded";
}

static void add_deliveries(const struct alert_item *i, struct buf *out)
{
    static const char *const states[] = {"", "pending", "sent", "failed"};

    buf_addc(out, '{');
    for (unsigned d = 0; d < ALERT_DESTINATIONS; d++) {
        const struct delivery *to = &i->to[d];
        if (to->state == DELIVERY_NONE)
            continue;
        buf_printf(out, "%s\"%s\":{\"status\":\"%s\",\"tries\":%u,\"http_status\":%d,\"error\":",
            out->n > 1 ? "," : "", alert_destination_words[d], states[to->state], to->tries,
            to->status);
        buf_addjson(out, str_of(to->why));
        buf_addc(out, '}');
    }
    buf_addc(out, '}');
}

void alert_record(struct store *s, const struct alert_item *i, struct str node)
{
    _cleanup_(buf_free) struct buf to = {0};

    if (!s)
        return;
    buf_init(&to, 16 * KIB);
    add_deliveries(i, &to);
    const struct store_value v[] = {
        store_text(str_of(i->id)),
        store_int(i->at),
        store_text(node),
        store_text(str_of(alert_kind_words[i->a.kind])),
        store_text(str_of(alert_severity_words[i->a.severity])),
        store_text(i->a.subject),
        store_text(i->a.title),
        store_text(i->a.text),
        store_text(i->a.details.n ? i->a.details : STR("{}")),
        store_int((int64_t)i->repeats),
        store_text(str_of(alert_status(i))),
        store_text(buf_str(&to)),
        store_int(clock_wall()),
    };
    check(store_exec(s,
        "INSERT INTO alerts (id, at, node, kind, severity, subject, title, message, details, "
        "repeats, status, deliveries, updated_at) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        v, ARRAY_LEN(v), NULL, NULL));
}

void alert_record_end(struct store *s, const struct alert_item *i)
{
    _cleanup_(buf_free) struct buf to = {0};

    if (!s)
        return;
    buf_init(&to, 16 * KIB);
    add_deliveries(i, &to);
    const struct store_value v[] = {store_text(str_of(i->id)), store_text(str_of(alert_status(i))),
        store_text(buf_str(&to)), store_int(clock_wall())};
    check(store_exec(s,
        "UPDATE alerts SET status = ?2, deliveries = ?3, updated_at = ?4 WHERE id = ?1", v,
        ARRAY_LEN(v), NULL, NULL));
}

void alert_forget_old(struct store *s)
{
    const struct store_value before = store_int(clock_wall() - KEEP_NS);

    if (s)
        check(store_exec(s, "DELETE FROM alerts WHERE at < ?1", &before, 1, NULL, NULL));
}
