/*
 * Writing payloads. Where the writer stands is a stack of the names before: NULL at the start of an
 * object, the address of in_array inside an array. So the order is checked with one comparison a
 * member, and nothing is sorted afterwards.
 */
#include "journal/payload.h"
#include "base/macros.h"

#include <inttypes.h>
#include <stdio.h>

static const char in_array[] = "";

static void separate(struct payload *p)
{
    if (!p->first)
        buf_addc(p->out, ',');
    p->first = false;
}

static void add_name(struct payload *p, const char *name)
{
    const char *before = p->last[p->depth];

    must(before != in_array);
    must(!before || strcmp(before, name) < 0);
    p->last[p->depth] = name;
    separate(p);
    buf_addc(p->out, '"');
    buf_add(p->out, name, strlen(name));
    buf_add(p->out, "\":", 2);
}

static void add_int(struct payload *p, int64_t value)
{
    if (value < 0)
        buf_addc(p->out, '-');
    buf_addu64(p->out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static void open_level(struct payload *p, char bracket, const char *last)
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

void payload_str(struct payload *p, const char *name, struct str value)
{
    add_name(p, name);
    buf_addjson(p->out, value);
}

void payload_int(struct payload *p, const char *name, int64_t value)
{
    add_name(p, name);
    add_int(p, value);
}

void payload_object(struct payload *p, const char *name)
{
    add_name(p, name);
    open_level(p, '{', NULL);
}

void payload_array(struct payload *p, const char *name)
{
    add_name(p, name);
    open_level(p, '[', in_array);
}

void payload_item_str(struct payload *p, struct str value)
{
    must(p->last[p->depth] == in_array);
    separate(p);
    buf_addjson(p->out, value);
}

void payload_item_int(struct payload *p, int64_t value)
{
    must(p->last[p->depth] == in_array);
    separate(p);
    add_int(p, value);
}

void payload_item_object(struct payload *p)
{
    must(p->last[p->depth] == in_array);
    separate(p);
    open_level(p, '{', NULL);
}

void payload_close(struct payload *p)
{
    must(p->depth > 0);
    buf_addc(p->out, p->last[p->depth] == in_array ? ']' : '}');
    p->depth--;
    p->first = false;
}

int payload_end(struct payload *p)
{
    must(p->depth == 0);
    buf_addc(p->out, '}');
    return p->out->err;
}
