/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Linux kernel that firmware starts: kernel, initial RAM disk and command line as items of
 * fw_cfg. UEFI puts the two parts of the kernel together again and starts them as an EFI program; a
 * BIOS gets an option ROM that does it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "machine/linux_header.h"
#include "machine/machine_internal.h"

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

static int read_kernel(struct machine *m, struct board_kernel *k, struct err *e)
{
    bool uefi = m->cfg.firmware.kind == FIRMWARE_UEFI;
    const char *path = m->cfg.kernel;
    int rc = read_file("--kernel", path, &k->data, &k->len, e);

    if (rc < 0)
        return rc;
    if (k->len < HDR_FULL || !linux_header_found(k->data) ||
        (uefi && memcmp(k->data, "MZ", 2) != 0))
        return err_set(e, ENOEXEC, "--kernel: %s is not a Linux kernel that %s can start", path,
                       uefi ? "UEFI" : "firmware");
    k->setup_len = linux_setup_size(k->data);
    if (k->setup_len >= k->len)
        return err_set(e, ENOEXEC, "--kernel: %s is cut off", path);
    return m->cfg.initrd == NULL
               ? 0
               : read_file("--initrd", m->cfg.initrd, &k->initrd, &k->initrd_len, e);
}

static int add_items(struct machine *m, const struct board_kernel *k, struct err *e)
{
    int rc = add(m, FWCFG_SETUP_SIZE, FWCFG_SETUP_DATA, k->data, k->setup_len, e);

    if (rc == 0)
        rc = add(m, FWCFG_KERNEL_SIZE, FWCFG_KERNEL_DATA, k->data + k->setup_len,
                 k->len - k->setup_len, e);
    if (rc == 0 && k->initrd != NULL)
        rc = add(m, FWCFG_INITRD_SIZE, FWCFG_INITRD_DATA, k->initrd, k->initrd_len, e);
    if (rc == 0 && m->cfg.append != NULL)
        rc = add(m, FWCFG_CMDLINE_SIZE, FWCFG_CMDLINE_DATA, m->cfg.append,
                 strlen(m->cfg.append) + 1, e);
    return rc;
}

int board_create_kernel(struct machine *m, struct err *e)
{
    struct board_kernel k = {0};
    int rc;

    if (m->layout.rom_size == 0 || m->cfg.kernel == NULL)
        return 0;
    rc = read_kernel(m, &k, e);
    if (rc == 0 && m->cfg.firmware.kind != FIRMWARE_UEFI)
        rc = board_kernel_rom(m, &k, e);
    if (rc == 0)
        rc = add_items(m, &k, e);
    free(k.initrd);
    free(k.data);
    return rc;
}
