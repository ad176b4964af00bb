/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's network stack in a nutshell, for tests: gets an address by DHCP, finds the gateway by
 * ARP, opens one TCP connection to a server on the host's loopback (10.0.2.2), uploads, downloads,
 * and is done. No retransmissions: it relies on a network that loses nothing.
 *
 * And that server: a thread on 127.0.0.1 that takes one connection, checks what comes, answers.
 */
#ifndef DOPPEL_TESTS_UNIT_NET_CLIENT_H
#define DOPPEL_TESTS_UNIT_NET_CLIENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/net.h"
#include "net_frames.h"

enum net_client_phase {
    CLIENT_DISCOVER,
    CLIENT_REQUEST,
    CLIENT_ARP,
    CLIENT_CONNECT,
    CLIENT_OPEN,
    CLIENT_DONE,
    CLIENT_FAILED
};

struct net_client {
    /* Set by the test. */
    void (*send)(void *opaque, const struct net_meta *meta, uint8_t *frame, size_t len);
    void (*finished)(void *opaque); /* done or failed */
    void *opaque;
    uint16_t server_port;
    size_t upload, download;
    bool tso;            /* upload in large frames with partial checksums */
    uint16_t large, mss; /* bytes of these, and of their segments; 0: the usual ones */
    bool arp_only;       /* done when the gateway has answered */

    enum net_client_phase phase;
    const char *why; /* of the failure */
    struct frame_ends ends;
    uint32_t isn, acked; /* ours; what the peer has acknowledged */
    uint32_t window;     /* what it takes */
    size_t sent, got;
    size_t largest; /* frame received */
    unsigned gso_frames;
    uint8_t frame[70000];
};

void net_client_start(struct net_client *c, const uint8_t *mac);
void net_client_input(struct net_client *c, const struct net_meta *meta, const uint8_t *frame,
                      size_t len);

/* The byte at an offset of either direction's data. */
static inline uint8_t net_pattern(size_t i)
{
    return (uint8_t)(i * 131 + i / 509);
}

struct net_server {
    uint16_t port;
    int listener;
    size_t upload, download;
    unsigned delay_us; /* before each read */
    pthread_t thread;
    bool ok; /* after net_server_join */
};

void net_server_start(struct net_server *s, size_t upload, size_t download);
void net_server_join(struct net_server *s);

#endif
