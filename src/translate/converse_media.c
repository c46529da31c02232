/*
 * Media in Converse: a format's word and a source, which is base64 or a place in S3. Formats are
 * closed lists; a document has a name of few characters that no other document of the request has.
 */
#include "translate/converse_int.h"

#include <ctype.h>

struct format {
    enum canon_part_kind kind;
    struct str word, mime;
};

/* The first row of a word says its type, the first of a type its word. */
static const struct format formats[] = {
    {PART_IMAGE, STR_INIT("png"), STR_INIT("image/png")},
    {PART_IMAGE, STR_INIT("jpeg"), STR_INIT("image/jpeg")},
    {PART_IMAGE, STR_INIT("jpeg"), STR_INIT("image/jpg")},
    {PART_IMAGE, STR_INIT("gif"), STR_INIT("image/gif")},
    {PART_IMAGE, STR_INIT("webp"), STR_INIT("image/webp")},
    {PART_DOCUMENT, STR_INIT("pdf"), STR_INIT("application/pdf")},
    {PART_DOCUMENT, STR_INIT("csv"), STR_INIT("text/csv")},
    {PART_DOCUMENT, STR_INIT("doc"), STR_INIT("application/msword")},
    {PART_DOCUMENT, STR_INIT("docx"),
        STR_INIT("application/vnd.openxmlformats-officedocument.wordprocessingml.document")},
    {PART_DOCUMENT, STR_INIT("xls"), STR_INIT("application/vnd.ms-excel")},
    {PART_DOCUMENT, STR_INIT("xlsx"),
        STR_INIT("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")},
    {PART_DOCUMENT, STR_INIT("html"), STR_INIT("text/html")},
    {PART_DOCUMENT, STR_INIT("txt"), STR_INIT("text/plain")},
    {PART_DOCUMENT, STR_INIT("md"), STR_INIT("text/markdown")},
    {PART_DOCUMENT, STR_INIT("txt"), STR_INIT("application/json")},
    {PART_VIDEO, STR_INIT("mp4"), STR_INIT("video/mp4")},
    {PART_VIDEO, STR_INIT("mkv"), STR_INIT("video/x-matroska")},
    {PART_VIDEO, STR_INIT("mov"), STR_INIT("video/quicktime")},
    {PART_VIDEO, STR_INIT("webm"), STR_INIT("video/webm")},
    {PART_VIDEO, STR_INIT("flv"), STR_INIT("video/x-flv")},
    {PART_VIDEO, STR_INIT("mpeg"), STR_INIT("video/mpeg")},
    {PART_VIDEO, STR_INIT("mpg"), STR_INIT("video/mpg")},
    {PART_VIDEO, STR_INIT("wmv"), STR_INIT("video/x-ms-wmv")},
    {PART_VIDEO, STR_INIT("three_gp"), STR_INIT("video/3gpp")},
    {PART_AUDIO, STR_INIT("mp3"), STR_INIT("audio/mpeg")},
    {PART_AUDIO, STR_INIT("mp3"), STR_INIT("audio/mp3")},
    {PART_AUDIO, STR_INIT("wav"), STR_INIT("audio/wav")},
    {PART_AUDIO, STR_INIT("wav"), STR_INIT("audio/x-wav")},
    {PART_AUDIO, STR_INIT("opus"), STR_INIT("audio/opus")},
    {PART_AUDIO, STR_INIT("aac"), STR_INIT("audio/aac")},
    {PART_AUDIO, STR_INIT("flac"), STR_INIT("audio/flac")},
    {PART_AUDIO, STR_INIT("ogg"), STR_INIT("audio/ogg")},
    {PART_AUDIO, STR_INIT("m4a"), STR_INIT("audio/mp4")},
    {PART_AUDIO, STR_INIT("webm"), STR_INIT("audio/webm")},
    {PART_AUDIO, STR_INIT("mkv"), STR_INIT("audio/x-matroska")},
    {PART_AUDIO, STR_INIT("pcm"), STR_INIT("audio/pcm")},
};

static const struct {
    const char *member;
    enum canon_part_kind kind;
} members[] = {
    {"image", PART_IMAGE},
    {"document", PART_DOCUMENT},
    {"video", PART_VIDEO},
    {"audio", PART_AUDIO},
};

static const char *member_of(enum canon_part_kind kind)
{
    for (unsigned i = 0; i < ARRAY_LEN(members); i++)
        if (members[i].kind == kind)
            return members[i].member;
    return NULL;
}

static struct str word_of(enum canon_part_kind kind, struct str mime)
{
    mime = str_trim(str_split(&mime, ';'));
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
        if (formats[i].kind == kind && str_ieq(formats[i].mime, mime))
            return formats[i].word;
    return STR_NONE;
}

static struct str mime_of(enum canon_part_kind kind, struct str word)
{
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
        if (formats[i].kind == kind && str_eq(formats[i].word, word))
            return formats[i].mime;
    return STR_NONE;
}

struct str converse_image_format(struct str mime)
{
    return word_of(PART_IMAGE, mime);
}

struct str converse_image_mime(struct str format)
{
    return mime_of(PART_IMAGE, format);
}

/* --- documents' names --- */

static bool name_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("-()[]", c));
}

/* Letters, digits, single blanks, hyphens, parentheses and square brackets. */
static struct str clean_name(struct canon_call *c, struct str name)
{
    char *to = arena_alloc(c->arena, MIN(name.n, 180u) + 1);
    size_t n = 0;

    for (size_t i = 0; to && i < name.n && n < 180; i++) {
        char ch = name_char(name.p[i]) ? name.p[i] : name.p[i] == ' ' ? ' ' : '-';
        if (n && to[n - 1] == ch && !name_char(name.p[i]))
            continue;
        to[n++] = ch;
    }
    struct str s = str_trim(str_at(to, n));
    return s.n ? s : STR("document");
}

static bool is_taken(const struct converse_writer *cw, struct str name)
{
    for (const struct converse_name *n = cw->names; n; n = n->next)
        if (str_eq(n->name, name))
            return true;
    return false;
}

static struct str unique_name(struct converse_writer *cw, struct str wanted)
{
    struct canon_call *c = cw->c;
    struct str base = clean_name(c, wanted), name = base;

    for (unsigned i = 2; is_taken(cw, name); i++)
        name = arena_printf(c->arena, STR_FMT " (%u)", STR_ARG(base), i);
    struct converse_name *n = arena_new(c->arena, struct converse_name);
    if (n) {
        n->name = name;
        n->next = cw->names;
        cw->names = n;
    }
    return name;
}

/* --- writing --- */

static int write_source(struct converse_writer *cw, const struct canon_part *p)
{
    const struct canon_media *m = &p->media;
    struct jw *w = &cw->w;

    jw_key(w, "source");
    jw_open(w, '{');
    if (m->source == MEDIA_BASE64) {
        jw_member_str(w, "bytes", m->data);
    } else if (m->source == MEDIA_TEXT) {
        jw_member_str(w, "text", m->data);
    } else {
        jw_key(w, "s3Location");
        jw_open(w, '{');
        jw_member_str(w, "uri", m->data);
        jw_close(w, '}');
    }
    jw_close(w, '}');
    return 0;
}

static int check_source(struct converse_writer *cw, const struct canon_part *p)
{
    const struct canon_media *m = &p->media;
    const char *member = member_of(p->kind);

    if (m->source == MEDIA_FILE_ID)
        return canon_fail(cw->c, STR("messages"),
            "Bedrock does not know the %s '" STR_FMT "': send its bytes.", member,
            (int)MIN(m->data.n, 100u), m->data.p);
    if (m->source == MEDIA_URL && !str_starts(m->data, STR("s3://")))
        return canon_fail(cw->c, STR("messages"),
            "Bedrock takes no %s by an address on the web: send its bytes.", member);
    return 0;
}

static struct str format_of(const struct canon_part *p)
{
    const struct canon_media *m = &p->media;
    struct str word = word_of(p->kind, m->mime);

    if (!word.n && m->name.n)
        word = word_of(p->kind, canon_mime_of(m->name));
    if (!word.n && m->source == MEDIA_URL)
        word = word_of(p->kind, canon_mime_of(m->data));
    if (!word.n && m->source == MEDIA_TEXT)
        word = STR("txt");
    return word;
}

int converse_write_media(struct converse_writer *cw, const struct canon_part *p)
{
    struct jw *w = &cw->w;
    const char *member = member_of(p->kind);
    struct str format = format_of(p);
    int r = check_source(cw, p);

    if (r < 0)
        return r;
    if (!format.n)
        return canon_fail(cw->c, STR("messages"), "Bedrock takes no %s of the type '" STR_FMT "'.",
            member, (int)MIN(p->media.mime.n, 100u), p->media.mime.p);
    if (p->media.detail.n && !str_eq(p->media.detail, STR("auto")) &&
        (r = canon_drop(cw->c, STR("detail"), "pictures are seen as they are")) < 0)
        return r;
    jw_open(w, '{');
    jw_key(w, member);
    jw_open(w, '{');
    jw_member_str(w, "format", format);
    if (p->kind == PART_DOCUMENT)
        jw_member_str(w, "name", unique_name(cw, p->media.name));
    write_source(cw, p);
    if (p->kind == PART_DOCUMENT) {
        jw_member_str(w, "context", p->media.context);
        if (p->media.citations)
            jw_member_raw(w, "citations", STR("{\"enabled\":true}"));
    }
    jw_close(w, '}');
    jw_close(w, '}');
    return 0;
}

/* --- reading --- */

static bool read_source(yyjson_val *source, struct canon_media *m)
{
    yyjson_val *s3 = yyjson_obj_get(source, "s3Location");

    m->data = jr_get_str(source, "bytes");
    m->source = MEDIA_BASE64;
    if (!m->data.p && s3) {
        m->data = jr_get_str(s3, "uri");
        m->source = MEDIA_URL;
    }
    if (!m->data.p) {
        m->data = jr_get_str(source, "text");
        m->source = MEDIA_TEXT;
    }
    return m->data.p != NULL;
}

bool converse_read_media(yyjson_val *block, struct canon_part *p)
{
    for (unsigned i = 0; i < ARRAY_LEN(members); i++) {
        yyjson_val *v = yyjson_obj_get(block, members[i].member);
        if (!v)
            continue;
        p->kind = members[i].kind;
        p->media.mime = mime_of(p->kind, jr_get_str(v, "format"));
        p->media.name = jr_get_str(v, "name");
        p->media.context = jr_get_str(v, "context");
        p->media.citations = jr_get_bool(yyjson_obj_get(v, "citations"), "enabled", false);
        return read_source(yyjson_obj_get(v, "source"), &p->media);
    }
    return false;
}
