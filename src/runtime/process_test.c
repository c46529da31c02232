/*
 * Child processes and signals as events.
 */
#include "base/tap.h"
#include "runtime/process.h"
#include "runtime/test_loop.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const sh_cat[] = {"/bin/cat", NULL};

static ssize_t read_line(struct io *io, char *buf, size_t room)
{
    size_t n = 0;
    while (n + 1 < room) {
        ssize_t r = read(io->fd, buf + n, room - 1 - n);
        if (r > 0)
            n += (size_t)r;
        if (r == 0 || memchr(buf, '\n', n))
            break;
        if (r < 0 && errno == EAGAIN) {
            io_not_ready(io, IO_READ);
            int w = io_wait(io, IO_READ, far());
            if (w < 0)
                return w;
        } else if (r < 0)
            return -errno;
    }
    buf[n] = '\0';
    return (ssize_t)n;
}

static void echo(void)
{
    struct process p;
    char line[32];
    CHECK_EQ(process_spawn(&p, sh_cat, NULL, false), 0);
    CHECK(p.pid > 0);
    CHECK_EQ(p.err.fd, -1);
    CHECK_EQ(write(p.in.fd, "hello\n", 6), 6);
    CHECK_EQ(read_line(&p.out, line, sizeof line), 6);
    CHECK_STR(str_of(line), STR("hello\n"));
    CHECK_EQ(process_wait(&p, soon()), -ETIMEDOUT);
    CHECK(!p.ended);
    io_close(&p.in);
    CHECK_EQ(process_wait(&p, far()), 0);
    CHECK(p.ended);
    CHECK(WIFEXITED(p.exit_status) && WEXITSTATUS(p.exit_status) == 0);
    CHECK_EQ(process_wait(&p, far()), 0); /* again, at once */
    process_end(&p, NS_PER_S);
    CHECK_EQ(p.out.fd, -1);
}

static void test_echo(void)
{
    in_loop(echo);
}

static void error_stream_and_status(void)
{
    static const char *const argv[] = {"/bin/sh", "-c", "echo $A >&2; exit 7", NULL};
    static const char *const env[] = {"A=from-env", NULL};
    struct process p;
    char line[32];
    CHECK_EQ(process_spawn(&p, argv, env, true), 0);
    CHECK_EQ(read_line(&p.err, line, sizeof line), 9);
    CHECK_STR(str_of(line), STR("from-env\n"));
    CHECK_EQ(process_wait(&p, far()), 0);
    CHECK(WIFEXITED(p.exit_status) && WEXITSTATUS(p.exit_status) == 7);
    process_end(&p, NS_PER_S);
}

static void test_error_stream_and_status(void)
{
    in_loop(error_stream_and_status);
}

static void no_such_program(void)
{
    static const char *const argv[] = {"/nonexistent/program", NULL};
    struct process p;
    CHECK_EQ(process_spawn(&p, argv, NULL, true), -ENOENT);
    CHECK_EQ(p.in.fd, -1);
    CHECK(p.ended);
    process_end(&p, NS_PER_S);                /* harmless */
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    CHECK_EQ(errno, ECHILD);
}

static void test_no_such_program(void)
{
    in_loop(no_such_program);
}

/* What we ignore or block, the child must not: else it could not be ended. */
static void fresh_signals(void)
{
    sigset_t term, old;
    struct process p;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, &old);
    void (*before)(int) = signal(SIGTERM, SIG_IGN);
    int r = process_spawn(&p, sh_cat, NULL, false);
    signal(SIGTERM, before);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    CHECK_EQ(r, 0);
    CHECK_EQ(kill(p.pid, SIGTERM), 0);
    CHECK_EQ(process_wait(&p, far()), 0);
    CHECK(WIFSIGNALED(p.exit_status) && WTERMSIG(p.exit_status) == SIGTERM);
    process_end(&p, NS_PER_S);
}

static void test_fresh_signals(void)
{
    in_loop(fresh_signals);
}

static void end_gently(void)
{
    static const char *const argv[] = {
        "/bin/sh", "-c", "trap 'exit 3' TERM; echo; while :; do read x; done", NULL};
    struct process p;
    char line[8];
    CHECK_EQ(process_spawn(&p, argv, NULL, false), 0);
    CHECK_EQ(read_line(&p.out, line, sizeof line), 1);
    process_end(&p, 60 * NS_PER_S);
    CHECK(p.ended);
    CHECK(WIFEXITED(p.exit_status) && WEXITSTATUS(p.exit_status) == 3);
    CHECK(p.in.fd == -1 && p.out.fd == -1 && p.pidfd.fd == -1);
}

static void test_end_gently(void)
{
    in_loop(end_gently);
}

static void end_by_force(void)
{
    static const char *const argv[] = {
        "/bin/sh", "-c", "trap '' TERM; echo; while :; do :; done", NULL};
    struct process p;
    char line[8];
    CHECK_EQ(process_spawn(&p, argv, NULL, false), 0);
    CHECK_EQ(read_line(&p.out, line, sizeof line), 1);
    process_end(&p, 5 * NS_PER_MS);
    CHECK(p.ended);
    CHECK(WIFSIGNALED(p.exit_status) && WTERMSIG(p.exit_status) == SIGKILL);
}

static void test_end_by_force(void)
{
    in_loop(end_by_force);
}

struct owner {
    struct co *co;
    struct process p;
    int wait_result;
    bool done;
};

static void own(void *arg)
{
    struct owner *o = arg;
    must(process_spawn(&o->p, sh_cat, NULL, false) == 0);
    o->wait_result = process_wait(&o->p, far());
    process_end(&o->p, 60 * NS_PER_S); /* works although we are cancelled */
    o->done = true;
}

static void cancelled_owner(void)
{
    struct owner o = {0};
    CHECK_EQ(co_spawn_now("owner", own, &o, &o.co), 0);
    co_cancel(o.co);
    while (!o.done)
        co_sleep_until(soon());
    CHECK_EQ(o.wait_result, -ECANCELED);
    CHECK(o.p.ended);
    CHECK(WIFSIGNALED(o.p.exit_status) || WIFEXITED(o.p.exit_status));
}

static void test_cancelled_owner(void)
{
    in_loop(cancelled_owner);
}

/* --- signals --- */

static int got_usr1, got_usr2;

static void on_signal(int signo, void *ctx)
{
    got_usr1 += signo == SIGUSR1;
    got_usr2 += signo == SIGUSR2;
    must(co_self() == NULL && strcmp(ctx, "ctx") == 0);
}

static void signals(void)
{
    static const int set[] = {SIGUSR1, SIGUSR2};
    got_usr1 = got_usr2 = 0;
    CHECK_EQ(signals_watch(set, 2, on_signal, "ctx"), 0);
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    CHECK_EQ(kill(getpid(), SIGUSR2), 0);
    int64_t give_up = far();
    while (got_usr2 == 0 && loop_now() < give_up)
        co_sleep_until(soon());
    CHECK_EQ(got_usr1, 1);
    CHECK_EQ(got_usr2, 1);
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    while (got_usr1 == 1 && loop_now() < give_up)
        co_sleep_until(soon());
    CHECK_EQ(got_usr1, 2);
    signals_close();
    signals_close();
}

static void test_signals(void)
{
    in_loop(signals);
}

int main(void)
{
    TAP_RUN(test_echo);
    TAP_RUN(test_error_stream_and_status);
    TAP_RUN(test_no_such_program);
    TAP_RUN(test_fresh_signals);
    TAP_RUN(test_end_gently);
    TAP_RUN(test_end_by_force);
    TAP_RUN(test_cancelled_owner);
    TAP_RUN(test_signals);
    return tap_done();
}
