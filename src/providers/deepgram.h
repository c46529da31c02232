/*
 * Deepgram's speech to text: options stand in the query, the body is the sound itself. This maps
 * what OpenAI's transcription endpoint takes to a target of Deepgram's, and reads the answer. The
 * credential is "Authorization: Token …", as the provider table says.
 */
#ifndef SF_PROVIDERS_DEEPGRAM_H
#define SF_PROVIDERS_DEEPGRAM_H

#include "base/buf.h"

/* Fields of OpenAI's request; empty ones are left out. */
struct deepgram_listen {
    struct str model;
    struct str language; /* "en", "de-CH"; empty: detected */
    bool timestamps;     /* words and utterances with times */
    bool diarize;
    const struct str *terms; /* words to expect, from the prompt or the client */
    size_t n_terms;
};

/* Appends base_path + "/v1/listen?model=…". -EINVAL without a model. */
int deepgram_listen_target(struct buf *out, struct str base_path, const struct deepgram_listen *l);

/* Views into the JSON text. */
struct deepgram_transcript {
    struct str text;     /* still JSON-escaped, without quotes; of the first channel */
    struct str language; /* the detected one; empty when it was given */
    struct str words;    /* raw array; p NULL when absent */
    uint64_t audio_ms;   /* rounded up: what is billed */
};

/* 0 or -EBADMSG. */
int deepgram_transcript_parse(struct str json, struct deepgram_transcript *ret);

#endif
