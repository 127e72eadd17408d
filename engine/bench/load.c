#include "engine/bench/load.h"

#include "io/base/now.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

void load_mark_thread(struct load_mark *m)
{
    struct rusage used;
    FILE *f = fopen("/proc/thread-self/schedstat", "re");
    uint64_t ran, waited;

    *m = (struct load_mark){ .ns = now_ns() };
    if (getrusage(RUSAGE_THREAD, &used) == 0)
        m->cpu_us = (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000u +
                    (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    if (!f)
        return;
    if (fscanf(f, "%" SCNu64 " %" SCNu64, &ran, &waited) == 2)
        m->wait_ns = waited;
    fclose(f);
}

/* proc(5), /proc/stat: user nice system idle iowait irq softirq steal. */
void load_mark_machine(struct load_mark *m)
{
    FILE *f = fopen("/proc/stat", "re");
    uint64_t t[8] = { 0 };

    *m = (struct load_mark){ .ns = now_ns() };
    if (!f)
        return;
    if (fscanf(f, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
               &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) >= 4) {
        for (unsigned i = 0; i < 8; i++)
            m->all += t[i];
        m->busy = m->all - t[3] - t[4];
    }
    fclose(f);
}

void load_add_thread(struct load *load, const struct load_mark *from, const struct load_mark *to)
{
    load->cpu_s += (double)(to->cpu_us - from->cpu_us) / 1e6;
    load->wait_s += (double)(to->wait_ns - from->wait_ns) / 1e9;
    load->waits_known = load->waits_known || to->wait_ns > 0;
}

void load_set_machine(struct load *load, const struct load_mark *from, const struct load_mark *to)
{
    uint64_t all = to->all - from->all;

    load->machine = from->all && to->all > from->all ? (double)(to->busy - from->busy) / (double)all : -1;
}
