/*
 * Whether an answer of the efficient model falls short, so that the capable one should be asked:
 * there is nothing in it, or it is a refusal. A refusal is what its provider marks as one, or a
 * short text without tool calls that begins as refusals do; what merely mentions one is none.
 */
#include "route/plan.h"

#include "translate/canon.h"

#define REFUSAL_BYTES ((size_t)400) /* a longer text has something to say */

static bool has_tool_call(const struct canon_choice *c)
{
    for (const struct canon_part *p = c->parts; p; p = p->next)
        if (p->kind == PART_TOOL_CALL)
            return true;
    return false;
}

/* Thinking alone is no answer. */
static bool says_something(const struct canon_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
        return str_trim(p->text).n > 0;
    case PART_THINKING:
    case PART_REDACTED_THINKING:
    case PART_REFUSAL:
        return false;
    default:
        return true;
    }
}

static bool is_empty(const struct canon_choice *c)
{
    for (const struct canon_part *p = c->parts; p; p = p->next)
        if (says_something(p))
            return false;
    /* what the client itself cut short would be so elsewhere, too */
    return c->finish != FINISH_LENGTH && c->finish != FINISH_CONTEXT;
}

/* With straight apostrophes; the text's typographic ones are brought into that form. */
static bool begins_as_refusal(struct str text)
{
    static const struct str begins[] = {STR_INIT("i can't help"), STR_INIT("i cannot help"),
        STR_INIT("i can't assist"), STR_INIT("i cannot assist"), STR_INIT("i can't do that"),
        STR_INIT("i'm sorry, but i can"), STR_INIT("i am sorry, but i can"),
        STR_INIT("sorry, but i can"), STR_INIT("sorry, i can't"), STR_INIT("i'm sorry, i can't"),
        STR_INIT("i apologize, but i can"), STR_INIT("i'm unable to"), STR_INIT("i am unable to"),
        STR_INIT("i'm not able to"), STR_INIT("i am not able to"), STR_INIT("i won't be able to"),
        STR_INIT("as an ai language model, i can")};
    char plain[48];
    size_t n = 0;

    for (size_t i = 0; i < text.n && n < sizeof plain; i++) {
        bool curly = str_starts(str_from(text, i), STR("\u2019"));
        plain[n++] = curly ? '\'' : text.p[i];
        i += curly ? STR("\u2019").n - 1 : 0;
    }
    for (unsigned i = 0; i < ARRAY_LEN(begins); i++)
        if (str_istarts(str_at(plain, n), begins[i]))
            return true;
    return false;
}

static bool is_refusal(const struct canon_choice *c)
{
    for (const struct canon_part *p = c->parts; p; p = p->next) {
        struct str text = p->kind == PART_TEXT ? str_trim(p->text) : STR_NONE;
        if (p->kind == PART_REFUSAL)
            return true;
        if (text.n)
            return text.n <= REFUSAL_BYTES && !has_tool_call(c) && begins_as_refusal(text);
    }
    return false;
}

struct str route_falls_short(const struct canon_reply *r)
{
    const struct canon_choice *first = r->choices;

    if (first && (first->finish == FINISH_FILTER || is_refusal(first)))
        return STR("refusal");
    return !first || is_empty(first) ? STR("empty") : STR_NONE;
}
