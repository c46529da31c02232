/*
 * The unit-test harness. Results go to standard output as TAP version 13; a failed check is a
 * comment line with its place. Failures are counted atomically, so that a check may fail in any
 * thread of a test.
 */
#include "base/tap.h"
#include "base/macros.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned tests, failed_tests;
static atomic_uint failures; /* of the running test */

void tap_run(const char *name, void (*fn)(void))
{
    if (tests++ == 0)
        puts("TAP version 13");
    fflush(stdout); /* a test that forks must not write our buffer twice */
    atomic_store(&failures, 0);
    fn();
    bool ok = atomic_load(&failures) == 0;
    failed_tests += !ok;
    printf("%s %u - %s\n", ok ? "ok" : "not ok", tests, name);
    fflush(stdout);
}

bool tap_fail(const char *file, int line, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    for (char *p = text; *p; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    atomic_fetch_add(&failures, 1);
    printf("# %s:%d: %s\n", file, line, text);
    fflush(stdout);
    return false;
}

bool tap_str_eq(const char *file, int line, const char *expr, struct str got, struct str want)
{
    if (str_eq(got, want))
        return true;
    got = str_to(got, 400);
    want = str_to(want, 400);
    return tap_fail(file, line, "%s is \"" STR_FMT "\", wanted \"" STR_FMT "\"", expr, STR_ARG(got),
        STR_ARG(want));
}

int tap_done(void)
{
    printf("1..%u\n", tests);
    return tests == 0 || failed_tests > 0;
}

static char *read_all(FILE *f, size_t *ret_n)
{
    size_t n = 0, cap = 0, got;
    char *p = NULL;

    do {
        if (n + 1 >= cap) {
            cap = cap ? cap * 2 : 65536;
            p = realloc(p, cap);
            must(p);
        }
        got = fread(p + n, 1, cap - n - 1, f);
        n += got;
    } while (got > 0);
    p[n] = '\0';
    *ret_n = n;
    return p;
}

char *tap_read(const char *relative_path, size_t *ret_n)
{
    const char *root = getenv("SF_SOURCE_ROOT");
    char path[4096];

    snprintf(path, sizeof(path), "%s/tests/%s", root ? root : ".", relative_path);
    FILE *f = fopen(path, "re");
    if (!f) {
        tap_fail(__FILE__, __LINE__, "cannot read %s: %m", path);
        *ret_n = 0;
        return NULL;
    }
    char *text = read_all(f, ret_n);
    fclose(f);
    return text;
}
