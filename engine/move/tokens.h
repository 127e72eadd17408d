/* Access tokens of one reactor: asked for on the HTTPS thread, kept, renewed ahead of their end, one for
 * all mailboxes where the grant is the application's own, one a user where it is the user's.
 */
#ifndef ENGINE_MOVE_TOKENS_H
#define ENGINE_MOVE_TOKENS_H

#include "engine/move/reactor.h"

struct tokens;

struct tokens *tokens_create(struct reactor *reactor);
/* After the last account ended, on the loop's thread, before the loop and the HTTPS thread: an answer that
 * has come is still heard, for it may hold a refresh token in place of the last; of those under way none is
 * told any more. */
void tokens_destroy(struct tokens **tokens);

enum tokens_answer {
    TOKENS_READY,
    TOKENS_WAIT,   /* asked for; every account of the reactor is poked when it comes. err_r: why the
                      last try failed; class NONE when none has or one is under way */
    TOKENS_REFUSED /* err_r tells; asked again after a minute at the earliest */
};
/* A copy of the token for this side and user (the caller's to destroy) and the loop time at which it
 * ends. */
enum tokens_answer tokens_get(struct tokens *tokens, enum side side, const struct settings_user *user,
                              struct secret **token_r, uint64_t *ends_ms_r, struct err *err_r);
/* This computer's clock minus that of the server that answered last about this token, in seconds; false
 * when none has. */
bool tokens_skew(struct tokens *tokens, enum side side, const struct settings_user *user, int64_t *skew_s_r);
/* The server says that the token is no good any more: the next tokens_get asks for a new one. */
void tokens_forget(struct tokens *tokens, enum side side, const struct settings_user *user);

#endif
