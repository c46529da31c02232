/*
 * What the server and the client keep per thread: free memory, the date line, room to parse fields
 * into, and the pool of idle upstream connections. Made on first use; ends with the thread's loop.
 */
#ifndef SF_HTTP_THREAD_H
#define SF_HTTP_THREAD_H

#include "http/bufpool.h"
#include "http/head.h"

struct client_pool;

struct http_thread {
    struct bufpool blocks;
    struct http_field room[LIMIT_HEADERS]; /* valid until the next parse */
    char date[48];                         /* "date: ...\r\n" */
    size_t date_n;
    int64_t date_until; /* loop time at which the next second begins */
    struct client_pool *client;
};

struct http_thread *http_thread(void);
/* The date field line of this second. Valid until the caller suspends. */
struct str http_date_line(void);
/* Bytes of blocks that somebody on this thread holds now; for tests and statistics. */
size_t http_blocks_held(void);

#endif
