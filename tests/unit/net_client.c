/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's network stack in a nutshell; see net_client.h. */
#include "net_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define GATEWAY 0x0a000202u
#define MSS 1460u
#define LARGE (40u * MSS)

static void stop(struct net_client *c, const char *why)
{
    c->phase = why != NULL ? CLIENT_FAILED : CLIENT_DONE;
    c->why = why;
    c->finished(c->opaque);
}

static void send_plain(struct net_client *c, size_t len)
{
    struct net_meta meta = {0};
    c->send(c->opaque, &meta, c->frame, len);
}

void net_client_start(struct net_client *c, const uint8_t *mac)
{
    c->phase = CLIENT_DISCOVER;
    memcpy(c->ends.mac, mac, 6);
    send_plain(c, frame_dhcp(c->frame, mac, 1, 0));
}

/* --- DHCP and ARP --- */

static uint8_t dhcp_type(const uint8_t *options, size_t len)
{
    for (size_t i = 0; i + 2 < len && options[i] != 255; i += 2u + options[i + 1])
        if (options[i] == 53)
            return options[i + 2];
    return 0;
}

static void on_udp(struct net_client *c, const uint8_t *f, size_t len)
{
    const uint8_t *dhcp = f + 42;
    if (len < 42 + 244 || frame_get16(f + 36) != 68)
        return;
    uint8_t type = dhcp_type(dhcp + 240, len - 42 - 240);
    if (frame_l4_sum(f) != 0xffff || !frame_ip4_ok(f))
        stop(c, "a DHCP answer with a wrong checksum");
    else if (c->phase == CLIENT_DISCOVER && type == 2) {
        c->ends.ip = frame_get32(dhcp + 16);
        c->phase = CLIENT_REQUEST;
        send_plain(c, frame_dhcp(c->frame, c->ends.mac, 3, c->ends.ip));
    } else if (c->phase == CLIENT_REQUEST && type == 5) {
        c->phase = CLIENT_ARP;
        send_plain(c, frame_arp_request(c->frame, &c->ends, GATEWAY));
    }
}

static void connect_server(struct net_client *c)
{
    static const uint8_t mss[4] = {2, 4, MSS >> 8, MSS & 255};
    c->phase = CLIENT_CONNECT;
    c->ends.peer_ip = GATEWAY;
    c->ends.port = 40000;
    c->ends.peer_port = c->server_port;
    c->isn = c->ends.seq = 0xffff8000u;
    send_plain(c, frame_tcp(c->frame, &c->ends, 4, T_SYN, mss, 4, NULL, 0, true));
    c->ends.seq++;
    c->acked = c->ends.seq;
}

static void on_arp(struct net_client *c, const uint8_t *f, size_t len)
{
    if (len < 42)
        return;
    if (frame_get16(f + 20) == 1 && frame_get32(f + 38) == c->ends.ip) {
        send_plain(c, frame_arp_reply(c->frame, &c->ends, f));
    } else if (frame_get16(f + 20) == 2 && c->phase == CLIENT_ARP &&
               frame_get32(f + 28) == GATEWAY) {
        memcpy(c->ends.peer_mac, f + 22, 6);
        if (c->arp_only)
            stop(c, NULL);
        else
            connect_server(c);
    }
}

/* --- TCP --- */

static void send_data(struct net_client *c, size_t len)
{
    static uint8_t data[UINT16_MAX];
    for (size_t i = 0; i < len; i++)
        data[i] = net_pattern(c->sent + i);
    struct net_meta meta = {0};
    if (c->tso)
        meta = (struct net_meta){.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
    if (len > MSS) {
        meta.gso = NET_GSO_TCP4;
        meta.gso_size = c->mss != 0 ? c->mss : MSS;
        meta.hdr_len = 54;
    }
    size_t total = frame_tcp(c->frame, &c->ends, 4, T_ACK | T_PSH, NULL, 0, data, len, !c->tso);
    c->sent += len;
    c->ends.seq += (uint32_t)len;
    c->send(c->opaque, &meta, c->frame, total);
}

static void send_more(struct net_client *c)
{
    size_t large = c->large != 0 ? c->large : LARGE, piece = c->tso ? large : MSS;
    while (c->phase == CLIENT_OPEN && c->sent < c->upload) {
        size_t len = c->upload - c->sent < piece ? c->upload - c->sent : piece;
        size_t flying = c->ends.seq - c->acked;
        size_t room = flying < c->window ? c->window - flying : 0;
        if (len > room)
            len = room - room % MSS;
        if (len == 0)
            return;
        send_data(c, len);
    }
}

static void take_data(struct net_client *c, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != net_pattern(c->got + i)) {
            stop(c, "the download has wrong bytes");
            return;
        }
    c->got += len;
    c->ends.ack += (uint32_t)len;
}

static void on_open(struct net_client *c, const uint8_t *f)
{
    const uint8_t *tcp = f + 34;
    unsigned header = (tcp[12] >> 4) * 4u, flags = tcp[13];
    size_t len = frame_get16(f + 16) - 20 - header;
    uint32_t ack = frame_get32(tcp + 8);
    if (flags & T_RST) {
        stop(c, "connection reset");
        return;
    }
    if ((int32_t)(ack - c->acked) >= 0) {
        c->acked = ack;
        c->window = frame_get16(tcp + 14);
    }
    if (frame_get32(tcp + 4) == c->ends.ack) {
        take_data(c, tcp + header, len);
        c->ends.ack += flags & T_FIN ? 1 : 0;
    }
    if (c->phase != CLIENT_OPEN)
        return;
    if (len > 0 || (flags & T_FIN))
        send_plain(c, frame_tcp(c->frame, &c->ends, 4, T_ACK, NULL, 0, NULL, 0, true));
    if (flags & T_FIN)
        stop(c, c->got == c->download && c->sent == c->upload ? NULL : "closed too early");
    else
        send_more(c);
}

static void on_tcp(struct net_client *c, const struct net_meta *meta, const uint8_t *f, size_t len)
{
    const uint8_t *tcp = f + 34;
    if (len < 54 || frame_get16(tcp) != c->ends.peer_port || frame_get16(tcp + 2) != c->ends.port)
        return;
    bool partial = (meta->flags & NET_NEEDS_CSUM) != 0;
    if (meta->gso != NET_GSO_NONE)
        c->gso_frames++;
    if (len > NET_MTU + NET_ETH_LEN && meta->gso != NET_GSO_TCP4)
        stop(c, "a large frame without segmentation");
    else if (!frame_ip4_ok(f) || (!partial && frame_l4_sum(f) != 0xffff))
        stop(c, "a TCP frame with a wrong checksum");
    else if (c->phase == CLIENT_OPEN)
        on_open(c, f);
    else if (c->phase == CLIENT_CONNECT && (tcp[13] & (T_SYN | T_ACK)) == (T_SYN | T_ACK)) {
        c->phase = CLIENT_OPEN;
        c->ends.ack = frame_get32(tcp + 4) + 1;
        c->window = frame_get16(tcp + 14);
        send_plain(c, frame_tcp(c->frame, &c->ends, 4, T_ACK, NULL, 0, NULL, 0, true));
        send_more(c);
    }
}

void net_client_input(struct net_client *c, const struct net_meta *meta, const uint8_t *f,
                      size_t len)
{
    if (len < NET_ETH_LEN || c->phase >= CLIENT_DONE)
        return;
    c->largest = len > c->largest ? len : c->largest;
    unsigned type = frame_get16(f + 12);
    if (type == 0x0806)
        on_arp(c, f, len);
    else if (type == 0x0800 && len >= 34 && f[23] == 17)
        on_udp(c, f, len);
    else if (type == 0x0800 && len >= 34 && f[23] == 6)
        on_tcp(c, meta, f, len);
}

/* --- the server --- */

static bool take_upload(const struct net_server *s, int fd)
{
    uint8_t buf[65536];
    size_t done = 0, size = s->upload;
    while (done < size) {
        usleep(s->delay_us);
        ssize_t n = read(fd, buf, sizeof(buf));
        if (n <= 0)
            return false;
        for (ssize_t i = 0; i < n; i++)
            if (buf[i] != net_pattern(done + (size_t)i))
                return false;
        done += (size_t)n;
    }
    return done == size;
}

static bool give_download(int fd, size_t size)
{
    uint8_t *data = malloc(size > 0 ? size : 1);
    size_t done = 0;
    for (size_t i = 0; i < size; i++)
        data[i] = net_pattern(i);
    while (done < size) {
        ssize_t n = write(fd, data + done, size - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    free(data);
    return done == size;
}

static void *serve(void *opaque)
{
    struct net_server *s = opaque;
    int fd = accept(s->listener, NULL, NULL);
    if (fd < 0)
        return NULL;
    s->ok = take_upload(s, fd) && give_download(fd, s->download);
    close(fd);
    return NULL;
}

void net_server_start(struct net_server *s, size_t upload, size_t download)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    *s = (struct net_server){.upload = upload, .download = download};
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        listen(s->listener, 1) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&addr, &len) != 0 ||
        pthread_create(&s->thread, NULL, serve, s) != 0)
        abort();
    s->port = ntohs(addr.sin_port);
}

void net_server_join(struct net_server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
}
