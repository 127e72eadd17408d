/* What tidy (users, and what the journal is told), tidy_talk (commands that are waited for) and tidy_folder (one
 * folder) share. Internal to them.
 */
#ifndef ENGINE_MOVE_TIDY_PRIVATE_H
#define ENGINE_MOVE_TIDY_PRIVATE_H

#include "engine/move/late.h"
#include "engine/move/tidy.h"
#include "engine/move/visit.h"

/* A row of the target as tidy looks at it. */
struct tidy_row {
    struct match_row twin; /* uid 0: it is not there */
    unsigned flags;
    char keywords[1024];
};

struct tidy {
    const struct tidy_config *config;
    struct tidy_result *result;
    struct reader *reader;
    struct loop *loop;
    struct loop_timer tick;
    struct visits *visits;
    struct visit *visit;
    const struct settings_user *user;
    uint32_t id; /* the user's */
    bool lost;   /* no way in for the user, or it is to stop: err and type say why */
    char type[40];
    /* the command under way */
    bool ended, failed;
    struct err err;
    struct late_look *look;
    struct imap_flags permanent; /* of the folder that is selected; keywords are permanent_words */
    char permanent_words[4096];
    bool has_permanent;
    struct tidy_row *rows; /* two: those that are asked for */
    struct match_fidelity fidelity;
};

/* ---- tidy_talk: each returns when it has ended; false: t->err says why ---------------------- */

/* Connects for the user, or sees that it stands. */
bool tidy_is_in(struct tidy *t);
void tidy_leave(struct tidy *t);
/* SELECT, for what may be stored there; again for a new view of it. */
bool tidy_select(struct tidy *t, struct slice raw, struct imap_status *status_r);
/* Selects the folder and looks; *look_r is the caller's to free, also after false. */
bool tidy_look(struct tidy *t, const struct folder_record *f, struct late_look **look_r);
/* The rows of two UIDs; one that does not come has the UID 0. */
bool tidy_fetch(struct tidy *t, uint32_t first, uint32_t second, struct tidy_row rows_r[2]);
bool tidy_mark(struct tidy *t, uint32_t uid, bool deleted);
bool tidy_expunge(struct tidy *t, uint32_t uid);
bool tidy_may_expunge(struct tidy *t);

/* ---- tidy: the journal, durably; false: t->err ---------------------------------------------- */

bool tidy_put_doom(struct tidy *t, uint32_t folder, uint32_t message, uint32_t doomed_uid, bool removed);
bool tidy_put_removed(struct tidy *t, uint32_t folder, uint64_t count, const char *example);
/* How many copies there are still; the user's verdict follows. */
bool tidy_put_left(struct tidy *t, uint32_t folder, const char *folder_name, uint64_t count, bool late,
                   const char *example);

/* ---- tidy_folder ----------------------------------------------------------------------------- */

/* All of one folder. False: t->err; what was done until then is told and in the journal. */
bool tidy_folder(struct tidy *t, const struct folder_record *f, const char *name);

#endif
