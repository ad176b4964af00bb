/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loaders: what a good kernel finds, and every way in which a file can be bad. */
#include "test.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "machine/boot.h"

#define MB (UINT64_C(1) << 20)

enum { KERNEL_SIZE = 64 * 1024, SETUP = 2 * 512 };

struct fixture {
    struct layout layout;
    struct ram *ram;
    struct x86_cpu cpu;
    struct err e;
    bool bios;
    char kernel[32], initrd[32];
    _Alignas(16) uint8_t file[KERNEL_SIZE];
    struct boot_config cfg;
};

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

static void make_name(char *name, const char *pattern)
{
    int fd;

    strcpy(name, pattern);
    fd = mkstemp(name);
    assert_true(fd >= 0);
    close(fd);
}

static int setup(void **state)
{
    struct fixture *f = aligned_alloc(64, sizeof(*f));

    memset(f, 0, sizeof(*f));
    *state = f;
    assert_int_equal(layout_init(&f->layout, 64 * MB, 40, &f->e), 0);
    assert_int_equal(layout_create_ram(&f->layout, RAM_PAGES_SMALL, &f->ram, &f->e), 0);
    make_name(f->kernel, "/tmp/boot-kernel-XXXXXX");
    make_name(f->initrd, "/tmp/boot-initrd-XXXXXX");
    f->cfg = (struct boot_config){.kernel = f->kernel, .append = "console=ttyS0", .rsdp = 0xe0000};
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    unlink(f->kernel);
    unlink(f->initrd);
    ram_destroy(f->ram);
    free(f);
    return 0;
}

static int load(struct fixture *f, size_t len)
{
    write_file(f->kernel, f->file, len);
    f->e = (struct err){0};
    x86_cpu_reset(&f->cpu);
    return boot_load(&f->cfg, &f->layout, f->ram, &f->cpu, &f->bios, &f->e);
}

static void expect_refused(struct fixture *f, size_t len, const char *word)
{
    assert_true(load(f, len) < 0);
    assert_false(f->e.usage);
    if (strstr(f->e.text, word) == NULL)
        fail_msg("'%s' does not mention '%s'", f->e.text, word);
}

/* --- bzImage --- */

static void make_bzimage(struct fixture *f)
{
    uint8_t *p = f->file;

    memset(p, 0, sizeof(f->file));
    p[0x1f1] = SETUP / 512 - 1;
    st_le16(p + 0x1fe, 0xaa55);
    p[0x200] = 0xeb;
    p[0x201] = 0x6a;
    memcpy(p + 0x202, "HdrS", 4);
    st_le16(p + 0x206, 0x020f);
    p[0x211] = 1;
    st_le32(p + 0x22c, 0x7fffffff);
    st_le32(p + 0x230, 0x200000);
    p[0x234] = 1;
    st_le16(p + 0x236, 1);
    st_le32(p + 0x238, 2047);
    st_le64(p + 0x258, 0x1000000);
    st_le32(p + 0x260, 0x400000);
    for (unsigned i = SETUP; i < KERNEL_SIZE; i++)
        p[i] = (uint8_t)(i * 7);
}

static void good_bzimage(void **state)
{
    struct fixture *f = *state;
    uint8_t zp[4096], code[64];
    char cmdline[32];

    make_bzimage(f);
    f->cfg.initrd = f->initrd;
    write_file(f->initrd, "initrd", 6);
    assert_int_equal(load(f, KERNEL_SIZE), 0);
    assert_int_equal(f->cpu.rip, 0x1000200);
    assert_int_equal(f->cpu.efer, 0x500);
    assert_int_equal(ram_read(f->ram, 0x1000000, code, sizeof(code)), 0);
    assert_memory_equal(code, f->file + SETUP, sizeof(code));
    assert_int_equal(ram_read(f->ram, f->cpu.gpr[X86_RSI], zp, sizeof(zp)), 0);
    assert_memory_equal(zp + 0x202, "HdrS", 4);
    assert_int_equal(zp[0x210], 0xff);
    assert_int_equal(ld_le64(zp + 0x70), 0xe0000);
    assert_int_equal(ram_read(f->ram, ld_le32(zp + 0x228), cmdline, 14), 0);
    assert_string_equal(cmdline, "console=ttyS0");
    assert_int_equal(ld_le32(zp + 0x21c), 6);
    assert_int_equal(ram_read(f->ram, ld_le32(zp + 0x218), cmdline, 6), 0);
    assert_memory_equal(cmdline, "initrd", 6);
    assert_true(zp[0x1e8] >= 5);
    assert_int_equal(ld_le64(zp + 0x2d0), 0);
    assert_int_equal(ld_le32(zp + 0x2d0 + 16), 1);
}

/* The identity map reaches all of low memory. */
static void page_tables(void **state)
{
    struct fixture *f = *state;
    uint64_t pml4, pdpt, pd;

    make_bzimage(f);
    assert_int_equal(load(f, KERNEL_SIZE), 0);
    assert_int_equal(ram_read(f->ram, f->cpu.cr3, &pml4, 8), 0);
    assert_int_equal(pml4 & 3, 3);
    assert_int_equal(ram_read(f->ram, (pml4 & ~0xfffull) + 3 * 8, &pdpt, 8), 0);
    assert_int_equal(ram_read(f->ram, (pdpt & ~0xfffull) + 511 * 8, &pd, 8), 0);
    assert_int_equal(pd, 0xffe00083);
}

/* A kernel that prefers an address where there is no memory is moved. */
static uint32_t word_at(struct fixture *f, uint64_t at)
{
    uint8_t b[4];

    assert_int_equal(ram_read(f->ram, at, b, 4), 0);
    return ld_le32(b);
}

/* Without a 64-bit entry: flat protected mode at the first byte. */
static void bzimage32(void **state)
{
    struct fixture *f = *state;
    uint64_t gdt[4];

    make_bzimage(f);
    st_le16(f->file + 0x236, 0);
    assert_int_equal(load(f, KERNEL_SIZE), 0);
    assert_int_equal(f->cpu.rip, 0x1000000);
    assert_int_equal(f->cpu.cr0, 0x11);
    assert_int_equal(f->cpu.efer, 0);
    assert_int_equal(f->cpu.seg[X86_CS].selector, 0x10);
    assert_int_equal(f->cpu.seg[X86_CS].attr, 0xc09b);
    assert_int_equal(f->cpu.seg[X86_DS].selector, 0x18);
    assert_int_equal(f->cpu.gpr[X86_RBX] | f->cpu.gpr[X86_RBP] | f->cpu.gpr[X86_RDI], 0);
    assert_int_equal(ram_read(f->ram, f->cpu.gdtr.base, gdt, sizeof(gdt)), 0);
    assert_int_equal(gdt[2], 0x00cf9b000000ffff);
    assert_int_equal(gdt[3], 0x00cf93000000ffff);
    assert_int_equal(word_at(f, f->cpu.gpr[X86_RSI] + 0x202), 0x53726448); /* HdrS */
}

static void relocated_bzimage(void **state)
{
    struct fixture *f = *state;

    make_bzimage(f);
    st_le64(f->file + 0x258, 0x40000000);
    assert_int_equal(load(f, KERNEL_SIZE), 0);
    assert_int_equal(f->cpu.rip, 0x200200);
    f->file[0x234] = 0;
    expect_refused(f, KERNEL_SIZE, "--memory");
}

static void bad_bzimage(void **state)
{
    static const struct {
        unsigned offset, size;
        uint64_t value;
        const char *word;
    } bad[] = {
        {0x1fe, 2, 0, "signature"},         {0x202, 1, 'h', "neither"},
        {0x206, 2, 0x0204, "2.10"},         {0x211, 1, 0, "zImage"},
        {0x201, 1, 0, "header is shorter"}, {0x1f1, 1, 255, "cut off"},
        {0x260, 4, 0xffffffff, "--memory"}, {0x230, 4, 3, "kernel_alignment"},
        {0x230, 4, 0, "kernel_alignment"},
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        make_bzimage(f);
        memcpy(f->file + bad[i].offset, &bad[i].value, bad[i].size);
        expect_refused(f, KERNEL_SIZE, bad[i].word);
    }
    make_bzimage(f);
    st_le64(f->file + 0x258, UINT64_MAX - 4096); /* wraps around */
    f->file[0x234] = 0;
    expect_refused(f, KERNEL_SIZE, "--memory");
}

/* Every length that cuts into the headers, then some of the rest. */
static void cut_off_bzimage(void **state)
{
    struct fixture *f = *state;

    make_bzimage(f);
    for (size_t len = 0; len < SETUP + 0x200; len += 13)
        assert_true(load(f, len) < 0);
    assert_true(load(f, SETUP + 0x200) < 0);
    assert_int_equal(load(f, SETUP + 0x201), 0);
}

static void command_line(void **state)
{
    struct fixture *f = *state;
    char *text = malloc(70000);

    make_bzimage(f);
    memset(text, 'a', 70000);
    text[2047] = '\0';
    f->cfg.append = text;
    assert_int_equal(load(f, KERNEL_SIZE), 0);
    text[2047] = 'a';
    text[2048] = '\0';
    expect_refused(f, KERNEL_SIZE, "--append");
    st_le32(f->file + 0x238, 0xffffffff); /* our own limit holds */
    text[2048] = 'a';
    text[69999] = '\0';
    expect_refused(f, KERNEL_SIZE, "--append");
    f->cfg.append = NULL;
    assert_int_equal(load(f, KERNEL_SIZE), 0);
    free(text);
}

static void initrds(void **state)
{
    struct fixture *f = *state;

    make_bzimage(f);
    f->cfg.initrd = f->initrd;
    expect_refused(f, KERNEL_SIZE, "empty");
    assert_int_equal(truncate(f->initrd, 100 * (off_t)MB), 0);
    expect_refused(f, KERNEL_SIZE, "--initrd");
    assert_int_equal(truncate(f->initrd, 30 * (off_t)MB), 0);
    assert_int_equal(load(f, KERNEL_SIZE), 0);
    st_le32(f->file + 0x22c, 0x1ffffff); /* the kernel wants it below 32 MB */
    expect_refused(f, KERNEL_SIZE, "--initrd");
    f->cfg.initrd = "/nonexistent";
    expect_refused(f, KERNEL_SIZE, "/nonexistent");
    f->cfg.initrd = "/tmp";
    expect_refused(f, KERNEL_SIZE, "directory");
}

/* --- ELF --- */

enum { CODE_AT = 4096, CODE_LEN = 256 };

static void make_elf64(struct fixture *f)
{
    Elf64_Ehdr *h = (Elf64_Ehdr *)f->file;
    Elf64_Phdr *p = (Elf64_Phdr *)(f->file + 64);

    memset(f->file, 0, sizeof(f->file));
    memcpy(h->e_ident, ELFMAG, 4);
    h->e_ident[EI_CLASS] = ELFCLASS64;
    h->e_ident[EI_DATA] = ELFDATA2LSB;
    h->e_machine = EM_X86_64;
    h->e_entry = 0x200010;
    h->e_phoff = 64;
    h->e_phnum = 2;
    h->e_phentsize = sizeof(*p);
    p[0] = (Elf64_Phdr){.p_type = PT_LOAD,
                        .p_offset = CODE_AT,
                        .p_paddr = 0x200000,
                        .p_filesz = CODE_LEN,
                        .p_memsz = 8192};
    p[1] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 8192, .p_filesz = 20, .p_align = 4};
    memset(f->file + CODE_AT, 0xcc, CODE_LEN);
}

static void add_pvh_note(struct fixture *f, uint32_t entry)
{
    uint8_t *n = f->file + 8192;

    st_le32(n, 4);
    st_le32(n + 4, 4);
    st_le32(n + 8, 18);
    memcpy(n + 12, "Xen", 4);
    st_le32(n + 16, entry);
}

static void make_elf32(struct fixture *f)
{
    Elf32_Ehdr *h = (Elf32_Ehdr *)f->file;
    Elf32_Phdr *p = (Elf32_Phdr *)(f->file + 64);

    memset(f->file, 0, sizeof(f->file));
    memcpy(h->e_ident, ELFMAG, 4);
    h->e_ident[EI_CLASS] = ELFCLASS32;
    h->e_ident[EI_DATA] = ELFDATA2LSB;
    h->e_machine = EM_386;
    h->e_phoff = 64;
    h->e_phnum = 2;
    h->e_phentsize = sizeof(*p);
    p[0] = (Elf32_Phdr){.p_type = PT_LOAD,
                        .p_offset = CODE_AT,
                        .p_paddr = 0x200000,
                        .p_filesz = CODE_LEN,
                        .p_memsz = CODE_LEN};
    p[1] = (Elf32_Phdr){.p_type = PT_NOTE, .p_offset = 8192, .p_filesz = 20, .p_align = 4};
}

static void good_elf64(void **state)
{
    struct fixture *f = *state;
    uint8_t b[2];

    memset(ram_ptr(f->ram, 0x200000, 8192, true), 0x55, 8192);
    make_elf64(f);
    assert_int_equal(load(f, KERNEL_SIZE), 0);
    assert_int_equal(f->cpu.rip, 0x200010);
    assert_int_equal(f->cpu.efer, 0x500);
    assert_int_equal(f->cpu.gpr[X86_RSI], LAYOUT_ZERO_PAGE);
    assert_int_equal(ram_read(f->ram, 0x200000 + CODE_LEN - 1, b, 2), 0);
    assert_int_equal(b[0], 0xcc);
    assert_int_equal(b[1], 0); /* what is not in the file is cleared */
}

static void check_pvh(struct fixture *f)
{
    uint8_t s[56];

    assert_int_equal(load(f, KERNEL_SIZE), 0);
    assert_int_equal(f->cpu.rip, 0x200020);
    assert_int_equal(f->cpu.cr0, 0x11);
    assert_int_equal(f->cpu.efer, 0);
    assert_int_equal(f->cpu.seg[X86_CS].attr, 0xc09b);
    assert_int_equal(ram_read(f->ram, f->cpu.gpr[X86_RBX], s, sizeof(s)), 0);
    assert_int_equal(ld_le32(s), 0x336ec578);
    assert_int_equal(ld_le64(s + 32), 0xe0000);
    assert_true(ld_le32(s + 48) >= 5);
}

static void good_pvh(void **state)
{
    struct fixture *f = *state;

    make_elf64(f);
    add_pvh_note(f, 0x200020);
    check_pvh(f);
    make_elf32(f);
    add_pvh_note(f, 0x200020);
    check_pvh(f);
}

/* A Linux vmlinux has both entries; the 64-bit one is taken. */
static void vmlinux(void **state)
{
    struct fixture *f = *state;
    uint8_t *n = f->file + 8192 + 20;

    make_elf64(f);
    add_pvh_note(f, 0x200020);
    st_le32(n, 6);
    st_le32(n + 8, 1);
    memcpy(n + 12, "Linux", 6);
    ((Elf64_Phdr *)(f->file + 64))[1].p_filesz = 40;
    assert_int_equal(load(f, KERNEL_SIZE), 0);
    assert_int_equal(f->cpu.rip, 0x200010);
}

/* A header at `at`, with addresses if `placed`. */
static void add_multiboot(struct fixture *f, unsigned at, uint32_t flags)
{
    uint8_t *p = f->file + at;

    st_le32(p, 0x1badb002);
    st_le32(p + 4, flags);
    st_le32(p + 8, 0u - 0x1badb002u - flags);
    if (flags & 0x10000) {
        st_le32(p + 12, 0x200000 + at); /* of the header */
        st_le32(p + 16, 0x200000);
        st_le32(p + 20, 0x200000 + KERNEL_SIZE);
        st_le32(p + 24, 0x280000);
        st_le32(p + 28, 0x200040);
    }
}

static void text_at(struct fixture *f, uint64_t at, const char *text)
{
    char b[128];

    assert_int_equal(ram_read(f->ram, at, b, sizeof(b)), 0);
    assert_string_equal(b, text);
}

static void good_multiboot(void **state)
{
    struct fixture *f = *state;
    char text[256];

    make_elf32(f);
    ((Elf32_Ehdr *)f->file)->e_entry = 0x200030;
    add_multiboot(f, CODE_AT + 64, 3);
    f->cfg.append = "one two";
    f->cfg.initrd = f->initrd;
    f->cfg.modules[0] = (struct boot_module){f->initrd, "with text"};
    f->cfg.module_count = 1;
    write_file(f->initrd, "initrd", 6);
    assert_int_equal(load(f, KERNEL_SIZE), 0);
    assert_int_equal(f->cpu.rip, 0x200030);
    assert_int_equal(f->cpu.cr0, 0x11);
    assert_int_equal(f->cpu.gpr[X86_RAX], 0x2badb002);
    uint64_t info = f->cpu.gpr[X86_RBX];
    assert_int_equal(word_at(f, info), 0x24d);
    assert_int_equal(word_at(f, info + 4), 639);
    snprintf(text, sizeof(text), "%s one two", f->kernel);
    text_at(f, word_at(f, info + 16), text);
    assert_int_equal(word_at(f, info + 20), 2);
    uint64_t mods = word_at(f, info + 24);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t base = word_at(f, mods + 16 * i);
        assert_int_equal(base & 0xfff, 0);
        assert_int_equal(word_at(f, mods + 16 * i + 4), base + 6);
        text_at(f, base, "initrd");
    }
    assert_int_not_equal(word_at(f, mods), word_at(f, mods + 16));
    snprintf(text, sizeof(text), "%s with text", f->initrd);
    text_at(f, word_at(f, mods + 24), text);
    assert_int_equal(word_at(f, info + 44) % 24, 0);
    assert_int_equal(word_at(f, word_at(f, info + 48)), 20);
}

static void flat_multiboot(void **state)
{
    struct fixture *f = *state;

    memset(f->file, 0x90, sizeof(f->file));
    add_multiboot(f, 256, 0x10003);
    memset(ram_ptr(f->ram, 0x200000, 0x80010, true), 0x55, 0x80010);
    assert_int_equal(load(f, KERNEL_SIZE), 0);
    assert_int_equal(f->cpu.rip, 0x200040);
    assert_int_equal(word_at(f, 0x200000 + KERNEL_SIZE - 4), 0x90909090);
    assert_int_equal(word_at(f, 0x200000 + KERNEL_SIZE), 0);
    assert_int_equal(word_at(f, 0x27fffc), 0);
    assert_int_equal(word_at(f, 0x280000), 0x55555555);
}

/* Below the first megabyte there is room up to the boot information. */
static void low_multiboot(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 3; i++) {
        Elf32_Phdr *p = (Elf32_Phdr *)(f->file + 64);
        make_elf32(f);
        add_multiboot(f, CODE_AT + 64, 0);
        ((Elf32_Ehdr *)f->file)->e_entry = 0x8000;
        p[0].p_paddr = 0x8000;
        if (i == 1)
            p[0].p_memsz = 0x9e000 - 0x8000;
        if (i == 2)
            p[0].p_memsz = 0x9e000 - 0x8000 + 1;
        if (i < 2)
            assert_int_equal(load(f, KERNEL_SIZE), 0);
        else
            expect_refused(f, KERNEL_SIZE, "low memory");
    }
    make_elf32(f);
    ((Elf32_Phdr *)(f->file + 64))->p_paddr = 0x8000;
    expect_refused(f, KERNEL_SIZE, "first megabyte");
}

static void bad_multiboot(void **state)
{
    static const struct {
        unsigned at; /* in the header */
        uint32_t value;
        const char *word;
    } bad[] = {
        {12, 0x1fffff, "outside"},    {16, 0x200101, "outside"},
        {12, 0x200400, "outside"},    {20, 0x1fffff, "contradict"},
        {24, 0x200000, "contradict"}, {28, 0x1fffff, "contradict"},
        {28, 0x300000, "contradict"}, {20, 0x200004 + KERNEL_SIZE, "cut off"},
        {24, 0x20000000, "--memory"},
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(f->file, 0x90, sizeof(f->file));
        add_multiboot(f, 256, 0x10003);
        st_le32(f->file + 256 + bad[i].at, bad[i].value);
        expect_refused(f, KERNEL_SIZE, bad[i].word);
    }
    memset(f->file, 0x90, sizeof(f->file));
    add_multiboot(f, 256, 0x10007);
    expect_refused(f, KERNEL_SIZE, "video");
    f->file[264] ^= 1; /* the checksum: no header at all */
    expect_refused(f, KERNEL_SIZE, "multiboot");
    make_elf64(f);
    f->cfg.modules[0].path = f->initrd;
    f->cfg.module_count = 1;
    expect_refused(f, KERNEL_SIZE, "--module");
}

static void bad_elf_headers(void **state)
{
    struct fixture *f = *state;
    Elf64_Ehdr *h = (Elf64_Ehdr *)f->file;

    for (size_t len = 4; len < 64 + 112; len += 3) {
        make_elf64(f);
        assert_true(load(f, len) < 0);
    }
    make_elf64(f);
    h->e_machine = EM_AARCH64;
    expect_refused(f, KERNEL_SIZE, "another processor");
    make_elf64(f);
    h->e_ident[EI_DATA] = ELFDATA2MSB;
    expect_refused(f, KERNEL_SIZE, "big-endian");
    make_elf64(f);
    h->e_ident[EI_CLASS] = 9;
    expect_refused(f, KERNEL_SIZE, "class");
    make_elf64(f);
    h->e_phnum = 0;
    expect_refused(f, KERNEL_SIZE, "program headers");
    h->e_phnum = 0xffff;
    expect_refused(f, KERNEL_SIZE, "program headers");
    make_elf64(f);
    h->e_phoff = UINT64_MAX - 8;
    expect_refused(f, KERNEL_SIZE, "beyond its end");
    make_elf64(f);
    h->e_phentsize = 1;
    expect_refused(f, KERNEL_SIZE, "size is wrong");
    make_elf64(f);
    h->e_entry = 0x300000;
    expect_refused(f, KERNEL_SIZE, "entry point");
    make_elf64(f);
    add_pvh_note(f, 0x100);
    expect_refused(f, KERNEL_SIZE, "PVH entry");
    make_elf32(f);
    ((Elf32_Ehdr *)f->file)->e_entry = 0x200000;
    expect_refused(f, KERNEL_SIZE, "PVH");
}

static void bad_elf_segments(void **state)
{
    static const struct {
        Elf64_Phdr ph;
        const char *word;
    } bad[] = {
        {{PT_LOAD, 0, CODE_AT, 0, 0x1000, 16, 16, 0}, "first megabyte"},
        {{PT_LOAD, 0, CODE_AT, 0, 0x200000, 32, 16, 0}, "impossible size"},
        {{PT_LOAD, 0, CODE_AT, 0, UINT64_MAX - 3, 4, 16, 0}, "impossible size"},
        {{PT_LOAD, 0, UINT64_MAX - 3, 0, 0x200000, 16, 16, 0}, "cut off"},
        {{PT_LOAD, 0, KERNEL_SIZE - 8, 0, 0x200000, 16, 16, 0}, "cut off"},
        {{PT_LOAD, 0, CODE_AT, 0, 0x10000000, 16, 16, 0}, "--memory"},
        {{PT_LOAD, 0, CODE_AT, 0, 0x200000, 16, 0x10000000, 0}, "--memory"},
        {{PT_LOAD, 0, CODE_AT, 0, 0xfffe0000, 16, 16, 0}, "--memory"},
        {{PT_LOAD, 0, CODE_AT, 0, 0x200000, 0, 0x7fffffffffffffff, 0}, "--memory"},
        {{PT_NULL, 0, 0, 0, 0, 0, 0, 0}, "nothing to load"},
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        make_elf64(f);
        ((Elf64_Phdr *)(f->file + 64))[0] = bad[i].ph;
        expect_refused(f, KERNEL_SIZE, bad[i].word);
    }
}

/* Notes whose sizes lie are passed over or end the walk, whatever they say. */
static void bad_notes(void **state)
{
    static const uint32_t sizes[] = {0, 1, 3, 4, 5, 19, 20, 0x7fffffff, 0xfffffffc, 0xffffffff};
    struct fixture *f = *state;
    Elf64_Phdr *ph = (Elf64_Phdr *)(f->file + 64);

    for (unsigned i = 0; i < 10; i++)
        for (unsigned j = 0; j < 10; j++) {
            make_elf64(f);
            add_pvh_note(f, 0x200020);
            st_le32(f->file + 8192, sizes[i]);
            st_le32(f->file + 8196, sizes[j]);
            assert_int_equal(load(f, KERNEL_SIZE), 0);
        }
    make_elf64(f);
    ph[1].p_filesz = UINT64_MAX;
    expect_refused(f, KERNEL_SIZE, "note segment");
    make_elf64(f);
    ph[1].p_offset = KERNEL_SIZE - 4;
    expect_refused(f, KERNEL_SIZE, "note segment");
}

/* Random damage anywhere in the headers: any answer but a crash. */
static void damaged(void **state)
{
    struct fixture *f = *state;

    srand(1);
    for (unsigned i = 0; i < 1500; i++) {
        unsigned limit = i % 3 == 0 ? 0x290 : 64 + 112;

        if (i % 3 == 0)
            make_bzimage(f);
        else if (i % 3 == 1)
            make_elf64(f);
        else
            make_elf32(f);
        for (unsigned n = 0; n < 4; n++)
            f->file[i % 3 == 0 ? 0x1f1 + rand() % (limit - 0x1f1) : 4 + rand() % (limit - 4)] =
                (uint8_t)rand();
        (void)!load(f, KERNEL_SIZE);
    }
}

static void not_a_kernel(void **state)
{
    struct fixture *f = *state;

    memset(f->file, 'x', KERNEL_SIZE);
    expect_refused(f, KERNEL_SIZE, "neither");
    expect_refused(f, 0, "neither");
    f->cfg.kernel = "/nonexistent";
    expect_refused(f, 0, "/nonexistent");
    f->cfg.kernel = "/tmp";
    expect_refused(f, 0, "directory");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(good_bzimage),     T(bzimage32),       T(page_tables),   T(relocated_bzimage),
        T(bad_bzimage),      T(cut_off_bzimage), T(command_line),  T(initrds),
        T(good_elf64),       T(good_pvh),        T(vmlinux),       T(bad_elf_headers),
        T(bad_elf_segments), T(bad_notes),       T(damaged),       T(not_a_kernel),
        T(good_multiboot),   T(flat_multiboot),  T(bad_multiboot), T(low_multiboot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
