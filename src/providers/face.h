/*
 * Which face of a provider serves a call: its own dialect's where there is one, so that bytes pass
 * as they came; else one that the call can be translated for (translate/wire.h). Data of the
 * provider table and of the model alone; what is configured plays no part.
 */
#ifndef SF_PROVIDERS_FACE_H
#define SF_PROVIDERS_FACE_H

#include "llm/prices.h"
#include "providers/provider.h"

struct face_asked {
    enum dialect dialect; /* of the client, */
    enum endpoint_kind kind;
    bool stream;      /* it wants a stream */
    bool native;      /* the provider's own dialect, where it has one beside the client's */
    struct str model; /* at the provider */
    const struct model_facts *facts; /* or NULL */
};

/* The face, with what the call is there in *ret_kind; NULL when p cannot serve it at all. The bytes
 * pass as they came exactly when the face has the client's dialect, *ret_kind its kind, and that
 * kind no form of the provider's own. For a call that only counts tokens it may be a kind that
 * answers: then the provider itself does not count. */
const struct provider_face *provider_face_for(
    const struct provider *p, const struct face_asked *a, enum endpoint_kind *ret_kind);

/* A call that puts a model to work on messages: one of those that can be translated into each
 * other. */
bool kind_generates(enum endpoint_kind k);

#endif
