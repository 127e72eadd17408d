/* Is it one mailbox or the tenant? Remembers the last strikes (throttle replies, or drops) and says
 * when they come from several lanes at once while hardly anything else succeeds. Pure.
 */
#ifndef ENGINE_PACE_STRIKES_H
#define ENGINE_PACE_STRIKES_H

#include <stdbool.h>
#include <stdint.h>

#define STRIKES_KEPT      16
#define STRIKES_LANES     3 /* distinct lanes that make a tenant event */
#define STRIKES_WITHIN_MS 30000

struct strike {
    uint64_t at_ms;
    uint64_t wait_ms;   /* the pause the server asked for */
    uint64_t successes; /* of all lanes, up to then */
    uint32_t in_flight; /* of all lanes, then */
    uint32_t lane;
};

struct strikes {
    struct strike kept[STRIKES_KEPT]; /* newest first */
    uint32_t count;
};

/* True when this strike completes a group: STRIKES_LANES lanes within STRIKES_WITHIN_MS, and no
 * more than successes_most a lane since the group began, not counting what was in flight then.
 * *wait_ms_r is then the longest pause of the group, and the strikes are forgotten. A tenant in
 * which some mailboxes reach limits of their own now and then is thus not stopped as a whole. */
bool strikes_add(struct strikes *s, const struct strike *strike, uint32_t successes_most,
                 uint64_t *wait_ms_r);

#endif
