/* A server that opens no folder of any mailbox: seen once for all of them, and told once. Any thread's mailboxes. */
#include "engine/move/account.h"
#include "engine/move/reactor.h"
#include "engine/settings/side.h"
#include "io/base/log.h"

static void refused(struct account *account, enum side side, bool is)
{
    if (account->sides[side].refused == is)
        return;
    account->sides[side].refused = is;
    if (is)
        account->reactor->presence[side].refused++;
    else
        account->reactor->presence[side].refused--;
}

void account_opened(struct account *account, enum side side)
{
    struct presence *server = &account->reactor->presence[side];

    if (side == SIDE_TARGET)
        account->opened++;
    server->opened++;
    refused(account, side, false);
    if (server->shut && atomic_exchange(&server->shut, false))
        log_line(LOG_INFO, "folders.open-again", "side=%s users=%u", side_name(side), server->refused + 1u);
}

void account_refused(struct account *account, enum side side, struct shut *shut, unsigned tries, unsigned most)
{
    struct presence *server = &account->reactor->presence[side];

    refused(account, side, true);
    if (shut_waits(shut, tries, server->opened, server->refused, most) && !atomic_exchange(&server->shut, true))
        log_line(LOG_WARN, "folders.open-none",
                 "side=%s users=%u: the server opens no folder of anybody; it is waited for", side_name(side),
                 server->refused);
}

void account_shut_end(struct account *account)
{
    for (unsigned side = 0; side < SIDE_COUNT; side++)
        refused(account, side, false);
}
