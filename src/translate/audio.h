/*
 * What speech.h and transcription.h share: options that a provider takes in its target's query, and
 * what Gemini answers, which is a reply of generateContent for both. Times and events of OpenAI's
 * audio endpoints are in the two themselves. All memory lies in c->arena.
 */
#ifndef SF_TRANSLATE_AUDIO_H
#define SF_TRANSLATE_AUDIO_H

#include "base/buf.h"
#include "translate/canon.h"

#define AUDIO_OPTIONS_MAX 160

/* Decoded: whoever makes the target encodes them. */
struct audio_option {
    struct str name, value;
};

struct audio_options {
    unsigned n;
    struct audio_option at[AUDIO_OPTIONS_MAX];
};

/* 400 naming the option when there are too many. */
int audio_option_add(
    struct canon_call *c, struct audio_options *o, struct str name, struct str value);

/* The first answer of a reply of Gemini's, and its usage. 400 content_policy_violation, in the
 * words of OpenAI's own refusal, where Google kept it back; 502 where there is none. */
int audio_read_gemini(struct canon_call *c, struct str body, const struct canon_choice **ret,
    struct usage *ret_usage);

/* "data: {…}" of one event: opens its object with the type, and ends it. */
struct jw;
void audio_event_open(struct jw *w, struct buf *out, struct str type);
void audio_event_close(struct jw *w);

/* OpenAI's usage by tokens, as the object's members without its type. */
void audio_put_tokens(struct jw *w, const struct usage *u);

#endif
