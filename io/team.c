#include "io/team.h"

#include "io/base/mem.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef MAILHAUL_TEAM_PTHREADS
#include <omp.h>
#endif

/* Processors' worth of time per period that the control group allows, rounded up; 0: no limit. */
static unsigned quota_of(const char *path)
{
    long long quota = 0, period = 0;
    FILE *file = fopen(path, "re");
    int n;

    if (!file)
        return 0;
    n = fscanf(file, "%lld %lld", &quota, &period);
    fclose(file);
    if (n != 2 || quota <= 0 || period <= 0 || quota / period >= 4096)
        return 0;
    return (unsigned)((quota + period - 1) / period);
}

static unsigned quota(void)
{
    char line[512], path[640];
    unsigned least = quota_of("/sys/fs/cgroup/cpu.max");
    FILE *file = fopen("/proc/self/cgroup", "re");

    while (file && fgets(line, sizeof line, file)) {
        unsigned here;

        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", line + 3);
        here = quota_of(path);
        if (here && (!least || here < least))
            least = here;
    }
    if (file)
        fclose(file);
    return least;
}

unsigned team_processors(void)
{
    cpu_set_t set;
    unsigned count = 1, limit = quota();

    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        count = (unsigned)CPU_COUNT(&set);
    } else {
        /* More processors than a cpu_set_t holds. */
        long online = sysconf(_SC_NPROCESSORS_ONLN);

        count = online > 0 ? (unsigned)online : 1;
    }
    if (limit && limit < count)
        count = limit;
    return count ? count : 1;
}

unsigned team_loops(unsigned wanted)
{
    unsigned loops = wanted ? wanted : team_processors();

    return loops < TEAM_LOOPS_MAX ? loops : TEAM_LOOPS_MAX;
}

static bool refused(unsigned loops, struct err *err_r)
{
    return err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_OS, EAGAIN,
                   "%u threads cannot be had; see --threads and ulimit -u", loops + 1);
}

#ifndef MAILHAUL_TEAM_PTHREADS

bool team_run(unsigned loops, void (*body)(void *context, unsigned thread), void *context, struct err *err_r)
{
    bool short_handed = false;

    assert(loops >= 1 && loops <= TEAM_LOOPS_MAX);
    omp_set_dynamic(0);
    /* Each thread allocates what it uses, so its memory is near the processor it is spread to. */
#pragma omp parallel num_threads(loops + 1) proc_bind(spread)
    {
        if (omp_get_num_threads() == (int)loops + 1)
            body(context, (unsigned)omp_get_thread_num());
        else if (omp_get_thread_num() == 0)
            short_handed = true;
    }
    return !short_handed || refused(loops, err_r);
}

#else

struct member {
    pthread_t thread;
    pthread_mutex_t *gate;
    const bool *go;
    unsigned number;
    void (*body)(void *, unsigned);
    void *context;
};

static void *member_run(void *context)
{
    struct member *m = context;
    bool go;

    /* Held shut until every thread is there, since none may run when one is missing. */
    pthread_mutex_lock(m->gate);
    go = *m->go;
    pthread_mutex_unlock(m->gate);
    if (go)
        m->body(m->context, m->number);
    return NULL;
}

bool team_run(unsigned loops, void (*body)(void *context, unsigned thread), void *context, struct err *err_r)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct member *members = mem_zero(loops + 1, sizeof *members);
    unsigned count = 1;
    bool go = false;

    assert(loops >= 1 && loops <= TEAM_LOOPS_MAX);
    pthread_mutex_lock(&gate);
    for (; count <= loops; count++) {
        members[count] = (struct member){ 0, &gate, &go, count, body, context };
        if (pthread_create(&members[count].thread, NULL, member_run, &members[count]) != 0)
            break;
    }
    go = count == loops + 1;
    pthread_mutex_unlock(&gate);
    if (go)
        body(context, 0);
    for (unsigned i = 1; i < count; i++)
        pthread_join(members[i].thread, NULL);
    free(members);
    return go || refused(loops, err_r);
}

#endif
