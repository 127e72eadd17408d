#include "engine/message/match_fidelity.h"

#include <math.h>

/* What one of our own copies counts, where one that only can be no other's counts 1. */
#define OUR_OWN 8u
/* So much overturns what the preset takes for granted. */
#define ENOUGH        8u
#define ENOUGH_EXACT  64u
#define SAMPLES_LEAST 8u
/* What a server may add to a message, whatever its size: headers, and a text part made anew. */
#define ADDED_BYTES 65536u
/* How far a server's size is off that only counts line ends otherwise, or keeps books in header lines of its own. */
#define NEAR_BYTES 512u
#define NEAR_PART  32u

void match_fidelity_size(struct match_fidelity *m, uint64_t sent_bytes, uint64_t told_bytes, bool our_own)
{
    unsigned at = m->sample_count++ % MATCH_SAMPLES;

    m->samples[at].sent = sent_bytes;
    m->samples[at].told = told_bytes;
    if (m->sample_count >= 2 * MATCH_SAMPLES)
        m->sample_count -= MATCH_SAMPLES;
    *(sent_bytes == told_bytes ? &m->size_same : &m->size_other) += our_own ? OUR_OWN : 1;
}

void match_fidelity_date(struct match_fidelity *m, bool same, bool our_own)
{
    *(same ? &m->date_same : &m->date_other) += our_own ? OUR_OWN : 1;
}

bool match_sizes_exact(const struct match_fidelity *m, bool last)
{
    if (m->rewrites)
        return m->size_same >= ENOUGH_EXACT && m->size_other == 0;
    if (m->size_same == 0)
        return !last && m->size_other < ENOUGH;
    /* Some may be parts of a message, or another of its Message-ID. */
    return m->size_other < 4 * m->size_same;
}

bool match_sizes_assumed(const struct match_fidelity *m)
{
    return m->size_same == 0 && m->size_other < ENOUGH;
}

bool match_dates_kept(const struct match_fidelity *m, bool last)
{
    if (m->date_other <= m->date_same)
        return true;
    /* Where sizes are exact a message of this Message-ID and size is the same, whatever its date.
     */
    return m->date_other < ENOUGH && !(last && !m->rewrites);
}

bool match_dates_assumed(const struct match_fidelity *m)
{
    return m->date_same == 0 && m->date_other < ENOUGH;
}

bool match_dates_open(const struct match_fidelity *m)
{
    return match_dates_assumed(m) || !match_dates_kept(m, false);
}

struct match_range match_sizes_of(const struct match_fidelity *m, uint64_t sent_bytes)
{
    uint64_t off = NEAR_BYTES + sent_bytes / NEAR_PART;

    if (m->rewrites)
        return (struct match_range){ sent_bytes / 2, 2 * sent_bytes + ADDED_BYTES };
    return (struct match_range){ sent_bytes > off ? sent_bytes - off : 0, sent_bytes + off };
}

struct match_range match_sent_of(const struct match_fidelity *m, uint64_t told_bytes)
{
    uint64_t off = NEAR_BYTES + told_bytes / (NEAR_PART - 2) + 1;

    if (m->rewrites)
        return (struct match_range){ told_bytes > ADDED_BYTES ? (told_bytes - ADDED_BYTES) / 2 : 0,
                                     2 * told_bytes + 1 };
    off += off / (NEAR_PART / 2);
    return (struct match_range){ told_bytes > off ? told_bytes - off : 0, told_bytes + off };
}

/* A straight line through the samples, and twice what the worst of them is off it. */
bool match_sizes_learnt(const struct match_fidelity *m, uint64_t sent_bytes, struct match_range *range_r)
{
    unsigned count = m->sample_count < MATCH_SAMPLES ? m->sample_count : MATCH_SAMPLES;
    double x = 0, y = 0, xx = 0, xy = 0, slope = 1, off = 0, expected;

    if (count < SAMPLES_LEAST)
        return false;
    for (unsigned i = 0; i < count; i++) {
        x += (double)m->samples[i].sent / count;
        y += (double)m->samples[i].told / count;
    }
    for (unsigned i = 0; i < count; i++) {
        double dx = (double)m->samples[i].sent - x;

        xx += dx * dx;
        xy += dx * ((double)m->samples[i].told - y);
    }
    if (xx > 0)
        slope = xy / xx;
    if (slope < 0.5 || slope > 2)
        return false; /* no rule is seen in them */
    for (unsigned i = 0; i < count; i++) {
        double gap = fabs((double)m->samples[i].told - y - slope * ((double)m->samples[i].sent - x));

        if (gap > off)
            off = gap;
    }
    off = 2 * off + 8;
    expected = y + slope * ((double)sent_bytes - x);
    range_r->least = expected > off ? (uint64_t)(expected - off) : 0;
    range_r->most = expected + off > 0 ? (uint64_t)(expected + off) : 0;
    return true;
}
