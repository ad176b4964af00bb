/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Linux kernel that UEFI starts: kernel, initial RAM disk and command line as items of fw_cfg.
 * The firmware puts the two parts of the kernel together again and starts them as an EFI program.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "machine/machine_internal.h"

enum {
    SECTOR = 512,
    SETUP_SECTS = 0x1f1, /* Linux Documentation/arch/x86/boot.rst */
    HEADER_MAGIC = 0x202,
    HEADER_END = 0x268,
    OLD_SETUP_SECTS = 4,
};

static int add(struct machine *m, uint16_t size_key, uint16_t key, const void *data, size_t len,
               struct err *e)
{
    int rc = fwcfg_add_u32(m->fwcfg, size_key, (uint32_t)len);

    if (rc == 0)
        rc = fwcfg_add(m->fwcfg, key, data, len, false);
    return rc < 0 ? err_set(e, -rc, "the firmware cannot be given the kernel: %s", strerror(-rc))
                  : 0;
}

/* A whole file, malloc'd. */
static int read_file(const char *option, const char *path, uint8_t **data, size_t *len,
                     struct err *e)
{
    struct file f;
    int rc = file_open(&f, option, path, e);

    *data = NULL;
    if (rc < 0)
        return rc;
    *len = f.size;
    if (f.size > INT32_MAX)
        rc = err_set(e, EFBIG, "%s: %s has 2G or more, too much for firmware", option, path);
    else
        rc = file_read_all(&f, data, e);
    file_close(&f);
    return rc;
}

static int add_kernel(struct machine *m, struct err *e)
{
    uint8_t *k = NULL;
    size_t len = 0, setup;
    int rc = read_file("--kernel", m->cfg.kernel, &k, &len, e);

    if (rc == 0 &&
        (len < HEADER_END || memcmp(k + HEADER_MAGIC, "HdrS", 4) != 0 || memcmp(k, "MZ", 2) != 0))
        rc = err_set(e, ENOEXEC, "--kernel: %s is not a Linux kernel that UEFI can start",
                     m->cfg.kernel);
    if (rc == 0) {
        setup = (k[SETUP_SECTS] != 0 ? k[SETUP_SECTS] : OLD_SETUP_SECTS) * SECTOR + SECTOR;
        if (setup >= len)
            rc = err_set(e, ENOEXEC, "--kernel: %s is cut off", m->cfg.kernel);
        else
            rc = add(m, FWCFG_SETUP_SIZE, FWCFG_SETUP_DATA, k, setup, e);
        if (rc == 0)
            rc = add(m, FWCFG_KERNEL_SIZE, FWCFG_KERNEL_DATA, k + setup, len - setup, e);
    }
    free(k);
    return rc;
}

static int add_initrd(struct machine *m, struct err *e)
{
    uint8_t *data;
    size_t len = 0;
    int rc = read_file("--initrd", m->cfg.initrd, &data, &len, e);

    if (rc == 0)
        rc = add(m, FWCFG_INITRD_SIZE, FWCFG_INITRD_DATA, data, len, e);
    free(data);
    return rc;
}

int board_create_kernel(struct machine *m, struct err *e)
{
    int rc;

    if (m->layout.rom_size == 0 || m->cfg.kernel == NULL)
        return 0;
    rc = add_kernel(m, e);
    if (rc == 0 && m->cfg.initrd != NULL)
        rc = add_initrd(m, e);
    if (rc == 0 && m->cfg.append != NULL)
        rc = add(m, FWCFG_CMDLINE_SIZE, FWCFG_CMDLINE_DATA, m->cfg.append,
                 strlen(m->cfg.append) + 1, e);
    return rc;
}
