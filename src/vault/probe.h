/*
 * Whether a provider takes a key: one cheap call with it, mostly the list of models. Says what the
 * provider answered, never what stood in it.
 */
#ifndef SF_VAULT_PROBE_H
#define SF_VAULT_PROBE_H

#include "providers/provider.h"

enum probe_result {
    PROBE_OK,
    PROBE_REFUSED,      /* 401, 403, or what the provider says instead */
    PROBE_RATE_LIMITED, /* the key is known, but may not call now */
    PROBE_UNREACHABLE,
    PROBE_UNEXPECTED,  /* any other status: it says nothing about the key */
    PROBE_UNSUPPORTED, /* there is no cheap call: signatures, or no list */
};

struct probe {
    enum probe_result result;
    int status; /* of the provider; 0 = none came */
    int64_t took_ns;
    char cause[160]; /* why it could not be reached; else empty */
};

const char *probe_result_name(enum probe_result r); /* "ok" */
/* Suspends, for at most 10 s. */
void provider_probe(const struct upstream *u, const struct secret *key, struct probe *ret);

#endif
