/*
 * The thread of the references, and how others reach it: a job lies on the stack of who asks, is
 * posted to the thread's loop, runs there as a coroutine, and wakes the asking thread at its end.
 * Before the program's offload pool runs (at start, and in `config check`) a job that is the only
 * one brings a small one of its own, as names are looked up there.
 */
#include "vault/refs_int.h"

#include "runtime/offload.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOP_INDEX 1000 /* none of the program's */

void ref_say(char *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(err, REF_ERROR_N, fmt, ap);
    va_end(ap);
}

bool refs_is_one(struct str value)
{
    return str_starts(value, STR("vault:")) || str_starts(value, STR("aws-sm:"));
}

/* --- the environment --- */

static bool is_ours(struct str name)
{
    return str_starts(name, STR("VAULT_")) || str_starts(name, STR("AWS_")) ||
           str_ieq(name, STR("HTTPS_PROXY")) || str_ieq(name, STR("HTTP_PROXY")) ||
           str_ieq(name, STR("NO_PROXY"));
}

static int take_env(struct secret_refs *r, char *const *env)
{
    for (; *env; env++) {
        struct str value = str_of(*env), name = str_split(&value, '=');
        if (!is_ours(name) || !value.n)
            continue;
        char *own = str_dup(str_of(*env));
        if (!own || map_put(&r->env, str_at(own, name.n), own, NULL) < 0) {
            free(own);
            return -ENOMEM;
        }
    }
    return 0;
}

struct str ref_env(struct secret_refs *r, const char *name)
{
    struct str key = str_of(name);
    const char *own = map_get(&r->env, key);

    return own ? str_of(own + key.n + 1) : STR_NONE;
}

static struct str either(struct secret_refs *r, const char *a, const char *b)
{
    struct str v = ref_env(r, a);

    return v.n ? v : ref_env(r, b);
}

int secret_from_file(const char *path, struct secret *ret)
{
    char *text = malloc(LIMIT_SECRET_FILE + 1);
    int fd = text ? open(path, O_RDONLY | O_CLOEXEC) : -1, r = fd < 0 ? -errno : 0;
    size_t n = 0;

    while (r == 0 && n <= LIMIT_SECRET_FILE) {
        ssize_t got = read(fd, text + n, LIMIT_SECRET_FILE + 1 - n);
        if (got <= 0) {
            r = got < 0 ? -errno : 0;
            break;
        }
        n += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    struct str value = str_trim(str_at(text, n));
    if (r == 0)
        r = n > LIMIT_SECRET_FILE ? -EMSGSIZE : value.n ? secret_set(ret, value) : -ENODATA;
    if (text)
        mem_wipe(text, n);
    free(text);
    return r;
}

int ref_setting(struct secret_refs *r, const char *name, struct secret *ret, char *err)
{
    char file_name[64];

    snprintf(file_name, sizeof file_name, "%s_FILE", name);
    struct str value = ref_env(r, name), file = ref_env(r, file_name);
    if (value.n && file.n) {
        ref_say(err, "%s and %s are both set: which one counts?", name, file_name);
        return -EINVAL;
    }
    if (value.n)
        return secret_set(ret, value) < 0 ? -ENOMEM : 1;
    if (!file.n)
        return 0;
    int e = secret_from_file(file.p, ret);
    if (e < 0)
        ref_say(err, "%s: cannot read %.150s: %s", file_name, file.p, strerror(-e));
    return e < 0 ? e : 1;
}

/* --- making and ending --- */

int refs_new(char *const *env, struct secret_refs **ret)
{
    struct secret_refs *r = calloc(1, sizeof *r);

    if (!r)
        return -ENOMEM;
    map_init(&r->env);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->may_end, NULL);
    sem_init_n(&r->token.busy, 1);
    r->token.due = NEVER_NS;
    event_init(&r->more);
    *ret = r;
    int e = take_env(r, env);
    if (e == 0) /* what is wrong with a proxy's address is the configuration's to say */
        (void)dial_proxy_parse(either(r, "HTTPS_PROXY", "https_proxy"),
            either(r, "HTTP_PROXY", "http_proxy"), either(r, "NO_PROXY", "no_proxy"), &r->proxy);
    if (e < 0)
        refs_free(r);
    return e;
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(loop_self());
}

void refs_stop(struct secret_refs *r)
{
    if (r && r->started && !r->stopped) {
        r->stopped = true;
        must(loop_post(r->loop, stop, NULL) == 0);
    }
}

static void end_thread(struct secret_refs *r)
{
    refs_stop(r);
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    pthread_cond_broadcast(&r->may_end);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
}

void refs_free(struct secret_refs *r)
{
    struct str name;
    void *own;

    if (!r)
        return;
    if (r->started)
        end_thread(r);
    while (r->docs) {
        struct doc *d = r->docs;
        r->docs = d->next;
        ref_doc_free(d);
    }
    for (size_t at = 0; map_next(&r->env, &at, &name, &own);) {
        mem_wipe(own, strlen(own));
        free(own);
    }
    map_free(&r->env);
    ref_host_free(&r->vault);
    secret_free(&r->token.value);
    dial_proxy_free(r->proxy);
    pthread_cond_destroy(&r->may_end);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* --- the thread --- */

static void *thread_main(void *arg)
{
    struct secret_refs *r = arg;

    loop_run(r->loop);
    pthread_mutex_lock(&r->lock); /* until no offloaded look-up can come home any more */
    while (!r->ending)
        pthread_cond_wait(&r->may_end, &r->lock);
    pthread_mutex_unlock(&r->lock);
    loop_bind(r->loop);
    http_client_close_idle();
    loop_free(r->loop);
    return NULL;
}

static void keeper_spawn(void *refs)
{
    must(co_spawn("secret leases", ref_keep, refs, NULL) == 0);
}

static int start_thread(struct secret_refs *r)
{
    sigset_t all, old;
    int e = loop_new(LOOP_INDEX, &r->loop);

    if (e < 0)
        return e;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the program's loops' business */
    e = -pthread_create(&r->thread, NULL, thread_main, r);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e < 0)
        loop_free(r->loop);
    r->started = e == 0;
    if (e == 0 && r->pool_runs) /* refs_start() came before there was any reference */
        e = loop_post(r->loop, keeper_spawn, r);
    return e;
}

static int need_thread(struct secret_refs *r)
{
    pthread_mutex_lock(&r->lock);
    int e = r->stopped ? -EPIPE : r->started ? 0 : start_thread(r);
    pthread_mutex_unlock(&r->lock);
    return e;
}

/* --- a job --- */

struct job {
    struct secret_refs *r;
    struct ref_wanted *w;
    unsigned n, failed;
    int64_t since;
    bool fresh;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
};

struct reading {
    struct secret_refs *r;
    struct doc *d;
    int64_t since;
};

static int read_one(void *arg)
{
    struct reading *g = arg;

    co_set_deadline(loop_now() + REF_DEADLINE);
    ref_read(g->r, g->d, g->since);
    return 0; /* the document keeps its result; the others go on */
}

/* Documents that several references share are read once: the second finds them fresh. */
static void read_all(struct job *j)
{
    struct reading *g = calloc(j->n, sizeof *g);
    struct group all;

    group_init(&all, false);
    for (unsigned i = 0; i < j->n; i++) {
        struct ref_wanted *w = &j->w[i];
        struct doc *d = g ? ref_doc(j->r, w->ref, w->err) : NULL;
        w->result = d ? 0 : -EINVAL;
        if (!d || (!j->fresh && secret_is_set(&d->body)))
            continue;
        g[i] = (struct reading){j->r, d, j->since};
        if (group_spawn(&all, "secret", read_one, &g[i]) < 0) {
            w->result = -ENOMEM;
            ref_say(w->err, "memory is short");
        }
    }
    co_mask_cancel(); /* g must outlive them; each has its deadline */
    group_wait(&all, NEVER_NS);
    co_unmask_cancel();
    free(g);
}

static void pick_all(struct job *j)
{
    for (unsigned i = 0; i < j->n; i++) {
        struct ref_wanted *w = &j->w[i];
        struct doc *d = w->result == 0 ? ref_doc(j->r, w->ref, w->err) : NULL;
        if (d && d->result < 0 && (j->fresh || !secret_is_set(&d->body))) {
            w->result = d->result;
            memcpy(w->err, d->err, sizeof w->err);
        } else if (d) {
            w->result = ref_pick(d, w->ref, &w->value, w->err);
        }
        j->failed += w->result < 0;
    }
}

static void job_run(void *arg)
{
    struct job *j = arg;
    struct secret_refs *r = j->r;
    bool own_pool = !r->pool_runs && r->pool_users++ == 0;

    j->since = loop_now();
    if (own_pool)
        own_pool = offload_start(2) == 0;
    read_all(j);
    pick_all(j);
    http_client_close_idle();
    if (!r->pool_runs)
        r->pool_users--;
    if (own_pool)
        offload_stop();
    event_set(&r->more);
    pthread_mutex_lock(&j->lock);
    j->done = true;
    pthread_cond_signal(&j->cond);
    pthread_mutex_unlock(&j->lock);
}

static void job_begin(void *arg)
{
    must(co_spawn("secrets", job_run, arg, NULL) == 0);
}

unsigned refs_resolve(struct secret_refs *r, struct ref_wanted *w, unsigned n, bool fresh)
{
    struct job j = {.r = r,
        .w = w,
        .n = n,
        .fresh = fresh,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .cond = PTHREAD_COND_INITIALIZER};
    int e = n ? need_thread(r) : 0;

    if (n && e == 0)
        e = loop_post(r->loop, job_begin, &j);
    for (unsigned i = 0; i < n && e < 0; i++) {
        w[i].result = e;
        ref_say(w[i].err, "the thread that reads secrets does not run: %s", strerror(-e));
    }
    if (!n || e < 0)
        return n;
    pthread_mutex_lock(&j.lock);
    while (!j.done)
        pthread_cond_wait(&j.cond, &j.lock);
    pthread_mutex_unlock(&j.lock);
    pthread_cond_destroy(&j.cond);
    pthread_mutex_destroy(&j.lock);
    return j.failed;
}

/* --- looking after leases --- */

struct begin {
    struct secret_refs *r;
    int64_t refresh;
    void (*changed)(void *ctx);
    void *ctx;
};

static void keep(const struct begin *b)
{
    struct secret_refs *r = b->r;

    r->pool_runs = true;
    r->refresh = b->refresh ? b->refresh : 300 * NS_PER_S;
    r->changed = b->changed;
    r->ctx = b->ctx;
}

/* What was read before is due by the refresh in force now. */
static void sooner(struct secret_refs *r)
{
    for (struct doc *d = r->docs; d; d = d->next)
        if (!d->lease_id)
            d->due = MIN(d->due, loop_now() + r->refresh);
}

static void keeper_begin(void *arg)
{
    struct begin *b = arg;
    struct secret_refs *r = b->r;
    bool first = !r->pool_runs;

    keep(b);
    free(b);
    sooner(r);
    if (first)
        keeper_spawn(r);
    event_set(&r->more);
}

int refs_start(struct secret_refs *r, int64_t refresh, void (*changed)(void *ctx), void *ctx)
{
    const struct begin how = {r, refresh, changed, ctx};

    pthread_mutex_lock(&r->lock);
    bool runs = r->started;
    if (!runs) /* no reference yet: the thread, should it come, begins so */
        keep(&how);
    pthread_mutex_unlock(&r->lock);
    if (!runs)
        return 0;
    struct begin *b = malloc(sizeof *b);
    if (!b)
        return -ENOMEM;
    *b = how;
    int e = loop_post(r->loop, keeper_begin, b);
    if (e < 0)
        free(b);
    return e;
}
