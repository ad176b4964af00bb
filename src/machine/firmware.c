/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Firmware images: see firmware.h. */
#include "machine/firmware.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define OPTION "--firmware"

static const char bios_path[] = "/usr/share/seabios/bios-256k.bin";
static const char code_path[] = "/usr/share/OVMF/OVMF_CODE_4M.fd";
static const char vars_path[] = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/* A sentence that says which package to install. */
static int open_packaged(struct file *f, const char *path, const char *package, struct err *e)
{
    if (access(path, R_OK) < 0 && errno == ENOENT)
        return err_set(e, ENOENT, "%s: %s is missing; install the package %s", OPTION, path,
                       package);
    return file_open(f, OPTION, path, e);
}

static int check_size(const struct file *f, struct err *e)
{
    if (f->size == 0 || f->size > LAYOUT_ROM_MAX || f->size % RAM_PAGE_SIZE != 0)
        return err_set(e, EINVAL,
                       "%s: %s has %llu bytes; a firmware image is made of 4K blocks and has at "
                       "most 16M",
                       OPTION, f->path, (unsigned long long)f->size);
    return 0;
}

static int copy_file(const struct file *from, int to, const char *path, struct err *e)
{
    uint8_t *buf = malloc(from->size);
    int rc;

    if (buf == NULL)
        return err_set(e, ENOMEM, "out of memory");
    rc = file_read(from, 0, buf, from->size, e);
    if (rc == 0 && write(to, buf, from->size) != (ssize_t)from->size)
        rc = err_set(e, EIO, "%s: cannot write %s", OPTION, path);
    free(buf);
    return rc;
}

/* The machine's own variables: `vars` becomes their file, made from the template that it is now. */
static int open_vars(struct firmware *f, const char *path, struct err *e)
{
    struct file template = f->vars;
    off_t size;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), rc = 0;

    if (fd < 0)
        return err_set(e, errno, "%s: cannot open %s: %s", OPTION, path, strerror(errno));
    f->vars_fd = fd;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(e, errno, "%s: %s is used by another machine; give this one its own", OPTION,
                       path);
    size = lseek(fd, 0, SEEK_END);
    if (size == 0)
        rc = copy_file(&template, fd, path, e);
    else if ((uint64_t)size != template.size)
        rc = err_set(e, EINVAL,
                     "%s: %s does not hold variables for this firmware: it has %lld bytes, not "
                     "%llu",
                     OPTION, path, (long long)size, (unsigned long long)template.size);
    if (rc < 0)
        return rc;
    file_close(&f->vars);
    return file_open(&f->vars, OPTION, path, e);
}

static int open_uefi(struct firmware *f, const struct firmware_config *cfg, struct err *e)
{
    int rc = open_packaged(&f->code, code_path, "ovmf", e);

    if (rc == 0)
        rc = open_packaged(&f->vars, vars_path, "ovmf", e);
    if (rc == 0)
        rc = check_size(&f->vars, e);
    return rc == 0 && cfg->vars != NULL ? open_vars(f, cfg->vars, e) : rc;
}

int firmware_open(struct firmware *f, const struct firmware_config *cfg, struct err *e)
{
    int rc = 0;

    *f = (struct firmware){.code = {.fd = -1}, .vars = {.fd = -1}, .vars_fd = -1};
    switch (cfg->kind) {
    case FIRMWARE_NONE:
        return 0;
    case FIRMWARE_BIOS:
        rc = open_packaged(&f->code, bios_path, "seabios", e);
        break;
    case FIRMWARE_UEFI:
        rc = open_uefi(f, cfg, e);
        break;
    case FIRMWARE_FILE:
        rc = file_open(&f->code, OPTION, cfg->path, e);
        break;
    }
    return rc == 0 ? check_size(&f->code, e) : rc;
}

void firmware_close(struct firmware *f)
{
    file_close(&f->code);
    file_close(&f->vars);
    if (f->vars_fd >= 0)
        close(f->vars_fd);
    f->vars_fd = -1;
}

uint64_t firmware_vars_size(const struct firmware *f)
{
    return f->vars.fd >= 0 ? f->vars.size : 0;
}

uint64_t firmware_size(const struct firmware *f)
{
    return f->code.fd >= 0 ? f->code.size + firmware_vars_size(f) : 0;
}

int firmware_load(const struct firmware *f, const struct layout *l, struct ram *ram, struct err *e)
{
    uint8_t *at = ram_backing(ram) + l->rom_offset;
    int rc = 0;

    if (f->vars.fd >= 0)
        rc = file_read(&f->vars, 0, at, f->vars.size, e);
    return rc == 0 ? file_read(&f->code, 0, at + l->vars_size, f->code.size, e) : rc;
}
