/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of keys: see keys.h. */
#include "display/keys.h"

#include <linux/input-event-codes.h>
#include <stddef.h>
#include <string.h>

struct name {
    const char *name;
    uint16_t key;
};

/* QKeyCode of QEMU's qapi/ui.json; then what people write. */
static const struct name names[] = {
    {"shift", KEY_LEFTSHIFT},
    {"shift_r", KEY_RIGHTSHIFT},
    {"alt", KEY_LEFTALT},
    {"alt_r", KEY_RIGHTALT},
    {"ctrl", KEY_LEFTCTRL},
    {"ctrl_r", KEY_RIGHTCTRL},
    {"menu", KEY_COMPOSE},
    {"compose", KEY_COMPOSE},
    {"esc", KEY_ESC},
    {"minus", KEY_MINUS},
    {"equal", KEY_EQUAL},
    {"backspace", KEY_BACKSPACE},
    {"tab", KEY_TAB},
    {"bracket_left", KEY_LEFTBRACE},
    {"bracket_right", KEY_RIGHTBRACE},
    {"ret", KEY_ENTER},
    {"semicolon", KEY_SEMICOLON},
    {"apostrophe", KEY_APOSTROPHE},
    {"grave_accent", KEY_GRAVE},
    {"backslash", KEY_BACKSLASH},
    {"comma", KEY_COMMA},
    {"dot", KEY_DOT},
    {"slash", KEY_SLASH},
    {"asterisk", KEY_KPASTERISK},
    {"spc", KEY_SPACE},
    {"caps_lock", KEY_CAPSLOCK},
    {"f1", KEY_F1},
    {"f2", KEY_F2},
    {"f3", KEY_F3},
    {"f4", KEY_F4},
    {"f5", KEY_F5},
    {"f6", KEY_F6},
    {"f7", KEY_F7},
    {"f8", KEY_F8},
    {"f9", KEY_F9},
    {"f10", KEY_F10},
    {"f11", KEY_F11},
    {"f12", KEY_F12},
    {"num_lock", KEY_NUMLOCK},
    {"scroll_lock", KEY_SCROLLLOCK},
    {"kp_divide", KEY_KPSLASH},
    {"kp_multiply", KEY_KPASTERISK},
    {"kp_subtract", KEY_KPMINUS},
    {"kp_add", KEY_KPPLUS},
    {"kp_enter", KEY_KPENTER},
    {"kp_decimal", KEY_KPDOT},
    {"kp_0", KEY_KP0},
    {"kp_1", KEY_KP1},
    {"kp_2", KEY_KP2},
    {"kp_3", KEY_KP3},
    {"kp_4", KEY_KP4},
    {"kp_5", KEY_KP5},
    {"kp_6", KEY_KP6},
    {"kp_7", KEY_KP7},
    {"kp_8", KEY_KP8},
    {"kp_9", KEY_KP9},
    {"less", KEY_102ND},
    {"print", KEY_SYSRQ},
    {"sysrq", KEY_SYSRQ},
    {"home", KEY_HOME},
    {"pgup", KEY_PAGEUP},
    {"pgdn", KEY_PAGEDOWN},
    {"end", KEY_END},
    {"left", KEY_LEFT},
    {"up", KEY_UP},
    {"down", KEY_DOWN},
    {"right", KEY_RIGHT},
    {"insert", KEY_INSERT},
    {"delete", KEY_DELETE},
    {"meta_l", KEY_LEFTMETA},
    {"meta_r", KEY_RIGHTMETA},
    {"pause", KEY_PAUSE},
    {"ro", KEY_RO},
    {"yen", KEY_YEN},
    {"henkan", KEY_HENKAN},
    {"muhenkan", KEY_MUHENKAN},
    {"hiragana", KEY_KATAKANAHIRAGANA},
    {"power", KEY_POWER},
    {"sleep", KEY_SLEEP},
    {"wake", KEY_WAKEUP},
    {"audiomute", KEY_MUTE},
    {"volumedown", KEY_VOLUMEDOWN},
    {"volumeup", KEY_VOLUMEUP},

    {"altgr", KEY_RIGHTALT},
    {"del", KEY_DELETE},
    {"enter", KEY_ENTER},
    {"escape", KEY_ESC},
    {"ins", KEY_INSERT},
    {"pagedown", KEY_PAGEDOWN},
    {"pageup", KEY_PAGEUP},
    {"space", KEY_SPACE},
    {"win", KEY_LEFTMETA},
};

/* The rows of a US keyboard: from a key on, without shift and with it. */
static const struct {
    uint16_t first;
    const char *plain, *shifted;
} rows[] = {
    {KEY_1, "1234567890-=", "!@#$%^&*()_+"},
    {KEY_Q, "qwertyuiop[]", "QWERTYUIOP{}"},
    {KEY_A, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
    {KEY_BACKSLASH, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
};

unsigned key_by_char(char c, bool *shift)
{
    *shift = false;
    switch (c) {
    case '\0':
        return 0;
    case ' ':
        return KEY_SPACE;
    case '\n':
    case '\r':
        return KEY_ENTER;
    case '\t':
        return KEY_TAB;
    case '\b':
        return KEY_BACKSPACE;
    case '\033':
        return KEY_ESC;
    }
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *at = strchr(rows[i].plain, c);

        if (at != NULL)
            return rows[i].first + (unsigned)(at - rows[i].plain);
        at = strchr(rows[i].shifted, c);
        *shift = at != NULL;
        if (at != NULL)
            return rows[i].first + (unsigned)(at - rows[i].shifted);
    }
    return 0;
}

unsigned key_by_name(const char *name)
{
    bool shift;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i].name, name) == 0)
            return names[i].key;
    if (name[0] > ' ' && name[1] == '\0') { /* a letter or digit is its own name */
        unsigned key = key_by_char(name[0], &shift);

        return shift ? 0 : key;
    }
    return 0;
}

/* X11/keysymdef.h. */
static unsigned function_key(uint32_t symbol)
{
    static const uint8_t keys[256] = {
        [0x08] = KEY_BACKSPACE,  [0x09] = KEY_TAB,        [0x0d] = KEY_ENTER,
        [0x13] = KEY_PAUSE,      [0x14] = KEY_SCROLLLOCK, [0x15] = KEY_SYSRQ,
        [0x1b] = KEY_ESC,        [0x50] = KEY_HOME,       [0x51] = KEY_LEFT,
        [0x52] = KEY_UP,         [0x53] = KEY_RIGHT,      [0x54] = KEY_DOWN,
        [0x55] = KEY_PAGEUP,     [0x56] = KEY_PAGEDOWN,   [0x57] = KEY_END,
        [0x61] = KEY_SYSRQ,      [0x63] = KEY_INSERT,     [0x67] = KEY_COMPOSE,
        [0x6b] = KEY_PAUSE,      [0x7e] = KEY_RIGHTALT,   [0x7f] = KEY_NUMLOCK,
        [0x8d] = KEY_KPENTER,    [0x95] = KEY_KP7,        [0x96] = KEY_KP4,
        [0x97] = KEY_KP8,        [0x98] = KEY_KP6,        [0x99] = KEY_KP2,
        [0x9a] = KEY_KP9,        [0x9b] = KEY_KP3,        [0x9c] = KEY_KP1,
        [0x9d] = KEY_KP5,        [0x9e] = KEY_KP0,        [0x9f] = KEY_KPDOT,
        [0xaa] = KEY_KPASTERISK, [0xab] = KEY_KPPLUS,     [0xac] = KEY_KPDOT,
        [0xad] = KEY_KPMINUS,    [0xae] = KEY_KPDOT,      [0xaf] = KEY_KPSLASH,
        [0xb0] = KEY_KP0,        [0xb1] = KEY_KP1,        [0xb2] = KEY_KP2,
        [0xb3] = KEY_KP3,        [0xb4] = KEY_KP4,        [0xb5] = KEY_KP5,
        [0xb6] = KEY_KP6,        [0xb7] = KEY_KP7,        [0xb8] = KEY_KP8,
        [0xb9] = KEY_KP9,        [0xbe] = KEY_F1,         [0xbf] = KEY_F2,
        [0xc0] = KEY_F3,         [0xc1] = KEY_F4,         [0xc2] = KEY_F5,
        [0xc3] = KEY_F6,         [0xc4] = KEY_F7,         [0xc5] = KEY_F8,
        [0xc6] = KEY_F9,         [0xc7] = KEY_F10,        [0xc8] = KEY_F11,
        [0xc9] = KEY_F12,        [0xe1] = KEY_LEFTSHIFT,  [0xe2] = KEY_RIGHTSHIFT,
        [0xe3] = KEY_LEFTCTRL,   [0xe4] = KEY_RIGHTCTRL,  [0xe5] = KEY_CAPSLOCK,
        [0xe7] = KEY_LEFTMETA,   [0xe8] = KEY_RIGHTMETA,  [0xe9] = KEY_LEFTALT,
        [0xea] = KEY_RIGHTALT,   [0xeb] = KEY_LEFTMETA,   [0xec] = KEY_RIGHTMETA,
        [0xff] = KEY_DELETE,
    };

    return keys[symbol & 0xff];
}

unsigned key_by_symbol(uint32_t symbol)
{
    bool shift;

    if (symbol >= 0x20 && symbol < 0x7f)
        return key_by_char((char)symbol, &shift);
    if (symbol >> 8 == 0xff)
        return function_key(symbol);
    if (symbol == 0xfe03) /* ISO_Level3_Shift */
        return KEY_RIGHTALT;
    return symbol == 0xfe20 ? KEY_TAB : 0; /* ISO_Left_Tab */
}
