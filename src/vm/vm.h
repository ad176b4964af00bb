/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One virtual machine in this process: the machine, a thread for each vCPU, I/O threads, and the
 * life cycle. The thread that calls vm_run is the main thread: it runs the main loop, on which
 * timers, terminals and all changes of state happen.
 *
 *   vm_create -> vm_run -> vm_destroy
 */
#ifndef DOPPEL_VM_VM_H
#define DOPPEL_VM_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/err.h"
#include "engine/engine.h"
#include "machine/machine.h"
#include "net/netopt.h"
#include "vm/chardev.h"
#include "vm/pin.h"

struct display_options {
    const char *vnc;           /* where viewers connect, as listener_create says; NULL: nowhere */
    const char *password_file; /* its first line; NULL: no password is asked for */
};

enum vm_disk_bus {
    VM_DISK_VIRTIO,
    VM_DISK_ATA,
    VM_DISK_CDROM,
    VM_DISK_NVME,
    VM_DISK_FLOPPY,
    VM_DISK_SCSI
};

struct vm_disk {
    const char *path;   /* NULL: a drive without a medium */
    const char *format; /* raw or qcow2; NULL: told by the content */
    bool readonly, snapshot;
    enum vm_disk_bus bus;
    enum machine_adapter adapter; /* of CD-ROM drives and SCSI disks */
};

enum vm_sound { VM_SOUND_NONE, VM_SOUND_AC97, VM_SOUND_SB16 };

/* What happens when the guest does not feed its watchdog. */
enum vm_watchdog {
    VM_WATCHDOG_ABSENT, /* it has no watchdog */
    VM_WATCHDOG_RESET,
    VM_WATCHDOG_POWEROFF,
    VM_WATCHDOG_PAUSE,
    VM_WATCHDOG_NONE, /* only the event */
    VM_WATCHDOG_ACTIONS
};
/* Their names, as in options and events. */
extern const char *const vm_watchdog_names[VM_WATCHDOG_ACTIONS];

struct vm_config {
    const char *name; /* NULL: none */
    const struct engine_ops *engine;
    uint64_t memory;
    enum ram_pages pages; /* see struct machine_config */
    unsigned cpus;
    struct x86_topology topology; /* of them; all 0: flat */
    struct vm_pin pin;
    struct cpuid_policy cpu;
    enum machine_board board;
    struct firmware_config firmware;
    const char *boot_order; /* see struct machine_config */
    bool boot_menu;
    const char *roms[MACHINE_MAX_ROMS];
    unsigned rom_count;
    const char *kernel, *initrd, *append;
    struct boot_module modules[BOOT_MAX_MODULES];
    unsigned module_count;
    struct vm_disk disks[MACHINE_MAX_DISKS];
    unsigned disk_count;
    struct net_options nets[MACHINE_MAX_NETS]; /* the kind is not NET_NONE */
    unsigned net_count;
    struct chardev_options serial, console;
    struct chardev_options parallel; /* not stdio */
    uint16_t cols, rows; /* of the terminal, for the console if that is stdio; 0: unknown */
    /* See struct chardev_config; for the one of serial and console that is stdio. */
    size_t (*filter)(void *opaque, uint8_t *buf, size_t len);
    void *opaque;
    enum machine_vga vga; /* the screen's card */
    bool usb_keyboard, usb_tablet;
    unsigned slots; /* see struct machine_config */
    enum vm_watchdog watchdog;
    enum vm_sound sound;
    const char *tpm; /* where swtpm is, as swtpm_create says; NULL: no TPM */
    const char *wav; /* a file of what it plays; NULL: none */
    struct display_options display;
    bool no_reboot;      /* a reset by the guest ends the machine */
    bool debug_exit;     /* the port 0xf4 device */
    bool test_device;    /* the ports of dev/test_device.h */
    uint64_t timeout_ns; /* 0: none */
    const char *gdb;     /* where debuggers connect, as listener_create says; NULL: nowhere */
    bool gdb_wait;       /* for one, before the first instruction */
    const char *control; /* path of the control socket (vm/qmp.h); NULL: none */
    bool paused;         /* it starts paused, as by vm_pause */
    bool stats;          /* count what costs time to count, too */
    struct engine_trace trace;
};

enum vm_end {
    VM_POWERED_OFF, /* by the guest */
    VM_RESET,       /* by the guest, with no_reboot */
    VM_DEBUG_EXIT,  /* status: what the port was told, as an exit status */
    VM_TIMEOUT,
    VM_QUIT, /* vm_quit */
    VM_FAILED,
};

struct vm;

/* All strings of `cfg` outlive the vm. */
int vm_create(const struct vm_config *cfg, struct vm **out, struct err *e) MUST_CHECK;
void vm_destroy(struct vm *vm); /* NULL is fine */

/* Runs until the machine ends; no thread of the machine runs any more when it returns. VM_FAILED
 * with a sentence. status: only of VM_DEBUG_EXIT. */
enum vm_end vm_run(struct vm *vm, uint32_t *status, struct err *e);

/* Any thread, also before vm_run. */
void vm_quit(struct vm *vm);
void vm_reset(struct vm *vm);
void vm_power_button(struct vm *vm);
bool vm_wake_up(struct vm *vm); /* a guest that sleeps; false: it does not */

/* Main thread. Idempotent. A machine that a debugger has stopped goes on when that lets it, too. */
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);

enum vm_status {
    VM_STATUS_PRELAUNCH, /* paused before its first instruction */
    VM_STATUS_RUNNING,
    VM_STATUS_PAUSED,
    VM_STATUS_DEBUG,     /* stopped by a debugger */
    VM_STATUS_SUSPENDED, /* the guest sleeps (S3) */
    VM_STATUS_ENDED,
};
enum vm_status vm_status(const struct vm *vm);

/* The size of the terminal changed; main thread. A serial port has no way to say so. */
void vm_terminal_size(struct vm *vm, uint16_t cols, uint16_t rows);

/* Where time goes, and what the parts count; first of all comes the time since vm_run was called.
 * Main thread, during and after vm_run. */
void vm_counters(struct vm *vm, counter_fn *fn, void *opaque);

struct loop *vm_loop(struct vm *vm);
struct machine *vm_machine(struct vm *vm);
/* Where a person finds the serial port or the console, or NULL. */
const char *vm_serial_where(const struct vm *vm);
const char *vm_console_where(const struct vm *vm);
const char *vm_parallel_where(const struct vm *vm); /* likewise */
const char *vm_vnc_where(const struct vm *vm);      /* where viewers connect, or NULL */
const char *vm_gdb_where(const struct vm *vm);      /* where debuggers connect, or NULL */

#endif
