/*
 * Reading and writing JSON for the wires: yyjson values out of the call's arena (numbers raw, so
 * that no digit is lost), and a writer that puts commas where they belong.
 */
#ifndef SF_TRANSLATE_JW_H
#define SF_TRANSLATE_JW_H

#include "base/buf.h"
#include "translate/canon.h"
#include <yyjson.h>

/* yyjson's own adds to a null pointer where there is no object; this one walks nothing there. */
#undef yyjson_obj_foreach
#define yyjson_obj_foreach(obj, idx, max, key, val)                                                \
    for ((idx) = 0, (max) = yyjson_obj_size(obj),                                                  \
        (key) = (max) ? unsafe_yyjson_get_first(obj) : NULL, (val) = (key) ? (key) + 1 : NULL;     \
         (idx) < (max); (idx)++, (key) = unsafe_yyjson_get_next(val), (val) = (key) + 1)

/* Parses body out of a. NULL with *ret_why (a literal) when it is no JSON, too deep or too large.
 */
yyjson_val *jr_parse(struct arena *a, struct str body, const char **ret_why);
/* A whole number's digits, also where they are written as 5.0. */
bool jr_int_of(struct str digits, int64_t *ret);

/* A string's text; p NULL for others. */
static inline struct str jr_str(yyjson_val *v)
{
    return yyjson_is_str(v) ? str_at(yyjson_get_str(v), yyjson_get_len(v)) : STR_NONE;
}

/* Likewise of a member. Names are literals, whose length is known where this is inlined. */
static inline struct str jr_get_str(yyjson_val *obj, const char *name)
{
    return jr_str(yyjson_obj_get(obj, name));
}

/* False: absent or no integer. */
static inline bool jr_get_int(yyjson_val *obj, const char *name, int64_t *ret)
{
    yyjson_val *v = yyjson_obj_get(obj, name);
    return yyjson_is_raw(v) && jr_int_of(str_at(yyjson_get_raw(v), yyjson_get_len(v)), ret);
}

/* What is larger is no count; as llm/meter_usage.c. */
#define JR_COUNT_MAX ((int64_t)1 << 50)

/* A count; 0 where absent or no such number. */
static inline uint64_t jr_get_u64(yyjson_val *obj, const char *name)
{
    int64_t n;
    return jr_get_int(obj, name, &n) && n > 0 && n <= JR_COUNT_MAX ? (uint64_t)n : 0;
}

static inline bool jr_get_bool(yyjson_val *obj, const char *name, bool otherwise)
{
    yyjson_val *v = yyjson_obj_get(obj, name);
    return yyjson_is_bool(v) ? yyjson_get_bool(v) : otherwise;
}

/* The body of a client's call as an object; NULL with 400 in c->error. */
yyjson_val *jr_client_object(struct canon_call *c, struct str body);
/* Declares the members of a client's object that are not among the known ones as lost, but for
 * those that are null or say nothing, which is this word (may be empty). 0 or as canon_drop(). */
int jr_drop_unknown(struct canon_call *c, yyjson_val *obj, const char *const *known, unsigned n,
    struct str nothing);

/* The value's minified JSON text, in the arena; p NULL when v is NULL or null. */
struct str jr_raw(struct arena *a, yyjson_val *v);

/* A writer: jw_open(w, '{') … jw_key(w, "a") jw_str(w, s) … jw_close(w, '}'). */
struct jw {
    struct buf *out;
    bool comma; /* the next value or key needs one before it */
};

static inline void jw_before_value(struct jw *w)
{
    if (w->comma)
        buf_addc(w->out, ',');
    w->comma = true;
}

static inline void jw_open(struct jw *w, char bracket)
{
    jw_before_value(w);
    buf_addc(w->out, bracket);
    w->comma = false;
}

static inline void jw_close(struct jw *w, char bracket)
{
    buf_addc(w->out, bracket);
    w->comma = true;
}

/* name has nothing to escape. */
static inline void jw_key(struct jw *w, const char *name)
{
    if (w->comma)
        buf_addc(w->out, ',');
    buf_addc(w->out, '"');
    buf_add(w->out, name, strlen(name));
    buf_addstr(w->out, STR("\":"));
    w->comma = false;
}

static inline void jw_key_str(struct jw *w, struct str name)
{
    jw_before_value(w);
    buf_addjson(w->out, name);
    buf_addc(w->out, ':');
    w->comma = false;
}

static inline void jw_str(struct jw *w, struct str s)
{
    jw_before_value(w);
    buf_addjson(w->out, s);
}

/* Valid JSON text; p NULL is written as null. */
static inline void jw_raw(struct jw *w, struct str raw)
{
    jw_before_value(w);
    buf_addstr(w->out, raw.p ? raw : STR("null"));
}

static inline void jw_int(struct jw *w, int64_t v)
{
    jw_before_value(w);
    if (v < 0)
        buf_addc(w->out, '-');
    buf_addu64(w->out, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static inline void jw_bool(struct jw *w, bool v)
{
    jw_before_value(w);
    buf_addstr(w->out, v ? STR("true") : STR("false"));
}

static inline void jw_null(struct jw *w)
{
    jw_before_value(w);
    buf_addstr(w->out, STR("null"));
}

/* Members. jw_member_str() writes nothing where s.p is NULL, jw_member_raw() likewise. */
static inline void jw_member_str(struct jw *w, const char *name, struct str s)
{
    if (!s.p)
        return;
    jw_key(w, name);
    jw_str(w, s);
}

static inline void jw_member_raw(struct jw *w, const char *name, struct str raw)
{
    if (!raw.p)
        return;
    jw_key(w, name);
    jw_raw(w, raw);
}

static inline void jw_member_int(struct jw *w, const char *name, int64_t v)
{
    jw_key(w, name);
    jw_int(w, v);
}

static inline void jw_member_bool(struct jw *w, const char *name, bool v)
{
    jw_key(w, name);
    jw_bool(w, v);
}

#endif
