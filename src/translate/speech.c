/* See speech.h. */
#include "translate/speech.h"

#include "base/macros.h"
#include "crypto/encode.h"
#include "translate/gemini_int.h"
#include "translate/native_int.h"

#include <errno.h>

#define VOICE_MAX   128
#define DELTA_BYTES ((size_t)24 * 1024) /* of sound in one event; whole groups of base64 */

static const struct {
    struct str name, type;
} formats[SPEECH_FORMATS] = {
    [SPEECH_MP3] = {STR_INIT("mp3"), STR_INIT("audio/mpeg")},
    [SPEECH_OPUS] = {STR_INIT("opus"), STR_INIT("audio/opus")},
    [SPEECH_AAC] = {STR_INIT("aac"), STR_INIT("audio/aac")},
    [SPEECH_FLAC] = {STR_INIT("flac"), STR_INIT("audio/flac")},
    [SPEECH_WAV] = {STR_INIT("wav"), STR_INIT("audio/wav")},
    [SPEECH_PCM] = {STR_INIT("pcm"), STR_INIT("audio/pcm")},
};

struct str speech_type(enum speech_format f)
{
    return formats[f].type;
}

/* --- the client's request --- */

static int read_format(struct canon_call *c, yyjson_val *v, struct speech_request *q)
{
    if (!v || yyjson_is_null(v))
        return 0;
    q->format_said = true;
    for (unsigned f = 0; f < SPEECH_FORMATS; f++)
        if (str_eq(jr_str(v), formats[f].name)) {
            q->format = f;
            return 0;
        }
    return canon_wrong(c, "response_format", "mp3, opus, aac, flac, wav or pcm");
}

/* A name, or {"id": …} of a voice of one's own. */
static int read_voice(struct canon_call *c, yyjson_val *v, struct speech_request *q)
{
    q->voice = yyjson_is_obj(v) ? jr_get_str(v, "id") : jr_str(v);
    if (v && !yyjson_is_null(v) && (!q->voice.n || q->voice.n > VOICE_MAX))
        return canon_wrong(c, "voice", "the name of a voice");
    return 0;
}

static int read_speed(struct canon_call *c, yyjson_val *v, struct speech_request *q)
{
    struct str digits = jr_raw(c->arena, v);
    double speed = yyjson_is_raw(v) ? native_decimal(digits) : 0;

    if (!v || yyjson_is_null(v))
        return 0;
    if (!(speed >= 0.25 && speed <= 4.0))
        return canon_wrong(c, "speed", "a number from 0.25 to 4.0");
    if (speed != 1.0)
        q->speed = digits;
    return 0;
}

static int read_stream_format(struct canon_call *c, yyjson_val *v, struct speech_request *q)
{
    q->sse = str_eq(jr_str(v), STR("sse"));
    if (!v || yyjson_is_null(v) || q->sse || str_eq(jr_str(v), STR("audio")))
        return 0;
    return canon_wrong(c, "stream_format", "sse or audio");
}

static int drop_others(struct canon_call *c, yyjson_val *root)
{
    static const char *const known[] = {"model", "input", "voice", "instructions",
        "response_format", "speed", "stream_format", "stream"};

    return jr_drop_unknown(c, root, known, ARRAY_LEN(known), STR_NONE);
}

int speech_read_request(struct canon_call *c, struct str body, struct speech_request *q)
{
    yyjson_val *root = jr_client_object(c, body);
    int r;

    *q = (struct speech_request){.format = SPEECH_MP3};
    if (!root)
        return -EREMOTEIO;
    q->input = jr_get_str(root, "input");
    q->instructions = jr_get_str(root, "instructions");
    if (!q->input.n)
        return canon_wrong(c, "input", "a text");
    if ((r = read_voice(c, yyjson_obj_get(root, "voice"), q)) < 0 ||
        (r = read_format(c, yyjson_obj_get(root, "response_format"), q)) < 0 ||
        (r = read_speed(c, yyjson_obj_get(root, "speed"), q)) < 0 ||
        (r = read_stream_format(c, yyjson_obj_get(root, "stream_format"), q)) < 0)
        return r;
    return drop_others(c, root);
}

/* --- voices --- */

static bool is_openais(struct str voice)
{
    static const struct str names[] = {STR_INIT("alloy"), STR_INIT("ash"), STR_INIT("ballad"),
        STR_INIT("cedar"), STR_INIT("coral"), STR_INIT("echo"), STR_INIT("fable"),
        STR_INIT("marin"), STR_INIT("nova"), STR_INIT("onyx"), STR_INIT("sage"),
        STR_INIT("shimmer"), STR_INIT("verse")};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (str_ieq(voice, names[i]))
            return true;
    return false;
}

/* Deepgram's families of voices, which are no models by themselves, each with one of its voices. */
static const struct {
    struct str family, voice;
} families[] = {
    {STR_INIT("aura-2"), STR_INIT("thalia")},
    {STR_INIT("aura"), STR_INIT("asteria")},
};

static struct str voice_of_family(struct str family)
{
    for (unsigned i = 0; i < ARRAY_LEN(families); i++)
        if (str_eq(family, families[i].family))
            return families[i].voice;
    return STR_NONE;
}

/* "thalia", "thalia-en", "aura-2-thalia-en" */
static struct str deepgram_voice(struct canon_call *c, struct str family, struct str voice)
{
    struct str begin = arena_printf(c->arena, STR_FMT "-", STR_ARG(family));

    if (str_starts(voice, begin))
        return voice;
    return arena_printf(c->arena, STR_FMT STR_FMT "%s", STR_ARG(begin), STR_ARG(voice),
        str_chr(voice, '-') < 0 ? "-en" : "");
}

/* The voice's part of "aura-2-thalia-en". */
static bool has_voice(struct str model, struct str voice)
{
    for (struct str one; model.n;) {
        one = str_split(&model, '-');
        if (str_ieq(one, voice))
            return true;
    }
    return false;
}

/* The model to ask for: of a family the voice decides, any other has its own. */
static int deepgram_model(struct canon_call *c, const struct speech_request *q, struct str *ret)
{
    struct str usual = voice_of_family(c->model);
    bool foreign = is_openais(q->voice);

    *ret = c->model;
    if (!usual.n)
        return !q->voice.n || str_ieq(q->voice, c->model) || has_voice(c->model, q->voice)
                   ? 0
                   : canon_drop(c, STR("voice"), "the model is the voice there");
    if (!q->voice.n)
        return canon_wrong(c, "voice", "the name of a voice");
    *ret = deepgram_voice(c, c->model, foreign ? usual : q->voice);
    if (!ret->p)
        return canon_no_room(c);
    return foreign ? canon_drop(c, STR("voice"), "that provider has other voices") : 0;
}

/* --- Deepgram's request --- */

static int deepgram_format(struct canon_call *c, enum speech_format f, struct audio_options *o)
{
    static const struct {
        struct str encoding, container, rate;
    } rows[SPEECH_FORMATS] = {
        [SPEECH_MP3] = {.encoding = STR_INIT("mp3")},
        [SPEECH_OPUS] = {.encoding = STR_INIT("opus"), .container = STR_INIT("ogg")},
        [SPEECH_AAC] = {.encoding = STR_INIT("aac")},
        [SPEECH_FLAC] = {.encoding = STR_INIT("flac")},
        [SPEECH_WAV] = {STR_INIT("linear16"), STR_INIT("wav"), STR_INIT("24000")},
        [SPEECH_PCM] = {STR_INIT("linear16"), STR_INIT("none"), STR_INIT("24000")},
    };
    int r = audio_option_add(c, o, STR("encoding"), rows[f].encoding);

    if (r == 0 && rows[f].container.n)
        r = audio_option_add(c, o, STR("container"), rows[f].container);
    if (r == 0 && rows[f].rate.n)
        r = audio_option_add(c, o, STR("sample_rate"), rows[f].rate);
    return r;
}

/* Beyond this range Deepgram refuses. */
static int deepgram_speed(struct canon_call *c, struct str digits, struct audio_options *o)
{
    double speed = native_decimal(digits);

    return speed >= 0.7 && speed <= 1.5
               ? audio_option_add(c, o, STR("speed"), digits)
               : canon_drop(c, STR("speed"), "it is a number from 0.7 to 1.5 there");
}

static int write_deepgram(
    struct canon_call *c, const struct speech_request *q, struct buf *out, struct speech_sent *ret)
{
    struct jw w = {.out = out};
    struct str model;
    int r = deepgram_model(c, q, &model);

    if (r == 0)
        r = audio_option_add(c, &ret->query, STR("model"), model);
    if (r == 0)
        r = deepgram_format(c, q->format, &ret->query);
    if (r == 0 && q->speed.p)
        r = deepgram_speed(c, q->speed, &ret->query);
    if (r == 0 && q->instructions.n)
        r = canon_drop(c, STR("instructions"), "a voice takes none there");
    jw_open(&w, '{');
    jw_member_str(&w, "text", q->input);
    jw_close(&w, '}');
    return r;
}

/* --- Gemini's request --- */

/* It makes plain PCM, for which a head is made here. */
static int gemini_format(
    struct canon_call *c, const struct speech_request *q, struct speech_sent *ret)
{
    ret->format = q->format;
    if (q->format == SPEECH_WAV || q->format == SPEECH_PCM)
        return 0;
    if (q->format_said)
        return canon_fail(
            c, STR("response_format"), STR_FMT " speaks wav and pcm alone.", STR_ARG(c->provider));
    ret->format = SPEECH_WAV;
    return canon_drop(c, STR("response_format"), "it is wav or pcm there");
}

/* How it is to be said stands before what is to be said, as Google's own examples do it. */
static struct str gemini_text(struct canon_call *c, const struct speech_request *q)
{
    struct str how = str_trim(q->instructions);

    while (how.n && (how.p[how.n - 1] == '.' || how.p[how.n - 1] == ':'))
        how.n--;
    return how.n ? arena_printf(c->arena, STR_FMT ":\n" STR_FMT, STR_ARG(how), STR_ARG(q->input))
                 : q->input;
}

static void put_voice(struct jw *w, struct str voice)
{
    jw_key(w, "speechConfig");
    jw_open(w, '{');
    jw_key(w, "voiceConfig");
    jw_open(w, '{');
    jw_key(w, "prebuiltVoiceConfig");
    jw_open(w, '{');
    jw_member_str(w, "voiceName", voice);
    jw_close(w, '}');
    jw_close(w, '}');
    jw_close(w, '}');
}

static void put_gemini(struct jw *w, struct str text, struct str voice)
{
    jw_open(w, '{');
    gm_write_text(w, text);
    jw_key(w, "generationConfig");
    jw_open(w, '{');
    jw_member_raw(w, "responseModalities", STR("[\"AUDIO\"]"));
    if (voice.n)
        put_voice(w, voice);
    jw_close(w, '}');
    jw_close(w, '}');
}

static int write_gemini(
    struct canon_call *c, const struct speech_request *q, struct buf *out, struct speech_sent *ret)
{
    bool foreign = is_openais(q->voice);
    struct str text = gemini_text(c, q);
    struct jw w = {.out = out};
    int r = gemini_format(c, q, ret);

    if (!text.p)
        return canon_no_room(c);
    if (r == 0 && q->speed.p)
        r = canon_drop(c, STR("speed"), "it has no equivalent there");
    if (r == 0 && foreign)
        r = canon_drop(c, STR("voice"), "that provider has other voices");
    put_gemini(&w, text, foreign ? STR_NONE : q->voice);
    return r;
}

int speech_write_request(struct canon_call *c, const struct speech_request *q,
    enum speech_form form, struct buf *out, struct speech_sent *ret)
{
    int r;

    *ret = (struct speech_sent){.format = q->format};
    r = form == SPEECH_DEEPGRAM ? write_deepgram(c, q, out, ret) : write_gemini(c, q, out, ret);
    return r == 0 && out->err ? canon_no_room(c) : r;
}

/* --- Gemini's reply --- */

/* "audio/L16;codec=pcm;rate=24000"; false when it is another kind of sound. */
static bool read_rate(struct str mime, unsigned *ret)
{
    struct str type = str_trim(str_split(&mime, ';'));
    uint64_t rate = 24000;

    if (!str_ieq(type, STR("audio/L16")) && !str_ieq(type, STR("audio/pcm")))
        return false;
    while (mime.n) {
        struct str one = str_trim(str_split(&mime, ';'));
        if (str_istarts(one, STR("rate=")) && str_u64(str_from(one, 5), &rate) < 0)
            return false;
    }
    *ret = (unsigned)rate;
    return rate >= 8000 && rate <= 192000;
}

int speech_read_reply(struct canon_call *c, struct str body, struct speech_reply *ret)
{
    const struct canon_choice *choice;
    const struct canon_part *p;
    int r;

    *ret = (struct speech_reply){0};
    if ((r = audio_read_gemini(c, body, &choice, &ret->usage)) < 0)
        return r;
    for (p = choice->parts; p && p->kind != PART_AUDIO;)
        p = p->next;
    if (!p)
        return canon_bad_reply(c, "it has no sound");
    if (!read_rate(p->media.mime, &ret->rate))
        return canon_bad_reply(c, "its sound is no PCM");
    char *sound = arena_alloc(c->arena, BASE64_MAX_BYTES(p->media.data.n));
    if (!sound)
        return canon_no_room(c);
    ssize_t n = base64_decode(p->media.data, sound);
    if (n <= 0)
        return canon_bad_reply(c, "its sound is no base64");
    ret->sound = str_at(sound, (size_t)n);
    return 0;
}

/* --- the client's reply --- */

static void put_le(struct buf *out, uint32_t v, unsigned bytes)
{
    for (; bytes; bytes--, v >>= 8)
        buf_addc(out, (char)(v & 0xff));
}

/* RIFF WAVE, PCM, 16 bit, one channel. */
static void put_wav_head(struct buf *out, uint32_t bytes, uint32_t rate)
{
    buf_addstr(out, STR("RIFF"));
    put_le(out, 36 + bytes, 4);
    buf_addstr(out, STR("WAVEfmt "));
    put_le(out, 16, 4);
    put_le(out, 1, 2);
    put_le(out, 1, 2);
    put_le(out, rate, 4);
    put_le(out, 2 * rate, 4);
    put_le(out, 2, 2);
    put_le(out, 16, 2);
    buf_addstr(out, STR("data"));
    put_le(out, bytes, 4);
}

int speech_write_delta(struct str sound, struct buf *out)
{
    struct jw w;

    while (sound.n) {
        audio_event_open(&w, out, STR("speech.audio.delta"));
        jw_key(&w, "audio");
        buf_addc(out, '"');
        base64_add(out, str_to(sound, DELTA_BYTES));
        buf_addc(out, '"');
        audio_event_close(&w);
        sound = str_from(sound, DELTA_BYTES);
    }
    return out->err;
}

int speech_write_done(const struct usage *u, struct buf *out)
{
    struct jw w;

    audio_event_open(&w, out, STR("speech.audio.done"));
    if (u && u->source != USAGE_UNKNOWN) {
        jw_key(&w, "usage");
        jw_open(&w, '{');
        audio_put_tokens(&w, u);
        jw_close(&w, '}');
    }
    audio_event_close(&w);
    return out->err;
}

int speech_write_reply(struct canon_call *c, const struct speech_request *q,
    const struct speech_sent *s, const struct speech_reply *r, struct buf *out)
{
    _cleanup_(buf_free) struct buf whole = {0};
    struct buf *sound = q->sse ? &whole : out;

    if (r->sound.n > UINT32_MAX - 36)
        return canon_bad_reply(c, "its sound is too long");
    buf_init(&whole, r->sound.n + 44);
    if (s->format == SPEECH_WAV)
        put_wav_head(sound, (uint32_t)r->sound.n, r->rate);
    buf_addstr(sound, r->sound);
    if (q->sse && !whole.err) {
        speech_write_delta(buf_str(&whole), out);
        speech_write_done(&r->usage, out);
    }
    return out->err || whole.err ? canon_no_room(c) : 0;
}
