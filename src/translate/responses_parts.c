/*
 * Parts that have more to them than text: reasoning with whoever's signature, and annotations,
 * whose places count characters where the canonical form counts bytes.
 */
#include "translate/responses_int.h"

#include "base/macros.h"
#include "base/utf8.h"

#include <errno.h>

#define REDACTED STR("redacted:")
#define OF_PART  STR("part:")

/* --- signatures --- */

enum canon_part_kind responses_open_signature(
    struct canon_call *c, struct str encrypted, enum canon_maker *ret_maker, struct str *ret_own)
{
    struct str own;
    enum canon_maker maker = canon_sign_in(c, MAKER_OPENAI, encrypted, &own);
    enum canon_part_kind kind = PART_THINKING;

    if (maker != MAKER_OPENAI && str_starts(own, REDACTED)) {
        kind = PART_REDACTED_THINKING;
        own = str_from(own, REDACTED.n);
    } else if (maker != MAKER_OPENAI && str_starts(own, OF_PART)) {
        kind = PART_TEXT;
        own = str_from(own, OF_PART.n);
    }
    *ret_maker = maker;
    *ret_own = own;
    return kind;
}

struct str responses_seal_signature(
    struct canon_call *c, enum canon_part_kind kind, enum canon_maker maker, struct str own)
{
    if (!own.n)
        return STR_NONE;
    if (kind == PART_REDACTED_THINKING)
        own = responses_join(c->arena, REDACTED, "", own);
    else if (kind != PART_THINKING)
        own = responses_join(c->arena, OF_PART, "", own);
    if (!own.p) {
        canon_no_room(c);
        return STR_NONE;
    }
    if (kind != PART_THINKING && maker == MAKER_OPENAI)
        maker = MAKER_OTHER; /* so that the mark is read again */
    return canon_sign_out(c, MAKER_OPENAI, maker, own);
}

/* --- reasoning --- */

static struct str join_texts(struct arena *a, yyjson_val *list)
{
    struct str all = STR_NONE;
    yyjson_val *one;
    size_t i, n;

    yyjson_arr_foreach(list, i, n, one)
    {
        struct str text = jr_get_str(one, "text");
        if (text.n)
            all =
                all.n ? arena_printf(a, STR_FMT "\n\n" STR_FMT, STR_ARG(all), STR_ARG(text)) : text;
    }
    return all;
}

struct str responses_reasoning_text(struct arena *a, yyjson_val *item)
{
    struct str text = join_texts(a, yyjson_obj_get(item, "content"));

    return text.n ? text : join_texts(a, yyjson_obj_get(item, "summary"));
}

int responses_read_reasoning(
    struct canon_call *c, yyjson_val *item, struct canon_part ***tail, struct canon_part *before)
{
    struct str text = responses_reasoning_text(c->arena, item), own;
    enum canon_maker maker;
    enum canon_part_kind kind =
        responses_open_signature(c, jr_get_str(item, "encrypted_content"), &maker, &own);

    if (kind == PART_TEXT) {
        if (before && !before->signature.n) {
            before->signature = own;
            before->maker = maker;
        }
        return 1;
    }
    if (!text.n && !own.n)
        return 0;
    struct canon_part *p = canon_add_part(c, tail, kind);
    if (!p)
        return -ENOMEM;
    p->maker = maker;
    if (kind == PART_REDACTED_THINKING) {
        p->text = own;
        return 0;
    }
    p->text = text.p ? text : STR("");
    p->signature = own;
    if (maker == MAKER_OPENAI)
        p->id = jr_get_str(item, "id");
    return 0;
}

/* --- annotations --- */

/* The byte at which a character stands; the end for what is beyond it. */
static int64_t byte_of(struct str text, int64_t characters)
{
    size_t at = 0, bad;

    while (characters-- > 0 && at < text.n) {
        size_t n = utf8_step(text.p + at, text.n - at, &bad);
        at += n ? n : bad;
    }
    return (int64_t)at;
}

static int64_t character_of(struct str text, int64_t byte)
{
    int64_t n = 0;
    size_t at = 0, bad;

    while (at < text.n && (int64_t)at < byte) {
        size_t step = utf8_step(text.p + at, text.n - at, &bad);
        at += step ? step : bad;
        n++;
    }
    return n;
}

struct canon_citation *responses_read_annotation(
    struct canon_call *c, yyjson_val *v, struct str text)
{
    struct canon_citation *x = arena_new(c->arena, struct canon_citation);
    int64_t from, to;

    if (!x) {
        canon_no_room(c);
        return NULL;
    }
    x->url = jr_get_str(v, "url");
    x->title = jr_get_str(v, "title");
    if (!x->title.p)
        x->title = jr_get_str(v, "filename");
    x->raw = jr_raw(c->arena, v);
    x->maker = MAKER_OPENAI;
    x->from = x->to = -1;
    if (jr_get_int(v, "start_index", &from) && jr_get_int(v, "end_index", &to) && from >= 0 &&
        to >= from) {
        x->from = byte_of(text, from);
        x->to = byte_of(text, to);
    }
    return x;
}

int responses_read_annotations(struct canon_call *c, yyjson_val *list, struct canon_part *p)
{
    struct canon_citation **tail = &p->citations;
    yyjson_val *one;
    size_t i, n;

    yyjson_arr_foreach(list, i, n, one)
    {
        if (!yyjson_is_obj(one))
            continue;
        struct canon_citation *x = responses_read_annotation(c, one, p->text);
        if (!x)
            return -ENOMEM;
        *tail = x;
        tail = &x->next;
    }
    return 0;
}

/* Of chat they stand one level deeper. */
static bool is_flat(struct str raw)
{
    return str_find(raw, STR("\"url_citation\":{")) < 0;
}

bool responses_put_annotation(struct jw *w, const struct canon_citation *x, struct str text)
{
    int64_t from = x->from >= 0 ? x->from : 0, to = x->to >= 0 ? x->to : (int64_t)text.n;

    if (x->raw.n && x->maker == MAKER_OPENAI && is_flat(x->raw)) {
        jw_raw(w, x->raw);
        return true;
    }
    if (!x->url.n)
        return false;
    jw_open(w, '{');
    jw_member_str(w, "type", STR("url_citation"));
    jw_member_int(w, "start_index", character_of(text, from));
    jw_member_int(w, "end_index", character_of(text, to));
    jw_member_str(w, "url", x->url);
    jw_member_str(w, "title", x->title.p ? x->title : STR(""));
    jw_close(w, '}');
    return true;
}
