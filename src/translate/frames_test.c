/* Framing: the same events however the body is cut, and bodies that end without their last line
 * end. */
#include "base/limits.h"
#include "base/macros.h"
#include "base/tap.h"
#include "http/eventstream.h"
#include "translate/stream.h"

#include <errno.h>
#include <stdlib.h>

/* The events of body, given in pieces of n bytes after a first one; each as "event=data|". */
static struct str events_of(enum wire_framing framing, struct str body, size_t first, size_t n)
{
    static char text[16384];
    struct canon_frames *f;
    struct str event, data;
    struct buf out;
    int r = 0;
    buf_init(&out, sizeof(text));
    must(canon_frames_new(framing, &f) == 0);
    for (size_t at = 0, take = first; at < body.n && r >= 0; at += take, take = n) {
        struct str piece = str_to(str_from(body, at), take);
        while ((r = canon_frames_next(f, &piece, &event, &data)) > 0)
            buf_printf(&out, STR_FMT "=" STR_FMT "|", STR_ARG(event), STR_ARG(data));
        must(r < 0 || piece.n == 0);
    }
    if (r >= 0 && (r = canon_frames_end(f, &event, &data)) > 0)
        buf_printf(&out, "end:" STR_FMT "=" STR_FMT "|", STR_ARG(event), STR_ARG(data));
    if (r < 0)
        buf_printf(&out, "error %s", r == -EINVAL ? "EINVAL" : r == -EMSGSIZE ? "EMSGSIZE" : "?");
    canon_frames_free(f);
    memcpy(text, out.p ? out.p : "", out.n);
    struct str got = str_at(text, out.n);
    buf_free(&out);
    return got;
}

static void check_all_cuts(enum wire_framing framing, struct str body, const char *want)
{
    CHECK_STR(events_of(framing, body, body.n, 1), str_of(want));
    CHECK_STR(events_of(framing, body, 1, 1), str_of(want));
    for (size_t cut = 1; cut < body.n; cut++)
        CHECK_STR(events_of(framing, body, cut, body.n), str_of(want));
}

static void test_sse(void)
{
    check_all_cuts(FRAMES_SSE,
        STR("data: {\"a\":1}\n\n: ping\n\nevent: x\r\ndata: 1\r\ndata: 2\r\n\r\n"
            "event: none\n\ndata:[DONE]\n\n"),
        "={\"a\":1}|x=1\n2|=[DONE]|");
    check_all_cuts(FRAMES_SSE, STR("data: {}\n\ndata: [DONE]"), "={}|end:=[DONE]|");
    check_all_cuts(
        FRAMES_SSE, STR("data: {}\n\nevent: b\ndata: {\"x\":1}\n"), "={}|end:b={\"x\":1}|");
    check_all_cuts(FRAMES_SSE, STR("data: {}\n\ndata: {\"x\":"), "={}|"); /* not whole */
    check_all_cuts(FRAMES_SSE, STR(""), "");
}

static void test_lines(void)
{
    check_all_cuts(FRAMES_LINES, STR("{\"a\":1}\n\n{\"b\":2}\r\n{\"c\":3}\n"),
        "={\"a\":1}|={\"b\":2}|={\"c\":3}|");
    check_all_cuts(FRAMES_LINES, STR("{\"a\":1}\n{\"b\":2}"), "={\"a\":1}|end:={\"b\":2}|");
    check_all_cuts(FRAMES_LINES, STR("{\"a\":1}\n{\"b\":"), "={\"a\":1}|");
}

static void put_message(
    struct buf *out, const char *kind, const char *name, const char *value, struct str payload)
{
    struct eventstream_header h[] = {
        {STR(":message-type"), EVENTSTREAM_STRING, str_of(kind)},
        {str_of(name), EVENTSTREAM_STRING, str_of(value)},
        {STR(":error-message"), EVENTSTREAM_STRING, STR("it \"broke\"")},
    };
    must(eventstream_write(out, h, ARRAY_LEN(h), payload) == 0);
}

static void test_eventstream(void)
{
    _cleanup_(buf_free) struct buf body;
    buf_init(&body, 65536);
    put_message(&body, "event", ":event-type", "messageStart", STR("{\"role\":\"assistant\"}"));
    put_message(&body, "event", ":event-type", "messageStop", STR("{}"));
    put_message(
        &body, "exception", ":exception-type", "throttlingException", STR("{\"message\":\"x\"}"));
    put_message(&body, "error", ":error-code", "InternalError", STR(""));
    check_all_cuts(FRAMES_EVENTSTREAM, buf_str(&body),
        "messageStart={\"role\":\"assistant\"}|messageStop={}|!throttlingException={\"message\":"
        "\"x\"}|"
        "!InternalError={\"message\":\"it \\\"broke\\\"\"}|");
    body.p[20] ^= 1; /* a checksum that is wrong */
    check_all_cuts(FRAMES_EVENTSTREAM, buf_str(&body), "error EINVAL");
}

static void test_bounds(void)
{
    _cleanup_(buf_free) struct buf body;
    buf_init(&body, LIMIT_SSE_EVENT_BYTES * 2);
    for (size_t i = 0; i < LIMIT_SSE_EVENT_BYTES + 2; i++)
        buf_addc(&body, 'x');
    CHECK_STR(events_of(FRAMES_LINES, buf_str(&body), body.n, 1), STR("error EMSGSIZE"));
    CHECK_STR(events_of(FRAMES_LINES, buf_str(&body), 1 << 20, 1 << 20), STR("error EMSGSIZE"));
    CHECK_STR(events_of(FRAMES_SSE, buf_str(&body), 1 << 20, 1 << 20), STR("error EMSGSIZE"));
}

int main(void)
{
    TAP_RUN(test_sse);
    TAP_RUN(test_lines);
    TAP_RUN(test_eventstream);
    TAP_RUN(test_bounds);
    return tap_done();
}
