/* A look at one target folder for copies that no row of the journal claims, beside messages that it has: SELECT or
 * EXAMINE, which UIDs there are, the headers of those that nobody claims, and whether the copies beside them are still
 * there. Costs two short commands where every UID is claimed. What it finds is judged by engine/message/surplus.
 */
#ifndef ENGINE_MOVE_LATE_H
#define ENGINE_MOVE_LATE_H

#include "engine/imap/session.h"
#include "engine/message/surplus.h"
#include "store/reader.h"

struct late_config {
    struct session *session; /* must stay until ended, which comes also when the session ends */
    struct slice raw;        /* the folder's name */
    bool read_only;
    uint32_t floor, from; /* copies have at least this UID; those below `from` (0: none) have been judged before */
    uint32_t uidvalidity; /* the one that the journal's UIDs are of; 0: not known */
    bool uids_lie, sends_unknown; /* as in the folder's record */
    struct reader *reader;
    uint32_t user, folder;
    const struct match_fidelity *fidelity;
};

/* What the target says of a message that nobody claims. */
struct late_seen {
    uint32_t uid;
    char *message_id; /* printable UTF-8, or "" */
};

struct late_look;
/* Over; the look is the callee's to free. err NULL: it was whole, late_surplus is judged. TRANSIENT/FOLDER origin
 * PROTOCOL: not all that SEARCH names was told; else the server's or the store's. */
typedef void late_ended(void *context, struct late_look *look, const struct err *err);
/* ended may be called at once. */
void late_look_begin(const struct late_config *config, late_ended *ended, void *context);
void late_look_free(struct late_look **look);
/* The folder is not the one that the journal's UIDs are of: then nothing else was asked, and nothing is found. */
bool late_is_another(const struct late_look *look);
struct surplus *late_surplus(struct late_look *look);
/* The copy is one of this program's own, or nobody knows that it is not: the rows of earlier versions, and those that
 * were forgotten, do not say what was sent without an answer. told_before: that the folder has such copies. */
bool late_is_ours(const struct folder_record *folder, const struct surplus *surplus, const struct surplus_copy *copy,
                  bool told_before);
const struct imap_status *late_status(const struct late_look *look);
/* NULL: it is none of those that nobody claims. */
const struct late_seen *late_seen_at(const struct late_look *look, uint32_t uid);

/* Rows of a folder by UIDs, in commands of a bounded length. */
/* uids: ascending, borrowed until ended, as is the rest. A UID of which nothing came is told in none of the rows, and
 * makes no error. */
void late_rows_fetch(struct session *session, const uint32_t *uids, size_t count,
                     void (*row)(void *context, const struct imap_message_row *row), session_ended *ended,
                     void *context);

#endif
