/* Whose turn is it: the lane that was served least for its weight, with a bound on the credit that
 * a lane may bring from a time when it did not ask. Pure.
 */
#ifndef ENGINE_PACE_FAIR_H
#define ENGINE_PACE_FAIR_H

#include "engine/pace/heap.h"

struct fair {
    struct heap waiting; /* by vtime */
    double *vtime;       /* by id: cost served / weight */
    double *weight;      /* by id */
    double floor;        /* vtime of the last one served; never falls */
    double lag;          /* most credit, in cost per weight */
    uint32_t room;
};

void fair_init(struct fair *f, double lag);
void fair_deinit(struct fair *f);
void fair_reserve(struct fair *f, uint32_t id_count);
/* id is new: no credit, no debt. weight > 0. */
void fair_start(struct fair *f, uint32_t id, double weight);
/* id waits for its turn (again). */
void fair_enter(struct fair *f, uint32_t id);
/* id no longer waits; what it was served stays known. */
void fair_leave(struct fair *f, uint32_t id);
bool fair_empty(const struct fair *f);
/* Whose turn it is; not empty. */
uint32_t fair_first(const struct fair *f);
/* id, the first, is served `cost` and stays waiting. */
void fair_serve(struct fair *f, uint32_t id, double cost);
/* What id was served was not used. */
void fair_refund(struct fair *f, uint32_t id, double cost);

#endif
