/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs in a guest on the serial console, the counterpart of the serial test: serialpong COUNT SIZE
 * reads COUNT messages of SIZE bytes each and answers each one with its bytes in reverse order. The
 * line is raw, so every byte value passes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static int transfer(int fd, unsigned char *p, size_t n, int writing)
{
    while (n > 0) {
        ssize_t done = writing ? write(fd, p, n) : read(fd, p, n);
        if (done <= 0)
            return -1;
        p += done;
        n -= done;
    }
    return 0;
}

int main(int argc, char **argv)
{
    unsigned count = argc > 1 ? atoi(argv[1]) : 1;
    size_t size = argc > 2 ? atoi(argv[2]) : 1;
    unsigned char *in = malloc(size), *answer = malloc(size);
    struct termios before, raw;

    tcgetattr(0, &before);
    raw = before;
    cfmakeraw(&raw);
    tcsetattr(0, TCSANOW, &raw);
    if (write(1, "READY", 5) != 5)
        return 1;
    while (count-- > 0) {
        if (transfer(0, in, size, 0))
            return 1;
        for (size_t i = 0; i < size; i++)
            answer[i] = in[size - 1 - i];
        if (transfer(1, answer, size, 1))
            return 1;
    }
    tcdrain(1);
    tcsetattr(0, TCSANOW, &before);
    return 0;
}
