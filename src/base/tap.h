/*
 * The unit-test harness: TAP on standard output, read by meson. A test file is
 *
 *     static void test_append(void) { ... CHECK(buf.n == 3); }
 *     int main(void) { TAP_RUN(test_append); return tap_done(); }
 *
 * CHECK records a failure with its place and returns from the test function; no longjmp, so it is
 * safe in coroutines. CHECK_EQ prints both integers, CHECK_STR both strings.
 */
#ifndef SF_BASE_TAP_H
#define SF_BASE_TAP_H

#include "base/str.h"

void tap_run(const char *name, void (*fn)(void));
bool tap_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool tap_str_eq(const char *file, int line, const char *expr, struct str got, struct str want);
int tap_done(void); /* prints the plan; the process exit code */
/* Reads a file of test data below tests/ (the source root is in SF_SOURCE_ROOT); the caller frees.
 */
char *tap_read(const char *relative_path, size_t *ret_n);

#define TAP_RUN(fn) tap_run(#fn, fn)
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            tap_fail(__FILE__, __LINE__, "%s", #cond);                                             \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define CHECK_EQ(got, want)                                                                        \
    do {                                                                                           \
        long long tap_g_ = (long long)(got), tap_w_ = (long long)(want);                           \
        if (tap_g_ != tap_w_) {                                                                    \
            tap_fail(__FILE__, __LINE__, "%s is %lld, wanted %lld", #got, tap_g_, tap_w_);         \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define CHECK_STR(got, want)                                                                       \
    do {                                                                                           \
        if (!tap_str_eq(__FILE__, __LINE__, #got, (got), (want)))                                  \
            return;                                                                                \
    } while (0)

#endif
