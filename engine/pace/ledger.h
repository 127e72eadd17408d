/* The pure part of the ledger by which several processes share one tenant: what a process tells the
 * others, its form in bytes, and the sums over those alive. Files are engine/pace/ledger_dir; what
 * the sums mean for the rate is engine/pace/pace. No clock, no allocation.
 */
#ifndef ENGINE_PACE_LEDGER_H
#define ENGINE_PACE_LEDGER_H

#include "io/base/err.h"

#define LEDGER_RECORD_BYTES   80
#define LEDGER_PEERS_MAX      1024  /* records read at most; more processes share one tenant badly */
#define LEDGER_DEAD_AFTER_MS  60000 /* a heartbeat older than this: the process is gone */
#define LEDGER_WRITE_EVERY_MS 5000
#define LEDGER_SAME_EVENT_MS  60000 /* tenant events this close are one, seen from two sides */

/* One process. Rates are this process's own, in cost per second, not the tenant's. */
struct ledger_record {
    uint64_t process;     /* unique among those that share the folder, never 0 */
    int64_t heartbeat_ms; /* wall time of writing */
    int64_t gate_ms;      /* wall time until which the tenant rests; 0 none */
    int64_t event_ms;     /* wall time of the last tenant event seen; 0 none */
    double rate;          /* allowed; 0 when not limited */
    double rate_hat;      /* learnt refill; 0 unknown */
    double measured;      /* accepted, averaged over 20 s */
    double weight;        /* of its lanes with mail waiting; > 0 */
    uint32_t in_flight;   /* permits out */
    uint32_t phase;       /* enum pace_phase, higher is further */
};

/* What the living processes have together; ours is in it. Rates are summed over those whose last
 * event is the newest one. */
struct ledger_sum {
    uint32_t count;         /* processes alive, >= 1 */
    uint32_t limited_count; /* of these, those whose rate is not 0 */
    int64_t gate_ms;        /* latest of all */
    int64_t event_ms;       /* latest of all */
    double rate;            /* sum over those with one */
    double rate_weight;     /* the weight of those */
    double rate_hat;        /* sum over those that know one */
    double rate_hat_weight; /* the weight of those */
    double measured;        /* sum */
    double weight;          /* sum */
    uint32_t phase;         /* furthest */
};

/* Fixed size, little-endian, version byte, checksum at the end. */
void ledger_encode(const struct ledger_record *record, uint8_t out[LEDGER_RECORD_BYTES]);
/* False: another version, a wrong length or checksum, or a value out of its range (rates and
 * weights are finite and 0..1e9); *record_r is then untouched. */
bool ledger_decode(const uint8_t *bytes, size_t size, struct ledger_record *record_r) ERR_CHECK;

/* Sums own and those of the peers that are alive at wall_ms. Records that carry own->process are
 * skipped (our own file read back), so are duplicates of a process: the younger counts. A heartbeat
 * more than a minute in the future counts as dead: that clock cannot be trusted with a gate. */
void ledger_merge(const struct ledger_record *own, const struct ledger_record *peers, size_t count, int64_t wall_ms,
                  struct ledger_sum *sum_r);

#endif
