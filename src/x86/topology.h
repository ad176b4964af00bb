/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a machine's virtual CPUs are grouped: sockets of cores of threads. The APIC id of a CPU is
 * its index, whose lowest bits are the thread's number, and the next ones the core's (Intel SDM
 * vol. 3, 9.9.1). So threads are a power of two, and so are cores where there are several sockets.
 */
#ifndef DOPPEL_X86_TOPOLOGY_H
#define DOPPEL_X86_TOPOLOGY_H

#include "base/err.h"

#define X86_MAX_SOCKETS 32u

struct x86_topology {
    unsigned sockets, cores, threads; /* cores of each socket, threads of each core */
};

/* One socket of `cpus` cores. */
struct x86_topology x86_topology_flat(unsigned cpus);

/* "4" or "4,sockets=1,cores=2,threads=2": the number of CPUs, from 1 to `max`, and its factors.
 * Cores that are not given are what is left, other factors 1. A usage error names the word. */
int x86_topology_parse(struct x86_topology *t, const char *option, const char *text, unsigned max,
                       struct err *e) MUST_CHECK;

unsigned x86_topology_cpus(const struct x86_topology *t);
unsigned x86_topology_thread_bits(const struct x86_topology *t); /* of an APIC id */
unsigned x86_topology_socket_shift(const struct x86_topology *t);

#endif
