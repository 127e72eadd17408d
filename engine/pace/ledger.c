#include "engine/pace/ledger.h"

#include "engine/pace/codec.h"

#include <assert.h>

#define VERSION   1
#define REAL_MAX  1e9
#define PHASE_MAX 15 /* more phases than there are: a newer version may add some */

_Static_assert(LEDGER_RECORD_BYTES >= 1 + 8 * 8 + 4 + 1 + CODEC_SUM_BYTES, "record fits");

void ledger_encode(const struct ledger_record *record, uint8_t out[LEDGER_RECORD_BYTES])
{
    struct codec c = { out };

    codec_put(&c, VERSION, 1);
    codec_put(&c, record->process, 8);
    codec_put(&c, (uint64_t)record->heartbeat_ms, 8);
    codec_put(&c, (uint64_t)record->gate_ms, 8);
    codec_put(&c, (uint64_t)record->event_ms, 8);
    codec_put_real(&c, record->rate);
    codec_put_real(&c, record->rate_hat);
    codec_put_real(&c, record->measured);
    codec_put_real(&c, record->weight);
    codec_put(&c, record->in_flight, 4);
    codec_put(&c, record->phase, 1);
    codec_seal(&c, out, LEDGER_RECORD_BYTES);
}

bool ledger_decode(const uint8_t *bytes, size_t size, struct ledger_record *record_r)
{
    struct codec_reader r;
    struct ledger_record record;

    if (!codec_open(&r, bytes, size, LEDGER_RECORD_BYTES, VERSION))
        return false;
    record.process = codec_get(&r, 8);
    record.heartbeat_ms = (int64_t)codec_get(&r, 8);
    record.gate_ms = (int64_t)codec_get(&r, 8);
    record.event_ms = (int64_t)codec_get(&r, 8);
    record.rate = codec_get_real(&r);
    record.rate_hat = codec_get_real(&r);
    record.measured = codec_get_real(&r);
    record.weight = codec_get_real(&r);
    record.in_flight = (uint32_t)codec_get(&r, 4);
    record.phase = (uint32_t)codec_get(&r, 1);
    if (record.process == 0 || !codec_time_ok(record.heartbeat_ms) || !codec_time_ok(record.gate_ms) ||
        !codec_time_ok(record.event_ms) || !codec_real_ok(record.rate, REAL_MAX) ||
        !codec_real_ok(record.rate_hat, REAL_MAX) || !codec_real_ok(record.measured, REAL_MAX) ||
        !codec_real_ok(record.weight, REAL_MAX) || record.weight == 0 || record.phase > PHASE_MAX)
        return false;
    *record_r = record;
    return true;
}

static void add(struct ledger_sum *sum, const struct ledger_record *record)
{
    sum->count++;
    if (record->gate_ms > sum->gate_ms)
        sum->gate_ms = record->gate_ms;
    if (record->event_ms > sum->event_ms)
        sum->event_ms = record->event_ms;
    sum->measured += record->measured;
    sum->weight += record->weight;
    if (record->phase > sum->phase)
        sum->phase = record->phase;
}

/* Rates learnt before the newest event must not be mixed with those learnt from it. */
static void add_rates(struct ledger_sum *sum, const struct ledger_record *record)
{
    if (record->event_ms + LEDGER_SAME_EVENT_MS < sum->event_ms)
        return;
    if (record->rate > 0) {
        sum->limited_count++;
        sum->rate += record->rate;
        sum->rate_weight += record->weight;
    }
    if (record->rate_hat > 0) {
        sum->rate_hat += record->rate_hat;
        sum->rate_hat_weight += record->weight;
    }
}

static bool alive(const struct ledger_record *record, int64_t wall_ms)
{
    return record->heartbeat_ms >= wall_ms - LEDGER_DEAD_AFTER_MS &&
           record->heartbeat_ms <= wall_ms + LEDGER_DEAD_AFTER_MS;
}

/* Whether peers[i] counts: alive, not ourselves, and the youngest record of its process. */
static bool counts(uint64_t own, const struct ledger_record *peers, size_t count, size_t i, int64_t wall_ms)
{
    if (peers[i].process == own || !alive(&peers[i], wall_ms))
        return false;
    for (size_t k = 0; k < count; k++)
        if (k != i && peers[k].process == peers[i].process && alive(&peers[k], wall_ms) &&
            (peers[k].heartbeat_ms > peers[i].heartbeat_ms ||
             (peers[k].heartbeat_ms == peers[i].heartbeat_ms && k < i)))
            return false;
    return true;
}

void ledger_merge(const struct ledger_record *own, const struct ledger_record *peers, size_t count, int64_t wall_ms,
                  struct ledger_sum *sum_r)
{
    assert(count <= LEDGER_PEERS_MAX);
    memset(sum_r, 0, sizeof(*sum_r));
    add(sum_r, own);
    for (size_t i = 0; i < count; i++)
        if (counts(own->process, peers, count, i, wall_ms))
            add(sum_r, &peers[i]);
    add_rates(sum_r, own);
    for (size_t i = 0; i < count; i++)
        if (counts(own->process, peers, count, i, wall_ms))
            add_rates(sum_r, &peers[i]);
}
