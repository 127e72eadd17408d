#include "engine/pace/meter.h"

#include <math.h>
#include <string.h>

void average_init(struct average *a, double tau_ms, uint64_t now)
{
    a->rate = 0;
    a->tau_ms = tau_ms;
    a->start_ms = now;
    a->at_ms = now;
}

static double decay(const struct average *a, uint64_t now)
{
    return now > a->at_ms ? exp(-(double)(now - a->at_ms) / a->tau_ms) : 1;
}

void average_add(struct average *a, double amount, uint64_t now)
{
    a->rate = a->rate * decay(a, now) + amount * 1000.0 / a->tau_ms;
    if (now > a->at_ms)
        a->at_ms = now;
}

double average_rate(const struct average *a, uint64_t now)
{
    /* The first second counts as one, or a single early answer would look like a flood. */
    double age = fmax((double)(now > a->start_ms ? now - a->start_ms : 0), 1000);

    return a->rate * decay(a, now) / (1 - exp(-age / a->tau_ms));
}

void meter_init(struct meter *m, uint32_t length_ms, uint64_t now)
{
    m->length_ms = length_ms;
    meter_restart(m, now);
}

void meter_restart(struct meter *m, uint64_t now)
{
    memset(m->blocks, 0, sizeof(m->blocks));
    m->start_ms = now;
    m->block_ms = now;
}

static void turn(struct meter *m, uint64_t now)
{
    uint64_t steps;

    if (now < m->block_ms + m->length_ms)
        return;
    steps = (now - m->block_ms) / m->length_ms;
    m->block_ms += steps * m->length_ms;
    if (steps >= METER_BLOCKS) {
        memset(m->blocks, 0, sizeof(m->blocks));
        return;
    }
    memmove(m->blocks + steps, m->blocks, (METER_BLOCKS - steps) * sizeof(m->blocks[0]));
    memset(m->blocks, 0, steps * sizeof(m->blocks[0]));
}

void meter_add(struct meter *m, double amount, uint64_t now)
{
    turn(m, now);
    m->blocks[0] += (float)amount;
}

uint64_t meter_span_ms(struct meter *m, uint64_t now)
{
    const uint64_t past_ms = (METER_BLOCKS - 1) * (uint64_t)m->length_ms;
    uint64_t oldest;

    turn(m, now);
    oldest = m->block_ms - m->start_ms > past_ms ? m->block_ms - past_ms : m->start_ms;
    return now > oldest + 1000 ? now - oldest : 1000;
}

double meter_rate(struct meter *m, uint64_t now)
{
    double span_ms = (double)meter_span_ms(m, now);
    double sum = 0;

    for (int i = 0; i < METER_BLOCKS; i++)
        sum += (double)m->blocks[i];
    return sum * 1000 / span_ms;
}
