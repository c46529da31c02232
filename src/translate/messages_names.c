/*
 * Names of tools and ids of calls. Anthropic takes letters, digits, '_' and '-' in both. A name
 * that has others is sent with '_' for each of them and a check sum of the whole behind it, so that
 * two names never become one; the reply's name is looked up among the client's tools, of which each
 * is changed alike. Ids are changed in the same way and need no way back: what the client has is
 * ours.
 *
 * Gemini signs calls of tools, and its signature has to come back. A client of Anthropic's dialect
 * has no place for it but the call's id, which it repeats as it is: "<id>__thought__<signature>".
 */
#include "translate/messages_int.h"

#include "crypto/encode.h"

#define NAME_MAX_BYTES ((size_t)128)
#define ID_MAX_BYTES   ((size_t)256)
#define SUM_BYTES      ((size_t)9) /* '_' and eight digits */
#define THOUGHT        STR("__thought__")

static bool is_fit(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
           ch == '_' || ch == '-';
}

static struct str make_fit(struct canon_call *c, struct str name, size_t max)
{
    size_t bad = 0, n = name.n;
    while (bad < n && is_fit(name.p[bad]))
        bad++;
    if (bad == n && n <= max)
        return name;
    uint32_t sum = crc32_ieee(0, name);
    struct str fit = arena_printf(
        c->arena, STR_FMT "_%08x", STR_ARG(str_to(name, max - SUM_BYTES)), (unsigned)sum);
    if (!fit.p)
        return STR_NONE;
    for (size_t i = 0; i < fit.n; i++)
        if (!is_fit(fit.p[i]))
            ((char *)fit.p)[i] = '_';
    return fit;
}

struct str messages_name_out(struct canon_call *c, struct str name)
{
    return make_fit(c, name, NAME_MAX_BYTES);
}

struct str messages_id_fit(struct canon_call *c, struct str id)
{
    return make_fit(c, id, ID_MAX_BYTES);
}

const struct canon_tool *messages_tool(const struct canon_call *c, struct str name)
{
    for (const struct canon_tool *t = c->request ? c->request->tools : NULL; t; t = t->next)
        if (!t->native.p && str_eq(t->name, name))
            return t;
    return NULL;
}

struct str messages_name_in(struct canon_call *c, struct str shown)
{
    if (!c->request || messages_tool(c, shown))
        return shown;
    for (const struct canon_tool *t = c->request->tools; t; t = t->next)
        if (!t->native.p && str_eq(make_fit(c, t->name, NAME_MAX_BYTES), shown))
            return t->name;
    return shown;
}

struct str messages_id_out(struct canon_call *c, const struct canon_part *p)
{
    if (!p->signature.n)
        return p->id;
    struct str sign = canon_sign_out(c, MAKER_GEMINI, p->maker, p->signature);
    return arena_printf(c->arena, STR_FMT "__thought__" STR_FMT, STR_ARG(p->id), STR_ARG(sign));
}

int messages_id_in(struct canon_call *c, struct str shown, struct canon_part *p)
{
    ptrdiff_t at = str_find(shown, THOUGHT);
    p->id = shown;
    if (at < 0)
        return 0;
    p->id = str_to(shown, (size_t)at);
    p->maker =
        canon_sign_in(c, MAKER_GEMINI, str_from(shown, (size_t)at + THOUGHT.n), &p->signature);
    return 0;
}
