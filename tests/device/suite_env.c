/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Surroundings of a device; see suite_env.h. */
#include "suite_env.h"

#include <stdlib.h>
#include <string.h>

#define MMIO_LIMIT (UINT64_C(1) << 40)

#define REQUIRE(x)   \
    do {             \
        if (!(x))    \
            abort(); \
    } while (0)

void suite_activity(struct suite_env *env)
{
    atomic_fetch_add(&env->activity, 1);
}

static void pin_changed(void *opaque, unsigned line, bool level)
{
    suite_activity(opaque);
}

static void message_sent(void *opaque, uint64_t addr, uint32_t data)
{
    suite_activity(opaque);
}

struct pin suite_pin(struct suite_env *env, unsigned line)
{
    return (struct pin){.set = pin_changed, .opaque = env, .line = line};
}

void suite_env_init(struct suite_env *env, uint64_t ram_size)
{
    memset(env, 0, sizeof(*env));
    REQUIRE(loop_create(&env->loop) == 0);
    REQUIRE(vclock_create(&env->clock) == 0);
    REQUIRE(ram_create(&env->ram, ram_size, NULL) == 0);
    REQUIRE(ram_add(env->ram, 0, ram_size, false, NULL) == 0);
    REQUIRE(bus_create(&env->ports, 0x10000) == 0);
    REQUIRE(bus_create(&env->mmio, MMIO_LIMIT) == 0);
    env->msi = (struct msi_sink){.send = message_sent, .opaque = env};
    env->intx = suite_pin(env, 0);
}

void suite_env_finish(struct suite_env *env)
{
    pci_bus_destroy(env->pci);
    bus_destroy(env->mmio);
    bus_destroy(env->ports);
    ram_destroy(env->ram);
    loop_destroy(env->loop);
    vclock_destroy(env->clock);
}

struct pci_bus *suite_pci(struct suite_env *env)
{
    const struct pci_bus_config cfg = {.mmio = env->mmio,
                                       .ports = env->ports,
                                       .msi = env->msi,
                                       .intx = &env->intx,
                                       .intx_count = 1};

    REQUIRE(pci_bus_create(&cfg, &env->pci) == 0);
    REQUIRE(pci_bus_ecam(env->pci, SUITE_ECAM, 1) == 0);
    return env->pci;
}

void suite_place(struct suite_env *env, unsigned devfn)
{
    const struct pci_windows w = {.mem32_base = SUITE_WINDOW,
                                  .mem32_size = SUITE_WINDOW_SIZE,
                                  .io_base = SUITE_PORTS,
                                  .io_size = SUITE_PORTS_SIZE};

    REQUIRE(pci_bus_assign(env->pci, &w, NULL) == 0);
    pci_config_write(env->pci, 0, devfn, PCI_REG_COMMAND, 2,
                     PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
}

static void stop(void *opaque)
{
    loop_stop(opaque);
}

void suite_settle(struct suite_env *env)
{
    REQUIRE(loop_post(env->loop, stop, env->loop) == 0);
    loop_run(env->loop);
}

void suite_pause(const struct device *d)
{
    if (d->ops->pause != NULL)
        d->ops->pause(d->self);
}

void suite_resume(const struct device *d)
{
    if (d->ops->resume != NULL)
        d->ops->resume(d->self);
}

void *suite_state_object(const struct device *d)
{
    return d->ops->state_object != NULL ? d->ops->state_object(d->self) : d->self;
}
