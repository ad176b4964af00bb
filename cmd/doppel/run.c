/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doppel run: one machine in the foreground. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "commands.h"
#include "detach.h"
#include "run_options.h"
#include "stats.h"
#include "terminal.h"
#include "vm/escape.h"
#include "vm/vm.h"

struct run {
    struct run_options o;
    struct detach background;
    struct vm *vm;
    struct escape escape;
    int signal_fd;
    struct loop_watch *signal_watch;
    int ended_by; /* a signal, or 0 */
};

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
    return r->o.cfg.serial.kind == CHARDEV_STDIO || r->o.cfg.console.kind == CHARDEV_STDIO;
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
    if (vm_parallel_where(r->vm) != NULL)
        fprintf(stderr, "doppel: the parallel port is %s\n", vm_parallel_where(r->vm));
    if (vm_vnc_where(r->vm) != NULL)
        fprintf(stderr, "doppel: VNC viewers connect to %s\n", vm_vnc_where(r->vm));
    if (vm_gdb_where(r->vm) != NULL)
        fprintf(stderr, "doppel: debuggers connect to %s%s\n", vm_gdb_where(r->vm),
                r->o.cfg.gdb_wait ? ", which the machine waits for" : "");
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
    int rc = vm_create(&r->o.cfg, &r->vm, e);

    if (rc != -ENODEV || strcmp(r->o.accel, "auto") != 0 || r->o.cfg.engine == other)
        return rc;
    fprintf(stderr, "doppel: %s: %s; %s runs this machine\n", r->o.cfg.engine->name, e->text,
            other->name);
    r->o.cfg.engine = other;
    rc = other->probe(e);
    if (rc == 0)
        rc = run_options_check_engine(&r->o, e);
    return rc == 0 ? vm_create(&r->o.cfg, &r->vm, e) : rc;
}

static int run_machine(struct run *r, struct err *e)
{
    uint32_t status = 0;
    enum vm_end how;

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
    if (r->o.cfg.stats)
        stats_print(r->vm);
    return conclude(r, how, status, e);
}

static int run(int argc, char **argv)
{
    struct run r = {.signal_fd = -1, .background = {.fd = -1}};
    struct vm_config *cfg = &r.o.cfg;
    struct err e = {0};
    int rc;

    run_options_init(&r.o);
    if (!command_args(&command_run, argc, argv, &r.o, &rc))
        return rc;
    if (run_options_check(&r.o, &e) < 0)
        return report(&e);
    cfg->filter = filter;
    cfg->opaque = &r;
    r.escape = (struct escape){.act = on_escape, .opaque = &r};
    if (cfg->console.kind == CHARDEV_STDIO)
        terminal_size(&cfg->cols, &cfg->rows);
    if (r.o.detach && (detach_begin(&r.background, &rc, &e) < 0 || rc >= 0))
        return rc >= 0 ? rc : report(&e);
    terminal_guard();
    if (open_signals(&r, &e) < 0 || create_machine(&r, &e) < 0)
        return report(&e);
    rc = run_machine(&r, &e);
    vm_destroy(r.vm);
    close(r.signal_fd);
    trace_close(&r.o.trace);
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
    .options = run_options_table,
    .operand = run_options_image,
    .run = run,
};
