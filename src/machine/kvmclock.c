/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kvm paravirtual clock: see kvmclock.h. */
#include "machine/kvmclock.h"
#include "base/bits.h"
#include "base/checked.h"
#include "base/log.h"

enum { ENABLED = 1, TSC_STABLE = 1 };

/* struct pvclock_vcpu_time_info */
enum { TI_VERSION = 0, TI_TSC = 8, TI_SYSTEM = 16, TI_MUL = 24, TI_SHIFT = 28, TI_FLAGS = 29 };
enum { TI_SIZE = 32, WALL_SIZE = 12 };

void kvmclock_scale(uint64_t tsc_khz, uint32_t *mul, int8_t *shift)
{
    const uint64_t second = 1000000000;
    uint64_t hz = tsc_khz * 1000;
    int8_t s = 0;

    if (hz == 0) {
        *mul = 0;
        *shift = 0;
        return;
    }
    /* The multiplier has 32 bits and should use them: 1/2 <= second/hz < 1 after the shift. */
    for (; hz <= second; s++)
        hz <<= 1;
    for (; hz > 2 * second; s--)
        hz >>= 1;
    *mul = (uint32_t)mul_div(second, UINT64_C(1) << 32, hz);
    *shift = s;
}

/* A guest that reads on another CPU sees an odd version while the rest changes. */
static void put(struct ram *ram, gpa_t gpa, uint8_t *rec, uint64_t len)
{
    uint32_t version = 0;
    int rc = ram_read(ram, gpa, &version, sizeof(version));

    version = (version | 1);
    if (rc == 0)
        rc = ram_write(ram, gpa, &version, sizeof(version));
    if (rc == 0) {
        st_le32(rec, version);
        rc = ram_write(ram, gpa, rec, len);
    }
    version++;
    if (rc == 0)
        rc = ram_write(ram, gpa, &version, sizeof(version));
    if (rc < 0)
        log_guest("kvm clock: no memory at %#llx", (unsigned long long)gpa);
}

void kvmclock_refresh(struct kvmclock *k, const struct kvmclock_now *now, struct ram *ram)
{
    uint8_t rec[TI_SIZE] = {0};
    uint32_t mul;
    int8_t shift;

    if (!(k->system & ENABLED))
        return;
    kvmclock_scale(now->tsc_khz, &mul, &shift);
    st_le64(rec + TI_TSC, now->tsc);
    st_le64(rec + TI_SYSTEM, now->ns);
    st_le32(rec + TI_MUL, mul);
    rec[TI_SHIFT] = (uint8_t)shift;
    rec[TI_FLAGS] = TSC_STABLE;
    put(ram, k->system & ~UINT64_C(1), rec, sizeof(rec));
}

void kvmclock_write_system(struct kvmclock *k, uint64_t value, const struct kvmclock_now *now,
                           struct ram *ram)
{
    k->system = value;
    kvmclock_refresh(k, now, ram);
}

void kvmclock_write_wall(struct kvmclock *k, uint64_t value, const struct kvmclock_now *now,
                         struct ram *ram)
{
    int64_t boot = now->utc_ns - (int64_t)now->ns;
    uint8_t rec[WALL_SIZE] = {0};

    k->wall = value;
    if (value == 0)
        return;
    st_le32(rec + 4, (uint32_t)(boot / 1000000000));
    st_le32(rec + 8, (uint32_t)(boot % 1000000000));
    put(ram, value, rec, sizeof(rec));
}
