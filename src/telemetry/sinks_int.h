/*
 * Log sinks: where the lines of calls go besides the log itself. One interface, four of them:
 *
 *   file     JSON lines, rotated by size          sink_file.c
 *   syslog   RFC 5424 over UDP, TCP, TLS, unix    sink_syslog.c
 *   hec      Splunk's HTTP Event Collector        sink_hec.c
 *   s3       gzipped objects                      sink_s3.c
 *
 * Calls append lines to their thread's lane. A coroutine brings what is there to every sink five
 * times a second; each sink has a coroutine of its own that sends in batches and tries again, so
 * that a slow one holds up none. What a sink has no room for is dropped and counted by its name.
 * A batch that was cut off may arrive twice: no line of it is given up for that.
 */
#ifndef SF_TELEMETRY_SINKS_INT_H
#define SF_TELEMETRY_SINKS_INT_H

#include "telemetry/lanes.h"
#include "telemetry/telemetry.h"

/* Whole lines, each with its '\n', of one try. */
struct sink_batch {
    struct str lines;
    unsigned n;
    unsigned tries; /* before this one */
    char name[40];  /* by when it was made, and chance: the same in each try */
};

struct sink_ops {
    const char *name;
    const char *variable; /* of its address, in messages */
    /* From its settings, whose texts it copies: 0 with *ret NULL when it is not configured, -errno
     * with why filled. Does not suspend. */
    int (*open)(const struct sink_settings *s, const struct post_route *route, struct str node,
        void **ret, char why[static POST_ERR_BYTES]);
    /* Suspends. */
    enum post_result (*send)(void *state, const struct sink_batch *b, struct post_reply *ret);
    void (*close)(void *state);
    int64_t (*interval)(const void *state); /* how long lines may wait for company; NULL = not */
    size_t batch_bytes;
};

extern const struct sink_ops sink_file, sink_syslog, sink_hec, sink_s3;
extern struct lanes sink_lanes;

/* The time of a line, as RFC 3339 text; empty when it is none of ours. */
struct str sink_line_time(struct str line);
/* For tests. */
void syslog_frame(struct str line, struct str host, unsigned pid, bool counted, struct buf *out);
void hec_event(struct str line, struct str node, struct str index, struct buf *out);
int gzip_all(struct str in, struct buf *out);

void sinks_open(struct str node);
int sinks_start(void);
void sinks_stop(void);
void sinks_use(const struct sink_settings *s, const struct post_route *route,
    void (*problem)(void *ctx, const char *name, const char *why), void *ctx);

#endif
