/* See deepgram.h. Nothing here suspends or keeps anything. */
#include "providers/deepgram.h"

#include "providers/sigv4.h"
#include "json/scan.h"

#include <errno.h>

static void put_param(struct buf *out, struct str name, struct str value)
{
    buf_addc(out, '&');
    buf_addstr(out, name);
    buf_addc(out, '=');
    uri_encode(out, value, false);
}

/* Nova-3 and newer take key terms; older models keywords. */
static struct str term_name(struct str model)
{
    bool old = str_starts(model, STR("nova-2")) || str_starts(model, STR("nova-general")) ||
               str_eq(model, STR("nova")) || str_starts(model, STR("enhanced")) ||
               str_starts(model, STR("base"));
    return old ? STR("keywords") : STR("keyterm");
}

int deepgram_listen_target(struct buf *out, struct str base_path, const struct deepgram_listen *l)
{
    if (!l->model.n)
        return -EINVAL;
    buf_addstr(out, base_path);
    buf_addstr(out, STR("/v1/listen?model="));
    uri_encode(out, l->model, false);
    put_param(out, STR("smart_format"), STR("true"));
    if (l->language.n)
        put_param(out, STR("language"), l->language);
    else
        put_param(out, STR("detect_language"), STR("true"));
    if (l->timestamps)
        put_param(out, STR("utterances"), STR("true"));
    if (l->diarize)
        put_param(out, STR("diarize"), STR("true"));
    for (size_t i = 0; i < l->n_terms; i++)
        put_param(out, term_name(l->model), l->terms[i]);
    return out->err;
}

/* The first element of the array at path; p NULL when there is none. */
static struct str first_at(struct str object, struct str path)
{
    struct str array = json_find(object, path), key, value;
    size_t at = 1;
    if (!array.p || json_type_of(array) != JSON_ARRAY || !json_next(array, &at, &key, &value))
        return STR_NONE;
    return value;
}

static struct str string_at(struct str object, struct str name)
{
    struct str v = json_find(object, name);
    return v.p && json_type_of(v) == JSON_STRING ? str_at(v.p + 1, v.n - 2) : STR_NONE;
}

/* "25.933313" seconds as milliseconds, rounded up. */
static int read_duration(struct str literal, uint64_t *ret)
{
    struct str fraction = literal, whole = str_split(&fraction, '.');
    uint64_t s, ms = 0, rest = 0;
    if (!whole.n || str_u64(whole, &s) < 0 || s > UINT32_MAX)
        return -EBADMSG;
    for (size_t i = 0; i < fraction.n || i < 3; i++) {
        unsigned digit = i < fraction.n ? (unsigned)(fraction.p[i] - '0') : 0;
        if (digit > 9)
            return -EBADMSG;
        if (i < 3)
            ms = ms * 10 + digit;
        else
            rest |= digit;
    }
    *ret = s * 1000 + ms + (rest != 0);
    return 0;
}

int deepgram_transcript_parse(struct str json, struct deepgram_transcript *ret)
{
    enum json_type top;
    struct json_error err;
    if (json_scan(json, NULL, NULL, 0, &top, &err) < 0 || top != JSON_OBJECT)
        return -EBADMSG;
    struct str channel = first_at(json, STR("results.channels"));
    struct str best = first_at(channel, STR("alternatives"));
    struct str text = json_find(best, STR("transcript"));
    struct str duration = json_find(json, STR("metadata.duration"));
    if (!text.p || json_type_of(text) != JSON_STRING || !duration.p)
        return -EBADMSG;
    *ret = (struct deepgram_transcript){.text = str_at(text.p + 1, text.n - 2),
        .language = string_at(channel, STR("detected_language")),
        .words = json_find(best, STR("words"))};
    return read_duration(duration, &ret->audio_ms);
}
