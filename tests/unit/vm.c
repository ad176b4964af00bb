/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life cycle of a machine, with an engine that executes no instructions but a script: each call
 * of `run` is one call of the test's function, which does to the board what a guest would do.
 */
#include "test.h"

#include <elf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dev/acpi_pm.h"
#include "dev/serial.h"
#include "machine/acpi.h"
#include "vm/vm.h"

struct engine {
    struct engine_config cfg;
};

struct engine_vcpu {
    const struct engine_host *host;
    unsigned index;
    _Atomic bool stop;
    struct x86_cpu cpu;
    unsigned sets; /* how often the state was set */
};

typedef enum engine_exit script_fn(struct engine_vcpu *v);
static script_fn *script;
static _Atomic unsigned steps;

static int fake_probe(struct err *e)
{
    return 0;
}

static int fake_create(const struct engine_config *cfg, struct engine **out, struct err *e)
{
    *out = calloc(1, sizeof(**out));
    (*out)->cfg = *cfg;
    return 0;
}

static void fake_destroy(struct engine *en)
{
    free(en);
}

static int fake_vcpu_create(struct engine *en, unsigned index, struct engine_vcpu **out,
                            struct err *e)
{
    struct engine_vcpu *v = aligned_alloc(64, (sizeof(*v) + 63) / 64 * 64);

    memset(v, 0, sizeof(*v));
    v->host = en->cfg.host;
    v->index = index;
    *out = v;
    return 0;
}

static void fake_vcpu_destroy(struct engine_vcpu *v)
{
    free(v);
}

static enum engine_exit fake_run(struct engine_vcpu *v)
{
    if (atomic_exchange(&v->stop, false))
        return ENGINE_EXIT_KICKED;
    atomic_fetch_add(&steps, 1);
    return script(v);
}

static void fake_kick(struct engine_vcpu *v, bool stop)
{
    if (stop)
        atomic_store(&v->stop, true);
}

static void fake_get_state(struct engine_vcpu *v, struct x86_cpu *cpu)
{
    *cpu = v->cpu;
}

static int fake_set_state(struct engine_vcpu *v, const struct x86_cpu *cpu, struct err *e)
{
    v->cpu = *cpu;
    v->sets++;
    return 0;
}

static const char *fake_strerror(struct engine_vcpu *v)
{
    return "out of ideas";
}

static uint64_t fake_tsc_khz(struct engine *en)
{
    return 1000000;
}

static uint64_t fake_tsc_offset(struct engine_vcpu *v)
{
    return 0;
}

static const struct engine_ops fake = {
    .name = "fake",
    .probe = fake_probe,
    .create = fake_create,
    .destroy = fake_destroy,
    .vcpu_create = fake_vcpu_create,
    .vcpu_destroy = fake_vcpu_destroy,
    .run = fake_run,
    .kick = fake_kick,
    .get_state = fake_get_state,
    .set_state = fake_set_state,
    .strerror = fake_strerror,
    .tsc_khz = fake_tsc_khz,
    .tsc_offset = fake_tsc_offset,
};

static void out8(struct engine_vcpu *v, uint16_t port, uint8_t value)
{
    v->host->port_write(v->host->opaque, v->index, port, value, 1);
}

static void power_off(struct engine_vcpu *v)
{
    v->host->port_write(v->host->opaque, v->index, ACPI_PM_BASE + ACPI_PM1_CNT,
                        ACPI_PM_SLP_TYP_S5 << 10 | 1 << 13, 2);
}

/* --- the fixture --- */

static char kernel[32], output[32];

static int setup(void **state)
{
    uint8_t file[4096 + 16] __attribute__((aligned(64))) = {0};
    Elf64_Ehdr *h = (Elf64_Ehdr *)file;
    Elf64_Phdr *p = (Elf64_Phdr *)(file + 64);
    int fd;

    memcpy(h->e_ident, ELFMAG, 4);
    h->e_ident[EI_CLASS] = ELFCLASS64;
    h->e_ident[EI_DATA] = ELFDATA2LSB;
    h->e_machine = EM_X86_64;
    h->e_entry = 0x100000;
    h->e_phoff = 64;
    h->e_phnum = 1;
    h->e_phentsize = sizeof(*p);
    *p = (Elf64_Phdr){.p_type = PT_LOAD, .p_offset = 4096, .p_paddr = 0x100000};
    p->p_filesz = p->p_memsz = 16;
    strcpy(kernel, "/tmp/vm-kernel-XXXXXX");
    fd = mkstemp(kernel);
    assert_true(write(fd, file, sizeof(file)) == (ssize_t)sizeof(file));
    close(fd);
    strcpy(output, "/tmp/vm-output-XXXXXX");
    close(mkstemp(output));
    atomic_store(&steps, 0);
    return 0;
}

static int teardown(void **state)
{
    unlink(kernel);
    unlink(output);
    return 0;
}

static struct vm_config config(void)
{
    return (struct vm_config){.engine = &fake,
                              .memory = 16 << 20,
                              .cpus = 1,
                              .kernel = kernel,
                              .net_count = 0,
                              .serial = {.kind = CHARDEV_FILE, .path = output}};
}

/* Runs a machine to its end. */
static enum vm_end run(const struct vm_config *cfg, script_fn *fn, uint32_t *status, struct err *e)
{
    struct vm *vm;
    enum vm_end how;

    script = fn;
    *e = (struct err){0};
    if (vm_create(cfg, &vm, e) < 0)
        fail_msg("%s", e->text);
    how = vm_run(vm, status, e);
    vm_destroy(vm);
    return how;
}

/* --- tests --- */

static enum engine_exit script_hello(struct engine_vcpu *v)
{
    for (const char *p = "hello"; *p != '\0'; p++)
        out8(v, SERIAL_COM1_PORT, (uint8_t)*p);
    power_off(v);
    return ENGINE_EXIT_KICKED;
}

static void guest_powers_off(void **state)
{
    struct vm_config cfg = config();
    struct err e;
    uint32_t status;
    char text[16] = {0};
    FILE *f;

    assert_int_equal(run(&cfg, script_hello, &status, &e), VM_POWERED_OFF);
    assert_int_equal(steps, 1); /* it was not run beyond its power-off */
    f = fopen(output, "r");
    assert_non_null(fgets(text, sizeof(text), f));
    fclose(f);
    assert_string_equal(text, "hello");
}

static enum engine_exit script_reset(struct engine_vcpu *v)
{
    assert_int_equal(v->cpu.rip, 0x100000);
    if (v->sets < 3) {
        out8(v, 0xcf9, 6);
        return ENGINE_EXIT_KICKED;
    }
    power_off(v);
    return ENGINE_EXIT_KICKED;
}

static void guest_resets(void **state)
{
    struct vm_config cfg = config();
    struct err e;
    uint32_t status;

    assert_int_equal(run(&cfg, script_reset, &status, &e), VM_POWERED_OFF);
    assert_int_equal(steps, 3);
    cfg.no_reboot = true;
    atomic_store(&steps, 0);
    assert_int_equal(run(&cfg, script_reset, &status, &e), VM_RESET);
    assert_int_equal(steps, 1);
}

static enum engine_exit script_triple_fault(struct engine_vcpu *v)
{
    if (v->sets < 2)
        return ENGINE_EXIT_SHUTDOWN;
    power_off(v);
    return ENGINE_EXIT_KICKED;
}

static void triple_fault_resets(void **state)
{
    struct vm_config cfg = config();
    struct err e;
    uint32_t status;

    assert_int_equal(run(&cfg, script_triple_fault, &status, &e), VM_POWERED_OFF);
    assert_int_equal(steps, 2);
}

static enum engine_exit script_exit(struct engine_vcpu *v)
{
    out8(v, 0xf4, 5);
    return ENGINE_EXIT_KICKED;
}

static void debug_exit_port(void **state)
{
    struct vm_config cfg = config();
    struct err e;
    uint32_t status;

    cfg.debug_exit = true;
    assert_int_equal(run(&cfg, script_exit, &status, &e), VM_DEBUG_EXIT);
    assert_int_equal(status, 11);
}

static enum engine_exit script_error(struct engine_vcpu *v)
{
    return ENGINE_EXIT_ERROR;
}

static void engine_gives_up(void **state)
{
    struct vm_config cfg = config();
    struct err e;
    uint32_t status;

    assert_int_equal(run(&cfg, script_error, &status, &e), VM_FAILED);
    assert_non_null(strstr(e.text, "out of ideas"));
}

static enum engine_exit script_halt(struct engine_vcpu *v)
{
    return ENGINE_EXIT_HALT;
}

static void timeout(void **state)
{
    struct vm_config cfg = config();
    struct err e;
    uint32_t status;

    cfg.timeout_ns = 50000000;
    assert_int_equal(run(&cfg, script_halt, &status, &e), VM_TIMEOUT);
    assert_true(steps < 20); /* a halted vCPU sleeps */
}

static enum engine_exit script_spin(struct engine_vcpu *v)
{
    return ENGINE_EXIT_KICKED;
}

static void timeout_of_a_busy_guest(void **state)
{
    struct vm_config cfg = config();
    struct err e;
    uint32_t status;

    cfg.timeout_ns = 50000000;
    assert_int_equal(run(&cfg, script_spin, &status, &e), VM_TIMEOUT);
    assert_true(steps > 0);
}

/* Programs the 8254 to one interrupt after 10 ms and waits for it in HLT. */
static enum engine_exit script_timer(struct engine_vcpu *v)
{
    if (steps == 1) {
        out8(v, 0x20, 0x11); /* 8259: ICW1 - ICW4, only IRQ 0 */
        out8(v, 0x21, 0x30);
        out8(v, 0x21, 0x04);
        out8(v, 0x21, 0x01);
        out8(v, 0x21, 0xfe);
        out8(v, 0x43, 0x30); /* counter 0, mode 0 */
        out8(v, 0x40, 0x9b);
        out8(v, 0x40, 0x2e);
        return ENGINE_EXIT_HALT;
    }
    if (!v->host->interrupt_pending(v->host->opaque, 0))
        return ENGINE_EXIT_HALT;
    assert_int_equal(v->host->interrupt_take(v->host->opaque, 0), 0x30);
    power_off(v);
    return ENGINE_EXIT_KICKED;
}

static void interrupt_wakes(void **state)
{
    struct vm_config cfg = config();
    struct err e;
    uint32_t status;

    cfg.timeout_ns = 10000000000;
    assert_int_equal(run(&cfg, script_timer, &status, &e), VM_POWERED_OFF);
    assert_true(steps < 10);
}

/* The power button raises the SCI; the guest sees PWRBTN_STS. */
static enum engine_exit script_button(struct engine_vcpu *v)
{
    if (v->host->port_read(v->host->opaque, 0, ACPI_PM_BASE, 2) & 1 << 8)
        power_off(v);
    return ENGINE_EXIT_KICKED;
}

static void power_button(void **state)
{
    struct vm_config cfg = config();
    struct err e = {0};
    uint32_t status;
    struct vm *vm;

    script = script_button;
    cfg.timeout_ns = 10000000000;
    assert_int_equal(vm_create(&cfg, &vm, &e), 0);
    vm_power_button(vm);
    assert_int_equal(vm_run(vm, &status, &e), VM_POWERED_OFF);
    vm_destroy(vm);
}

static void quit_before_run(void **state)
{
    struct vm_config cfg = config();
    struct err e = {0};
    uint32_t status;
    struct vm *vm;

    script = script_halt;
    assert_int_equal(vm_create(&cfg, &vm, &e), 0);
    vm_quit(vm);
    assert_int_equal(vm_run(vm, &status, &e), VM_QUIT);
    vm_destroy(vm);
}

/* --- pause --- */

struct pause_test {
    struct vm *vm;
    unsigned round, steps;
    struct timer *timer;
    struct vclock *clock;
};

static void pause_step(void *opaque)
{
    struct pause_test *t = opaque;

    if (t->round++ == 20) {
        vm_quit(t->vm);
        return;
    }
    vm_pause(t->vm);
    vm_pause(t->vm);
    t->steps = steps;
    usleep(2000);
    assert_int_equal(steps, t->steps); /* nothing runs */
    vm_resume(t->vm);
    vm_resume(t->vm);
    timer_arm(t->timer, vclock_now(t->clock) + 1000000);
}

static void pause_and_resume(void **state)
{
    struct vm_config cfg = config();
    struct pause_test t = {0};
    struct err e = {0};
    uint32_t status;

    script = script_spin;
    cfg.timeout_ns = 20000000000;
    assert_int_equal(vm_create(&cfg, &t.vm, &e), 0);
    assert_int_equal(vclock_create(&t.clock), 0);
    assert_int_equal(timer_create_on(vm_loop(t.vm), t.clock, pause_step, &t, &t.timer), 0);
    timer_arm(t.timer, 0);
    assert_int_equal(vm_run(t.vm, &status, &e), VM_QUIT);
    assert_int_equal(t.round, 21);
    timer_destroy(t.timer);
    vclock_destroy(t.clock);
    vm_destroy(t.vm);
}

/* --- suspend to RAM --- */

static void sleep_now(struct engine_vcpu *v)
{
    v->host->port_write(v->host->opaque, v->index, ACPI_PM_BASE + ACPI_PM1_CNT,
                        ACPI_PM_SLP_TYP_S3 << 10 | 1 << 13, 2);
}

/* The vector is what a guest wrote, or none. */
static uint32_t vector;
static struct vm *sleeper;
static uint8_t woken; /* PM1 status, its upper half */

static enum engine_exit script_sleep(struct engine_vcpu *v)
{
    uint8_t word[4] = {(uint8_t)vector, (uint8_t)(vector >> 8), (uint8_t)(vector >> 16)};

    if (v->index == 1)
        return ENGINE_EXIT_HALT;
    if (v->sets == 1) {
        assert_int_equal(ram_write(machine_ram(vm_machine(sleeper)), ACPI_FACS_ADDR + 12, word, 4),
                         0);
        sleep_now(v);
        return ENGINE_EXIT_KICKED;
    }
    woken = (uint8_t)v->host->port_read(v->host->opaque, 0, ACPI_PM_BASE + ACPI_PM1_EVT + 1, 1);
    power_off(v);
    return ENGINE_EXIT_KICKED;
}

static void *wake_soon(void *opaque)
{
    while (!vm_wake_up(opaque))
        usleep(1000);
    return NULL;
}

/* Returns what the boot processor is given to start with. */
static struct x86_cpu *sleep_and_wake(uint32_t at)
{
    static struct x86_cpu cpu;
    struct vm_config cfg = config();
    struct err e = {0};
    pthread_t thread;
    uint32_t status;

    script = script_sleep;
    vector = at;
    cfg.cpus = 2;
    cfg.timeout_ns = 20000000000;
    assert_int_equal(vm_create(&cfg, &sleeper, &e), 0);
    assert_false(vm_wake_up(sleeper));
    pthread_create(&thread, NULL, wake_soon, sleeper);
    assert_int_equal(vm_run(sleeper, &status, &e), VM_POWERED_OFF);
    pthread_join(thread, NULL);
    cpu = machine_vcpu(vm_machine(sleeper), 0)->cpu;
    assert_int_equal(machine_vcpu(vm_machine(sleeper), 1)->cpu.mp_state, X86_MP_INIT);
    vm_destroy(sleeper);
    return &cpu;
}

static void guest_sleeps(void **state)
{
    struct x86_cpu *c = sleep_and_wake(0x12345);

    assert_int_equal(c->seg[X86_CS].base, 0x12340);
    assert_int_equal(c->seg[X86_CS].selector, 0x1234);
    assert_int_equal(c->rip, 5);
    assert_int_equal(c->cr0 & 1, 0);
    assert_int_equal(woken, 0x80);
}

/* Where there is nothing to wake at, the machine resets. */
static void guest_forgets_the_vector(void **state)
{
    assert_int_equal(sleep_and_wake(0)->rip, 0x100000);
    assert_int_equal(woken, 0);
}

/* --- character back ends --- */

/* Sends back what it gets, and powers off at 'q'. */
static enum engine_exit script_echo(struct engine_vcpu *v)
{
    const struct engine_host *h = v->host;

    while (h->port_read(h->opaque, 0, SERIAL_COM1_PORT + 5, 1) & 1) {
        uint8_t c = (uint8_t)h->port_read(h->opaque, 0, SERIAL_COM1_PORT, 1);

        out8(v, SERIAL_COM1_PORT, c);
        if (c == 'q')
            power_off(v);
    }
    usleep(100);
    return ENGINE_EXIT_KICKED;
}

struct client {
    struct sockaddr_un sa;
    size_t sent, got;
    bool equal;
};

enum { CLIENT_BYTES = 20000 };

static void *client_main(void *opaque)
{
    struct client *c = opaque;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    uint8_t buf[512];

    while (connect(fd, (struct sockaddr *)&c->sa, sizeof(c->sa)) < 0)
        usleep(1000);
    c->equal = true;
    while (c->got < CLIENT_BYTES) {
        size_t n = 0;
        ssize_t r;

        while (n < 300 && c->sent < CLIENT_BYTES) {
            buf[n++] = (uint8_t)('a' + c->sent % 13);
            c->sent++;
        }
        if (n > 0 && send(fd, buf, n, 0) != (ssize_t)n)
            break;
        r = recv(fd, buf, sizeof(buf), 0);
        for (ssize_t i = 0; i < r; i++)
            if (buf[i] != 'a' + (c->got++) % 13)
                c->equal = false;
        if (r <= 0)
            break;
    }
    (void)!send(fd, "q", 1, 0);
    (void)!recv(fd, buf, 1, 0);
    close(fd);
    return NULL;
}

static void unix_socket(void **state)
{
    struct vm_config cfg = config();
    struct client c = {.sa = {.sun_family = AF_UNIX}};
    struct err e;
    pthread_t thread;
    uint32_t status;

    snprintf(c.sa.sun_path, sizeof(c.sa.sun_path), "/tmp/vm-socket-%d", getpid());
    cfg.serial = (struct chardev_options){CHARDEV_UNIX, c.sa.sun_path};
    cfg.timeout_ns = 60000000000;
    pthread_create(&thread, NULL, client_main, &c);
    assert_int_equal(run(&cfg, script_echo, &status, &e), VM_POWERED_OFF);
    pthread_join(thread, NULL);
    assert_int_equal(c.got, CLIENT_BYTES);
    assert_true(c.equal);
    assert_int_not_equal(access(c.sa.sun_path, F_OK), 0); /* removed */
}

/* Nobody reads the pseudo-terminal: output is lost after a while, the guest goes on. */
static enum engine_exit script_flood(struct engine_vcpu *v)
{
    for (unsigned i = 0; i < 200000; i++)
        out8(v, SERIAL_COM1_PORT, 'x');
    power_off(v);
    return ENGINE_EXIT_KICKED;
}

static void pty_without_reader(void **state)
{
    struct vm_config cfg = config();
    struct err e;
    uint32_t status;

    cfg.serial = (struct chardev_options){CHARDEV_PTY, NULL};
    cfg.timeout_ns = 20000000000;
    assert_int_equal(run(&cfg, script_flood, &status, &e), VM_POWERED_OFF);
}

/* --- errors --- */

static void bad_configurations(void **state)
{
    struct vm_config cfg = config();
    struct err e = {0};
    struct vm *vm;

    cfg.kernel = "/nonexistent";
    assert_true(vm_create(&cfg, &vm, &e) < 0);
    assert_non_null(strstr(e.text, "/nonexistent"));
    cfg = config();
    cfg.memory = 1 << 20;
    assert_true(vm_create(&cfg, &vm, &e) < 0);
    assert_non_null(strstr(e.text, "--memory"));
    cfg = config();
    cfg.serial.path = "/nonexistent/file";
    assert_true(vm_create(&cfg, &vm, &e) < 0);
    assert_non_null(strstr(e.text, "--serial"));
    cfg = config();
    cfg.disks[0].path = "/nonexistent";
    cfg.disk_count = 1;
    assert_true(vm_create(&cfg, &vm, &e) < 0);
    assert_non_null(strstr(e.text, "/nonexistent"));
    cfg = config();
    cfg.serial = (struct chardev_options){CHARDEV_UNIX, "/nonexistent/socket"};
    assert_true(vm_create(&cfg, &vm, &e) < 0);
    assert_non_null(strstr(e.text, "--serial"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(guest_powers_off),
        T(guest_resets),
        T(triple_fault_resets),
        T(debug_exit_port),
        T(engine_gives_up),
        T(timeout),
        T(interrupt_wakes),
        T(power_button),
        T(timeout_of_a_busy_guest),
        T(quit_before_run),
        T(pause_and_resume),
        T(unix_socket),
        T(guest_sleeps),
        T(guest_forgets_the_vector),
        T(pty_without_reader),
        T(bad_configurations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
