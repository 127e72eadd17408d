/* One APPEND from its sending to its end: what push_send and push_refused share. Internal to the push side of
 * engine/move.
 */
#ifndef ENGINE_MOVE_PUSH_JOB_PRIVATE_H
#define ENGINE_MOVE_PUSH_JOB_PRIVATE_H

#include "engine/move/push_private.h"

/* One APPEND on the wire. */
struct job {
    struct worker *worker;
    struct folder *folder;
    struct job *next;          /* of the folder */
    struct folder_item *items; /* room for one, or for what a MULTIAPPEND may hold; behind the job */
    uint32_t *uids;            /* parallel to items */
    unsigned count;
    bool has_uids;
    uint32_t highest_at_send;
    uint32_t refusals_at_send;   /* of the folder, seen so far */
    uint64_t bytes, given_bytes; /* of all bodies; handed to the session */
    uint64_t sent_ms;
    /* the body being read */
    struct body_reader *body;
    struct repair *repair; /* with body, when it is sent mended */
    uint64_t body_read;
    unsigned body_item;
    bool unreadable; /* body_item cannot be read from the spool */
    struct err read_err;
};

/* push_send: its messages go back to the front of the queue, the oldest last, so that order stays. again: each was
 * refused once more. */
void push_job_requeue(struct job *job, bool again);
/* push_refused: the APPEND was refused or had no answer; its messages are where they belong after that, and the
 * account knows. */
void push_append_refused(struct job *job, const struct err *cause);
/* push_refused: likewise; it ended by *err because the body of one of them cannot be read from the spool. */
void push_append_unreadable(struct job *job, const struct err *err);

#endif
