/* How much a benchmark may ask of a server that others use: at most so many bytes or messages a second, and less while
 * the server's own slowness tells that it suffers. Any thread; knows no clock but the one it is handed.
 */
#ifndef ENGINE_BENCH_POLITE_H
#define ENGINE_BENCH_POLITE_H

#include <stdbool.h>
#include <stdint.h>

struct polite_config {
    double bytes_per_s, messages_per_s; /* 0: no bound */
    double latency_ms;                  /* p95 of SELECTs and logins above which it backs off; 0: never */
};

struct polite;
struct polite *polite_create(const struct polite_config *config);
void polite_destroy(struct polite **polite);

/* Microseconds until more may be asked for; 0: now. */
uint64_t polite_wait_us(struct polite *polite, uint64_t now_us);
/* So much was asked for. */
void polite_asked(struct polite *polite, uint64_t now_us, uint64_t bytes, uint64_t messages);

/* There is a limit of latency. */
bool polite_watches(const struct polite *polite);
/* A SELECT or a login took so long. While the 95th percentile of the newest POLITE_WINDOW is above the limit the number
 * of connections at work is halved, down to one, and then pauses are made, each twice the one before, 32 s at most;
 * while it is not, they come back in the same steps. Each step waits for POLITE_LEAST new measurements. */
#define POLITE_WINDOW 20u
#define POLITE_LEAST  5u
void polite_took(struct polite *polite, uint64_t now_us, uint64_t us);
/* From here on so many connections work, if they may; what is held back stays so. */
void polite_begin(struct polite *polite, uint64_t now_us, unsigned connections);
/* Of these, how many may work now; at least 1. */
unsigned polite_allowed(struct polite *polite);
/* How long each one waits before its next piece of work; 0: not. */
uint32_t polite_pause_ms(struct polite *polite);
/* Seconds so far in which fewer worked, or paused, than were asked for. */
double polite_held_s(struct polite *polite, uint64_t now_us);
/* The percentile that was looked at last, in ms; 0: none. */
double polite_p95_ms(struct polite *polite);

#endif
