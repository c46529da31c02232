/*
 * RESP2: commands are written into a buffer, replies are read by hiredis' reader into a flat list
 * of items, without an allocation for each. Item 0 is the reply; the items of an array follow it.
 */
#ifndef SF_STORE_REDIS_RESP_H
#define SF_STORE_REDIS_RESP_H

#include "base/buf.h"

#define RESP_ITEMS       192
#define RESP_REPLY_BYTES (((size_t)1 << 20) + ((size_t)64 << 10))

enum resp_type { RESP_STRING = 1, RESP_ARRAY, RESP_INT, RESP_NIL, RESP_STATUS, RESP_ERROR };

struct resp_item {
    enum resp_type type;
    int64_t n;    /* RESP_INT; of a RESP_ARRAY how many */
    struct str s; /* RESP_STRING, RESP_STATUS, RESP_ERROR: until the next resp_next() */
};

struct resp {
    struct redisReader *reader;
    struct resp_item items[RESP_ITEMS];
    unsigned n;
    struct buf text;
    bool whole; /* the items are a reply that was handed out */
};

int resp_init(struct resp *r);
void resp_free(struct resp *r); /* also on a zeroed one */
/* Bytes from the server: 0, -ENOMEM, -EPROTO. */
int resp_feed(struct resp *r, const char *p, size_t n);
/* 1: r->items is the next reply; 0: more bytes are needed; -EPROTO: not RESP2, or too large. */
int resp_next(struct resp *r);

/* "*n" and then n arguments. */
void resp_begin(struct buf *b, unsigned n);
void resp_arg(struct buf *b, struct str s);
void resp_arg2(struct buf *b, struct str s, struct str more); /* one argument of two pieces */
void resp_int(struct buf *b, int64_t v);

#endif
