/* A report that was written as JSON (interface.md: mailhaul.report.v1), read again: of a shard
 * whose state folder is out of reach, or of a whole batch. Users are read one by one, so that a
 * report of many users takes little memory; the file stays open, and may be replaced meanwhile.
 *
 * What it says is anybody's: every number and name is checked before it is used.
 */
#ifndef ENGINE_REPORT_SHARE_H
#define ENGINE_REPORT_SHARE_H

#include "engine/report/folders.h"
#include "engine/report/report.h"

/* A state folder that the report was made of. */
struct share_part {
    char *folder, *host; /* its path, and the machine that it was on; printable */
    unsigned number, of; /* of 0: the users are not divided */
    bool there;          /* false: it was missing already when the report was written */
    bool left_out;       /* it counted for nothing then, and none of the users is its */
    char state[32];      /* a batch's word */
    bool running, has_exit_code;
    int exit_code;
    int64_t started_ms, updated_ms; /* last run's begin, last sign of life; 0: not known */
};

struct share {
    char *path;                                          /* of the file, as it was named */
    char *name;                                          /* of the batch; printable */
    int64_t started_ms, finished_ms, killed_ms, made_ms; /* 0: none, or not told */
    char *warnings;                                      /* one a line */
    struct share_part *parts;
    unsigned part_count;       /* at least 1 */
    struct report_user *users; /* without what load_user adds up; shard: index of the part; id: index + 1 */
    unsigned user_count;
    struct share_private *private;
};

/* Does it look like one: a regular file whose first sign is a brace, or whose name ends in .json?
 */
bool share_is(const char *path);
/* Reads and checks all of it. Errors name the file. RUN scope; origin CONFIG: it is no report of
 * mailhaul, or one of another schema; origin STORE: it is damaged or cut; origin OS: it cannot be
 * read. */
bool share_open(const char *path, struct share **share_r, struct err *err_r) ERR_CHECK;
/* Frees and nulls; NULL is fine. */
void share_close(struct share **share);

/* Details of a user (index), as store/reader gives them; folders are numbered from 1 in their
 * order. */
bool share_folders(struct share *share, unsigned user, struct report_folders *list_r, struct err *err_r) ERR_CHECK;
/* Items of one folder in one of three lists. */
enum share_list { SHARE_SKIPPED, SHARE_FAILED, SHARE_REPAIRED };
bool share_items(struct share *share, unsigned user, enum share_list list, const struct folder_record *folder,
                 bool (*each)(void *context, const struct message_record *message, const struct message_note *note),
                 void *context, struct err *err_r) ERR_CHECK;
bool share_failures(struct share *share, unsigned user,
                    bool (*each)(void *context, const struct failure_record *failure), void *context,
                    struct err *err_r) ERR_CHECK;
/* Writes the user as it stands there, with all that this version does not know; state_index in
 * place of its own. */
bool share_emit_user(struct share *share, unsigned user, struct emit *e, unsigned state_index,
                     struct err *err_r) ERR_CHECK;

/* What was learnt of the servers, added to report->learnt; shard: index of the report's first part that
 * counts. */
void share_learnt(struct share *share, struct report *report, unsigned shard);
/* The course that it tells. False: it has none. */
bool share_timeline_range(const struct share *share, int64_t *from_ms_r, int64_t *to_ms_r);
/* Adds it to a course whose range is set; returns for how many ms a run was going on. */
uint64_t share_timeline_spread(const struct share *share, struct report_timeline *course);

#endif
