/* TLS by OpenSSL: one role (SSL_CTX) per server for the whole process, made before the team starts;
 * sessions translate ciphertext to plaintext in memory and know no socket (io/stream joins both).
 * Certificates are verified unless the user wrote `tls = none` or pinned a fingerprint.
 */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "io/base/err.h"
#include "io/base/slice.h"

struct tls_role;
struct ssl_st; /* OpenSSL's SSL */

struct tls_config {
    const char *ca_file;          /* PEM bundle instead of the system's; NULL: the system's */
    const char *crl_file;         /* PEM revocation lists, one for each issuer in the chain (RFC 5280 5);
                                     NULL: revocation is not looked at */
    const unsigned char *pin;     /* SHA-256 of the DER certificate, 32 bytes, or NULL; with a pin
                                     the chain is not looked at, the certificate must be this one */
    const char *certificate_file; /* client certificate and chain, PEM; NULL: none */
    const char *key_file;         /* its key; NULL: in certificate_file */
    unsigned min_version;         /* TLS1_2_VERSION ... as OpenSSL names them; 0: TLS 1.2 */
    unsigned security_level;      /* 1 + OpenSSL's level 0..5; 0: the system's, and with TLS below 1.2 the lowest */
    bool verify;                  /* false only when the user asked for it in so many words */
};

/* Errors: PERMANENT/RUN, origin TLS or OS, naming the file that cannot be used. */
bool tls_role_create(const struct tls_config *config, struct tls_role **role_r, struct err *err_r) ERR_CHECK;
/* After every session of it ended. Nulls the pointer; NULL is fine. */
void tls_role_destroy(struct tls_role **role);

/* One certificate as `check` shows it. */
struct tls_certificate {
    char subject[256], issuer[256]; /* printable one-line names */
    char names[512];                /* subjectAltName DNS entries, comma separated */
    int64_t not_before, not_after;  /* seconds since 1970 UTC */
    char sha256[65];                /* hexadecimal fingerprint, as tls-fingerprint takes it */
};
/* The peer's leaf certificate of a session; false when there is none. ssl: from stream_ssl. */
bool tls_peer_certificate(struct ssl_st *ssl, struct tls_certificate *certificate_r) ERR_CHECK;

#endif
