/*
 * Coroutine stacks. A stack is one private mapping with a guard page at its low end; the struct co
 * stands at its high end. Free ones wait in the loop's pool, warmest first: the pages that the last
 * coroutine touched are those the next one needs.
 *
 *   low                                                                   high
 *   ├ guard ┼──────────── grows down ◀──────────── SP ┼ struct co ┼ colour ┤
 *
 * The colour is a gap of a few cache lines that differs from stack to stack; without it the hot
 * lines of all coroutines would compete for the same sets of the cache.
 *
 * Memory goes back to the kernel in two ways: stack_give_back() drops the pages below the stack
 * pointer of a coroutine that stays parked, and stacks_trim() unmaps, once a second, a part of the
 * free stacks that nobody needed during that second.
 */
#include "runtime/runtime_int.h"
#include <errno.h>
#include <sys/mman.h>

#ifdef SF_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

#define COLOURS      8
#define COLOUR_BYTES 128
#define RED_ZONE     128
#define TRIM_AT_ONCE 64

/* MADV_GUARD_INSTALL leaves the mapping whole, so neighbouring stacks stay one area in the kernel
 * and do not count against vm.max_map_count one by one. */
static int install_guard(char *low)
{
    if (madvise(low, PAGE_BYTES, MADV_GUARD_INSTALL) == 0)
        return 0;
    return mprotect(low, PAGE_BYTES, PROT_NONE) == 0 ? 0 : -errno;
}

static struct co *stack_map(struct loop *l)
{
    char *low = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (low == MAP_FAILED)
        return NULL;
    /* A huge page under neighbouring stacks would undo "one page for a parked coroutine". Kernels
     * without huge pages refuse the advice, which is as good. */
    (void)madvise(low, STACK_BYTES, MADV_NOHUGEPAGE);
    if (install_guard(low) < 0) {
        munmap(low, STACK_BYTES);
        return NULL;
    }
    size_t colour = (l->stacks_made++ % COLOURS) * COLOUR_BYTES;
    size_t room = (sizeof(struct co) + 63) & ~(size_t)63;
    struct co *co = (struct co *)(void *)(low + STACK_BYTES - colour - room);
    co->stack = low;
    co->stack_top = (char *)co;
    return co;
}

static void stack_unmap(struct co *co)
{
    char *low = co->stack;
    ASAN_UNPOISON_MEMORY_REGION(low, STACK_BYTES);
    munmap(low, STACK_BYTES);
}

/* Only run, stack and stack_top of the result mean anything. NULL = no memory. */
struct co *stack_get(struct loop *l)
{
    struct list *n = list_pop_front(&l->stacks);
    if (!n)
        return stack_map(l);
    l->n_stacks--;
    l->stacks_low = MIN(l->stacks_low, l->n_stacks);
    struct co *co = list_entry(n, struct co, run);
    ASAN_UNPOISON_MEMORY_REGION(co->stack + PAGE_BYTES, STACK_BYTES - PAGE_BYTES);
    return co;
}

void stack_put(struct loop *l, struct co *co)
{
    if (l->n_stacks >= STACKS_KEPT) {
        stack_unmap(co);
        return;
    }
    list_push_front(&l->stacks, &co->run);
    l->n_stacks++;
    /* A late use of the dead coroutine's frames shows up; its struct co must stay readable for
     * the pool. */
    ASAN_POISON_MEMORY_REGION(
        co->stack + PAGE_BYTES, (size_t)(co->stack_top - co->stack) - PAGE_BYTES);
}

/* Drops the whole pages between the guard and sp. They read as zero afterwards, which nobody may.
 */
void stack_give_back(struct co *co, char *sp)
{
    char *low = co->stack + PAGE_BYTES;
    char *end = (char *)((uintptr_t)(sp - RED_ZONE) & ~(uintptr_t)(PAGE_BYTES - 1));
    if (end > low)
        (void)madvise(low, (size_t)(end - low), MADV_DONTNEED);
}

/* Of the stacks that lay unused since the last call, unmaps the coldest. */
void stacks_trim(struct loop *l)
{
    unsigned n = MIN(l->stacks_low, (unsigned)TRIM_AT_ONCE);
    for (; n > 0; n--) {
        struct co *co = list_entry(l->stacks.prev, struct co, run);
        list_remove(&co->run);
        l->n_stacks--;
        stack_unmap(co);
    }
    l->stacks_low = l->n_stacks;
}

void stacks_free(struct loop *l)
{
    for (struct list *n; (n = list_pop_front(&l->stacks)) != NULL;)
        stack_unmap(list_entry(n, struct co, run));
    l->n_stacks = 0;
}
