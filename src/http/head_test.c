/*
 * Heads, good and evil, as tables of bytes and verdicts; then properties over all of them: a head
 * that is not whole yet is never taken, what follows a head changes nothing, and every view lies
 * inside the head.
 */
#include "base/tap.h"
#include "http/head.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define N    HTTP_BODY_NONE
#define L    HTTP_BODY_LENGTH
#define C    HTTP_BODY_CHUNKED
#define EOF_ HTTP_BODY_TO_EOF
#define R(t) STR_INIT(t) /* request or response bytes */

enum { HEAD_ASKED = 1, KEEP = 2, UPGRADE = 4, EXPECT = 8 };

static const struct good {
    struct str bytes;
    enum http_framing framing;
    uint64_t length;
    unsigned flags;
    struct str path, query;
} good_requests[] = {
    {R("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), N, 0, KEEP, R("/"), {0}},
    {R("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), N, 0, KEEP, R("/"), {0}},
    {R("GET / HTTP/1.0\r\n\r\n"), N, 0, 0, R("/"), {0}},
    {R("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), N, 0, KEEP, R("/"), {0}},
    {R("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"), N, 0, 0, R("/"), {0}},
    {R("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"), N, 0, 0,
        R("/"), {0}},
    {R("GET / HTTP/1.1\r\nConnection: closed\r\nHost:a:80\r\n\r\n"), N, 0, KEEP, R("/"), {0}},
    {R("POST /v1/x?key=1&b HTTP/1.1\r\nhost: a.b\r\ncontent-length: 5\r\n\r\n"), L, 5, KEEP,
        R("/v1/x"), R("key=1&b")},
    {R("POST /? HTTP/1.1\r\nhost: a\r\nCONTENT-LENGTH:0\r\n\r\n"), L, 0, KEEP, R("/"), R("")},
    {R("POST / HTTP/1.1\r\nhost: a\r\nContent-Length: 00042 \r\n\r\n"), L, 42, KEEP, R("/"), {0}},
    {R("POST / HTTP/1.1\r\nhost: a\r\nContent-Length: 9223372036854775807\r\n\r\n"), L, INT64_MAX,
        KEEP, R("/"), {0}},
    {R("POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), C, 0, KEEP, R("/"),
        {0}},
    {R("POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n"),
        C, 0, KEEP | EXPECT, R("/"), {0}},
    {R("POST / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"), L, 3, 0, R("/"),
        {0}},
    {R("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "
       "websocket\r\n\r\n"),
        N, 0, KEEP | UPGRADE, R("/ws"), {0}},
    {R("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"), N, 0, KEEP, R("/ws"), {0}},
    {R("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), N, 0, KEEP, R("*"), {0}},
    {R("GET http://A.b:8080/p?q HTTP/1.1\r\nHost: a.B:8080\r\n\r\n"), N, 0, KEEP, R("/p"), R("q")},
    {R("GET https://a HTTP/1.1\r\nHost: a\r\n\r\n"), N, 0, KEEP, R("/"), {0}},
    {R("GET http://[::1]:1?q HTTP/1.1\r\nHost: [::1]:1\r\n\r\n"), N, 0, KEEP, R("/"), R("q")},
    {R("GET /v1beta/models/gemini-1.5:generate%2Fx?a[]=1&b={|} HTTP/1.1\r\nHost: [::1]\r\n\r\n"), N,
        0, KEEP, R("/v1beta/models/gemini-1.5:generate%2Fx"), R("a[]=1&b={|}")},
    {R("GET / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Text: \xc3\xa4\tb \x80\r\n\r\n"), N, 0, KEEP,
        R("/"), {0}},
    {R("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"), N, 0, KEEP, R("/"), {0}},
    {R("GET // HTTP/1.1\r\nHost: a_b.c\r\n\r\n"), N, 0, KEEP, R("//"), {0}},
};

static const struct good good_responses[] = {
    {R("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), L, 5, KEEP, {0}, {0}},
    {R("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), N, 5, KEEP | HEAD_ASKED, {0}, {0}},
    {R("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), C, 0, KEEP, {0}, {0}},
    {R("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"), C, 0, 0, {0},
        {0}},
    {R("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), N, 0, KEEP | HEAD_ASKED, {0}, {0}},
    {R("HTTP/1.1 200 OK\r\n\r\n"), EOF_, 0, 0, {0}, {0}},
    {R("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n"), EOF_, 0, 0, {0}, {0}},
    {R("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"), L, 1, 0, {0}, {0}},
    {R("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n"), L, 1, KEEP, {0},
        {0}},
    {R("HTTP/1.1 204 No Content\r\n\r\n"), N, 0, KEEP, {0}, {0}},
    {R("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n"), N, 7, KEEP, {0}, {0}},
    {R("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"), N, 7, KEEP, {0}, {0}},
    {R("HTTP/1.1 100 Continue\r\n\r\n"), N, 0, KEEP, {0}, {0}},
    {R("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"), N, 0, KEEP, {0}, {0}},
    {R("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), N, 0,
        KEEP | UPGRADE, {0}, {0}},
    {R("HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n"), L, 0, KEEP, {0}, {0}},
    {R("HTTP/1.1 200 gr\xfc\xdf dich\r\nContent-Length: 0\r\n\r\n"), L, 0, KEEP, {0}, {0}},
};

#define TCHARS "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define GET    "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST   "POST / HTTP/1.1\r\nHost: a\r\n"

static const struct evil {
    struct str bytes;
    int verdict;
} evil_requests[] = {
    /* two framings, or a doubtful one */
    {R(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: 5, 5\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: 5,6\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: +5\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: -5\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: 0x5\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: 5 6\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: 5;\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: 1e3\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: 1_0\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: five\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length:\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: 9223372036854775808\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: 18446744073709551616\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length: 99999999999999999999999999\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: gzip\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: chunked, gzip\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: chunked,\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: ,chunked\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: identity\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: xchunked\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: chunkedx\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: chunked;q=1\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding: \x0b"
            "chunked\r\n\r\n"),
        -EINVAL},
    {R(POST "Transfer-Encoding:\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding :chunked\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding\t: chunked\r\n\r\n"), -EINVAL},
    {R(POST "Transfer-Encoding\r\n: chunked\r\n\r\n"), -EINVAL},
    {R(POST "Content-Length : 5\r\n\r\n"), -EINVAL},
    {R(POST " Content-Length: 5\r\n\r\n"), -EINVAL},
    {R(POST "X: a\rTransfer-Encoding: chunked\r\n\r\n"), -EINVAL},
    {R(POST "X: a\nTransfer-Encoding: chunked\r\n\r\n"), -EINVAL},
    {R("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), -EINVAL},
    {R("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
        -EINVAL},
    /* lines and bytes */
    {R(GET "X: a\r\n b\r\n\r\n"), -EINVAL},
    {R(GET "X: a\r\n\tb\r\n\r\n"), -EINVAL},
    {R(GET "X:\r\n \r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\nHost: a\n\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: a\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: a\r\n\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\rHost: a\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"), -EINVAL},
    {R(GET ": empty\r\n\r\n"), -EINVAL},
    {R(GET "X\r\n\r\n"), -EINVAL},
    {R(GET "X Y: 1\r\n\r\n"), -EINVAL},
    {R(GET "X\x01: 1\r\n\r\n"), -EINVAL},
    {R(GET "X\0: 1\r\n\r\n"), -EINVAL},
    {R(GET "X\xc3\xa4: 1\r\n\r\n"), -EINVAL},
    {R(GET "X(: 1\r\n\r\n"), -EINVAL},
    {R(GET "\"X\": 1\r\n\r\n"), -EINVAL},
    {R(GET "X: a\0b\r\n\r\n"), -EINVAL},
    {R(GET "X: a\x01\r\n\r\n"), -EINVAL},
    {R(GET "X: a\x1b[31m\r\n\r\n"), -EINVAL},
    {R(GET "X: a\x7f\r\n\r\n"), -EINVAL},
    {R("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("\xef\xbb\xbfGET / HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("\x16\x03\x01\x02"), -EINVAL},
    /* the request line */
    {R("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /\r\n\r\n"), -EINVAL},
    {R("GET / http/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET / HTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1x\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/11\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), -EPROTONOSUPPORT},
    {R("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), -EPROTONOSUPPORT},
    {R("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), -EPROTONOSUPPORT},
    {R("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), -EPROTONOSUPPORT},
    {R("get / HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GETX / HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), -EINVAL},
    /* the target */
    {R("GET x HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET ?q HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /a?b#c HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /a?b\\c HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /a\"b HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /a<b> HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /a% HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /a%4 HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /?a=%g0 HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /a\0 HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET /a\x7f HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET http://a:99999/ HTTP/1.1\r\nHost: a:99999\r\n\r\n"), -EINVAL},
    /* the host */
    {R("GET / HTTP/1.1\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost:\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: a:\x62\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: []\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: [a%eth0]\r\n\r\n"), -EINVAL},
    {R("GET / HTTP/1.1\r\nHost: a\xc3\xa4\r\n\r\n"), -EINVAL},
};

static const struct evil evil_responses[] = {
    {R("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), -EINVAL},
    {R("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 200 OK\nX: a\n\n"), -EINVAL},
    {R("HTTP/1.1 200 O\x01K\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 200 O\0K\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 099 X\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 600 X\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 20 X\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 2000 X\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1  200 X\r\n\r\n"), -EINVAL},
    {R("HTTP/1.1 -20 X\r\n\r\n"), -EINVAL},
    {R("HTTP/2.0 200 OK\r\n\r\n"), -EPROTONOSUPPORT},
    {R("ICY 200 OK\r\n\r\n"), -EINVAL},
    {R("http/1.1 200 OK\r\n\r\n"), -EINVAL},
    {R("\r\nHTTP/1.1 200 OK\r\n\r\n"), -EINVAL},
    {R("SSH-2.0-OpenSSH"), -EINVAL},
};

static struct http_field room[LIMIT_HEADERS];

/* Parses a copy of exactly n bytes on the heap, so that the sanitizer sees a read beyond. */
static ptrdiff_t parse(
    struct str s, bool request, bool head_asked, struct http_head *ret, const char **ret_why)
{
    static char *copy;
    free(copy);
    copy = malloc(s.n ? s.n : 1);
    memcpy(copy, s.p, s.n);
    struct str bytes = str_at(copy, s.n);
    return request ? http_parse_request(bytes, room, LIMIT_HEADERS, ret, ret_why)
                   : http_parse_response(bytes, head_asked, room, LIMIT_HEADERS, ret, ret_why);
}

static bool matches(const struct good *g, const struct http_head *h)
{
    return h->framing == g->framing && h->content_length == g->length &&
           h->keep_alive == !!(g->flags & KEEP) && h->upgrade == !!(g->flags & UPGRADE) &&
           h->expect_continue == !!(g->flags & EXPECT) && str_eq(h->path, g->path) &&
           str_eq(h->query, g->query) && !h->query.p == !g->query.p;
}

static void check_good(const struct good *g, bool request)
{
    struct http_head h;
    const char *why;
    for (size_t n = 0; n < g->bytes.n; n++) {
        if (parse(str_to(g->bytes, n), request, g->flags & HEAD_ASKED, &h, &why) != 0)
            tap_fail(
                __FILE__, __LINE__, "%.*s: the first %zu bytes: %s", STR_ARG(g->bytes), n, why);
    }
    ptrdiff_t n = parse(g->bytes, request, g->flags & HEAD_ASKED, &h, &why);
    if (n != (ptrdiff_t)g->bytes.n || h.bytes != g->bytes.n || !matches(g, &h))
        tap_fail(__FILE__, __LINE__, "%.*s: %td %s", STR_ARG(g->bytes), n, why);
}

static void test_good(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(good_requests); i++)
        check_good(&good_requests[i], true);
    for (unsigned i = 0; i < ARRAY_LEN(good_responses); i++)
        check_good(&good_responses[i], false);
}

/* What stands behind a head does not matter, even if it looks like more of it. */
static void test_good_with_rest(void)
{
    static const char *const rests[] = {"X: 1\r\n\r\n", " folded\r\n", "\n", "\r\n", "\x01\0"};
    for (unsigned i = 0; i < ARRAY_LEN(good_requests); i++) {
        for (unsigned k = 0; k < ARRAY_LEN(rests); k++) {
            _cleanup_(buf_free) struct buf b;
            struct http_head h;
            const char *why;
            buf_init(&b, 4096);
            buf_addstr(&b, good_requests[i].bytes);
            buf_addstr(&b, str_of(rests[k]));
            CHECK_EQ(parse(buf_str(&b), true, false, &h, &why), good_requests[i].bytes.n);
            CHECK(matches(&good_requests[i], &h));
        }
    }
}

static void check_evil(const struct evil *e, bool request)
{
    struct http_head h;
    const char *why = NULL;
    ptrdiff_t n = parse(e->bytes, request, false, &h, &why);
    if (n != e->verdict || !why || !*why)
        tap_fail(__FILE__, __LINE__, "%.*s: %td, wanted %d", STR_ARG(e->bytes), n, e->verdict);
    for (size_t cut = 0; cut < e->bytes.n; cut++) {
        n = parse(str_to(e->bytes, cut), request, false, &h, &why);
        if (n > 0)
            tap_fail(__FILE__, __LINE__, "%.*s: taken after %zu", STR_ARG(e->bytes), cut);
    }
}

static void test_evil(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(evil_requests); i++)
        check_evil(&evil_requests[i], true);
    for (unsigned i = 0; i < ARRAY_LEN(evil_responses); i++)
        check_evil(&evil_responses[i], false);
}

/* No single byte can stand in a field's name or value, or in the path, that its grammar forbids. */
static void test_every_byte(void)
{
    for (unsigned c = 0; c < 256; c++) {
        char name[] = GET "Xx: ab\r\n\r\n", value[] = GET "Xx: ab\r\n\r\n";
        char path[] = "GET /ab HTTP/1.1\r\nHost: a\r\n\r\n";
        size_t at = sizeof(GET) - 1;
        struct http_head h;
        const char *why;
        name[at + 1] = value[at + 4] = path[5] = (char)c;
        bool token = c && strchr(TCHARS, (int)c);
        CHECK_EQ(
            parse(str_at(name, sizeof(name) - 1), true, false, &h, &why) > 0, token || c == ':');
        CHECK_EQ(parse(str_at(value, sizeof(value) - 1), true, false, &h, &why) > 0,
            c == '\t' || (c >= 0x20 && c != 0x7f));
        bool in_path = c > 0x20 && c < 0x7f && !strchr("\"#%<>[\\]^`{|}", (int)c);
        CHECK_EQ(parse(str_at(path, sizeof(path) - 1), true, false, &h, &why) > 0, in_path);
    }
}

static void test_golden_request(void)
{
    struct http_head h;
    const char *why;
    struct str s = STR("POST /v1/chat?x=1 HTTP/1.1\r\nHost: api\r\nX-A: \t one \t\r\nX-B:\r\n"
                       "Authorization: Bearer k\r\nx-a:two\r\nContent-Length: 3\r\n\r\nabc");
    CHECK_EQ(parse(s, true, false, &h, &why), s.n - 3);
    CHECK_EQ(h.method, HTTP_POST);
    CHECK_STR(h.method_text, STR("POST"));
    CHECK_STR(h.target, STR("/v1/chat?x=1"));
    CHECK_EQ(h.minor, 1);
    CHECK_EQ(h.fields.n, 6);
    CHECK_STR(h.fields.at[1].name, STR("X-A"));
    CHECK_STR(h.fields.at[1].value, STR("one"));
    CHECK_STR(h.fields.at[2].value, STR(""));
    CHECK_EQ(h.fields.at[3].id, HTTP_AUTHORIZATION);
    CHECK_STR(http_get(&h.fields, HTTP_AUTHORIZATION), STR("Bearer k"));
    CHECK_STR(http_get_other(&h.fields, STR("x-A")), STR("one"));
    CHECK_STR(http_get(&h.fields, HTTP_CONTENT_LENGTH), STR("3"));
    CHECK(!http_has(&h.fields, HTTP_OTHER));
}

static void test_golden_response(void)
{
    struct http_head h;
    const char *why;
    struct str s = STR("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n"
                       "content-length: 2\r\nVia: 1.1 a\r\nVia: 1.1 b\r\n\r\n{}");
    CHECK_EQ(parse(s, false, false, &h, &why), s.n - 2);
    CHECK_EQ(h.status, 429);
    CHECK_STR(h.reason, STR("Too Many Requests"));
    CHECK_STR(http_get(&h.fields, HTTP_RETRY_AFTER), STR("7"));
    CHECK_EQ(http_count(&h.fields, HTTP_VIA), 2);
    CHECK_EQ(h.content_length, 2);
}

static void test_methods(void)
{
    static const struct {
        const char *text;
        enum http_method method;
    } methods[] = {{"GET", HTTP_GET}, {"HEAD", HTTP_HEAD}, {"POST", HTTP_POST}, {"PUT", HTTP_PUT},
        {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE}, {"OPTIONS", HTTP_OPTIONS},
        {"TRACE", HTTP_METHOD_OTHER}, {"LOCK", HTTP_METHOD_OTHER}, {"MKCOL", HTTP_METHOD_OTHER}};
    for (unsigned i = 0; i < ARRAY_LEN(methods); i++) {
        char text[64];
        struct http_head h;
        const char *why;
        snprintf(text, sizeof(text), "%s /x HTTP/1.1\r\nHost: a\r\n\r\n", methods[i].text);
        CHECK(parse(str_of(text), true, false, &h, &why) > 0);
        CHECK_EQ(h.method, methods[i].method);
        CHECK_STR(h.method_text, str_of(methods[i].text));
    }
}

static ptrdiff_t parse_with_fields(unsigned n, struct http_head *h)
{
    _cleanup_(buf_free) struct buf b;
    const char *why;
    buf_init(&b, LIMIT_HEAD_BYTES);
    buf_addstr(&b, STR("GET / HTTP/1.1\r\nHost: a\r\n"));
    for (unsigned i = 1; i < n; i++)
        buf_printf(&b, "X-%u: %u\r\n", i, i);
    buf_addstr(&b, STR("\r\n"));
    return parse(buf_str(&b), true, false, h, &why);
}

static void test_number_of_fields(void)
{
    struct http_head h;
    CHECK(parse_with_fields(LIMIT_HEADERS, &h) > 0);
    CHECK_EQ(h.fields.n, LIMIT_HEADERS);
    CHECK_STR(h.fields.at[LIMIT_HEADERS - 1].value, STR("127"));
    CHECK_EQ(parse_with_fields(LIMIT_HEADERS + 1, &h), -E2BIG);
}

static ptrdiff_t parse_with_target(size_t n, bool whole)
{
    _cleanup_(buf_free) struct buf b;
    struct http_head h;
    const char *why;
    buf_init(&b, LIMIT_HEAD_BYTES);
    buf_addstr(&b, STR("GET /"));
    for (size_t i = 1; i < n; i++)
        buf_addc(&b, 'x');
    if (whole)
        buf_addstr(&b, STR(" HTTP/1.1\r\nHost: a\r\n\r\n"));
    return parse(buf_str(&b), true, false, &h, &why);
}

static void test_length_of_target(void)
{
    CHECK(parse_with_target(LIMIT_TARGET_BYTES, true) > 0);
    CHECK_EQ(parse_with_target(LIMIT_TARGET_BYTES + 1, true), -E2BIG);
    CHECK_EQ(parse_with_target(LIMIT_TARGET_BYTES, false), 0);
    CHECK_EQ(parse_with_target(LIMIT_TARGET_BYTES + 100, false), -E2BIG);
}

static void test_percent_decode(void)
{
    char out[32];
    CHECK_EQ(http_percent_decode(STR("a%2Fb%c3%A4+"), out), 6);
    CHECK_STR(str_at(out, 6), STR("a/b\xc3\xa4+"));
    CHECK_EQ(http_percent_decode(STR(""), out), 0);
    CHECK_EQ(http_percent_decode(STR("%"), out), -EINVAL);
    CHECK_EQ(http_percent_decode(STR("a%2"), out), -EINVAL);
    CHECK_EQ(http_percent_decode(STR("%2x"), out), -EINVAL);
    CHECK_EQ(http_percent_decode(STR("% 2"), out), -EINVAL);
    CHECK_EQ(http_percent_decode(STR("%00"), out), -EINVAL);
}

static void test_query(void)
{
    struct str q = STR("key=a%20b&flag&empty=&key=2&k=x=y");
    CHECK_STR(http_query_get(q, STR("key")), STR("a%20b"));
    CHECK_STR(http_query_get(q, STR("k")), STR("x=y"));
    CHECK(http_query_get(q, STR("flag")).p != NULL);
    CHECK_EQ(http_query_get(q, STR("flag")).n, 0);
    CHECK(http_query_get(q, STR("empty")).p != NULL);
    CHECK(http_query_get(q, STR("ke")).p == NULL);
    CHECK(http_query_get(STR(""), STR("a")).p == NULL);
    CHECK(http_query_get(STR_NONE, STR("a")).p == NULL);
}

int main(void)
{
    TAP_RUN(test_good);
    TAP_RUN(test_good_with_rest);
    TAP_RUN(test_evil);
    TAP_RUN(test_every_byte);
    TAP_RUN(test_golden_request);
    TAP_RUN(test_golden_response);
    TAP_RUN(test_methods);
    TAP_RUN(test_number_of_fields);
    TAP_RUN(test_length_of_target);
    TAP_RUN(test_percent_decode);
    TAP_RUN(test_query);
    return tap_done();
}
