/*
 * Streams of any content, from any wire to any client: the client's bytes, how it ends and what it
 * cost do not depend on the pieces in which the body came; what a client is given as a whole
 * stream, its own dialect's reader can read to the end.
 *
 * The first byte chooses the pair of wires. An odd second byte means that the rest is lines "event
 * TAB data", which are framed here, since chance would hardly find an AWS checksum.
 */
#include "base/limits.h"
#include "http/cut_fuzz.h"
#include "http/eventstream.h"
#include "translate/messages.h"
#include "translate/stream_int.h"

#include <errno.h>

#define OUT_MAX (32 * MIB)

static const struct wire *const providers[] = {&wire_chat, &wire_responses, &wire_messages,
    &wire_gemini, &wire_converse, &wire_cohere, &wire_ollama, &wire_replicate,
    &wire_messages_bedrock};
static const struct wire *const clients[] = {&wire_chat, &wire_responses, &wire_messages,
    &wire_gemini, &wire_converse, &wire_messages_bedrock};

struct outcome {
    struct buf out;
    struct usage usage;
    int err;
    bool failed, finished;
};

static int feed(struct canon_stream *s, struct canon_frames *f, struct str piece, struct buf *out)
{
    struct str event, data;
    int r;
    while ((r = canon_frames_next(f, &piece, &event, &data)) > 0)
        if ((r = canon_stream_event(s, event, data, out)) < 0 || s->failed)
            return r;
    must(r < 0 || piece.n == 0);
    return r;
}

static int end(struct canon_stream *s, struct canon_frames *f, struct buf *out)
{
    struct str event, data;
    int r = canon_frames_end(f, &event, &data);
    if (r > 0)
        r = canon_stream_event(s, event, data, out);
    return r < 0 ? r : canon_stream_end(s, out);
}

static void call_open(
    struct canon_call *c, struct arena *a, struct error *e, struct canon_request *q)
{
    arena_init(a, NULL, 0, 64 * MIB);
    canon_call_init(c, a, e);
    canon_request_init(q);
    c->provider = STR("openai");
    c->model = c->model_shown = STR("m");
    c->request_id = STR("req_1");
    c->now = 1700000000;
    c->usage_asked = true;
    c->request = q;
}

/* how: 0 whole, 1 byte by byte, else the salt of random pieces. */
static void run(struct str body, const struct wire *from, const struct wire *to, uint64_t how,
    struct outcome *o)
{
    struct arena arena;
    struct error error = {0};
    struct canon_request q;
    struct canon_call c;
    struct canon_stream s;
    struct canon_frames *f;
    struct cutter k = cutter_of(body, how);
    *o = (struct outcome){0};
    buf_init(&o->out, OUT_MAX);
    call_open(&c, &arena, &error, &q);
    must(canon_stream_open(&s, &c, from, to) == 0);
    must(canon_frames_new(from->framing, &f) == 0);
    while (body.n && o->err == 0 && !s.failed) {
        struct str piece = how == 0 ? body : how == 1 ? str_to(body, 1) : cutter_take(&k, &body);
        if (how < 2)
            body = str_from(body, piece.n);
        o->err = feed(&s, f, piece, &o->out);
    }
    if (o->err == 0 && !s.failed)
        o->err = end(&s, f, &o->out);
    must(o->err == 0 || o->err == -ECONNRESET || error.status || o->err == -EINVAL ||
         o->err == -EMSGSIZE);
    if (!messages_same_dialect(from, to)) /* nothing is written before the first token */
        must(s.content || s.finished || o->out.n == 0);
    must(s.seq_->kept_n <= STREAM_KEPT_MAX || o->err < 0);
    o->usage = s.usage;
    o->failed = s.failed;
    o->finished = s.finished;
    if (s.failed || o->err < 0)
        must(canon_stream_fail(&s, s.failed ? &s.error : &error, &o->out) <= 0);
    canon_frames_free(f);
    canon_stream_close(&s);
    arena_free(&arena);
}

static void must_agree(const struct outcome *a, const struct outcome *b)
{
    must(a->err == b->err && a->failed == b->failed && a->finished == b->finished);
    must(str_eq(buf_str(&a->out), buf_str(&b->out)));
    must(memcmp(&a->usage, &b->usage, sizeof(a->usage)) == 0);
}

/* Lines become events of the framing. */
static void frame_lines(struct str text, enum wire_framing framing, struct buf *out)
{
    while (text.p) {
        struct str data = str_split(&text, '\n'), name = str_split(&data, '\t');
        struct eventstream_header h = {STR(":event-type"), EVENTSTREAM_STRING, name};
        if (framing == FRAMES_EVENTSTREAM) {
            eventstream_write(out, &h, 1, data.p ? data : STR(""));
            continue;
        }
        if (framing == FRAMES_SSE) {
            buf_addstr(out, STR("event: "));
            buf_addstr(out, name);
            buf_addstr(out, STR("\ndata: "));
        }
        buf_addstr(out, data);
        buf_addstr(out, framing == FRAMES_SSE ? STR("\n\n") : STR("\n"));
    }
}

/* What went out whole comes in whole. */
static void check_readable(const struct outcome *o, const struct wire *client)
{
    struct outcome again;
    if (o->err || o->failed)
        return;
    run(buf_str(&o->out), client, client == &wire_chat ? &wire_messages : &wire_chat, 0, &again);
    must(again.err == 0 && !again.failed && again.finished);
    buf_free(&again.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(buf_free) struct buf body = {0};
    struct outcome whole, other;
    if (size < 2 || size > 64 * KIB)
        return 0;
    const struct wire *from = providers[data[0] % ARRAY_LEN(providers)];
    const struct wire *to = clients[data[0] / ARRAY_LEN(providers) % ARRAY_LEN(clients)];
    struct str rest = str_at((const char *)data + 2, size - 2);
    buf_init(&body, OUT_MAX);
    if (data[1] & 1)
        frame_lines(rest, from->framing, &body);
    else
        buf_addstr(&body, rest);
    run(buf_str(&body), from, to, 0, &whole);
    for (uint64_t how = 1; how < 4; how++) {
        run(buf_str(&body), from, to, how, &other);
        must_agree(&whole, &other);
        buf_free(&other.out);
    }
    check_readable(&whole, to);
    buf_free(&whole.out);
    return 0;
}
