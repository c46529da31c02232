/*
 * Citations. OpenAI counts characters where the canonical form counts bytes; Perplexity gives its
 * sources beside the answer and marks them in the text, "[1]".
 */
#include "translate/chat_int.h"

/* The byte at which the character n of text begins, at most its end. */
static int64_t byte_of(struct str text, uint64_t n)
{
    size_t i = 0;
    for (; i < text.n; i++) {
        if (((unsigned char)text.p[i] & 0xc0) == 0x80)
            continue;
        if (n-- == 0)
            break;
    }
    return (int64_t)i;
}

int64_t chat_chars_before(struct str text, int64_t n)
{
    int64_t chars = 0;
    for (size_t i = 0; i < text.n && (int64_t)i < n; i++)
        chars += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    return chars;
}

static struct canon_citation *add(struct arena *a, struct canon_citation ***tail)
{
    struct canon_citation *t = arena_new(a, struct canon_citation);
    if (!t)
        return NULL;
    t->from = t->to = -1;
    t->maker = MAKER_OPENAI;
    **tail = t;
    *tail = &t->next;
    return t;
}

static void take_range(yyjson_val *v, struct str text, struct canon_citation *t)
{
    int64_t from, to;
    if (!jr_get_int(v, "start_index", &from) || !jr_get_int(v, "end_index", &to))
        return;
    if (from < 0 || to <= from || (uint64_t)to > text.n)
        return;
    t->from = byte_of(text, (uint64_t)from);
    t->to = byte_of(text, (uint64_t)to);
}

struct canon_citation *chat_read_annotations(struct arena *a, yyjson_val *list, struct str text)
{
    struct canon_citation *all = NULL, **tail = &all;
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, n, one)
    {
        yyjson_val *v = yyjson_obj_get(one, "url_citation");
        if (!yyjson_is_obj(v))
            continue;
        struct canon_citation *t = add(a, &tail);
        if (!t)
            break;
        t->url = jr_get_str(v, "url");
        t->title = jr_get_str(v, "title");
        t->quote = jr_get_str(v, "content"); /* OpenRouter */
        t->raw = jr_raw(a, one);
        take_range(v, text, t);
    }
    return all;
}

/* "[12]" at *at: its number, and *at behind it; 0 = none. */
static unsigned mark_at(struct str text, size_t *at)
{
    unsigned n = 0;
    size_t i = *at + 1;
    for (; i < text.n && i < *at + 4 && text.p[i] >= '0' && text.p[i] <= '9'; i++)
        n = n * 10 + (unsigned)(text.p[i] - '0');
    if (n == 0 || i >= text.n || text.p[i] != ']')
        return 0;
    *at = i + 1;
    return n;
}

/* The source of that number: an address, and its title where there is one. */
static bool source_of(yyjson_val *root, unsigned n, struct canon_citation *t)
{
    yyjson_val *result = yyjson_arr_get(yyjson_obj_get(root, "search_results"), n - 1);
    yyjson_val *address = yyjson_arr_get(yyjson_obj_get(root, "citations"), n - 1);
    t->url = jr_get_str(result, "url");
    t->title = jr_get_str(result, "title");
    if (!t->url.n)
        t->url = jr_str(address);
    return t->url.n > 0;
}

struct canon_citation *chat_read_sources(struct arena *a, yyjson_val *root, struct str text)
{
    struct canon_citation *all = NULL, **tail = &all, probe;
    bool marked = false;
    for (size_t at = 0; at < text.n;) {
        size_t from = at;
        unsigned n = text.p[at] == '[' ? mark_at(text, &at) : 0;
        if (n == 0 || !source_of(root, n, &probe)) {
            at = from + 1;
            continue;
        }
        struct canon_citation *t = add(a, &tail);
        if (!t)
            break;
        source_of(root, n, t);
        t->from = (int64_t)from;
        t->to = (int64_t)at;
        marked = true;
    }
    for (unsigned n = 1; !marked && source_of(root, n, &probe); n++) {
        struct canon_citation *t = add(a, &tail);
        if (!t)
            break;
        source_of(root, n, t);
    }
    return all;
}

void chat_write_annotation(const struct canon_citation *t, int64_t from, int64_t to, struct jw *w)
{
    jw_open(w, '{');
    jw_member_str(w, "type", STR("url_citation"));
    jw_key(w, "url_citation");
    jw_open(w, '{');
    jw_member_int(w, "start_index", from >= 0 ? from : 0);
    jw_member_int(w, "end_index", from >= 0 ? to : 0);
    jw_member_str(w, "title", t->title.p ? t->title : STR(""));
    jw_member_str(w, "url", t->url.p ? t->url : STR(""));
    if (t->quote.n)
        jw_member_str(w, "content", t->quote);
    jw_close(w, '}');
    jw_close(w, '}');
}
