/*
 * The log: one JSON object a line on standard error (or the file of log_open), built per thread and
 * written whole. Libraries below layer 3 do not log; they return errors. Values are escaped here,
 * so a line can never be split by what a peer sent. Secrets have no function that accepts them.
 *
 *     struct logline l;
 *     if (log_begin(&l, LOG_WARN, "provider unreachable")) {
 *         log_str(&l, "provider", name);
 *         log_int(&l, "attempt", 2);
 *         log_end(&l);
 *     }
 */
#ifndef SF_BASE_LOG_H
#define SF_BASE_LOG_H

#include "base/str.h"

struct buf;

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct logline { /* opaque; lives from log_begin to log_end, and nothing suspends between */
    struct buf *out;
    size_t start;
    enum log_level level;
    bool pretty;
};

/* NULL = standard error; reopens on a second call (rotation). From any thread, at any time. */
int log_open(const char *path);
void log_set_level(enum log_level level);
bool log_on(enum log_level level);
void log_pretty(bool on); /* readable lines for a terminal instead of JSON */

bool log_begin(struct logline *l, enum log_level level, const char *event);
/* Keys are literals of ours: nothing in them is escaped, and their text is made where they stand.
 */
#define LOG_KEY(key)            STR(",\"" key "\":")
#define log_str(l, key, value)  log_str_at(l, LOG_KEY(key), value)
#define log_int(l, key, value)  log_int_at(l, LOG_KEY(key), value)
#define log_bool(l, key, value) log_bool_at(l, LOG_KEY(key), value)
#define log_raw(l, key, json)   log_raw_at(l, LOG_KEY(key), json) /* valid JSON */
void log_str_at(struct logline *l, struct str key, struct str value);
void log_int_at(struct logline *l, struct str key, int64_t value);
void log_bool_at(struct logline *l, struct str key, bool value);
void log_raw_at(struct logline *l, struct str key, struct str json);

void log_end(struct logline *l);

/* Lines are gathered per thread; written at 16 KiB (or soon after, when another thread is writing),
 * on LOG_WARN and above, or by this call, which the event loop makes at least every 100 ms and
 * before it exits. */
void log_flush(void);

/* One line with only a message: for start-up and shutdown. */
void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
