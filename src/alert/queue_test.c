/* What is told, what is only counted, and what is dropped; and the window of a provider's calls. */
#include "alert/alert_int.h"

#include "base/tap.h"
#include "metrics/metrics.h"
#include "runtime/test_loop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned wakes;

static void wake(void)
{
    wakes++;
}

static enum alert_taken fire(enum alert_kind kind, const char *subject)
{
    const struct alert a = {.kind = kind, .subject = str_of(subject), .title = STR("t")};
    return alert_fire(&a, NULL);
}

static unsigned drain(void)
{
    struct alert_item *i;
    unsigned n = 0;

    for (; (i = alert_queue_take()) != NULL; n++)
        free(i);
    return n;
}

static void repeats(void)
{
    alert_queue_open(wake);
    CHECK_EQ(fire(ALERT_SLOW, "a"), ALERT_OFF); /* not configured yet */
    alert_queue_set(true, 3600 * NS_PER_S);
    CHECK_EQ(fire(ALERT_SLOW, "a"), ALERT_TAKEN);
    CHECK_EQ(fire(ALERT_SLOW, "a"), ALERT_REPEATED);
    CHECK_EQ(fire(ALERT_SLOW, "a"), ALERT_REPEATED);
    CHECK_EQ(fire(ALERT_PROVIDER, "a"), ALERT_TAKEN); /* another kind */
    CHECK_EQ(fire(ALERT_SLOW, "b"), ALERT_TAKEN);     /* another subject */
    CHECK_EQ(drain(), 3);
    alert_queue_set(true, 0); /* the time is over: it says how many were not told */
    CHECK_EQ(fire(ALERT_SLOW, "a"), ALERT_TAKEN);
    struct alert_item *i = alert_queue_take();
    CHECK(i);
    CHECK_EQ(i->repeats, 2);
    free(i);
    CHECK_EQ(fire(ALERT_SLOW, "a"), ALERT_TAKEN);
    i = alert_queue_take();
    CHECK_EQ(i->repeats, 0);
    free(i);
    alert_queue_set(false, 0);
    CHECK_EQ(fire(ALERT_SLOW, "a"), ALERT_OFF);
    alert_queue_close();
}

static void test_repeats(void)
{
    in_loop(repeats);
}

static void bounded(void)
{
    char subject[32];

    alert_queue_open(wake);
    alert_queue_set(true, NS_PER_S);
    wakes = 0;
    for (unsigned i = 0; i < ALERT_QUEUE + 10; i++) {
        snprintf(subject, sizeof subject, "s%u", i);
        CHECK_EQ(fire(ALERT_CUSTOM, subject), ALERT_TAKEN);
    }
    co_yield ();
    CHECK(wakes <= 1);
    struct alert_item *first = alert_queue_take();
    CHECK_STR(first->a.subject, STR("s10")); /* the oldest ten went */
    free(first);
    CHECK_EQ(drain(), ALERT_QUEUE - 1);
    alert_queue_close();
    CHECK_EQ(fire(ALERT_CUSTOM, "late"), ALERT_OFF);
}

static void test_bounded(void)
{
    in_loop(bounded);
}

/* --- from many threads --- */

static unsigned taken;

static void *shoot(void *arg)
{
    char subject[32];

    for (unsigned i = 0; i < 500; i++) {
        snprintf(subject, sizeof subject, "%u-%u", *(unsigned *)arg, i % 50);
        if (fire(ALERT_CUSTOM, subject) == ALERT_TAKEN)
            __atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void threads(void)
{
    pthread_t t[4];
    unsigned number[4];

    alert_queue_open(wake);
    alert_queue_set(true, 3600 * NS_PER_S);
    taken = 0;
    for (unsigned i = 0; i < 4; i++) {
        number[i] = i;
        CHECK_EQ(pthread_create(&t[i], NULL, shoot, &number[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    /* two subjects in one place of the table may forget each other, and are told again then */
    CHECK(taken >= 200 && taken <= 400);
    CHECK_EQ(drain(), taken);
    alert_queue_close();
}

static void test_threads(void)
{
    in_loop(threads);
}

/* --- copies --- */

static void test_texts(void)
{
    char big[5000];
    struct alert a = {.kind = ALERT_CUSTOM,
        .subject = str_at("a\0b\x1b[1m\xff\xc3\xa4", 10),
        .details = STR("{\"a\":1}")};

    memset(big, 'x', sizeof big);
    memcpy(big + ALERT_TITLE_BYTES - 1, "\xc3\xa4", 2); /* a letter across the limit */
    a.title = str_at(big, sizeof big);
    a.text = str_at(big, sizeof big);
    struct alert_item *i = alert_item_new(&a);
    CHECK(i);
    CHECK_STR(i->a.subject, STR("a?b?[1m?\xc3\xa4"));
    CHECK_EQ(i->a.title.n, ALERT_TITLE_BYTES - 1);
    CHECK_EQ(i->a.text.n, ALERT_TEXT_BYTES);
    CHECK_STR(i->a.details, a.details);
    CHECK_EQ(strlen(i->id), 24);
    free(i);
    a.details = str_at(big, ALERT_DETAILS_BYTES + 1); /* half a JSON text is none */
    i = alert_item_new(&a);
    CHECK_EQ(i->a.details.n, 0);
    free(i);
}

/* --- bodies --- */

static struct buf body;

static struct str rendered(enum alert_destination d, const struct alert_item *i)
{
    buf_free(&body);
    buf_init(&body, MIB);
    alert_render(d, i, STR("n1"), &body);
    return buf_str(&body);
}

static void test_bodies(void)
{
    const struct alert a = {.kind = ALERT_BUDGET,
        .severity = ALERT_CRITICAL,
        .subject = STR("key:<!channel>"),
        .title = STR("a & b"),
        .text = STR("[x](http://evil) @everyone *bold*")};
    struct alert_item *i = alert_item_new(&a);

    struct str s = rendered(ALERT_SLACK, i);
    CHECK(str_find(s, STR("key:&lt;!channel&gt;")) >= 0 && str_find(s, STR("a &amp; b")) >= 0);
    CHECK(str_find(s, STR("<!channel>")) < 0);
    s = rendered(ALERT_DISCORD, i);
    CHECK(str_find(s, STR("\"allowed_mentions\":{\"parse\":[]}")) >= 0);
    CHECK(str_find(s, STR("\\\\[x\\\\](http")) >= 0);
    s = rendered(ALERT_TEAMS, i);
    CHECK(str_find(s, STR("application/vnd.microsoft.card.adaptive")) >= 0);
    s = rendered(ALERT_WEBHOOK, i);
    CHECK(str_starts(s, STR("{\"id\":\"alr_")));
    CHECK(str_find(s, STR("\"details\":{},\"repeats\":0,\"node\":\"n1\"")) >= 0);
    free(i);
    buf_free(&body);
}

/* Known answer: HMAC-SHA-256 with key "secret" over "1700000000.{}". */
static void test_signature(void)
{
    _cleanup_(secret_free) struct secret key = {0};
    _cleanup_(buf_free) struct buf out = {0};

    buf_init(&out, 1000);
    secret_set(&key, STR("secret"));
    alert_sign(&key, 1700000000 * NS_PER_S + 5, STR("{}"), &out);
    CHECK_STR(
        buf_str(&out), STR("x-smartflow-signature: t=1700000000,v1="
                           "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163\r\n"));
}

/* --- the window --- */

static void test_window(void)
{
    struct window w = {0};
    int64_t now = 1000 * NS_PER_S;
    uint64_t calls, failed;

    for (unsigned i = 0; i < 100; i++)
        window_add(&w, now + i * NS_PER_S / 4, i % 4 == 0); /* over 25 s */
    window_read(&w, now + 25 * NS_PER_S, &calls, &failed);
    CHECK_EQ(calls, 100);
    CHECK_EQ(failed, 25);
    window_read(&w, now + 70 * NS_PER_S, &calls, &failed); /* the first 10 to 15 s are gone */
    CHECK(calls >= 40 && calls <= 60);
    window_read(&w, now + 200 * NS_PER_S, &calls, &failed);
    CHECK_EQ(calls, 0);
    window_add(&w, now + 60 * NS_PER_S, true); /* takes over the cell of a minute ago */
    window_read(&w, now + 60 * NS_PER_S, &calls, &failed);
    CHECK_EQ(calls, 81);
    CHECK_EQ(failed, 21);
}

/* The cells hold more than a million calls, and then stay as they are. */
static void test_full_cell(void)
{
    struct window w = {0};
    uint64_t calls, failed;

    for (unsigned i = 0; i < 1100000; i++)
        window_add(&w, NS_PER_S, true);
    window_read(&w, NS_PER_S, &calls, &failed);
    CHECK_EQ(calls, 0xfffff);
    CHECK_EQ(failed, 0xfffff);
}

int main(void)
{
    TAP_RUN(test_repeats);
    TAP_RUN(test_bounded);
    TAP_RUN(test_threads);
    TAP_RUN(test_texts);
    TAP_RUN(test_bodies);
    TAP_RUN(test_signature);
    TAP_RUN(test_window);
    TAP_RUN(test_full_cell);
    return tap_done();
}
