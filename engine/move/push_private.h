/* What push, push_queue, push_make, push_open and push_send share. Internal to the push side of engine/move.
 */
#ifndef ENGINE_MOVE_PUSH_PRIVATE_H
#define ENGINE_MOVE_PUSH_PRIVATE_H

#include "engine/imap/uidtable.h"
#include "engine/message/uid_window.h"
#include "engine/move/push.h"

enum push_step { PUSH_STEP_FREE, PUSH_STEP_OPENING, PUSH_STEP_MAKING };

/* What is asked of a folder before it is sent to. */
#define PUSH_STATUS (IMAP_STATUS_MESSAGES | IMAP_STATUS_UIDNEXT | IMAP_STATUS_UIDVALIDITY | IMAP_STATUS_APPENDLIMIT)

/* push_look: which rows a look got, and which it did not. */
struct push_look {
    struct uidtable seen;
    struct uid_window window;
    uint32_t *missing;
    unsigned missing_count;
    unsigned at, lacking, seen_before; /* of those missing: asked for now; that did not come even so */
    unsigned damaged_before;           /* session_damaged_count when the look began */
    void (*ended)(struct worker *w, const struct err *err);
};

/* push_own: copies of ours that are asked for to see whether their UIDs are right, and what they look like. */
#define PUSH_OWN_MAX 16u
struct push_own {
    struct match_row rows[PUSH_OWN_MAX];
    unsigned count, right, wrong;
    unsigned right_before, wrong_before; /* of those that were told before this run */
    bool unplaced;                       /* of some rows it is not known where in the folder their copies are */
    void (*ended)(struct worker *w, const struct err *err);
};

/* So many folders rest, and nothing was taken since: the mailbox does. */
#define FOLDERS_RESTING 2u

/* What push keeps for a worker. */
struct push {
    enum push_step step;
    unsigned attempts;
    unsigned making; /* folders of push_make_begin that have not ended */
    /* scan */
    struct matcher *scan;
    uint32_t from, to, uidnext;
    uint32_t floor; /* the scan looks at UIDs from here */
    struct push_look look;
    struct push_own own;
    /* push_exists */
    bool shown;  /* the folder is listed by its very name */
    char *other; /* raw name of one that differs by case or form only, or NULL */
    void (*exists_ended)(struct worker *w, const struct err *err);
    bool strangers; /* what it looks for is nobody's lost APPEND */
    struct loop_timer later;
};

/* push_queue: messages of the folder wait to be sent. */
bool push_has_mail(const struct folder *f);
/* push_queue: the folder with most to send for each of its workers, to a factor of two, which one more worker could
 * go on with; NULL: none. */
struct folder *push_choose(struct account *account);
/* push_queue: the next folder (after NULL: the first) that may be made together with others; NULL: no more. Those
 * that are there by now, or cannot be made so, are left out for good. */
struct folder *push_next_unmade(struct account *account, struct folder *after);
/* STATUS of its target was told. */
void push_status_told(struct folder *f, const struct imap_status *status);
/* push_queue: it has a name on the target, is not there, and is one that is made also when it is empty. */
bool push_must_make(const struct folder *f);
/* The worker gives its folder back; nothing of it may be in flight on this worker. */
void push_folder_release(struct worker *w);

/* push: a look at the folder on the worker's ready link, no APPEND under way; it counts in account.proving until it
 * ends. */
void push_proof_begin(struct worker *w, struct folder *f);
void push_proof_end(struct worker *w);

/* push_make: makes up to `most` folders that are missing, together. True: it has begun, and calls worker_idle
 * when they are there or left to push_open_begin. */
bool push_make_begin(struct worker *w, unsigned most);

/* push_open: a step before the first message was refused: rest, try again, or the folder is refused for good (true);
 * again: not yet, it is tried once more in another way. */
bool push_refused(struct folder *f, enum trouble_doing doing, const struct err *err, unsigned attempts, bool again);
/* push_make: CREATE was refused because the folder exists. */
bool push_exists_already(const struct err *err);
/* push_exists: whether it is the worker's folder that exists: asks, and tells NULL, or why it is not, or why nobody
 * knows. The first is ALREADYEXISTS too. */
void push_exists_ask(struct worker *w, void (*told)(struct worker *w, const struct err *err));
/* CREATE of the folder was answered OK. */
void push_made(struct folder *f);
/* SELECT of the folder told its numbers, and which keywords the mailbox takes. */
void push_selected(struct folder *f, const struct imap_selected *selected);
/* The worker's link needs no selected folder any more; its answer is not waited for. */
void push_unselect(struct worker *w);
/* push_open: makes, asks, scans and opens the worker's folder, then calls worker_idle. */
void push_open_begin(struct worker *w);
/* push_look: reads what the selected folder of the worker holds from push.floor on into push.scan, as its
 * target_status and push.uidnext tell of it. ended: with an error when the look is not whole, so that it proves
 * nothing; maybe called at once. */
void push_look(struct worker *w, void (*ended)(struct worker *w, const struct err *err));
void push_look_clear(struct push_look *look);
/* Its target counts none; a count that was not told is none. */
bool push_holds_nothing(const struct folder *f);
/* Twins that may be ours and are not paired yet keep the floor where it is. */
bool push_matcher_holds_floor(const struct folder *f);

/* push_name: err is the target's refusal to make the folder. True: it has another name now, by which it is to be tried;
 * that may be the only one that the target can hold. False: there is none, and it has its first one again. */
bool push_name_other(struct folder *f, const struct err *err);
/* Would there be one? Nothing changes. */
bool push_name_may_differ(const struct folder *f, const struct err *err);
/* push_name: the folder is there. Was it by another name, that is told, and stays. */
void push_name_stands(struct folder *f);

/* push_mend: the target refused the message for its content. Takes item (its keywords too): it comes
 * back into the queue mended by one step more, or has failed when nothing is left to try. */
void push_mend(struct folder *f, struct folder_item *item, const struct err *refusal);
/* Policy disarm-read-receipts: reads the header of a message. True when it asks for a receipt; then item
 * (its keywords too) is taken, and comes back into the queue when the journal has durably how it is sent:
 * by that size it is known again on the target, should this process die. */
bool push_disarm(struct folder *f, struct folder_item *item);

/* push_later: the APPEND of this message was refused. True: for its own sake, and the item stays the caller's. Else
 * it is taken (its keywords too): others of the folder go first, or the folder rests for a while. */
bool push_later_is_own(struct folder *f, struct folder_item *item, const struct err *err);
/* push_later: the same where it was refused for its own sake in words about it, and nothing is left that could mend
 * it: has it failed? */
bool push_later_is_last(struct folder *f, struct folder_item *item, const struct err *err);
/* push_later: the folder is left alone for so long; so is the mailbox where several are, since it took a message.
 * first: this one was not. */
void push_later_rest(struct folder *f, uint32_t wait_ms, bool first);
/* push_later: so many messages were taken; they were sent when so many refusals had been seen. */
void push_later_took(struct folder *f, uint32_t seen_at_send, unsigned messages);
/* push_later: the connection went while the message was under way; so often that it is put off for good. */
void push_later_lost(struct folder *f, struct folder_item *item, const struct err *err);
bool push_later_is_lost(const struct folder_item *item);
/* push_later: nothing of the folder may be sent now; one that was put off may; it is taken out, for the worker. */
bool push_later_pauses(const struct folder *f);
bool push_later_is_due(const struct folder *f);
bool push_later_next(struct worker *w, struct folder *f, struct folder_item *item_r);
/* push_later: before it is sent: it cost its connections, and has failed for that; then item is taken. */
bool push_later_ends(struct folder *f, struct folder_item *item);

/* push_said: the last that was said of the message; NULL: nothing is kept. Kept until the message has ended. */
void push_said_keep(struct folder *f, uint32_t uid, const struct err *err);
const struct err *push_said(const struct folder *f, uint32_t uid);
void push_said_forget(struct folder *f, uint32_t uid);

/* push_full: an APPEND was stored / a folder of this mailbox could be asked for its numbers. */
void push_took(struct account *account);
void push_opens(struct account *account);
/* The APPEND of the message uid was refused; before the account is held for it. True: the mailbox is
 * full, as far as one can tell, and full_r says so. */
bool push_is_full(struct folder *f, uint32_t uid, const struct err *err, struct err *full_r);
/* It was refused that way and is back at the front of the queue: another one goes before it, and the
 * folder is asked whether it opens at all. */
void push_asks_first(struct folder *f);

/* push_own: the folder is selected for a look: asks for some of our own copies, and learns from them; maybe calls
 * ended at once. */
void push_own_ask(struct worker *w, void (*ended)(struct worker *w, const struct err *err));
/* That the target gives dates of its own, once it is known. */
void push_own_tell_dates(struct folder *f);
/* The UIDs that the target told are not those of the messages: sets target_uids_lie of the folder's record, and forgets
 * what was reckoned from them. */
void push_uids_lie(struct folder *f);
/* push_pair: as the journal has it. */
struct match_row push_row_of(const struct message_record *m);
/* push_pair: f->matcher is what was seen of the folder, from the UID floor on: takes out what the journal knows to be
 * there, and takes note of what waits to be sent. */
bool push_pair_settle(struct folder *f, uint32_t floor, struct err *err_r) ERR_CHECK;
/* The message is there already, or it cannot be said yet whether it is: true, then item (its keywords too) is taken. */
bool push_paired(struct folder *f, struct folder_item *item);
/* Messages that could not be decided on can be now. */
bool push_pair_is_due(const struct folder *f);

/* push_unanswered: the APPEND of the message got no answer: takes item (its keywords too) until the next look. */
void push_unanswered_put(struct folder *f, struct folder_item *item);
/* One that waits so has the key of this message: true, then it waits too, and item (its keywords too) is taken. */
bool push_unanswered_waits(struct folder *f, struct folder_item *item);
/* The folder was looked at: all that waited go back to the front of its queue. */
void push_unanswered_return(struct folder *f);
/* How many of those without an answer f->matcher may have, at most. Changes their order. */
unsigned push_unanswered_found(struct folder *f);
/* The target answered an APPEND that was sent at this time of the loop: it is alive since. */
void push_unanswered_lives(struct account *account, uint64_t asked_ms);
/* Nothing else is left to send: a folder to look at now, which has stopped; NULL: none. */
struct folder *push_unanswered_due(struct account *account);
/* Nothing more is sent into the open folder before it is opened anew; and before that it is looked at where messages
 * wait for that. */
void push_stop_sending(struct folder *f);

/* push_send: the message of the queue is on the target under this UID; takes item. */
void push_item_found(struct folder *f, struct folder_item *item, uint32_t uid, enum message_state state);
/* push_send: an item that was taken from the folder's queue goes back to its front. */
void push_give_back(struct folder *f, const struct folder_item *item);
/* The same of one that may be among those that wait behind the others. */
void push_put_back(struct folder *f, const struct folder_item *item);
/* push_send: the message of the queue has failed for good. */
void push_message_fails(struct folder *f, struct folder_item *item, const struct err *err, enum trouble_doing doing);
/* The same with the type of the failure. */
void push_message_fails_as(struct folder *f, struct folder_item *item, const char *type, const struct err *err);
/* One more APPEND of the worker's open folder; false when none can be sent now. */
bool push_send_some(struct worker *w);
/* How many APPENDs the target takes at once on this worker's link. */
unsigned push_depth(struct worker *w);

#endif
