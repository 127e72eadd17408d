/* What the ways of logging in (auth_ways.c) tell a login (auth.c). Private to engine/imap. */
#ifndef ENGINE_IMAP_AUTH_PRIVATE_H
#define ENGINE_IMAP_AUTH_PRIVATE_H

#include "engine/imap/auth.h"

enum auth_trait {
    AUTH_NEEDS_PASSWORD = 1,
    AUTH_NEEDS_TOKEN = 2,
    AUTH_IN_CLEAR = 4,       /* who listens has the secret */
    AUTH_CLIENT_FIRST = 8,   /* the client speaks first. RFC 4422 3 */
    AUTH_BY_GSASL = 16,      /* CRAM-MD5 */
    AUTH_PLUS = 32,          /* bound to the TLS channel. RFC 5802 6 */
    AUTH_TAKES_AUTHZID = 64, /* an authorization identity can be named */
    AUTH_BY_SCRAM = 128,
};

/* Bits of enum auth_trait. */
unsigned auth_way_traits(enum auth_way way);
enum auth_mechanism auth_way_mechanism(enum auth_way way);

#endif
