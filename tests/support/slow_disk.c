/* Preloaded into the program: a disk that takes a second to make anything durable. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void turn(void)
{
    struct timespec wait = { .tv_sec = 1 };

    nanosleep(&wait, NULL);
}

int fdatasync(int fd)
{
    turn();
    return REAL(fdatasync)(fd);
}

int msync(void *at, size_t size, int flags)
{
    turn();
    return REAL(msync)(at, size, flags);
}
