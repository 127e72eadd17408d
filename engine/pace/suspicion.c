#include "engine/pace/suspicion.h"

#include "engine/pace/backoff.h"

#define COST_LEAST     20   /* accepted since the last time: less tells nothing */
#define SAME_LEAST     0.8  /* of the last rate: below, it was carried before */
#define SAME_MOST      1.6  /* of it: above, it was carried just now */
#define CARRIES_AGAIN  0.95 /* of it, for ... */
#define CARRIES_MS     120000
#define CARRIES_MAX_MS 1800000
#define REST_MS        60000
#define REST_MAX_MS    1800000

void suspicion_accepted(struct suspicion *s, double cost)
{
    s->cost += cost;
}

uint32_t suspicion_add(struct suspicion *s, double carried)
{
    if (s->cost < COST_LEAST || carried <= 0)
        return 0;
    s->cost = 0;
    if (s->times == 0 || carried < SAME_LEAST * s->rate || carried > SAME_MOST * s->rate)
        s->times = 0;
    s->times++;
    s->rate = carried;
    s->carried_ms = 0;
    return s->times;
}

int suspicion_carried(struct suspicion *s, double carried, uint64_t now)
{
    if (s->times == 0)
        return 0;
    if (carried < CARRIES_AGAIN * s->rate) {
        s->carried_ms = 0;
        return 0;
    }
    if (s->carried_ms == 0)
        s->carried_ms = now;
    if (carried <= SAME_MOST * s->rate && now < s->carried_ms + backoff_ms(CARRIES_MS, s->times - 1, CARRIES_MAX_MS))
        return 0;
    *s = (struct suspicion){ 0 };
    return 1;
}

uint64_t suspicion_rest_ms(uint32_t times)
{
    return times < 2 ? 0 : backoff_ms(REST_MS, times - 2, REST_MAX_MS);
}
