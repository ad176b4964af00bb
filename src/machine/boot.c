/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Direct boot: choice of the loader, and the parts that all protocols share. See boot.h. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "machine/boot_internal.h"
#include "machine/linux_header.h"

int boot_copy(struct boot *b, uint64_t offset, gpa_t gpa, uint64_t len, const char *what)
{
    void *p;
    int rc;

    if (!range_inside(offset, len, 0, b->kernel.size))
        return err_set(b->e, EINVAL,
                       "--kernel: %s is cut off: %s lies beyond its end; get a complete file",
                       b->kernel.path, what);
    if (gpa < LAYOUT_KERNEL_MIN && !(b->low && range_inside(gpa, len, 0, LAYOUT_MULTIBOOT_INFO)))
        return err_set(b->e, EINVAL,
                       "--kernel: %s wants %s at %#" PRIx64 ", below the first megabyte",
                       b->kernel.path, what, gpa);
    if (len == 0)
        return 0;
    p = ram_ptr(b->ram, gpa, len, true);
    if (p == NULL)
        return err_set(b->e, ENOMEM,
                       "--kernel: %s wants %s at %#" PRIx64 " - %#" PRIx64
                       ", where the machine has no memory; give it more with --memory",
                       b->kernel.path, what, gpa, gpa + len - 1);
    rc = file_read(&b->kernel, offset, p, len, b->e);
    ram_written(b->ram, gpa, len);
    return rc;
}

int boot_put(struct boot *b, gpa_t gpa, const void *buf, uint64_t len)
{
    int rc = ram_load(b->ram, gpa, buf, len);

    if (rc < 0)
        return err_set(b->e, -rc, "--memory: no memory for boot data at %#" PRIx64, gpa);
    return 0;
}

static int place_file(struct boot *b, const char *option, const struct file *f, uint64_t limit,
                      uint64_t *out)
{
    uint64_t top = limit < b->layout->low_end ? limit : b->layout->low_end;
    uint64_t base = 0;
    void *p = NULL;
    int rc;

    if (b->files_base != 0 && b->files_base < top)
        top = b->files_base;
    if (checked_sub(align_down(top, RAM_PAGE_SIZE), f->size, &base)) {
        base = align_down(base, RAM_PAGE_SIZE);
        if (base >= b->kernel_end)
            p = ram_ptr(b->ram, base, f->size, true);
    }
    if (p == NULL)
        return err_set(b->e, ENOMEM,
                       "%s: %s (%" PRIu64 " MB) does not fit into memory beside the kernel; "
                       "give the machine more with --memory",
                       option, f->path, f->size >> 20);
    rc = file_read(f, 0, p, f->size, b->e);
    ram_written(b->ram, base, f->size);
    *out = b->files_base = base;
    return rc;
}

int boot_load_file(struct boot *b, const char *option, const char *path, uint64_t limit,
                   uint64_t *base, uint64_t *size)
{
    struct file f;
    int rc = file_open(&f, option, path, b->e);

    if (rc < 0)
        return rc;
    *size = f.size;
    if (f.size == 0)
        rc = err_set(b->e, EINVAL, "%s: %s is empty", option, f.path);
    else
        rc = place_file(b, option, &f, limit, base);
    file_close(&f);
    return rc;
}

int boot_load_initrd(struct boot *b, uint64_t limit)
{
    if (b->cfg->initrd == NULL)
        return 0;
    return boot_load_file(b, "--initrd", b->cfg->initrd, limit, &b->initrd_base, &b->initrd_size);
}

int boot_check_cmdline(const char *text, uint64_t max, struct err *e)
{
    uint64_t len = text != NULL ? strlen(text) : 0;

    if (max > LAYOUT_CMDLINE_MAX - 1)
        max = LAYOUT_CMDLINE_MAX - 1;
    if (len <= max)
        return 0;
    return err_set(e, EINVAL,
                   "--append: the command line has %" PRIu64
                   " characters, this kernel takes at most %" PRIu64,
                   len, max);
}

int boot_load_cmdline(struct boot *b, uint64_t max)
{
    const char *s = b->cfg->append != NULL ? b->cfg->append : "";
    int rc = boot_check_cmdline(s, max, b->e);

    return rc == 0 ? boot_put(b, LAYOUT_CMDLINE, s, strlen(s) + 1) : rc;
}

static int load_by_content(struct boot *b)
{
    uint8_t head[HDR_VERSION] = {0};
    uint64_t len = b->kernel.size < sizeof(head) ? b->kernel.size : sizeof(head);
    struct boot_multiboot m;
    int rc = file_read(&b->kernel, 0, head, len, b->e);

    if (rc == 0)
        rc = boot_multiboot_find(b, &m);
    if (rc < 0)
        return rc;
    b->low = m.found;
    if (m.placed)
        return boot_multiboot_flat(b, &m);
    if (b->cfg->module_count != 0 && !m.found)
        return err_set(b->e, EINVAL,
                       "--module: %s is not a multiboot kernel, only those take modules",
                       b->kernel.path);
    if (memcmp(head, "\177ELF", 4) == 0)
        return boot_elf(b, &m);
    if (linux_header_found(head))
        return boot_linux_bzimage(b);
    return err_set(
        b->e, EINVAL,
        "--kernel: %s is neither a Linux bzImage nor an ELF image nor a multiboot kernel",
        b->kernel.path);
}

int boot_load(const struct boot_config *cfg, const struct layout *l, struct ram *ram,
              struct x86_cpu *cpu, bool *bios, struct err *e)
{
    struct boot b = {.cfg = cfg, .layout = l, .ram = ram, .cpu = cpu, .e = e};
    int rc = file_open(&b.kernel, "--kernel", cfg->kernel, e);

    *bios = false;
    if (rc < 0)
        return rc;
    rc = load_by_content(&b);
    file_close(&b.kernel);
    *bios = b.bios;
    return rc;
}
