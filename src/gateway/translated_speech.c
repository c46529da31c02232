/*
 * Speech at providers that do not speak OpenAI's dialect (translate/speech.h). Deepgram's reply is
 * the sound in the client's format: it passes piece by piece as it comes, or each piece as an
 * event. Gemini's is read whole, as its sound stands in JSON.
 */
#include "gateway/translated_int.h"

#include "http/inflate.h"
#include "translate/speech.h"

#include <errno.h>

static bool is_speech(const struct exchange *x)
{
    return x->match.endpoint->kind == KIND_SPEECH;
}

static bool at_deepgram(const struct exchange *x)
{
    return x->face->dialect == DIALECT_DEEPGRAM;
}

static int read_request(struct exchange *x)
{
    struct translated *t = x->translated;

    if (!(t->speech = arena_new(&t->arena, struct speech_request)))
        return -ENOMEM;
    return speech_read_request(&t->as_read, x->body, t->speech);
}

static int write_request(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;
    struct speech_sent *s = arena_new(&t->arena, struct speech_sent);
    enum speech_form form = at_deepgram(x) ? SPEECH_DEEPGRAM : SPEECH_GEMINI;
    int r;

    if (!(t->made.speech = s))
        return -ENOMEM;
    x->stream = false; /* at the provider; the client may get events all the same */
    if ((r = speech_write_request(&t->call, t->speech, form, out, s)) < 0)
        return r;
    t->made.reply_type =
        t->speech->sse ? STR("text/event-stream; charset=utf-8") : speech_type(s->format);
    if (form == SPEECH_GEMINI)
        return 0;
    t->made.wanted_type = STR("audio/*");
    return translated_put_query(x, &s->query);
}

static int write_reply(struct exchange *x, struct str body, struct buf *out)
{
    struct translated *t = x->translated;
    struct speech_reply reply;
    int r;

    translated_make_room(t, body.n);
    if ((r = speech_read_reply(&t->call, body, &reply)) < 0)
        return r;
    translated_usage(x, &reply.usage);
    return speech_write_reply(&t->call, t->speech, t->made.speech, &reply, out);
}

/* --- sound that passes --- */

/* The client's head, once the first piece is here: until then another target may follow. */
static int begin(struct exchange *x, const struct http_head *h)
{
    struct buf *fields = gw_scratch();
    bool known = h->framing == HTTP_BODY_LENGTH && !x->translated->speech->sse;

    translated_note_losses(x);
    translated_reply_fields(x, h, x->translated->made.reply_type, fields);
    x->reply_first_at = clock_now();
    return http_reply_begin(
        x->rq, 200, buf_str(fields), known ? h->content_length : HTTP_LENGTH_UNKNOWN);
}

static int pass_piece(struct exchange *x, struct str piece, struct buf *event)
{
    if (!x->translated->speech->sse)
        return http_reply_write(x->rq, piece);
    buf_clear(event);
    if (speech_write_delta(piece, event) < 0)
        return event->err;
    return http_reply_write(x->rq, buf_str(event));
}

static int end_sound(struct exchange *x, struct buf *event)
{
    int r = 0;

    x->outcome = OUTCOME_OK;
    gw_account(x);
    buf_clear(event);
    if (x->translated->speech->sse && (r = speech_write_done(NULL, event)) == 0)
        r = http_reply_write(x->rq, buf_str(event));
    if (r == 0)
        r = http_reply_end(x->rq, STR_NONE);
    return r < 0 ? gw_client_gone(x) : 0;
}

static int nothing_came(struct exchange *x)
{
    x->outcome = OUTCOME_UPSTREAM_ERROR;
    return exchange_fail(
        x, 502, STR("upstream_bad_response"), STR("The provider's reply holds no sound."));
}

static bool is_coded(const struct http_head *h)
{
    struct str coding = http_get(&h->fields, HTTP_CONTENT_ENCODING);

    return coding.n && !str_ieq(coding, STR("identity"));
}

__attribute__((noinline)) static int relay_sound(
    struct exchange *x, struct http_call *c, const struct http_head *h)
{
    _cleanup_(buf_free) struct buf event = {0};
    struct str piece;
    ssize_t n;
    int r = 0;

    buf_init(&event, MIB);
    while (r == 0 && (n = http_call_read(c, &piece)) != 0) {
        if (n < 0)
            return gw_upstream_broke(x, n);
        if (!http_reply_begun(x->rq))
            r = begin(x, h);
        if (r == 0)
            r = pass_piece(x, piece, &event);
    }
    if (r < 0)
        return gw_client_gone(x);
    return http_reply_begun(x->rq) ? end_sound(x, &event) : nothing_came(x);
}

static int relay(struct exchange *x, struct http_call *c, const struct http_head *h)
{
    struct str type = http_get(&h->fields, HTTP_CONTENT_TYPE);

    x->stream = false;
    if (!at_deepgram(x))
        return translated_relay_whole(x, c, h);
    if (is_coded(h) ||
        !(str_istarts(type, STR("audio/")) || str_istarts(type, STR("application/octet-stream"))) ||
        (h->framing == HTTP_BODY_LENGTH && !h->content_length))
        return nothing_came(x);
    return relay_sound(x, c, h);
}

const struct translated_other translated_speech = {
    .is = is_speech,
    .read = read_request,
    .write = write_request,
    .reply = write_reply,
    .relay = relay,
};
