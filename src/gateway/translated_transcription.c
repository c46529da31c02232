/*
 * Transcriptions and translations of recordings, for providers that take no form (translate/
 * transcription.h). The form is held whole (multipart.c), as the recording may stand before the
 * fields that say what is to become of it. Deepgram gets the recording as it came, straight out of
 * what is held; for Gemini it stands in the JSON body, and is bounded.
 */
#include "gateway/form.h"
#include "gateway/translated_int.h"

#include "crypto/encode.h"
#include "translate/transcription.h"

#include <errno.h>

#define INLINE_MAX  (20 * MIB)             /* what Gemini takes inside of a request */
#define GROUP_BYTES ((size_t)3 * 16 * KIB) /* of sound that are encoded at once: whole triples */

/* The client's call. */
struct transcription {
    struct transcription_request request;
    struct form_file file;
    struct str mime; /* of the recording; empty = nothing says */
};

static bool is_transcription(const struct exchange *x)
{
    return x->match.endpoint->kind == KIND_TRANSCRIPTION;
}

static enum transcription_form form_of(const struct exchange *x)
{
    return x->face->dialect == DIALECT_DEEPGRAM ? TRANSCRIPTION_DEEPGRAM : TRANSCRIPTION_GEMINI;
}

/* --- the client's form --- */

static int take_field(void *ctx, struct str name, struct str value)
{
    struct translated *t = ctx;

    if (str_eq(name, STR("model"))) /* the read stage has it */
        return 0;
    return transcription_read_field(&t->as_read, &t->transcription->request, name, value);
}

static bool is_sound(struct str mime)
{
    return str_istarts(mime, STR("audio/")) || str_istarts(mime, STR("video/"));
}

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || (unsigned char)s.p[i] > 126)
            return false;
    return true;
}

/* What the part says, or else its file's name. */
static struct str mime_of(const struct form_file *f)
{
    struct str named;

    if (is_sound(f->type) && is_plain(f->type) && f->type.n < 128)
        return f->type;
    if (str_ends(f->name, STR(".webm")))
        return STR("audio/webm");
    named = canon_mime_of(f->name);
    return is_sound(named) ? named : STR_NONE;
}

static int read_request(struct exchange *x)
{
    struct translated *t = x->translated;
    struct transcription *tr = arena_new(&t->arena, struct transcription);
    const struct form_reader reader = {
        .arena = &t->arena, .file = STR("file"), .field = take_field, .ctx = t};
    int r;

    if (!(t->transcription = tr))
        return -ENOMEM;
    tr->request.translate = str_ends(x->match.rest, STR("translations"));
    r = gw_form_read(x, &reader, &tr->file);
    tr->mime = mime_of(&tr->file);
    return r;
}

/* --- the provider's request --- */

static int write_deepgram(struct exchange *x)
{
    struct translated *t = x->translated;
    const struct transcription *tr = t->transcription;
    struct audio_options *o = arena_new(&t->arena, struct audio_options);
    int r = o ? transcription_write_query(&t->call, &tr->request, o) : -ENOMEM;

    if (r < 0)
        return r;
    t->made.sent_type = tr->mime.n ? tr->mime : STR("application/octet-stream");
    t->made.file_at = tr->file.at;
    t->made.file_n = tr->file.n;
    return translated_put_query(x, o);
}

static int put_sound(struct exchange *x, const struct form_file *f, struct buf *out)
{
    _cleanup_(buf_free) struct buf group = {0};
    struct str piece;

    buf_init(&group, GROUP_BYTES);
    for (uint64_t done = 0; done < f->n;) {
        uint64_t want = MIN(f->n - done, (uint64_t)(GROUP_BYTES - group.n));
        ssize_t n = gw_upload_piece(x, f->at + done, want, &piece);
        if (n < 0)
            return (int)n;
        if (buf_addstr(&group, piece) < 0)
            return group.err;
        done += (uint64_t)n;
        if (group.n < GROUP_BYTES && done < f->n)
            continue;
        if (base64_add(out, buf_str(&group)) < 0)
            return out->err;
        buf_clear(&group);
    }
    return 0;
}

static int write_gemini(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;
    const struct transcription *tr = t->transcription;
    int r;

    if (!tr->mime.n)
        return canon_fail(&t->call, STR("file"),
            "Neither the type nor the name of 'file' says what kind of recording it is.");
    if (tr->file.n > INLINE_MAX)
        return canon_fail(&t->call, STR("file"),
            "'file' is larger than the %u MiB that this provider takes in a call.",
            (unsigned)(INLINE_MAX / MIB));
    r = transcription_write_before(&t->call, &tr->request, tr->mime, out);
    if (r == 0)
        r = put_sound(x, &tr->file, out);
    return r == 0 ? transcription_write_after(&t->call, &tr->request, out) : r;
}

static int write_request(struct exchange *x, struct buf *out)
{
    struct translated *t = x->translated;

    t->made.reply_type = transcription_type(&t->transcription->request);
    return form_of(x) == TRANSCRIPTION_DEEPGRAM ? write_deepgram(x) : write_gemini(x, out);
}

/* --- the reply --- */

static int write_reply(struct exchange *x, struct str body, struct buf *out)
{
    struct translated *t = x->translated;
    const struct transcription_request *q = &t->transcription->request;
    struct transcription_reply reply;
    int r;

    translated_make_room(t, body.n);
    r = transcription_read_reply(&t->call, q, form_of(x), body, &reply);
    if (r < 0)
        return r;
    translated_usage(x, &reply.usage);
    return transcription_write_reply(&t->call, q, &reply, out);
}

const struct translated_other translated_transcription = {
    .is = is_transcription,
    .read = read_request,
    .write = write_request,
    .reply = write_reply,
};
