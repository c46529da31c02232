/*
 * Pictures and documents that a request names by URL, for providers that do not fetch URLs
 * themselves: which ones, says translate/fetch.h; here they are fetched and handed over.
 *
 * The address is the caller's, so each dial goes through the guard (net/dial.h), that of a redirect
 * too, and what comes back is bounded in size, time and type. All of a request are fetched at once,
 * at most eight at a time; one that fails ends the call, since a model that does not see a picture
 * would talk about something else.
 *
 * What was fetched stays with the call for further attempts.
 */
#include "gateway/translated_int.h"

#include "providers/provider.h"
#include "runtime/offload.h"
#include "runtime/sync.h"
#include "translate/fetch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define AT_ONCE     8
#define REDIRECTS   3
#define ONE_MAX     (20 * MIB)
#define ALL_MAX     (64 * MIB)
#define FETCH_NS    (10 * NS_PER_S)
#define TLS_WAIT_NS (10 * NS_PER_S)

struct fetch {
    struct canon_fetch *what;
    struct fetches *all;
    const char *why; /* a literal: it failed */
};

struct fetches {
    struct exchange *x;
    struct sem turn;
    struct fetch at[CANON_FETCHES_MAX];
    unsigned n;
    size_t bytes; /* of all that came */
    int64_t deadline;
};

/* --- TLS towards anybody --- */

static struct tls_ctx *own_tls;
static pthread_once_t tls_once = PTHREAD_ONCE_INIT;

static void tls_make(void)
{
    struct tls_client_settings set = {0};
    char err[256];

    if (tls_client_ctx(&set, &own_tls, err, sizeof err) < 0)
        own_tls = NULL;
}

static int tls_work(void *data)
{
    (void)data;
    pthread_once(&tls_once, tls_make);
    return 0;
}

/* The providers' context where that has the system's roots; reading those takes a while. */
static struct tls_ctx *tls_for_all(const struct exchange *x)
{
    const struct config *c = translated_config(x);

    if (c->upstream_tls && !c->upstream_ca && !c->upstream_cert)
        return c->upstream_tls;
    offload_run(tls_work, NULL, NULL, clock_now() + TLS_WAIT_NS);
    return own_tls;
}

/* --- one --- */

static int failed(struct fetch *f, const char *why)
{
    f->why = why;
    return -EREMOTEIO;
}

static bool is_http(struct str url)
{
    return str_istarts(url, STR("https://")) || str_istarts(url, STR("http://"));
}

/* The parts of a URL: where it leads to, and the request target. False when it is none. */
static bool split_url(struct str url, struct upstream *to, struct str *ret_target)
{
    size_t n = str_istarts(url, STR("https://")) ? 8 : 7;
    const char *why;

    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] >= 127)
            return false;
    url = str_split(&url, '#');
    while (n < url.n && url.p[n] != '/' && url.p[n] != '?')
        n++;
    *ret_target = n < url.n ? str_from(url, n) : STR("/");
    return ret_target->p[0] == '/' && ret_target->n <= LIMIT_TARGET_BYTES &&
           upstream_set_base(to, str_to(url, n), &why) >= 0;
}

static int take_reply(struct fetch *f, struct http_call *c, const struct http_head *h)
{
    struct str type = http_get(&h->fields, HTTP_CONTENT_TYPE), body;
    int r;

    type = str_trim(str_split(&type, ';'));
    if (h->status != 200)
        return failed(f, "its server did not answer with 200");
    if (http_has(&h->fields, HTTP_CONTENT_ENCODING))
        return failed(f, "it is sent with a coding that was not asked for");
    r = http_call_read_all(c, ONE_MAX, &body);
    if (r == -EMSGSIZE)
        return failed(f, "it is larger than 20 MiB");
    if (r < 0)
        return failed(f, "it did not come whole");
    f->all->bytes += body.n;
    if (f->all->bytes > ALL_MAX)
        return failed(f, "together they are larger than 64 MiB");
    return canon_fetched(&f->all->x->translated->call, f->what, type, body);
}

/* 1: *url was replaced by where the reply leads to. */
static int redirected(struct fetch *f, const struct http_head *h, struct str *url)
{
    struct str to = http_get_other(&h->fields, STR("location")), at = *url;
    struct arena *a = &f->all->x->translated->arena;
    size_t n = str_istarts(at, STR("https://")) ? 8 : 7;

    if (h->status < 301 || h->status > 308 || !to.n)
        return 0;
    while (n < at.n && at.p[n] != '/' && at.p[n] != '?' && at.p[n] != '#')
        n++;
    if (to.p[0] == '/' && !str_starts(to, STR("//")))
        *url = arena_printf(a, STR_FMT STR_FMT, STR_ARG(str_to(at, n)), STR_ARG(to));
    else
        *url = arena_dup(a, to);
    return is_http(*url) ? 1 : failed(f, "it leads elsewhere than to http or https");
}

static int fetch_at(struct fetch *f, struct str *url)
{
    const struct config *cfg = translated_config(f->all->x);
    struct upstream to = {0};
    struct http_call *c = NULL;
    const struct http_head *h;
    struct error e = {0};
    char errbuf[512];
    struct http_client_request rq = {.method = STR("GET"),
        .fields = STR("accept: image/*, application/pdf, text/plain\r\n"
                      "accept-encoding: identity\r\nuser-agent: smartflow\r\n")};
    int64_t left = f->all->deadline - clock_now();
    struct http_timeouts t = {left, left, left, left, left};

    if (left <= 0)
        return failed(f, "it did not come within 10 seconds");
    if (!is_http(*url) || !split_url(*url, &to, &rq.target))
        return failed(f, "it is no http or https address");
    to.origin.target.tls = to.https ? tls_for_all(f->all->x) : NULL;
    if (to.https && !to.origin.target.tls)
        return failed(f, "TLS is not available");
    to.origin.target.caller_chosen = true;
    to.origin.target.allow = cfg->fetch_allow;
    to.origin.target.proxy = cfg->proxy;
    int r = http_call_start(&to.origin, &rq, &t, &c, &e, errbuf);
    if (r == 0)
        r = http_call_head(c, &h, &e);
    if (r < 0)
        failed(f, str_eq(e.code, STR("address_not_allowed"))
                      ? "its address is internal, and not allowed"
                  : r == -ETIMEDOUT ? "it did not come within 10 seconds"
                                    : "its server cannot be reached");
    else if ((r = redirected(f, h, url)) == 0)
        r = take_reply(f, c, h);
    http_call_end(c);
    return r;
}

static int fetch_one(void *arg)
{
    struct fetch *f = arg;
    struct str url = f->what->url;
    int r = sem_take(&f->all->turn, f->all->deadline), tries = 0;

    if (r < 0)
        return failed(f, "it did not come within 10 seconds");
    do
        r = fetch_at(f, &url);
    while (r == 1 && ++tries <= REDIRECTS);
    if (r == 1)
        r = failed(f, "it leads to another place too often");
    sem_give(&f->all->turn);
    return r;
}

/* --- all of a request --- */

static int run(struct fetches *all, struct canon_fetch *list)
{
    struct group g;
    int r = 0;

    group_init(&g, true);
    for (struct canon_fetch *f = list; f && r == 0; f = f->next) {
        must(all->n < CANON_FETCHES_MAX);
        all->at[all->n] = (struct fetch){.what = f, .all = all};
        r = group_spawn(&g, "media", fetch_one, &all->at[all->n++]);
    }
    int e = group_wait(&g, NEVER_NS);
    return r < 0 ? r : e;
}

static int fetch_all(struct exchange *x, struct canon_fetch *list)
{
    struct translated *t = x->translated;
    struct fetches *all = calloc(1, sizeof *all);
    int r = -ENOMEM;

    if (all) {
        all->x = x;
        all->deadline = clock_now() + FETCH_NS;
        sem_init_n(&all->turn, AT_ONCE);
        t->arena.max += 2 * ALL_MAX;
        r = run(all, list);
    }
    if (r < 0 && co_cancelled())
        gw_client_gone(x);
    for (unsigned i = 0; r < 0 && all && i < all->n; i++)
        if (all->at[i].why)
            canon_fetch_failed(&t->call, all->at[i].what, all->at[i].why);
    free(all);
    return r < 0 ? translated_failed(x, r) : 0;
}

int translated_fetch_media(struct exchange *x)
{
    struct translated *t = x->translated;
    struct canon_fetch *list = NULL;
    int r;

    if (!translated_config(x)->fetch_images)
        return 0; /* the writer says what its dialect cannot take */
    if ((r = canon_fetches(&t->call, t->provider, &t->request, &list)) < 0)
        return translated_failed(x, r);
    return list ? fetch_all(x, list) : 0;
}
