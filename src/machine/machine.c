/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The board's life: see machine.h. */
#include "machine/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "machine/acpi.h"
#include "machine/boot.h"
#include "machine/machine_internal.h"
#include "machine/smbios.h"

enum { UEFI_PHYS_BITS = 40 };

/* --- creation --- */

/* UEFI maps all addresses that the processor has before it starts anything, with tables in memory
 * below 4 GB: a gigabyte of them for 48 bits. So it is shown no more bits than a machine of this
 * size can use. */
static unsigned phys_max(const struct machine_config *cfg)
{
    bool uefi = cfg->firmware.kind == FIRMWARE_UEFI || cfg->firmware.kind == FIRMWARE_FILE;

    return uefi && cfg->memory <= UINT64_C(1) << (UEFI_PHYS_BITS - 1) ? UEFI_PHYS_BITS : 0;
}

static int create_cpuid(struct machine *m, uint64_t tsc_khz, struct err *e)
{
    struct cpuid_offer *offer = calloc(1, sizeof(*offer));
    struct cpuid_request ask = {.tsc_khz = tsc_khz,
                                .vcpus = m->cfg.vcpus,
                                .topology = m->cfg.topology,
                                .phys_max = phys_max(&m->cfg),
                                .policy = m->cfg.cpu,
                                .offer = offer};
    int rc = 0;

    if (offer == NULL)
        return err_set(e, ENOMEM, "out of memory");
    if (m->cfg.engine->cpuid_offer == NULL)
        ask.offer = NULL;
    else
        rc = m->cfg.engine->cpuid_offer(offer, e);
    if (rc == 0)
        rc = cpuid_table_make(&m->cpuid, &ask, e);
    free(offer);
    return rc;
}

static int create_buses(struct machine *m, struct err *e)
{
    unsigned bits = cpuid_phys_bits(&m->cpuid);
    int rc = bus_create(&m->ports, 0x10000);

    if (rc == 0)
        rc = bus_create(&m->mmio, UINT64_C(1) << bits);
    if (rc == 0)
        rc = vclock_create(&m->clock);
    return rc < 0 ? err_set(e, -rc, "cannot create the machine: %s", strerror(-rc)) : 0;
}

/* The engine gets the CPUID table when it is created and tells the TSC's frequency afterwards; the
 * table is complete before any vCPU exists. */
static int create_engine(struct machine *m, struct err *e)
{
    const struct engine_ops *en = m->cfg.engine;
    const struct engine_config cfg = {.ram = m->ram,
                                      .host = &m->host,
                                      .cpuid = &m->cpuid,
                                      .vcpus = m->cfg.vcpus,
                                      .stats = m->cfg.stats,
                                      .trace = m->cfg.trace};
    int rc;

    platform_init(m);
    rc = en->create(&cfg, &m->engine, e);
    if (rc == 0)
        rc = create_cpuid(m, en->tsc_khz(m->engine), e);
    for (unsigned i = 0; i < m->cfg.vcpus && rc == 0; i++)
        rc = en->vcpu_create(m->engine, i, &m->vcpu[i], e);
    return rc;
}

/* Of shared memory hosts seldom make large pages. */
static enum ram_pages choose_pages(const struct machine *m)
{
    if (m->cfg.pages != RAM_PAGES_SMALL)
        return m->cfg.pages;
    return m->cfg.engine->maps_ram ? RAM_PAGES_SMALL : RAM_PAGES_LARGE;
}

static int create_memory(struct machine *m, struct err *e)
{
    struct firmware *f = &m->firmware;
    int rc = firmware_open(f, &m->cfg.firmware, e);

    if (rc == 0 && firmware_size(f) != 0)
        layout_firmware(&m->layout, firmware_size(f), firmware_vars_size(f),
                        cpuid_phys_bits(&m->cpuid));
    board_size_video(m);
    if (rc == 0)
        rc = layout_create_ram(&m->layout, choose_pages(m), &m->ram, e);
    return rc == 0 && firmware_size(f) != 0 ? firmware_load(f, &m->layout, m->ram, e) : rc;
}

static int create_parts(struct machine *m, struct err *e)
{
    int rc = create_cpuid(m, 0, e);

    if (rc == 0)
        rc = layout_init(&m->layout, m->cfg.memory, cpuid_phys_bits(&m->cpuid), e);
    if (rc == 0)
        rc = create_memory(m, e);
    if (rc == 0)
        rc = create_buses(m, e);
    if (rc == 0 && m->cfg.stats && (rc = iostat_create(&m->iostat)) < 0)
        err_set(e, ENOMEM, "out of memory");
    if (rc == 0)
        rc = board_create(m, e);
    return rc == 0 ? create_engine(m, e) : rc;
}

int machine_create(const struct machine_config *cfg, struct machine **out, struct err *e)
{
    struct machine *m = calloc(1, sizeof(*m));
    int rc;

    if (m == NULL)
        return err_set(e, ENOMEM, "out of memory");
    m->cfg = *cfg;
    m->firmware = (struct firmware){.code = {.fd = -1}, .vars = {.fd = -1}, .vars_fd = -1};
    lock_init(&m->intx_lock, LOCK_LINE);
    if (getrandom(m->uuid, sizeof(m->uuid), 0) != (ssize_t)sizeof(m->uuid))
        memset(m->uuid, 0, sizeof(m->uuid)); /* SMBIOS: not set */
    rc = create_parts(m, e);
    if (rc < 0) {
        machine_destroy(m);
        return rc;
    }
    *out = m;
    return 0;
}

static void destroy_engine(struct machine *m)
{
    if (m->engine == NULL)
        return;
    for (unsigned i = 0; i < m->cfg.vcpus; i++)
        if (m->vcpu[i] != NULL)
            m->cfg.engine->vcpu_destroy(m->vcpu[i]);
    m->cfg.engine->destroy(m->engine);
    m->engine = NULL;
}

void machine_destroy(struct machine *m)
{
    if (m == NULL)
        return;
    destroy_engine(m);
    while (m->device_count > 0) {
        struct device d = m->devices[--m->device_count];

        d.ops->destroy(d.self);
    }
    if (m->pci != NULL)
        pci_bus_destroy(m->pci);
    if (m->apic != NULL)
        apic_bus_destroy(m->apic);
    if (m->mmio != NULL)
        bus_destroy(m->mmio);
    if (m->ports != NULL)
        bus_destroy(m->ports);
    if (m->clock != NULL)
        vclock_destroy(m->clock);
    iostat_destroy(m->iostat);
    firmware_close(&m->firmware);
    free(m->acpi);
    lock_finish(&m->intx_lock);
    if (m->ram != NULL)
        ram_destroy(m->ram);
    free(m);
}

/* --- reset --- */

/* The memory types as firmware sets them: all write-back but the video hole and what lies between
 * low RAM and 4 GB. Intel SDM vol. 3, 12.11. */
static void set_mtrrs(const struct machine *m, struct x86_cpu *c)
{
    const uint64_t wb = 0x0606060606060606;
    uint64_t space = (UINT64_C(1) << cpuid_phys_bits(&m->cpuid)) - 1;
    bool above_2g = m->layout.low_end > 0x80000000u;
    uint64_t base = above_2g ? 0xc0000000u : 0x80000000u;
    uint64_t size = above_2g ? 0x40000000u : 0x80000000u;

    c->mtrr_def_type = 0xc06; /* enabled, fixed ranges enabled, write-back */
    for (unsigned i = 0; i < 11; i++)
        c->mtrr_fixed[i] = wb;
    c->mtrr_fixed[2] = 0; /* a0000 - bffff */
    c->mtrr_base[0] = base;
    c->mtrr_mask[0] = (~(size - 1) & space) | 0x800;
    if (above_2g) {
        c->mtrr_base[1] = LAYOUT_ECAM_BASE;
        c->mtrr_mask[1] = (~(uint64_t)(LAYOUT_ECAM_SIZE - 1) & space) | 0x800;
    }
}

/* What firmware leaves of the x87: FNINIT. */
static void set_fpu(struct x86_cpu *c)
{
    c->xsave[0] = 0x7f;
    c->xsave[1] = 0x03;
    c->xsave[4] = 0; /* abridged tag word: all empty */
}

/* The ROM holds nothing but a reset vector that stops: a guest that jumps there waits for good. */
static int write_rom(struct machine *m, struct err *e)
{
    static const uint8_t stop[16] = {0xfa, 0xf4, 0xeb, 0xfd}; /* cli; hlt; jmp hlt */
    int rc = ram_load(m->ram, LAYOUT_HIGH_BASE - sizeof(stop), stop, sizeof(stop));

    return rc < 0 ? err_set(e, -rc, "cannot write the boot ROM: %s", strerror(-rc)) : 0;
}

static int write_tables(struct machine *m, struct err *e)
{
    struct smbios_config sm = {
        .name = m->cfg.name, .vcpus = m->cfg.vcpus, .topology = m->cfg.topology};
    struct acpi_config acpi = board_acpi(m);
    int rc = acpi_write(&acpi, m->ram, e);

    memcpy(sm.uuid, m->uuid, sizeof(sm.uuid));
    if (rc == 0)
        rc = smbios_write(&sm, &m->layout, m->ram, e);
    if (rc == 0)
        rc = board_bios_memory(m, e);
    return rc == 0 ? write_rom(m, e) : rc;
}

void machine_firmware_cpu(const struct machine *m, struct x86_cpu *c)
{
    set_mtrrs(m, c);
    set_fpu(c);
}

int machine_set_cpus(struct machine *m, struct x86_cpu *boot, struct err *e)
{
    int rc = m->cfg.engine->set_state(m->vcpu[0], boot, e);

    for (unsigned i = 1; i < m->cfg.vcpus && rc == 0; i++) {
        x86_cpu_reset(boot);
        machine_firmware_cpu(m, boot);
        boot->mp_state = X86_MP_INIT;
        rc = m->cfg.engine->set_state(m->vcpu[i], boot, e);
    }
    return rc;
}

static int boot(struct machine *m, struct err *e)
{
    struct boot_config cfg = {.kernel = m->cfg.kernel,
                              .initrd = m->cfg.initrd,
                              .append = m->cfg.append,
                              .module_count = m->cfg.module_count,
                              .rsdp = ACPI_RSDP_ADDR};
    struct x86_cpu *cpu = aligned_alloc(64, sizeof(*cpu));
    bool bios;
    int rc;

    if (cpu == NULL)
        return err_set(e, ENOMEM, "out of memory");
    memcpy(cfg.modules, m->cfg.modules, sizeof(cfg.modules));
    x86_cpu_reset(cpu);
    machine_firmware_cpu(m, cpu);
    rc = boot_load(&cfg, &m->layout, m->ram, cpu, &bios, e);
    if (rc == 0)
        rc = machine_set_cpus(m, cpu, e);
    if (rc == 0 && bios)
        board_bios_chips(m);
    free(cpu);
    return rc;
}

/* Firmware finds the processors and the board as they are after reset. */
static int boot_firmware(struct machine *m, struct err *e)
{
    struct x86_cpu *cpu = aligned_alloc(64, sizeof(*cpu));
    int rc;

    if (cpu == NULL)
        return err_set(e, ENOMEM, "out of memory");
    x86_cpu_reset(cpu);
    rc = machine_set_cpus(m, cpu, e);
    free(cpu);
    return rc;
}

static int boot_direct(struct machine *m, struct err *e)
{
    int rc = board_firmware(m, e);

    if (rc == 0)
        rc = write_tables(m, e);
    return rc == 0 ? boot(m, e) : rc;
}

void machine_reset_rest(struct machine *m)
{
    bool amd = (m->cpuid.leaf[0].ebx != 0x756e6547u); /* not "Genu"ineIntel */

    board_reset_a20(m);
    for (unsigned i = 0; i < m->cfg.vcpus; i++) {
        msr_reset(&m->msr[i], amd);
        m->kvmclock[i] = (struct kvmclock){0};
    }
}

int machine_reset(struct machine *m, struct err *e)
{
    int rc = board_boot_order(m, e);

    if (rc < 0)
        return rc;
    atomic_store(&m->asleep, false);
    for (unsigned i = 0; i < m->device_count; i++)
        m->devices[i].ops->reset(m->devices[i].self);
    machine_reset_rest(m);
    rc = m->layout.rom_size != 0 ? boot_firmware(m, e) : boot_direct(m, e);
    if (rc == 0)
        platform_clock_begin(m);
    return rc;
}

/* --- pause --- */

void machine_pause(struct machine *m)
{
    if (m->paused)
        return;
    m->paused = true;
    vclock_pause(m->clock);
    for (unsigned i = m->device_count; i-- > 0;)
        if (m->devices[i].ops->pause != NULL)
            m->devices[i].ops->pause(m->devices[i].self);
}

void machine_resume(struct machine *m)
{
    if (!m->paused)
        return;
    m->paused = false;
    for (unsigned i = 0; i < m->device_count; i++)
        if (m->devices[i].ops->resume != NULL)
            m->devices[i].ops->resume(m->devices[i].self);
    vclock_resume(m->clock);
    platform_clock_begin(m);
    for (unsigned i = 0; i < m->cfg.vcpus; i++) {
        struct kvmclock_now now = platform_now(m, i);

        kvmclock_refresh(&m->kvmclock[i], &now, m->ram);
    }
}

/* --- parts --- */

struct ram *machine_ram(struct machine *m)
{
    return m->ram;
}

struct engine *machine_engine(struct machine *m)
{
    return m->engine;
}

struct engine_vcpu *machine_vcpu(struct machine *m, unsigned vcpu)
{
    return m->vcpu[vcpu];
}

struct serial *machine_serial(struct machine *m)
{
    return m->serial;
}

struct vclock *machine_clock(struct machine *m)
{
    return m->clock;
}
