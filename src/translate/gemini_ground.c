/*
 * What an answer rests on. Gemini lists sources (chunks) and, apart from them, which bytes of which
 * part rest on which of them (supports); the canonical form hangs each onto its text. Beside that,
 * log probabilities: two lists, the chosen tokens and the likeliest ones, in place of OpenAI's one.
 */
#include "translate/gemini_int.h"

#include "base/limits.h"
#include "base/macros.h"

#define SOURCES_MAX   256
#define CITATIONS_MAX 512 /* of one answer */

/* --- citations, from the provider --- */

struct texts {
    struct canon_call *c;
    struct canon_part *const *parts;
    size_t n;
    unsigned hung;
};

static struct canon_part *last_text(const struct texts *t)
{
    struct canon_part *p = NULL;
    for (size_t i = 0; i < t->n; i++)
        if (t->parts[i] && t->parts[i]->kind == PART_TEXT)
            p = t->parts[i];
    return p;
}

static void hang(struct texts *t, struct canon_part *p, struct canon_citation cited)
{
    struct canon_citation **tail;
    if (t->hung++ >= CITATIONS_MAX)
        return;
    struct canon_citation *to = arena_new(t->c->arena, struct canon_citation);
    if (!to)
        return;
    *to = cited;
    to->maker = MAKER_GEMINI;
    for (tail = &p->citations; *tail;)
        tail = &(*tail)->next;
    *tail = to;
}

/* A chunk is one of several things; each has a uri, a title or both. */
static void read_source(yyjson_val *chunk, struct canon_citation *ret)
{
    static const char *const kinds[] = {"web", "retrievedContext", "maps", "image"};
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        yyjson_val *v = yyjson_obj_get(chunk, kinds[i]);
        if (!v)
            continue;
        ret->url = jr_get_str(v, "uri");
        if (!ret->url.n)
            ret->url = jr_get_str(v, "sourceUri");
        ret->title = jr_get_str(v, "title");
        return;
    }
}

static int64_t int_or(yyjson_val *o, const char *name, int64_t otherwise)
{
    int64_t n;
    return jr_get_int(o, name, &n) && n >= 0 ? n : otherwise;
}

static void read_support(struct texts *t, yyjson_val *support, yyjson_val *chunks)
{
    yyjson_val *segment = yyjson_obj_get(support, "segment"), *item;
    yyjson_val *indices = yyjson_obj_get(support, "groundingChunkIndices");
    size_t part = (size_t)int_or(segment, "partIndex", 0), i, n;
    struct canon_part *p = part < t->n ? t->parts[part] : NULL;
    struct canon_citation cited = {.from = int_or(segment, "startIndex", 0),
        .to = int_or(segment, "endIndex", -1),
        .quote = jr_get_str(segment, "text")};
    if (!p || p->kind != PART_TEXT)
        p = last_text(t);
    if (!p)
        return;
    yyjson_arr_foreach(indices, i, n, item)
    {
        uint64_t k;
        if (i == SOURCES_MAX || !yyjson_is_raw(item) ||
            str_u64(str_at(yyjson_get_raw(item), yyjson_get_len(item)), &k) < 0)
            return;
        yyjson_val *chunk = k < SOURCES_MAX ? yyjson_arr_get(chunks, k) : NULL;
        if (!chunk)
            continue;
        read_source(chunk, &cited);
        hang(t, p, cited);
    }
}

/* What a text repeats of a source it was trained on. */
static void read_recitations(struct texts *t, yyjson_val *candidate)
{
    yyjson_val *meta = yyjson_obj_get(candidate, "citationMetadata"), *item;
    yyjson_val *list = yyjson_obj_get(meta, "citationSources");
    struct canon_part *p = last_text(t);
    size_t i, n;
    if (!list)
        list = yyjson_obj_get(meta, "citations"); /* Vertex */
    yyjson_arr_foreach(list, i, n, item)
    {
        if (p && i < SOURCES_MAX)
            hang(t, p,
                (struct canon_citation){.url = jr_get_str(item, "uri"),
                    .title = jr_get_str(item, "title"),
                    .from = int_or(item, "startIndex", 0),
                    .to = int_or(item, "endIndex", -1)});
    }
}

void gm_read_citations(
    struct canon_call *c, yyjson_val *candidate, struct canon_part *const *parts, size_t n)
{
    struct texts t = {.c = c, .parts = parts, .n = n};
    yyjson_val *meta = yyjson_obj_get(candidate, "groundingMetadata"), *item;
    yyjson_val *chunks = yyjson_obj_get(meta, "groundingChunks");
    yyjson_val *supports = yyjson_obj_get(meta, "groundingSupports");
    struct canon_part *p = last_text(&t);
    size_t i, max;
    yyjson_arr_foreach(supports, i, max, item)
    {
        if (i < SOURCES_MAX)
            read_support(&t, item, chunks);
    }
    if (!yyjson_arr_size(supports) && p) {
        yyjson_arr_foreach(chunks, i, max, item)
        {
            struct canon_citation cited = {.from = -1, .to = -1};
            read_source(item, &cited);
            if (i < SOURCES_MAX)
                hang(&t, p, cited);
        }
    }
    read_recitations(&t, candidate);
}

/* --- citations, to the client --- */

struct sources {
    const struct canon_citation *at[SOURCES_MAX];
    unsigned n;
};

static bool same_source(const struct canon_citation *a, const struct canon_citation *b)
{
    return str_eq(a->url, b->url) && str_eq(a->title, b->title);
}

static unsigned source_of(struct sources *s, const struct canon_citation *it)
{
    unsigned i = 0;
    while (i < s->n && !same_source(s->at[i], it))
        i++;
    if (i == s->n && s->n < SOURCES_MAX)
        s->at[s->n++] = it;
    return MIN(i, SOURCES_MAX - 1);
}

static void put_source(const struct canon_citation *it, struct jw *w)
{
    jw_open(w, '{');
    jw_key(w, it->url.n ? "web" : "retrievedContext");
    jw_open(w, '{');
    if (it->url.n)
        jw_member_str(w, "uri", it->url);
    if (it->title.n)
        jw_member_str(w, "title", it->title);
    if (!it->url.n && it->quote.n)
        jw_member_str(w, "text", it->quote);
    jw_close(w, '}');
    jw_close(w, '}');
}

static void put_support(
    const struct canon_citation *it, unsigned part, struct str text, unsigned source, struct jw *w)
{
    bool placed = it->from >= 0 && it->to >= it->from;
    struct str said = it->quote;
    if (placed && (uint64_t)it->to <= text.n)
        said = str_to(str_from(text, (size_t)it->from), (size_t)(it->to - it->from));
    jw_open(w, '{');
    jw_key(w, "segment");
    jw_open(w, '{');
    if (part)
        jw_member_int(w, "partIndex", part);
    if (placed) {
        jw_member_int(w, "startIndex", it->from);
        jw_member_int(w, "endIndex", it->to);
    }
    if (said.n)
        jw_member_str(w, "text", said);
    jw_close(w, '}');
    jw_key(w, "groundingChunkIndices");
    jw_open(w, '[');
    jw_int(w, source);
    jw_close(w, ']');
    jw_close(w, '}');
}

static void collect(const struct canon_part *parts, struct sources *s)
{
    for (const struct canon_part *p = parts; p; p = p->next)
        for (const struct canon_citation *it = p->citations; it; it = it->next)
            source_of(s, it);
}

void gm_write_grounding(struct canon_call *c, const struct canon_part *parts, struct jw *w)
{
    struct sources s = {.n = 0};
    unsigned part = 0;
    collect(parts, &s);
    if (!s.n)
        return;
    jw_key(w, "groundingMetadata");
    jw_open(w, '{');
    jw_key(w, "groundingChunks");
    jw_open(w, '[');
    for (unsigned i = 0; i < s.n; i++)
        put_source(s.at[i], w);
    jw_close(w, ']');
    jw_key(w, "groundingSupports");
    jw_open(w, '[');
    for (const struct canon_part *p = parts; p; p = p->next, part++)
        for (const struct canon_citation *it = p->citations; it; it = it->next)
            put_support(it, part, p->text, source_of(&s, it), w);
    jw_close(w, ']');
    jw_close(w, '}');
}

/* --- log probabilities --- */

static void put_token(struct arena *a, yyjson_val *v, struct jw *w)
{
    jw_member_str(w, "token", jr_get_str(v, "token"));
    jw_member_raw(w, "logprob", jr_raw(a, yyjson_obj_get(v, "logProbability")));
    jw_key(w, "bytes");
    jw_null(w);
}

static void put_step(struct arena *a, yyjson_val *chosen, yyjson_val *top, struct jw *w)
{
    yyjson_val *item;
    size_t i, n;
    jw_open(w, '{');
    put_token(a, chosen, w);
    jw_key(w, "top_logprobs");
    jw_open(w, '[');
    yyjson_arr_foreach(top, i, n, item)
    {
        jw_open(w, '{');
        put_token(a, item, w);
        jw_close(w, '}');
    }
    jw_close(w, ']');
    jw_close(w, '}');
}

struct str gm_read_logprobs(struct arena *a, yyjson_val *candidate)
{
    _cleanup_(buf_free) struct buf text;
    struct jw w = {.out = &text};
    yyjson_val *result = yyjson_obj_get(candidate, "logprobsResult"), *item;
    yyjson_val *chosen = yyjson_obj_get(result, "chosenCandidates");
    yyjson_arr_iter top = {0};
    size_t i, n;
    buf_init(&text, LIMIT_RESPONSE_BYTES);
    if (!yyjson_is_arr(chosen))
        return STR_NONE;
    yyjson_arr_iter_init(yyjson_obj_get(result, "topCandidates"), &top);
    jw_open(&w, '{');
    jw_key(&w, "content");
    jw_open(&w, '[');
    yyjson_arr_foreach(chosen, i, n, item)
        put_step(a, item, yyjson_obj_get(yyjson_arr_iter_next(&top), "candidates"), &w);
    jw_close(&w, ']');
    jw_key(&w, "refusal");
    jw_null(&w);
    jw_close(&w, '}');
    return text.err ? STR_NONE : arena_dup(a, buf_str(&text));
}

static void put_candidate(struct arena *a, yyjson_val *v, struct jw *w)
{
    jw_open(w, '{');
    jw_member_str(w, "token", jr_get_str(v, "token"));
    jw_member_raw(w, "logProbability", jr_raw(a, yyjson_obj_get(v, "logprob")));
    jw_close(w, '}');
}

void gm_write_logprobs(struct arena *a, struct str raw, struct jw *w)
{
    const char *why;
    yyjson_val *root = raw.n ? jr_parse(a, raw, &why) : NULL, *item, *other;
    yyjson_val *steps = yyjson_obj_get(root, "content");
    size_t i, n, k, max;
    if (!yyjson_is_arr(steps))
        return;
    jw_key(w, "logprobsResult");
    jw_open(w, '{');
    jw_key(w, "chosenCandidates");
    jw_open(w, '[');
    yyjson_arr_foreach(steps, i, n, item) put_candidate(a, item, w);
    jw_close(w, ']');
    jw_key(w, "topCandidates");
    jw_open(w, '[');
    yyjson_arr_foreach(steps, i, n, item)
    {
        yyjson_val *top = yyjson_obj_get(item, "top_logprobs");
        jw_open(w, '{');
        jw_key(w, "candidates");
        jw_open(w, '[');
        yyjson_arr_foreach(top, k, max, other) put_candidate(a, other, w);
        jw_close(w, ']');
        jw_close(w, '}');
    }
    jw_close(w, ']');
    jw_close(w, '}');
}
