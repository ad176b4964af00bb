/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SMBIOS tables: see smbios.h. Section numbers are those of DSP0134 3.4. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "machine/smbios.h"

enum { AREA = 4096, ENTRY = 24, TABLES_AT = 32, STRINGS = 4 };

struct area {
    uint8_t mem[AREA];
    uint32_t at;
    uint16_t handle;
    bool full;
};

/* Adds a structure: `body` follows the four header bytes, then come the strings, which the body
 * counts from 1. Returns its handle. 6.1.2, 6.1.3. */
static uint16_t add(struct area *a, uint8_t type, const void *body, uint8_t len,
                    const char *const strings[STRINGS])
{
    uint8_t *p = a->mem + a->at;
    uint32_t n = 4u + len;

    if (a->at + n + 512 > AREA) {
        a->full = true;
        return 0;
    }
    p[0] = type;
    p[1] = (uint8_t)n;
    st_le16(p + 2, a->handle);
    if (len > 0)
        memcpy(p + 4, body, len);
    for (unsigned i = 0; i < STRINGS && strings != NULL && strings[i] != NULL; i++) {
        size_t size = strnlen(strings[i], 100);

        memcpy(p + n, strings[i], size);
        p[n + size] = 0;
        n += (uint32_t)size + 1;
    }
    if (n == 4u + len)
        p[n++] = 0;
    p[n++] = 0;
    a->at += n;
    return a->handle++;
}

static void add_firmware(struct area *a)
{
    static const char *const strings[STRINGS] = {"doppel", "1.0", "01/01/2024"};
    uint8_t b[20] = {1, 2, 0, 0xe0, 3};

    b[8] = 0x08;  /* characteristics (64 bits): not supported */
    b[15] = 0x10; /* this is a virtual machine */
    b[18] = b[19] = 0xff;
    add(a, 0, b, sizeof(b), strings);
}

static void add_system(struct area *a, const struct smbios_config *cfg)
{
    const char *const strings[STRINGS] = {"doppel", "Virtual Machine", "1.0", cfg->name};
    uint8_t b[23] = {1, 2, 3, cfg->name != NULL ? 4 : 0};

    memcpy(b + 4, cfg->uuid, 16);
    b[20] = 6; /* woken up by the power switch */
    add(a, 1, b, sizeof(b), strings);
}

static void add_chassis(struct area *a)
{
    static const char *const strings[STRINGS] = {"doppel"};
    uint8_t b[18] = {1, 1 /* other */, 0, 0, 0, 3, 3, 3, 3};

    add(a, 3, b, sizeof(b), strings);
}

static void add_processor(struct area *a, const struct x86_topology *t, unsigned socket)
{
    char name[16];
    const char *const strings[STRINGS] = {name, "doppel"};
    unsigned threads = t->cores * t->threads;
    uint8_t b[44] = {0};

    b[0] = 1;
    b[1] = 3; /* central processor */
    b[2] = 1; /* family: other */
    b[3] = 2;
    b[0x18 - 4] = 0x41; /* socket populated, enabled */
    b[0x19 - 4] = 1;
    st_le16(b + 0x1a - 4, 0xffff); /* no cache handles */
    st_le16(b + 0x1c - 4, 0xffff);
    st_le16(b + 0x1e - 4, 0xffff);
    b[0x23 - 4] = b[0x24 - 4] = (uint8_t)t->cores;
    b[0x25 - 4] = (uint8_t)threads;
    st_le16(b + 0x26 - 4, 4); /* 64-bit capable */
    st_le16(b + 0x2a - 4, (uint16_t)t->cores);
    st_le16(b + 0x2c - 4, (uint16_t)t->cores);
    st_le16(b + 0x2e - 4, (uint16_t)threads);
    snprintf(name, sizeof(name), "CPU %u", socket);
    add(a, 4, b, sizeof(b), strings);
}

static uint16_t add_memory_array(struct area *a, uint64_t memory)
{
    uint8_t b[19] = {1, 3, 6}; /* other, system memory, multi-bit ECC */

    st_le32(b + 3, 0x80000000u);
    st_le16(b + 7, 0xfffe);
    st_le16(b + 9, 1);
    st_le64(b + 11, memory);
    return add(a, 16, b, sizeof(b), NULL);
}

static void add_memory_device(struct area *a, uint16_t array, uint64_t memory)
{
    static const char *const strings[STRINGS] = {"DIMM 0", "doppel"};
    uint64_t mb = memory >> 20;
    uint8_t b[36] = {0};

    st_le16(b, array);
    st_le16(b + 2, 0xfffe);
    st_le16(b + 4, 64);
    st_le16(b + 6, 64);
    st_le16(b + 8, mb < 0x7fff ? (uint16_t)mb : 0x7fff);
    b[10] = 9; /* DIMM */
    b[12] = 1;
    b[14] = 7; /* RAM */
    st_le16(b + 15, 2);
    b[19] = 2;
    st_le32(b + 24, (uint32_t)mb);
    add(a, 17, b, sizeof(b), strings);
}

static void add_mapping(struct area *a, uint16_t array, uint64_t base, uint64_t end)
{
    uint8_t b[27] = {0};

    if (end <= base)
        return;
    st_le32(b, 0xffffffffu); /* the 64-bit fields count */
    st_le32(b + 4, 0xffffffffu);
    st_le16(b + 8, array);
    b[10] = 1;
    st_le64(b + 11, base);
    st_le64(b + 19, end - 1);
    add(a, 19, b, sizeof(b), NULL);
}

static void put_entry(struct area *a)
{
    uint8_t *p = a->mem;

    memcpy(p, "_SM3_", 5); /* 5.2.2 */
    p[6] = ENTRY;
    p[7] = 3;
    p[8] = 4;
    p[10] = 1;
    st_le32(p + 12, a->at - TABLES_AT);
    st_le64(p + 16, LAYOUT_SMBIOS_BASE + TABLES_AT);
    p[5] = byte_checksum(p, ENTRY);
}

static int fill(struct area *a, const struct smbios_config *cfg, const struct layout *l,
                struct err *e)
{
    static const uint8_t boot_status[16] = {0}; /* no errors */
    struct x86_topology t =
        cfg->topology.sockets != 0 ? cfg->topology : x86_topology_flat(cfg->vcpus);
    uint16_t array;

    a->at = TABLES_AT;
    add_firmware(a);
    add_system(a, cfg);
    add_chassis(a);
    for (unsigned i = 0; i < t.sockets; i++)
        add_processor(a, &t, i);
    array = add_memory_array(a, l->memory);
    add_memory_device(a, array, l->memory);
    add_mapping(a, array, 0, l->low_end);
    add_mapping(a, array, LAYOUT_HIGH_BASE, l->high_end);
    add(a, 32, boot_status, sizeof(boot_status), NULL);
    add(a, 127, NULL, 0, NULL);
    return a->full ? err_set(e, ENOSPC, "the SMBIOS tables do not fit") : 0;
}

int smbios_write(const struct smbios_config *cfg, const struct layout *l, struct ram *ram,
                 struct err *e)
{
    struct area a = {0};
    int rc = fill(&a, cfg, l, e);

    if (rc < 0)
        return rc;
    put_entry(&a);
    rc = ram_load(ram, LAYOUT_SMBIOS_BASE, a.mem, a.at);
    return rc < 0 ? err_set(e, -rc, "no memory for the SMBIOS tables") : 0;
}

/* 5.2.1 */
static void put_entry_2(const struct area *a, struct smbios_blobs *b)
{
    uint8_t *p = b->anchor;

    memcpy(p, "_SM_", 4);
    p[5] = sizeof(b->anchor);
    p[6] = 2;
    p[7] = 8;
    st_le16(p + 8, 512); /* no structure is larger */
    memcpy(p + 16, "_DMI_", 5);
    st_le16(p + 22, (uint16_t)b->len);
    st_le16(p + 28, a->handle); /* so many structures */
    p[30] = 0x28;
}

int smbios_build(const struct smbios_config *cfg, const struct layout *l, struct smbios_blobs *b,
                 struct err *e)
{
    struct area a = {0};
    int rc = fill(&a, cfg, l, e);

    if (rc < 0)
        return rc;
    *b = (struct smbios_blobs){.len = a.at - TABLES_AT};
    memcpy(b->tables, a.mem + TABLES_AT, b->len);
    put_entry_2(&a, b);
    return 0;
}
