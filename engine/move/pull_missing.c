#include "engine/move/pull_private.h"

#include "io/base/log.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* More than this are not asked for one by one: the folder is told as incomplete (HiddenMessages). */
#define MISSING_MAX 100000u

void pull_missing_clear(struct pull_missing *m)
{
    free(m->seen);
    free(m->uids);
    free(m->known);
    quota_let_go(&m->held);
    *m = (struct pull_missing){ 0 };
}

void pull_missing_saw(struct worker *w, uint32_t uid)
{
    struct pull_missing *m = &((struct pull *)w->work)->missing;

    if (m->seen_count == m->seen_room) {
        m->seen_room = m->seen_room ? m->seen_room * 2 : 1024;
        m->seen = mem_resize(m->seen, m->seen_room, sizeof *m->seen);
        quota_hold(&m->held, w->account->memory, m->seen_room * sizeof *m->seen + m->known_room * sizeof *m->known);
    }
    m->seen[m->seen_count++] = uid;
}

static int uid_order(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static bool was_seen(const struct pull_missing *m, uint32_t uid)
{
    return m->seen_count && bsearch(&uid, m->seen, m->seen_count, sizeof uid, uid_order);
}

static void missing_range(void *context, uint32_t first, uint32_t last)
{
    struct worker *w = context;
    struct pull *p = w->work;
    struct pull_missing *m = &p->missing;

    if (first < p->base)
        first = p->base;
    /* UIDNEXT is no bound: it may be a lie, and what came since is as welcome. */
    if (p->capped && last >= p->uidnext)
        last = p->uidnext - 1;
    for (uint64_t uid = first; uid <= last; uid++) {
        if (was_seen(m, (uint32_t)uid) || pull_is_known(m, (uint32_t)uid))
            continue;
        if (m->count == MISSING_MAX)
            return;
        if (m->count == m->room) {
            m->room = m->room ? m->room * 2 : 64;
            m->uids = mem_resize(m->uids, m->room, sizeof *m->uids);
        }
        m->uids[m->count++] = (uint32_t)uid;
    }
}

static void ask_next(struct worker *w);

/* No more can be asked for now; what a server merely refuses is gone round. */
static bool breaks_off(const struct worker *w, const struct err *err)
{
    return err && (!link_is_ready(w->link) || err->class == ERR_CLASS_THROTTLED);
}

static void one_ended(void *context, const struct err *err)
{
    struct worker *w = context;
    struct pull *p = w->work;
    struct pull_missing *m = &p->missing;

    if (breaks_off(w, err)) {
        m->ended(w, err);
        return;
    }
    /* It is there, but its row does not come in any form: its body may. */
    if (p->row_count == m->rows_before)
        pull_list_row(w, &(struct imap_message_row){ .uid = m->uids[m->at] });
    m->at++;
    ask_next(w);
}

static void ask_next(struct worker *w)
{
    struct pull *p = w->work;
    struct pull_missing *m = &p->missing;
    char set[16];

    if (m->at == m->count) {
        m->ended(w, NULL);
        return;
    }
    m->rows_before = p->row_count;
    snprintf(set, sizeof set, "%" PRIu32, m->uids[m->at]);
    source_rows(link_source(w->link), slice_cstr(set), SLICE(""), pull_list_row, one_ended, w);
}

uint32_t pull_searched_down_to(const struct err *err)
{
    struct slice words = slice_cstr(err ? err->server_text : ""), word;
    uint32_t uid = 0;

    if (!err || strcmp(err->resp_code, "MESSAGELIMIT") != 0)
        return 0;
    return slice_split(&words, ' ', &word) && slice_u32(slice_trim(words), &uid) ? uid : 0;
}

static void search(struct worker *w);

static void searched(void *context, const struct err *err)
{
    struct worker *w = context;
    struct pull *p = w->work;
    struct pull_missing *m = &p->missing;
    uint32_t down_to = pull_searched_down_to(err);
    unsigned told = err && down_to == 0 ? 0 : source_search_told(link_source(w->link));

    if (down_to > p->base && (m->below == 0 || down_to < m->below)) {
        m->below = down_to;
        m->unread |= (told & SESSION_SEARCH_UNREAD) != 0;
        search(w);
        return;
    }
    if (breaks_off(w, err)) {
        m->ended(w, err);
        return;
    }
    m->searched = (!err || (down_to && down_to <= p->base)) && (told & SESSION_SEARCH_ANSWERED);
    m->unread |= (told & SESSION_SEARCH_UNREAD) != 0;
    if (m->count && m->seen_count + m->shown_count == 0 && pull_try_writable(w, w->folder)) {
        pull_select_folder(w);
        return;
    }
    if (m->count > 1)
        qsort(m->uids, m->count, sizeof *m->uids, uid_order);
    if (m->count)
        log_line(LOG_INFO, "folder.missing", "user=%s folder=%s listed=%u missing=%u", w->account->user->email_address,
                 w->folder->source_name, m->seen_count, m->count);
    ask_next(w);
}

/* What the server knows, from `below` downwards where it has told that. */
static void search(struct worker *w)
{
    const struct pull *p = w->work;
    char set[24] = "";

    if (p->missing.below)
        snprintf(set, sizeof set, "%" PRIu32 ":%" PRIu32, p->base, p->missing.below - 1);
    else if (p->base > 1)
        snprintf(set, sizeof set, "%" PRIu32 ":*", p->base);
    source_search(link_source(w->link), slice_cstr(set), missing_range, searched, w);
}

void pull_missing_ask(struct worker *w, void (*ended)(struct worker *w, const struct err *err))
{
    struct pull *p = w->work;
    struct pull_missing *m = &p->missing;

    m->ended = ended;
    m->count = m->at = 0;
    m->below = 0;
    m->searched = m->unread = false;
    if (m->seen_count > 1)
        qsort(m->seen, m->seen_count, sizeof *m->seen, uid_order);
    search(w);
}
