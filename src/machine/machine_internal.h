/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The board as its own files see it. */
#ifndef DOPPEL_MACHINE_MACHINE_INTERNAL_H
#define DOPPEL_MACHINE_MACHINE_INTERNAL_H

#include <stdatomic.h>

#include "bus/bus.h"
#include "bus/pci.h"
#include "dev/acpi_pm.h"
#include "dev/apic.h"
#include "dev/device.h"
#include "dev/dma.h"
#include "dev/floppy.h"
#include "dev/fwcfg.h"
#include "dev/gsi.h"
#include "dev/host_bridge.h"
#include "dev/hpet.h"
#include "dev/i8042.h"
#include "dev/pflash.h"
#include "dev/pit.h"
#include "dev/reset_ports.h"
#include "dev/rtc.h"
#include "dev/scsi/scsi_unit.h"
#include "dev/tpm.h"
#include "dev/video.h"
#include "machine/acpi.h"
#include "machine/firmware.h"
#include "machine/iostat.h"
#include "machine/kvmclock.h"
#include "machine/layout.h"
#include "machine/machine.h"
#include "machine/msr.h"

#define MACHINE_DEVICES (64 + MACHINE_MAX_CPUS)
#define MACHINE_INTX 4
#define MACHINE_BOOTABLE 32

/* Something that firmware can boot from. */
struct machine_boot {
    char kind; /* as in machine_config.boot_order */
    char path[56];
};

/* A CD-ROM drive is one of these. */
struct machine_cdrom {
    struct ata_unit *ata;
    struct scsi_unit *scsi;
};

/* A slot for cards that come and go. */
struct machine_slot {
    struct device port, card; /* card.ops NULL: empty */
    struct machine_card what;
    unsigned devfn; /* of the port */
};

struct machine {
    struct machine_config cfg;
    struct layout layout;
    struct cpuid_table cpuid;
    struct ram *ram;
    struct bus *ports, *mmio;
    struct iostat *iostat; /* NULL: nobody wants to know */
    struct vclock *clock;
    uint8_t uuid[16];
    bool paused;

    struct engine *engine;
    struct engine_host host;
    struct engine_vcpu *vcpu[MACHINE_MAX_CPUS];
    struct lapic *lapic[MACHINE_MAX_CPUS];
    struct msr_file msr[MACHINE_MAX_CPUS];      /* each its vCPU's thread's */
    struct kvmclock kvmclock[MACHINE_MAX_CPUS]; /* likewise */
    struct kvmclock_now clock_ref;              /* what all of them are told, on the host's TSC */

    struct apic_bus *apic;
    struct gsi gsi;
    struct hpet *hpet;
    struct rtc *rtc;
    struct dma *dma;
    struct serial *serial;
    struct acpi_pm *pm;
    struct reset_ports *reset_ports;
    struct i8042 *i8042;
    struct fwcfg *fwcfg;
    struct pci_bus *pci;
    struct device host_bridge;
    unsigned lpc_devfn;
    unsigned intx_shift;      /* pin p of slot s drives line (s + p + shift) % 4 */
    uint64_t ecam_base;       /* 0: off */
    _Atomic uint8_t intx;     /* levels of the lines, bit by bit */
    struct lock intx_lock;    /* below */
    uint16_t irq_told;        /* levels of the ISA interrupts that lines are routed to */
    bool irq_busy, irq_again; /* a thread is telling them; it has to look again */

    struct firmware firmware;
    struct acpi_blobs *acpi;                    /* with firmware */
    _Atomic uint8_t pam[HOST_BRIDGE_SEGMENTS];  /* likewise: what the host bridge told */
    struct machine_boot boot[MACHINE_BOOTABLE]; /* in the order of creation */
    unsigned boot_count;
    bool boot_ordered; /* the firmware's list is made */
    unsigned disks, nets;
    struct device ata;            /* the adapter for ATA drives; ops NULL: none */
    struct device scsi, buslogic; /* SCSI adapters; ops NULL: none */
    unsigned scsi_targets, buslogic_targets;
    struct machine_cdrom cdrom[MACHINE_MAX_CDROMS];
    unsigned cdroms;
    struct floppy *floppy; /* the controller; NULL: none */
    unsigned floppies;
    uint8_t drive_types;           /* as CMOS has them */
    void *disk[MACHINE_MAX_DISKS]; /* the virtio disks */
    void *console;                 /* the virtio console, or NULL */
    void *tablet;                  /* the virtio tablet, or NULL */
    struct tpm *tpm;               /* NULL: none */
    bool parallel;                 /* there is a parallel port */
    unsigned optional;             /* functions of the optional devices' slot that are taken */
    struct machine_slot slot[MACHINE_MAX_SLOTS];
    unsigned slots;
    void *usb;          /* the USB controller, or NULL */
    struct video video; /* self NULL: there is no screen */

    struct device devices[MACHINE_DEVICES]; /* in the order of creation */
    unsigned device_count;
    _Atomic bool asleep;                   /* S3; machine_sleep.c */
    _Atomic bool rtc_line;                 /* the level of its interrupt */
    _Atomic bool a20_port92, a20_keyboard; /* what the gates of address bit 20 let pass */
};

/* The state in which firmware leaves a processor, beyond that of reset. */
void machine_firmware_cpu(const struct machine *m, struct x86_cpu *c);
/* Starts the boot processor in that state, `boot`, which is used up; the others wait for it. */
int machine_set_cpus(struct machine *m, struct x86_cpu *boot, struct err *e) MUST_CHECK;
/* Resets what the board has beside devices. */
void machine_reset_rest(struct machine *m);
void board_rtc_pin(void *opaque, unsigned line, bool level); /* machine_sleep.c */

/* Notes a device for reset, pause and destroy. */
int machine_own(struct machine *m, struct device d, struct err *e) MUST_CHECK;

void machine_disown(struct machine *m, const struct device *d); /* it is destroyed elsewhere */

/* board.c: the chips; board_pci.c: PCI and what sits on it. On an error what was created stays in
 * m and is destroyed with it. */
int board_create(struct machine *m, struct err *e) MUST_CHECK;
int board_create_pci(struct machine *m, struct err *e) MUST_CHECK;
int board_create_rng(struct machine *m, struct err *e) MUST_CHECK; /* board_virtio.c */
/* A virtio device there, whose queues `loop` serves. */
struct virtio_place board_virtio_place(struct machine *m, unsigned devfn, struct loop *loop);
/* What firmware does: addresses for BARs, edge/level control, virtual-wire mode. */
int board_firmware(struct machine *m, struct err *e) MUST_CHECK;

/* board_bios.c: real mode's vectors, and the chips, as a BIOS leaves them for a kernel that it
 * starts. */
int board_bios_memory(struct machine *m, struct err *e) MUST_CHECK;
void board_bios_chips(struct machine *m);

void board_reset_a20(struct machine *m);              /* address bit 20 passes */
uint8_t board_pirq(struct machine *m, unsigned line); /* its ISA interrupt, 0: none */

/* board_rom.c: memory that the chipset switches. */
int board_create_rom(struct machine *m, struct err *e) MUST_CHECK;
void board_remapped(struct machine *m); /* regions show something else: the engine is told */
void board_pam(void *opaque, const uint8_t attributes[HOST_BRIDGE_SEGMENTS]);

int board_create_tablet(struct machine *m, struct err *e) MUST_CHECK; /* board_virtio.c */
unsigned board_optional_devfn(struct machine *m); /* board_optional.c: the next one */
int board_create_slots(struct machine *m, struct err *e) MUST_CHECK; /* board_slots.c */
void board_slots_resized(struct machine *m, const struct block_backend *b);
/* Devices wherever they are, on that loop; `number` is one that no other has. */
int board_disk(struct machine *m, unsigned devfn, struct block_backend *b, struct loop *io,
               struct device *out, struct err *e) MUST_CHECK; /* board_virtio.c */
int board_nvme(struct machine *m, unsigned devfn, unsigned number, struct block_backend *b,
               struct loop *io, struct device *out, struct err *e) MUST_CHECK; /* likewise */
int board_net(struct machine *m, unsigned devfn, unsigned number, const struct machine_net *card,
              const struct net_backend *backend, struct loop *io, struct device *out,
              struct err *e) MUST_CHECK;                             /* board_net.c */
int board_create_usb(struct machine *m, struct err *e) MUST_CHECK;   /* board_input.c */
int board_create_video(struct machine *m, struct err *e) MUST_CHECK; /* board_video.c */
void board_size_video(struct machine *m); /* memory that the screen's card needs, for the layout */

/* board_fwcfg.c: what firmware asks. `path` is Open Firmware's below the PCI bus. */
struct acpi_config board_acpi(struct machine *m);
int board_create_fwcfg_files(struct machine *m, struct err *e) MUST_CHECK;
int board_create_kernel(struct machine *m, struct err *e) MUST_CHECK; /* board_kernel.c */
/* board_kernel_rom.c: a kernel that a BIOS starts, by an option ROM. The kernel's header is filled
 * in; the items of fw_cfg are the caller's to add. */
struct board_kernel {
    uint8_t *data, *initrd; /* NULL: none */
    size_t len, setup_len, initrd_len;
};
#define BOARD_KERNEL_ROM "genroms/linux.rom"
int board_kernel_rom(struct machine *m, const struct board_kernel *k, struct err *e) MUST_CHECK;
void board_bootable(struct machine *m, char kind, const char *path);
int board_boot_order(struct machine *m, struct err *e) MUST_CHECK;

int board_create_dma(struct machine *m, struct err *e) MUST_CHECK; /* board_floppy.c */
void board_dma_program(struct machine *m);
void board_storage_program(struct machine *m); /* board_storage.c */
/* board_scsi.c */
int board_add_scsi(struct machine *m, enum machine_adapter adapter, enum scsi_kind kind,
                   struct block_backend *b, struct loop *io, struct scsi_unit **out,
                   struct err *e) MUST_CHECK;
void board_scsi_ejected(void *opaque, const struct scsi_unit *u); /* board_storage.c */
void board_scsi_resized(struct machine *m, const struct block_backend *b);

/* platform.c: struct engine_host, and the callbacks of the local APICs. */
void platform_init(struct machine *m);
uint64_t platform_tsc(struct machine *m, unsigned vcpu); /* the guest's; any thread */
struct kvmclock_now platform_now(struct machine *m, unsigned vcpu);
void platform_clock_begin(struct machine *m); /* the relation of the clocks is new; vCPUs stopped */

#endif
