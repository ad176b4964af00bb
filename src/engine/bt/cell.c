/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cells: the host's processes. */
#include "cell.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define LIST_SIZE (CELL_OPS * sizeof(struct cell_op))
#define AREA_SIZE CELL_AREA_SIZE
_Static_assert(AREA_SIZE == PAGE + LIST_SIZE, "area");
#define TRACE_OPTIONS \
    (PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE)
#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* What our page in a cell holds: the system calls of a list at RBX, RBP of them, up to one that
 * fails. */
__asm__(".pushsection .rodata\n"
        "cell_code:\n"
        "1: mov (%rbx), %rax\n"
        "   mov 8(%rbx), %rdi\n"
        "   mov 16(%rbx), %rsi\n"
        "   mov 24(%rbx), %rdx\n"
        "   mov 32(%rbx), %r10\n"
        "   mov 40(%rbx), %r8\n"
        "   mov 48(%rbx), %r9\n"
        "   add $64, %rbx\n"
        "   syscall\n"
        "   cmp $-4095, %rax\n"
        "   jae 2f\n"
        "   dec %rbp\n"
        "   jnz 1b\n"
        "2: int3\n"
        "cell_code_end:\n"
        ".popsection\n");
extern const uint8_t cell_code[], cell_code_end[];

/* ---- what a cell is to do -------------------------------------------------------------------- */

static void queue(struct cell *e, uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                  uint64_t f, uint64_t g)
{
    if (e->n_op == CELL_OPS) {
        e->lost = true;
        return;
    }
    e->op[e->n_op++] = (struct cell_op){.nr = nr, .arg = {a, b, c, d, f, g}};
}

void bt_cell_map(const struct cells *cs, struct cell *e, uint64_t lin, uint64_t len, unsigned prot,
                 uint64_t offset)
{
    e->maps++;
    queue(e, SYS_mmap, lin, len, prot, MAP_SHARED | MAP_FIXED, (uint64_t)cs->fd, offset);
}

void bt_cell_protect(struct cell *e, uint64_t lin, uint64_t len, unsigned prot)
{
    struct cell_op *last = e->n_op > 0 ? &e->op[e->n_op - 1] : NULL;
    uint64_t nr = prot == 0 ? SYS_munmap : SYS_mprotect;

    e->maps += 2;
    if (last != NULL && last->nr == nr && last->arg[0] + last->arg[1] == lin &&
        (prot == 0 || last->arg[2] == prot)) {
        last->arg[1] += len;
        return;
    }
    queue(e, nr, lin, len, prot, 0, 0, 0);
}

/* The calls that unmap all but the area. */
#define UNMAP_ALL 2u
static void unmap_all(const struct cells *cs, struct cell_op op[UNMAP_ALL])
{
    uint64_t behind = cs->area + AREA_SIZE;

    op[0] = (struct cell_op){.nr = SYS_munmap, .arg = {0, cs->area}};
    op[1] = (struct cell_op){.nr = SYS_munmap, .arg = {behind, CELL_END - behind}};
}

void bt_cell_unmap_all(const struct cells *cs, struct cell *e)
{
    unmap_all(cs, e->op);
    e->n_op = UNMAP_ALL;
    e->lost = false;
    e->maps = 0;
}

/* ---- processes ------------------------------------------------------------------------------- */

static int wait_stop(pid_t pid, int *status)
{
    pid_t r;

    do
        r = wait4(pid, status, __WALL, NULL);
    while (r < 0 && errno == EINTR);
    return r == pid && WIFSTOPPED(*status) ? 0 : -1;
}

static void put_away(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    while (wait4(pid, &status, __WALL, NULL) == pid && !WIFSIGNALED(status) && !WIFEXITED(status))
        ;
}

/* The process makes the calls of the area's list; stops on the way are gone over. False: one
 * failed, or the process is no more. *child: of one that makes a process. */
static bool make_calls(const struct cells *cs, pid_t pid, unsigned n, pid_t *child)
{
    struct user_regs_struct r;
    int status = 0;

    if (ptrace(PTRACE_GETREGS, pid, NULL, &r) < 0)
        return false;
    r.rip = cs->area;
    r.rbx = cs->area + PAGE;
    r.rbp = n;
    r.rsp = 0;
    r.eflags = 0x202;
    r.orig_rax = ~0ull;
    r.cs = CELL_CS;
    r.ss = CELL_SS;
    if (ptrace(PTRACE_SETREGS, pid, NULL, &r) < 0)
        return false;
    for (;;) {
        if (ptrace(PTRACE_CONT, pid, NULL, NULL) < 0 || wait_stop(pid, &status) < 0)
            return false;
        if (child != NULL && (status >> 8 == (SIGTRAP | PTRACE_EVENT_FORK << 8) ||
                              status >> 8 == (SIGTRAP | PTRACE_EVENT_CLONE << 8))) {
            unsigned long made = 0;
            if (ptrace(PTRACE_GETEVENTMSG, pid, NULL, &made) < 0)
                return false;
            *child = (pid_t)made;
            continue;
        }
        if (status >> 8 == SIGTRAP)
            break;
        if (WSTOPSIG(status) == SIGSEGV || WSTOPSIG(status) == SIGBUS)
            return false;
    }
    return ptrace(PTRACE_GETREGS, pid, NULL, &r) == 0 && r.rbp == 0;
}

/* Has the process make these calls. The list is wiped: no program is to read what was another's. */
static bool make_list(const struct cells *cs, pid_t pid, const struct cell_op *op, unsigned n,
                      pid_t *child)
{
    memcpy(cs->list, op, n * sizeof(*op));
    bool ok = make_calls(cs, pid, n, child);
    memset(cs->list, 0, n * sizeof(*op));
    return ok;
}

bool bt_cell_apply(struct cells *cs, struct cell *e)
{
    unsigned n = e->n_op;

    e->n_op = 0;
    return n == 0 || make_list(cs, e->pid, e->op, n, NULL);
}

/*
 * What a cell's list may have, and no more, whoever should come to run there. The page of old
 * system calls (vsyscall) is the host's, and its kernel does there what it is asked: those stop the
 * cell.
 */
static int filter_calls(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 8),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 8, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 7, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_gettimeofday, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_time, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getcpu, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* glibc has the kernel write to its threads' memory, which will not be there. */
static int forget_rseq(void)
{
#ifdef RSEQ_SIG
    if (__rseq_size == 0)
        return 0;
    void *at = (char *)__builtin_thread_pointer() + __rseq_offset;
    if (syscall(SYS_rseq, at, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG) == 0 ||
        syscall(SYS_rseq, at, __rseq_size, RSEQ_FLAG_UNREGISTER, RSEQ_SIG) == 0)
        return 0;
    return -1;
#else
    return 0;
#endif
}

/* In the new process, a copy of ours of which but this thread is left. It stops at the INT3. */
static void become_cell(const struct cells *cs)
{
    void *at = (void *)cs->area;
    int flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
    sigset_t none;

    __asm__ volatile("pushfq\n andq $~0x200000, (%%rsp)\n popfq" : : : "cc", "memory"); /* ID */
    sigemptyset(&none);
    if (forget_rseq() < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ||
        mmap(at, PAGE, PROT_READ | PROT_EXEC, flags, cs->area_fd, 0) != at ||
        mmap((char *)at + PAGE, LIST_SIZE, PROT_READ, flags, cs->area_fd, PAGE) !=
            (char *)at + PAGE)
        _exit(1);
    setpgid(0, 0);
    prctl(PR_SET_NAME, "doppel-cell");
    if ((cs->fd > 0 && syscall(SYS_close_range, 0, cs->fd - 1, 0) < 0) ||
        syscall(SYS_close_range, cs->fd + 1, ~0u, 0) < 0 ||
        prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) < 0 ||
        ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || filter_calls() < 0)
        _exit(1);
    __asm__ volatile("int3");
    __builtin_unreachable();
}

/* Legacy area, header, and the components up to AVX-512's last one (SDM vol. 1, 13.4). */
static uint64_t own_size(void)
{
    uint64_t size = 576;
    unsigned offset, length, c, d;

    for (unsigned i = 2; i < 8; i++)
        if ((0xe4 >> i & 1) && __get_cpuid_count(0xd, i, &length, &offset, &c, &d) && length != 0 &&
            offset + length > size)
            size = offset + length;
    return size;
}

/* How large the vector state is that the host hands out, and what is in it that is not the
 * guest's. */
static bool learn_xstate(struct cells *cs)
{
    struct iovec io = {.iov_base = cs->xinit, .iov_len = CELL_XSTATE};

    if (ptrace(PTRACE_GETREGSET, cs->first, NT_X86_XSTATE, &io) < 0 || io.iov_len >= CELL_XSTATE ||
        io.iov_len < 576)
        return false;
    cs->xsize = io.iov_len;
    cs->own_size = own_size();
    return cs->own_size <= cs->xsize;
}

static bool first_start(struct cells *cs)
{
    struct cell_op op[UNMAP_ALL];
    int status = 0;
    pid_t pid = (pid_t)syscall(SYS_fork);

    if (pid == 0)
        become_cell(cs);
    if (pid < 0)
        return false;
    cs->first = pid;
    if (wait_stop(pid, &status) == 0 && WSTOPSIG(status) == SIGTRAP &&
        ptrace(PTRACE_SETOPTIONS, pid, NULL, TRACE_OPTIONS) == 0) {
        unmap_all(cs, op);
        if (make_list(cs, pid, op, UNMAP_ALL, NULL) && learn_xstate(cs))
            return true;
    }
    put_away(pid);
    cs->first = 0;
    return false;
}

bool bt_cell_start(struct cells *cs, struct cell *e)
{
    const struct cell_op op = {.nr = SYS_clone, .arg = {CLONE_PARENT | SIGCHLD}};
    int status = 0;
    pid_t pid = 0;

    if (cs->refused || (cs->first == 0 && !first_start(cs))) {
        cs->refused = true;
        return false;
    }
    bool ok = make_list(cs, cs->first, &op, 1, &pid);
    if (pid != 0 && (wait_stop(pid, &status) < 0 || !ok)) {
        put_away(pid);
        pid = 0;
    }
    if (pid == 0) {
        cs->refused = true;
        return false;
    }
    e->pid = pid;
    e->cpu = -1;
    e->n_op = e->maps = 0;
    e->lost = e->has_xstate = e->spoiled = false;
    e->ran_ns = e->tick_ns = e->stops = 0;
    return true;
}

void bt_cell_end(struct cell *e)
{
    if (e->pid != 0)
        put_away(e->pid);
    e->pid = 0;
}

/* ---- running --------------------------------------------------------------------------------- */

static enum cell_stop why_stopped(pid_t pid, int status, uint64_t *addr)
{
    siginfo_t info;
    int sig = status >> 8;

    if (sig == (SIGTRAP | 0x80))
        return CELL_SYSCALL;
    if (sig != SIGSEGV && sig != SIGTRAP && sig != SIGSYS)
        return sig == SIGBUS || sig == SIGFPE || sig == SIGILL ? CELL_FAULT : CELL_KICK;
    if (ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) < 0)
        return CELL_DEAD;
    if (info.si_code == SI_USER || info.si_code == SI_TKILL || info.si_code == SI_QUEUE)
        return CELL_KICK;
    if (sig == SIGSYS) {
        *addr = (uint64_t)info.si_call_addr;
        return CELL_VSYSCALL;
    }
    if (sig == SIGTRAP)
        return info.si_code == TRAP_TRACE ? CELL_STEP : CELL_TRAP;
    *addr = info.si_code == SEGV_MAPERR || info.si_code == SEGV_ACCERR ? (uint64_t)info.si_addr : 0;
    return *addr != 0 ? CELL_MEMORY : CELL_FAULT;
}

enum cell_stop bt_cell_go(struct cell *e, struct user_regs_struct *regs, _Atomic pid_t *running,
                          const _Atomic uint8_t *kick, uint64_t *addr)
{
    int status = 0;

    regs->orig_rax = ~0ull;
    if (ptrace(PTRACE_SETREGS, e->pid, NULL, regs) < 0)
        return CELL_DEAD;
    e->stops++;
    atomic_store(running, e->pid);
    if (atomic_load(kick)) {
        atomic_store(running, 0);
        return CELL_KICK;
    }
    bool ok = ptrace(PTRACE_SYSEMU, e->pid, NULL, NULL) == 0 && wait_stop(e->pid, &status) == 0;
    atomic_store(running, 0);
    if (!ok || ptrace(PTRACE_GETREGS, e->pid, NULL, regs) < 0)
        return CELL_DEAD;
    return why_stopped(e->pid, status, addr);
}

void bt_cells_together(struct cells *cs, struct cell *e)
{
    int cpu = cs->no_affinity ? -1 : sched_getcpu();
    cpu_set_t one;

    if (cpu < 0 || cpu >= CPU_SETSIZE || cs->loose) {
        cs->loose = false;
        return;
    }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (!cs->together) {
        if (sched_getaffinity(0, sizeof(cs->wanted), &cs->wanted) < 0 ||
            sched_setaffinity(0, sizeof(one), &one) < 0) {
            cs->no_affinity = true;
            return;
        }
        cs->together = true;
    }
    if (e->cpu != cpu)
        e->cpu = sched_setaffinity(e->pid, sizeof(one), &one) < 0 ? -1 : cpu;
}

void bt_cells_apart(struct cells *cs)
{
    if (cs->together)
        (void)sched_setaffinity(0, sizeof(cs->wanted), &cs->wanted);
    cs->loose = cs->together;
    cs->together = false;
}

void bt_cell_kick(const _Atomic pid_t *running)
{
    pid_t pid = atomic_load(running);
    long r;

    /* a raw call: this may be a thread whose FS is a view's */
    if (pid != 0)
        __asm__ volatile("syscall"
                         : "=a"(r)
                         : "a"(SYS_tgkill), "D"(pid), "S"(pid), "d"(SIGUSR1)
                         : "rcx", "r11", "memory");
}

#define HEADER 512u
/* Zen 4 takes AVX's component for one in use where AVX-512's is. As XSAVES writes only what changed
 * since XRSTORS, the kernel then hands out what was there before: so it is always given a value. */
#define XSTATE_YMM (1ull << 2)
#define XSTATE_ZMM (3ull << 6)
#define XSTATE_YMM_AT 576u
#define XSTATE_YMM_SIZE 256u

bool bt_cell_put_xstate(struct cells *cs, struct cell *e, const uint8_t *area, uint64_t mask)
{
    uint8_t image[CELL_XSTATE];
    struct iovec io = {.iov_base = image, .iov_len = cs->xsize};
    uint64_t *bits = (uint64_t *)(image + HEADER);

    memcpy(image, cs->xinit, cs->xsize);
    memcpy(image, area, HEADER - 48); /* then comes what the kernel says of the format */
    memcpy(image + HEADER + 64, area + HEADER + 64, cs->own_size - HEADER - 64);
    memcpy(bits, area + HEADER, 8);
    *bits = (*bits & mask) | (((const uint64_t *)(cs->xinit + HEADER))[0] & ~mask);
    if ((*bits & XSTATE_ZMM) && !(*bits & XSTATE_YMM)) {
        *bits |= XSTATE_YMM;
        memset(image + XSTATE_YMM_AT, 0, XSTATE_YMM_SIZE);
    }
    if (e->has_xstate && memcmp(image, e->xstate, cs->xsize) == 0)
        return true;
    e->has_xstate = false;
    if (ptrace(PTRACE_SETREGSET, e->pid, NT_X86_XSTATE, &io) < 0)
        return false;
    memcpy(e->xstate, image, cs->xsize);
    e->has_xstate = true;
    return true;
}

bool bt_cell_get_xstate(struct cells *cs, struct cell *e, uint8_t *area, uint64_t mask)
{
    struct iovec io = {.iov_base = e->xstate, .iov_len = cs->xsize};
    uint64_t bits;

    e->has_xstate = false;
    if (ptrace(PTRACE_GETREGSET, e->pid, NT_X86_XSTATE, &io) < 0)
        return false;
    memcpy(area, e->xstate, HEADER - 48);
    memcpy(area + HEADER + 64, e->xstate + HEADER + 64, cs->own_size - HEADER - 64);
    memcpy(&bits, e->xstate + HEADER, 8);
    bits &= mask;
    memcpy(area + HEADER, &bits, 8);
    e->has_xstate = true;
    return true;
}

uint64_t bt_cell_ran(struct cell *e)
{
    uint64_t was = e->ran_ns;
    struct timespec t;
    clockid_t clock;

    if (clock_getcpuclockid(e->pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
        return 0;
    e->ran_ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
    return e->ran_ns - was;
}

/* ---- set-up ---------------------------------------------------------------------------------- */

/* Where programs of Linux have nothing: between what is built to lie low and where those lie that
 * do not care. */
static uint64_t choose_area(void)
{
    uint64_t r = 0;

    if (getrandom(&r, sizeof(r), 0) != sizeof(r))
        r = (uint64_t)getpid() * 0x9e3779b97f4a7c15ull;
    return 0x200000000000ull + (r & 0x2fffffff000ull);
}

struct cells *bt_cells_create(unsigned n, int fd, uint64_t pages, uint32_t max_maps)
{
    const char *mode = getenv("DOPPEL_CELLS");
    struct cells *cs;
    void *area = MAP_FAILED;

    if (mode != NULL && strcmp(mode, "off") == 0)
        return NULL;
    cs = calloc(1, sizeof(*cs));
    if (cs == NULL)
        return NULL;
    cs->n = n;
    cs->fd = fd;
    cs->max_maps = max_maps;
    cs->eager = mode != NULL && strcmp(mode, "eager") == 0;
    cs->area = choose_area();
    cs->cell = calloc(n, sizeof(*cs->cell));
    cs->usable = calloc(pages / 64 + 1, sizeof(*cs->usable));
    cs->area_fd = memfd_create("doppel cell", MFD_CLOEXEC);
    if (cs->area_fd >= 0 && ftruncate(cs->area_fd, AREA_SIZE) == 0)
        area = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, cs->area_fd, 0);
    if (cs->cell == NULL || cs->usable == NULL || area == MAP_FAILED) {
        bt_cells_destroy(cs);
        return NULL;
    }
    memcpy(area, cell_code, (size_t)(cell_code_end - cell_code));
    cs->list = (uint8_t *)area + PAGE;
    return cs;
}

void bt_cells_end(struct cells *cs)
{
    for (unsigned i = 0; cs->cell != NULL && i < cs->n; i++)
        bt_cell_end(&cs->cell[i]);
    if (cs->first != 0)
        put_away(cs->first);
    cs->first = 0;
}

void bt_cells_destroy(struct cells *cs)
{
    if (cs == NULL)
        return;
    bt_cells_end(cs);
    if (cs->list != NULL)
        munmap(cs->list - PAGE, AREA_SIZE);
    if (cs->area_fd >= 0)
        close(cs->area_fd);
    free(cs->cell);
    free(cs->usable);
    free(cs);
}
