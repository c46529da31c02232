/*
 * The ids that a call names: in its path, its query (cursors of lists), members at the top of its
 * body, and deep inside it ("file_id", "fileUri", "cachedContent", ...).
 *
 * Bodies were scanned and are valid. Most name nothing, which the scan has noticed; only those that
 * may are walked, string by string, in one pass whatever their depth. Lines of files, which may be
 * anything, are searched first. A member's name may be written with escapes; then it has a \u00
 * with a letter of ASCII behind it, and the text is walked, too. Nothing here suspends.
 */
#include "gateway/own.h"

#include <errno.h>

static int add(struct arena *a, struct own_ids *ids, struct own_id id)
{
    if (!id.id.n)
        return 0;
    if (ids->n == OWN_IDS_MAX)
        return -E2BIG;
    if (ids->n == ids->room) {
        unsigned room = ids->room ? 2 * ids->room : 4;
        struct own_id *at = arena_alloc(a, room * sizeof *at);
        if (!at)
            return -ENOMEM;
        if (ids->n)
            memcpy(at, ids->at, ids->n * sizeof *at);
        ids->at = at;
        ids->room = room;
    }
    ids->at[ids->n++] = id;
    return 0;
}

static struct str decoded(struct arena *a, struct str raw)
{
    char *out = raw.n ? arena_alloc(a, raw.n) : NULL;
    ptrdiff_t n = out ? http_percent_decode(raw, out) : -1;

    return n <= 0 ? raw : str_at(out, (size_t)n);
}

static struct str unescaped(struct arena *a, struct str literal)
{
    if (literal.n < 2)
        return STR_NONE;
    struct str inner = str_at(literal.p + 1, literal.n - 2);
    if (str_chr(inner, '\\') < 0)
        return inner;
    char *out = arena_alloc(a, literal.n);
    ptrdiff_t n = out ? json_unescape(literal, out) : -1;
    return n < 0 ? STR_NONE : str_at(out, (size_t)n);
}

/* --- deep inside a body --- */

/* How a member's value names a thing of Google's: what stands from this word on, to the end. */
struct wanted {
    struct str name, from, what;
    bool surely; /* nothing else has this name */
};
static const struct wanted everywhere[] = {
    {STR_INIT("file_id"), STR_INIT(""), STR_INIT("file")},
    {STR_INIT("file_ids"), STR_INIT(""), STR_INIT("file")},
    {STR_INIT("fileUri"), STR_INIT("files/"), STR_INIT("file")},
    {STR_INIT("file_uri"), STR_INIT("files/"), STR_INIT("file")},
    {STR_INIT("fileName"), STR_INIT("files/"), STR_INIT("file")},
    {STR_INIT("file_name"), STR_INIT("files/"), STR_INIT("file")},
    {STR_INIT("cachedContent"), STR_INIT("cachedContents/"), STR_INIT("cached content")},
    {STR_INIT("cached_content"), STR_INIT("cachedContents/"), STR_INIT("cached content")},
};
/* Of a body these are members at its top. */
static const struct wanted of_calls[] = {
    {STR_INIT("previous_response_id"), STR_INIT(""), STR_INIT("response"), true},
    {STR_INIT("conversation"), STR_INIT("conv_"), STR_INIT("conversation"), true},
    {STR_INIT("id"), STR_INIT("conv_"), STR_INIT("conversation"), true}, /* in an object of it */
};

/* A line may hold a wanted name, perhaps with escapes. */
static bool may_name(struct str json)
{
    static const struct str starts[] = {STR_INIT("\"file_"), STR_INIT("\"fileUri\""),
        STR_INIT("\"fileName\""), STR_INIT("\"cachedContent\""), STR_INIT("\"cached_content\"")};
    struct str rest = json;
    ptrdiff_t at;

    if (json_mentions(json, starts, ARRAY_LEN(starts)))
        return true;
    while ((at = str_chr(rest, '\\')) >= 0) { /* of a letter, as in "file\u005fid" */
        rest = str_from(rest, (size_t)at + 1);
        if (rest.n > 4 && !memcmp(rest.p, "u00", 3) && rest.p[3] >= '4' && rest.p[3] <= '7')
            return true;
        rest = str_from(rest, 1);
    }
    return false;
}

/* The end of the string that begins at this quote. */
static size_t string_end(struct str json, size_t at)
{
    for (at++; at < json.n && json.p[at] != '"'; at++)
        if (json.p[at] == '\\')
            at++;
    return MIN(at + 1, json.n);
}

static size_t skip_space(struct str json, size_t at)
{
    while (at < json.n && (json.p[at] == ' ' || (json.p[at] >= '\t' && json.p[at] <= '\r')))
        at++;
    return at;
}

static const struct wanted *wanted_of(struct arena *a, struct str literal, bool line)
{
    if (literal.n > 128) /* as long as one of the names is with all letters escaped */
        return NULL;
    struct str name = unescaped(a, literal);
    for (unsigned i = 0; i < ARRAY_LEN(everywhere); i++)
        if (str_ieq(name, everywhere[i].name))
            return &everywhere[i];
    for (unsigned i = 0; line && i < ARRAY_LEN(of_calls); i++)
        if (str_ieq(name, of_calls[i].name))
            return &of_calls[i];
    return NULL;
}

static int add_value(
    struct arena *a, struct own_ids *ids, const struct wanted *w, struct str literal)
{
    struct str id = unescaped(a, literal);

    if (w->from.n) {
        ptrdiff_t at = str_find(id, w->from);
        if (at < 0 && str_chr(id, '%') >= 0)
            at = str_find(id = decoded(a, id), w->from);
        if (at < 0)
            return 0;
        id = str_from(id, (size_t)at);
        for (size_t i = 0; i < id.n; i++)
            if (id.p[i] == '?' || id.p[i] == '#' || id.p[i] == ':')
                id.n = i;
        id = decoded(a, id);
    }
    return add(
        a, ids, (struct own_id){.id = id, .what = w->what, .param = w->name, .inside = !w->surely});
}

/* The strings of the value at `at`: itself, or those of an array. */
static int add_values(
    struct arena *a, struct own_ids *ids, const struct wanted *w, struct str json, size_t at)
{
    bool list = at < json.n && json.p[at] == '[';
    int r = 0;

    at = list ? skip_space(json, at + 1) : at;
    while (r == 0 && at < json.n && json.p[at] == '"') {
        size_t end = string_end(json, at);
        r = add_value(a, ids, w, str_at(json.p + at, end - at));
        at = skip_space(json, end);
        if (!list || at >= json.n || json.p[at] != ',')
            break;
        at = skip_space(json, at + 1);
    }
    return r;
}

static int walk(struct str json, bool line, struct arena *a, struct own_ids *ids)
{
    int r = 0;

    for (size_t at = 0; r == 0 && at < json.n;) {
        const char *quote = memchr(json.p + at, '"', json.n - at);
        if (!quote)
            break;
        size_t from = (size_t)(quote - json.p), end = string_end(json, from);
        size_t colon = skip_space(json, end);
        at = end;
        if (colon >= json.n || json.p[colon] != ':')
            continue;
        const struct wanted *w = wanted_of(a, str_at(json.p + from, end - from), line);
        if (w)
            r = add_values(a, ids, w, json, skip_space(json, colon + 1));
    }
    return r;
}

void own_ids_watch(struct json_set *set, uint8_t mark)
{
    for (unsigned i = 0; i < ARRAY_LEN(everywhere); i++)
        json_set_add(set, &(struct json_word){.name = everywhere[i].name}, 1, mark);
}

int own_ids_inside(struct str json, struct arena *a, struct own_ids *ids)
{
    return walk(json, false, a, ids);
}

int own_ids_line(struct str line, struct arena *a, struct own_ids *ids)
{
    static const struct str names[] = {
        STR_INIT("\"previous_response_id\""), STR_INIT("\"conversation\"")};

    if (!may_name(line) && !json_mentions(line, names, ARRAY_LEN(names)))
        return 0;
    return walk(line, true, a, ids);
}

/* --- at the top of a body --- */

static int top_members(struct exchange *x, struct own_ids *ids)
{
    static const struct {
        int member;
        struct str what, param;
    } tops[] = {
        {BODY_PREVIOUS_RESPONSE, STR_INIT("response"), STR_INIT("previous_response_id")},
        {BODY_CONVERSATION, STR_INIT("conversation"), STR_INIT("conversation")},
        {BODY_INPUT_FILE, STR_INIT("file"), STR_INIT("input_file_id")},
    };
    int r = 0;

    for (unsigned i = 0; r == 0 && x->spans && i < ARRAY_LEN(tops); i++) {
        const struct json_span *sp = &x->spans[tops[i].member];
        if (sp->type != JSON_STRING && sp->type != JSON_OBJECT)
            continue;
        struct str v = json_span_text(x->body, sp);
        if (sp->type == JSON_OBJECT) /* "conversation": {"id": ...} */
            v = json_find(v, STR("id"));
        if (json_type_of(v) == JSON_STRING)
            r = add(&x->arena, ids,
                (struct own_id){
                    .id = unescaped(&x->arena, v), .what = tops[i].what, .param = tops[i].param});
    }
    return r;
}

/* --- path and query --- */

static struct str word_of(enum endpoint_kind k)
{
    switch (k) {
    case KIND_RESPONSES_SUB:
        return STR("response");
    case KIND_CONVERSATIONS:
        return STR("conversation");
    case KIND_UPLOADS:
        return STR("upload");
    case KIND_BATCHES:
    case KIND_MESSAGE_BATCHES:
        return STR("batch");
    default:
        return STR("file");
    }
}

/* "files/abc" of "files/abc:download". */
static struct str gemini_name(struct exchange *x)
{
    static const struct str kinds[] = {STR_INIT("files/"), STR_INIT("cachedContents/"),
        STR_INIT("batches/"), STR_INIT("operations/")};

    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!str_starts(x->match.rest, kinds[i]))
            continue;
        struct str name = decoded(&x->arena, x->match.rest);
        ptrdiff_t colon = str_chr(name, ':');
        return colon > 0 ? str_to(name, (size_t)colon) : name;
    }
    return STR_NONE;
}

static int cursors(struct exchange *x, struct own_ids *ids)
{
    static const struct str names[] = {
        STR_INIT("after"), STR_INIT("before"), STR_INIT("after_id"), STR_INIT("before_id")};
    struct str rest = x->rq->head.query, param;
    int r = 0;

    while (r == 0 && rest.p && rest.n) {
        struct str value = str_split(&rest, '&'), name = str_split(&value, '=');
        for (unsigned i = 0; r == 0 && i < ARRAY_LEN(names); i++) {
            param = names[i];
            if (str_eq(name, param))
                r = add(&x->arena, ids,
                    (struct own_id){.id = decoded(&x->arena, value),
                        .what = word_of(x->match.endpoint->kind),
                        .param = param});
        }
    }
    return r;
}

static int path_and_query(struct exchange *x, struct own_ids *ids)
{
    const struct endpoint *e = x->match.endpoint;
    int r = 0;

    if (e->flags & EP_BY_ID)
        r = add(&x->arena, ids,
            (struct own_id){.id = decoded(&x->arena, x->match.id), .what = word_of(e->kind)});
    else if (e->kind == KIND_GEMINI_OTHER || e->kind == KIND_GEMINI_BATCHES)
        r = add(
            &x->arena, ids, (struct own_id){.id = gemini_name(x), .what = STR("requested entity")});
    if (r == 0 && gw_own_filters(x) && x->rq->head.query.n)
        r = cursors(x, ids);
    return r;
}

int own_ids_find(struct exchange *x, struct own_ids *ret)
{
    int r = path_and_query(x, ret);

    if (r == 0 && x->body.n)
        r = top_members(x, ret);
    if (r == 0 && x->body.n && x->body_names & NAMES_FILES)
        r = own_ids_inside(x->body, &x->arena, ret);
    if (r == -E2BIG)
        return exchange_failf(x, 400, STR("invalid_request_error"),
            "The call names more than %d files.", OWN_IDS_MAX);
    return r < 0 ? exchange_fail(x, 500, STR("internal_error"), STR("Out of memory.")) : 0;
}
