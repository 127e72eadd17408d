/* The state of one user's examination; private to verify_user (asks both sides) and verify_judge
 * (compares what they said with each other and with the journal).
 */
#ifndef ENGINE_INSPECT_VERIFY_PRIVATE_H
#define ENGINE_INSPECT_VERIFY_PRIVATE_H

#include "engine/folders/names_index.h"
#include "engine/inspect/verify_hash.h"
#include "engine/inspect/verify_user.h"
#include "engine/message/uid_window.h"
#include "engine/move/folder_list.h"
#include "io/base/buf.h"

/* What the journal knows of a message; parallel to the source's entries. */
struct exam_known {
    uint8_t digest[16];
    uint64_t listed, fetched; /* its bytes as the source says them now, and as they came then; 0: not known */
    uint64_t keywords;
    uint8_t flags;
    uint8_t state;   /* enum message_state, 0: not in the journal */
    uint8_t repairs; /* it was sent mended */
    uint8_t unanswered;
};

struct exam_side {
    struct exam *exam;
    enum side side;
    struct visit *visit; /* NULL: over */
    bool busy, selected, listed, absent;
    bool keeps_keywords;
    unsigned bare_at;             /* 1 + the folder that opens without the delimiter at its name's end (C1); 0: none */
    struct verify_entry *entries; /* of the folder under way; ascending UIDs once listed */
    uint32_t count, room;
    struct quota_hold held;
    struct uid_window window;
    uint32_t uidnext, exists, uidvalidity;
    bool exists_told;
    uint32_t rows_before; /* count when the window began */
    struct hashing hashing;
    struct hash_item *items;
};

struct exam_folder {
    struct folder_record record; /* its slices point into texts of its own */
};

enum exam_phase {
    EXAM_FOLDERS, /* which folders does the source have that the journal does not know? */
    EXAM_LISTING,
    EXAM_BODIES, /* digests of the target's bodies */
    EXAM_DOUBTS, /* digests of both, for those that differed, or are not as long as the source says */
    EXAM_SHORT,  /* digests of the source's alone, where the target makes its own of a mail */
    EXAM_OVER
};

struct exam {
    struct verifier *verifier;
    struct reader *reader; /* of the state folder that knows the user; borrowed */
    const struct settings_user *user;
    struct verify_user *result;
    struct exam_side sides[SIDE_COUNT];
    enum exam_phase phase;
    uint32_t id; /* in the journal; 0: not there */
    bool was_synced;
    struct exam_folder *folders;
    unsigned folder_count, at;
    struct exam_known *known;
    struct follow_known *follows; /* while known is read */
    uint32_t known_count, known_at;
    struct buf ids;    /* Message-IDs of the source's entries, one after another */
    uint32_t *id_ends; /* parallel to the source's entries */
    /* listing the source's folders */
    struct folder_list folder_list;
    struct names_source *rows; /* the folder_list's, described */
    unsigned row_count, row_at;
    struct names_index folders_by_raw; /* of folders[]: the source's raw name */
    uint32_t row_messages;
};

/* verify_user: the connection went, or nothing more is wanted of it: `ready` goes on, if anything does. An
 * error's scope does not tell: a throttled mailbox is wider than a connection. */
bool exam_side_lost(const struct exam_side *side);
/* verify_user: the folder behind exam->at (UINT32_MAX: the first) is compared next. */
void exam_folder_next(struct exam *exam);
/* verify_strange: asks the source for its folders and counts those that the journal does not know; goes on with
 * exam_folder_next. Again after a lost connection. */
void exam_strange_begin(struct exam *exam);
void exam_strange_end(struct exam *exam);

bool exam_rewrites(const struct exam *exam);

/* A folder of so many messages at the source that no run has begun with. */
void exam_tell_unjudged(struct exam *exam, const char *folder, uint64_t messages);
/* The journal says where the folder under way goes. A plan knows the source's folders, and not that. */
bool exam_is_placed(const struct exam *exam);

/* Both sides of the folder are listed: pairs them, tells differences and fills the target's list of
 * bodies to hash. False: the journal could not be read. */
bool exam_judge_folder(struct exam *exam, struct err *err_r) ERR_CHECK;
/* The target's digests are there: fills both sides' lists of those in doubt. */
void exam_judge_bodies(struct exam *exam);
/* Both sides' plain digests of those in doubt are there. */
void exam_judge_doubts(struct exam *exam);
/* The source's digests are there of those that came shorter than it says they are. */
void exam_judge_short(struct exam *exam);

#endif
