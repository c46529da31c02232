/*
 * Reading and writing records by their tables of fields. See keys/record.h. A value is read in two
 * steps: its JSON type, then what its row allows; each refusal names the field and says what it may
 * be.
 */
#include "base/limits.h"
#include "keys/limits_int.h"
#include "keys/record.h"
#include "json/scan.h"

#include <errno.h>
#include <stdio.h>

#define ITEM_BYTES 256

static int wrong(struct error *e, struct arena *a, struct str param, struct str message)
{
    *e = (struct error){.status = 400,
        .code = STR("invalid_request_error"),
        .param = arena_dup(a, param),
        .message = message};
    return -EINVAL;
}

static int must_be(const struct field_row *f, struct error *e, struct arena *a, const char *what)
{
    return wrong(e, a, str_of(f->name), arena_printf(a, "'%s' %s.", f->name, what));
}

static int no_memory(struct error *e)
{
    *e = (struct error){
        .status = 500, .code = STR("internal_error"), .message = STR("Out of memory.")};
    return -ENOMEM;
}

static void *member(const struct field_row *f, void *record)
{
    return (char *)record + f->offset;
}

static const void *member_of(const struct field_row *f, const void *record)
{
    return (const char *)record + f->offset;
}

/* --- texts --- */

/* The text of a JSON string, in the arena. -EINVAL: no string, too long, or with control bytes. */
static int text_of(struct str json, size_t max, struct str *ret, struct arena *a)
{
    if (json_type_of(json) != JSON_STRING)
        return -EINVAL;
    char *p = arena_alloc(a, json.n);
    if (!p)
        return -ENOMEM;
    ptrdiff_t n = json_unescape(json, p);
    if (n < 0 || (size_t)n > max)
        return -EINVAL;
    for (ptrdiff_t i = 0; i < n; i++)
        if ((unsigned char)p[i] < ' ' || p[i] == 127)
            return -EINVAL;
    *ret = str_at(p, (size_t)n);
    return 0;
}

static int parse_text(
    const struct field_row *f, struct str json, struct str *ret, struct arena *a, struct error *e)
{
    char what[96];
    int r = 0;

    if (json_type_of(json) == JSON_NULL && f->min == 0)
        *ret = STR_NONE;
    else
        r = text_of(json, (size_t)f->max, ret, a);
    if (r == -ENOMEM)
        return no_memory(e);
    snprintf(what, sizeof what, "must be a string of %lld to %lld bytes without control characters",
        (long long)f->min, (long long)f->max);
    if (r < 0 || (int64_t)ret->n < f->min)
        return must_be(f, e, a, what);
    const char *not_good = f->check && ret->n ? f->check(*ret) : NULL;
    return not_good ? must_be(f, e, a, not_good) : 0;
}

/* "a", "b" or "c" */
static struct str word_list(const char *const *words, struct arena *a)
{
    struct buf b;

    buf_init(&b, 1024);
    for (unsigned i = 0; words[i]; i++)
        buf_printf(&b, "%s\"%s\"", !i ? "" : words[i + 1] ? ", " : " or ", words[i]);
    struct str s = arena_dup(a, buf_str(&b));
    buf_free(&b);
    return s;
}

static bool word_index(const char *const *words, struct str json, uint32_t *ret)
{
    if (json_type_of(json) != JSON_STRING)
        return false;
    struct str text = str_at(json.p + 1, json.n - 2);
    for (unsigned i = 0; words[i]; i++)
        if (str_eq(text, str_of(words[i]))) {
            *ret = i;
            return true;
        }
    return false;
}

static int parse_word(
    const struct field_row *f, struct str json, uint32_t *ret, struct arena *a, struct error *e)
{
    if (word_index(f->words, json, ret))
        return 0;
    return wrong(e, a, str_of(f->name),
        arena_printf(a, "'%s' must be " STR_FMT ".", f->name, STR_ARG(word_list(f->words, a))));
}

static int parse_texts(const struct field_row *f, struct str json, struct str_list *ret,
    struct arena *a, struct error *e)
{
    struct str key, item;
    size_t at = 1;
    unsigned n = 0;
    char what[96];

    snprintf(what, sizeof what, "must be a list of at most %lld strings of 1 to %d bytes",
        (long long)f->max, ITEM_BYTES);
    if (json_type_of(json) == JSON_NULL) {
        *ret = (struct str_list){0};
        return 0;
    }
    struct str *list = arena_alloc(a, (size_t)f->max * sizeof *list);
    if (!list)
        return no_memory(e);
    if (json_type_of(json) != JSON_ARRAY)
        return must_be(f, e, a, what);
    for (; json_next(json, &at, &key, &item); n++) {
        if (n == f->max || text_of(item, ITEM_BYTES, &list[n], a) < 0 || !list[n].n)
            return must_be(f, e, a, what);
        const char *not_good = f->check ? f->check(list[n]) : NULL;
        if (not_good)
            return must_be(f, e, a, not_good);
    }
    *ret = (struct str_list){list, n};
    return 0;
}

static int parse_object(
    const struct field_row *f, struct str json, struct str *ret, struct arena *a, struct error *e)
{
    char what[64];

    snprintf(what, sizeof what, "must be an object of at most %lld bytes", (long long)f->max);
    if (json_type_of(json) == JSON_NULL) {
        *ret = STR_NONE;
        return 0;
    }
    if (json_type_of(json) != JSON_OBJECT || (int64_t)json.n > f->max)
        return must_be(f, e, a, what);
    *ret = arena_dup(a, json);
    return ret->p ? 0 : no_memory(e);
}

/* --- numbers --- */

static int parse_bool(
    const struct field_row *f, struct str json, bool *ret, struct arena *a, struct error *e)
{
    enum json_type t = json_type_of(json);

    if (t != JSON_TRUE && t != JSON_FALSE)
        return must_be(f, e, a, "must be true or false");
    *ret = t == JSON_TRUE;
    return 0;
}

static int parse_int(
    const struct field_row *f, struct str json, int64_t *ret, struct arena *a, struct error *e)
{
    char what[96];
    uint64_t n;

    snprintf(what, sizeof what, "must be a whole number from %lld to %lld, or null",
        (long long)f->min, (long long)f->max);
    if (json_type_of(json) == JSON_NULL) {
        *ret = 0;
        return 0;
    }
    if (json_type_of(json) != JSON_NUMBER || json_u64(json, &n) < 0 || n > (uint64_t)f->max ||
        (int64_t)n < f->min)
        return must_be(f, e, a, what);
    *ret = (int64_t)n;
    return 0;
}

static int parse_time(
    const struct field_row *f, struct str json, int64_t *ret, struct arena *a, struct error *e)
{
    uint64_t seconds;

    switch (json_type_of(json)) {
    case JSON_NULL:
        *ret = 0;
        return 0;
    case JSON_STRING:
        if (time_parse(str_at(json.p + 1, json.n - 2), ret) == 0)
            return 0;
        break;
    case JSON_NUMBER: /* seconds since 1970 */
        if (json_u64(json, &seconds) == 0 && seconds < 9000000000) {
            *ret = (int64_t)seconds * NS_PER_S;
            return 0;
        }
        break;
    default:
        break;
    }
    return must_be(f, e, a,
        "must be a time like \"2026-12-31T23:59:59Z\" (RFC 3339), seconds since 1970, or null");
}

/* --- budgets --- */

const char *const budget_period_words[] = {"daily", "weekly", "monthly", "lifetime", NULL};

static int budget_wrong(const struct field_row *f, const char *member_name, struct str what,
    struct arena *a, struct error *e)
{
    struct str param =
        member_name ? arena_printf(a, "%s.%s", f->name, member_name) : str_of(f->name);

    return wrong(
        e, a, param, arena_printf(a, "'" STR_FMT "' " STR_FMT ".", STR_ARG(param), STR_ARG(what)));
}

static int parse_money(const struct field_row *f, const char *member_name, struct str json,
    int64_t *ret, struct arena *a, struct error *e)
{
    enum json_type t = json_type_of(json);
    int r = t == JSON_NUMBER || t == JSON_STRING ? money_parse(json, ret) : -EINVAL;

    if (r == 0)
        return 0;
    return budget_wrong(f, member_name,
        r == -ERANGE ? STR("must be from 0 to 1000000000 US dollars, with at most nine decimals")
                     : STR("must be an amount in US dollars, as a number or a string: 12.5 or "
                           "\"12.50\""),
        a, e);
}

static int parse_glob(const struct field_row *f, const char *name, struct str json, struct str *ret,
    struct arena *a, struct error *e)
{
    if (json_type_of(json) == JSON_NULL)
        return 0;
    if (text_of(json, ITEM_BYTES, ret, a) < 0)
        return budget_wrong(f, name, STR("must be a string of at most 256 bytes"), a, e);
    return 0;
}

/* One member of {period, limit_usd, soft, model, tag}. */
static int budget_member(const struct field_row *f, struct str name, struct str json,
    struct budget *b, unsigned *seen, struct arena *a, struct error *e)
{
    uint32_t period;

    if (str_eq(name, STR("period"))) {
        if (!word_index(budget_period_words, json, &period))
            return budget_wrong(f, "period",
                arena_printf(a, "must be " STR_FMT, STR_ARG(word_list(budget_period_words, a))), a,
                e);
        b->period = (enum budget_period)period;
        *seen |= 1;
        return 0;
    }
    if (str_eq(name, STR("limit_usd"))) {
        *seen |= 2;
        return parse_money(f, "limit_usd", json, &b->limit_nano, a, e);
    }
    if (str_eq(name, STR("soft"))) {
        b->soft = json_type_of(json) == JSON_TRUE;
        return b->soft || json_type_of(json) == JSON_FALSE
                   ? 0
                   : budget_wrong(f, "soft", STR("must be true or false"), a, e);
    }
    if (str_eq(name, STR("model")))
        return parse_glob(f, "model", json, &b->model, a, e);
    if (str_eq(name, STR("tag")))
        return parse_glob(f, "tag", json, &b->tag, a, e);
    return budget_wrong(
        f, NULL, STR("has entries of period, limit_usd, soft, model and tag, and no others"), a, e);
}

static int budget_entry(
    const struct field_row *f, struct str json, struct budget *b, struct arena *a, struct error *e)
{
    struct str key, v;
    size_t at = 1;
    unsigned seen = 0;
    int r;

    *b = (struct budget){.period = BUDGET_MONTHLY};
    if (json_type_of(json) != JSON_OBJECT)
        return budget_wrong(f, NULL,
            STR("must be a list of {\"period\":\"monthly\",\"limit_usd\":100}, or an object like "
                "{\"monthly\":100}"),
            a, e);
    while (json_next(json, &at, &key, &v))
        if ((r = budget_member(f, key, v, b, &seen, a, e)) < 0)
            return r;
    return seen == 3 ? 0
                     : budget_wrong(f, NULL, STR("needs period and limit_usd in each entry"), a, e);
}

/* {"daily": 10, "monthly": "100.50"} */
static int budget_short(const struct field_row *f, struct str period, struct str json,
    struct budget *b, struct arena *a, struct error *e)
{
    struct str literal = arena_printf(a, "\"" STR_FMT "\"", STR_ARG(period));
    uint32_t p;

    if (!word_index(budget_period_words, literal, &p))
        return budget_wrong(f, NULL,
            arena_printf(a, "has no period '" STR_FMT "': it must be " STR_FMT,
                (int)MIN(period.n, 64), period.p, STR_ARG(word_list(budget_period_words, a))),
            a, e);
    *b = (struct budget){.period = (enum budget_period)p};
    return parse_money(f, budget_period_words[p], json, &b->limit_nano, a, e);
}

static bool same_budget(const struct budget *a, const struct budget *b)
{
    return a->period == b->period && a->soft == b->soft && str_eq(a->model, b->model) &&
           str_eq(a->tag, b->tag);
}

static int parse_budgets(const struct field_row *f, struct str json, struct budget_list *ret,
    struct arena *a, struct error *e)
{
    struct budget *list = arena_alloc(a, BUDGETS_MAX * sizeof *list);
    bool array = json_type_of(json) == JSON_ARRAY;
    struct str key, v;
    unsigned n = 0;
    size_t at = 1;
    int r;

    if (!list)
        return no_memory(e);
    if (json_type_of(json) == JSON_NULL) {
        *ret = (struct budget_list){0};
        return 0;
    }
    if (!array && json_type_of(json) != JSON_OBJECT)
        return budget_entry(f, json, list, a, e);
    for (; json_next(json, &at, &key, &v); n++) {
        if (!array && json_type_of(v) == JSON_NULL) {
            n--; /* none of that period */
            continue;
        }
        if (n == BUDGETS_MAX)
            return budget_wrong(f, NULL, STR("may have at most 8 entries"), a, e);
        r = array ? budget_entry(f, v, &list[n], a, e) : budget_short(f, key, v, &list[n], a, e);
        for (unsigned i = 0; r == 0 && i < n; i++)
            if (same_budget(&list[i], &list[n]))
                r = budget_wrong(f, NULL, STR("has two entries for the same thing"), a, e);
        if (r < 0)
            return r;
    }
    *ret = (struct budget_list){list, n};
    return 0;
}

static bool is_cap(const struct budget *b)
{
    return b->period == BUDGET_MONTHLY && !b->soft && !b->model.n && !b->tag.n;
}

/* The monthly budget among the others; null takes it away. */
static int parse_cap(const struct field_row *f, struct str json, struct budget_list *ret,
    struct arena *a, struct error *e)
{
    struct budget *list = arena_alloc(a, (BUDGETS_MAX + 1) * sizeof *list);
    unsigned n = 0;
    int r;

    if (!list)
        return no_memory(e);
    for (unsigned i = 0; i < ret->n; i++)
        if (!is_cap(&ret->at[i]))
            list[n++] = ret->at[i];
    if (json_type_of(json) != JSON_NULL) {
        if (n == BUDGETS_MAX)
            return must_be(f, e, a, "does not fit: there may be at most 8 budgets");
        list[n] = (struct budget){.period = BUDGET_MONTHLY};
        if ((r = parse_money(f, NULL, json, &list[n++].limit_nano, a, e)) < 0)
            return r;
    }
    *ret = (struct budget_list){list, n};
    return 0;
}

/* --- a whole record --- */

int field_parse(
    const struct field_row *f, struct str json, void *record, struct arena *a, struct error *e)
{
    void *to = member(f, record);

    switch (f->type) {
    case FIELD_TEXT:
        return parse_text(f, json, to, a, e);
    case FIELD_WORD:
        return parse_word(f, json, to, a, e);
    case FIELD_BOOL:
        return parse_bool(f, json, to, a, e);
    case FIELD_INT:
        return parse_int(f, json, to, a, e);
    case FIELD_TIME:
        return parse_time(f, json, to, a, e);
    case FIELD_TEXTS:
        return parse_texts(f, json, to, a, e);
    case FIELD_OBJECT:
        return parse_object(f, json, to, a, e);
    case FIELD_BUDGETS:
        return parse_budgets(f, json, to, a, e);
    case FIELD_CAP:
        return parse_cap(f, json, to, a, e);
    }
    return -EINVAL;
}

const struct field_row *field_find(
    const struct field_row *rows, unsigned n, struct str name, unsigned *ret_index)
{
    for (unsigned i = 0; i < n; i++)
        if (str_eq(str_of(rows[i].name), name)) {
            if (ret_index)
                *ret_index = i;
            return &rows[i];
        }
    return NULL;
}

static int unknown_field(const struct field_row *rows, unsigned n, unsigned need, struct str name,
    struct arena *a, struct error *e)
{
    struct buf b;

    buf_init(&b, 2048);
    for (unsigned i = 0; i < n; i++)
        if (rows[i].flags & need)
            buf_printf(&b, "%s%s", b.n ? ", " : "", rows[i].name);
    struct str known = arena_dup(a, buf_str(&b));
    buf_free(&b);
    name = str_to(name, 64);
    return wrong(e, a, name,
        arena_printf(a, "There is no field '" STR_FMT "'. The fields are: " STR_FMT ".",
            STR_ARG(name), STR_ARG(known)));
}

/* In the first pass those with a column, in the second those that are seen through others. */
static int parse_member(const struct field_row *rows, unsigned n, unsigned need, bool second,
    struct str key, struct str value, void *record, uint64_t *given, struct arena *a,
    struct error *e)
{
    unsigned i;
    const struct field_row *f = field_find(rows, n, key, &i);

    if (!f)
        return unknown_field(rows, n, need, key, a, e);
    if (((f->flags & FIELD_DERIVED) != 0) != second)
        return 0;
    if (!(f->flags & need))
        return must_be(f, e, a,
            f->flags & FIELD_CREATE ? "cannot be changed once it is set" : "cannot be set");
    if (*given & (uint64_t)1 << i)
        return must_be(f, e, a, "stands more than once");
    *given |= (uint64_t)1 << i;
    return field_parse(f, value, record, a, e);
}

int fields_parse(const struct field_row *rows, unsigned n, unsigned need, struct str json,
    void *record, uint64_t *ret_given, struct arena *a, struct error *e)
{
    struct json_error why = {0};
    enum json_type top;
    struct str key, value;
    size_t at;
    int r;

    *ret_given = 0;
    if (json_scan(json, NULL, NULL, 0, &top, &why) < 0)
        return wrong(e, a, STR_NONE,
            arena_printf(a, "The body is not valid JSON: %s at byte %zu.", why.why, why.at));
    if (top != JSON_OBJECT)
        return wrong(e, a, STR_NONE, STR("The body must be a JSON object."));
    for (int second = 0; second < 2; second++)
        for (at = json_inside(json); json_next(json, &at, &key, &value);)
            if ((r = parse_member(rows, n, need, second, key, value, record, ret_given, a, e)) < 0)
                return r;
    for (unsigned i = 0; i < n && need == FIELD_CREATE; i++)
        if ((rows[i].flags & FIELD_REQUIRED) && !(*ret_given & (uint64_t)1 << i))
            return must_be(&rows[i], e, a, "is missing");
    return 0;
}

/* --- writing --- */

static void write_texts(const struct str_list *l, struct buf *out)
{
    buf_addc(out, '[');
    for (unsigned i = 0; i < l->n; i++) {
        if (i)
            buf_addc(out, ',');
        buf_addjson(out, l->at[i]);
    }
    buf_addc(out, ']');
}

static void write_budgets(const struct budget_list *l, struct buf *out)
{
    buf_addc(out, '[');
    for (unsigned i = 0; i < l->n; i++) {
        const struct budget *b = &l->at[i];
        buf_printf(out, "%s{\"period\":\"%s\",\"limit_usd\":", i ? "," : "",
            budget_period_words[b->period]);
        money_write(b->limit_nano, out);
        buf_printf(out, ",\"soft\":%s,\"model\":", b->soft ? "true" : "false");
        b->model.n ? buf_addjson(out, b->model) : buf_addstr(out, STR("null"));
        buf_addstr(out, STR(",\"tag\":"));
        b->tag.n ? buf_addjson(out, b->tag) : buf_addstr(out, STR("null"));
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}

static void write_cap(const struct budget_list *l, struct buf *out)
{
    for (unsigned i = 0; i < l->n; i++)
        if (is_cap(&l->at[i])) {
            money_write(l->at[i].limit_nano, out);
            return;
        }
    buf_addstr(out, STR("null"));
}

static void write_time(int64_t wall, struct buf *out)
{
    char text[25];

    if (!wall) {
        buf_addstr(out, STR("null"));
        return;
    }
    clock_rfc3339(wall, text);
    buf_printf(out, "\"%s\"", text);
}

static void write_text(struct str s, const struct field_row *f, struct buf *out)
{
    if (!s.n && f->min == 0)
        buf_addstr(out, STR("null"));
    else
        buf_addjson(out, s);
}

void field_write_value(const struct field_row *f, const void *record, struct buf *out)
{
    const void *from = member_of(f, record);
    const struct str *text = from;

    switch (f->type) {
    case FIELD_TEXT:
        write_text(*text, f, out);
        return;
    case FIELD_WORD:
        buf_addjson(out, str_of(f->words[*(const uint32_t *)from]));
        return;
    case FIELD_BOOL:
        buf_addstr(out, *(const bool *)from ? STR("true") : STR("false"));
        return;
    case FIELD_INT: {
        int64_t n = *(const int64_t *)from;
        if (n == 0 && f->min > 0)
            buf_addstr(out, STR("null"));
        else
            buf_printf(out, "%lld", (long long)n);
        return;
    }
    case FIELD_TIME:
        write_time(*(const int64_t *)from, out);
        return;
    case FIELD_TEXTS:
        write_texts(from, out);
        return;
    case FIELD_OBJECT:
        buf_addstr(out, text->n ? *text : STR("{}"));
        return;
    case FIELD_BUDGETS:
        write_budgets(from, out);
        return;
    case FIELD_CAP:
        write_cap(from, out);
        return;
    }
}

void fields_write(const struct field_row *rows, unsigned n, const void *record, struct buf *out)
{
    for (unsigned i = 0; i < n; i++) {
        if (out->n && out->p[out->n - 1] != '{')
            buf_addc(out, ',');
        buf_printf(out, "\"%s\":", rows[i].name);
        field_write_value(&rows[i], record, out);
    }
}
