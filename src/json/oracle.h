/*
 * For the fuzzer and the differential test: json_scan() judged by yyjson in its strict mode, and
 * the walks judged by json_scan(). Two differences are wanted and handled here: yyjson refuses lone
 * surrogate escapes (they are replaced in the copy it reads, offset for offset) and has no limit on
 * depth (a text refused for its depth is not compared).
 */
#ifndef SF_JSON_ORACLE_H
#define SF_JSON_ORACLE_H

#include "base/macros.h"
#include "json/scan.h"
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

enum { ORACLE_WANTS = 7 };

static const struct json_want oracle_wants[ORACLE_WANTS] = {{STR_INIT("model")}, {STR_INIT("a")},
    {STR_INIT("a.b")}, {STR_INIT("b.a")}, {STR_INIT("stream_options.include_usage")},
    {STR_INIT("\xc3\xa9")}, {STR_INIT("a.a")}};

static inline int oracle_hex4(const char *p, const char *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    int v = 0;
    for (int i = 2; i < 6; i++) {
        const char *digits = "0123456789abcdefABCDEF", *d = p[i] ? strchr(digits, p[i]) : NULL;
        if (!d)
            return -1;
        int digit = (int)(d - digits);
        v = v * 16 + (digit < 16 ? digit : digit - 6);
    }
    return v;
}

/* A heap copy of text in which every lone surrogate escape became "\ufffd". */
static inline char *oracle_copy(struct str text)
{
    char *copy = malloc(text.n + 1);
    must(copy);
    memcpy(copy, text.p, text.n);
    for (char *p = copy, *end = copy + text.n; p < end;) {
        int v = oracle_hex4(p, end), low = v >= 0 ? oracle_hex4(p + 6, end) : -1;
        if (v >= 0xd800 && v <= 0xdbff && low >= 0xdc00 && low <= 0xdfff)
            p += 12;
        else if (v >= 0xd800 && v <= 0xdfff)
            memcpy(p, "\\ufffd", 6);
        else
            p += *p == '\\' ? 2 : 1;
    }
    return copy;
}

static inline yyjson_doc *oracle_read(char *text, size_t n)
{
    return n ? yyjson_read_opts(text, n, YYJSON_READ_NUMBER_AS_RAW, NULL, NULL) : NULL;
}

/* The first member called name, and how many there are. */
static inline yyjson_val *oracle_member(yyjson_val *object, struct str name, unsigned *ret_count)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    yyjson_val *key, *first = NULL;
    *ret_count = 0;
    while ((key = yyjson_obj_iter_next(&it)))
        if (str_eq(str_at(yyjson_get_str(key), yyjson_get_len(key)), name) && (*ret_count)++ == 0)
            first = yyjson_obj_iter_get_val(key);
    return first;
}

/* The same for a path; of several objects with its first part the first that has the second. */
static inline yyjson_val *oracle_find(yyjson_val *top, struct str path, bool *ret_duplicate)
{
    unsigned count, inner;
    ptrdiff_t dot = str_chr(path, '.');
    yyjson_val *found = oracle_member(top, dot < 0 ? path : str_to(path, (size_t)dot), &count);
    *ret_duplicate = count > 1;
    if (dot < 0)
        return found;
    found = NULL;
    yyjson_obj_iter it = yyjson_obj_iter_with(top);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it));) {
        if (!str_eq(str_at(yyjson_get_str(key), yyjson_get_len(key)), str_to(path, (size_t)dot)))
            continue;
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        yyjson_val *child = oracle_member(value, str_from(path, (size_t)dot + 1), &inner);
        *ret_duplicate |= inner > 1;
        found = found ? found : child;
    }
    return found;
}

static inline enum json_type oracle_type(yyjson_val *v)
{
    if (!v)
        return JSON_NONE;
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_NULL:
        return JSON_NULL;
    case YYJSON_TYPE_BOOL:
        return yyjson_get_bool(v) ? JSON_TRUE : JSON_FALSE;
    case YYJSON_TYPE_STR:
        return JSON_STRING;
    case YYJSON_TYPE_ARR:
        return JSON_ARRAY;
    case YYJSON_TYPE_OBJ:
        return JSON_OBJECT;
    default:
        return JSON_NUMBER;
    }
}

/* part, a text of its own, must read as the same value as v. */
static inline void oracle_same(char *part, size_t n, yyjson_val *v)
{
    yyjson_doc *doc = oracle_read(part, n);
    must(doc);
    size_t got_n, want_n;
    char *got = yyjson_val_write(yyjson_doc_get_root(doc), 0, &got_n);
    char *want = yyjson_val_write(v, 0, &want_n);
    must(got && want && got_n == want_n && memcmp(got, want, got_n) == 0);
    /* A value's first and last byte belong to it. */
    must(n > 0 && !strchr(" \t\r\n", part[0]) && !strchr(" \t\r\n", part[n - 1]));
    free(got);
    free(want);
    yyjson_doc_free(doc);
}

/* copy has the offsets of the scanned text. */
static inline void oracle_check_span(
    char *copy, yyjson_val *top, struct str path, const struct json_span *span)
{
    bool duplicate;
    yyjson_val *v = oracle_find(top, path, &duplicate);
    must(span->type == oracle_type(v));
    must(span->duplicate == duplicate);
    if (!v)
        return;
    oracle_same(copy + span->value, span->end - span->value, v);
    must(span->items == (span->type == JSON_ARRAY       ? yyjson_arr_size(v)
                            : span->type == JSON_OBJECT ? yyjson_obj_size(v)
                                                        : 0));
    must(span->escaped == (span->type == JSON_STRING &&
                              memchr(copy + span->value, '\\', span->end - span->value) != NULL));
    ptrdiff_t dot = str_chr(path, '.');
    struct str name = str_from(path, (size_t)(dot + 1)), key;
    struct str rest = str_at(copy + span->key, span->value - span->key);
    must(rest.p[0] == '"');
    while (rest.p[rest.n - 1] != '"')
        rest.n--;
    key = rest;
    char out[256];
    must(key.n > sizeof(out) || str_eq(str_at(out, (size_t)json_unescape(key, out)), name));
}

/* Every child that the walk finds, in step with yyjson's. */
static inline void oracle_walk(char *copy, struct str text, yyjson_val *v)
{
    struct str key, value;
    size_t at = json_inside(text), idx, max;
    yyjson_val *k, *child;
    if (yyjson_is_obj(v)) {
        yyjson_obj_foreach(v, idx, max, k, child)
        {
            must(json_next(text, &at, &key, &value));
            must(json_type_of(value) == oracle_type(child));
            oracle_walk(copy, value, child);
        }
    } else if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, idx, max, child)
        {
            must(json_next(text, &at, &key, &value));
            must(!key.p && json_type_of(value) == oracle_type(child));
            oracle_walk(copy, value, child);
        }
    } else if (yyjson_is_str(v)) {
        char *out = malloc(text.n);
        must(out);
        ptrdiff_t n = json_unescape(text, out);
        must(
            n >= 0 && str_eq(str_at(out, (size_t)n), str_at(yyjson_get_str(v), yyjson_get_len(v))));
        free(out);
    }
    must(!json_next(text, &at, &key, &value));
}

/* Both readers must agree on text; returns whether it is valid. */
static inline bool oracle_check(struct str text)
{
    struct json_span spans[ORACLE_WANTS];
    struct json_error err = {0};
    enum json_type top;
    int r = json_scan(text, oracle_wants, spans, ORACLE_WANTS, &top, &err);
    must(r == 0 || (err.why && err.at <= text.n));
    if (r < 0 && str_starts(str_of(err.why), STR("nesting deeper")))
        return false;
    char *copy = oracle_copy(text);
    yyjson_doc *doc = oracle_read(copy, text.n);
    if ((r == 0) != (doc != NULL)) {
        fprintf(stderr, "differs (%s): " STR_FMT "\n", err.why ? err.why : "valid", STR_ARG(text));
        must(!"both readers agree");
    }
    if (doc) {
        yyjson_val *root = yyjson_doc_get_root(doc);
        must(top == oracle_type(root));
        for (unsigned i = 0; i < ORACLE_WANTS; i++)
            oracle_check_span(copy, root, oracle_wants[i].path, &spans[i]);
        oracle_walk(copy, str_trim(str_at(copy, text.n)), root);
        yyjson_doc_free(doc);
    }
    free(copy);
    return r == 0;
}

#endif
