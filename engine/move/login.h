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
/* The worker's link is gone. */
void login_over(struct worker *worker);

/* The part of login_describe that needs no account: for check, folders and bench. */
void login_endpoint(const struct settings_endpoint *endpoint, struct tls_role *tls,
                    struct link_config *config_r);

#endif
