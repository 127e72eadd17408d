#include "engine/cli/listen_address.h"

#include "engine/config/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 16

static bool refuse(const char *text, struct err *err_r)
{
    return config_refuse(err_r, CONFIG_EXIT_BATCH, "listen %.100s: expected 127.0.0.1:PORT, [::1]:PORT or unix:PATH",
                         text);
}

static bool unix_path(const char *text, struct listen_address *a, struct err *err_r)
{
    const char *path = text + strlen("unix:");

    if (*path == '\0' || strlen(path) >= sizeof a->at.local.sun_path)
        return config_refuse(err_r, CONFIG_EXIT_BATCH, "listen %.100s: a socket's path has 1 to %zu bytes", text,
                             sizeof a->at.local.sun_path - 1);
    a->at.local.sun_family = AF_UNIX;
    memcpy(a->at.local.sun_path, path, strlen(path) + 1);
    a->size = sizeof a->at.local;
    a->is_unix = a->is_local = true;
    snprintf(a->host, sizeof a->host, "localhost");
    return true;
}

static bool numeric(struct slice host, unsigned port, struct listen_address *a)
{
    struct sockaddr_in *four = (struct sockaddr_in *)&a->at.inet;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&a->at.inet;
    bool bracketed = host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']';
    char name[64];

    snprintf(a->host, sizeof a->host, "%.*s", (int)host.size, host.data);
    if (slice_equal_nocase(host, SLICE("localhost")))
        host = SLICE("127.0.0.1");
    snprintf(name, sizeof name, "%.*s", (int)(host.size - 2 * bracketed), host.data + bracketed);
    if (bracketed && inet_pton(AF_INET6, name, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        a->size = sizeof *six;
        a->is_local = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
        return true;
    }
    if (!bracketed && inet_pton(AF_INET, name, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        a->size = sizeof *four;
        a->is_local = ntohl(four->sin_addr.s_addr) >> 24 == 127;
        return true;
    }
    return false;
}

bool listen_address_parse(const char *text, struct listen_address *a, struct err *err_r)
{
    struct slice all = slice_cstr(text);
    const char *colon = strrchr(text, ':');
    uint32_t port;

    *a = (struct listen_address){ .size = 0 };
    if (slice_starts(all, SLICE("unix:")))
        return unix_path(text, a, err_r);
    if (!colon || !slice_u32(slice_cstr(colon + 1), &port) || port > 65535 ||
        (size_t)(colon - text) >= sizeof a->host || !numeric(slice_first(all, (size_t)(colon - text)), port, a))
        return refuse(text, err_r);
    a->port = port;
    return true;
}

/* A process that was killed leaves its socket; one that is alive answers at it. */
static bool make_room(const struct listen_address *a, struct err *err_r)
{
    struct stat st;
    int fd;
    bool alive;

    if (lstat(a->at.local.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return true;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    alive = fd >= 0 && (connect(fd, &a->at.any, a->size) == 0 || errno != ECONNREFUSED);
    if (fd >= 0)
        close(fd);
    if (alive)
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, EADDRINUSE, "listen");
    return unlink(a->at.local.sun_path) == 0 || err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, errno, "listen");
}

bool listen_address_bind(struct listen_address *a, int *socket_r, struct err *err_r)
{
    struct sockaddr_storage got = { 0 };
    socklen_t size = sizeof got;
    int fd, on = 1, error;

    if (a->is_unix && !make_room(a, err_r))
        return false;
    fd = socket(a->at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && !a->is_unix)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, &a->at.any, a->size) != 0 || (a->is_unix && chmod(a->at.local.sun_path, 0600) != 0) ||
        listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&got, &size) != 0) {
        error = errno;
        if (fd >= 0)
            close(fd);
        return err_set_os(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, error, "listen");
    }
    if (got.ss_family == AF_INET)
        a->port = ntohs(((struct sockaddr_in *)&got)->sin_port);
    else if (got.ss_family == AF_INET6)
        a->port = ntohs(((struct sockaddr_in6 *)&got)->sin6_port);
    *socket_r = fd;
    return true;
}

bool listen_address_is_meant(const struct listen_address *a, const char *host)
{
    static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };
    struct slice name = slice_cstr(host);
    const char *colon = strrchr(host, ':');
    uint32_t port;

    /* The port is what it is: a forwarded one is another. */
    if (colon && colon[1] != '\0' && (host[0] != '[' || colon[-1] == ']')) {
        if (!slice_u32(slice_cstr(colon + 1), &port))
            return false;
        name = slice_first(name, (size_t)(colon - host));
    }
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_equal_nocase(name, slice_cstr(names[i])))
            return true;
    return slice_equal_nocase(name, slice_cstr(a->host));
}
