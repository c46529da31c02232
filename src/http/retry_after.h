/*
 * When a server wants to be asked again, as its reply's head says it:
 *
 *   retry-after-ms   milliseconds with a fraction; OpenAI and Azure send it (openai-python 1.x,
 *                    _base_client.py, reads it before the next)
 *   retry-after      seconds (some servers send a fraction) or a date, RFC 9110, 10.2.3
 *   x-ratelimit-reset-<what>, anthropic-ratelimit-<what>-reset
 *                    when a limit is whole again: a duration ("6m0s", "17ms"), or a date (RFC
 * 3339). It counts where the same limit's "remaining" is 0.
 *
 * Pure. Whatever a server says, the answer is at most HTTP_RETRY_AFTER_MAX.
 */
#ifndef SF_HTTP_RETRY_AFTER_H
#define SF_HTTP_RETRY_AFTER_H

#include "base/clock.h"
#include "http/fields.h"

#define HTTP_RETRY_AFTER_MAX (86400 * NS_PER_S)

/* From retry-after-ms or retry-after: ns from now (wall); 0 = it does not say, or that is past. */
int64_t http_retry_after(const struct http_fields *f, int64_t wall);
/* When all limits that are used up are whole again: ns from now; 0 = it does not say. */
int64_t http_limits_reset(const struct http_fields *f, int64_t wall);

#endif
