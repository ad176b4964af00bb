/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For the guest of novnc.py: a client of the X server :0, by X's protocol itself. A red window on a
 * grey desktop moves from side to side, a few pixels at a time; keys and buttons are told on the
 * standard output. The blue square in its corner is where a click is expected. */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    SIZE = 240,
    TOP = 200,
    STEP = 4,
    STEP_MS = 16,
    EVENTS = 0x1 | 0x4, /* key and button presses */
};

static int display;

static void put(const void *request, size_t size)
{
    if (write(display, request, size) != (ssize_t)size)
        exit(1);
}

static void get(void *to, size_t size)
{
    uint8_t *p = to;

    while (size > 0) {
        ssize_t n = read(display, p, size);

        if (n <= 0)
            exit(1);
        p += n;
        size -= (size_t)n;
    }
}

/* The connection's set-up: where our numbers begin, the root window and its size. */
static void connect_to_server(uint32_t *base, uint32_t *root, uint16_t *width)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/tmp/.X11-unix/X0"};
    const uint16_t hello[6] = {'l', 11, 0, 0, 0, 0};
    static uint8_t setup[65536 * 4];
    uint16_t head[4], vendor;
    const uint8_t *screen;

    display = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(display, (struct sockaddr *)&address, sizeof(address)) < 0)
        exit(1);
    put(hello, sizeof(hello));
    get(head, sizeof(head));
    get(setup, (size_t)head[3] * 4);
    if ((head[0] & 0xff) != 1)
        exit(1);
    memcpy(base, setup + 4, 4);
    memcpy(&vendor, setup + 16, 2);
    screen = setup + 32 + (vendor + 3) / 4 * 4 + setup[21] * 8;
    memcpy(root, screen, 4);
    memcpy(width, screen + 20, 2);
}

static void create(uint32_t id, uint32_t parent, int16_t x, int16_t y, uint16_t size,
                   uint32_t color, uint32_t events)
{
    struct {
        uint8_t op, depth;
        uint16_t length;
        uint32_t id, parent;
        int16_t x, y;
        uint16_t width, height, border, class;
        uint32_t visual, mask, color, events;
    } request = {1, 0, 10, id, parent, x, y, size, size, 0, 0, 0, 0x2 | 0x800, color, events};
    const uint32_t map[2] = {8 | 2 << 16, id};

    put(&request, sizeof(request));
    put(map, sizeof(map));
}

static void move(uint32_t id, uint32_t x)
{
    const uint32_t request[4] = {12 | 4 << 16, id, 1, x};

    put(request, sizeof(request));
}

static void background(uint32_t root, uint32_t color)
{
    const uint32_t attributes[4] = {2 | 4 << 16, root, 2, color};
    const uint32_t clear[4] = {61 | 4 << 16, root, 0, 0};

    put(attributes, sizeof(attributes));
    put(clear, sizeof(clear));
}

static void tell_events(void)
{
    struct pollfd p = {display, POLLIN, 0};
    uint8_t event[32];

    while (poll(&p, 1, 0) > 0) {
        get(event, sizeof(event));
        if ((event[0] & 0x7f) == 2)
            printf("key %u\n", event[1]);
        else if ((event[0] & 0x7f) == 4)
            printf("button %u at %d %d\n", event[1], *(int16_t *)(event + 20),
                   *(int16_t *)(event + 22));
        else if (event[0] == 0)
            printf("error %u of %u\n", event[1], event[10]);
        fflush(stdout);
    }
}

int main(void)
{
    const struct timespec pause = {0, STEP_MS * 1000000};
    uint32_t base, root, focus[3] = {42 | 3 << 16, 0, 0};
    uint16_t width;
    int x = 0, step = STEP;

    connect_to_server(&base, &root, &width);
    background(root, 0x808080);
    create(base + 1, root, 0, TOP, SIZE, 0xff0000, EVENTS);
    create(base + 2, root, 8, 8, 64, 0x0000ff, EVENTS);
    usleep(200000);
    focus[1] = base + 2;
    put(focus, sizeof(focus));
    printf("width %u\n", width);
    fflush(stdout);
    for (;;) {
        tell_events();
        x += step;
        if (x <= 0 || x + SIZE >= width)
            step = -step;
        move(base + 1, (uint32_t)x);
        nanosleep(&pause, NULL);
    }
}
