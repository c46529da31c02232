/*
 * Speech both ways. A transcription says how large the file was, so a test sees that it arrived
 * whole; speech is a short silence in the format that was asked for.
 */
#include "demo/openai_int.h"

#include "crypto/encode.h"

/* --- transcriptions and translations --- */

static void put_usage(struct demo_call *c, const struct answer *a)
{
    unsigned long long in = a->tokens_in, out = a->tokens_out;
    putf(c,
        ",\"usage\":{\"type\":\"tokens\",\"input_tokens\":%llu,\"input_token_details\":{"
        "\"audio_tokens\":%llu,\"text_tokens\":0},\"output_tokens\":%llu,\"total_tokens\":%llu}",
        in, in, out, in + out);
}

static void put_verbose(struct demo_call *c, struct str text, bool translate)
{
    putf(c, "{\"task\":\"%s\",\"language\":\"english\",\"duration\":1.0,\"text\":",
        translate ? "translate" : "transcribe");
    put_json(c, text);
    put(c, ",\"words\":[],\"segments\":[{\"id\":0,\"seek\":0,\"start\":0.0,\"end\":1.0,\"text\":");
    put_json(c, text);
    put(c, ",\"tokens\":[1],\"temperature\":0.0,\"avg_logprob\":-0.1,\"compression_ratio\":1.0,"
           "\"no_speech_prob\":0.01}]");
    if (!c->dir.no_usage && !translate)
        put(c, ",\"usage\":{\"type\":\"duration\",\"seconds\":1}");
    put(c, "}");
}

static void stream_transcript(struct demo_call *c, struct answer *a)
{
    struct str all = buf_str(&a->text), rest = all;
    size_t pieces = a->pieces;
    uint64_t words = count_words(rest);
    bool on = true;
    demo_stream_begin(c, STR("text/event-stream"), STREAM_OTHER);
    while (on && rest.n) {
        put(c,
            "event: transcript.text.delta\ndata: {\"type\":\"transcript.text.delta\",\"delta\":");
        put_json(c, answer_piece(&rest, &words, &pieces));
        put(c, "}\n\n");
        on = demo_event(c);
    }
    if (on) {
        put(c, "event: transcript.text.done\ndata: {\"type\":\"transcript.text.done\",\"text\":");
        put_json(c, all);
        if (!c->dir.no_usage)
            put_usage(c, a);
        put(c, "}\n\n");
        (void)demo_event(c);
    }
    demo_stream_end(c);
}

static void transcript(struct demo_call *c, struct answer *a, bool translate)
{
    struct str format = form_value(c->form, STR("response_format")), text = buf_str(&a->text);
    if (str_eq(format, STR("text"))) {
        put_str(c, text);
        put(c, "\n");
        demo_reply(c, 200, STR("text/plain; charset=utf-8"));
    } else if (str_eq(format, STR("srt")) || str_eq(format, STR("vtt"))) {
        bool vtt = str_eq(format, STR("vtt"));
        put_str(c, vtt ? STR("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n")
                       : STR("1\n00:00:00,000 --> 00:00:01,000\n"));
        put_str(c, text);
        put(c, "\n\n");
        demo_reply(c, 200, STR("text/plain; charset=utf-8"));
    } else if (str_eq(format, STR("verbose_json"))) {
        put_verbose(c, text, translate);
        demo_json(c);
    } else {
        put(c, "{\"text\":");
        put_json(c, text);
        if (!c->dir.no_usage && !translate)
            put_usage(c, a);
        put(c, "}");
        demo_json(c);
    }
}

void openai_transcription(struct demo_call *c)
{
    const struct form_field *file = form_file(c->form);
    bool translate = str_ends(c->match.rest, STR("translations"));
    if (!file) {
        demo_error(c, 400, "A multipart form with a 'file' is required.");
        return;
    }
    buf_printf(&c->prompt.user, "file " STR_FMT " of %zu bytes",
        (int)MIN(file->filename.n, (size_t)200), file->filename.p, file->value.n);
    c->prompt.words = 1 + file->value.n / 1000;
    if (!(c->answer = answer_make(c)))
        demo_error(c, 500, "Out of memory.");
    else if (str_eq(form_value(c->form, STR("stream")), STR("true")) && !translate)
        stream_transcript(c, c->answer);
    else
        transcript(c, c->answer, translate);
}

/* --- speech --- */

static void put_le(struct demo_call *c, uint32_t v, unsigned bytes)
{
    for (; bytes > 0; bytes--, v >>= 8)
        buf_addc(&c->out, (char)(v & 255));
}

static void put_zeros(struct demo_call *c, size_t n)
{
    if (buf_reserve(&c->out, n) < 0)
        return;
    memset(c->out.p + c->out.n, 0, n);
    c->out.n += n;
}

/* 16 bits, mono, 24,000 a second. */
static void put_wav(struct demo_call *c, size_t n)
{
    put(c, "RIFF");
    put_le(c, (uint32_t)(36 + n), 4);
    put(c, "WAVEfmt ");
    put_le(c, 16, 4);
    put_le(c, 1, 2);
    put_le(c, 1, 2);
    put_le(c, 24000, 4);
    put_le(c, 48000, 4);
    put_le(c, 2, 2);
    put_le(c, 16, 2);
    put(c, "data");
    put_le(c, (uint32_t)n, 4);
    put_zeros(c, n);
}

/* Silent frames of MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes each. */
static void put_mp3(struct demo_call *c, size_t n)
{
    for (size_t i = 0; i < MAX(n / 417, (size_t)1); i++) {
        buf_add(&c->out, "\xff\xfb\x90\x00", 4);
        put_zeros(c, 413);
    }
}

static struct str put_audio(struct demo_call *c, struct str format)
{
    size_t n = c->dir.size >= 0 ? MIN((size_t)c->dir.size, DEMO_SIZE_MAX) : 4800;
    if (str_eq(format, STR("wav"))) {
        put_wav(c, n & ~(size_t)1);
        return STR("audio/wav");
    }
    if (str_eq(format, STR("pcm"))) {
        put_zeros(c, n & ~(size_t)1);
        return STR("audio/pcm");
    }
    put_mp3(c, n);
    return STR("audio/mpeg");
}

static void stream_speech(struct demo_call *c, struct str format)
{
    struct buf audio;
    unsigned long long words = c->prompt.words;
    (void)put_audio(c, format);
    audio = c->out;
    buf_init(&c->out, DEMO_OUT_MAX);
    demo_stream_begin(c, STR("text/event-stream"), STREAM_OTHER);
    struct str rest = buf_str(&audio);
    bool on = true;
    while (on && rest.n) {
        put(c, "event: speech.audio.delta\ndata: {\"type\":\"speech.audio.delta\",\"audio\":\"");
        base64_add(&c->out, str_to(rest, 3000));
        put(c, "\"}\n\n");
        rest = str_from(rest, 3000);
        on = demo_event(c);
    }
    if (on) {
        putf(c,
            "event: speech.audio.done\ndata: {\"type\":\"speech.audio.done\",\"usage\":{"
            "\"input_tokens\":%llu,\"output_tokens\":%llu,\"total_tokens\":%llu}}\n\n",
            words, words, 2 * words);
        (void)demo_event(c);
    }
    demo_stream_end(c);
    buf_free(&audio);
}

void openai_speech(struct demo_call *c)
{
    struct str format = unquoted(json_find(c->body, STR("response_format")));
    if (!field(c, F_INPUT).p)
        demo_error(c, 400, "Missing required parameter: 'input'.");
    else if (literal_is(json_find(c->body, STR("stream_format")), STR("sse")))
        stream_speech(c, format);
    else
        demo_reply(c, 200, put_audio(c, format));
}
