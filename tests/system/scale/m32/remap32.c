/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What remap.c does, as a 32-bit program: random changes of mappings against a model of what each
 * page holds and allows, at the bottom, in the middle and at the top of what 4 GB offer, with
 * addresses whose parts add up to more than 4 GB, functions written and moved, and children that
 * write to what they share. It uses no library, for a host has none of 32 bits.
 */
#include <stdint.h>

#define PAGE 4096u
#define PAGES 24u /* in each area */
#define AREAS 3u
#define LAST (PAGE - 4)
#define STEPS 40000u

enum {
    SYS_exit = 1,
    SYS_fork = 2,
    SYS_write = 4,
    SYS_waitpid = 7,
    SYS_munmap = 91,
    SYS_mprotect = 125,
    SYS_mremap = 163,
    SYS_rt_sigaction = 174,
    SYS_mmap2 = 192,
    SYS_madvise = 219,
};
enum { R = 1, W = 2, X = 4, MAP_PRIVATE = 2, MAP_SHARED = 1, MAP_FIXED = 16, MAP_ANON = 32 };

struct model {
    int mapped, rights, shared;
    uint32_t word[2], function;
};

/* Linux gives a 32-bit program under a 64-bit kernel all but the last two pages. */
static const uint32_t area[AREAS] = {0x10000, 0x7fff4000, 0xffffe000 - PAGES *PAGE};
uint8_t stack[65536] __attribute__((aligned(16), used)); /* Linux's own is in the way */
static struct model model[AREAS][PAGES];
static uint32_t state = 1, step, bad;
static uint32_t fault[6]; /* EBX, ESI, EDI, EBP, ESP, EIP */
static volatile int expecting;

int set_jump(uint32_t *) __attribute__((returns_twice));
void long_jump(const uint32_t *) __attribute__((noreturn));
__asm__("set_jump: mov 4(%esp), %eax\n\t"
        "mov %ebx, (%eax)\n\tmov %esi, 4(%eax)\n\tmov %edi, 8(%eax)\n\tmov %ebp, 12(%eax)\n\t"
        "lea 4(%esp), %ecx\n\tmov %ecx, 16(%eax)\n\tmov (%esp), %ecx\n\tmov %ecx, 20(%eax)\n\t"
        "xor %eax, %eax\n\tret\n"
        "long_jump: mov 4(%esp), %eax\n\t"
        "mov (%eax), %ebx\n\tmov 4(%eax), %esi\n\tmov 8(%eax), %edi\n\tmov 12(%eax), %ebp\n\t"
        "mov 16(%eax), %esp\n\tmov 20(%eax), %ecx\n\tmov $1, %eax\n\tjmp *%ecx\n");

static long call(long n, long a, long b, long c, long d, long e)
{
    long r;

    __asm__ volatile("int $0x80"
                     : "=a"(r)
                     : "0"(n), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                     : "memory");
    return r;
}

/* mmap2 has six arguments; the last one, the offset, is 0. */
static long map_pages(uint32_t at, uint32_t size, int rights, int flags)
{
    long r;

    __asm__ volatile("push %%ebp\n\txor %%ebp, %%ebp\n\tint $0x80\n\tpop %%ebp"
                     : "=a"(r)
                     : "0"(SYS_mmap2), "b"(at), "c"(size), "d"(rights), "S"(flags), "D"(-1)
                     : "memory");
    return r;
}

static void say(const char *text)
{
    unsigned n = 0;

    while (text[n] != '\0')
        n++;
    call(SYS_write, 1, (long)text, (long)n, 0, 0);
}

static void say_number(uint32_t n)
{
    char buf[12], *p = buf + 11;

    *p = '\0';
    do
        *--p = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    say(p);
}

static void say_hex(uint32_t n)
{
    char buf[9];

    for (int i = 0; i < 8; i++)
        buf[i] = "0123456789abcdef"[n >> (28 - 4 * i) & 15];
    buf[8] = '\0';
    say(buf);
}

static void __attribute__((noreturn)) finish(int status)
{
    for (;;)
        call(SYS_exit, status, 0, 0, 0, 0);
}

static void wrong(uint32_t at, const char *what, uint32_t got, uint32_t want)
{
    if (bad++ >= 10)
        return;
    say("step ");
    say_number(step);
    say(", ");
    say_hex(at);
    say(": ");
    say(what);
    say(": ");
    say_hex(got);
    say(", not ");
    say_hex(want);
    say("\n");
}

static uint32_t next(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static uint32_t below(uint32_t n)
{
    return (next() >> 8) % n;
}

static void on_fault(int sig)
{
    (void)sig;
    if (!expecting) {
        say("unexpected fault\n");
        finish(3);
    }
    long_jump(fault);
}

/* --- accesses --- */

/* The parts of the address may add up to more than 4 GB. */
static uint32_t load(uint32_t at, int how)
{
    uint32_t v, half;

    switch (how) {
    case 0:
        return *(volatile uint32_t *)at;
    case 1:
        half = at - 0x90000000u;
        __asm__ volatile("movl 0x90000000(%1), %0" : "=r"(v) : "r"(half) : "memory");
        return v;
    case 2:
        half = 0xfffff000u;
        __asm__ volatile("movl (%1, %2, 1), %0" : "=r"(v) : "r"(at - half), "r"(half) : "memory");
        return v;
    default:
        __asm__ volatile("push %%esi\n\tmov %1, %%esi\n\tlodsl\n\tpop %%esi"
                         : "=a"(v)
                         : "r"(at)
                         : "memory");
        return v;
    }
}

static int try_load(uint32_t at, uint32_t *v, int how)
{
    expecting = 1;
    if (set_jump(fault) != 0) {
        expecting = 0;
        return 0;
    }
    *v = load(at, how);
    expecting = 0;
    return 1;
}

static int try_store(uint32_t at, uint32_t v, int how)
{
    expecting = 1;
    if (set_jump(fault) != 0) {
        expecting = 0;
        return 0;
    }
    if (how == 0)
        *(volatile uint32_t *)at = v;
    else if (how == 1)
        __asm__ volatile("xchg %0, 0x70000000(%1)" : "+r"(v) : "r"(at - 0x70000000u) : "memory");
    else
        __asm__ volatile("push %%edi\n\tmov %1, %%edi\n\tstosl\n\tpop %%edi"
                         :
                         : "a"(v), "r"(at)
                         : "memory");
    expecting = 0;
    return 1;
}

static int try_call(uint32_t at, uint32_t *v)
{
    expecting = 1;
    if (set_jump(fault) != 0) {
        expecting = 0;
        return 0;
    }
    *v = ((uint32_t(*)(void))at)();
    expecting = 0;
    return 1;
}

static uint32_t address(uint32_t a, uint32_t i)
{
    return area[a] + i * PAGE;
}

static void check(uint32_t a, uint32_t i)
{
    struct model *m = &model[a][i], *n = &model[a][i + 1];
    uint32_t v = 0, at = address(a, i), w = below(2);
    int ok = try_load(at + w * LAST, &v, (int)below(4));

    if (ok != !!(m->rights & R))
        wrong(at, "readable", (uint32_t)ok, (uint32_t)m->rights);
    else if (ok && v != m->word[w])
        wrong(at + w * LAST, "contents", v, m->word[w]);
    if (m->function != 0) {
        ok = try_call(at + 64, &v);
        if (ok != !!(m->rights & X))
            wrong(at, "executable", (uint32_t)ok, (uint32_t)m->rights);
        else if (ok && v != m->function)
            wrong(at, "function", v, m->function);
    }
    if (i + 1 < PAGES) {
        ok = try_load(at + PAGE - 2, &v, (int)below(4));
        if (ok != !!(m->rights & n->rights & R))
            wrong(at, "readable at the border", (uint32_t)ok, 0);
        else if (ok && v != (m->word[1] >> 16 | n->word[0] << 16))
            wrong(at, "contents at the border", v, m->word[1] >> 16 | n->word[0] << 16);
    }
}

static void check_all(void)
{
    for (uint32_t a = 0; a < AREAS; a++)
        for (uint32_t i = 0; i < PAGES; i++)
            check(a, i);
}

static void store(uint32_t a, uint32_t i)
{
    struct model *m = &model[a][i];
    uint32_t v = next(), w = below(2), at = address(a, i);
    int ok = try_store(at + w * LAST, v, (int)below(3));

    if (ok != !!(m->rights & W))
        wrong(at, "writable", (uint32_t)ok, (uint32_t)m->rights);
    if (!ok)
        return;
    m->word[w] = v;
    if (below(2) == 0) { /* mov eax, v; ret */
        *(volatile uint8_t *)(at + 64) = 0xb8;
        *(volatile uint32_t *)(at + 65) = v | 1;
        *(volatile uint8_t *)(at + 69) = 0xc3;
        m->function = v | 1;
    }
}

/* --- changes --- */

static int some_rights(void)
{
    static const uint8_t rights[] = {0, R, R | W, R | W, R | X, R | W | X};
    return rights[below(6)];
}

static void must(long r, const char *what)
{
    if ((unsigned long)r < -4095ul)
        return;
    say(what);
    say(" failed\n");
    finish(2);
}

static void in_a_child(void)
{
    int status;
    long pid = call(SYS_fork, 0, 0, 0, 0, 0);

    must(pid, "fork");
    if (pid == 0) {
        bad = 0;
        check_all();
        for (uint32_t a = 0; a < AREAS; a++)
            for (uint32_t i = 0; i < PAGES; i++)
                if (!model[a][i].shared)
                    store(a, i);
        check_all();
        finish(bad != 0);
    }
    if (call(SYS_waitpid, pid, (long)&status, 0, 0, 0) != pid || status != 0)
        wrong(0, "a child's status", (uint32_t)status, 0);
    check_all();
}

static void clear(struct model *m)
{
    *m = (struct model){0, 0, 0, {0, 0}, 0};
}

static void change(void)
{
    uint32_t a = below(AREAS), i = below(PAGES), b = below(AREAS), j = below(PAGES);
    uint32_t at = address(a, i);
    struct model *m = &model[a][i];

    switch (below(12)) {
    case 0:
    case 1:
        clear(m);
        m->mapped = 1;
        m->rights = some_rights();
        m->shared = below(4) == 0;
        must(map_pages(at, PAGE, m->rights,
                       MAP_FIXED | MAP_ANON | (m->shared ? MAP_SHARED : MAP_PRIVATE)),
             "mmap");
        break;
    case 2:
        must(call(SYS_munmap, (long)at, PAGE, 0, 0, 0), "munmap");
        clear(m);
        break;
    case 3:
    case 4:
    case 5:
        if (!m->mapped)
            break;
        m->rights = some_rights();
        must(call(SYS_mprotect, (long)at, PAGE, m->rights, 0, 0), "mprotect");
        break;
    case 6:
        if (!m->mapped || (a == b && i == j))
            break;
        must(call(SYS_mremap, (long)at, PAGE, PAGE, 3, (long)address(b, j)), "mremap");
        model[b][j] = *m;
        clear(m);
        break;
    case 7:
        if (!m->mapped || m->shared)
            break;
        must(call(SYS_madvise, (long)at, PAGE, 4, 0, 0), "madvise");
        m->word[0] = m->word[1] = m->function = 0;
        break;
    case 8:
        if (below(40) == 0)
            in_a_child();
        break;
    default:
        break;
    }
}

/* The kernel's struct sigaction of 32 bits: with SA_NODEFER nothing has to be undone. */
static void catch_faults(void)
{
    uint32_t sa[5] = {(uint32_t)on_fault, 0x40000000, 0, 0, 0};

    must(call(SYS_rt_sigaction, 11, (long)sa, 0, 8, 0), "sigaction");
}

static void __attribute__((noreturn, used)) run(void)
{
    for (uint32_t a = 0; a < AREAS; a++)
        must(call(SYS_munmap, (long)area[a], PAGES * PAGE, 0, 0, 0), "munmap");
    catch_faults();
    for (step = 0; step < STEPS; step++) {
        change();
        for (unsigned k = 0; k < 6; k++) {
            check(below(AREAS), below(PAGES));
            store(below(AREAS), below(PAGES));
        }
        if (step % 256 == 0)
            check_all();
    }
    check_all();
    say_number(step);
    say(" steps, ");
    say_number(bad);
    say(" errors\n");
    finish(bad != 0);
}

__asm__(".globl _start\n_start:\tlea stack+65536, %esp\n\txor %ebp, %ebp\n\tcall run\n");
