#include "engine/bench/polite.h"

#include "io/base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HALVINGS_MAX 14u /* 10,000 connections to one */
#define PAUSES_MAX   6u  /* 1, 2, 4 ... 32 s */

struct polite {
    struct polite_config config;
    pthread_mutex_t lock;
    double free_us; /* when more may be asked for */
    uint64_t newest[POLITE_WINDOW];
    unsigned count; /* since the last step */
    unsigned halvings, pauses;
    unsigned connections, needed; /* halvings that take them to one */
    uint64_t held_since_us, held_us;
    double p95_ms;
};

struct polite *polite_create(const struct polite_config *config)
{
    struct polite *p = mem_zero(1, sizeof *p);

    p->config = *config;
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void polite_destroy(struct polite **polite)
{
    if (!*polite)
        return;
    pthread_mutex_destroy(&(*polite)->lock);
    free(*polite);
    *polite = NULL;
}

uint64_t polite_wait_us(struct polite *p, uint64_t now_us)
{
    uint64_t wait;

    pthread_mutex_lock(&p->lock);
    wait = p->free_us > (double)now_us ? (uint64_t)(p->free_us - (double)now_us) + 1 : 0;
    pthread_mutex_unlock(&p->lock);
    return wait;
}

void polite_asked(struct polite *p, uint64_t now_us, uint64_t bytes, uint64_t messages)
{
    double us = 0, more = 0;

    if (p->config.bytes_per_s > 0)
        us = (double)bytes / p->config.bytes_per_s * 1e6;
    if (p->config.messages_per_s > 0)
        more = (double)messages / p->config.messages_per_s * 1e6;
    pthread_mutex_lock(&p->lock);
    if (p->free_us < (double)now_us)
        p->free_us = (double)now_us;
    p->free_us += us > more ? us : more;
    pthread_mutex_unlock(&p->lock);
}

bool polite_watches(const struct polite *p)
{
    return p->config.latency_ms > 0;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double p95_ms(const struct polite *p)
{
    uint64_t sorted[POLITE_WINDOW];
    unsigned count = p->count < POLITE_WINDOW ? p->count : POLITE_WINDOW;

    memcpy(sorted, p->newest, count * sizeof *sorted);
    if (count)
        qsort(sorted, count, sizeof *sorted, by_size);
    return (double)sorted[(count * 95 + 99) / 100 - 1] / 1000;
}

static bool is_held(const struct polite *p)
{
    return p->halvings > 0 || p->pauses > 0;
}

static void step(struct polite *p, uint64_t now_us, bool back_off)
{
    bool held = is_held(p);

    if (back_off && p->halvings < p->needed)
        p->halvings++;
    else if (back_off && p->pauses < PAUSES_MAX)
        p->pauses++;
    else if (!back_off && p->pauses)
        p->pauses--;
    else if (!back_off && p->halvings)
        p->halvings--;
    p->count = 0;
    if (!held && is_held(p))
        p->held_since_us = now_us;
    else if (held && !is_held(p))
        p->held_us += now_us - p->held_since_us;
}

void polite_took(struct polite *p, uint64_t now_us, uint64_t us)
{
    if (p->config.latency_ms <= 0)
        return;
    pthread_mutex_lock(&p->lock);
    p->newest[p->count++ % POLITE_WINDOW] = us;
    if (p->count >= POLITE_LEAST) {
        p->p95_ms = p95_ms(p);
        if (p->p95_ms > p->config.latency_ms || is_held(p))
            step(p, now_us, p->p95_ms > p->config.latency_ms);
    }
    pthread_mutex_unlock(&p->lock);
}

void polite_begin(struct polite *p, uint64_t now_us, unsigned connections)
{
    bool held;

    pthread_mutex_lock(&p->lock);
    held = is_held(p);
    p->needed = 0;
    while (p->needed < HALVINGS_MAX && connections >> p->needed > 1)
        p->needed++;
    if (p->halvings > p->needed)
        p->halvings = p->needed;
    if (held && !is_held(p))
        p->held_us += now_us - p->held_since_us;
    p->connections = connections;
    pthread_mutex_unlock(&p->lock);
}

unsigned polite_allowed(struct polite *p)
{
    unsigned allowed;

    pthread_mutex_lock(&p->lock);
    allowed = p->connections >> p->halvings;
    pthread_mutex_unlock(&p->lock);
    return allowed ? allowed : 1;
}

uint32_t polite_pause_ms(struct polite *p)
{
    uint32_t ms;

    pthread_mutex_lock(&p->lock);
    ms = p->pauses ? 500u << p->pauses : 0;
    pthread_mutex_unlock(&p->lock);
    return ms;
}

double polite_held_s(struct polite *p, uint64_t now_us)
{
    double s;

    pthread_mutex_lock(&p->lock);
    s = (double)(p->held_us + (is_held(p) ? now_us - p->held_since_us : 0)) / 1e6;
    pthread_mutex_unlock(&p->lock);
    return s;
}

double polite_p95_ms(struct polite *p)
{
    double ms;

    pthread_mutex_lock(&p->lock);
    ms = p->p95_ms;
    pthread_mutex_unlock(&p->lock);
    return ms;
}
