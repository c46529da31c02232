/*
 * The rows, and what a wish to think means to each. Sources: the ranges that Google's pages give
 * for thinkingBudget, and which levels and other members each family is known to take. A family
 * that is not listed is taken for one that came after those that are.
 */
#include "translate/gemini_models.h"

#include "base/macros.h"

#define SECOND (GEMINI_PENALTIES | GEMINI_SYSTEM)
#define HALF   (SECOND | GEMINI_JSON_SCHEMA)
#define THIRD                                                                                      \
    (GEMINI_SYSTEM | GEMINI_JSON_SCHEMA | GEMINI_CALL_ID | GEMINI_SIGNED | GEMINI_TOOL_MEDIA |     \
        GEMINI_MIXED_TOOLS)
#define LOW_UP     (GEMINI_LOW | GEMINI_MEDIUM | GEMINI_HIGH)
#define MINIMAL_UP (GEMINI_MINIMAL | LOW_UP)

#define ROW(name, kind, ...)                                                                       \
    {                                                                                              \
        .pattern = STR_INIT(name), .thinking = kind, __VA_ARGS__                                   \
    }
#define BUDGET(from, to, small) .least = from, .most = to, .minimal = small, .abilities = HALF
#define LEVELS(set)             .levels = set, .abilities = THIRD

static const struct gemini_model models[] = {
    ROW("gemini-2.5-flash-lite*", GEMINI_BUDGET, BUDGET(0, 24576, 512)),
    ROW("gemini-2.5-flash-image*", GEMINI_NO_THINKING, .abilities = SECOND),
    ROW("gemini-2.5-flash*", GEMINI_BUDGET, BUDGET(0, 24576, 1)),
    ROW("gemini-2.5-pro*", GEMINI_BUDGET, BUDGET(128, 32768, 128)),
    ROW("gemini-2.5*", GEMINI_BUDGET, BUDGET(128, 24576, 512)),
    ROW("gemini-2*", GEMINI_NO_THINKING, .abilities = SECOND),
    ROW("gemini-1*", GEMINI_NO_THINKING, .abilities = SECOND),
    ROW("gemini-exp*", GEMINI_NO_THINKING, .abilities = SECOND),
    ROW("gemini-pro", GEMINI_NO_THINKING, .abilities = SECOND),
    ROW("gemini-flash", GEMINI_NO_THINKING, .abilities = SECOND),
    ROW("learnlm*", GEMINI_NO_THINKING, .abilities = SECOND),
    ROW("gemma-4*", GEMINI_LEVEL, .levels = GEMINI_MINIMAL | GEMINI_HIGH, .abilities = SECOND),
    ROW("gemma*", GEMINI_NO_THINKING, .abilities = GEMINI_PENALTIES),
    ROW("gemini-3-pro-image*", GEMINI_LEVEL, LEVELS(GEMINI_LOW | GEMINI_HIGH)),
    ROW("gemini-3-pro*", GEMINI_LEVEL, LEVELS(GEMINI_LOW | GEMINI_HIGH)),
    ROW("gemini-3.7-flash*", GEMINI_LEVEL, LEVELS(LOW_UP)),
    ROW("gemini-3.8-flash*", GEMINI_LEVEL, LEVELS(LOW_UP)),
    ROW("gemini-3*flash*", GEMINI_LEVEL, LEVELS(MINIMAL_UP)),
    ROW("*", GEMINI_LEVEL, LEVELS(LOW_UP)),
};

static const struct gemini_model *row_of(struct str name)
{
    if (str_starts(name, STR("models/")))
        name = str_from(name, 7);
    for (unsigned i = 0; i < ARRAY_LEN(models) - 1; i++)
        if (str_glob(models[i].pattern, name))
            return &models[i];
    return &models[ARRAY_LEN(models) - 1];
}

void gemini_model_of(const struct canon_call *c, struct gemini_model *ret)
{
    uint32_t flags = c->facts ? c->facts->flags : 0;
    *ret = *row_of(c->model);
    if (flags & MODEL_NO_EFFORT_MINIMAL)
        ret->levels &= ~(unsigned)GEMINI_MINIMAL;
    if (flags & MODEL_EFFORT_XHIGH)
        ret->levels |= GEMINI_XHIGH;
    if (flags & MODEL_NO_SYSTEM)
        ret->abilities &= ~(unsigned)GEMINI_SYSTEM;
}

/* --- budgets --- */

/* By effort; xhigh and max are held to what the model has. */
static int64_t budget_of(const struct gemini_model *m, enum canon_effort e)
{
    switch (e) {
    case EFFORT_NONE:
        return 0;
    case EFFORT_MINIMAL:
        return m->minimal;
    case EFFORT_LOW:
        return 1024;
    case EFFORT_MEDIUM:
        return 2048;
    case EFFORT_HIGH:
        return 4096;
    case EFFORT_XHIGH:
        return 8192;
    case EFFORT_MAX:
        return m->most;
    default:
        return GEMINI_DYNAMIC;
    }
}

/* Thinking is part of the output: what it may take stays below max_tokens. */
static int64_t clamp(const struct gemini_model *m, int64_t budget, int64_t max_tokens)
{
    if (max_tokens >= 0 && budget >= max_tokens)
        budget = max_tokens - 1;
    if (budget > m->most)
        budget = m->most;
    return MAX(budget, m->least);
}

/* --- levels --- */

static const struct {
    unsigned bit;
    struct str name;
    enum canon_effort effort;
} levels[] = {
    {GEMINI_MINIMAL, STR_INIT("MINIMAL"), EFFORT_MINIMAL},
    {GEMINI_LOW, STR_INIT("LOW"), EFFORT_LOW},
    {GEMINI_MEDIUM, STR_INIT("MEDIUM"), EFFORT_MEDIUM},
    {GEMINI_HIGH, STR_INIT("HIGH"), EFFORT_HIGH},
    {GEMINI_XHIGH, STR_INIT("XHIGH"), EFFORT_XHIGH},
};

enum canon_effort gemini_effort_of(struct str level)
{
    for (unsigned i = 0; i < ARRAY_LEN(levels); i++)
        if (str_ieq(levels[i].name, level))
            return levels[i].effort;
    return EFFORT_UNSET;
}

/* The model's level nearest to the effort: the next one up, else its highest. */
static struct str level_of(const struct gemini_model *m, enum canon_effort e)
{
    struct str best = STR_NONE;
    enum canon_effort want = e == EFFORT_NONE ? EFFORT_MINIMAL : e;
    for (unsigned i = 0; i < ARRAY_LEN(levels); i++) {
        if (!(m->levels & levels[i].bit))
            continue;
        best = levels[i].name;
        if (levels[i].effort >= want)
            break;
    }
    return best;
}

/* --- both --- */

static bool is_refused(struct str summary)
{
    return str_eq(summary, STR("none")) || str_eq(summary, STR("omitted"));
}

static bool turns_off(const struct canon_reasoning *r)
{
    return r->mode == THINKING_OFF || (r->mode == THINKING_UNSET && r->effort == EFFORT_NONE);
}

static void by_level(
    const struct gemini_model *m, const struct canon_reasoning *r, struct gemini_thought *t)
{
    enum canon_effort e = r->effort;
    if (turns_off(r))
        e = EFFORT_NONE;
    else if (e == EFFORT_UNSET && r->budget >= 0)
        e = canon_effort_of(r->budget);
    if (e != EFFORT_UNSET)
        t->level = level_of(m, e);
}

static void by_budget(const struct gemini_model *m, const struct canon_reasoning *r,
    int64_t max_tokens, struct gemini_thought *t)
{
    int64_t n = r->budget >= 0 ? r->budget : budget_of(m, r->effort);
    if (turns_off(r))
        n = 0;
    if (n == GEMINI_DYNAMIC && r->mode != THINKING_ADAPTIVE)
        return; /* the model's default, which is dynamic */
    t->budget = n == GEMINI_DYNAMIC ? n : clamp(m, n, max_tokens);
}

struct gemini_thought gemini_thought_of(
    const struct gemini_model *m, const struct canon_reasoning *r, int64_t max_tokens)
{
    struct gemini_thought t = {.budget = GEMINI_NO_BUDGET, .include = -1};
    bool asked = r->effort != EFFORT_UNSET || r->mode != THINKING_UNSET || r->budget >= 0;
    if (!asked && !r->summary.n)
        return t;
    if (m->thinking == GEMINI_NO_THINKING) {
        t.lost = !turns_off(r);
        return t;
    }
    t.any = true;
    if (m->thinking == GEMINI_LEVEL)
        by_level(m, r, &t);
    else
        by_budget(m, r, max_tokens, &t);
    t.include = !turns_off(r) && !is_refused(r->summary);
    return t;
}
