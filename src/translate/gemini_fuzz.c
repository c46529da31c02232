/*
 * Gemini's readers on anything: what they accept can be written for every provider, or is refused
 * with a reason, and what is written is JSON. The first byte says what the rest is.
 */
#include "translate/count.h"
#include "translate/embeddings.h"
#include "translate/gemini_int.h"
#include "translate/gemini_schema.h"

#include "base/limits.h"
#include "base/macros.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct fuzz {
    struct arena arena;
    struct error error;
    struct canon_call c;
    struct buf out;
};

static void check_written(struct fuzz *f, int r)
{
    const char *why;
    must(r == 0 || f->error.status >= 400);
    must(r != 0 || yyjson_is_ctn(jr_parse(&f->arena, buf_str(&f->out), &why)));
}

static void fuzz_request(struct fuzz *f, struct str body)
{
    static const struct wire *const targets[] = {&wire_gemini, &wire_chat, &wire_messages};
    struct canon_request q;
    f->c.request = &q;
    int r = wire_gemini.read_request(&f->c, body, &q);
    must(r == 0 || f->error.status >= 400);
    for (unsigned i = 0; i < ARRAY_LEN(targets) && r == 0; i++) {
        buf_clear(&f->out);
        f->error = (struct error){0};
        check_written(f, targets[i]->write_request(&f->c, &q, &f->out));
    }
}

static void fuzz_reply(struct fuzz *f, struct str body)
{
    static const struct wire *const clients[] = {&wire_gemini, &wire_chat, &wire_messages};
    struct canon_reply reply;
    int r = wire_gemini.read_reply(&f->c, body, &reply);
    must(r == 0 || f->error.status == 502 || f->error.status == 413);
    for (unsigned i = 0; i < ARRAY_LEN(clients) && r == 0; i++) {
        buf_clear(&f->out);
        check_written(f, clients[i]->write_reply(&f->c, &reply, &f->out));
    }
}

/* Events, one a line, to a client that gets an array: at the end it is one. */
static void fuzz_stream(struct fuzz *f, struct str text)
{
    struct canon_stream s;
    f->c.array_stream = true;
    if (canon_stream_open(&s, &f->c, &wire_gemini, &wire_gemini) < 0)
        return;
    while (text.p && s.err == 0 && !s.failed)
        canon_stream_event(&s, STR_NONE, str_split(&text, '\n'), &f->out);
    if (canon_stream_end(&s, &f->out) == 0 && !s.err)
        check_written(f, 0);
    canon_stream_close(&s);
}

static void fuzz_schema(struct fuzz *f, struct str text)
{
    const char *why;
    struct str schema = STR_NONE;
    yyjson_val *v = jr_parse(&f->arena, text, &why);
    if (!v)
        return;
    int r = gemini_schema_write(&f->c, text, STR("f"), true, &schema);
    must(r == 0 || f->error.status >= 400);
    must(!schema.p || yyjson_is_obj(jr_parse(&f->arena, schema, &why)));
    struct str back = gemini_schema_read(&f->c, v);
    must(!back.p || jr_parse(&f->arena, back, &why));
}

static void fuzz_embeddings(struct fuzz *f, enum embed_wire from, struct str body)
{
    struct embed_request q;
    unsigned n = 0;
    int r = embed_read_request(&f->c, from, body, &q);
    must(r == 0 || f->error.status >= 400);
    for (unsigned first = 0; r == 0 && first < q.inputs_n; first += n) {
        buf_clear(&f->out);
        r = embed_write_request(&f->c, EMBED_COHERE, &q, first, &f->out, &n);
        check_written(f, r);
    }
}

static void fuzz_error(struct fuzz *f, struct str body)
{
    struct error e;
    wire_gemini.read_error(&f->c, 429, STR_NONE, body, &e);
    must(e.status >= 400 && e.status < 600 && e.message.n > 0 && e.retry_after_s >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz f = {0};
    if (n == 0 || n > 64 * KIB)
        return 0;
    struct str text = str_at((const char *)data + 1, n - 1);
    arena_init(&f.arena, NULL, 0, 64 * MIB);
    buf_init(&f.out, 64 * MIB);
    canon_call_init(&f.c, &f.arena, &f.error);
    f.c.provider = data[0] & 8 ? STR("vertex") : STR("gemini");
    f.c.model = data[0] & 16 ? STR("gemini-2.0-flash") : STR("gemini-3-flash-preview");
    f.c.model_shown = STR("m");
    f.c.request_id = STR("req_1");
    switch (data[0] & 7) {
    case 0:
        fuzz_request(&f, text);
        break;
    case 1:
        fuzz_reply(&f, text);
        break;
    case 2:
        fuzz_stream(&f, text);
        break;
    case 3:
        fuzz_schema(&f, text);
        break;
    case 4:
        fuzz_embeddings(&f, EMBED_OPENAI, text);
        break;
    case 5:
        fuzz_embeddings(&f, EMBED_GEMINI, text);
        break;
    default:
        fuzz_error(&f, text);
    }
    arena_free(&f.arena);
    buf_free(&f.out);
    return 0;
}
