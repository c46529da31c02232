/*
 * Instants as parameters give them: RFC 3339, or how long ago ("90s", "15m", "1h", "7d", "4w").
 */
#ifndef SF_ADMIN_WHEN_H
#define SF_ADMIN_WHEN_H

#include "admin/api.h"

int admin_when(struct admin_call *c, const char *param, struct str text, int64_t *ret_wall);

#endif
