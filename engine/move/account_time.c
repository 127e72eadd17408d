/* What the time of an account is spent on: one kind at any moment, and when it stands still, the
 * side that is waited for and the cause. The only place that decides it.
 */
#include "engine/move/account_private.h"

#include "engine/move/governor.h"
#include "engine/move/pull.h"
#include "engine/move/push.h"

/* A run that is killed loses no more of its time account than this. */
#define PUT_EVERY_MS 15000u

struct activity {
    bool moving;
    enum stall_cause stall; /* when it is not moving; NONE: there is nothing to do */
    bool throttled;         /* the server, or the whole tenant, asked for patience */
};

/* The worker has something under way: what hinders it, STALL_NONE for nothing. */
static enum stall_cause hindrance(const struct worker *w)
{
    if (w->side == SIDE_TARGET && w->busy && w->folder && w->folder->uncertain)
        return STALL_LOST_ANSWER;
    return link_silent_ms(w->link) > STALL_SLOW_MS ? STALL_SLOW_ANSWER : STALL_NONE;
}

static bool is_occupied(const struct account *account, const struct worker *w)
{
    return w->link &&
           (w->inflight || w->busy || !link_is_ready(w->link) || (account->proving && w->side == SIDE_TARGET));
}

uint64_t account_silent_ms(const struct account *account, enum side side)
{
    uint64_t least = UINT64_MAX;

    for (const struct worker *w = account->sides[side].workers; w; w = w->next)
        if (is_occupied(account, w)) {
            uint64_t ms = link_silent_ms(w->link);

            least = ms < least ? ms : least;
        }
    return least;
}

/* None of the side's connections can be used. */
static enum stall_cause why_not_connected(const struct account *account, enum side side)
{
    const struct worker *first = account->sides[side].workers;

    for (const struct worker *w = first; w; w = w->next)
        if (loop_timer_is_set(&w->again))
            return STALL_RECONNECT;
    return first ? first->waits : STALL_NONE;
}

static enum stall_cause why_it_rests(struct account *account, enum side side)
{
    if (side == SIDE_SOURCE)
        return account->parked ? STALL_RETRY : STALL_NONE;
    if (push_settles(account))
        return STALL_LOST_ANSWER;
    return push_waits(account) ? STALL_RETRY : STALL_NONE;
}

static bool has_something_to_do(struct account *account, enum side side)
{
    if (side == SIDE_SOURCE)
        return account->phase == ACCOUNT_WORKING && (!account->sides[side].listed || !pull_finished(account));
    return account->phase == ACCOUNT_PROVING ? !account_is_proven(account)
                                             : !account->sides[side].listed || !push_finished(account);
}

static struct activity look_at(struct account *account, enum side side)
{
    struct activity a = { false, STALL_NONE, false };
    bool occupied = false;

    if (!account_uses(account, side) || account->phase > ACCOUNT_PROVING)
        return a;
    for (const struct worker *w = account->sides[side].workers; w; w = w->next)
        if (is_occupied(account, w)) {
            enum stall_cause cause = hindrance(w);

            a.moving |= cause == STALL_NONE;
            a.stall = occupied ? a.stall : cause;
            occupied = true;
        }
    if (account_held(account, side)) {
        a.throttled = account->sides[side].hold_cause == STALL_NONE;
        if (!a.moving)
            a.stall = account->sides[side].hold_cause;
        return a;
    }
    if (occupied || account->stopping || !has_something_to_do(account, side))
        return a;
    if (side == SIDE_TARGET && governor_waits(account) == GOVERNOR_WAITS_BACKOFF)
        a.throttled = true;
    else if (side == SIDE_TARGET && governor_waits(account) == GOVERNOR_WAITS_LINE)
        a.stall = STALL_RECONNECT;
    else if (side == SIDE_TARGET && governor_waits(account) == GOVERNOR_WAITS_PACE)
        a.stall = STALL_PACE;
    else if (account->sides[side].ready_count == 0)
        a.stall = why_not_connected(account, side);
    else
        a.stall = why_it_rests(account, side);
    return a;
}

static enum time_kind kind_now(struct account *account, enum side *side_r, enum stall_cause *cause_r)
{
    struct activity source = look_at(account, SIDE_SOURCE);
    struct activity target = look_at(account, SIDE_TARGET);
    struct spool_fill fill;

    *side_r = SIDE_TARGET;
    *cause_r = STALL_NONE;
    /* A source that asks for patience while its mail is uploaded costs nothing. */
    if (target.throttled || (source.throttled && !target.moving))
        return TIME_THROTTLED;
    if (target.moving)
        return TIME_TARGET;
    /* Reading waits for room: that is the target's, or the disk's, slowness. What is asked for and
     * not read is no work of the source; nor is what was read and cannot be written. */
    spool_fill(account->reactor->spool, &fill);
    if (fill.disk_full || account->reactor->choked || account->spool_waits) {
        *cause_r = fill.disk_full ? STALL_DISK_FULL : account->spool_waits ? STALL_SPOOL_FULL : STALL_DISK;
        return TIME_STALLED_TARGET;
    }
    if (source.moving)
        return TIME_SOURCE;
    if (target.stall) {
        *cause_r = target.stall;
        return TIME_STALLED_TARGET;
    }
    if (source.stall) {
        *side_r = SIDE_SOURCE;
        *cause_r = source.stall;
        return TIME_STALLED_SOURCE;
    }
    return TIME_IDLE;
}

void account_spend_time(struct account *account, uint64_t now)
{
    uint64_t spent = account->last_tick_ms ? now - account->last_tick_ms : 0;
    enum side side;
    enum stall_cause cause;
    enum time_kind kind = kind_now(account, &side, &cause);

    if (account_only_looks(account))
        return;
    account->record.time_ms[kind] += spent;
    if (cause)
        account->stalls.ms[side][cause] += spent;
    account->last_tick_ms = now;
    if (account->phase <= ACCOUNT_PROVING && now - account->time_put_ms > PUT_EVERY_MS)
        account_put_user(account, NULL);
}
