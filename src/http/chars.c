/*
 * The classes of each byte. chars_test.c derives the same table from the grammars.
 */
#include "http/chars.h"

enum {
    T = HTTP_CHAR_TOKEN,
    X = HTTP_CHAR_TEXT,
    P = HTTP_CHAR_PATH,
    Q = HTTP_CHAR_QUERY,
    H = HTTP_CHAR_HOST,
    B = HTTP_CHAR_BOUNDARY,
    ALL = T | X | P | Q | H | B
};

const uint8_t http_chars[256] = {
    ['\t'] = X,
    ['0' ... '9'] = ALL,
    ['A' ... 'Z'] = ALL,
    ['a' ... 'z'] = ALL,
    [0x80 ... 0xff] = X,
    [' '] = X | B,
    ['!'] = X | T | P | Q | H,
    ['$'] = X | T | P | Q | H,
    ['&'] = X | T | P | Q | H,
    ['*'] = X | T | P | Q | H,
    ['~'] = X | T | P | Q | H,
    ['"'] = X,
    ['<'] = X,
    ['>'] = X,
    ['\\'] = X,
    ['#'] = X | T,
    ['%'] = X | T,
    ['\''] = ALL,
    ['+'] = ALL,
    ['-'] = ALL,
    ['.'] = ALL,
    ['_'] = ALL,
    ['('] = X | P | Q | H | B,
    [')'] = X | P | Q | H | B,
    [','] = X | P | Q | H | B,
    ['='] = X | P | Q | H | B,
    ['/'] = X | P | Q | B,
    [':'] = X | P | Q | B,
    [';'] = X | P | Q | H,
    ['?'] = X | Q | B,
    ['@'] = X | P | Q,
    ['['] = X | Q,
    [']'] = X | Q,
    ['{'] = X | Q,
    ['}'] = X | Q,
    ['^'] = X | T | Q,
    ['`'] = X | T | Q,
    ['|'] = X | T | Q,
};
