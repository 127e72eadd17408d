/* One folder of an account while a run works on it: the record, what is still to be fetched, what
 * is to be uploaded. State only; engine/move/pull and push move it on.
 */
#ifndef ENGINE_MOVE_FOLDER_H
#define ENGINE_MOVE_FOLDER_H

#include "engine/failure/refusals.h"
#include "engine/failure/shut.h"
#include "engine/folders/names.h"
#include "engine/imap/uidset.h"
#include "engine/message/ladder.h"
#include "engine/message/match.h"
#include "engine/message/repair.h"
#include "engine/move/push_queue.h"
#include "engine/move/reactor.h"

enum folder_pull {
    PULL_UNLISTED, /* not looked at in this pass */
    PULL_LISTING,  /* one worker lists it */
    PULL_BODIES,   /* listed; bodies may be waiting */
    PULL_DONE,     /* nothing waits any more */
    PULL_REFUSED   /* the source does not open it */
};

enum folder_push {
    PUSH_CLOSED,   /* nothing known of the target in this pass */
    PUSH_OPENING,  /* one worker creates, asks, scans */
    PUSH_SETTLING, /* an APPEND got no answer: quiesce, wait, look */
    PUSH_OPEN,
    PUSH_REFUSED /* the target does not take it */
};

/* A message on its way; keywords are owned by the item. */
struct folder_item {
    uint32_t uid;
    uint8_t flags;
    uint8_t tries;          /* of the target */
    uint8_t losses;         /* connections that were lost while it was asked for, nobody to blame; or was sent */
    uint8_t losses_alone;   /* of those, while no other of its folder was sent */
    bool alone;             /* it is sent so */
    struct refused refused; /* by the target */
    uint64_t not_before_ms; /* of the loop: tried again while others are sent, after it was refused in passing */
    bool refused_own;       /* for its own sake, unless a look finds it */
    uint64_t
        took_before;  /* messages that the target had taken when it was refused first, or became one of those alone */
    bool in_doubt;    /* it is sent though its copy may be there (MATCH_DOUBT) */
    bool unanswered;  /* its APPEND got no answer, since the last look */
    bool noted;       /* it was sent without an answer, and the journal counts that */
    bool looked;      /* its header was looked at for requests of a read receipt */
    uint16_t repairs; /* REPAIR_ bits that it is sent with */
    int16_t zone_minutes;
    bool date_known;
    int64_t date_seconds;
    uint64_t listed_bytes, body, body_bytes, source_id, repaired_bytes;
    struct ladder ladder; /* the source's: in which form it is asked for */
    uint64_t digest;      /* the first 8 bytes of its content's */
    uint8_t header_key[MATCH_KEY_BYTES];
    char *keywords; /* NULL: none */
};

/* A bounded queue of items that refills from the journal when it overflowed. An item is known from
 * the moment it enters the ring until queue_forget, when the journal shows its new state: so the
 * journal, which lags behind, can never bring it in twice. */
struct folder_queue {
    struct folder_item *items; /* ring of room */
    unsigned head, count, room;
    bool more;         /* the journal may hold others that are not known here */
    bool oldest_first; /* ascending; else descending */
    uint32_t from_uid; /* where the next look into the journal starts */
    uint32_t *known;   /* open-addressed set of UIDs, 0: free; known_room is a power of two */
    unsigned known_count, known_room;
    uint32_t *aside; /* known, but neither in the ring nor taken: they wait for queue_recall */
    unsigned aside_count, aside_room;
    struct folder_item *later; /* popped, and known: those that others go before (push_later) */
    unsigned later_count, later_room;
};

struct folder {
    struct account *account;
    struct folder_record record; /* slices point into the four texts */
    char *source_raw, *source_name, *target_raw, *target_name;
    enum folder_pull pull;
    enum folder_push push;
    unsigned attributes; /* of LIST in this pass, IMAP_MAILBOX_ bits */
    bool exists_on_target;
    bool made_alone;                  /* it could not be made together with others */
    char *refused_raw, *refused_name; /* what the target would not make; it is being tried by another name */
    uint32_t list_width;              /* UIDs a listing asks for at most, 0: as many as is usual; learnt */
    bool selects;                     /* SELECT in place of EXAMINE, whose UIDVALIDITY changes (quirk S03) */
    bool opens_writable;              /* SELECT in place of EXAMINE, which shows nothing of it */
    bool bodies_came;                 /* of this run */
    bool gone;                        /* the source does not list it any more */
    uint64_t append_limit;            /* bytes that this mailbox of the target takes (APPENDLIMIT); 0: not told */
    uint64_t vanished;                /* messages that were gone when they were asked for in this pass */
    struct uidset_range *view;        /* the UIDs that were there when it was last looked (pull_look), ascending */
    uint32_t view_count;
    bool view_whole;           /* view is all there was */
    uint64_t unmoved_before;   /* messages that waited when this pass forgot it, since it has new numbers */
    bool anew;                 /* this pass forgot it, and reads it from its first message on */
    uint32_t rank;             /* gmail's: 1 is first */
    bool list_began;           /* this pass has begun to list it: the journal may not have all of that yet */
    bool listed_now;           /* this pass read the folder: its record is put at the end */
    unsigned pullers, pushers; /* workers that have it */
    struct folder *next_unlisted, *next_undone; /* in the account's lists of those */
    bool is_among_undone;
    unsigned fetching;      /* messages asked for and not yet handed to the writer */
    unsigned storing;       /* handed to the writer, not yet durable */
    unsigned sending;       /* in APPENDs without an answer */
    unsigned disarming;     /* taken by push_disarm, their repair not yet durable */
    bool bare;              /* opened without the delimiter at the end of its name (C1) */
    bool parked;            /* its server failed inside: not before `again` (C6) */
    unsigned open_failures; /* of that kind, in a row */
    struct refused opening; /* by the source; zero once it was opened (pull_opens) */
    struct loop_timer again;
    char refused_words[128];    /* the server's, to the name as listed; printable */
    unsigned losses;            /* connections that went while it was opened or listed, nothing else of it done since */
    uint64_t losses_progress;   /* the side's progress at the first of them */
    struct folder_queue wanted; /* bodies to fetch */
    struct folder_queue ready;  /* bodies to upload */
    struct matcher *matcher;    /* what the target holds and no message of ours is paired with */
    uint32_t highest_seen, floor;
    bool seen_held;     /* the record's target_highest_seen stays where it is: what is above is not all paired */
    uint32_t ours_from; /* a pair at or above this UID is an APPEND of ours; UINT32_MAX: none */
    bool target_moved;  /* the target folder's UIDVALIDITY is not the one we sent to */
    bool uncertain;     /* nothing is sent before a look: an APPEND of this or a killed run may have arrived */
    struct folder_item *unanswered; /* messages that wait for a look, while others are sent (push_unanswered) */
    unsigned unanswered_count, unanswered_room;
    uint64_t lost_ms;    /* loop time when the last answer was lost */
    uint32_t lost_above; /* the lowest highest_seen at which any was sent whose answer was lost, or a refusal in doubt,
                          * since the last look: what was stored of them has a UID above; UINT32_MAX: none */
    uint32_t again_from; /* what was looked for in this run has a UID above or here; 0: nothing was */
    unsigned lost_count; /* messages of those; 0 with uncertain: an earlier run's, nobody knows how many */
    bool others_came;    /* somebody else put mail there while this run sent to it */
    bool late_looked;    /* what came late was looked for in this run, or could not be */
    unsigned late_tries;
    struct said *said; /* what was said of messages that have failed unless a look finds them (push_said) */
    unsigned said_count;
    struct refusals refusals;        /* of its messages */
    struct loop_timer refused_again; /* nothing is sent before, and the folder not opened */
    uint8_t open_tries;              /* refusals in a row to make or open it, that may pass */
    struct shut open_shut;           /* the target opens none for anybody */
    uint64_t open_took,
        open_opened;  /* messages that the target had taken, and folders it had opened, at the first of them */
    bool sends_alone; /* a message that cost connections is under way */
    struct matcher *first_look; /* the first of the two looks for it, or NULL */
    uint64_t first_look_ms;     /* loop time of its end */
    bool uids_told;             /* every OK so far came with APPENDUID: the floor may rise */
    bool uids_withheld;         /* some OK came without one that is believed */
    struct job *jobs;           /* APPENDs without an answer; push's */
    struct imap_status source_status, target_status;
    bool has_source_status, has_target_status;
    uint64_t settle_from_ms;              /* loop time of the target's first answer after the loss; 0: none yet */
    uint64_t target_before, uploaded_now; /* for the proof at the end: count when opened, since then */
    bool counted_before;
    bool unproved_before;                     /* earlier runs sent to it, and none of them proved it since */
    uint32_t uidvalidity_before, seen_before; /* the record's, of the target, as this run found it */
    bool audited;                             /* this run has moved again what was not there any more */
    bool emptied;        /* it held nothing, or was made anew, though mail had been moved into it */
    bool retakes;        /* this run saw it removed: what is not there is moved again */
    bool proves;         /* its turn of account_audit is for a proof, not to move anything again */
    uint32_t proof_from; /* then: what was told a UID of the target from here on must be there; UINT32_MAX: nothing */
    bool clears;         /* then: the doubt that it holds less may be over */
    bool only_doubted;   /* its count is asked for that doubt's sake alone */
    uint64_t lost;       /* messages of it that neither side has any more (message_was_lost) */
    uint32_t opened_validity, opened_uidnext; /* the target's when this run last opened it; 0: not, or not told */
    uint32_t sent_from;           /* the target's UIDNEXT when this run first opened it; 0: not; UINT32_MAX: not told */
    unsigned proof_tries;         /* of the target's own count at the end: failed ones in a row */
    struct folder *next_unproven; /* in the account's list of those whose count is wanted */
    bool counted_done;            /* shown as done */
    struct push_place place;      /* what push_queue has of it */
    struct {
        uint64_t modseq; /* changes up to here are in the journal; 0: not known */
        uint64_t wanted; /* messages whose flags the target has to be brought to */
        uint64_t absent; /* of its messages; not at the source when all were last asked for */
        uint64_t gone;   /* messages on the target that the source has not any more, and that are not judged yet */
        uint64_t kept;   /* those that are judged, and stay */
        bool removed;    /* these were looked at in this run */
        bool looked;     /* in this run, or it cannot be done in it */
        unsigned tries;
    } follow;
};

struct folder *folder_create(struct account *account, const struct folder_record *record);
void folder_destroy(struct folder **folder);
/* Gives the record new texts (copied); NULL keeps what is there. */
void folder_set_names(struct folder *folder, const char *source_raw, const char *source_name, const char *target_raw,
                      const char *target_name);
/* Forgets its messages (not waited for), as if it had never been listed; what of them is on the target is looked at
 * before any is sent. */
void folder_forget(struct folder *folder);
/* Nothing of it waits any more: all that its target holds up to the highest UID that is known has been looked at. */
void folder_seen(struct folder *folder);
/* Puts the record into the journal (not waited for). */
void folder_put(struct folder *folder);

void queue_init(struct folder_queue *q, const struct folder *folder);
/* Takes the item over (its keywords too); one that is known already, or has no room, is dropped and
 * left to the journal. */
void queue_push_back(struct folder_queue *q, const struct folder_item *item);
/* Gives a popped item back. */
void queue_push_front(struct folder_queue *q, const struct folder_item *item);
/* Takes over a popped item that nothing can be done with for now; it is read from the journal again after queue_recall,
 * which lets all of them back in. */
void queue_set_aside(struct folder_queue *q, struct folder_item *item);
void queue_recall(struct folder_queue *q);
/* Takes over a popped item that others go before (or first among those); takes one of them out. */
void queue_put_off(struct folder_queue *q, const struct folder_item *item, bool first);
void queue_take_put_off(struct folder_queue *q, unsigned at, struct folder_item *item_r);
/* The journal has a popped item's new state durably. */
void queue_forget(struct folder_queue *q, uint32_t uid);
bool queue_pop(struct folder_queue *q, struct folder_item *item_r);
void queue_deinit(struct folder_queue *q);
/* Refills an empty ring with messages of the state from the journal, in the batch's order; false when the
 * journal cannot be read. */
bool queue_refill(struct folder_queue *q, struct folder *folder, enum message_state state, struct err *err_r) ERR_CHECK;
void item_of_record(struct folder_item *item, const struct message_record *record);
void item_deinit(struct folder_item *item);
/* What its APPEND carries. */
static inline uint64_t item_sent_bytes(const struct folder_item *item)
{
    return item->repairs ? item->repaired_bytes : item->body_bytes;
}

/* The INTERNALDATE that it carries. */
static inline struct imap_date item_sent_date(const struct folder_item *item)
{
    return (struct imap_date){ item->date_seconds, item->zone_minutes,
                               item->date_known && !(item->repairs & REPAIR_DATE) };
}

/* The same of a record: seconds since 1970, INT64_MIN: none. */
static inline int64_t message_sent_seconds(const struct message_record *m)
{
    return m->date_known && !(m->repairs & REPAIR_DATE) ? m->date_seconds : INT64_MIN;
}

/* How far each side has come with it. */
void folder_set_pull(struct folder *folder, enum folder_pull pull);
void folder_set_push(struct folder *folder, enum folder_push push);
/* Messages more (or less, below 0) that are asked for; that wait for the writer. The account counts both. */
void folder_count_fetching(struct folder *folder, int change);
void folder_count_storing(struct folder *folder, int change);
/* It rests, or does not any more, after its server failed inside. */
void folder_park(struct folder *folder, bool parked);

/* Changes of counts, of the folder and its account in memory and for the display; the journal keeps its own.
 * found: a message was listed, and is MESSAGE_FOUND or MESSAGE_SKIPPED. excluded: how much the folder holds is all
 * that is known of it; before: its tally as the display has it. end: so many messages go from one state to another. */
void folder_count_found(struct folder *folder, enum message_state state, uint64_t bytes);
void folder_count_excluded(struct folder *folder, const struct tally *before, uint64_t messages, uint64_t bytes);
void folder_count_end(struct folder *folder, enum message_state from, enum message_state to, uint64_t bytes,
                      uint64_t messages);
/* The journal was told of messages to fetch that are not in the ring: once it has them durably, the
 * queue may look for them there. A look before that would find nothing and never come back. */
void folder_want_stored(struct folder *folder);
uint64_t folder_pending(const struct folder *folder);

#endif
