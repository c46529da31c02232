/*
 * Pictures, documents, sounds: data URLs and what a file's name says of its type.
 */
#include "translate/canon.h"

#include "base/macros.h"

bool canon_data_url(struct str s, struct canon_media *ret)
{
    struct str base64 = STR(";base64");
    if (!str_istarts(s, STR("data:")))
        return false;
    struct str data = str_from(s, 5), head = str_split(&data, ',');
    if (!data.p || head.n < base64.n || !str_ieq(str_from(head, head.n - base64.n), base64))
        return false;
    ret->source = MEDIA_BASE64;
    ret->data = data;
    ret->mime = str_split(&head, ';'); /* without "charset=…" */
    return true;
}

struct str canon_data_url_of(struct canon_call *c, struct str mime, struct str base64)
{
    const struct str pieces[] = {STR_INIT("data:"), mime, STR_INIT(";base64,"), base64};
    size_t n = 0;
    char *p = arena_alloc(c->arena, mime.n + base64.n + 16);

    if (!p) {
        canon_no_room(c);
        return STR_NONE;
    }
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
        if (pieces[i].n)
            memcpy(p + n, pieces[i].p, pieces[i].n);
        n += pieces[i].n;
    }
    return str_at(p, n);
}

static const struct {
    struct str ending, mime;
} types[] = {
    {STR_INIT("png"), STR_INIT("image/png")},
    {STR_INIT("jpg"), STR_INIT("image/jpeg")},
    {STR_INIT("jpeg"), STR_INIT("image/jpeg")},
    {STR_INIT("gif"), STR_INIT("image/gif")},
    {STR_INIT("webp"), STR_INIT("image/webp")},
    {STR_INIT("heic"), STR_INIT("image/heic")},
    {STR_INIT("heif"), STR_INIT("image/heif")},
    {STR_INIT("bmp"), STR_INIT("image/bmp")},
    {STR_INIT("tiff"), STR_INIT("image/tiff")},
    {STR_INIT("svg"), STR_INIT("image/svg+xml")},
    {STR_INIT("pdf"), STR_INIT("application/pdf")},
    {STR_INIT("txt"), STR_INIT("text/plain")},
    {STR_INIT("md"), STR_INIT("text/markdown")},
    {STR_INIT("csv"), STR_INIT("text/csv")},
    {STR_INIT("html"), STR_INIT("text/html")},
    {STR_INIT("htm"), STR_INIT("text/html")},
    {STR_INIT("xml"), STR_INIT("application/xml")},
    {STR_INIT("json"), STR_INIT("application/json")},
    {STR_INIT("doc"), STR_INIT("application/msword")},
    {STR_INIT("docx"),
        STR_INIT("application/vnd.openxmlformats-officedocument.wordprocessingml.document")},
    {STR_INIT("xls"), STR_INIT("application/vnd.ms-excel")},
    {STR_INIT("xlsx"),
        STR_INIT("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")},
    {STR_INIT("wav"), STR_INIT("audio/wav")},
    {STR_INIT("mp3"), STR_INIT("audio/mpeg")},
    {STR_INIT("flac"), STR_INIT("audio/flac")},
    {STR_INIT("ogg"), STR_INIT("audio/ogg")},
    {STR_INIT("opus"), STR_INIT("audio/opus")},
    {STR_INIT("m4a"), STR_INIT("audio/mp4")},
    {STR_INIT("aac"), STR_INIT("audio/aac")},
    {STR_INIT("mp4"), STR_INIT("video/mp4")},
    {STR_INIT("mov"), STR_INIT("video/quicktime")},
    {STR_INIT("webm"), STR_INIT("video/webm")},
    {STR_INIT("mkv"), STR_INIT("video/x-matroska")},
    {STR_INIT("mpeg"), STR_INIT("video/mpeg")},
};

struct str canon_mime_of(struct str file_name)
{
    size_t dot = file_name.n;
    while (dot > 0 && file_name.p[dot - 1] != '.')
        dot--;
    struct str ending = str_from(file_name, dot);
    for (unsigned i = 0; dot > 0 && i < ARRAY_LEN(types); i++)
        if (str_ieq(types[i].ending, ending))
            return types[i].mime;
    return STR_NONE;
}
