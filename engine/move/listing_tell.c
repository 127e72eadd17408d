#include "engine/move/listing_private.h"

#include <stdio.h>

void listing_judge_root(struct account *account, const struct names_source *rows, unsigned count)
{
    struct err err;

    if (names_root_holds(rows, count, account->user, &err))
        return;
    account_failure(account, FAILURE_SOURCE, TROUBLE_LIST, NAMES_ROOT_TYPE, &err, NULL, 0);
    account_fail(account, NAMES_ROOT_TYPE, true);
}

void listing_tell_gaps(struct account *account)
{
    const struct roster *roster = &account->sides[SIDE_SOURCE].roster;

    for (unsigned i = 0; i < roster->gap_count; i++) {
        struct err err = roster->gaps[i].err;

        if (roster->gaps[i].raw[0])
            err_doing(&err, "LIST below %s", roster->gaps[i].raw);
        account_failure(account, FAILURE_SOURCE, TROUBLE_LIST, "FolderListIncomplete", &err, NULL,
                        0);
        account_fail(account, "FolderListIncomplete", true);
    }
}
