/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The values of options as people write them. Every function names the option and the offending
 * text in its error, which is a usage error.
 */
#ifndef DOPPEL_VM_OPTIONS_H
#define DOPPEL_VM_OPTIONS_H

#include <stdint.h>

#include "base/err.h"
#include "vm/vm.h"

/* "512M": a whole number and K, M, G or T, powers of two. */
int option_size(const char *option, const char *text, uint64_t *out, struct err *e) MUST_CHECK;
/* "512M[,hugepages=2M|1G]". Cuts `text`; *pages is set only where it is given. */
int option_memory(const char *option, char *text, uint64_t *size, enum ram_pages *pages,
                  struct err *e) MUST_CHECK;
/* "30s": a number, perhaps with a fraction, and ms, s, m or h. In nanoseconds, not 0. */
int option_duration(const char *option, const char *text, uint64_t *ns, struct err *e) MUST_CHECK;
/* A whole number from min to max. */
int option_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *out,
                  struct err *e) MUST_CHECK;
/* "PATH[,format=raw|qcow2][,readonly][,snapshot][,bus=virtio|ide|ahci|nvme|scsi|buslogic]"; ",,"
 * in the path is a comma. Edits `text`, to which out->path points. *on: the board's own adapter
 * that it names, or NULL. */
int option_disk(const char *option, char *text, struct vm_disk *out, const char **on,
                struct err *e) MUST_CHECK;
/* "PATH[,bus=scsi|buslogic]", or "none" for a drive without a medium: out->path NULL. Edits
 * `text`. */
int option_cdrom(const char *option, char *text, struct vm_disk *out, struct err *e) MUST_CHECK;
/* "PATH[,readonly][,snapshot]", or "none" for an empty drive: out->path NULL. */
int option_floppy(const char *option, char *text, struct vm_disk *out, struct err *e) MUST_CHECK;
/* "PATH[,TEXT]"; ",," in the path is a comma. Edits `text`, to which *out points. */
int option_module(const char *option, char *text, struct boot_module *out,
                  struct err *e) MUST_CHECK;
/* "ADDRESS[,wait]", the address being listener_create's. Cuts `text`. */
int option_gdb(const char *option, char *text, const char **address, bool *wait,
               struct err *e) MUST_CHECK;
/* "bios", "uefi[,vars=FILE]" or "FILE", as above. */
int option_firmware(const char *option, char *text, struct firmware_config *out,
                    struct err *e) MUST_CHECK;
/* "order=LETTERS", "menu=on|off", or both with a comma: a floppy disks, c disks, d CD-ROM drives, n
 * network. *order is left alone where it is not given. */
int option_boot(const char *option, char *text, const char **order, bool *menu,
                struct err *e) MUST_CHECK;
/* "pc" or "q35". */
int option_machine(const char *option, const char *text, enum machine_board *out,
                   struct err *e) MUST_CHECK;
/* A machine's name: 1 to 63 letters, digits, '-', '_' or '.', the first a letter or digit. */
int option_name(const char *option, const char *text, struct err *e) MUST_CHECK;

/* "none", or "vnc=ADDRESS[,password-file=FILE]" with "unix:PATH", "HOST:PORT" or ":PORT" (of this
 * host only). Cuts `text`; *out has pieces of it. */
struct display_options;
int option_display(const char *option, char *text, struct display_options *out,
                   struct err *e) MUST_CHECK;

/* "keyboard", "tablet", or both with a comma. Cuts `text`. */
int option_usb(const char *option, char *text, bool *keyboard, bool *tablet,
               struct err *e) MUST_CHECK;

/* "ac97" or "sb16", and perhaps ",wav=FILE". Edits `text`, to which *wav points. */
int option_sound(const char *option, char *text, enum vm_sound *kind, const char **wav,
                 struct err *e) MUST_CHECK;

/* "reset", "poweroff", "pause" or "none". */
int option_watchdog(const char *option, const char *text, enum vm_watchdog *out,
                    struct err *e) MUST_CHECK;

/* "none", "std", "virtio" or "vmware". */
int option_vga(const char *option, const char *value, enum machine_vga *out,
               struct err *e) MUST_CHECK;

#endif
