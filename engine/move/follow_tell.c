#include "engine/move/follow_private.h"

#include <inttypes.h>
#include <stdio.h>

static unsigned count_of(const struct follow_job *j, enum follow_end end, uint32_t *first_r)
{
    unsigned count = 0;

    for (unsigned i = 0; i < j->count; i++)
        if (j->items[i].end == end && count++ == 0)
            *first_r = j->items[i].uid;
    return count;
}

void follow_tell_left(struct follow_job *j)
{
    struct folder *f = j->folder;
    uint32_t unknown_uid = 0, refused_uid = 0, first;
    unsigned unknown = count_of(j, FOLLOW_UNKNOWN, &unknown_uid), refused = count_of(j, FOLLOW_REFUSED, &refused_uid);
    const char *why = j->another          ? "the numbers of the messages there changed while they were looked for"
                      : j->view.read_only ? "the target opens the folder for reading only"
                      : refused           ? "the target refused it, or answered OK and did not do it"
                                          : "the target told no UIDs, and other messages there have the same header";

    if (unknown + refused == 0) {
        account_doubt_clear(f->account, f, "NotFollowed");
        return;
    }
    first = refused ? refused_uid : unknown_uid;
    account_doubt(f->account, f, "NotFollowed", unknown + refused,
                  "the flags of %u message%s of %s changed at the source and could not be changed "
                  "on the target: %s; UID "
                  "%" PRIu32 "%s",
                  unknown + refused, unknown + refused == 1 ? "" : "s", f->source_name, why, first,
                  unknown + refused == 1 ? "" : " is the first");
}

void follow_tell_used(struct follow_job *j)
{
    struct folder *f = j->folder;
    unsigned count = 0, gone;
    uint32_t first = 0;
    char text[256];

    gone = count_of(j, FOLLOW_GONE, &first);
    for (unsigned i = 0; i < j->count; i++)
        if (j->items[i].stays && count++ == 0)
            first = j->items[i].uid;
    if (count + gone == 0)
        return;
    snprintf(text, sizeof text,
             "of messages whose flags changed at the source %u had been given other flags on the "
             "target, which stay, and %u "
             "%s not there any more; UID %" PRIu32 "%s",
             count, gone, gone == 1 ? "is" : "are", first, count + gone == 1 ? "" : " is one of them");
    account_problem(f->account, f->record.folder, "ChangedOnTarget", text,
                    "nothing to do: who uses the target decides");
    f->account->night.left += count + gone;
}

void follow_tell_unkept(struct follow_job *j, bool unkept)
{
    if (unkept)
        account_problem(j->folder->account, j->folder->record.folder, "FlagsNotKept",
                        "the source gave messages flags or keywords that the target does not keep; "
                        "these were not followed",
                        "nothing to do");
}
