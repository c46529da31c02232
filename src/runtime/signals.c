/*
 * Signals as events: blocked in every thread and read from a signalfd by one loop. There is one set
 * per process, as there is one set of signals.
 */
#include "runtime/process.h"
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static struct signals {
    struct io io;
    sigset_t set;
    bool open;
    void (*on_signal)(int signo, void *ctx);
    void *ctx;
} watch;

static void on_event(struct io *io, int dirs)
{
    (void)dirs;
    struct signalfd_siginfo info;
    /* A callback may close the watch. */
    while (watch.open && read(io->fd, &info, sizeof info) == sizeof info)
        watch.on_signal((int)info.ssi_signo, watch.ctx);
}

static int open_fd(void)
{
    int fd = signalfd(-1, &watch.set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = io_open(&watch.io, fd);
    if (r < 0)
        close(fd);
    return r;
}

int signals_watch(
    const int *signals, unsigned n, void (*on_signal)(int signo, void *ctx), void *ctx)
{
    must(!watch.open);
    watch.on_signal = on_signal;
    watch.ctx = ctx;
    sigemptyset(&watch.set);
    for (unsigned i = 0; i < n; i++)
        sigaddset(&watch.set, signals[i]);
    int r = -pthread_sigmask(SIG_BLOCK, &watch.set, NULL);
    if (r == 0)
        r = open_fd();
    if (r < 0)
        return r;
    watch.io.on_event = on_event;
    watch.open = true;
    return 0;
}

void signals_close(void)
{
    if (!watch.open)
        return;
    watch.open = false;
    io_close(&watch.io);
    pthread_sigmask(SIG_UNBLOCK, &watch.set, NULL);
}
