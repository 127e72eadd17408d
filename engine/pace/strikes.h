/* Is it one mailbox or the tenant? Remembers the last strikes (throttle replies, or drops) and says
 * when they come from several lanes at once while hardly anything that was sent after the first of
 * them succeeds. Pure.
 */
#ifndef ENGINE_PACE_STRIKES_H
#define ENGINE_PACE_STRIKES_H

#include <stdbool.h>
#include <stdint.h>

#define STRIKES_KEPT      16
#define STRIKES_LANES     3 /* distinct lanes that make a group */
#define STRIKES_WITHIN_MS 30000

struct strike {
    uint64_t at_ms;
    uint64_t wait_ms; /* the pause the server asked for */
    uint32_t lane;
    uint32_t later; /* messages sent after it that the server took */
};

struct strikes {
    struct strike kept[STRIKES_KEPT]; /* newest first */
    uint32_t count;
};

struct strike_group {
    uint64_t since_ms;                /* of its first strike */
    uint64_t longest_ms, shortest_ms; /* of its pauses */
};

/* True when this strike completes a group: STRIKES_LANES lanes within STRIKES_WITHIN_MS, and no
 * more than later_most a lane succeeded of what was sent since the group began. The strikes are
 * then forgotten. A tenant in which some mailboxes reach limits of their own while others go on is
 * thus not stopped as a whole. */
bool strikes_add(struct strikes *s, uint32_t lane, uint64_t wait_ms, uint64_t now, uint32_t later_most,
                 struct strike_group *group_r);
/* The server took a message that was sent at sent_ms. */
void strikes_success(struct strikes *s, uint64_t sent_ms);

#endif
