/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parser of --net and -p; see netopt.h for the grammar. */
#include "net/netopt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A piece of the caller's text. */
struct word {
    const char *s;
    size_t len;
};

static bool word_is(struct word w, const char *s)
{
    return strlen(s) == w.len && memcmp(s, w.s, w.len) == 0;
}

/* Cuts *rest at the first `c`; true if there was one. Without one the whole rest is the word. */
static bool word_cut(struct word *rest, char c, struct word *out)
{
    const char *at = rest->len > 0 ? memchr(rest->s, c, rest->len) : NULL;
    *out = *rest;
    if (at == NULL) {
        *rest = (struct word){rest->s + rest->len, 0};
        return false;
    }
    out->len = (size_t)(at - rest->s);
    *rest = (struct word){at + 1, rest->len - out->len - 1};
    return true;
}

/* The arguments of a "%.*s". */
#define WORD(w) (int)((w).len < 120 ? (w).len : 120), (w).s

static int parse_port(struct word w, uint16_t *out, const char *option, struct err *e)
{
    unsigned v = 0;
    bool bad = w.len == 0 || w.len > 5;
    for (size_t i = 0; i < w.len && !bad; i++) {
        bad = w.s[i] < '0' || w.s[i] > '9';
        v = v * 10 + (unsigned)(w.s[i] - '0');
    }
    if (bad || v == 0 || v > 65535)
        return err_usage(e, "%s: '%.*s' is not a port number; give one from 1 to 65535", option,
                         WORD(w));
    *out = (uint16_t)v;
    return 0;
}

static int parse_addr(struct word w, struct in_addr *out, const char *option, struct err *e)
{
    char text[INET_ADDRSTRLEN];
    out->s_addr = 0;
    if (w.len == 0)
        return 0;
    if (w.len < sizeof(text)) {
        memcpy(text, w.s, w.len);
        text[w.len] = '\0';
        if (strlen(text) == w.len && inet_pton(AF_INET, text, out) == 1)
            return 0;
    }
    return err_usage(e, "%s: '%.*s' is not an IPv4 address; write it like 127.0.0.1", option,
                     WORD(w));
}

static int parse_proto(struct word w, bool *udp, const char *option, struct err *e)
{
    *udp = word_is(w, "udp");
    if (*udp || w.len == 0 || word_is(w, "tcp"))
        return 0;
    return err_usage(e, "%s: unknown protocol '%.*s'; use tcp or udp", option, WORD(w));
}

static int add_forward(struct net_options *o, const struct net_forward *f, const char *option,
                       struct err *e)
{
    if (o->forward_count == NET_MAX_FORWARDS)
        return err_usage(e, "%s: more than %u forwarded ports", option, NET_MAX_FORWARDS);
    for (unsigned i = 0; i < o->forward_count; i++) {
        const struct net_forward *g = &o->forwards[i];
        if (g->udp == f->udp && g->host_port == f->host_port &&
            g->host_addr.s_addr == f->host_addr.s_addr)
            return err_usage(e, "%s: host port %u is forwarded twice", option, f->host_port);
    }
    o->forwards[o->forward_count++] = *f;
    return 0;
}

/* [tcp|udp]:[ADDR]:PORT-[ADDR]:PORT */
static int parse_hostfwd(struct net_options *o, struct word value, struct err *e)
{
    static const char option[] = "--net hostfwd";
    struct word rest = value, host, proto, haddr, gaddr;
    struct net_forward f = {0};
    int ret;
    if (!word_cut(&rest, '-', &host) || !word_cut(&host, ':', &proto) ||
        !word_cut(&host, ':', &haddr) || !word_cut(&rest, ':', &gaddr))
        return err_usage(e,
                         "%s: cannot read '%.*s'; write it like tcp::2222-:22 "
                         "(PROTO:[ADDR]:PORT-[ADDR]:PORT)",
                         option, WORD(value));
    if ((ret = parse_proto(proto, &f.udp, option, e)) != 0 ||
        (ret = parse_addr(haddr, &f.host_addr, option, e)) != 0 ||
        (ret = parse_port(host, &f.host_port, option, e)) != 0 ||
        (ret = parse_addr(gaddr, &f.guest_addr, option, e)) != 0 ||
        (ret = parse_port(rest, &f.guest_port, option, e)) != 0)
        return ret;
    return add_forward(o, &f, option, e);
}

static int parse_ipv6(struct net_options *o, struct word value, struct err *e)
{
    o->ipv6 = word_is(value, "on");
    if (o->ipv6 || word_is(value, "off"))
        return 0;
    return err_usage(e, "--net ipv6: '%.*s' is neither on nor off", WORD(value));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Of one card: not all zero, and no group address. */
static int parse_mac(struct net_options *o, struct word w, struct err *e)
{
    bool bad = w.len != 17;
    unsigned any = 0;
    for (unsigned i = 0; i < 6 && !bad; i++) {
        int high = hex_digit(w.s[3 * i]), low = hex_digit(w.s[3 * i + 1]);
        bad = high < 0 || low < 0 || (i < 5 && w.s[3 * i + 2] != ':');
        o->mac[i] = (uint8_t)(high << 4 | low);
        any |= o->mac[i];
    }
    if (!bad && any != 0 && (o->mac[0] & 1) == 0)
        return 0;
    return err_usage(e, "--net mac: '%.*s' is no card's address; write it like 52:54:00:12:34:56",
                     WORD(w));
}

static int parse_interface(char name[NET_IFNAME], const char *key, struct word w, struct err *e)
{
    bool bad = w.len == 0 || w.len >= NET_IFNAME || memchr(w.s, '/', w.len) != NULL ||
               memchr(w.s, '%', w.len) != NULL || word_is(w, ".") || word_is(w, "..");
    if (bad)
        return err_usage(e, "--net %s: '%.*s' is no name of an interface, as tap0 or br0 would be",
                         key, WORD(w));
    memcpy(name, w.s, w.len);
    name[w.len] = '\0';
    return 0;
}

static int parse_ifname(struct net_options *o, struct word value, struct err *e)
{
    return parse_interface(o->ifname, "ifname", value, e);
}

static int parse_bridge(struct net_options *o, struct word value, struct err *e)
{
    return parse_interface(o->bridge, "bridge", value, e);
}

static int parse_model(struct net_options *o, struct word value, struct err *e)
{
    static const char *const names[] = {
        [NET_VIRTIO] = "virtio", [NET_E1000] = "e1000", [NET_PCNET] = "pcnet"};
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        o->model = (enum net_model)i;
        if (word_is(value, names[i]))
            return 0;
    }
    return err_usage(e, "--net model: there is no card '%.*s'; use virtio, e1000 or pcnet",
                     WORD(value));
}

static const struct {
    const char *name;
    bool user, tap; /* whose it is */
    int (*parse)(struct net_options *o, struct word value, struct err *e);
} suboptions[] = {
    {"hostfwd", true, false, parse_hostfwd}, {"ipv6", true, false, parse_ipv6},
    {"ifname", false, true, parse_ifname},   {"bridge", false, true, parse_bridge},
    {"model", true, true, parse_model},      {"mac", true, true, parse_mac},
};

static int parse_suboption(struct net_options *o, struct word text, struct err *e)
{
    struct word value = text, key;
    bool has_value = word_cut(&value, '=', &key);
    for (unsigned i = 0; i < sizeof(suboptions) / sizeof(suboptions[0]); i++) {
        if (!word_is(key, suboptions[i].name) ||
            !(o->kind == NET_USER ? suboptions[i].user : suboptions[i].tap))
            continue;
        if (has_value)
            return suboptions[i].parse(o, value, e);
        return err_usage(e, "--net: suboption '%.*s' needs a value; write %.*s=...", WORD(key),
                         WORD(key));
    }
    return err_usage(e, "--net: unknown suboption '%.*s'; %s", WORD(key),
                     o->kind == NET_USER ? "'user' takes hostfwd=, ipv6=, model= and mac="
                                         : "'tap' takes ifname=, bridge=, model= and mac=");
}

int net_options_parse(struct net_options *o, const char *text, struct err *e)
{
    struct word rest = {text, strlen(text)}, kind, sub;
    memset(o, 0, sizeof(*o));
    bool more = word_cut(&rest, ',', &kind);
    if (word_is(kind, "none")) {
        if (more)
            return err_usage(e, "--net: 'none' takes no suboptions");
        o->kind = NET_NONE;
        return 0;
    }
    if (!word_is(kind, "user") && !word_is(kind, "tap"))
        return err_usage(e, "--net: unknown network '%.*s'; use user, tap or none", WORD(kind));
    o->kind = word_is(kind, "user") ? NET_USER : NET_TAP;
    while (more) {
        more = word_cut(&rest, ',', &sub);
        int ret = parse_suboption(o, sub, e);
        if (ret != 0)
            return ret;
    }
    return 0;
}

int net_options_publish(struct net_options *o, const char *text, struct err *e)
{
    struct word rest = {text, strlen(text)}, ports, first, second;
    struct net_forward f = {0};
    int ret;
    if (word_cut(&rest, '/', &ports) && rest.len == 0)
        return err_usage(e, "-p: nothing follows the '/' in '%s'; use /tcp or /udp", text);
    if (!word_cut(&ports, ':', &first))
        return err_usage(e, "-p: cannot read '%s'; write it like 8080:80 ([ADDR:]PORT:GUESTPORT)",
                         text);
    if (word_cut(&ports, ':', &second)) {
        if ((ret = parse_addr(first, &f.host_addr, "-p", e)) != 0)
            return ret;
        first = second;
        second = ports;
    }
    if ((ret = parse_port(first, &f.host_port, "-p", e)) != 0 ||
        (ret = parse_port(second, &f.guest_port, "-p", e)) != 0 ||
        (ret = parse_proto(rest, &f.udp, "-p", e)) != 0)
        return ret;
    return add_forward(o, &f, "-p", e);
}

const char *net_forward_text(const struct net_forward *f, char *buf)
{
    char host[INET_ADDRSTRLEN] = "", guest[INET_ADDRSTRLEN] = "";
    if (f->host_addr.s_addr != 0)
        inet_ntop(AF_INET, &f->host_addr, host, sizeof(host));
    if (f->guest_addr.s_addr != 0)
        inet_ntop(AF_INET, &f->guest_addr, guest, sizeof(guest));
    snprintf(buf, NET_FORWARD_TEXT, "%s:%s:%u-%s:%u", f->udp ? "udp" : "tcp", host, f->host_port,
             guest, f->guest_port);
    return buf;
}
