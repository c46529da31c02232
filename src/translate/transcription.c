/* The requests of transcription.h: the client's form, and what providers get of it. */
#include "translate/transcription.h"

#include "base/macros.h"
#include "translate/jw.h"
#include "translate/native_int.h"

/* --- the client's form --- */

static const struct str formats[TRANSCRIPT_FORMATS] = {
    [TRANSCRIPT_JSON] = STR_INIT("json"),
    [TRANSCRIPT_TEXT] = STR_INIT("text"),
    [TRANSCRIPT_SRT] = STR_INIT("srt"),
    [TRANSCRIPT_VTT] = STR_INIT("vtt"),
    [TRANSCRIPT_VERBOSE] = STR_INIT("verbose_json"),
    [TRANSCRIPT_DIARIZED] = STR_INIT("diarized_json"),
};

static int read_format(struct canon_call *c, struct transcription_request *q, struct str value)
{
    for (unsigned f = 0; f < TRANSCRIPT_FORMATS; f++)
        if (str_eq(value, formats[f])) {
            q->format = f;
            return 0;
        }
    return canon_wrong(c, "response_format", "json, text, srt, vtt, verbose_json or diarized_json");
}

static int read_granularity(struct canon_call *c, struct transcription_request *q, struct str value)
{
    q->words |= str_eq(value, STR("word"));
    q->segments |= str_eq(value, STR("segment"));
    return str_eq(value, STR("word")) || str_eq(value, STR("segment"))
               ? 0
               : canon_wrong(c, "timestamp_granularities", "word or segment");
}

static int read_stream(struct canon_call *c, struct transcription_request *q, struct str value)
{
    q->stream = str_ieq(value, STR("true")) || str_eq(value, STR("1"));
    return q->stream || str_ieq(value, STR("false")) || str_eq(value, STR("0"))
               ? 0
               : canon_wrong(c, "stream", "true or false");
}

static int read_temperature(struct canon_call *c, struct transcription_request *q, struct str value)
{
    double t = native_decimal(value);

    for (size_t i = 0; i < value.n; i++)
        if ((value.p[i] < '0' || value.p[i] > '9') && value.p[i] != '.')
            t = -1;
    if (!value.n || !(t >= 0 && t <= 1))
        return canon_wrong(c, "temperature", "a number from 0 to 1");
    q->temperature = arena_printf(c->arena, "%.4g", t);
    return q->temperature.p ? 0 : canon_no_room(c);
}

static int read_language(struct canon_call *c, struct transcription_request *q, struct str value)
{
    q->language = value;
    return value.n <= 35 ? 0 : canon_wrong(c, "language", "a code such as en");
}

static int read_prompt(struct canon_call *c, struct transcription_request *q, struct str value)
{
    (void)c;
    q->prompt = value;
    return 0;
}

static int read_term(struct canon_call *c, struct transcription_request *q, struct str value)
{
    if (q->terms_n == TRANSCRIPTION_TERMS_MAX)
        return canon_fail(
            c, STR("keywords"), "There are more than %d keywords.", TRANSCRIPTION_TERMS_MAX);
    q->terms[q->terms_n++] = value;
    return 0;
}

static int read_one_language(
    struct canon_call *c, struct transcription_request *q, struct str value)
{
    if (q->languages_n == TRANSCRIPTION_LANGUAGES_MAX)
        return canon_fail(
            c, STR("languages"), "There are more than %d languages.", TRANSCRIPTION_LANGUAGES_MAX);
    q->languages[q->languages_n++] = value;
    return 0;
}

/* Chunks are the provider's own business; one that cuts by itself does what "auto" asks for. */
static int read_chunking(struct canon_call *c, struct transcription_request *q, struct str value)
{
    (void)q;
    return str_eq(value, STR("auto"))
               ? 0
               : canon_drop(c, STR("chunking_strategy"), "the provider cuts by itself");
}

static const struct {
    struct str name;
    int (*read)(struct canon_call *c, struct transcription_request *q, struct str value);
} fields[] = {
    {STR_INIT("response_format"), read_format},
    {STR_INIT("timestamp_granularities"), read_granularity},
    {STR_INIT("stream"), read_stream},
    {STR_INIT("temperature"), read_temperature},
    {STR_INIT("language"), read_language},
    {STR_INIT("prompt"), read_prompt},
    {STR_INIT("keywords"), read_term},
    {STR_INIT("languages"), read_one_language},
    {STR_INIT("chunking_strategy"), read_chunking},
};

/* SDKs write members of lists as "name[]", and of objects as "name[member]". */
static struct str plain_name(struct str name)
{
    ptrdiff_t at = str_chr(name, '[');

    return at > 0 ? str_to(name, (size_t)at) : name;
}

int transcription_read_field(
    struct canon_call *c, struct transcription_request *q, struct str name, struct str value)
{
    static const struct str openais[] = {
        STR_INIT("include"), STR_INIT("known_speaker_names"), STR_INIT("known_speaker_references")};
    struct str plain = plain_name(name);

    for (unsigned i = 0; i < ARRAY_LEN(fields); i++)
        if (str_eq(plain, fields[i].name))
            return fields[i].read(c, q, value);
    for (unsigned i = 0; i < ARRAY_LEN(openais); i++)
        if (str_eq(plain, openais[i]))
            return canon_drop(c, plain, "it has no equivalent there");
    if (q->others_n == TRANSCRIPTION_OTHERS_MAX)
        return canon_fail(c, name, "The form has too many fields.");
    q->others[q->others_n++] = (struct audio_option){name, value};
    return 0;
}

bool transcription_wants_segments(const struct transcription_request *q)
{
    return q->format == TRANSCRIPT_SRT || q->format == TRANSCRIPT_VTT ||
           q->format == TRANSCRIPT_DIARIZED ||
           (q->format == TRANSCRIPT_VERBOSE && (q->segments || !q->words));
}

/* --- Deepgram --- */

/* Those models that tell the language by themselves; others would refuse to. */
static bool detects_language(struct str model)
{
    static const struct str names[] = {STR_INIT("nova-3"), STR_INIT("nova-2"), STR_INIT("nova"),
        STR_INIT("enhanced"), STR_INIT("base"), STR_INIT("whisper")};
    ptrdiff_t general = str_find(model, STR("-general"));
    struct str family = general > 0 ? str_to(model, (size_t)general) : model;

    if (str_starts(model, STR("whisper-")))
        return true;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(family, names[i]))
            return true;
    return false;
}

/* Nova-3 and newer take key terms; older models keywords. */
static struct str term_name(struct str model)
{
    static const struct str old[] = {
        STR_INIT("nova-2"), STR_INIT("nova-general"), STR_INIT("enhanced"), STR_INIT("base")};

    for (unsigned i = 0; i < ARRAY_LEN(old); i++)
        if (str_starts(model, old[i]))
            return STR("keywords");
    return str_eq(model, STR("nova")) ? STR("keywords") : STR("keyterm");
}

/* What a client may ask for in Deepgram's own words. Not among them: callback, which would send the
 * transcript elsewhere, and what makes another reply than one transcript. */
static bool is_deepgrams(struct str name)
{
    static const struct str names[] = {STR_INIT("diarize"), STR_INIT("diarize_model"),
        STR_INIT("dictation"), STR_INIT("filler_words"), STR_INIT("keyterm"), STR_INIT("keywords"),
        STR_INIT("measurements"), STR_INIT("mip_opt_out"), STR_INIT("numerals"),
        STR_INIT("paragraphs"), STR_INIT("profanity_filter"), STR_INIT("punctuate"),
        STR_INIT("redact"), STR_INIT("replace"), STR_INIT("smart_format"), STR_INIT("tag"),
        STR_INIT("utt_split"), STR_INIT("version")};

    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(name, names[i]))
            return true;
    return false;
}

static int put_language(
    struct canon_call *c, const struct transcription_request *q, struct audio_options *o)
{
    int r = 0;

    if (q->language.n)
        return audio_option_add(c, o, STR("language"), q->language);
    if (q->languages_n && str_starts(c->model, STR("nova-3"))) {
        r = audio_option_add(c, o, STR("language"), STR("multi"));
        for (unsigned i = 0; i < q->languages_n && r == 0; i++)
            r = audio_option_add(c, o, STR("language_hint"), q->languages[i]);
        return r;
    }
    if (q->languages_n)
        r = canon_drop(c, STR("languages"), "that model takes one language");
    if (r == 0 && detects_language(c->model))
        r = audio_option_add(c, o, STR("detect_language"), STR("true"));
    return r;
}

static int put_others(
    struct canon_call *c, const struct transcription_request *q, struct audio_options *o)
{
    int r = 0;

    for (unsigned i = 0; i < q->others_n && r == 0; i++)
        r = is_deepgrams(q->others[i].name)
                ? audio_option_add(c, o, q->others[i].name, q->others[i].value)
                : canon_drop(c, q->others[i].name, "it is not known there");
    return r;
}

static bool says(const struct transcription_request *q, struct str name)
{
    for (unsigned i = 0; i < q->others_n; i++)
        if (str_eq(q->others[i].name, name))
            return true;
    return false;
}

static int put_wishes(
    struct canon_call *c, const struct transcription_request *q, struct audio_options *o)
{
    const bool speakers = q->format == TRANSCRIPT_DIARIZED && !says(q, STR("diarize")) &&
                          !says(q, STR("diarize_model"));
    int r = 0;

    if (!says(q, STR("smart_format")) && !says(q, STR("punctuate")))
        r = audio_option_add(c, o, STR("smart_format"), STR("true"));
    if (r == 0)
        r = put_language(c, q, o);
    if (r == 0 && transcription_wants_segments(q))
        r = audio_option_add(c, o, STR("utterances"), STR("true"));
    if (r == 0 && speakers)
        r = audio_option_add(c, o, STR("diarize"), STR("true"));
    for (unsigned i = 0; i < q->terms_n && r == 0; i++)
        r = audio_option_add(c, o, term_name(c->model), q->terms[i]);
    return r == 0 ? put_others(c, q, o) : r;
}

int transcription_write_query(
    struct canon_call *c, const struct transcription_request *q, struct audio_options *ret)
{
    int r;

    ret->n = 0;
    if (q->translate)
        return canon_fail(c, STR("model"),
            STR_FMT " writes down what is said, but does not translate it.", STR_ARG(c->provider));
    r = audio_option_add(c, ret, STR("model"), c->model);
    if (r == 0)
        r = put_wishes(c, q, ret);
    if (r == 0 && q->prompt.n)
        r = canon_drop(c, STR("prompt"), "it takes none");
    if (r == 0 && q->temperature.n && !str_eq(q->temperature, STR("0")))
        r = canon_drop(c, STR("temperature"), "it has no equivalent there");
    return r;
}

/* --- Gemini --- */

static void put_list(struct buf *b, const struct str *items, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        buf_addstr(b, i ? STR(", ") : STR(" "));
        buf_addstr(b, items[i]);
    }
    buf_addc(b, '.');
}

/* What the model shall do, in words. */
static void write_prompt(const struct transcription_request *q, struct buf *b)
{
    buf_addstr(b, q->translate
                      ? STR("Translate what is said in this recording to English.")
                      : STR("Transcribe this recording word for word, in the language spoken."));
    if (!transcription_wants_segments(q))
        buf_addstr(b, STR(" Answer with that text alone, without remarks, times or speakers."));
    else
        buf_addstr(b, STR(" Answer with one segment for each sentence; start and end are seconds "
                          "from the recording's beginning, language is its ISO 639-1 code."));
    if (q->format == TRANSCRIPT_DIARIZED)
        buf_addstr(b, STR(" Number the speakers from 0 in the order in which they begin."));
    if (q->language.n) {
        buf_addstr(b, STR(" The language is"));
        put_list(b, &q->language, 1);
    } else if (q->languages_n) {
        buf_addstr(b, STR(" The language is one of"));
        put_list(b, q->languages, q->languages_n);
    }
    if (q->terms_n) {
        buf_addstr(b, STR(" These words may occur:"));
        put_list(b, q->terms, q->terms_n);
    }
    if (q->prompt.n) {
        buf_addstr(b, STR(" For style and spelling, go by this text:\n"));
        buf_addstr(b, q->prompt);
    }
}

static int check_gemini(struct canon_call *c, const struct transcription_request *q)
{
    int r = 0;

    if (q->words && q->format == TRANSCRIPT_VERBOSE)
        r = canon_drop(c, STR("timestamp_granularities"), "it has no times of single words");
    for (unsigned i = 0; i < q->others_n && r == 0; i++)
        r = canon_drop(c, q->others[i].name, "it is not known there");
    return r;
}

int transcription_write_before(
    struct canon_call *c, const struct transcription_request *q, struct str mime, struct buf *out)
{
    _cleanup_(buf_free) struct buf prompt = {0};
    struct jw w = {.out = out};
    int r = check_gemini(c, q);

    buf_init(&prompt, out->max);
    write_prompt(q, &prompt);
    buf_addstr(out, STR("{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":"));
    jw_str(&w, buf_str(&prompt));
    buf_addstr(out, STR("},{\"inlineData\":{\"mimeType\":"));
    w.comma = false;
    jw_str(&w, mime);
    buf_addstr(out, STR(",\"data\":\""));
    return r == 0 && (out->err || prompt.err) ? canon_no_room(c) : r;
}

int transcription_write_after(
    struct canon_call *c, const struct transcription_request *q, struct buf *out)
{
    static const struct str schema = STR_INIT(
        "{\"type\":\"OBJECT\",\"properties\":{\"language\":{\"type\":\"STRING\"},\"segments\":"
        "{\"type\":\"ARRAY\",\"items\":{\"type\":\"OBJECT\",\"properties\":{\"start\":{\"type\":"
        "\"NUMBER\"},\"end\":{\"type\":\"NUMBER\"},\"text\":{\"type\":\"STRING\"},\"speaker\":"
        "{\"type\":\"INTEGER\"}},\"required\":[\"start\",\"end\",\"text\"]}}},"
        "\"required\":[\"segments\"]}");
    struct jw w = {.out = out, .comma = true};

    buf_addstr(out, STR("\"}}]}]"));
    jw_key(&w, "generationConfig");
    jw_open(&w, '{');
    jw_member_raw(&w, "temperature", q->temperature.n ? q->temperature : STR("0"));
    if (transcription_wants_segments(q)) {
        jw_member_str(&w, "responseMimeType", STR("application/json"));
        jw_member_raw(&w, "responseSchema", schema);
    }
    jw_close(&w, '}');
    buf_addc(out, '}');
    return out->err ? canon_no_room(c) : 0;
}
