/*
 * Signals as events and child processes with pipes, for coroutines.
 */
#ifndef SF_RUNTIME_PROCESS_H
#define SF_RUNTIME_PROCESS_H

#include "runtime/io.h"
#include <sys/types.h>

/* Blocks the signals for the whole process (call before threads start) and calls on_signal in the
 * context of this loop when one arrives. */
int signals_watch(
    const int *signals, unsigned n, void (*on_signal)(int signo, void *ctx), void *ctx);
void signals_close(void);

struct process {
    pid_t pid;
    struct io in, out, err; /* our ends of the child's standard streams */
    struct io pidfd;
    int exit_status; /* as waitpid gives it, once ended */
    bool ended;
};

/* argv[0] is a path; env NULL = an empty environment. Standard error goes to err when want_err,
 * else to ours. The child dies with the calling thread (PDEATHSIG), has no signal blocked and no
 * file of ours. 0 or -errno, that of execve() among them; then nothing is left to end. */
int process_spawn(
    struct process *p, const char *const *argv, const char *const *env, bool want_err);
int process_wait(struct process *p, int64_t deadline); /* 0 when it ended; suspends */
/* Terminates: closes in, SIGTERM, after grace SIGKILL; reaps; closes all. Suspends; masks
 * cancellation and the coroutine's deadline. The child's output is not read any more. */
void process_end(struct process *p, int64_t grace_ns);

#endif
