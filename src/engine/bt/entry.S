/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The border between C and translated code.
 *
 * Translated code runs with the guest's registers in the host's, RSP included, so it has no stack:
 * it reaches the stubs below by jumps and tells them where to go on in the context (%gs). The guest's
 * R10 and R11 are in ctx->spill[] at all borders but those in the middle of a block. The host
 * stack pointer of the C caller is kept in the context; the stubs switch to it.
 *
 * Helpers called by the stubs are compiled for general registers only, so the guest's vector state
 * stays in the registers; only bt_stub_exit and bt_vector_out save it.
 */
#include "bt_asm.h"

#define C(off) %gs:off

        .text

        .macro save_gprs
        mov %rax, C(CTX_GPR + 0x00)
        mov %rcx, C(CTX_GPR + 0x08)
        mov %rdx, C(CTX_GPR + 0x10)
        mov %rbx, C(CTX_GPR + 0x18)
        mov %rsp, C(CTX_GPR + 0x20)
        mov %rbp, C(CTX_GPR + 0x28)
        mov %rsi, C(CTX_GPR + 0x30)
        mov %rdi, C(CTX_GPR + 0x38)
        mov %r8, C(CTX_GPR + 0x40)
        mov %r9, C(CTX_GPR + 0x48)
        mov %r10, C(CTX_GPR + 0x50)
        mov %r11, C(CTX_GPR + 0x58)
        mov %r12, C(CTX_GPR + 0x60)
        mov %r13, C(CTX_GPR + 0x68)
        mov %r14, C(CTX_GPR + 0x70)
        mov %r15, C(CTX_GPR + 0x78)
        .endm

        .macro load_gprs
        mov C(CTX_GPR + 0x00), %rax
        mov C(CTX_GPR + 0x08), %rcx
        mov C(CTX_GPR + 0x10), %rdx
        mov C(CTX_GPR + 0x18), %rbx
        mov C(CTX_GPR + 0x28), %rbp
        mov C(CTX_GPR + 0x30), %rsi
        mov C(CTX_GPR + 0x38), %rdi
        mov C(CTX_GPR + 0x40), %r8
        mov C(CTX_GPR + 0x48), %r9
        mov C(CTX_GPR + 0x50), %r10
        mov C(CTX_GPR + 0x58), %r11
        mov C(CTX_GPR + 0x60), %r12
        mov C(CTX_GPR + 0x68), %r13
        mov C(CTX_GPR + 0x70), %r14
        mov C(CTX_GPR + 0x78), %r15
        mov C(CTX_GPR + 0x20), %rsp
        .endm

        /* R10 and R11 at the borders of translated code: see BT_LENT. */
        .macro lent_out
        mov C(CTX_SPILL + 0x50), %rax
        mov %rax, C(CTX_GPR + 0x50)
        mov C(CTX_SPILL + 0x58), %rax
        mov %rax, C(CTX_GPR + 0x58)
        .endm

        .macro lent_in
        mov C(CTX_GPR + 0x50), %rcx
        mov %rcx, C(CTX_SPILL + 0x50)
        mov C(CTX_GPR + 0x58), %rcx
        mov %rcx, C(CTX_SPILL + 0x58)
        .endm

/* FS: the view's base in translated code and its helpers, the host's thread pointer in C that may
 * use it. Clobbers RAX. */
        .macro fs_guest
        cmpb $0, C(CTX_DIRECT)
        je 9f
        mov C(CTX_FS_BASE), %rax
        mov %rax, C(CTX_FS_LOADED)
        wrfsbase %rax
9:
        .endm

        .macro fs_host
        cmpb $0, C(CTX_DIRECT)
        je 9f
        mov C(CTX_FS_HOST), %rax
        wrfsbase %rax
9:
        .endm

/* After a helper that may have changed the view. Clobbers RCX. */
        .macro fs_sync
        mov C(CTX_FS_BASE), %rcx
        cmp C(CTX_FS_LOADED), %rcx
        je 9f
        mov %rcx, C(CTX_FS_LOADED)
        wrfsbase %rcx
9:
        .endm

/* The arithmetic flags; POPF takes five times as long. Clobbers RAX, RCX. */
        .macro load_flags
        mov C(CTX_FLAGS), %eax
        mov %eax, %ecx
        mov %al, %ah
        btl $11, %ecx
        setc %al
        add $0x7f, %al
        sahf
        .endm

        .macro func name
        .globl \name
        .hidden \name
        .type \name, @function
        .p2align 4
\name:
        .endm

        .globl bt_stubs_begin
        .hidden bt_stubs_begin
bt_stubs_begin:

/* void bt_enter(void): runs translated code at ctx->jmp_target until something jumps to
 * bt_stub_exit. */
        func bt_enter
        push %rbp
        push %rbx
        push %r12
        push %r13
        push %r14
        push %r15
        sub $8, %rsp
        mov %rsp, C(CTX_HOST_RSP)
        movb $0, C(CTX_OUTSIDE)
        mov C(CTX_XSAVE), %rdi
        mov C(CTX_XMASK_LO), %eax
        mov C(CTX_XMASK_HI), %edx
        xrstor64 (%rdi)
        fs_guest
        lent_in
        load_flags
        load_gprs
        jmp *C(CTX_JMP_TARGET)

/* Leaves translated code: saves everything and returns from bt_enter. ctx->exit_reason says why. */
        func bt_stub_exit
        save_gprs
        mov C(CTX_HOST_RSP), %rsp
        pushfq
        popq C(CTX_FLAGS)
exit_saved:
        fs_host
        movb $1, C(CTX_OUTSIDE)
        mov C(CTX_XSAVE), %rdi
        mov C(CTX_XMASK_LO), %eax
        mov C(CTX_XMASK_HI), %edx
        xsave64 (%rdi)
        mov C(CTX_XINIT), %rdi
        mov C(CTX_XMASK_LO), %eax
        mov C(CTX_XMASK_HI), %edx
        xrstor64 (%rdi)
        add $8, %rsp
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbx
        pop %rbp
        ret

/* Calls helper number (arg & 0xff) of bt_helpers with (ctx, arg >> 8). It returns 0: go on at
 * code_base + site; 1: leave translated code; else the host address to go on at. Guest registers
 * and flags are in the context meanwhile. bt_stub_helper_counted counts the calls, too. */
        .macro helper_stub name, counted
        func \name
        save_gprs
        lent_out
        mov C(CTX_HOST_RSP), %rsp
        pushfq
        popq C(CTX_FLAGS)
        mov C(CTX_SELF), %rdi
        mov C(CTX_ARG), %esi
        movzbl %sil, %eax
        shr $8, %esi
        .if \counted
        mov C(CTX_CALLS), %rcx
        incq (%rcx, %rax, 8)
        .endif
        lea bt_helpers(%rip), %rcx
        call *(%rcx, %rax, 8)
        test %rax, %rax
        jnz 1f
        cmpb $0, C(CTX_LEFT)
        jne 2f
        mov C(CTX_SITE), %eax
        add C(CTX_CODE_BASE), %rax
1:      cmp $1, %rax
        je exit_saved
        mov %rax, C(CTX_JMP_TARGET)
        fs_sync
        lent_in
        load_flags
        load_gprs
        jmp *C(CTX_JMP_TARGET)
2:      mov C(CTX_SELF), %rdi
        call bt_helper_left
        jmp 1b
        .endm

        helper_stub bt_stub_helper, 0
        helper_stub bt_stub_helper_counted, 1

/* The same without the flags, for sites where they are dead or already saved: uint64_t
 * bt_mem_slow(ctx). Returns as a helper does; 0: at code_base + site. */
        .macro light_stub name, fn
        func \name
        save_gprs
        mov C(CTX_HOST_RSP), %rsp
        mov C(CTX_SELF), %rdi
        call \fn
        test %rax, %rax
        jnz 1f
        mov C(CTX_SITE), %eax
        add C(CTX_CODE_BASE), %rax
        mov %rax, C(CTX_JMP_TARGET)
        fs_sync
        load_gprs
        jmp *C(CTX_JMP_TARGET)
1:      cmp $1, %rax
        je exit_saved
        mov %rax, C(CTX_JMP_TARGET)
        fs_sync
        load_flags
        load_gprs
        jmp *C(CTX_JMP_TARGET)
        .endm

        light_stub bt_stub_mem, bt_mem_slow
        light_stub bt_stub_group, bt_group_slow
        light_stub bt_stub_seg, bt_seg_slow

/* With flags kept. bt_mem_post goes on in the middle of its block. */
        func bt_stub_post
        save_gprs
        mov C(CTX_HOST_RSP), %rsp
        pushfq
        popq C(CTX_FLAGS)
        mov C(CTX_SELF), %rdi
        call bt_mem_post
        mov C(CTX_SITE), %eax
        add C(CTX_CODE_BASE), %rax
        mov %rax, C(CTX_JMP_TARGET)
        load_flags
        load_gprs
        jmp *C(CTX_JMP_TARGET)

/* From block to block: an exit that is not linked, an indirect jump that missed. */
        .macro exit_stub name, fn
        func \name
        save_gprs
        lent_out
        mov C(CTX_HOST_RSP), %rsp
        pushfq
        popq C(CTX_FLAGS)
        mov C(CTX_SELF), %rdi
        call \fn
        cmp $1, %rax
        je exit_saved
        mov %rax, C(CTX_JMP_TARGET)
        fs_sync
        lent_in
        load_flags
        load_gprs
        jmp *C(CTX_JMP_TARGET)
        .endm

        exit_stub bt_stub_chain, bt_chain
        exit_stub bt_stub_kick, bt_kick_exit
        exit_stub bt_stub_page2, bt_page2_miss
        exit_stub bt_stub_variant, bt_variant
        exit_stub bt_stub_direct, bt_direct_miss
        exit_stub bt_stub_gone, bt_gone
        exit_stub bt_stub_stale, bt_stale

/* A return or an indirect branch that no table knew: to RIP in R11, the flags in saved_flags. */
        func bt_stub_lookup
        mov %r11, C(CTX_RIP)
        save_gprs
        lent_out
        mov C(CTX_HOST_RSP), %rsp
        mov C(CTX_SELF), %rdi
        call bt_lookup_next
        cmp $1, %rax
        je exit_saved
        mov %rax, C(CTX_JMP_TARGET)
        fs_sync
        lent_in
        load_flags
        load_gprs
        jmp *C(CTX_JMP_TARGET)

        .globl bt_stubs_end
        .hidden bt_stubs_end
bt_stubs_end:

/* void bt_vector_out(void), void bt_vector_in(void): save the guest's vector state and give C a
 * clean one; and back. Called from general-register helpers around calls into ordinary C. Pairs
 * within pairs do nothing, nor do pairs in the run loop, which delivers events by helpers' ways. */
        func bt_vector_out
        incb C(CTX_OUTSIDE)
        cmpb $1, C(CTX_OUTSIDE)
        jne 1f
        fs_host
        mov C(CTX_XSAVE), %rdi
        mov C(CTX_XMASK_LO), %eax
        mov C(CTX_XMASK_HI), %edx
        xsave64 (%rdi)
        mov C(CTX_XINIT), %rdi
        mov C(CTX_XMASK_LO), %eax
        mov C(CTX_XMASK_HI), %edx
        xrstor64 (%rdi)
1:      ret

        func bt_vector_in
        decb C(CTX_OUTSIDE)
        jnz 1f
        fs_guest
        mov C(CTX_XSAVE), %rdi
        mov C(CTX_XMASK_LO), %eax
        mov C(CTX_XMASK_HI), %edx
        xrstor64 (%rdi)
1:      ret

/* int bt_try_xrstor(p, lo, hi, wide), bt_try_fxrstor(p, wide): the signal handler sends a fault
 * between bt_try_begin and bt_try_end to bt_try_failed. */
        .globl bt_try_begin, bt_try_end, bt_try_failed
        .hidden bt_try_begin, bt_try_end, bt_try_failed
bt_try_begin:
        func bt_try_xrstor
        mov %esi, %eax
        test %cl, %cl
        jz 1f
        xrstor64 (%rdi)
        xor %eax, %eax
        ret
1:      xrstor (%rdi)
        xor %eax, %eax
        ret

        func bt_try_fxrstor
        xor %eax, %eax
        test %sil, %sil
        jz 1f
        fxrstor64 (%rdi)
        ret
1:      fxrstor (%rdi)
        ret
bt_try_end:
bt_try_failed:
        mov $1, %eax
        ret

        .section .note.GNU-stack, "", @progbits
