/*
 * What the files of /api/vas/logs share: logs_api.c and logs_detail.c.
 */
#ifndef SF_ADMIN_LOGS_INT_H
#define SF_ADMIN_LOGS_INT_H

#include "admin/api_int.h"
#include "ledger/logs.h"
#include "store/store.h"

/* The members of a row, into an open object: what it was, what it took, whose it was. */
void logs_put_what(struct buf *b, const struct log_row *w);
void logs_put_usage(struct buf *b, const struct log_row *w);
void logs_put_who(struct buf *b, const struct log_row *w);

enum log_body { LOG_REQUEST, LOG_REPLY };
/* Begins out with it. -ENOENT: it was not kept, or is not any more. */
int logs_read_body(
    struct admin_call *c, const struct log_row *w, enum log_body which, struct buf *out);

int logs_detail(struct admin_call *c);
int logs_erase(struct admin_call *c);
int logs_amend(struct admin_call *c);
extern const struct admin_schema logs_erase_body, logs_amend_body;

#endif
