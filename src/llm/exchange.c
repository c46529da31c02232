/* Errors of an exchange: the first one stands. See llm/exchange.h. */
#include "llm/exchange.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static bool take_error(struct exchange *x, int status, struct str code)
{
    if (x->error.status)
        return false;
    x->error.status = status;
    x->error.code = code;
    return true;
}

int exchange_fail(struct exchange *x, int status, struct str code, struct str message)
{
    if (take_error(x, status, code))
        x->error.message = message;
    return -EREMOTEIO;
}

static void set_message(struct exchange *x, const char *fmt, va_list ap)
{
    char text[1024];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    if (n < 0)
        n = 0;
    if ((size_t)n >= sizeof text)
        n = sizeof text - 1;
    x->error.message = arena_dup(&x->arena, str_at(text, (size_t)n));
}

int exchange_failf(struct exchange *x, int status, struct str code, const char *fmt, ...)
{
    va_list ap;

    if (!take_error(x, status, code))
        return -EREMOTEIO;
    va_start(ap, fmt);
    set_message(x, fmt, ap);
    va_end(ap);
    return -EREMOTEIO;
}

int exchange_fail_param(
    struct exchange *x, int status, struct str code, struct str param, const char *fmt, ...)
{
    va_list ap;

    if (!take_error(x, status, code))
        return -EREMOTEIO;
    x->error.param = param;
    va_start(ap, fmt);
    set_message(x, fmt, ap);
    va_end(ap);
    return -EREMOTEIO;
}
