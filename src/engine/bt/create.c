/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Machines, vCPUs and their translators: creation and end. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#include "create.h"
#include "helpers.h"
#include "pmu.h"
#include "signal_internal.h"
#include "xlate.h"

/* x87, SSE, AVX, AVX-512; never PKRU (it guards the monitor's own memory) nor AMX (needs a
 * permission). */
#define XCOMPONENTS 0xe7ull

static uint64_t host_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

uint64_t bt_host_components(void)
{
    return host_xcr0() & XCOMPONENTS;
}

int bt_probe(struct err *e)
{
    if (!__builtin_cpu_supports("sse4.2"))
        return err_set(e, ENODEV, "the translator needs a processor with SSE4.2 and XSAVE");
    uint32_t a = 1, b, cx = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(cx), "=d"(d));
    if (!(cx >> 27 & 1))
        return err_set(e, ENODEV,
                       "the translator needs XSAVE, which this processor or kernel does not offer");
    return 0;
}

static uint64_t measure_tsc_khz(void)
{
    struct timespec a, b;
    uint64_t t0, t1, ns;

    clock_gettime(CLOCK_MONOTONIC_RAW, &a);
    t0 = bt_tsc();
    do {
        clock_gettime(CLOCK_MONOTONIC_RAW, &b);
        ns = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000000ull + (uint64_t)(b.tv_nsec - a.tv_nsec);
    } while (ns < 10000000);
    t1 = bt_tsc();
    return (t1 - t0) * 1000000ull / ns;
}

static void *by_page(uint32_t n, size_t each)
{
    void *p = mmap(NULL, n * each, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void bt_destroy(struct engine *m)
{
    if (m->guarded != NULL)
        munmap(m->guarded, m->n_rpn * sizeof(*m->guarded));
    if (m->written != NULL)
        munmap(m->written, m->n_rpn * sizeof(*m->written));
    free(m);
}

uint64_t bt_no_lin;

static void choose_no_lin(void)
{
    uint64_t v;

    if (getentropy(&v, sizeof(v)) == 0)
        bt_no_lin = v >> 2 | 1ull << 62 | 1;
}

int bt_create(const struct engine_config *cfg, struct engine **out, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct engine *m;

    if (cfg->vcpus == 0 || cfg->vcpus > BT_MAX_VCPUS)
        return err_set(e, EINVAL, "the translator runs 1 to %u virtual CPUs, not %u", BT_MAX_VCPUS,
                       cfg->vcpus);
    pthread_once(&once, choose_no_lin);
    if (bt_no_lin == 0)
        return err_set(e, ENOSYS, "the translator needs random numbers of the kernel (getrandom)");
    m = calloc(1, sizeof(*m));
    if (m == NULL)
        return err_set(e, ENOMEM, "out of memory");
    m->ram = cfg->ram;
    m->host = cfg->host;
    m->cpuid = cfg->cpuid;
    m->vcpus = cfg->vcpus;
    m->stats = cfg->stats;
    m->trace = cfg->trace;
    m->tsc_khz = measure_tsc_khz();
    m->n_rpn = (uint32_t)(ram_total(cfg->ram) >> 12);
    m->guarded = by_page(m->n_rpn, sizeof(*m->guarded));
    m->written = by_page(m->n_rpn, sizeof(*m->written));
    if (m->guarded == NULL || m->written == NULL) {
        bt_destroy(m);
        return err_set(e, ENOMEM, "cannot reserve memory for the tables of pages");
    }
    if (ram_listen(cfg->ram, bt_code_dma, m) < 0) {
        bt_destroy(m);
        return err_set(e, ENOSPC, "too many listeners on guest memory");
    }
    *out = m;
    return 0;
}

static void translator_destroy(struct translator *en)
{
    if (en == NULL)
        return;
    bt_cache_destroy(en);
    free(en);
}

static int translator_create(struct engine *m, struct translator **out, struct err *e)
{
    struct translator *en = calloc(1, sizeof(*en));
    struct cpuid_dynamic dyn = {0};
    uint32_t id[4];

    if (en == NULL)
        return err_set(e, ENOMEM, "out of memory");
    en->machine = m;
    en->branch_fd = -1;
    en->ram = m->ram;
    en->host = m->host;
    en->cpuid = m->cpuid;
    en->stats = m->stats;
    en->trace = m->trace;
    en->tsc_khz = m->tsc_khz;
    en->backing = ram_backing(m->ram);
    bt_regions_load(en);
    en->phys_mask = (1ull << cpuid_phys_bits(m->cpuid)) - 1;
    cpuid_execute(m->cpuid, &dyn, 0, 0, id);
    en->amd = id[2] == 0x444d4163 || id[2] == 0x656e6975; /* "cAMD", "uine" */
    cpuid_execute(m->cpuid, &dyn, 0x80000021, 0, id);
    en->efer_mask = 0xd01 | (id[0] >> 8 & 1 ? 1u << 21 : 0); /* SCE LME LMA NXE; AIBRSE */
    en->host_xcr0 = host_xcr0();
    en->cr4_mask = bt_cr4_mask(m->cpuid);
    cpuid_execute(m->cpuid, &dyn, 0xd, 1, id);
    en->xsaves = id[0] >> 3 & 1;
    en->invpcid = cpuid_has(m->cpuid, 7, 1, 10);
    en->perfctr_core = cpuid_has(m->cpuid, 0x80000001, 2, 23);
    en->bmi2 = __builtin_cpu_supports("bmi2");
    int rc = bt_cache_create(en, e);
    if (rc == 0)
        rc = bt_views_create(en, e);
    if (rc < 0) {
        translator_destroy(en);
        return rc;
    }
    *out = en;
    return 0;
}

static struct bt_ctx *context_create(struct engine_vcpu *v)
{
    bool direct = v->en->views != NULL;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    struct bt_ctx *c = mmap(NULL, direct ? LOW_WINDOW_END : sizeof(*c), PROT_NONE, flags, -1, 0);
    uint64_t mask = bt_host_components();

    if (c == MAP_FAILED && direct) { /* a limit of address space: without direct access, then */
        bt_views_destroy(v->en);
        direct = false;
        c = mmap(NULL, sizeof(*c), PROT_NONE, flags, -1, 0);
    }
    if (c == MAP_FAILED)
        return NULL;
    if (mprotect(c, (sizeof(*c) + 4095) & ~4095ul, PROT_READ | PROT_WRITE) < 0) {
        munmap(c, direct ? LOW_WINDOW_END : sizeof(*c));
        return NULL;
    }
    c->direct = direct;
    c->low_base = (uint64_t)c + LOW_WINDOW;
    c->v = v;
    c->self = c;
    c->calls = v->en->stat.helper_calls;
    c->outside = 1;
    c->code_base = (uint64_t)v->en->code_rx;
    c->xsave = v->cpu.xsave;
    c->xmask_lo = (uint32_t)mask;
    c->xmask_hi = (uint32_t)(mask >> 32);
    c->xinit = v->xinit;
    memset(v->xinit, 0, sizeof(v->xinit));
    v->xinit[24] = 0x80; /* MXCSR 1F80: restored from the image even when SSE is initial */
    v->xinit[25] = 0x1f;
    if (bt_branch_map(c) < 0) {
        bt_branch_unmap(c);
        munmap(c, direct ? LOW_WINDOW_END : sizeof(*c));
        return NULL;
    }
    return c;
}

static void context_destroy(struct engine_vcpu *v)
{
    if (v->ctx == NULL)
        return;
    if (bt_current == v->ctx)
        bt_current = NULL;
    bt_branch_unmap(v->ctx);
    munmap(v->ctx, v->ctx->direct ? LOW_WINDOW_END : sizeof(*v->ctx));
}

void bt_vcpu_destroy(struct engine_vcpu *v)
{
    if (v == NULL)
        return;
    v->machine->vcpu[v->index] = NULL;
    bt_sample_unbind(v);
    bt_pmu_destroy(v);
    if (v->altstack != NULL)
        munmap(v->altstack, BT_ALTSTACK);
    context_destroy(v);
    translator_destroy(v->en);
    free(v->xlate);
    insn_cache_destroy(v->insn_cache);
    free(v->xbuf);
    free(v);
}

int bt_vcpu_create(struct engine *m, unsigned index, struct engine_vcpu **out, struct err *e)
{
    struct engine_vcpu *v = aligned_alloc(64, (sizeof(*v) + 63) & ~63ul);

    if (v == NULL)
        return err_set(e, ENOMEM, "out of memory");
    memset(v, 0, sizeof(*v));
    v->machine = m;
    v->index = index;
    int rc = translator_create(m, &v->en, e);
    if (rc < 0) {
        bt_vcpu_destroy(v);
        return rc;
    }
    v->en->v = v;
    v->xlate = malloc(sizeof(struct xlate));
    v->insn_cache = insn_cache_create();
    v->xbuf = aligned_alloc(4096, 4096);
    v->ctx = context_create(v);
    if (v->xlate == NULL || v->insn_cache == NULL || v->xbuf == NULL || v->ctx == NULL) {
        bt_vcpu_destroy(v);
        return err_set(e, ENOMEM, "out of memory");
    }
    x86_cpu_reset(&v->cpu);
    v->left_at = v->window = bt_tsc();
    v->tsc_offset = 0 - v->left_at;
    m->vcpu[index] = v;
    *out = v;
    return 0;
}
