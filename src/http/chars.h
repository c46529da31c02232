/*
 * The character classes of RFC 9110 and RFC 3986 that the parsers of this folder share, as one
 * table of bits per byte.
 */
#ifndef SF_HTTP_CHARS_H
#define SF_HTTP_CHARS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    HTTP_CHAR_TOKEN = 1,    /* tchar */
    HTTP_CHAR_TEXT = 2,     /* HTAB, SP, VCHAR, obs-text: what a field value may hold */
    HTTP_CHAR_PATH = 4,     /* pchar without '%', and '/' */
    HTTP_CHAR_QUERY = 8,    /* what browsers leave unescaped in a query, without '%' */
    HTTP_CHAR_HOST = 16,    /* reg-name without '%' */
    HTTP_CHAR_BOUNDARY = 32 /* bchars of RFC 2046 */
};

extern const uint8_t http_chars[256];

static inline bool http_is(unsigned char c, unsigned classes)
{
    return http_chars[c] & classes;
}

static inline bool http_is_token(unsigned char c)
{
    return http_is(c, HTTP_CHAR_TOKEN);
}

static inline bool http_is_text(unsigned char c)
{
    return http_is(c, HTTP_CHAR_TEXT);
}

/* The value of a hex digit of either case, or -1. */
static inline int http_hex(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

#endif
