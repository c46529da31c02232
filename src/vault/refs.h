/*
 * Secrets by reference: a setting whose value says where the secret is kept instead of being it.
 *
 *   vault:path#field        HashiCorp Vault, KV version 1 or 2 or any engine that answers a read
 *   aws-sm:name-or-arn#f    AWS Secrets Manager; without #f the whole secret string
 *
 * All work is done by one thread with a loop of its own, which starts with the first reference. It
 * alone touches what was read (documents, the Vault token), so there are no locks around them; who
 * wants a secret hands it a list and waits. Several fields of one path are one read.
 *
 * From refs_start() on the thread also reads everything again before its lease ends, and at least
 * every refresh interval; a lease that can be renewed is renewed instead. While the server does not
 * answer, what was read last stays in use. When a value is another one, `changed` is called.
 *
 * Where to ask, and as whom, comes from the environment alone (VAULT_*, AWS_*, see
 * docs/secrets.md). Those addresses are the operator's: no guard, but deadlines and bounds.
 */
#ifndef SF_VAULT_REFS_H
#define SF_VAULT_REFS_H

#include "base/secret.h"
#include <stdint.h>

#define REF_ERROR_N   256
#define REFS_DOCS_MAX 256 /* different paths */
#define REF_PATH_MAX  1024

struct secret_refs; /* one a process */

int refs_new(char *const *env, struct secret_refs **ret);
/* The end, in this order: refs_stop(), offload_stop(), refs_free(). After a stop nothing resolves.
 */
void refs_stop(struct secret_refs *r);
void refs_free(struct secret_refs *r); /* NULL is allowed */

/* Whether this value is a reference and not a secret. */
bool refs_is_one(struct str value);

struct ref_wanted {
    struct str ref;
    struct secret value;   /* filled; the caller frees it */
    int result;            /* 0 or -errno, with a sentence in err */
    char err[REF_ERROR_N]; /* names the reference, never what it holds */
};
/* Fills all n; blocks the calling thread for at most about 10 s. fresh: reads what is there already
 * once more (a reload that was asked for); else what was read last is good. Returns the number that
 * failed. */
unsigned refs_resolve(struct secret_refs *r, struct ref_wanted *w, unsigned n, bool fresh);

/* What a file of a NAME_FILE variable holds, trimmed: 0, or -errno: -EMSGSIZE beyond
 * LIMIT_SECRET_FILE, -ENODATA when there is nothing in it. */
#define LIMIT_SECRET_FILE ((size_t)64 * 1024)
int secret_from_file(const char *path, struct secret *ret);

/* Once the offload pool runs, and again when refresh is another: without it a later refs_resolve()
 * would bring a pool of its own beside that one. refresh: ns, at most so long is a secret used
 * without another look; 0 = 5 min. changed is called on the thread of the references: it posts to a
 * loop and returns. */
int refs_start(struct secret_refs *r, int64_t refresh, void (*changed)(void *ctx), void *ctx);

#endif
