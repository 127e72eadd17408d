#include "engine/rehearsal/exo_state.h"

#include "io/base/mem.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static bool failed(struct err *err_r, const char *doing)
{
    ERR_clear_error();
    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_TLS, 0, "cannot");
    return err_doing(err_r, "%s", doing);
}

static bool extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool ok;

    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ok = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static X509 *certificate_make(EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, const char *name, long serial)
{
    X509 *cert = X509_new();
    X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;
    bool ok = subject &&
              X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1 &&
              X509_set_version(cert, 2) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(cert), serial) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(cert), -86400) &&
              X509_gmtime_adj(X509_getm_notAfter(cert), 365L * 86400) && X509_set_pubkey(cert, key) == 1 &&
              X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject) == 1;

    if (issuer)
        ok = ok && extend(cert, issuer, NID_basic_constraints, "CA:FALSE") &&
             extend(cert, issuer, NID_ext_key_usage, "serverAuth") &&
             extend(cert, issuer, NID_subject_alt_name,
                    "DNS:localhost,IP:127.0.0.1,DNS:outlook.office365.com,"
                    "DNS:login.microsoftonline.com");
    else
        ok = ok && extend(cert, cert, NID_basic_constraints, "critical,CA:TRUE") &&
             extend(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
             extend(cert, cert, NID_subject_key_identifier, "hash");
    if (ok && X509_sign(cert, issuer_key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

static bool ca_keep(struct exo *exo, X509 *ca, struct err *err_r)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *data;
    long size;

    if (!memory || PEM_write_bio_X509(memory, ca) != 1) {
        BIO_free(memory);
        return failed(err_r, "write the CA");
    }
    size = BIO_get_mem_data(memory, &data);
    exo->ca_pem = slice_dup(slice_of(data, (size_t)size));
    BIO_free(memory);
    if (exo->config.folder[0]) {
        FILE *file;
        bool ok;

        snprintf(exo->ca_file, sizeof exo->ca_file, "%s/ca.pem", exo->config.folder);
        file = fopen(exo->ca_file, "w");
        ok = file && fputs(exo->ca_pem, file) >= 0;
        if (file)
            ok = fclose(file) == 0 && ok;
        if (!ok)
            return failed(err_r, exo->ca_file);
    }
    return true;
}

static bool certificates_make(struct exo *exo, struct err *err_r)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = ca_key ? certificate_make(ca_key, NULL, ca_key, "Simulated Exchange CA", 1) : NULL;
    X509 *cert = ca && key ? certificate_make(key, ca, ca_key, "localhost", 2) : NULL;
    bool ok = cert && SSL_CTX_use_certificate(exo->tls, cert) == 1 && SSL_CTX_use_PrivateKey(exo->tls, key) == 1;

    ok = ok ? ca_keep(exo, ca, err_r) : failed(err_r, "make a certificate");
    X509_free(cert);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return ok;
}

static bool client_certificate_read(struct exo *exo, struct err *err_r)
{
    FILE *file = fopen(exo->config.client_certificate, "r");
    X509 *cert = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    bool ok;

    if (file)
        fclose(file);
    exo->client_key = cert ? X509_get_pubkey(cert) : NULL;
    ok = exo->client_key && X509_digest(cert, EVP_sha1(), exo->client_sha1, NULL) == 1 &&
         X509_digest(cert, EVP_sha256(), exo->client_sha256, NULL) == 1;
    X509_free(cert);
    return ok || failed(err_r, exo->config.client_certificate);
}

bool exo_tls_start(struct exo *exo, struct err *err_r)
{
    const struct exo_config *config = &exo->config;

    exo->tls = SSL_CTX_new(TLS_server_method());
    if (!exo->tls)
        return failed(err_r, "TLS");
    SSL_CTX_set_min_proto_version(exo->tls, TLS1_2_VERSION);
    SSL_CTX_set_mode(exo->tls,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(exo->tls, SSL_OP_NO_RENEGOTIATION);
    if (config->client_certificate[0] && !client_certificate_read(exo, err_r))
        return false;
    if (!config->certificate[0])
        return certificates_make(exo, err_r);
    if (SSL_CTX_use_certificate_chain_file(exo->tls, config->certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(exo->tls, config->key, SSL_FILETYPE_PEM) != 1)
        return failed(err_r, config->certificate);
    snprintf(exo->ca_file, sizeof exo->ca_file, "%s", config->ca);
    exo->ca_pem = mem_text("");
    return true;
}

void exo_tls_stop(struct exo *exo)
{
    SSL_CTX_free(exo->tls);
    EVP_PKEY_free(exo->client_key);
    free(exo->ca_pem);
}
