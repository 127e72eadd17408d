/* Is a message that no answer names still there? An OK without a word says nothing of it: SEARCH is
 * asked for its UID, and where that does not show it, for all UIDs of a view that is new (the folder is
 * opened once more). Only a SEARCH that names as many messages as the server counts proves that one is
 * gone. What it told is kept: a UID that is not in it is gone for good (RFC 9051 2.3.1.1), so that
 * further ones cost nothing.
 */
#include "engine/imap/uidset.h"
#include "engine/move/pull_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Views that are taken for one question, when mail goes while one is taken. */
#define VIEWS_MAX 2u

struct look {
    struct worker *worker;
    struct folder *folder;
    uint32_t uid;
    bool found;
    unsigned views;
    /* the view at hand */
    bool counts;
    uint32_t exists, uidnext, uidvalidity;
    uint32_t below; /* SEARCH has told all from here on upwards; 0: nothing yet */
    struct uidset_range *ranges;
    uint32_t count, room;
    pull_looked *ended;
    void *context;
};

static bool lacks(const struct folder *f, uint32_t uid)
{
    return f->view_whole && !uidset_holds(f->view, f->view_count, uid);
}

static void look_over(struct look *look, enum pull_presence presence)
{
    struct worker *w = look->worker;

    log_line(LOG_DEBUG, "message.looked", "user=%s folder=%s uid=%" PRIu32 " there=%s", w->account->user->email_address,
             look->folder->source_name, look->uid,
             presence == PULL_GONE    ? "no"
             : presence == PULL_THERE ? "yes"
                                      : "unknown");
    w->inflight--;
    look->ended(look->context, presence);
    free(look->ranges);
    free(look);
    if (link_is_ready(w->link))
        worker_idle(w);
}

/* No answer can be had now. */
static bool breaks_off(struct look *look, const struct err *err)
{
    if (!err || (link_is_ready(look->worker->link) && err->class != ERR_CLASS_THROTTLED))
        return false;
    look_over(look, PULL_LATER);
    return true;
}

static bool told_well(const struct look *look)
{
    return source_search_told(link_source(look->worker->link)) == SESSION_SEARCH_ANSWERED;
}

static void view_begin(struct look *look);

/* Told as many as there are? Then it is the folder's view. */
static void view_ended(struct look *look)
{
    struct folder *f = look->folder;
    uint64_t told = 0;

    /* One that is named twice is one message, and does not stand for another. */
    look->count = uidset_merge(look->ranges, look->count);
    for (uint32_t i = 0; i < look->count; i++)
        told += (uint64_t)look->ranges[i].last - look->ranges[i].first + 1;
    if (!look->counts || told != look->exists) {
        if (look->views < VIEWS_MAX)
            view_begin(look);
        else
            look_over(look, PULL_NOT_KNOWN);
        return;
    }
    free(f->view);
    f->view = look->ranges;
    f->view_count = look->count;
    f->view_whole = true;
    look->ranges = NULL;
    look_over(look, lacks(f, look->uid) ? PULL_GONE : PULL_THERE);
}

/* Mail that came since the view was taken is not counted in it. */
static void view_range(void *context, uint32_t first, uint32_t last)
{
    struct look *look = context;

    if (look->uidnext && last >= look->uidnext)
        last = look->uidnext - 1;
    if (first > last)
        return;
    if (look->count == look->room) {
        look->room = look->room ? look->room * 2 : 64;
        look->ranges = mem_resize(look->ranges, look->room, sizeof *look->ranges);
    }
    look->ranges[look->count++] = (struct uidset_range){ first, last };
}

static void view_search(struct look *look);

static void view_searched(void *context, const struct err *err)
{
    struct look *look = context;
    uint32_t down_to = pull_searched_down_to(err);

    if (breaks_off(look, err))
        return;
    if (down_to > 1 && (look->below == 0 || down_to < look->below)) {
        look->below = down_to;
        view_search(look);
        return;
    }
    if ((err && down_to != 1) || !told_well(look))
        look_over(look, PULL_NOT_KNOWN);
    else
        view_ended(look);
}

static void view_search(struct look *look)
{
    char set[24] = "";

    if (look->below)
        snprintf(set, sizeof set, "1:%" PRIu32, look->below - 1);
    source_search(link_source(look->worker->link), slice_cstr(set), view_range, view_searched, look);
}

static void view_selected(void *context, const struct imap_selected *s)
{
    struct look *look = context;

    look->counts = s->exists_told;
    look->exists = s->status.messages;
    look->uidnext = s->status.has & IMAP_STATUS_UIDNEXT ? s->status.uidnext : 0;
    look->uidvalidity = s->status.has & IMAP_STATUS_UIDVALIDITY ? s->status.uidvalidity : 0;
}

static void view_opened(void *context, const struct err *err)
{
    struct look *look = context;
    const struct folder *f = look->folder;
    bool other =
        look->uidvalidity && f->record.uidvalidity && !f->selects && look->uidvalidity != f->record.uidvalidity;

    if (breaks_off(look, err))
        return;
    if (err || other) {
        /* It is opened the usual way before anything else is asked of it, and what is wrong is told then. */
        look->worker->selected = false;
        look_over(look, PULL_LATER);
        return;
    }
    view_search(look);
}

static void view_begin(struct look *look)
{
    look->views++;
    look->count = look->below = 0;
    look->counts = false;
    look->uidvalidity = 0;
    pull_select_again(look->worker, view_selected, view_opened, look);
}

static void one_range(void *context, uint32_t first, uint32_t last)
{
    struct look *look = context;

    look->found |= first <= look->uid && look->uid <= last;
}

static void one_searched(void *context, const struct err *err)
{
    struct look *look = context;

    if (breaks_off(look, err))
        return;
    if (look->found)
        look_over(look, PULL_THERE);
    else if (lacks(look->folder, look->uid))
        look_over(look, PULL_GONE);
    else
        view_begin(look);
}

void pull_look(struct worker *w, struct folder *f, uint32_t uid, pull_looked *ended, void *context)
{
    struct look *look = mem_zero(1, sizeof *look);
    char set[16];

    look->worker = w;
    look->folder = f;
    look->uid = uid;
    look->ended = ended;
    look->context = context;
    w->inflight++;
    if (lacks(f, uid)) {
        look_over(look, PULL_GONE);
        return;
    }
    snprintf(set, sizeof set, "%" PRIu32, uid);
    source_search(link_source(w->link), slice_cstr(set), one_range, one_searched, look);
}
