/*
 * Citations in Converse. What they point at is said as Anthropic's do, under other names, so that
 * they pass between the two whole; addresses on the web pass to every dialect.
 */
#include "translate/converse_int.h"

static const struct location {
    const char *member, *index; /* Converse: {"documentChar":{"documentIndex","start","end"}} */
    const char *type, *from_index, *start, *end; /* Anthropic */
} locations[] = {
    {"documentChar", "documentIndex", "char_location", "document_index", "start_char_index",
        "end_char_index"},
    {"documentPage", "documentIndex", "page_location", "document_index", "start_page_number",
        "end_page_number"},
    {"documentChunk", "documentIndex", "content_block_location", "document_index",
        "start_block_index", "end_block_index"},
    {"searchResultLocation", "searchResultIndex", "search_result_location", "search_result_index",
        "start_block_index", "end_block_index"},
};

/* The texts of sourceContent, joined. */
static struct str source_text(struct arena *a, yyjson_val *list)
{
    yyjson_val *first = yyjson_arr_get_first(list), *v;
    struct str all = jr_get_str(first, "text");
    size_t i, max;

    yyjson_arr_foreach(list, i, max, v)
    {
        struct str text = jr_get_str(v, "text");
        if (v != first && text.n)
            all = arena_printf(a, STR_FMT STR_FMT, STR_ARG(all), STR_ARG(text));
    }
    return all;
}

static struct str anthropic_raw(
    struct arena *a, const struct location *l, yyjson_val *at, const struct canon_citation *t)
{
    _cleanup_(buf_free) struct buf text = {0};
    bool search = str_eq(str_of(l->from_index), STR("search_result_index"));

    buf_init(&text, 256 * 1024);
    struct jw w = {.out = &text};
    jw_open(&w, '{');
    jw_member_str(&w, "type", str_of(l->type));
    jw_member_str(&w, "cited_text", t->quote.p ? t->quote : STR(""));
    jw_member_int(&w, l->from_index, (int64_t)jr_get_u64(at, l->index));
    if (search)
        jw_member_str(&w, "source", t->url.p ? t->url : STR(""));
    jw_key(&w, search ? "title" : "document_title");
    if (t->title.p)
        jw_str(&w, t->title);
    else
        jw_null(&w);
    jw_member_int(&w, l->start, (int64_t)jr_get_u64(at, "start"));
    jw_member_int(&w, l->end, (int64_t)jr_get_u64(at, "end"));
    jw_close(&w, '}');
    return text.err ? STR_NONE : arena_dup(a, buf_str(&text));
}

struct canon_citation *converse_read_citation(struct arena *a, yyjson_val *v)
{
    yyjson_val *location = yyjson_obj_get(v, "location"), *web = yyjson_obj_get(location, "web");
    struct canon_citation *t = arena_new(a, struct canon_citation);

    if (!t || !yyjson_is_obj(v))
        return NULL;
    t->from = t->to = -1;
    t->title = jr_get_str(v, "title");
    t->url = web ? jr_get_str(web, "url") : jr_get_str(v, "source");
    t->quote = source_text(a, yyjson_obj_get(v, "sourceContent"));
    for (unsigned i = 0; i < ARRAY_LEN(locations); i++) {
        yyjson_val *at = yyjson_obj_get(location, locations[i].member);
        if (!at)
            continue;
        t->raw = anthropic_raw(a, &locations[i], at, t);
        t->maker = MAKER_ANTHROPIC;
    }
    return t;
}

static void write_location(struct arena *a, struct jw *w, const struct canon_citation *t)
{
    const char *why;
    yyjson_val *v = t->maker == MAKER_ANTHROPIC ? jr_parse(a, t->raw, &why) : NULL;
    struct str type = jr_get_str(v, "type");

    for (unsigned i = 0; i < ARRAY_LEN(locations); i++) {
        const struct location *l = &locations[i];
        if (!str_eq(str_of(l->type), type))
            continue;
        jw_key(w, "location");
        jw_open(w, '{');
        jw_key(w, l->member);
        jw_open(w, '{');
        jw_member_int(w, l->index, (int64_t)jr_get_u64(v, l->from_index));
        jw_member_int(w, "start", (int64_t)jr_get_u64(v, l->start));
        jw_member_int(w, "end", (int64_t)jr_get_u64(v, l->end));
        jw_close(w, '}');
        jw_close(w, '}');
        return;
    }
    if (!t->url.n)
        return;
    jw_key(w, "location");
    jw_open(w, '{');
    jw_key(w, "web");
    jw_open(w, '{');
    jw_member_str(w, "url", t->url);
    jw_close(w, '}');
    jw_close(w, '}');
}

void converse_write_citation(struct arena *a, struct jw *w, const struct canon_citation *t)
{
    jw_open(w, '{');
    jw_member_str(w, "title", t->title);
    if (t->quote.p) {
        jw_key(w, "sourceContent");
        jw_open(w, '[');
        jw_open(w, '{');
        jw_member_str(w, "text", t->quote);
        jw_close(w, '}');
        jw_close(w, ']');
    }
    write_location(a, w, t);
    jw_close(w, '}');
}
