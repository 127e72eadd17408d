/* A full mailbox of Exchange Online has no words of its own: APPEND is answered `Server Unavailable. 15`,
 * as everything is in an outage, and as it may be to one odd message. What tells them apart is that
 * everything else still works, and that it is not one message alone. */
#include "engine/move/push_private.h"

#include <stdio.h>

/* Refusals in a row, each after a wait that grew; those of several connections at once are one. */
#define ROUNDS_FULL 5u

void push_took(struct account *account)
{
    account->unavailable.rounds = 0;
}

void push_opens(struct account *account)
{
    account->unavailable.opens = true;
    account_opened(account, SIDE_TARGET);
}

bool push_is_full(struct folder *f, uint32_t uid, const struct err *err, struct err *full_r)
{
    struct account *account = f->account;

    if (!trouble_is_unavailable(err))
        return false;
    if (account->unavailable.rounds == 0) {
        account->unavailable.folder = f->record.folder;
        account->unavailable.uid = uid;
        account->unavailable.several = account->unavailable.opens = false;
    }
    account->unavailable.several |= account->unavailable.folder != f->record.folder || account->unavailable.uid != uid;
    account->unavailable.rounds += !account_held(account, SIDE_TARGET);
    /* One message that is refused where others were taken is its own matter. */
    if (account->unavailable.rounds < ROUNDS_FULL || !account->unavailable.opens ||
        (!account->unavailable.several && account->uploaded_bytes > 0))
        return false;
    err_set(full_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, err->origin, 0,
            "%.80s (%u times in a row to APPEND, while folders open: the mailbox is full, most likely)",
            err->server_text, account->unavailable.rounds);
    err_doing(full_r, "%s", err->doing);
    return true;
}

void push_asks_first(struct folder *f)
{
    struct folder_item first, second;

    if (queue_pop(&f->ready, &first)) {
        if (queue_pop(&f->ready, &second)) {
            push_give_back(f, &first);
            first = second;
        }
        push_give_back(f, &first);
    }
    /* Opened again it tells its numbers first; and a folder with more to send goes before it. */
    push_stop_sending(f);
}
