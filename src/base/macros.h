/*
 * Small compile-time helpers that every layer may use. Nothing here allocates or suspends.
 */
#ifndef SF_BASE_MACROS_H
#define SF_BASE_MACROS_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a)            (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)               ((a) < (b) ? (a) : (b))
#define MAX(a, b)               ((a) > (b) ? (a) : (b))
#define likely(x)               __builtin_expect(!!(x), 1)
#define unlikely(x)             __builtin_expect(!!(x), 0)
#define container_of(p, T, m)   ((T *)((char *)(p)-offsetof(T, m)))
#define _cleanup_(fn)           __attribute__((cleanup(fn)))
#define _printf_(fmt_at, first) __attribute__((format(printf, fmt_at, first)))
#define _unused_                __attribute__((unused))
#define _nodiscard_             __attribute__((warn_unused_result))
#define _cold_                  __attribute__((cold)) /* what leads to it is unlikely, too */

/* Assertions stay on in production: a broken invariant ends the process with its place named. */
_Noreturn void panic_at(const char *file, int line, const char *fmt, ...) _printf_(3, 4);
#define panic(...) panic_at(__FILE__, __LINE__, __VA_ARGS__)
#define must(cond)                                                                                 \
    do {                                                                                           \
        if (unlikely(!(cond)))                                                                     \
            panic("invariant broken: %s", #cond);                                                  \
    } while (0)

#endif
