/*
 * Google access tokens for a service account: what is needed to turn its key file into the request
 * for a token (RFC 7523), and to read the answer. Pure: who sends the request, and caches the token
 * until it expires, is another's business. Other kinds of credentials (workload identity, the
 * metadata server) give tokens of the same form, so gcp_token_parse() reads theirs too.
 */
#ifndef SF_PROVIDERS_GCP_TOKEN_H
#define SF_PROVIDERS_GCP_TOKEN_H

#include "base/buf.h"
#include "base/secret.h"
#include "crypto/sign.h"

#define GCP_SCOPE            STR("https://www.googleapis.com/auth/cloud-platform")
#define GCP_TOKEN_TYPE       STR("application/x-www-form-urlencoded")
#define LIMIT_GCP_KEY_FILE   ((size_t)64 * 1024)
#define LIMIT_GCP_TOKEN_BODY ((size_t)64 * 1024)

struct gcp_account {
    char *email, *key_id, *project, *token_uri; /* key_id and project may be NULL */
    struct sign_key *key;
};

/* Reads a key file ("type": "service_account"). -EINVAL with *ret_why, -ENOMEM. The token URI must
 * be https: the assertion sent there is worth a token. */
int gcp_account_parse(struct str json, struct gcp_account *ret, const char **ret_why);
void gcp_account_free(struct gcp_account *a); /* also for _cleanup_ */

/* Appends the body of the request to token_uri (POST, GCP_TOKEN_TYPE): an assertion that is valid
 * for one hour from wall_ns. Signing takes about a millisecond. */
int gcp_token_request(
    const struct gcp_account *a, struct str scope, int64_t wall_ns, struct buf *out);

/* Appends the signed assertion alone (a JWT). */
int gcp_assertion(const struct gcp_account *a, struct str scope, int64_t wall_ns, struct buf *out);

/* Reads the answer to a request sent at wall_ns: the token, and the wall time at which it expires.
 * -EINVAL with *ret_why. */
int gcp_token_parse(struct str json, int64_t wall_ns, struct secret *ret_token,
    int64_t *ret_expires_ns, const char **ret_why);

#endif
