#include "engine/move/rejudge.h"

#include "engine/message/policy.h"
#include "engine/move/push.h"
#include "io/base/mem.h"

#include <stdlib.h>

struct rejudge {
    struct folder *folder;
    enum skip_reason forced; /* in place of the policy's judgement; SKIP_NONE: that */
    struct store_end *ends;
    enum message_state *from; /* parallel to ends */
    unsigned count, room;
};

static bool rejudge_one(void *context, const struct message_record *m)
{
    struct rejudge *r = context;
    const struct account *account = r->folder->account;
    enum skip_reason reason = r->forced ? r->forced : policy_judge(account->reactor->settings, account->user, m);

    if (m->state == MESSAGE_FAILED)
        reason = SKIP_NONE;
    else if (m->state == MESSAGE_SKIPPED
                 ? m->reason == reason || (m->reason != SKIP_LARGER_THAN_LIMIT && m->reason != SKIP_OUTSIDE_DATES)
                 : reason == SKIP_NONE)
        return true;
    if (r->count == r->room) {
        r->room = r->room ? r->room * 2 : 64;
        r->ends = mem_resize(r->ends, r->room, sizeof *r->ends);
        r->from = mem_resize(r->from, r->room, sizeof *r->from);
    }
    r->from[r->count] = m->state;
    r->ends[r->count++] = (struct store_end){
        .uid = m->uid,
        .state = reason == SKIP_NONE ? MESSAGE_FOUND : MESSAGE_SKIPPED,
        .reason = reason,
    };
    return true;
}

/* The rules changed since the last run: only the difference moves. */
void rejudge_messages(struct folder *f, unsigned states, enum skip_reason forced)
{
    struct rejudge r = { .folder = f, .forced = forced };
    struct reactor *reactor = f->account->reactor;
    struct err err;
    bool any = false;

    if (f->record.excluded && !forced)
        return;
    /* What may have been sent is not taken back. */
    if (!push_nothing_lost(f))
        states &= ~(1u << MESSAGE_SPOOLED);
    if (!reader_messages(reactor->reader, f->record.user, f->record.folder, states, 0, false, 0, rejudge_one, &r,
                         &err)) {
        reactor_abort_run(reactor, &err);
        return;
    }
    for (unsigned i = 0; i < r.count; i++) {
        bool back = r.ends[i].state == MESSAGE_FOUND;

        folder_count_end(f, r.from[i], r.ends[i].state, 0, 1);
        any |= back;
    }
    if (r.count) {
        struct store_op *op = store_op_new(STORE_OP_END, f->record.user, f->record.folder);

        op->end.ends = r.ends;
        op->end.count = r.count;
        reactor_submit_unwaited(reactor, op);
    }
    if (any)
        folder_want_stored(f);
    free(r.from);
}

void rejudge_waiting(struct folder *f, enum skip_reason reason)
{
    rejudge_messages(f, 1u << MESSAGE_FOUND, reason);
}

void rejudge_exclude(struct folder *f, bool excluded, const struct imap_status *status)
{
    struct reactor *reactor = f->account->reactor;
    struct tally before;
    struct store_op *op;

    if (f->record.excluded && !excluded) {
        /* What came over before it was excluded is on the target, and no row knows of it any more. */
        folder_forget(f);
        f->record.excluded = false;
        folder_put(f);
    }
    f->record.excluded = excluded;
    push_touch(f);
    if (!excluded)
        return;
    if (f->record.tally.uploaded + f->record.tally.present + f->record.tally.spooled) {
        /* It was not excluded once: what came over stays, the rest is left behind from here on. */
        rejudge_messages(f, 1u << MESSAGE_FOUND | 1u << MESSAGE_SPOOLED | 1u << MESSAGE_SKIPPED, SKIP_EXCLUDED_FOLDER);
        return;
    }
    before = f->record.tally;
    if (f->record.tally.waiting)
        folder_forget(f);
    op = store_op_new(STORE_OP_COUNT, f->record.user, f->record.folder);
    op->count.messages = status->has & IMAP_STATUS_MESSAGES ? status->messages : 0;
    op->count.bytes = status->has & IMAP_STATUS_SIZE ? status->size_bytes : 0;
    folder_count_excluded(f, &before, op->count.messages, op->count.bytes);
    reactor_submit_unwaited(reactor, op);
}
