/*
 * Whether a call in OpenAI's chat dialect may go to a provider of that dialect as it came, by what
 * the provider takes of it (chat_quirks.c) and the facts of the model. Bytes first: what is plain
 * passes untouched, and finding that out costs a walk over the top members, which are few.
 *
 *   as it came   nothing in it that the provider is known to refuse
 *   edited       members that have another name there, or none: a few splices, the rest as it came
 *   anew         what lies deeper (roles, names, ids of calls, kinds of parts): through the
 *                canonical form, as a call of another dialect
 *
 * Views of the body; nothing is allocated.
 */
#ifndef SF_TRANSLATE_CHAT_H
#define SF_TRANSLATE_CHAT_H

#include "translate/wire.h"
#include "json/scan.h"

enum chat_way { CHAT_AS_IT_CAME, CHAT_EDITED, CHAT_ANEW };

#define CHAT_EDITS_MAX 5 /* with those that any body may get: SPLICE_MAX_EDITS; more is anew */

/* Bytes [from, to) become with. lost: the member's name where something is lost by it, else empty.
 */
struct chat_edit {
    size_t from, to;
    struct str with, lost;
};

struct chat_fit {
    enum chat_way way;
    bool native;        /* the provider's own dialect serves this call better than this one */
    bool usage_unasked; /* streams report usage, and must not be asked for it */
    unsigned edits_n;   /* in the body's order; none where it is written anew */
    struct chat_edit edits[CHAT_EDITS_MAX];
};

struct chat_call {
    struct str provider; /* our id of it */
    const struct model_facts *facts;
    struct str body;                  /* a valid JSON object, */
    const struct json_span *messages; /* and where its messages stand */
    bool is_plain;                    /* no member in it is called by one of chat_fit_watch() */
};

/* Names of members that even who takes all of OpenAI's dialect may not take, wherever they stand:
 * what bodies are to be scanned for. */
void chat_fit_watch(struct json_set *set, uint8_t mark);

void chat_fit(const struct chat_call *call, struct chat_fit *ret);

/* The reply to a request that was written anew names what was renamed in it, so that it cannot
 * pass as it comes. c->request is the client's. */
bool chat_renames(const struct canon_call *c);

#endif
