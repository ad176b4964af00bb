/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plain PCI functions. IDs: data sheets of the ICH9 (316972), PIIX3 (290550) and PIIX4 (290562). */
#include "dev/pci_plain.h"

#include <errno.h>
#include <stdlib.h>

const struct pci_func_info pci_plain_ich9_lpc = {
    .name = "ich9-lpc",
    .vendor = 0x8086,
    .device = 0x2918,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x060100,
    .revision = 2,
    .multifunction = true,
};

const struct pci_func_info pci_plain_piix3_isa = {
    .name = "piix3-isa",
    .vendor = 0x8086,
    .device = 0x7000,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x060100,
    .multifunction = true,
};
const struct pci_func_info pci_plain_piix4_pm = {
    .name = "piix4-pm",
    .vendor = 0x8086,
    .device = 0x7113,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x068000,
    .revision = 3,
};

struct pci_plain {
    struct pci_func func;
};

static void plain_reset(void *self)
{
    struct pci_plain *p = self;
    pci_func_reset(&p->func);
}

static void plain_restore(void *self)
{
    struct pci_plain *p = self;
    pci_func_restore(&p->func);
}

static void plain_destroy(void *self)
{
    struct pci_plain *p = self;
    if (p == NULL)
        return;
    pci_remove(&p->func);
    pci_func_finish(&p->func);
    free(p);
}

static const struct state_field plain_fields[] = {
    STATE_STRUCT_F(struct pci_plain, func, 1, &pci_func_state),
    STATE_END_F,
};
static const struct state_table plain_state = {
    .name = "pci-plain", .version = 1, .fields = plain_fields, .validate = NULL};

static const struct device_ops plain_ops = {
    .name = "pci-plain",
    .reset = plain_reset,
    .restore = plain_restore,
    .destroy = plain_destroy,
    .state = &plain_state,
};

int pci_plain_create(struct pci_bus *bus, unsigned devfn, const struct pci_func_info *info,
                     struct device *out, struct err *e)
{
    struct pci_plain *p = calloc(1, sizeof(*p));
    if (p == NULL || pci_func_init(&p->func, info, NULL, NULL) < 0) {
        free(p);
        return err_set(e, ENOMEM, "no memory for PCI function %s", info->name);
    }
    int r = pci_add(bus, devfn, &p->func, e);
    if (r < 0) {
        plain_destroy(p);
        return r;
    }
    *out = (struct device){&plain_ops, p};
    return 0;
}

struct pci_func *pci_plain_func(const struct device *d)
{
    return &((struct pci_plain *)d->self)->func;
}
