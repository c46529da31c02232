/*
 * Cuts an upstream's body into events. Three framings, one state each; the views that come out are
 * into the piece that came in where an event lies whole in it, else into what is held.
 *
 * Bodies that end without the blank line or line feed behind their last event are common enough
 * ("data: [DONE]" and the end); that event counts if it is whole in itself.
 */
#include "translate/stream.h"

#include "base/limits.h"
#include "base/macros.h"
#include "http/eventstream.h"
#include "http/sse.h"
#include "json/scan.h"

#include <errno.h>
#include <stdlib.h>

struct canon_frames {
    enum wire_framing framing;
    union {
        struct sse sse;
        struct eventstream eventstream;
        struct {
            struct buf held; /* a line that has not ended */
            bool given;      /* held was given out by the last call */
        } lines;
    };
    struct str raw;  /* of AWS: the frame that was given out */
    struct buf made; /* the name or the data of an event where it does not lie in the body so */
};

int canon_frames_new(enum wire_framing framing, struct canon_frames **ret)
{
    struct canon_frames *f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->framing = framing;
    buf_init(&f->made, LIMIT_EVENTSTREAM_BYTES);
    if (framing == FRAMES_SSE)
        sse_init(&f->sse, LIMIT_SSE_EVENT_BYTES);
    else if (framing == FRAMES_EVENTSTREAM)
        eventstream_init(&f->eventstream);
    else
        buf_init(&f->lines.held, LIMIT_SSE_EVENT_BYTES);
    *ret = f;
    return 0;
}

void canon_frames_free(struct canon_frames *f)
{
    if (!f)
        return;
    if (f->framing == FRAMES_SSE)
        sse_free(&f->sse);
    else if (f->framing == FRAMES_EVENTSTREAM)
        eventstream_free(&f->eventstream);
    else
        buf_free(&f->lines.held);
    buf_free(&f->made);
    free(f);
}

static int next_sse(
    struct canon_frames *f, struct str *in, struct str *ret_event, struct str *ret_data)
{
    struct sse_event e;
    int r;
    while ((r = sse_next(&f->sse, in, &e)) > 0 && !e.data.p)
        ; /* comments, and names without data, which dispatch nothing */
    *ret_event = e.event;
    *ret_data = e.data;
    return r;
}

/* --- AWS --- */

/* What is no event: an exception has a payload, an error only headers. */
static int made_exception(
    struct canon_frames *f, const struct eventstream_message *m, struct str *ret_data)
{
    struct str name = eventstream_string(m, STR(":exception-type"));
    if (!name.p)
        name = eventstream_string(m, STR(":error-code"));
    buf_clear(&f->made);
    buf_addc(&f->made, '!');
    buf_addstr(&f->made, name);
    if (!m->payload.n) {
        buf_addstr(&f->made, STR("{\"message\":"));
        buf_addjson(&f->made, eventstream_string(m, STR(":error-message")));
        buf_addc(&f->made, '}');
        *ret_data = str_from(buf_str(&f->made), name.n + 1);
    }
    return f->made.err ? f->made.err : (int)name.n + 1;
}

static int give_message(struct canon_frames *f, const struct eventstream_message *m,
    struct str *ret_event, struct str *ret_data)
{
    struct str kind = eventstream_string(m, STR(":message-type"));
    f->raw = m->raw;
    *ret_data = m->payload;
    *ret_event = eventstream_string(m, STR(":event-type"));
    if (str_eq(kind, STR("exception")) || str_eq(kind, STR("error"))) {
        int n = made_exception(f, m, ret_data);
        if (n < 0)
            return n;
        *ret_event = str_to(buf_str(&f->made), (size_t)n);
    }
    return 1;
}

static int next_message(
    struct canon_frames *f, struct str *in, struct str *ret_event, struct str *ret_data)
{
    struct eventstream_message m;
    for (;;) {
        int r = eventstream_next(&f->eventstream, &m);
        if (r > 0)
            return give_message(f, &m, ret_event, ret_data);
        if (r < 0)
            return r == -EBADMSG ? -EINVAL : r;
        if (!in->n)
            return 0;
        struct str piece = str_to(*in, EVENTSTREAM_MAX_PIECE);
        *in = str_from(*in, piece.n);
        r = eventstream_feed(&f->eventstream, piece);
        if (r < 0)
            return r;
    }
}

/* --- lines --- */

/* One line with its end, or 0. */
static int next_raw_line(struct canon_frames *f, struct str *in, struct str *ret)
{
    if (f->lines.given)
        buf_clear(&f->lines.held);
    f->lines.given = false;
    const char *end = in->n ? memchr(in->p, '\n', in->n) : NULL;
    size_t n = end ? (size_t)(end + 1 - in->p) : in->n;
    struct str piece = str_to(*in, n);
    if (f->lines.held.n + n > LIMIT_SSE_EVENT_BYTES)
        return -EMSGSIZE;
    *in = str_from(*in, n);
    if (end && !f->lines.held.n) {
        *ret = piece;
        return 1;
    }
    int r = buf_addstr(&f->lines.held, piece);
    if (r < 0 || !end)
        return r;
    f->lines.given = true;
    *ret = buf_str(&f->lines.held);
    return 1;
}

static int next_line(
    struct canon_frames *f, struct str *in, struct str *ret_event, struct str *ret_data)
{
    int r;
    *ret_event = STR_NONE;
    while ((r = next_raw_line(f, in, ret_data)) > 0) {
        *ret_data = str_trim(*ret_data);
        if (ret_data->n)
            return 1;
    }
    return r;
}

/* --- --- */

int canon_frames_next(
    struct canon_frames *f, struct str *in, struct str *ret_event, struct str *ret_data)
{
    switch (f->framing) {
    case FRAMES_SSE:
        return next_sse(f, in, ret_event, ret_data);
    case FRAMES_EVENTSTREAM:
        return next_message(f, in, ret_event, ret_data);
    default:
        return next_line(f, in, ret_event, ret_data);
    }
}

struct str canon_frames_raw(const struct canon_frames *f)
{
    return f->raw;
}

static bool is_whole(struct str data)
{
    struct json_error why;
    enum json_type top;
    return str_eq(data, STR("[DONE]")) || json_scan(data, NULL, NULL, 0, &top, &why) == 0;
}

int canon_frames_end(struct canon_frames *f, struct str *ret_event, struct str *ret_data)
{
    struct str end = f->framing == FRAMES_SSE ? STR("\n\n") : STR("\n");
    if (f->framing == FRAMES_EVENTSTREAM)
        return 0;
    if (f->framing == FRAMES_SSE && !sse_rest(&f->sse).n)
        return 0;
    int r = canon_frames_next(f, &end, ret_event, ret_data);
    return r > 0 && !is_whole(*ret_data) ? 0 : r;
}
