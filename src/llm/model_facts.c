/*
 * Look-ups in the built-in table. Rows are found by binary search in constant data and unpacked
 * into a struct model_facts on first use. The unpacked copy is published with one compare-and-swap
 * and kept for ever, so a process holds only the models that it serves, readers take no lock, and
 * the pointers stay valid. Nothing here suspends.
 */
#include "llm/model_facts_int.h"

#include "base/macros.h"
#include <stdlib.h>

int facts_name_cmp(struct str a, struct str b)
{
    size_t n = MIN(a.n, b.n);
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static struct str row_name(const struct facts_row *r)
{
    return str_at(facts_names + r->name, r->name_n);
}

static const struct facts_provider *find_provider(struct str id)
{
    for (unsigned i = 0; i < facts_n_providers; i++)
        if (str_eq(str_of(facts_providers[i].id), id))
            return &facts_providers[i];
    return NULL;
}

static struct model_facts *unpack(const struct facts_provider *p, const struct facts_row *r)
{
    struct model_facts *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->provider = str_of(p->id);
    f->model = row_name(r);
    f->mode = r->mode;
    f->flags = r->flags;
    for (int i = 0; i < 8; i++)
        f->rates[i / 2][i % 2] = facts_rates[r->rates[i]];
    f->unit = facts_units[r->units];
    f->threshold = r->threshold;
    f->max_input = r->max_input;
    f->max_output = r->max_output;
    f->context = r->context;
    f->deprecation = r->deprecation;
    return f;
}

static const struct model_facts *unpacked(const struct facts_provider *p, size_t row)
{
    const struct model_facts **slot = &facts_unpacked[row];
    const struct model_facts *have = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (have)
        return have;
    struct model_facts *made = unpack(p, &facts_rows[row]);
    if (!made)
        return NULL;
    if (__atomic_compare_exchange_n(slot, &have, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made;
    free(made); /* another thread was first */
    return have;
}

const struct model_facts *facts_builtin(const void *unused, struct str provider, struct str model)
{
    const struct facts_provider *p = find_provider(provider);
    if (!p)
        return NULL;
    size_t lo = p->from, hi = p->to;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = facts_name_cmp(model, row_name(&facts_rows[mid]));
        if (c == 0)
            return unpacked(p, mid);
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

/* "-20250929" */
static bool ends_in_compact_date(struct str s)
{
    return s.n > 9 && s.p[s.n - 9] == '-' && all_digits(str_from(s, s.n - 8)) &&
           str_starts(str_from(s, s.n - 8), STR("20"));
}

/* "-2024-08-06" */
static bool ends_in_date(struct str s)
{
    if (s.n <= 11 || s.p[s.n - 11] != '-' || s.p[s.n - 6] != '-' || s.p[s.n - 3] != '-')
        return false;
    struct str year = str_at(s.p + s.n - 10, 4), month = str_at(s.p + s.n - 5, 2);
    return str_starts(year, STR("20")) && all_digits(year) && all_digits(month) &&
           all_digits(str_from(s, s.n - 2));
}

/* The name without what pins a version; the same name when nothing does. */
static struct str without_version(struct str s)
{
    ptrdiff_t at = str_chr(s, '@');
    if (at > 0)
        return str_to(s, (size_t)at);
    if (ends_in_compact_date(s))
        return str_to(s, s.n - 9);
    if (ends_in_date(s))
        return str_to(s, s.n - 11);
    return s;
}

const struct model_facts *facts_by_forms(
    facts_look_up *look_up, const void *arg, struct str provider, struct str model)
{
    const struct model_facts *f = look_up(arg, provider, model);
    if (f)
        return f;
    struct str latest = STR("-latest");
    struct str plain = without_version(model);
    if (plain.n < model.n && (f = look_up(arg, provider, plain)))
        return f;
    if (plain.n == model.n && str_ends(model, latest))
        return look_up(arg, provider, str_to(model, model.n - latest.n));
    char name[256];
    if (plain.n == model.n || plain.n + latest.n > sizeof(name))
        return NULL;
    memcpy(name, plain.p, plain.n);
    memcpy(name + plain.n, latest.p, latest.n);
    return look_up(arg, provider, str_at(name, plain.n + latest.n));
}

const struct model_facts *model_facts_find(struct str provider, struct str model)
{
    return facts_by_forms(facts_builtin, NULL, provider, model);
}

const struct model_facts *model_facts_at(size_t i)
{
    for (unsigned p = 0; p < facts_n_providers; p++)
        if (i >= facts_providers[p].from && i < facts_providers[p].to)
            return unpacked(&facts_providers[p], i);
    return NULL;
}
