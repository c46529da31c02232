/*
 * Payloads: what is written, what order must() wants, and any JSON brought into canonical form.
 */
#include "base/macros.h"
#include "base/tap.h"
#include "journal/payload.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_writes(void)
{
    struct payload p;
    struct buf out;

    buf_init(&out, 4096);
    payload_begin(&p, &out);
    payload_array(&p, "a");
    payload_item_object(&p);
    payload_int(&p, "x", 1);
    payload_int(&p, "y", INT64_MIN);
    payload_close(&p);
    payload_item_str(&p, STR("s"));
    payload_item_int(&p, -7);
    payload_close(&p);
    payload_object(&p, "b");
    payload_close(&p);
    payload_str(&p, "c", STR("\xc3\xa9\"\\\b\f\n\r\t\x01\x1f\x7f/\xff"));
    payload_int(&p, "d", 0);
    int r = payload_end(&p);
    bool same = tap_str_eq(__FILE__, __LINE__, "payload", buf_str(&out),
        STR("{\"a\":[{\"x\":1,\"y\":-9223372036854775808},\"s\",-7],\"b\":{},"
            "\"c\":\"\xc3\xa9\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\x7f/\xef\xbf\xbd\",\"d\":0}"));
    buf_free(&out);
    CHECK_EQ(r, 0);
    CHECK(same);
}

static void test_no_room(void)
{
    struct payload p;
    struct buf out;

    buf_init(&out, 10);
    payload_begin(&p, &out);
    payload_str(&p, "name", STR("too long for that"));
    int r = payload_end(&p);
    buf_free(&out);
    CHECK_EQ(r, -ENOBUFS);
}

static void wrong_order(struct payload *p)
{
    payload_int(p, "b", 1);
    payload_int(p, "a", 1);
}

static void same_name(struct payload *p)
{
    payload_int(p, "a", 1);
    payload_int(p, "a", 1);
}

static void name_in_array(struct payload *p)
{
    payload_array(p, "a");
    payload_int(p, "x", 1);
}

static void not_closed(struct payload *p)
{
    payload_object(p, "a");
    payload_end(p);
}

static void too_deep(struct payload *p)
{
    for (int i = 0; i < 4; i++)
        payload_object(p, "a");
}

static int end_of(void (*fn)(struct payload *))
{
    const struct rlimit none = {0};
    struct payload p;
    struct buf out;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        buf_init(&out, 1024);
        payload_begin(&p, &out);
        fn(&p);
        _exit(0);
    }
    must(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void test_misuse_ends_the_process(void)
{
    CHECK_EQ(end_of(wrong_order), 0);
    CHECK_EQ(end_of(same_name), 0);
    CHECK_EQ(end_of(name_in_array), 0);
    CHECK_EQ(end_of(not_closed), 0);
    CHECK_EQ(end_of(too_deep), 0);
}

static void check_canonical(struct str json, struct str want)
{
    struct buf out;

    buf_init(&out, 4096);
    int r = payload_canonical(json, &out);
    bool same = r < 0 || tap_str_eq(__FILE__, __LINE__, "canonical", buf_str(&out), want);
    buf_free(&out);
    CHECK_EQ(r, 0);
    CHECK(same);
}

static void check_refused(struct str json)
{
    struct buf out;

    buf_init(&out, 4096);
    buf_addc(&out, '#');
    int r = payload_canonical(json, &out);
    size_t left = out.n;
    buf_free(&out);
    CHECK_EQ(r, -EINVAL);
    CHECK_EQ(left, 1);
}

static void test_canonical(void)
{
    check_canonical(
        STR(" { \"b\" : [ 1 , { } ] , \"a\" : \"x\" }\n"), STR("{\"a\":\"x\",\"b\":[1,{}]}"));
    check_canonical(STR("{\"b\":{\"d\":1,\"c\":-0}}"), STR("{\"b\":{\"c\":0,\"d\":1}}"));
    check_canonical(
        STR("{\"aa\":1,\"a\":2,\"\":3,\"B\":4}"), STR("{\"\":3,\"B\":4,\"a\":2,\"aa\":1}"));
    check_canonical(STR("[\"\\u00e9\\u001F\\/\\ud83d\\ude00\"]"),
        STR("[\"\xc3\xa9\\u001f/\xf0\x9f\x98\x80\"]"));
    check_canonical(STR("{\"\\u0062\":1,\"a\":2}"), STR("{\"a\":2,\"b\":1}"));
    check_canonical(STR("[-9223372036854775808,9223372036854775807]"),
        STR("[-9223372036854775808,9223372036854775807]"));
    check_canonical(STR("[true,false,null]"), STR("[true,false,null]"));
    /* By the bytes of UTF-8, which is not the order of UTF-16: U+FFFD before U+1F600. */
    check_canonical(STR("{\"\\ud83d\\ude00\":1,\"\\ufffd\":2}"),
        STR("{\"\xef\xbf\xbd\":2,\"\xf0\x9f\x98\x80\":1}"));
}

static void test_canonical_refuses(void)
{
    check_refused(STR("{\"a\":1.0}"));
    check_refused(STR("{\"a\":1e3}"));
    check_refused(STR("{\"a\":9223372036854775808}"));
    check_refused(STR("{\"a\":-9223372036854775809}"));
    check_refused(STR("{\"a\":1,\"a\":1}"));
    check_refused(STR("{\"a\":1,\"\\u0061\":1}"));
    check_refused(STR("{\"a\":1"));
    check_refused(STR("{} {}"));
    check_refused(STR(""));
    check_refused(STR("{\"a\":\"\xff\"}"));
}

int main(void)
{
    TAP_RUN(test_writes);
    TAP_RUN(test_no_room);
    TAP_RUN(test_misuse_ends_the_process);
    TAP_RUN(test_canonical);
    TAP_RUN(test_canonical_refuses);
    return tap_done();
}
