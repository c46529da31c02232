/*
 * Commands are written, replies read. hiredis' reader takes care of split input; the functions it
 * calls put what it found into the flat list instead of building a tree. Texts are copied to one
 * buffer, as the reader moves its own; it may move too while a reply grows, so that items hold
 * offsets until the reply is whole.
 *
 * The major version of hiredis changes the type of one callback's parameter.
 */
#include "store/redis_resp.h"
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>

#if HIREDIS_MAJOR >= 1
typedef size_t array_n;
#else
typedef int array_n;
#endif

/* --- reading ---------------------------------------------------------------------------------- */

static struct resp_item *item_new(const redisReadTask *task, enum resp_type type)
{
    struct resp *r = task->privdata;
    if (r->n == RESP_ITEMS)
        return NULL; /* the reader takes it for want of memory, and ends */
    struct resp_item *item = &r->items[r->n++];
    *item = (struct resp_item){.type = type};
    return item;
}

static void *on_string(const redisReadTask *task, char *p, size_t n)
{
    struct resp *r = task->privdata;
    enum resp_type type = task->type == REDIS_REPLY_STATUS  ? RESP_STATUS
                          : task->type == REDIS_REPLY_ERROR ? RESP_ERROR
                                                            : RESP_STRING;
    struct resp_item *item = item_new(task, type);
    if (!item)
        return NULL;
    item->n = (int64_t)r->text.n;
    item->s.n = n;
    return buf_add(&r->text, p, n) < 0 ? NULL : item;
}

static void *on_array(const redisReadTask *task, array_n n)
{
    struct resp_item *item = item_new(task, RESP_ARRAY);
    if (item)
        item->n = (int64_t)n;
    return item;
}

static void *on_integer(const redisReadTask *task, long long n)
{
    struct resp_item *item = item_new(task, RESP_INT);
    if (item)
        item->n = n;
    return item;
}

static void *on_nil(const redisReadTask *task)
{
    return item_new(task, RESP_NIL);
}

static void on_free(void *item)
{
    (void)item; /* all of them belong to the list */
}

static redisReplyObjectFunctions functions = {
    .createString = on_string,
    .createArray = on_array,
    .createInteger = on_integer,
    .createNil = on_nil,
    .freeObject = on_free,
};

int resp_init(struct resp *r)
{
    *r = (struct resp){.reader = redisReaderCreateWithFunctions(&functions)};
    if (!r->reader)
        return -ENOMEM;
    r->reader->privdata = r;
    buf_init(&r->text, RESP_REPLY_BYTES);
    return 0;
}

void resp_free(struct resp *r)
{
    if (r->reader) {
        redisReaderFree(r->reader);
        buf_free(&r->text);
    }
    r->reader = NULL;
}

int resp_feed(struct resp *r, const char *p, size_t n)
{
    if (redisReaderFeed(r->reader, p, n) != REDIS_OK)
        return -ENOMEM;
    return r->reader->len - r->reader->pos > RESP_REPLY_BYTES + n ? -EPROTO : 0;
}

int resp_next(struct resp *r)
{
    void *done = NULL;
    if (r->whole) {
        r->n = 0;
        buf_clear(&r->text);
        r->whole = false;
    }
    if (redisReaderGetReply(r->reader, &done) != REDIS_OK)
        return -EPROTO;
    if (!done)
        return 0;
    for (unsigned i = 0; i < r->n; i++)
        if (r->items[i].type != RESP_INT && r->items[i].type != RESP_ARRAY)
            r->items[i].s.p = r->text.p + r->items[i].n;
    r->whole = true;
    return 1;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void put_number(struct buf *b, char mark, int64_t v)
{
    if (mark)
        buf_addc(b, mark);
    if (v < 0)
        buf_addc(b, '-');
    buf_addu64(b, v < 0 ? -(uint64_t)v : (uint64_t)v);
    buf_addstr(b, STR("\r\n"));
}

void resp_begin(struct buf *b, unsigned n)
{
    put_number(b, '*', n);
}

void resp_arg2(struct buf *b, struct str s, struct str more)
{
    put_number(b, '$', (int64_t)(s.n + more.n));
    buf_addstr(b, s);
    buf_addstr(b, more);
    buf_add(b, "\r\n", 2);
}

void resp_arg(struct buf *b, struct str s)
{
    resp_arg2(b, s, STR_NONE);
}

void resp_int(struct buf *b, int64_t v)
{
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    unsigned digits = v < 0 ? 2 : 1;
    while ((u /= 10) > 0)
        digits++;
    put_number(b, '$', digits);
    put_number(b, 0, v);
}
