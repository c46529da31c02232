/*
 * Transcription: what is said in a recording is written down. OpenAI's POST
 * /v1/audio/transcriptions and /v1/audio/translations on one side: a form with the recording as its
 * file (openai-python 3.x, types/audio/transcription_create_params.py). On the other
 *
 *   Deepgram  POST /v1/listen?model=…: the options in the query, the recording as the body
 *             (deepgram-sdk 7, listen/v1/media; types/listen_v1response*.py)
 *   Gemini    generateContent with the recording as inlineData behind a prompt
 *
 * The recording itself never comes here, as it may be large: the caller sends it, for Gemini as
 * base64 between what transcription_write_before() and _after() write. All memory lies in c->arena;
 * views of the form's fields are kept.
 */
#ifndef SF_TRANSLATE_TRANSCRIPTION_H
#define SF_TRANSLATE_TRANSCRIPTION_H

#include "translate/audio.h"

enum transcription_form { TRANSCRIPTION_DEEPGRAM, TRANSCRIPTION_GEMINI };

enum transcription_format {
    TRANSCRIPT_JSON,
    TRANSCRIPT_TEXT,
    TRANSCRIPT_SRT,
    TRANSCRIPT_VTT,
    TRANSCRIPT_VERBOSE,
    TRANSCRIPT_DIARIZED,
    TRANSCRIPT_FORMATS
};

#define TRANSCRIPTION_TERMS_MAX     100
#define TRANSCRIPTION_LANGUAGES_MAX 16
#define TRANSCRIPTION_OTHERS_MAX    32

struct transcription_request {
    bool translate;                           /* to English */
    struct str language, prompt, temperature; /* texts; empty = not said */
    enum transcription_format format;
    bool words, segments; /* timestamp_granularities[] */
    bool stream;
    unsigned terms_n, languages_n, others_n;
    struct str terms[TRANSCRIPTION_TERMS_MAX]; /* keywords[] */
    struct str languages[TRANSCRIPTION_LANGUAGES_MAX];
    struct audio_option others[TRANSCRIPTION_OTHERS_MAX]; /* fields that OpenAI does not have */
};

/* Times are seconds, in the digits that the provider wrote. */
struct transcript_span {
    struct str start, end, text;
    int64_t speaker; /* -1 = not known */
};

struct transcription_reply {
    struct str text;
    struct str language; /* "en"; empty = not known */
    struct str duration; /* seconds; empty = not known */
    unsigned words_n, segments_n;
    struct transcript_span *words, *segments;
    struct usage usage; /* of audio_ms, or tokens */
};

/* One field of the client's form, but for its model and file. 0, or 400 naming it. */
int transcription_read_field(
    struct canon_call *c, struct transcription_request *q, struct str name, struct str value);

/* Deepgram: the options of its query. */
int transcription_write_query(
    struct canon_call *c, const struct transcription_request *q, struct audio_options *ret);
/* Gemini: the body before and behind the recording in base64. mime: its type. */
int transcription_write_before(
    struct canon_call *c, const struct transcription_request *q, struct str mime, struct buf *out);
int transcription_write_after(
    struct canon_call *c, const struct transcription_request *q, struct buf *out);

int transcription_read_reply(struct canon_call *c, const struct transcription_request *q,
    enum transcription_form form, struct str body, struct transcription_reply *ret);
/* The client's reply, or its events; its content-type. */
int transcription_write_reply(struct canon_call *c, const struct transcription_request *q,
    const struct transcription_reply *r, struct buf *out);
struct str transcription_type(const struct transcription_request *q);

/* Whether the reply needs to know when each segment was said. */
bool transcription_wants_segments(const struct transcription_request *q);

#endif
