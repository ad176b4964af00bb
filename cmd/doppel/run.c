/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel run: one machine in the foreground. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "commands.h"
#include "detach.h"
#include "machine/image.h"
#include "run_devices.h"
#include "stats.h"
#include "terminal.h"
#include "trace.h"
#include "vars.h"
#include "vm/escape.h"
#include "vm/options.h"
#include "vm/rundir.h"
#include "vm/vm.h"

#define DEFAULT_MEMORY (UINT64_C(1) << 30)

struct run {
    struct vm_config cfg; /* first: run_devices.h */
    const char *accel;
    struct err passed; /* why `auto` did not take what is better */
    char *image;
    bool serial_given, board_given, vga_given;
    bool no_net;     /* --net none */
    const char *bus; /* of --disk, other than virtio; NULL: none */
    const char *publish[NET_MAX_FORWARDS];
    unsigned publish_count;
    char *trace_words; /* of --trace; NULL: none */
    struct trace trace;
    bool detach;
    struct detach background;
    /* Of sockets that --name or --control imply. */
    char control[RUNDIR_PATH], serial[RUNDIR_PATH], console[RUNDIR_PATH];
    struct vm *vm;
    struct escape escape;
    int signal_fd;
    struct loop_watch *signal_watch;
    int ended_by; /* a signal, or 0 */
};

/* --- options --- */

static int set_accel(void *opaque, const char *option, char *value, struct err *e)
{
    struct run *r = opaque;

    if (strcmp(value, "auto") != 0 && strcmp(value, "bt") != 0 && strcmp(value, "kvm") != 0)
        return err_usage(e, "%s: '%s' is unknown; use auto, bt or kvm", option, value);
    r->accel = value;
    return 0;
}

static int set_memory(void *opaque, const char *option, char *value, struct err *e)
{
    struct vm_config *cfg = &((struct run *)opaque)->cfg;

    return option_memory(option, value, &cfg->memory, &cfg->pages, e);
}

static int set_cpus(void *opaque, const char *option, char *value, struct err *e)
{
    struct vm_config *c = &((struct run *)opaque)->cfg;
    int rc = pin_take(option, value, &c->pin, e);

    if (rc == 0)
        rc = x86_topology_parse(&c->topology, option, value, MACHINE_MAX_CPUS, e);
    c->cpus = x86_topology_cpus(&c->topology);
    return rc == 0 ? pin_fits(option, &c->pin, c->cpus, e) : rc;
}

static int set_cpu(void *opaque, const char *option, char *value, struct err *e)
{
    return cpuid_policy_parse(&((struct run *)opaque)->cfg.cpu, option, value, e);
}

/* A path that may be given once. */
static int set_path(const char **to, const char *option, char *value, struct err *e)
{
    if (*to != NULL)
        return err_usage(e, "%s: given twice (%s and %s); give it once", option, *to, value);
    if (value[0] == '\0')
        return err_usage(e, "%s: the path is empty", option);
    *to = value;
    return 0;
}

static int set_kernel(void *opaque, const char *option, char *value, struct err *e)
{
    return set_path(&((struct run *)opaque)->cfg.kernel, option, value, e);
}

static int set_initrd(void *opaque, const char *option, char *value, struct err *e)
{
    return set_path(&((struct run *)opaque)->cfg.initrd, option, value, e);
}

static int add_module(void *opaque, const char *option, char *value, struct err *e)
{
    struct run *r = opaque;

    if (r->cfg.module_count == BOOT_MAX_MODULES)
        return err_usage(e, "%s: a kernel gets at most %d modules", option, BOOT_MAX_MODULES);
    return option_module(option, value, &r->cfg.modules[r->cfg.module_count++], e);
}

static int set_append(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct run *)opaque)->cfg.append = value;
    return 0;
}

static int add_disk(struct run *r, const struct vm_disk *d, const char *option, struct err *e)
{
    if (r->cfg.disk_count == MACHINE_MAX_DISKS)
        return err_usage(e, "%s: a machine has at most %d disks", option, MACHINE_MAX_DISKS);
    r->cfg.disks[r->cfg.disk_count++] = *d;
    return 0;
}

static int set_disk(void *opaque, const char *option, char *value, struct err *e)
{
    struct run *r = opaque;
    const char *bus = NULL;
    struct vm_disk d;
    int rc = option_disk(option, value, &d, &bus, e);

    if (rc == 0 && bus != NULL && r->bus != NULL && strcmp(bus, r->bus) != 0)
        return err_usage(e, "%s: a machine has either an ide or an ahci bus", option);
    if (bus != NULL)
        r->bus = bus;
    return rc == 0 ? add_disk(r, &d, option, e) : rc;
}

static int set_cdrom(void *opaque, const char *option, char *value, struct err *e)
{
    struct vm_disk d;
    int rc = option_cdrom(option, value, &d, e);

    return rc == 0 ? add_disk(opaque, &d, option, e) : rc;
}

static int set_floppy(void *opaque, const char *option, char *value, struct err *e)
{
    struct vm_disk d;
    int rc = option_floppy(option, value, &d, e);

    return rc == 0 ? add_disk(opaque, &d, option, e) : rc;
}

static int set_firmware(void *opaque, const char *option, char *value, struct err *e)
{
    return option_firmware(option, value, &((struct run *)opaque)->cfg.firmware, e);
}

static int set_machine(void *opaque, const char *option, char *value, struct err *e)
{
    struct run *r = opaque;

    r->board_given = true;
    return option_machine(option, value, &r->cfg.board, e);
}

static int set_boot(void *opaque, const char *option, char *value, struct err *e)
{
    struct vm_config *c = &((struct run *)opaque)->cfg;

    return option_boot(option, value, &c->boot_order, &c->boot_menu, e);
}

static int set_option_rom(void *opaque, const char *option, char *value, struct err *e)
{
    struct vm_config *c = &((struct run *)opaque)->cfg;

    if (c->rom_count == MACHINE_MAX_ROMS)
        return err_usage(e, "%s: a machine has at most %d option ROMs", option, MACHINE_MAX_ROMS);
    c->roms[c->rom_count++] = value;
    return 0;
}

static int add_net(void *opaque, const char *option, char *value, struct err *e)
{
    struct run *r = opaque;
    struct net_options o;
    int rc = net_options_parse(&o, value, e);

    if (rc < 0)
        return rc;
    if (r->no_net || (o.kind == NET_NONE && r->cfg.net_count > 0))
        return err_usage(e, "%s: there is a network, and there is none; drop one of them", option);
    r->no_net = o.kind == NET_NONE;
    if (r->no_net)
        return 0;
    if (r->cfg.net_count == MACHINE_MAX_NETS)
        return err_usage(e, "%s: a machine has at most %d network cards", option, MACHINE_MAX_NETS);
    r->cfg.nets[r->cfg.net_count++] = o;
    return 0;
}

/* Forwards are added when all networks are known. */
static int set_publish(void *opaque, const char *option, char *value, struct err *e)
{
    struct run *r = opaque;

    if (r->publish_count == NET_MAX_FORWARDS)
        return err_usage(e, "%s: at most %u ports can be forwarded", option, NET_MAX_FORWARDS);
    r->publish[r->publish_count++] = value;
    return 0;
}

static int set_serial(void *opaque, const char *option, char *value, struct err *e)
{
    struct run *r = opaque;

    r->serial_given = true;
    return chardev_options_parse(&r->cfg.serial, option, value, e);
}

static int set_console(void *opaque, const char *option, char *value, struct err *e)
{
    return chardev_options_parse(&((struct run *)opaque)->cfg.console, option, value, e);
}

static int set_name(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct run *)opaque)->cfg.name = value;
    return option_name(option, value, e);
}

static int set_vga(void *opaque, const char *option, char *value, struct err *e)
{
    struct run *r = opaque;

    r->vga_given = true;
    return option_vga(option, value, &r->cfg.vga, e);
}

static int set_display(void *opaque, const char *option, char *value, struct err *e)
{
    return option_display(option, value, &((struct run *)opaque)->cfg.display, e);
}

static int set_no_reboot(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct run *)opaque)->cfg.no_reboot = true;
    return 0;
}

static int set_timeout(void *opaque, const char *option, char *value, struct err *e)
{
    return option_duration(option, value, &((struct run *)opaque)->cfg.timeout_ns, e);
}

static int set_gdb(void *opaque, const char *option, char *value, struct err *e)
{
    struct run *r = opaque;

    return option_gdb(option, value, &r->cfg.gdb, &r->cfg.gdb_wait, e);
}

static int set_control(void *opaque, const char *option, char *value, struct err *e)
{
    return set_path(&((struct run *)opaque)->cfg.control, option, value, e);
}

static int set_detach(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct run *)opaque)->detach = true;
    return 0;
}

static int set_paused(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct run *)opaque)->cfg.paused = true;
    return 0;
}

static int set_stats(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct run *)opaque)->cfg.stats = true;
    return 0;
}

static int set_trace(void *opaque, const char *option, char *value, struct err *e)
{
    struct run *r = opaque;

    if (r->trace_words != NULL)
        return err_usage(e, "%s: given twice; name all categories at once", option);
    r->trace_words = value;
    return 0;
}

static int set_image(void *opaque, char *value, struct err *e)
{
    struct run *r = opaque;

    if (r->image != NULL)
        return err_usage(e, "run: two images were given (%s and %s); give further ones with --disk",
                         r->image, value);
    r->image = value;
    return 0;
}

static const struct arg_option options[] = {
    {"accel", 0, "auto|bt|kvm", "engine; auto takes the best this host offers", set_accel},
    {"memory", 'm', "SIZE[,hugepages=2M|1G]", "memory, as in 512M or 4G (default 1G)", set_memory},
    {"cpus", 'c', "N[,sockets=S][,cores=C][,threads=T][,pin=LIST]",
     "virtual CPUs (default 1), how they are grouped, where they run", set_cpus},
    {"cpu", 0, "host|baseline|v2|v3|v4[,+F][,-F]", "processor: level, more or less features",
     set_cpu},
    {"kernel", 0, "FILE", "kernel to boot: bzImage, ELF, PVH, multiboot", set_kernel},
    {"initrd", 0, "FILE", "initial RAM disk", set_initrd},
    {"module", 0, "FILE[,TEXT]", "module for a multiboot kernel; may be repeated", add_module},
    {"append", 0, "TEXT", "kernel command line (default console=ttyS0)", set_append},
    {"disk", 0, "FILE[,format=F][,readonly][,snapshot][,bus=virtio|ide|ahci|nvme]",
     "disk, virtio by default; may be repeated", set_disk},
    {"cdrom", 0, "FILE|none", "CD-ROM drive; may be repeated", set_cdrom},
    {"floppy", 0, "FILE|none[,readonly][,snapshot]", "floppy drive; up to two", set_floppy},
    {"firmware", 0, "bios|uefi[,vars=FILE]|FILE", "boot from the disks by firmware", set_firmware},
    {"machine", 0, "pc|q35", "board: 440FX and PIIX, or Q35 and ICH9", set_machine},
    {"boot", 0, "[order=LETTERS][,menu=on]",
     "what firmware tries: a floppy, c disk, d CD-ROM, n network", set_boot},
    {"option-rom", 0, "FILE", "option ROM for the firmware; may be repeated", set_option_rom},
    {"net", 0, "user[,model=M][,hostfwd=...]|tap[,ifname=NAME][,bridge=NAME]|none",
     "network card (default user: NAT); may be repeated", add_net},
    {"publish", 'p', "[ADDR:]PORT:GUESTPORT[/udp]", "forward a port of the host", set_publish},
    {"serial", 0, "stdio|socket|file:F|unix:F|pty|none", "serial port (default stdio)", set_serial},
    {"console", 0, "stdio|socket|file:F|unix:F|pty|none", "virtio console (default none)",
     set_console},
    {"vga", 0, "std|none", "screen (default std with firmware, else none)", set_vga},
    {"display", 0, "none|vnc=unix:F|vnc=HOST:PORT[,password-file=F]",
     "who is shown the screen (default none)", set_display},
    {"usb", 0, "keyboard,tablet", "a USB controller with one of these or both", run_set_usb},
    {"sound", 0, "ac97[,wav=FILE]", "sound, and a file of what is played", run_set_sound},
    {"watchdog", 0, "reset|poweroff|pause|none", "watchdog, and what it does", run_set_watchdog},
    {"name", 0, "NAME", "name of the machine, for the guest and for 'doppel list'", set_name},
    {"control", 0, "SOCKET", "path of the control socket (default by --name)", set_control},
    {"detach", 'd', NULL, "run in the background; needs --name or --control", set_detach},
    {"no-reboot", 0, NULL, "end when the guest resets the machine", set_no_reboot},
    {"timeout", 0, "TIME", "end with status 1 after TIME, as in 30s, 5m or 1h", set_timeout},
    {"gdb", 0, "unix:F|tcp:PORT[,wait]", "a debugger may connect there; wait for it", set_gdb},
    {"paused", 0, NULL, "start paused, or with --gdb as with wait", set_paused},
    {"debug-exit", 0, NULL, "port 0xf4 ends the machine: status (value << 1) | 1",
     run_set_debug_exit},
    {"test-device", 0, NULL, "ports e0 and 2000 and a page for test kernels", run_set_test_device},
    {"stats", 0, NULL, "say at the end where the time went, and on SIGUSR1", set_stats},
    {"trace", 0, "CATEGORY[,CATEGORY]...[:FILE]", "a line for each event; all, or see doppel(1)",
     set_trace},
    {NULL},
};

/* --- checks across options --- */

/* What IMAGE is decides what it does. */
static int use_image(struct run *r, struct err *e)
{
    struct vm_disk d = {.path = r->image};
    enum image_kind kind;
    const char *format;
    int rc = image_recognize("IMAGE", r->image, &kind, &format, e);

    if (rc < 0)
        return rc;
    switch (kind) {
    case IMAGE_KERNEL:
        if (r->cfg.kernel != NULL)
            return err_usage(e, "IMAGE: %s is a kernel, and --kernel names %s; give one of them",
                             r->image, r->cfg.kernel);
        r->cfg.kernel = r->image;
        return 0;
    case IMAGE_FOREIGN:
        return err_set(e, ENOTSUP, "IMAGE: %s is in %s format: use doppel image convert first",
                       r->image, format);
    case IMAGE_ISO:
    case IMAGE_DISK:
        break;
    }
    if (kind == IMAGE_ISO)
        d = (struct vm_disk){r->image, "raw", true, false, VM_DISK_CDROM};
    if (r->cfg.kernel == NULL) {
        if (r->cfg.firmware.kind == FIRMWARE_NONE)
            r->cfg.firmware.kind = FIRMWARE_BIOS;
        if (r->cfg.boot_order == NULL)
            r->cfg.boot_order = kind == IMAGE_ISO ? "dcan" : "cdan";
    }
    if (r->cfg.disk_count == MACHINE_MAX_DISKS)
        return add_disk(r, &d, "IMAGE", e);
    memmove(r->cfg.disks + 1, r->cfg.disks, r->cfg.disk_count * sizeof(r->cfg.disks[0]));
    r->cfg.disks[0] = d;
    r->cfg.disk_count++;
    return 0;
}

/* A guest touches all of its memory sooner or later. */
static int check_memory(uint64_t memory, struct err *e)
{
    struct sysinfo si;
    uint64_t host;

    if (sysinfo(&si) < 0)
        return 0;
    host = ((uint64_t)si.totalram + si.totalswap) * si.mem_unit;
    if (memory <= host)
        return 0;
    return err_set(e, ENOMEM, "--memory: %lluM is more than this host has (%lluM); give less",
                   (unsigned long long)memory >> 20, (unsigned long long)host >> 20);
}

static int check_engine(const struct run *r, struct err *e)
{
    if (r->cfg.pages != RAM_PAGES_SMALL && r->cfg.engine->maps_ram)
        return err_usage(e, "--memory: the %s engine takes no huge pages; drop hugepages",
                         r->cfg.engine->name);
    return 0;
}

/* What only makes sense with firmware or only without. A BIOS is at home on the older board. */
static int check_firmware(struct run *r, struct err *e)
{
    struct vm_config *c = &r->cfg;

    if (c->firmware.kind == FIRMWARE_NONE && c->kernel == NULL)
        return err_usage(e, "run: nothing to boot; name a kernel with --kernel, or an image");
    if (c->firmware.kind == FIRMWARE_NONE && (c->boot_order != NULL || c->boot_menu))
        return err_usage(e, "--boot: there is no firmware that could choose; add --firmware");
    if (c->firmware.kind == FIRMWARE_NONE && c->rom_count > 0)
        return err_usage(e, "--option-rom: there is no firmware that could run it; add --firmware");
    if (c->firmware.kind == FIRMWARE_NONE)
        return 0;
    if (c->kernel != NULL && c->firmware.kind == FIRMWARE_BIOS)
        return err_usage(e, "--kernel: a BIOS starts no kernel; drop one of the two, or use uefi");
    if (c->module_count > 0)
        return err_usage(e, "--module: firmware starts no multiboot kernel; drop --firmware");
    if (!r->vga_given)
        c->vga = true;
    if (c->boot_order == NULL)
        c->boot_order = "cdan";
    if (!r->board_given && c->firmware.kind == FIRMWARE_BIOS)
        c->board = MACHINE_PC;
    return vars_default(&c->firmware, c->name, e);
}

/* The board's own adapter is IDE or AHCI. Who asks for one gets its board. */
static int check_bus(struct run *r, struct err *e)
{
    enum machine_board board;

    if (r->bus == NULL)
        return 0;
    board = strcmp(r->bus, "ide") == 0 ? MACHINE_PC : MACHINE_Q35;
    if (!r->board_given)
        r->cfg.board = board;
    if (r->cfg.board == board)
        return 0;
    return err_usage(e, "--disk: bus=%s is not there on this board; use --machine %s", r->bus,
                     board == MACHINE_PC ? "pc" : "q35");
}

/* --serial socket and --console socket: beside the control socket. */
static int use_socket(const struct run *r, struct chardev_options *o, const char *what,
                      char path[RUNDIR_PATH], struct err *e)
{
    int n;

    if (o->kind != CHARDEV_SOCKET)
        return 0;
    *o = (struct chardev_options){.kind = CHARDEV_UNIX, .path = path};
    if (r->cfg.control == NULL)
        return err_usage(e, "--%s: socket needs a --name to be found by", what);
    if (r->cfg.control == r->control)
        return rundir_socket(r->cfg.name, what, path, e);
    n = snprintf(path, RUNDIR_PATH, "%s.%s", r->cfg.control, what);
    return n < RUNDIR_PATH ? 0 : err_set(e, ENAMETOOLONG, "--control: the path is too long");
}

static int use_sockets(struct run *r, struct err *e)
{
    int rc = 0;

    if (r->cfg.name != NULL && r->cfg.control == NULL) {
        rc = rundir_socket(r->cfg.name, "control", r->control, e);
        r->cfg.control = r->control;
    }
    if (rc == 0 && r->detach && r->cfg.control == NULL)
        return err_usage(e, "--detach: name the machine with --name, so that it can be found");
    if (rc == 0)
        rc = use_socket(r, &r->cfg.serial, "serial", r->serial, e);
    return rc == 0 ? use_socket(r, &r->cfg.console, "console", r->console, e) : rc;
}

/* A network by default, and the ports that are forwarded to the first one behind a NAT. */
static int check_nets(struct run *r, struct err *e)
{
    struct net_options *user = NULL;
    int rc = 0;

    if (r->cfg.net_count == 0 && !r->no_net)
        rc = net_options_parse(&r->cfg.nets[r->cfg.net_count++], "user", e);
    for (unsigned i = r->cfg.net_count; i-- > 0;)
        if (r->cfg.nets[i].kind == NET_USER)
            user = &r->cfg.nets[i];
    if (r->publish_count > 0 && user == NULL)
        return err_usage(e, "-p: ports are forwarded by --net user, and there is none");
    for (unsigned i = 0; i < r->publish_count && rc == 0; i++)
        rc = net_options_publish(user, r->publish[i], e);
    return rc;
}

static int check(struct run *r, struct err *e)
{
    int rc = 0;

    if (r->detach && !r->serial_given && r->cfg.console.kind == CHARDEV_NONE)
        r->cfg.serial.kind = CHARDEV_SOCKET;
    if (r->detach && (r->cfg.console.kind == CHARDEV_STDIO ||
                      (r->serial_given && r->cfg.serial.kind == CHARDEV_STDIO)))
        return err_usage(e, "--detach: there is no stdio in the background; use socket");
    if (!r->serial_given && r->cfg.console.kind == CHARDEV_STDIO)
        r->cfg.serial.kind = CHARDEV_NONE;
    if (r->cfg.paused && r->cfg.gdb != NULL) { /* continued by the debugger */
        r->cfg.gdb_wait = true;
        r->cfg.paused = false;
    }
    if (r->cfg.append == NULL)
        r->cfg.append = r->cfg.console.kind == CHARDEV_STDIO ? "console=hvc0" : "console=ttyS0";
    if (r->cfg.serial.kind == CHARDEV_STDIO && r->cfg.console.kind == CHARDEV_STDIO)
        return err_usage(e,
                         "--console: stdio is taken by --serial; give one of them another place");
    if (!r->vga_given && r->cfg.display.vnc != NULL)
        r->cfg.vga = true;
    if (r->cfg.display.vnc != NULL && !r->cfg.vga)
        return err_usage(e, "--display: the machine has no screen; drop --vga none");
    rc = use_sockets(r, e);
    if (rc == 0)
        rc = check_nets(r, e);
    if (rc == 0 && r->image != NULL)
        rc = use_image(r, e);
    if (rc < 0)
        return rc;
    rc = check_firmware(r, e);
    if (rc == 0)
        rc = check_bus(r, e);
    if (rc < 0)
        return rc;
    rc = check_memory(r->cfg.memory, e);
    if (rc == 0)
        rc = engine_pick(r->accel, &r->cfg.engine, &r->passed, e);
    if (rc == 0)
        rc = check_engine(r, e);
    if (rc < 0)
        return rc;
    if (r->trace_words != NULL)
        rc = trace_open(&r->trace, "--trace", r->trace_words, r->cfg.engine, &r->cfg.trace, e);
    return rc;
}

/* --- the terminal --- */

static const char escape_help[] = "\r\nEscape key Ctrl-A, then:\r\n"
                                  "  h  this help\r\n"
                                  "  x  quit at once\r\n"
                                  "  p  press the power button\r\n"
                                  "  r  reset\r\n"
                                  "  a  send Ctrl-A to the guest\r\n";

static void on_escape(void *opaque, enum escape_action action)
{
    struct run *r = opaque;

    switch (action) {
    case ESCAPE_HELP:
        fputs(escape_help, stderr);
        break;
    case ESCAPE_QUIT:
        vm_quit(r->vm);
        break;
    case ESCAPE_POWER:
        vm_power_button(r->vm);
        break;
    case ESCAPE_RESET:
        vm_reset(r->vm);
        break;
    }
}

static size_t filter(void *opaque, uint8_t *buf, size_t len)
{
    return escape_filter(&((struct run *)opaque)->escape, buf, len);
}

static bool on_stdio(const struct run *r)
{
    return r->cfg.serial.kind == CHARDEV_STDIO || r->cfg.console.kind == CHARDEV_STDIO;
}

static void stop_and_go(struct run *r)
{
    terminal_restore();
    raise(SIGSTOP);
    if (on_stdio(r))
        terminal_raw();
}

static void on_signal(void *opaque, int fd, unsigned events)
{
    struct run *r = opaque;
    struct signalfd_siginfo si;
    uint16_t cols, rows;

    while (read(fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
        switch (si.ssi_signo) {
        case SIGWINCH:
            terminal_size(&cols, &rows);
            vm_terminal_size(r->vm, cols, rows);
            break;
        case SIGTSTP:
            stop_and_go(r);
            break;
        case SIGUSR1:
            stats_print(r->vm);
            break;
        default:
            r->ended_by = (int)si.ssi_signo;
            vm_quit(r->vm);
        }
    }
}

/* Signals come through the main loop; all threads block them. */
static int open_signals(struct run *r, struct err *e)
{
    static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGUSR1};
    sigset_t set;

    sigemptyset(&set);
    for (unsigned i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
        sigaddset(&set, handled[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return r->signal_fd < 0 ? err_set(e, errno, "cannot watch signals: %s", strerror(errno)) : 0;
}

/* --- running --- */

static void announce(const struct run *r)
{
    const char *serial = vm_serial_where(r->vm), *console = vm_console_where(r->vm);

    if (serial != NULL)
        fprintf(stderr, "doppel: the serial port is %s\n", serial);
    if (console != NULL)
        fprintf(stderr, "doppel: the console is %s\n", console);
    if (vm_vnc_where(r->vm) != NULL)
        fprintf(stderr, "doppel: VNC viewers connect to %s\n", vm_vnc_where(r->vm));
    if (vm_gdb_where(r->vm) != NULL)
        fprintf(stderr, "doppel: debuggers connect to %s%s\n", vm_gdb_where(r->vm),
                r->cfg.gdb_wait ? ", which the machine waits for" : "");
    if (on_stdio(r) && terminal_present())
        fputs("doppel: the escape key is Ctrl-A, Ctrl-A h shows help\n", stderr);
}

/* How the machine ended, as an exit status. */
static int conclude(const struct run *r, enum vm_end how, uint32_t status, const struct err *e)
{
    switch (how) {
    case VM_POWERED_OFF:
    case VM_RESET:
        return 0;
    case VM_DEBUG_EXIT:
        return (int)(status & 0xff);
    case VM_TIMEOUT:
        fputs("doppel: --timeout: the machine did not end in time\n", stderr);
        return EXIT_FAILED;
    case VM_QUIT:
        if (r->ended_by == 0)
            return 0;
        fprintf(stderr, "doppel: ended by the signal %s\n", sigabbrev_np(r->ended_by));
        return EXIT_FAILED;
    case VM_FAILED:
        break;
    }
    return report(e);
}

/* What `auto` found may be gone by now (-ENODEV): the engine that runs everywhere takes over. */
static int create_machine(struct run *r, struct err *e)
{
    const struct engine_ops *other = engine_find("bt");
    int rc = vm_create(&r->cfg, &r->vm, e);

    if (rc != -ENODEV || strcmp(r->accel, "auto") != 0 || r->cfg.engine == other)
        return rc;
    fprintf(stderr, "doppel: %s: %s; %s runs this machine\n", r->cfg.engine->name, e->text,
            other->name);
    r->cfg.engine = other;
    rc = other->probe(e);
    if (rc == 0)
        rc = check_engine(r, e);
    return rc == 0 ? vm_create(&r->cfg, &r->vm, e) : rc;
}

static int run_machine(struct run *r, struct err *e)
{
    uint32_t status = 0;
    enum vm_end how;
    int rc;

    if (loop_watch(vm_loop(r->vm), r->signal_fd, LOOP_READ, on_signal, r, &r->signal_watch) < 0) {
        err_set(e, EIO, "cannot watch signals");
        return report(e);
    }
    announce(r);
    if (on_stdio(r))
        terminal_raw();
    detach_ready(&r->background);
    how = vm_run(r->vm, &status, e);
    terminal_restore();
    loop_unwatch(r->signal_watch);
    if (r->cfg.stats)
        stats_print(r->vm);
    rc = conclude(r, how, status, e);
    return rc;
}

static int run(int argc, char **argv)
{
    struct run r = {.accel = "auto",
                    .signal_fd = -1,
                    .background = {.fd = -1},
                    .trace = {.fd = -1},
                    .cfg = {.memory = DEFAULT_MEMORY,
                            .cpus = 1,
                            .serial = {.kind = CHARDEV_STDIO},
                            .filter = filter}};
    struct err e = {0};
    int rc;

    switch (args_parse(&command_run, argc, argv, &r, &e)) {
    case ARGS_HELP:
        args_help(&command_run, stdout);
        return 0;
    case ARGS_ERROR:
        return report(&e);
    case ARGS_OK:
        break;
    }
    r.cfg.opaque = &r;
    r.escape = (struct escape){.act = on_escape, .opaque = &r};
    if (check(&r, &e) < 0)
        return report(&e);
    if (r.cfg.console.kind == CHARDEV_STDIO)
        terminal_size(&r.cfg.cols, &r.cfg.rows);
    if (r.detach && (detach_begin(&r.background, &rc, &e) < 0 || rc >= 0))
        return rc >= 0 ? rc : report(&e);
    terminal_guard();
    if (open_signals(&r, &e) < 0 || create_machine(&r, &e) < 0)
        return report(&e);
    rc = run_machine(&r, &e);
    vm_destroy(r.vm);
    close(r.signal_fd);
    trace_close(&r.trace);
    return rc;
}

const struct arg_command command_run = {
    .name = "run",
    .summary = "run one machine in the foreground",
    .usage = "[IMAGE] [option]...",
    .notes =
        "IMAGE is a kernel, a disk or an ISO image, told by its content; without a kernel a BIOS\n"
        "boots it. Disks appear as vda, vdb ... in the order given, IMAGE first. Ctrl-A h shows\n"
        "what can be done while a machine runs on the terminal. A serial port has no window\n"
        "size: run 'resize' in the guest, or use --console stdio, which passes it on.\n"
        "\n"
        "Exit status: 0 when the guest powers off (or resets, with --no-reboot), 1 on failure,\n"
        "2 on wrong usage; with --debug-exit what the guest chose.\n",
    .options = options,
    .operand = set_image,
    .run = run,
};
