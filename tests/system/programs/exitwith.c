/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs in a guest: exitwith VALUE writes VALUE to the exit device on port 0xf4. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>

int main(int argc, char **argv)
{
    if (ioperm(0xf4, 4, 1)) {
        perror("ioperm");
        return 1;
    }
    outb(argc > 1 ? atoi(argv[1]) : 0, 0xf4);
    return 0; /* no such device: the write went nowhere */
}
