#include "engine/folders/names_text.h"
#include "engine/move/pull_private.h"
#include "engine/move/rejudge.h"
#include "io/base/mem.h"

#include <stdlib.h>

/* A folder that the source says is not there; is it listed still? */
struct search {
    struct worker *worker;
    struct folder *folder;
    struct err cause;
    bool listed;
    void (*there)(struct worker *w, const struct err *cause);
};

static void row(void *context, const struct imap_list_row *row)
{
    struct search *search = context;

    if (slice_equal(row->name, search->folder->record.source_raw) && !(row->attributes & IMAP_MAILBOX_NONEXISTENT))
        search->listed = true;
}

/* What waits in a folder that no list of this run has was deleted with it. Should the folder come back,
 * it is another: its UIDVALIDITY will not be this one, and it is read anew. */
static void all_vanish(struct folder *f)
{
    f->vanished += f->record.tally.waiting;
    rejudge_waiting(f, SKIP_VANISHED);
    f->record.uidvalidity = f->record.uidvalidity == 1 ? 2 : 1;
    folder_put(f);
    folder_set_pull(f, PULL_DONE);
    pull_progressed(f->account);
}

static void gone(struct worker *w, struct err *err)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;

    p->step = PULL_STEP_FREE;
    w->busy = false;
    if (f->gone && f->pull == PULL_LISTING) {
        all_vanish(f);
    } else {
        /* It may have another name now: only a list read anew tells. */
        err->class = ERR_CLASS_TRANSIENT;
        account_failure(f->account, FAILURE_SOURCE, TROUBLE_SELECT, "FolderGone", err, f, 0);
        folder_set_pull(f, PULL_REFUSED);
        account_fail(f->account, "FolderGone", true);
    }
    pull_folder_release(w);
    worker_idle(w);
}

static void searched(void *context, const struct err *err)
{
    struct search *search = context;
    struct worker *w = search->worker;

    if (err && (!link_is_ready(w->link) || err->class == ERR_CLASS_THROTTLED))
        pull_step_failed(w, TROUBLE_LIST, err);
    else if (err || search->listed)
        search->there(w, &search->cause);
    else
        gone(w, &search->cause);
    free(search);
}

bool pull_search_gone(struct worker *w, const struct err *err, void (*there)(struct worker *w, const struct err *cause))
{
    struct folder *f = w->folder;
    struct search *search;

    if (!trouble_is_gone(err) || (!f->bare && names_bare(f->record.source_raw, (char)f->record.delimiter).size))
        return false;
    search = mem_zero(1, sizeof *search);
    search->worker = w;
    search->folder = f;
    search->cause = *err;
    search->there = there;
    source_list(link_source(w->link), SESSION_LIST_PLAIN, f->record.source_raw, 0, row, NULL, searched, search);
    return true;
}
