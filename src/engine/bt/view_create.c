/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether this host lets us map guest memory for direct access, and the tables for it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "view.h"

#ifndef HWCAP2_FSGSBASE
#define HWCAP2_FSGSBASE 2
#endif

static void *tables(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* What the process uses itself; what it uses later is found out when it is in the way. */
static void note_own(struct views *vs)
{
    FILE *f = fopen("/proc/self/maps", "re");
    char line[512];

    for (unsigned h = 0; h < HOST_REGIONS; h++)
        vs->host_use[h] = h == 0 || h == HOST_REGIONS - 1 ? HOST_FOREIGN : HOST_FREE;
    if (f == NULL)
        return;
    while (fgets(line, sizeof(line), f) != NULL) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx", &start, &end) != 2 || end > 1ul << 47)
            continue;
        for (uint64_t h = start >> REGION_SHIFT; h <= (end - 1) >> REGION_SHIFT; h++)
            vs->host_use[h] = HOST_FOREIGN;
    }
    fclose(f);
}

/* The vCPUs of a machine share the host's address space: 2,048 regions, of which a view takes some
 * six. */
static unsigned view_limit(unsigned vcpus)
{
    unsigned n = 160 / vcpus;

    return n > VIEWS - 1 ? VIEWS : n + 1;
}

/* Three quarters of the mappings that a process may have are ours. */
static uint32_t map_limit(void)
{
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    unsigned n = 65530;

    if (f != NULL) {
        if (fscanf(f, "%u", &n) != 1)
            n = 65530;
        fclose(f);
    }
    return n / 4 * 3;
}

int bt_views_create(struct translator *en, struct err *e)
{
    const char *direct = getenv("DOPPEL_DIRECT");
    int fd = ram_fd(en->ram);

    if (fd < 0 || !(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE) ||
        (direct != NULL && strcmp(direct, "off") == 0))
        return 0;
    struct views *vs = tables(sizeof(*vs));
    if (vs == NULL)
        return err_set(e, ENOMEM, "cannot reserve memory for the tables of direct access");
    en->views = vs;
    vs->fd = fd;
    vs->eager = direct != NULL && strcmp(direct, "eager") == 0;
    vs->max_maps = map_limit() / en->machine->vcpus;
    vs->n_view = view_limit(en->machine->vcpus);
    vs->leaf = tables(sizeof(*vs->leaf) * LEAVES);
    vs->node = tables(sizeof(*vs->node) * NODES);
    vs->rmap = tables(sizeof(*vs->rmap) * en->n_rpn);
    vs->rmap_large = tables(sizeof(*vs->rmap_large) * (en->n_rpn / 512 + 1));
    vs->ballast = bt_ballast_create();
    if (!vs->ballast || !vs->leaf || !vs->node || !vs->rmap || !vs->rmap_large)
        return err_set(e, ENOMEM, "cannot reserve memory for the tables of direct access");
    vs->fresh_leaf = vs->fresh_node = 1; /* 0: none */
    vs->free_nodes = NODES - 1;
    for (unsigned i = 0; i < VIEWS; i++)
        vs->view[i].index = (uint8_t)i;
    vs->view[0].used = true;
    vs->rights = ~0ull;
    vs->cells = bt_cells_create(vs->n_view, fd, en->n_rpn, map_limit());
    note_own(vs);
    return 0;
}

void bt_views_destroy(struct translator *en)
{
    struct views *vs = en->views;

    if (vs == NULL)
        return;
    for (unsigned h = 0; h < HOST_REGIONS; h++)
        if (vs->host_use[h] >= HOST_VIEW)
            munmap((void *)((uint64_t)h << REGION_SHIFT), 1ull << REGION_SHIFT);
    bt_cells_destroy(vs->cells);
    bt_ballast_destroy(vs->ballast);
    if (vs->leaf != NULL)
        munmap(vs->leaf, sizeof(*vs->leaf) * LEAVES);
    if (vs->node != NULL)
        munmap(vs->node, sizeof(*vs->node) * NODES);
    if (vs->rmap != NULL)
        munmap(vs->rmap, sizeof(*vs->rmap) * en->n_rpn);
    if (vs->rmap_large != NULL)
        munmap(vs->rmap_large, sizeof(*vs->rmap_large) * (en->n_rpn / 512 + 1));
    munmap(vs, sizeof(*vs));
    en->views = NULL;
}
