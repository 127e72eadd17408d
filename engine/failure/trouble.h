/* The one place from error to action: given what went wrong and how often already, what to do, and
 * which of the report's failure types it is. Pure; a table with a test per row.
 */
#ifndef ENGINE_FAILURE_TROUBLE_H
#define ENGINE_FAILURE_TROUBLE_H

#include "io/base/err.h"
#include "store/record.h"

/* What was being done; with the error it decides both answers. */
enum trouble_doing {
    TROUBLE_CONNECT, /* DNS, TCP, TLS, greeting */
    TROUBLE_LOGIN,
    TROUBLE_LIST, /* NAMESPACE, LIST, STATUS */
    TROUBLE_SELECT,
    TROUBLE_FETCH,
    TROUBLE_CREATE,
    TROUBLE_APPEND,
    TROUBLE_SPOOL,
    TROUBLE_COUNT
};

enum trouble_action {
    TROUBLE_RETRY,        /* the same again after wait_ms */
    TROUBLE_HOLD,         /* the account pauses on this side for wait_ms; no attempt is counted */
    TROUBLE_FEWER,        /* one session less on this side, then as HOLD */
    TROUBLE_LOOK_FIRST,   /* look on the target before anything is sent again */
    TROUBLE_OTHER_FORM,   /* ask for the message in the next form of the FETCH ladder */
    TROUBLE_SKIP_MESSAGE, /* the message has failed */
    TROUBLE_SKIP_FOLDER,  /* the folder has failed; the account goes on */
    TROUBLE_STOP_ACCOUNT, /* the user has failed */
    TROUBLE_STOP_RUN
};

struct trouble_verdict {
    enum trouble_action action;
    uint32_t wait_ms;
    const char *type; /* "LoginFailed": a constant of the report */
};

/* The wait before a first repetition, 1..3,600,000 ms; those after it grow to 300 times as much. Set
 * before the team starts. */
void trouble_set_first_wait(uint32_t wait_ms);

/* attempts: how often this same thing failed in a row before, 0 the first time. limit: the batch's
 * transient-failure-limit. seed: any number that differs between accounts, for jitter. */
void trouble_judge(enum trouble_doing doing, enum failure_side side, const struct err *err, unsigned attempts,
                   unsigned limit, uint32_t seed, struct trouble_verdict *verdict_r);

/* Lists of servers took what memory-max leaves for them (session_config.memory). */
bool trouble_is_memory(const struct err *err);

/* What was being done when a connection ended before it was ready for commands. greeted: the server had let it in. */
enum trouble_doing trouble_while_connecting(const struct err *err, bool greeted);

/* Whether a connection that ended before a greeting was turned away for a limit about which the server says nothing:
 * Courier's MAXPERIP closes it, a firewall refuses it or lets it wait, as Cyrus does with no process left. So it is
 * taken when it is not the first in a row (attempts as in trouble_judge), and `standing` others of this process are
 * logged in there or `came` others got in since the attempt before. Then *err_r says so, and is judged as a limit. */
bool trouble_turned_away(const struct err *err, bool greeted, unsigned attempts, unsigned standing, unsigned came,
                         struct err *err_r);

/* NO or BAD to an APPEND that was sent whole, in words that say nothing about the message: a front end may answer
 * so for a back end that goes on and stores it. */
bool trouble_may_have_stored(const struct err *err);
/* The words of a refusal say that it passes; of all that are known to be said so, but those that servers also use of a
 * message that they cannot read ([SERVERBUG]). */
bool trouble_says_it_passes(const struct err *err);
/* A tagged `Server Unavailable. 15`: out of order for now, or, to APPEND, a full mailbox. */
bool trouble_is_unavailable(const struct err *err);

/* A refusal to open a source folder that another spelling of its name may not meet. */
bool trouble_is_about_name(const struct err *err);

/* The server says that there is no such mailbox ([NONEXISTENT], RFC 5530 3, or words; quirk T22). One
 * that it lists all the same is there. */
bool trouble_is_gone(const struct err *err);

/* One of the types that mean: this user's login was refused. */
bool trouble_is_login(const char *type);

/* The report's type alone. */
const char *trouble_type(enum trouble_doing doing, enum failure_side side, const struct err *err);

#endif
