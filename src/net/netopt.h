/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words of `--net` and `-p`:
 *
 *   --net none
 *   --net user[,ipv6=on|off][,hostfwd=[tcp|udp]:[ADDR]:PORT-[ADDR]:PORT]...[,model=M][,mac=MAC]
 *   --net tap[,ifname=NAME][,bridge=NAME][,model=M][,mac=MAC]
 *   -p [ADDR:]PORT:GUESTPORT[/tcp|/udp]
 *
 * M is virtio, e1000 or pcnet. An omitted host address means all of the host's, an omitted guest
 * address the first that DHCP hands out (10.0.2.15), an omitted protocol TCP. Addresses are IPv4.
 */
#ifndef DOPPEL_NET_NETOPT_H
#define DOPPEL_NET_NETOPT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define NET_MAX_FORWARDS 64u

#define NET_IFNAME 16u /* bytes of an interface's name with its end, as the kernel's IFNAMSIZ */

enum net_kind { NET_NONE, NET_USER, NET_TAP };
enum net_model { NET_VIRTIO, NET_E1000, NET_PCNET }; /* the card */

struct net_forward {
    bool udp;
    struct in_addr host_addr;  /* network order; 0: any */
    uint16_t host_port;        /* 1..65535, host order */
    struct in_addr guest_addr; /* 0: the DHCP address */
    uint16_t guest_port;
};

struct net_options {
    enum net_kind kind;
    enum net_model model;
    uint8_t mac[6]; /* all zero: none was given */
    /* User: */
    bool ipv6;
    unsigned forward_count;
    struct net_forward forwards[NET_MAX_FORWARDS];
    /* Tap: */
    char ifname[NET_IFNAME]; /* empty: a new interface, named by the kernel */
    char bridge[NET_IFNAME]; /* empty: none */
};

/* Reads the value of --net into `o`, replacing what it held. Usage errors name the suboption. */
int net_options_parse(struct net_options *o, const char *text, struct err *e) MUST_CHECK;

/* Adds the forward that the value of -p describes. */
int net_options_publish(struct net_options *o, const char *text, struct err *e) MUST_CHECK;

/* "tcp:127.0.0.1:2222-:22", for messages; `buf` has at least NET_FORWARD_TEXT bytes. */
#define NET_FORWARD_TEXT 64u
const char *net_forward_text(const struct net_forward *f, char *buf);

#endif
