/*
 * Reading: yyjson works in place on a copy of the text, so that strings and raw numbers are views
 * into that copy. Its values lie in one row; of a small text they are read straight into the arena,
 * of a large one, for which yyjson asks for far more room than it uses, into the heap, and what was
 * used is moved (offsets inside the row are relative).
 *
 * yyjson refuses escapes of lone surrogates, which providers and JavaScript clients send: where it
 * fails and there are such escapes, they are replaced by U+FFFD and the text is read again.
 */
#include "translate/jw.h"

#include "base/limits.h"
#include "base/macros.h"

#include <stdlib.h>

#define SMALL_TEXT ((size_t)16 * 1024)

/* --- reading --- */

static void *arena_malloc(void *ctx, size_t n)
{
    return arena_alloc(ctx, n);
}

static void *arena_realloc(void *ctx, void *p, size_t old, size_t n)
{
    void *to = n > old ? arena_alloc(ctx, n) : p;
    if (to && to != p && old)
        memcpy(to, p, old);
    return to;
}

static void arena_forget(void *ctx, void *p)
{
}

/* The depth limit holds for what is read, so that all who walk a value may do so by recursion. */
static bool is_too_deep(yyjson_val *root, size_t n)
{
    const char *ends[LIMIT_JSON_DEPTH];
    unsigned depth = 0;
    if (n <= LIMIT_JSON_DEPTH) /* each level is a value */
        return false;
    for (yyjson_val *v = root, *end = root + n; v < end; v++) {
        while (depth && (const char *)v >= ends[depth - 1])
            depth--;
        if (!yyjson_is_ctn(v))
            continue;
        if (depth == LIMIT_JSON_DEPTH)
            return true;
        ends[depth++] = (const char *)unsafe_yyjson_get_next(v);
    }
    return false;
}

static int hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        char c = p[i] | 0x20;
        bool letter = c >= 'a' && c <= 'f';
        if (!letter && (p[i] < '0' || p[i] > '9'))
            return -1;
        v = v * 16 + (letter ? c - 'a' + 10 : p[i] - '0');
    }
    return v;
}

/* Replaces lone surrogate escapes; false when there were none. */
static bool mend_surrogates(char *p, size_t n)
{
    bool mended = false;
    for (char *end = p + n; p < end;) {
        if (*p != '\\') {
            p++;
            continue;
        }
        int v = hex4(p, end), low = v >= 0 ? hex4(p + 6, end) : -1;
        if (v >= 0xd800 && v <= 0xdbff && low >= 0xdc00 && low <= 0xdfff) {
            p += 12;
        } else if (v >= 0xd800 && v <= 0xdfff) {
            memcpy(p, "\\ufffd", 6);
            mended = true;
        } else {
            p += 2;
        }
    }
    return mended;
}

static yyjson_doc *read_in_place(char *copy, size_t n, const yyjson_alc *alc)
{
    const yyjson_read_flag flags = YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW;
    return yyjson_read_opts(copy, n, flags, alc, NULL);
}

static char *copy_padded(struct arena *a, struct str body)
{
    char *copy = arena_alloc(a, body.n + YYJSON_PADDING_SIZE);
    if (copy) {
        memcpy(copy, body.p, body.n);
        memset(copy + body.n, 0, YYJSON_PADDING_SIZE);
    }
    return copy;
}

static yyjson_doc *read_mending(struct str body, char *copy, const yyjson_alc *alc)
{
    yyjson_doc *doc = read_in_place(copy, body.n, alc);
    if (doc)
        return doc;
    memcpy(copy, body.p, body.n);
    memset(copy + body.n, 0, YYJSON_PADDING_SIZE);
    return mend_surrogates(copy, body.n) ? read_in_place(copy, body.n, alc) : NULL;
}

/* Moves a heap document's values into the arena. */
static yyjson_val *take_values(struct arena *a, yyjson_doc *doc)
{
    size_t n = yyjson_doc_get_val_count(doc) * sizeof(yyjson_val);
    yyjson_val *v = arena_alloc(a, n);
    if (v)
        memcpy(v, yyjson_doc_get_root(doc), n);
    yyjson_doc_free(doc);
    return v;
}

yyjson_val *jr_parse(struct arena *a, struct str body, const char **ret_why)
{
    const yyjson_alc alc = {arena_malloc, arena_realloc, arena_forget, a};
    bool small = body.n <= SMALL_TEXT;
    *ret_why = "it is empty";
    if (body.n == 0)
        return NULL;
    *ret_why = "it is too large";
    char *copy = copy_padded(a, body);
    if (!copy)
        return NULL;
    *ret_why = "it is not valid JSON";
    yyjson_doc *doc = read_mending(body, copy, small ? &alc : NULL);
    if (!doc)
        return NULL;
    size_t n = yyjson_doc_get_val_count(doc);
    yyjson_val *root = small ? yyjson_doc_get_root(doc) : take_values(a, doc);
    *ret_why = root ? "it is nested too deep" : "it is too large";
    return root && !is_too_deep(root, n) ? root : NULL;
}

/* A whole number, also where it is written as 5.0; its digits as they came are in the raw. */
bool jr_int_of(struct str s, int64_t *ret)
{
    uint64_t n;
    bool minus = s.n && s.p[0] == '-';
    struct str fraction = str_from(s, minus), whole = str_split(&fraction, '.');
    for (size_t i = 0; i < fraction.n; i++)
        if (fraction.p[i] != '0')
            return false;
    if (str_u64(whole, &n) < 0 || n > INT64_MAX)
        return false;
    *ret = minus ? -(int64_t)n : (int64_t)n;
    return true;
}

/* Recursion is bounded by LIMIT_JSON_DEPTH. */
static void put_value(struct buf *out, yyjson_val *v)
{
    struct jw w = {.out = out};
    yyjson_val *key, *child;
    size_t i, n;
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_OBJ:
        jw_open(&w, '{');
        yyjson_obj_foreach(v, i, n, key, child)
        {
            jw_key_str(&w, jr_str(key));
            put_value(out, child);
            w.comma = true;
        }
        jw_close(&w, '}');
        break;
    case YYJSON_TYPE_ARR:
        buf_addc(out, '[');
        yyjson_arr_foreach(v, i, n, child)
        {
            if (i)
                buf_addc(out, ',');
            put_value(out, child);
        }
        buf_addc(out, ']');
        break;
    case YYJSON_TYPE_STR:
        buf_addjson(out, jr_str(v));
        break;
    case YYJSON_TYPE_RAW:
        buf_add(out, yyjson_get_raw(v), yyjson_get_len(v));
        break;
    case YYJSON_TYPE_BOOL:
        jw_bool(&w, yyjson_get_bool(v));
        break;
    default:
        jw_null(&w);
    }
}

struct str jr_raw(struct arena *a, yyjson_val *v)
{
    _cleanup_(buf_free) struct buf text = {0};
    if (!v || yyjson_is_null(v))
        return STR_NONE;
    if (yyjson_is_raw(v)) /* v may lie in another arena */
        return arena_dup(a, str_at(yyjson_get_raw(v), yyjson_get_len(v)));
    if (yyjson_is_bool(v))
        return yyjson_get_bool(v) ? STR("true") : STR("false");
    buf_init(&text, LIMIT_BODY_BYTES * 2);
    put_value(&text, v);
    return text.err ? STR_NONE : arena_dup(a, buf_str(&text));
}

/* --- clients' objects --- */

yyjson_val *jr_client_object(struct canon_call *c, struct str body)
{
    const char *why;
    yyjson_val *root = jr_parse(c->arena, body, &why);

    if (yyjson_is_obj(root))
        return root;
    canon_fail(c, STR_NONE, "The body is no JSON object.");
    return NULL;
}

static bool is_among(struct str key, const char *const *known, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (str_eq(key, str_of(known[i])))
            return true;
    return false;
}

int jr_drop_unknown(
    struct canon_call *c, yyjson_val *obj, const char *const *known, unsigned n, struct str nothing)
{
    yyjson_val *key, *v;
    size_t i, max;
    int r = 0;

    yyjson_obj_foreach(obj, i, max, key, v)
    {
        bool says = !yyjson_is_null(v) && !(nothing.n && str_eq(jr_str(v), nothing));
        if (r == 0 && says && !is_among(jr_str(key), known, n))
            r = canon_drop(c, jr_str(key), "it is not known there");
    }
    return r;
}
