/*
 * Child processes: started by vfork(), which does not copy the page tables of a large gateway, and
 * watched by a pidfd, which cannot be mistaken for a later process of the same number.
 *
 * The child of a vfork() runs on this stack and in this memory until it calls execve():
 * child_main() therefore only makes system calls and writes to nothing but its own locals. It
 * reports a failure through a pipe that a successful execve() closes.
 */
#include "runtime/process.h"
#include "runtime/co.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define REAP_WITHIN_NS (10 * NS_PER_S) /* after SIGKILL: only the kernel can hold it up */

enum { IN, OUT, ERR, REPORT, N_PIPES };

struct pipes {
    int fd[N_PIPES][2];
};

static void pipes_close(struct pipes *p)
{
    for (int i = 0; i < N_PIPES; i++)
        for (int end = 0; end < 2; end++)
            if (p->fd[i][end] >= 0)
                close(p->fd[i][end]);
}

/* An end that becomes the child's 0, 1 or 2 must not have such a number itself: a later dup2()
 * would overwrite it. That happens when our own standard streams are closed. */
static int move_up(int *fd)
{
    if (*fd > STDERR_FILENO)
        return 0;
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved < 0)
        return -errno;
    close(*fd);
    *fd = moved;
    return 0;
}

static int pipe_open(int fd[2])
{
    if (pipe2(fd, O_CLOEXEC) < 0)
        return -errno;
    int r = move_up(&fd[0]);
    return r < 0 ? r : move_up(&fd[1]);
}

static int pipes_open(struct pipes *p, bool want_err)
{
    for (int i = 0; i < N_PIPES; i++)
        p->fd[i][0] = p->fd[i][1] = -1;
    for (int i = 0; i < N_PIPES; i++) {
        int r = i == ERR && !want_err ? 0 : pipe_open(p->fd[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- in the child --- */

static int child_streams(const struct pipes *p)
{
    if (dup2(p->fd[IN][0], STDIN_FILENO) < 0 || dup2(p->fd[OUT][1], STDOUT_FILENO) < 0)
        return -1;
    return p->fd[ERR][1] < 0 ? 0 : dup2(p->fd[ERR][1], STDERR_FILENO);
}

/* Ignored signals stay ignored across execve(), blocked ones stay blocked; both are ours alone. */
static int child_signals(pid_t parent)
{
    struct sigaction normal = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    for (int signo = 1; signo < NSIG; signo++)
        (void)sigaction(signo, &normal, NULL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return -1;
    if (getppid() != parent) /* it ended before prctl(), so no signal would come */
        _exit(127);
    return 0;
}

static _Noreturn void child_main(
    const struct pipes *p, pid_t parent, const char *const *argv, const char *const *env)
{
    if (child_streams(p) >= 0 && child_signals(parent) == 0)
        execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
    int e = errno;
    (void)!write(p->fd[REPORT][1], &e, sizeof e);
    _exit(127);
}

/* --- in the parent --- */

/* With all signals blocked, as a handler must not run in the child, on our memory. */
static __attribute__((noinline)) pid_t fork_child(
    const struct pipes *p, const char *const *argv, const char *const *env)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t parent = getpid();
    pid_t pid = vfork();
    if (pid == 0)
        child_main(p, parent, argv, env);
    int e = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return pid < 0 ? -e : pid;
}

/* 0 when execve() succeeded, else its -errno. */
static int read_report(struct pipes *p)
{
    close(p->fd[REPORT][1]);
    p->fd[REPORT][1] = -1;
    int e = 0;
    ssize_t n;
    do
        n = read(p->fd[REPORT][0], &e, sizeof e);
    while (n < 0 && errno == EINTR);
    return n == sizeof e ? -e : 0;
}

static int open_end(struct io *io, int *fd)
{
    if (*fd < 0)
        return 0;
    int flags = fcntl(*fd, F_GETFL);
    if (flags < 0 || fcntl(*fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    int r = io_open(io, *fd);
    if (r == 0)
        *fd = -1; /* the io owns it */
    return r;
}

static int open_ends(struct process *p, struct pipes *pipes)
{
    int pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (pidfd < 0)
        return -errno;
    int r = open_end(&p->pidfd, &pidfd);
    if (r == 0)
        r = open_end(&p->in, &pipes->fd[IN][1]);
    if (r == 0)
        r = open_end(&p->out, &pipes->fd[OUT][0]);
    if (r == 0)
        r = open_end(&p->err, &pipes->fd[ERR][0]);
    if (pidfd >= 0)
        close(pidfd);
    return r;
}

static void close_ends(struct process *p)
{
    io_close(&p->in);
    io_close(&p->out);
    io_close(&p->err);
    io_close(&p->pidfd);
}

/* The child is ours and unreaped, so its number cannot have been given to another. */
static void kill_and_reap(struct process *p)
{
    kill(p->pid, SIGKILL);
    while (waitpid(p->pid, &p->exit_status, 0) < 0 && errno == EINTR)
        ;
}

int process_spawn(struct process *p, const char *const *argv, const char *const *env, bool want_err)
{
    static const char *const no_env[] = {NULL};
    *p = (struct process){.in.fd = -1, .out.fd = -1, .err.fd = -1, .pidfd.fd = -1};
    struct pipes pipes;
    int r = pipes_open(&pipes, want_err);
    if (r == 0)
        r = p->pid = fork_child(&pipes, argv, env ? env : no_env);
    if (r > 0) {
        r = read_report(&pipes);
        if (r == 0)
            r = open_ends(p, &pipes);
        if (r < 0) {
            close_ends(p);
            kill_and_reap(p);
        }
    }
    pipes_close(&pipes);
    if (r < 0)
        p->ended = true;
    return r;
}

int process_wait(struct process *p, int64_t deadline)
{
    while (!p->ended) {
        pid_t pid = waitpid(p->pid, &p->exit_status, WNOHANG);
        must(pid >= 0 || errno == EINTR); /* nobody else reaps our children */
        if (pid > 0)
            p->ended = true;
        else
            io_not_ready(&p->pidfd, IO_READ);
        int r = p->ended ? 0 : io_wait(&p->pidfd, IO_READ, deadline);
        if (r < 0)
            return r;
    }
    return 0;
}

void process_end(struct process *p, int64_t grace_ns)
{
    co_mask_cancel();
    int64_t own = co_set_deadline(NEVER_NS);
    io_close(&p->in);
    if (!p->ended) {
        kill(p->pid, SIGTERM);
        if (process_wait(p, loop_now() + grace_ns) < 0) {
            kill(p->pid, SIGKILL);
            (void)process_wait(p, loop_now() + REAP_WITHIN_NS);
        }
    }
    close_ends(p);
    co_set_deadline(own);
    co_unmask_cancel();
}
