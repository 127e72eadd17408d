/* Credentials and mechanisms: which one to use by configuration and capabilities, and the SASL
 * exchange itself (libgsasl where it has the mechanism). Never tries one password twice.
 *
 * One administrator for all users comes in four shapes: as SASL authorization identity, as a combined
 * login name (login_form), as a login followed by a command that names the user (auth_become), and
 * as an application's key followed by LOGIN without password (GroupWise).
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
    AUTH_KERIO_MASTER, /* X-MASTERAUTH with the master password, then X-SETUSER */
    AUTH_PROXYAUTH,    /* the administrator logs in, then PROXYAUTH (Sun, iPlanet, Oracle) */
    AUTH_GROUPWISE,    /* XGWTRUSTEDAPP with application name and key, then LOGIN user "" */
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
    bool plaintext_allowed; /* user wrote tls = none: passwords may cross the wire in clear */
    unsigned tried;         /* ways that failed on connections before, as bits */
    bool windows_1252;      /* the server reads names and passwords so (quirk L24); found
                               out by the session */
};

/* At most so many ways are tried, each on a connection of its own. */
#define AUTH_TRIES_MAX 3u

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
    AUTH_WAY_KERIO,   /* X-MASTERAUTH, a command and no SASL */
    AUTH_WAY_GROUPWISE,
    AUTH_WAY_COUNT
};

/* The SASL name, "LOGIN" for the command. */
const char *auth_way_name(enum auth_way way);
/* The words that start it on the wire: "AUTHENTICATE PLAIN", "X-MASTERAUTH". Not for COMMAND. */
const char *auth_way_command(enum auth_way way);
/* The best way that is offered, fits the credentials and is not in tried (bits by way). With TLS,
 * PLAIN and LOGIN stand before CRAM-MD5, whose servers are often broken (quirk L22); without, they
 * need plaintext_allowed. PERMANENT/ACCOUNT, origin CONFIG, when there is none. */
bool auth_choose(const struct auth_config *config, const struct caps *caps, bool tls, const struct ssl_st *ssl,
                 unsigned tried, enum auth_way *way_r, struct err *err_r) ERR_CHECK;
/* Appends the name that authenticates (login_form applied). False when it passes the cap. */
bool auth_login_name(const struct auth_config *config, struct buf *out) ERR_CHECK;
/* Appends the password. False when it passes the cap. */
bool auth_password(const struct auth_config *config, struct buf *out) ERR_CHECK;
/* The command by which an administrator who has logged in becomes the user ("PROXYAUTH", "X-SETUSER",
 * "LOGIN" with an empty password), or NULL where the login itself names the user. */
const char *auth_become(const struct auth_config *config);

struct auth; /* one exchange */
struct scram_work;

/* Borrows config until auth_destroy. Not for AUTH_WAY_COMMAND. caps: what the server offers; ssl:
 * NULL without TLS. */
bool auth_create(const struct auth_config *config, enum auth_way way, const struct caps *caps, struct ssl_st *ssl,
                 struct auth **auth_r, struct err *err_r) ERR_CHECK;
/* Wipes, frees and nulls. */
void auth_destroy(struct auth **auth);
/* The mechanism speaks first, so that SASL-IR saves a round trip (RFC 4959). */
bool auth_client_first(const struct auth *auth);
/* What takes long in the next step, so that any thread may do it before (scram_work_run); then
 * auth_worked and auth_step. Owned by the caller. NULL: nothing does, or the challenge will be
 * refused. */
struct scram_work *auth_work(const struct auth *auth, struct slice challenge);
/* It has run; auth's now. */
void auth_worked(struct auth *auth, struct scram_work *work);
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
