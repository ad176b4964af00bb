/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chips of the board and their wires:
 *
 *   8254, RTC -> HPET -> gsi -> 8259 -> LINT0 of the local APICs
 *                           \-> I/O APIC -> messages to the local APICs
 *   serial, i8042, SCI -> gsi
 *
 * Wires call from any thread and go on without any lock of this file: it has none.
 */
#include <errno.h>
#include <string.h>

#include "dev/debug_exit.h"
#include "dev/ioapic.h"
#include "dev/pic.h"
#include "dev/post_ports.h"
#include "dev/test_device.h"
#include "machine/machine_internal.h"

int machine_own(struct machine *m, struct device d, struct err *e)
{
    if (m->device_count == MACHINE_DEVICES) {
        d.ops->destroy(d.self);
        return err_set(e, ENOSPC, "the machine has too many devices");
    }
    m->devices[m->device_count++] = d;
    return 0;
}

void machine_disown(struct machine *m, const struct device *d)
{
    unsigned i = 0;

    while (m->devices[i].self != d->self)
        i++;
    m->device_count--;
    memmove(m->devices + i, m->devices + i + 1, (m->device_count - i) * sizeof(m->devices[0]));
}

static int failed(struct err *e, const char *what, int rc)
{
    return err_set(e, -rc, "cannot create the %s: %s", what, strerror(-rc));
}

/* --- local APICs --- */

static void apic_kick(void *opaque, unsigned vcpu)
{
    struct machine *m = opaque;

    if (m->vcpu[vcpu] != NULL)
        m->cfg.engine->kick(m->vcpu[vcpu], false);
    m->cfg.hooks.wake(m->cfg.hooks.opaque, vcpu);
}

/* INIT takes the boot processor to the reset vector, where the firmware would start the machine
 * anew. */
static void apic_init(void *opaque, unsigned vcpu)
{
    struct machine *m = opaque;

    if (vcpu == 0)
        m->cfg.hooks.reset(m->cfg.hooks.opaque);
    else
        apic_kick(m, vcpu);
}

static void apic_sipi(void *opaque, unsigned vcpu, uint8_t vector)
{
    apic_kick(opaque, vcpu);
}

static uint64_t apic_tsc_now(void *opaque, unsigned vcpu)
{
    return platform_tsc(opaque, vcpu);
}

static uint64_t apic_tsc_khz(void *opaque)
{
    struct machine *m = opaque;

    return m->cfg.engine->tsc_khz(m->engine);
}

static int create_apics(struct machine *m, struct err *e)
{
    const struct apic_bus_config cfg = {.cpus = m->cfg.vcpus,
                                        .loop = m->cfg.loop,
                                        .clock = m->clock,
                                        .ram = m->ram,
                                        .ops = {.kick = apic_kick,
                                                .init = apic_init,
                                                .sipi = apic_sipi,
                                                .tsc_now = apic_tsc_now,
                                                .tsc_khz = apic_tsc_khz,
                                                .extint_ack = pic_acknowledge},
                                        .opaque = m};
    int rc = apic_bus_create(&cfg, &m->apic);

    if (rc < 0)
        return failed(e, "local APICs", rc);
    for (unsigned i = 0; i < m->cfg.vcpus && rc == 0; i++) {
        m->lapic[i] = apic_bus_lapic(m->apic, i);
        rc = machine_own(m, lapic_device(m->lapic[i]), e);
    }
    return rc;
}

/* --- interrupt controllers --- */

static int create_pic(struct machine *m, struct err *e)
{
    const struct pic_config cfg = {.intr = {.set = apic_bus_set_intr, .opaque = m->apic}};
    int rc = pic_create(&cfg, &m->gsi.pic);

    if (rc < 0)
        return failed(e, "8259", rc);
    apic_bus_set_pic(m->apic, m->gsi.pic);
    rc = machine_own(m, pic_device(m->gsi.pic), e);
    return rc == 0 ? pic_map(m->gsi.pic, m->ports) : rc;
}

static int create_ioapic(struct machine *m, struct err *e)
{
    const struct ioapic_config cfg = {.msi = apic_bus_msi(m->apic)};
    int rc = ioapic_create(&cfg, &m->gsi.ioapic);

    if (rc < 0)
        return failed(e, "I/O APIC", rc);
    rc = machine_own(m, ioapic_device(m->gsi.ioapic), e);
    if (rc == 0)
        rc = apic_bus_on_eoi(m->apic, ioapic_eoi, m->gsi.ioapic);
    return rc == 0 ? ioapic_map(m->gsi.ioapic, m->mmio, IOAPIC_MMIO_BASE) : rc;
}

/* --- timers --- */

static int create_hpet(struct machine *m, struct err *e)
{
    const struct hpet_config cfg = {.loop = m->cfg.loop,
                                    .clock = m->clock,
                                    .lines = gsi_pin(&m->gsi, 0),
                                    .msi = apic_bus_msi(m->apic)};
    int rc = hpet_create(&cfg, &m->hpet);

    if (rc < 0)
        return failed(e, "HPET", rc);
    rc = machine_own(m, hpet_device(m->hpet), e);
    return rc == 0 ? hpet_map(m->hpet, m->mmio, HPET_MMIO_BASE) : rc;
}

static int create_pit(struct machine *m, struct err *e)
{
    const struct pit_config cfg = {
        .loop = m->cfg.loop,
        .clock = m->clock,
        .irq = {.set = hpet_isa_in, .opaque = m->hpet, .line = 0},
    };
    struct pit *pit;
    int rc = pit_create(&cfg, &pit);

    if (rc < 0)
        return failed(e, "8254", rc);
    rc = machine_own(m, pit_device(pit), e);
    return rc == 0 ? pit_map(pit, m->ports) : rc;
}

static int create_rtc(struct machine *m, struct err *e)
{
    const struct rtc_config cfg = {
        .loop = m->cfg.loop,
        .clock = m->clock,
        .irq = {.set = board_rtc_pin, .opaque = m, .line = RTC_IRQ},
    };
    int rc = rtc_create(&cfg, &m->rtc);

    if (rc < 0)
        return failed(e, "RTC", rc);
    rtc_set_memory(m->rtc, m->layout.low_end, m->layout.high_end - LAYOUT_HIGH_BASE);
    rc = machine_own(m, rtc_device(m->rtc), e);
    return rc == 0 ? rtc_map(m->rtc, m->ports) : rc;
}

/* --- power and reset --- */

static void guest_power_off(void *opaque)
{
    struct machine *m = opaque;

    m->cfg.hooks.power_off(m->cfg.hooks.opaque);
}

static void guest_sleep(void *opaque)
{
    struct machine *m = opaque;

    m->cfg.hooks.sleep(m->cfg.hooks.opaque);
}

static void guest_reset(void *opaque)
{
    struct machine *m = opaque;

    m->cfg.hooks.reset(m->cfg.hooks.opaque);
}

static void guest_debug_exit(void *opaque, uint32_t status)
{
    struct machine *m = opaque;

    m->cfg.hooks.debug_exit(m->cfg.hooks.opaque, status);
}

static int create_pm(struct machine *m, struct err *e)
{
    const struct acpi_pm_config cfg = {.loop = m->cfg.loop,
                                       .clock = m->clock,
                                       .sci = gsi_pin(&m->gsi, ACPI_PM_SCI),
                                       .timer_32bit = true,
                                       .power_off = guest_power_off,
                                       .sleep = guest_sleep,
                                       .opaque = m};
    int rc = acpi_pm_create(&cfg, &m->pm);

    if (rc < 0)
        return failed(e, "power management block", rc);
    rc = machine_own(m, acpi_pm_device(m->pm), e);
    return rc == 0 ? acpi_pm_map(m->pm, m->ports, ACPI_PM_BASE) : rc;
}

/* Two gates in a row: either masks the address bit. */
static void set_a20(struct machine *m)
{
    if (m->engine != NULL && m->cfg.engine->a20 != NULL)
        m->cfg.engine->a20(m->engine, atomic_load(&m->a20_port92) && atomic_load(&m->a20_keyboard));
}

static void port92_a20(void *opaque, bool on)
{
    struct machine *m = opaque;

    atomic_store(&m->a20_port92, on);
    set_a20(m);
}

static void keyboard_a20(void *opaque, bool on)
{
    struct machine *m = opaque;

    atomic_store(&m->a20_keyboard, on);
    set_a20(m);
}

void board_reset_a20(struct machine *m)
{
    atomic_store(&m->a20_port92, true);
    keyboard_a20(m, true);
}

static int create_reset_ports(struct machine *m, struct err *e)
{
    const struct reset_ports_config cfg = {.reset = guest_reset, .a20 = port92_a20, .opaque = m};
    int rc = reset_ports_create(&cfg, &m->reset_ports);

    if (rc < 0)
        return failed(e, "reset ports", rc);
    rc = machine_own(m, reset_ports_device(m->reset_ports), e);
    return rc == 0 ? reset_ports_map(m->reset_ports, m->ports) : rc;
}

static int create_debug_exit(struct machine *m, struct err *e)
{
    const struct debug_exit_config cfg = {.exit = guest_debug_exit, .opaque = m};
    struct debug_exit *d;
    int rc;

    if (!m->cfg.debug_exit)
        return 0;
    rc = debug_exit_create(&cfg, &d);
    if (rc < 0)
        return failed(e, "debug exit port", rc);
    rc = machine_own(m, debug_exit_device(d), e);
    return rc == 0 ? debug_exit_map(d, m->ports, DEBUG_EXIT_PORT) : rc;
}

static int create_test_device(struct machine *m, struct err *e)
{
    const struct test_device_config cfg = {.lines = gsi_pin(&m->gsi, 0)};
    struct test_device *d;
    int rc;

    if (!m->cfg.test_device)
        return 0;
    rc = test_device_create(&cfg, &d);
    if (rc < 0)
        return failed(e, "test device", rc);
    rc = machine_own(m, test_device_device(d), e);
    return rc == 0 ? test_device_map(d, m->ports, m->mmio) : rc;
}

/* --- the rest --- */

static int create_serial(struct machine *m, struct err *e)
{
    const struct serial_config cfg = {.backend = m->cfg.serial,
                                      .irq = gsi_pin(&m->gsi, SERIAL_COM1_IRQ)};
    int rc = serial_create(&cfg, &m->serial);

    if (rc < 0)
        return failed(e, "serial port", rc);
    rc = machine_own(m, serial_device(m->serial), e);
    return rc == 0 ? serial_map(m->serial, m->ports, SERIAL_COM1_PORT) : rc;
}

static int create_keyboard(struct machine *m, struct err *e)
{
    const struct i8042_config cfg = {.loop = m->cfg.loop,
                                     .clock = m->clock,
                                     .kbd_irq = gsi_pin(&m->gsi, I8042_KBD_IRQ),
                                     .aux_irq = gsi_pin(&m->gsi, I8042_AUX_IRQ),
                                     .reset = guest_reset,
                                     .a20 = keyboard_a20,
                                     .opaque = m};
    int rc = i8042_create(&cfg, &m->i8042);

    if (rc < 0)
        return failed(e, "keyboard controller", rc);
    rc = machine_own(m, i8042_device(m->i8042), e);
    return rc == 0 ? i8042_map(m->i8042, m->ports) : rc;
}

static int create_post_ports(struct machine *m, struct err *e)
{
    const struct post_ports_config cfg = {0};
    struct post_ports *p;
    int rc = post_ports_create(&cfg, &p);

    if (rc < 0)
        return failed(e, "POST ports", rc);
    rc = machine_own(m, post_ports_device(p), e);
    return rc == 0 ? post_ports_map(p, m->ports) : rc;
}

static int create_fwcfg(struct machine *m, struct err *e)
{
    uint64_t memory = m->layout.memory;
    int rc = fwcfg_create(m->ram, &m->fwcfg);

    if (rc < 0)
        return failed(e, "fw_cfg device", rc);
    rc = machine_own(m, fwcfg_device(m->fwcfg), e);
    if (rc == 0)
        rc = fwcfg_add(m->fwcfg, FWCFG_RAM_SIZE, &memory, sizeof(memory), false);
    if (rc == 0)
        rc = fwcfg_add_u16(m->fwcfg, FWCFG_NB_CPUS, (uint16_t)m->cfg.vcpus);
    if (rc == 0)
        rc = fwcfg_add_u16(m->fwcfg, FWCFG_MAX_CPUS, (uint16_t)m->cfg.vcpus);
    return rc == 0 ? fwcfg_map(m->fwcfg, m->ports) : rc;
}

int board_create(struct machine *m, struct err *e)
{
    /* In this order: each wire's end exists before its beginning. */
    static int (*const steps[])(struct machine *, struct err *) = {
        create_apics,
        create_pic,
        create_ioapic,
        create_hpet,
        create_pit,
        create_rtc,
        create_pm,
        create_reset_ports,
        create_debug_exit,
        create_serial,
        create_keyboard,
        create_post_ports,
        create_fwcfg,
        board_create_dma,
        board_create_pci,
        board_create_rom,
        board_create_fwcfg_files,
        board_create_rng,
        create_test_device,
        board_create_kernel,
        board_create_video,
        board_create_tablet,
        board_create_usb,
        board_create_slots,
    };

    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int rc;

        e->text[0] = '\0';
        rc = steps[i](m, e);
        if (rc < 0)
            return e->text[0] != '\0' ? rc : failed(e, "board", rc);
    }
    return 0;
}
