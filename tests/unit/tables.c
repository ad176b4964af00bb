/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the board tells the guest about itself: memory map, ACPI, SMBIOS, kvm clock, MSRs. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "machine/acpi.h"
#include "machine/kvmclock.h"
#include "machine/msr.h"
#include "machine/smbios.h"

#define MB (UINT64_C(1) << 20)
#define GB (UINT64_C(1) << 30)

/* --- memory map --- */

static void memory_sizes(void **state)
{
    static const struct {
        uint64_t memory, low_end, high_end;
    } good[] = {{16 * MB, 16 * MB, 4 * GB},
                {GB, GB, 4 * GB},
                {0xaff00000, 0xaff00000, 4 * GB},
                {0xb0000000, 2 * GB, 4 * GB + 0x30000000},
                {64 * GB, 2 * GB, 66 * GB}};
    static const uint64_t bad[] = {0, MB, 15 * MB, GB + 4096, 600 * GB, UINT64_MAX & ~(MB - 1)};
    struct layout l;
    struct err e;

    for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(layout_init(&l, good[i].memory, 40, &e), 0);
        assert_int_equal(l.low_end, good[i].low_end);
        assert_int_equal(l.high_end, good[i].high_end);
        assert_true(l.pci64_base >= l.high_end);
        assert_true(l.pci64_base + l.pci64_size <= UINT64_C(1) << 40);
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        e = (struct err){0};
        assert_true(layout_init(&l, bad[i], 40, &e) < 0);
        assert_true(e.usage);
        assert_non_null(strstr(e.text, "--memory"));
    }
}

static void ranges_are_apart(void **state)
{
    struct layout_range r[LAYOUT_RANGES];
    struct layout l;
    struct err e;
    uint64_t end = 0, ram = 0;
    unsigned n;

    assert_int_equal(layout_init(&l, 8 * GB, 40, &e), 0);
    n = layout_ranges(&l, r);
    for (unsigned i = 0; i < n; i++) {
        assert_true(r[i].base >= end);
        end = r[i].base + r[i].size;
        if (r[i].type == E820_RAM)
            ram += r[i].size;
    }
    assert_true(ram > 8 * GB - MB && ram < 8 * GB);
}

/* --- tables --- */

struct fixture {
    struct layout layout;
    struct ram *ram;
};

static struct acpi_config config(unsigned vcpus)
{
    return (struct acpi_config){.vcpus = vcpus,
                                .ecam_base = LAYOUT_ECAM_BASE,
                                .pci32_base = LAYOUT_PCI32_BASE,
                                .pci64_base = UINT64_C(1) << 36,
                                .pci64_size = UINT64_C(1) << 36,
                                .lpc_slot = 31,
                                .pic_irq = {5, 7, 10, 11}};
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const struct smbios_config sm = {.name = "test", .uuid = {1, 2, 3}, .vcpus = 1};
    const struct acpi_config acpi = config(3);
    struct err e;

    *state = f;
    assert_int_equal(layout_init(&f->layout, 32 * MB, 40, &e), 0);
    assert_int_equal(layout_create_ram(&f->layout, RAM_PAGES_SMALL, &f->ram, &e), 0);
    assert_int_equal(acpi_write(&acpi, f->ram, &e), 0);
    assert_int_equal(smbios_write(&sm, &f->layout, f->ram, &e), 0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ram_destroy(f->ram);
    free(f);
    return 0;
}

static uint8_t sum(const uint8_t *p, uint32_t len)
{
    uint8_t s = 0;

    while (len-- > 0)
        s = (uint8_t)(s + *p++);
    return s;
}

static const uint8_t *at(struct fixture *f, gpa_t gpa, uint32_t len)
{
    const uint8_t *p = ram_ptr(f->ram, gpa, len, false);

    assert_non_null(p);
    return p;
}

static const uint8_t *check_table(struct fixture *f, gpa_t gpa, const char *sig)
{
    const uint8_t *t = at(f, gpa, 36);
    uint32_t len = ld_le32(t + 4);

    assert_true(range_inside(gpa, len, LAYOUT_ACPI_BASE, LAYOUT_ACPI_END - LAYOUT_ACPI_BASE));
    if (sig != NULL)
        assert_memory_equal(t, sig, 4);
    assert_int_equal(sum(t, len), 0);
    return t;
}

static const uint8_t *find_table(struct fixture *f, const char *sig)
{
    const uint8_t *rsdp = at(f, ACPI_RSDP_ADDR, 36), *xsdt;

    assert_memory_equal(rsdp, "RSD PTR ", 8);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, 36), 0);
    check_table(f, ld_le32(rsdp + 16), "RSDT");
    xsdt = check_table(f, ld_le64(rsdp + 24), "XSDT");
    for (uint32_t i = 36; i < ld_le32(xsdt + 4); i += 8) {
        const uint8_t *t = check_table(f, ld_le64(xsdt + i), NULL);

        if (memcmp(t, sig, 4) == 0)
            return t;
    }
    return NULL;
}

static void acpi_tables(void **state)
{
    struct fixture *f = *state;
    const uint8_t *t = find_table(f, "FACP"), *dsdt;

    assert_non_null(t);
    assert_int_equal(ld_le32(t + 4), 276);
    assert_memory_equal(at(f, ld_le32(t + 36), 64), "FACS", 4);
    assert_int_equal(ld_le32(t + 36), ACPI_FACS_ADDR);
    assert_true(is_aligned(ACPI_FACS_ADDR, 64));
    assert_int_equal(ld_le64(t + 140), ld_le32(t + 40));
    dsdt = check_table(f, ld_le64(t + 140), "DSDT");
    assert_null(memmem(dsdt, ld_le32(dsdt + 4), "\x88\x77\x66\x55", 4)); /* patched */
    t = find_table(f, "APIC");
    assert_non_null(t);
    assert_int_equal(t[44], 0); /* a processor */
    assert_int_equal(t[44 + 2 * 8 + 3], 2);
    t = find_table(f, "MCFG");
    assert_non_null(t);
    assert_int_equal(ld_le64(t + 44), LAYOUT_ECAM_BASE);
    assert_non_null(find_table(f, "HPET"));
}

static void acpi_many_cpus(void **state)
{
    struct fixture *f = *state;
    struct acpi_config cfg = config(255);
    struct err e = {0};

    assert_int_equal(acpi_write(&cfg, f->ram, &e), 0);
    assert_non_null(find_table(f, "APIC"));
    cfg.vcpus = 20000;
    assert_true(acpi_write(&cfg, f->ram, &e) < 0);
}

/* What firmware does with the blobs: each is put somewhere, pointers get the place's address added,
 * checksums are made. */
static void run_loader(const struct acpi_blobs *b, uint8_t *rsdp, uint8_t *tables, uint64_t at)
{
    for (uint32_t i = 0; i < b->loader_len; i += 128) {
        const uint8_t *c = b->loader + i;
        uint8_t *file = strcmp((const char *)c + 4, ACPI_FILE_RSDP) == 0 ? rsdp : tables;
        uint32_t where;
        uint8_t sum_of = 0;

        switch (ld_le32(c)) {
        case 1: /* allocate: first of all commands */
            assert_true(i < 2 * 128);
            break;
        case 2:
            assert_string_equal((const char *)c + 60, ACPI_FILE_TABLES);
            where = ld_le32(c + 116);
            if (c[120] == 8)
                st_le64(file + where, ld_le64(file + where) + at);
            else
                st_le32(file + where, ld_le32(file + where) + (uint32_t)at);
            break;
        case 3:
            where = ld_le32(c + 60);
            assert_int_equal(file[where], 0);
            for (uint32_t k = 0; k < ld_le32(c + 68); k++)
                sum_of = (uint8_t)(sum_of + file[ld_le32(c + 64) + k]);
            file[where] = (uint8_t)-sum_of;
            break;
        default:
            fail();
        }
    }
}

static void acpi_loader(void **state)
{
    struct fixture *f = *state;
    const struct acpi_config cfg = config(2);
    const gpa_t at_gpa = LAYOUT_ACPI_BASE + 0x1000;
    struct acpi_blobs *b = calloc(1, sizeof(*b));
    struct err e;
    uint32_t room = LAYOUT_ACPI_END - (uint32_t)at_gpa;

    assert_non_null(b);
    assert_int_equal(acpi_build(&cfg, b, &e), 0);
    run_loader(b, b->rsdp, b->tables, at_gpa);
    assert_int_equal(ram_load(f->ram, at_gpa, b->tables, room), 0);
    assert_int_equal(ram_load(f->ram, ACPI_RSDP_ADDR, b->rsdp, sizeof(b->rsdp)), 0);
    free(b);
    assert_non_null(find_table(f, "FACP"));
    assert_non_null(find_table(f, "APIC"));
    assert_non_null(find_table(f, "MCFG"));
}

static void smbios_tables(void **state)
{
    struct fixture *f = *state;
    const uint8_t *p = at(f, LAYOUT_SMBIOS_BASE, 24), *t;
    uint32_t len = ld_le32(p + 12), seen = 0;
    const uint8_t *end;

    assert_memory_equal(p, "_SM3_", 5);
    assert_int_equal(sum(p, p[6]), 0);
    t = at(f, ld_le64(p + 16), len);
    end = t + len;
    while (t < end) {
        uint8_t type = t[0];

        seen |= 1u << (type & 31);
        t += t[1];
        while (t[0] != 0 || t[1] != 0)
            t++;
        t += 2;
        if (type == 127)
            break;
    }
    assert_ptr_equal(t, end);
    assert_true(seen & 1u << 1);
    assert_true(seen & 1u << 17);
}

/* --- kvm clock --- */

static void clock_scale(void **state)
{
    static const uint64_t khz[] = {1, 1000, 500000, 999999, 1000000, 1000001, 2600000, 5000000};

    for (unsigned i = 0; i < ARRAY_LEN(khz); i++) {
        uint64_t tsc = khz[i] * 1000 * 100, ns; /* 100 seconds */
        uint32_t mul;
        int8_t shift;

        kvmclock_scale(khz[i], &mul, &shift);
        tsc = shift < 0 ? tsc >> -shift : tsc << shift;
        ns = (uint64_t)((unsigned __int128)tsc * mul >> 32);
        assert_in_range(ns, 99999999000, 100000000000);
    }
}

static void clock_page(void **state)
{
    struct fixture *f = *state;
    const struct kvmclock_now now = {
        .tsc = 123456, .tsc_khz = 2000000, .ns = 77, .utc_ns = 1700000000000000077};
    struct kvmclock k = {0};
    const uint8_t *p = at(f, 0x200000, 32);
    uint32_t version;

    kvmclock_write_system(&k, 0x200001, &now, f->ram);
    assert_int_equal(ld_le32(p) & 1, 0);
    assert_int_equal(ld_le64(p + 8), 123456);
    assert_int_equal(ld_le64(p + 16), 77);
    assert_int_equal(p[29], 1);
    version = ld_le32(p);
    kvmclock_refresh(&k, &now, f->ram);
    assert_int_equal(ld_le32(p), version + 2);
    kvmclock_write_system(&k, 0, &now, f->ram); /* off */
    kvmclock_refresh(&k, &now, f->ram);
    assert_int_equal(ld_le32(p), version + 2);
    kvmclock_write_wall(&k, 0x200100, &now, f->ram);
    p = at(f, 0x200100, 12);
    assert_int_equal(ld_le32(p + 4), 1700000000);
    assert_int_equal(ld_le32(p + 8), 0);
    /* An address without memory is the guest's own loss. */
    kvmclock_write_system(&k, UINT64_MAX, &now, f->ram);
    kvmclock_write_wall(&k, UINT64_MAX - 2, &now, f->ram);
}

/* --- MSRs --- */

static void msrs(void **state)
{
    struct msr_file f;
    uint64_t v;

    msr_reset(&f, true);
    assert_true(msr_read(&f, 0xc0010015, &v));
    assert_true(v & 1 << 24);
    assert_true(msr_write(&f, 0xc0011029, 3));
    assert_false(msr_read(&f, 0x10a, &v));
    assert_false(msr_read(&f, 0xc0000080, &v)); /* EFER is the engine's */
    msr_reset(&f, false);
    assert_true(msr_read(&f, 0x10a, &v));
    assert_true(v & 1);
    assert_true(msr_write(&f, 0x48, 1));
    assert_true(msr_read(&f, 0x48, &v));
    assert_int_equal(v, 1);
    assert_false(msr_write(&f, 0x48, 1u << 31));
    assert_false(msr_read(&f, 0xc0010015, &v));
    assert_false(msr_write(&f, 0xfe, 0));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_sizes),
        cmocka_unit_test(ranges_are_apart),
        T(acpi_tables),
        T(acpi_many_cpus),
        T(acpi_loader),
        T(smbios_tables),
        T(clock_page),
        cmocka_unit_test(clock_scale),
        cmocka_unit_test(msrs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
