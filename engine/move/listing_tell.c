#include "engine/move/listing_inner.h"

#include <stdio.h>

void listing_judge_root(struct account *account, const struct names_source *rows, unsigned count)
{
    struct err err;

    if (!account->user->user_root || account->user->user_root[0] == '\0')
        return;
    for (unsigned i = 0; i < count; i++)
        if (rows[i].selectable)
            return;
    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_CONFIG, 0,
            "no folder lies in the UserRoot \"%.100s\" of users.csv line %u",
            account->user->user_root, account->user->line);
    err_doing(&err, "LIST");
    account_failure(account, FAILURE_SOURCE, TROUBLE_LIST, "InvalidMailboxName", &err, NULL, 0);
    account_fail(account, "InvalidMailboxName", true);
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
