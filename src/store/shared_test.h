/*
 * What the tests of the shared store have in common: nodes in either column, a real Redis of their
 * own, and crews: coroutines on several loops that do the same thing at once.
 */
#ifndef SF_STORE_SHARED_TEST_H
#define SF_STORE_SHARED_TEST_H

#include "base/tap.h"
#include "runtime/offload.h"
#include "runtime/test_loop.h"
#include "store/redis_int.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Waits, on a loop, until the condition holds; fails the test after 20 s. */
#define WAIT_FOR(cond)                                                                             \
    do {                                                                                           \
        int64_t give_up_ = clock_now() + 20 * NS_PER_S;                                            \
        while (!(cond) && clock_now() < give_up_)                                                  \
            co_sleep_until(clock_now() + NS_PER_MS);                                               \
        CHECK(cond);                                                                               \
    } while (0)

/* --- a Redis ---------------------------------------------------------------------------------- */

struct test_redis {
    pid_t pid;
    uint16_t port;
    char dir[64];
};

static inline uint16_t free_port(void)
{
    uint16_t port = 0;
    int fd = net_listen(STR("127.0.0.1"), 0, false, 1, &port);
    must(fd >= 0);
    close(fd);
    return port;
}

static inline bool port_answers(uint16_t port)
{
    struct net_addr a;
    must(net_addr_parse(STR("127.0.0.1"), port, &a));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char reply[8] = "";
    bool ok = fd >= 0 && connect(fd, &a.sa, a.len) == 0 && write(fd, "PING\r\n", 6) == 6 &&
              read(fd, reply, sizeof reply - 1) > 0;
    close(fd);
    return ok;
}

/* Starts it on r->port, empty; more (ends with NULL) are further arguments. */
static inline void redis_launch(struct test_redis *r, const char *const *more)
{
    char port[8];
    const char *argv[32] = {"redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
        "--appendonly", "no", "--dir", r->dir, "--loglevel", "warning"};
    unsigned n = 13;
    while (more && *more && n < ARRAY_LEN(argv) - 1)
        argv[n++] = *more++;
    snprintf(port, sizeof port, "%u", r->port);
    pid_t parent = getpid();
    r->pid = fork();
    must(r->pid >= 0);
    if (r->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        execvp("redis-server", (char *const *)argv);
        execvp("valkey-server", (char *const *)argv);
        fprintf(stderr, "neither redis-server nor valkey-server is installed\n");
        _exit(127);
    }
    int64_t give_up = clock_now() + 20 * NS_PER_S;
    while (!port_answers(r->port)) {
        must(clock_now() < give_up && waitpid(r->pid, NULL, WNOHANG) == 0);
        usleep(5000);
    }
}

static inline void redis_begin(struct test_redis *r, const char *const *more)
{
    *r = (struct test_redis){.port = free_port()};
    snprintf(r->dir, sizeof r->dir, "/tmp/sf-redis-XXXXXX");
    must(mkdtemp(r->dir));
    redis_launch(r, more);
}

static inline void redis_kill(struct test_redis *r)
{
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
    r->pid = 0;
}

static inline void redis_end(struct test_redis *r)
{
    if (r->pid > 0)
        redis_kill(r);
    rmdir(r->dir);
}

/* One command by hand, over a connection of its own; the first line of the reply. */
static inline void redis_say(const struct test_redis *r, const char *command, char out[static 64])
{
    struct net_addr a;
    must(net_addr_parse(STR("127.0.0.1"), r->port, &a));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && connect(fd, &a.sa, a.len) == 0);
    must(dprintf(fd, "%s\r\n", command) > 0);
    ssize_t n = read(fd, out, 63);
    out[MAX(n, 0)] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    close(fd);
}

/* --- nodes ------------------------------------------------------------------------------------ */

static inline struct shared *node_open_at(const char *url, const char *node, enum shared_down down)
{
    struct secret secret = {0};
    struct shared_settings set = {.node = str_of(node), .prefix = STR("sf"), .down = down};
    struct shared *s = NULL;
    char err[256] = "";
    if (url && secret_set(&secret, str_of(url)) == 0)
        set.redis_url = secret;
    int r = shared_open(&set, &s, err, sizeof err);
    if (r < 0)
        printf("# %s\n", err);
    must(r == 0);
    secret_free(&secret);
    return s;
}

/* --- crews ------------------------------------------------------------------------------------ */

struct crew {
    unsigned loops, each;
    void (*fn)(void *arg, unsigned index);
    void *arg;
    atomic_uint left, next;
    pthread_t threads[8];
};

struct crew_thread {
    struct crew *crew;
    unsigned running;
};

static inline void crew_member(void *arg)
{
    struct crew_thread *t = arg;
    t->crew->fn(t->crew->arg, atomic_fetch_add(&t->crew->next, 1));
    if (--t->running == 0)
        loop_stop(loop_self());
}

static inline void *crew_thread(void *arg)
{
    struct crew *crew = arg;
    struct crew_thread t = {.crew = crew, .running = crew->each};
    struct loop *l = NULL;
    must(loop_new(1, &l) == 0);
    loop_bind(l);
    for (unsigned i = 0; i < crew->each; i++)
        must(co_spawn("crew", crew_member, &t, NULL) == 0);
    loop_run(l);
    loop_free(l);
    atomic_fetch_sub(&crew->left, 1);
    return NULL;
}

/* Runs fn(arg, 0 … loops × each − 1) in coroutines of so many loops; the caller's loop goes on. */
static inline void crew_run(
    unsigned loops, unsigned each, void (*fn)(void *arg, unsigned index), void *arg)
{
    struct crew crew = {.loops = loops, .each = each, .fn = fn, .arg = arg};
    atomic_store(&crew.left, loops);
    must(loops <= ARRAY_LEN(crew.threads));
    for (unsigned i = 0; i < loops; i++)
        must(pthread_create(&crew.threads[i], NULL, crew_thread, &crew) == 0);
    while (atomic_load(&crew.left) > 0)
        co_sleep_until(clock_now() + NS_PER_MS);
    for (unsigned i = 0; i < loops; i++)
        pthread_join(crew.threads[i], NULL);
}

#endif
