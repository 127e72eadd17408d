/* May what was deleted at the source be removed from the target in this run, and where to? What may
 * not is told. */
#include "engine/folders/roles.h"
#include "engine/move/follow_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool removes(const struct account *account)
{
    const struct settings *settings = account->reactor->settings;

    return settings->policy.follow_deletions == SETTINGS_FOLLOW_DELETIONS_YES && settings->mode != SETTINGS_MODE_PLAN &&
           account_uses(account, SIDE_SOURCE) && account_uses(account, SIDE_TARGET);
}

/* All that the source has was read in this run, or is as it was. A source that shows no message at
 * all may be a storage that is away. */
static bool whole_mailbox_is_known(const struct account *account)
{
    bool any = false;

    if (!account->sides[SIDE_SOURCE].listed || account->sides[SIDE_SOURCE].folder_list.gap_count || account->failed ||
        account->day_over[SIDE_SOURCE])
        return false;
    for (unsigned i = 0; i < account->folder_count; i++) {
        const struct folder *f = account->folders[i];

        if (f->gone || f->record.excluded)
            continue;
        if (f->pull != PULL_DONE || f->record.tally.waiting || account_doubts(account, f, "HiddenMessages", NULL))
            return false;
        any |= f->record.status_messages > 0;
    }
    return any;
}

/* More is gone than a person deletes in a night. */
static bool fuse_is_blown(const struct folder *f)
{
    const struct settings *settings = f->account->reactor->settings;
    uint64_t of = f->record.tally.uploaded + f->record.tally.present;

    return f->follow.gone > settings->policy.deletions_max &&
           f->follow.gone * 100 > settings->policy.deletions_percent_max * (of ? of : 1) &&
           !settings_list_has_user(&settings->accept_deletions, f->account->user);
}

const char *follow_trash(struct account *account)
{
    const struct folder_list *list = &account->sides[SIDE_TARGET].folder_list;
    bool exchange = account->reactor->settings->target.preset == SETTINGS_PRESET_EXCHANGE_ONLINE;

    for (unsigned i = 0; i < list->count; i++)
        if ((list->rows[i].attributes & IMAP_MAILBOX_TRASH) && !(list->rows[i].attributes & IMAP_MAILBOX_NOSELECT))
            return list->rows[i].raw;
    for (unsigned i = 0; i < account->folder_count; i++) {
        const struct folder *f = account->folders[i];

        if (roles_of_word(f->record.role) == ROLE_TRASH && f->target_raw && f->exists_on_target)
            return f->target_raw;
    }
    for (unsigned i = 0; i < list->count; i++)
        if (exchange ? strcmp(list->rows[i].raw, roles_exchange_name(ROLE_TRASH)) == 0
                     : roles_of_word(roles_find(list->rows[i].attributes, list->rows[i].raw)) == ROLE_TRASH)
            return list->rows[i].raw;
    return NULL;
}

static bool is_due(struct folder *f)
{
    return f->follow.gone && !f->follow.removed && f->target_raw && !f->gone && !f->record.excluded &&
           f->push != PUSH_REFUSED && !fuse_is_blown(f);
}

struct folder *follow_next_removal(struct account *account)
{
    if (account->follow_gone && removes(account) && !account->target_dead && !account->stopping &&
        whole_mailbox_is_known(account))
        for (unsigned i = 0; i < account->folder_count; i++)
            if (is_due(account->folders[i]))
                return account->folders[i];
    return NULL;
}

bool follow_remove_rests(struct account *account)
{
    return follow_next_removal(account) == NULL;
}

/* ---- what was seen, told --------------------------------------------------------------------- */

void follow_tell_gone(struct account *account)
{
    bool yes = removes(account), known = yes && whole_mailbox_is_known(account);
    char text[256];

    /* The source took back what could not be followed, or it was followed since. */
    for (unsigned i = 0; i < account->folder_count; i++)
        if (account->folders[i]->follow.wanted + account->folders[i]->follow.gone == 0)
            account_doubt_clear(account, account->folders[i], "NotFollowed");
    if (account->reactor->settings->policy.follow_deletions == SETTINGS_FOLLOW_DELETIONS_NO ||
        account_only_looks(account))
        return;
    for (unsigned i = 0; i < account->folder_count; i++) {
        const struct folder *f = account->folders[i];
        bool blown = yes && fuse_is_blown(f);

        if (f->follow.gone == 0 || f->follow.removed)
            continue;
        if (!yes)
            snprintf(text, sizeof text,
                     "%" PRIu64 " copied messages are not at the source any more; they stay on the target",
                     f->follow.gone);
        else if (blown)
            snprintf(text, sizeof text,
                     "%" PRIu64 " of %" PRIu64
                     " copied messages are not at the source any more: more than deletions-max and "
                     "deletions-percent-max, so nothing was removed",
                     f->follow.gone, f->record.tally.uploaded + f->record.tally.present);
        else
            snprintf(text, sizeof text,
                     "%" PRIu64 " copied messages are not at the source any more; nothing was removed: %s",
                     f->follow.gone,
                     known ? "the run ended before that" : "not all of the mailbox could be read in this run");
        account_problem(account, f->record.folder, yes ? "DeletionsHeld" : "DeletedAtSource", text,
                        blown ? "look at the folder at the source; when it is right, run --accept-deletions USER"
                        : yes ? "nothing to do: a later run looks again"
                              : "nothing to do; follow-deletions = yes moves them to the target's deleted items");
        account->night.left += yes ? f->follow.gone : 0;
    }
}
