/* What pull, pull_list and pull_body share. Internal to the pull side of engine/move.
 */
#ifndef ENGINE_MOVE_PULL_PRIVATE_H
#define ENGINE_MOVE_PULL_PRIVATE_H

#include "engine/message/ladder.h"
#include "engine/move/incoming.h"
#include "engine/move/pull.h"
#include "io/base/buf.h"

/* Another UIDVALIDITY than the journal's: what was asked about it. */
enum pull_doubt { PULL_DOUBT_NONE, PULL_DOUBT_SELECTED, PULL_DOUBT_EXAMINED };

enum pull_step { PULL_STEP_FREE, PULL_STEP_SELECTING, PULL_STEP_LISTING };

/* A message that the journal had before the folder was listed once more from its beginning. */
struct pull_known {
    uint32_t uid;
    bool shown; /* it was named again */
};

/* Messages that a listing did not show although they are there (quirks S11, F23, C5). */
struct pull_missing {
    uint32_t *seen, *uids; /* UIDs that were listed; those that SEARCH knows besides */
    uint32_t seen_count, seen_room, count, room, at;
    uint32_t below; /* SEARCH has told all from here on upwards; 0: nothing yet */
    unsigned rows_before;
    bool searched;            /* SEARCH has told all */
    bool unread;              /* it told a number that is none */
    struct pull_known *known; /* ascending; none where the listing begins behind them */
    uint32_t known_count, known_room, shown_count;
    struct quota_hold held;
    void (*ended)(struct worker *w, const struct err *err);
};

/* What pull keeps for a worker. */
struct pull {
    enum pull_step step;
    /* listing */
    uint32_t from, to, uidnext, exists, width;
    uint32_t base;               /* where this listing began */
    uint32_t known_below;        /* what has a lower UID was in the journal then, or was looked for */
    uint64_t modseq;             /* HIGHESTMODSEQ when the folder was opened; 0: not told */
    bool capped;                 /* uidnext is not the folder's: newer mail waits for the next pass */
    struct message_record *rows; /* of the window; keywords hold offsets into words */
    unsigned row_count, row_room;
    struct buf words;
    struct quota_hold held; /* notes; rows are counted by their FETCH, and by the writer */
    uint64_t listed;        /* rows seen in this folder in this listing */
    unsigned windows;
    uint64_t expected_before;  /* tally.found when the listing began */
    uint32_t keywords_dropped; /* a UID that has keywords which are not copied; 0: none seen in this listing */
    struct message_note *notes;
    unsigned noted; /* rows whose note was asked for */
    uint32_t uidvalidity, doubted_validity;
    enum pull_doubt doubt;
    unsigned attempts; /* of the step, in a row */
    bool writable;     /* the folder was opened by SELECT: what marks messages must not be asked */
    unsigned refused;  /* windows refused in a row; each is asked for again in halves */
    bool exists_told;
    unsigned damaged_mark; /* session_damaged_count when the command at hand was sent */
    unsigned damaged;      /* rows of this listing that could not be read */
    bool doubted;          /* a part of it was not listed */
    bool alone;            /* the body that is asked for has cost connections before */
    bool looked;           /* for what is missing */
    struct pull_missing missing;
};

/* The worker gives its folder back; nothing of it may be in flight on this worker. */
void pull_folder_release(struct worker *w);
/* Something was done: what goes wrong from here on has a cause of its own, and starts to count anew. */
void pull_progressed(struct account *account);
/* Nothing of the folder is left to list, fetch or store: it is done. */
void pull_settle_if_done(struct folder *f);

/* pull_list: one row of a listing (context: the worker). */
void pull_list_row(void *context, const struct imap_message_row *row);

/* pull_missing: compares what was listed from base on with what SEARCH knows, and asks for the rest
 * one by one; those come by pull_list_row, without flags and date where nothing tells them. ended: err
 * is a lost connection or a throttled answer; a server without SEARCH has told nothing. */
void pull_missing_saw(struct worker *w, uint32_t uid);
void pull_missing_ask(struct worker *w, void (*ended)(struct worker *w, const struct err *err));
void pull_missing_clear(struct pull_missing *m);
/* pull_hidden: must the folder be listed from its first message on, since some were hidden in an earlier run? Then
 * what the journal has of it is in missing.known. Asked at the beginning of each listing. */
bool pull_lists_again(struct worker *w);
/* Is it one of those? It is named now. */
bool pull_is_known(struct pull_missing *m, uint32_t uid);
/* The server counts more than was named, in this listing and before. */
bool pull_is_short(const struct pull *p);
/* Tells that, or that it is over. */
void pull_tell_hidden(struct worker *w);
/* pull_tell: messages have keywords that are not copied: one remark a folder, however many. */
void pull_tell_keywords(struct worker *w);
/* pull_tell: the folder holds what cannot be asked for; it has failed. */
void pull_tell_unreadable(struct worker *w);
/* The lowest UID that a SEARCH got to, when it did not get to the end (RFC 9738), else 0. */
uint32_t pull_searched_down_to(const struct err *err);

/* pull_open: EXAMINEs the worker's folder and, if nobody has, has it listed; then worker_idle. A folder
 * that does not open is tried by its other name, later, by SELECT; then it alone is given up. */
void pull_select_folder(struct worker *w);
/* Opens the folder that is open once more, in the same way. */
void pull_select_again(struct worker *w, void (*answer)(void *context, const struct imap_selected *selected),
                       session_ended *ended, void *context);
/* The folder's messages are there and EXAMINE shows nothing of them: it is opened by SELECT from now on,
 * which is told once. False where this worker has it open so; else it will open it anew, if the caller
 * does not. */
bool pull_try_writable(const struct worker *w, struct folder *f);

/* pull_opens: the source refused to open the worker's folder. True: for the folder's own sake, as far as one can tell.
 * Else others go first, or the source is left alone for a while, and the worker goes on. */
bool pull_open_is_own(struct worker *w, const struct err *err);
/* pull_opens: it was opened. */
void pull_opened(struct folder *f);
/* pull_opens: it was refused, and no other folder was opened since. */
bool pull_waits_for_others(const struct folder *f);
/* pull: it is to be listed, or has bodies that nobody has asked for. */
bool pull_has_room_in(const struct folder *f);

/* pull_look: whether a message that no answer named is there. Counts as inflight of the worker. LATER: no
 * answer could be had; the message is to be asked for once more. */
enum pull_presence { PULL_GONE, PULL_THERE, PULL_NOT_KNOWN, PULL_LATER };
typedef void pull_looked(void *context, enum pull_presence presence);
void pull_look(struct worker *w, struct folder *f, uint32_t uid, pull_looked *ended, void *context);

/* pull_gone: err says that the worker's folder is not there. Asks whether it is still listed (quirk T22);
 * one that is goes to `there`, one that is not is left behind. False: err is no such refusal, nothing was
 * asked. */
bool pull_search_gone(struct worker *w, const struct err *err,
                      void (*there)(struct worker *w, const struct err *cause));

/* pull_reused: whether the opened folder gave UIDs that the journal knows to other messages since. told: maybe called
 * at once; not when the link was lost meanwhile. */
void pull_search_reused(struct worker *w, void (*told)(struct worker *w, bool reused));

/* pull_list: lists the opened folder into the journal; then worker_idle. */
void pull_list_folder(struct worker *w);
/* pull_less: the folder was listed: does it show less than what waited to be moved when it was given new numbers? */
void pull_tell_less(struct folder *f);
/* A step on the worker's folder failed: again, later, or not at all. */
void pull_step_failed(struct worker *w, enum trouble_doing doing, const struct err *err);

/* pull_body: asks for the next bodies of the worker's folder; false when there are none. */
bool pull_fetch_some(struct worker *w);

/* pull_body: one message came, and not as it should: it is asked for in the next form, or failed as type
 * (NULL: by err). Takes the item over, which counts as fetching. */
void pull_body_refused(struct worker *w, struct folder *f, struct folder_item *item, const char *type,
                       const struct err *err);

/* pull_refused: the source gave a whole body of the folder. */
void pull_came(struct folder *f);
/* pull_refused: the message did not come in the first form. */
void pull_refused_first(struct folder *f, struct folder_item *item);
/* pull_refused: it did not come in any, of which *err was the last. True: for its own sake. Else item is taken: it is
 * asked for again behind the others. */
bool pull_refused_is_own(struct folder *f, struct folder_item *item, const struct err *err);

/* pull_body: a whole body is the item's: it is stored, unless its size speaks against it. Takes both over;
 * the item counts as fetching. */
void pull_body_came(struct worker *w, struct incoming *in, struct folder_item *item);

/* pull_check: what the bodies so far say of the sizes that the source lists. */
enum size_trust pull_size_trust(const struct reactor *reactor);
/* pull_check: is there a reason to doubt that the body of so many bytes is the item's? */
bool pull_doubts_body(struct worker *w, const struct folder_item *item, uint64_t got_bytes);
/* Asks for the header of its UID; then the body is stored, or refused (pull_body_refused) and the
 * worker's connection is ended. Takes both over; the item counts as fetching. */
void pull_check_body(struct worker *w, struct incoming *in, struct folder_item *item);

/* A server's internal error at SELECT, worded for its administrator. */
void pull_tell_bug(const struct folder *f, const struct err *err);

#endif
