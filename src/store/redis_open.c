/*
 * Opening: the settings, and a first connection that shows at start whether Redis is there, with a
 * loop and a thread of its own, as no loop runs yet. Closing frees all of it.
 */
#include "crypto/digest.h"
#include "crypto/encode.h"
#include "crypto/random.h"
#include "store/redis_int.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* --- the first connection --------------------------------------------------------------------- */

struct check {
    struct redis *r;
    int result;
    char why[REDIS_WHY];
};

static void check_run(void *arg)
{
    struct check *check = arg;
    struct redis *r = check->r;
    check->result = redis_conn_open(r, &r->conn, check->why);
    conn_close(&r->conn);
    loop_stop(loop_self());
}

static void *check_thread(void *arg)
{
    struct check *check = arg;
    struct loop *l = NULL;
    check->result = loop_new(0, &l);
    if (check->result < 0)
        return NULL;
    loop_bind(l);
    check->result = co_spawn("redis check", check_run, check, NULL);
    if (check->result == 0)
        loop_run(l);
    loop_free(l);
    return NULL;
}

static int first_connection(struct redis *r, char *err, size_t err_n)
{
    struct check check = {.r = r};
    pthread_t thread;
    r->checking = true;
    int e = pthread_create(&thread, NULL, check_thread, &check);
    if (e != 0) {
        snprintf(err, err_n, "cannot start a thread: %s", strerror(e));
        return -e;
    }
    pthread_join(thread, NULL);
    r->checking = false;
    if (check.result < 0)
        snprintf(err, err_n, "Redis at %.100s port %u cannot be used: %s", r->host, r->port,
            check.why[0] ? check.why : strerror(-check.result));
    return check.result < 0 ? -EHOSTDOWN : 0;
}

/* --- settings --------------------------------------------------------------------------------- */

static bool name_ok(struct str s, size_t most)
{
    if (s.n == 0 || s.n > most)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '{' || s.p[i] == '}')
            return false;
    return true;
}

static int take_names(struct redis *r, const struct shared_settings *set, char *err, size_t err_n)
{
    struct str prefix = set->prefix.n ? set->prefix : STR("sf");
    if (!name_ok(set->node, 64) || !name_ok(prefix, 16)) {
        snprintf(err, err_n,
            "the node's name (up to 64 characters) and the prefix (up to 16) must "
            "be printable, without spaces and braces");
        return -EINVAL;
    }
    r->node = str_dup(set->node);
    r->prefix = str_dup(prefix);
    if (!r->node || !r->prefix || asprintf(&r->field, "n:%s", r->node) < 0) {
        r->field = NULL;
        snprintf(err, err_n, "out of memory");
        return -ENOMEM;
    }
    return 0;
}

static int take_url(struct redis *r, const struct secret *url, char *err, size_t err_n)
{
    struct tls_client_settings tls = {0};
    int e = redis_url_parse(r, secret_reveal(url), err, err_n);
    if (e == 0 && r->secure)
        e = tls_client_ctx(&tls, &r->tls, err, err_n);
    return e;
}

static void init_fields(struct redis *r, struct shared *s)
{
    uint8_t digest[SHA1_BYTES];
    r->s = s;
    r->outage = 1;
    atomic_store(&r->nodes, 1);
    atomic_store(&r->first_until, NEVER_NS); /* until redis_start() says */
    r->conn.stream.io.fd = r->sub_conn.stream.io.fd = -1;
    buf_init(&r->out, REDIS_OUT_BYTES);
    buf_init(&r->writing, REDIS_OUT_BYTES);
    struct list *const lists[] = {
        &r->unanswered, &r->held, &r->dirty, &r->watched, &r->fill, &r->pool};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        list_init(lists[i]);
    random_hex(r->id, 8);
    sha1(str_of(redis_script_text), digest);
    hex_encode(str_at((const char *)digest, sizeof digest), r->script);
}

int redis_open(struct shared *s, const struct shared_settings *set, char *err, size_t err_n)
{
    struct redis *r = calloc(1, sizeof *r);
    if (!r) {
        snprintf(err, err_n, "out of memory");
        return -ENOMEM;
    }
    s->redis = r;
    init_fields(r, s);
    r->answer_ns = set->answer_ns ? MIN(set->answer_ns, SHARED_WAIT_NS) : SHARED_WAIT_NS;
    int e = take_names(r, set, err, err_n);
    if (e == 0)
        e = take_url(r, &set->redis_url, err, err_n);
    return e < 0 ? e : first_connection(r, err, err_n);
}

void redis_close(struct shared *s)
{
    struct redis *r = s->redis;
    for (struct list *it; (it = list_pop_front(&r->pool));)
        free(list_entry(it, struct command, at));
    redis_conn_free(&r->conn);
    redis_conn_free(&r->sub_conn);
    buf_free(&r->out);
    buf_free(&r->writing);
    if (r->tls)
        tls_ctx_unref(r->tls);
    secret_free(&r->user);
    secret_free(&r->password);
    free(r->host);
    free(r->prefix);
    free(r->node);
    free(r->field);
    free(r);
    s->redis = NULL;
}
