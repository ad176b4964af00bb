/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seam between what executes a guest's instructions and everything else. Nothing above it knows
 * which engine runs; an engine knows neither devices nor boards: it reaches them through struct
 * engine_host.
 *
 * Threads: each vCPU has one thread, which calls `run` and the other vCPU functions. `kick` may be
 * called from any thread. get/set need the vCPU stopped (its thread not in `run`).
 */
#ifndef DOPPEL_ENGINE_ENGINE_H
#define DOPPEL_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/err.h"
#include "mem/ram.h"
#include "x86/cpu.h"
#include "x86/cpuid.h"

/*
 * The outside world as an engine sees it; the machine implements it. All calls come on the vCPU's
 * thread, from inside `run`, with no engine lock held and with the C calling convention's vector
 * state free to use. Port and memory-mapped accesses are the "port I/O" and "MMIO" exits of the
 * seam's vocabulary: delivered as calls, because every engine completes the instruction itself
 * afterwards.
 */
struct engine_host {
    void *opaque;
    uint32_t (*port_read)(void *opaque, unsigned vcpu, uint16_t port, unsigned size);
    void (*port_write)(void *opaque, unsigned vcpu, uint16_t port, uint32_t value, unsigned size);
    uint64_t (*mmio_read)(void *opaque, unsigned vcpu, gpa_t gpa, unsigned size);
    void (*mmio_write)(void *opaque, unsigned vcpu, gpa_t gpa, uint64_t value, unsigned size);
    /* MSRs that belong to the platform (APIC base, x2APIC, TSC deadline, kvm clock ...). false: no
     * such MSR or a bad value, the engine raises #GP(0). */
    bool (*msr_read)(void *opaque, unsigned vcpu, uint32_t index, uint64_t *value);
    bool (*msr_write)(void *opaque, unsigned vcpu, uint32_t index, uint64_t value);
    /* The guest has set its TSC. NULL: nobody has to know. */
    void (*tsc_changed)(void *opaque, unsigned vcpu);
    /* A performance counter overflowed: the local APIC's LVT entry for that. NULL: nobody hears. */
    void (*perf_interrupt)(void *opaque, unsigned vcpu);
    /* The local APIC's task priority (CR8, 0 - 15). */
    unsigned (*cr8_read)(void *opaque, unsigned vcpu);
    void (*cr8_write)(void *opaque, unsigned vcpu, unsigned value);
    /* Is there an interrupt that the local APIC (or the 8259 through LINT0/ExtINT) would deliver
     * now? Cheap; called when the vCPU was kicked or became able to take interrupts. */
    bool (*interrupt_pending)(void *opaque, unsigned vcpu);
    /* Takes it: the vector (0 - 255), or -1 if it went away. */
    int (*interrupt_take)(void *opaque, unsigned vcpu);
    bool (*nmi_take)(void *opaque, unsigned vcpu); /* true once per NMI that arrived */
    /* true once for ends of HLT that a hypercall of another vCPU asked for. The vCPU is kicked.
     * NULL: there are none. */
    bool (*unhalt_take)(void *opaque, unsigned vcpu);
    /* VMCALL and VMMCALL of CPL 0: what goes to RAX. word: bits of a register of the caller's, 32
     * or 64. NULL: there are none, they are undefined. */
    uint64_t (*hypercall)(void *opaque, unsigned vcpu, unsigned word, uint64_t number,
                          const uint64_t args[4]);
    /* true once per INIT: x86_cpu_init, then the vCPU waits for a start-up message; `run` returns
     * ENGINE_EXIT_HALT meanwhile. The vCPU is kicked for both. */
    bool (*init_take)(void *opaque, unsigned vcpu);
    /* Asked only while waiting: the start-up message's vector (x86_cpu_sipi), or -1. */
    int (*sipi_take)(void *opaque, unsigned vcpu);
};

/* Why `run` came back. */
enum engine_exit {
    ENGINE_EXIT_KICKED,   /* engine_kick with stop = true, or a spurious return: look at your own
                             requests, run again */
    ENGINE_EXIT_HALT,     /* HLT with nothing deliverable: wait until engine_kick, then run again */
    ENGINE_EXIT_SHUTDOWN, /* triple fault: the platform resets */
    ENGINE_EXIT_DEBUG,    /* a point or a step of the debugger's: debug_stop says which */
    ENGINE_EXIT_ERROR,    /* the engine cannot go on; engine_strerror says why */
};

struct engine;      /* one machine's engine */
struct engine_vcpu; /* one virtual CPU */

/* A kind of event that an engine can report one by one. */
struct engine_trace_kind {
    const char *name, *help;
};

struct engine_trace {
    uint64_t kinds; /* bit n: the n-th of the engine's trace_kinds */
    /* A line of text with its newline. On the vCPU's thread. */
    void (*line)(void *opaque, const char *text, size_t len);
    void *opaque;
};

/*
 * Debugging from outside. The guest notices none of it: not in its memory, flags or debug
 * registers. Points are places by linear address, whatever address space runs there.
 */
enum engine_point_kind {
    ENGINE_POINT_EXEC,   /* before the instruction that begins at `lin`; len does not count */
    ENGINE_POINT_WRITE,  /* after an instruction that writes some of [lin, lin + len), */
    ENGINE_POINT_READ,   /* or reads some of it, */
    ENGINE_POINT_ACCESS, /* or either */
};

struct engine_point {
    enum engine_point_kind kind;
    bool soft; /* EXEC: the debugger does not mind if it is made of a changed instruction */
    uint64_t lin, len;
};

#define ENGINE_MAX_POINTS 256

enum engine_debug_why {
    ENGINE_DEBUG_STEP, /* the one instruction is done, or its exception or interrupt delivered */
    ENGINE_DEBUG_POINT
};

struct engine_debug_stop {
    enum engine_debug_why why;
    struct engine_point point; /* of ENGINE_DEBUG_POINT */
    uint64_t lin;              /* READ, WRITE, ACCESS: what the guest accessed */
};

struct engine_config {
    struct ram *ram;
    const struct engine_host *host; /* outlives the engine */
    const struct cpuid_table
        *cpuid; /* what the guest's CPUID shows (without per-vCPU topology ids) */
    unsigned vcpus;
    bool stats; /* count what costs time to count, too */
    struct engine_trace trace;
};

struct engine_ops {
    const char *name; /* "bt", "kvm" */
    bool maps_ram;    /* it maps pages of ram_fd, so RAM has to be RAM_PAGES_SMALL */
    /* Can this host run the engine? 0, or -errno and a sentence that says why not and what to do.
     */
    int (*probe)(struct err *e);
    /* What guests can be shown of the processor that they run on. NULL: they run on none, but on
     * the translator. */
    int (*cpuid_offer)(struct cpuid_offer *out, struct err *e);
    int (*create)(const struct engine_config *cfg, struct engine **out, struct err *e);
    void (*destroy)(struct engine *en); /* all vCPUs destroyed before */
    int (*vcpu_create)(struct engine *en, unsigned index, struct engine_vcpu **out, struct err *e);
    void (*vcpu_destroy)(struct engine_vcpu *v);
    enum engine_exit (*run)(struct engine_vcpu *v);
    /* Makes `run` look at interrupts again soon, or wakes a later `run` at once. stop: makes it
     * return ENGINE_EXIT_KICKED. Any thread, also before run; async-signal-safe. */
    void (*kick)(struct engine_vcpu *v, bool stop);
    void (*get_state)(struct engine_vcpu *v, struct x86_cpu *cpu);
    int (*set_state)(struct engine_vcpu *v, const struct x86_cpu *cpu, struct err *e);
    /* NULL, with the two below it: the engine has no debugger's interface.
     * Replaces all points. Every vCPU is stopped; any thread. -ENOSPC: more than the engine or the
     * host's processor can watch; nothing has changed then. */
    int (*debug_points)(struct engine *en, const struct engine_point *p, unsigned n);
    /* on: each `run` comes back with ENGINE_EXIT_DEBUG after one instruction, unless something else
     * ends it first. An EXEC point at that instruction does not count, and interrupts wait unless
     * the vCPU is in HLT. The vCPU is stopped. */
    void (*debug_step)(struct engine_vcpu *v, bool on);
    /* Why `run` returned ENGINE_EXIT_DEBUG the last time. */
    void (*debug_stop)(struct engine_vcpu *v, struct engine_debug_stop *out);
    /* Regions of guest memory show something else now (ram_remap). Any thread; one that comes from
     * inside a call of engine_host takes effect on that vCPU before the instruction after the one
     * that caused it, on other vCPUs soon. */
    void (*remap)(struct engine *en);
    /* The gate of address bit 20 lets it pass, as it does at first, or masks it in all accesses of
     * vCPUs. As remap. NULL: it always passes. */
    void (*a20)(struct engine *en, bool on);
    /* Notes which pages of RAM vCPUs write to; whoever else writes announces it (ram_listen).
     * dirty_take: the pages written since it was called last, or since the log began, and whole
     * regions that were remapped meanwhile. `fn` must not call the engine. Any thread, while vCPUs
     * run or not; a page is told after its bytes can be read. NULL: the engine has no log. 0 or
     * -errno; -EINVAL: it is off. */
    int (*dirty_log)(struct engine *en, bool on);
    int (*dirty_take)(struct engine *en, ram_write_fn *fn, void *opaque);
    /* Each write, of any size, that begins at a device's address `gpa` makes the eventfd `fd`
     * readable, and the guest goes on: no call of mmio_write, and the value is lost. on = false
     * ends what the same gpa and fd began. Any thread. 0 or -errno: the host cannot, or something
     * else is told there; the writes come as ever then. NULL: the engine never can. */
    int (*doorbell)(struct engine *en, gpa_t gpa, int fd, bool on);
    /* The last reason of ENGINE_EXIT_ERROR, for the log. */
    const char *(*strerror)(struct engine_vcpu *v);
    uint64_t (*tsc_khz)(struct engine *en); /* frequency of the guest's TSC, and of the host's */
    /* The guest's TSC less the host's; equal for vCPUs whose counters agree. Any thread. */
    uint64_t (*tsc_offset)(struct engine_vcpu *v);
    /* CPU time that the vCPU took outside of its thread, in nanoseconds; NULL: none. Any thread. */
    uint64_t (*beside_ns)(struct engine_vcpu *v);
    /* Tells what the engine counted since it was created. Any thread, also while vCPUs run; the
     * figures are then of slightly different moments. NULL: it counts nothing. */
    void (*counters)(struct engine *en, counter_fn *fn, void *opaque);
    const struct engine_trace_kind *trace_kinds; /* ends with a NULL name; NULL: none */
};

/* The engines of this build, best first; NULL-terminated. */
extern const struct engine_ops *const engine_all[];
const struct engine_ops *engine_find(const char *name);
/* The engine of --accel NAME, if it can run here. "auto": the first of engine_all that can;
 * `passed` says why not those before it ("kvm: ..."), or is empty. */
int engine_pick(const char *name, const struct engine_ops **out, struct err *passed,
                struct err *e) MUST_CHECK;

#endif
