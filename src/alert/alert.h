/*
 * Alerts: what somebody should look at, told to Slack, Teams, Discord and signed webhooks.
 *
 *   BudgetThreshold  use of a budget crossed 50, 80 or 100 % (keys/limits.h)
 *   ProviderFailure  too many of a provider's calls failed within the last minute (window.c)
 *   SlowRequest      a call took longer than allowed
 *   Custom           POST /api/alerts
 *
 * alert_fire() may be called by any thread, in the middle of a call: it copies, and returns. What
 * was told of the same kind and subject within alert_settings.repeat is only counted. The rest
 * waits in a bounded queue, the oldest being dropped, for one coroutine on the first loop, which
 * sends it, tries again after failures, and keeps what became of it in the store's table `alerts`.
 *
 *   alert_fire ─▶ told before? ─▶ queue ─▶ alert_run: another node's? ─▶ row ─▶ each destination
 */
#ifndef SF_ALERT_ALERT_H
#define SF_ALERT_ALERT_H

#include "alert/post.h"
#include "base/secret.h"
#include "llm/stage.h"

struct shared;
struct store;

enum alert_kind { ALERT_BUDGET, ALERT_PROVIDER, ALERT_SLOW, ALERT_CUSTOM, ALERT_KINDS };
enum alert_severity { ALERT_INFO, ALERT_WARNING, ALERT_CRITICAL };
extern const char *const alert_kind_words[];     /* "BudgetThreshold", …, NULL */
extern const char *const alert_severity_words[]; /* "info", "warning", "critical", NULL */

/* Where alerts go. Addresses are secrets, since whoever knows one can write there. */
enum alert_destination {
    ALERT_SLACK,
    ALERT_TEAMS,
    ALERT_DISCORD,
    ALERT_WEBHOOK,
    ALERT_GIVEN, /* the address that a custom alert itself named */
    ALERT_DESTINATIONS,
};
extern const char *const alert_destination_words[]; /* "slack", …, NULL */

struct alert_settings {
    bool enabled;                           /* SMARTFLOW_ALERTS_ENABLED */
    struct secret urls[ALERT_DESTINATIONS]; /* SLACK_WEBHOOK_URL, …; not ALERT_GIVEN */
    struct secret webhook_secret;           /* signs ALERT_WEBHOOK's */
    int64_t repeat;                         /* SMARTFLOW_ALERT_REPEAT */
    int64_t slow;                           /* SMARTFLOW_SLOW_REQUEST; 0 = off */
    unsigned error_percent;                 /* SMARTFLOW_ALERT_ERROR_PERCENT; 0 = off */
};

#define ALERT_SUBJECT_BYTES 200
#define ALERT_TITLE_BYTES   150
#define ALERT_TEXT_BYTES    2000
#define ALERT_DETAILS_BYTES 2000
#define ALERT_URL_BYTES     1000
#define ALERT_ID_BYTES      25 /* "alr_", 20 characters and a NUL */

struct alert {
    enum alert_kind kind;
    enum alert_severity severity;
    struct str subject; /* what it is about: "provider:openai"; one alert a subject and time */
    struct str title, text;
    struct str details; /* a JSON object; empty = {} */
    struct str url;     /* Custom: a further address, not signed and guarded; empty = none */
};

enum alert_taken {
    ALERT_TAKEN,
    ALERT_REPEATED, /* told within the time: counted */
    ALERT_OFF,      /* alerts are switched off, or not started */
};
/* Any thread, never waits. Longer texts are cut. ret_id (ALERT_ID_BYTES, may be NULL) is set where
 * it was taken. */
enum alert_taken alert_fire(const struct alert *a, char *ret_id);

/* On the first loop. store and shared may be NULL; node outlives all. 0 or -errno. */
int alert_start(struct store *store, struct shared *shared, struct str node);
/* On the first loop, before the store closes: what waits is tried once more. May suspend. */
void alert_stop(void);
/* On the first loop's thread, with each snapshot, first before any loop runs: *s lies in what route
 * refers to. A destination whose address is of no use is reported to problem(ctx, its variable,
 * why), and left out. */
void alert_use(const struct alert_settings *s, const struct post_route *route,
    void (*problem)(void *ctx, const char *name, const char *why), void *ctx);

/* Sends a test to each destination, without retries, on the calling thread: what came of it as a
 * JSON array. Suspends. */
void alert_test(const struct alert_settings *s, const struct post_route *route, struct str node,
    struct buf *out);

extern const struct stage stage_alert; /* slow calls, and providers that fail; at a call's end */

#endif
