/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recognition of images: see image.h. */
#include "machine/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "machine/linux_header.h"

enum { HEAD = 0x8006 }; /* up to the ISO 9660 volume descriptor's identifier */

/* Reads up to `len` bytes from the start; what is not there stays zero. */
static int read_head(int fd, uint8_t *buf, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, buf + done, len - done, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return 0;
}

static bool is_kernel(const uint8_t *p)
{
    return memcmp(p, "\177ELF", 4) == 0 ||
           (ld_le16(p + HDR_BOOT_FLAG) == LINUX_BOOT_FLAG && linux_header_found(p));
}

static const char *foreign(const uint8_t *p)
{
    static const struct {
        const char *magic;
        unsigned len;
        const char *name;
    } formats[] = {{"KDMV", 4, "VMDK"},      {"# Disk Descriptor", 17, "VMDK"},
                   {"conectix", 8, "VHD"},   {"vhdxfile", 8, "VHDX"},
                   {"<<< ", 4, "VDI"},       {"\x1f\x8b", 2, "gzip"},
                   {"\xfd\x37zXZ", 5, "xz"}, {"\x28\xb5\x2f\xfd", 4, "zstd"}};

    for (unsigned i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (memcmp(p, formats[i].magic, formats[i].len) == 0)
            return formats[i].name;
    return NULL;
}

static enum image_kind recognize(const uint8_t *p, const char **format)
{
    if (is_kernel(p))
        return IMAGE_KERNEL;
    *format = foreign(p);
    if (*format != NULL)
        return IMAGE_FOREIGN;
    return memcmp(p + 0x8001, "CD001", 5) == 0 ? IMAGE_ISO : IMAGE_DISK;
}

int image_recognize(const char *option, const char *path, enum image_kind *kind,
                    const char **format, struct err *e)
{
    uint8_t head[HEAD] = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;

    *format = NULL;
    if (fd < 0)
        return err_set(e, errno, "%s: cannot open %s: %s", option, path, strerror(errno));
    if (fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
        rc = err_set(e, EINVAL, "%s: %s is %s; give an image file or a block device", option, path,
                     S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
    else if (S_ISREG(st.st_mode) && st.st_size == 0)
        rc = err_set(e, EINVAL, "%s: %s is empty; give a complete image", option, path);
    else if ((rc = read_head(fd, head, sizeof(head))) < 0)
        rc = err_set(e, -rc, "%s: cannot read %s: %s", option, path, strerror(-rc));
    close(fd);
    if (rc == 0)
        *kind = recognize(head, format);
    return rc;
}
