/*
 * The context switch for x86-64, System V ABI: a function call that returns on another stack. Only
 * what the ABI wants preserved across a call is saved: six registers and the control words of the
 * two floating-point units. They lie on the stack that is left; a context is just its stack pointer:
 *
 *   +56 return address   +48 rbp   +40 rbx   +32 r12   +24 r13   +16 r14   +8 r15   +0 mxcsr, x87
 *
 * tools/gdb/coroutines.py knows this picture.
 */
#if defined(__x86_64__)
    .text
    .globl ctx_switch
    .type ctx_switch, @function
    .p2align 4
ctx_switch: /* rdi = void **save, rsi = void *to */
    .cfi_startproc
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movl (%rsp), %eax
    movzwl 4(%rsp), %edx
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    /* Loading the control words is slow, and they hardly ever differ. */
    cmpl (%rsp), %eax
    jne 2f
    cmpw 4(%rsp), %dx
    jne 2f
1:
    .cfi_remember_state
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    /* A jump, not ret: the processor's return stack belongs to the context that was left. */
    popq %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rcx
    jmp *%rcx
2:
    .cfi_restore_state
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    jmp 1b
    .cfi_endproc
    .size ctx_switch, . - ctx_switch

/* Where a fresh context starts: ctx_make() put the function into r12 and its argument into r13.
 * The undefined return address tells every unwinder that the stack ends here. */
    .globl ctx_entry
    .hidden ctx_entry
    .type ctx_entry, @function
    .p2align 4
ctx_entry:
    .cfi_startproc
    .cfi_undefined %rip
    xorl %ebp, %ebp
    movq %r13, %rdi
    call *%r12
    ud2
    .cfi_endproc
    .size ctx_entry, . - ctx_entry
#endif
    .section .note.GNU-stack, "", %progbits
