/*
 * Passing a stream of events on, server-sent ones or AWS frames. Events go to the client as they
 * came, and only whole ones, so that an error event after a broken stream can be read. Each is
 * looked at once for usage, errors and the end marker. Where we asked for usage on the client's
 * behalf, its traces are taken out again: the chunk that carries only usage, and "usage":null in
 * the others.
 *
 * What has to be written is gathered as an iovec over the upstream's buffer: bytes that stay as
 * they are are not copied unless the client is slow to take them, and all that one read brought
 * becomes one write.
 *
 * The waits, for the next bytes and for a client that does not read, happen at small stack depth,
 * with the request's head and body given back and the reply's text counted down to a few KiB: an
 * open stream that is silent costs little. For a client that does not read, what is unsent of the
 * last read is kept, and nothing else; and reads are small once the kernel holds much back for it.
 */
#include "gateway/translated_int.h"
#include "http/eventstream.h"
#include "http/inflate.h"
#include "http/sse.h"
#include "ledger/ledger.h"

#include <errno.h>
#include <stdlib.h>

#define OUT_MAX     60
#define IN_MAX      16
#define PLAIN_BYTES (32 * KIB)
#define HELD_MAX    (256 * KIB) /* of a stream that says much before its first token */

struct relay {
    struct exchange *x;
    struct sse sse;
    struct canon_frames *frames; /* of AWS; NULL: server-sent events */
    struct inflater *inflater;   /* NULL: plain */
    char *plain;                 /* room for decoded bytes */
    bool strip;                  /* take the traces of the injected option out */
    bool eof_framed;             /* only the end marker tells a whole stream from a cut one */
    bool failed;                 /* the client is gone */
    bool kept;                   /* it has not taken all: wait for it before reading on */
    bool remembered;             /* the reply's ids */
    bool holding;                /* the head and what came so far wait for the first token */
    bool token;                  /* it is there */
    struct buf held, raw;        /* what came so far: to go out, and as it came */
    const struct http_head *head;
    int64_t quiet_from; /* while holding: when the client last got something */
};

/* The pieces to be written next. They need not outlast a suspension, since a write takes what it
 * needs of them before it waits; so a thread's streams share one array, and none has it on its
 * stack. */
struct out {
    struct iovec *iov; /* OUT_MAX of them */
    int n;
};

static struct iovec *out_room(void)
{
    static _Thread_local struct iovec room[OUT_MAX];

    return room;
}

static int begin(struct relay *r, bool head_only);

/* What waits for the first token goes out, with the head. */
static void release(struct relay *r)
{
    struct iovec iov = {r->held.p, r->held.n};
    int e = begin(r, false);

    r->holding = false;
    ledger_reply_bytes(r->x, buf_str(&r->raw));
    if (e == 0 && iov.iov_len)
        e = http_reply_put(r->x->rq, &iov, 1);
    r->failed |= e < 0;
    r->kept |= e > 0;
    buf_free(&r->held);
    buf_free(&r->raw);
}

static void hold(struct relay *r, const struct out *o)
{
    for (int i = 0; i < o->n; i++)
        buf_add(&r->held, o->iov[i].iov_base, o->iov[i].iov_len);
    r->failed |= r->held.err != 0;
    if (r->token || r->held.n > HELD_MAX)
        release(r);
}

static void out_flush(struct relay *r, struct out *o)
{
    int n = o->n, e;

    if (r->holding) {
        hold(r, o);
        n = 0;
    }
    o->n = 0;
    if (!n || r->failed)
        return;
    e = http_reply_put(r->x->rq, o->iov, n);
    r->failed = e < 0;
    r->kept = e > 0;
}

/* Adds bytes, joining them to the last piece where they follow it in memory. */
static void out_add(struct relay *r, struct out *o, struct str s)
{
    if (!s.n)
        return;
    if (o->n) {
        struct iovec *last = &o->iov[o->n - 1];
        if ((char *)last->iov_base + last->iov_len == s.p) {
            last->iov_len += s.n;
            return;
        }
    }
    if (o->n == OUT_MAX)
        out_flush(r, o);
    o->iov[o->n++] = (struct iovec){(void *)s.p, s.n};
}

static bool within(struct str inner, struct str outer)
{
    return inner.p >= outer.p && inner.p + inner.n <= outer.p + outer.n;
}

/* --- the first token --- */

/* Whether a member of that name holds a string that is not empty. */
static bool says(struct str data, struct str quoted)
{
    for (ptrdiff_t at; (at = str_find(data, quoted)) >= 0;) {
        data = str_from(data, (size_t)at + quoted.n);
        struct str v = str_trim(data);
        if (v.n < 3 || v.p[0] != ':')
            continue;
        v = str_trim(str_from(v, 1));
        if (v.n > 1 && v.p[0] == '"' && v.p[1] != '"')
            return true;
    }
    return false;
}

static struct str type_of(const struct sse_event *ev)
{
    if (ev->event.n || json_type_of(ev->data) != JSON_OBJECT)
        return ev->event;
    struct str t = json_find(ev->data, STR("type"));
    return t.n > 2 ? str_at(t.p + 1, t.n - 2) : STR_NONE;
}

/* Converse says that a message begins, and so does Claude's first chunk. */
static bool is_begun_frame(const struct exchange *x, const struct sse_event *ev)
{
    return str_eq(ev->event, STR("messageStart")) ||
           (str_eq(ev->event, STR("chunk")) && x->meter.events == 1);
}

/* Whether the event is more than the beginning that an answer without any word has, too. */
static bool is_token(const struct exchange *x, const struct sse_event *ev)
{
    struct str type, d = ev->data;

    if (!d.p)
        return false;
    switch (x->match.endpoint->stream) {
    case STREAM_CHAT:
        return says(d, STR("\"content\"")) || says(d, STR("\"finish_reason\"")) ||
               says(d, STR("\"text\"")) || str_find(d, STR("\"tool_calls\"")) >= 0 ||
               str_find(d, STR("\"reasoning")) >= 0 || str_find(d, STR("\"refusal\":\"")) >= 0 ||
               str_eq(d, STR("[DONE]"));
    case STREAM_ANTHROPIC:
        type = type_of(ev);
        return !str_eq(type, STR("message_start")) && !str_eq(type, STR("ping"));
    case STREAM_RESPONSES:
        type = type_of(ev);
        return !str_eq(type, STR("response.created")) && !str_eq(type, STR("response.queued")) &&
               !str_eq(type, STR("response.in_progress"));
    case STREAM_BEDROCK:
        return !is_begun_frame(x, ev);
    default:
        return true;
    }
}

/* An error of the provider's inside a stream of which the client has seen nothing: it becomes the
 * exchange's error, so that another target can be tried. */
__attribute__((noinline)) static void early_error(struct relay *r, const struct sse_event *ev)
{
    struct exchange *x = r->x;
    const struct wire *w = wire_for(x->face->dialect, x->up_kind);
    struct error e = {0};
    struct canon_call call;

    canon_call_init(&call, &x->arena, &e);
    if (w && r->frames) /* the exception's name says it all */
        w->read_error(&call, 0, str_from(ev->event, 1), ev->data, &e);
    else if (w)
        w->read_error(&call, 500, STR_NONE, ev->data, &e);
    x->outcome = OUTCOME_UPSTREAM_ERROR;
    x->error = e;
    x->error.message = arena_dup(&x->arena, e.message);
    x->error.code = arena_dup(&x->arena, e.code);
    x->error.type = arena_dup(&x->arena, e.type);
    x->error.param = arena_dup(&x->arena, e.param);
    if (x->error.status < 400)
        x->error.status = 502;
    if (!x->error.message.n)
        x->error.message = STR("The provider's stream ended with an error.");
}

static void one_event(struct relay *r, struct out *o, const struct sse_event *ev)
{
    size_t from = 0, to = 0;
    enum meter_verdict v = meter_event(&r->x->meter, ev->event, ev->data, &from, &to);

    if (r->holding && v == METER_ERROR && !r->token) {
        early_error(r, ev);
        return;
    }
    if (r->holding && !r->token)
        r->token = is_token(r->x, ev);
    if (r->strip && v == METER_USAGE)
        return;
    if (r->strip && v == METER_NULL && within(ev->data, ev->raw)) {
        const char *end = ev->raw.p + ev->raw.n;
        out_add(r, o, str_at(ev->raw.p, (size_t)(ev->data.p - ev->raw.p) + from));
        out_add(r, o, str_at(ev->data.p + to, (size_t)(end - ev->data.p) - to));
        return;
    }
    out_add(r, o, ev->raw);
}

static int next_event(struct relay *r, struct str *in, struct sse_event *ev)
{
    int n;

    if (!r->frames)
        return sse_next(&r->sse, in, ev);
    n = canon_frames_next(r->frames, in, &ev->event, &ev->data);
    ev->raw = canon_frames_raw(r->frames);
    return n;
}

/* An event that the parser had to put together lies in its buffer, and must be written before the
 * next one is taken. */
static int take_piece(struct relay *r, struct str piece, struct out *o)
{
    struct sse_event ev;
    struct str in = piece;
    int n;

    if (r->holding)
        r->failed |= buf_addstr(&r->raw, piece) < 0;
    else
        ledger_reply_bytes(r->x, piece);
    while ((n = next_event(r, &in, &ev)) > 0) {
        one_event(r, o, &ev);
        if (r->x->error.status)
            return -EREMOTEIO;
        if (!r->frames && !within(ev.raw, piece))
            out_flush(r, o);
    }
    if (r->frames) /* they lie in its memory until the next piece */
        out_flush(r, o);
    return n;
}

/* A compressed stream is metered and sent on decoded. */
static int take_packed(struct relay *r, struct str in, struct out *o)
{
    ptrdiff_t n;
    int e = 0;

    while (e == 0 && (n = inflater_next(r->inflater, &in, r->plain, PLAIN_BYTES)) > 0) {
        e = take_piece(r, str_at(r->plain, (size_t)n), o);
        out_flush(r, o);
    }
    return e < 0 ? e : n < 0 ? (int)n : 0;
}

static int relay_open(struct relay *r, struct exchange *x, const struct http_head *h)
{
    struct str coding = http_get(&h->fields, HTTP_CONTENT_ENCODING);

    *r = (struct relay){
        .x = x,
        .strip = x->usage_injected,
        .eof_framed = h->framing == HTTP_BODY_TO_EOF,
        .holding = x->may_fail_over,
        .head = h,
        .quiet_from = clock_now(),
    };
    buf_init(&r->held, HELD_MAX + 2 * LIMIT_SSE_EVENT_BYTES);
    buf_init(&r->raw, HELD_MAX + 2 * LIMIT_SSE_EVENT_BYTES);
    sse_init(&r->sse, LIMIT_SSE_EVENT_BYTES);
    if (str_istarts(http_get(&h->fields, HTTP_CONTENT_TYPE), EVENTSTREAM_TYPE) &&
        canon_frames_new(FRAMES_EVENTSTREAM, &r->frames) < 0)
        return -ENOMEM;
    if (!coding.n || str_ieq(coding, STR("identity")))
        return 0;
    if (inflater_new(coding, &r->inflater) < 0)
        return -EOPNOTSUPP;
    r->plain = malloc(PLAIN_BYTES);
    return r->plain ? 0 : -ENOMEM;
}

static void relay_close(struct relay *r)
{
    sse_free(&r->sse);
    canon_frames_free(r->frames);
    inflater_free(r->inflater);
    free(r->plain);
    buf_free(&r->held);
    buf_free(&r->raw);
}

static int client_gone(struct exchange *x)
{
    x->outcome = OUTCOME_CANCELLED;
    return exchange_fail(x, 499, STR("client_closed_request"), STR("The client went away."));
}

static int stream_broke(struct exchange *x, ssize_t e)
{
    if (e == -ECANCELED || e == -EPIPE || co_cancelled())
        return client_gone(x);
    x->outcome = gw_nothing_sent(x) ? OUTCOME_UPSTREAM_ERROR : OUTCOME_TRUNCATED;
    if (e == -ETIMEDOUT)
        return exchange_fail(x, 504, STR("upstream_timeout"),
            STR("The provider stopped sending in the middle of its stream."));
    if (e == -EMSGSIZE)
        return exchange_fail(x, 502, STR("upstream_event_too_large"),
            STR("The provider sent an event that is larger than the gateway takes."));
    if (e == -EOPNOTSUPP || e == -EINVAL)
        return exchange_fail(x, 502, STR("upstream_bad_response"),
            STR("The provider's stream has a coding that cannot be read."));
    return exchange_fail(
        x, 502, STR("upstream_closed"), STR("The provider's stream broke off before its end."));
}

/* Begins the reply, if an attempt before did not. Behind the first token the request's own bytes
 * are no longer needed. */
static int begin(struct relay *r, bool head_only)
{
    struct exchange *x = r->x;

    if (!http_reply_begun(x->rq)) {
        struct buf *fields = gw_scratch();
        gw_reply_fields(x, r->head, r->inflater != NULL, fields);
        int e = http_reply_begin(x->rq, r->head->status, buf_str(fields), HTTP_LENGTH_UNKNOWN);
        if (e < 0)
            return e;
    } else if (!x->head_only) {
        return 0;
    }
    x->head_only = head_only;
    if (head_only)
        return 0;
    x->reply_first_at = clock_now();
    return gw_exchange_detach(x);
}

/* The account is done before the last byte. Where that may suspend, what is gathered goes out
 * first. What only the end knows goes into a trailer, where the client asked for trailers. */
static int end_reply(struct relay *r, struct out *o)
{
    struct exchange *x = r->x;
    struct str trailers = STR_NONE;

    r->token = true; /* it has ended without one */
    if (gw_account_may_wait(x) || r->holding)
        out_flush(r, o);
    gw_account(x);
    if (x->wants_trailers) {
        struct buf *b = gw_scratch();
        gw_cost_fields(x, b);
        trailers = buf_str(b);
    }
    if (r->failed)
        return -EPIPE;
    return http_reply_end_with(x->rq, o->iov, o->n, trailers);
}

/* The last write and the end of the reply in one. rest: bytes of an event without its blank line,
 * which the upstream sent as the last of a whole body. */
static int finish(struct relay *r, struct out *o)
{
    struct exchange *x = r->x;

    if (r->eof_framed && !x->meter.finished && !x->meter.failed &&
        x->match.endpoint->stream != STREAM_OTHER) {
        out_flush(r, o);
        return stream_broke(x, -ECONNRESET);
    }
    out_add(r, o, sse_rest(&r->sse));
    x->outcome = x->meter.failed ? OUTCOME_UPSTREAM_ERROR : OUTCOME_OK;
    return end_reply(r, o) < 0 ? client_gone(x) : 0;
}

/* Behind the end marker nothing can be missing, however the upstream ends its body. Gemini's
 * streams have none: what the meter takes for it there may come once for each candidate. */
static bool marked_end(const struct exchange *x, int e)
{
    return x->meter.finished && x->match.endpoint->stream != STREAM_GEMINI &&
           (e == -ECONNRESET || e == -EPROTO || e == -ETIMEDOUT);
}

/* What has come is passed on: 1 when the stream goes on, 0 when it ended well, or -errno. Not
 * inlined: what lies on the stack here is not needed while the stream is silent. */
__attribute__((noinline)) static int step(struct relay *r, struct http_call *c)
{
    struct iovec in[IN_MAX];
    struct out o = {.iov = out_room()};
    int n = http_call_try_readv(c, in, IN_MAX), e = 0;

    if (n < 0)
        return n == -EAGAIN ? 1 : n;
    for (int i = 0; i < n && e == 0; i++) {
        struct str piece = str_at(in[i].iov_base, in[i].iov_len);
        e = r->inflater ? take_packed(r, piece, &o) : take_piece(r, piece, &o);
    }
    if (!r->remembered && r->x->meter.ids.n) { /* before the client can ask for them */
        gw_remember_ids(r->x, STR_NONE);
        r->remembered = true;
    }
    if (e == 0 && (n == 0 || http_call_ended(c)))
        return finish(r, &o);
    out_flush(r, &o);
    return e < 0 ? e : r->failed ? -EPIPE : 1;
}

/* Where the upstream is faster than the client, what is read next will have to be kept. */
static void adapt(struct relay *r, struct http_call *c)
{
    if (http_call_brimful(c))
        http_call_small_reads(c, http_reply_is_behind(r->x->rq));
}

/* For a client that has not taken all, before more is read. */
static int await_client(struct relay *r, struct http_call *c)
{
    if (!r->kept || !http_call_drop_used(c))
        return 0;
    r->kept = false;
    return http_reply_flush(r->x->rq);
}

static int ping(struct relay *r)
{
    struct str s = gw_keep_alive(r->x);
    struct iovec iov = {(char *)s.p, s.n};
    int e = begin(r, true);

    r->quiet_from = clock_now();
    if (e == 0 && s.n)
        e = http_reply_put(r->x->rq, &iov, 1);
    if (e >= 0)
        e = http_reply_flush(r->x->rq);
    return e < 0 ? -EPIPE : 0;
}

/* For the next bytes; a client whose reply is held back is told now and then that it lives. */
static int await_provider(struct relay *r, struct http_call *c)
{
    int e = 0;

    if (!r->holding) {
        http_call_wait(c);
        return 0;
    }
    int64_t by = r->x->first_token_by ? r->x->first_token_by : NEVER_NS;
    while (e == 0 &&
           !http_call_wait_until(c, MIN(by, r->quiet_from + translated_config(r->x)->keep_alive)))
        e = loop_now() >= by ? -ETIMEDOUT : ping(r);
    return e;
}

static int pass_on(struct relay *r, struct http_call *c)
{
    for (;;) {
        int e = await_provider(r, c);
        if (e < 0)
            return e;
        e = step(r, c);
        if (e <= 0)
            return e;
        if (gw_top_up(r->x) < 0)
            return -EDQUOT;
        if (meter_text_is_due(&r->x->meter))
            gw_count_begun(r->x);
        sse_trim(&r->sse);
        adapt(r, c);
        if (await_client(r, c) < 0)
            return -EPIPE;
    }
}

int gw_relay_stream(struct exchange *x, struct http_call *c, const struct http_head *h)
{
    struct relay r;
    int e = relay_open(&r, x, h);

    if (e == 0 && !r.holding)
        e = begin(&r, false);
    if (e == 0)
        e = pass_on(&r, c);
    if (e < 0 && !x->error.status && marked_end(x, e))
        e = finish(&r, &(struct out){.iov = out_room()});
    if (e < 0 && !x->error.status)
        stream_broke(x, e);
    if (e < 0 && x->outcome == OUTCOME_PENDING) /* its budget ended it, or its key's end did */
        x->outcome = OUTCOME_TRUNCATED;
    relay_close(&r);
    return x->error.status ? -EREMOTEIO : 0;
}
