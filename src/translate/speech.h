/*
 * Speech: a text is read out. OpenAI's POST /v1/audio/speech on one side (openai-python 3.x,
 * types/audio/speech_create_params.py); on the other
 *
 *   Deepgram  POST /v1/speak?model=…&encoding=… {"text"}; the reply is the sound (deepgram-sdk 7,
 *             speak/v1/audio). A voice is a model there: "aura-2-thalia-en".
 *   Gemini    generateContent with responseModalities ["AUDIO"] and a speechConfig (google-genai 3,
 *             types.SpeechConfig); the reply is 16-bit PCM in base64,
 * "audio/L16;codec=pcm;rate=24000".
 *
 * All memory lies in c->arena. c->model is the model at the target.
 */
#ifndef SF_TRANSLATE_SPEECH_H
#define SF_TRANSLATE_SPEECH_H

#include "translate/audio.h"

enum speech_form { SPEECH_DEEPGRAM, SPEECH_GEMINI };

enum speech_format {
    SPEECH_MP3,
    SPEECH_OPUS,
    SPEECH_AAC,
    SPEECH_FLAC,
    SPEECH_WAV,
    SPEECH_PCM, /* 24 kHz, 16 bit, little endian, mono, without a head */
    SPEECH_FORMATS
};

struct speech_request {
    struct str input, voice, instructions; /* empty = not said */
    struct str speed;                      /* its digits; p NULL = not said, or 1 */
    enum speech_format format;
    bool format_said;
    bool sse; /* the sound in events */
};

/* What was made of a request for one target. */
struct speech_sent {
    enum speech_format format;  /* of the client's reply */
    struct audio_options query; /* Deepgram */
};

/* The sound in Gemini's reply. */
struct speech_reply {
    struct str sound; /* PCM */
    unsigned rate;
    struct usage usage;
};

/* A client's body. 0, or c->error: 400 with the field. */
int speech_read_request(struct canon_call *c, struct str body, struct speech_request *ret);
int speech_write_request(struct canon_call *c, const struct speech_request *q,
    enum speech_form form, struct buf *out, struct speech_sent *ret);

/* Gemini's reply, and the client's out of it: sound in its format, or events. */
int speech_read_reply(struct canon_call *c, struct str body, struct speech_reply *ret);
int speech_write_reply(struct canon_call *c, const struct speech_request *q,
    const struct speech_sent *s, const struct speech_reply *r, struct buf *out);

/* The events of a sound that passes piece by piece. u: NULL = unknown. */
int speech_write_delta(struct str sound, struct buf *out);
int speech_write_done(const struct usage *u, struct buf *out);

/* The content-type of a reply. */
struct str speech_type(enum speech_format f);

#endif
