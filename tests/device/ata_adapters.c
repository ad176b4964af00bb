/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the ATA adapters do around their drives: images that grow. */
#include "test.h"

#include "dev/ahci.h"
#include "dev/ide.h"
#include "temp_disk.h"
#include "virtio_vm.h"

#define SECTORS 512u

static void nothing(void *opaque, unsigned line, bool level)
{
}

static void create(struct vm_env *v, bool ide, struct block_backend *b)
{
    const struct pin pin = {.set = nothing};
    const struct ide_config old = {.bus = v->bus,
                                   .devfn = VM_DEVFN,
                                   .ports = v->ports,
                                   .ram = v->ram,
                                   .loop = v->loop,
                                   .irq = {pin, pin}};
    const struct ahci_config new = {
        .bus = v->bus, .devfn = VM_DEVFN, .ram = v->ram, .loop = v->loop};

    if (ide) {
        assert_int_equal(ide_create(&old, &v->dev, NULL), 0);
        assert_int_equal(ide_add(&v->dev, 1, ATA_DISK, b, NULL), 0);
    } else {
        assert_int_equal(ahci_create(&new, &v->dev, NULL), 0);
        assert_int_equal(ahci_add(&v->dev, 1, ATA_DISK, b, NULL), 0);
    }
}

/* A disk's guest learns of a new size by a reset. */
static void check_growth(bool ide)
{
    struct vm_env v = {0};
    struct block_backend *b = temp_disk(SECTORS * 512);
    const struct ata_drive *d;

    vm_setup(&v);
    create(&v, ide, b);
    assert_null(ide ? ide_unit(&v.dev, 0) : ahci_unit(&v.dev, 0));
    d = (ide ? ide_unit(&v.dev, 1) : ahci_unit(&v.dev, 1))->cfg.drive;
    assert_true(ata_on_disk(d, SECTORS - 1, 1));
    assert_int_equal(block_grow(b, 2 * SECTORS * 512, NULL), 0);
    assert_false(ata_on_disk(d, SECTORS, 1));
    v.dev.ops->reset(v.dev.self);
    assert_true(ata_on_disk(d, SECTORS, SECTORS));
    assert_false(ata_on_disk(d, SECTORS, SECTORS + 1));
    v.dev.ops->pause(v.dev.self);
    v.dev.ops->destroy(v.dev.self);
    v.dev.ops = NULL;
    vm_teardown(&v);
    block_close(b);
}

static void test_ide_grows(void **state)
{
    check_growth(true);
}

static void test_ahci_grows(void **state)
{
    check_growth(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ide_grows),
        cmocka_unit_test(test_ahci_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
