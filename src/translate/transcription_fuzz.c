/*
 * Replies of Deepgram and Gemini of any content, for clients that want any format, and forms with
 * any fields: no crash, and what comes out is what its content-type says, or there is an error that
 * says whose fault it is. Subtitles have as many arrows as segments, whatever was said in them.
 *
 * The first byte chooses provider and format, the second how losses are taken; up to an empty line
 * follow fields of the form, a line each, and behind it the reply.
 */
#include "translate/speech.h"
#include "translate/transcription.h"

#include "base/limits.h"
#include "base/macros.h"
#include "json/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const formats[] = {
    "json", "text", "srt", "vtt", "verbose_json", "diarized_json", "json", "verbose_json"};

struct run {
    struct arena arena;
    struct error error;
    struct canon_call c;
    struct transcription_request q;
    struct transcription_reply reply;
    struct buf out;
};

static bool is_json(struct str s)
{
    struct json_error e;
    enum json_type top;

    return json_scan(s, NULL, NULL, 0, &top, &e) == 0 && top == JSON_OBJECT;
}

static unsigned count(struct str s, struct str what)
{
    unsigned n = 0;
    ptrdiff_t at;

    for (; (at = str_find(s, what)) >= 0; n++)
        s = str_from(s, (size_t)at + what.n);
    return n;
}

/* The data of each event. */
static void check_events(struct str s)
{
    while (s.n) {
        struct str line = str_split(&s, '\n');
        if (line.n)
            must(str_starts(line, STR("data: ")) && is_json(str_from(line, 6)));
    }
}

static void check_reply(struct run *r)
{
    struct str s = buf_str(&r->out);

    if (r->q.stream)
        check_events(s);
    else if (r->q.format == TRANSCRIPT_SRT || r->q.format == TRANSCRIPT_VTT)
        must(count(s, STR("-->")) == r->reply.segments_n);
    else if (r->q.format != TRANSCRIPT_TEXT)
        must(is_json(s));
}

static int read_fields(struct run *r, struct str *rest)
{
    int e = 0;

    while (e == 0 && rest->n) {
        struct str value = str_split(rest, '\n'), name;
        if (!value.n)
            break;
        name = str_split(&value, '=');
        e = transcription_read_field(&r->c, &r->q, name, value);
    }
    return e;
}

static void try_requests(struct run *r)
{
    struct audio_options *o = arena_new(&r->arena, struct audio_options);

    must(o);
    if (transcription_write_query(&r->c, &r->q, o) == 0)
        must(o->n > 0 && o->n <= AUDIO_OPTIONS_MAX);
    if (transcription_write_before(&r->c, &r->q, STR("audio/wav"), &r->out) < 0)
        return;
    must(transcription_write_after(&r->c, &r->q, &r->out) == 0);
    must(is_json(buf_str(&r->out)));
}

static void try_speech(struct run *r, struct str body)
{
    struct speech_sent *s = arena_new(&r->arena, struct speech_sent);
    struct speech_request q;
    struct speech_reply reply;

    must(s);
    buf_clear(&r->out);
    if (speech_read_request(&r->c, body, &q) == 0 &&
        speech_write_request(&r->c, &q, SPEECH_GEMINI, &r->out, s) == 0)
        must(is_json(buf_str(&r->out)));
    buf_clear(&r->out);
    q = (struct speech_request){.sse = true};
    *s = (struct speech_sent){.format = SPEECH_WAV};
    if (speech_read_reply(&r->c, body, &reply) == 0 &&
        speech_write_reply(&r->c, &q, s, &reply, &r->out) == 0)
        check_events(buf_str(&r->out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run *r = &(struct run){0};
    struct str rest = str_at((const char *)data + 2, size < 2 ? 0 : size - 2);
    int e;

    if (size < 2)
        return 0;
    arena_init(&r->arena, NULL, 0, 32 * MIB);
    canon_call_init(&r->c, &r->arena, &r->error);
    buf_init(&r->out, 32 * MIB);
    r->c.provider = STR("p");
    r->c.model = data[1] & 2 ? STR("nova-3") : STR("nova-2");
    r->c.losses = data[1] & 1 ? LOSSES_REFUSE : LOSSES_DECLARE;
    e = transcription_read_field(
        &r->c, &r->q, STR("response_format"), str_of(formats[data[0] / 2 % ARRAY_LEN(formats)]));
    must(e == 0);
    if ((e = read_fields(r, &rest)) == 0) {
        try_requests(r);
        buf_clear(&r->out);
        r->error = (struct error){0};
        e = transcription_read_reply(&r->c, &r->q, data[0] & 1, rest, &r->reply);
        if (e == 0 && (e = transcription_write_reply(&r->c, &r->q, &r->reply, &r->out)) == 0)
            check_reply(r);
    }
    must(e == 0 || r->error.status == 400 || r->error.status == 413 || r->error.status == 502);
    try_speech(r, rest);
    buf_free(&r->out);
    arena_free(&r->arena);
    return 0;
}
