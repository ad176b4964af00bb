/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The values of options: see options.h. */
#include "vm/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"

/* Digits at the start of *text, which moves behind them. false: none, or too many for 64 bits. */
static bool digits(const char **text, uint64_t *out)
{
    const char *p = *text;
    uint64_t v = 0;

    if (!isdigit((unsigned char)*p))
        return false;
    for (; isdigit((unsigned char)*p); p++)
        if (!checked_mul(v, 10, &v) || !checked_add(v, (uint64_t)(*p - '0'), &v))
            return false;
    *text = p;
    *out = v;
    return true;
}

int option_size(const char *option, const char *text, uint64_t *out, struct err *e)
{
    static const char units[] = "KMGT";
    const char *p = text, *unit;
    uint64_t v;

    if (!digits(&p, &v))
        return err_usage(e, "%s: '%s' is not a size; write a number and a unit as in 512M", option,
                         text);
    if (*p == '\0')
        return err_usage(e, "%s: '%s' has no unit; write K, M, G or T behind it, as in %sM", option,
                         text, text);
    unit = strchr(units, toupper((unsigned char)*p));
    if (unit == NULL || p[1] != '\0')
        return err_usage(e, "%s: '%s' has the unknown unit '%s'; use K, M, G or T", option, text,
                         p);
    if (!checked_mul(v, UINT64_C(1) << (10 * (unit - units + 1)), out))
        return err_usage(e, "%s: '%s' is too large", option, text);
    return 0;
}

int option_duration(const char *option, const char *text, uint64_t *ns, struct err *e)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{"ms", 1000000}, {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}};
    const char *p = text;
    uint64_t whole, fraction = 0, scale = 1;

    if (!digits(&p, &whole))
        return err_usage(e, "%s: '%s' is not a time; write a number and a unit as in 30s", option,
                         text);
    if (*p == '.')
        for (p++; isdigit((unsigned char)*p); p++) {
            if (scale < 1000000000) {
                fraction = fraction * 10 + (uint64_t)(*p - '0');
                scale *= 10;
            }
        }
    if (*p == '\0')
        return err_usage(e, "%s: '%s' has no unit; write ms, s, m or h behind it", option, text);
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(p, units[i].unit) != 0)
            continue;
        if (!checked_mul(whole, units[i].ns, ns) || *ns > INT64_MAX)
            return err_usage(e, "%s: '%s' is too long", option, text);
        *ns += mul_div(fraction, units[i].ns, scale);
        if (*ns == 0)
            return err_usage(e, "%s: '%s' is no time at all", option, text);
        return 0;
    }
    return err_usage(e, "%s: '%s' has the unknown unit '%s'; use ms, s, m or h", option, text, p);
}

int option_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *out,
                  struct err *e)
{
    const char *p = text;

    if (!digits(&p, out) || *p != '\0')
        return err_usage(e, "%s: '%s' is not a whole number", option, text);
    if (*out < min || *out > max)
        return err_usage(e, "%s: %s is out of range, it must be from %" PRIu64 " to %" PRIu64,
                         option, text, min, max);
    return 0;
}

/* Cuts `text` at the first single comma, makes double ones single, and returns what is behind the
 * cut, or NULL. */
static char *cut(char *text)
{
    char *from = text, *to = text;

    for (; *from != '\0'; *to++ = *from++) {
        if (*from != ',')
            continue;
        if (from[1] != ',') {
            *to = '\0';
            return from + 1;
        }
        from++;
    }
    *to = '\0';
    return NULL;
}

int option_memory(const char *option, char *text, uint64_t *size, enum ram_pages *pages,
                  struct err *e)
{
    char *next = cut(text);
    int rc = option_size(option, text, size, e);

    if (rc < 0 || next == NULL)
        return rc;
    if (strcmp(next, "hugepages=2M") == 0)
        *pages = RAM_PAGES_2M;
    else if (strcmp(next, "hugepages=1G") == 0)
        *pages = RAM_PAGES_1G;
    else
        return err_usage(e, "%s: '%s' is not a suboption; use hugepages=2M or hugepages=1G", option,
                         next);
    return 0;
}

/* "readonly" or "snapshot"? */
static bool disk_access(const char *word, struct vm_disk *out)
{
    out->readonly |= strcmp(word, "readonly") == 0;
    out->snapshot |= strcmp(word, "snapshot") == 0;
    return strcmp(word, "readonly") == 0 || strcmp(word, "snapshot") == 0;
}

struct disk_bus {
    const char *word;
    enum vm_disk_bus bus;
    enum machine_adapter adapter;
};
static const struct disk_bus disk_buses[] = {
    {"bus=virtio", VM_DISK_VIRTIO, MACHINE_ADAPTER_BOARD},
    {"bus=ide", VM_DISK_ATA, MACHINE_ADAPTER_BOARD},
    {"bus=ahci", VM_DISK_ATA, MACHINE_ADAPTER_BOARD},
    {"bus=nvme", VM_DISK_NVME, MACHINE_ADAPTER_BOARD},
    {"bus=scsi", VM_DISK_SCSI, MACHINE_ADAPTER_VIRTIO_SCSI},
    {"bus=buslogic", VM_DISK_SCSI, MACHINE_ADAPTER_BUSLOGIC},
};

/* "bus=..."? *on is the name of the board's own adapter, or NULL for others. */
static bool disk_bus(const char *word, struct vm_disk *out, const char **on)
{
    for (unsigned i = 0; i < sizeof(disk_buses) / sizeof(disk_buses[0]); i++)
        if (strcmp(word, disk_buses[i].word) == 0) {
            out->bus = disk_buses[i].bus;
            out->adapter = disk_buses[i].adapter;
            *on = out->bus == VM_DISK_ATA ? word + 4 : NULL;
            return true;
        }
    return false;
}

static int check_access(const char *option, const struct vm_disk *d, struct err *e)
{
    if (d->readonly && d->snapshot)
        return err_usage(e, "%s: readonly and snapshot exclude each other; give one", option);
    return 0;
}

int option_disk(const char *option, char *text, struct vm_disk *out, const char **on, struct err *e)
{
    char *next = cut(text);

    *on = NULL;
    *out = (struct vm_disk){.path = text};
    if (*text == '\0')
        return err_usage(e, "%s: the path of the image is missing", option);
    while (next != NULL) {
        char *word = next;

        next = cut(word);
        if (disk_access(word, out))
            continue;
        if (strcmp(word, "format=raw") == 0 || strcmp(word, "format=qcow2") == 0)
            out->format = word + 7;
        else if (disk_bus(word, out, on))
            continue;
        else
            return err_usage(e,
                             "%s: '%s' is not a suboption; use readonly, snapshot, "
                             "format=raw|qcow2 or bus=virtio|ide|ahci|nvme|scsi|buslogic",
                             option, word);
    }
    return check_access(option, out, e);
}

int option_cdrom(const char *option, char *text, struct vm_disk *out, struct err *e)
{
    char *bus = cut(text);
    struct vm_disk disk;
    const char *on;

    *out = (struct vm_disk){.path = strcmp(text, "none") != 0 ? text : NULL,
                            .format = "raw",
                            .readonly = true,
                            .bus = VM_DISK_CDROM};
    if (*text == '\0')
        return err_usage(e, "%s: the path is empty", option);
    if (bus == NULL)
        return 0;
    if (!disk_bus(bus, &disk, &on) || disk.bus != VM_DISK_SCSI)
        return err_usage(e, "%s: '%s' is not a suboption; use bus=scsi|buslogic", option, bus);
    out->adapter = disk.adapter;
    return 0;
}

int option_floppy(const char *option, char *text, struct vm_disk *out, struct err *e)
{
    char *next = cut(text);

    *out = (struct vm_disk){
        .path = strcmp(text, "none") != 0 ? text : NULL, .format = "raw", .bus = VM_DISK_FLOPPY};
    if (*text == '\0')
        return err_usage(e, "%s: the path of the image is missing", option);
    while (next != NULL) {
        char *word = next;

        next = cut(word);
        if (!disk_access(word, out))
            return err_usage(e, "%s: '%s' is not a suboption; use readonly or snapshot", option,
                             word);
    }
    return check_access(option, out, e);
}

int option_module(const char *option, char *text, struct boot_module *out, struct err *e)
{
    char *next = cut(text);

    *out = (struct boot_module){.path = text, .text = next};
    return *text == '\0' ? err_usage(e, "%s: the path of the module is missing", option) : 0;
}

int option_gdb(const char *option, char *text, const char **address, bool *wait, struct err *e)
{
    char *next = cut(text);

    *address = text;
    *wait = false;
    if (strncmp(text, "unix:", 5) != 0 && strncmp(text, "tcp:", 4) != 0)
        return err_usage(e, "%s: '%s' is unknown; use unix:PATH or tcp:PORT", option, text);
    if (next == NULL)
        return 0;
    if (strcmp(next, "wait") != 0)
        return err_usage(e, "%s: '%s' is not a suboption; use wait", option, next);
    *wait = true;
    return 0;
}

int option_firmware(const char *option, char *text, struct firmware_config *out, struct err *e)
{
    char *next = cut(text);

    *out = (struct firmware_config){.kind = FIRMWARE_FILE, .path = text};
    if (*text == '\0')
        return err_usage(e, "%s: use bios, uefi or the path of an image", option);
    if (strcmp(text, "bios") == 0)
        out->kind = FIRMWARE_BIOS;
    else if (strcmp(text, "uefi") == 0)
        out->kind = FIRMWARE_UEFI;
    if (next == NULL)
        return 0;
    if (out->kind != FIRMWARE_UEFI)
        return err_usage(e, "%s: only uefi has suboptions, not '%s'", option, text);
    if (strncmp(next, "vars=", 5) != 0 || next[5] == '\0' || cut(next) != NULL)
        return err_usage(e, "%s: '%s' is not a suboption; use vars=FILE", option, next);
    out->vars = next + 5;
    return 0;
}

static int boot_order(const char *option, const char *text, const char **order, struct err *e)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++)
        if (strchr("acdn", text[i]) == NULL || strchr(text + i + 1, text[i]) != NULL)
            n = 0;
    if (n == 0)
        return err_usage(e,
                         "%s: '%s' is not an order; use a (floppy), c (disk), d (CD-ROM) and n "
                         "(network), each at most once",
                         option, text);
    *order = text;
    return 0;
}

int option_boot(const char *option, char *text, const char **order, bool *menu, struct err *e)
{
    int rc = 0;

    for (char *word = text, *next; word != NULL && rc == 0; word = next) {
        next = cut(word);
        if (strncmp(word, "order=", 6) == 0)
            rc = boot_order(option, word + 6, order, e);
        else if (strcmp(word, "menu=on") == 0 || strcmp(word, "menu=off") == 0)
            *menu = strcmp(word, "menu=on") == 0;
        else
            rc =
                err_usage(e, "%s: '%s' is unknown; use order=LETTERS or menu=on|off", option, word);
    }
    return rc;
}

int option_machine(const char *option, const char *text, enum machine_board *out, struct err *e)
{
    if (strcmp(text, "pc") != 0 && strcmp(text, "q35") != 0)
        return err_usage(e, "%s: '%s' is unknown; use pc or q35", option, text);
    *out = strcmp(text, "pc") == 0 ? MACHINE_PC : MACHINE_Q35;
    return 0;
}

int option_name(const char *option, const char *text, struct err *e)
{
    size_t n = strlen(text);
    bool good = n >= 1 && n <= 63 && isalnum((unsigned char)text[0]);

    for (size_t i = 0; i < n && good; i++)
        good = isalnum((unsigned char)text[i]) || strchr("-_.", text[i]) != NULL;
    if (!good)
        return err_usage(e,
                         "%s: '%s' is not a name; use up to 63 letters, digits, '-', '_' and '.', "
                         "beginning with a letter or digit",
                         option, text);
    return 0;
}

int option_usb(const char *option, char *text, bool *keyboard, bool *tablet, struct err *e)
{
    for (char *word = text, *next; word != NULL; word = next) {
        next = cut(word);
        if (strcmp(word, "keyboard") == 0)
            *keyboard = true;
        else if (strcmp(word, "tablet") == 0)
            *tablet = true;
        else
            return err_usage(e, "%s: '%s' is unknown; use keyboard, tablet or both", option, word);
    }
    return 0;
}

int option_sound(const char *option, char *text, enum vm_sound *kind, const char **wav,
                 struct err *e)
{
    char *next = cut(text);

    if (strcmp(text, "ac97") == 0)
        *kind = VM_SOUND_AC97;
    else if (strcmp(text, "sb16") == 0)
        *kind = VM_SOUND_SB16;
    else
        return err_usage(e, "%s: '%s' is unknown; use ac97 or sb16", option, text);
    *wav = NULL;
    if (next == NULL)
        return 0;
    if (strncmp(next, "wav=", 4) != 0 || next[4] == '\0' || cut(next) != NULL)
        return err_usage(e, "%s: '%s' is not a suboption; use wav=FILE", option, next);
    *wav = next + 4;
    return 0;
}

int option_watchdog(const char *option, const char *text, enum vm_watchdog *out, struct err *e)
{
    for (unsigned i = VM_WATCHDOG_RESET; i < VM_WATCHDOG_ACTIONS; i++)
        if (strcmp(text, vm_watchdog_names[i]) == 0) {
            *out = i;
            return 0;
        }
    return err_usage(e, "%s: '%s' is unknown; use reset, poweroff, pause or none", option, text);
}

int option_vga(const char *option, const char *value, enum machine_vga *out, struct err *e)
{
    static const char *const names[] = {[MACHINE_VGA_NONE] = "none",
                                        [MACHINE_VGA_STD] = "std",
                                        [MACHINE_VGA_VIRTIO] = "virtio",
                                        [MACHINE_VGA_VMWARE] = "vmware"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(value, names[i]) == 0) {
            *out = (enum machine_vga)i;
            return 0;
        }
    return err_usage(e, "%s: '%s' is unknown; use std, virtio, vmware or none", option, value);
}

int option_display(const char *option, char *text, struct display_options *out, struct err *e)
{
    char *password = strstr(text, ",password-file=");

    *out = (struct display_options){0};
    if (strcmp(text, "none") == 0)
        return 0;
    if (strncmp(text, "vnc=", 4) != 0 || text[4] == '\0')
        return err_usage(e, "%s: '%s' is unknown; use none or vnc=unix:PATH or vnc=HOST:PORT",
                         option, text);
    if (password != NULL) {
        *password = '\0';
        out->password_file = password + strlen(",password-file=");
        if (out->password_file[0] == '\0')
            return err_usage(e, "%s: the path of the file with the password is missing", option);
    }
    if (strchr(text, ',') != NULL)
        return err_usage(e, "%s: what follows %s is unknown; use password-file=FILE", option,
                         strchr(text, ','));
    out->vnc = text + 4;
    return 0;
}
