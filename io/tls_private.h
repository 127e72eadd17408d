/* What io/tls (roles), io/tls_session and io/tls_words know of each other. */
#ifndef IO_TLS_PRIVATE_H
#define IO_TLS_PRIVATE_H

#include "io/tls_session.h"

#include <openssl/ssl.h>

struct tls_role {
    SSL_CTX *ctx;
    uint64_t id; /* never used again, as an address might be */
    bool pinned;
    unsigned char pin[32];
};

/* What the verifier found, kept for the words of the error. */
struct tls_fault {
    int code;                           /* X509_V_ERR_, 0: none */
    int depth;                          /* 0: the server's own certificate */
    struct tls_certificate certificate; /* the one at fault */
    char expected[65];                  /* with a pin */
};

struct tls_session {
    SSL *ssl;
    struct tls_role *role;
    struct tickets *tickets;
    char host[256], server[280];
    struct slice in;
    size_t (*out)(void *context, struct slice bytes);
    void *context;
    struct tls_fault fault;
};

/* The session a verification or ticket callback belongs to. */
struct tls_session *tls_session_of(SSL *ssl);
void tls_certificate_describe(X509 *x509, struct tls_certificate *certificate_r);
/* PERMANENT/ACCOUNT, origin TLS: what is wrong with the certificate and what to do. */
void tls_words_certificate(const struct tls_fault *fault, const char *host, struct err *err_r);
/* Any other fault of OpenSSL's; empties its error queue. */
void tls_words_other(const char *doing, const char *host, struct err *err_r);

#endif
