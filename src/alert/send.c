/*
 * One try at one destination, and the test that an administrator asks for.
 */
#include "alert/alert_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TEST_TIMEOUT (10 * NS_PER_S)
#define BODY_BYTES   (64 * KIB)

enum post_result alert_post(enum alert_destination d, struct post_target *t,
    const struct secret *key, const struct alert_item *i, struct str node, struct post_reply *ret)
{
    _cleanup_(buf_free) struct buf body = {0}, fields = {0};
    struct post p = {.timeout = TEST_TIMEOUT};

    buf_init(&body, BODY_BYTES);
    buf_init(&fields, 4 * KIB);
    alert_render(d, i, node, &body);
    buf_addstr(&fields, STR("content-type: application/json\r\nuser-agent: smartflow\r\n"));
    if (d == ALERT_WEBHOOK || d == ALERT_GIVEN)
        buf_printf(&fields, "idempotency-key: %s\r\n", i->id);
    if (d == ALERT_WEBHOOK && secret_is_set(key))
        alert_sign(key, clock_wall(), buf_str(&body), &fields);
    if (body.err || fields.err) {
        *ret = (struct post_reply){.why = "the alert is too large"};
        return POST_REFUSED;
    }
    p.body = buf_str(&body);
    p.fields = buf_str(&fields);
    return post_send(t, &p, ret);
}

/* --- the test --- */

static void put_result(
    struct buf *out, enum alert_destination d, bool ok, int status, const char *why)
{
    buf_printf(out,
        "%s{\"destination\":\"%s\",\"ok\":%s,\"http_status\":%d,\"error\":", out->n > 1 ? "," : "",
        alert_destination_words[d], ok ? "true" : "false", status);
    if (ok)
        buf_addstr(out, STR("null"));
    else
        buf_addjson(out, str_of(why));
    buf_addc(out, '}');
}

static void test_one(enum alert_destination d, const struct alert_settings *s,
    const struct post_route *route, const struct alert_item *i, struct str node, struct buf *out)
{
    struct post_target *t = NULL;
    struct post_reply reply = {0};
    bool ok = false;

    if (post_target_new(secret_reveal(&s->urls[d]), route, false, &t, reply.why) == 0)
        ok = alert_post(d, t, &s->webhook_secret, i, node, &reply) == POST_DONE;
    put_result(out, d, ok, reply.status, reply.why);
    post_target_unref(t);
}

void alert_test(const struct alert_settings *s, const struct post_route *route, struct str node,
    struct buf *out)
{
    const struct alert a = {.kind = ALERT_CUSTOM,
        .severity = ALERT_INFO,
        .subject = STR("test"),
        .title = STR("Smartflow test alert"),
        .text = STR("This is a test: alerts of this gateway reach you here.")};
    struct alert_item *i = alert_item_new(&a);

    buf_addc(out, '[');
    for (int d = 0; i && d < ALERT_GIVEN; d++)
        if (secret_is_set(&s->urls[d]))
            test_one((enum alert_destination)d, s, route, i, node, out);
    buf_addc(out, ']');
    free(i);
}
