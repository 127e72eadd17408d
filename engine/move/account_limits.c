#include "engine/move/account_private.h"

#include "engine/move/limits.h"
#include "engine/move/login.h"
#include "io/base/now.h"

#include <stdlib.h>

static const char *name_of(const struct account *account, enum side side, char name[LIMITS_NAME_BYTES])
{
    return limits_name(side == SIDE_SOURCE ? LIMITS_USER_SOURCE : LIMITS_USER_TARGET,
                       limits_server_of(settings_endpoint(account->reactor->settings, side)), account->id, name);
}

static void take(struct account *account, enum side side)
{
    struct account_side *s = &account->sides[side];
    uint64_t now = loop_now_ms(account->reactor->loop);
    int64_t wall_ms = now_wall_ms(), left_ms;
    struct limits_user kept = { .connections = 0 };
    char name[LIMITS_NAME_BYTES];
    struct slice value;
    struct err err;

    /* One that cannot be read is none: the server tells again. */
    if (spool_meta_get(account->reactor->spool, name_of(account, side, name), &value, &err) &&
        limits_user_decode(value, &kept)) {
        left_ms = kept.hold_ms - wall_ms;
        if (left_ms > 0)
            account_hold(account, side, (uint32_t)(left_ms < LIMITS_HOLD_MS ? left_ms : LIMITS_HOLD_MS), STALL_NONE);
        if (kept.connections && wall_ms - kept.connections_ms <= LIMITS_OLD_MS) {
            s->links_max = kept.connections;
            s->links_max_until_ms = now + LOGIN_LIMIT_KEPT_MS;
            s->links_max_wall_ms = kept.connections_ms;
        }
    }
    free((char *)value.data);
}

void account_limits_begin(struct account *account)
{
    for (enum side side = SIDE_SOURCE; side < SIDE_COUNT; side++)
        if (account_uses(account, side))
            take(account, side);
}

void account_limits_keep(struct account *account, enum side side)
{
    const struct account_side *s = &account->sides[side];
    uint64_t now = loop_now_ms(account->reactor->loop);
    bool held = s->hold_until_ms > now && s->hold_cause == STALL_NONE;
    struct limits_user keep = {
        .connections = s->links_max,
        .connections_ms = s->links_max_wall_ms,
        .hold_ms = held ? now_wall_ms() + (int64_t)(s->hold_until_ms - now) : 0,
    };
    char name[LIMITS_NAME_BYTES], line[LIMITS_LINE_BYTES];

    reactor_submit_unwaited(account->reactor,
                            store_op_meta_text(name_of(account, side, name), limits_user_encode(&keep, line)));
}
