/*
 * Listening sockets. Errors are plain errno values with their usual meaning: -EINVAL (bind is not a
 * literal address), -EADDRINUSE, -EADDRNOTAVAIL, -EACCES (a privileged port), -EAFNOSUPPORT.
 * Does not suspend.
 */
#include "base/macros.h"
#include "net/dial.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

static int set_options(int fd, int family, bool reuseport)
{
    static const int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -errno;
    if (reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        return -errno;
    /* "::" means IPv6 alone, whatever the host's default is; IPv4 gets a listener of its own. */
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -errno;
    return 0;
}

static int bind_and_listen(int fd, const struct net_addr *a, int backlog, uint16_t *ret_port)
{
    struct net_addr bound = {.len = sizeof(bound.in6)};
    if (bind(fd, &a->sa, a->len) < 0 || listen(fd, backlog) < 0 ||
        getsockname(fd, &bound.sa, &bound.len) < 0)
        return -errno;
    if (ret_port)
        *ret_port = ntohs(bound.sa.sa_family == AF_INET ? bound.in4.sin_port : bound.in6.sin6_port);
    return 0;
}

int net_listen(struct str bind_text, uint16_t port, bool reuseport, int backlog, uint16_t *ret_port)
{
    struct net_addr a;
    if (!net_addr_parse(bind_text, port, &a))
        return -EINVAL;
    int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int r = set_options(fd, a.sa.sa_family, reuseport);
    if (r == 0)
        r = bind_and_listen(fd, &a, backlog, ret_port);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}
