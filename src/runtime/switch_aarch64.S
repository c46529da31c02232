/*
 * The context switch for arm64, AAPCS64: a function call that returns on another stack. Saved are
 * x19 to x30 and the low halves of v8 to v15; a context is the stack pointer below them:
 *
 *   +0 x29 x30   +16 x19 x20   +32 x21 x22   +48 x23 x24   +64 x25 x26   +80 x27 x28
 *   +96 d8 d9   +112 d10 d11   +128 d12 d13   +144 d14 d15
 *
 * tools/gdb/coroutines.py knows this picture.
 */
#if defined(__aarch64__)
    .text
    .globl ctx_switch
    .type ctx_switch, %function
    .p2align 4
ctx_switch: /* x0 = void **save, x1 = void *to */
    .cfi_startproc
    stp x29, x30, [sp, #-160]!
    .cfi_def_cfa_offset 160
    .cfi_offset x29, -160
    .cfi_offset x30, -152
    stp x19, x20, [sp, #16]
    .cfi_offset x19, -144
    .cfi_offset x20, -136
    stp x21, x22, [sp, #32]
    .cfi_offset x21, -128
    .cfi_offset x22, -120
    stp x23, x24, [sp, #48]
    .cfi_offset x23, -112
    .cfi_offset x24, -104
    stp x25, x26, [sp, #64]
    .cfi_offset x25, -96
    .cfi_offset x26, -88
    stp x27, x28, [sp, #80]
    .cfi_offset x27, -80
    .cfi_offset x28, -72
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp d14, d15, [sp, #144]
    ldp d12, d13, [sp, #128]
    ldp d10, d11, [sp, #112]
    ldp d8, d9, [sp, #96]
    ldp x27, x28, [sp, #80]
    ldp x25, x26, [sp, #64]
    ldp x23, x24, [sp, #48]
    ldp x21, x22, [sp, #32]
    ldp x19, x20, [sp, #16]
    ldp x29, x30, [sp], #160
    .cfi_def_cfa_offset 0
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
    .size ctx_switch, . - ctx_switch

/* Where a fresh context starts: ctx_make() put the function into x19 and its argument into x20.
 * The undefined return address tells every unwinder that the stack ends here. */
    .globl ctx_entry
    .hidden ctx_entry
    .type ctx_entry, %function
    .p2align 4
ctx_entry:
    .cfi_startproc
    .cfi_undefined x30
    mov x29, #0
    mov x30, #0
    mov x0, x20
    blr x19
    brk #1
    .cfi_endproc
    .size ctx_entry, . - ctx_entry
#endif
    .section .note.GNU-stack, "", %progbits
