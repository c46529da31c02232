/* loadgen: see loadgen.h; `loadgen -h` prints the options. */
#include "loadgen.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char **argv)
{
    static struct load l;

    if (options_read(argc, argv, &l.o) < 0)
        return 2;
    l.request = request_make(&l.o, &l.request_n);
    l.epoll = epoll_create1(0);
    l.clients = calloc((size_t)l.o.connections, sizeof *l.clients);
    l.idle = calloc((size_t)l.o.connections, sizeof *l.idle);
    if (!l.clients || !l.idle || l.epoll < 0)
        return 1;
    load_run(&l);
    report_print(&l);
    return 0;
}
