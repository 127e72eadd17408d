/* What account, account_link, account_prove and account_tell share. Internal to accounts.
 */
#ifndef ENGINE_MOVE_ACCOUNT_PRIVATE_H
#define ENGINE_MOVE_ACCOUNT_PRIVATE_H

#include "engine/move/account.h"
#include "engine/move/pull.h"

/* account_tell: puts the user's record into the journal; told (may be NULL) once it is durable. */
void account_put_user(struct account *account, reactor_told *told);
/* Counts the answer into this user's one record of that side: throttle answers differ in their
 * numbers, and thousands of them are one fact. */
void account_tell_throttled(struct account *account, enum side side, const struct err *err);
/* account_tell: the log's line a user, when all of it is in the journal. */
void account_tell_end(const struct account *account);
/* account_doubt: those of the journal, at the account's start. False: the journal cannot be read. */
bool account_doubts_begin(struct account *account, struct err *err_r) ERR_CHECK;
void account_doubts_end(struct account *account);
/* One whose text and remedy are made already. */
void account_doubt_put(struct account *account, const struct problem_record *doubt);
/* account_time: the time since the last call goes to what the account was doing, and now and then
 * into the journal. now: loop time in ms. */
void account_spend_time(struct account *account, uint64_t now);
/* account_limits: takes what earlier runs learnt of this user's own limits, as far as it is still good. */
void account_limits_begin(struct account *account);

/* account_night: the user's work begins, its folders loaded; it is over, and goes into the journal as a row. */
void account_night_begin(struct account *account);
void account_night_end(struct account *account);

/* account_link: may this side's connections be opened and kept now? */
bool account_wants_links(const struct account *account, enum side side);
/* account_link: no connection to the target was opened, and as far as the source has told nothing
 * calls for one. */
bool account_target_rests(struct account *account);
/* account_link: a worker without a link. */
struct worker *account_worker_create(struct account *account, enum side side);
/* Opens the worker's link if one may be opened now. */
void account_worker_open(struct worker *w);
/* account_spread: one more connection for a mailbox for which that pays (engine/move/spread). */
void account_maybe_more_links(struct account *account, enum side side);

/* account_prove: the phase becomes PROVING; the journal is asked what it holds of the user, and the
 * target once more what it counts, for each folder that was filled and not counted since, on new
 * connections when need be. */
void account_prove(struct account *account);
/* Asks for the counts that are still wanted, if that is possible now. */
void account_prove_go(struct account *account);
/* account_audit: the folder's turn to be looked at comes when all counts are told. proves: its count agrees, and
 * proves nothing, since others put mail there, or a doubt stands (proof_from, clears); else what is lacking is moved
 * again. */
void account_audit_want(struct folder *f, bool proves);
/* Looks at the next one on this link, on which nothing else is under way. */
void account_audit_go(struct worker *w);
/* account_prove: a folder holds all that it must, by this count. */
void account_proved(struct folder *f, const struct imap_status *status);
/* account_prove: says of how many of its messages neither side has any more, as of the last reckoning. */
void account_tell_lost(struct folder *f);
/* account_prove: it does not, though its number of messages is large enough. */
void account_unproved(struct folder *f, uint64_t missing);
/* account_prove: a question about the folder had no answer that counts. True: it is to be asked once more. */
bool account_proof_refused(struct folder *f, const struct err *cause);
/* No count is wanted or on its way: what was asked for has been answered, or the user has failed. */
bool account_is_proven(struct account *account);

#endif
