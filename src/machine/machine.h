/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PC board: RAM, buses, chips, PCI and the wires between them, put together with an engine.
 *
 * Threads: all functions are for the machine's main thread with the vCPUs stopped, unless noted.
 * The order of a life: machine_create, machine_add_*, machine_reset, then the vCPUs run. Between
 * machine_pause and machine_resume nothing of the machine moves. machine_destroy comes when no vCPU
 * and no loop runs any more.
 */
#ifndef DOPPEL_MACHINE_MACHINE_H
#define DOPPEL_MACHINE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "block/block.h"
#include "dev/serial.h"
#include "dev/sound/sound.h"
#include "dev/tpm.h"
#include "dev/video.h"
#include "engine/engine.h"
#include "loop/loop.h"
#include "machine/boot.h"
#include "machine/firmware.h"
#include "net/net.h"
#include "net/netopt.h"

#define MACHINE_MAX_DISKS 20
#define MACHINE_MAX_NETS 3
#define MACHINE_MAX_CDROMS 4
#define MACHINE_MAX_CPUS 255
#define MACHINE_MAX_SLOTS 4

/* What the guest asks of whoever runs the machine. From any thread, with no lock held; none of them
 * may call back into the machine. */
struct machine_hooks {
    void *opaque;
    void (*wake)(void *opaque, unsigned vcpu); /* out of HLT: it has to look at interrupts */
    void (*power_off)(void *opaque);
    void (*reset)(void *opaque);
    void (*sleep)(void *opaque); /* then comes machine_sleep; no vCPU executes until machine_wake */
    void (*wake_up)(void *opaque); /* something wakes the sleeping machine: machine_wake is due */
    void (*debug_exit)(void *opaque, uint32_t status);
    void (*watchdog)(void *opaque);                /* it has expired; NULL where there is none */
    void (*ejected)(void *opaque, unsigned cdrom); /* the guest opened a tray; may be NULL */
    void (*card_off)(void *opaque); /* of a slot: machine_card_off; NULL without slots */
};

enum machine_board {
    MACHINE_Q35, /* Q35 and ICH9 */
    MACHINE_PC,  /* 440FX and PIIX */
};
/* What drives sit at. */
enum machine_adapter {
    MACHINE_ADAPTER_BOARD, /* IDE or AHCI */
    MACHINE_ADAPTER_VIRTIO_SCSI,
    MACHINE_ADAPTER_BUSLOGIC,
};
#define MACHINE_MAX_ROMS 8

/* The card whose screen the machine has. */
enum machine_vga {
    MACHINE_VGA_NONE,
    MACHINE_VGA_STD,    /* dev/vga.h */
    MACHINE_VGA_VIRTIO, /* dev/virtio/virtio_gpu.h; with firmware that and a VGA */
    MACHINE_VGA_VMWARE, /* dev/svga.h */
};

struct machine_config {
    enum machine_board board;
    struct firmware_config firmware; /* with one, it starts the kernel */
    /* With firmware: a floppy disks, c disks, d CD-ROM drives, n network; NULL: its own. */
    const char *boot_order;
    bool boot_menu;
    const char *roms[MACHINE_MAX_ROMS]; /* option ROMs, with firmware */
    unsigned rom_count;
    const char *name; /* NULL: none */
    uint64_t memory;
    enum ram_pages pages; /* RAM_PAGES_SMALL: what fits the engine */
    unsigned vcpus;
    struct x86_topology topology; /* of them; all 0: flat */
    struct cpuid_policy cpu;      /* what of the host's processor the guest sees */
    const struct engine_ops *engine;
    struct loop *loop; /* the main thread's */
    struct machine_hooks hooks;
    /* All may be NULL, the kernel with firmware only. */
    const char *kernel, *initrd, *append;
    struct boot_module modules[BOOT_MAX_MODULES];
    unsigned module_count;
    enum machine_vga vga;
    bool usb_keyboard, usb_tablet; /* with a controller */
    unsigned slots;                /* for cards that come and go; MACHINE_Q35 only */
    bool debug_exit;               /* a port 0xf4 device */
    bool tpm;                      /* there will be one; firmware's tables say so */
    bool test_device;              /* the ports of dev/test_device.h */
    bool stats;                    /* count what costs time to count, too */
    struct engine_trace trace;
    struct serial_backend serial;
};

struct machine;

int machine_create(const struct machine_config *cfg, struct machine **out,
                   struct err *e) MUST_CHECK;
void machine_destroy(struct machine *m); /* NULL is fine */

/* Devices, before the first machine_reset. Disks become vda, vdb ... in the order of the calls. The
 * loops belong to I/O threads, not to the main thread. */
int machine_add_disk(struct machine *m, struct block_backend *b, struct loop *io,
                     struct err *e) MUST_CHECK;
int machine_add_nvme(struct machine *m, struct block_backend *b, struct loop *io,
                     struct err *e) MUST_CHECK; /* the same as an NVMe disk: nvme0n1 ... */
/* The back end has grown. A disk that cannot tell its guest shows it after the next reset. Also
 * while vCPUs run. */
void machine_disk_resized(struct machine *m, const struct block_backend *b);
/* The same at the board's own adapter: IDE or AHCI. All of them with one loop. */
int machine_add_ata_disk(struct machine *m, struct block_backend *b, struct loop *io,
                         struct err *e) MUST_CHECK;
/* The same at a SCSI adapter, which is made for the first drive; all of them with one loop. */
int machine_add_scsi_disk(struct machine *m, enum machine_adapter adapter, struct block_backend *b,
                          struct loop *io, struct err *e) MUST_CHECK;
/* A CD-ROM drive, numbered from 0; without a medium if `b` is NULL. */
int machine_add_cdrom(struct machine *m, enum machine_adapter adapter, struct block_backend *b,
                      struct loop *io, struct err *e) MUST_CHECK;
/* Another medium, or none; also while vCPUs run. The old back end is not used any more then; after
 * an error the drive is empty. */
int machine_change_cdrom(struct machine *m, unsigned cdrom, struct block_backend *b) MUST_CHECK;
/* Has the guest locked the tray? Tell it that a person wants it open. Also while vCPUs run. */
bool machine_cdrom_locked(struct machine *m, unsigned cdrom);
void machine_cdrom_request(struct machine *m, unsigned cdrom);
/* A floppy drive, numbered from 0, with a disk of a size that there is, or empty if `b` is NULL. */
int machine_add_floppy(struct machine *m, struct block_backend *b, struct loop *io,
                       struct err *e) MUST_CHECK;
/* Is it a floppy disk, by its size? */
int machine_check_floppy(struct block_backend *b, struct err *e) MUST_CHECK;
/* As machine_change_cdrom, with a disk that was checked. */
int machine_change_floppy(struct machine *m, unsigned drive, struct block_backend *b) MUST_CHECK;
/* A network card; `backend` belongs to `io` and outlives the machine. */
struct machine_net {
    enum net_model model;
    uint8_t mac[6]; /* all zero: one that its number gives */
};
int machine_add_net(struct machine *m, const struct machine_net *card,
                    const struct net_backend *backend, struct loop *io, struct err *e) MUST_CHECK;

/*
 * Cards that come and go while the machine runs, in slots numbered from 0. Main thread; those that
 * change a card only between machine_pause and machine_resume.
 *
 *   machine_plug        the card is in; the guest sees it when it looks
 *   machine_unplug_ask  the guest is asked to let go of it: it will turn it off, if it answers
 *   machine_card_off    it has (machine_hooks.card_off): machine_unplug, or machine_card_renew
 *                       where nobody wanted the card out
 *   machine_unplug      the card is gone; its back end is not used any more
 */
struct machine_card {
    enum machine_card_kind { MACHINE_CARD_DISK, MACHINE_CARD_NVME, MACHINE_CARD_NET } kind;
    struct loop *io; /* an I/O thread's, which runs */
    struct block_backend *disk;
    const struct net_backend *cable; /* outlives the card */
    struct machine_net net;
};
int machine_plug(struct machine *m, unsigned slot, const struct machine_card *card,
                 struct err *e) MUST_CHECK;
/* -ENOMEM: it is still there, and reset. */
int machine_unplug(struct machine *m, unsigned slot, struct err *e) MUST_CHECK;
void machine_card_renew(struct machine *m, unsigned slot); /* it is as after its power came on */
bool machine_card_off(struct machine *m, unsigned slot);
/* May it be taken out at once, because the guest has it off? */
bool machine_card_idle(struct machine *m, unsigned slot);
/* -EBUSY: the guest is about to turn it on or off. */
int machine_unplug_ask(struct machine *m, unsigned slot) MUST_CHECK;
/* A disk at the virtio SCSI adapter, which comes and goes while vCPUs run; -ENODEV with a sentence:
 * there is no such adapter. */
int machine_plug_scsi(struct machine *m, struct block_backend *b, unsigned *target,
                      struct err *e) MUST_CHECK;
void machine_unplug_scsi(struct machine *m, unsigned target);

/* An AC'97 sound device, or a Sound Blaster 16; `out` is called on the main loop and outlives the
 * machine. */
int machine_add_sound(struct machine *m, const struct sound_out *out, struct err *e) MUST_CHECK;
int machine_add_sb16(struct machine *m, const struct sound_out *out, struct err *e) MUST_CHECK;

/* A parallel port; what is printed is told on the thread of the vCPU that prints. */
struct machine_printer {
    void *opaque;
    void (*print)(void *opaque, const uint8_t *buf, size_t len);
};
int machine_add_parallel(struct machine *m, const struct machine_printer *p,
                         struct err *e) MUST_CHECK;

/* A TPM 2.0, with machine_config.tpm; its back end outlives the machine. Answers: main thread, also
 * while vCPUs run. */
int machine_add_tpm(struct machine *m, const struct tpm_backend *b, struct err *e) MUST_CHECK;
void machine_tpm_answer(struct machine *m, const uint8_t *answer, size_t len);

/* A watchdog, the 6300ESB's. It tells machine_hooks.watchdog. */
int machine_add_watchdog(struct machine *m, struct err *e) MUST_CHECK;

/* A virtio console, of unknown size at first; the callbacks come on the main loop. */
struct machine_console {
    void *opaque;
    size_t (*output)(void *opaque, const void *data, size_t len); /* how many were taken */
    void (*input_ready)(void *opaque);
};
int machine_add_console(struct machine *m, const struct machine_console *c,
                        struct err *e) MUST_CHECK;
/* Main thread, also while vCPUs run. */
size_t machine_console_input(struct machine *m, const void *data, size_t len);
void machine_console_output_ready(struct machine *m);
void machine_console_resize(struct machine *m, uint16_t cols, uint16_t rows);

/* Power-on: resets every device, writes the tables, loads the kernel and sets the CPUs up. */
int machine_reset(struct machine *m, struct err *e) MUST_CHECK;

/* Suspend to RAM, and its end: see machine_sleep.c. After an error it can only be reset. */
void machine_sleep(struct machine *m);
int machine_wake(struct machine *m, struct err *e) MUST_CHECK;
bool machine_asleep(struct machine *m); /* between the two; any thread */

void machine_pause(struct machine *m);  /* idempotent */
void machine_resume(struct machine *m); /* idempotent */

struct ram *machine_ram(struct machine *m);
struct engine *machine_engine(struct machine *m);
struct engine_vcpu *machine_vcpu(struct machine *m, unsigned vcpu);
struct serial *machine_serial(struct machine *m);
struct vclock *machine_clock(struct machine *m);
const struct video *machine_video(struct machine *m); /* NULL: there is no screen */
/* Keys are KEY_* of Linux; 0, or -EAGAIN: the guest has not taken what came before. The pointer
 * moves by dx to the right and dy down, the wheel away from the user; buttons: bit 0 left, 1
 * right, 2 middle. Lights: bit 0 scroll lock, 1 num lock, 2 caps lock. Any thread. */
int machine_key(struct machine *m, unsigned key, bool down) MUST_CHECK;
void machine_mouse(struct machine *m, int dx, int dy, int wheel, unsigned buttons);
/* To a place in the screen, both coordinates from 0 to 32767. -ENODEV: the guest has no driver for
 * the tablet, so only machine_mouse moves its pointer. */
int machine_tablet(struct machine *m, unsigned x, unsigned y, int wheel,
                   unsigned buttons) MUST_CHECK;
bool machine_has_tablet(struct machine *m); /* and the guest a driver for it */
uint8_t machine_leds(struct machine *m);
/* Both wake a sleeping machine. Any thread. */
void machine_power_button(struct machine *m);
bool machine_wake_request(struct machine *m); /* false: it does not sleep */
/* What the engine counts, and with `stats` the accesses to devices. Any thread, while vCPUs run or
 * not. */
void machine_counters(struct machine *m, counter_fn *fn, void *opaque);

#endif
