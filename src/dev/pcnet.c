/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Am79C970A on PCI: rings, registers, life; see pcnet.h. Data sheet 19436. */
#include "dev/pcnet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "dev/chip/pcnet_chip.h"

#define BUDGET 256u     /* frames, before others on the loop have their turn */
#define MAX_BUFFERS 32u /* of one frame; each and its descriptor are a part of memory */
/* A frame takes 120 us on a wire of 100 Mb/s: so much later its interrupt may come, if not many
 * are waiting for theirs. */
#define REPORT_NS 100000u
#define POLL_NS 1000000u /* 1.6 ms at most, says CSR47's default */

_Static_assert(2 * MAX_BUFFERS <= NIC_DIRTY, "a frame's parts of memory can be announced");

struct pcnet {
    struct nic nic; /* its lock is that of all below */
    struct timer *poll;
    struct timer *report;
    unsigned unreported; /* frames that were sent, and no TINT yet */
    bool report_armed;
    uint32_t epoch; /* counts resets: what was fetched before is void */
    struct pcnet_chip chip;
};

static void note_and_unlock(struct pcnet *p)
{
    pci_intx_store(&p->nic.func, pcnet_asserted(&p->chip));
    nic_unlock(&p->nic);
    pci_intx_update(&p->nic.func);
}

/* The i-th descriptor from the ring's place on; NULL: no memory. Lock held. */
static const uint8_t *peek(struct pcnet *p, const struct pcnet_ring *r, unsigned i,
                           struct pcnet_desc *d)
{
    const uint8_t *at =
        nic_read(&p->nic, pcnet_desc_at(&p->chip, r, r->at + i), pcnet_desc_size(&p->chip));

    if (at != NULL)
        *d = pcnet_desc_load(&p->chip, at);
    return at;
}

static void done(struct pcnet *p, struct pcnet_ring *r, uint16_t status, uint16_t length)
{
    uint8_t *at = nic_write(&p->nic, pcnet_desc_at(&p->chip, r, r->at), pcnet_desc_size(&p->chip));

    if (at != NULL)
        pcnet_desc_done(&p->chip, at, status, length);
    r->at = (uint16_t)((r->at + 1) % r->count);
}

/* --- reception --- */

/* How many buffers the card has, up to `most`. */
static unsigned buffers(struct pcnet *p, unsigned most)
{
    struct pcnet_desc d;
    unsigned n = 0;

    while (n < most && n < p->chip.rx.count && peek(p, &p->chip.rx, n, &d) != NULL &&
           (d.status & PCNET_OWN) != 0)
        n++;
    return n;
}

static bool on_fits(void *self, uint32_t frames)
{
    struct pcnet *p = self;
    struct pcnet_desc d = {.size = 4096};
    unsigned need, all;
    bool fits;

    nic_lock(&p->nic);
    all = p->chip.rx.count;
    fits = !pcnet_receives(&p->chip);
    if (!fits && peek(p, &p->chip.rx, 0, &d) != NULL) {
        need = frames * ((NET_MTU + 22) / d.size + 1);
        fits = buffers(p, need < all ? need : all) >= (need < all ? need : all);
    }
    nic_unlock(&p->nic);
    if (!fits)
        timer_arm(p->poll, vclock_now(p->nic.cfg.clock) + POLL_NS);
    return fits;
}

static void on_poll(void *opaque)
{
    struct pcnet *p = opaque;

    nic_kick_starved(&p->nic);
}

/* All buffers are the card's: nobody else changes them. */
static void store(struct pcnet *p, struct nic_wire *w, uint16_t how)
{
    struct pcnet_ring *r = &p->chip.rx;
    struct pcnet_desc d;

    while (w->at < w->total && peek(p, r, 0, &d) != NULL) {
        size_t left = w->total - w->at, n = left < d.size ? left : d.size;
        uint16_t status = (w->at == 0 ? PCNET_STP : 0) | (n == left ? PCNET_ENP | how : 0);

        nic_wire_take(w, nic_write(&p->nic, d.buffer, (uint32_t)n), n);
        done(p, r, status, n == left ? (uint16_t)w->total : 0);
    }
    pcnet_raise(&p->chip, PCNET_RINT);
}

static bool has_room(struct pcnet *p, size_t total)
{
    struct pcnet_desc d;
    size_t room = 0;
    unsigned i = 0;

    for (; i < MAX_BUFFERS && i < p->chip.rx.count && room < total; i++) {
        if (peek(p, &p->chip.rx, i, &d) == NULL || (d.status & PCNET_OWN) == 0)
            return false;
        room += d.size;
    }
    return room >= total;
}

static void on_receive(void *self, const uint8_t *frame, size_t len, bool verified)
{
    struct pcnet *p = self;
    uint16_t how;

    nic_lock(&p->nic);
    if (pcnet_accepts(&p->chip, frame, len, &how)) {
        struct nic_wire w = nic_wire(frame, len, true);

        if (has_room(p, w.total))
            store(p, &w, how);
        else
            pcnet_raise(&p->chip, PCNET_MISS);
    }
    nic_unlock(&p->nic);
}

static void on_receive_end(void *self)
{
    struct pcnet *p = self;

    nic_lock(&p->nic);
    note_and_unlock(p);
}

/* --- transmission --- */

/* Copies a frame, from STP to ENP; the lock is held. Returns its descriptors: 0: it is not all
 * there, or not to be sent. */
static unsigned fetch(struct pcnet *p, size_t *len, bool *good)
{
    struct pcnet_ring *r = &p->chip.tx;
    struct pcnet_desc d, first;

    *len = 0;
    *good = true;
    for (unsigned i = 0; i < r->count; i++) {
        const void *data;

        if (peek(p, r, i, &d) == NULL || (d.status & PCNET_OWN) == 0)
            return 0;
        if (i == 0)
            first = d;
        data = nic_read(&p->nic, d.buffer, d.size);
        *good = *good && data != NULL && d.size <= NET_FRAME_MAX - *len;
        if (*good) {
            memcpy(p->nic.tx_frame + *len, data, d.size);
            *len += d.size;
        }
        if ((d.status & PCNET_ENP) == 0)
            continue;
        *good = *good && (first.status & PCNET_STP) != 0;
        /* A driver that makes the FCS has it in the frame. */
        if ((p->chip.csr[15] & PCNET_DXMTFCS) != 0 && (d.status & PCNET_ADD_FCS) == 0)
            *len -= *len > PCNET_FCS ? PCNET_FCS : *len;
        return i + 1;
    }
    *good = false; /* a ring without an end: all of it is given back */
    return r->count;
}

/* The descriptors keep what they say, but for OWN and errors; lock held, dropped in between. The
 * driver may have reset the card or set the ring up anew since they were fetched. */
static void give_back(struct pcnet *p, uint32_t epoch, unsigned count)
{
    const uint16_t kept = PCNET_ADD_FCS | PCNET_STP | PCNET_ENP;
    struct pcnet_desc d;

    for (unsigned i = 0; i < count && epoch == p->epoch && peek(p, &p->chip.tx, 0, &d) != NULL;
         i++) {
        done(p, &p->chip.tx, d.status & kept, 0);
        nic_make_room(&p->nic);
    }
    p->unreported += epoch == p->epoch;
}

/* Lock held. */
static void report(struct pcnet *p)
{
    if (p->unreported != 0)
        pcnet_raise(&p->chip, PCNET_TINT);
    p->unreported = 0;
}

static void on_report(void *opaque)
{
    struct pcnet *p = opaque;

    nic_lock(&p->nic);
    p->report_armed = false;
    if (p->nic.paused) {
        nic_unlock(&p->nic);
        return;
    }
    report(p);
    note_and_unlock(p);
}

/* One interrupt for a quarter of the ring, or after a while; lock held. */
static void report_soon(struct pcnet *p)
{
    if (p->unreported == 0)
        return;
    if (p->unreported >= p->chip.tx.count / 4u) {
        report(p);
    } else if (!p->report_armed) {
        p->report_armed = true;
        timer_arm(p->report, vclock_now(p->nic.cfg.clock) + REPORT_NS);
    }
}

static void to_cable(struct pcnet *p, size_t len, bool loop)
{
    const struct net_meta plain = {0};

    if (loop)
        on_receive(p, p->nic.tx_frame, len, true);
    else
        nic_send(&p->nic, &plain, p->nic.tx_frame, len);
}

static bool step(struct pcnet *p)
{
    unsigned count = 0;
    uint32_t epoch;
    bool good, loop;
    size_t len;

    nic_lock(&p->nic);
    if (pcnet_sends(&p->chip))
        count = fetch(p, &len, &good);
    epoch = p->epoch;
    loop = (p->chip.csr[15] & PCNET_LOOP) != 0;
    nic_unlock(&p->nic);
    if (count == 0)
        return false;
    if (good && len >= NET_ETH_LEN)
        to_cable(p, len, loop);
    else
        log_guest("pcnet: a frame of %zu bytes is not sent", len);
    nic_lock(&p->nic);
    give_back(p, epoch, count);
    nic_unlock(&p->nic);
    return true;
}

static void on_run(void *self)
{
    struct pcnet *p = self;
    unsigned left = BUDGET;

    while (left > 0 && step(p))
        left--;
    if (left < BUDGET)
        nic_send_end(&p->nic);
    nic_lock(&p->nic);
    report_soon(p);
    note_and_unlock(p);
    if (left == 0)
        nic_kick(&p->nic);
}

/* --- registers --- */

/* 4.5: the card reads the block as soon as INIT is written. */
static void read_init(struct pcnet *p)
{
    uint8_t block[PCNET_INIT_MAX];
    const void *at = nic_read(&p->nic, pcnet_init_address(&p->chip), pcnet_init_length(&p->chip));

    if (at != NULL)
        memcpy(block, at, pcnet_init_length(&p->chip));
    pcnet_take_init(&p->chip, block, at != NULL);
}

static void forget(struct pcnet *p)
{
    p->epoch++;
    p->unreported = 0;
}

static void follow(struct pcnet *p, unsigned did)
{
    if ((did & PCNET_DID_INIT) != 0)
        read_init(p);
    if ((did & (PCNET_DID_RESET | PCNET_DID_INIT)) != 0)
        forget(p);
    note_and_unlock(p);
    if ((did & PCNET_DID_TX) != 0)
        nic_kick(&p->nic);
    nic_kick_starved(&p->nic);
}

static uint64_t io_read(void *opaque, uint64_t offset, unsigned size)
{
    struct pcnet *p = opaque;
    unsigned did;
    uint32_t v;

    nic_lock(&p->nic);
    v = pcnet_io_read(&p->chip, (unsigned)offset, size, &did);
    if (did != 0)
        follow(p, did);
    else
        nic_unlock(&p->nic);
    return v;
}

static void io_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pcnet *p = opaque;

    nic_lock(&p->nic);
    follow(p, pcnet_io_write(&p->chip, (unsigned)offset, size, (uint32_t)value));
}

static const struct bus_ops io_ops = {
    .name = "pcnet", .read = io_read, .write = io_write, .min_size = 1, .max_size = 4};

static void on_link(void *self, bool up)
{
    struct pcnet *p = self;

    nic_lock(&p->nic);
    p->chip.cable = up;
    nic_unlock(&p->nic);
}

/* Large frames would be more than a small ring holds. */
static const struct nic_ops nic_ops = {
    .offloads = NET_OFFLOAD_CSUM,
    .run = on_run,
    .fits = on_fits,
    .receive = on_receive,
    .receive_end = on_receive_end,
    .link = on_link,
};

/* --- life --- */

static void pcnet_dev_reset(void *self)
{
    struct pcnet *p = self;
    bool paused = nic_quiesce(&p->nic);

    pci_func_reset(&p->nic.func);
    nic_lock(&p->nic);
    pcnet_reset(&p->chip);
    forget(p);
    p->nic.paused = paused;
    note_and_unlock(p);
    nic_kick_starved(&p->nic);
}

static void pcnet_pause(void *self)
{
    struct pcnet *p = self;

    nic_quiesce(&p->nic);
    nic_lock(&p->nic);
    report(p); /* the pin follows when it goes on */
    nic_unlock(&p->nic);
}

static void pcnet_resume(void *self)
{
    struct pcnet *p = self;

    nic_resume(&p->nic);
}

static void pcnet_restore(void *self)
{
    struct pcnet *p = self;

    pci_func_restore(&p->nic.func);
    nic_lock(&p->nic);
    forget(p);
    note_and_unlock(p);
}

static void pcnet_destroy(void *self)
{
    struct pcnet *p = self;

    if (p == NULL)
        return;
    nic_detach(&p->nic);
    pci_remove(&p->nic.func);
    pci_func_finish(&p->nic.func);
    timer_destroy(p->poll);
    timer_destroy(p->report);
    nic_finish(&p->nic);
    free(p);
}

static const struct state_field fields[] = {
    STATE_STRUCT_F(struct pcnet, nic.func, 1, &pci_func_state),
    STATE_STRUCT_F(struct pcnet, chip, 1, &pcnet_chip_state),
    STATE_END_F,
};
static const struct state_table pcnet_state = {.name = "pcnet", .version = 1, .fields = fields};

static const struct device_ops device_ops = {
    .name = "pcnet",
    .reset = pcnet_dev_reset,
    .pause = pcnet_pause,
    .resume = pcnet_resume,
    .restore = pcnet_restore,
    .destroy = pcnet_destroy,
    .state = &pcnet_state,
};

/* The same registers in ports and in memory. */
static int init_pci(struct pcnet *p, struct err *err)
{
    static const struct pci_func_info info = {
        .name = "pcnet",
        .vendor = 0x1022,
        .device = 0x2000,
        .subsystem_vendor = 0x1af4,
        .subsystem = 0x1100,
        .class_code = 0x020000,
        .revision = 0x16,
        .pin = 1,
    };
    struct pci_func *f = &p->nic.func;

    if (pci_func_init(f, &info, NULL, p) < 0)
        return err_set(err, ENOMEM, "no memory for a network card");
    pci_func_bar(f, 0, PCI_BAR_IO, PCNET_IO_SIZE, &io_ops, p);
    pci_func_bar(f, 1, PCI_BAR_MEM32, PCNET_IO_SIZE, &io_ops, p);
    return pci_add(p->nic.cfg.bus, p->nic.cfg.devfn, f, err);
}

int pcnet_create(const struct nic_config *cfg, struct device *out, struct err *err)
{
    struct pcnet *p = calloc(1, sizeof(*p));
    int rc;

    if (p == NULL)
        return err_set(err, ENOMEM, "no memory for a network card");
    rc = nic_init(&p->nic, cfg, &nic_ops, p, err);
    if (rc < 0) {
        free(p);
        return rc;
    }
    pcnet_init(&p->chip, cfg->mac);
    p->chip.cable = nic_link(&p->nic);
    rc = init_pci(p, err);
    if (rc == 0 && (timer_create_on(cfg->loop, cfg->clock, on_poll, p, &p->poll) < 0 ||
                    timer_create_on(cfg->loop, cfg->clock, on_report, p, &p->report) < 0))
        rc = err_set(err, ENOMEM, "no memory for a network card");
    if (rc < 0) {
        pcnet_destroy(p);
        return rc;
    }
    nic_attach(&p->nic);
    *out = (struct device){.ops = &device_ops, .self = p};
    return 0;
}
