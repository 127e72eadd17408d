/* Second copies on the target that are this program's own, for `tidy`: told, and removed when asked to. What the run
 * only looks for (push_late) is proved here message by message, looked at again just before, and removed by UID
 * EXPUNGE alone. What is done is in the journal before and after, so that it may be broken off at any instant.
 *
 * Blocks; single-threaded, on a loop of its own. The state folder must be open for writing.
 */
#ifndef ENGINE_MOVE_TIDY_H
#define ENGINE_MOVE_TIDY_H

#include "engine/settings/settings.h"
#include "store/spool.h"

struct tidy_copy {
    const struct settings_user *user;
    const char *folder;     /* of the target, UTF-8 */
    const char *message_id; /* printable, or "" */
    uint32_t uid, kept_uid; /* of the target; kept_uid 0: not known */
    uint32_t message;       /* the UID at the source of the message that both are of */
    uint64_t bytes;         /* as the target tells; 0 of one that was gone already */
    int64_t seconds;        /* its INTERNALDATE; INT64_MIN: none */
    bool removed;
    const char *why; /* why it was not, or would not be; "": it would */
};

struct tidy_config {
    const struct settings *settings;
    struct spool *spool;
    bool removes;
    /* Borrowed for the call. */
    void (*copy)(void *context, const struct tidy_copy *copy);
    /* The user, or with a name that folder, could not be looked at; type: the report's. */
    void (*unseen)(void *context, const struct settings_user *user, const char *folder, const char *type,
                   const struct err *err);
    void *context;
};

struct tidy_result {
    unsigned users;  /* looked at: those with a folder in which copies may be */
    unsigned unseen; /* told by unseen */
    uint64_t removed, left;
    bool stopped; /* early, by batch_stop */
};

/* All users of the settings that the state folder knows. Adds to *result. Errors: PERMANENT/RUN, from the store, or
 * when it could not start (TLS files). */
bool tidy_run(const struct tidy_config *config, struct tidy_result *result, struct err *err_r) ERR_CHECK;

#endif
