/*
 * Requests in Anthropic's dialect, out and in again. What the writer made, the reader takes; and
 * what was written once is written alike a second time: nothing is changed, lost or added on a way
 * that changed nothing. Events of a stream: however odd, what a client of the dialect gets is JSON.
 */
#include "base/limits.h"
#include "base/macros.h"
#include "http/sse.h"
#include "translate/messages_int.h"

struct round {
    struct arena arena;
    struct error error;
    struct canon_call c;
    struct canon_request q;
    struct buf out;
};

static void round_open(struct round *r, const struct model_facts *facts)
{
    *r = (struct round){0};
    arena_init(&r->arena, NULL, 0, 16 * MIB);
    canon_call_init(&r->c, &r->arena, &r->error);
    r->c.model = r->c.model_shown = STR("m");
    r->c.request_id = STR("r");
    r->c.facts = facts;
    r->c.request = &r->q;
    canon_request_init(&r->q);
    buf_init(&r->out, 16 * MIB);
}

static void round_close(struct round *r)
{
    buf_free(&r->out);
    arena_free(&r->arena);
}

static int once(struct round *r, struct str body)
{
    int err = wire_messages.read_request(&r->c, body, &r->q);
    return err < 0 ? err : wire_messages.write_request(&r->c, &r->q, &r->out);
}

static void fuzz_request(struct str body, const struct model_facts *facts)
{
    struct round a, b;
    round_open(&a, facts);
    round_open(&b, facts);
    if (once(&a, body) == 0) {
        int err = once(&b, buf_str(&a.out));
        must(err == 0 || b.error.status == 413);
        must(err < 0 || str_eq(buf_str(&a.out), buf_str(&b.out)));
    } else {
        must(a.error.status == 400 || a.error.status == 413);
    }
    round_close(&a);
    round_close(&b);
}

/* Each event that was written is whole and has a JSON object for data. */
static void check_events(struct round *r)
{
    struct sse sse;
    struct sse_event e;
    struct str in = buf_str(&r->out);
    const char *why;
    sse_init(&sse, LIMIT_SSE_EVENT_BYTES);
    while (sse_next(&sse, &in, &e) > 0)
        must(!e.data.p || yyjson_is_obj(jr_parse(&r->arena, e.data, &why)));
    sse_free(&sse);
}

static void fuzz_stream(struct str text, const struct wire *from)
{
    struct round r;
    struct canon_stream s;
    round_open(&r, NULL);
    must(canon_stream_open(&s, &r.c, from, &wire_messages) == 0);
    while (text.p) {
        struct str event = str_split(&text, '\n');
        if (canon_stream_event(&s, STR_NONE, event, &r.out) < 0 || s.failed)
            break;
    }
    must(s.err || s.failed || canon_stream_end(&s, &r.out) <= 0);
    canon_stream_close(&s);
    check_events(&r);
    round_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct model_facts kinds[] = {
        {.flags = MODEL_REASONING | MODEL_PREFILL},
        {.flags = MODEL_REASONING | MODEL_ADAPTIVE_THINKING | MODEL_SYSTEM_ANYWHERE |
                  MODEL_NATIVE_SCHEMA | MODEL_PREFILL},
    };
    if (n < 1 || n > 64 * KIB)
        return 0;
    struct str text = str_at((const char *)data + 1, n - 1);
    switch (data[0] % 5) {
    case 0:
        fuzz_request(text, NULL);
        break;
    case 1:
    case 2:
        fuzz_request(text, &kinds[data[0] % 5 - 1]);
        break;
    case 3:
        fuzz_stream(text, &wire_chat);
        break;
    default:
        fuzz_stream(text, &wire_messages_vertex);
    }
    return 0;
}
