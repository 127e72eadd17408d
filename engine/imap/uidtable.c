#include "engine/imap/uidtable.h"

#include "io/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

void uidtable_deinit(struct uidtable *table)
{
    free(table->all);
    *table = (struct uidtable){ 0 };
}

/* Where uid is, or the free place where it would be. Multiply and shift: the high bits of a*uid + b. */
static uint32_t place_of(const struct uidtable *table, uint32_t uid)
{
    uint32_t at = (uint32_t)((table->times * uid + table->plus) >> 32) & (table->room - 1);

    while (table->all[at] && table->all[at] != uid)
        at = (at + 1) & (table->room - 1);
    return at;
}

static void grow(struct uidtable *table)
{
    struct uidtable wider = *table;

    wider.room = table->room ? table->room * 2 : 256;
    assert(wider.room); /* 2^31 places hold more than SESSION_ROWS_MAX, many times over */
    if (!table->room) {
        uint64_t drawn[2] = { 0x9E3779B97F4A7C15u, 0 };

        (void)!getrandom(drawn, sizeof drawn, GRND_NONBLOCK);
        wider.times = drawn[0] | 1;
        wider.plus = drawn[1];
    }
    wider.all = mem_zero(wider.room, sizeof *wider.all);
    for (uint32_t i = 0; i < table->room; i++)
        if (table->all[i])
            wider.all[place_of(&wider, table->all[i])] = table->all[i];
    free(table->all);
    *table = wider;
}

bool uidtable_add(struct uidtable *table, uint32_t uid)
{
    uint32_t at;

    assert(uid);
    if (table->count * 2ull >= table->room)
        grow(table);
    at = place_of(table, uid);
    if (table->all[at])
        return false;
    table->all[at] = uid;
    table->count++;
    return true;
}

bool uidtable_has(const struct uidtable *table, uint32_t uid)
{
    return table->room && uid && table->all[place_of(table, uid)] == uid;
}

uint32_t uidtable_below(const struct uidtable *table, uint32_t uid)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < table->room; i++)
        count += table->all[i] && table->all[i] < uid;
    return count;
}
