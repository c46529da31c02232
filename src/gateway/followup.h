/*
 * Further calls to an upstream within one attempt: a prediction that is not over is asked for
 * again, inputs that do not fit into one call go in several. They are part of the attempt: under
 * its money, its entry of the journal, with its credential, and over when it would be over. Replies
 * are held whole.
 *
 *   struct followup f;
 *   r = gw_followup(x, &(struct followup_ask){...}, &f);
 *   if (r == 0)
 *       … f.head->status, f.body …
 *   gw_followup_end(&f);
 */
#ifndef SF_GATEWAY_FOLLOWUP_H
#define SF_GATEWAY_FOLLOWUP_H

#include "gateway/gateway_int.h"

struct followup_ask {
    struct str method, target; /* target: path and query at the upstream */
    struct str body;           /* JSON; p NULL = none */
    int64_t until;             /* when it gives up: gw_attempt_ends(), as a rule */
};

struct followup {
    struct http_call *call;
    const struct http_head *head;
    struct str raw;   /* the body as it came, */
    struct str body;  /* and without a content coding; both until gw_followup_end() */
    struct buf plain; /* that, where there was one */
};

/* 0, whatever the status is, or x->error. *ret is to be ended in any case. Suspends. */
int gw_followup(struct exchange *x, const struct followup_ask *ask, struct followup *ret);
/* A reply that is none of success as x->error, as that of an attempt's first call. Always < 0. */
int gw_followup_refused(struct exchange *x, const struct followup *f);
void gw_followup_end(struct followup *f);

/* When the attempt that runs has to be over. */
int64_t gw_attempt_ends(const struct exchange *x);

#endif
