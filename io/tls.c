#include "io/tls_private.h"

#include "io/base/mem.h"

#include <openssl/err.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fault_note(struct tls_session *t, X509_STORE_CTX *store, X509 *x509)
{
    t->fault.code = X509_STORE_CTX_get_error(store);
    t->fault.depth = X509_STORE_CTX_get_error_depth(store);
    if (x509)
        tls_certificate_describe(x509, &t->fault.certificate);
}

static struct tls_session *session_of_store(X509_STORE_CTX *store)
{
    return tls_session_of(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
}

/* Only listens: the first fault is the one worth telling. */
static int chain_checked(int ok, X509_STORE_CTX *store)
{
    struct tls_session *t = session_of_store(store);

    if (!ok && !t->fault.code)
        fault_note(t, store, X509_STORE_CTX_get_current_cert(store));
    return ok;
}

static int pin_check(X509_STORE_CTX *store, void *context)
{
    const struct tls_role *role = context;
    struct tls_session *t = session_of_store(store);
    X509 *x509 = X509_STORE_CTX_get0_cert(store);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (x509 && X509_digest(x509, EVP_sha256(), digest, &size) && size == sizeof role->pin &&
        CRYPTO_memcmp(digest, role->pin, size) == 0) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    X509_STORE_CTX_set_error_depth(store, 0);
    fault_note(t, store, x509);
    for (unsigned i = 0; i < sizeof role->pin; i++)
        snprintf(t->fault.expected + 2 * i, 3, "%02x", role->pin[i]);
    return 0;
}

static int ticket_came(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session *t = tls_session_of(ssl);

    if (!SSL_SESSION_is_resumable(session))
        return 0;
    tickets_put(t->tickets, t->role->id, t->server, session);
    return 1;
}

static bool file_refused(struct err *err_r, const char *what, const char *path)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    err_set(err_r, ERR_CLASS_PERMANENT, ERR_SCOPE_RUN, ERR_ORIGIN_TLS, 0, "%s: %s", path,
            text ? text : "holds nothing that can be used");
    ERR_clear_error();
    return err_doing(err_r, "reading the %s", what);
}

static bool role_configure(struct tls_role *role, const struct tls_config *config, struct err *err_r)
{
    SSL_CTX *ctx = role->ctx;
    unsigned min = config->min_version ? config->min_version : TLS1_2_VERSION;
    const char *key = config->key_file ? config->key_file : config->certificate_file;

    SSL_CTX_set_mode(ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, ticket_came);
    if (!SSL_CTX_set_min_proto_version(ctx, (int)min))
        return file_refused(err_r, "smallest TLS version", "tls-min");
    /* OpenSSL 3 allows TLS 1.0 and 1.1 on its lowest security level only. */
    if (config->security_level || min < TLS1_2_VERSION)
        SSL_CTX_set_security_level(ctx, config->security_level ? (int)config->security_level - 1 : 0);
    if (config->certificate_file && SSL_CTX_use_certificate_chain_file(ctx, config->certificate_file) != 1)
        return file_refused(err_r, "client certificate (tls-certificate)", config->certificate_file);
    if (key && (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(ctx) != 1))
        return file_refused(err_r, "key of the client certificate (tls-key)", key);
    if (config->pin) {
        role->pinned = true;
        memcpy(role->pin, config->pin, sizeof role->pin);
        SSL_CTX_set_cert_verify_callback(ctx, pin_check, role);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        return true;
    }
    if (!config->verify) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
        return true;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, chain_checked);
    if (config->ca_file ? SSL_CTX_load_verify_file(ctx, config->ca_file) != 1
                        : SSL_CTX_set_default_verify_paths(ctx) != 1)
        return file_refused(err_r, "CA certificates (tls-ca)", config->ca_file ? config->ca_file : "the system's");
    if (config->crl_file) {
        X509_STORE *store = SSL_CTX_get_cert_store(ctx);

        if (X509_STORE_load_file(store, config->crl_file) != 1 ||
            X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) != 1)
            return file_refused(err_r, "revocation list (tls-crl)", config->crl_file);
    }
    return true;
}

bool tls_role_create(const struct tls_config *config, struct tls_role **role_r, struct err *err_r)
{
    static _Atomic uint64_t last_id;
    struct tls_role *role = mem_zero(1, sizeof *role);

    role->id = ++last_id;
    role->ctx = SSL_CTX_new(TLS_client_method());
    if (!role->ctx) {
        tls_words_other("making a TLS context for", "a server", err_r);
        free(role);
        return false;
    }
    if (!role_configure(role, config, err_r)) {
        tls_role_destroy(&role);
        return false;
    }
    *role_r = role;
    return true;
}

void tls_role_destroy(struct tls_role **role)
{
    if (*role) {
        SSL_CTX_free((*role)->ctx);
        free(*role);
        *role = NULL;
    }
}
