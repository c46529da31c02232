/*
 * Happy eyeballs (RFC 8305): several addresses, one connection, soon.
 *
 * One coroutine runs the race. Each attempt is a connecting socket whose io callback wakes it; it
 * sleeps until the first of: an attempt was decided, it is time to start the next one (250 ms after
 * the last, or at once when one failed), the deadline. The first to connect wins; whatever else is
 * open is closed before the function returns, on every path.
 *
 * Suspends: connect_any(), in co_park().
 */
#include "base/macros.h"
#include "net/net_int.h"
#include "runtime/co.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define STAGGER_NS (250 * NS_PER_MS)

struct race;

struct attempt {
    struct io io;
    struct race *race;
    bool decided; /* the socket reported something */
};

struct race {
    struct co *co;
    unsigned started, open;
    int failure; /* the most telling so far */
    struct attempt attempts[ADDRS_MOST];
};

static void on_event(struct io *io, int dirs)
{
    struct attempt *a = container_of(io, struct attempt, io);
    a->decided = true;
    co_wake(a->race->co, 0);
}

static void on_hangup(struct io *io)
{
    on_event(io, 0);
}

/* "No route" for one family says less than "refused" for the other. */
static bool is_vague(int r)
{
    return r == 0 || r == -ENETUNREACH || r == -EHOSTUNREACH || r == -EADDRNOTAVAIL ||
           r == -EAFNOSUPPORT;
}

static void note_failure(struct race *race, int r)
{
    if (is_vague(race->failure))
        race->failure = r;
}

static int open_socket(const struct net_addr *to)
{
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* A reply may take minutes to begin: keep NAT entries alive, notice hosts that vanished. */
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){60}, sizeof(int));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){20}, sizeof(int));
    int r = connect(fd, &to->sa, to->len);
    if (r < 0 && errno != EINPROGRESS) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static void start(struct race *race, const struct net_addr *to)
{
    struct attempt *a = &race->attempts[race->started++];
    *a = (struct attempt){.io.fd = -1, .race = race};
    int fd = open_socket(to);
    if (fd < 0) {
        note_failure(race, fd);
        return;
    }
    int r = io_open(&a->io, fd);
    if (r < 0) {
        close(fd);
        a->io.fd = -1;
        note_failure(race, r);
        return;
    }
    a->io.on_event = on_event;
    a->io.on_hangup = on_hangup;
    race->open++;
}

/* 1 = connected, 0 = still connecting, -errno = failed. */
static int verdict(const struct attempt *a)
{
    int e = 0;
    if (getsockopt(a->io.fd, SOL_SOCKET, SO_ERROR, &e, &(socklen_t){sizeof(e)}) < 0)
        return -errno;
    if (e != 0)
        return -e;
    struct net_addr peer = {.len = sizeof(peer.in6)};
    if (getpeername(a->io.fd, &peer.sa, &peer.len) == 0)
        return 1;
    return errno == ENOTCONN ? 0 : -errno;
}

/* Looks at the attempts that reported: the winner's descriptor, or -EAGAIN. */
static int settle(struct race *race, int64_t *next_at)
{
    for (unsigned i = 0; i < race->started; i++) {
        struct attempt *a = &race->attempts[i];
        if (a->io.fd < 0 || !a->decided)
            continue;
        a->decided = false;
        int r = verdict(a);
        if (r == 0)
            continue;
        race->open--;
        if (r > 0) {
            int fd = io_release(&a->io);
            a->io.fd = -1;
            return fd;
        }
        io_close(&a->io);
        a->io.fd = -1;
        note_failure(race, r);
        *next_at = 0;
    }
    return -EAGAIN;
}

static int run_race(struct race *race, const struct net_addr *addrs, unsigned n, int64_t deadline)
{
    int64_t next_at = 0;
    for (;;) {
        int64_t now = clock_now();
        while (race->started < n && (race->open == 0 || now >= next_at)) {
            unsigned before = race->open;
            start(race, &addrs[race->started]);
            if (race->open > before)
                next_at = now + STAGGER_NS;
        }
        if (race->open == 0)
            return race->failure;
        int64_t until = race->started < n ? MIN(deadline, next_at) : deadline;
        int r = co_park("connect", until);
        int fd = settle(race, &next_at);
        if (fd >= 0)
            return fd;
        if (r < 0 && (r != -ETIMEDOUT || clock_now() >= MIN(deadline, co_deadline())))
            return r;
    }
}

/* Families in turn, beginning with the resolver's first choice; the order within one stays. */
static void interleave(const struct net_addr *in, unsigned n, struct net_addr *out)
{
    sa_family_t first = in[0].sa.sa_family;
    unsigned a = 0, b = 0;
    for (unsigned i = 0; i < n; i++) {
        while (a < n && in[a].sa.sa_family != first)
            a++;
        while (b < n && in[b].sa.sa_family == first)
            b++;
        bool take_first = b >= n || (a < n && i % 2 == 0);
        out[i] = take_first ? in[a++] : in[b++];
    }
}

int connect_any(const struct net_addr *addrs, unsigned n, int64_t deadline, int *ret_fd)
{
    must(n > 0 && n <= ADDRS_MOST);
    struct net_addr order[ADDRS_MOST];
    interleave(addrs, n, order);
    struct race race = {.co = co_self()};
    int fd = run_race(&race, order, n, deadline);
    for (unsigned i = 0; i < race.started; i++)
        if (race.attempts[i].io.fd >= 0)
            io_close(&race.attempts[i].io);
    if (fd < 0)
        return fd;
    *ret_fd = fd;
    return 0;
}
