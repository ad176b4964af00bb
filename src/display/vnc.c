/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VNC server: see vnc.h. libvncserver keeps the protocol; its sockets are watched by our loop.
 * It reads and writes messages as a whole and waits for slow viewers, so it has a thread of its
 * own, and patience for a moment only.
 */
#include "display/vnc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <rfb/rfb.h>
#include <rfb/rfbregion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/lock.h"
#include "display/keys.h"
#include "loop/loop.h"

enum {
    PATIENCE_MS = 5000,
    MAX_RECTS = 64,
    KEYS = 256,
    FRAME_NS = 20000000, /* from one picture to the next while it moves, */
    REST_NS = 50000000,  /* and when it has not for RESTLESS pictures */
    RESTLESS = 50,
    VNC_MAX_VIEWERS = 16,
    NUDGE_NS = 20000000,
    SIZE_MIN = 64, /* that a viewer can ask for; EDIDs tell no more than this maximum */
    SIZE_LIMIT = 4095,
};

struct viewer {
    struct vnc *vnc;
    rfbClientPtr client;
    int fd; /* the connection again: libvncserver closes its own when it likes */
    struct loop_watch *watch;
    bool down[KEYS]; /* keys that it has pressed */
    unsigned buttons;
};

struct vnc {
    struct vnc_config cfg;
    struct loop *loop;
    struct vclock *clock;
    struct timer *frame;
    pthread_t thread;
    bool started;
    struct lock lock; /* below: connections that the thread may be waiting for */
    int fds[VNC_MAX_VIEWERS];
    unsigned fd_count;
    bool ending; /* it waits for none any more */

    /* The thread's. */
    rfbScreenInfoPtr screen;
    struct video_surface surface;
    char *passwords[2];
    unsigned viewers, still; /* pictures without a change */
    bool armed;
};

/* --- keyboard and pointer --- */

static void on_key(rfbBool down, rfbKeySym symbol, rfbClientPtr client)
{
    struct viewer *w = client->clientData;
    unsigned key = key_by_symbol((uint32_t)symbol);

    if (key == 0 || key >= KEYS)
        return;
    w->down[key] = down;
    w->vnc->cfg.input.key(w->vnc->cfg.input.opaque, key, down);
}

/* Buttons 4 and 5 are the wheel's notches. */
static void on_pointer(int mask, int x, int y, rfbClientPtr client)
{
    struct viewer *w = client->clientData;
    const struct video_surface *s = &w->vnc->surface;
    struct input_pointer p = {.x = x > 0 ? (unsigned)x : 0,
                              .y = y > 0 ? (unsigned)y : 0,
                              .width = s->width,
                              .height = s->height};
    unsigned pressed = (unsigned)mask & ~w->buttons;

    w->buttons = (unsigned)mask;
    p.buttons =
        (mask & 1 ? INPUT_LEFT : 0) | (mask & 2 ? INPUT_MIDDLE : 0) | (mask & 4 ? INPUT_RIGHT : 0);
    p.wheel = (pressed & 8 ? 1 : 0) - (pressed & 16 ? 1 : 0);
    if (p.x < p.width && p.y < p.height)
        w->vnc->cfg.input.pointer(w->vnc->cfg.input.opaque, &p);
}

/* RFB's KeyboardLedState has the same bits. */
static int on_leds(rfbScreenInfoPtr screen)
{
    const struct vnc *v = screen->screenData;

    return v->cfg.input.leds(v->cfg.input.opaque);
}

/* A viewer would like the screen in the size of its window. */
static int on_size(int width, int height, int screens, rfbExtDesktopScreen *screen,
                   rfbClientPtr client)
{
    const struct viewer *w = client->clientData;
    const struct video *video = w->vnc->cfg.video;

    if (video->resize == NULL)
        return rfbExtDesktopSize_ResizeProhibited;
    if (screens != 1 || width < SIZE_MIN || height < SIZE_MIN || width > SIZE_LIMIT ||
        height > SIZE_LIMIT)
        return rfbExtDesktopSize_InvalidScreenLayout;
    video->resize(video->self, (unsigned)width, (unsigned)height);
    return rfbExtDesktopSize_Success;
}

static void release_keys(struct viewer *w)
{
    for (unsigned i = 0; i < KEYS; i++)
        if (w->down[i])
            w->vnc->cfg.input.key(w->vnc->cfg.input.opaque, i, false);
}

/* --- the picture --- */

/* Our pixels have red above green above blue. */
static void set_format(struct vnc *v)
{
    rfbPixelFormat *f = &v->screen->serverFormat;
    rfbClientIteratorPtr i = rfbGetClientIterator(v->screen);
    rfbClientPtr cl;

    f->redShift = 16;
    f->greenShift = 8;
    f->blueShift = 0;
    while ((cl = rfbClientIteratorNext(i)) != NULL)
        v->screen->setTranslateFunction(cl);
    rfbReleaseClientIterator(i);
}

static void new_size(struct vnc *v)
{
    rfbNewFramebuffer(v->screen, (char *)v->surface.pixels, (int)v->surface.width,
                      (int)v->surface.height, 8, 3, 4);
    set_format(v);
}

/* Draws, and tells libvncserver what has changed. */
static void refresh(struct vnc *v)
{
    struct video_rect rect[MAX_RECTS];
    bool resized;
    unsigned n;

    if (v->cfg.video->draw(v->cfg.video->self, &v->surface) < 0)
        return;
    resized = v->surface.resized;
    n = video_taken(&v->surface, rect, MAX_RECTS);
    if (resized)
        new_size(v);
    for (unsigned i = 0; i < n; i++)
        rfbMarkRectAsModified(v->screen, (int)rect[i].x, (int)rect[i].y,
                              (int)(rect[i].x + rect[i].width), (int)(rect[i].y + rect[i].height));
    v->still = n > 0 ? 0 : v->still + 1;
}

/* Somebody has asked for what is new and has not got it yet. */
static bool wanted(struct vnc *v)
{
    rfbClientIteratorPtr i = rfbGetClientIterator(v->screen);
    bool any = false;
    rfbClientPtr cl;

    while ((cl = rfbClientIteratorNext(i)) != NULL)
        any |= cl->state == RFB_NORMAL && !sraRgnEmpty(cl->requestedRegion);
    rfbReleaseClientIterator(i);
    return any;
}

static void gone(struct viewer *w);

static void update_viewers(struct vnc *v)
{
    rfbClientIteratorPtr i = rfbGetClientIterator(v->screen);
    rfbClientPtr cl, next = rfbClientIteratorNext(i);

    while ((cl = next) != NULL) {
        next = rfbClientIteratorNext(i);
        rfbUpdateClient(cl);
        if (cl->sock == RFB_INVALID_SOCKET)
            gone(cl->clientData);
    }
    rfbReleaseClientIterator(i);
}

static void arm(struct vnc *v)
{
    if (v->armed || v->viewers == 0)
        return;
    v->armed = true;
    timer_arm(v->frame, vclock_now(v->clock) + (v->still < RESTLESS ? FRAME_NS : REST_NS));
}

static void on_frame(void *opaque)
{
    struct vnc *v = opaque;

    v->armed = false;
    if (wanted(v)) {
        refresh(v);
        update_viewers(v);
    }
    arm(v);
}

/* --- viewers --- */

/* false: the server ends. */
static bool note_fd(struct vnc *v, int fd)
{
    bool ending;

    lock_take(&v->lock);
    ending = v->ending;
    if (!ending)
        v->fds[v->fd_count++] = fd;
    lock_drop(&v->lock);
    return !ending;
}

static void forget_fd(struct vnc *v, int fd)
{
    lock_take(&v->lock);
    for (unsigned i = 0; i < v->fd_count; i++)
        if (v->fds[i] == fd)
            v->fds[i] = v->fds[--v->fd_count];
    lock_drop(&v->lock);
}

static void on_nudge(int signal)
{
}

static int nudge_signal(void)
{
    return SIGRTMIN + 2; /* below are libc's and the kvm engine's */
}

/* Joins the thread, which may be waiting for viewers that take or say nothing: their connections
 * end, which a select() for room in a Unix socket does not notice before a signal comes. */
static void join(struct vnc *v)
{
    struct timespec until;

    lock_take(&v->lock);
    v->ending = true;
    for (unsigned i = 0; i < v->fd_count; i++)
        shutdown(v->fds[i], SHUT_RDWR);
    lock_drop(&v->lock);
    do {
        pthread_kill(v->thread, nudge_signal());
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += NUDGE_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
    } while (pthread_timedjoin_np(v->thread, NULL, &until) == ETIMEDOUT);
}

static void gone(struct viewer *w)
{
    struct vnc *v = w->vnc;

    release_keys(w);
    loop_unwatch(w->watch);
    forget_fd(v, w->fd);
    close(w->fd);
    rfbClientConnectionGone(w->client);
    free(w);
    v->viewers--;
}

static void on_input(void *opaque, int fd, unsigned events)
{
    struct viewer *w = opaque;
    rfbClientPtr cl = w->client;

    do {
        rfbProcessClientMessage(cl);
    } while (cl->sock != RFB_INVALID_SOCKET && webSocketsHasDataInBuffer(cl));
    if (cl->sock == RFB_INVALID_SOCKET)
        gone(w);
}

static void add_viewer(struct vnc *v, int fd)
{
    struct viewer *w = v->viewers < VNC_MAX_VIEWERS ? calloc(1, sizeof(*w)) : NULL;
    int other = w != NULL ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;

    if (other < 0 || other >= FD_SETSIZE || !note_fd(v, fd)) {
        close(fd);
        if (other >= 0)
            close(other);
        free(w);
        return;
    }
    refresh(v);
    w->vnc = v;
    w->fd = fd;
    w->client = rfbNewClient(v->screen, other); /* closes it if it fails */
    if (w->client == NULL) {
        forget_fd(v, fd);
        close(fd);
        free(w);
        return;
    }
    w->client->clientData = w;
    v->viewers++;
    if (loop_watch(v->loop, fd, LOOP_READ, on_input, w, &w->watch) < 0) {
        w->watch = NULL;
        rfbCloseClient(w->client);
        gone(w);
        return;
    }
    arm(v);
}

struct arrival {
    struct vnc *vnc;
    int fd;
};

static void on_arrival(void *opaque)
{
    struct arrival *a = opaque;

    add_viewer(a->vnc, a->fd);
    free(a);
}

void vnc_connection(struct vnc *v, int fd)
{
    struct arrival *a = malloc(sizeof(*a));

    if (a != NULL) {
        *a = (struct arrival){v, fd};
        if (loop_post(v->loop, on_arrival, a) == 0)
            return;
    }
    free(a);
    close(fd);
}

/* --- life --- */

static void *thread_main(void *opaque)
{
    loop_run(((struct vnc *)opaque)->loop);
    return NULL;
}

static int create_screen(struct vnc *v)
{
    rfbScreenInfoPtr s;

    rfbLogEnable(0);
    rfbMaxClientWait = PATIENCE_MS;
    if (v->cfg.video->draw(v->cfg.video->self, &v->surface) < 0)
        return -ENOMEM;
    s = v->screen =
        rfbGetScreen(NULL, NULL, (int)v->surface.width, (int)v->surface.height, 8, 3, 4);
    if (s == NULL)
        return -ENOMEM;
    s->frameBuffer = (char *)v->surface.pixels;
    s->desktopName = v->cfg.name;
    s->screenData = v;
    s->alwaysShared = TRUE;
    s->deferUpdateTime = 0;
    s->cursor = NULL;
    s->kbdAddEvent = on_key;
    s->ptrAddEvent = on_pointer;
    s->getKeyboardLedStateHook = on_leds;
    s->setDesktopSizeHook = on_size;
    set_format(v);
    if (v->cfg.password != NULL) {
        v->passwords[0] = (char *)(uintptr_t)v->cfg.password;
        s->authPasswdData = v->passwords;
        s->passwordCheck = rfbCheckPasswordByList;
    }
    return 0;
}

int vnc_create(const struct vnc_config *cfg, struct vnc **out, struct err *e)
{
    const struct sigaction nudge = {.sa_handler = on_nudge};
    struct vnc *v = calloc(1, sizeof(*v));
    int rc;

    if (v == NULL)
        return err_set(e, ENOMEM, "out of memory");
    v->cfg = *cfg;
    lock_init(&v->lock, LOCK_CHARDEV);
    video_init(&v->surface);
    rc = loop_create(&v->loop);
    if (rc == 0)
        rc = vclock_create(&v->clock);
    if (rc == 0)
        rc = timer_create_on(v->loop, v->clock, on_frame, v, &v->frame);
    if (rc == 0)
        rc = create_screen(v);
    if (rc == 0 && sigaction(nudge_signal(), &nudge, NULL) < 0)
        rc = -errno;
    if (rc == 0)
        rc = -pthread_create(&v->thread, NULL, thread_main, v);
    if (rc < 0) {
        vnc_destroy(v);
        return err_set(e, -rc, "cannot start the VNC server: %s", strerror(-rc));
    }
    v->started = true;
    pthread_setname_np(v->thread, "vnc");
    *out = v;
    return 0;
}

static void hang_up(struct vnc *v)
{
    rfbClientIteratorPtr i = rfbGetClientIterator(v->screen);
    rfbClientPtr cl, next = rfbClientIteratorNext(i);

    while ((cl = next) != NULL) {
        next = rfbClientIteratorNext(i);
        rfbCloseClient(cl);
        gone(cl->clientData);
    }
    rfbReleaseClientIterator(i);
}

void vnc_destroy(struct vnc *v)
{
    if (v == NULL)
        return;
    if (v->started) {
        loop_stop(v->loop);
        join(v);
    }
    if (v->screen != NULL) {
        hang_up(v);
        rfbScreenCleanup(v->screen);
    }
    timer_destroy(v->frame);
    if (v->clock != NULL)
        vclock_destroy(v->clock);
    if (v->loop != NULL)
        loop_destroy(v->loop);
    video_finish(&v->surface);
    lock_finish(&v->lock);
    free(v);
}
