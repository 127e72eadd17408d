/* What the two parts of a login share: its rows (login.c) and who logs in (login_auth.c). The handlers return the
 * state that the login goes on with. Private to engine/imap.
 */
#ifndef ENGINE_IMAP_LOGIN_PRIVATE_H
#define ENGINE_IMAP_LOGIN_PRIVATE_H

#include "engine/imap/session_private.h"

/* login.c */
/* Sends a command under the next tag; short, and nothing secret. */
bool login_send(struct session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* They end the session: by a refusal in the server's words, for a reason of ours, with an error as it is. */
enum login_state login_refuse(struct session *s, const char *why);
enum login_state login_fail(struct session *s, const struct err *err);

/* login_auth.c */
enum login_state login_auth_begin(struct session *s);
enum login_state login_auth_answered(struct session *s, const struct resp *resp);
enum login_state login_become_send(struct session *s);
enum login_state login_become_answered(struct session *s, const struct resp *resp);
/* "+": the next part of LOGIN, or the next step of SASL. */
void login_auth_continue(struct session *s, const struct resp *resp);
/* Forgets the command that was being sent; its bytes are wiped. */
void login_wipe_text(struct login *login);

#endif
