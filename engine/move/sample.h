/* What a run tells about its course: the meaning of a timeline sample's values (STORE_OP_SAMPLE,
 * reader_samples), and the live numbers of the users being worked on, which `status` reads beside
 * the running process. Pure.
 */
#ifndef ENGINE_MOVE_SAMPLE_H
#define ENGINE_MOVE_SAMPLE_H

#include "engine/settings/settings.h"
#include "io/base/buf.h"

/* Values 0..3 and 9 only grow within one run and begin at 0 in the next: a smaller value than
 * before means that a new run began. The others are of the moment. */
enum sample_value {
    SAMPLE_MESSAGES_FETCHED,
    SAMPLE_BYTES_FETCHED, /* raw bodies */
    SAMPLE_MESSAGES_UPLOADED,
    SAMPLE_BYTES_UPLOADED, /* raw bodies */
    SAMPLE_SPOOL_HELD,     /* bytes, compressed */
    SAMPLE_SPOOL_BUDGET,   /* bytes; 0: no limit */
    SAMPLE_SOURCE_SESSIONS,
    SAMPLE_TARGET_SESSIONS,
    SAMPLE_USERS_WORKING,
    SAMPLE_THROTTLE_ANSWERS,
    SAMPLE_MAILBOXES_HELD, /* mailboxes waiting because a server asked for it */
    SAMPLE_TENANT_RATE,    /* cost that the tenant is allowed, 1/1000 per second; 0: open */
    SAMPLE_VALUES
};
_Static_assert(SAMPLE_VALUES == 12, "as many as the store keeps");

/* How fast runs were, from their samples. A side's time is from the first thing that it moved in a run to the
 * last, whatever it waited for between; so a rate holds what throttling and a full spool cost. */
struct sample_side {
    uint64_t ms, messages, bytes; /* over all runs that have ended; bytes raw */
    /* the run at hand; sample.c's own */
    int64_t from_ms, to_ms;
    uint64_t base[2], seen[2]; /* messages, bytes */
};
struct sample_rates {
    struct sample_side fetched, uploaded;
    int64_t last_ms; /* 0: no sample yet */
};
/* Samples in the order of their time, then the end. */
void sample_rates_add(struct sample_rates *rates, int64_t wall_ms, const uint64_t values[SAMPLE_VALUES]);
void sample_rates_end(struct sample_rates *rates);

/* The named value (STORE_OP_META, at most 64 KiB) that a run renews every few seconds: when, and a
 * line a user that is being worked on. */
#define SAMPLE_LIVE_NAME  "status.live"
#define SAMPLE_LIVE_BYTES 65536u
/* Older than this it tells nothing: the run has ended or hangs. */
#define SAMPLE_LIVE_STALE_MS 30000

struct sample_live {
    uint32_t user;              /* id in the journal */
    uint64_t bytes_per_s;       /* uploaded, or fetched while there is no upload */
    int64_t throttled_until_ms; /* wall clock; 0: not throttled */
    uint64_t
        silent_ms[SIDE_COUNT]; /* no byte of an answer that is due for so long, source and target; 0: none is due */
};

/* Starts the value in an empty buf (cap: SAMPLE_LIVE_BYTES). */
void sample_live_begin(struct buf *out, int64_t wall_ms);
/* Adds a user; false, and nothing added, when the value is full. */
bool sample_live_add(struct buf *out, const struct sample_live *live) ERR_CHECK;
/* Reads the time and leaves the users' lines in *rest_r. False when it is not such a value. */
bool sample_live_open(struct slice value, int64_t *wall_ms_r, struct slice *rest_r) ERR_CHECK;
/* The next user; false at the end or at a line that makes no sense. */
bool sample_live_next(struct slice *rest, struct sample_live *live_r) ERR_CHECK;

#endif
