/*
 * What Gemini's models take, as data: one row a family, found by the model's name. The facts table
 * (llm/prices.h) knows limits and abilities that all providers have; these are Google's own.
 */
#ifndef SF_TRANSLATE_GEMINI_MODELS_H
#define SF_TRANSLATE_GEMINI_MODELS_H

#include "translate/canon.h"

enum gemini_thinking {
    GEMINI_NO_THINKING,
    GEMINI_BUDGET, /* thinkingBudget, in tokens */
    GEMINI_LEVEL,  /* thinkingLevel, a word */
};

enum gemini_level {
    GEMINI_MINIMAL = 1 << 0,
    GEMINI_LOW = 1 << 1,
    GEMINI_MEDIUM = 1 << 2,
    GEMINI_HIGH = 1 << 3,
    GEMINI_XHIGH = 1 << 4,
};

enum gemini_ability {
    GEMINI_JSON_SCHEMA = 1 << 0, /* responseJsonSchema and parametersJsonSchema */
    GEMINI_CALL_ID = 1 << 1,     /* functionCall.id; others answer 400 to it */
    GEMINI_SIGNED = 1 << 2,      /* a call in the history without a signature is refused */
    GEMINI_PENALTIES = 1 << 3,
    GEMINI_TOOL_MEDIA = 1 << 4,  /* functionResponse.parts */
    GEMINI_MIXED_TOOLS = 1 << 5, /* server tools beside functions */
    GEMINI_SYSTEM = 1 << 6,      /* systemInstruction */
};

struct gemini_model {
    struct str pattern; /* '*' for any run of bytes; the first row that matches counts */
    enum gemini_thinking thinking;
    int64_t least, most; /* budgets; least 0 = thinking can be turned off */
    int64_t minimal;     /* the budget for effort minimal */
    unsigned levels;     /* enum gemini_level */
    unsigned abilities;  /* enum gemini_ability */
};

/* The row of the call's model, with what the facts know besides. */
void gemini_model_of(const struct canon_call *c, struct gemini_model *ret);

/* thinkingConfig for what was asked. */
struct gemini_thought {
    bool any;         /* there is something to write */
    bool lost;        /* the model does not think, and was asked to */
    int64_t budget;   /* -1 = by level; GEMINI_DYNAMIC */
    struct str level; /* p NULL = by budget, or the model's own choice */
    int include;      /* includeThoughts: -1 = not said */
};

#define GEMINI_DYNAMIC   ((int64_t)-1)
#define GEMINI_NO_BUDGET ((int64_t)-2)

struct gemini_thought gemini_thought_of(
    const struct gemini_model *m, const struct canon_reasoning *r, int64_t max_tokens);
/* "HIGH" as an effort; EFFORT_UNSET for others. Case does not matter. */
enum canon_effort gemini_effort_of(struct str level);

#endif
