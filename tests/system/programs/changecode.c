/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs in a guest: changecode SEED ROUNDS. Random functions are written, patched, copied, moved and
 * called in pages that hold code and data; some patch themselves or others. What each call must
 * return is computed beside. Prints one line for each that is wrong and ends with 1 if any was.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096u
#define PAGES 12u
#define SLOT 320u /* not a divisor of a page: some functions lie on two */
#define SLOTS (PAGES * PAGE / SLOT)
#define CELLS 8u /* words of data in the gap behind a slot's code */
#define CODE (SLOT - CELLS * 4)
#define OPS_MAX 12u
#define LEAF_AT 3 /* where the first immediate of a function is that others patch */

enum kind {
    ADD,       /* add eax, imm32 */
    XOR,       /* xor eax, imm32 */
    ADD8,      /* add eax, imm8 */
    MUL,       /* imul eax, eax, imm32 */
    ROL,       /* rol eax, imm8 */
    WIDE,      /* mov rcx, imm64; xor eax, ecx */
    CELL,      /* add dword [cell], imm32; xor eax, [cell] */
    LOOP,      /* mov ecx, n; 1: add eax, imm32; dec ecx; jnz 1b */
    SKIP,      /* test edi, 1 << bit; jz over; add eax, imm32 */
    SELF,      /* add dword [the next imm32], step; add eax, imm32 */
    SELF_LOOP, /* mov ecx, n; 1: add eax, imm32; inc dword [that imm32]; dec ecx; jnz 1b */
    PATCH,     /* mov dword [an immediate of the next function], imm32 */
    CALL,      /* call a function further on with edi, xor what it returns */
    KINDS
};

struct op {
    enum kind kind;
    uint32_t imm, other; /* other: step, count, bit, cell, slot */
    uint32_t high;
    unsigned at; /* of the immediate in the slot */
};

struct slot {
    struct op op[OPS_MAX];
    unsigned n;
    uint32_t cell[CELLS];
};

static struct slot slot[SLOTS];
static uint8_t *run, *write_to; /* the pages, and the same ones elsewhere */
static uint64_t state;
static unsigned wrong;

static uint32_t rnd(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 20) % n;
}

static uint32_t word(void)
{
    return rnd(1u << 31) * 2 + rnd(2);
}

/* ---- what it should do ----------------------------------------------------------------------- */

static uint32_t expected(struct slot *s, uint32_t arg)
{
    uint32_t eax = arg;

    for (unsigned i = 0; i < s->n; i++) {
        struct op *o = &s->op[i];
        switch (o->kind) {
        case ADD:
            eax += o->imm;
            break;
        case XOR:
            eax ^= o->imm;
            break;
        case ADD8:
            eax += (uint32_t)(int8_t)o->imm;
            break;
        case MUL:
            eax *= o->imm;
            break;
        case ROL:
            eax = eax << (o->imm & 31) | eax >> (-o->imm & 31);
            break;
        case WIDE:
            eax ^= o->imm;
            break;
        case CELL:
            s->cell[o->other] += o->imm;
            eax ^= s->cell[o->other];
            break;
        case LOOP:
            eax += o->imm * o->other;
            break;
        case SKIP:
            eax += arg >> o->other & 1 ? o->imm : 0;
            break;
        case SELF:
            o->imm += o->other;
            eax += o->imm;
            break;
        case SELF_LOOP:
            for (uint32_t k = 0; k < o->other; k++)
                eax += o->imm++;
            break;
        case PATCH:
            s[1].op[0].imm = o->imm;
            break;
        default:
            eax ^= expected(&slot[o->other], arg);
            break;
        }
    }
    return eax;
}

/* ---- code ------------------------------------------------------------------------------------ */

static uint8_t *put(uint8_t *p, const void *bytes, unsigned n)
{
    memcpy(p, bytes, n);
    return p + n;
}

static uint8_t *put4(uint8_t *p, uint32_t v)
{
    return put(p, &v, 4);
}

/* The code of one operation; `base` is where its slot begins in the buffer. */
static uint8_t *encode(uint8_t *p, uint8_t *base, struct op *o)
{
    uint64_t address;
    uint8_t *top;
    int8_t back;

    switch (o->kind) {
    case ADD:
        p = put(p, "\x05", 1);
        break;
    case XOR:
        p = put(p, "\x35", 1);
        break;
    case ADD8:
        p = put(p, "\x83\xc0", 2);
        o->at = (unsigned)(p - base);
        *p++ = (uint8_t)o->imm;
        return p;
    case MUL:
        p = put(p, "\x69\xc0", 2);
        break;
    case ROL:
        p = put(p, "\xc1\xc0", 2);
        o->at = (unsigned)(p - base);
        *p++ = (uint8_t)o->imm;
        return p;
    case WIDE:
        p = put(p, "\x48\xb9", 2);
        o->at = (unsigned)(p - base);
        p = put4(put4(p, o->imm), o->high);
        return put(p, "\x31\xc8", 2);
    case CELL:
        p = put(p, "\x81\x05", 2);
        o->at = (unsigned)(p - base) + 4;
        p = put4(p, (uint32_t)(base + CODE + 4 * o->other - (p + 8)));
        p = put4(p, o->imm);
        p = put(p, "\x33\x05", 2);
        return put4(p, (uint32_t)(base + CODE + 4 * o->other - (p + 4)));
    case LOOP:
    case SELF_LOOP:
        p = put4(put(p, "\xb9", 1), o->other);
        top = p;
        p = put(p, "\x05", 1);
        o->at = (unsigned)(p - base);
        p = put4(p, o->imm);
        if (o->kind == SELF_LOOP) {
            p = put(p, "\xff\x05", 2); /* inc dword [rip + .] */
            p = put4(p, (uint32_t)(top + 1 - (p + 4)));
        }
        p = put(p, "\xff\xc9\x75", 3);
        back = (int8_t)(top - (p + 1));
        *p++ = (uint8_t)back;
        return p;
    case SKIP:
        p = put4(put(p, "\xf7\xc7", 2), 1u << o->other);
        p = put(p, "\x74\x05\x05", 3);
        break;
    case SELF:
        p = put(p, "\x81\x05", 2); /* add dword [rip + 1], step */
        p = put4(p, 1);
        p = put4(p, o->other);
        p = put(p, "\x05", 1);
        break;
    case PATCH:
        p = put(p, "\xc7\x05", 2);
        o->at = (unsigned)(p - base) + 4;
        p = put4(p, (uint32_t)(base + SLOT + LEAF_AT - (p + 8)));
        return put4(p, o->imm);
    default:
        p = put(p, "\x50\x53\x48\xb9", 4); /* push rax; push rbx; mov rcx, .; call rcx */
        address = (uint64_t)(uintptr_t)(run + o->other * SLOT);
        p = put(p, &address, 8);
        return put(p, "\xff\xd1\x5b\x59\x31\xc8", 6); /* pop rbx; pop rcx; xor eax, ecx */
    }
    o->at = (unsigned)(p - base);
    return put4(p, o->imm);
}

/* By other instructions each time: the way bytes get into a page matters. */
static void store(uint8_t *to, const uint8_t *from, unsigned n)
{
    static char scratch[SLOT];
    int fd[2];

    switch (rnd(5)) {
    case 0:
        memcpy(to, from, n);
        break;
    case 1:
        for (unsigned i = 0; i < n; i++)
            ((volatile uint8_t *)to)[i] = from[i];
        break;
    case 2:
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"((unsigned long){n})::"memory");
        break;
    case 3: /* the kernel stores */
        if (pipe(fd) || write(fd[1], from, n) != (ssize_t)n || read(fd[0], to, n) != (ssize_t)n)
            perror("pipe");
        close(fd[0]);
        close(fd[1]);
        break;
    default:
        for (unsigned i = n; i-- > 0;)
            ((volatile uint8_t *)to)[i] = (uint8_t)(scratch[i] = (char)from[i]);
        break;
    }
}

static void encode_slot(uint8_t *buffer, unsigned index)
{
    struct slot *s = &slot[index];
    uint8_t *p = put(buffer, "\x89\xf8", 2); /* mov eax, edi */

    for (unsigned i = 0; i < s->n; i++)
        p = encode(p, buffer, &s->op[i]);
    *p++ = 0xc3;
    for (; p < buffer + CODE; p++)
        *p = 0xcc;
}

static uint8_t *slot_at(unsigned index)
{
    return (rnd(2) ? run : write_to) + index * SLOT;
}

static void write_slot(unsigned index)
{
    uint8_t buffer[SLOT];

    encode_slot(buffer, index);
    store(slot_at(index), buffer, CODE);
}

/* ---- changes --------------------------------------------------------------------------------- */

/* Of three slots in a row the second may patch the third, whose first immediate never moves, and
 * the third calls nobody, so that calls end. */
static bool patches(unsigned index)
{
    return index % 3 == 1 && index + 1 < SLOTS;
}

static unsigned leaf(void)
{
    return rnd(SLOTS / 3) * 3 + 2;
}

static void new_ops(unsigned index)
{
    struct slot *s = &slot[index];

    s->n = 1 + rnd(OPS_MAX - 1);
    for (unsigned i = 0; i < s->n; i++) {
        struct op *o = &s->op[i];
        *o = (struct op){.kind = rnd(KINDS), .imm = word(), .high = word()};
        while ((o->kind == PATCH && !patches(index)) || (o->kind == CALL && index % 3 == 2))
            o->kind = rnd(KINDS);
        if (index % 3 == 2 && i == 0)
            o->kind = rnd(2) ? ADD : XOR;
        o->other = o->kind == CALL   ? leaf()
                   : o->kind == CELL ? rnd(CELLS)
                   : o->kind == SELF ? word()
                   : o->kind == SKIP ? rnd(32)
                                     : 1 + rnd(9);
    }
}

static void check(unsigned index, const char *what)
{
    uint32_t arg = word(), want = expected(&slot[index], arg);
    uint32_t got = ((uint32_t(*)(uint32_t))(uintptr_t)(run + index * SLOT))(arg);

    if (want == got)
        return;
    wrong++;
    printf("%s: function %u of %08x gave %08x, expected %08x\n", what, index, arg, got, want);
    for (unsigned i = 0; i < slot[index].n; i++)
        printf("  %u %08x %x\n", slot[index].op[i].kind, slot[index].op[i].imm,
               slot[index].op[i].other);
}

static void patch(unsigned index)
{
    struct op *o = &slot[index].op[rnd(slot[index].n)];
    bool byte = o->kind == ADD8 || o->kind == ROL;

    if (o->kind == CALL)
        return;
    o->imm = word();
    store(slot_at(index) + o->at, (uint8_t *)&o->imm, byte ? 1 : 4);
}

static void copy(unsigned index)
{
    unsigned from = index + 3 * rnd(4);

    if (from >= SLOTS || patches(from) != patches(index))
        return;
    memcpy(slot[index].op, slot[from].op, sizeof(slot[0].op));
    slot[index].n = slot[from].n;
    memmove(slot_at(index), run + from * SLOT, CODE);
}

/* The same few versions in turn. */
static void alternate(unsigned index)
{
    static uint8_t version[7][SLOT];
    static struct slot model[7];
    unsigned n = 2 + rnd(6);

    for (unsigned v = 0; v < n; v++) {
        new_ops(index);
        encode_slot(version[v], index);
        model[v] = slot[index];
    }
    for (unsigned k = 0; k < 40; k++) {
        unsigned v = k % n;
        memcpy(slot[index].op, model[v].op, sizeof(slot[0].op));
        slot[index].n = model[v].n;
        store(slot_at(index), version[v], CODE);
        check(index, "versions in turn");
        check(index, "versions in turn, again");
    }
}

static void *map(void *at, size_t size, int fd, size_t offset, int flags)
{
    void *p = mmap(at, size, PROT_READ | PROT_WRITE | PROT_EXEC, flags, fd, (off_t)offset);

    if (p == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return p;
}

static void protect(unsigned index)
{
    mprotect(run, PAGES * PAGE, PROT_READ | PROT_EXEC | (slot[index].n & 1 ? PROT_WRITE : 0));
    for (unsigned k = 0; k < 4; k++) {
        unsigned i = rnd(SLOTS);
        bool stores = false;
        for (unsigned j = 0; j < slot[i].n; j++)
            stores |= slot[i].op[j].kind != ADD && slot[i].op[j].kind != XOR;
        if (!stores)
            check(i, "not writable");
    }
    mprotect(run, PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int fd = -1;

static void act(void)
{
    unsigned index = rnd(SLOTS), page = rnd(PAGES) * PAGE;
    int status = 0;

    switch (rnd(24)) {
    case 0:
    case 1:
    case 2:
    case 3:
        new_ops(index);
        write_slot(index);
        for (unsigned k = rnd(4); k > 0; k--)
            check(index, "a new function");
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        for (unsigned k = 1 + rnd(6); k > 0; k--) {
            patch(index);
            check(index, "a patched function");
        }
        break;
    case 8:
    case 9:
        copy(index);
        check(index, "a copied function");
        break;
    case 10:
        alternate(index);
        break;
    case 11:
        protect(index);
        break;
    case 12:
        if (fd >= 0)
            map(run + page, PAGE, fd, page, MAP_SHARED | MAP_FIXED);
        break;
    case 13:
        if (rnd(40) == 0)
            usleep(100000); /* the pages are quiet for a while */
        break;
    case 14:
        for (unsigned k = 0; k < 300; k++)
            check(index, "a function called often");
        break;
    case 15:
        if (fd < 0 && rnd(4) == 0) { /* a child changes a copy of its own */
            fflush(stdout);
            pid_t child = fork();
            if (child == 0) {
                wrong = 0;
                for (unsigned k = 0; k < 30; k++)
                    act();
                fflush(stdout);
                _exit(wrong != 0);
            }
            waitpid(child, &status, 0);
            wrong += status != 0;
        }
        break;
    default:
        check(index, "a function");
        break;
    }
}

int main(int argc, char **argv)
{
    state = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 0x9e3779b97f4a7c15ull + 1;
    unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 10000;

    if (rnd(2)) {
        fd = memfd_create("code", 0);
        if (fd < 0 || ftruncate(fd, PAGES * PAGE)) {
            perror("memfd_create");
            return 2;
        }
        run = map(NULL, PAGES * PAGE, fd, 0, MAP_SHARED);
        write_to = map(NULL, PAGES * PAGE, fd, 0, MAP_SHARED);
    } else {
        run = write_to = map(NULL, PAGES * PAGE, -1, 0, MAP_PRIVATE | MAP_ANONYMOUS);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        new_ops(i);
        write_slot(i);
    }
    for (unsigned i = 0; i < rounds && wrong < 5; i++)
        act();
    return wrong != 0;
}
