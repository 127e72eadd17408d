#include "engine/move/allowance.h"

#include "engine/move/batch.h"
#include "engine/settings/side.h"
#include "io/base/mem.h"
#include "io/base/now.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t limit_of(const struct account *account, enum side side)
{
    const struct settings *settings = account->reactor->settings;

    return side == SIDE_SOURCE ? settings->source.bytes_per_day : settings->target.bytes_per_day;
}

static void name_of(const struct account *account, enum side side, char *out, size_t cap)
{
    snprintf(out, cap, "daily.%s.%" PRIu32, side_name(side), account->id);
}

void allowance_begin(struct account *account)
{
    for (enum side side = SIDE_SOURCE; side < SIDE_COUNT; side++) {
        struct daily *d = &account->daily[side];
        struct slice value;
        struct err err;
        char name[48];

        daily_init(d, limit_of(account, side), now_wall_ms());
        if (!d->budget_bytes)
            continue;
        name_of(account, side, name, sizeof name);
        /* One that cannot be read counts from now on: the server's own limit is still there. */
        if (!spool_meta_get(account->reactor->spool, name, &value, &err) ||
            !daily_decode(d, (const uint8_t *)value.data, value.size))
            daily_init(d, limit_of(account, side), now_wall_ms());
        free((char *)value.data);
    }
}

bool allowance_allows(struct account *account, enum side side, uint64_t bytes)
{
    struct daily *d = &account->daily[side];
    struct err err;
    char until[24];
    int64_t again;

    if (!d->budget_bytes)
        return true;
    if (account->day_over[side])
        return false;
    again = daily_ask(d, bytes, now_wall_ms());
    if (again == 0)
        return true;
    account->day_over[side] = true;
    push_touch_all(account);
    batch_day_over(account->reactor->batch);
    err_set(&err, ERR_CLASS_THROTTLED, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_CONFIG, 0,
            "bytes-per-day: %" PRIu64 " of %" PRIu64 " bytes %s in the last 24 hours; a run goes on "
            "from %s",
            daily_used(d, now_wall_ms()), d->budget_bytes, side == SIDE_SOURCE ? "fetched" : "uploaded",
            now_rfc3339(again, until, sizeof until));
    account_failure(account, failure_side_of(side), side == SIDE_SOURCE ? TROUBLE_FETCH : TROUBLE_APPEND, "DailyLimit",
                    &err, NULL, 0);
    account_poke(account);
    return false;
}

void allowance_spend(struct account *account, enum side side, uint64_t bytes)
{
    struct daily *d = &account->daily[side];
    char name[48], *data;

    if (!d->budget_bytes)
        return;
    daily_spend(d, bytes, now_wall_ms());
    name_of(account, side, name, sizeof name);
    data = mem_alloc(DAILY_BYTES);
    daily_encode(d, (uint8_t *)data);
    reactor_submit_unwaited(account->reactor, store_op_meta(name, data, DAILY_BYTES));
}
