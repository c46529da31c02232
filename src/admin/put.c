/* Writing JSON member by member. See admin/put.h. */
#include "admin/put.h"

#include "base/clock.h"
#include "keys/record.h"

#include <inttypes.h>

void put_name(struct buf *b, const char *name)
{
    if (b->n && b->p[b->n - 1] != '{' && b->p[b->n - 1] != '[' && b->p[b->n - 1] != ':')
        buf_addc(b, ',');
    if (!name)
        return;
    buf_addjson(b, str_of(name));
    buf_addc(b, ':');
}

void put_open(struct buf *b, const char *name, char bracket)
{
    put_name(b, name);
    buf_addc(b, bracket);
}

void put_close(struct buf *b, char bracket)
{
    buf_addc(b, bracket);
}

void put_str(struct buf *b, const char *name, struct str value)
{
    put_name(b, name);
    buf_addjson(b, value);
}

void put_str_or_null(struct buf *b, const char *name, struct str value)
{
    if (value.n)
        put_str(b, name, value);
    else
        put_null(b, name);
}

void put_int(struct buf *b, const char *name, int64_t value)
{
    put_name(b, name);
    buf_printf(b, "%" PRId64, value);
}

void put_bool(struct buf *b, const char *name, bool value)
{
    put_raw(b, name, value ? STR("true") : STR("false"));
}

void put_null(struct buf *b, const char *name)
{
    put_raw(b, name, STR("null"));
}

void put_money(struct buf *b, const char *name, int64_t nano)
{
    put_name(b, name);
    money_write(nano, b);
}

void put_time(struct buf *b, const char *name, int64_t wall)
{
    char text[25];

    if (!wall) {
        put_null(b, name);
        return;
    }
    clock_rfc3339(wall, text);
    put_str(b, name, str_of(text));
}

void put_raw(struct buf *b, const char *name, struct str json)
{
    put_name(b, name);
    buf_addstr(b, json);
}

void put_share(struct buf *b, const char *name, int64_t part, int64_t whole)
{
    /* in floating point, as a share of more than 9e12 would overflow the product */
    int64_t millionths = whole > 0 ? (int64_t)((double)part / (double)whole * 1e6 + 0.5) : 0;

    put_name(b, name);
    buf_printf(b, "%" PRId64 ".%06" PRId64, millionths / 1000000, millionths % 1000000);
}
