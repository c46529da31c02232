/*
 * Reading a reply: to the end of its head, then along its framing to its end. Bytes of a stream's
 * body are searched for lines that begin with "data:", each of which is one event.
 */
#include "loadgen.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void reply_reset(struct reply *r)
{
    r->head_n = 0;
    r->in_body = false;
    r->close = false;
    r->framing = BODY_TO_CLOSE;
    r->left = 0;
    r->part = CHUNK_SIZE;
    r->line_n = 0;
    r->event_match = 1; /* a body's first byte stands at a line's start */
    r->events = 0;
}

/* --- events --- */

static void count_events(struct reply *r, const char *p, size_t n)
{
    static const char pattern[] = "\ndata:";
    const char *end = p + n;

    while (p < end) {
        if (r->event_match < 0) { /* within a line: on to its end */
            p = memchr(p, '\n', (size_t)(end - p));
            if (!p)
                return;
            p++;
            r->event_match = 1;
        } else if (*p == pattern[r->event_match]) {
            p++;
            if (!pattern[++r->event_match]) {
                r->events++;
                r->event_match = -1;
            }
        } else {
            r->event_match = -1;
        }
    }
}

/* --- head --- */

static void read_field(struct reply *r, const char *line)
{
    if (!strncasecmp(line, "content-length:", 15)) {
        r->framing = BODY_LENGTH;
        r->left = strtoul(line + 15, NULL, 10);
    } else if (!strncasecmp(line, "transfer-encoding: chunked", 26)) {
        r->framing = BODY_CHUNKED;
        r->left = 0;
    } else if (!strncasecmp(line, "connection: close", 17)) {
        r->close = true;
    }
}

static void read_head(struct reply *r)
{
    r->status = atoi(r->head + 9);
    r->close = !strncmp(r->head, "HTTP/1.0", 8);
    for (const char *line = r->head; (line = strchr(line, '\n'));)
        read_field(r, ++line);
    if (r->framing == BODY_TO_CLOSE)
        r->close = true;
    r->in_body = true;
}

/* Gathers the head; returns how many bytes of this piece belong to it, or -1. */
static ssize_t take_head(struct reply *r, const char *p, size_t n)
{
    size_t room = HEAD_MAX - 1 - r->head_n, had = r->head_n;
    size_t take = n < room ? n : room;

    memcpy(r->head + had, p, take);
    r->head_n += take;
    r->head[r->head_n] = 0;
    char *end = memmem(r->head, r->head_n, "\r\n\r\n", 4);
    if (!end)
        return take == room ? -1 : (ssize_t)take;
    end[2] = 0;
    read_head(r);
    return end + 4 - r->head - (ssize_t)had;
}

/* --- body --- */

static int hex_digit(char c)
{
    int lower = c | 32;
    int d = lower >= 'a' ? lower - 'a' + 10 : lower - '0';

    return d < 0 || d > 15 ? -1 : d;
}

static void size_line_ended(struct reply *r)
{
    r->part = r->left ? CHUNK_DATA : CHUNK_TRAILER;
    r->line_n = 0;
}

/* One byte of what stands around chunks. 1: the body has ended; -1: it is broken. */
static int take_framing(struct reply *r, char c)
{
    if (c == '\r')
        return 0;
    if (r->part == CHUNK_SIZE && c != '\n' && c != ';') {
        int d = hex_digit(c);
        r->left = r->left * 16 + (size_t)d;
        return d < 0 ? -1 : 0;
    }
    if (r->part == CHUNK_SIZE && c == ';')
        r->part = CHUNK_EXTENSION;
    if (c != '\n') {
        r->line_n++;
        return 0;
    }
    if (r->part == CHUNK_TRAILER) {
        bool end = !r->line_n;
        r->line_n = 0;
        return end;
    }
    if (r->part == CHUNK_END)
        r->part = CHUNK_SIZE;
    else
        size_line_ended(r);
    return 0;
}

static int take_chunked(struct reply *r, const char *p, size_t n)
{
    while (n) {
        size_t k = 1;
        if (r->part == CHUNK_DATA) {
            k = n < r->left ? n : r->left;
            count_events(r, p, k);
            r->left -= k;
            if (!r->left)
                r->part = CHUNK_END;
        } else {
            int e = take_framing(r, *p);
            if (e)
                return e;
        }
        p += k;
        n -= k;
    }
    return 0;
}

static int take_length(struct reply *r, const char *p, size_t n)
{
    size_t k = n < r->left ? n : r->left;

    count_events(r, p, k);
    r->left -= k;
    return !r->left;
}

int reply_take(struct reply *r, const char *p, size_t n)
{
    r->events = 0;
    if (!r->in_body) {
        ssize_t k = take_head(r, p, n);
        if (k < 0)
            return -1;
        if (!r->in_body)
            return 0;
        p += k;
        n -= (size_t)k;
    }
    if (r->framing == BODY_LENGTH)
        return take_length(r, p, n);
    if (r->framing == BODY_CHUNKED)
        return take_chunked(r, p, n);
    count_events(r, p, n);
    return 0;
}
