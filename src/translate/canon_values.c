/*
 * Values that several writers need alike: efforts and budgets of thinking, how long an answer may
 * get.
 */
#include "translate/canon.h"

#include "base/macros.h"

#define BUDGET_MIN         1024
#define MAX_TOKENS_DEFAULT 4096

static const struct {
    struct str name;
    int64_t budget; /* -1: no thinking */
} efforts[] = {
    [EFFORT_UNSET] = {STR_INIT(""), -1},
    [EFFORT_NONE] = {STR_INIT("none"), -1},
    [EFFORT_MINIMAL] = {STR_INIT("minimal"), BUDGET_MIN},
    [EFFORT_LOW] = {STR_INIT("low"), BUDGET_MIN},
    [EFFORT_MEDIUM] = {STR_INIT("medium"), 2048},
    [EFFORT_HIGH] = {STR_INIT("high"), 4096},
    [EFFORT_XHIGH] = {STR_INIT("xhigh"), 8192},
    [EFFORT_MAX] = {STR_INIT("max"), 16384},
};

int64_t canon_budget_of(enum canon_effort e, int64_t max_tokens)
{
    int64_t budget = efforts[e].budget;
    if (budget < 0 || (max_tokens >= 0 && max_tokens <= BUDGET_MIN))
        return -1;
    return max_tokens < 0 ? budget : MIN(budget, max_tokens - 1);
}

enum canon_effort canon_effort_of(int64_t budget)
{
    if (budget < 0)
        return EFFORT_UNSET;
    if (budget == 0)
        return EFFORT_NONE;
    if (budget < 2000)
        return EFFORT_MINIMAL;
    if (budget < 5000)
        return EFFORT_LOW;
    return budget < 10000 ? EFFORT_MEDIUM : EFFORT_HIGH;
}

enum canon_effort canon_effort_parse(struct str s)
{
    for (unsigned e = EFFORT_NONE; e < ARRAY_LEN(efforts); e++)
        if (str_eq(efforts[e].name, s))
            return (enum canon_effort)e;
    return EFFORT_UNSET;
}

enum canon_thinking canon_thinking_parse(struct str s)
{
    if (str_eq(s, STR("enabled")))
        return THINKING_ON;
    if (str_eq(s, STR("adaptive")))
        return THINKING_ADAPTIVE;
    return str_eq(s, STR("disabled")) ? THINKING_OFF : THINKING_UNSET;
}

struct str canon_effort_name(enum canon_effort e)
{
    return efforts[e].name;
}

int64_t canon_max_tokens(const struct canon_call *c, const struct canon_request *q)
{
    if (q->max_tokens >= 0)
        return q->max_tokens;
    return c->facts && c->facts->max_output ? c->facts->max_output : MAX_TOKENS_DEFAULT;
}

#define TEXT_LEAST 256

int canon_gather(struct canon_call *c, struct canon_text *t, struct str more)
{
    if (t->cap - t->n < more.n) {
        size_t cap = MAX(2 * t->cap, t->n + more.n + TEXT_LEAST);
        char *p = arena_alloc(c->arena, cap);
        if (!p)
            return canon_no_room(c);
        if (t->n)
            memcpy(p, t->p, t->n);
        t->p = p;
        t->cap = cap;
    }
    if (more.n)
        memcpy(t->p + t->n, more.p, more.n);
    t->n += more.n;
    return 0;
}
