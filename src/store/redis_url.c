/*
 * redis[s]://[user:password@]host:port[/db], as redis-cli -u takes it: user and password
 * percent-encoded, the port 6379 and the database 0 where they are left out. Errors never show the
 * URL, as it holds a password.
 */
#include "crypto/encode.h"
#include "store/redis_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int bad(char *err, size_t err_n, const char *what)
{
    snprintf(err, err_n, "REDIS_URL: %s; wanted redis[s]://[user:password@]host:port[/db]", what);
    return -EINVAL;
}

static int set_decoded(struct secret *out, struct str s)
{
    char text[512];
    size_t n = 0;
    if (s.n > sizeof text)
        return -EINVAL;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            text[n++] = s.p[i];
            continue;
        }
        if (i + 2 >= s.n || hex_decode(str_at(s.p + i + 1, 2), &text[n]) != 1)
            return -EINVAL;
        n++;
        i += 2;
    }
    int r = secret_set(out, str_at(text, n));
    mem_wipe(text, sizeof text);
    return r;
}

static int parse_login(struct redis *r, struct str login)
{
    struct str user = str_split(&login, ':');
    if (!login.p) { /* without a colon: a password, as redis-cli has it */
        login = user;
        user = STR_NONE;
    }
    int e = set_decoded(&r->user, user);
    return e < 0 ? e : set_decoded(&r->password, login);
}

/* host, host:port or [host]:port */
static int parse_place(struct redis *r, struct str place)
{
    struct str host = place, port = STR_NONE;
    uint64_t number = 6379;
    if (place.n > 0 && place.p[0] == '[') {
        ptrdiff_t end = str_chr(place, ']');
        if (end < 0)
            return -EINVAL;
        host = str_at(place.p + 1, (size_t)end - 1);
        port = str_from(place, (size_t)end + 1);
        if (port.n > 0 && port.p[0] != ':')
            return -EINVAL;
        port = str_from(port, 1);
    } else {
        host = str_split(&place, ':');
        port = place;
    }
    if (host.n == 0 || host.n > 253)
        return -EINVAL;
    if (port.n > 0 && (str_u64(port, &number) < 0 || number == 0 || number > 65535))
        return -EINVAL;
    r->port = (uint16_t)number;
    r->host = str_dup(host);
    return r->host ? 0 : -ENOMEM;
}

static ptrdiff_t last_at(struct str s)
{
    ptrdiff_t i = (ptrdiff_t)s.n - 1;
    while (i >= 0 && s.p[i] != '@')
        i--;
    return i;
}

int redis_url_parse(struct redis *r, struct str url, char *err, size_t err_n)
{
    uint64_t db = 0;
    if (str_istarts(url, STR("rediss://"))) {
        r->secure = true;
        url = str_from(url, 9);
    } else if (str_istarts(url, STR("redis://"))) {
        url = str_from(url, 8);
    } else {
        return bad(err, err_n, "does not begin with redis:// or rediss://");
    }
    ptrdiff_t at = last_at(url);
    if (at >= 0 && parse_login(r, str_to(url, (size_t)at)) < 0)
        return bad(err, err_n, "user or password cannot be read");
    url = str_from(url, (size_t)(at + 1));
    struct str place = str_split(&url, '/');
    if (parse_place(r, place) < 0)
        return bad(err, err_n, "host or port cannot be read");
    if (url.n > 0 && (str_u64(url, &db) < 0 || db > 65535))
        return bad(err, err_n, "the database is not a number");
    r->db = (unsigned)db;
    return 0;
}
