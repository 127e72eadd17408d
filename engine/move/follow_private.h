/* What follow_target (the order of things), follow_locate (which message of the target it is) and
 * follow_tell (words) share. Internal to them.
 */
#ifndef ENGINE_MOVE_FOLLOW_PRIVATE_H
#define ENGINE_MOVE_FOLLOW_PRIVATE_H

#include "engine/message/follow_known.h"
#include "engine/message/follow_merge.h"
#include "engine/message/match.h"
#include "engine/move/follow.h"

#define FOLLOW_ON_TARGET (1u << MESSAGE_UPLOADED | 1u << MESSAGE_PRESENT)

enum follow_end {
    FOLLOW_OPEN,
    FOLLOW_DONE,    /* the target has them, or a person made it otherwise there */
    FOLLOW_GONE,    /* the target does not have the message any more: a person's doing */
    FOLLOW_UNKNOWN, /* which message of the target it is, is not known */
    FOLLOW_REFUSED  /* the target refused, or answered OK and did not */
};

/* What opening the target folder told. Zeroed at first. */
struct follow_view {
    uint32_t uidvalidity; /* 0: not told */
    bool read_only;
    struct follow_keeps keeps;
    char *permanent; /* keeps' keywords */
};

struct follow_item {
    uint32_t uid, target_uid; /* 0: not known yet */
    uint8_t key[MATCH_KEY_BYTES];
    struct follow_flags base, next;
    char *words;      /* their keywords */
    char *add, *take; /* for STORE; "" for none; NULL before they are known */
    enum follow_end end;
    bool stays, seen;
};

struct follow_job {
    struct worker *worker;
    struct folder *folder;
    struct follow_known *known;
    struct follow_item *items; /* ascending by target_uid once that is known */
    unsigned count, room;
    struct follow_view view;
    bool another; /* the target folder is not the one in which the headers were looked at */
    bool proves;  /* the flags are read a second time */
    unsigned refusals;
    struct follow_need {
        const char *text;
        uint32_t uid;
        bool takes;
    } * needs; /* in the order in which they are stored */
    unsigned need_count, at;
    uint64_t stored;
    bool unnumbered; /* the journal does not know whose the UIDs are */
    bool located;    /* the headers were looked at */
    struct follow_lacking *lacking;
    unsigned lacking_count;
};

/* follow_target: a command failed that all depends on; or all is over. j is gone then. */
void follow_fails(struct follow_job *j, const struct err *err);
void follow_over(struct follow_job *j);
/* follow_target: takes what was told in place of what was told before. */
void follow_view_take(struct follow_view *view, const struct imap_selected *selected);
/* follow_target: opens the target folder, and goes on from there. */
void follow_select(struct follow_job *j);
/* follow_locate: finds, by the headers of the folder, those of which no UID is known, and opens the
 * folder again. */
void follow_locate(struct follow_job *j);

/* follow_fuse: the next folder of which something is to be removed now, or NULL; the raw name of
 * the target's folder of deleted items, or NULL. */
struct folder *follow_next_removal(struct account *account);
const char *follow_trash(struct account *account);

/* follow_tell: what was not followed, a doubt; what was made otherwise on the target; what it does
 * not keep. */
void follow_tell_left(struct follow_job *j);
void follow_tell_used(struct follow_job *j);
void follow_tell_unkept(struct follow_job *j, bool unkept);

#endif
