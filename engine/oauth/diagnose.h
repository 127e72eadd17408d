/* Why a sign-in by token fails, told apart in three steps: the application's registration (no token
 * is given), its permission (the token is given and refused), the mailbox (the token is taken, the
 * mailbox stays closed). Each with the PowerShell line that mends it, ready to paste. Pure.
 */
#ifndef ENGINE_OAUTH_DIAGNOSE_H
#define ENGINE_OAUTH_DIAGNOSE_H

#include "engine/oauth/oauth.h"

/* This computer's clock may differ by this much before assertions are refused. */
#define DIAGNOSE_SKEW_MAX_S 300

struct diagnosis_facts {
    const struct settings_endpoint *endpoint;
    const char *login;                 /* the mailbox that is to be opened */
    const struct oauth_claims *claims; /* NULL: there is no token */
    bool skew_known;
    int64_t skew_s; /* this computer's clock minus the token server's */
};

struct diagnosis {
    char type[40]; /* of the report */
    char cause[480], remedy[640];
};

/* Step 1: no token was given. False: nothing better is known than the type's own advice. */
bool diagnose_token(const struct diagnosis_facts *facts, const struct err *err, struct diagnosis *d_r);
/* Step 2, what can be read in the token: for another service, or without the right to IMAP. False:
 * the token looks right. */
bool diagnose_claims(const struct diagnosis_facts *facts, struct diagnosis *d_r);
/* Step 2, where the token looks right and AUTHENTICATE is refused all the same. */
bool diagnose_login(const struct diagnosis_facts *facts, const struct err *err, struct diagnosis *d_r);
/* Step 3: signed in, and "User is authenticated but not connected". */
bool diagnose_mailbox(const struct diagnosis_facts *facts, const struct err *err, struct diagnosis *d_r);

/* The token in words for a person: audience, rights, tenant, expiry, clock. */
void diagnose_describe(const struct diagnosis_facts *facts, int64_t now_s, char *out, size_t cap);

#endif
