/* What the token endpoint needs of JSON Web Tokens (RFC 7519). Private to engine/rehearsal. */
#ifndef ENGINE_REHEARSAL_EXO_JWT_H
#define ENGINE_REHEARSAL_EXO_JWT_H

#include "engine/rehearsal/exo_http.h"

#include <jansson.h>

#define EXO_JWT_AUDIENCE "https://outlook.office365.com"
#define EXO_JWT_SCOPE    "IMAP.AccessAsUser.All"
#define EXO_JWT_MAX      16384 /* bytes of one */

/* Splits a JWT; header and claims as JSON (the caller's to decref, also where it fails), the part that is signed, the
 * raw signature appended to `signature`. */
bool exo_jwt_open(struct slice jwt, json_t **header_r, json_t **claims_r, struct slice *signed_r,
                  struct buf *signature);
/* The text of a member; "" where it is missing or no text. */
const char *exo_jwt_claim(const json_t *claims, const char *name);

#endif
