/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life cycle of a machine: see vm.h.
 *
 * What happens to the machine comes as events from any thread (a guest's write to a power register,
 * a key, a signal): a bit in `events` and a post to the main loop, which acts on it. The vCPU that
 * caused it is held, so that the guest never executes beyond its own power-off or reset.
 */
#include "vm/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/log.h"
#include "vm/vm_internal.h"

/* --- events --- */

static void handle_events(void *opaque);

void vm_raise_event(struct vm *vm, unsigned event)
{
    atomic_fetch_or(&vm->events, event);
    if (loop_post(vm->loop, handle_events, vm) < 0)
        loop_stop(vm->loop); /* vm_run looks at what is left */
}

static void end(struct vm *vm, enum vm_end how)
{
    static const char *const reason[] = {
        [VM_POWERED_OFF] = "guest-shutdown", [VM_RESET] = "guest-reset",
        [VM_DEBUG_EXIT] = "guest-shutdown",  [VM_TIMEOUT] = "host-signal",
        [VM_QUIT] = "host-signal",           [VM_FAILED] = "host-error"};

    if (!vm->ended) {
        vm->ended = true;
        vm->how = how;
        vm_control_event(
            vm, "SHUTDOWN",
            json_pack("{s:b,s:s}", "guest", how <= VM_DEBUG_EXIT, "reason",
                      how == VM_QUIT && vm->quit_by != NULL ? vm->quit_by : reason[how]));
    }
    loop_stop(vm->loop);
}

/* All vCPUs but those that a debugger keeps where they are. */
static void start_all(struct vm *vm)
{
    vm->launched = true;
    if (machine_asleep(vm->machine))
        return;
    for (unsigned i = 0; i < vm->cfg.cpus; i++)
        if (!vm->vcpu[i].frozen)
            vcpu_continue(&vm->vcpu[i]);
}

void vm_restart(struct vm *vm, bool by_host)
{
    if (vm->cfg.no_reboot) {
        end(vm, VM_RESET);
        return;
    }
    for (unsigned i = 0; i < vm->cfg.cpus; i++)
        vcpu_stop(&vm->vcpu[i]);
    vm_plug_reset(vm);
    if (machine_reset(vm->machine, &vm->err) < 0) {
        end(vm, VM_FAILED);
        return;
    }
    vm_console_reset(vm);
    vm_control_event(vm, "RESET",
                     json_pack("{s:b,s:s}", "guest", !by_host, "reason",
                               by_host ? "host-qmp-system-reset" : "guest-reset"));
    if (vm->pauses == 0)
        start_all(vm);
}

void vm_freeze(struct vm *vm)
{
    for (unsigned i = 0; i < vm->cfg.cpus; i++)
        vcpu_stop(&vm->vcpu[i]);
    machine_pause(vm->machine);
}

void vm_thaw(struct vm *vm)
{
    if (vm->pauses != 0)
        return;
    machine_resume(vm->machine);
    if (!vm->launched || vm->ended || machine_asleep(vm->machine))
        return;
    for (unsigned i = 0; i < vm->cfg.cpus; i++)
        if (!vm->vcpu[i].frozen)
            vcpu_let_go(&vm->vcpu[i]);
}

static void fall_asleep(struct vm *vm)
{
    if (machine_asleep(vm->machine))
        return;
    for (unsigned i = 0; i < vm->cfg.cpus; i++)
        vcpu_stop(&vm->vcpu[i]);
    machine_sleep(vm->machine);
    vm_control_event(vm, "SUSPEND", NULL);
}

static void wake_up(struct vm *vm)
{
    struct err e;

    if (!machine_asleep(vm->machine))
        return;
    vm_control_event(vm, "WAKEUP", NULL);
    if (machine_wake(vm->machine, &e) < 0) {
        log_info("the machine cannot wake and resets: %s", e.text);
        vm_restart(vm, false);
    } else if (vm->pauses == 0) {
        start_all(vm);
    }
}

static void handle_events(void *opaque)
{
    struct vm *vm = opaque;
    unsigned events = atomic_exchange(&vm->events, 0);

    if (events & EVENT_FAILED)
        end(vm, VM_FAILED);
    if (events & EVENT_DEBUG_EXIT)
        end(vm, VM_DEBUG_EXIT);
    if (events & EVENT_POWER_OFF)
        end(vm, VM_POWERED_OFF);
    if (events & EVENT_QUIT)
        end(vm, VM_QUIT);
    if (events & EVENT_TIMEOUT)
        end(vm, VM_TIMEOUT);
    if (events & EVENT_POWER_BUTTON)
        vm_control_event(vm, "POWERDOWN", NULL);
    if ((events & EVENT_RESET) && !vm->ended)
        vm_restart(vm, events & EVENT_HOST_RESET);
    else if ((events & EVENT_SLEEP) && !vm->ended)
        fall_asleep(vm);
    if ((events & EVENT_WAKE_UP) && !vm->ended)
        wake_up(vm);
    if ((events & EVENT_WATCHDOG) && !vm->ended)
        vm_watchdog_event(vm);
    if (events & EVENT_TRAY)
        vm_trays_event(vm);
    if ((events & EVENT_CARD_OFF) && !vm->ended)
        vm_plug_event(vm);
    if ((events & EVENT_DEBUG) && !vm->ended)
        vm_debug_event(vm);
}

static void hold_all(struct vm *vm)
{
    for (unsigned i = 0; i < vm->cfg.cpus; i++)
        vcpu_hold(&vm->vcpu[i]);
}

static void on_wake(void *opaque, unsigned vcpu)
{
    struct vm *vm = opaque;

    vcpu_wake(&vm->vcpu[vcpu]);
}

static void on_power_off(void *opaque)
{
    hold_all(opaque);
    vm_raise_event(opaque, EVENT_POWER_OFF);
}

static void on_reset(void *opaque)
{
    hold_all(opaque);
    vm_raise_event(opaque, EVENT_RESET);
}

static void on_sleep(void *opaque)
{
    hold_all(opaque);
    vm_raise_event(opaque, EVENT_SLEEP);
}

static void on_wake_up(void *opaque)
{
    vm_raise_event(opaque, EVENT_WAKE_UP);
}

static void on_watchdog(void *opaque)
{
    vm_raise_event(opaque, EVENT_WATCHDOG);
}

static void on_card_off(void *opaque)
{
    vm_raise_event(opaque, EVENT_CARD_OFF);
}

static void on_debug_exit(void *opaque, uint32_t status)
{
    struct vm *vm = opaque;

    hold_all(vm);
    atomic_store(&vm->status, status);
    vm_raise_event(vm, EVENT_DEBUG_EXIT);
}

/* A vCPU that the engine gave up on. */
static void on_vcpu_ended(void *opaque, unsigned index, enum engine_exit why)
{
    struct vm *vm = opaque;
    struct vcpu *v = &vm->vcpu[index];

    if (why == ENGINE_EXIT_SHUTDOWN) {
        log_info("vCPU %u: triple fault, the machine resets", index);
        vm_raise_event(vm, EVENT_RESET);
        return;
    }
    if (why == ENGINE_EXIT_DEBUG && vm->debug != NULL) {
        atomic_store(&v->debug_exit, true);
        vm_raise_event(vm, EVENT_DEBUG);
        return;
    }
    lock_take(&vm->lock);
    if (vm->err.text[0] == '\0')
        err_set(&vm->err, EIO, "vCPU %u stopped: %s", index,
                why == ENGINE_EXIT_ERROR ? v->engine->strerror(v->ev) : "unexpected debug event");
    lock_drop(&vm->lock);
    vm_raise_event(vm, EVENT_FAILED);
}

/* --- creation --- */

static size_t serial_input(void *opaque, const uint8_t *buf, size_t len)
{
    struct vm *vm = opaque;

    return serial_rx(machine_serial(vm->machine), buf, len);
}

static void serial_tx(void *opaque, const uint8_t *buf, size_t len)
{
    struct vm *vm = opaque;

    chardev_write(vm->serial, buf, len);
}

static void serial_rx_ready(void *opaque)
{
    struct vm *vm = opaque;

    chardev_input_ready(vm->serial);
}

static int create_machine(struct vm *vm, struct err *e)
{
    const struct vm_config *c = &vm->cfg;
    struct machine_config cfg = {
        .name = c->name,
        .memory = c->memory,
        .pages = c->pages,
        .vcpus = c->cpus,
        .topology = c->topology,
        .cpu = c->cpu,
        .engine = c->engine,
        .loop = vm->loop,
        .hooks = {.opaque = vm,
                  .wake = on_wake,
                  .power_off = on_power_off,
                  .reset = on_reset,
                  .sleep = on_sleep,
                  .wake_up = on_wake_up,
                  .debug_exit = on_debug_exit,
                  .watchdog = on_watchdog,
                  .ejected = vm_tray_opened,
                  .card_off = on_card_off},
        .board = c->board,
        .firmware = c->firmware,
        .boot_order = c->boot_order,
        .boot_menu = c->boot_menu,
        .rom_count = c->rom_count,
        .kernel = c->kernel,
        .initrd = c->initrd,
        .append = c->append,
        .vga = c->vga,
        .usb_keyboard = c->usb_keyboard,
        .usb_tablet = c->usb_tablet,
        .slots = c->slots,
        .debug_exit = c->debug_exit,
        .test_device = c->test_device,
        .tpm = c->tpm != NULL,
        .module_count = c->module_count,
        .stats = c->stats,
        .trace = c->trace,
        .serial = {.opaque = vm, .tx = serial_tx, .rx_ready = serial_rx_ready},
    };

    memcpy(cfg.modules, c->modules, sizeof(cfg.modules));
    memcpy(cfg.roms, c->roms, sizeof(cfg.roms));
    return machine_create(&cfg, &vm->machine, e);
}

static int create_chardev(struct vm *vm, const struct chardev_options *o, const char *option,
                          struct chardev **out, struct err *e)
{
    const struct chardev_config cfg = {
        .loop = vm->loop, .option = option, .filter = vm->cfg.filter, .opaque = vm->cfg.opaque};

    return chardev_create(o, &cfg, out, e);
}

static void attach_serial(struct vm *vm)
{
    const struct chardev_peer peer = {.opaque = vm, .input = serial_input};

    chardev_attach(vm->serial, &peer);
}

static void init_vcpus(struct vm *vm)
{
    for (unsigned i = 0; i < vm->cfg.cpus; i++) {
        struct vcpu *v = &vm->vcpu[i];

        v->engine = vm->cfg.engine;
        v->index = i;
        v->processor = vm->cfg.pin.count != 0 ? vm->cfg.pin.cpu[i] : -1;
        v->ended = on_vcpu_ended;
        v->opaque = vm;
        vcpu_init(v);
    }
}

static int create_parts(struct vm *vm, struct err *e)
{
    int rc = pin_check(&vm->cfg.pin, e);

    if (rc < 0)
        return rc;
    rc = loop_create(&vm->loop);
    if (rc < 0)
        return err_set(e, -rc, "cannot create the event loop: %s", strerror(-rc));
    rc = vm_control_create(vm, e); /* first: it finds out whether the name is in use */
    if (rc == 0)
        rc = create_chardev(vm, &vm->cfg.serial, "--serial", &vm->serial, e);
    if (rc == 0)
        rc = create_chardev(vm, &vm->cfg.console, "--console", &vm->console, e);
    if (rc == 0)
        rc = create_chardev(vm, &vm->cfg.parallel, "--parallel", &vm->parallel, e);
    if (rc == 0)
        rc = create_machine(vm, e);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < vm->cfg.cpus; i++)
        vm->vcpu[i].ev = machine_vcpu(vm->machine, i);
    attach_serial(vm);
    rc = vm_attach_devices(vm, e);
    if (rc == 0)
        rc = vm_plug_create(vm, e);
    if (rc == 0)
        rc = vm_start_io(vm, e);
    if (rc == 0)
        rc = vm_input_create(vm, e);
    if (rc == 0)
        rc = vm_display_create(vm, e);
    if (rc == 0)
        rc = vm_debug_create(vm, e);
    return rc == 0 ? machine_reset(vm->machine, e) : rc;
}

int vm_create(const struct vm_config *cfg, struct vm **out, struct err *e)
{
    struct vm *vm = calloc(1, sizeof(*vm));
    int rc;

    if (vm == NULL)
        return err_set(e, ENOMEM, "out of memory");
    vm->cfg = *cfg;
    vm->timeout_fd = -1;
    lock_init(&vm->lock, LOCK_VM);
    init_vcpus(vm);
    rc = create_parts(vm, e);
    if (rc < 0) {
        vm_destroy(vm);
        return rc;
    }
    *out = vm;
    return 0;
}

void vm_destroy(struct vm *vm)
{
    if (vm == NULL)
        return;
    if (vm->machine != NULL)
        machine_pause(vm->machine);
    vm_debug_destroy(vm);
    vm_display_destroy(vm);
    vm_stop_io(vm);
    vm_input_destroy(vm);
    machine_destroy(vm->machine);
    vm_plug_destroy(vm);
    vm_close_devices(vm);
    chardev_destroy(vm->serial);
    chardev_destroy(vm->console);
    chardev_destroy(vm->parallel);
    loop_unwatch(vm->timeout_watch);
    if (vm->timeout_fd >= 0)
        close(vm->timeout_fd);
    for (unsigned i = 0; i < vm->cfg.cpus; i++)
        vcpu_finish(&vm->vcpu[i]);
    vm_control_destroy(vm); /* last: who waits for the machine's end finds nothing left of it */
    if (vm->loop != NULL)
        loop_destroy(vm->loop);
    lock_finish(&vm->lock);
    free(vm);
}

/* --- running --- */

static void on_timeout(void *opaque, int fd, unsigned events)
{
    vm_raise_event(opaque, EVENT_TIMEOUT);
}

static int start_timeout(struct vm *vm)
{
    struct itimerspec t = {0};

    if (vm->cfg.timeout_ns == 0)
        return 0;
    t.it_value.tv_sec = (time_t)(vm->cfg.timeout_ns / 1000000000u);
    t.it_value.tv_nsec = (long)(vm->cfg.timeout_ns % 1000000000u);
    vm->timeout_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (vm->timeout_fd < 0 || timerfd_settime(vm->timeout_fd, 0, &t, NULL) < 0)
        return -errno;
    return loop_watch(vm->loop, vm->timeout_fd, LOOP_READ, on_timeout, vm, &vm->timeout_watch);
}

static int start_vcpus(struct vm *vm)
{
    int rc = 0;

    for (unsigned i = 0; i < vm->cfg.cpus && rc == 0; i++)
        rc = vcpu_start(&vm->vcpu[i]);
    if (rc == 0 && vm->pauses == 0)
        start_all(vm);
    return rc;
}

enum vm_end vm_run(struct vm *vm, uint32_t *status, struct err *e)
{
    int rc = start_timeout(vm);

    if (vm->cfg.paused)
        vm_pause_for(vm, PAUSE_USER);
    if (vm->cfg.gdb_wait)
        vm_pause_for(vm, PAUSE_DEBUG);
    vm_stats_start(vm);
    if (rc == 0)
        rc = start_vcpus(vm);
    if (rc < 0) {
        err_set(&vm->err, -rc, "cannot start the machine: %s", strerror(-rc));
        end(vm, VM_FAILED);
    }
    while (!vm->ended) {
        loop_run(vm->loop);
        handle_events(vm);
    }
    for (unsigned i = 0; i < vm->cfg.cpus; i++)
        vcpu_join(&vm->vcpu[i]);
    machine_pause(vm->machine);
    vm_stats_end(vm);
    *status = atomic_load(&vm->status);
    *e = vm->err;
    return vm->how;
}

void vm_quit(struct vm *vm)
{
    vm_raise_event(vm, EVENT_QUIT);
}

void vm_reset(struct vm *vm)
{
    vm_raise_event(vm, EVENT_RESET | EVENT_HOST_RESET);
}

void vm_power_button(struct vm *vm)
{
    vm_raise_event(vm, EVENT_POWER_BUTTON);
    machine_power_button(vm->machine);
}

bool vm_wake_up(struct vm *vm)
{
    return machine_wake_request(vm->machine);
}

void vm_pause_for(struct vm *vm, unsigned why)
{
    bool was = vm->pauses != 0;

    vm->pauses |= why;
    if (was)
        return;
    for (unsigned i = 0; i < vm->cfg.cpus; i++)
        vcpu_stop(&vm->vcpu[i]);
    machine_pause(vm->machine);
    vm_control_event(vm, "STOP", NULL);
}

void vm_resume_for(struct vm *vm, unsigned why)
{
    if ((vm->pauses & why) == 0)
        return;
    vm->pauses &= ~why;
    if (vm->pauses != 0)
        return;
    machine_resume(vm->machine);
    start_all(vm);
    vm_control_event(vm, "RESUME", NULL);
}

void vm_pause(struct vm *vm)
{
    vm_pause_for(vm, PAUSE_USER);
}

/* A machine that waits for its debugger may go without. */
void vm_resume(struct vm *vm)
{
    vm_resume_for(vm, PAUSE_USER | (vm_debug_attached(vm) ? 0u : PAUSE_DEBUG));
}

enum vm_status vm_status(const struct vm *vm)
{
    if (vm->ended)
        return VM_STATUS_ENDED;
    if (vm->pauses == 0)
        return machine_asleep(vm->machine) ? VM_STATUS_SUSPENDED : VM_STATUS_RUNNING;
    if (vm->pauses & PAUSE_DEBUG)
        return VM_STATUS_DEBUG;
    return vm->launched ? VM_STATUS_PAUSED : VM_STATUS_PRELAUNCH;
}

struct loop *vm_loop(struct vm *vm)
{
    return vm->loop;
}

struct machine *vm_machine(struct vm *vm)
{
    return vm->machine;
}

const char *vm_serial_where(const struct vm *vm)
{
    return chardev_where(vm->serial);
}

const char *vm_console_where(const struct vm *vm)
{
    return chardev_where(vm->console);
}

const char *vm_parallel_where(const struct vm *vm)
{
    return chardev_where(vm->parallel);
}
