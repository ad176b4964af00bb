/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Suspend to RAM: ACPI 6.4, 16.1.1 (S3). Asleep, only memory, the real-time clock, power management
 * and what the host bridge shows below 1 MB keep what they have; all else is reset. The boot
 * processor wakes at the reset vector, where firmware sees by a byte of CMOS what happened; without
 * firmware it wakes where firmware would go: at the vector in the FACS, in real mode.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"
#include "machine/machine_internal.h"

enum {
    CMOS_SHUTDOWN = 0x0f, /* why the processor was reset; 0xfe: it slept */
    SHUTDOWN_S3 = 0xfe,
    FACS_VECTOR = 12, /* ACPI 6.4, 5.2.10 */
};

static bool keeps_power(const struct machine *m, const struct device *d)
{
    return d->self == m->rtc || d->self == m->pm || d->self == m->host_bridge.self;
}

static void reset_devices(struct machine *m)
{
    for (unsigned i = 0; i < m->device_count; i++)
        if (!keeps_power(m, &m->devices[i]))
            m->devices[i].ops->reset(m->devices[i].self);
    for (unsigned i = 0; i < m->device_count; i++)
        if (keeps_power(m, &m->devices[i]) && m->devices[i].ops->restore != NULL)
            m->devices[i].ops->restore(m->devices[i].self); /* pins that others forgot */
}

static void wake_by(struct machine *m, unsigned why)
{
    if (!atomic_load(&m->asleep))
        return;
    acpi_pm_wake(m->pm, why);
    m->cfg.hooks.wake_up(m->cfg.hooks.opaque);
}

void machine_sleep(struct machine *m)
{
    reset_devices(m);
    machine_reset_rest(m);
    atomic_store(&m->asleep, true);
    if (atomic_load(&m->rtc_line)) /* its alarm came first */
        wake_by(m, ACPI_PM_WAKE_RTC);
}

void board_rtc_pin(void *opaque, unsigned line, bool level)
{
    struct machine *m = opaque;

    atomic_store(&m->rtc_line, level);
    hpet_isa_in(m->hpet, line, level);
    if (level)
        wake_by(m, ACPI_PM_WAKE_RTC);
}

void machine_power_button(struct machine *m)
{
    acpi_pm_power_button(m->pm);
    wake_by(m, ACPI_PM_WAKE_OTHER);
}

bool machine_asleep(struct machine *m)
{
    return atomic_load(&m->asleep);
}

bool machine_wake_request(struct machine *m)
{
    bool asleep = machine_asleep(m);

    wake_by(m, ACPI_PM_WAKE_OTHER);
    return asleep;
}

/* Real mode, with the vector's address as segment and offset (16.3.1.1). */
static int enter_vector(struct machine *m, struct x86_cpu *cpu, struct err *e)
{
    uint8_t word[4];
    uint32_t vector;
    int rc = ram_read(m->ram, ACPI_FACS_ADDR + FACS_VECTOR, word, sizeof(word));

    if (rc < 0)
        return err_set(e, -rc, "the table with the address to wake at cannot be read");
    vector = ld_le32(word);
    cpu->seg[X86_CS].selector = (uint16_t)(vector >> 4);
    cpu->seg[X86_CS].base = vector & 0xffff0;
    cpu->rip = vector & 15;
    rc = board_firmware(m, e);
    return rc == 0 && (vector == 0 || vector > 0xfffff)
               ? err_set(e, EFAULT, "the guest slept without an address to wake at")
               : rc;
}

static int start(struct machine *m, struct err *e)
{
    struct x86_cpu *cpu = aligned_alloc(64, sizeof(*cpu));
    int rc = 0;

    if (cpu == NULL)
        return err_set(e, ENOMEM, "out of memory");
    x86_cpu_reset(cpu);
    if (m->layout.rom_size != 0) {
        rtc_set_cmos(m->rtc, CMOS_SHUTDOWN, SHUTDOWN_S3);
    } else {
        machine_firmware_cpu(m, cpu);
        rc = enter_vector(m, cpu, e);
        if (rc == 0 && m->tpm != NULL)
            tpm_wake(m->tpm);
    }
    if (rc == 0)
        rc = machine_set_cpus(m, cpu, e);
    free(cpu);
    return rc;
}

int machine_wake(struct machine *m, struct err *e)
{
    int rc = start(m, e);

    atomic_store(&m->asleep, false);
    if (rc == 0)
        platform_clock_begin(m);
    return rc;
}
