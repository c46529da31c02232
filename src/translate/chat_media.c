/*
 * Pictures, documents, audio and video as parts of a chat message's content. What a provider cannot
 * be given is refused: the model would answer without having seen it.
 */
#include "translate/chat_int.h"

#include <errno.h>

static int refuse(struct canon_call *c, const char *what)
{
    return canon_fail(c, STR("messages"), "%s cannot be passed on to " STR_FMT, what,
        STR_ARG(c->provider.n ? c->provider : STR("this provider")));
}

/* The value of a member: the address, or the data as one. */
static void put_url(struct canon_call *c, const struct canon_media *m, struct str mime,
    const char *member, struct jw *w)
{
    struct str url = m->source == MEDIA_URL ? m->data : canon_data_url_of(c, mime, m->data);
    if (!url.p && !w->out->err)
        w->out->err = -ENOMEM;
    jw_key(w, member);
    jw_str(w, url);
}

static int put_image(struct canon_call *c, const struct canon_media *m, struct jw *w)
{
    if (m->source == MEDIA_FILE_ID)
        return refuse(c, "A picture by its file id");
    jw_member_str(w, "type", STR("image_url"));
    jw_key(w, "image_url");
    jw_open(w, '{');
    put_url(c, m, m->mime.n ? m->mime : STR("image/png"), "url", w);
    if (m->detail.n)
        jw_member_str(w, "detail", m->detail);
    jw_close(w, '}');
    return 0;
}

static struct str file_name(const struct canon_media *m)
{
    if (m->name.n)
        return m->name;
    return str_eq(m->mime, STR("application/pdf")) ? STR("document.pdf") : STR("document");
}

static int put_mistral_document(struct canon_call *c, const struct canon_media *m, struct jw *w)
{
    if (m->source == MEDIA_FILE_ID) {
        jw_member_str(w, "type", STR("file"));
        jw_member_str(w, "file_id", m->data);
        return 0;
    }
    jw_member_str(w, "type", STR("document_url"));
    put_url(c, m, m->mime.n ? m->mime : STR("application/pdf"), "document_url", w);
    if (m->name.n)
        jw_member_str(w, "document_name", m->name);
    return 0;
}

static int put_document(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_media *m, struct jw *w)
{
    if (k->flags & CHAT_MISTRAL_MEDIA)
        return put_mistral_document(c, m, w);
    if (m->source == MEDIA_URL && !(k->flags & CHAT_URL_FILES))
        return refuse(c, "A document by its address");
    jw_member_str(w, "type", STR("file"));
    jw_key(w, "file");
    jw_open(w, '{');
    if (m->source == MEDIA_FILE_ID) {
        jw_member_str(w, "file_id", m->data);
    } else {
        jw_member_str(w, "filename", file_name(m));
        put_url(c, m, m->mime.n ? m->mime : STR("application/pdf"), "file_data", w);
    }
    jw_close(w, '}');
    return 0;
}

/* "mp3" of audio/mpeg, "wav" of audio/x-wav; else what stands behind the slash. */
static struct str audio_format(struct str mime)
{
    if (str_eq(mime, STR("audio/mpeg")) || str_eq(mime, STR("audio/mp3")))
        return STR("mp3");
    if (str_eq(mime, STR("audio/x-wav")) || str_eq(mime, STR("audio/wave")))
        return STR("wav");
    str_split(&mime, '/');
    return mime.p ? mime : STR("wav");
}

static int put_audio(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_media *m, struct jw *w)
{
    if (m->source != MEDIA_BASE64)
        return refuse(c, "Audio by its address or file id");
    jw_member_str(w, "type", STR("input_audio"));
    if (k->flags & CHAT_MISTRAL_MEDIA) {
        jw_member_str(w, "input_audio", m->data);
        return 0;
    }
    jw_key(w, "input_audio");
    jw_open(w, '{');
    jw_member_str(w, "data", m->data);
    jw_member_str(w, "format", audio_format(m->mime));
    jw_close(w, '}');
    return 0;
}

static int put_video(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_media *m, struct jw *w)
{
    if (!(k->flags & CHAT_VIDEO) || m->source == MEDIA_FILE_ID)
        return refuse(c, "Video");
    jw_member_str(w, "type", STR("video_url"));
    jw_key(w, "video_url");
    jw_open(w, '{');
    put_url(c, m, m->mime.n ? m->mime : STR("video/mp4"), "url", w);
    jw_close(w, '}');
    return 0;
}

int chat_write_media(
    struct canon_call *c, const struct chat_quirks *k, const struct canon_part *p, struct jw *w)
{
    switch (p->kind) {
    case PART_IMAGE:
        return put_image(c, &p->media, w);
    case PART_DOCUMENT:
        return put_document(c, k, &p->media, w);
    case PART_AUDIO:
        return put_audio(c, k, &p->media, w);
    case PART_VIDEO:
        return put_video(c, k, &p->media, w);
    default:
        return 0;
    }
}
