/* Folder names: which role a folder has, what it is called for people, and what it becomes on the
 * target. Pure: rows in, rows out; deterministic whatever the order of the rows, so that a second
 * run maps as the first did, even without its state folder. Nothing is ever dropped: a name that
 * the target cannot hold is changed and the change told; no two folders get one name, so that the
 * report's map leads back. The work grows with the number of folders and no faster.
 */
#ifndef ENGINE_FOLDERS_NAMES_H
#define ENGINE_FOLDERS_NAMES_H

#include "engine/imap/values.h"
#include "engine/settings/settings.h"
#include "store/record.h"

/* One folder of the source, as LIST showed it, or as the journal remembers it. */
struct names_source {
    char *raw;           /* bytes for SELECT; owned */
    char delimiter;      /* '\0' for NIL */
    unsigned attributes; /* IMAP_MAILBOX_ bits */
    /* filled by names_describe */
    char *name;    /* UTF-8 path for people with '/' between levels, prefix taken off; owned */
    char role[16]; /* inbox sent drafts trash junk archive all flagged important, or "" */
    bool selectable;
    bool outside;  /* not the user's own: beyond the UserRoot, or in a namespace of others */
    bool excluded; /* by the policy */
    /* filled by names_map */
    char *target_raw, *target_name; /* owned; NULL when not to be made on the target */
};

struct names_target {
    char *raw;
    char delimiter;
    unsigned attributes;
};

struct names_rules {
    const struct settings *settings;
    const struct settings_user *user;
    const char *source_prefix;                  /* personal namespace of the source, raw ("INBOX."), or "" */
    const char *target_prefix;                  /* likewise of the target */
    const struct settings_list *source_foreign; /* prefixes of other users' and shared namespaces, raw;
                                                   or NULL */
    char target_delimiter;                      /* '\0' when the target has no hierarchy */
    bool exchange;                              /* Exchange's rules for names */
    uint64_t *work; /* counts names looked up and pattern bytes matched, for tests; or NULL */
};

/* A remark for the report: type, text, remedy as in interface.md. */
typedef void names_tell(void *context, size_t index, const char *type, const char *text, const char *remedy);
names_tell names_tell_nothing; /* what stands in for NULL below */

/* With a UserRoot: is there a folder within, after names_describe? Else the failure of the user is NAMES_ROOT_TYPE, and
 * err_r says so: PERMANENT/ACCOUNT, origin CONFIG. */
#define NAMES_ROOT_TYPE "InvalidMailboxName"
bool names_root_holds(const struct names_source *rows, size_t count, const struct settings_user *user,
                      struct err *err_r) ERR_CHECK;
/* Fills name, role, selectable and excluded of every row. Not selectable is also what the user does
 * not own: with a UserRoot all that lies outside it (the root itself is the user's INBOX), without
 * one the namespaces of others; and a row that stands for a folder which another row stands for
 * better (INBOX in another spelling, "Junk/" beside "Junk", the same name twice). */
void names_describe(struct names_source *rows, size_t count, const struct names_rules *rules, names_tell *tell,
                    void *context);
/* Fills target_raw and target_name of every row that is selectable and not excluded. Rows that have
 * a target_raw already (from an earlier run) keep it. Two rows never get the same target. */
void names_map(struct names_source *rows, size_t count, const struct names_target *targets, size_t target_count,
               const struct names_rules *rules, names_tell *tell, void *context);
void names_source_deinit(struct names_source *row);

#endif
