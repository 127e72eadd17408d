#include "io/tls_private.h"

#include "io/base/now.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void name_text(const X509_NAME *name, char *out, size_t cap)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    long size;

    out[0] = '\0';
    if (!bio)
        return;
    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
    size = BIO_get_mem_data(bio, &data);
    err_printable(out, cap, data, size > 0 ? (size_t)size : 0);
    BIO_free(bio);
}

static int64_t time_seconds(const ASN1_TIME *time)
{
    struct tm tm;

    return time && ASN1_TIME_to_tm(time, &tm) ? (int64_t)timegm(&tm) : 0;
}

static void names_text(X509 *x509, char *out, size_t cap)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;

    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char one[256];

        if (name->type != GEN_DNS)
            continue;
        err_printable(one, sizeof one, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                      (size_t)ASN1_STRING_length(name->d.dNSName));
        if (used + strlen(one) + 3 > cap)
            break;
        used += (size_t)snprintf(out + used, cap - used, "%s%s", used ? ", " : "", one);
    }
    GENERAL_NAMES_free(names);
}

void tls_certificate_describe(X509 *x509, struct tls_certificate *certificate_r)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    memset(certificate_r, 0, sizeof *certificate_r);
    name_text(X509_get_subject_name(x509), certificate_r->subject, sizeof certificate_r->subject);
    name_text(X509_get_issuer_name(x509), certificate_r->issuer, sizeof certificate_r->issuer);
    names_text(x509, certificate_r->names, sizeof certificate_r->names);
    certificate_r->not_before = time_seconds(X509_get0_notBefore(x509));
    certificate_r->not_after = time_seconds(X509_get0_notAfter(x509));
    if (X509_digest(x509, EVP_sha256(), digest, &size))
        for (unsigned i = 0; i < size && i < 32; i++)
            snprintf(certificate_r->sha256 + 2 * i, 3, "%02x", digest[i]);
}

bool tls_peer_certificate(struct ssl_st *ssl, struct tls_certificate *certificate_r)
{
    X509 *x509 = SSL_get1_peer_certificate(ssl);

    if (!x509)
        return false;
    tls_certificate_describe(x509, certificate_r);
    X509_free(x509);
    return true;
}

/* What comes with the connection proves nothing of who is at its other end. */
#define BY_FINGERPRINT "by tls-fingerprint if its administrator reads you the same, by another way"

void tls_words_certificate(const struct tls_fault *fault, const char *host, struct err *err_r)
{
    const struct tls_certificate *c = &fault->certificate;
    const char *whose = fault->depth ? "an issuer's certificate" : "the certificate";
    char when[32];

#define REFUSED(...) err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, fault->code, __VA_ARGS__)
    switch (fault->code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        REFUSED("%s (%.60s) expired on %s; renew it on the server, or trust this one " BY_FINGERPRINT, whose,
                c->subject, now_rfc3339(c->not_after * 1000, when, sizeof when));
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        REFUSED("%s (%.60s) is not valid before %s; compare the clocks of this computer and of "
                "the server",
                whose, c->subject, now_rfc3339(c->not_before * 1000, when, sizeof when));
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        REFUSED("the certificate is not for %.45s but for %.60s; put such a name into url, or trust it " BY_FINGERPRINT,
                host, c->names[0] ? c->names : c->subject);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        REFUSED("the issuer of the certificate is not known here (%.90s); name its CA file with "
                "tls-ca, or let the server send the whole chain",
                c->issuer);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        REFUSED("the certificate is self-signed (%.40s), SHA-256 %s. Trust it " BY_FINGERPRINT, c->subject, c->sha256);
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        REFUSED("the root of the certificate's chain is self-signed and not known here (%.90s); "
                "name its file with tls-ca",
                c->subject);
        break;
    case X509_V_ERR_CERT_REVOKED:
        REFUSED("%s (%.60s) was revoked by its issuer (%.60s); have the server's administrator "
                "install a new one",
                whose, c->subject, c->issuer);
        break;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        REFUSED("the file of tls-crl has no revocation list of %.90s", c->issuer);
        break;
    case X509_V_ERR_CRL_HAS_EXPIRED:
        REFUSED("the revocation list of %.90s in tls-crl is out of date; fetch a new one", c->issuer);
        break;
    case X509_V_ERR_CA_MD_TOO_WEAK:
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
        REFUSED("%s (%.40s) is too weak by today's measure (%s); renew it on the server, or trust "
                "this one " BY_FINGERPRINT,
                whose, c->subject, X509_verify_cert_error_string(fault->code));
        break;
    case X509_V_ERR_APPLICATION_VERIFICATION:
        REFUSED("the certificate is not the pinned one but %s (tls-fingerprint: %s); ask the server's administrator "
                "before you believe it",
                c->sha256, fault->expected);
        break;
    default:
        REFUSED("%s (%.80s) does not verify: %s", whose, c->subject, X509_verify_cert_error_string(fault->code));
        break;
    }
#undef REFUSED
    err_doing(err_r, "TLS with %s", host);
}

void tls_words_other(const char *doing, const char *host, struct err *err_r)
{
    unsigned long error = ERR_peek_error();
    int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    const char *text = ERR_reason_error_string(error);

    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
        err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, 0,
                "the server's answer is not TLS; if the address says imaps://, this port may want "
                "imap:// (STARTTLS)");
        break;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, 0,
                "the server has no TLS version that is allowed here; see tls-min");
        break;
    case SSL_R_DH_KEY_TOO_SMALL:
    case SSL_R_EE_KEY_TOO_SMALL:
    case SSL_R_CA_KEY_TOO_SMALL:
    case SSL_R_CA_MD_TOO_WEAK:
    case SSL_R_WRONG_SIGNATURE_TYPE:
    case SSL_R_LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED:
        err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, 0,
                "what the server proposes is too weak by today's measure (%s): have its administrator mend "
                "that, or allow it here with a smaller tls-security-level",
                text);
        break;
    case SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED:
        err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, 0,
                "the server does not know secure renegotiation (RFC 5746, of 2010), without which others can put "
                "words of theirs before ours; its TLS library has to be renewed");
        break;
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
        err_set(err_r, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_TLS, 0,
                "the server finds no way of encrypting that both sides allow (%s); an old server may need a "
                "smaller tls-min or tls-security-level, a strict one a larger",
                text);
        break;
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_ACCOUNT, ERR_ORIGIN_TLS, 0,
                "the server asks for a client certificate");
        break;
    default:
        err_set(err_r, ERR_CLASS_TRANSIENT, ERR_SCOPE_SESSION, ERR_ORIGIN_TLS, 0, "%s",
                text ? text : "the TLS library gives no reason");
        break;
    }
    err_doing(err_r, "%s %s", doing, host);
    ERR_clear_error();
}
