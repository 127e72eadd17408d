/* Messages that the server counts and does not list (quirk S18). That is told, and at the next run the folder is
 * listed from its first message on: what shows by then is copied, and the doubt goes when all is there. */
#include "engine/move/pull_private.h"
#include "io/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define HIDDEN "HiddenMessages"

/* ---- what the journal has already ---------------------------------------------------------- */

static bool known_one(void *context, const struct message_record *m)
{
    struct pull_missing *missing = context;

    if (missing->known_count == missing->known_room) {
        missing->known_room = missing->known_room ? missing->known_room * 2 : 1024;
        missing->known = mem_resize(missing->known, missing->known_room, sizeof *missing->known);
    }
    missing->known[missing->known_count++] = (struct pull_known){ .uid = m->uid };
    return true;
}

bool pull_lists_again(struct worker *w)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;
    struct reactor *reactor = w->account->reactor;
    bool began = f->list_began;
    unsigned all = 0;
    struct err err;

    f->list_began = true;
    if (began || f->record.uidnext_listed == 0 || !account_doubts(w->account, f, HIDDEN, NULL))
        return false;
    for (unsigned s = MESSAGE_FOUND; s < MESSAGE_STATE_COUNT; s++)
        all |= 1u << s;
    if (reader_messages(reactor->reader, f->record.user, f->record.folder, all, 0, false, 0, known_one, &p->missing,
                        &err))
        return true;
    reactor_abort_run(reactor, &err);
    return false;
}

static int known_by_uid(const void *a, const void *b)
{
    const struct pull_known *x = a, *y = b;

    return (x->uid > y->uid) - (x->uid < y->uid);
}

bool pull_is_known(struct pull_missing *m, uint32_t uid)
{
    struct pull_known wanted = { .uid = uid }, *known;

    known = m->known_count ? bsearch(&wanted, m->known, m->known_count, sizeof wanted, known_by_uid) : NULL;
    if (known && !known->shown) {
        known->shown = true;
        m->shown_count++;
    }
    return known != NULL;
}

/* ---- what is hidden ------------------------------------------------------------------------ */

/* Of a listing that began behind others this much is sure: there cannot be more than it and they have named. */
bool pull_is_short(const struct pull *p)
{
    uint64_t before = p->base > 1 ? p->expected_before : p->missing.shown_count;

    return before + p->listed < p->exists && !p->capped;
}

/* Counting finds what a server hides: rows of a first listing against EXISTS (quirk S18), and numbers
 * that are a limit rather than a count (S18, S19). */
void pull_tell_hidden(struct worker *w)
{
    static const uint32_t limits[] = { 1000, 2000, 5000, 10000, 100000 };
    const struct pull *p = w->work;
    char text[200];

    if (pull_is_short(p)) {
        snprintf(text, sizeof text,
                 "the server says %" PRIu32 " messages but listed %" PRIu64 "; the folder may be "
                 "incomplete",
                 p->exists, p->listed + (p->base > 1 ? p->expected_before : p->missing.shown_count));
        account_problem(w->account, w->folder->record.folder, HIDDEN, text,
                        "run again later; if it stays, look at the folder in the source's webmail");
    } else if (p->base == 1 && !p->capped) {
        account_doubt_clear(w->account, w->folder, HIDDEN);
    }
    if (p->expected_before != 0)
        return;
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++)
        if (p->exists == limits[i] && p->listed <= p->exists) {
            snprintf(text, sizeof text,
                     "the server shows exactly %" PRIu32 " messages, which is a limit that some "
                     "servers have; the folder may be incomplete",
                     p->exists);
            account_problem(w->account, w->folder->record.folder, "MayBeIncomplete", text,
                            "compare with the count in the source's webmail; Gmail's limit is a "
                            "setting of the user (\"folder size limits\")");
        }
}
