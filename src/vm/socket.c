/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listeners and connections: see socket.h. */
#include "vm/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct listener {
    struct listener_config cfg;
    int fd;
    bool tcp;
    struct loop_watch *watch;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* to be removed; "": none */
    char where[160];
};

/* --- addresses --- */

/* Host and port of "[ADDRESS:]PORT"; the port may be 0, for any. */
static int parse_tcp(const char *option, const char *text, struct sockaddr_storage *to,
                     socklen_t *len, struct err *e)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;
    const char *colon = strrchr(text, ':'), *port = colon != NULL ? colon + 1 : text;
    char host[64] = "127.0.0.1", *end;
    unsigned long n = strtoul(port, &end, 10);
    size_t size = colon != NULL ? (size_t)(colon - text) : 0;

    if (*port < '0' || *port > '9' || *end != '\0' || n > 65535 || size >= sizeof(host))
        return err_usage(e, "%s: '%s' is no address of TCP; write PORT or ADDRESS:PORT", option,
                         text);
    if (colon != NULL)
        snprintf(host, sizeof(host), "%.*s", (int)size, text);
    memset(to, 0, sizeof(*to));
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)n);
        *len = sizeof(*v4);
        return 0;
    }
    if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
        host[size - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1) {
            v6->sin6_family = AF_INET6;
            v6->sin6_port = htons((uint16_t)n);
            *len = sizeof(*v6);
            return 0;
        }
    }
    return err_usage(e, "%s: '%s' has no numeric address; write ADDRESS:PORT or PORT", option,
                     text);
}

static void name_tcp(struct listener *l)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    char text[INET6_ADDRSTRLEN] = "?";

    if (getsockname(l->fd, (struct sockaddr *)&sa, &len) < 0)
        return;
    if (sa.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&sa;
        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
        snprintf(l->where, sizeof(l->where), "tcp:%s:%u", text, ntohs(v4->sin_port));
    } else {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&sa;
        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
        snprintf(l->where, sizeof(l->where), "tcp:[%s]:%u", text, ntohs(v6->sin6_port));
    }
}

/* --- listening --- */

static void on_connection(void *opaque, int fd, unsigned events)
{
    struct listener *l = opaque;
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;

    if (peer < 0)
        return;
    if (l->tcp) /* short questions and answers */
        (void)setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    l->cfg.accepted(l->cfg.opaque, peer);
}

static int listen_tcp(struct listener *l, const char *text, struct err *e)
{
    struct sockaddr_storage sa;
    socklen_t len = 0;
    int one = 1, rc = parse_tcp(l->cfg.option, text, &sa, &len, e);

    if (rc < 0)
        return rc;
    l->tcp = true;
    l->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd >= 0)
        (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&sa, len) < 0 || listen(l->fd, 4) < 0)
        return err_set(e, errno, "%s: cannot listen on tcp:%s: %s", l->cfg.option, text,
                       strerror(errno));
    name_tcp(l);
    return 0;
}

/* A socket file that nobody listens on is left over from a process that died. */
static void remove_stale(const struct sockaddr_un *sa)
{
    struct stat st;
    int fd;

    if (lstat(sa->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 && errno == ECONNREFUSED)
        unlink(sa->sun_path);
    close(fd);
}

static int listen_unix(struct listener *l, const char *path, struct err *e)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    if (path[0] == '\0')
        return err_usage(e, "%s: the path of the socket is missing", l->cfg.option);
    if (strlen(path) >= sizeof(sa.sun_path))
        return err_set(e, ENAMETOOLONG,
                       "%s: %s is too long, a socket's path has at most %zu characters",
                       l->cfg.option, path, sizeof(sa.sun_path) - 1);
    strcpy(sa.sun_path, path);
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return err_set(e, errno, "%s: cannot create a socket: %s", l->cfg.option, strerror(errno));
    remove_stale(&sa);
    /* The mode counts from the first moment on: nobody can connect before listen. */
    if (bind(l->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return err_set(e, errno, "%s: cannot listen on %s: %s", l->cfg.option, path,
                       errno == EADDRINUSE ? "another process does" : strerror(errno));
    strcpy(l->path, path);
    if (chmod(path, 0600) < 0 || listen(l->fd, 4) < 0)
        return err_set(e, errno, "%s: cannot listen on %s: %s", l->cfg.option, path,
                       strerror(errno));
    snprintf(l->where, sizeof(l->where), "unix:%s", path);
    return 0;
}

static int create(const char *unix_path, const char *tcp, const struct listener_config *cfg,
                  struct listener **out, struct err *e)
{
    struct listener *l = calloc(1, sizeof(*l));
    int rc;

    if (l == NULL)
        return err_set(e, ENOMEM, "out of memory");
    l->cfg = *cfg;
    l->fd = -1;
    rc = unix_path != NULL ? listen_unix(l, unix_path, e) : listen_tcp(l, tcp, e);
    if (rc == 0) {
        rc = loop_watch(cfg->loop, l->fd, LOOP_READ, on_connection, l, &l->watch);
        if (rc < 0)
            err_set(e, -rc, "%s: cannot watch the socket: %s", cfg->option, strerror(-rc));
    }
    if (rc < 0) {
        listener_destroy(l);
        return rc;
    }
    *out = l;
    return 0;
}

int listener_create_unix(const char *path, const struct listener_config *cfg, struct listener **out,
                         struct err *e)
{
    return create(path, NULL, cfg, out, e);
}

int listener_create(const char *address, const struct listener_config *cfg, struct listener **out,
                    struct err *e)
{
    if (strncmp(address, "unix:", 5) == 0)
        return create(address + 5, NULL, cfg, out, e);
    if (strncmp(address, "tcp:", 4) == 0)
        return create(NULL, address + 4, cfg, out, e);
    return err_usage(e, "%s: '%s' is unknown; use unix:PATH or tcp:PORT", cfg->option, address);
}

void listener_destroy(struct listener *l)
{
    if (l == NULL)
        return;
    loop_unwatch(l->watch);
    if (l->fd >= 0)
        close(l->fd);
    if (l->path[0] != '\0')
        unlink(l->path);
    free(l);
}

const char *listener_where(const struct listener *l)
{
    return l->where;
}

/* --- connections --- */

struct stream {
    struct stream_config cfg;
    int fd;
    struct loop_watch *watch;
    uint8_t *waiting; /* not sent yet */
    size_t len, room;
    bool broken;
};

static void set_watch(struct stream *s)
{
    loop_watch_set(s->watch, LOOP_READ | (s->len > 0 && !s->broken ? LOOP_WRITE : 0u));
}

/* How many bytes went; the peer is hung up on if it is gone: reading tells its end. */
static size_t send_some(struct stream *s, const uint8_t *bytes, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = send(s->fd, bytes + done, len - done, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0) {
            s->broken = true;
            return len;
        }
        done += (size_t)n;
    }
    return done;
}

static void drain(struct stream *s)
{
    size_t n = send_some(s, s->waiting, s->len);

    s->len -= n;
    memmove(s->waiting, s->waiting + n, s->len);
}

static bool make_room(struct stream *s, size_t more)
{
    size_t want = s->len + more;
    uint8_t *p;

    if (want > SOCKET_BACKLOG)
        return false;
    if (want <= s->room)
        return true;
    p = realloc(s->waiting, want * 2);
    if (p == NULL)
        return false;
    s->waiting = p;
    s->room = want * 2;
    return true;
}

void stream_send(struct stream *s, const void *bytes, size_t len)
{
    size_t done = 0;

    if (s->broken)
        return;
    if (s->len == 0)
        done = send_some(s, bytes, len);
    if (done < len) {
        if (make_room(s, len - done)) {
            memcpy(s->waiting + s->len, (const uint8_t *)bytes + done, len - done);
            s->len += len - done;
        } else {
            s->broken = true;
        }
    }
    if (s->broken)
        (void)shutdown(s->fd, SHUT_RDWR);
    set_watch(s);
}

void stream_hang_up(struct stream *s)
{
    s->broken = true;
    (void)shutdown(s->fd, SHUT_RDWR);
    set_watch(s);
}

static void on_events(void *opaque, int fd, unsigned events)
{
    struct stream *s = opaque;
    uint8_t buf[4096];
    ssize_t n;

    if (events & LOOP_WRITE) {
        drain(s);
        set_watch(s);
    }
    if (!(events & (LOOP_READ | LOOP_HUP)))
        return;
    n = recv(s->fd, buf, sizeof(buf), MSG_DONTWAIT);
    if (n > 0 && !s->broken)
        s->cfg.input(s->cfg.opaque, buf, (size_t)n);
    else if (n >= 0 || (errno != EAGAIN && errno != EINTR))
        s->cfg.closed(s->cfg.opaque);
}

int stream_create(int fd, const struct stream_config *cfg, struct stream **out)
{
    struct stream *s = calloc(1, sizeof(*s));
    int rc = s == NULL ? -ENOMEM : 0;

    if (rc == 0)
        rc = loop_watch(cfg->loop, fd, LOOP_READ, on_events, s, &s->watch);
    if (rc < 0) {
        free(s);
        close(fd);
        return rc;
    }
    s->cfg = *cfg;
    s->fd = fd;
    *out = s;
    return 0;
}

void stream_destroy(struct stream *s)
{
    if (s == NULL)
        return;
    if (!s->broken && s->len > 0)
        drain(s);
    loop_unwatch(s->watch);
    close(s->fd);
    free(s->waiting);
    free(s);
}
