/*
 * Where to connect. libpq reads the URL, but it must not look up names: that blocks its caller. So
 * the names in `host` are looked up here (on the offload pool, cached; on plain threads directly),
 * and libpq gets every address in hostaddr beside its name, which it still checks certificates
 * with. It tries them in their order.
 *
 * GSS encryption is off unless the URL asks for it, as libpq would ask the Kerberos servers
 * blocking.
 */
#include "net/dial.h"
#include "runtime/co.h"
#include "store/postgres_int.h"
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>

#define OPTIONS_MAX 80
#define URL_HELP                                                                                   \
    "the database URL is not understood: postgres://user:password@host:port/database, where "      \
    "special characters of the password are percent-encoded"

/* --- reading --- */

static char *option(const struct pg_url *u, const char *key)
{
    for (PQconninfoOption *o = u->options; o && o->keyword; o++)
        if (strcmp(o->keyword, key) == 0)
            return o->val && o->val[0] ? o->val : NULL;
    return NULL;
}

static bool is_postgres_url(const char *url)
{
    return strncmp(url, "postgres://", 11) == 0 || strncmp(url, "postgresql://", 13) == 0;
}

/* A password with an '@' or '/' in it is cut into host and port, which errors would then show. */
static bool is_sound(const char *host, const char *port)
{
    return (!host || !strchr(host, '@')) && (!port || !port[strspn(port, "0123456789,")]);
}

int pg_url_parse(struct pg_url *u, const struct secret *url, char *err)
{
    char *text = str_dup(secret_reveal(url)), *why = NULL;
    if (!text)
        return -ENOMEM;
    u->options = is_postgres_url(text) ? pq.PQconninfoParse(text, &why) : NULL;
    mem_wipe(text, strlen(text));
    free(text);
    pq.PQfreemem(why); /* quotes the URL, and with it the password */
    const char *host = option(u, "host");
    if (!u->options || !is_sound(host, option(u, "port")))
        store_say(err, URL_HELP);
    else if (!host && !option(u, "hostaddr"))
        store_say(err, "the database URL names no host");
    else
        return 0;
    return -EINVAL;
}

void pg_url_free(struct pg_url *u)
{
    if (!u->options)
        return; /* and maybe no libpq either */
    char *password = option(u, "password");
    if (password)
        mem_wipe(password, strlen(password));
    pq.PQconninfoFree(u->options);
    u->options = NULL;
}

/* --- looking up --- */

struct lists { /* what libpq reads by commas, one entry per address */
    struct buf hosts, addrs, ports;
    unsigned n;
};

static void lists_free(struct lists *l)
{
    buf_free(&l->hosts);
    buf_free(&l->addrs);
    buf_free(&l->ports);
}

static void add_one(struct lists *l, struct str host, struct str addr, struct str port)
{
    if (l->n++ > 0) {
        buf_addc(&l->hosts, ',');
        buf_addc(&l->addrs, ',');
        buf_addc(&l->ports, ',');
    }
    buf_addstr(&l->hosts, host);
    buf_addstr(&l->addrs, addr);
    buf_addstr(&l->ports, port);
}

static int look_up_blocking(struct str host, struct net_addr *out, unsigned max)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char *name = str_dup(host);
    int r = name && getaddrinfo(name, NULL, &hints, &list) == 0 ? 0 : -ENOENT;
    for (struct addrinfo *i = list; i && r < (int)max; i = i->ai_next)
        if (i->ai_addrlen <= sizeof(out->in6)) {
            out[r].len = i->ai_addrlen;
            memcpy(&out[r++].in6, i->ai_addr, i->ai_addrlen);
        }
    if (list)
        freeaddrinfo(list);
    free(name);
    return r;
}

static int look_up(struct str host, struct net_addr *out, unsigned max, int64_t deadline)
{
    if (net_addr_parse(host, 0, out))
        return 1;
    return co_self() ? dial_resolve(host, 0, out, max, deadline) : look_up_blocking(host, out, max);
}

static struct str bare_addr(const struct net_addr *a, char out[static 64])
{
    out[0] = '\0';
    (void)getnameinfo(&a->sa, a->len, out, 64, NULL, 0, NI_NUMERICHOST);
    return str_of(out);
}

static int add_host(struct lists *l, struct str host, struct str port, int64_t deadline, char *err)
{
    if (host.n > 0 && host.p[0] == '/') { /* the folder of a unix socket */
        add_one(l, host, STR(""), port);
        return 0;
    }
    struct net_addr addrs[PG_ADDRS_MAX];
    int n = look_up(host, addrs, PG_ADDRS_MAX, deadline);
    if (n == -ETIMEDOUT || n == -ECANCELED)
        return n;
    if (n <= 0) {
        store_say(err, "the database's host " STR_FMT " has no address", STR_ARG(host));
        return 0; /* another one of the list may have */
    }
    for (int i = 0; i < n && l->n < PG_ADDRS_MAX; i++) {
        char text[64];
        add_one(l, host, bare_addr(&addrs[i], text), port);
    }
    return 0;
}

static int look_up_all(const struct pg_url *u, struct lists *l, int64_t deadline, char *err)
{
    struct str hosts = str_of(option(u, "host")), ports = str_of(option(u, "port"));
    bool one_port = str_chr(ports, ',') < 0;
    while (hosts.n > 0) {
        struct str host = str_split(&hosts, ',');
        int r = add_host(l, host, one_port ? ports : str_split(&ports, ','), deadline, err);
        if (r < 0)
            return r;
    }
    buf_addc(&l->hosts, '\0');
    buf_addc(&l->addrs, '\0');
    buf_addc(&l->ports, '\0');
    if (l->hosts.err || l->addrs.err || l->ports.err)
        return -ENOMEM;
    return l->n > 0 ? 0 : -EHOSTDOWN;
}

/* --- starting --- */

struct options {
    const char *keys[OPTIONS_MAX + 1], *values[OPTIONS_MAX + 1];
    unsigned n;
};

static void set(struct options *o, const char *key, const char *value)
{
    if (!value || o->n == OPTIONS_MAX)
        return;
    for (unsigned i = 0; i < o->n; i++)
        if (strcmp(o->keys[i], key) == 0)
            return; /* the first stands */
    o->keys[o->n] = key;
    o->values[o->n++] = value;
}

static PGconn *start(const struct pg_url *u, const struct lists *l)
{
    struct options *o = calloc(1, sizeof *o); /* too large for a coroutine's stack */
    if (!o)
        return NULL;
    if (l->n > 0) {
        set(o, "host", l->hosts.p);
        set(o, "hostaddr", l->addrs.p);
        if (l->ports.p[0])
            set(o, "port", l->ports.p);
    }
    for (PQconninfoOption *i = u->options; i->keyword; i++)
        if (i->val && i->val[0])
            set(o, i->keyword, i->val);
    set(o, "gssencmode", "disable");
    set(o, "fallback_application_name", "smartflow");
    set(o, "client_encoding", "UTF8");
    set(o, "keepalives_idle", "30");
    set(o, "keepalives_interval", "10");
    PGconn *pg = pq.PQconnectStartParams(o->keys, o->values, 0);
    free(o);
    return pg;
}

int pg_url_start(const struct pg_url *u, int64_t deadline, PGconn **ret, char *err)
{
    _cleanup_(lists_free) struct lists l = {.n = 0};
    buf_init(&l.hosts, 64 * 1024);
    buf_init(&l.addrs, 64 * 1024);
    buf_init(&l.ports, 64 * 1024);
    int r = option(u, "hostaddr") ? 0 : look_up_all(u, &l, deadline, err);
    if (r < 0)
        return r;
    *ret = start(u, &l);
    return *ret ? 0 : -ENOMEM;
}
