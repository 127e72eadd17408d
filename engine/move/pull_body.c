#include "engine/imap/uidset.h"
#include "engine/message/ladder.h"
#include "engine/message/placeholder.h"
#include "engine/message/policy.h"
#include "engine/move/allowance.h"
#include "engine/move/gmail.h"
#include "engine/move/pull_private.h"
#include "io/base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Few enough bodies a command that a lost connection costs little (quirk B26 wants <= 20). */
#define FETCH_MESSAGES_MAX 20u
#define FETCH_BYTES_MAX    (512u * 1024u)
/* So many connections lost while a message was asked for alone are its own doing. */
#define LOSSES_BLAMED 4u

/* One UID FETCH of bodies. */
struct fetch {
    struct worker *worker;
    struct folder *folder;
    enum session_body_form form;
    struct folder_item items[FETCH_MESSAGES_MAX];
    bool got[FETCH_MESSAGES_MAX];
    unsigned count;
    struct incoming in;
    bool answered;         /* some FETCH response came */
    struct assembly parts; /* of a form that asks for the message in parts */
    uint32_t suspect_uid;  /* whose literal did not end where it should; 0: none */
    bool suspect;
    bool placeholder; /* the server sent its own text in place of the last body */
    struct err why;   /* with placeholder */
};

static unsigned index_of(const struct fetch *fetch, uint32_t uid)
{
    for (unsigned i = 0; i < fetch->count; i++)
        if (fetch->items[i].uid == uid)
            return i;
    return UINT32_MAX;
}

static bool assembles(const struct fetch *fetch)
{
    return fetch->form == SESSION_BODY_PARTIAL || fetch->form == SESSION_BODY_HEADER;
}

static void body_begin(void *context, uint32_t uid, uint64_t size_bytes, uint64_t origin)
{
    struct fetch *fetch = context;

    if (assembles(fetch) && (!assembly_part(&fetch->parts, size_bytes, origin) || fetch->parts.got > 0))
        return;
    incoming_start(&fetch->in, fetch->folder, uid, size_bytes);
}

static void body_bytes(void *context, struct slice bytes)
{
    struct fetch *fetch = context;

    if (!assembles(fetch) || assembly_bytes(&fetch->parts, bytes))
        incoming_add(&fetch->in, bytes);
}

/* Only a whole short body can be one. */
static bool placeholder_dropped(struct fetch *fetch, uint32_t uid)
{
    char subject[200];

    if (!placeholder_is(incoming_raw(&fetch->in), subject, sizeof subject))
        return false;
    incoming_drop(&fetch->in);
    fetch->placeholder = true;
    err_set(&fetch->why, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_PROTOCOL, 0,
            "the server sends a placeholder: it cannot give the message \"%s\"", subject);
    err_doing(&fetch->why, "UID FETCH %" PRIu32, uid);
    return true;
}

static void body_is_whole(struct fetch *fetch, unsigned index)
{
    struct folder_item *item = &fetch->items[index];

    fetch->got[index] = true;
    pull_came(fetch->folder);
    if (pull_doubts_body(fetch->worker, item, fetch->in.got))
        pull_check_body(fetch->worker, &fetch->in, item);
    else
        pull_body_came(fetch->worker, &fetch->in, item);
}

static void body_end(void *context, uint32_t uid, bool got_body, bool suspect)
{
    struct fetch *fetch = context;
    unsigned index = index_of(fetch, uid);

    fetch->answered = true;
    if (suspect) {
        fetch->suspect = true;
        fetch->suspect_uid = uid ? uid : fetch->in.uid;
    }
    if (assembles(fetch)) {
        assembly_part_ended(&fetch->parts, index == 0 && got_body && !source_body_nil(link_source(fetch->worker->link)),
                            suspect);
        return;
    }
    if (index == UINT32_MAX || fetch->got[index] || !got_body || suspect || !fetch->in.active || fetch->in.broken ||
        (fetch->in.uid && fetch->in.uid != uid)) {
        if (got_body || suspect)
            incoming_drop(&fetch->in);
        return;
    }
    /* An empty body is no message: it vanished meanwhile, or the server could not (quirk B15). */
    if (fetch->in.got == 0) {
        incoming_drop(&fetch->in);
        return;
    }
    fetch->in.uid = uid;
    if (!placeholder_dropped(fetch, uid))
        body_is_whole(fetch, index);
}

static const struct session_body_events body_events = {
    .begin = body_begin,
    .bytes = body_bytes,
    .end = body_end,
};

static void message_ends(struct folder *f, struct folder_item *item, enum message_state state, enum skip_reason reason)
{
    struct store_op *op = store_op_new(STORE_OP_END, f->record.user, f->record.folder);

    op->end.ends = mem_zero(1, sizeof *op->end.ends);
    op->end.count = 1;
    op->end.ends[0] = (struct store_end){ .uid = item->uid, .state = state, .reason = reason };
    folder_count_end(f, MESSAGE_FOUND, state, 0, 1);
    item_deinit(item);
    reactor_submit_unwaited(f->account->reactor, op);
    pull_progressed(f->account);
    pull_settle_if_done(f);
}

static void message_fails(struct folder *f, struct folder_item *item, const char *type, const struct err *err)
{
    account_failure(f->account, FAILURE_SOURCE, TROUBLE_FETCH, type, err, f, item->uid);
    message_ends(f, item, MESSAGE_FAILED, SKIP_NONE);
}

static void message_vanished(struct folder *f, struct folder_item *item)
{
    f->vanished++;
    message_ends(f, item, MESSAGE_SKIPPED, SKIP_VANISHED);
}

static bool is_writable(const struct worker *w)
{
    return ((const struct pull *)w->work)->writable;
}

static bool is_through(const struct worker *w, const struct folder_item *item)
{
    return ladder_is_through(&item->ladder, is_writable(w));
}

/* It has failed in every form; one of which some came is told as that. */
static void has_failed(struct folder *f, struct folder_item *item, const char *type, const struct err *err)
{
    struct err torn;

    if (item->ladder.torn_bytes && !type) {
        err_set(&torn, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_PROTOCOL, 0,
                "the server gives %" PRIu64 " of %" PRIu64 " bytes of the message and no more, in every "
                "form of asking",
                item->ladder.torn_bytes, item->listed_bytes);
        err_doing(&torn, "UID FETCH %" PRIu32, item->uid);
        message_fails(f, item, "TruncatedMessage", &torn);
        return;
    }
    message_fails(f, item, type, err);
}

/* The item waits to be asked for in its next form, or has failed when there is none and the source gives others: then,
 * of a folder that gave no body at all, once more from the first form with the folder opened another way. */
static void next_rung(struct worker *w, struct folder *f, struct folder_item *item, const char *type,
                      const struct err *err)
{
    bool more = link_is_ready(w->link) ? ladder_goes_on(&item->ladder, is_writable(w)) : !is_through(w, item);

    folder_count_fetching(f, -1);
    if (!more && !pull_refused_is_own(f, item, err))
        return;
    if (!more && !f->bodies_came && pull_try_writable(w, f)) {
        item->ladder.tries = 0;
        more = true;
    }
    if (more)
        queue_push_front(&f->wanted, item);
    else
        has_failed(f, item, type, err);
}

/* A message that the server says OK to and gives nothing of, while it is looked for. */
struct silence {
    struct worker *worker;
    struct folder *folder;
    struct folder_item item;
    const char *type;
};

static void silent_looked(void *context, enum pull_presence presence)
{
    struct silence *s = context;
    struct folder *f = s->folder;
    struct err err;

    if (presence == PULL_GONE) {
        folder_count_fetching(f, -1);
        if (!gmail_vanished(f, &s->item, message_vanished))
            message_vanished(f, &s->item);
    } else if (presence == PULL_LATER) {
        folder_count_fetching(f, -1);
        s->item.ladder.tries--;
        queue_push_front(&f->wanted, &s->item);
    } else {
        err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_PROTOCOL, 0,
                presence == PULL_THERE
                    ? "the server answers OK but sends no body, in every form of asking"
                    : "the server answers OK but sends no body, in every form of asking, and it is not known "
                      "whether the message is still there");
        err_doing(&err, "UID FETCH %" PRIu32, s->item.uid);
        next_rung(s->worker, f, &s->item, s->type, &err);
    }
    free(s);
    pull_settle_if_done(f);
}

/* One message did not come: next rung, or its end, told by this type (NULL: by what the error is). What
 * nothing at all came for is looked for early, since it is most often gone, and once more before it
 * has failed. Counts as fetching on entry. */
static void try_again(struct worker *w, struct folder *f, struct folder_item *item, bool blamed, bool answered,
                      const char *type, const struct err *err)
{
    struct err silent;

    if (item->ladder.tries == 0)
        pull_refused_first(f, item);
    if (blamed)
        ladder_failed(&item->ladder);
    if (!err && !answered && (item->ladder.tries == 2 || is_through(w, item)) && link_is_ready(w->link)) {
        struct silence *s = mem_zero(1, sizeof *s);

        *s = (struct silence){ .worker = w, .folder = f, .item = *item, .type = type };
        pull_look(w, f, item->uid, silent_looked, s);
        return;
    }
    if (!err) {
        err_set(&silent, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_PROTOCOL, 0,
                "the server answers OK but sends no body, in every form of asking");
        err_doing(&silent, "UID FETCH %" PRIu32, item->uid);
        err = &silent;
    }
    next_rung(w, f, item, type, err);
}

void pull_body_refused(struct worker *w, struct folder *f, struct folder_item *item, const char *type,
                       const struct err *err)
{
    ladder_failed(&item->ladder);
    next_rung(w, f, item, type, err);
}

static void fetch_send(struct fetch *fetch);

/* Does the message go to the next rung? A throttled answer says nothing about it. When the
 * connection broke, the message in the middle of its literal is to blame, or the one whose literal
 * was of another length than announced; where there is none, all are asked for alone from then on,
 * until one has seen too many connections go. */
static bool is_blamed(const struct fetch *fetch, struct folder_item *item, const struct err *err)
{
    if (!err)
        return true;
    if (err->class == ERR_CLASS_CANCELED || err->class == ERR_CLASS_THROTTLED)
        return false;
    if (link_is_ready(fetch->worker->link))
        return true;
    if (fetch->suspect)
        return fetch->suspect_uid == item->uid || fetch->count == 1;
    if (fetch->in.active)
        return fetch->in.uid == item->uid || fetch->count == 1;
    if (item->losses < UINT8_MAX)
        item->losses++;
    if (item->ladder.tries == 0) {
        item->ladder.tries = 1;
        return false;
    }
    return item->losses % LOSSES_BLAMED == 0;
}

/* Some servers end the session over a large set of bodies (quirk B26). */
static void learn_most(struct account *account, const struct fetch *fetch, const struct err *err)
{
    if (err && err->origin == ERR_ORIGIN_BYE && fetch->count > 1 && !fetch->answered)
        account->fetch_most = fetch->count / 2;
}

/* One part of the only message was answered, or refused. True: the next is to be asked for. */
static bool assembled(struct fetch *fetch, const struct err *err)
{
    struct assembly *parts = &fetch->parts;
    struct folder_item *item = &fetch->items[0];
    enum assembly_answer answer = err ? ASSEMBLY_TORN : assembly_ended(parts);

    if (fetch->in.broken || (parts->got && !fetch->in.active))
        answer = ASSEMBLY_TORN;
    if (answer == ASSEMBLY_WHOLE && !placeholder_dropped(fetch, item->uid)) {
        fetch->in.uid = item->uid;
        body_is_whole(fetch, 0);
    }
    if (answer == ASSEMBLY_TORN && link_is_ready(fetch->worker->link))
        ladder_tore(&item->ladder, parts->got);
    return answer == ASSEMBLY_MORE;
}

static void fetch_ended(void *context, const struct err *err)
{
    struct fetch *fetch = context;
    struct worker *w = fetch->worker;
    struct pull *p = w->work;
    struct folder *f = fetch->folder;
    bool link_lost = err && !link_is_ready(w->link);
    struct err damaged;

    if (assembles(fetch) && assembled(fetch, err)) {
        fetch_send(fetch);
        return;
    }
    err_set(&damaged, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_PROTOCOL, 0,
            "what follows the body in the server's answer makes no sense");
    w->inflight--;
    p->alone = false;
    learn_most(f->account, fetch, err);
    for (unsigned i = fetch->count; i-- > 0;) {
        struct folder_item *item = &fetch->items[i];

        if (fetch->got[i])
            continue;
        err_doing(&damaged, "UID FETCH %" PRIu32, item->uid);
        if (!err && fetch->suspect && fetch->suspect_uid == item->uid)
            try_again(w, f, item, true, true, "ParseError", &damaged);
        else if (!err && fetch->placeholder)
            try_again(w, f, item, true, fetch->answered, "MessageUnreadable", &fetch->why);
        else
            try_again(w, f, item, is_blamed(fetch, item, err), fetch->answered, NULL, err);
    }
    incoming_drop(&fetch->in);
    free(fetch);
    if (err && err->class == ERR_CLASS_THROTTLED && err->scope != ERR_SCOPE_SESSION) {
        struct trouble_verdict verdict;

        /* Also a server that names no time means some. */
        trouble_judge(TROUBLE_FETCH, FAILURE_SOURCE, err, 0, UINT32_MAX, f->account->id, &verdict);
        account_throttled(f->account, SIDE_SOURCE, 0, err, verdict.wait_ms);
    }
    pull_settle_if_done(f);
    if (!link_lost)
        worker_idle(w);
}

static void fetch_send(struct fetch *fetch)
{
    char text[1000];
    struct uidset set;

    /* Items are in ascending order, and so few that the text always holds them. */
    uidset_init(&set, text, sizeof text);
    for (unsigned i = 0; i < fetch->count; i++) {
        bool fits = uidset_add(&set, fetch->items[i].uid);

        assert(fits);
    }
    fetch->answered = false;
    source_bodies(link_source(fetch->worker->link), uidset_finish(&set),
                  assembles(fetch) ? assembly_form(&fetch->parts) : fetch->form, fetch->parts.part_from,
                  fetch->form == SESSION_BODY_PARTIAL ? ASSEMBLY_PART_BYTES : 0, &body_events, fetch_ended, fetch);
}

static int item_by_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct folder_item *)a)->uid, y = ((const struct folder_item *)b)->uid;

    return (x > y) - (x < y);
}

/* What the target would refuse for its size is not fetched; it ends as if it had been. */
static void leave_too_large(struct folder *f, struct folder_item *item)
{
    struct account *account = f->account;
    char words[128];
    struct err err;

    err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_CONFIG, 0, "%s",
            size_limit_words(account, f->append_limit, words, sizeof words));
    err_doing(&err, "UID FETCH");
    account_failure(account, FAILURE_TARGET, TROUBLE_APPEND, "MessageTooLarge", &err, f, item->uid);
    message_ends(f, item, MESSAGE_FAILED, SKIP_NONE);
}

/* The size that came counts, whatever was listed. Gives the item its end where it may not be sent. */
static bool is_unwanted(struct folder *f, struct folder_item *item, uint64_t got_bytes)
{
    struct message_record m = {
        .uid = item->uid, .date_known = item->date_known, .date_seconds = item->date_seconds, .listed_bytes = got_bytes
    };
    enum skip_reason reason = policy_judge(f->account->reactor->settings, f->account->user, &m);
    bool forbidden = size_limit_forbids(f->account, f->append_limit, got_bytes);

    if (got_bytes <= item->listed_bytes || (reason == SKIP_NONE && !forbidden))
        return false;
    folder_count_fetching(f, -1);
    if (reason != SKIP_NONE)
        message_ends(f, item, MESSAGE_SKIPPED, reason);
    else
        leave_too_large(f, item);
    return true;
}

static void tell_size(struct folder *f, const struct folder_item *item, uint64_t got_bytes)
{
    uint64_t before = 0;

    account_doubts(f->account, f, "SizeDiffers", &before);
    account_doubt(f->account, f, "SizeDiffers", before + 1,
                  "UID %" PRIu32 ": %" PRIu64 " bytes came where the server lists %" PRIu64
                  ", and its other sizes are exact",
                  item->uid, got_bytes, item->listed_bytes);
}

/* Of another size than listed: where the server's sizes are no estimates it is asked for in another form,
 * and taken when that is no better. */
static bool is_asked_again(struct worker *w, struct incoming *in, struct folder_item *item)
{
    enum size_trust trust = pull_size_trust(w->account->reactor);

    if (link_is_ready(w->link) && !ladder_takes(&item->ladder, item->listed_bytes, in->got, trust))
        return true;
    if (trust == SIZES_EXACT && item->listed_bytes && in->got != item->listed_bytes)
        tell_size(in->folder, item, in->got);
    return false;
}

void pull_body_came(struct worker *w, struct incoming *in, struct folder_item *item)
{
    struct folder *f = in->folder;
    struct err err;

    if (is_unwanted(f, item, in->got)) {
        incoming_drop(in);
    } else if (is_asked_again(w, in, item)) {
        err_set(&err, ERR_CLASS_PERMANENT, ERR_SCOPE_MESSAGE, ERR_ORIGIN_PROTOCOL, 0,
                "%" PRIu64 " bytes came of %" PRIu64, in->got, item->listed_bytes);
        err_doing(&err, "UID FETCH %" PRIu32, item->uid);
        incoming_drop(in);
        pull_body_refused(w, f, item, "TruncatedMessage", &err);
    } else {
        incoming_finish(in, item);
    }
}

/* The next message of the queue that is worth fetching. Ends the run and gives false when the journal
 * cannot be read. */
static bool next_wanted(struct folder *f, struct folder_item *item_r)
{
    struct err err;

    for (;;) {
        if (f->wanted.count == 0 && !queue_refill(&f->wanted, f, MESSAGE_FOUND, &err)) {
            reactor_abort_run(f->account->reactor, &err);
            return false;
        }
        if (!queue_pop(&f->wanted, item_r)) {
            if (f->wanted.later_count == 0)
                return false;
            queue_take_put_off(&f->wanted, 0, item_r);
        }
        if (!size_limit_forbids(f->account, f->append_limit, item_r->listed_bytes))
            return true;
        leave_too_large(f, item_r);
    }
}

/* Asks for the next messages; false when there are none. */
bool pull_fetch_some(struct worker *w)
{
    struct pull *p = w->work;
    struct folder *f = w->folder;
    struct fetch *fetch;
    struct folder_item item;
    unsigned most = f->account->fetch_most ? f->account->fetch_most : FETCH_MESSAGES_MAX;
    uint64_t bytes = 0;

    /* With others behind it, one that was lost with a connection would be lost again and again where a
     * server ends each session after some commands: it goes first, and alone. */
    if (p->alone || !next_wanted(f, &item))
        return false;
    if ((item.losses && w->inflight) || !allowance_allows(f->account, SIDE_SOURCE, item.listed_bytes)) {
        queue_push_front(&f->wanted, &item);
        return false;
    }
    p->alone = item.losses > 0;
    fetch = mem_zero(1, sizeof *fetch);
    fetch->worker = w;
    fetch->folder = f;
    fetch->form = ladder_begin(&item.ladder, is_writable(w), item.listed_bytes, pull_size_trust(f->account->reactor),
                               &fetch->parts);
    do {
        if (fetch->count &&
            (item.ladder.tries || fetch->items[0].ladder.tries || bytes + item.listed_bytes > FETCH_BYTES_MAX ||
             !allowance_allows(f->account, SIDE_SOURCE, item.listed_bytes))) {
            queue_push_front(&f->wanted, &item);
            break;
        }
        allowance_spend(f->account, SIDE_SOURCE, item.listed_bytes);
        bytes += item.listed_bytes;
        fetch->items[fetch->count++] = item;
        folder_count_fetching(f, 1);
    } while (fetch->count < most && f->wanted.count && next_wanted(f, &item));
    qsort(fetch->items, fetch->count, sizeof *fetch->items, item_by_uid);
    w->inflight++;
    fetch_send(fetch);
    return true;
}
