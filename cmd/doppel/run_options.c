/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of doppel run: see run_options.h. */
#include "run_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "machine/image.h"
#include "vars.h"
#include "vm/options.h"

#define DEFAULT_MEMORY (UINT64_C(1) << 30)

/* --- options --- */

static int set_accel(void *opaque, const char *option, char *value, struct err *e)
{
    struct run_options *r = opaque;

    if (strcmp(value, "auto") != 0 && strcmp(value, "bt") != 0 && strcmp(value, "kvm") != 0)
        return err_usage(e, "%s: '%s' is unknown; use auto, bt or kvm", option, value);
    r->accel = value;
    return 0;
}

static int set_memory(void *opaque, const char *option, char *value, struct err *e)
{
    struct vm_config *cfg = &((struct run_options *)opaque)->cfg;

    return option_memory(option, value, &cfg->memory, &cfg->pages, e);
}

static int set_cpus(void *opaque, const char *option, char *value, struct err *e)
{
    struct vm_config *c = &((struct run_options *)opaque)->cfg;
    int rc = pin_take(option, value, &c->pin, e);

    if (rc == 0)
        rc = x86_topology_parse(&c->topology, option, value, MACHINE_MAX_CPUS, e);
    c->cpus = x86_topology_cpus(&c->topology);
    return rc == 0 ? pin_fits(option, &c->pin, c->cpus, e) : rc;
}

static int set_cpu(void *opaque, const char *option, char *value, struct err *e)
{
    return cpuid_policy_parse(&((struct run_options *)opaque)->cfg.cpu, option, value, e);
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
    return set_path(&((struct run_options *)opaque)->cfg.kernel, option, value, e);
}

static int set_initrd(void *opaque, const char *option, char *value, struct err *e)
{
    return set_path(&((struct run_options *)opaque)->cfg.initrd, option, value, e);
}

static int add_module(void *opaque, const char *option, char *value, struct err *e)
{
    struct run_options *r = opaque;

    if (r->cfg.module_count == BOOT_MAX_MODULES)
        return err_usage(e, "%s: a kernel gets at most %d modules", option, BOOT_MAX_MODULES);
    return option_module(option, value, &r->cfg.modules[r->cfg.module_count++], e);
}

static int set_append(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct run_options *)opaque)->cfg.append = value;
    return 0;
}

static int add_disk(struct run_options *r, const struct vm_disk *d, const char *option,
                    struct err *e)
{
    if (r->cfg.disk_count == MACHINE_MAX_DISKS)
        return err_usage(e, "%s: a machine has at most %d disks", option, MACHINE_MAX_DISKS);
    r->cfg.disks[r->cfg.disk_count++] = *d;
    return 0;
}

static int set_disk(void *opaque, const char *option, char *value, struct err *e)
{
    struct run_options *r = opaque;
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
    return option_firmware(option, value, &((struct run_options *)opaque)->cfg.firmware, e);
}

static int set_machine(void *opaque, const char *option, char *value, struct err *e)
{
    struct run_options *r = opaque;

    r->board_given = true;
    return option_machine(option, value, &r->cfg.board, e);
}

static int set_boot(void *opaque, const char *option, char *value, struct err *e)
{
    struct vm_config *c = &((struct run_options *)opaque)->cfg;

    return option_boot(option, value, &c->boot_order, &c->boot_menu, e);
}

static int set_option_rom(void *opaque, const char *option, char *value, struct err *e)
{
    struct vm_config *c = &((struct run_options *)opaque)->cfg;

    if (c->rom_count == MACHINE_MAX_ROMS)
        return err_usage(e, "%s: a machine has at most %d option ROMs", option, MACHINE_MAX_ROMS);
    c->roms[c->rom_count++] = value;
    return 0;
}

static int add_net(void *opaque, const char *option, char *value, struct err *e)
{
    struct run_options *r = opaque;
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
    struct run_options *r = opaque;

    if (r->publish_count == NET_MAX_FORWARDS)
        return err_usage(e, "%s: at most %u ports can be forwarded", option, NET_MAX_FORWARDS);
    r->publish[r->publish_count++] = value;
    return 0;
}

static int set_serial(void *opaque, const char *option, char *value, struct err *e)
{
    struct run_options *r = opaque;

    r->serial_given = true;
    return chardev_options_parse(&r->cfg.serial, option, value, e);
}

static int set_console(void *opaque, const char *option, char *value, struct err *e)
{
    return chardev_options_parse(&((struct run_options *)opaque)->cfg.console, option, value, e);
}

static int set_parallel(void *opaque, const char *option, char *value, struct err *e)
{
    struct chardev_options *o = &((struct run_options *)opaque)->cfg.parallel;
    int rc = chardev_options_parse(o, option, value, e);

    if (rc == 0 && o->kind == CHARDEV_STDIO)
        return err_usage(
            e, "%s: a printer has no terminal; use socket, file:PATH, unix:PATH or pty", option);
    return rc;
}

static int set_name(void *opaque, const char *option, char *value, struct err *e)
{
    ((struct run_options *)opaque)->cfg.name = value;
    return option_name(option, value, e);
}

static int set_vga(void *opaque, const char *option, char *value, struct err *e)
{
    struct run_options *r = opaque;

    r->vga_given = true;
    return option_vga(option, value, &r->cfg.vga, e);
}

static int set_display(void *opaque, const char *option, char *value, struct err *e)
{
    return option_display(option, value, &((struct run_options *)opaque)->cfg.display, e);
}

static int set_usb(void *opaque, const char *option, char *value, struct err *e)
{
    struct vm_config *c = &((struct run_options *)opaque)->cfg;

    return option_usb(option, value, &c->usb_keyboard, &c->usb_tablet, e);
}

static int set_sound(void *opaque, const char *option, char *value, struct err *e)
{
    struct vm_config *c = &((struct run_options *)opaque)->cfg;

    return option_sound(option, value, &c->sound, &c->wav, e);
}

static int set_tpm(void *opaque, const char *option, char *value, struct err *e)
{
    return set_path(&((struct run_options *)opaque)->cfg.tpm, option, value, e);
}

static int set_watchdog(void *opaque, const char *option, char *value, struct err *e)
{
    return option_watchdog(option, value, &((struct run_options *)opaque)->cfg.watchdog, e);
}

static int set_slots(void *opaque, const char *option, char *value, struct err *e)
{
    uint64_t n;
    int rc = option_number(option, value, 1, MACHINE_MAX_SLOTS, &n, e);

    if (rc == 0)
        ((struct run_options *)opaque)->cfg.slots = (unsigned)n;
    return rc;
}

static int set_timeout(void *opaque, const char *option, char *value, struct err *e)
{
    return option_duration(option, value, &((struct run_options *)opaque)->cfg.timeout_ns, e);
}

static int set_gdb(void *opaque, const char *option, char *value, struct err *e)
{
    struct run_options *r = opaque;

    return option_gdb(option, value, &r->cfg.gdb, &r->cfg.gdb_wait, e);
}

static int set_control(void *opaque, const char *option, char *value, struct err *e)
{
    return set_path(&((struct run_options *)opaque)->cfg.control, option, value, e);
}

static int set_trace(void *opaque, const char *option, char *value, struct err *e)
{
    struct run_options *r = opaque;

    if (r->trace_words != NULL)
        return err_usage(e, "%s: given twice; name all categories at once", option);
    r->trace_words = value;
    return 0;
}

int run_options_image(void *opaque, char *value, struct err *e)
{
    struct run_options *r = opaque;

    if (r->image != NULL)
        return err_usage(e, "run: two images were given (%s and %s); give further ones with --disk",
                         r->image, value);
    r->image = value;
    return 0;
}

const struct arg_option run_options_table[] = {
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
    {"disk", 0, "FILE[,format=F][,readonly][,snapshot][,bus=virtio|ide|ahci|nvme|scsi|buslogic]",
     "disk, virtio by default; may be repeated", set_disk},
    {"cdrom", 0, "FILE|none[,bus=scsi|buslogic]", "CD-ROM drive; may be repeated", set_cdrom},
    {"floppy", 0, "FILE|none[,readonly][,snapshot]", "floppy drive; up to two", set_floppy},
    {"firmware", 0, "bios|uefi[,vars=FILE]|FILE", "boot from the disks by firmware", set_firmware},
    {"machine", 0, "pc|q35", "board: 440FX and PIIX, or Q35 and ICH9", set_machine},
    {"boot", 0, "[order=LETTERS][,menu=on]",
     "what firmware tries: a floppy, c disk, d CD-ROM, n network", set_boot},
    {"option-rom", 0, "FILE", "option ROM for the firmware; may be repeated", set_option_rom},
    {"net", 0, "user[,hostfwd=...]|tap[,ifname=NAME][,bridge=NAME]|none",
     "network cards (default user: NAT); model=virtio|e1000|pcnet, mac=MAC", add_net},
    {"publish", 'p', "[ADDR:]PORT:GUESTPORT[/udp]", "forward a port of the host", set_publish},
    {"serial", 0, "stdio|socket|file:F|unix:F|pty|none", "serial port (default stdio)", set_serial},
    {"console", 0, "stdio|socket|file:F|unix:F|pty|none", "virtio console (default none)",
     set_console},
    {"parallel", 0, "socket|file:F|unix:F|pty|none", "parallel port (default none)", set_parallel},
    {"vga", 0, "std|virtio|vmware|none", "screen's card (default std with firmware, else none)",
     set_vga},
    {"display", 0, "none|vnc=unix:F|vnc=HOST:PORT[,password-file=F]",
     "who is shown the screen (default none)", set_display},
    {"usb", 0, "keyboard,tablet", "a USB controller with one of these or both", set_usb},
    {"sound", 0, "ac97|sb16[,wav=FILE]", "sound, and a file of what is played", set_sound},
    {"tpm", 0, "FOLDER|unix:F", "TPM 2.0 by swtpm: its state, or its socket", set_tpm},
    {"watchdog", 0, "reset|poweroff|pause|none", "watchdog, and what it does", set_watchdog},
    {"slots", 0, "N", "slots for cards that come while it runs, up to 4 (q35)", set_slots},
    {"name", 0, "NAME", "name of the machine, for the guest and for 'doppel list'", set_name},
    {"control", 0, "SOCKET", "path of the control socket (default by --name)", set_control},
    {"detach", 'd', NULL, "run in the background; needs --name or --control",
     ARG_FLAG(struct run_options, detach)},
    {"no-reboot", 0, NULL, "end when the guest resets the machine",
     ARG_FLAG(struct run_options, cfg.no_reboot)},
    {"timeout", 0, "TIME", "end with status 1 after TIME, as in 30s, 5m or 1h", set_timeout},
    {"gdb", 0, "unix:F|tcp:PORT[,wait]", "a debugger may connect there; wait for it", set_gdb},
    {"paused", 0, NULL, "start paused, or with --gdb as with wait",
     ARG_FLAG(struct run_options, cfg.paused)},
    {"debug-exit", 0, NULL, "port 0xf4 ends the machine: status (value << 1) | 1",
     ARG_FLAG(struct run_options, cfg.debug_exit)},
    {"test-device", 0, NULL, "ports e0 and 2000 and a page for test kernels",
     ARG_FLAG(struct run_options, cfg.test_device)},
    {"stats", 0, NULL, "say at the end where the time went, and on SIGUSR1",
     ARG_FLAG(struct run_options, cfg.stats)},
    {"trace", 0, "CATEGORY[,CATEGORY]...[:FILE]", "a line for each event; all, or see doppel(1)",
     set_trace},
    {NULL},
};

void run_options_init(struct run_options *r)
{
    *r = (struct run_options){
        .accel = "auto",
        .trace = {.fd = -1},
        .cfg = {.memory = DEFAULT_MEMORY, .cpus = 1, .serial = {.kind = CHARDEV_STDIO}}};
}

/* --- checks across options --- */

/* What IMAGE is decides what it does. */
static int use_image(struct run_options *r, struct err *e)
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
        d = (struct vm_disk){r->image, "raw", true, false, VM_DISK_CDROM, MACHINE_ADAPTER_BOARD};
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

int run_options_check_engine(const struct run_options *r, struct err *e)
{
    if (r->cfg.pages != RAM_PAGES_SMALL && r->cfg.engine->maps_ram)
        return err_usage(e, "--memory: the %s engine takes no huge pages; drop hugepages",
                         r->cfg.engine->name);
    return 0;
}

/* What only makes sense with firmware or only without. A BIOS is at home on the older board. */
static int check_firmware(struct run_options *r, struct err *e)
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
    if (c->module_count > 0)
        return err_usage(e, "--module: firmware starts no multiboot kernel; drop --firmware");
    if (!r->vga_given)
        c->vga = MACHINE_VGA_STD;
    if (c->boot_order == NULL)
        c->boot_order = "cdan";
    if (!r->board_given && c->firmware.kind == FIRMWARE_BIOS)
        c->board = MACHINE_PC;
    return vars_default(&c->firmware, c->name, e);
}

/* The board's own adapter is IDE or AHCI. Who asks for one gets its board. */
static int check_bus(struct run_options *r, struct err *e)
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

static int check_slots(const struct run_options *r, struct err *e)
{
    return r->cfg.slots > 0 && r->cfg.board == MACHINE_PC
               ? err_usage(e, "--slots: this board has none; use --machine q35")
               : 0;
}

/* A line whose other end is `socket`: beside the control socket. */
static int use_socket(const struct run_options *r, struct chardev_options *o, const char *what,
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

static int use_sockets(struct run_options *r, struct err *e)
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
    if (rc == 0)
        rc = use_socket(r, &r->cfg.parallel, "parallel", r->parallel, e);
    return rc == 0 ? use_socket(r, &r->cfg.console, "console", r->console, e) : rc;
}

/* A network by default, and the ports that are forwarded to the first one behind a NAT. */
static int check_nets(struct run_options *r, struct err *e)
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

/* Where the serial line and the console go; the kernel is told. */
static int check_lines(struct run_options *r, struct err *e)
{
    struct vm_config *c = &r->cfg;

    if (r->detach && !r->serial_given && c->console.kind == CHARDEV_NONE)
        c->serial.kind = CHARDEV_SOCKET;
    if (r->detach &&
        (c->console.kind == CHARDEV_STDIO || (r->serial_given && c->serial.kind == CHARDEV_STDIO)))
        return err_usage(e, "--detach: there is no stdio in the background; use socket");
    if (!r->serial_given && c->console.kind == CHARDEV_STDIO)
        c->serial.kind = CHARDEV_NONE;
    if (c->append == NULL)
        c->append = c->console.kind == CHARDEV_STDIO ? "console=hvc0" : "console=ttyS0";
    if (c->serial.kind == CHARDEV_STDIO && c->console.kind == CHARDEV_STDIO)
        return err_usage(e,
                         "--console: stdio is taken by --serial; give one of them another place");
    return 0;
}

static int check_display(struct run_options *r, struct err *e)
{
    if (r->cfg.display.vnc == NULL)
        return 0;
    if (!r->vga_given)
        r->cfg.vga = MACHINE_VGA_STD;
    return r->cfg.vga != MACHINE_VGA_NONE
               ? 0
               : err_usage(e, "--display: the machine has no screen; drop --vga none");
}

int run_options_check(struct run_options *r, struct err *e)
{
    struct err passed; /* doctor tells of it */
    int rc = check_lines(r, e);

    if (r->cfg.paused && r->cfg.gdb != NULL) { /* continued by the debugger */
        r->cfg.gdb_wait = true;
        r->cfg.paused = false;
    }
    if (rc == 0)
        rc = check_display(r, e);
    if (rc == 0)
        rc = use_sockets(r, e);
    if (rc == 0)
        rc = check_nets(r, e);
    if (rc == 0 && r->image != NULL)
        rc = use_image(r, e);
    if (rc == 0)
        rc = check_firmware(r, e);
    if (rc == 0)
        rc = check_bus(r, e);
    if (rc == 0)
        rc = check_slots(r, e);
    if (rc == 0)
        rc = check_memory(r->cfg.memory, e);
    if (rc == 0)
        rc = engine_pick(r->accel, &r->cfg.engine, &passed, e);
    if (rc == 0)
        rc = run_options_check_engine(r, e);
    if (rc == 0 && r->trace_words != NULL)
        rc = trace_open(&r->trace, "--trace", r->trace_words, r->cfg.engine, &r->cfg.trace, e);
    return rc;
}
