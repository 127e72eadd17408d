#include "io/backend.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

int backend_socket_create(int family, int type_flags)
{
    /* A silent peer (a NAT that forgot us) is found after 60 + 6 * 10 s. */
    static const struct {
        int level, name, value;
    } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },    { SOL_SOCKET, SO_KEEPALIVE, 1 }, { IPPROTO_TCP, TCP_KEEPIDLE, 60 },
        { IPPROTO_TCP, TCP_KEEPINTVL, 10 }, { IPPROTO_TCP, TCP_KEEPCNT, 6 },
    };
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | type_flags, IPPROTO_TCP);

    /* The options only improve matters, so a kernel that refuses one is no reason to stop. */
    for (size_t i = 0; fd >= 0 && i < sizeof options / sizeof *options; i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
    return fd >= 0 ? fd : -errno;
}
