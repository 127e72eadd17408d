/* Credentials and mechanisms: which one to use by configuration and capabilities, and the SASL
 * exchange itself (libgsasl where it has the mechanism). Never tries one password twice.
 */
#ifndef ENGINE_IMAP_AUTH_H
#define ENGINE_IMAP_AUTH_H

#include "engine/imap/caps.h"
#include "io/base/buf.h"
#include "io/base/err.h"
#include "io/base/secret.h"

struct ssl_st;

enum auth_mechanism {
    AUTH_AUTO, /* strongest offered that fits the credentials */
    AUTH_PLAIN,
    AUTH_LOGIN, /* the LOGIN command, or AUTH=LOGIN where only that is offered */
    AUTH_CRAM_MD5,
    AUTH_SCRAM_SHA_1,
    AUTH_SCRAM_SHA_256,
    AUTH_XOAUTH2,
    AUTH_OAUTHBEARER,
    AUTH_EXTERNAL,
    AUTH_MECHANISM_COUNT
};

struct auth_config {
    enum auth_mechanism mechanism;
    const char *user;              /* the mailbox's login name */
    const char *admin_user;        /* authenticates in place of user, or NULL */
    const char *login_form;        /* "{user}*{admin}", "{admin}/{user}", "#{user}@{domain}#{admin}#";
                                      NULL with admin_user: SASL PLAIN authzid */
    const struct secret *password; /* of user, or of admin_user; NULL with a token or EXTERNAL */
    const struct secret *token;    /* OAuth access token, or NULL */
    const char *host;              /* for OAUTHBEARER and SCRAM service names */
    uint16_t port;
    bool plaintext_allowed;        /* user wrote tls = none: passwords may cross the wire in clear */
};

/* The batch file's words ("scram-sha-256"). */
const char *auth_mechanism_name(enum auth_mechanism mechanism);
bool auth_mechanism_parse(const char *name, enum auth_mechanism *mechanism_r) ERR_CHECK;

/* ---- for `login` only ---- */

/* One way of logging in. */
enum auth_way {
    AUTH_WAY_NONE,
    AUTH_WAY_XOAUTH2,
    AUTH_WAY_OAUTHBEARER,
    AUTH_WAY_EXTERNAL,
    AUTH_WAY_SCRAM_SHA_256_PLUS,
    AUTH_WAY_SCRAM_SHA_256,
    AUTH_WAY_SCRAM_SHA_1_PLUS,
    AUTH_WAY_SCRAM_SHA_1,
    AUTH_WAY_CRAM_MD5,
    AUTH_WAY_PLAIN,
    AUTH_WAY_COMMAND, /* the LOGIN command, RFC 9051 6.2.3 */
    AUTH_WAY_LOGIN,   /* AUTHENTICATE LOGIN */
    AUTH_WAY_COUNT
};

/* The SASL name, "LOGIN" for the command. */
const char *auth_way_name(enum auth_way way);
/* The best way that is offered, fits the credentials and is not in tried (bits by way). With TLS,
 * PLAIN and LOGIN stand before CRAM-MD5, whose servers are often broken (quirk L22); without, they
 * need plaintext_allowed. PERMANENT/ACCOUNT, origin CONFIG, when there is none. */
bool auth_choose(const struct auth_config *config, const struct caps *caps, bool tls,
                 const struct ssl_st *ssl, unsigned tried, enum auth_way *way_r,
                 struct err *err_r) ERR_CHECK;
/* Appends the name that authenticates (login_form applied). False when it passes the cap. */
bool auth_login_name(const struct auth_config *config, struct buf *out) ERR_CHECK;

struct auth; /* one exchange */

/* Borrows config until auth_destroy. Not for AUTH_WAY_COMMAND. */
bool auth_create(const struct auth_config *config, enum auth_way way, struct ssl_st *ssl,
                 struct auth **auth_r, struct err *err_r) ERR_CHECK;
/* Wipes, frees and nulls. */
void auth_destroy(struct auth **auth);
/* The mechanism speaks first, so that SASL-IR saves a round trip (RFC 4959). */
bool auth_client_first(const struct auth *auth);
/* challenge: base64 as the server sent it, empty for the first step of client_first. Appends the
 * base64 answer to out (may be empty). */
bool auth_step(struct auth *auth, struct slice challenge, struct buf *out, struct err *err_r) ERR_CHECK;
/* At the tagged OK: PERMANENT when the server has not proven itself (SCRAM's signature). */
bool auth_finish(struct auth *auth, struct err *err_r) ERR_CHECK;
/* Something derived from the secret has been given out: another try would be a second attempt. */
bool auth_spent(const struct auth *auth);
/* What an OAuth server said about its refusal (JSON), printable, or "". */
const char *auth_refusal(const struct auth *auth);

#endif
