/* When may a message be sent to the target? One controller for one target server or tenant, and a
 * lane for each mailbox in it: it learns the rate the server refills at from its throttle replies,
 * brakes when answers get slow, obeys every hint exactly, and shares what there is fairly.
 *
 * Pure arithmetic on a clock that callers hand in: no sockets, threads, files or logs. One thread
 * owns a controller. `now` is milliseconds of a monotonic clock (now_ms()); it may stand still, and
 * a value before the last one counts as the last one. Nothing is allocated but in pace_create and
 * pace_lane_add. Every operation is O(log lanes), but a tenant-wide event and pace_ledger_tell
 * visit each lane once.
 *
 * Cost: a message costs 1 + bytes / cost_bytes. Rates are cost per second.
 *
 * The life of a permit: pace_want puts a message in its lane's queue; pace_poll hands out permits
 * (`granted`); each permit ends in exactly one of pace_answered, pace_throttled (permits 1),
 * pace_refused, pace_gave_back, or within pace_dropped's count. After any call that ends permits or
 * adds wants, poll again.
 */
#ifndef ENGINE_PACE_PACE_H
#define ENGINE_PACE_PACE_H

#include "engine/pace/ledger.h"

struct pace;

#define PACE_WANTS_MAX 16 /* wants that one lane may have waiting */
#define PACE_LANES_MAX 1000000
#define PACE_NEVER     UINT64_MAX

enum pace_mode {
    PACE_MODE_EXCHANGE, /* starts slow, brakes on latency, limits connects from the beginning */
    PACE_MODE_OPEN      /* full speed until the server asks otherwise; then the same law */
};

/* Ordered: in a ledger the furthest phase wins. */
enum pace_phase {
    PACE_PHASE_OPEN,    /* not limited */
    PACE_PHASE_START,   /* doubling: no throttle reply and no slow answers seen yet */
    PACE_PHASE_CRUISE,  /* answers got slow once: grows slowly; no throttle reply seen yet */
    PACE_PHASE_LIMITED, /* a tenant-wide throttle taught a rate; holds below it */
    PACE_PHASE_PROBE,   /* some time after that: creeps up to see whether there is more */
    PACE_PHASE_COUNT
};

/* Take pace_config_init's numbers; change few. */
struct pace_config {
    enum pace_mode mode;
    uint32_t process_count; /* static share: this process takes 1/process_count; >= 1. Leave 1
                               when a ledger is used. */
    uint32_t in_flight_max; /* permits out at once; 0: no cap of this kind */
    double cost_bytes;      /* bytes that cost as much as a message does by itself; 100,000 */
    uint64_t seed;          /* of the jitter */

    double start_rate;           /* 2 */
    uint32_t start_double_ms;    /* the rate doubles this often at first, 5,000 */
    uint32_t start_quick_ms;     /* for so long, 60,000; later every start_slow_ms */
    uint32_t start_slow_ms;      /* 30,000 */
    double brake_ratio;          /* mean latency over the base's that brakes, 1.5 */
    uint32_t probe_after_ms;     /* quiet after a gate before probing, 600,000 */
    double probe_per_min;        /* growth up to 1.1 of what was learnt, 1.01 */
    double probe_beyond_per_min; /* growth above that, 1.03 */

    double connects_per_s;       /* 2 */
    uint32_t connect_burst;      /* 5 */
    uint32_t reconnect_ms_min;   /* between a drop and the lane's next connect; 10,000 (OPEN 1,000) */
    uint32_t drop_ms;            /* first pause after a drop, doubles: 5,000 (OPEN 1,000) */
    uint32_t drop_gate_first_ms; /* gate when three lanes drop within 30 s: 5,000 (OPEN 1,000) ... */
    uint32_t drop_gate_ms;       /* ... doubling while nothing is heard, to 60,000 (OPEN 5,000) */
};

void pace_config_init(struct pace_config *config, enum pace_mode mode);

/* *pace_r is the caller's until pace_destroy. The config is copied. */
void pace_create(const struct pace_config *config, uint64_t now, struct pace **pace_r);
void pace_destroy(struct pace **pace);

/* weight > 0: its share among lanes, 1 for all alike. Returns the lane's index, which is small and
 * reused after pace_lane_remove. A new lane gets no credit for the time before it came. */
uint32_t pace_lane_add(struct pace *p, double weight);
/* Drops its wants; permits still out count as given back. The index is dead. */
void pace_lane_remove(struct pace *p, uint32_t lane);

/* A message of `bytes` waits for a permit. Wants of a lane are granted in order. False, and nothing
 * happened, when PACE_WANTS_MAX are waiting already. */
bool pace_want(struct pace *p, uint32_t lane, uint64_t bytes, uint64_t now) ERR_CHECK;
/* Drops the lane's newest want (or all); returns how many were dropped. */
uint32_t pace_cancel_want(struct pace *p, uint32_t lane, uint64_t now);
uint32_t pace_cancel_wants(struct pace *p, uint32_t lane, uint64_t now);

/* A lane may send one message of the size it wanted, now. It may call anything on p from inside but
 * pace_poll and pace_destroy. */
typedef void pace_granted(void *context, uint32_t lane, uint64_t bytes);
/* Grants what may be granted. Returns when polling again may grant more: a time > now, or
 * PACE_NEVER when only an event (an answer, a want) can change it. */
uint64_t pace_poll(struct pace *p, uint64_t now, pace_granted *granted, void *context);

/* The server took the message. latency_ms: from the first byte sent to the tagged answer. */
void pace_answered(struct pace *p, uint32_t lane, uint64_t bytes, uint32_t latency_ms, uint64_t now);
/* The server refused this message for a reason of its own (too large, invalid): neither success nor
 * throttle, but the server works. Ends the permit. */
void pace_refused(struct pace *p, uint32_t lane, uint64_t now);
/* A throttle reply, to any command. permits: 1 when it answered a granted message, 0 otherwise.
 * hint_ms: as the server wrote it, any value; <= 0: it named none. Hints are kept within 1 s..1 h.
 * Until the hold ends the lane gets no permit. */
void pace_throttled(struct pace *p, uint32_t lane, uint32_t permits, int64_t hint_ms, uint64_t now);
/* BYE, reset, end of stream or a refused connect; `permits` were out on that connection. */
void pace_dropped(struct pace *p, uint32_t lane, uint32_t permits, uint64_t now);
/* The permit was not used: nothing was sent. bytes as granted. */
void pace_gave_back(struct pace *p, uint32_t lane, uint64_t bytes, uint64_t now);

/* A permit granted for `granted` bytes is used for a message of `used` bytes: what it costs is put
 * right. It then counts as granted for `used`. */
void pace_resize(struct pace *p, uint32_t lane, uint64_t granted, uint64_t used, uint64_t now);
/* Until when the tenant rests, also while it is only suspected (engine/pace/trial.c), on the clock
 * of `now`; 0 when it never did. Permits granted before
 * the gate closed must not be used inside it: give them back. */
uint64_t pace_gate(const struct pace *p);
/* The same, as far as the server asked for it. */
uint64_t pace_asked_gate(const struct pace *p);

/* May this lane open a connection? 0: go ahead, it is counted. Otherwise the time (> now) to ask
 * again; asking at that time keeps its place, so that thousands of lanes do not race. */
uint64_t pace_connect_ask(struct pace *p, uint32_t lane, uint64_t now);
/* A login worked, which is a sign of life (below). */
void pace_connected(struct pace *p, uint32_t lane, uint64_t now);
/* Something that is no message and was asked after the last drop was answered: the server lives.
 * Ends the doubling of what is waited for lost connections, and most of the wait; never what a
 * throttle reply asked for. */
void pace_heard(struct pace *p, uint32_t lane, uint64_t now);
/* A sign of life would change something. */
bool pace_listens(const struct pace *p);

/* May a message that failed for a passing reason (not a throttle) be tried again? 0: yes, counted.
 * Otherwise the time to ask again. Retries are at most a tenth of what is sent, so that a sick
 * server is not hammered; one every 10 s is always allowed. */
uint64_t pace_retry_ask(struct pace *p, uint64_t now);

/* What must survive a restart. Times are wall time. Plain values, no pointers. */
struct pace_saved {
    int64_t saved_ms;          /* when */
    int64_t gate_ms;           /* the tenant rests until then; 0 none */
    double rate;               /* 0: not limited */
    double rate_hat;           /* 0: not known */
    uint32_t phase;            /* enum pace_phase */
    uint32_t throttle_replies; /* so far */
    double cost_accepted;      /* so far */
};
struct pace_lane_saved {
    int64_t saved_ms;          /* when */
    int64_t hold_ms;           /* no send before; 0 none */
    double rate;               /* 0: not limited */
    double rate_hat;           /* 0: not known */
    uint32_t throttle_replies; /* so far */
};
#define PACE_SAVED_BYTES      64
#define PACE_LANE_SAVED_BYTES 48

void pace_save(const struct pace *p, uint64_t now, int64_t wall_ms, struct pace_saved *saved_r);
/* A rate saved more than so many milliseconds ago is forgotten: servers' budgets change. */
#define PACE_RATE_OLD_MS INT64_C(604800000)
/* Right after pace_create. Gates beyond an hour are cut to one (a wrong clock must not stop a run
 * for ever). */
void pace_restore(struct pace *p, uint64_t now, int64_t wall_ms, const struct pace_saved *saved);
/* The rate that pace_restore would take up, cost per second; 0 when nothing was learnt, or too long
 * ago. For forecasts. */
double pace_saved_rate(const struct pace_saved *saved, int64_t wall_ms);
void pace_lane_save(const struct pace *p, uint32_t lane, uint64_t now, int64_t wall_ms,
                    struct pace_lane_saved *saved_r);
void pace_lane_restore(struct pace *p, uint32_t lane, uint64_t now, int64_t wall_ms,
                       const struct pace_lane_saved *saved);
/* Bytes with a version byte and a checksum. Decoding refuses anything else and then leaves
 * *saved_r. */
void pace_saved_encode(const struct pace_saved *saved, uint8_t out[PACE_SAVED_BYTES]);
bool pace_saved_decode(const uint8_t *bytes, size_t size, struct pace_saved *saved_r) ERR_CHECK;
void pace_lane_saved_encode(const struct pace_lane_saved *saved, uint8_t out[PACE_LANE_SAVED_BYTES]);
bool pace_lane_saved_decode(const uint8_t *bytes, size_t size, struct pace_lane_saved *saved_r) ERR_CHECK;

/* Several processes on one tenant: every LEDGER_WRITE_EVERY_MS write what pace_ledger_tell gives
 * (engine/pace/ledger_dir) and pass what the others wrote to pace_ledger_hear. */
void pace_ledger_tell(const struct pace *p, uint64_t process, uint64_t now, int64_t wall_ms,
                      struct ledger_record *record_r);
void pace_ledger_hear(struct pace *p, uint64_t process, const struct ledger_record *peers, size_t count, uint64_t now,
                      int64_t wall_ms);

/* For status lines and reports. */
struct pace_view {
    enum pace_phase phase;
    bool gated;           /* the tenant rests now */
    uint64_t gate_ms;     /* until this `now`; 0 when not gated */
    double rate;          /* allowed; 0 when not limited */
    double rate_hat;      /* learnt; 0 unknown */
    double measured;      /* accepted cost per second over about 20 s */
    double latency_ratio; /* last window's mean latency over the base; 0 unknown */
    uint32_t latency_ms;  /* typical answer time; 0 unknown */
    uint32_t lanes;
    uint32_t lanes_waiting; /* with wants */
    uint32_t lanes_held;    /* of these, not allowed yet by their hold or rate */
    uint32_t in_flight;
    uint32_t in_flight_limit; /* UINT32_MAX: none */
    double cost_accepted;
    uint64_t messages_accepted;
    uint64_t bytes_accepted;
    uint64_t throttle_replies;
    uint64_t tenant_events;
    uint64_t brakes; /* times the latency brake took hold */
    uint64_t drops;
    uint64_t throttled_ms; /* total time the tenant rested, for whatever */
    uint64_t lost_ms;      /* of it, for lost connections */
};
void pace_snapshot(struct pace *p, uint64_t now, struct pace_view *view_r);

struct pace_lane_view {
    bool held;
    uint64_t hold_ms; /* until this `now`, the tenant's gate included; 0 when free to send */
    double rate;      /* 0: no limit of its own */
    double rate_hat;
    double cost_accepted;
    uint32_t wants, in_flight;
    uint64_t throttle_replies;
    uint64_t throttled_ms; /* total time held by throttle replies or the tenant's gate */
};
void pace_lane_snapshot(struct pace *p, uint32_t lane, uint64_t now, struct pace_lane_view *view_r);

/* "open", "start", "cruise", "limited", "probe". */
const char *pace_phase_name(enum pace_phase phase);

#endif
