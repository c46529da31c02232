/*
 * A transcript as the client wants it: text, JSON, subtitles, or the events of a stream. Members of
 * Whisper's own (tokens, probabilities) stand in verbose JSON with the values that say nothing is
 * wrong, as typed clients read them and no other model has them.
 */
#include "translate/transcription.h"

#include "base/macros.h"
#include "translate/jw.h"
#include "translate/native_int.h"

struct str transcription_type(const struct transcription_request *q)
{
    if (q->stream)
        return STR("text/event-stream; charset=utf-8");
    switch (q->format) {
    case TRANSCRIPT_TEXT:
    case TRANSCRIPT_SRT:
    case TRANSCRIPT_VTT:
        return STR("text/plain; charset=utf-8");
    default:
        return STR("application/json");
    }
}

/* --- members --- */

static void put_usage(struct jw *w, const struct transcription_reply *r)
{
    if (r->usage.source == USAGE_UNKNOWN)
        return;
    jw_key(w, "usage");
    jw_open(w, '{');
    if (r->usage.audio_ms) {
        jw_member_str(w, "type", STR("duration"));
        jw_member_int(w, "seconds", (int64_t)((r->usage.audio_ms + 999) / 1000));
    } else {
        jw_member_str(w, "type", STR("tokens"));
        audio_put_tokens(w, &r->usage);
    }
    jw_close(w, '}');
}

/* Whisper names a language in English; what has no name here keeps its code. */
static struct str language_name(struct str code)
{
    static const struct {
        struct str code, name;
    } rows[] = {
        {STR_INIT("ar"), STR_INIT("arabic")},
        {STR_INIT("bg"), STR_INIT("bulgarian")},
        {STR_INIT("ca"), STR_INIT("catalan")},
        {STR_INIT("cs"), STR_INIT("czech")},
        {STR_INIT("da"), STR_INIT("danish")},
        {STR_INIT("de"), STR_INIT("german")},
        {STR_INIT("el"), STR_INIT("greek")},
        {STR_INIT("en"), STR_INIT("english")},
        {STR_INIT("es"), STR_INIT("spanish")},
        {STR_INIT("et"), STR_INIT("estonian")},
        {STR_INIT("fi"), STR_INIT("finnish")},
        {STR_INIT("fr"), STR_INIT("french")},
        {STR_INIT("he"), STR_INIT("hebrew")},
        {STR_INIT("hi"), STR_INIT("hindi")},
        {STR_INIT("hu"), STR_INIT("hungarian")},
        {STR_INIT("id"), STR_INIT("indonesian")},
        {STR_INIT("it"), STR_INIT("italian")},
        {STR_INIT("ja"), STR_INIT("japanese")},
        {STR_INIT("ko"), STR_INIT("korean")},
        {STR_INIT("lt"), STR_INIT("lithuanian")},
        {STR_INIT("lv"), STR_INIT("latvian")},
        {STR_INIT("ms"), STR_INIT("malay")},
        {STR_INIT("nl"), STR_INIT("dutch")},
        {STR_INIT("no"), STR_INIT("norwegian")},
        {STR_INIT("pl"), STR_INIT("polish")},
        {STR_INIT("pt"), STR_INIT("portuguese")},
        {STR_INIT("ro"), STR_INIT("romanian")},
        {STR_INIT("ru"), STR_INIT("russian")},
        {STR_INIT("sk"), STR_INIT("slovak")},
        {STR_INIT("sv"), STR_INIT("swedish")},
        {STR_INIT("ta"), STR_INIT("tamil")},
        {STR_INIT("th"), STR_INIT("thai")},
        {STR_INIT("tr"), STR_INIT("turkish")},
        {STR_INIT("uk"), STR_INIT("ukrainian")},
        {STR_INIT("vi"), STR_INIT("vietnamese")},
        {STR_INIT("zh"), STR_INIT("chinese")},
    };
    struct str region = code, plain = str_split(&region, '-');

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (str_ieq(rows[i].code, plain))
            return rows[i].name;
    return code;
}

/* "A", "B", …; beyond the alphabet "27". */
static struct str speaker_name(char room[static 24], int64_t speaker)
{
    int n;

    if (speaker >= 26)
        n = snprintf(room, 24, "%lld", (long long)speaker + 1);
    else
        n = snprintf(room, 24, "%c", (char)('A' + (speaker < 0 ? 0 : speaker)));
    return str_at(room, (size_t)n);
}

/* --- JSON --- */

static void put_words(struct jw *w, const struct transcription_reply *r)
{
    jw_key(w, "words");
    jw_open(w, '[');
    for (unsigned i = 0; i < r->words_n; i++) {
        jw_open(w, '{');
        jw_member_str(w, "word", r->words[i].text);
        jw_member_raw(w, "start", r->words[i].start);
        jw_member_raw(w, "end", r->words[i].end);
        jw_close(w, '}');
    }
    jw_close(w, ']');
}

static uint64_t milliseconds(struct str seconds)
{
    double s = native_decimal(seconds);

    return s > 0 && s < 1e7 ? (uint64_t)(s * 1000 + 0.5) : 0;
}

static void put_segments(struct jw *w, const struct transcription_reply *r, struct str temperature)
{
    jw_key(w, "segments");
    jw_open(w, '[');
    for (unsigned i = 0; i < r->segments_n; i++) {
        const struct transcript_span *s = &r->segments[i];
        jw_open(w, '{');
        jw_member_int(w, "id", i);
        jw_member_int(w, "seek", (int64_t)(milliseconds(s->start) / 10)); /* Whisper's frames */
        jw_member_raw(w, "start", s->start);
        jw_member_raw(w, "end", s->end);
        jw_member_str(w, "text", s->text);
        jw_member_raw(w, "tokens", STR("[]"));
        jw_member_raw(w, "temperature", temperature.n ? temperature : STR("0"));
        jw_member_raw(w, "avg_logprob", STR("0"));
        jw_member_raw(w, "compression_ratio", STR("1"));
        jw_member_raw(w, "no_speech_prob", STR("0"));
        jw_close(w, '}');
    }
    jw_close(w, ']');
}

static void put_verbose(
    struct jw *w, const struct transcription_request *q, const struct transcription_reply *r)
{
    jw_member_str(w, "task", q->translate ? STR("translate") : STR("transcribe"));
    jw_member_str(w, "language", q->translate ? STR("english") : language_name(r->language));
    jw_member_raw(w, "duration", r->duration.n ? r->duration : STR("0"));
    jw_member_str(w, "text", r->text);
    if (q->words)
        put_words(w, r);
    if (transcription_wants_segments(q))
        put_segments(w, r, q->temperature);
}

static void put_speakers_segment(struct jw *w, const struct transcript_span *s, unsigned i)
{
    char name[24], id[24];

    snprintf(id, sizeof(id), "seg_%u", i);
    jw_member_str(w, "id", str_of(id));
    jw_member_raw(w, "start", s->start);
    jw_member_raw(w, "end", s->end);
    jw_member_str(w, "text", s->text);
    jw_member_str(w, "speaker", speaker_name(name, s->speaker));
}

static void put_diarized(struct jw *w, const struct transcription_reply *r)
{
    jw_member_str(w, "task", STR("transcribe"));
    jw_member_raw(w, "duration", r->duration.n ? r->duration : STR("0"));
    jw_member_str(w, "text", r->text);
    jw_key(w, "segments");
    jw_open(w, '[');
    for (unsigned i = 0; i < r->segments_n; i++) {
        jw_open(w, '{');
        jw_member_str(w, "type", STR("transcript.text.segment"));
        put_speakers_segment(w, &r->segments[i], i);
        jw_close(w, '}');
    }
    jw_close(w, ']');
}

static void write_json(
    const struct transcription_request *q, const struct transcription_reply *r, struct buf *out)
{
    struct jw w = {.out = out};

    jw_open(&w, '{');
    if (q->format == TRANSCRIPT_VERBOSE)
        put_verbose(&w, q, r);
    else if (q->format == TRANSCRIPT_DIARIZED)
        put_diarized(&w, r);
    else
        jw_member_str(&w, "text", r->text);
    put_usage(&w, r);
    jw_close(&w, '}');
}

/* --- subtitles --- */

static void put_time(struct buf *out, struct str seconds, char point)
{
    uint64_t ms = milliseconds(seconds);

    buf_printf(out, "%02llu:%02llu:%02llu%c%03llu", (unsigned long long)(ms / 3600000),
        (unsigned long long)(ms / 60000 % 60), (unsigned long long)(ms / 1000 % 60), point,
        (unsigned long long)(ms % 1000));
}

/* An empty line would end the cue, and an arrow begin another. */
static void put_cue_text(struct buf *out, struct str text)
{
    text = str_trim(text);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '>' && str_ends(str_to(text, i), STR("--")))
            buf_addc(out, ' ');
        buf_addc(out, text.p[i] == '\n' || text.p[i] == '\r' ? ' ' : text.p[i]);
    }
}

static void write_cues(const struct transcription_reply *r, bool vtt, struct buf *out)
{
    if (vtt)
        buf_addstr(out, STR("WEBVTT\n\n"));
    for (unsigned i = 0; i < r->segments_n; i++) {
        if (!vtt)
            buf_printf(out, "%u\n", i + 1);
        put_time(out, r->segments[i].start, vtt ? '.' : ',');
        buf_addstr(out, STR(" --> "));
        put_time(out, r->segments[i].end, vtt ? '.' : ',');
        buf_addc(out, '\n');
        put_cue_text(out, r->segments[i].text);
        buf_addstr(out, STR("\n\n"));
    }
}

/* --- events --- */

/* The transcript comes whole here, so that it is one delta; of speakers one for each segment. */
static void write_events(
    const struct transcription_request *q, const struct transcription_reply *r, struct buf *out)
{
    struct jw w;

    for (unsigned i = 0; q->format == TRANSCRIPT_DIARIZED && i < r->segments_n; i++) {
        audio_event_open(&w, out, STR("transcript.text.segment"));
        put_speakers_segment(&w, &r->segments[i], i);
        audio_event_close(&w);
    }
    audio_event_open(&w, out, STR("transcript.text.delta"));
    jw_member_str(&w, "delta", r->text);
    audio_event_close(&w);
    audio_event_open(&w, out, STR("transcript.text.done"));
    jw_member_str(&w, "text", r->text);
    put_usage(&w, r);
    audio_event_close(&w);
}

int transcription_write_reply(struct canon_call *c, const struct transcription_request *q,
    const struct transcription_reply *r, struct buf *out)
{
    if (q->stream) {
        write_events(q, r, out);
    } else if (q->format == TRANSCRIPT_TEXT) {
        buf_addstr(out, r->text);
        buf_addc(out, '\n');
    } else if (q->format == TRANSCRIPT_SRT || q->format == TRANSCRIPT_VTT) {
        write_cues(r, q->format == TRANSCRIPT_VTT, out);
    } else {
        write_json(q, r, out);
    }
    return out->err ? canon_no_room(c) : 0;
}
