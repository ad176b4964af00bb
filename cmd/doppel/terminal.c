/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The terminal on standard input: see terminal.h. */
#include "terminal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static volatile sig_atomic_t is_raw;

bool terminal_present(void)
{
    return isatty(STDIN_FILENO);
}

void terminal_size(uint16_t *cols, uint16_t *rows)
{
    struct winsize w;

    *cols = *rows = 0;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &w) == 0) {
        *cols = w.ws_col;
        *rows = w.ws_row;
    }
}

/* A process in the background may not change the terminal; it would be stopped by SIGTTOU. */
static int set_mode(const struct termios *t)
{
    sigset_t ttou, old;
    int rc;

    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, &old);
    rc = tcsetattr(STDIN_FILENO, TCSADRAIN, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

void terminal_restore(void)
{
    if (!is_raw)
        return;
    is_raw = 0;
    set_mode(&saved);
}

void terminal_raw(void)
{
    static bool registered;
    struct termios t;

    if (is_raw || !terminal_present() || tcgetattr(STDIN_FILENO, &saved) < 0)
        return;
    t = saved;
    cfmakeraw(&t);
    if (!registered)
        registered = atexit(terminal_restore) == 0;
    is_raw = 1;
    if (set_mode(&t) < 0)
        is_raw = 0;
}

void terminal_print(const char *text, size_t len)
{
    bool raw = is_raw && isatty(STDERR_FILENO);
    char *out = malloc(2 * len), *p = out;

    if (out == NULL)
        return;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n' && raw)
            *p++ = '\r';
        *p++ = text[i];
    }
    fwrite(out, 1, (size_t)(p - out), stderr);
    free(out);
}

static void on_fatal(int sig)
{
    terminal_restore();
    signal(sig, SIG_DFL);
    raise(sig);
}

void terminal_guard(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    struct sigaction sa = {.sa_handler = on_fatal, .sa_flags = SA_RESETHAND | SA_ONSTACK};

    sigemptyset(&sa.sa_mask);
    for (unsigned i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        sigaction(fatal[i], &sa, NULL);
}
