/*
 * Reading budgets: a list of {period, limit_usd, soft, model, tag}, short as {"daily": 10}, or the
 * monthly one alone as monthly_spend_cap. See keys/record.h.
 */
#include "keys/fields_int.h"

#include "keys/limits_int.h"
#include "json/scan.h"

#include <errno.h>

const char *const budget_period_words[] = {"daily", "weekly", "monthly", "lifetime", NULL};

static int budget_wrong(const struct field_row *f, const char *member_name, struct str what,
    struct arena *a, struct error *e)
{
    struct str param =
        member_name ? arena_printf(a, "%s.%s", f->name, member_name) : str_of(f->name);

    return field_wrong(
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
    if (field_text(json, ITEM_BYTES, ret, a) < 0)
        return budget_wrong(f, name, STR("must be a string of at most 256 bytes"), a, e);
    return 0;
}

/* One member of {period, limit_usd, soft, model, tag}. */
static int budget_member(const struct field_row *f, struct str name, struct str json,
    struct budget *b, unsigned *seen, struct arena *a, struct error *e)
{
    uint32_t period;

    if (str_eq(name, STR("period"))) {
        if (!field_word_index(budget_period_words, json, &period))
            return budget_wrong(f, "period",
                arena_printf(
                    a, "must be " STR_FMT, STR_ARG(field_word_list(budget_period_words, a))),
                a, e);
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

    if (!field_word_index(budget_period_words, literal, &p))
        return budget_wrong(f, NULL,
            arena_printf(a, "has no period '" STR_FMT "': it must be " STR_FMT,
                (int)MIN(period.n, 64), period.p, STR_ARG(field_word_list(budget_period_words, a))),
            a, e);
    *b = (struct budget){.period = (enum budget_period)p};
    return parse_money(f, budget_period_words[p], json, &b->limit_nano, a, e);
}

static bool same_budget(const struct budget *a, const struct budget *b)
{
    return a->period == b->period && a->soft == b->soft && str_eq(a->model, b->model) &&
           str_eq(a->tag, b->tag);
}

int field_budgets_parse(const struct field_row *f, struct str json, struct budget_list *ret,
    struct arena *a, struct error *e)
{
    struct budget *list = arena_alloc(a, BUDGETS_MAX * sizeof *list);
    bool array = json_type_of(json) == JSON_ARRAY;
    struct str key, v;
    unsigned n = 0;
    size_t at = 1;
    int r;

    if (!list)
        return field_no_memory(e);
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

bool budget_is_cap(const struct budget *b)
{
    return b->period == BUDGET_MONTHLY && !b->soft && !b->model.n && !b->tag.n;
}

/* The monthly budget among the others; null takes it away. */
int field_cap_parse(const struct field_row *f, struct str json, struct budget_list *ret,
    struct arena *a, struct error *e)
{
    struct budget *list = arena_alloc(a, (BUDGETS_MAX + 1) * sizeof *list);
    unsigned n = 0;
    int r;

    if (!list)
        return field_no_memory(e);
    for (unsigned i = 0; i < ret->n; i++)
        if (!budget_is_cap(&ret->at[i]))
            list[n++] = ret->at[i];
    if (json_type_of(json) != JSON_NULL) {
        if (n == BUDGETS_MAX)
            return field_must_be(f, e, a, "does not fit: there may be at most 8 budgets");
        list[n] = (struct budget){.period = BUDGET_MONTHLY};
        if ((r = parse_money(f, NULL, json, &list[n++].limit_nano, a, e)) < 0)
            return r;
    }
    *ret = (struct budget_list){list, n};
    return 0;
}
