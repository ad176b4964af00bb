/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The xHCI controller with a guest that writes whatever it likes into its rings and contexts: the
 * input is a row of TRBs and pieces of memory, which a driver puts where the controller looks.
 */
#include "fuzz.h"

#include "../tests/device/usb_driver.h"
#include "dev/usb/xhci.h"

#define RAM_SIZE 0x40000u
#define DEVFN PCI_DEVFN(1, 0)

static struct {
    struct suite_env env;
    struct device dev;
    struct usbd d;
} t;

static void make(void)
{
    suite_env_init(&t.env, RAM_SIZE);
    FUZZ_REQUIRE(xhci_create(&(struct xhci_config){.bus = suite_pci(&t.env),
                                                   .devfn = DEVFN,
                                                   .ram = t.env.ram,
                                                   .loop = t.env.loop,
                                                   .clock = t.env.clock,
                                                   .keyboard = true,
                                                   .tablet = true},
                             &t.dev, NULL) == 0);
}

static void put_trb(struct usbd_ring *r, struct fuzz_input *in)
{
    uint64_t parameter = fuzz_u16(in) % 2 != 0 ? fuzz_take(in, 8) : USBD_RINGS + fuzz_u16(in);
    uint32_t status = fuzz_u32(in);

    usbd_put(&t.d, r, parameter, status, fuzz_u32(in) & ~UINT32_C(1));
}

static void step(struct fuzz_input *in)
{
    uint8_t bytes[8], what = fuzz_u8(in);
    struct usbd_event ev;
    uint64_t value;

    switch (what & 7) {
    case 0:
        put_trb(&t.d.commands, in);
        usbd_ring(&t.d, 0, 0);
        break;
    case 1:
        put_trb(&t.d.control, in);
        usbd_ring(&t.d, 1, 1);
        break;
    case 2:
        put_trb(&t.d.reports, in);
        usbd_ring(&t.d, 1, 3);
        break;
    case 3:
        value = fuzz_take(in, 8);
        memcpy(bytes, &value, sizeof(bytes));
        FUZZ_REQUIRE(ram_write(t.env.ram, USBD_RINGS + (fuzz_u16(in) & 0x7ff8), bytes, 8) == 0);
        break;
    case 4:
        usbd_ring(&t.d, what >> 3 & 7, fuzz_u8(in));
        break;
    case 5:
        (void)!xhci_key(t.dev.self, fuzz_u8(in), what & 0x80);
        break;
    case 6:
        usbd_take(&t.d, &ev);
        break;
    default:
        usbd_write(&t.d, fuzz_u16(in) & 0x3ffc, fuzz_u32(in));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};

    if (t.env.ram == NULL)
        make();
    t.dev.ops->reset(t.dev.self);
    usbd_use(&t.d, &t.env, DEVFN); /* so that the input needs not find the way there */
    while (in.left > 0) {
        step(&in);
        suite_settle(&t.env);
    }
    return 0;
}
