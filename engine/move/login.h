/* How an account logs in on a side: address, TLS and credentials of a connection, from settings and,
 * where a server wants OAuth, with a token that is asked for ahead of time.
 */
#ifndef ENGINE_MOVE_LOGIN_H
#define ENGINE_MOVE_LOGIN_H

#include "engine/move/account.h"

/* Everything is at hand to open a connection (a token is put into worker). False: what is missing was
 * asked for; account_poke comes when it is there, or the account has failed because it cannot be
 * had. */
bool login_ready(struct worker *worker);
/* Fills config but for its label. Borrowed from settings and worker until the link's end. */
void login_describe(struct worker *worker, struct link_config *config_r);
/* The link is ready. */
void login_stands(struct worker *worker);
/* The worker's link is gone. */
void login_over(struct worker *worker);
/* A login was refused for good, or TLS is: enough of that and the whole server is left alone. Called
 * before login_over. */
void login_refused(struct worker *worker, const struct err *err, const char *type);
/* A user's own limit of connections may have been other clients': one more is tried after this. */
#define LOGIN_LIMIT_KEPT_MS (5u * 60 * 1000)

/* The server allows no more connections: true when this user's others carry on without this one, false
 * when there is none, so that all must wait. */
bool login_fewer(struct worker *worker, const struct err *err);
/* May the user have one more connection on this side? */
bool login_has_room(const struct account_side *side, uint64_t now_ms);

/* The same for who has no account: verify and export. token: NULL without OAuth. */
void login_as(const struct settings *settings, enum side side, const struct settings_user *user, struct tls_role *tls,
              const struct secret *token, struct link_config *config_r);

#endif
