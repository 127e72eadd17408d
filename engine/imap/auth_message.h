/* What the ways of logging in that are made by hand say first. Private to auth.
 */
#ifndef ENGINE_IMAP_AUTH_MESSAGE_H
#define ENGINE_IMAP_AUTH_MESSAGE_H

#include "engine/imap/auth.h"

/* PLAIN, EXTERNAL, XOAUTH2, OAUTHBEARER, GROUPWISE: the one message, not yet base64. False when it
 * passes out's cap. */
bool auth_message(const struct auth_config *config, enum auth_way way, struct buf *out) ERR_CHECK;
/* X-MASTERAUTH's answer. False where MD5 is not to be had, or when it passes the cap. */
bool auth_message_kerio(const struct auth_config *config, struct slice challenge, struct buf *out) ERR_CHECK;

/* auth.c: whether the mechanism carries the user's name besides the administrator's; and text as
 * the server reads it (auth_config.windows_1252). */
bool auth_has_authzid(const struct auth_config *config);
bool auth_append_text(const struct auth_config *config, struct slice text, struct buf *out) ERR_CHECK;

#endif
