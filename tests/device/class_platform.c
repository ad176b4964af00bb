/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The devices of the PC platform in the generic suite. */
#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdlib.h>

#include "dev/acpi_pm.h"
#include "dev/apic.h"
#include "dev/debug_exit.h"
#include "dev/fwcfg.h"
#include "dev/hpet.h"
#include "dev/i8042.h"
#include "dev/ioapic.h"
#include "dev/pic.h"
#include "dev/pit.h"
#include "dev/post_ports.h"
#include "dev/reset_ports.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "dev/test_device.h"
#include "suite.h"

static void on_event(void *opaque)
{
    suite_activity(opaque);
}

static void on_level(void *opaque, bool level)
{
    (void)level;
    suite_activity(opaque);
}

static void on_bytes(void *opaque, const uint8_t *buf, size_t len)
{
    (void)buf, (void)len;
    suite_activity(opaque);
}

static int create_serial(struct suite_env *env, struct device *dev)
{
    struct serial_config cfg = {
        .backend = {.opaque = env, .tx = on_bytes, .rx_ready = on_event},
        .irq = suite_pin(env, 4),
    };
    struct serial *s;
    int rc = serial_create(&cfg, &s);

    if (rc != 0)
        return rc;
    *dev = serial_device(s);
    return serial_map(s, env->ports, SERIAL_COM1_PORT);
}

static void busy_serial(struct suite_env *env, struct device *dev)
{
    static const uint8_t bytes[20] = "some twenty bytes..";

    bus_write(env->ports, SERIAL_COM1_PORT + 2, 0x81, 1);
    bus_write(env->ports, SERIAL_COM1_PORT + 4, 0x08, 1);
    bus_write(env->ports, SERIAL_COM1_PORT + 1, 0x0f, 1);
    serial_rx(dev->self, bytes, sizeof(bytes));
}

const struct suite_class suite_serial = {
    .name = "serial",
    .create = create_serial,
    .busy = busy_serial,
    .ranges = {{false, SERIAL_COM1_PORT, SERIAL_PORTS}},
};

static int create_pic(struct suite_env *env, struct device *dev)
{
    struct pic_config cfg = {.intr = suite_pin(env, 0)};
    struct pic *p;
    int rc = pic_create(&cfg, &p);

    if (rc != 0)
        return rc;
    *dev = pic_device(p);
    return pic_map(p, env->ports);
}

static void busy_pic(struct suite_env *env, struct device *dev)
{
    (void)env;
    for (unsigned line = 0; line < 16; line++) {
        pic_set_line(dev->self, line, true);
        pic_set_line(dev->self, line, false);
    }
    pic_acknowledge(dev->self);
}

const struct suite_class suite_pic = {
    .name = "pic",
    .create = create_pic,
    .busy = busy_pic,
    .ranges = {{false, 0x20, 2}, {false, 0xa0, 2}, {false, 0x4d0, 2}},
};

static int create_pit(struct suite_env *env, struct device *dev)
{
    struct pit_config cfg = {.loop = env->loop, .clock = env->clock, .irq = suite_pin(env, 0)};
    struct pit *p;
    int rc = pit_create(&cfg, &p);

    if (rc != 0)
        return rc;
    *dev = pit_device(p);
    return pit_map(p, env->ports);
}

static void busy_pit(struct suite_env *env, struct device *dev)
{
    (void)dev;
    bus_write(env->ports, 0x43, 0x34, 1); /* counter 0, mode 2, 100 us */
    bus_write(env->ports, 0x40, 119, 1);
    bus_write(env->ports, 0x40, 0, 1);
}

const struct suite_class suite_pit = {
    .name = "pit",
    .create = create_pit,
    .busy = busy_pit,
    .ranges = {{false, 0x40, 4}, {false, 0x61, 1}},
};

/* A local APIC is not on a bus: its page and its MSRs are put on one for the random accesses. */
#define MSR_WINDOW 0x10000000u

struct lapic_extra {
    struct suite_env *env;
    struct apic_bus *bus;
};

static void on_kick(void *opaque, unsigned vcpu)
{
    struct lapic_extra *x = opaque;

    (void)vcpu;
    suite_activity(x->env);
}

static void on_sipi(void *opaque, unsigned vcpu, uint8_t vector)
{
    (void)vector;
    on_kick(opaque, vcpu);
}

static uint64_t tsc_now(void *opaque, unsigned vcpu)
{
    struct lapic_extra *x = opaque;

    (void)vcpu;
    return vclock_now(x->env->clock) * 2 + 1000;
}

static uint64_t tsc_khz(void *opaque)
{
    (void)opaque;
    return 2000000;
}

static uint64_t page_read(void *opaque, uint64_t offset, unsigned size)
{
    return lapic_mmio_read(opaque, (uint32_t)offset, size);
}

static void page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    lapic_mmio_write(opaque, (uint32_t)offset, value, size);
    lapic_interrupt_take(opaque);
    lapic_nmi_take(opaque);
}

static uint32_t msr_of(uint64_t offset)
{
    uint32_t n = (uint32_t)(offset >> 3);

    return n < 0x100 ? 0x800 + n : n < 0x110 ? 0x6e0 : 0x1b;
}

static uint64_t msr_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    (void)size;
    lapic_msr_read(opaque, msr_of(offset), &value);
    return value;
}

static void msr_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    lapic_msr_write(opaque, msr_of(offset), value);
    lapic_interrupt_take(opaque);
}

static const struct bus_ops page_ops = {.name = "page", .read = page_read, .write = page_write};
static const struct bus_ops msr_ops = {.name = "msr", .read = msr_read, .write = msr_write};

static int create_lapic(struct suite_env *env, struct device *dev)
{
    struct lapic_extra *x = calloc(1, sizeof(*x));
    struct apic_bus_config cfg = {
        .cpus = 1,
        .loop = env->loop,
        .clock = env->clock,
        .ops = {.kick = on_kick,
                .init = on_kick,
                .sipi = on_sipi,
                .tsc_now = tsc_now,
                .tsc_khz = tsc_khz},
        .opaque = x,
    };
    int rc;

    if (x == NULL)
        return -ENOMEM;
    x->env = env;
    env->extra = x;
    rc = apic_bus_create(&cfg, &x->bus);
    if (rc != 0)
        return rc;
    *dev = lapic_device(apic_bus_lapic(x->bus, 0));
    rc = bus_map(env->mmio, APIC_MMIO_BASE, APIC_MMIO_SIZE, &page_ops, dev->self);
    return rc != 0 ? rc : bus_map(env->mmio, MSR_WINDOW, 0x900, &msr_ops, dev->self);
}

static void finish_lapic(struct suite_env *env)
{
    struct lapic_extra *x = env->extra;

    apic_bus_destroy(x->bus);
    free(x);
}

static void busy_lapic(struct suite_env *env, struct device *dev)
{
    struct lapic_extra *x = env->extra;

    lapic_mmio_write(dev->self, 0xf0, 0x1ff, 4);
    lapic_mmio_write(dev->self, 0x320, 0x20040, 4); /* periodic, 100 us */
    lapic_mmio_write(dev->self, 0x3e0, 0xb, 4);
    lapic_mmio_write(dev->self, 0x380, 100000, 4);
    apic_bus_set_nmi(x->bus, 0, true);
    apic_bus_set_nmi(x->bus, 0, false);
}

const struct suite_class suite_lapic = {
    .name = "lapic",
    .create = create_lapic,
    .finish = finish_lapic,
    .busy = busy_lapic,
    .ranges = {{true, APIC_MMIO_BASE, 0x410}, {true, MSR_WINDOW, 0x900}},
};

static int create_ioapic(struct suite_env *env, struct device *dev)
{
    struct ioapic_config cfg = {.msi = env->msi, .id = 1};
    struct ioapic *a;
    int rc = ioapic_create(&cfg, &a);

    if (rc != 0)
        return rc;
    *dev = ioapic_device(a);
    return ioapic_map(a, env->mmio, IOAPIC_MMIO_BASE);
}

static void busy_ioapic(struct suite_env *env, struct device *dev)
{
    bus_write(env->mmio, IOAPIC_MMIO_BASE, 0x14, 4);
    bus_write(env->mmio, IOAPIC_MMIO_BASE + 0x10, 0x8041, 4); /* pin 2: level, vector 0x41 */
    ioapic_set_line(dev->self, 2, true);
    ioapic_set_line(dev->self, 2, false);
    ioapic_eoi(dev->self, 0x41);
}

const struct suite_class suite_ioapic = {
    .name = "ioapic",
    .create = create_ioapic,
    .busy = busy_ioapic,
    .ranges = {{true, IOAPIC_MMIO_BASE, 0x50}},
};

static int create_acpi_pm(struct suite_env *env, struct device *dev)
{
    struct acpi_pm_config cfg = {
        .loop = env->loop,
        .clock = env->clock,
        .sci = suite_pin(env, ACPI_PM_SCI),
        .power_off = on_event,
        .sleep = on_event,
        .opaque = env,
    };
    struct acpi_pm *p;
    int rc = acpi_pm_create(&cfg, &p);

    if (rc != 0)
        return rc;
    *dev = acpi_pm_device(p);
    return acpi_pm_map(p, env->ports, ACPI_PM_BASE);
}

static void busy_acpi_pm(struct suite_env *env, struct device *dev)
{
    bus_write(env->ports, ACPI_PM_BASE + 2, 0x121, 2);
    acpi_pm_power_button(dev->self);
}

const struct suite_class suite_acpi_pm = {
    .name = "acpi-pm",
    .create = create_acpi_pm,
    .busy = busy_acpi_pm,
    .ranges = {{false, ACPI_PM_BASE, ACPI_PM_SIZE}},
};

static int create_reset_ports(struct suite_env *env, struct device *dev)
{
    struct reset_ports_config cfg = {.reset = on_event, .a20 = on_level, .opaque = env};
    struct reset_ports *r;
    int rc = reset_ports_create(&cfg, &r);

    if (rc != 0)
        return rc;
    *dev = reset_ports_device(r);
    rc = reset_ports_map(r, env->ports);
    return rc != 0 ? rc : bus_map(env->ports, 0xcf9, 1, &reset_ports_cf9_ops, r);
}

const struct suite_class suite_reset_ports = {
    .name = "reset-ports",
    .create = create_reset_ports,
    .ranges = {{false, 0x92, 1}, {false, 0xcf9, 1}},
};

/* The host's time, as far as the test is concerned. */
static int64_t utc_ns(void *opaque)
{
    struct suite_env *env = opaque;

    return 1700000000ll * 1000000000 + (int64_t)vclock_now(env->clock);
}

static int create_rtc(struct suite_env *env, struct device *dev)
{
    struct rtc_config cfg = {
        .loop = env->loop,
        .clock = env->clock,
        .irq = suite_pin(env, RTC_IRQ),
        .utc_ns = utc_ns,
        .opaque = env,
    };
    struct rtc *r;
    int rc = rtc_create(&cfg, &r);

    if (rc != 0)
        return rc;
    rtc_set_memory(r, 3ull << 30, 1ull << 30);
    *dev = rtc_device(r);
    return rtc_map(r, env->ports);
}

static void busy_rtc(struct suite_env *env, struct device *dev)
{
    (void)dev;
    bus_write(env->ports, 0x70, 0x0a, 1);
    bus_write(env->ports, 0x71, 0x23, 1); /* 8192 Hz */
    bus_write(env->ports, 0x70, 0x0b, 1);
    bus_write(env->ports, 0x71, 0x72, 1);
    bus_write(env->ports, 0x70, 0x0c, 1);
    bus_read(env->ports, 0x71, 1);
}

const struct suite_class suite_rtc = {
    .name = "rtc",
    .create = create_rtc,
    .busy = busy_rtc,
    .ranges = {{false, 0x70, 2}},
    .battery = true,
};

static int create_hpet(struct suite_env *env, struct device *dev)
{
    struct hpet_config cfg = {
        .loop = env->loop, .clock = env->clock, .lines = suite_pin(env, 0), .msi = env->msi};
    struct hpet *h;
    int rc = hpet_create(&cfg, &h);

    if (rc != 0)
        return rc;
    *dev = hpet_device(h);
    return hpet_map(h, env->mmio, HPET_MMIO_BASE);
}

static void busy_hpet(struct suite_env *env, struct device *dev)
{
    (void)dev;
    bus_write(env->mmio, HPET_MMIO_BASE + 0x100, 20 << 9 | 0x4c, 8); /* periodic, 100 us */
    bus_write(env->mmio, HPET_MMIO_BASE + 0x108, 10000, 8);
    bus_write(env->mmio, HPET_MMIO_BASE + 0x10, 1, 8);
}

const struct suite_class suite_hpet = {
    .name = "hpet",
    .create = create_hpet,
    .busy = busy_hpet,
    .ranges = {{true, HPET_MMIO_BASE, 0x180}},
};

static int create_i8042(struct suite_env *env, struct device *dev)
{
    struct i8042_config cfg = {
        .loop = env->loop,
        .clock = env->clock,
        .kbd_irq = suite_pin(env, I8042_KBD_IRQ),
        .aux_irq = suite_pin(env, I8042_AUX_IRQ),
        .reset = on_event,
        .a20 = on_level,
        .opaque = env,
    };
    struct i8042 *k;
    int rc = i8042_create(&cfg, &k);

    if (rc != 0)
        return rc;
    *dev = i8042_device(k);
    return i8042_map(k, env->ports);
}

static void busy_i8042(struct suite_env *env, struct device *dev)
{
    bus_write(env->ports, 0x64, 0xd4, 1);
    bus_write(env->ports, 0x60, 0xf4, 1);
    if (i8042_key(dev->self, KEY_UP, true) < 0 && i8042_key(dev->self, KEY_UP, false) < 0)
        suite_activity(env);
    i8042_mouse(dev->self, 1000, -1000, 3, 5);
}

const struct suite_class suite_i8042 = {
    .name = "i8042",
    .create = create_i8042,
    .busy = busy_i8042,
    .ranges = {{false, 0x60, 1}, {false, 0x64, 1}},
};

static int create_fwcfg(struct suite_env *env, struct device *dev)
{
    struct fwcfg *f;
    int rc = fwcfg_create(env->ram, &f);

    if (rc != 0)
        return rc;
    *dev = fwcfg_device(f);
    rc = fwcfg_add_file(f, "opt/test", "0123456789", 10, true);
    return rc != 0 ? rc : fwcfg_map(f, env->ports);
}

/* A DMA read of the file directory. */
static void busy_fwcfg(struct suite_env *env, struct device *dev)
{
    static const uint8_t request[16] = {0, 0x19, 0, 0x0a, 0, 0, 0, 68, 0, 0, 0, 0, 0, 0, 0x20, 0};

    (void)dev;
    if (ram_write(env->ram, 0x1000, request, sizeof(request)) != 0)
        abort();
    bus_write(env->ports, FWCFG_PORT + 8, 0x00100000, 4); /* 0x1000, big endian */
}

const struct suite_class suite_fwcfg = {
    .name = "fwcfg",
    .create = create_fwcfg,
    .busy = busy_fwcfg,
    .ranges = {{false, FWCFG_PORT, FWCFG_PORTS}},
};

static void on_exit_status(void *opaque, uint32_t status)
{
    (void)status;
    suite_activity(opaque);
}

static int create_debug_exit(struct suite_env *env, struct device *dev)
{
    struct debug_exit_config cfg = {.exit = on_exit_status, .opaque = env};
    struct debug_exit *d;
    int rc = debug_exit_create(&cfg, &d);

    if (rc != 0)
        return rc;
    *dev = debug_exit_device(d);
    return debug_exit_map(d, env->ports, DEBUG_EXIT_PORT);
}

const struct suite_class suite_debug_exit = {
    .name = "debug-exit",
    .create = create_debug_exit,
    .ranges = {{false, DEBUG_EXIT_PORT, DEBUG_EXIT_PORTS}},
};

static int create_test_device(struct suite_env *env, struct device *dev)
{
    struct test_device_config cfg = {.lines = suite_pin(env, 0)};
    struct test_device *d;
    int rc = test_device_create(&cfg, &d);

    if (rc != 0)
        return rc;
    *dev = test_device_device(d);
    return test_device_map(d, env->ports, env->mmio);
}

static void busy_test_device(struct suite_env *env, struct device *dev)
{
    (void)dev;
    bus_write(env->ports, TEST_DEVICE_PORT, 0x12345678, 4);
    bus_write(env->mmio, TEST_DEVICE_MMIO + 8, 0x1122334455667788, 8);
    bus_write(env->ports, TEST_DEVICE_LINES_PORT + 5, 1, 1);
}

const struct suite_class suite_test_device = {
    .name = "test-device",
    .create = create_test_device,
    .busy = busy_test_device,
    .ranges = {{false, TEST_DEVICE_PORT, 8},
               {false, TEST_DEVICE_LINES_PORT, TEST_DEVICE_LINES},
               {true, TEST_DEVICE_MMIO, TEST_DEVICE_MMIO_SIZE}},
};

static int create_post_ports(struct suite_env *env, struct device *dev)
{
    struct post_ports_config cfg = {.debug_tx = on_bytes, .opaque = env};
    struct post_ports *p;
    int rc = post_ports_create(&cfg, &p);

    if (rc != 0)
        return rc;
    *dev = post_ports_device(p);
    return post_ports_map(p, env->ports);
}

const struct suite_class suite_post_ports = {
    .name = "post-ports",
    .create = create_post_ports,
    .ranges = {{false, 0x80, 1}, {false, 0xed, 1}, {false, 0x402, 1}},
};
