/* The byte forms of engine/pace/pace.h's saved states. */
#include "engine/pace/codec.h"
#include "engine/pace/pace.h"

#define VERSION      1
#define LANE_VERSION 2
#define REAL_MAX     1e9

void pace_saved_encode(const struct pace_saved *saved, uint8_t out[PACE_SAVED_BYTES])
{
    struct codec c = { out };

    codec_put(&c, VERSION, 1);
    codec_put(&c, (uint64_t)saved->saved_ms, 8);
    codec_put(&c, (uint64_t)saved->gate_ms, 8);
    codec_put_real(&c, saved->rate);
    codec_put_real(&c, saved->rate_hat);
    codec_put_real(&c, saved->cost_accepted);
    codec_put(&c, saved->throttle_replies, 4);
    codec_put(&c, saved->phase, 1);
    codec_seal(&c, out, PACE_SAVED_BYTES);
}

bool pace_saved_decode(const uint8_t *bytes, size_t size, struct pace_saved *saved_r)
{
    struct codec_reader r;
    struct pace_saved saved;

    if (!codec_open(&r, bytes, size, PACE_SAVED_BYTES, VERSION))
        return false;
    saved.saved_ms = (int64_t)codec_get(&r, 8);
    saved.gate_ms = (int64_t)codec_get(&r, 8);
    saved.rate = codec_get_real(&r);
    saved.rate_hat = codec_get_real(&r);
    saved.cost_accepted = codec_get_real(&r);
    saved.throttle_replies = (uint32_t)codec_get(&r, 4);
    saved.phase = (uint32_t)codec_get(&r, 1);
    if (!codec_time_ok(saved.saved_ms) || !codec_time_ok(saved.gate_ms) || !codec_real_ok(saved.rate, REAL_MAX) ||
        !codec_real_ok(saved.rate_hat, REAL_MAX) || !codec_real_ok(saved.cost_accepted, 1e18) ||
        saved.phase >= PACE_PHASE_COUNT)
        return false;
    *saved_r = saved;
    return true;
}

void pace_lane_saved_encode(const struct pace_lane_saved *saved, uint8_t out[PACE_LANE_SAVED_BYTES])
{
    struct codec c = { out };

    codec_put(&c, LANE_VERSION, 1);
    codec_put(&c, (uint64_t)saved->saved_ms, 8);
    codec_put(&c, (uint64_t)saved->hold_ms, 8);
    codec_put_real(&c, saved->rate);
    codec_put_real(&c, saved->rate_hat);
    codec_put(&c, saved->throttle_replies, 4);
    codec_seal(&c, out, PACE_LANE_SAVED_BYTES);
}

bool pace_lane_saved_decode(const uint8_t *bytes, size_t size, struct pace_lane_saved *saved_r)
{
    struct codec_reader r;
    struct pace_lane_saved saved;

    if (!codec_open(&r, bytes, size, PACE_LANE_SAVED_BYTES, LANE_VERSION))
        return false;
    saved.saved_ms = (int64_t)codec_get(&r, 8);
    saved.hold_ms = (int64_t)codec_get(&r, 8);
    saved.rate = codec_get_real(&r);
    saved.rate_hat = codec_get_real(&r);
    saved.throttle_replies = (uint32_t)codec_get(&r, 4);
    if (!codec_time_ok(saved.saved_ms) || !codec_time_ok(saved.hold_ms) || !codec_real_ok(saved.rate, REAL_MAX) ||
        !codec_real_ok(saved.rate_hat, REAL_MAX))
        return false;
    *saved_r = saved;
    return true;
}
