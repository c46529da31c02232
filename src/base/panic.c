/*
 * panic: the end of a process whose state can no longer be trusted. It formats on the stack and
 * writes straight to standard error, since the heap may be what broke. The lines that this thread
 * has logged but not yet written go out first: they tell what led here.
 */
#include "base/log.h"
#include "base/macros.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static _Thread_local int panicking;

_Noreturn void panic_at(const char *file, int line, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    if (panicking++ == 0)
        log_flush();
    int n = snprintf(text, sizeof(text) / 2, "panic: %s:%d: ", file, line);
    size_t at = MIN((size_t)MAX(n, 0), sizeof(text) / 2 - 1);
    va_start(args, fmt);
    n = vsnprintf(text + at, sizeof(text) - at - 1, fmt, args);
    va_end(args);
    at = MIN(at + (size_t)MAX(n, 0), sizeof(text) - 2);
    text[at++] = '\n';
    if (write(STDERR_FILENO, text, at) < 0)
        _exit(134); /* nobody can be told; the exit code is all that is left */
    abort();
}
