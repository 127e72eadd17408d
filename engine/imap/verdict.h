/* What a server's refusal means: status, response code (RFC 5530) and the texts of quirks B6 and of
 * Exchange Online (section 2) become class, scope and wait of one error. One table; what to do
 * about it is engine/failure/trouble's.
 */
#ifndef ENGINE_IMAP_VERDICT_H
#define ENGINE_IMAP_VERDICT_H

#include "engine/imap/resp.h"
#include "io/base/err.h"

/* What was asked, as far as the meaning of an answer depends on it. */
enum verdict_doing {
    VERDICT_LOGIN,
    VERDICT_LIST,   /* LIST, LSUB, NAMESPACE, STATUS, ID, NOOP */
    VERDICT_SELECT, /* SELECT, EXAMINE */
    VERDICT_FETCH,  /* FETCH, SEARCH, STORE */
    VERDICT_CREATE, /* CREATE, SUBSCRIBE */
    VERDICT_APPEND,
    VERDICT_DOING_COUNT
};

struct verdict_about {
    enum verdict_doing doing;
    bool worked_before; /* the mailbox was open already, in this session or in another of this run:
                           "authenticated but not connected" then means too many sessions (quirk L01),
                           and this one is over */
};

/* resp: tagged NO or BAD, untagged BYE, or a line of no form. Fills *err_r but `doing`. Returns false
 * when the answer is no failure at all ("some of the messages no longer exist", quirk B23). */
bool verdict_of(const struct resp *resp, const struct verdict_about *about, struct err *err_r);
/* A login was refused (err: its verdict) for the way of logging in, so that another may be tried.
 * spent: what was made from the password had been sent. */
bool verdict_is_about_way(const struct resp *resp, const struct err *err, bool spent);
/* Whether a greeting that is no IMAP says that the server is there, and has no time now ("421 Server is busy"): 421,
 * 450 or 454, or words. */
bool verdict_is_busy(struct slice text);
/* Whether text says by itself, without a tag, that logging in is refused (quirk L18). */
bool verdict_is_login_refusal(struct slice text);

#endif
