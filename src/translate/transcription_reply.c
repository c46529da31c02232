/* The replies of providers to transcription.h. */
#include "translate/transcription.h"

#include "base/macros.h"
#include "translate/gemini_int.h"
#include "translate/jw.h"
#include "translate/native_int.h"

#include <math.h>

#define SECONDS_MAX 1e7 /* what is longer is no time */

static struct str number_at(struct canon_call *c, yyjson_val *v, const char *name)
{
    yyjson_val *n = yyjson_obj_get(v, name);

    return yyjson_is_raw(n) ? jr_raw(c->arena, n) : STR_NONE;
}

static int64_t speaker_of(yyjson_val *v)
{
    int64_t speaker;

    return jr_get_int(v, "speaker", &speaker) && speaker >= 0 && speaker < 10000 ? speaker : -1;
}

/* Spans whose text stands under one of two names, the first being the better. */
static int read_spans(struct canon_call *c, yyjson_val *list, const char *better, const char *name,
    struct transcript_span **ret, unsigned *ret_n)
{
    struct transcript_span *at;
    yyjson_val *v;
    size_t i, max;

    *ret_n = 0;
    *ret = at = arena_alloc(c->arena, (yyjson_arr_size(list) + 1) * sizeof(*at));
    if (!at)
        return canon_no_room(c);
    yyjson_arr_foreach(list, i, max, v)
    {
        struct str text = jr_get_str(v, better);
        at[i] = (struct transcript_span){.start = number_at(c, v, "start"),
            .end = number_at(c, v, "end"),
            .text = text.p ? text : jr_get_str(v, name),
            .speaker = speaker_of(v)};
        if (!at[i].start.p || !at[i].end.p || !at[i].text.p)
            return canon_bad_reply(c, "a segment or word has no time or text");
        *ret_n = (unsigned)i + 1;
    }
    return 0;
}

/* --- Deepgram --- */

/* Whole milliseconds, rounded up: what is billed. */
static void bill_duration(struct transcription_reply *r)
{
    double seconds = r->duration.n ? native_decimal(r->duration) : -1;

    if (!(seconds >= 0 && seconds <= SECONDS_MAX))
        return;
    r->usage.audio_ms = (uint64_t)ceil(seconds * 1000 - 1e-6);
    r->usage.source = USAGE_REPORTED;
}

static struct str language_of(
    const struct transcription_request *q, yyjson_val *channel, yyjson_val *best)
{
    struct str detected = jr_get_str(channel, "detected_language");

    if (!detected.n) /* of several languages, the most frequent */
        detected = jr_str(yyjson_arr_get_first(yyjson_obj_get(best, "languages")));
    return detected.n ? detected : q->language;
}

static int read_deepgram(struct canon_call *c, const struct transcription_request *q,
    struct str body, struct transcription_reply *r)
{
    const char *why = "it is no object";
    yyjson_val *root = jr_parse(c->arena, body, &why), *results = yyjson_obj_get(root, "results");
    yyjson_val *channel = yyjson_arr_get_first(yyjson_obj_get(results, "channels"));
    yyjson_val *best = yyjson_arr_get_first(yyjson_obj_get(channel, "alternatives"));
    int e;

    if (!yyjson_is_obj(root))
        return canon_bad_reply(c, why);
    r->text = jr_get_str(best, "transcript");
    r->duration = number_at(c, yyjson_obj_get(root, "metadata"), "duration");
    r->language = language_of(q, channel, best);
    bill_duration(r);
    if (!r->text.p)
        return canon_bad_reply(c, "it has no transcript");
    e = read_spans(
        c, yyjson_obj_get(best, "words"), "punctuated_word", "word", &r->words, &r->words_n);
    return e < 0 ? e
                 : read_spans(c, yyjson_obj_get(results, "utterances"), "transcript", "text",
                       &r->segments, &r->segments_n);
}

/* --- Gemini --- */

static int join_segments(struct canon_call *c, struct transcription_reply *r)
{
    struct canon_text all = {0};
    int e = 0;

    for (unsigned i = 0; i < r->segments_n && e == 0; i++) {
        if (i)
            e = canon_gather(c, &all, STR(" "));
        if (e == 0)
            e = canon_gather(c, &all, str_trim(r->segments[i].text));
    }
    r->text = all.n ? canon_text_str(&all) : STR("");
    if (r->segments_n)
        r->duration = r->segments[r->segments_n - 1].end;
    return e;
}

/* The model was told to answer with an object of this schema. */
static int read_segments(struct canon_call *c, struct str text, struct transcription_reply *r)
{
    const char *why;
    yyjson_val *root = jr_parse(c->arena, text, &why);
    int e;

    if (!yyjson_is_arr(yyjson_obj_get(root, "segments")))
        return canon_bad_reply(c, "the model did not answer with segments");
    if (!r->language.n)
        r->language = jr_get_str(root, "language");
    e = read_spans(
        c, yyjson_obj_get(root, "segments"), "text", "text", &r->segments, &r->segments_n);
    return e < 0 ? e : join_segments(c, r);
}

static int read_gemini(struct canon_call *c, const struct transcription_request *q, struct str body,
    struct transcription_reply *r)
{
    const struct canon_choice *choice;
    int e = audio_read_gemini(c, body, &choice, &r->usage);
    struct str text;

    if (e < 0)
        return e;
    text = str_trim(native_join(c, choice->parts, 1u << PART_TEXT, STR("")));
    r->language = q->language;
    if (transcription_wants_segments(q))
        return read_segments(c, text, r);
    r->text = text.p ? text : STR("");
    return 0;
}

int transcription_read_reply(struct canon_call *c, const struct transcription_request *q,
    enum transcription_form form, struct str body, struct transcription_reply *ret)
{
    *ret = (struct transcription_reply){0};
    return form == TRANSCRIPTION_DEEPGRAM ? read_deepgram(c, q, body, ret)
                                          : read_gemini(c, q, body, ret);
}
