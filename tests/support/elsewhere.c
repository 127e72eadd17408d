/* Preloaded into servers that were unpacked, not installed: the folders whose names are compiled
   into them are looked for below $ELSEWHERE. Built by tests/support/unpacked.py; only what those
   servers call is here. */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char *const folders[] = { "/etc/courier/", "/run/courier/", "/usr/lib/courier-authlib" };

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The path itself, or the one below $ELSEWHERE, in `room`. */
static const char *elsewhere(const char *path, char room[PATH_MAX])
{
    const char *root = getenv("ELSEWHERE");
    if (!root || !path)
        return path;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (strncmp(path, folders[i], strlen(folders[i])) != 0)
            continue;
        if (snprintf(room, PATH_MAX, "%s%s", root, path) < PATH_MAX)
            return room;
    }
    return path;
}

int open(const char *path, int flags, ...)
{
    char room[PATH_MAX];
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return REAL(open)(elsewhere(path, room), flags, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    char room[PATH_MAX];
    return REAL(fopen)(elsewhere(path, room), mode);
}

int stat(const char *path, struct stat *info)
{
    char room[PATH_MAX];
    return REAL(stat)(elsewhere(path, room), info);
}

int access(const char *path, int mode)
{
    char room[PATH_MAX];
    return REAL(access)(elsewhere(path, room), mode);
}

int chmod(const char *path, mode_t mode)
{
    char room[PATH_MAX];
    return REAL(chmod)(elsewhere(path, room), mode);
}

int unlink(const char *path)
{
    char room[PATH_MAX];
    return REAL(unlink)(elsewhere(path, room));
}

int rename(const char *from, const char *to)
{
    char room_from[PATH_MAX], room_to[PATH_MAX];
    return REAL(rename)(elsewhere(from, room_from), elsewhere(to, room_to));
}

void *dlopen(const char *path, int flags)
{
    char room[PATH_MAX];
    return REAL(dlopen)(elsewhere(path, room), flags);
}

/* The address with its path changed, in `room`, or the one given. */
static const struct sockaddr *address(const struct sockaddr *given, socklen_t *bytes, struct sockaddr_un *room)
{
    char path[PATH_MAX];
    if (*bytes <= sizeof given->sa_family || *bytes > sizeof *room || given->sa_family != AF_UNIX)
        return given;
    memset(room, 0, sizeof *room);
    memcpy(room, given, *bytes);
    room->sun_path[sizeof room->sun_path - 1] = 0;
    const char *there = elsewhere(room->sun_path, path);
    if (there != path || strlen(there) >= sizeof room->sun_path)
        return given;
    strcpy(room->sun_path, there);
    *bytes = sizeof *room;
    return (const struct sockaddr *)room;
}

int connect(int socket, const struct sockaddr *given, socklen_t bytes)
{
    struct sockaddr_un room;
    const struct sockaddr *there = address(given, &bytes, &room);
    return REAL(connect)(socket, there, bytes);
}

int bind(int socket, const struct sockaddr *given, socklen_t bytes)
{
    struct sockaddr_un room;
    const struct sockaddr *there = address(given, &bytes, &room);
    return REAL(bind)(socket, there, bytes);
}

/* The account that the packages would have made is the one that the server runs as. */
struct passwd *getpwnam(const char *name)
{
    return strcmp(name, "courier") == 0 ? getpwuid(getuid()) : REAL(getpwnam)(name);
}

/* Courier asks a file access monitor for news and finds none here: libgamin would look for its
   server for five seconds at each login. That it fails, Courier tells each client. */
int FAMOpen(void *connection);
int FAMOpen(void *connection)
{
    return -1;
}
