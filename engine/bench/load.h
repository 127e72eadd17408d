/* What the client itself spends while it measures: whether its own processors are the limit. */
#ifndef ENGINE_BENCH_LOAD_H
#define ENGINE_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

/* One moment, of the calling thread or of the machine. */
struct load_mark {
    uint64_t ns;
    uint64_t cpu_us;    /* of the thread */
    uint64_t wait_ns;   /* of the thread: ready to run, and no processor free */
    uint64_t busy, all; /* of the machine, in ticks of all processors; all 0: not known */
};
void load_mark_thread(struct load_mark *mark_r);
void load_mark_machine(struct load_mark *mark_r);

struct load {
    double cpu_s;  /* this process's processor seconds, by its loops */
    double wait_s; /* seconds that its loops waited for a processor */
    bool waits_known;
    double machine; /* share of all processors' time that was used by anybody, 0..1; below 0: not known */
};
/* Adds what a thread did between two marks. */
void load_add_thread(struct load *load, const struct load_mark *from, const struct load_mark *to);
void load_set_machine(struct load *load, const struct load_mark *from, const struct load_mark *to);

#endif
