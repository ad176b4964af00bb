/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The values of options, and the escape key. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vm/escape.h"
#include "vm/options.h"

#define GB (UINT64_C(1) << 30)

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"512M", 512 << 20}, {"1G", GB}, {"1g", GB}, {"64k", 65536}, {"2T", 2048 * GB}};
    static const char *const bad[] = {"",
                                      "M",
                                      "512",
                                      "512X",
                                      "1.5G",
                                      "-1G",
                                      "1GB",
                                      "1G ",
                                      " 1G",
                                      "0x1G",
                                      "99999999999999999999G",
                                      "99999999999T"};
    struct err e = {0};
    uint64_t v;

    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(option_size("--memory", good[i].text, &v, &e), 0);
        assert_int_equal(v, good[i].value);
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        e = (struct err){0};
        assert_true(option_size("--memory", bad[i], &v, &e) < 0);
        assert_true(e.usage);
        assert_non_null(strstr(e.text, "--memory"));
    }
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = {{"30s", 30000000000}, {"5m", 300000000000}, {"1h", 3600000000000},
                {"100ms", 100000000}, {"1.5s", 1500000000}, {"0.25m", 15000000000},
                {"0.1ms", 100000},    {"2.s", 2000000000},  {"0.1234567890123s", 123456789}};
    static const char *const bad[] = {"",
                                      "s",
                                      "5",
                                      "0s",
                                      "5 s",
                                      "5sec",
                                      "-5s",
                                      ".5s",
                                      "1d",
                                      "99999999999999999999s",
                                      "9999999999999h",
                                      "0.0s"};
    struct err e = {0};
    uint64_t v;

    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(option_duration("--timeout", good[i].text, &v, &e), 0);
        assert_int_equal(v, good[i].ns);
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        e = (struct err){0};
        assert_true(option_duration("--timeout", bad[i], &v, &e) < 0);
        assert_true(e.usage);
        assert_non_null(strstr(e.text, "--timeout"));
    }
}

static void numbers(void **state)
{
    struct err e = {0};
    uint64_t v;

    assert_int_equal(option_number("--cpus", "4", 1, 255, &v, &e), 0);
    assert_int_equal(v, 4);
    assert_true(option_number("--cpus", "0", 1, 255, &v, &e) < 0);
    assert_true(option_number("--cpus", "256", 1, 255, &v, &e) < 0);
    assert_true(option_number("--cpus", "four", 1, 255, &v, &e) < 0);
    assert_true(option_number("--cpus", "4x", 1, 255, &v, &e) < 0);
    assert_true(option_number("--cpus", "", 1, 255, &v, &e) < 0);
}

static void disks(void **state)
{
    static const struct {
        const char *text, *path;
        bool readonly, snapshot;
        const char *bus;
    } good[] = {{"a.raw", "a.raw", false, false, ""},
                {"a.raw,readonly", "a.raw", true, false, ""},
                {"a.raw,snapshot", "a.raw", false, true, ""},
                {"a.raw,bus=ide", "a.raw", false, false, "ide"},
                {"a.raw,bus=ahci,readonly", "a.raw", true, false, "ahci"},
                {"a.raw,bus=virtio", "a.raw", false, false, ""},
                {"a,,b.raw,readonly", "a,b.raw", true, false, ""},
                {",,,,", ",,", false, false, ""}};
    static const char *const bad[] = {"",
                                      ",readonly",
                                      "a,",
                                      "a,ro",
                                      "a,readonly,",
                                      "a,snapshot=on",
                                      "a,readonly,snapshot",
                                      "a,bus=sata"};
    const char *bus;
    struct err e = {0};
    struct vm_disk d;
    char text[64];

    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        strcpy(text, good[i].text);
        bus = NULL;
        assert_int_equal(option_disk("--disk", text, &d, &bus, &e), 0);
        assert_int_equal(d.bus, bus != NULL ? VM_DISK_ATA : VM_DISK_VIRTIO);
        assert_string_equal(bus != NULL ? bus : "", good[i].bus);
        assert_string_equal(d.path, good[i].path);
        assert_int_equal(d.readonly, good[i].readonly);
        assert_int_equal(d.snapshot, good[i].snapshot);
    }
    strcpy(text, "a,bus=scsi");
    assert_int_equal(option_disk("--disk", text, &d, &bus, &e), 0);
    assert_int_equal(d.bus, VM_DISK_SCSI);
    assert_int_equal(d.adapter, MACHINE_ADAPTER_VIRTIO_SCSI);
    assert_null(bus);
    strcpy(text, "a,bus=buslogic");
    assert_int_equal(option_disk("--disk", text, &d, &bus, &e), 0);
    assert_int_equal(d.adapter, MACHINE_ADAPTER_BUSLOGIC);
    strcpy(text, "none,bus=scsi");
    assert_int_equal(option_cdrom("--cdrom", text, &d, &e), 0);
    assert_null(d.path);
    assert_int_equal(d.adapter, MACHINE_ADAPTER_VIRTIO_SCSI);
    strcpy(text, "a,bus=ahci");
    assert_true(option_cdrom("--cdrom", text, &d, &e) < 0);
    e = (struct err){0};
    strcpy(text, "a,format=qcow2");
    assert_int_equal(option_disk("--disk", text, &d, &bus, &e), 0);
    assert_string_equal(d.format, "qcow2");
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        e = (struct err){0};
        strcpy(text, bad[i]);
        assert_true(option_disk("--disk", text, &d, &bus, &e) < 0);
        assert_true(e.usage);
        assert_non_null(strstr(e.text, "--disk"));
    }
}

static void names(void **state)
{
    struct err e = {0};
    char text[80];

    assert_int_equal(option_name("--name", "web-1.example_a", &e), 0);
    assert_true(option_name("--name", "", &e) < 0);
    assert_true(option_name("--name", "-a", &e) < 0);
    assert_true(option_name("--name", "a b", &e) < 0);
    assert_true(option_name("--name", "a/b", &e) < 0);
    memset(text, 'a', sizeof(text));
    text[63] = '\0';
    assert_int_equal(option_name("--name", text, &e), 0);
    text[63] = 'a';
    text[64] = '\0';
    assert_true(option_name("--name", text, &e) < 0);
}

static void character_back_ends(void **state)
{
    static const char *const bad[] = {
        "", "std", "stdio:", "file", "file:", "unix:", "unix", "pty:x", "tcp:1", "File:x"};
    struct chardev_options o;
    struct err e = {0};

    assert_int_equal(chardev_options_parse(&o, "--serial", "stdio", &e), 0);
    assert_int_equal(o.kind, CHARDEV_STDIO);
    assert_int_equal(chardev_options_parse(&o, "--serial", "file:a:b", &e), 0);
    assert_int_equal(o.kind, CHARDEV_FILE);
    assert_string_equal(o.path, "a:b");
    assert_int_equal(chardev_options_parse(&o, "--serial", "unix:/tmp/x", &e), 0);
    assert_int_equal(o.kind, CHARDEV_UNIX);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        e = (struct err){0};
        assert_true(chardev_options_parse(&o, "--serial", bad[i], &e) < 0);
        assert_true(e.usage);
    }
}

struct acts {
    unsigned count;
    enum escape_action last;
};

static void act(void *opaque, enum escape_action action)
{
    struct acts *a = opaque;

    a->count++;
    a->last = action;
}

static void check_escape(struct escape *s, const char *in, const char *out)
{
    uint8_t buf[32];
    size_t n = strlen(in);

    memcpy(buf, in, n);
    n = escape_filter(s, buf, n);
    assert_int_equal(n, strlen(out));
    assert_memory_equal(buf, out, n);
}

static void escape_key(void **state)
{
    struct acts a = {0};
    struct escape s = {.act = act, .opaque = &a};

    check_escape(&s, "hello\r", "hello\r");
    assert_int_equal(a.count, 0);
    check_escape(&s, "a\001xb", "ab");
    assert_int_equal(a.last, ESCAPE_QUIT);
    check_escape(&s, "\001", "");
    check_escape(&s, "pq", "q");
    assert_int_equal(a.last, ESCAPE_POWER);
    check_escape(&s, "\001R", "");
    assert_int_equal(a.last, ESCAPE_RESET);
    check_escape(&s, "\001h", "");
    assert_int_equal(a.last, ESCAPE_HELP);
    assert_int_equal(a.count, 4);
    check_escape(&s, "\001a\001\001", "\001\001");
    assert_int_equal(a.count, 4);
}

static void test_memory(void **state)
{
    char plain[] = "512M", huge[] = "2G,hugepages=2M", giant[] = "2G,hugepages=1G",
         odd[] = "2G,hugepages=4K", none[] = "512,hugepages=2M";
    enum ram_pages pages = RAM_PAGES_SMALL;
    struct err e = {0};
    uint64_t v;

    assert_int_equal(option_memory("--memory", plain, &v, &pages, &e), 0);
    assert_true(v == 512 << 20 && pages == RAM_PAGES_SMALL);
    assert_int_equal(option_memory("--memory", huge, &v, &pages, &e), 0);
    assert_true(v == UINT64_C(2) << 30 && pages == RAM_PAGES_2M);
    assert_int_equal(option_memory("--memory", giant, &v, &pages, &e), 0);
    assert_true(pages == RAM_PAGES_1G);
    assert_true(option_memory("--memory", odd, &v, &pages, &e) < 0 && e.usage);
    assert_non_null(strstr(e.text, "hugepages=2M or hugepages=1G"));
    assert_true(option_memory("--memory", none, &v, &pages, &e) < 0 && e.usage);
}

static void test_display(void **state)
{
    struct display_options d;
    struct err e = {0};
    char none[] = "none", path[] = "vnc=unix:/run/x,y", port[] = "vnc=:5901,password-file=/a,b";
    char bad[] = "gtk", empty[] = "vnc=", more[] = "vnc=:1,websocket=on";

    assert_int_equal(option_display("--display", none, &d, &e), 0);
    assert_null(d.vnc);
    assert_int_equal(option_display("--display", port, &d, &e), 0);
    assert_string_equal(d.vnc, ":5901");
    assert_string_equal(d.password_file, "/a,b");
    assert_int_equal(option_display("--display", path, &d, &e), -EINVAL);
    assert_int_equal(option_display("--display", bad, &d, &e), -EINVAL);
    assert_int_equal(option_display("--display", empty, &d, &e), -EINVAL);
    assert_int_equal(option_display("--display", more, &d, &e), -EINVAL);
    assert_non_null(strstr(e.text, "websocket"));
    assert_true(e.usage);
}

static void test_usb(void **state)
{
    bool keyboard = false, tablet = false;
    char one[] = "tablet", both[] = "tablet,keyboard", wrong[] = "tablet,mouse", none[] = "";
    struct err e = {0};

    assert_int_equal(option_usb("--usb", one, &keyboard, &tablet, &e), 0);
    assert_true(tablet && !keyboard);
    assert_int_equal(option_usb("--usb", both, &keyboard, &tablet, &e), 0);
    assert_true(tablet && keyboard);
    assert_true(option_usb("--usb", wrong, &keyboard, &tablet, &e) < 0);
    assert_string_equal(e.text, "--usb: 'mouse' is unknown; use keyboard, tablet or both");
    assert_true(option_usb("--usb", none, &keyboard, &tablet, &e) < 0);
}

static void test_sound(void **state)
{
    const char *wav = NULL;
    char plain[] = "ac97", file[] = "ac97,wav=a,,b.wav", wrong[] = "gus", empty[] = "ac97,wav=";
    char blaster[] = "sb16,wav=c";
    enum vm_sound kind = VM_SOUND_NONE;
    struct err e = {0};

    assert_int_equal(option_sound("--sound", file, &kind, &wav, &e), 0);
    assert_int_equal(kind, VM_SOUND_AC97);
    assert_string_equal(wav, "a,b.wav");
    assert_int_equal(option_sound("--sound", plain, &kind, &wav, &e), 0);
    assert_null(wav);
    assert_int_equal(option_sound("--sound", blaster, &kind, &wav, &e), 0);
    assert_int_equal(kind, VM_SOUND_SB16);
    assert_string_equal(wav, "c");
    assert_true(option_sound("--sound", wrong, &kind, &wav, &e) < 0);
    assert_string_equal(e.text, "--sound: 'gus' is unknown; use ac97 or sb16");
    assert_true(option_sound("--sound", empty, &kind, &wav, &e) < 0);
    assert_true(e.usage);
}

static void test_watchdog(void **state)
{
    enum vm_watchdog action = VM_WATCHDOG_ABSENT;
    struct err e = {0};

    assert_int_equal(option_watchdog("--watchdog", "pause", &action, &e), 0);
    assert_int_equal(action, VM_WATCHDOG_PAUSE);
    assert_int_equal(option_watchdog("--watchdog", "none", &action, &e), 0);
    assert_int_equal(action, VM_WATCHDOG_NONE);
    assert_true(option_watchdog("--watchdog", "absent", &action, &e) < 0);
    assert_string_equal(e.text,
                        "--watchdog: 'absent' is unknown; use reset, poweroff, pause or none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usb),      cmocka_unit_test(test_sound),
        cmocka_unit_test(test_watchdog), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_display),  cmocka_unit_test(sizes),
        cmocka_unit_test(durations),     cmocka_unit_test(numbers),
        cmocka_unit_test(disks),         cmocka_unit_test(names),
        cmocka_unit_test(escape_key),    cmocka_unit_test(character_back_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
