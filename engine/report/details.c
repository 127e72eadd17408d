#include "engine/report/details.h"

#include "engine/report/share.h"

/* NULL: the user is of a state folder. */
static struct share *share_of(const struct report *r, const struct report_user *u)
{
    return r->parts[u->shard].given.share;
}

bool report_details_folders(struct report *r, const struct report_user *u, bool problems, struct report_folders *list_r,
                            struct err *err_r)
{
    struct share *share = share_of(r, u);

    return share ? share_folders(share, u->id - 1, list_r, err_r)
                 : report_folders_load(r->readers[u->shard], u->id, problems, list_r, err_r);
}

bool report_details_notes(struct report *r, const struct report_user *u, const struct folder_record *folder,
                          enum message_state state,
                          bool (*each)(void *, const struct message_record *, const struct message_note *),
                          void *context, struct err *err_r)
{
    struct share *share = share_of(r, u);

    return share ? share_items(share, u->id - 1, state == MESSAGE_SKIPPED ? SHARE_SKIPPED : SHARE_FAILED, folder, each,
                               context, err_r)
                 : reader_notes(r->readers[u->shard], u->id, folder->folder, 1u << state, 0, each, context, err_r);
}

bool report_details_repaired(struct report *r, const struct report_user *u, const struct folder_record *folder,
                             bool (*each)(void *, const struct message_record *, const struct message_note *),
                             void *context, struct err *err_r)
{
    struct share *share = share_of(r, u);

    return share ? share_items(share, u->id - 1, SHARE_REPAIRED, folder, each, context, err_r)
                 : reader_repaired(r->readers[u->shard], u->id, folder->folder, each, context, err_r);
}

struct without_note {
    bool (*each)(void *context, const struct message_record *message);
    void *context;
};

static bool drop_note(void *context, const struct message_record *message, const struct message_note *note)
{
    const struct without_note *inner = context;

    (void)note;
    return inner->each(inner->context, message);
}

bool report_details_skipped(struct report *r, const struct report_user *u, const struct folder_record *folder,
                            bool (*each)(void *, const struct message_record *), void *context, struct err *err_r)
{
    struct share *share = share_of(r, u);
    struct without_note inner = { each, context };

    return share ? share_items(share, u->id - 1, SHARE_SKIPPED, folder, drop_note, &inner, err_r)
                 : reader_messages(r->readers[u->shard], u->id, folder->folder, 1u << MESSAGE_SKIPPED, 0, false, 0,
                                   each, context, err_r);
}

bool report_details_problems(struct report *r, const struct report_user *u,
                             bool (*each)(void *, const struct problem_record *), void *context, struct err *err_r)
{
    struct share *share = share_of(r, u);
    struct report_folders list;
    bool good;

    if (!share)
        return reader_problems(r->readers[u->shard], u->id, each, context, err_r);
    good = share_folders(share, u->id - 1, &list, err_r);
    for (unsigned i = 0; good && i < list.problem_count; i++)
        if (!each(context, &list.problems[i]))
            break;
    report_folders_free(&list);
    return good;
}

bool report_details_failures(struct report *r, const struct report_user *u,
                             bool (*each)(void *, const struct failure_record *), void *context, struct err *err_r)
{
    struct share *share = share_of(r, u);

    return share ? share_failures(share, u->id - 1, each, context, err_r)
                 : reader_failures(r->readers[u->shard], u->id, each, context, err_r);
}
