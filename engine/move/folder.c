#include "engine/move/folder.h"

#include "engine/move/account.h"
#include "io/base/mem.h"

#include <assert.h>
#include <stdlib.h>

/* A ring this long bridges the time of some commits; what does not fit is read back from the
 * journal, page by page. */
#define QUEUE_MAX 1024u

static struct slice kept(char **text, const char *value)
{
    if (value) {
        free(*text);
        *text = mem_text(value);
    }
    return slice_cstr(*text);
}

void folder_set_names(struct folder *folder, const char *source_raw, const char *source_name, const char *target_raw,
                      const char *target_name)
{
    folder->record.source_raw = kept(&folder->source_raw, source_raw);
    folder->record.source_name = kept(&folder->source_name, source_name);
    folder->record.target_raw = kept(&folder->target_raw, target_raw);
    folder->record.target_name = kept(&folder->target_name, target_name);
    push_touch(folder);
}

struct folder *folder_create(struct account *account, const struct folder_record *record)
{
    struct folder *folder = mem_zero(1, sizeof *folder);

    folder->account = account;
    folder->record = *record;
    folder->source_raw = slice_dup(record->source_raw);
    folder->source_name = slice_dup(record->source_name);
    folder->target_raw = record->target_raw.size ? slice_dup(record->target_raw) : NULL;
    folder->target_name = record->target_name.size ? slice_dup(record->target_name) : NULL;
    folder_set_names(folder, NULL, NULL, NULL, NULL);
    folder->floor = record->target_uid_floor;
    folder->highest_seen = folder->seen_before = record->target_highest_seen;
    folder->uidvalidity_before = record->target_uidvalidity;
    queue_init(&folder->wanted, folder);
    queue_init(&folder->ready, folder);
    folder->wanted.more = record->tally.waiting > 0;
    folder->ready.more = record->tally.spooled > 0;
    folder->ours_from = folder->lost_above = UINT32_MAX;
    folder->uncertain = record->target_open && record->tally.spooled > 0;
    folder->unproved_before = record->tally.uploaded > 0 && !record->target_counted;
    return folder;
}

void folder_set_pull(struct folder *folder, enum folder_pull pull)
{
    folder->pull = pull;
    push_touch(folder);
}

void folder_set_push(struct folder *folder, enum folder_push push)
{
    folder->push = push;
    push_touch(folder);
}

void folder_count_fetching(struct folder *folder, int change)
{
    folder->fetching += (unsigned)change;
    folder->account->incoming += (unsigned)change;
}

void folder_count_storing(struct folder *folder, int change)
{
    folder->storing += (unsigned)change;
    folder->account->incoming += (unsigned)change;
}

void folder_park(struct folder *folder, bool parked)
{
    folder->account->parked += parked;
    folder->account->parked -= folder->parked;
    folder->parked = parked;
}

void folder_destroy(struct folder **folder)
{
    struct folder *f = *folder;

    if (!f)
        return;
    loop_timer_clear(f->account->reactor->loop, &f->again);
    loop_timer_clear(f->account->reactor->loop, &f->refused_again);
    queue_deinit(&f->wanted);
    queue_deinit(&f->ready);
    push_unanswered_drop(f);
    matcher_destroy(&f->matcher);
    matcher_destroy(&f->first_look);
    free(f->refused_raw);
    free(f->refused_name);
    push_said_drop(f);
    free(f->view);
    free(f->source_raw);
    free(f->source_name);
    free(f->target_raw);
    free(f->target_name);
    free(f);
    *folder = NULL;
}

void folder_forget(struct folder *folder)
{
    struct folder_record *r = &folder->record;

    reactor_submit_unwaited(folder->account->reactor, store_op_new(STORE_OP_FORGET, r->user, r->folder));
    tally_take(&folder->account->total, &r->tally);
    r->tally = (struct tally){ 0 };
    push_touch(folder);
    folder_record_forget(r);
    folder->account->follow_wanted -= folder->follow.wanted;
    folder->account->follow_gone -= folder->follow.gone;
    folder->follow.modseq = folder->follow.absent = 0;
    folder->follow.wanted = folder->follow.gone = folder->follow.kept = 0;
    folder->floor = 0;
}

void folder_seen(struct folder *folder)
{
    folder->seen_held = false;
    folder->record.target_highest_seen = folder->highest_seen;
}

void folder_put(struct folder *folder)
{
    struct reactor *reactor = folder->account->reactor;
    struct store_op *op = store_op_new(STORE_OP_FOLDER, folder->record.user, folder->record.folder);
    struct folder_record *r = &op->folder_record;
    struct slice *texts[] = { &r->source_raw, &r->source_name, &r->target_raw, &r->target_name };
    size_t size = 0;
    char *at;

    push_touch(folder);
    *r = folder->record;
    for (unsigned i = 0; i < 4; i++)
        size += texts[i]->size;
    at = op->text = mem_alloc(size);
    for (unsigned i = 0; i < 4; i++) {
        if (texts[i]->size)
            memcpy(at, texts[i]->data, texts[i]->size);
        texts[i]->data = at;
        at += texts[i]->size;
    }
    reactor_submit_unwaited(reactor, op);
}

void queue_init(struct folder_queue *q, const struct folder *folder)
{
    *q = (struct folder_queue){ 0 };
    q->oldest_first = folder->account->reactor->settings->policy.order == SETTINGS_OLDEST_FIRST;
    q->from_uid = q->oldest_first ? 0 : UINT32_MAX;
}

static void grow(struct folder_queue *q)
{
    unsigned room = q->room ? q->room * 2 : 32;
    struct folder_item *items = mem_zero(room, sizeof *items);

    for (unsigned i = 0; i < q->count; i++)
        items[i] = q->items[(q->head + i) % q->room];
    free(q->items);
    q->items = items;
    q->head = 0;
    q->room = room;
}

static unsigned known_slot(const struct folder_queue *q, uint32_t uid)
{
    unsigned at = (uid * 2654435761u) & (q->known_room - 1);

    while (q->known[at] && q->known[at] != uid)
        at = (at + 1) & (q->known_room - 1);
    return at;
}

static bool is_known(const struct folder_queue *q, uint32_t uid)
{
    return q->known_room && q->known[known_slot(q, uid)] == uid;
}

static void make_known(struct folder_queue *q, uint32_t uid)
{
    if ((q->known_count + 1) * 2 > q->known_room) {
        uint32_t *old = q->known;
        unsigned room = q->known_room;

        q->known_room = room ? room * 2 : 64;
        q->known = mem_zero(q->known_room, sizeof *q->known);
        for (unsigned i = 0; i < room; i++)
            if (old[i])
                q->known[known_slot(q, old[i])] = old[i];
        free(old);
    }
    q->known[known_slot(q, uid)] = uid;
    q->known_count++;
}

void queue_forget(struct folder_queue *q, uint32_t uid)
{
    unsigned at, mask = q->known_room - 1;

    if (!is_known(q, uid))
        return;
    at = known_slot(q, uid);
    q->known[at] = 0;
    q->known_count--;
    /* Those behind it may have stepped over its place. */
    for (unsigned i = (at + 1) & mask; q->known[i]; i = (i + 1) & mask) {
        uint32_t moved = q->known[i];

        q->known[i] = 0;
        q->known[known_slot(q, moved)] = moved;
    }
}

void queue_push_back(struct folder_queue *q, const struct folder_item *item)
{
    if (is_known(q, item->uid) || q->count >= QUEUE_MAX) {
        struct folder_item gone = *item;

        if (!is_known(q, item->uid)) {
            q->more = true;
            /* A scan that has not come so far yet will meet it. */
            if (q->oldest_first ? item->uid < q->from_uid : item->uid > q->from_uid)
                q->from_uid = q->oldest_first ? 0 : UINT32_MAX;
        }
        item_deinit(&gone);
        return;
    }
    make_known(q, item->uid);
    if (q->count == q->room)
        grow(q);
    q->items[(q->head + q->count++) % q->room] = *item;
}

/* Always fits: what comes back to the front was taken from here. */
void queue_push_front(struct folder_queue *q, const struct folder_item *item)
{
    if (q->count == q->room)
        grow(q);
    q->head = (q->head + q->room - 1) % q->room;
    q->items[q->head] = *item;
    q->count++;
}

void queue_set_aside(struct folder_queue *q, struct folder_item *item)
{
    if (q->aside_count == q->aside_room) {
        q->aside_room = q->aside_room ? q->aside_room * 2 : 32;
        q->aside = mem_resize(q->aside, q->aside_room, sizeof *q->aside);
    }
    q->aside[q->aside_count++] = item->uid;
    item_deinit(item);
}

void queue_recall(struct folder_queue *q)
{
    if (q->aside_count == 0)
        return;
    for (unsigned i = 0; i < q->aside_count; i++)
        queue_forget(q, q->aside[i]);
    q->aside_count = 0;
    q->more = true;
    q->from_uid = q->oldest_first ? 0 : UINT32_MAX;
}

void queue_put_off(struct folder_queue *q, const struct folder_item *item, bool first)
{
    unsigned at = first ? 0 : q->later_count;

    if (q->later_count == q->later_room) {
        q->later_room = q->later_room ? q->later_room * 2 : 16;
        q->later = mem_resize(q->later, q->later_room, sizeof *q->later);
    }
    memmove(q->later + at + 1, q->later + at, (q->later_count++ - at) * sizeof *q->later);
    q->later[at] = *item;
}

void queue_take_put_off(struct folder_queue *q, unsigned at, struct folder_item *item_r)
{
    assert(at < q->later_count);
    *item_r = q->later[at];
    memmove(q->later + at, q->later + at + 1, (--q->later_count - at) * sizeof *q->later);
}

bool queue_pop(struct folder_queue *q, struct folder_item *item_r)
{
    if (q->count == 0)
        return false;
    *item_r = q->items[q->head];
    q->head = (q->head + 1) % q->room;
    q->count--;
    return true;
}

void queue_deinit(struct folder_queue *q)
{
    struct folder_item item;

    while (queue_pop(q, &item))
        item_deinit(&item);
    while (q->later_count)
        item_deinit(&q->later[--q->later_count]);
    free(q->later);
    free(q->items);
    free(q->known);
    free(q->aside);
    *q = (struct folder_queue){ 0 };
}

void item_of_record(struct folder_item *item, const struct message_record *record)
{
    *item = (struct folder_item){
        .uid = record->uid,
        .flags = record->flags,
        .zone_minutes = record->zone_minutes,
        .date_known = record->date_known,
        .date_seconds = record->date_seconds,
        .listed_bytes = record->listed_bytes,
        .body = record->body,
        .body_bytes = record->body_bytes,
        .source_id = record->source_id,
        .repairs = record->repairs,
        .repaired_bytes = record->repaired_bytes,
        .noted = record->unanswered > 0,
        .keywords = record->keywords.size ? slice_dup(record->keywords) : NULL,
    };
    memcpy(&item->digest, record->digest, sizeof item->digest);
    memcpy(item->header_key, record->header_key, MATCH_KEY_BYTES);
}

void item_deinit(struct folder_item *item)
{
    free(item->keywords);
    item->keywords = NULL;
}

struct refill {
    struct folder_queue *q;
    const struct folder_queue *storing; /* NULL, or the queue whose known messages are not taken */
    unsigned taken;
    uint32_t last;
};

static bool refill_one(void *context, const struct message_record *record)
{
    struct refill *r = context;
    struct folder_item item;

    r->taken++;
    r->last = record->uid;
    if (r->storing && is_known(r->storing, record->uid))
        return true;
    item_of_record(&item, record);
    queue_push_back(r->q, &item);
    return true;
}

bool queue_refill(struct folder_queue *q, struct folder *folder, enum message_state state, struct err *err_r)
{
    /* The journal shows a body as spooled before the writer's answer has come home to this loop. Until
     * then the fetching side still has the message, and hands it over when the answer comes: taken
     * here, it could reach its end before it was counted as spooled. */
    struct refill r = { .q = q, .storing = state == MESSAGE_SPOOLED ? &folder->wanted : NULL };
    unsigned limit = QUEUE_MAX / 2;
    bool oldest = q->oldest_first;

    assert(q->count == 0);
    if (!q->more)
        return true;
    if (!reader_messages(folder->account->reactor->reader, folder->record.user, folder->record.folder, 1u << state,
                         q->from_uid, !oldest, limit, refill_one, &r, err_r))
        return false;
    if (r.taken < limit) {
        q->more = false;
        q->from_uid = oldest ? 0 : UINT32_MAX;
    } else {
        q->from_uid = oldest ? r.last + 1 : r.last - 1;
    }
    return true;
}

static uint64_t *slot(struct tally *t, enum message_state state)
{
    switch (state) {
    case MESSAGE_FOUND:
        return &t->waiting;
    case MESSAGE_SPOOLED:
        return &t->spooled;
    case MESSAGE_UPLOADED:
        return &t->uploaded;
    case MESSAGE_PRESENT:
        return &t->present;
    case MESSAGE_SKIPPED:
        return &t->skipped;
    case MESSAGE_FAILED:
        return &t->failed;
    case MESSAGE_STATE_COUNT:
        break;
    }
    assert(!"a message state");
    return NULL;
}

/* What the display counts of a state; NULL for those that are still pending. */
static _Atomic uint64_t *shown(struct counters *c, enum message_state state)
{
    switch (state) {
    case MESSAGE_UPLOADED:
        return &c->uploaded;
    case MESSAGE_PRESENT:
        return &c->present;
    case MESSAGE_SKIPPED:
        return &c->skipped;
    case MESSAGE_FAILED:
        return &c->failed;
    case MESSAGE_FOUND:
    case MESSAGE_SPOOLED:
    case MESSAGE_STATE_COUNT:
        break;
    }
    return NULL;
}

void folder_count_found(struct folder *folder, enum message_state state, uint64_t bytes)
{
    struct tally *tallies[] = { &folder->record.tally, &folder->account->total };
    struct counters *c = &folder->account->reactor->counters;

    for (unsigned i = 0; i < 2; i++) {
        tallies[i]->found++;
        tallies[i]->bytes_found += bytes;
        ++*slot(tallies[i], state);
    }
    count(&c->found, 1);
    count(&c->bytes_found, bytes);
    if (shown(c, state))
        count(shown(c, state), 1);
    push_touch(folder);
}

void folder_count_excluded(struct folder *folder, const struct tally *before, uint64_t messages, uint64_t bytes)
{
    struct counters *c = &folder->account->reactor->counters;
    struct tally *t = &folder->record.tally;

    tally_take(&folder->account->total, t);
    t->skipped = messages > t->failed ? messages - t->failed : 0;
    t->found = t->skipped + t->failed;
    t->bytes_found = bytes;
    tally_add(&folder->account->total, t);
    /* What an earlier run has counted is no news; fewer than then is a step back, which wraps and adds up. */
    count(&c->found, t->found - before->found);
    count(&c->skipped, t->skipped - before->skipped);
    count(&c->failed, t->failed - before->failed);
    count(&c->bytes_found, t->bytes_found - before->bytes_found);
    push_touch(folder);
}

/* Counts the folder as done for the display, once. */
static void folder_maybe_done(struct folder *folder)
{
    if (!folder->counted_done && folder->pull == PULL_DONE && folder_pending(folder) == 0) {
        folder->counted_done = true;
        count(&folder->account->reactor->counters.folders_done, 1);
    }
}

void folder_count_end(struct folder *folder, enum message_state from, enum message_state to, uint64_t bytes,
                      uint64_t messages)
{
    struct counters *c = &folder->account->reactor->counters;
    struct tally *tallies[] = { &folder->record.tally, &folder->account->total };

    for (unsigned i = 0; i < 2; i++) {
        uint64_t *left = slot(tallies[i], from);

        assert(*left >= messages);
        *left -= messages;
        *slot(tallies[i], to) += messages;
    }
    push_touch(folder);
    /* Sums of all runs are shown, so a count may go down; the arithmetic is modular. */
    if (shown(c, from))
        count(shown(c, from), -messages);
    if (shown(c, to))
        count(shown(c, to), messages);
    if (to == MESSAGE_SPOOLED) {
        count(&c->fetched, messages);
        count(&c->bytes_fetched, bytes);
        folder->account->fetched_bytes += bytes;
    } else if (to == MESSAGE_UPLOADED) {
        count(&c->bytes_uploaded, bytes);
        folder->account->uploaded_bytes += bytes;
    }
    folder_maybe_done(folder);
}

static void wanted_stored(void *context, struct store_op *op, const struct err *err)
{
    struct folder *folder = context;

    (void)op;
    folder->account->told--;
    if (err) {
        reactor_abort_run(folder->account->reactor, err);
    } else {
        folder->wanted.more = true;
        folder->wanted.from_uid = folder->wanted.oldest_first ? 0 : UINT32_MAX;
    }
    account_poke(folder->account);
}

void folder_want_stored(struct folder *folder)
{
    folder->account->told++;
    reactor_submit(folder->account->reactor, store_op_new(STORE_OP_FLUSH, 0, 0), wanted_stored, folder);
}

uint64_t folder_pending(const struct folder *folder)
{
    return folder->record.tally.waiting + folder->record.tally.spooled;
}
