/*
 * The coroutine that tells alerts. It lives on the first loop, and everything in this file does but
 * where said otherwise.
 *
 * Each destination of an alert is tried up to five times, 1, 6, 36 and 216 seconds apart, or as
 * late as the destination asks. One that fails is left alone for a while by other alerts too, so
 * that a dead one does not hold up the others.
 */
#include "alert/alert_int.h"

#include "base/log.h"
#include "crypto/digest.h"
#include "crypto/encode.h"
#include "keys/limits.h"
#include "keys/record.h"
#include "metrics/metrics.h"
#include "runtime/sync.h"
#include "store/shared.h"
#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_PAUSE NS_PER_S
#define PAUSE_TIMES 6
#define PAUSE_MAX   (300 * NS_PER_S)
#define REST_MAX    (15 * NS_PER_S) /* of a destination after one failure */
#define STOP_WAIT   (3 * NS_PER_S)
#define SWEEP_NS    (3600 * NS_PER_S)

const char *const alert_kind_words[] = {[ALERT_BUDGET] = "BudgetThreshold",
    [ALERT_PROVIDER] = "ProviderFailure",
    [ALERT_SLOW] = "SlowRequest",
    [ALERT_CUSTOM] = "Custom",
    NULL};
const char *const alert_severity_words[] = {"info", "warning", "critical", NULL};
const char *const alert_destination_words[] = {[ALERT_SLACK] = "slack",
    [ALERT_TEAMS] = "teams",
    [ALERT_DISCORD] = "discord",
    [ALERT_WEBHOOK] = "webhook",
    [ALERT_GIVEN] = "webhook_url",
    NULL};
static const char *const variables[] = {[ALERT_SLACK] = "SLACK_WEBHOOK_URL",
    [ALERT_TEAMS] = "TEAMS_WEBHOOK_URL",
    [ALERT_DISCORD] = "DISCORD_WEBHOOK_URL",
    [ALERT_WEBHOOK] = "SMARTFLOW_ALERT_WEBHOOK_URL"};

static struct metric_family deliveries = {
    .name = "smartflow_alert_deliveries_total",
    .help = "Tries to tell an alert, by destination: sent, retry, or failed for good.",
    .type = METRIC_COUNTER,
    .labels = {"destination", "result"},
};

static struct teller {
    struct co *co;
    struct event news, ended;
    bool running, stop;
    struct store *store;
    struct shared *shared;
    struct str node;
    struct sender to[ALERT_DESTINATIONS];
    struct post_route route; /* for addresses that an alert brings; references its owner */
    int64_t repeat;
    int64_t swept_at;
    struct list open; /* alerts with destinations to go */
    unsigned open_n;
} me;

/* --- one delivery --- */

static void count(enum alert_destination d, enum post_result r)
{
    static const char *const words[] = {"sent", "retry", "failed"};

    metric_add(metric_get(&deliveries,
                   (struct str[]){str_of(alert_destination_words[d]), str_of(words[r])}, 2),
        1);
}

static void log_failed(const struct alert_item *i, enum alert_destination d)
{
    struct logline l;

    if (!log_begin(&l, LOG_WARN, "an alert could not be sent"))
        return;
    log_str(&l, "alert", str_of(i->id));
    log_str(&l, "destination", str_of(alert_destination_words[d]));
    log_int(&l, "tries", i->to[d].tries);
    log_str(&l, "why", str_of(i->to[d].why));
    log_end(&l);
}

static void give_up(struct alert_item *i, enum alert_destination d)
{
    i->to[d].state = DELIVERY_FAILED;
    count(d, POST_REFUSED);
    log_failed(i, d);
}

static void after_try(
    struct alert_item *i, enum alert_destination d, enum post_result r, const struct post_reply *a)
{
    struct delivery *to = &i->to[d];

    to->tries++;
    to->status = a->status;
    memcpy(to->why, a->why, sizeof to->why);
    if (r == POST_DONE) {
        to->state = DELIVERY_SENT;
        count(d, r);
    } else if (r == POST_REFUSED || to->tries >= ALERT_TRIES || me.stop) {
        give_up(i, d);
    } else {
        int64_t pause = post_pause(to->tries, FIRST_PAUSE, PAUSE_TIMES, PAUSE_MAX, a->retry_after);
        to->due = clock_now() + pause;
        if (d != ALERT_GIVEN)
            me.to[d].not_before =
                clock_now() + MAX(MIN(pause, REST_MAX), MIN(a->retry_after, PAUSE_MAX));
        count(d, r);
    }
}

static void try_one(struct alert_item *i, enum alert_destination d)
{
    struct post_target *t = NULL;
    struct post_reply reply = {0};
    enum post_result r = POST_REFUSED;

    if (d == ALERT_GIVEN) {
        if (post_target_new(i->a.url, &me.route, true, &t, reply.why) < 0)
            t = NULL;
    } else if (me.to[d].to) {
        t = post_target_ref(me.to[d].to);
    } else {
        snprintf(reply.why, sizeof reply.why, "its address was taken away");
    }
    if (t)
        r = alert_post(d, t, &me.to[d].key, i, me.node, &reply);
    post_target_unref(t);
    after_try(i, d, r, &reply);
}

/* --- alerts that are open --- */

static bool is_open(const struct alert_item *i)
{
    for (unsigned d = 0; d < ALERT_DESTINATIONS; d++)
        if (i->to[d].state == DELIVERY_WAITS)
            return true;
    return false;
}

static void close_item(struct alert_item *i)
{
    list_remove(&i->node);
    me.open_n--;
    alert_record_end(me.store, i);
    free(i);
}

static int64_t due_of(const struct alert_item *i, unsigned d)
{
    return MAX(i->to[d].due, me.to[d].not_before);
}

/* The delivery that is due first: its time, or NEVER_NS. */
static int64_t first_due(struct alert_item **ret, enum alert_destination *ret_d)
{
    int64_t first = NEVER_NS;

    list_each(&me.open, n)
    {
        struct alert_item *i = list_entry(n, struct alert_item, node);
        for (unsigned d = 0; d < ALERT_DESTINATIONS; d++) {
            if (i->to[d].state != DELIVERY_WAITS || due_of(i, d) >= first)
                continue;
            first = due_of(i, d);
            *ret = i;
            *ret_d = (enum alert_destination)d;
        }
    }
    return first;
}

/* Whether this node is the one to tell it. Where the shared store is away, each node does. */
static bool is_ours(const struct alert_item *i)
{
    uint8_t hash[SHA256_BYTES];
    char key[6 + HEX_SIZE(16)] = "alert:";

    if (!me.shared || !shared_is_remote(me.shared) || me.repeat <= 0)
        return true;
    const struct str parts[] = {str_of(alert_kind_words[i->a.kind]), STR(":"), i->a.subject};
    sha256_parts(parts, ARRAY_LEN(parts), hash);
    hex_encode(str_at((const char *)hash, 16), key + 6);
    /* a little shorter, or the next one of this node would be kept back by its own mark */
    return shared_set(me.shared, str_at(key, sizeof key), me.node,
               MAX(me.repeat - me.repeat / 16, NS_PER_MS), true) != -EEXIST;
}

/* Not to be waited for: when too many are open, the oldest goes. */
static void make_room(void)
{
    struct list *oldest = me.open.next;

    if (me.open_n < ALERT_QUEUE)
        return;
    struct alert_item *i = list_entry(oldest, struct alert_item, node);
    for (unsigned d = 0; d < ALERT_DESTINATIONS; d++) {
        if (i->to[d].state != DELIVERY_WAITS)
            continue;
        snprintf(i->to[d].why, sizeof i->to[d].why, "too many alerts were waiting");
        give_up(i, (enum alert_destination)d);
    }
    close_item(i);
}

static void open_item(struct alert_item *i)
{
    if (!is_ours(i)) {
        free(i);
        return;
    }
    make_room();
    for (unsigned d = 0; d < ALERT_DESTINATIONS; d++)
        if (d == ALERT_GIVEN ? i->a.url.n > 0 : me.to[d].to != NULL)
            i->to[d].state = DELIVERY_WAITS;
    list_push_back(&me.open, &i->node);
    me.open_n++;
    alert_record(me.store, i, me.node);
    if (!is_open(i))
        close_item(i);
}

static void sweep(void)
{
    if (me.swept_at && clock_now() - me.swept_at < SWEEP_NS)
        return;
    me.swept_at = clock_now();
    alert_forget_old(me.store);
}

/* --- the coroutine --- */

/* Opens what came and sends what is due; returns when something is due next. */
static int64_t work(void)
{
    struct alert_item *i = NULL;
    enum alert_destination d = ALERT_SLACK;
    int64_t due;

    for (;;) {
        while ((i = alert_queue_take()) != NULL)
            open_item(i);
        due = first_due(&i, &d);
        if (due > clock_now())
            return due;
        try_one(i, d);
        if (!is_open(i))
            close_item(i);
    }
}

/* What was never tried is tried once; what waits for another try is given up. */
static void last_work(void)
{
    struct alert_item *i;

    while ((i = alert_queue_take()) != NULL)
        open_item(i);
    co_set_deadline(clock_now() + STOP_WAIT);
    list_each(&me.open, n)
    {
        i = list_entry(n, struct alert_item, node);
        for (unsigned d = 0; d < ALERT_DESTINATIONS; d++) {
            if (i->to[d].state == DELIVERY_WAITS && i->to[d].tries == 0)
                try_one(i, (enum alert_destination)d);
            else if (i->to[d].state == DELIVERY_WAITS)
                give_up(i, (enum alert_destination)d);
        }
    }
    co_set_deadline(clock_now() + STOP_WAIT);
    list_each(&me.open, n) close_item(list_entry(n, struct alert_item, node));
}

static void tell(void *arg)
{
    (void)arg;
    while (!me.stop && !co_cancelled()) {
        event_reset(&me.news);
        int64_t due = work();
        sweep();
        if (!me.stop)
            event_wait(&me.news, MIN(due, clock_now() + SWEEP_NS));
    }
    last_work();
    me.co = NULL;
    event_set(&me.ended);
}

static void wake(void)
{
    event_set(&me.news);
}

/* --- budgets --- */

static const char *const subject_words[SUBJECT_KINDS] = {
    "organisation", "team", "user", "key", "customer"};

static void add_money(struct buf *b, int64_t nano)
{
    buf_printf(b, "%" PRId64 ".%02" PRId64, nano / 1000000000, nano / 10000000 % 100);
}

static void budget_details(const struct subject *s, const struct budget *b, int64_t used,
    unsigned percent, struct buf *out)
{
    buf_printf(out, "{\"subject_kind\":\"%s\",\"subject_id\":", subject_words[s->kind]);
    buf_addjson(out, str_to(s->id, 128));
    buf_addstr(out, STR(",\"subject_name\":"));
    buf_addjson(out, str_to(s->name, 128));
    buf_printf(out,
        ",\"period\":\"%s\",\"percent\":%u,\"used_nano_usd\":%" PRId64
        ",\"limit_nano_usd\":%" PRId64 ",\"soft\":%s,\"model\":",
        budget_period_words[b->period], percent, used, b->limit_nano, b->soft ? "true" : "false");
    buf_addjson(out, str_to(b->model, 128));
    buf_addstr(out, STR(",\"tag\":"));
    buf_addjson(out, str_to(b->tag, 128));
    buf_addc(out, '}');
}

static void budget_text(const struct subject *s, const struct budget *b, int64_t used,
    unsigned percent, struct buf *out)
{
    struct str name = s->name.n ? s->name : s->id;

    buf_printf(out, "The %s budget of %s %.*s is used to %u %%: ", budget_period_words[b->period],
        subject_words[s->kind], (int)MIN(name.n, 100), name.p, percent);
    add_money(out, used);
    buf_addstr(out, STR(" of "));
    add_money(out, b->limit_nano);
    buf_addstr(out, STR(" USD"));
    if (b->model.n)
        buf_printf(out, ", for models %.*s", (int)MIN(b->model.n, 100), b->model.p);
    if (b->tag.n)
        buf_printf(out, ", for the tag %.*s", (int)MIN(b->tag.n, 100), b->tag.p);
    if (percent >= 100)
        buf_addstr(out, b->soft ? STR(". It is a soft budget: calls go on.")
                                : STR(". Further calls are refused."));
    else
        buf_addc(out, '.');
}

/* On any thread, in a call. */
static void budget_crossed(
    const struct subject *s, const struct budget *b, int64_t used, unsigned percent)
{
    _cleanup_(buf_free) struct buf text = {0}, details = {0}, subject = {0};
    char title[64];

    buf_init(&text, 4 * KIB);
    buf_init(&details, 4 * KIB);
    buf_init(&subject, 4 * KIB);
    budget_text(s, b, used, percent, &text);
    budget_details(s, b, used, percent, &details);
    buf_printf(&subject, "%s:%.*s:%s:%u%%", subject_words[s->kind], (int)MIN(s->id.n, 64), s->id.p,
        budget_period_words[b->period], percent);
    if (b->model.n || b->tag.n)
        buf_printf(&subject, ":%.*s:%.*s", (int)MIN(b->model.n, 40), b->model.p,
            (int)MIN(b->tag.n, 40), b->tag.p);
    snprintf(title, sizeof title, "A budget is used to %u %%", percent);
    const struct alert a = {.kind = ALERT_BUDGET,
        .severity = percent >= 100  ? ALERT_CRITICAL
                    : percent >= 80 ? ALERT_WARNING
                                    : ALERT_INFO,
        .subject = buf_str(&subject),
        .title = str_of(title),
        .text = buf_str(&text),
        .details = details.err ? STR_NONE : buf_str(&details)};
    alert_fire(&a, NULL);
}

/* --- settings --- */

static void take_route(const struct post_route *route)
{
    struct post_route was = me.route;

    me.route = *route;
    if (me.route.owner)
        me.route.ref(me.route.owner);
    if (was.owner)
        was.unref(was.owner);
}

void alert_use(const struct alert_settings *s, const struct post_route *route,
    void (*problem)(void *ctx, const char *name, const char *why), void *ctx)
{
    char why[POST_ERR_BYTES];

    for (int d = 0; d < ALERT_GIVEN; d++) {
        struct sender *to = &me.to[d];
        post_target_unref(to->to);
        to->to = NULL;
        to->not_before = 0;
        if (secret_is_set(&s->urls[d]) &&
            post_target_new(secret_reveal(&s->urls[d]), route, false, &to->to, why) < 0)
            problem(ctx, variables[d], why);
    }
    secret_set(&me.to[ALERT_WEBHOOK].key, secret_reveal(&s->webhook_secret));
    take_route(route);
    me.repeat = s->repeat;
    alert_window_set(s->enabled ? s->slow : 0, s->enabled ? s->error_percent : 0);
    alert_queue_set(s->enabled, s->repeat);
}

/* --- life --- */

int alert_start(struct store *store, struct shared *shared, struct str node)
{
    list_init(&me.open);
    event_init(&me.news);
    event_init(&me.ended);
    me.open_n = 0;
    me.stop = false;
    me.swept_at = 0;
    me.store = store;
    me.shared = shared;
    me.node = node;
    alert_queue_open(wake);
    int r = co_spawn("alerts", tell, NULL, &me.co);
    me.running = r == 0;
    if (r == 0)
        limits_on_crossed(budget_crossed);
    return r;
}

void alert_stop(void)
{
    if (!me.running)
        return;
    me.stop = true;
    event_set(&me.news);
    event_wait(&me.ended, clock_now() + 4 * STOP_WAIT);
    me.running = false;
    alert_queue_close();
    for (int d = 0; d < ALERT_DESTINATIONS; d++) {
        post_target_unref(me.to[d].to);
        secret_free(&me.to[d].key);
        me.to[d] = (struct sender){0};
    }
    take_route(&(struct post_route){0});
}
