/*
 * The context switch by POSIX ucontext: the fallback for other processors and what runs under
 * ThreadSanitizer. Slower than the assembly, as swapcontext() also asks the kernel for the signal
 * mask. The ucontext_t of a context that does not run lies on its own stack; a context is its
 * address.
 */
#include "runtime/runtime_int.h"
#include <signal.h>
#include <ucontext.h>

struct start {
    ucontext_t uc;
    void (*entry)(void *);
    void *arg;
};

/* makecontext() passes ints alone, so the pointer comes in halves. */
static void trampoline(unsigned high, unsigned low)
{
    struct start *s = (struct start *)((uintptr_t)high << 16 << 16 | low);
    s->entry(s->arg);
    panic("a coroutine's entry returned");
}

void *ctx_make(char *stack_low, char *stack_top, void (*entry)(void *), void *arg)
{
    struct start *s = (struct start *)((uintptr_t)(stack_top - sizeof *s) & ~(uintptr_t)63);
    must(getcontext(&s->uc) == 0);
    s->entry = entry;
    s->arg = arg;
    s->uc.uc_link = NULL;
    s->uc.uc_stack.ss_sp = stack_low;
    s->uc.uc_stack.ss_size = (size_t)((char *)s - stack_low);
    uintptr_t p = (uintptr_t)s;
    makecontext(&s->uc, (void (*)(void))trampoline, 2, (unsigned)(p >> 16 >> 16), (unsigned)p);
    return &s->uc;
}

void ctx_switch(void **save, void *to)
{
    ucontext_t here, *there = to;
    *save = &here;
    /* The signal mask belongs to the thread, not to a coroutine: nothing is to be restored. */
    must(pthread_sigmask(SIG_SETMASK, NULL, &there->uc_sigmask) == 0);
    must(swapcontext(&here, there) == 0);
}

char *ctx_stack_pointer(void *ctx)
{
    ucontext_t *uc = ctx;
#if defined(__x86_64__)
    return (char *)(uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (char *)(uintptr_t)uc->uc_mcontext.sp;
#else
    return (char *)uc - 4 * PAGE_BYTES; /* room for the frames of swapcontext() */
#endif
}
