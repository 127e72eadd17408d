/* `verify`: reads both sides again and compares, user by user, several at a time on each loop.
 * Writes nothing anywhere. What should be on the target is what the source holds and the policy
 * does not skip; mail that came to the source since the last run is told apart and not missed.
 *
 * Compared are, for every folder: which messages are there (as multisets by what survives a
 * rewriting server), INTERNALDATE and flags, and, where the target keeps mail as it came, each
 * body's digest with the one that the journal noted when it was fetched.
 */
#ifndef ENGINE_INSPECT_VERIFY_H
#define ENGINE_INSPECT_VERIFY_H

#include "engine/message/verify_match.h"
#include "engine/settings/settings.h"
#include "store/spool.h"

#define VERIFY_DIFFERENCES_MAX 1000u /* a user; the others are counted */

struct verify_difference {
    enum verify_what what;
    uint32_t uid;         /* source's; target's for doubled ones; 0: a whole folder */
    char folder[160];     /* of the source, UTF-8, printable */
    char message_id[200]; /* printable, or "" */
    bool late;            /* doubled: the message was sent again, and this copy stored after no look had found it */
};

/* What is told of a user at the end. */
struct verify_user {
    const struct settings_user *user;
    enum verify_grade grade;
    uint64_t source, target; /* messages in the folders compared */
    uint64_t required;       /* of the source's: should be on the target */
    uint64_t skipped;        /* of the source's: left behind by policy */
    uint64_t fresh;          /* of the source's: came since the last run */
    uint64_t missing, doubled, flags, date, content;
    uint64_t late;     /* of the doubled ones: LateCopy */
    uint64_t unjudged; /* of the source's: not compared, for want of a place on the target or of their text */
    uint64_t bodies;   /* digests compared */
    unsigned compared; /* folders, with what the target holds; 0: the user is not judged */
    struct verify_difference *differences;
    unsigned difference_count;
    uint64_t more;   /* differences that are not listed */
    unsigned doubts; /* that the runs left: what could not be proved; with one the user is not Perfect */
    bool complete;   /* false: err and type say why the user could not be read whole, failed_side at which server */
    enum side failed_side; /* SIDE_COUNT: at none */
    struct err err;
    char type[40];
};

struct verify_config {
    const struct settings *settings;
    struct spool *const *spools; /* read_only will do; a user is in at most one of them */
    unsigned spool_count;        /* 1.. */
    unsigned loops;              /* 1..TEAM_LOOPS_MAX */
    unsigned sample;             /* bodies compared in each folder; 0: all */
    /* One at a time, on any thread; borrowed for the call. */
    void (*told)(void *context, const struct verify_user *user);
    void *context;
};

/* Runs to the end or until batch_stop. *told_r: how many users were told. Errors: PERMANENT/RUN
 * when it could not start (TLS files, threads, spool). */
bool verify_run(const struct verify_config *config, unsigned *told_r, struct err *err_r) ERR_CHECK;

#endif
