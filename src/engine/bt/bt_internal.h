/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The binary-translation engine: what its files share. docs/ENGINE.md is the essay; here are the
 * structures.
 *
 * Code page   one page of guest RAM that holds translated code, seen in one mode (struct bt_mode).
 * It has an id, which is never reused until the whole cache is emptied. ctx->cur_lin[id] is the
 * linear address at which the current address space maps it for execution, or bt_no_lin. Blocks
 * know no linear address: RIP is cur_lin[id] + offset, so processes that share a page share its
 * translation. Block       a straight run of guest instructions in one page, entered at its first
 * one only. Invariant 1 while a block of page id runs, cur_lin[id] is its linear page. Invariant 2
 * an entry of the look-up cache (RIP -> block), salted with the current salt of its mode slot,
 * names a block whose page id has cur_lin[id] == page of RIP. Whoever changes cur_lin[id] from one
 * address to another, or to bt_no_lin, changes the salt. Invariant 3 a writable entry of the
 * software TLB and a writable mapping of a view never cover a page that is guarded by any vCPU:
 * one with rpn_page[] != 0 in its translator. A page with code that is not guarded is open, and
 * then no block of it is entered, or its blocks are checked: each compares its source at its entry
 * (codewrite.c).
 */
#ifndef DOPPEL_ENGINE_BT_BT_INTERNAL_H
#define DOPPEL_ENGINE_BT_BT_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "bt_asm.h"
#include "bt_lookup.h"
#include "codeseg.h"
#include "engine/engine.h"
#include "pmu_state.h"
#include "stats.h"

#define BT_PAGE_SIZE 4096u
#define BT_PAGE_MASK (~(uint64_t)0xfff)

/* ---- modes ---------------------------------------------------------------------------------- */

/* The CPU state that changes what instruction bytes mean. Two CPUs in equal modes run the same
 * translation. */
enum {
    MODE_L = 1 << 0,       /* CS.L: 64-bit code */
    MODE_D = 1 << 1,       /* CS.D: 32-bit code when not L, else 16-bit */
    MODE_SB = 1 << 2,      /* SS.B: 32-bit stack */
    MODE_USER = 1 << 3,    /* CPL 3 */
    MODE_LMA = 1 << 4,     /* EFER.LMA */
    MODE_PE = 1 << 5,      /* CR0.PE */
    MODE_PG = 1 << 6,      /* CR0.PG */
    MODE_BASES = 1 << 7,   /* a base of CS, SS, DS or ES is not 0 (never in 64-bit code) */
    MODE_NM = 1 << 8,      /* CR0.TS: SSE, AVX and x87 raise #NM */
    MODE_EM = 1 << 9,      /* CR0.EM */
    MODE_CPL12 = 1 << 10,  /* CPL 1 or 2 */
    MODE_TF = 1 << 11,     /* RFLAGS.TF: blocks of one instruction */
    MODE_IOPL = 1 << 12,   /* CPL <= IOPL: CLI, STI, POPF act */
    MODE_VM = 1 << 13,     /* virtual-8086 */
    MODE_NOAVX = 1 << 14,  /* CR4.OSXSAVE clear or XCR0 lacks AVX */
    MODE_NOSSE = 1 << 15,  /* CR4.OSFXSR clear */
    MODE_MMU_SHIFT = 16,   /* two bits: enum bt_mmu */
    MODE_DIRECT = 1 << 18, /* a view is in use: the host's MMU does the accesses (view.c) */
    MODE_CS = 1 << 19,     /* CS has a base or a limit, or is 16-bit: code knows them (codeseg.c) */
    MODE_LIMITS = 1 << 20, /* ES, SS or DS is not flat (limits.c; never in 64-bit code) */
    MODE_AC = 1 << 21,     /* misaligned accesses are #AC: all take the slow path */
    MODE_STACK = 1 << 22,  /* RSP is in USER_CLUSTER, and that is whole (xstack.c) */
    MODE_COUNT = 1 << 23,  /* a performance counter counts instructions or branches (xcount.c) */
};

/* As exc_vector, of a fetch that is not done and raised nothing. */
enum {
    BT_LATER = 0xfd,   /* other vCPUs have to be told, or acted meanwhile: again */
    BT_NO_IDS = 0xfe,  /* the run loop empties the cache */
    BT_NO_CODE = 0xff, /* nothing answers: FF FF, undefined */
};

/* Whose eyes a data access has; each has its own software TLB. */
enum bt_mmu { MMU_USER, MMU_KERNEL, MMU_KSMAP, MMU_COUNT };

/* What the last mode of a privilege level was made from. */
struct bt_mode_inputs {
    uint64_t efer, cr0, cr4, xcr0, state;
};
struct bt_mode_memo {
    struct bt_mode_inputs in;
    uint32_t key, mode;
};

#define BT_MODES 16 /* distinct modes between two cache flushes; more flush the cache */

/* ---- software TLB --------------------------------------------------------------------------- */

#define TLB_BITS 16
#define TLB_SIZE (1u << TLB_BITS)
#define TLB_FILLS 32768 /* entries of one kind between two flushes; more flush */

/* Direct-mapped by bits 12-27 of the linear address. Reach matters more than size: only touched
 * lines are in the host's caches. A tag that does not translate is the page of a neighbouring
 * index, which never matches. */
struct bt_tlb {
    uint64_t tag_r[TLB_SIZE]; /* linear page that may be read */
    uint64_t tag_w[TLB_SIZE]; /* linear page that may be written */
    uint64_t host[TLB_SIZE];  /* host address of the page */
    uint32_t rpn[TLB_SIZE];   /* page number in the RAM backing */
    uint32_t n_fill[2];       /* entries made since the last flush: [0] not global, [1] global */
    uint16_t fill[2][TLB_FILLS];
    uint64_t large
        /* bit (linear >> 21) & 63: a large page is entered there; [0] low half, [1] high half */
        [2];
};

/* ---- branches (branch.c) -------------------------------------------------------------------- */

#define BT_SHADOW_SIZE 0x10000u /* bytes of a mode's shadow stack */
#define BT_SHADOW_MASK (BT_SHADOW_SIZE - 8)
#define BT_JUMP_BITS 14 /* of a mode's jump table */
#define BT_JUMP_MASK ((8u << BT_JUMP_BITS) - 8)
#define BT_JUMP_HASH 0x9e3779b1u
#define BT_JUMP_SHIFT (29 - BT_JUMP_BITS)
#define BT_BRANCH_SIZE (BT_SHADOW_SIZE + (8u << BT_JUMP_BITS))
#define BT_CALL_ENTRY 3 /* bytes in front of a block: the entry for calls */

/* What helpers look up: RIP -> block. */
#define JC_BITS 9
#define JC_SIZE (1u << JC_BITS)

struct bt_jc_entry {
    uint64_t tag; /* RIP + salt */
    struct bt_block *block;
};

#define BT_MAX_PAGES 65536u
/* What cur_lin[] holds of a page that is not mapped: not canonical and odd, so no page's address,
 * and secret, for a guest may return to any number and must not hit it. Chosen by bt_create. */
extern uint64_t bt_no_lin;
#define BT_NO_HOST (1ull << 63) /* an access near it faults */
#define BT_NO_PAGE 0u           /* id 0 is never a page; cur_lin[0] is bt_no_lin for good */

#define XMAP_SIZE 1024u /* linear page -> page id, self-validating through cur_lin */
struct bt_xmap {
    uint64_t lin;
    uint32_t id;
    uint32_t mode; /* and the code segment: exec_mode in lookup.c */
};

#define BT_VALID_MAX 8192u
#define EXEC_SIZES 3u /* 4 KB, 2 or 4 MB, 1 GB */
#define EXEC_COUNTERS 4096u

/* ---- direct access (view.c, xdirect.c) ------------------------------------------------------- */

#define REGION_SHIFT 36         /* 64 GB */
#define LOW_WINDOW 0x60000000ll /* of linear address 0, from the context on */
#define LOW_REACH 0x10000000ll  /* displacements that may be used there */
#define LOW_SIZE (1ull << REGION_SHIFT)
#define LOW_WINDOW_END (LOW_WINDOW + 2 * LOW_SIZE) /* with a guard */

enum { VIEW_USER, VIEW_KERNEL, VIEW_LOW, VIEW_TABLES };

/* ---- context -------------------------------------------------------------------------------- */

enum bt_exit_reason {
    EXIT_LOOKUP, /* rip set: find or translate, go on */
    EXIT_CHAIN,  /* the same, then patch exit_site */
    EXIT_EVENT,  /* kicked: look at requests and interrupts */
    EXIT_HALT,
    EXIT_SHUTDOWN,
    EXIT_FAULT,   /* a copied instruction raised a host exception: fault_pc, fault_vector */
    EXIT_VARIANT, /* the block at rip without groups */
    EXIT_TLB,     /* a direct access missed its region: on in another form */
    EXIT_ONESHOT, /* run the instruction at rip alone: it writes its own page */
    EXIT_STALE,   /* ctx->arg: the key of a checked block whose source is new */
    EXIT_DEBUG,   /* a point of the debugger's */
    EXIT_OPEN,    /* ctx->arg: a page that others guard, and the instruction at rip stores to */
    EXIT_LOCKED,  /* the instruction at rip is LOCKed over two pages: alone, the others stopped */
    EXIT_ERROR,
    EXIT_COUNT
};

/* What of a vCPU still goes by the regions as they were. */
enum remap { REMAP_NONE, REMAP_CODE, REMAP_ALL };

struct bt_ctx {
    uint64_t gpr[16];
    uint64_t spill[16]; /* a guest register whose host register serves as scratch; BT_LENT */
    uint64_t flags; /* guest's arithmetic flags, bit 1 and IF set, all else clear: ready for POPF */
    uint64_t host_rsp;
    uint64_t jmp_target;
    struct bt_ctx *self;
    uint32_t arg;
    uint32_t site;
    uint32_t pc; /* page id << 12 | offset of the instruction that calls a helper */
    uint32_t mem_info;
    uint64_t mem_addr;
    uint64_t mem_host;
    uint32_t mem_state; /* spill mask, STATE_FLAGS_SAVED */
    uint32_t exit_reason;
    uint64_t code_base;
    void *xsave;
    uint32_t xmask_lo, xmask_hi;
    void *xinit;
    uint32_t exit_site;       /* offset of a struct bt_exit_site, 0: none */
    uint8_t left;             /* the page of `pc` was dropped */
    bool by_branch;           /* an indirect branch wants a block that is not there */
    uint8_t outside;          /* not 0: the guest's vector state is saved, FS is the host's */
    bool direct;              /* FS is the view's in translated code */
    _Atomic uint8_t remapped; /* enum remap */
    uint64_t rip;
    uint64_t *calls;      /* of helpers, by number; only bt_stub_helper_counted counts */
    uint64_t fs_base;     /* what FS has to be in translated code, */
    uint64_t fs_loaded;   /* what it is there, */
    uint64_t fs_host;     /* and in C */
    uint64_t string_rest; /* elements behind the piece that a string instruction does now */
    uint64_t low_base;    /* the host address of linear address 0 in the window of low addresses */

    uint64_t saved_flags; /* LAHF/SETO image: AH = flags, AL = OF */
    uint64_t temp[4];
    uint64_t seg_base[6];
    uint64_t jc_salt[BT_MODES];
    /* Each mode's table of branches, while no kick waits; else the empty one. */
    uint64_t branch[BT_MODES];
    uint64_t branch_call[BT_MODES]; /* the mode's own table, and 8 */
    uint8_t *branch_tables;         /* BT_MODES of them, and the empty one */
    uint32_t sys_flags;             /* RFLAGS bits that are neither arithmetic nor IF nor DF */
    uint32_t mode;                  /* index in modes[] */
    uint32_t mode_key;
    struct bt_mode_memo mode_memo[2]; /* [1] of CPL 3 */
    uint8_t if_flag;                  /* RFLAGS.IF */
    uint8_t cpl;
    bool cell;            /* the program that runs has a cell, */
    bool cell_next;       /* and is to go on there, */
    uint8_t cell_rounds;  /* or when it leaves cell_left, for so many looks (cell_run.c) */
    uint8_t irq_wait;     /* an interrupt waits for IF: STI leaves the block; tested with kick */
    _Atomic uint8_t kick; /* set by bt_kick_now only */
    uint64_t df;          /* 1 or -1 */
    uint64_t kernel_gs_base, tsc_offset;
    uint64_t returns; /* to programs, by way of bt_next */
    uint64_t cell_left, cell_mask;
    _Atomic pid_t cell_running; /* the process, while it runs */
    uint64_t shadow_rip; /* the instruction here runs before an interrupt is taken (STI, MOV SS) */
    uint32_t x87_last;   /* x87.h */
    uint32_t code_seg;   /* number of CS (codeseg.c); 0: flat */
    int64_t seg_top[2][X86_SEG_COUNT]; /* where reading [0] and writing [1] ends (limits.c) */

    uint64_t pc_lin; /* linear page of `pc` when its cur_lin was dropped meanwhile */
    struct engine_vcpu *v;

    /* The exception under way (bt_fault*, delivered by bt_exception). */
    uint8_t exc_vector;
    bool exc_has_error;
    uint32_t exc_error;
    uint64_t exc_cr2;

    uint8_t fault_vector;
    bool fault_guest; /* a page fault of the guest's, recorded in exc_* */
    uint64_t fault_pc;
    uint64_t fault_error;
    uint32_t fault_open; /* rpn + 1: a direct store to a page that others guard */

    /* A store that did not go to plain RAM: bounce buffer and where its bytes belong. */
    struct {
        uint8_t size;
        bool mmio[2];
        uint8_t part;       /* bytes in the first page */
        uint64_t active;    /* bytes that are written, from the first one on */
        uint64_t target[2]; /* guest-physical */
    } post;
    uint8_t nowhere[64]; /* zeroes: stands for bytes that a mask turns off */
    uint8_t bounce[192] __attribute__((aligned(64)));

    uint32_t n_valid[2]; /* page ids with cur_lin set: [0] not global, [1] global */
    bool global_user;    /* some of the global ones are programs' */
    uint32_t valid[2][BT_VALID_MAX];
    uint64_t listed[2][BT_MAX_PAGES / 64]; /* is on the list, whether it has a cur_lin or not */
    /* Pages with a cur_lin, by the size of the guest's page, and some bits of the address. */
    uint8_t exec_size[BT_MAX_PAGES];
    uint16_t exec_count[EXEC_SIZES][EXEC_COUNTERS];
    uint8_t indirect[VIEW_TABLES][65536]; /* by bits 36 - 51 of the address; 0: direct */
    struct bt_xmap xmap[XMAP_SIZE];
    struct bt_tlb tlb[MMU_COUNT];
    struct bt_jc_entry jc[BT_MODES][JC_SIZE];
    uint64_t cur_lin[BT_MAX_PAGES];
    /* Where the host has the page's linear address for direct accesses near it; BT_NO_HOST: there
     * is no direct region. Follows cur_lin[] and the views (bt_view_near). */
    uint64_t cur_host[BT_MAX_PAGES];
    int64_t pmu_left[2]; /* instructions, branches until a counter interrupts (pmu.c) */
};

/* The context whose translated code this thread may be in: for the signal handler. */
extern __thread struct bt_ctx *bt_current;

#define STATE_FLAGS_SAVED 0x10000u

#define BT_ALTSTACK (128u << 10)

/* R10 and R11 are lent to the engine: at the border of every block, and while a helper is called,
 * the guest's values are in ctx->spill[] and the host's registers are free. In ctx->gpr[] they are
 * right while C runs that knows the guest's state (entry.S, bt_lend). */
#define BT_LENT 0x0c00u

static inline void bt_lend(struct bt_ctx *c)
{
    c->spill[10] = c->gpr[10];
    c->spill[11] = c->gpr[11];
}

/* ---- code cache ----------------------------------------------------------------------------- */

struct bt_block {
    uint32_t hot, cold; /* offsets of the code in the cache */
    uint32_t rec;       /* first record */
    uint16_t n_rec;
    uint16_t size;  /* guest bytes */
    uint32_t key;   /* page id << 12 | offset, form; 0: runs once */
    uint32_t page2; /* id of the second page of an instruction that straddles two, else 0 */
    uint32_t next;  /* of its page */
    uint32_t next2; /* of its second page */
    /* The first block of a key stands for the key: whatever leads to it enters at its first byte,
     * which becomes a jump to the block that takes its place, as does that of each other block that
     * is not current any more. Jumps that are known lead to the new block itself. In the first:
     * which block is current, 0: itself, or BT_BLOCK_GONE; in another: the first one. Numbers of
     * blocks are index + 1. */
    uint32_t link;
    uint32_t gone;    /* where it leads while there is no block; 0: not made yet */
    uint32_t unsaved; /* links to it that leave the flags in saved_flags: struct bt_unsaved */
    uint32_t links;   /* jumps that lead to it: struct bt_link */
    uint32_t last;    /* the newest block that took its place, 0: none; the others are before it */
    uint32_t before;
    uint32_t ret; /* its return point, or 0 */
    bool first, checked, loop;
    bool dead;       /* not entered any more */
    bool live;       /* it may read flags before it writes them */
    bool call_here;  /* the entry for calls is right in front of it */
    bool call_flags; /* entry_call brings the flags */
    bool branched;   /* in the first: indirect branches lead to it */
    /* Offsets of further entries, 0: none yet (branch.c). */
    uint32_t entry_flags, entry_call, entry_indirect;
    union {
        uint64_t peeked; /* lines of the page, besides its own bytes, that it depends on */
        struct {
            uint32_t src;   /* checked, or two pages: a struct bt_source in the cache */
            uint32_t older; /* checked: the version that is tried next */
        };
    };
};

#define BT_BLOCK_GONE (~0u)
#define BT_SOURCE_MAX 736u /* bytes of a block, at most */

/* The bytes a block was made from. Lies in the cold part. */
struct bt_source {
    uint32_t body;  /* code behind the jump that is a checked block's first instruction */
    uint32_t fail;  /* rel32 that leads to the next version, */
    uint32_t stale; /* or to the stub that says there is none */
    uint16_t size, n_imm;
    uint32_t imm; /* struct bt_imm[] */
    uint8_t bytes[];
};

/* An immediate that the code has a copy of and nothing else depends on. */
struct bt_imm {
    uint32_t host;
    uint16_t at, size; /* in the source */
};

struct bt_unsaved {
    uint32_t guard, next; /* the guard of the link */
};

/* A jump that leads to the block of a key: moved when another takes that block's place. */
struct bt_link {
    uint32_t jump, next; /* offset of the rel32 */
};

#define BT_KEY_VARIANT (1u << 31) /* translated without groups (xgroup.c) */
#define BT_KEY_TLB (1u << 30)     /* with the software TLB, though the mode is direct */
#define BT_KEY_FORM (BT_KEY_VARIANT | BT_KEY_TLB)

/* Where in the guest and in what state the host instruction at `off` is. Sorted by block, not by
 * offset. */
struct bt_record {
    uint32_t off : 27;
    int32_t sp : 5; /* RSP is to move by so many words (x_move_later) */
    uint16_t goff;  /* offset in the page; REC_FLAGS_SAVED */
    uint16_t spill;
};
#define REC_FLAGS_SAVED 0x8000u
#define REC_STRING 0x4000u /* RDI and RSI are host addresses (xstring.c), */
#define REC_PIECE 0x2000u  /* and ctx->string_rest is missing in RCX */

struct bt_code_page {
    uint32_t rpn;
    uint8_t mode;
    uint16_t code_seg; /* 0: flat; else the page is known at one linear address only, */
    uint32_t lin;      /* this one */
    bool checked;      /* its blocks compare their source */
    bool tlb_sites;    /* has instructions that are SITE_TLB */
    uint32_t next;     /* other ids of the same rpn */
    uint32_t blocks;   /* its blocks */
    uint32_t tails;    /* those of the page before that end here */
};

/* A debugger's points (debug.c). */
struct bt_debug {
    struct engine_point point[ENGINE_MAX_POINTS];
    unsigned n_point, n_watch;
    bool any_place;
    uint64_t offsets[BT_PAGE_SIZE / 64]; /* in pages, at which blocks begin because of a point */
};

struct bt_wpage;
struct xlate;

#define BT_MAX_VCPUS 64u

/* A machine: what its vCPUs share. */
struct engine {
    struct ram *ram;
    const struct engine_host *host;
    const struct cpuid_table *cpuid;
    unsigned vcpus;
    struct engine_vcpu *vcpu[BT_MAX_VCPUS];
    uint64_t tsc_khz;
    _Atomic uint32_t cross;      /* lock: one vCPU acts on others (smp.c) */
    uint64_t *guarded, *written; /* rpn -> bits of vCPUs */
    uint32_t n_rpn;
    bool stats; /* count what costs time to count, too */
    _Atomic bool a20_off;
    struct engine_trace trace;
};

/* What translates for one vCPU: its code, code pages and views. On its thread no lock is needed. */
struct translator {
    struct engine *machine;
    struct engine_vcpu *v;
    /* Of the machine, and the same for all: */
    struct ram *ram;
    const struct engine_host *host;
    const struct cpuid_table *cpuid;
    uint64_t tsc_khz;
    uint64_t phys_mask;
    uint64_t a20_mask; /* all ones, but for bit 20 while the gate masks it */
    uint64_t host_xcr0;
    uint64_t cr4_mask;  /* bits of CR4 that the guest's CPU has */
    uint64_t efer_mask; /* bits of EFER that the guest's CPU has */
    /* A copy, largest first: looked up without leaving this folder. */
    struct ram_region region[RAM_MAX_REGIONS];
    unsigned n_region;
    uint8_t *backing;                   /* of all regions */
    bool bmi2;                          /* of the host */
    bool amd;                           /* the guest's CPU says so, */
    bool xsaves, invpcid, perfctr_core; /* and that it has these */

    /* Code cache: one memfd mapped twice, executable and writable. */
    uint8_t *code_rx, *code_rw;
    uint32_t code_size, cold_start;
    uint32_t hot_limit, cold_limit; /* as far as the cache is used now */
    uint64_t emptied;               /* host TSC when the cache was */
    uint32_t stub_end;
    uint32_t hot, cold; /* next free */
    uint64_t stub_mem, stub_post, stub_chain, stub_lookup, stub_helper, stub_exit, stub_kick,
        stub_page2, stub_group, stub_variant, stub_direct, stub_gone, stub_stale, stub_seg;
    uint64_t stub_branch[BT_MODES]; /* jump through the mode's table, to the RIP in R11 */
    int branch_fd;                  /* empty tables */

    struct bt_block *block;
    uint32_t n_block, max_block;
    uint32_t *block_hash; /* index + 1 */
    uint32_t hash_size;
    struct bt_unsaved *unsaved;
    uint32_t n_unsaved, max_unsaved;
    struct bt_link *link;
    uint32_t n_link;
    uint32_t *miss_link; /* jumps of misses that lead to the software TLB (bt_link_miss) */
    uint32_t n_miss_link;
    struct bt_record *rec;
    uint32_t n_rec, max_rec;
    struct bt_code_page *page; /* by id */
    uint32_t n_page;
    uint32_t *rpn_page; /* rpn -> first live id or 0 */
    uint32_t n_rpn;
    struct bt_wpage *wpage; /* pages that are written while they hold code (codewrite.c) */
    uint8_t *wpage_copy;
    uint16_t *rpn_wpage; /* rpn -> index in them, or 0 */
    uint32_t n_wpage, wpage_hand, n_checked;
    uint64_t wpage_scan; /* TSC of the last look for quiet ones */
    uint32_t mode_key[BT_MODES];
    uint32_t n_mode;
    struct bt_code_segs code_segs;
    _Atomic uint32_t stale_any; /* a DMA write hit a page with code */
    _Atomic uint64_t *stale;    /* bitmap by rpn */
    struct views *views;        /* NULL: no direct access on this host */
    struct bt_stat stat;
    bool stats; /* count what costs time to count, too */
    struct engine_trace trace;
    struct bt_debug debug;
};

struct engine_vcpu {
    struct engine *machine;
    struct translator *en;
    unsigned index;
    struct x86_cpu cpu; /* all that is not in bt_ctx */
    struct bt_ctx *ctx;
    uint64_t tsc_offset; /* while not loaded */
    _Atomic bool stop;
    _Atomic uint32_t running, hold; /* not at a safe point; another wants it to be at one (smp.c) */
    uint32_t pauses;                /* times that others may have acted on it */
    uint32_t spins;                 /* PAUSEs */
    uint32_t cross;                 /* depth of bt_smp_begin */
    uint64_t stopped;               /* those that it holds */
    bool flush_wanted;              /* the run loop empties the cache before it goes on */
    bool bound;                     /* has run */
    bool loaded;
    bool halted;             /* in HLT: only an interrupt goes on */
    uint64_t left_at;        /* host TSC when `run` returned last */
    uint64_t window, idle;   /* since when, in host TSC, and how much of that outside of `run` */
    _Atomic bool first_look; /* look for interrupts before the first block */
    bool alone;              /* the block that runs is one instruction, and is left behind it */
    struct {
        bool step, hit; /* hit: a watched access is done */
        bool unwatched; /* what is watched changed: the software TLB does not know yet */
        struct engine_debug_stop stop;
    } debug;
    struct {                    /* the guest's debug registers (dr.c) */
        uint8_t exec, data, io; /* bit n: DRn waits for that */
        uint8_t hit;            /* it matched: #DB comes behind the instruction */
        bool no_step;           /* the instruction ended stepping: no trap behind it */
        bool after_ss;          /* ctx->shadow_rip is behind a load of SS */
        uint64_t rf_rip;        /* no breakpoint counts for the instruction here */
    } dr;
    struct {
        uint64_t fip, fdp;
        uint16_t fop;
    } x87; /* the x87's pointers (x87.h) */
    struct bt_pmu pmu;
    _Atomic uint64_t cell_ns;                           /* CPU time that cells took */
    uint64_t steal_wall_ns, steal_cpu_ns, steal_looked; /* stolen time was reckoned (steal.c) */
    bool keyed;                                         /* a page with a protection key was met */
    uint32_t oneshot_id;    /* page of the block entered last from the run loop */
    volatile uint8_t where; /* enum bt_where */
    bool sampling;
    timer_t sample_timer;
    uint64_t sampled_ns; /* CPU time of the thread at the last sample */
    void *altstack;
    struct xlate *xlate;
    struct insn_cache *insn_cache;
    uint8_t *xbuf;     /* 4 KB, page aligned: XSAVE images on their way */
    unsigned xsize[2]; /* of the XSAVE area for the RFBM in xsize_key: standard, compacted */
    uint64_t xsize_key[2];
    uint8_t xinit[X86_XSAVE_SIZE] __attribute__((aligned(64))); /* the vector state C gets */
    char error[160];
};

/* Does a vCPU guard the page: has code in it that does not look for stores? */
static inline bool bt_guarded(const struct translator *en, uint32_t rpn)
{
    return __atomic_load_n(&en->machine->guarded[rpn], __ATOMIC_RELAXED) != 0;
}

/* The host address of a page of the backing. */
static inline uint8_t *bt_rpn_host(const struct translator *en, uint32_t rpn)
{
    uint64_t off = (uint64_t)rpn << 12;

    return rpn < en->n_rpn ? en->backing + off : NULL;
}

/* The backing of a guest-physical page: host address and page number in the backing. NULL: not RAM.
 */
static inline uint8_t *bt_ram_page(const struct translator *en, uint64_t gpa, uint32_t *rpn,
                                   bool *rom)
{
    for (unsigned i = 0; i < en->n_region; i++) {
        const struct ram_region *r = &en->region[i];
        if (gpa - r->base < r->size && !r->absent) {
            uint64_t o = (gpa - r->base) & BT_PAGE_MASK;
            *rpn = (uint32_t)((r->offset + o) >> 12);
            *rom = r->readonly;
            return r->host + o;
        }
    }
    return NULL;
}

static inline uint64_t bt_tsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}

/* Byte by byte upwards: where the two overlap, the pattern repeats. */
static inline void bt_copy(void *dst, const void *src, unsigned long n)
{
    __asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
}

/* Of two that do not overlap; REP MOVSB takes longer than a few bytes are worth. */
static inline void bt_copy_few(void *dst, const void *src, unsigned long n)
{
    typedef uint64_t __attribute__((may_alias, aligned(1))) word;

    if (n > 64) {
        bt_copy(dst, src, n);
        return;
    }
    for (; n >= 8; n -= 8, dst = (uint8_t *)dst + 8, src = (const uint8_t *)src + 8)
        *(volatile word *)dst = *(const volatile word *)src;
    for (; n > 0; n--, dst = (uint8_t *)dst + 1, src = (const uint8_t *)src + 1)
        *(volatile uint8_t *)dst = *(const volatile uint8_t *)src;
}

static inline void bt_fill(void *dst, uint8_t byte, unsigned long n)
{
    __asm__ volatile("rep stosb" : "+D"(dst), "+c"(n) : "a"(byte) : "memory");
}

/* ---- functions by file ---------------------------------------------------------------------- */

/* entry.S */
void bt_enter(void);
void bt_stub_exit(void);
void bt_stub_helper(void);
void bt_stub_helper_counted(void);
void bt_stub_mem(void);
void bt_stub_post(void);
void bt_stub_chain(void);
void bt_stub_lookup(void);
void bt_stub_kick(void);
void bt_stub_page2(void);
void bt_stub_group(void);
void bt_stub_variant(void);
void bt_stub_direct(void);
void bt_stub_gone(void);
void bt_stub_stale(void);
void bt_stub_seg(void);
void bt_vector_out(void);
void bt_vector_in(void);

/* What the slow path of an access must know; lies in the code right before ctx->site. */
struct bt_mem_site {
    uint32_t info;
    uint32_t state; /* spill mask, STATE_FLAGS_SAVED */
    uint32_t pc;
};

/* What bt_chain and bt_kick_exit must know; lies in the code at ctx->exit_site. */
struct bt_exit_site {
    uint32_t jump;  /* offset of the rel32 to link, or 0: the target is right there, */
    uint32_t guard; /* and of the guard's displacement, or 0; a direct miss: index of its block */
    uint32_t id;    /* the target is cur_lin[id] + delta */
    int32_t delta;
    uint32_t form; /* EXIT_FORM_*; a direct miss: page offset of the access's instruction */
};
#define EXIT_FORM_CALL 1u  /* the jump is a call, R10 holds RSP there */
#define EXIT_FORM_SAVED 2u /* the flags are in ctx->saved_flags at the jump */

/* What bt_lookup_next must know of an indirect branch; lies in the code at ctx->site. */
struct bt_branch_site {
    uint32_t pc;
    int32_t moved; /* how far it moved RSP */
};

/* ctx->mem_info: bits 0-9 size, 12-13 access, 16-17 mmu, 24-26 segment (bt_seg_slow), and */
#define INFO_STACK (1u << 20)   /* SS: faults are #SS */
#define INFO_MASKED (1u << 21)  /* elements that a mask turns off neither move nor fault */
#define INFO_LIN32 (1u << 22)   /* linear addresses wrap at 4 GB */
#define INFO_LOCKED (1u << 27)  /* atomic, over two pages, too */
#define INFO_ALIGNED (1u << 23) /* misalignment is #GP(0), before any page fault */

#include "bt_mmu.h"

/* cache.c */
int bt_cache_create(struct translator *en, struct err *e) MUST_CHECK;
void bt_cache_destroy(struct translator *en);
void bt_cache_flush(
    struct translator *en); /* drops every translation; no vCPU may be inside translated code */
bool bt_cache_grow(struct translator *en); /* full: may it use more? If not it is to be emptied. */
void bt_cache_trim(struct translator *en); /* empties it and gives its memory back to the host */
/* id; 0: ids exhausted; or: other vCPUs have to be told first, which is for the run loop. */
#define BT_PAGE_LATER (~0u)
uint32_t bt_page_get(struct translator *en, uint32_t rpn, unsigned mode, unsigned code_seg,
                     uint64_t lin);
/* The block that is current for a key, or NULL. */
struct bt_block *bt_block_find(struct translator *en, uint32_t key);
/* The block that links are to lead to: the current one, while that is not a checked one. */
struct bt_block *bt_block_target(const struct translator *en, const struct bt_block *first);
/* The jump whose rel32 is at `jump` leads to a key's target: from now on to the next one, too. */
void bt_block_linked(struct translator *en, struct bt_block *first, uint32_t jump);
/* Was the rel32 at `jump` in the first bytes of a block that is dead? */
bool bt_block_overwritten(const struct translator *en, uint32_t jump);
/* Was there ever a block of the key? */
bool bt_block_known(const struct translator *en, uint32_t key);
/* Is there a block of the key that indirect branches lead to? */
bool bt_block_branched(const struct translator *en, uint32_t key);
struct bt_block *bt_block_first(const struct translator *en,
                                const struct bt_block *b); /* of its key */
uint64_t bt_block_code(const struct translator *en,
                       const struct bt_block *b); /* where to enter it */
struct bt_block *bt_block_new(struct translator *en, uint32_t key);
void bt_block_publish(struct translator *en, struct bt_block *b); /* makes it current */
void bt_block_ahead(struct translator *en, struct bt_block *b);   /* of the versions of its key */
/* The current block of the key is not entered any more; what leads to it goes on by look-up. False:
 * there is no room for that. */
bool bt_block_drop(struct translator *en, struct bt_block *b);
const struct bt_block *bt_block_at(struct translator *en, uint64_t host_pc,
                                   const struct bt_record **rec);
/* The block with this offset in its hot or cold part. */
const struct bt_block *bt_block_of(const struct translator *en, uint32_t off);
static inline struct bt_source *bt_block_source(const struct translator *en,
                                                const struct bt_block *b)
{
    return (struct bt_source *)(en->code_rw + b->src);
}
static inline void bt_patch32(struct translator *en, uint32_t at, uint32_t value)
{
    __atomic_store_n((uint32_t *)(en->code_rw + at), value, __ATOMIC_RELEASE);
}
void bt_code_stale(struct translator *en); /* handles what bt_code_dma noted */
void bt_code_dma(void *opaque, gpa_t gpa, uint64_t len);

/* remap.c. The first also when the engine is created; the last two: the vCPU's thread. */
void bt_regions_load(struct translator *en);
void bt_remap(struct engine *en);
void bt_a20(struct engine *en, bool on);
void bt_remap_data(struct bt_ctx *c); /* after an access that a device served */
bool bt_remap_code(struct bt_ctx *c); /* between blocks; false: there is nothing to do */

/* event.c: general registers only */
uint64_t bt_rflags(const struct bt_ctx *c);
void bt_set_rflags(struct bt_ctx *c, uint64_t v);
int bt_fault(struct bt_ctx *c, unsigned vector); /* records; returns 1 */
int bt_fault_err(struct bt_ctx *c, unsigned vector, uint32_t error);
uint64_t bt_exception(
    struct bt_ctx *c); /* delivers what is recorded, rip being the restart address; as bt_next */
int bt_interrupt(struct bt_ctx *c, unsigned vector, bool soft, uint64_t return_rip);
uint64_t bt_helper_rip(const struct bt_ctx *c);

/* helpers.c */
typedef uint64_t bt_helper_fn(struct bt_ctx *c, uint32_t arg);
extern bt_helper_fn *const bt_helpers[];

/* segment.c */
int bt_load_seg(struct bt_ctx *c, unsigned seg, uint16_t selector);
void bt_set_flat(struct x86_segment *s, uint16_t selector, uint16_t attr);
void bt_sync_segs(struct bt_ctx *c);

/* translate.c */
/* Translates the block at ctx->rip (page id known). NULL with the exception recorded, or the cache
 * is full (*full). chain: the exit at ctx->exit_site wants it. */
struct bt_block *bt_translate(struct bt_ctx *c, uint64_t rip, uint32_t id, bool oneshot,
                              uint32_t form, bool chain, bool *full);

/* In which form to go on at ctx->rip, where a direct access missed. *link: always so. */
uint32_t bt_miss_form(struct bt_ctx *c, bool *link);

#include "bt_view.h"

/* stats.c */
void bt_counters(struct engine *m, counter_fn *fn, void *opaque);

/* sample.c */
void bt_sample_bind(struct engine_vcpu *v); /* the calling thread is the vCPU's */
void bt_sample_unbind(struct engine_vcpu *v);
void bt_sample_run(struct engine_vcpu *v, bool on);

#include "codewrite.h"

#endif
