/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A virtual machine as its own files see it. */
#ifndef DOPPEL_VM_VM_INTERNAL_H
#define DOPPEL_VM_VM_INTERNAL_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/lock.h"
#include "block/block.h"
#include "display/input.h"
#include "net/net.h"
#include "vm/vcpu.h"
#include "vm/vm.h"

enum vm_event {
    EVENT_POWER_OFF = 1,
    EVENT_RESET = 2,
    EVENT_DEBUG_EXIT = 4,
    EVENT_TIMEOUT = 8,
    EVENT_QUIT = 16,
    EVENT_FAILED = 32,
    EVENT_DEBUG = 64, /* a vCPU came to a point of the debugger's */
    EVENT_POWER_BUTTON = 128,
    EVENT_HOST_RESET = 256, /* with EVENT_RESET: not the guest's */
    EVENT_TRAY = 512,       /* the guest opened one of `trays` */
    EVENT_WATCHDOG = 1024,  /* it has expired */
    EVENT_SLEEP = 2048,
    EVENT_WAKE_UP = 4096,
    EVENT_CARD_OFF = 8192, /* the guest turned a card's power off */
};

/* Why a machine is paused; it runs when there is no reason. */
enum { PAUSE_USER = 1, PAUSE_DEBUG = 2 };

struct wav;
struct vm_plug;

/* A thread that runs a loop for devices. */
struct vm_io {
    struct loop *loop;
    pthread_t thread;
    bool started;
};

/* The mouse by x and y, or the tablet to a place from 0 to 32767. */
struct vm_motion {
    bool absolute;
    int x, y, wheel;
    unsigned buttons; /* INPUT_* */
};

struct vm {
    struct vm_config cfg;
    struct loop *loop;
    struct machine *machine;
    struct vcpu vcpu[MACHINE_MAX_CPUS];
    struct chardev *serial, *console, *parallel;

    struct vm_io disk_io, net_io;
    struct block_backend *disks[MACHINE_MAX_DISKS];
    struct net_backend nets[MACHINE_MAX_NETS];
    struct vm_plug *plug;       /* what may come and go; NULL: nothing */
    struct vm_control *control; /* NULL: no control socket */
    const char *quit_by;        /* why vm_quit was called, for the event; NULL: a signal */
    struct vm_debug *debug;     /* NULL: no --gdb */
    struct vm_input *input;
    struct swtpm *tpm;          /* NULL: none */
    struct wav *wav;            /* NULL: none */
    struct vm_display *display; /* NULL: nobody is shown the screen */

    _Atomic unsigned events; /* EVENT_*, not handled yet */
    _Atomic uint32_t status;
    _Atomic unsigned trays; /* CD-ROM drives whose trays the guest opened, not told yet */
    struct lock lock;       /* err, while vCPUs run */
    struct err err;

    /* The main thread's. */
    bool ended;
    bool launched;           /* it has run */
    unsigned pauses;         /* PAUSE_* */
    bool console_used;       /* by the guest, since the last reset */
    struct vm_motion script; /* what scripts did last to the pointer */
    enum vm_end how;
    int timeout_fd;
    struct loop_watch *timeout_watch;
    uint64_t started_ns, ended_ns; /* CLOCK_MONOTONIC; 0: not yet */
    uint64_t spent_ns;             /* CPU time of the process when it started */
};

static inline uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    if (clock_gettime(id, &ts) < 0)
        return 0;
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

void vm_raise_event(struct vm *vm, unsigned event); /* any thread */
void vm_pause_for(struct vm *vm, unsigned why);
void vm_resume_for(struct vm *vm, unsigned why);
/* Nothing of the machine moves, whatever its status; vCPUs that are held stay so. */
void vm_freeze(struct vm *vm);
void vm_thaw(struct vm *vm);
void vm_restart(struct vm *vm, bool by_host); /* the reset itself; main thread */

/* vm_control.c */
int vm_control_create(struct vm *vm, struct err *e) MUST_CHECK;
void vm_control_destroy(struct vm *vm);
/* Tells all peers of the control socket. Takes `data`, which may be NULL. */
void vm_control_event(struct vm *vm, const char *name, json_t *data);

/* vm_input.c: what people and scripts do to keyboard and pointer. */
int vm_input_create(struct vm *vm, struct err *e) MUST_CHECK;
void vm_input_destroy(struct vm *vm);
struct input_sink vm_input_sink(struct vm *vm);
/* After what was queued before, and a pause of the machine's time. Main thread. -ENOBUFS with a
 * sentence: too much waits. */
int vm_input_key(struct vm *vm, unsigned key, bool down, unsigned pause_ms,
                 struct err *e) MUST_CHECK;
int vm_input_motion(struct vm *vm, const struct vm_motion *m, unsigned pause_ms,
                    struct err *e) MUST_CHECK;

/* vm_display.c */
int vm_display_create(struct vm *vm, struct err *e) MUST_CHECK;
void vm_display_destroy(struct vm *vm);

/* vm_debug.c */
int vm_debug_create(struct vm *vm, struct err *e) MUST_CHECK;
void vm_debug_destroy(struct vm *vm);
void vm_debug_event(struct vm *vm); /* EVENT_DEBUG */
bool vm_debug_attached(const struct vm *vm);

/* vm_medium.c: disk `i` is removable (vm_disk_removable). */
void vm_tray_opened(void *opaque, unsigned cdrom); /* any thread */
void vm_trays_event(struct vm *vm);                /* EVENT_TRAY */
/* Another image, or NULL for none. A drive that the guest has locked is left alone, and the guest
 * is asked to eject, unless `force`. Sentences are QMP's. */
int vm_change_medium(struct vm *vm, unsigned i, const char *path, bool force,
                     struct err *e) MUST_CHECK;

/* vm_plug.c: what comes and goes while the machine runs. Images and networks have names, devices
 * that use them have IDs. Sentences are QMP's. */
int vm_plug_create(struct vm *vm, struct err *e) MUST_CHECK;
void vm_plug_destroy(struct vm *vm); /* after the machine is destroyed */
void vm_plug_event(struct vm *vm);   /* EVENT_CARD_OFF */
void vm_plug_reset(struct vm *vm);   /* the machine is about to be: what was to go is gone */
int vm_plug_image(struct vm *vm, const char *name, const struct block_options *o,
                  struct err *e) MUST_CHECK;
int vm_unplug_image(struct vm *vm, const char *name, struct err *e) MUST_CHECK;
int vm_plug_net(struct vm *vm, const char *name, const struct net_options *o,
                struct err *e) MUST_CHECK;
int vm_unplug_net(struct vm *vm, const char *name, struct err *e) MUST_CHECK;
struct vm_device {
    const char *id, *driver;
    const char *drive, *netdev; /* names; one is NULL, as the driver wants */
    const char *bus;            /* "slot1"; NULL: the first that is free */
    uint8_t mac[6];             /* all zero: none was given */
};
int vm_plug_device(struct vm *vm, const struct vm_device *d, struct err *e) MUST_CHECK;
int vm_unplug_device(struct vm *vm, const char *id, struct err *e) MUST_CHECK;
/* The image in device `id`, or of that name; NULL: there is none. */
struct block_backend *vm_plug_find_image(struct vm *vm, const char *name);
/* Each device with an image, in turn: false after the last. */
bool vm_plug_disk(struct vm *vm, unsigned i, const char **id, struct block_backend **b);

/* vm_stats.c */
void vm_stats_start(struct vm *vm);
void vm_stats_end(struct vm *vm);

int vm_attach_tpm(struct vm *vm, struct err *e) MUST_CHECK; /* vm_tpm.c */

/* vm_devices.c: disks, network, console, parallel port, sound and watchdog; the I/O threads. */
int vm_attach_devices(struct vm *vm, struct err *e) MUST_CHECK;
void vm_console_reset(struct vm *vm);  /* the machine was reset */
void vm_watchdog_event(struct vm *vm); /* EVENT_WATCHDOG */
int vm_start_io(struct vm *vm, struct err *e) MUST_CHECK;
void vm_stop_io(struct vm *vm);       /* ends the I/O threads; the devices are paused */
void vm_close_devices(struct vm *vm); /* after the machine is destroyed */
/* A disk's name is that of the guest's kernel: vda, sda; CD-ROM drives are cd0 and so on, floppy
 * drives floppy0. */
#define VM_DISK_NAME 12
void vm_disk_name(const struct vm *vm, unsigned i, char name[VM_DISK_NAME]);
int vm_find_disk(const struct vm *vm, const char *name, unsigned *out, struct err *e) MUST_CHECK;
unsigned vm_drive_number(const struct vm *vm, unsigned i); /* how many of its kind come first */
bool vm_disk_removable(const struct vm *vm, unsigned i);

#endif
