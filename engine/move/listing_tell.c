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
    const struct folder_list *folder_list = &account->sides[SIDE_SOURCE].folder_list;

    for (unsigned i = 0; i < folder_list->gap_count; i++) {
        struct err err = folder_list->gaps[i].err;

        if (folder_list->gaps[i].raw[0])
            err_doing(&err, "LIST below %s", folder_list->gaps[i].raw);
        account_failure(account, FAILURE_SOURCE, TROUBLE_LIST, "FolderListIncomplete", &err, NULL, 0);
        account_fail(account, "FolderListIncomplete", true);
    }
}
