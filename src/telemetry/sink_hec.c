/*
 * Splunk's HTTP Event Collector: many events in one request, one JSON object behind the other.
 */
#include "telemetry/sinks_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct hec {
    struct post_target *to;
    struct secret token;
    struct str node;
    bool own_path; /* the address has none: the collector's usual one */
    char index[128];
};

static int64_t hec_interval(const void *state)
{
    (void)state;
    return NS_PER_S;
}

static void hec_close(void *state)
{
    struct hec *h = state;

    post_target_unref(h->to);
    secret_free(&h->token);
    free(h);
}

static int hec_open(const struct sink_settings *s, const struct post_route *route, struct str node,
    void **ret, char why[static POST_ERR_BYTES])
{
    struct hec *h;
    int r;

    if (!s->hec_url.n)
        return 0;
    if (!secret_is_set(&s->hec_token) || s->hec_index.n >= sizeof h->index) {
        snprintf(why, POST_ERR_BYTES, "it needs SMARTFLOW_SINK_HEC_TOKEN");
        return -EINVAL;
    }
    if (!(h = calloc(1, sizeof *h)))
        return -ENOMEM;
    if (s->hec_index.n)
        memcpy(h->index, s->hec_index.p, s->hec_index.n);
    h->node = node;
    r = secret_set(&h->token, secret_reveal(&s->hec_token));
    if (r == 0)
        r = post_target_new(str_trim(s->hec_url), route, false, &h->to, why);
    if (r < 0) {
        hec_close(h);
        return r;
    }
    h->own_path = str_eq(post_target_path(h->to), STR("/"));
    *ret = h;
    return 0;
}

/* "2026-11-21T10:40:00.123Z" as seconds with a fraction. */
static bool add_epoch(struct str time, struct buf *out)
{
    struct tm tm = {0};
    char text[25];

    if (time.n != 24)
        return false;
    memcpy(text, time.p, 24);
    text[24] = 0;
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest || rest != text + 19)
        return false;
    buf_printf(out, "\"time\":%" PRId64 "%.4s,", (int64_t)timegm(&tm), rest);
    return true;
}

void hec_event(struct str line, struct str node, struct str index, struct buf *out)
{
    buf_addc(out, '{');
    add_epoch(sink_line_time(line), out);
    buf_addstr(out, STR("\"host\":"));
    buf_addjson(out, node);
    buf_addstr(out, STR(",\"source\":\"smartflow\",\"sourcetype\":\"_json\","));
    if (index.n) {
        buf_addstr(out, STR("\"index\":"));
        buf_addjson(out, index);
        buf_addc(out, ',');
    }
    buf_addstr(out, STR("\"event\":"));
    buf_addstr(out, line);
    buf_addc(out, '}');
}

static enum post_result hec_send(void *state, const struct sink_batch *b, struct post_reply *ret)
{
    _cleanup_(buf_free) struct buf body = {0}, fields = {0};
    struct hec *h = state;
    struct str rest = b->lines;

    buf_init(&body, 8 * MIB);
    buf_init(&fields, 8 * KIB);
    while (rest.p && rest.n)
        hec_event(str_split(&rest, '\n'), h->node, str_of(h->index), &body);
    struct str token = secret_reveal(&h->token);
    buf_addstr(&fields, STR("content-type: application/json\r\nauthorization: Splunk "));
    buf_addstr(&fields, token);
    buf_addstr(&fields, STR("\r\n"));
    if (body.err || fields.err) {
        snprintf(ret->why, sizeof ret->why, "the lines are too large");
        return POST_REFUSED;
    }
    struct post p = {.target = h->own_path ? STR("/services/collector/event") : STR_NONE,
        .fields = buf_str(&fields),
        .body = buf_str(&body)};
    enum post_result r = post_send(h->to, &p, ret);
    mem_wipe(fields.p, fields.n);
    return r;
}

const struct sink_ops sink_hec = {
    .name = "hec",
    .variable = "SMARTFLOW_SINK_HEC_URL",
    .open = hec_open,
    .send = hec_send,
    .close = hec_close,
    .interval = hec_interval,
    .batch_bytes = 512 * KIB,
};
