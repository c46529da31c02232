/*
 * Writing payloads. Where the writer stands is a stack of the names before: none at the start of an
 * object, in_array inside an array. So the order is checked with one comparison a member, and
 * nothing is sorted afterwards.
 */
#include "journal/payload.h"
#include "base/macros.h"

#include <inttypes.h>
#include <stdio.h>

static const struct str in_array = STR_INIT("");

static bool is_array(const struct payload *p)
{
    return p->last[p->depth].p == in_array.p;
}

static void separate(struct payload *p)
{
    if (!p->first)
        buf_addc(p->out, ',');
    p->first = false;
}

static bool ascends(struct str before, struct str name)
{
    if (likely(before.n && name.n && before.p[0] != name.p[0]))
        return (unsigned char)before.p[0] < (unsigned char)name.p[0];
    int c = memcmp(before.p, name.p, MIN(before.n, name.n));
    return c < 0 || (c == 0 && before.n < name.n);
}

static void add_name(struct payload *p, struct str name)
{
    struct buf *b = p->out;

    must(!is_array(p) && (!p->last[p->depth].p || ascends(p->last[p->depth], name)));
    p->last[p->depth] = name;
    if (buf_reserve(b, name.n + 4) < 0)
        return;
    char *to = b->p + b->n;
    *to = ',';
    to += !p->first;
    *to++ = '"';
    memcpy(to, name.p, name.n);
    memcpy(to + name.n, "\":", 2);
    b->n = (size_t)(to - b->p) + name.n + 2;
    p->first = false;
}

static void add_int(struct payload *p, int64_t value)
{
    if (value < 0)
        buf_addc(p->out, '-');
    buf_addu64(p->out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static void open_level(struct payload *p, char bracket, struct str last)
{
    must(p->depth + 1 < ARRAY_LEN(p->last));
    buf_addc(p->out, bracket);
    p->last[++p->depth] = last;
    p->first = true;
}

void payload_begin(struct payload *p, struct buf *out)
{
    *p = (struct payload){.out = out, .first = true};
    buf_addc(out, '{');
}

void payload_str_of(struct payload *p, struct str name, struct str value)
{
    add_name(p, name);
    buf_addjson(p->out, value);
}

void payload_int_of(struct payload *p, struct str name, int64_t value)
{
    add_name(p, name);
    add_int(p, value);
}

void payload_object_of(struct payload *p, struct str name)
{
    add_name(p, name);
    open_level(p, '{', STR_NONE);
}

void payload_array_of(struct payload *p, struct str name)
{
    add_name(p, name);
    open_level(p, '[', in_array);
}

void payload_item_str(struct payload *p, struct str value)
{
    must(is_array(p));
    separate(p);
    buf_addjson(p->out, value);
}

void payload_item_int(struct payload *p, int64_t value)
{
    must(is_array(p));
    separate(p);
    add_int(p, value);
}

void payload_item_object(struct payload *p)
{
    must(is_array(p));
    separate(p);
    open_level(p, '{', STR_NONE);
}

void payload_close(struct payload *p)
{
    must(p->depth > 0);
    buf_addc(p->out, is_array(p) ? ']' : '}');
    p->depth--;
    p->first = false;
}

int payload_end(struct payload *p)
{
    must(p->depth == 0);
    buf_addc(p->out, '}');
    return p->out->err;
}
