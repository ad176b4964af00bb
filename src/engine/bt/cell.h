/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cells: host processes that hold nothing but what a program of the guest's may see, at the
 * addresses where it sees it. Its code runs there as it is, by the host's processor; all that is
 * not plain execution stops the cell and is the translator's (docs/ENGINE.md, "Cells").
 *
 * A cell is traced (ptrace(2)) by the thread of its vCPU, so system calls of what runs in it never
 * reach the host (PTRACE_SYSEMU). What the monitor wants mapped it has the cell itself map: a few
 * instructions of ours in the cell's *area* read a list of system calls there and make them.
 *
 * All functions but those that queue are for the thread that traces, between blocks: they may use
 * errno and the vector registers.
 */
#ifndef DOPPEL_ENGINE_BT_CELL_H
#define DOPPEL_ENGINE_BT_CELL_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#define CELL_OPS 256u
#define CELL_CS 0x33u /* as the host's kernel has it for 64-bit programs, */
#define CELL_SS 0x2bu
#define CELL_XSTATE 16384u /* more than any host's */
#define CELL_END 0x7ffffffff000ull
#define CELL_AREA_SIZE (4096u + CELL_OPS * 64u) /* our code, and the list */

/* A system call that the cell is to make. */
struct cell_op {
    uint64_t nr, arg[6], unused;
};

struct cell {
    pid_t pid;    /* 0: there is none */
    int cpu;      /* of the host's processors, the one that it may use; -1: any */
    bool lost;    /* more was queued than there is room for: all has to be mapped anew */
    bool spoiled; /* of no use any more: has a flag set that ptrace cannot clear, or the program has
                    * memory of its own where the area is */
    uint32_t maps; /* mappings that it has, at most */
    unsigned n_op;
    uint64_t ran_ns;  /* its CPU clock at bt_cell_ran, */
    uint64_t tick_ns; /* and at the last tick */
    uint64_t stops;   /* since the last tick */
    bool has_xstate;  /* xstate is what it has in its registers */
    struct cell_op op[CELL_OPS];
    uint8_t xstate[CELL_XSTATE];
};

/* Those of a vCPU. */
struct cells {
    pid_t first;       /* without anything mapped; the others are its copies */
    bool together;     /* the thread is bound to a processor, */
    bool loose;        /* is not to be the next time: the host may choose */
    bool no_affinity;  /* or cannot be */
    cpu_set_t wanted;  /* where it may run else */
    bool refused;      /* the host does not let us trace, or fork */
    bool eager;        /* every address space gets one at once: for tests */
    int fd;            /* of guest memory */
    int area_fd;       /* of the area */
    uint64_t area;     /* where all cells have it */
    uint8_t *list;     /* the list in the area, for us to write */
    uint64_t xsize;    /* of the vector state that the host hands out, */
    uint64_t own_size; /* and of what of that is the guest's */
    uint64_t *usable;  /* by page of the backing: it may run, while it is guarded */
    uint32_t max_maps;
    struct cell *cell;
    unsigned n;
    uint8_t xinit[CELL_XSTATE]; /* what of that is not the guest's */
};

/* n cells that may exist, none of which does. NULL: there can be none here. `pages`: of guest
 * memory, whose descriptor is fd; max_maps: that a process may have. */
struct cells *bt_cells_create(unsigned n, int fd, uint64_t pages, uint32_t max_maps);
/* All of them end: another thread is to trace those to come. */
void bt_cells_end(struct cells *cs);
void bt_cells_destroy(struct cells *cs);

/* Any thread that has stopped the vCPU: what the cell is to do before it runs next. */
void bt_cell_map(const struct cells *cs, struct cell *e, uint64_t lin, uint64_t len, unsigned prot,
                 uint64_t offset);
void bt_cell_protect(struct cell *e, uint64_t lin, uint64_t len, unsigned prot); /* 0: unmap */
void bt_cell_unmap_all(const struct cells *cs, struct cell *e);

/* Does a part of the area lie there? Nothing else may: what runs there makes system calls. */
static inline bool bt_cell_area(const struct cells *cs, uint64_t lin, uint64_t len)
{
    return lin < cs->area + CELL_AREA_SIZE && cs->area < lin + len;
}

/* Makes the process. False: it cannot be had. */
bool bt_cell_start(struct cells *cs, struct cell *e);
void bt_cell_end(struct cell *e);
/* Has the cell do what is queued. False: the host refused some of it; the queue is empty. */
bool bt_cell_apply(struct cells *cs, struct cell *e);

/* How a cell stopped. */
enum cell_stop {
    CELL_KICK,     /* a signal of ours, or of anybody's */
    CELL_SYSCALL,  /* behind an instruction for system calls, not done */
    CELL_MEMORY,   /* an access to `addr`, or a fetch from there */
    CELL_TRAP,     /* behind INT3 */
    CELL_STEP,     /* behind an instruction, with TF set */
    CELL_VSYSCALL, /* at `addr`, whose code is not the guest's; RIP is not right */
    CELL_FAULT,    /* at an instruction that faults in another way */
    CELL_DEAD,
};
/* Runs it with these registers until it stops, unless *kick. The registers are then in *regs.
 * *running: what bt_cell_kick is told meanwhile. */
enum cell_stop bt_cell_go(struct cell *e, struct user_regs_struct *regs, _Atomic pid_t *running,
                          const _Atomic uint8_t *kick, uint64_t *addr);
/* Thread and cell take turns: while they do they stay on one processor, for to wake an idle one
 * takes longer than most of what they do. bt_cells_together: before bt_cell_go. bt_cells_apart: the
 * thread may go where it wants again. */
void bt_cells_together(struct cells *cs, struct cell *e);
void bt_cells_apart(struct cells *cs);
void bt_cell_kick(const _Atomic pid_t *running); /* any thread: stops what runs */
/* The vector state of `area`, as XSAVE writes it, to the cell and back. Only components of `mask`
 * are anybody's business. */
bool bt_cell_put_xstate(struct cells *cs, struct cell *e, const uint8_t *area, uint64_t mask);
bool bt_cell_get_xstate(struct cells *cs, struct cell *e, uint8_t *area, uint64_t mask);
/* The CPU time that it took since the last call, in nanoseconds. */
uint64_t bt_cell_ran(struct cell *e);

/* cell_scan.c. Does a page hold no instruction that does not do in a cell what the guest expects?
 * Given are the page, what is before it (behind that code is in step, wherever one begins to
 * read), if that is known, and behind it. `xsave`: instructions that save vector state count,
 * too. */
#define CELL_BEFORE 96u
#define CELL_BEHIND 16u
#define CELL_CODE (CELL_BEFORE + 4096u + CELL_BEHIND)
bool bt_cell_plain(const uint8_t code[CELL_CODE], bool before, bool xsave);

#endif
