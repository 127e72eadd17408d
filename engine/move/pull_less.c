/* A source that shows less than what it had listed and nobody has moved. One message that is gone was deleted; all of
 * them may be a storage that is away, in whose place an empty mailbox stands. Which it is nobody can see by IMAP. */
#include "engine/move/pull.h"
#include "engine/move/pull_private.h"

#define LESS "SourceHoldsLess"

void pull_tell_less(struct folder *f)
{
    uint64_t found = f->record.tally.found, lacking = f->unmoved_before > found ? f->unmoved_before - found : 0;
    uint64_t known = 0;

    if (lacking)
        account_doubt(f->account, f, LESS, lacking,
                      "%llu messages of %s waited to be moved when it was given new message numbers; now it holds %llu",
                      (unsigned long long)f->unmoved_before, f->source_name, (unsigned long long)found);
    else if (account_doubts(f->account, f, LESS, &known) && found >= known)
        account_doubt_clear(f->account, f, LESS);
}

void pull_tell_emptied(struct account *account)
{
    uint64_t vanished = 0;

    for (unsigned i = 0; i < account->folder_count; i++) {
        const struct folder *f = account->folders[i];

        vanished += f->vanished;
        if (!f->gone && !f->record.excluded && f->record.status_messages) {
            account_doubt_clear(account, NULL, LESS);
            return;
        }
    }
    if (vanished)
        account_doubt(account, NULL, LESS, vanished,
                      "the source shows no message in any folder; %llu that it had listed earlier were not moved",
                      (unsigned long long)vanished);
}
