/*
 * The first frame of a coroutine for the assembly switches: it lays on a fresh stack what
 * ctx_switch() will pop, so that the first switch "returns" to ctx_entry. The layouts are drawn in
 * switch_x86_64.S and switch_aarch64.S.
 */
#include "runtime/runtime_int.h"
#include <string.h>

void ctx_entry(void);

#if defined(__x86_64__)

void *ctx_make(char *stack_low, char *stack_top, void (*entry)(void *), void *arg)
{
    (void)stack_low;
    uintptr_t top = (uintptr_t)stack_top & ~(uintptr_t)15;
    /* Slots 0 to 7 are popped; ctx_entry then starts with the 16-byte alignment that a call needs.
     */
    uint64_t *sp = (uint64_t *)top - 10;
    memset(sp, 0, 10 * sizeof *sp);
    uint32_t mxcsr;
    uint16_t x87;
    __asm__("stmxcsr %0" : "=m"(mxcsr));
    __asm__("fnstcw %0" : "=m"(x87));
    sp[0] = mxcsr | (uint64_t)x87 << 32;
    sp[3] = (uint64_t)(uintptr_t)arg;   /* r13 */
    sp[4] = (uint64_t)(uintptr_t)entry; /* r12 */
    sp[7] = (uint64_t)(uintptr_t)ctx_entry;
    return sp;
}

#elif defined(__aarch64__)

void *ctx_make(char *stack_low, char *stack_top, void (*entry)(void *), void *arg)
{
    (void)stack_low;
    uintptr_t top = (uintptr_t)stack_top & ~(uintptr_t)15;
    uint64_t *sp = (uint64_t *)top - 20;
    memset(sp, 0, 20 * sizeof *sp);
    sp[1] = (uint64_t)(uintptr_t)ctx_entry; /* x30 */
    sp[2] = (uint64_t)(uintptr_t)entry;     /* x19 */
    sp[3] = (uint64_t)(uintptr_t)arg;       /* x20 */
    return sp;
}

#else
#error "no assembly switch for this processor: configure with -Ducontext=true"
#endif

char *ctx_stack_pointer(void *ctx)
{
    return ctx;
}
