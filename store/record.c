#include "store/record.h"

#include <assert.h>

static const char *const skip_names[] = { "",          "LargerThanLimit", "ExcludedFolder", "OutsideDates",
                                          "Duplicate", "Vanished",        "DeletedAtSource" };
static const char *const user_names[] = {
    "Queued",  "Validating", "Syncing",          "Synced", "IncrementalSyncing", "IncrementalSynced",
    "Stopped", "Failed",     "SyncedWithDoubts", "Paused", "Completed"
};
_Static_assert(sizeof skip_names / sizeof *skip_names == SKIP_REASON_COUNT, "a name a reason");
_Static_assert(sizeof user_names / sizeof *user_names == USER_STATE_COUNT, "a name a state");

const char *skip_reason_name(enum skip_reason reason)
{
    assert((unsigned)reason < SKIP_REASON_COUNT);
    return skip_names[reason];
}

const char *user_state_name(enum user_state state)
{
    assert((unsigned)state < USER_STATE_COUNT);
    return user_names[state];
}

void folder_record_forget(struct folder_record *f)
{
    uint32_t from = f->target_uid_floor && !f->target_uids_lie ? f->target_uid_floor : 1;

    if (f->target_open && (f->target_lost_from == 0 || f->target_lost_from > from))
        f->target_lost_from = from;
    f->target_sends_unknown |= f->target_lost_from != 0;
    f->uidnext_listed = 0;
    f->target_scanned = f->target_open = f->target_counted = false;
    f->target_uid_floor = 0;
}

bool tally_balanced(const struct tally *t)
{
    return t->found == t->uploaded + t->present + t->skipped + t->failed + t->waiting + t->spooled;
}

void tally_add(struct tally *sum, const struct tally *t)
{
    sum->found += t->found;
    sum->uploaded += t->uploaded;
    sum->present += t->present;
    sum->skipped += t->skipped;
    sum->failed += t->failed;
    sum->waiting += t->waiting;
    sum->spooled += t->spooled;
    sum->bytes_found += t->bytes_found;
    sum->bytes_fetched += t->bytes_fetched;
    sum->bytes_uploaded += t->bytes_uploaded;
}

void tally_take(struct tally *sum, const struct tally *t)
{
    sum->found -= t->found;
    sum->uploaded -= t->uploaded;
    sum->present -= t->present;
    sum->skipped -= t->skipped;
    sum->failed -= t->failed;
    sum->waiting -= t->waiting;
    sum->spooled -= t->spooled;
    sum->bytes_found -= t->bytes_found;
    sum->bytes_fetched -= t->bytes_fetched;
    sum->bytes_uploaded -= t->bytes_uploaded;
}

bool follow_flags_equal(const struct follow_flags *a, const struct follow_flags *b)
{
    return a->system == b->system && slice_equal(a->keywords, b->keywords);
}
