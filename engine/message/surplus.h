/* Copies in a target folder that no row of the journal claims, beside messages that it has and that are there: second
 * ones. Is such a copy this program's own (the message was sent without an answer, and the server stored it late), or
 * did somebody else put it there? Pure; a folder at a time.
 *
 * surplus_create, surplus_know for each row, surplus_see for each message that surplus_is_claimed does not know,
 * surplus_match, surplus_see_kept for the messages that surplus_kept names, surplus_judge, surplus_copies.
 */
#ifndef ENGINE_MESSAGE_SURPLUS_H
#define ENGINE_MESSAGE_SURPLUS_H

#include "engine/message/match.h"
#include "store/record.h"

enum surplus_kind {
    SURPLUS_OWN,    /* the message was sent at least so often without an answer */
    SURPLUS_UNSURE, /* there are more copies than that: one of them is somebody else's, nobody knows which */
    SURPLUS_OTHERS  /* it never was */
};

struct surplus_copy {
    struct match_row seen; /* as the target shows it */
    uint32_t message;      /* the row's UID, at the source */
    uint32_t kept_uid;     /* the row's copy; 0: there by its header, nobody told its UID */
    enum surplus_kind kind;
    bool alike; /* the target shows the same key, size and date for both */
};

struct surplus;
/* floor: no copy of interest has a lower UID, 1 or more. uids_lie: what APPENDUID told here is not true. */
struct surplus *surplus_create(uint32_t floor, bool uids_lie);
void surplus_destroy(struct surplus **surplus);
/* Before the first row: what was sent is not known of all rows, so those that are PRESENT may have second copies too.
 */
void surplus_sends_unknown(struct surplus *surplus);
/* Each row that is UPLOADED or PRESENT. */
void surplus_know(struct surplus *surplus, const struct message_record *m);
/* Some row has this UID of the target. Not before the last surplus_know. */
bool surplus_is_claimed(struct surplus *surplus, uint32_t target_uid);
/* A message of the target that is not claimed; each once. */
void surplus_see(struct surplus *surplus, const struct match_row *seen);
/* Which of them may be second copies, and of what. */
void surplus_match(struct surplus *surplus, const struct match_fidelity *fidelity);
/* The UIDs that must be there for that, ascending, each once; of the surplus until it is judged. */
const uint32_t *surplus_kept(struct surplus *surplus, size_t *count_r);
void surplus_see_kept(struct surplus *surplus, const struct match_row *seen);
/* What stands alone is no second copy. */
void surplus_judge(struct surplus *surplus);
/* By ascending UIDs. */
const struct surplus_copy *surplus_copies(const struct surplus *surplus, size_t *count_r);
/* It came after the copy that is the message's: so it was stored late. Of another it is not known whether it was, or
 * was there when it was looked for and not recognised. */
bool surplus_came_late(const struct surplus_copy *copy);
/* What such copies are of: "... messages that ". late: surplus_came_late of all of them. */
const char *surplus_words(bool late);
/* Some row was sent without an answer. The rows of earlier versions do not say so. */
bool surplus_knows_sends(const struct surplus *surplus);

#endif
