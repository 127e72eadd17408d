/* A row a night, of what was done for the user. */
#include "engine/message/nights.h"
#include "engine/move/account_private.h"
#include "io/base/now.h"

#include <stdlib.h>

void account_night_begin(struct account *account)
{
    account->night.started_ms = now_wall_ms();
    account->night.found_before = account->total.found;
}

void account_night_end(struct account *account)
{
    uint64_t found = account->total.found, before = account->night.found_before;
    struct night night = { account->night.started_ms, found > before ? found - before : 0,
                           account->night.flags,      account->night.moved,
                           account->night.deleted,    account->night.left };
    char name[NIGHTS_NAME_BYTES], *text;
    struct slice value;
    struct err err;

    if (account_only_looks(account))
        return;
    /* One that cannot be read is as if there were none: a row is worth no failure. */
    if (!spool_meta_get(account->reactor->spool, nights_name(account->id, name), &value, &err))
        value = slice_of(NULL, 0);
    text = nights_add(value, &night);
    free((char *)(uintptr_t)value.data);
    reactor_submit_unwaited(account->reactor, store_op_meta_text(name, text));
    free(text);
}
