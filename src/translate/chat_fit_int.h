/*
 * What the two looks at a chat body share. See translate/chat.h.
 */
#ifndef SF_TRANSLATE_CHAT_FIT_INT_H
#define SF_TRANSLATE_CHAT_FIT_INT_H

#include "translate/chat.h"
#include "translate/chat_int.h"
#include "json/scan.h"

struct fit {
    const struct chat_quirks *k;
    const struct model_facts *facts;
    struct chat_fit *fit;

    /* of the walk over the top members */
    size_t behind;          /* the member before ends here */
    struct chat_edit *open; /* takes out all up to the next member */
    bool kept;              /* one stays before this */
    bool taken;             /* this one does not */
    bool past_messages;

    /* what it found */
    bool limited;     /* a limit of tokens, under either name */
    bool thinks;      /* reasoning is asked for */
    bool stays;       /* it is meant for this endpoint */
    struct str tools; /* p NULL = none */
};

/* value: a text's literal, with its quotes. */
static inline bool says(struct str value, const char *word)
{
    size_t n = strlen(word);
    return value.n == n + 2 && !memcmp(value.p + 1, word, n);
}

/* Whether messages or tools hold what this provider does not take as it stands. */
bool chat_fit_deep(const struct fit *f, const struct chat_call *c);

#endif
