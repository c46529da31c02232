/*
 * Building log lines, as JSON or, for who sits before a terminal, as readable text. A line is
 * appended to the thread's buffer piece by piece; when it cannot be finished (too long, memory is
 * out) log_end takes it back and says so in its place, so that the log holds whole lines only.
 */
#include "base/log.h"
#include "base/clock.h"
#include "base/log_int.h"
#include "base/macros.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int level_now = LOG_INFO;
static atomic_bool pretty_now;

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_marks[] = {"DEBUG ", "INFO  ", "WARN  ", "ERROR "};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_now, level, memory_order_relaxed);
}

bool log_on(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&level_now, memory_order_relaxed);
}

void log_pretty(bool on)
{
    atomic_store_explicit(&pretty_now, on, memory_order_relaxed);
}

/* The time as text. Lines come many to a second, and only the milliseconds differ then. */
static struct str time_text(void)
{
    static _Thread_local struct {
        int64_t second;
        char text[25];
    } last = {.second = INT64_MIN};
    int64_t now = clock_wall(), second = now / NS_PER_S;

    if (second != last.second) {
        clock_rfc3339(now, last.text);
        last.second = second;
    } else {
        unsigned ms = (unsigned)(now % NS_PER_S / NS_PER_MS);
        last.text[20] = (char)('0' + ms / 100);
        last.text[21] = (char)('0' + ms / 10 % 10);
        last.text[22] = (char)('0' + ms % 10);
    }
    return str_at(last.text, 24);
}

static void add_start(struct logline *l, struct str event)
{
    struct buf *b = l->out;
    struct str ts = time_text();

    if (l->pretty) {
        buf_add(b, ts.p + 11, 12); /* the time of day is enough here */
        buf_addc(b, ' ');
        buf_addstr(b, str_of(level_marks[l->level]));
        buf_addstr(b, event);
        return;
    }
    buf_addstr(b, STR("{\"ts\":\""));
    buf_addstr(b, ts);
    buf_addstr(b, STR("\",\"level\":\""));
    buf_addstr(b, str_of(level_names[l->level]));
    buf_addstr(b, STR("\",\"event\":"));
    buf_addjson(b, event);
}

bool log_begin(struct logline *l, enum log_level level, const char *event)
{
    if (!log_on(level))
        return false;
    struct buf *b = log_thread_lines();
    if (!b)
        return false;
    *l = (struct logline){.out = b,
        .start = b->n,
        .level = level,
        .pretty = atomic_load_explicit(&pretty_now, memory_order_relaxed)};
    add_start(l, str_of(event));
    return true;
}

static void add_pretty_key(struct buf *b, struct str key)
{
    buf_addstr(b, STR("  "));
    buf_add(b, key.p + 2, key.n - 4);
    buf_addc(b, '=');
}

/* key: as JSON has it behind another member, ",\"status\":". */
static inline void add_key(struct logline *l, struct str key)
{
    if (unlikely(l->pretty))
        add_pretty_key(l->out, key);
    else
        buf_addstr(l->out, key);
}

/* Words that a terminal shows as they are and that need no quotes to be told apart. */
static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '"' || s.p[i] == '\\' || s.p[i] == '=')
            return false;
    return s.n > 0;
}

/*
 * JSON lets pass what a terminal may obey: DEL, and the C1 controls U+0080 to U+009F. From at on
 * they become question marks; the text is valid UTF-8 by now.
 */
static void defuse(struct buf *b, size_t at)
{
    for (size_t i = at; i < b->n; i++) {
        bool c1 =
            (unsigned char)b->p[i] == 0xc2 && i + 1 < b->n && (unsigned char)b->p[i + 1] < 0xa0;
        if (b->p[i] == 0x7f || c1)
            b->p[i] = '?';
        if (c1)
            b->p[i + 1] = '?';
    }
}

void log_str_at(struct logline *l, struct str key, struct str value)
{
    add_key(l, key);
    size_t at = l->out->n;
    if (l->pretty && is_plain(value))
        buf_addstr(l->out, value);
    else
        buf_addjson(l->out, value);
    if (l->pretty)
        defuse(l->out, at);
}

void log_int_at(struct logline *l, struct str key, int64_t value)
{
    add_key(l, key);
    if (unlikely(value < 0))
        buf_addc(l->out, '-');
    buf_addu64(l->out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void log_bool_at(struct logline *l, struct str key, bool value)
{
    add_key(l, key);
    buf_addstr(l->out, value ? STR("true") : STR("false"));
}

void log_raw_at(struct logline *l, struct str key, struct str json)
{
    add_key(l, key);
    size_t at = l->out->n;
    buf_addstr(l->out, json);
    for (size_t i = at; i < l->out->n; i++) /* between tokens JSON may hold line ends */
        if (l->out->p[i] == '\n' || l->out->p[i] == '\r')
            l->out->p[i] = ' ';
    if (l->pretty)
        defuse(l->out, at);
}

static void finish(struct logline *l)
{
    if (!l->pretty)
        buf_addc(l->out, '}');
    buf_addc(l->out, '\n');
}

/* Whole lines stand before l->start; they go out first, so that there is room to say what broke. */
static void replace_broken(struct logline *l)
{
    int err = l->out->err;

    l->out->n = l->start;
    l->out->err = 0;
    log_flush();
    l->start = 0;
    add_start(l, STR("log line dropped"));
    log_int(l, "errno", -err);
    finish(l);
    if (l->out->err)
        buf_clear(l->out);
}

void log_end(struct logline *l)
{
    finish(l);
    if (l->out->err)
        replace_broken(l);
    if (l->level >= LOG_WARN)
        log_flush();
    else if (l->out->n >= LOG_FLUSH_AT)
        log_flush_soon();
}

void log_msg(enum log_level level, const char *fmt, ...)
{
    char text[1024];
    struct logline l;
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (log_begin(&l, level, text))
        log_end(&l);
}
