/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ELF kernels: the ELF specification 1.2, and for the notes Xen's public/elfnote.h. Segments go to
 * their physical addresses.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "machine/boot_internal.h"

enum {
    XEN_ELFNOTE_GUEST_OS = 6,
    XEN_ELFNOTE_PHYS32_ENTRY = 18,
    SEGMENTS_MAX = 128,
    NOTES_MAX = 1 << 20 /* bytes of one note segment */
};

struct image {
    bool wide; /* ELF64 */
    uint64_t entry, phoff;
    unsigned phnum, phentsize;
    bool linux_notes, has_pvh, entry_loaded;
    uint64_t pvh_entry;
};

static int bad(struct boot *b, const char *why)
{
    return err_set(b->e, EINVAL, "--kernel: %s: %s", b->kernel.path, why);
}

static int parse_ehdr32(struct boot *b, struct image *im)
{
    Elf32_Ehdr h;
    int rc;

    if (b->kernel.size < sizeof(h))
        return bad(b, "the ELF header is cut off; get a complete file");
    rc = file_read(&b->kernel, 0, &h, sizeof(h), b->e);
    if (rc < 0)
        return rc;
    if (h.e_machine != EM_386)
        return bad(b, "the ELF image is for another processor; use one for x86");
    *im = (struct image){
        .entry = h.e_entry, .phoff = h.e_phoff, .phnum = h.e_phnum, .phentsize = h.e_phentsize};
    return h.e_phentsize < sizeof(Elf32_Phdr) ? bad(b, "its program header size is wrong") : 0;
}

static int parse_ehdr64(struct boot *b, struct image *im)
{
    Elf64_Ehdr h;
    int rc;

    if (b->kernel.size < sizeof(h))
        return bad(b, "the ELF header is cut off; get a complete file");
    rc = file_read(&b->kernel, 0, &h, sizeof(h), b->e);
    if (rc < 0)
        return rc;
    if (h.e_machine != EM_X86_64)
        return bad(b, "the ELF image is for another processor; use one for x86-64");
    *im = (struct image){.wide = true,
                         .entry = h.e_entry,
                         .phoff = h.e_phoff,
                         .phnum = h.e_phnum,
                         .phentsize = h.e_phentsize};
    return h.e_phentsize < sizeof(Elf64_Phdr) ? bad(b, "its program header size is wrong") : 0;
}

static int parse_header(struct boot *b, struct image *im)
{
    uint8_t id[EI_NIDENT];
    int rc;

    if (b->kernel.size < sizeof(id))
        return bad(b, "the ELF header is cut off; get a complete file");
    rc = file_read(&b->kernel, 0, id, sizeof(id), b->e);
    if (rc < 0)
        return rc;
    if (id[EI_DATA] != ELFDATA2LSB)
        return bad(b, "the ELF image is big-endian; use one for x86");
    if (id[EI_CLASS] == ELFCLASS64)
        rc = parse_ehdr64(b, im);
    else if (id[EI_CLASS] == ELFCLASS32)
        rc = parse_ehdr32(b, im);
    else
        rc = bad(b, "the ELF class is unknown; the file is damaged");
    if (rc < 0)
        return rc;
    if (im->phnum == 0 || im->phnum > SEGMENTS_MAX)
        return bad(b, "it has no program headers or too many; use a linked kernel image");
    if (!range_inside(im->phoff, (uint64_t)im->phnum * im->phentsize, 0, b->kernel.size))
        return bad(b, "its program headers lie beyond its end; get a complete file");
    return 0;
}

static int read_phdr(struct boot *b, const struct image *im, unsigned i, Elf64_Phdr *out)
{
    uint64_t at = im->phoff + (uint64_t)i * im->phentsize;
    Elf32_Phdr n;
    int rc;

    if (im->wide)
        return file_read(&b->kernel, at, out, sizeof(*out), b->e);
    rc = file_read(&b->kernel, at, &n, sizeof(n), b->e);
    if (rc < 0)
        return rc;
    *out = (Elf64_Phdr){.p_type = n.p_type,
                        .p_offset = n.p_offset,
                        .p_paddr = n.p_paddr,
                        .p_filesz = n.p_filesz,
                        .p_memsz = n.p_memsz,
                        .p_align = n.p_align};
    return 0;
}

/* --- notes --- */

static void take_note(struct image *im, const char *name, uint32_t namesz, uint32_t type,
                      const uint8_t *desc, uint32_t descsz)
{
    if (namesz == 6 && memcmp(name, "Linux", 6) == 0)
        im->linux_notes = true;
    if (namesz != 4 || memcmp(name, "Xen", 4) != 0)
        return;
    if (type == XEN_ELFNOTE_GUEST_OS && descsz >= 5 && memcmp(desc, "linux", 5) == 0)
        im->linux_notes = true;
    if (type != XEN_ELFNOTE_PHYS32_ENTRY)
        return;
    if (descsz != 4 && descsz != 8)
        return;
    im->pvh_entry = 0;
    memcpy(&im->pvh_entry, desc, descsz);
    im->has_pvh = true;
}

/* Walks the notes of `len` bytes; one that does not fit ends the walk. */
static void walk_notes(struct image *im, const uint8_t *p, uint64_t len, uint64_t align)
{
    while (len >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr n;
        uint64_t name, desc, total;

        memcpy(&n, p, sizeof(n));
        name = sizeof(n);
        if (!align_up(name + n.n_namesz, align, &desc) ||
            !align_up(desc + n.n_descsz, align, &total) || desc + n.n_descsz > len)
            return;
        take_note(im, (const char *)p + name, n.n_namesz, n.n_type, p + desc, n.n_descsz);
        if (total > len)
            return;
        p += total;
        len -= total;
    }
}

static int read_notes(struct boot *b, struct image *im, const Elf64_Phdr *ph)
{
    uint8_t *buf;
    int rc;

    if (ph->p_filesz > NOTES_MAX || !range_inside(ph->p_offset, ph->p_filesz, 0, b->kernel.size))
        return bad(b, "a note segment lies beyond its end; get a complete file");
    buf = malloc(ph->p_filesz + 1);
    if (buf == NULL)
        return err_set(b->e, ENOMEM, "out of memory");
    rc = file_read(&b->kernel, ph->p_offset, buf, ph->p_filesz, b->e);
    if (rc == 0)
        walk_notes(im, buf, ph->p_filesz, ph->p_align == 8 ? 8 : 4);
    free(buf);
    return rc;
}

/* --- segments --- */

static int clear_bss(struct boot *b, const Elf64_Phdr *ph)
{
    uint64_t len = ph->p_memsz - ph->p_filesz;
    void *p;

    if (len == 0)
        return 0;
    if (ph->p_paddr < LAYOUT_KERNEL_MIN && ph->p_paddr + ph->p_memsz > LAYOUT_MULTIBOOT_INFO)
        return bad(b, "a segment fills more than the low memory that a kernel may have");
    p = ram_ptr(b->ram, ph->p_paddr + ph->p_filesz, len, true);
    if (p == NULL)
        return err_set(b->e, ENOMEM,
                       "--kernel: %s wants a segment at %#" PRIx64 " - %#" PRIx64
                       ", where the machine has no memory; give it more with --memory",
                       b->kernel.path, ph->p_paddr, ph->p_paddr + ph->p_memsz - 1);
    memset(p, 0, len);
    ram_written(b->ram, ph->p_paddr + ph->p_filesz, len);
    return 0;
}

static int load_segment(struct boot *b, struct image *im, const Elf64_Phdr *ph)
{
    uint64_t end;
    int rc;

    if (ph->p_filesz > ph->p_memsz || !checked_add(ph->p_paddr, ph->p_memsz, &end))
        return bad(b, "a segment has an impossible size; the file is damaged");
    if (ph->p_memsz == 0)
        return 0;
    rc = boot_copy(b, ph->p_offset, ph->p_paddr, ph->p_filesz, "a segment");
    if (rc == 0)
        rc = clear_bss(b, ph);
    if (b->kernel_end == 0 || ph->p_paddr < b->kernel_base)
        b->kernel_base = ph->p_paddr;
    if (end > b->kernel_end)
        b->kernel_end = end;
    if (range_inside(im->entry, 1, ph->p_paddr, ph->p_memsz))
        im->entry_loaded = true;
    return rc;
}

static int load_segments(struct boot *b, struct image *im)
{
    bool any = false;

    for (unsigned i = 0; i < im->phnum; i++) {
        Elf64_Phdr ph;
        int rc = read_phdr(b, im, i, &ph);

        if (rc == 0 && ph.p_type == PT_LOAD) {
            any = true;
            rc = load_segment(b, im, &ph);
        } else if (rc == 0 && ph.p_type == PT_NOTE) {
            rc = read_notes(b, im, &ph);
        }
        if (rc < 0)
            return rc;
    }
    return any ? 0 : bad(b, "it has nothing to load; use a linked kernel image");
}

static int boot_elf64_linux(struct boot *b, const struct image *im)
{
    int rc = boot_load_initrd(b, 0x80000000u);

    if (rc == 0)
        rc = boot_load_cmdline(b, 2047);
    if (rc == 0)
        rc = boot_linux_zero_page(b, NULL, 0);
    if (rc == 0)
        rc = boot_linux_cpu(b, im->entry);
    return rc;
}

int boot_elf(struct boot *b, const struct boot_multiboot *m)
{
    struct image im = {0};
    int rc = parse_header(b, &im);

    if (rc == 0)
        rc = load_segments(b, &im);
    if (rc < 0)
        return rc;
    if (im.has_pvh && !(im.linux_notes && im.wide && im.entry_loaded)) {
        if (im.pvh_entry < b->kernel_base || im.pvh_entry >= b->kernel_end)
            return bad(b, "its PVH entry point lies outside its segments; the file is damaged");
        return boot_pvh(b, im.pvh_entry);
    }
    if (!im.entry_loaded)
        return bad(b, "its entry point lies outside its segments");
    if (m->found && !im.linux_notes)
        return boot_multiboot(b, m, im.entry);
    if (!im.wide)
        return bad(b, "a 32-bit ELF image needs a multiboot header or a PVH entry note "
                      "(XEN_ELFNOTE_PHYS32_ENTRY)");
    return boot_elf64_linux(b, &im);
}
