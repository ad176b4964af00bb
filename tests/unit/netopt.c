/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parser of --net and -p. */
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net/netopt.h"

static void good_networks(void **state)
{
    struct net_options o;
    struct err e = {0};
    char text[NET_FORWARD_TEXT];
    assert_int_equal(net_options_parse(&o, "none", &e), 0);
    assert_int_equal(o.kind, NET_NONE);
    assert_int_equal(net_options_parse(&o, "user", &e), 0);
    assert_int_equal(o.kind, NET_USER);
    assert_int_equal(o.forward_count, 0);
    assert_false(o.ipv6);
    assert_int_equal(net_options_parse(&o,
                                       "user,hostfwd=tcp::2222-:22,ipv6=on,"
                                       "hostfwd=udp:127.0.0.1:53-10.0.2.20:5353,hostfwd=::80-:8080",
                                       &e),
                     0);
    assert_true(o.ipv6);
    assert_int_equal(o.forward_count, 3);
    assert_string_equal(net_forward_text(&o.forwards[0], text), "tcp::2222-:22");
    assert_string_equal(net_forward_text(&o.forwards[1], text), "udp:127.0.0.1:53-10.0.2.20:5353");
    assert_string_equal(net_forward_text(&o.forwards[2], text), "tcp::80-:8080");
    assert_int_equal(o.forwards[1].host_addr.s_addr, htonl(0x7f000001));
}

static void taps_and_addresses(void **state)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0xab, 0xcd, 0xef};
    struct net_options o;
    struct err e = {0};
    assert_int_equal(net_options_parse(&o, "tap", &e), 0);
    assert_int_equal(o.kind, NET_TAP);
    assert_string_equal(o.ifname, "");
    assert_int_equal(
        net_options_parse(&o, "tap,ifname=0123456789abcde,bridge=br0,mac=52:54:00:AB:cd:ef", &e),
        0);
    assert_string_equal(o.ifname, "0123456789abcde");
    assert_string_equal(o.bridge, "br0");
    assert_memory_equal(o.mac, mac, 6);
    assert_int_equal(net_options_parse(&o, "user,mac=52:54:00:ab:cd:ef", &e), 0);
    assert_memory_equal(o.mac, mac, 6);
    assert_int_equal(o.model, NET_VIRTIO);
    assert_int_equal(net_options_parse(&o, "tap,model=e1000", &e), 0);
    assert_int_equal(o.model, NET_E1000);
    assert_int_equal(net_options_parse(&o, "user,model=pcnet", &e), 0);
    assert_int_equal(o.model, NET_PCNET);
}

static void bad_networks(void **state)
{
    /* The text, and what the sentence must mention. */
    static const char *const bad[][2] = {
        {"", "unknown network ''"},
        {"tup", "unknown network 'tup'"},
        {"tap,", "unknown suboption ''"},
        {"tap,ipv6=on", "unknown suboption 'ipv6'"},
        {"user,ifname=tap0", "unknown suboption 'ifname'"},
        {"tap,ifname", "needs a value"},
        {"tap,ifname=", "'' is no name"},
        {"tap,ifname=0123456789abcdef", "is no name"},
        {"tap,ifname=a/b", "is no name"},
        {"tap,bridge=tap%d", "is no name"},
        {"tap,bridge=..", "is no name"},
        {"user,mac=52:54:00:12:34", "is no card's address"},
        {"user,mac=52:54:00:12:34:5g", "is no card's address"},
        {"user,mac=00:00:00:00:00:00", "is no card's address"},
        {"tap,mac=01:00:5e:00:00:01", "is no card's address"},
        {"tap,mac=52-54-00-12-34-56", "is no card's address"},
        {"User", "unknown network 'User'"},
        {"none,ipv6=on", "takes no suboptions"},
        {"user,", "unknown suboption ''"},
        {"user,model=ne2000", "no card 'ne2000'"},
        {"user,hostfw=tcp::1-:2", "unknown suboption 'hostfw'"},
        {"user,hostfwd", "needs a value"},
        {"user,ipv6", "needs a value"},
        {"user,ipv6=yes", "neither on nor off"},
        {"user,hostfwd=", "cannot read ''"},
        {"user,hostfwd=tcp:2222-22", "cannot read"},
        {"user,hostfwd=tcp::2222", "cannot read"},
        {"user,hostfwd=sctp::1-:2", "unknown protocol 'sctp'"},
        {"user,hostfwd=tcp::0-:22", "'0' is not a port"},
        {"user,hostfwd=tcp::65536-:22", "'65536' is not a port"},
        {"user,hostfwd=tcp::2222-:", "'' is not a port"},
        {"user,hostfwd=tcp::22x-:22", "'22x' is not a port"},
        {"user,hostfwd=tcp::-1-:22", "is not a port"},
        {"user,hostfwd=tcp::99999999999-:22", "is not a port"},
        {"user,hostfwd=tcp:localhost:80-:80", "'localhost' is not an IPv4 address"},
        {"user,hostfwd=tcp:1.2.3.4.5:80-:80", "not an IPv4 address"},
        {"user,hostfwd=tcp::80-10.0.2:80", "not an IPv4 address"},
        {"user,hostfwd=tcp::80-:80,hostfwd=tcp::80-:81", "port 80 is forwarded twice"},
    };
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct net_options o;
        struct err e = {0};
        assert_int_equal(net_options_parse(&o, bad[i][0], &e), -EINVAL);
        assert_true(e.usage);
        if (strstr(e.text, bad[i][1]) == NULL)
            fail_msg("'%s' gives: %s", bad[i][0], e.text);
    }
}

static void published_ports(void **state)
{
    struct net_options o;
    struct err e = {0};
    char text[NET_FORWARD_TEXT];
    assert_int_equal(net_options_parse(&o, "user", &e), 0);
    assert_int_equal(net_options_publish(&o, "8080:80", &e), 0);
    assert_int_equal(net_options_publish(&o, "127.0.0.1:2222:22/tcp", &e), 0);
    assert_int_equal(net_options_publish(&o, "8080:53/udp", &e), 0);
    assert_string_equal(net_forward_text(&o.forwards[0], text), "tcp::8080-:80");
    assert_string_equal(net_forward_text(&o.forwards[1], text), "tcp:127.0.0.1:2222-:22");
    assert_string_equal(net_forward_text(&o.forwards[2], text), "udp::8080-:53");
    static const char *const bad[] = {
        "",       "80",         "80:",        ":80",     "80:90:100", "1.2.3.4:5:6:7",
        "80:80/", "80:80/icmp", "80:80/tcp/", "8080:81", "99999:1",   "80-81:80-81"};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        e = (struct err){0};
        assert_int_equal(net_options_publish(&o, bad[i], &e), -EINVAL);
        assert_true(e.usage && e.text[0] != '\0');
    }
    assert_int_equal(o.forward_count, 3);
}

static void too_many_ports(void **state)
{
    struct net_options o;
    struct err e = {0};
    char text[32];
    assert_int_equal(net_options_parse(&o, "user", &e), 0);
    for (unsigned i = 0; i < NET_MAX_FORWARDS; i++) {
        snprintf(text, sizeof(text), "%u:1", 1000 + i);
        assert_int_equal(net_options_publish(&o, text, &e), 0);
    }
    assert_int_equal(net_options_publish(&o, "999:1", &e), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_networks),  cmocka_unit_test(taps_and_addresses),
        cmocka_unit_test(bad_networks),   cmocka_unit_test(published_ports),
        cmocka_unit_test(too_many_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
