/* What the target's mailboxes hold and may hold before anything is moved: their folders with their
 * message counts, and the room that quota leaves. Reads only; for `plan`.
 *
 * Single-threaded: survey_run makes a loop of its own and runs it.
 */
#ifndef ENGINE_INSPECT_SURVEY_H
#define ENGINE_INSPECT_SURVEY_H

#include "engine/move/folder_list.h"
#include "engine/move/visit.h"

struct survey_mailbox {
    unsigned index; /* in settings->users */
    bool known;     /* its folders were read; else err and type say why not */
    struct err err;
    char type[40];
    struct folder_list folder_list;
    bool counted;      /* every folder's messages are known */
    uint64_t messages; /* in the user's own folders; views of others left out */
    /* The least that any quota root leaves. */
    bool has_free_bytes, has_free_messages;
    uint64_t free_bytes, free_messages;
    uint64_t message_bytes_max; /* APPENDLIMIT (RFC 7889); 0: not told */
};

/* Visits the mailbox of each user for whom wanted says yes; told once a user, and the mailbox is
 * gone after it. A server that lets nobody in is not asked for every user. stop: looked at now and
 * then; what was not visited by then is told as not known. Errors: PERMANENT/RUN, when no loop can
 * be had. */
bool survey_run(const struct visit_house *house, bool (*wanted)(void *context, const struct settings_user *user),
                void (*told)(void *context, const struct survey_mailbox *mailbox), bool (*stop)(void), void *context,
                struct err *err_r) ERR_CHECK;

#endif
