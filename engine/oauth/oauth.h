/* OAuth as this program needs it, without a network: makes the form of a token request, reads the
 * answer, explains refusals by their AADSTS number, and looks into a token's claims. Tokens and
 * secrets never reach a log or an error's text.
 */
#ifndef ENGINE_OAUTH_OAUTH_H
#define ENGINE_OAUTH_OAUTH_H

#include "engine/settings/settings.h"
#include "io/base/buf.h"

/* Appends the form (application/x-www-form-urlencoded) of a request by the grant of oauth. user: the
 * login, for grants that are a user's own; refresh: the refresh token for SETTINGS_GRANT_REFRESH_TOKEN,
 * else NULL. now_s: seconds since 1970. Errors: PERMANENT/RUN, origin TOKEN: a key or file that cannot
 * be used. RFC 6749 4.4, 6; RFC 7523; Microsoft identity platform, certificate credentials. */
bool oauth_form(const struct settings_oauth *oauth, const char *user, const struct secret *refresh, int64_t now_s,
                struct buf *form, struct err *err_r) ERR_CHECK;

struct oauth_token {
    struct secret *access;  /* the caller's */
    struct secret *refresh; /* a rotated refresh token, or NULL */
    uint32_t life_s;
};
void oauth_token_deinit(struct oauth_token *token);

/* Reads the server's answer. Errors, origin TOKEN, code the AADSTS number or 0: TRANSIENT/RUN (server
 * trouble: ask again), THROTTLED/RUN, or PERMANENT/RUN with number, advice and correlation id in
 * words. body is not changed. */
bool oauth_answer(int status, struct slice body, uint32_t retry_after_s, struct oauth_token *token_r,
                  struct err *err_r) ERR_CHECK;

/* What to do about an AADSTS number; "" when nothing special is known. */
const char *oauth_advice(int aadsts);

/* The claims that `check` shows. Empty and 0 when the token is no JWT or lacks them. */
struct oauth_claims {
    char audience[160], tenant[64], application[64], roles[256]; /* roles or scp, blank separated */
    char user[160];                                              /* who signed in; "" for an application */
    char object_id[64];                                          /* of the person or of the enterprise application */
    bool application_own;                                        /* roles, not scp: the application acts for itself */
    int64_t expires_s;
};
void oauth_claims(struct slice token, struct oauth_claims *claims_r);

#endif
