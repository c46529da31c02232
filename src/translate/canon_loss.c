/*
 * Declared losses. Names may come from the client (members that nobody knows), and end in a header:
 * what would not be fit for one is replaced there, and a name has a length limit.
 */
#include "translate/canon.h"

#include "base/macros.h"

#define NAME_MAX_BYTES ((size_t)96)

static bool is_declared(const struct canon_call *c, struct str name)
{
    for (unsigned i = 0; i < c->lost_n; i++)
        if (str_eq(c->lost[i].name, name))
            return true;
    return false;
}

static void declare(struct canon_call *c, struct str name, const char *why)
{
    bool last = c->lost_n == CANON_LOSSES_MAX - 1;
    struct str kept = last ? STR("others") : arena_dup(c->arena, str_to(name, NAME_MAX_BYTES));
    c->lost[c->lost_n++] = (struct canon_loss){.name = kept.p ? kept : STR("others"),
        .why = last ? STR("there are too many to name") : str_of(why)};
}

int canon_drop(struct canon_call *c, struct str name, const char *why)
{
    if (c->losses == LOSSES_REFUSE)
        return canon_fail(c, name, "'" STR_FMT "' cannot be passed on to " STR_FMT ": %s.",
            (int)MIN(name.n, NAME_MAX_BYTES), name.p, STR_ARG(c->provider), why);
    if (c->lost_n < CANON_LOSSES_MAX && !is_declared(c, str_to(name, NAME_MAX_BYTES)))
        declare(c, name, why);
    return 0;
}

/* A header's value may hold these; a comma parts the names. */
static bool is_fit(char ch)
{
    return ch > ' ' && ch < 0x7f && ch != ',' && ch != '"' && ch != '\\';
}

struct str canon_lost_names(struct canon_call *c)
{
    size_t n = 0, at = 0;
    for (unsigned i = 0; i < c->lost_n; i++)
        n += c->lost[i].name.n + 2;
    char *p = n ? arena_alloc(c->arena, n) : NULL;
    if (!p)
        return STR_NONE;
    for (unsigned i = 0; i < c->lost_n; i++) {
        struct str name = c->lost[i].name;
        if (i) {
            p[at++] = ',';
            p[at++] = ' ';
        }
        for (size_t k = 0; k < name.n; k++)
            p[at++] = is_fit(name.p[k]) ? name.p[k] : '_';
    }
    return str_at(p, at);
}
