/* Media by URL, see translate/fetch.h: which dialect reads them, and what a fetch brought. */
#include "translate/fetch.h"

#include "base/macros.h"
#include "crypto/encode.h"

#define KIND(k) (1u << (k))
#define MEDIA   (KIND(PART_IMAGE) | KIND(PART_DOCUMENT) | KIND(PART_AUDIO) | KIND(PART_VIDEO))

static const unsigned by_url[WIRES] = {
    [WIRE_CHAT] = KIND(PART_IMAGE),
    [WIRE_RESPONSES] = KIND(PART_IMAGE) | KIND(PART_DOCUMENT),
    [WIRE_MESSAGES] = KIND(PART_IMAGE) | KIND(PART_DOCUMENT),
    [WIRE_COHERE] = KIND(PART_IMAGE),
    [WIRE_REPLICATE] = MEDIA,
};

static bool is_cloud(const struct canon_call *c)
{
    return str_eq(c->provider, STR("bedrock")) || str_eq(c->provider, STR("vertex"));
}

static bool is_web(struct str url)
{
    return str_istarts(url, STR("http://")) || str_istarts(url, STR("https://"));
}

static bool is_youtube(struct str url)
{
    static const struct str hosts[] = {STR_INIT("https://www.youtube.com/"),
        STR_INIT("https://youtube.com/"), STR_INIT("https://youtu.be/"),
        STR_INIT("https://m.youtube.com/")};
    for (unsigned i = 0; i < ARRAY_LEN(hosts); i++)
        if (str_istarts(url, hosts[i]))
            return true;
    return false;
}

/* The URL without query and fragment. */
static struct str bare(struct str url)
{
    struct str rest = url, path = str_split(&rest, '?');
    return str_split(&path, '#');
}

/* Google reads YouTube's films everywhere; other web addresses only on Vertex, and only where it is
 * told what is behind them. */
static bool gemini_reads(const struct canon_call *c, const struct canon_media *m)
{
    if (!is_web(m->data) || is_youtube(m->data))
        return true;
    return str_eq(c->provider, STR("vertex")) && (m->mime.n || canon_mime_of(bare(m->data)).n);
}

bool canon_media_by_url(
    const struct canon_call *c, const struct wire *to, const struct canon_part *p)
{
    switch (to->id) {
    case WIRE_GEMINI:
        return gemini_reads(c, &p->media);
    case WIRE_CONVERSE:
        return str_starts(p->media.data, STR("s3://"));
    case WIRE_MESSAGES:
        return !is_cloud(c) && by_url[to->id] & KIND(p->kind);
    default:
        return by_url[to->id] & KIND(p->kind);
    }
}

/* --- where a part stands --- */

static bool holds(const struct canon_part *p, const struct canon_part *wanted)
{
    if (p == wanted || (p->media.data.p && p->media.data.p == wanted->media.data.p) ||
        (p->text.p && p->kind == wanted->kind && p->text.p == wanted->text.p) ||
        (p->id.p && p->kind == wanted->kind && p->id.p == wanted->id.p))
        return true;
    for (const struct canon_part *x = p->content; x; x = x->next)
        if (holds(x, wanted))
            return true;
    return false;
}

static bool is_system(const struct canon_message *m)
{
    return m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
}

/* Parts may be copies of those in q: their texts are the same views. */
struct str canon_part_path(
    struct canon_call *c, const struct canon_request *q, const struct canon_part *p)
{
    enum wire_id id = q->from ? q->from->id : WIRE_CHAT;
    bool apart = id == WIRE_MESSAGES || id == WIRE_GEMINI; /* the system's texts stand elsewhere */
    const char *list = id == WIRE_GEMINI ? "contents" : id == WIRE_RESPONSES ? "input" : "messages";
    const char *parts = id == WIRE_GEMINI ? "parts" : "content";
    unsigned i = 0;
    for (const struct canon_message *m = q->messages; m; m = m->next) {
        unsigned k = 0;
        for (const struct canon_part *x = m->parts; x; x = x->next, k++)
            if (holds(x, p))
                return apart && is_system(m)
                           ? arena_printf(c->arena,
                                 id == WIRE_GEMINI ? "systemInstruction.parts[%u]" : "system[%u]",
                                 k)
                           : arena_printf(c->arena, "%s[%u].%s[%u]", list, i, parts, k);
        i += !(apart && is_system(m));
    }
    return str_of(list);
}

/* --- what has to be fetched --- */

struct list {
    struct canon_call *c;
    const struct wire *to;
    const struct canon_request *q;
    struct canon_fetch **tail;
    unsigned n;
};

static int note(struct list *l, struct canon_part *p)
{
    struct str where = canon_part_path(l->c, l->q, p);
    struct canon_fetch *f = arena_new(l->c->arena, struct canon_fetch);
    if (!f || !where.p)
        return canon_no_room(l->c);
    if (!is_web(p->media.data))
        return canon_fail(
            l->c, where, "'" STR_FMT "' must be an http or data URL.", STR_ARG(where));
    if (l->n++ == CANON_FETCHES_MAX)
        return canon_fail(l->c, where,
            "More than %d parts are given by URL; this provider wants them inline.",
            CANON_FETCHES_MAX);
    *f = (struct canon_fetch){.url = p->media.data, .where = where, .part = p};
    *l->tail = f;
    l->tail = &f->next;
    return 0;
}

static int note_parts(struct list *l, struct canon_part *p)
{
    int r = 0;
    for (; p && r == 0; p = p->next) {
        if (KIND(p->kind) & MEDIA && p->media.source == MEDIA_URL &&
            !canon_media_by_url(l->c, l->to, p))
            r = note(l, p);
        else if (p->content)
            r = note_parts(l, p->content);
    }
    return r;
}

int canon_fetches(struct canon_call *c, const struct wire *to, const struct canon_request *q,
    struct canon_fetch **ret)
{
    struct list l = {.c = c, .to = to, .q = q, .tail = ret};
    int r = 0;
    *ret = NULL;
    for (const struct canon_message *m = q->messages; m && r == 0; m = m->next)
        r = note_parts(&l, m->parts);
    return r;
}

/* --- what came --- */

static const struct {
    struct str begins, mime;
    size_t at;
} magics[] = {
    {STR_INIT("\x89PNG\r\n\x1a\n"), STR_INIT("image/png"), 0},
    {STR_INIT("\xff\xd8\xff"), STR_INIT("image/jpeg"), 0},
    {STR_INIT("GIF8"), STR_INIT("image/gif"), 0},
    {STR_INIT("WEBP"), STR_INIT("image/webp"), 8},
    {STR_INIT("%PDF-"), STR_INIT("application/pdf"), 0},
};

/* What the bytes are wins, then what the server says, then what the URL's ending says. */
static struct str mime_of(const struct canon_fetch *f, struct str content_type, struct str bytes)
{
    struct str rest = content_type, said = str_trim(str_split(&rest, ';'));
    for (unsigned i = 0; i < ARRAY_LEN(magics); i++)
        if (str_starts(str_from(bytes, magics[i].at), magics[i].begins))
            return magics[i].mime;
    if (said.n && !str_ieq(said, STR("application/octet-stream")) &&
        !str_ieq(said, STR("binary/octet-stream")))
        return said;
    return f->part->media.mime.n ? f->part->media.mime : canon_mime_of(bare(f->url));
}

static bool fits(enum canon_part_kind k, struct str mime)
{
    switch (k) {
    case PART_IMAGE:
        return str_istarts(mime, STR("image/"));
    case PART_AUDIO:
        return str_istarts(mime, STR("audio/"));
    case PART_VIDEO:
        return str_istarts(mime, STR("video/"));
    default:
        return mime.n > 0;
    }
}

int canon_fetched(
    struct canon_call *c, struct canon_fetch *f, struct str content_type, struct str bytes)
{
    struct canon_media *m = &f->part->media;
    struct str mime = mime_of(f, content_type, bytes);
    if (!bytes.n || !fits(f->part->kind, mime))
        return canon_fail(
            c, f->where, "What the URL in '" STR_FMT "' gave is no such file.", STR_ARG(f->where));
    struct str kept = arena_dup(c->arena, mime);
    char *base64 = arena_alloc(c->arena, BASE64_SIZE(bytes.n));
    if (!kept.p || !base64)
        return canon_no_room(c);
    base64_encode(bytes, base64);
    m->source = MEDIA_BASE64;
    m->mime = kept;
    m->data = str_at(base64, BASE64_SIZE(bytes.n));
    return 0;
}

int canon_fetch_failed(struct canon_call *c, const struct canon_fetch *f, const char *why)
{
    return canon_fail(
        c, f->where, "The URL in '" STR_FMT "' cannot be fetched: %s.", STR_ARG(f->where), why);
}
