/*
 * Streams of providers that speak another dialect. What one read brings is cut into events
 * (canon_frames), each goes through the stream's reader, sequencer and writer (canon_stream), and
 * what they made of all of them goes to the client in one write.
 *
 * The client's head is held back until the first token, so that an error before it is an ordinary
 * reply, or lets another target try. While the provider thinks for long (SMARTFLOW_KEEP_ALIVE), the
 * head goes out with a keep-alive after all, and one follows each such silence; another target may
 * still go on in that reply, as no token was in it.
 *
 * All state is one block on the heap; the waits, for the next bytes and for a client that does not
 * read, happen at small stack depth, as in relay_stream.c.
 */
#include "gateway/translated_int.h"
#include "http/inflate.h"
#include "ledger/ledger.h"

#include <errno.h>
#include <stdlib.h>

#define IN_MAX        16
#define PLAIN_BYTES   (32 * KIB)
#define USAGE_WAIT_NS (5 * NS_PER_S) /* for usage, once the answer is finished */
#define OUT_KEPT      (4 * KIB)      /* more memory than this is given back before a wait */

struct tstream {
    struct exchange *x;
    struct http_call *call;
    const struct http_head *head;
    struct canon_stream stream;
    struct canon_frames *frames;
    struct inflater *inflater; /* NULL: plain */
    char *plain;
    struct buf out;      /* for the client, of this read */
    int64_t quiet_from;  /* when the client last got something */
    int64_t finished_at; /* when all but usage had come; 0: not yet */
    bool failed;         /* the client is gone */
    bool kept;           /* it has not taken all: wait for it before reading on */
};

/* --- what passes by --- */

/* Hears each canonical event on its way to the client's writer: text is kept for counting, as long
 * as no usage is known. */
static void ear(struct canon_stream *s, const struct canon_event *e)
{
    struct tstream *t = container_of(s, struct tstream, stream);

    if (e->kind == EVENT_PART_DELTA && (e->field == DELTA_TEXT || e->field == DELTA_INPUT))
        meter_text_add(&t->x->meter, e->text);
    else if (e->kind == EVENT_PART_START && e->part && e->part->kind == PART_TOOL_CALL)
        meter_text_add(&t->x->meter, e->part->name);
}

static int tstream_open(struct tstream *t, struct exchange *x)
{
    struct translated *tr = x->translated;
    struct str coding = http_get(&t->head->fields, HTTP_CONTENT_ENCODING);
    int r;

    t->quiet_from = clock_now();
    buf_init(&t->out, LIMIT_RESPONSE_BYTES);
    tr->error = (struct error){0};
    x->meter.null_seen = true; /* usage was asked for: a sample of the text is enough */
    r = canon_stream_open(&t->stream, &tr->call, tr->provider, tr->client);
    t->stream.heard = ear;
    if (r == 0)
        r = canon_frames_new(tr->provider->framing, &t->frames);
    if (r < 0 || !coding.n || str_ieq(coding, STR("identity")))
        return r;
    if (inflater_new(coding, &t->inflater) < 0)
        return -EOPNOTSUPP;
    t->plain = malloc(PLAIN_BYTES);
    return t->plain ? 0 : -ENOMEM;
}

static void tstream_free(struct tstream *t)
{
    canon_stream_close(&t->stream);
    canon_frames_free(t->frames);
    inflater_free(t->inflater);
    free(t->plain);
    buf_free(&t->out);
    free(t);
}

/* --- to the client --- */

/* Behind the first token the request's own bytes are not needed any more. */
int translated_stream_begin(struct exchange *x, const struct http_head *from, bool head_only)
{
    int r = 0;

    if (!http_reply_begun(x->rq)) {
        translated_note_losses(x);
        struct buf *fields = gw_scratch();
        translated_reply_fields(x, from, translated_stream_type(x->translated), fields);
        r = http_reply_begin(x->rq, 200, buf_str(fields), HTTP_LENGTH_UNKNOWN);
    } else if (!x->head_only) {
        return 0;
    }
    x->head_only = head_only;
    if (r < 0 || head_only)
        return r;
    x->reply_first_at = clock_now();
    return gw_exchange_detach(x);
}

/* What was made goes out, once there is a token in it. */
static int flush(struct tstream *t)
{
    struct exchange *x = t->x;
    struct iovec iov = {t->out.p, t->out.n};
    int r;

    if (!t->out.n || (gw_nothing_sent(x) && !t->stream.content && !t->stream.finished))
        return 0;
    if (gw_nothing_sent(x) && (r = translated_stream_begin(x, t->head, false)) < 0)
        return r;
    ledger_reply_bytes(x, buf_str(&t->out));
    r = http_reply_put(x->rq, &iov, 1);
    t->failed = r < 0;
    t->kept = r > 0;
    t->quiet_from = clock_now();
    buf_clear(&t->out);
    return t->failed ? -EPIPE : 0;
}

struct str gw_keep_alive(const struct exchange *x)
{
    switch (x->match.endpoint->stream) {
    case STREAM_ANTHROPIC:
        return STR("event: ping\ndata: {\"type\":\"ping\"}\n\n");
    case STREAM_CHAT:
    case STREAM_RESPONSES:
        return STR(": keep-alive\n\n");
    default:
        return STR_NONE;
    }
}

static int ping(struct tstream *t)
{
    struct str s = gw_keep_alive(t->x);
    struct iovec iov = {(char *)s.p, s.n};
    int r = translated_stream_begin(t->x, t->head, gw_nothing_sent(t->x));

    t->quiet_from = clock_now();
    if (r == 0 && s.n && (r = http_reply_put(t->x->rq, &iov, 1)) > 0)
        t->kept = true;
    if (r == 0 && t->x->head_only)
        r = http_reply_flush(t->x->rq);
    return r < 0 ? -EPIPE : 0;
}

/* --- from the provider --- */

static int take_piece(struct tstream *t, struct str in)
{
    struct str event, data;
    int n;

    while ((n = canon_frames_next(t->frames, &in, &event, &data)) > 0) {
        t->x->meter.events++;
        n = canon_stream_event(&t->stream, event, data, &t->out);
        if (n < 0 || t->stream.failed)
            return n;
    }
    return n;
}

static int take_packed(struct tstream *t, struct str in)
{
    ptrdiff_t n;
    int e = 0;

    while (e == 0 && (n = inflater_next(t->inflater, &in, t->plain, PLAIN_BYTES)) > 0)
        e = take_piece(t, str_at(t->plain, (size_t)n));
    return e < 0 ? e : n < 0 ? (int)n : 0;
}

/* --- how it ends --- */

/* An error that the provider sent inside its stream. */
static int provider_failed(struct tstream *t)
{
    struct exchange *x = t->x;
    struct error e = t->stream.error;

    x->outcome = gw_nothing_sent(x) ? OUTCOME_UPSTREAM_ERROR : OUTCOME_TRUNCATED;
    if (!e.status)
        e.status = 502;
    if (!e.message.n)
        e.message = STR("The provider's stream ended with an error.");
    translated_word_error(x, &e);
    if (!x->error.status)
        x->error = e;
    return -EREMOTEIO;
}

/* Once a token is out, an error is told as an event, which the stream's own writer makes, since it
 * may number its events. The front sends it. */
static void make_error_event(struct tstream *t)
{
    struct exchange *x = t->x;

    if (gw_nothing_sent(x) || t->failed || flush(t) < 0)
        return;
    if (canon_stream_fail(&t->stream, &x->error, &t->out) == 0 && t->out.n)
        x->stream_error = arena_dup(&x->translated->arena, buf_str(&t->out));
}

static int broke(struct tstream *t, ssize_t e)
{
    struct exchange *x = t->x;

    if (e == -ECANCELED || e == -EPIPE || co_cancelled())
        return gw_client_gone(x);
    x->outcome = gw_nothing_sent(x) ? OUTCOME_UPSTREAM_ERROR : OUTCOME_TRUNCATED;
    if (x->translated->error.status)
        return translated_failed(x, (int)e);
    if (e == -ETIMEDOUT)
        return exchange_fail(x, 504, STR("upstream_timeout"),
            STR("The provider stopped sending in the middle of its stream."));
    if (e == -EMSGSIZE)
        return exchange_fail(x, 502, STR("upstream_event_too_large"),
            STR("The provider sent an event that is larger than the gateway takes."));
    if (e == -EOPNOTSUPP || e == -EINVAL || e == -ENOMEM)
        return exchange_fail(
            x, 502, STR("upstream_bad_response"), STR("The provider's stream cannot be read."));
    return exchange_fail(
        x, 502, STR("upstream_closed"), STR("The provider's stream broke off before its end."));
}

/* The account is done before the last byte, as in relay_stream.c. */
static int end_reply(struct tstream *t)
{
    struct exchange *x = t->x;
    struct str trailers = STR_NONE;

    if (gw_nothing_sent(x) && translated_stream_begin(x, t->head, false) < 0)
        return -EPIPE;
    if (gw_account_may_wait(x) && flush(t) < 0)
        return -EPIPE;
    ledger_reply_bytes(x, buf_str(&t->out));
    gw_account(x);
    if (x->wants_trailers) {
        struct buf *b = gw_scratch();
        gw_cost_fields(x, b);
        trailers = buf_str(b);
    }
    struct iovec iov = {t->out.p, t->out.n};
    return http_reply_end_with(x->rq, &iov, t->out.n ? 1 : 0, trailers);
}

/* 0: the answer is whole, and out. */
static int finish(struct tstream *t)
{
    struct exchange *x = t->x;
    int r = canon_stream_end(&t->stream, &t->out);

    translated_usage(x, &t->stream.usage);
    if (t->stream.failed)
        return provider_failed(t);
    if (r < 0)
        return r;
    x->outcome = OUTCOME_OK;
    if (x->match.endpoint->kind == KIND_RESPONSES)
        translated_keep(x, translated_last_response(buf_str(&t->out)));
    if (end_reply(t) < 0)
        return gw_client_gone(x);
    struct iovec rest[IN_MAX]; /* the body's own end is here as a rule: the connection is kept */
    while (http_call_try_readv(t->call, rest, IN_MAX) > 0)
        ;
    return 0;
}

/* --- the loop --- */

/* 1: the stream goes on; 0: it ended well; or -errno. Not inlined: what lies on the stack here is
 * not needed while the stream is silent. */
__attribute__((noinline)) static int step(struct tstream *t)
{
    struct iovec in[IN_MAX];
    int n = http_call_try_readv(t->call, in, IN_MAX), e = 0;

    if (n < 0)
        return n == -EAGAIN ? 1 : n;
    for (int i = 0; i < n && e == 0 && !t->stream.failed; i++) {
        struct str piece = str_at(in[i].iov_base, in[i].iov_len);
        e = t->inflater ? take_packed(t, piece) : take_piece(t, piece);
    }
    translated_usage(t->x, &t->stream.usage);
    if (t->stream.failed) {
        flush(t);
        return provider_failed(t);
    }
    if (e == 0 && (n == 0 || http_call_ended(t->call) || t->stream.finished))
        return finish(t);
    if (flush(t) < 0)
        return -EPIPE;
    return e < 0 ? e : 1;
}

/* Another target may still have its turn, and has it when no token comes in time. */
static bool has_no_token(const struct tstream *t)
{
    return t->x->may_fail_over && t->x->first_token_by && !t->stream.content &&
           gw_nothing_sent(t->x);
}

/* True when it is to be stepped; else a keep-alive is due, or usage does not come. */
static bool await_provider(struct tstream *t)
{
    int64_t at = t->quiet_from + translated_config(t->x)->keep_alive;

    if (t->stream.finish_held) {
        if (!t->finished_at)
            t->finished_at = clock_now();
        at = MIN(at, t->finished_at + USAGE_WAIT_NS);
    }
    if (has_no_token(t))
        at = MIN(at, t->x->first_token_by);
    return http_call_wait_until(t->call, at);
}

static bool usage_is_late(const struct tstream *t)
{
    return t->finished_at && clock_now() >= t->finished_at + USAGE_WAIT_NS;
}

/* For a client that has not taken all, before more is read. */
static int await_client(struct tstream *t)
{
    if (!t->kept || !http_call_drop_used(t->call))
        return 0;
    t->kept = false;
    return http_reply_flush(t->x->rq);
}

static void give_back(struct tstream *t)
{
    if (t->out.n == 0 && t->out.cap > OUT_KEPT)
        buf_free(&t->out);
}

static int pass_on(struct tstream *t)
{
    for (;;) {
        if (!await_provider(t)) {
            if (has_no_token(t) && clock_now() >= t->x->first_token_by)
                return -ETIMEDOUT;
            int p = usage_is_late(t) ? finish(t) : ping(t);
            if (p < 0 || usage_is_late(t))
                return p;
            continue;
        }
        int e = step(t);
        if (e <= 0)
            return e;
        if (gw_top_up(t->x) < 0)
            return -EDQUOT;
        if (meter_text_is_due(&t->x->meter))
            gw_count_begun(t->x);
        give_back(t);
        if (http_call_brimful(t->call))
            http_call_small_reads(t->call, http_reply_is_behind(t->x->rq));
        if (await_client(t) < 0)
            return -EPIPE;
    }
}

/* Behind the end of the answer nothing can be missing, however the provider ends its body. */
static bool has_ended(const struct tstream *t, int e)
{
    return t->stream.finish_held && (e == -ECONNRESET || e == -EPROTO || e == -ETIMEDOUT);
}

int translated_relay_stream(struct exchange *x, struct http_call *c, const struct http_head *h)
{
    struct tstream *t = calloc(1, sizeof *t);
    int e;

    if (!t)
        return exchange_fail(x, 500, STR("internal_error"), STR("Out of memory."));
    x->stream = true;
    t->x = x;
    t->call = c;
    t->head = h;
    e = tstream_open(t, x);
    if (e == 0)
        e = pass_on(t);
    if (e < 0 && !x->error.status && has_ended(t, e))
        e = finish(t);
    if (e < 0 && !x->error.status)
        broke(t, e);
    if (e < 0 && x->outcome == OUTCOME_PENDING) /* its budget ended it, or its key's end did */
        x->outcome = OUTCOME_TRUNCATED;
    if (e < 0 && x->error.status && x->error.status != 499)
        make_error_event(t);
    tstream_free(t);
    return x->error.status ? -EREMOTEIO : 0;
}
