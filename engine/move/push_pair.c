/* What a target folder was seen to hold against what the journal knows: which of it is of messages
 * that are told to be there, and which messages need not be sent. */
#include "engine/move/push_private.h"
#include "io/base/log.h"
#include "io/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- what the journal says ----------------------------------------------------------------- */

struct match_row push_row_of(const struct message_record *m)
{
    struct match_row row = { .seconds = message_sent_seconds(m),
                             .bytes = message_sent_bytes(m),
                             .uid = m->uid,
                             .sent = m->state == MESSAGE_SPOOLED && m->unanswered > 0 };

    memcpy(row.key, m->header_key, sizeof row.key);
    memcpy(&row.digest, m->digest, sizeof row.digest);
    return row;
}

struct settling {
    struct matcher *matcher;
    struct match_fidelity *fidelity;
    struct match_claim *claims;
    size_t count, room;
    uint32_t floor;
    bool other; /* the folder is not the one whose UIDs the journal has */
};

/* Is what the target has under this UID what was sent? A server that makes its own of a mail may
 * give it a new Message-ID where it had none, and other words for its date. */
static bool is_copy_of(const struct match_row *seen, const struct match_row *row)
{
    if (memcmp(seen->key, row->key, MATCH_KEY_BYTES) == 0)
        return true;
    return (seen->key[0] != 'M' || row->key[0] != 'M') && seen->seconds == row->seconds;
}

/* Takes out what is there under the UID of the message. False: that is another message. */
static bool is_at_its_uid(struct settling *s, const struct message_record *m, const struct match_row *row)
{
    struct match_row seen;

    if (m->target_uid < s->floor || !matcher_at(s->matcher, m->target_uid, &seen))
        return true;
    return is_copy_of(&seen, row) && matcher_drop_uid(s->matcher, m->target_uid);
}

/* A copy whose UID was not told may be among what was looked at. */
static bool may_be_in_look(const struct settling *s, const struct message_record *m)
{
    return m->target_uid_from != MESSAGE_NOT_THERE &&
           (m->target_uid_from == 0 || s->other || m->target_uid_from >= s->floor);
}

/* What is known to be on the target is nobody's missing copy: all known UIDs first, then what has
 * none, or that of another message. */
static bool settle_one(void *context, const struct message_record *m)
{
    struct settling *s = context;
    struct match_row row = push_row_of(m);

    if (m->target_uid && !s->other && is_at_its_uid(s, m, &row))
        return true;
    if (!may_be_in_look(s, m))
        return true;
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 64;
        s->claims = mem_resize(s->claims, s->room, sizeof *s->claims);
    }
    s->claims[s->count++] = (struct match_claim){ .row = row, .from = s->other ? 0 : m->target_uid_from };
    return true;
}

static bool expect_one(void *context, const struct message_record *m)
{
    struct matcher *matcher = context;
    struct match_row row = push_row_of(m);

    if (m->state == MESSAGE_UPLOADED) {
        if (m->in_doubt)
            matcher_expect_sent(matcher, &row);
    } else if (m->state == MESSAGE_FOUND) {
        matcher_expect_unread(matcher, m->uid, row.seconds, m->listed_bytes);
    } else {
        matcher_expect(matcher, &row);
    }
    return true;
}

bool push_pair_settle(struct folder *f, uint32_t floor, struct err *err_r)
{
    struct reactor *reactor = f->account->reactor;
    const struct folder_record *r = &f->record;
    struct settling s = { .matcher = f->matcher,
                          .fidelity = &reactor->fidelity,
                          .floor = floor,
                          .other = f->target_moved || r->target_uids_lie };
    bool ok = true;

    if (r->target_open || r->target_scanned)
        ok = reader_messages(reactor->reader, r->user, r->folder, 1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT, 0,
                             false, 0, settle_one, &s, err_r);
    if (ok) {
        matcher_learn(f->matcher, s.claims, s.count, &reactor->fidelity);
        matcher_claim(f->matcher, s.claims, s.count, s.fidelity);
    }
    free(s.claims);
    /* Those that were put aside for what was seen before are looked at anew. */
    queue_recall(&f->ready);
    if (ok && matcher_count(f->matcher) > 0)
        ok = reader_messages(reactor->reader, r->user, r->folder,
                             1u << MESSAGE_FOUND | 1u << MESSAGE_SPOOLED | 1u << MESSAGE_UPLOADED, 0, false, 0,
                             expect_one, f->matcher, err_r);
    return ok;
}

/* ---- one message --------------------------------------------------------------------------- */

/* No message of the folder is going to be fetched before this must be decided. */
static bool nothing_more_comes(const struct folder *f)
{
    const struct reactor *reactor = f->account->reactor;
    struct spool_fill fill;

    if (reactor->settings->mode == SETTINGS_MODE_UPLOAD || f->record.tally.waiting == 0 || f->pull >= PULL_DONE ||
        f->account->day_over[SIDE_SOURCE])
        return true;
    spool_fill(reactor->spool, &fill);
    return fill.high;
}

bool push_pair_is_due(const struct folder *f)
{
    return f->ready.aside_count > 0 && nothing_more_comes(f);
}

struct reading {
    uint32_t uid;
    struct match_row row;
    bool waits;
};

static bool read_one(void *context, const struct message_record *m)
{
    struct reading *r = context;

    if (m->uid == r->uid) {
        r->waits = m->state == MESSAGE_FOUND;
        if (m->state == MESSAGE_SPOOLED)
            r->row = push_row_of(m);
    }
    return false;
}

static bool read_row(void *context, uint32_t uid, struct match_row *row_r)
{
    struct folder *f = context;
    struct reading r = { .uid = uid };
    unsigned all = 0;
    struct err err;

    for (unsigned s = MESSAGE_FOUND; s < MESSAGE_STATE_COUNT; s++)
        all |= 1u << s;
    if (!reader_messages(f->account->reactor->reader, f->record.user, f->record.folder, all, uid, false, 1, read_one,
                         &r, &err)) {
        reactor_abort_run(f->account->reactor, &err);
        return false;
    }
    *row_r = r.row;
    return !r.waits;
}

bool push_paired(struct folder *f, struct folder_item *item)
{
    struct reactor *reactor = f->account->reactor;
    struct match_unread unread = {
        .read = read_row, .context = f, .any = f->record.tally.waiting > 0, .sizes_exact = reactor->sizes_doubted == 0
    };
    struct match_row row = { .seconds = item_sent_date(item).known ? item->date_seconds : INT64_MIN,
                             .bytes = item_sent_bytes(item),
                             .digest = item->digest,
                             .uid = item->uid,
                             .sent = item->noted };
    uint32_t uid = 0;

    if (!f->matcher || matcher_count(f->matcher) == 0)
        return false;
    memcpy(row.key, item->header_key, sizeof row.key);
    unread.last = nothing_more_comes(f);
    item->in_doubt = false;
    switch (matcher_pair(f->matcher, &row, &reactor->fidelity, &unread, &uid)) {
    case MATCH_DOUBT:
        item->in_doubt = true;
        return false;
    case MATCH_NONE:
        return false;
    case MATCH_WAIT:
        queue_set_aside(&f->ready, item);
        f->account->puts_aside = true;
        return true;
    case MATCH_FOUND:
        push_item_found(f, item, uid, uid >= f->ours_from ? MESSAGE_UPLOADED : MESSAGE_PRESENT);
        return true;
    }
    return false;
}
